"""The comparisons of ``python -m benchmarks``: each case is a function from a ``Plan`` to rows of figures.

Symbols: N samples, d embedding dimensions, K = 10 components. Images are uint8 (N, 1, 28, 28), 0 the background.
"""

import functools
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np
import scipy.linalg
from sklearn.metrics import pairwise_distances_argmin

import submission
from benchmarks import measures, peers, timing
from grading.measures import knn_accuracy
from hi_mnist import idx, networks
from hi_mnist.cli import LabError
from hi_mnist.data import flatten, load_split, prepared_dir
from hi_mnist.prepare import ensure
from hi_mnist.runs import cluster_labels, load_run

K = 10
BURST = 12  # EM iterations in a row, as many as the fit takes
SHORT_BURST = 5  # where a curve has many points
# Measured once on two cores of this kind, and not again in each run: together they take half an hour.
SAVED_TSNE = 401.0  # scikit-learn's TSNE of 60,000 images, raw pixels
SAVED_CHAIN = 12.5 + 2 * (283.0 + 401.0) + 23.5  # the original: train, two visualizations (AE and TSNE each), grade


@dataclass
class Row:
    """One line of the results.

    Args:
        case, what, peer: names; ``peer`` is empty where there is only a limit.
        ours, theirs: median seconds.
        target: so many times faster than the peer it shall be; None: no promise.
        limit: so many seconds it may take.
        memory, peer_memory: bytes held at the worst beyond what was held before.
        memory_limit: so many bytes it may take.
        accuracy: what shows that both did the same work.
        note: what a reader has to know.
        series: (name, x) of a curve that the row belongs to: not part of the short table.
        saved: ``theirs`` was measured once, and not in this run.
    """

    case: str
    what: str
    peer: str
    ours: float
    theirs: float | None = None
    target: float | None = None
    limit: float | None = None
    memory: float | None = None
    peer_memory: float | None = None
    memory_limit: float | None = None
    accuracy: str = ""
    note: str = ""
    series: tuple[str, float] | None = None
    saved: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times faster than the peer."""
        return None if self.theirs is None else self.theirs / self.ours

    @property
    def reached(self) -> bool | None:
        """Whether each promise of the row holds; None where it makes none."""
        kept = []
        if self.target is not None and self.ratio is not None:
            kept.append(self.ratio >= self.target)
        if self.limit is not None:
            kept.append(self.ours <= self.limit)
        if self.memory_limit is not None and self.memory is not None:
            kept.append(self.memory <= self.memory_limit)
        return all(kept) if kept else None


@dataclass
class Plan:
    """What is measured: sizes and repetitions.

    Args:
        quick: small sizes, one repetition: shows that everything runs, its figures mean little.
        full: run also scikit-learn's t-SNE, which is otherwise taken from a saved figure.
    """

    quick: bool = False
    full: bool = False
    dataset: str = field(default_factory=ensure)

    def rounds(self, count: int) -> int:
        return 1 if self.quick else count

    def images(self, count: int = 60_000) -> np.ndarray:
        """The training images, repeated where there are fewer than ``count`` (the stand-in): uint8 (N, 1, 28, 28)."""
        images, _ = load_split("train", self.dataset)
        return np.resize(images, (min(count, 2_000) if self.quick else count, *images.shape[1:]))

    @property
    def size(self) -> int:
        return 2_000 if self.quick else 60_000


# --------------------------------------------------------------------------- expectation maximisation


def codes_of(images: np.ndarray, d: int) -> np.ndarray:
    """PCA codes float64 (N, d); those of repeated images are set apart, so that no component collapses."""
    rows = flatten(images)
    pca = submission.PCA(d)
    pca.fit(rows)
    return pca.transform(rows) + np.random.default_rng(0).normal(size=(len(rows), d))


def blobs(n: int, d: int) -> np.ndarray:
    """Samples of a mixture of K unit Gaussians: float64 (n, d)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    X += 4 / np.sqrt(d) * rng.normal(size=(K, d))[rng.integers(K, size=n)]
    return X


