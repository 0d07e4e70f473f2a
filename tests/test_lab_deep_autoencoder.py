"""The deep autoencoder lab: its mathematics, its questions, runs that go on after a kill, and the command line."""

import csv
import dataclasses
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from scipy.special import expit

from grading import checks, table, worker
from hi_mnist import data
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from labs import shared
from labs.deep_autoencoder import __main__ as command
from labs.deep_autoencoder import analysis, questions, submission, tasks, training
from labs.deep_autoencoder.settings import Settings

LAB = ROOT / "labs" / "deep_autoencoder"
SOURCE = (LAB / "submission.py").read_text(encoding="utf-8")
TINY = Settings(do_train_rbm=True, max_epoch=3, batch_size=128, layers=(784, 24, 12, 6), dataset="digits", seed=5)
TINY_COMMAND = "--do_train_rbm --dataset digits --max_epoch 3 --batch_size 128 --layers 784-24-12-6 --seed 5"
TINY_FLAGS = TINY_COMMAND.split()


def random_stack(layers, gaussian_code=False):
    torch.manual_seed(0)
    shapes = list(itertools.pairwise(layers))
    models = [submission.RBM(a, b, gaussian_hidden=gaussian_code and b == layers[-1]) for a, b in shapes]
    for model in models:
        model.fc.data = torch.randn_like(model.fc) * (3 / model.fc.shape[0] ** 0.5)
        model.bias_v.data, model.bias_h.data = torch.randn_like(model.bias_v), torch.randn_like(model.bias_h)
    return submission.RBMHandle(models)


# --------------------------------------------------------------------------- unrolling


@pytest.mark.parametrize("linear", [False, True])
def test_unrolled_autoencoder_computes_the_stacks_pass_up_and_down(linear):
    stack = random_stack(submission.LAYERS, linear)
    model = submission.Autoencoder(submission.LAYERS, linear_code=linear)
    submission.load_rbm_pretrained_models(model, stack)
    x = torch.rand(20, 784)
    with torch.no_grad():
        assert torch.allclose(model(x), stack.v2h2v(x), atol=1e-5, rtol=0)
        assert torch.allclose(model.encoder(x), stack.v2h(x), atol=1e-5, rtol=1e-5)
        assert model(x).std() > 0.1  # it says something
    for i, rbm in enumerate(stack):
        assert torch.equal(model.encoder[i][0].weight.T, model.decoder[len(stack) - 1 - i][0].weight)
        assert torch.equal(model.encoder[i][0].weight.T, rbm.fc)


def test_fine_tuning_leaves_the_stack_as_it_is():
    stack = random_stack((784, 8, 4))
    before = stack[0].fc.clone()
    model = submission.Autoencoder((784, 8, 4))
    submission.load_rbm_pretrained_models(model, stack)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    submission.train_step(model, torch.rand(5, 784), torch.nn.MSELoss(), optimizer)
    assert torch.equal(stack[0].fc, before)
    assert not torch.equal(model.encoder[0][0].weight.T, before)


def test_without_rbms_nothing_is_loaded():
    model = submission.Autoencoder((784, 8, 4))
    before = model.encoder[0][0].weight.clone()
    submission.load_rbm_pretrained_models(model, submission.RBMHandle())
    assert torch.equal(model.encoder[0][0].weight, before)


# --------------------------------------------------------------------------- contrastive divergence


def brute_force_cd(v, fc, bias_v, bias_h, k):
    """Gradients of one image by CD-k with drawn visible units: the Gibbs chain as a matrix over all visible states."""
    visible, hidden = (np.array(list(itertools.product((0.0, 1.0), repeat=n))) for n in fc.shape)

    def conditional(p, s):
        return np.prod(np.where(s[None] == 1, p[:, None], 1 - p[:, None]), axis=2)

    up = conditional(expit(visible @ fc + bias_h), hidden)  # (16, 8)
    down = conditional(expit(hidden @ fc.T + bias_v), visible)  # (8, 16)
    first = conditional(expit(v[None] @ fc + bias_h), hidden) @ down  # (1, 16)
    chain = first[0] @ np.linalg.matrix_power(up @ down, k - 1)
    p_end, p_h = expit(visible @ fc + bias_h), expit(v @ fc + bias_h)
    gradients = {
        "fc": np.outer(v, p_h) - np.einsum("s,sv,sh->vh", chain, visible, p_end),
        "bias_v": v - chain @ visible,
        "bias_h": p_h - chain @ p_end,
    }
    return gradients, chain


