"""The fashion tutorial: its three tasks, its command on the stand-in, bad input, and a notebook that runs."""

import csv
import json
import os
import re
from functools import partial
from itertools import pairwise
from pathlib import Path

import companion
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from companion import one_thread  # noqa: F401
from sklearn.decomposition import PCA
from sklearn.manifold import MDS, TSNE
from sklearn.manifold import LocallyLinearEmbedding as LLE
from torch import nn

from hi_mnist import data, prepare
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from labs import fashion_tutorial as lab
from labs import shared
from labs.fashion_tutorial import __main__ as command
from labs.fashion_tutorial import questions, submission, tasks, tutorial  # noqa: F401, tasks are found through lab

FOLDER = ROOT / "labs" / "fashion_tutorial"
NOTEBOOK = FOLDER / "tutorial.ipynb"
FASHION_MNIST_DIR = os.environ.get("FASHION_MNIST_DIR")  # as it was when the tests began


def dense(*sizes, inner=nn.ReLU, last=(), **how):
    layers = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair, **how), inner())]
    return nn.Sequential(*layers[:-1], *(last if sizes[-1] < 30 else last or [nn.Sigmoid()]))


def built(encoder=dense, decoder=dense):
    """An autoencoder of other layers."""

    def make(d, h, z):
        net = submission.AutoEncoder()
        net.encoder, net.decoder = encoder(d, h, h, z), decoder(z, h, h, d)
        return net

    return make


def step(order=("zero", "backward", "step"), loss=F.binary_cross_entropy, returned=lambda loss, again: loss.item()):
    """A training step of other parts, or in another order."""

    def train_step(net, images, optimizer):
        value = loss(net(images), images)
        parts = {"zero": optimizer.zero_grad, "backward": value.backward, "step": optimizer.step}
        for name in order:
            parts[name]()
        return returned(value, lambda: loss(net(images), images).item())

    return train_step


def by_hand(p, x):
    return -(x * p.log() + (1 - x) * (1 - p).log()).mean()


def planes(changes):
    return lambda n, width, seed: submission.projections(n, width, seed) | changes


def test_a_slip_is_named_and_costs_its_part():
    make, ident = submission.AutoEncoder, nn.Identity
    cases = (
        ("AutoEncoder", built(decoder=partial(dense, last=[ident()])), 5, "decoder ends with no function"),
        ("AutoEncoder", built(encoder=partial(dense, last=[nn.ReLU()])), 5, "encoder ends with ReLU"),
        ("AutoEncoder", built(encoder=partial(dense, inner=ident)), 5, "encoder has no function between"),
        ("AutoEncoder", built(decoder=partial(dense, inner=nn.Sigmoid)), 5, "decoder has a sigmoid between"),
        ("AutoEncoder", built(partial(dense, inner=nn.LeakyReLU), partial(dense, inner=nn.Tanh)), 0, "something else"),
        ("AutoEncoder", built(encoder=lambda d, h, _, z: dense(d, h, z)), 5, "30-12, 12-4, wanted are 30-12-12-4"),
        ("AutoEncoder", built(encoder=lambda *sizes: dense(784, 128, 128, 10)), 5, "encoder's dense layers are"),
        ("AutoEncoder", built(decoder=partial(dense, bias=False)), 5, "with its bias"),
        ("AutoEncoder", lambda *sizes: make(*sizes).double(), 0, "float32"),
        ("AutoEncoder", dense, 0, "encoder's dense layers are none"),
        ("train_step", step(order=("backward", "step")), 5, "earlier"),
        ("train_step", step(order=("zero", "backward")), 2, "no parameter changes"),
        ("train_step", step(order=("zero", "backward", "step", "step")), 5, "two steps"),
        ("train_step", step(loss=partial(F.binary_cross_entropy, reduction="sum")), 5, "sum"),
        ("train_step", step(loss=lambda p, x: F.binary_cross_entropy(x, p)), 5, "compares the images"),
        ("train_step", step(loss=F.mse_loss), 5, "squared"),
        ("train_step", step(loss=F.binary_cross_entropy_with_logits), 5, "second sigmoid"),
        ("train_step", step(loss=lambda p, x: -by_hand(p, x)), 5, "goes up"),
        ("train_step", step(returned=lambda loss, again: again()), 7, "the loss returned is not"),
        ("projections", lambda n, width, seed: submission.projections(n + 3, None, seed), 4, "kernel PCA has other"),
        ("projections", planes({"t-SNE": PCA(2), "LLE": PCA(2)}), 6, 'under the name "t-SNE" stands PCA'),
        ("projections", planes({"t-SNE": TSNE(2, perplexity=10)}), 8, "perplexity 10"),
        ("projections", planes({"t-SNE": MDS(2, n_init=1, init="random")}), 8, "tears neighbours apart"),
        ("projections", planes({"PCA": PCA(3)}), 8, "(150, 3), wanted is (150, 2)"),
        ("projections", lambda *given: {}, 0, "missing"),
    )
    companion.check_mistakes(lab, cases)