def started(X: np.ndarray) -> submission.GMM:
    """A mixture after the M-step on a random partition by a few samples: all three sides begin with it."""
    centres = X[np.random.default_rng(1).choice(len(X), K, replace=False)]
    nearest = pairwise_distances_argmin(X, centres)
    gmm = submission.GMM(K, X.shape[1])
    gmm._m_step(X, 0.9 * np.eye(K)[nearest] + 0.1 / K)
    return gmm


def our_iteration(X: np.ndarray) -> Callable[[], submission.GMM]:
    """What ``fit`` does in each iteration: E-step, likelihood, M-step, with BLAS held to one thread."""
    gmm = started(X)

    def iterate():
        with submission.BLAS.limit(limits=1, user_api="blas"):
            gamma = gmm._e_step(X)
            gmm._mean_log_likelihood(X, gamma)
            gmm._m_step(X, gamma)
        return gmm

    return iterate


def sklearn_iteration(X: np.ndarray) -> Callable:
    """The body of scikit-learn's own EM loop, by the methods that its ``fit`` calls."""
    from sklearn.mixture import GaussianMixture

    start = started(X)
    mixture = GaussianMixture(K, reg_covar=1e-6)
    mixture._set_parameters((start.pi, start.means, start.covs, _precision_roots(start.covs)))

    def iterate():
        log_likelihood, log_resp = mixture._e_step(X)
        mixture._m_step(X, log_resp)
        mixture._compute_lower_bound(log_resp, log_likelihood)
        return mixture

    return iterate


def _precision_roots(covs: np.ndarray) -> np.ndarray:
    """What scikit-learn keeps of covariances (K, d, d): upper Cholesky factors of their inverses."""
    return np.array([np.linalg.inv(np.linalg.cholesky(cov)).T for cov in covs])


def textbook_iteration(X: np.ndarray) -> Callable:
    start = started(X)
    mixture = peers.TextbookGMM(start.means, start.covs, start.pi)

    def iterate():
        gamma, _ = mixture.e_step(X)
        mixture.m_step(X, gamma)
        return mixture

    return iterate


SIDES = {"ours": our_iteration, "sklearn": sklearn_iteration, "textbook": textbook_iteration}


def em_memory(side: str, n: int, d: int) -> Callable:
    """For ``timing.peak_memory``: one iteration of a side on samples of a mixture."""
    return SIDES[side](blobs(n, d))


def em(plan: Plan) -> Iterator[Row]:
    """One EM iteration on the lab's own codes."""
    for d, target in ((10, 6.0), (20, 4.0), (50, 3.0)):
        X = codes_of(plan.images(), d)
        yield from _em_rows(X, f"EM iteration, N = {len(X):,}, d = {d}", plan.rounds(4), target)


def em_growth(plan: Plan) -> Iterator[Row]:
    """How an iteration grows with the number of samples and of dimensions; memory at the largest."""
    for n in (1_000, 10_000) if plan.quick else (1_000, 10_000, 100_000, 1_000_000):
        yield from _em_rows(
            blobs(n, 10), f"EM iteration, N = {n:,}, d = 10, blobs", plan.rounds(3 if n < 10**6 else 1), None, ("N", n)
        )
    for d in (2, 20) if plan.quick else (2, 5, 10, 20, 50, 100, 200):
        yield from _em_rows(
            blobs(plan.size, d), f"EM iteration, N = {plan.size:,}, d = {d}, blobs", plan.rounds(1), None, ("d", d)
        )
    n, d = (20_000, 50) if plan.quick else (1_000_000, 50)
    jobs = {"ours": our_iteration(blobs(n, d)), "sklearn": sklearn_iteration(blobs(n, d))}
    times = timing.alternate(jobs, plan.rounds(3))
    data = 8.0 * n * d
    yield Row(
        "em_growth",
        f"EM iteration, N = {n:,}, d = {d}, blobs",
        "scikit-learn GaussianMixture",
        median(times["ours"]),
        median(times["sklearn"]),
        memory=timing.peak_memory(em_memory, "ours", n, d),
        peer_memory=timing.peak_memory(em_memory, "sklearn", n, d),
        memory_limit=data,
        note=f"beside the data's {data / 2**20:,.0f} MiB; with it below twice the data",
    )