@pytest.mark.parametrize("k", [1, 2, 3])
def test_enumerated_contrastive_divergence_is_that_of_a_brute_force_machine(k):
    rng = np.random.default_rng(k)
    fc, bias_v, bias_h = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    v = np.array([1.0, 0.0, 1.0, 1.0])
    want, _ = brute_force_cd(v, fc, bias_v, bias_h, k)
    got = questions.expected_cd(v[None], fc, bias_v, bias_h, k, draw_visible=True)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], atol=1e-12)


def test_long_chains_reach_the_gradient_of_the_likelihood():
    rng = np.random.default_rng(0)
    fc, bias_v, bias_h = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    v = np.array([1.0, 0.0, 0.0, 1.0])
    visible = np.array(list(itertools.product((0.0, 1.0), repeat=4)))

    def log_likelihood(w):
        free = visible @ bias_v + np.logaddexp(0, visible @ w + bias_h).sum(axis=1)
        return v @ bias_v + np.logaddexp(0, v @ w + bias_h).sum() - np.logaddexp.reduce(free)

    step = 1e-5
    numeric = np.zeros_like(fc)
    for i, j in np.ndindex(fc.shape):
        nudge = np.zeros_like(fc)
        nudge[i, j] = step
        numeric[i, j] = (log_likelihood(fc + nudge) - log_likelihood(fc - nudge)) / (2 * step)
    gradients, _ = brute_force_cd(v, fc, bias_v, bias_h, 2000)
    np.testing.assert_allclose(gradients["fc"], numeric, atol=1e-7)


@pytest.mark.parametrize("k", [1, 2])
def test_cd_k_has_the_brute_force_gradients_on_average(k):
    torch.manual_seed(k)
    rbm = random_stack((4, 3))[0]
    rbm.k = k
    fc, bias_v, bias_h = (p.detach().double().numpy() for p in (rbm.fc, rbm.bias_v, rbm.bias_h))
    start = rbm.fc.clone(), rbm.bias_v.clone(), rbm.bias_h.clone()
    x = torch.tensor([[1.0, 0.0, 0.5, 1.0]]).repeat(200_000, 1)
    rbm.contrastive_divergence(x, lr=0.1)
    want = questions.expected_cd(x[:1].double().numpy(), fc, bias_v, bias_h, k)
    for name, before in zip(questions.PARAMETERS, start, strict=True):
        got = (getattr(rbm, name) - before).numpy() / 0.1
        np.testing.assert_allclose(got, want[name], atol=0.01)


def test_momentum_and_weight_decay_follow_their_formulas():
    rbm = submission.RBM(3, 2, momentum=0.5, weight_decay=0.1)
    rbm.fc.data.fill_(2.0)
    gradient = torch.ones(3, 2)
    rbm.ascend(gradient, torch.zeros(3), torch.ones(2), lr=0.1)
    first = 2 + 0.1 * (1 - 0.1 * 2)
    assert torch.allclose(rbm.fc, torch.full((3, 2), first))
    rbm.ascend(gradient, torch.zeros(3), torch.ones(2), lr=0.1)
    second = first + 0.5 * 0.08 + 0.1 * (1 - 0.1 * first)
    assert torch.allclose(rbm.fc, torch.full((3, 2), second))
    assert torch.allclose(rbm.bias_h, torch.full((2,), 0.1 + 0.15))  # biases do not decay
    assert not rbm.bias_v.any()


def test_a_gaussian_code_layer_is_linear_with_unit_noise():
    torch.manual_seed(0)
    rbm = submission.RBM(6, 2, gaussian_hidden=True)
    mean, drawn = rbm.v2h(torch.ones(50_000, 6))
    assert torch.allclose(mean, torch.ones(50_000, 6) @ rbm.fc + rbm.bias_h)
    assert (drawn - mean).std() == pytest.approx(1, abs=0.02)


