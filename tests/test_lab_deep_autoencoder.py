"""The deep autoencoder lab: its mathematics, its questions, runs that go on after a kill, and the command line."""

import ast
import contextlib
import csv
import dataclasses
import importlib
import io
import itertools
import json
import shutil
from pathlib import Path

import companion
import numpy as np
import pytest
import torch
from companion import one_thread  # noqa: F401
from safetensors.torch import load_file

from hi_mnist import data, settings
from hi_mnist.cli import LabError
from hi_mnist.data import DataSet
from labs import shared
from labs.deep_autoencoder import __main__ as command
from labs.deep_autoencoder import analysis, bonus, colored, submission, training
from labs.deep_autoencoder.settings import PAPER, Options, Settings
from staff import handout

TINY = Settings(do_train_rbm=True, max_epoch=3, batch_size=100, layers=(784, 24, 12, 6), dataset="digits", seed=5)
TINY_COMMAND = "--do_train_rbm --dataset digits --max_epoch 3 --batch_size 100 --layers 784-24-12-6 --seed 5"
STAGES = ["ae-longer", "ae-pretrained", "ae-scratch", "rbm-1", "rbm-2", "rbm-3"]


@pytest.fixture(scope="module")
def small(digits) -> DataSet:
    (train, labels), (test, test_labels) = digits["train"], digits["test"]
    return DataSet(train[:300], labels[:300], test[:150], test_labels[:150])


@pytest.fixture
def few_digits(small, monkeypatch):
    """The command finds the few images of ``small``."""
    monkeypatch.setattr(command, "load_data_set", lambda dataset: small)


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    """A whole run with the bonus: its folder and what was printed."""
    folder, out = tmp_path_factory.mktemp("runs") / "dae", io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(command, "load_data_set", lambda dataset: small)
        remarks = ["--bonus", "--student_id", "20260001", "--notes", "a test"]
        assert command.main([*TINY_COMMAND.split(), *remarks, "--results_path", str(folder)]) == 0
    return folder, out.getvalue()


def tensors(folder):
    return {path.stem: load_file(path) for path in sorted((folder / "models").glob("*.safetensors"))}


def assert_same(a, b):
    assert list(a) == list(b)
    for name in a:
        assert a[name].keys() == b[name].keys(), name
        assert all(torch.equal(a[name][key], b[name][key]) for key in a[name]), name


def test_momentum_and_weight_decay_follow_their_formulas():
    rbm = submission.RBM(3, 2, momentum=0.5, weight_decay=0.1)
    rbm.fc.data.fill_(2.0)
    first = 2 + 0.1 * (1 - 0.1 * 2)
    for wanted in (first, first + 0.5 * 0.08 + 0.1 * (1 - 0.1 * first)):
        rbm.ascend(torch.ones(3, 2), torch.zeros(3), torch.ones(2), lr=0.1)
        assert torch.allclose(rbm.fc, torch.full((3, 2), wanted))
    assert torch.allclose(rbm.bias_h, torch.full((2,), 0.1 + 0.15)) and not rbm.bias_v.any()  # biases do not decay


def test_a_gaussian_code_layer_is_linear_with_unit_noise():
    torch.manual_seed(0)
    rbm = submission.RBM(6, 2, gaussian_hidden=True)
    mean, drawn = rbm.v2h(torch.ones(50_000, 6))
    assert torch.allclose(mean, torch.ones(50_000, 6) @ rbm.fc + rbm.bias_h)
    assert (drawn - mean).std() == pytest.approx(1, abs=0.02)


@pytest.mark.slow
def test_every_solution_has_all_points_in_the_sandbox(capsys):
    for name, total in (
        ("deep_autoencoder", "102.00 / 92"), ("fashion_tutorial", "30.00 / 30"), ("image_clustering", "30.00 / 30"),
    ):  # fmt: skip
        assert importlib.import_module(f"labs.{name}.__main__").main(["--check"]) == 0
        assert total in capsys.readouterr().out, name