def _em_rows(X, what: str, rounds: int, target: float | None, series: tuple | None = None) -> Iterator[Row]:
    jobs = {side: begin(X) for side, begin in SIDES.items()}
    burst = SHORT_BURST if series else BURST
    times = timing.alternate(jobs, rounds, burst=burst)
    ours, sklearn, textbook = (job() for job in jobs.values())
    scale = np.abs(sklearn.means_).max()
    apart = max(
        np.abs(ours.means - sklearn.means_).max() / scale,
        np.abs(ours.covs - sklearn.covariances_).max() / np.abs(sklearn.covariances_).max(),
        np.abs(ours.pi - sklearn.weights_).max(),
    )
    # A curve has many rows, and its memory is measured at its end.
    memory = {} if series else {side: timing.peak_memory(em_memory, side, *X.shape) for side in SIDES}
    for side, peer, wanted in (
        ("sklearn", "scikit-learn GaussianMixture", target),
        ("textbook", "textbook's loops", 1.0),
    ):
        yield Row(
            "em_growth" if series else "em",
            what,
            peer,
            median(times["ours"]),
            median(times[side]),
            wanted,
            memory=memory.get("ours"),
            peer_memory=memory.get(side),
            accuracy=f"parameters {apart:.0e} apart after {rounds * burst + 2} iterations" if side == "sklearn" else "",
            series=series,
        )


def fit(plan: Plan) -> Iterator[Row]:
    """Fit to convergence by the same rule, from the same k-means clusters."""
    from sklearn.mixture import GaussianMixture

    X = codes_of(plan.images(), 10)
    ours = submission.GMM(K, 10)
    theirs = GaussianMixture(K, tol=1e-3, reg_covar=1e-6, max_iter=100, n_init=1, random_state=123)
    jobs = {"ours": lambda: ours.fit(X, max_iter=100, tol=1e-3, seed=123), "theirs": lambda: theirs.fit(X)}
    times = timing.alternate(jobs, plan.rounds(5))
    yield Row(
        "fit",
        f"GMM.fit to convergence, N = {len(X):,}, d = 10",
        "scikit-learn GaussianMixture",
        median(times["ours"]),
        median(times["theirs"]),
        4.0,
        accuracy=f"log-likelihood {ours.log_likelihoods[-1]:.6f} and {theirs.lower_bound_:.6f} "
        f"after {len(ours.log_likelihoods)} and {theirs.n_iter_} iterations",
    )


# --------------------------------------------------------------------------- PCA


def pca_job(side: str, rows: np.ndarray) -> Callable[[], np.ndarray]:
    """Fit ten components of uint8 rows (N, 784), copies included: -> (10, 784)."""
    from sklearn.decomposition import PCA

    def ours():
        pca = submission.PCA(10)
        pca.fit(rows)
        return pca.components

    return {
        "ours": ours,
        "float64": lambda: PCA(10).fit(rows.astype(np.float64)).components_,
        "float32": lambda: PCA(10).fit(rows.astype(np.float32)).components_,
        "textbook": lambda: peers.textbook_pca(rows, 10),
    }[side]


def pca_memory(side: str, n: int) -> Callable:
    """For ``timing.peak_memory``: the fit on n x 784 random bytes."""
    return pca_job(side, np.random.default_rng(0).integers(256, size=(n, 784), dtype=np.uint8))