def test_an_rbm_learns_to_reconstruct(digits):
    x = training.pixels(digits["train"].images)
    torch.manual_seed(0)
    rbm = submission.RBM(784, 64, momentum=0.5)
    before = submission.squared_error_per_image(x, rbm.v2h2v(x)).mean()
    for _ in range(5):
        for batch in x.split(100):
            rbm.contrastive_divergence(batch, 0.1)
    assert submission.squared_error_per_image(x, rbm.v2h2v(x)).mean() < before / 4


# --------------------------------------------------------------------------- the questions


def scored(source: str, names=None) -> dict[str, dict]:
    """The questions' entries, with the submission run in this process."""
    entries = {}
    for name in names or questions.QUESTIONS:
        inputs = checks.make_inputs(name, 0, questions.QUESTIONS)
        torch.manual_seed(0)
        answers = tasks.TASKS[name](worker.load(source.encode(), "mutant"), inputs, {})
        entries[name] = checks.score(name, inputs, answers, questions.QUESTIONS)
    return entries


def test_points_are_those_of_the_assignment():
    groups = {}
    for asked in questions.QUESTIONS.values():
        groups[asked.label[:3]] = groups.get(asked.label[:3], 0) + asked.points
    assert groups == {"3.1": 20, "3.2": 30, "3.3": 30, "3.4": 20 - questions.BY_HAND}
    assert set(tasks.TASKS) == set(questions.QUESTIONS)


def test_the_solution_has_all_points():
    wrong = {name: entry["message"] for name, entry in scored(SOURCE).items() if entry["verdict"] != "PASS"}
    assert not wrong


MUTANTS = [
    ("data", "images.float() / 255", "images.float()", "0 to 1"),
    ("data", "shuffle=True, generator=generator", "shuffle=False", "does not shuffle"),
    ("data", "shuffle=True, generator=generator", "shuffle=True", "same generator"),
    ("data", '{"batch_size": batch_size, ', '{"batch_size": 1, ', "batches of"),
    ("data", "**settings)\n    test", "drop_last=True, **settings)\n    test", "shape"),
    ("data", ', "num_workers": num_workers', "", "num_workers"),
    (
        "rbm_parameters",
        "0.01 * torch.randn(in_features, out_features)",
        "torch.zeros(in_features, out_features)",
        "alike",
    ),
    ("rbm_parameters", "torch.randn(in_features, out_features)", "torch.randn(out_features, in_features)", "shape"),
    ("rbm_sampling", "return (torch.rand_like(p) < p).to(p.dtype)", "return (p > 0.5).float()", "share of ones"),
    ("rbm_sampling", "return (torch.rand_like(p) < p).to(p.dtype)", "return p", "other numbers"),
    ("rbm_sampling", "(torch.rand_like(p) < p)", "(torch.rand(len(p), 1) < p)", "independent"),
    ("rbm_down", "torch.sigmoid(h @ self.fc.T + self.bias_v)", "torch.sigmoid(h @ self.fc.T)", "bias_v"),
    ("rbm_down", "torch.sigmoid(h @ self.fc.T + self.bias_v)", "h @ self.fc.T + self.bias_v", "logistic"),
    ("rbm_cd", "(x.T @ pos_p_h - p_v.T @ p_h) / len(x)", "(p_v.T @ p_h - x.T @ pos_p_h) / len(x)", "signs"),
    ("rbm_cd", "for _ in range(self.k):", "for _ in range(1):", "k is not used"),
    ("rbm_cd", "self.propdown(self.sample_h(p_h))", "self.propdown(p_h)", "wrongly"),
    ("rbm_cd", "(pos_p_h - p_h).mean(dim=0)", "(p_h - pos_p_h).mean(dim=0)", "bias_h"),
    ("rbm_cd", "(x - p_v).mean(dim=0)", "(x - p_v).sum(dim=0)", "bias_v"),
    ("rbm_reconstruction", "rbm_models.h2v(model.v2h2v(rbm_models.v2h(x)))", "rbm_models.v2h2v(x)", "no part"),
    (
        "rbm_reconstruction",
        "rbm_models.h2v(model.v2h2v(rbm_models.v2h(x)))",
        "model.v2h2v(rbm_models.v2h(x))",
        "pixels",
    ),
    ("ae_layers", "basic_block(b, a) for a, b in reversed(pairs)", "basic_block(b, a) for a, b in pairs", "decoder.0"),
    ("ae_layers", ", linear_code and i == last", "", "linear code"),
    ("ae_layers", "return self.decoder(hidden)", "return self.decoder(hidden) * 0.5", "decoder"),
    ("ae_unrolling", "mirror = len(rbm_models) - 1 - i", "mirror = len(rbm_models) - 1 - i if i else 0", "decoder.2"),
    ("ae_unrolling", '.bias"] = model.bias_v', '.bias"] = model.bias_v * 0', "decoder"),
    ("ae_fine_tuning", "    optimizer.zero_grad()\n", "", "gradients of the first"),
    ("ae_fine_tuning", "    optimizer.step()\n", "", "no parameter changes"),
    ("squared_error", ".sum(dim=1)", ".mean(dim=1)", "mean over the pixels"),
    ("squared_error", ".sum(dim=1)", ".sum()", "one number"),
    ("probe", "fit(train_codes, train_labels).score(test", "fit(test_codes, test_labels).score(test", "too high"),
    ("probe", "return honest, same_set", "return same_set, honest", "too high"),
]