def test_a_stopped_training_goes_on_and_ends_with_the_same_numbers(small, tmp_path, finished, monkeypatch, capsys):
    for stopped_at in (2, 11, 22, 31, 50):  # nine batches a stage: in the first epoch, and in each kind of stage
        steps = itertools.count()

        def stopping(function, steps=steps, last=stopped_at):
            def step(*args):
                if next(steps) == last:
                    raise KeyboardInterrupt
                return function(*args)

            return step

        folder = tmp_path / str(stopped_at)
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(submission.RBM, "contrastive_divergence", stopping(submission.RBM.contrastive_divergence))
            patch.setattr(submission, "train_step", stopping(submission.train_step))
            with pytest.raises(KeyboardInterrupt):
                training.train(TINY, folder, small)
        capsys.readouterr()
        training.train(TINY, folder, small)
        assert_same(tensors(folder), tensors(finished[0]))
        assert capsys.readouterr().out.count("is trained") == stopped_at // 9


def test_stages_of_other_code_are_trained_anew(small, finished, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(finished[0] / "models", tmp_path / "models").parent
    source = Path(submission.__file__).read_text(encoding="utf-8")
    changes = (  # in the file, and how many of the six stages stay
        ("return honest, same_set", "return 0, 0", 6),
        ("optimizer.zero_grad()", "optimizer.zero_grad(True)", 3),
        ("(x - p_v).mean(dim=0)", "(x - p_v).mean(0)", 0),
        ("# Three times faster", "# Faster", 6),
    )
    for old, new, kept in changes:
        assert source.count(old) == 1
        monkeypatch.setattr(training, "SOURCE", ast.parse(source.replace(old, new)))
        shutil.copytree(finished[0] / "models", folder / "models", dirs_exist_ok=True)
        capsys.readouterr()
        training.train(TINY, folder, small)
        out = capsys.readouterr().out
        assert (out.count("is trained"), out.count("was trained by other code")) == (kept, 6 - kept), (old, out)


def test_the_papers_run_trains_the_papers_network_and_others_beside_it(small, tmp_path):
    paper = settings.check(Options(**PAPER | {"paper": True}))
    assert (paper.layers, paper.code, paper.loss_fn) == ((784, 1000, 500, 250, 30), "linear", "nn-bce")
    changes = {"layers": TINY.layers, "max_epoch": 2, "max_epoch_rbm": 1, "batch_size": 100, "dataset": "digits"}
    trained = training.train(dataclasses.replace(paper, **changes), tmp_path, small)
    assert list(trained.autoencoders) == ["pretrained", "longer", "modern", "logistic"]
    layers = {name: [type(m).__name__ for m in stage.model.modules()] for name, stage in trained.autoencoders.items()}
    assert [kinds.count("ReLU") for kinds in layers.values()] == [0, 0, 4, 0]
    assert [kinds.count("Sigmoid") for kinds in layers.values()] == [5, 5, 1, 1]
    for stage in trained.autoencoders.values():
        assert len(stage.test_error) == len(stage.loss) and np.isfinite(stage.test_error).all()
    # Only the one that trains in the time of pretraining and fine-tuning has more epochs.
    assert [len(stage.loss) > 2 for stage in trained.autoencoders.values()] == [False, True, False, False]


def test_unfilled_tasks_are_named_before_a_run_begins(run_script, tmp_path, monkeypatch):
    lab = tmp_path / "labs" / "deep_autoencoder"
    lab.mkdir(parents=True)
    monkeypatch.setattr(shared, "ROOT", tmp_path)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    skeleton, labels = handout.strip_solution(Path(submission.__file__).read_text(encoding="utf-8"), "submission.py")
    (lab / "submission.py").write_text(skeleton, encoding="utf-8")
    done = run_script(command, *TINY_COMMAND.split(), "--bonus")
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")
    assert str(lab / "submission.py") in done.err and all(label in done.err for label in labels)
    assert not list(tmp_path.glob("results/*/config.yaml"))
    (lab / "submission.py").write_text("def f():\n    return 1\n    raise NotImplementedError('4.1 x: y')\n")
    shared.check_filled("deep_autoencoder")


def test_a_damaged_model_is_named_with_a_remedy(small, finished, tmp_path):
    models = shutil.copytree(finished[0] / "models", tmp_path / "models")
    path = models / "rbm-2.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-9], b"", b"x" * 64, (models / "rbm-1.safetensors").read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(LabError, match=r"rbm-2\.safetensors cannot be read .*; delete it"):
            training.train(TINY, tmp_path, small)


def test_each_choice_trains_and_no_loss_but_a_finite_one_is_kept(small, tmp_path, finished, monkeypatch):
    for change in ({"code": "linear"}, {"loss_fn": "nn-bce"}, {"optimizer": "sgd", "lr_ae": 0.5}, {"seed": 6}):
        folder = tmp_path / "-".join(change)
        folder.mkdir()
        trained = training.train(dataclasses.replace(TINY, without_scratch=True, **change), folder, small)
        (stage,) = trained.autoencoders.values()
        assert np.isfinite(stage.loss).all() and stage.loss[-1] < 1.05 * stage.loss[0], change
        assert trained.rbms[-1].model.gaussian_hidden == ("code" in change)
        other, first = (tensors(path)["ae-pretrained"] for path in (folder, finished[0]))
        assert not any(torch.equal(other[key], first[key]) for key in first)
    monkeypatch.setattr(submission, "train_step", lambda *args: torch.tensor(torch.nan))
    with pytest.raises(LabError, match="lower --lr_ae"):
        training.train(dataclasses.replace(TINY, do_train_rbm=False, max_epoch=1), tmp_path, small)


def test_learning_rate_rises_and_falls_to_nothing():
    factors = [training.learning_rate_factor(step, 1000) for step in range(1001)]
    assert factors[0] < 0.05 < 0.99 < max(factors)
    assert factors[-1] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(factors[60:]))