def pca(plan: Plan) -> Iterator[Row]:
    """PCA.fit from uint8 pixels."""
    rows = flatten(plan.images())
    targets = {"float64": 4.0, "float32": 1.0, "textbook": 6.0}
    names = {"float64": "scikit-learn PCA, float64", "float32": "scikit-learn PCA, float32", "textbook": "textbook"}
    jobs = {side: pca_job(side, rows) for side in ("ours", *targets)}
    times = timing.alternate(jobs, plan.rounds(7))
    ours = jobs["ours"]()
    memory = timing.peak_memory(pca_memory, "ours", len(rows))
    for side, target in targets.items():
        theirs = jobs[side]()
        apart = np.abs(ours.T @ ours - theirs.T @ theirs).max()
        yield Row(
            "pca",
            f"PCA.fit, {len(rows):,} x 784 pixels of uint8, d = 10",
            names[side],
            median(times["ours"]),
            median(times[side]),
            target,
            memory=memory,
            peer_memory=timing.peak_memory(pca_memory, side, len(rows)),
            memory_limit=1.3 * rows.size * 4,
            accuracy=f"projectors {apart:.0e} apart",
        )


# --------------------------------------------------------------------------- what bounds them


def bounds(plan: Plan) -> Iterator[Row]:
    """What the machine can do at best: products in float64 and float32, and moving numbers."""
    rng = np.random.default_rng(0)
    n = 500 if plan.quick else 2_000
    square, block = rng.normal(size=(n, n)), rng.normal(size=(1024, 784)).astype(np.float32)
    single, symmetric = square.astype(np.float32), np.cov(block, rowvar=False)
    numbers, target = np.ones(plan.size * 1_000), np.empty(plan.size * 1_000)
    cached, in_a_row = np.ones((100, 1_000)), 100
    stacked, samples, white = rng.normal(size=(100, 11)), rng.normal(size=(11, 4_000)), np.empty((100, 4_000))

    def grams(numbers):
        product = np.empty((784, 784), np.float32)
        for _ in numbers:
            np.matmul(block.T, block, out=product)

    def on_one(job):
        with submission.BLAS.limit(limits=1, user_api="blas"):
            return job()

    jobs = {
        f"product of two {n:,} x {n:,} matrices, float64, one core": (
            lambda: on_one(lambda: square @ square),
            2 * n**3,
        ),
        f"product of two {n:,} x {n:,} matrices, float64, all cores": (lambda: square @ square, 2 * n**3),
        f"product of two {n:,} x {n:,} matrices, float32, all cores": (lambda: single @ single, 2 * n**3),
        "59 Gram matrices of 1,024 x 784, float32, all cores, as PCA.fit multiplies": (
            lambda: submission.in_parallel(grams, range(59), 10**9),
            59 * 1024 * 784**2,
        ),
        f"the {K} leading eigenvectors of 784 x 784, float64, all cores": (
            lambda: scipy.linalg.eigh(symmetric, subset_by_index=[784 - K, 783]),
            None,
        ),
        "copy of 480 MB" if not plan.quick else "copy": (lambda: np.copyto(target, numbers), None),
        "10 million squares in the cache, one core": (
            lambda: [np.multiply(cached, cached, out=cached) for _ in range(in_a_row)],
            None,
        ),
        "100 products of 100 x 11 and 11 x 4,000, one core (at d = 10 the E-step whitens by 15 such)": (
            lambda: on_one(lambda: [np.matmul(stacked, samples, out=white) for _ in range(in_a_row)]),
            in_a_row * 2 * 100 * 11 * 4_000,
        ),
    }
    times = timing.alternate({what: job for what, (job, _) in jobs.items()}, plan.rounds(9))
    for what, (_, operations) in jobs.items():
        note = f"{operations / median(times[what]) / 1e9:.0f} GFLOP/s" if operations else ""
        if what.startswith("copy"):
            note = f"{16 * len(numbers) / median(times[what]) / 1e9:.1f} GB/s read and written"
        yield Row("bounds", what, "", median(times[what]), note=note)
    yield from _bounds_of_threads(plan)
    for module, note in (("torch", ""), ("model", "torch and huggingface_hub, in every command that loads a network")):
        command = f"import gc, {module}; gc.freeze()"
        imports = [timing.run_command(["-c", command]) for _ in range(plan.rounds(5))]
        seconds = median(command.seconds for command in imports)
        yield Row("bounds", f"python -c '{command}'", "", seconds, memory=max_memory(imports), note=note)