@pytest.mark.parametrize(("name", "right", "wrong", "said"), MUTANTS, ids=lambda value: None)
def test_a_mistake_costs_points_and_is_named(name, right, wrong, said):
    assert SOURCE.count(right) == 1
    mutant = SOURCE.replace(right, wrong)
    entry = scored(mutant, [name])[name]
    assert entry["verdict"] == "WRONG"
    assert entry["score"] < entry["points"]
    assert said in entry["message"]
    assert entry["hint"]


def test_other_right_ways_have_all_points():
    bernoulli = SOURCE.replace("(torch.rand_like(p) < p).to(p.dtype)", "torch.bernoulli(p)")
    assert scored(bernoulli, ["rbm_sampling"])["rbm_sampling"]["score"] == 4
    drawn = SOURCE.replace("p_v = self.propdown(self.sample_h(p_h))", "p_v = self.h2v(self.sample_h(p_h))[1]")
    assert scored(drawn, ["rbm_cd"])["rbm_cd"]["score"] == 14
    directly = SOURCE.replace(
        "        # END_YOUR_CODE\n        self.ascend(gradient_fc, gradient_v, gradient_h, lr)",
        "".join(f"        self.{p} += lr * gradient_{p.removeprefix('bias_')}\n" for p in questions.PARAMETERS),
    )
    assert directly != SOURCE
    assert scored(directly, ["rbm_cd"])["rbm_cd"]["score"] == 14


@pytest.mark.parametrize("name", questions.QUESTIONS)
def test_answers_of_any_kind_are_judged(name):
    inputs = checks.make_inputs(name, 1, questions.QUESTIONS)
    for array in (np.zeros(0), np.full((3, 2), np.nan), np.zeros((2, 2, 2)), np.array(1.0)):
        torch.manual_seed(0)
        answers = tasks.TASKS[name](worker.load(SOURCE.encode(), "mutant"), inputs, {})
        entry = checks.score(name, inputs, dict.fromkeys(answers, array), questions.QUESTIONS)
        assert entry["score"] < entry["points"]
    assert checks.score(name, inputs, {}, questions.QUESTIONS)["score"] < questions.QUESTIONS[name].points


def test_the_sandbox_runs_this_labs_tasks():
    source, lab_tasks = SOURCE.encode(), (LAB / "tasks.py").read_bytes()
    options = {"only": ["ae_fine_tuning"], "questions": questions.QUESTIONS, "tasks": lab_tasks}
    (entry,) = table.check_code(source, **options)
    assert (entry["verdict"], entry["score"]) == ("PASS", 10)


@pytest.mark.slow
def test_every_question_passes_in_the_sandbox():
    arguments = [sys.executable, "-m", "labs.deep_autoencoder", "--check"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert re.search(r"sum +92.00 / 92", done.stdout), done.stdout


# --------------------------------------------------------------------------- training


def weights(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "models").glob("*.safetensors"))}


def tensors(folder):
    from safetensors.torch import load

    return {name: load(content) for name, content in weights(folder).items()}