def test_pca_of_the_real_images_has_the_papers_error(real_mnist, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    train, test = (training.pixels(data.load_split(split, "mnist")[0]) for split in ("train", "test"))
    pca = analysis.pca_representation(train, test)
    assert pca.test.shape == (10_000, 30)
    assert ((test - pca.rebuilt) ** 2).sum(axis=1).mean() == pytest.approx(13.87, abs=0.05)


def test_tsne_draws_2000_codes_always_the_same_and_survives_codes_that_are_all_alike(monkeypatch):
    assert np.isfinite(analysis.tsne_plane(np.full((40, 30), 0.5, np.float32))[0]).all()
    monkeypatch.setattr(analysis.TSNE, "fit_transform", lambda self, codes: codes[:, :2])
    codes = np.random.default_rng(0).normal(size=(2100, 3)).astype(np.float32)
    plane, chosen = analysis.tsne_plane(codes)
    assert plane.shape == (2000, 2) and np.array_equal(plane, codes[chosen, :2])
    assert np.array_equal(chosen, analysis.tsne_plane(codes)[1])


def test_a_run_leaves_tables_pictures_and_models(finished):
    folder, out = finished
    pictures = "colored-mnist detectors ladder rbm-filters reconstructions test-error training t-sne-colored-mnist-test"
    planes = {"t-sne-raw", "t-sne-pretrained", "t-sne-scratch"}
    assert {path.stem for path in folder.glob("*.png")} == {*pictures.split(), *planes}
    rest = {path.name for path in folder.iterdir() if path.suffix != ".png"}
    assert rest == {"20260001.csv", "config.yaml", "models", "results.json", "table.csv"}
    assert list(tensors(folder)) == STAGES
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in results["rows"]}
    assert list(rows) == ["raw", "pca", "stack", "pretrained", "scratch", "longer"]
    assert results["config"]["notes"] == "a test"
    assert rows["pretrained"]["squared_error"] < rows["scratch"]["squared_error"]
    assert len(results["bonus"]["ladder"]) >= 5  # few images have no odd ones at the smallest shares
    alike, left_out, up = (row["conflicting"] for row in results["bonus"]["weighted"])
    assert left_out < alike < up  # the flagged images are the key samples
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 7
    # The assignment's file, in its own form, with its own variant of the probe: the higher one, and named as such.
    assert (folder / "20260001.csv").read_text() == f"pretrained,{rows['pretrained']['probe_same_set']}\n"
    assert 0.6 < rows["raw"]["probe_honest"] < rows["raw"]["probe_same_set"] <= 1
    assert "fitted and scored on the same test images" in out
    assert out.isascii()