def _bounds_of_threads(plan: Plan) -> Iterator[Row]:
    """What a second core brings to an EM iteration."""
    iteration = our_iteration(codes_of(plan.images(), 10))
    for cores in (1, submission.CORES):
        with mock.patch.object(submission, "CORES", cores):
            (times,) = timing.alternate({"ours": iteration}, plan.rounds(2), burst=BURST).values()
        yield Row(
            "bounds", f"EM iteration, N = {plan.size:,}, d = 10, {cores} thread{'s'[: cores > 1]}", "", median(times)
        )


# --------------------------------------------------------------------------- data


@contextmanager
def data_sources(plan: Plan) -> Iterator[tuple[Path, list]]:
    """A folder with the data in use as parquet files and, for MNIST, as IDX files; options that prepare them anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, prefix in (("train", "train"), ("test", "t10k")):
            images, labels = load_split(split, plan.dataset)
            peers.write_parquet(images, labels, folder / f"{split}.parquet")
            for array, kind in ((images[:, 0], "images-idx3"), (labels.astype(np.uint8), "labels-idx1")):
                header, pixels = idx.idx_parts(array)
                (folder / f"{prefix}-{kind}-ubyte").write_bytes(header + bytes(pixels))
        # The stand-in is made by the command itself: files of its size are refused as MNIST.
        yield folder, ["--dataset", plan.dataset] + (["--data_dir", folder] if plan.dataset == "mnist" else [])


OPEN_PREPARED = """
import sys, time, utils
start = time.perf_counter()
for split in ("train", "test"):
    images, labels = utils.load_split(split, sys.argv[1])
    images.max(), labels.max()