def same_tensors(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].keys() == b[name].keys(), name
        assert all(torch.equal(a[name][key], b[name][key]) for key in a[name]), name


@pytest.fixture(scope="module")
def uninterrupted(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dae")
    training.train(TINY, folder, digits["train"], digits["test"])
    return tensors(folder)


@pytest.mark.parametrize("stopped_at", [5, 40, 80, 110, 160])
def test_a_stopped_training_goes_on_and_ends_with_the_same_numbers(
    digits, tmp_path, uninterrupted, monkeypatch, stopped_at
):
    steps = itertools.count()

    def stopping(function):
        def step(*args):
            if next(steps) == stopped_at:
                raise KeyboardInterrupt
            return function(*args)

        return step

    with monkeypatch.context() as patch:
        cd = submission.RBM.contrastive_divergence
        patch.setattr(submission.RBM, "contrastive_divergence", stopping(cd))
        patch.setattr(submission, "train_step", stopping(submission.train_step))
        with pytest.raises(KeyboardInterrupt):
            training.train(TINY, tmp_path, digits["train"], digits["test"])
    lines = []
    training.train(TINY, tmp_path, digits["train"], digits["test"], report=lines.append)
    same_tensors(tensors(tmp_path), uninterrupted)
    if stopped_at >= 40:
        assert "RBM 1/3, 784-24: is trained" in lines


def test_what_is_trained_is_not_trained_again(digits, tmp_path):
    settings = dataclasses.replace(TINY, max_epoch=1)
    training.train(settings, tmp_path, digits["train"], digits["test"])
    before, lines = weights(tmp_path), []
    trained = training.train(settings, tmp_path, digits["train"], digits["test"], report=lines.append)
    assert sum("is trained" in line for line in lines) == 5
    assert weights(tmp_path) == before
    assert len(trained.rbms[0].loss) == 1


def test_another_seed_gives_other_numbers(digits, tmp_path, uninterrupted):
    settings = dataclasses.replace(TINY, seed=6, max_epoch=1)
    training.train(settings, tmp_path, digits["train"], digits["test"])
    other = tensors(tmp_path)
    assert not torch.equal(other["rbm-1.safetensors"]["model.fc"], uninterrupted["rbm-1.safetensors"]["model.fc"])


def test_a_damaged_model_is_named_with_a_remedy(digits, tmp_path):
    settings = dataclasses.replace(TINY, max_epoch=1)
    training.train(settings, tmp_path, digits["train"], digits["test"])
    path = tmp_path / "models" / "rbm-2.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-9], b"", b"x" * 64, (tmp_path / "models" / "rbm-1.safetensors").read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(LabError, match=r"rbm-2\.safetensors cannot be read .*; delete it"):
            training.train(settings, tmp_path, digits["train"], digits["test"])


def test_a_loss_that_is_not_finite_is_an_error_with_a_remedy(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "train_step", lambda *args: torch.tensor(torch.nan))
    settings = dataclasses.replace(TINY, do_train_rbm=False, max_epoch=1)
    with pytest.raises(LabError, match="lower --lr_ae"):
        training.train(settings, tmp_path, digits["train"], digits["test"])


@pytest.mark.parametrize("change", [{"code": "linear"}, {"loss_fn": "nn-bce"}, {"optimizer": "sgd", "lr_ae": 0.5}])
def test_each_choice_trains(digits, tmp_path, change):
    settings = dataclasses.replace(TINY, **change)
    trained = training.train(settings, tmp_path, digits["train"], digits["test"])
    for stage in trained.autoencoders.values():
        assert np.isfinite(stage.loss).all()
        assert stage.loss[-1] < 1.05 * stage.loss[0]
    assert trained.rbms[-1].model.gaussian_hidden == (settings.code == "linear")


def test_learning_rate_rises_and_falls_to_nothing():
    factors = [training.learning_rate_factor(step, 1000) for step in range(1001)]
    assert factors[0] < 0.05
    assert max(factors) > 0.99
    assert factors[-1] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(factors[60:]))


# --------------------------------------------------------------------------- analysis