def test_a_right_variant_gets_all_points():
    cases = (
        ("AutoEncoder", submission.AutoEncoder),
        ("AutoEncoder", built(lambda *sizes: nn.Sequential(dense(*sizes)))),
        ("AutoEncoder", built(partial(dense, inner=partial(nn.ReLU, inplace=True)))),
        ("train_step", step(loss=by_hand)),
        ("train_step", step(loss=nn.BCELoss())),
        ("train_step", step(returned=lambda loss, again: loss)),
        ("train_step", step(returned=lambda loss, again: loss.detach().numpy().reshape(1))),
        ("train_step", step(order=("backward", "step", "zero"))),
        ("projections", planes({"PCA": PCA(2, svd_solver="full"), "LLE": LLE(n_neighbors=9, random_state=1)})),
        ("projections", planes({"t-SNE": TSNE(2, init="random", random_state=1)})),
    )
    companion.check_right(lab, cases)


def test_training_lowers_the_loss_and_is_repeatable(digits):
    images = torch.from_numpy(data.flatten(digits["train"].images[:640])).float() / 255
    settings = tutorial.Settings(epochs=3, seed=1)
    first, second = tutorial.fit(images, settings), tutorial.fit(images, settings)
    assert first.losses == second.losses and first.losses[2] < first.losses[1] < first.losses[0]
    assert len(first.steps) == 3 * (640 // 64)
    assert tutorial.fit(images, tutorial.Settings(epochs=1, seed=2)).losses[0] != first.losses[0]


def test_the_kernel_follows_the_scale_of_the_codes_and_a_perfect_reconstruction_costs_the_pixels_entropy():
    assert tutorial.least_loss(torch.tensor([[0.0, 1.0]])) == pytest.approx(0)
    assert tutorial.least_loss(torch.full((2, 3), 0.5)) == pytest.approx(np.log(2))
    codes = np.random.default_rng(0).normal(size=(300, 5))
    distances = ((codes[:, None] - codes[None]) ** 2).sum(axis=2)
    assert tutorial.kernel_width(codes) * distances.mean() == pytest.approx(1)
    assert tutorial.kernel_width(10 * codes) == pytest.approx(tutorial.kernel_width(codes) / 100)


def test_a_plane_is_scored_by_the_neighbours_of_each_point_without_the_point_itself():
    labels = np.repeat([3, 7], 20)
    apart = np.arange(40.0)[:, None] + 100 * labels[:, None]
    assert tutorial.neighbour_accuracy(apart, labels) == 1
    assert tutorial.neighbour_accuracy(np.arange(32.0)[:, None] // 16, np.arange(32) % 16 // 15) == 30 / 32


def test_command_writes_pictures_tables_and_model(run_script, standin, tmp_path, monkeypatch):
    path = tmp_path / "run"
    # UMAP takes longer to compile itself than all of these tests together.
    monkeypatch.setattr(shared, "has_umap", lambda: False)
    done = run_script(command, "--dataset", "digits", "--epochs", 1, "--results_path", path)
    assert done.status == 0, done.err
    assert "UMAP is not installed" in done.out
    assert done.out.isascii()
    pictures = {f"{name}.png" for name in ("samples", "losses", "reconstructions", "projections")}
    assert {p.name for p in path.iterdir()} == pictures | {"losses.csv", "projections.csv", "model", "config.yaml"}
    rows = list(csv.DictReader((path / "projections.csv").open()))
    names = [tutorial.PIXELS_PCA, "PCA", "kernel PCA", "t-SNE", "LLE", "Isomap"]
    assert [row["method"] for row in rows] == [*names, "pixels", "10 principal components", "10 code numbers"]
    assert all(float(row["seconds"]) >= 0 and 0 <= float(row["trustworthiness"]) <= 1 for row in rows[:6])
    assert all(0.1 < float(row["accuracy"]) <= 1 for row in rows)
    settings = yaml.safe_load((path / "config.yaml").read_text())
    assert (settings["dataset"], settings["epochs"], settings["seed"]) == ("digits", 1, 123)
    loaded = submission.AutoEncoder.from_pretrained(path / "model")
    assert (submission.AutoEncoder().encoder[0].out_features, loaded.encoder[0].out_features) == (256, 128)
    test = tutorial.load("digits")[1]
    assert tutorial.test_loss(loaded, test.images) == pytest.approx(settings["test_loss"], abs=1e-4)
    companion.check_refused(run_script, command, [(["--dataset", "digits", "--results_path", path], "not empty")])


def test_bad_input_is_one_line(run_script):
    flags = "--latent_dim 1, --learning_rate nan, --batch_size 1400000, --seed -1"
    cases = [
        ("--epochs 0", "epochs must be between 1"),
        ("--epochs many", "many"),
        ("--epoch 3", "--epoch 3"),
        ("--dataset cifar", "cifar"),
        ("--data_dir nowhere", "nowhere"),
        (["--results_path", ""], "--results_path is empty"),
    ]
    companion.check_refused(run_script, command, cases, flags)
    with pytest.raises(LabError, match="at most 10"):
        tutorial.fit(torch.zeros(10, 784), tutorial.Settings(batch_size=20))


def test_where_fashion_mnist_cannot_be_had_the_stand_in_is_taken(monkeypatch, standin, capsys):
    real = prepare.ensure

    def offline(dataset=None, data_dir=None):
        if dataset == "digits":
            return real("digits")
        raise LabError("cannot be had")

    monkeypatch.setattr(prepare, "ensure", offline)
    assert shared.prepare("fashion_mnist", None) == "digits"
    assert "stand-in" in capsys.readouterr().out
    with pytest.raises(LabError):
        shared.prepare("fashion_mnist", "fashion_mnist")
    monkeypatch.setenv("FASHION_MNIST_DIR", "somewhere")
    with pytest.raises(LabError):
        shared.prepare("fashion_mnist", None)


def test_stored_notebook_was_run_from_top_to_bottom_and_is_small():
    text = NOTEBOOK.read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert len(text) < 600_000 and str(Path.home()) not in text
    printed = "".join("".join(output["text"]) for output in outputs if "text" in output)
    losses = re.findall(r"epoch \d: (0\.\d+)", printed)
    assert len(losses) == 5 and float(losses[-1]) <= 0.295
    for name in ("PCA", "kernel PCA", "t-SNE", "LLE", "Isomap", "UMAP"):
        assert re.search(rf"^{name} .* s ", printed, re.MULTILINE)


@pytest.mark.slow
def test_notebook_runs_with_the_code_as_it_is(standin, monkeypatch):
    def shorter(cells):
        parameters = next(cell for cell in cells if "parameters" in cell.metadata.get("tags", []))
        assert re.findall(r"^(\w+) = ", parameters.source, re.MULTILINE) == ["dataset", "epochs", "methods"]
        parameters.source = 'dataset, epochs, methods = "digits", 1, ["PCA", "LLE", "Isomap"]'

    monkeypatch.setenv("TQDM_DISABLE", "1")
    outputs = companion.execute(NOTEBOOK, FOLDER, monkeypatch, shorter)
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 4


@pytest.mark.slow
def test_on_fashion_mnist_the_last_epoch_reaches_the_texts_loss(tmp_path, monkeypatch):
    if not FASHION_MNIST_DIR:
        pytest.skip("FASHION_MNIST_DIR is not set: it names the folder of Fashion-MNIST's four IDX files")
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    prepare.ensure("fashion_mnist", FASHION_MNIST_DIR)
    result = tutorial.fit(tutorial.load("fashion_mnist")[0].images, tutorial.Settings())
    assert result.losses[-1] <= 0.291