print(time.perf_counter() - start)
"""


def data(plan: Plan) -> Iterator[Row]:
    """From IDX files to prepared data, and from prepared data to arrays."""
    prepare, opened, theirs_first, theirs_again = [], [], [], []
    with data_sources(plan) as (folder, options):
        for turn in range(plan.rounds(3)):
            environment = {"LAB_HOME": str(folder / f"home{turn}"), "MNIST_DIR": ""}
            prepare.append(timing.run_command(["load_resources.py", *options], environment))
            opened.append(timing.run_command(["-c", OPEN_PREPARED, plan.dataset], environment))
            theirs_first.append(timing.run_command(["-m", "benchmarks.peers", folder], environment))
            theirs_again.append(timing.run_command(["-m", "benchmarks.peers", folder], environment))
            shutil.rmtree(folder / "cache")
        first = "import sys; from hi_mnist import prepare; prepare.ensure(*sys.argv[1:])"
        alone = timing.run_command(["-c", first, *options[1::2]], {"LAB_HOME": str(folder / "alone"), "MNIST_DIR": ""})
        same = all(
            path.read_bytes() == (prepared_dir(plan.dataset) / path.name).read_bytes()
            for path in (folder / "home0").glob("*/*.safetensors")
        )
    if not same:
        raise LabError("the data were prepared differently from the set in use; prepare that one anew")
    source = "IDX files" if plan.dataset == "mnist" else "scikit-learn's digits"
    yield Row(
        "data",
        f"load_resources.py, the whole command, from {source}",
        "Hugging Face datasets, from parquet with PNG",
        median(command.seconds for command in prepare),
        printed_seconds(theirs_first),
        limit=2.0,
        memory=None if alone.memory is None else alone.memory + max_memory(prepare),
        peer_memory=max_memory(theirs_first),
        accuracy="byte by byte the set that is in use",
        note="both splits; the peer's import is not counted; memory of both its processes, which share some",
    )
    yield Row(
        "data",
        "open the prepared set",
        "Hugging Face datasets, from its cache",
        printed_seconds(opened),
        printed_seconds(theirs_again),
        limit=0.1,
        memory=max_memory(opened),
        peer_memory=max_memory(theirs_again),
        note="both splits as NumPy arrays, every pixel read; the peer keeps PNG files and decodes them each time",
    )


def max_memory(commands: Iterable[timing.Finished]) -> float | None:
    """Bytes that the largest of some commands held at the worst; None where the system tells none."""
    known = [command.memory for command in commands if command.memory is not None]
    return max(known) if known else None


def printed_seconds(commands: list[timing.Finished]) -> float:
    """Median of the seconds that some commands print last: of a part of what they do."""
    return median(float(command.output.split()[-1]) for command in commands)


# --------------------------------------------------------------------------- networks


def ae_memory(side: str, n: int) -> Callable:
    """For ``timing.peak_memory``: n random images encoded."""
    images = np.random.default_rng(0).integers(256, size=(n, 1, 28, 28), dtype=np.uint8)
    if side == "ours":
        ours = networks.load_ae()
        return lambda: networks.ae_encode(ours, images)
    theirs = peers.original_ae()
    return lambda: peers.encode_one_by_one(theirs, images)


def ddpm_memory(side: str, count: int) -> Callable:
    """For ``timing.peak_memory``: digits drawn at once by ours, one by the peer; the steps change nothing."""
    if side == "ours":
        ours = networks.load_ddpm()
        return lambda: networks.draw_digits(ours, [6] * count, steps=5)
    theirs = peers.DiffusersSampler()
    return lambda: theirs.draw(6, 5)


def ae(plan: Plan) -> Iterator[Row]:
    """Encoding of the training images."""
    images, ours, theirs = plan.images(), networks.load_ae(), peers.original_ae()
    sample = images[: 50 if plan.quick else 2_000]
    jobs = {
        "ours": lambda: networks.ae_encode(ours, images),
        "theirs": lambda: peers.encode_one_by_one(theirs, sample),
    }
    times = timing.alternate(jobs, plan.rounds(3), warm_up=False)
    size = sum(p.numel() for p in theirs.parameters()) / 1e6
    test, labels = load_split("test", plan.dataset)
    mixture = submission.GMM(K, 2)
    mixture.fit(networks.ae_encode(ours, images), seed=0)
    scores = measures.clustering_scores(mixture.predict(networks.ae_encode(ours, test)), labels)
    yield Row(
        "ae",
        f"AutoEncoder, {len(images):,} images encoded",
        f"the original's AE ({size:.1f} M), one by one",
        median(times["ours"]),
        median(times["theirs"]) * len(images) / len(sample),
        100.0,
        memory=timing.peak_memory(ae_memory, "ours", len(images)),
        peer_memory=timing.peak_memory(ae_memory, "theirs", len(sample)),
        accuracy=f"a mixture on the codes: accuracy {scores['accuracy']:.3f}, NMI {scores['nmi']:.3f} on test images",
        note=f"the peer, untrained, on {len(sample):,} images, scaled up",
    )


def ddpm(plan: Plan) -> Iterator[Row]:
    """Samples of the diffusion model."""
    ours, theirs = networks.load_ddpm(), peers.DiffusersSampler()
    steps = 20 if plan.quick else 1000

    seeds, drawn = itertools.count(), {}

    def draw(name, labels, **options):
        def job():
            images = networks.draw_digits(ours, labels, seed=next(seeds), **options)
            drawn.setdefault(name, []).extend(zip(images, labels, strict=True))

        return job

    jobs = {
        "theirs": lambda: theirs.draw(6, steps),
        "alone": draw("alone", [6], steps=steps, guidance=0.0),
        "guided": draw("guided", [6], steps=steps),
        "ddim": draw("ddim", [6], steps=min(steps, 50)),
    }
    times = {name: median(seconds) for name, seconds in timing.alternate(jobs, plan.rounds(3), False).items()}
    labels = list(range(10)) * (1 if plan.quick else 10)
    batch = draw("batch", labels, steps=min(steps, 50))
    times["batch"] = median(timing.alternate({"batch": batch}, plan.rounds(3), False)["batch"])
    named = _named_as_asked(plan, drawn)
    peer = f"diffusers UNet2DModel ({theirs.parameters() / 1e6:.1f} M, untrained), {steps:,} steps"
    for name, what, target, limit in (
        ("alone", f"one digit, {steps:,} steps, no guidance", 3.0, None),
        ("guided", f"one digit, {steps:,} steps, guided", None, 4.0),
        ("ddim", f"one digit, {min(steps, 50)} DDIM steps, guided", 40.0, 0.5),
    ):
        yield Row(
            "ddpm",
            what,
            peer,
            times[name],
            times["theirs"],
            target,
            limit,
            memory=timing.peak_memory(ddpm_memory, "ours", 1),
            peer_memory=timing.peak_memory(ddpm_memory, "theirs", 1),
            accuracy=named[name],
        )
    what = f"{len(labels)} digits at once, {min(steps, 50)} DDIM steps, guided"
    memory = timing.peak_memory(ddpm_memory, "ours", len(labels))
    yield Row("ddpm", what, "", times["batch"], limit=20.0, memory=memory, accuracy=named["batch"])


def _named_as_asked(plan: Plan, drawn: dict[str, list]) -> dict[str, str]:
    """How many of the drawn (image, label) the judge takes for what was asked; nothing where it cannot be trained."""
    if plan.quick or plan.dataset != "mnist":
        return dict.fromkeys(drawn, "")
    from benchmarks.judge import load_judge

    judge, found = load_judge(), {}
    for name, pairs in drawn.items():
        images, asked = (np.array(column) for column in zip(*pairs, strict=True))
        count = int((judge.predict(images) == asked).sum())
        found[name] = f"the judge takes {count} of {len(pairs)} drawn for the digit that was asked"
    return found


# --------------------------------------------------------------------------- whole commands


@dataclass
class ChainRun:
    """What the lab's commands took and came to.

    Args:
        commands: by name and turn, as in "true cold".
        score: points of the code and the run, as graded.
        neighbours: share of images whose nearest others in the t-SNE plane outvote to their digit.
    """

    commands: dict[str, timing.Finished]
    score: str
    neighbours: float


@functools.cache
def run_chain(dataset: str) -> ChainRun:
    """The lab's commands in a fresh LAB_HOME whose data are prepared, then again with its cache warm."""
    ensure(dataset)  # for the questions asked about the run here; a quick plan has another data set
    with tempfile.TemporaryDirectory() as home:
        environment = {"LAB_HOME": home}
        options = [] if dataset == "mnist" else ["--dataset", dataset]
        timing.run_command(["load_resources.py", *options], environment)
        commands = {}
        for turn in ("cold", "warm"):
            run = Path(home) / "results" / turn
            at = ["--results_path", run]
            train = ["train.py", "--use_pca", *at, *options]
            commands[f"train {turn}"] = timing.run_command(train, environment)
            commands[f"true {turn}"] = timing.run_command(["visualization.py", *at], environment)
            commands[f"cluster {turn}"] = timing.run_command(["visualization.py", "--cluster_label", *at], environment)
            index = str(cluster_of_six(run, dataset))
            commands[f"grade {turn}"] = timing.run_command(["grade.py", "--sample_index", index, *at], environment)
        graded = json.loads((run / "grade.json").read_text(encoding="utf-8"))
        (plane,) = (Path(home) / "cache").glob("tsne-*.npy")
        neighbours = knn_accuracy(np.load(plane), load_split("train", dataset)[1])
    return ChainRun(commands, f"{graded['auto_score']:.2f} of {graded['auto_points']} points", neighbours)