def test_pca_of_the_real_images_has_the_papers_error(real_mnist, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(real_mnist))
    train, test = (training.pixels(data.load_split(split, "mnist")[0]).numpy() for split in ("train", "test"))
    pca = analysis.pca_representation(train, test)
    assert pca.test.shape == (10_000, 30)
    assert analysis.squared_error(test, pca.rebuilt) == pytest.approx(13.87, abs=0.05)


def test_the_assignments_probe_is_the_higher_one_and_named_as_such(digits):
    train, test = (training.pixels(digits[split].images).numpy() for split in ("train", "test"))
    row = analysis.Row(
        "raw", 784, None, *analysis.probe(train, digits["train"].labels, test, digits["test"].labels), 0, 0
    )
    assert 0.85 < row.probe_honest < row.probe_same_set <= 1
    said = analysis.table([row])
    assert "assignment's own variant" in said
    assert "fitted and scored on the same test images" in said


def test_tsne_draws_2000_codes_always_the_same():
    codes = np.random.default_rng(0).normal(size=(2100, 3)).astype(np.float32)
    assert analysis.N_TSNE == 2000
    _, chosen = analysis.tsne_plane(codes[:150])
    _, again = analysis.tsne_plane(codes[:150])
    assert len(chosen) == 150 and np.array_equal(chosen, again)


def test_tsne_survives_codes_that_are_all_the_same():
    plane, _ = analysis.tsne_plane(np.full((40, 30), 0.5, np.float32))
    assert np.isfinite(plane).all()


# --------------------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def finished(standin, tmp_path_factory):
    """A whole run on the stand-in, with the bonus: its folder and what was printed."""
    folder = tmp_path_factory.mktemp("runs") / "dae"
    flags = [*TINY_FLAGS, "--bonus", "--student_id", "20260001", "--notes", "a test", "--results_path", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "labs.deep_autoencoder", *flags], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, done.stdout


def test_a_run_leaves_tables_pictures_and_models(finished):
    folder, out = finished
    pictures = {path.name for path in folder.glob("*.png")}
    assert pictures == {
        "colored-mnist.png",
        "detectors.png",
        "rbm-filters.png",
        "reconstructions.png",
        "t-sne-colored-mnist-test.png",
        "t-sne-pretrained.png",
        "t-sne-raw.png",
        "t-sne-scratch.png",
        "training.png",
    }
    rest = {path.name for path in folder.iterdir()} - pictures
    assert rest == {"20260001.csv", "config.yaml", "models", "results.json", "table.csv"}
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in results["rows"]] == ["raw", "pca", "stack", "pretrained", "scratch"]
    assert results["config"]["notes"] == "a test"
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 6
    assert out.isascii()
    assert "PCA to 30" in out


def test_the_csv_file_has_the_assignments_form_and_number(finished):
    folder, _ = finished
    rows = json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]
    pretrained = next(row for row in rows if row["name"] == "pretrained")
    assert (folder / "20260001.csv").read_text() == f"pretrained,{pretrained['probe_same_set']}\n"


@pytest.mark.slow
def test_a_finished_run_is_analysed_again_without_training(finished, run_script):
    folder, _ = finished
    before = weights(folder)
    outcome = run_script(command, *TINY_FLAGS, "--results_path", folder, "--student_id", "x")
    assert outcome.status == 0
    assert outcome.out.count("is trained") == 5
    assert weights(folder) == before
    assert (folder / "x.csv").is_file()


