"""The case of the t-SNE: the first ``visualization.py``, and how good its plane is."""

import functools
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from sklearn.neighbors import NearestNeighbors

from benchmarks import timing
from benchmarks.results import Row
from benchmarks.timing import Plan
from hi_mnist.data import load_split
from hi_mnist.prepare import ensure
from hi_mnist.projections import TSNE_SETTINGS, tsne_codes
from report.measures import knn_accuracy

NEAR = 15
FINE = {"n_interpolation_points": 3, "min_num_intervals": 50, "ints_in_interval": 0.5}  # half of openTSNE's intervals


def onedal(codes: np.ndarray) -> np.ndarray:
    """oneDAL's plane, float64 (N, 2). At its own learning rate of N / 48, 750 steps would not do."""
    from sklearnex.manifold import TSNE

    return (
        TSNE(learning_rate=5000, max_iter=750, random_state=TSNE_SETTINGS["seed"])
        .fit_transform(codes)
        .astype(np.float64)
    )


def quality(codes: np.ndarray, labels: np.ndarray, plane: np.ndarray) -> str:
    """How much of codes (N, d) and labels (N,) a plane float64 (N, 2) keeps, in words."""
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.tsne import kl_divergence_fft

    P = PerplexityBasedNN(codes, perplexity=TSNE_SETTINGS["perplexity"], method="exact", n_jobs=-1).P
    divergence, _ = kl_divergence_fft(plane, P, 1, FINE, should_eval_error=True, n_jobs=-1)
    graphs = [NearestNeighbors(n_neighbors=NEAR).fit(points).kneighbors_graph() for points in (codes, plane)]
    kept = graphs[0].multiply(graphs[1]).sum() / graphs[0].nnz
    accuracy = knn_accuracy(plane, labels)
    return f"KL {divergence:.3f}, {kept:.3f} of {NEAR} neighbours kept, nearest ones tell {accuracy:.3f} of the digits"


def tsne(plan: Plan) -> Iterator[Row]:
    """A first ``visualization.py`` of this project and of version 0.1, and its t-SNE beside oneDAL's."""
    dataset = "digits" if plan.quick else plan.dataset
    ensure(dataset)
    images, labels = load_split("train", dataset)
    codes = tsne_codes(images).astype(np.float64)
    trees = plan.trees()
    with tempfile.TemporaryDirectory() as name:
        homes = {side: Path(name) / side for side in trees}

        def run(side: str, *command: str) -> None:
            command = [*command, "--results_path", homes[side] / "run"]
            timing.run_command(command, {"LAB_HOME": str(homes[side])}, trees[side])

        def draw(side: str) -> None:
            shutil.rmtree(homes[side] / "cache", ignore_errors=True)
            run(side, "visualization.py")

        for side, tree in trees.items():
            homes[side].mkdir()
            timing.run_command(["load_resources.py", "--dataset", dataset], {"LAB_HOME": str(homes[side])}, tree)
            run(side, "train.py", "--use_pca", "--dataset", dataset)
        jobs, planes = {side: functools.partial(draw, side) for side in trees}, {}
        if find_spec("sklearnex"):  # which macOS and ARM have no wheels of
            jobs["oneDAL"] = lambda: planes.update(oneDAL=onedal(tsne_codes(images).astype(np.float64)))
        times = timing.alternate(jobs, plan.rounds(2), warm_up=False)
        (kept,) = homes["ours"].glob("cache/tsne-*")
        ours = load_file(kept)
        note = quality(codes, labels, ours["plane"])
        if plan.before:
            (plane,) = homes["theirs"].glob("cache/tsne-*.npy")
            note += f"; the peer's: {quality(codes, labels, np.load(plane))}"
    what, peer = f"first visualization.py, {len(images):,} images", "version 0.1" if plan.before else ""
    yield Row(what, peer, times["ours"], times.get("theirs"), 2.22, note)
    if "oneDAL" in times:
        note = f"the peer's: {quality(codes, labels, planes['oneDAL'])}"
        what, seconds = "the t-SNE of its last round", float(ours["seconds"])
        yield Row(what, "oneDAL's Barnes-Hut", seconds, times["oneDAL"], note=note)