def cluster_of_six(path: Path, dataset: str) -> int:
    """What a student finds by looking: the cluster with the most sixes."""
    images, labels = load_split("train", dataset)
    clusters = cluster_labels(load_run(path), images)
    return int(np.bincount(clusters[labels == 6]).argmax())


def visualizations(plan: Plan) -> Iterator[Row]:
    """Both colourings, with the t-SNE and from the cache."""
    dataset = "digits" if plan.quick else plan.dataset
    lab = run_chain(dataset)
    if dataset != "mnist":
        theirs, note = None, "the peer's figure is for MNIST"
    elif plan.full:
        theirs, note = 2 * measured_tsne(plan), "scikit-learn's TSNE measured once in this run, counted twice"
    else:
        theirs, note = 2 * SAVED_TSNE, "saved figure: scikit-learn's TSNE takes 401 s, once for each colouring"
    peer = "scikit-learn TSNE on raw pixels, twice" if theirs else ""
    for turn, name, target in (("cold", "with the t-SNE", 5.0), ("warm", "t-SNE from the cache", 50.0)):
        both = [lab.commands[f"true {turn}"], lab.commands[f"cluster {turn}"]]
        near = f"neighbours in the t-SNE plane outvote to the true digit for {lab.neighbours:.1%} of the images"
        yield Row(
            "visualizations",
            f"both visualizations, {name}",
            peer,
            sum(command.seconds for command in both),
            theirs,
            target,
            memory=max_memory(both),
            accuracy=near,
            note=note,
            saved=note.startswith("saved"),
        )