def test_a_finished_run_is_analysed_again_without_training(finished, run_script, few_digits, tmp_path, monkeypatch):
    folder = shutil.copytree(finished[0], tmp_path / "dae")
    before = tensors(folder)
    monkeypatch.setattr(analysis, "plot_tsne", lambda *_: None)
    monkeypatch.setattr(shared, "save_figure", lambda *_: None)
    done = run_script(command, *TINY_COMMAND.split(), "--results_path", folder, "--student_id", "x")
    assert done.status == 0, done.err
    assert done.out.count("is trained") == 6
    assert_same(tensors(folder), before)
    assert (folder / "x.csv").is_file()


def test_a_mistake_in_the_command_is_one_line(run_script, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    mistakes = [
        ("--max_epoch 0", "max_epoch must be between 1 and 1000000, got 0"),
        ("--layers 784-99999999999", "widths of 1 to 100,000"),
        ("--student_id table", "would overwrite table.csv"),
        ("--resume --time_str typo", "holds no run of this lab"),
        ("--resume", "no unfinished run"),
        ("--without_scratch", "nothing to train"),
        ("--k 0", "k must be"),
        ("--loss_fn nn-mae", "nn-mse"),
        ("--layers 784", "layers must begin with 784"),
        ("--layers 784-x", "784-2000-1000-500-30"),
        ("--dataset cifar", "mnist"),
        ("--gpu 99 --dataset digits", "cuda:99"),
        ("--time_str a --results_path b", "both name"),
        ("--data_dir /nowhere/at/all", "/nowhere/at/all"),
    ]
    flags = (  # whose message names the flag
        "--batch_size 99999999999999999999, --max_epoch_rbm 0, --lr_rbm nan, --lr_ae 0, --momentum 1, "
        "--weight_decay -1, --num_workers -1, --student_id ../x, --time_str a/b, --severity 6, --seed -1, --max_epok 3"
    )
    companion.check_refused(run_script, command, mistakes, flags)
    assert not list(tmp_path.glob("results/*"))


def test_a_damaged_config_is_one_line(run_script, tmp_path):
    for line in (
        "notes: 2026-99-99", "max_epoch: abc", "dataset: [1]", "5: 5", "loss_fn: mse", "severity: 9", "help: true",
        "optimizer: foo", "max_epoch: true", "layers: [784, x]", "layers: 5", "a: &a [1]\nb: *a", "notes: '",
        "student_id: ../x",
    ):  # fmt: skip
        (tmp_path / "config.yaml").write_text(f"lab: deep_autoencoder\n{line}\n")
        companion.check_refused(run_script, command, [(["--resume", "--results_path", tmp_path], "config.yaml")])
        assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"], line


SAVED = """\
{lab: deep_autoencoder, do_train_rbm: false, max_epoch: 2, max_epoch_rbm: null, batch_size: 256, lr_rbm: 0.1,
 lr_ae: 0.003, k: 2, momentum: 0.9, weight_decay_rbm: 0.0002, weight_decay: 0.0, loss_fn: nn-mse, optimizer: adam,
 code: sigmoid, layers: [784, 20], seed: 123, dataset: digits, bonus: false, severity: 2, student_id: STUDENT_ID,
 notes: -x}
"""  # what version 0.1 saved


def test_resumed_runs_take_new_remarks_and_refuse_another_training(run_script, few_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(analysis, "analyse", lambda *_: [])
    path = tmp_path / "run"
    path.mkdir()
    (path / "config.yaml").write_text(SAVED)
    outcome = run_script(command, "--resume", "--results_path", path, "--seed", "5")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "other settings (seed 123)" in outcome.err
    outcome = run_script(command, "--resume", "--results_path", path, "--severity", "3", "--student_id", "7")
    assert outcome.status == 0, outcome.err
    config = settings.load(command.Config, path / "config.yaml")
    assert (config.max_epoch, config.layers, config.dataset) == (2, (784, 20), "digits")
    assert (config.severity, config.student_id, config.notes) == (3, "7", "-x")
    assert list(tensors(path)) == ["ae-scratch"]


def test_a_folder_of_something_else_is_refused(run_script, tmp_path):
    flags = ["--dataset", "digits", "--results_path", tmp_path]
    (tmp_path / "config.yaml").write_text("use_pca: true\n")
    companion.check_refused(run_script, command, [(flags, "not of a run of this lab")])
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "thesis.txt").write_text("mine")
    companion.check_refused(run_script, command, [(flags, "not empty")])


# --------------------------------------------------------------------------- ColoredMNIST


def assert_found(data):
    """The solution finds the odd colours in each class and over all."""
    found = colored.evaluate(bonus.scored(data), data)
    assert min([found["recall"], *found["recall_by_class"]]) >= 0.95


def test_colourings_keep_shares_shapes_and_severity_and_a_seed_decides(digits):
    grey, mean = digits["train"], colored.COLOURS[:, 0]
    background, full = grey.images[:, 0] == 0, (grey.images == 255).any(axis=(1, 2, 3))
    first, again, other = (colored.colorize(*grey, severity=2, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.images, again.images) and not np.array_equal(first.colours, other.colours)
    unbiased = colored.colorize(*grey, seed=0, aligned=bonus.UNBIASED)
    for label in range(10):
        assert np.ptp(np.bincount(unbiased.colours[unbiased.labels == label], minlength=10)) <= 1
    for severity, deviation in enumerate(colored.SEVERITIES, start=1):
        data = colored.colorize(*grey, severity=severity, seed=1)
        assert data.images.dtype == np.uint8 and np.array_equal(data.labels, grey.labels)
        assert not data.images.transpose(0, 2, 3, 1)[background].any()
        for label in range(10):
            counts = np.bincount(data.colours[data.labels == label], minlength=10)
            assert counts.sum() - counts[label] == round(0.1 * counts.sum())
            assert np.ptp(np.delete(counts, label)) <= 1
        inner = full & (mean[data.colours] > 0.14) & (mean[data.colours] < 0.86)  # not cut at 0 or 1
        off = data.images.max(axis=(2, 3))[inner, 0] / 255 - mean[data.colours[inner]]
        assert off.std() == pytest.approx(deviation, rel=0.15, abs=0.001)  # 8 bits round, too
        assert_found(data)
    distances = np.linalg.norm(colored.COLOURS[:, None] - colored.COLOURS[None], axis=2)
    assert distances[~np.eye(10, dtype=bool)].min() >= 0.4 and np.linalg.norm(colored.COLOURS, axis=1).min() > 0.5


def test_on_real_images_recall_is_095_at_severity_1(real_mnist, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    assert_found(colored.colorize(*data.load_split("test", "mnist"), severity=1, seed=0))


def test_a_score_of_another_form_is_one_line(small, monkeypatch):
    coloured = colored.colorize(small.train, small.train_labels)
    for wrong in (1.0, np.ones(3), np.full(300, np.nan)):
        monkeypatch.setattr(submission, "score", lambda images, labels, wrong=wrong: wrong)
        with pytest.raises(LabError, match=r"score\(\) of .*submission.py .*finite numbers"):
            bonus.scored(coloured)


def test_neighbours_are_sought_within_the_class_and_exactly_the_share_is_flagged():
    rows = np.array([[0.0], [0.1], [5.0], [0.0], [0.1], [0.2]])
    scores = colored.neighbour_distance(rows, np.array([0, 0, 0, 1, 1, 1]))
    assert scores.argmax() == 2 and scores[3:].max() < 0.3
    assert colored.neighbour_distance(np.ones((1, 4)), np.array([3])).tolist() == [0.0]  # a lone image has none
    assert colored.flag(np.ones(50), 0.1).sum() == 5  # among ties, too
    assert colored.detected(np.array([3, 0, 2, 1]), np.array([True, True, False, False])) == (0.5, 0.5)
    assert colored.detected(np.ones(1), np.array([False])) == (None, None)