def test_a_run_is_not_continued_with_other_settings(finished, run_script):
    folder, _ = finished
    outcome = run_script(command, *TINY_FLAGS, "--results_path", folder, "--lr_ae", "0.1")
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "lr_ae 0.003" in outcome.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--max_epoch 0", "--max_epoch must be between 1 and 1,000,000, got 0"),
        ("--batch_size 99999999999999999999", "--batch_size must be between"),
        ("--layers 784-99999999999", "widths of 1 to 100,000"),
        ("--student_id table", "would overwrite table.csv"),
        ("--resume --time_str typo", "holds no run of this lab"),
        ("--max_epoch_rbm 0", "--max_epoch_rbm"),
        ("--batch_size -1", "--batch_size"),
        ("--k 0", "--k must be"),
        ("--lr_rbm nan", "--lr_rbm"),
        ("--lr_ae 0", "--lr_ae"),
        ("--momentum 1", "--momentum"),
        ("--weight_decay -1", "--weight_decay"),
        ("--loss_fn nn-mae", "nn-mse"),
        ("--optimizer adagrad", "adam"),
        ("--code binary", "sigmoid"),
        ("--layers 784", "--layers must begin with 784"),
        ("--layers 100-30", "--layers must begin with 784"),
        ("--layers 784-x", "784-2000-1000-500-30"),
        ("--dataset cifar", "mnist"),
        ("--gpu 99", "CUDA"),
        ("--num_workers -1", "--num_workers"),
        ("--student_id ../x", "--student_id"),
        ("--time_str a/b", "--time_str"),
        ("--time_str a --results_path b", "both name"),
        ("--severity 6", "--severity"),
        ("--seed -1", "--seed"),
        ("--max_epok 3", "max_epok"),
        ("--data_dir /nowhere/at/all", "/nowhere/at/all"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(run_script, flags, said, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    outcome = run_script(command, *flags.split())
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert said in outcome.err
    assert not (tmp_path / "results").exists()


def test_resume_says_so_when_there_is_nothing_to_resume(run_script, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    outcome = run_script(command, "--resume")
    assert outcome.status == 2
    assert "no unfinished run" in outcome.err


@pytest.mark.parametrize(
    "line",
    ["notes: 2026-99-99", "max_epoch: abc", "dataset: [1]", "5: 5", "loss_fn: mse", "severity: 9", "help: true",
     "optimizer: foo", "max_epoch: true", "layers: [784, x]", "a: &a [1]\nb: *a", "notes: '"],
)  # fmt: skip
def test_a_damaged_config_is_one_line(run_script, tmp_path, line):
    (tmp_path / "config.yaml").write_text(f"lab: deep_autoencoder\n{line}\n")
    outcome = run_script(command, "--resume", "--results_path", tmp_path)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "config.yaml" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_resumed_runs_take_new_remarks_and_refuse_another_training(run_script, tmp_path, standin):
    path = tmp_path / "run"
    path.mkdir()
    saved = command.Settings(max_epoch=2, layers=(784, 20), dataset="digits").as_dict()
    shared.write_settings(path / "config.yaml", {"lab": "deep_autoencoder", **saved, "notes": "-x", "severity": 2})
    args = command.resumed(["--resume", "--results_path", str(path), "--bonus", "--severity", "3"])
    assert (args.max_epoch, args.layers, args.dataset) == (2, (784, 20), "digits")
    assert (args.bonus, args.severity, args.notes) == (True, 3, "-x")
    outcome = run_script(command, "--resume", "--results_path", path, "--seed", "5")
    assert outcome.status == 2
    assert "other settings (seed 123)" in outcome.err


def test_a_folder_of_something_else_is_refused(run_script, tmp_path):
    (tmp_path / "config.yaml").write_text("use_pca: true\n")
    outcome = run_script(command, "--dataset", "digits", "--results_path", tmp_path)
    assert outcome.status == 2
    assert "not of a run of this lab" in outcome.err
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "thesis.txt").write_text("mine")
    assert "not empty" in run_script(command, "--dataset", "digits", "--results_path", tmp_path).err


@pytest.mark.slow
def test_a_killed_run_is_resumed_from_the_command_line(standin, tmp_path, lab_home):
    def start(*flags):
        environment = os.environ | {"LAB_HOME": str(home), "MNIST_DIR": ""}
        command_line = [sys.executable, "-m", "labs.deep_autoencoder", *flags]
        return subprocess.Popen(command_line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    home = tmp_path / "home"
    home.mkdir()
    (home / "digits_encoded").symlink_to(standin, target_is_directory=True)
    flags = [*TINY_FLAGS, "--layers", "784-200-100-30", "--max_epoch", "40", "--time_str", "killed"]
    process = start(*flags)
    models = home / "results" / "deep_autoencoder-killed" / "models"
    while process.poll() is None and not (models / "ae-pretrained.safetensors").is_file():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (models.parent / "results.json").exists()
    process = start("--resume")
    out, _ = process.communicate()
    assert process.returncode == 0
    assert "is trained" in out
    assert (models.parent / "results.json").is_file()
    assert not list(models.parent.rglob("*.partial*"))