def measured_tsne(plan: Plan) -> float:
    """Seconds of scikit-learn's TSNE of the training images."""
    from sklearn.manifold import TSNE

    rows = flatten(plan.images()).astype(np.float32)
    return timing.alternate({"tsne": lambda: TSNE(random_state=0, n_jobs=-1).fit(rows)}, 1, warm_up=False)["tsne"][0]


def chain(plan: Plan) -> Iterator[Row]:
    """The lab's four commands."""
    dataset = "digits" if plan.quick else plan.dataset
    lab = run_chain(dataset)
    theirs = SAVED_CHAIN if dataset == "mnist" else None
    note = "saved figures: 12.5 s + 2 x (283 s + 401 s) + 23.5 s" if theirs else "the peer's figure is for MNIST"
    for turn, target in (("cold", 10.0), ("warm", None)):
        parts = {name.split()[0]: command for name, command in lab.commands.items() if name.endswith(turn)}
        detail = ", ".join(f"{name} {command.seconds:.1f}" for name, command in parts.items())
        what = "train, both visualizations, grade" + ("" if turn == "cold" else ", second time")
        peer = "the original lab's steps" if theirs else ""
        yield Row(
            "chain",
            what,
            peer,
            sum(command.seconds for command in parts.values()),
            theirs,
            target,
            memory=max_memory(parts.values()),
            accuracy=lab.score,
            note=f"{detail} s; {note}",
            saved=theirs is not None,
        )


IMPORTS_TORCH = """
import sys, train
train.main(["--use_pca", "--dataset", "digits", "--results_path", sys.argv[1]])
sys.exit("torch" in sys.modules)
"""


def startup(plan: Plan) -> Iterator[Row]:
    """From the command to its first word."""
    jobs = {
        "python train.py --help": ["train.py", "--help"],
        "from submission import GMM": ["-c", "from submission import GMM"],
    }
    finished = {name: [] for name in jobs}  # timing.alternate's own clock would count the watcher's start, too
    for _ in range(plan.rounds(7)):
        for name, arguments in jobs.items():
            finished[name].append(timing.run_command(arguments))
    for name, runs in finished.items():
        seconds = median(command.seconds for command in runs)
        yield Row("startup", name, "", seconds, limit=2.0, memory=max_memory(runs))
    with tempfile.TemporaryDirectory() as home:
        run = Path(home) / "run"
        command = timing.run_command(["-c", IMPORTS_TORCH, run], {"LAB_HOME": home})
    what = "python train.py --use_pca --dataset digits"
    yield Row("startup", what, "", command.seconds, memory=command.memory, note="torch was not imported")


CASES: dict[str, Callable[[Plan], Iterator[Row]]] = {
    case.__name__: case for case in (bounds, em, em_growth, fit, pca, data, ae, ddpm, visualizations, chain, startup)
}
