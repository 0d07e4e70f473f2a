"""The deep autoencoder lab's questions: slips and right variants in tables, each judged exactly, and no fault twice."""

import collections
import re
import textwrap

import companion
import numpy as np
import torch
from companion import one_thread  # noqa: F401
from scipy.special import expit

from grading import checks
from hi_mnist.files import ROOT
from labs import deep_autoencoder as lab
from labs.deep_autoencoder import __main__ as command
from labs.deep_autoencoder import colored, questions, rbm_questions, submission, tasks, training  # noqa: F401, found through lab
from sandbox import worker
from staff import rubric

FOLDER = ROOT / "labs" / "deep_autoencoder"
SOURCE = (FOLDER / "submission.py").read_text(encoding="utf-8")
REGION = re.compile(r"( *)# BEGIN_YOUR_CODE (.+)\n((?:.*\n)*?) *# END_YOUR_CODE\n")
LABELS = {  # of the regions that a question is about
    "data": "3.1 data", "rbm_parameters": "3.2 RBM parameters", "rbm_sampling": "3.2 RBM sampling",
    "rbm_down": "3.2 RBM downwards", "rbm_cd": "3.2 RBM contrastive divergence",
    "rbm_reconstruction": "3.2 RBM reconstruction", "ae_layers": "3.3 autoencoder layers",
    "ae_unrolling": "3.3 unrolling", "ae_fine_tuning": "3.3 fine-tuning", "squared_error": "3.4 squared error",
    "probe": "3.4 probe", "score": "4.1 odd colours",
}  # fmt: skip

FLAT = """
def chain(widths):
    return [part for a, b in zip(widths, widths[1:]) for part in (nn.Linear(a, b), nn.Sigmoid())]
self.encoder = nn.Sequential(*chain(layers)[: -1 if linear_code else None])
self.decoder = nn.Sequential(*chain(layers[::-1]))
"""
DATA = ("images.float() / 255", "shuffle=True, generator=generator", ', "num_workers": num_workers')
FC = "(x.T @ pos_p_h - p_v.T @ p_h) / len(x)"
OWN_PROBE = """
classifiers = [{copy}(classifier) for _ in range(2)]
honest = float(np.mean(classifiers[0].fit(train_codes, train_labels).predict(test_codes) == test_labels))
same_set = classifiers[1].fit(test_codes, test_labels).score(test_codes, test_labels)
"""
TEST = "test_codes, test_labels"
STEP = "optimizer.zero_grad()\nloss = {loss}\nloss.backward()\noptimizer.step(){after}"
# Question, points, words of its message; then what the region holds: code, or of the solution (old text, new text).
SLIPS = [
    ("data", 16, "0 to 1", (DATA[0], "images.float()")),
    ("data", 16, "from -1 to 1", (DATA[0], "images.float() / 127.5 - 1")),
    ("data", 18, "in float32", (DATA[0], "images.double() / 255")),
    ("data", 18, "shape (784,)", (DATA[0], "images.flatten(1).float() / 255")),
    ("data", 14, "does not shuffle", (DATA[1], "shuffle=False")),
    ("data", 18, "same generator", (DATA[1], "shuffle=True")),
    ("data", 19, "stay in order", ("shuffle=False", "shuffle=True")),
    ("data", 16, "batches of", ('{"batch_size": batch_size, ', '{"batch_size": 1, ')),
    ("data", 16, "a rest comes last", (DATA[1], f"{DATA[1]}, drop_last=True")),
    ("data", 19, "num_workers", (DATA[2], "")),
    ("rbm_parameters", 2, "alike", ("0.01 * torch.randn(in", "0 * torch.randn(in")),
    ("rbm_parameters", 2, "(25, 40), wanted", ("randn(in_features, out_features", "randn(out_features, in_features")),
    ("rbm_parameters", 2, "not float32", ("out_features), requires", "out_features).double(), requires")),
    ("rbm_parameters", 2, "gradients", ("out_features), requires_grad=False", "out_features)")),
    ("rbm_sampling", 0, "share of ones", "return (p > 0.5).float()"),
    ("rbm_sampling", 2, "independent", "return (torch.rand(len(p), 1) < p).float()"),
    ("rbm_sampling", 2, "not float32", "return torch.rand_like(p) < p"),
    ("rbm_sampling", 1, "in place", "return p.bernoulli_()"),
    ("rbm_sampling", 2, "in place", "return torch.bernoulli(p, out=p)"),
    ("rbm_down", 2, "bias_v is left out", "return torch.sigmoid(h @ self.fc.T)"),
    ("rbm_down", 2, "logistic", "return h @ self.fc.T + self.bias_v"),
    ("rbm_down", 2, "not transposed", "return torch.sigmoid(h @ self.fc + self.bias_v)"),
    ("rbm_down", 2, "bias_h stands for", "return torch.sigmoid(h @ self.fc.T + self.bias_h)"),
    ("rbm_down", 0, "shape (4, 6)", "return torch.sigmoid(h @ self.fc.T + self.bias_v).T"),
    ("rbm_cd", 10, "fc has the wrong sign", (FC, f"-{FC}")),
    ("rbm_cd", 12.5, "bias_v is summed", ("(x - p_v).mean", "(x - p_v).sum")),
    ("rbm_cd", 10, "fc is summed", (" / len(x)", "")),
    ("rbm_cd", 6, "shape (3, 4)", (FC, f"({FC}).T")),
    ("rbm_cd", 7, "k is not used", ("for _ in range(self.k)", "for _ in range(1)")),
    ("rbm_cd", 7, "no hidden state that was drawn", ("self.sample_h(p_h)", "p_h")),
    ("rbm_cd", 10, "changes the batch in place", ("p_h = self.propup(x)", "p_h = self.propup(x); x[0, 0] = 0.5")),
    ("rbm_reconstruction", 1, "no part", "return rbm_models.v2h2v(x)"),
    ("rbm_reconstruction", 1, "pixels", "return model.v2h2v(rbm_models.v2h(x))"),
    ("ae_layers", 3, "decoder's dense layers are 5-7, 4-5, 3-4", ("reversed(pairs)", "pairs")),
    ("ae_layers", 3, "encoder's dense layers are 7-5, 5-4, wanted", ("enumerate(pairs)", "enumerate(pairs[:2])")),
    ("ae_layers", 7, "with a linear code, the encoder ends with a sigmoid", (", linear_code and i == last", "")),
    ("ae_layers", 5, "one flat chain", FLAT),
    ("ae_unrolling", 9, "encoder.0.0.weight is fc of RBM 0, wanted is fc.T of RBM 0", ("model.fc.T", "model.fc")),
    ("ae_unrolling", 9, "decoder.2.0.weight is fc.T of RBM 0", ('.weight"] = model.fc\n', '.weight"] = model.fc.T\n')),
    ("ae_unrolling", 9, "encoder.0.0.bias is bias_v of RBM 0", ("model.bias_h", "model.bias_v")),
    ("ae_unrolling", 8, "decoder.0.0.weight is fc of RBM 0, wanted is fc of RBM 2",
     ("mirror = len(rbm_models) - 1 - i", "mirror = i")),
    ("ae_unrolling", 5, "no parameter 'encoder.0.weight'", (r'f"encoder.{i}.0.', r'f"encoder.{i}.')),
    ("ae_fine_tuning", 6, "gradients of the first", ("optimizer.zero_grad()\n", "")),
    ("ae_fine_tuning", 2, "no parameter changes", ("optimizer.step()\n", "")),
    ("ae_fine_tuning", 8, "Python number", STEP.format(loss="criterion(model(x), x)", after="\nloss = loss.item()")),
    ("ae_fine_tuning", 2, "Python number", STEP.format(loss="criterion(model(x), x).item()", after="")),
    ("ae_fine_tuning", 6, "sum over the pixels", STEP.format(loss="((model(x) - x) ** 2).sum()", after="")),
    ("ae_fine_tuning", 6, "sum over the images", STEP.format(loss="((model(x) - x) ** 2).mean(1).sum()", after="")),
    ("squared_error", 3, "mean over the pixels", (".sum(dim=1)", ".mean(dim=1)")),
    ("squared_error", 3, "one number for all", (".sum(dim=1)", ".sum()")),
    ("squared_error", 3, "shape (9, 1), wanted is (9,)", (".sum(dim=1)", ".sum(dim=1, keepdim=True)")),
    ("squared_error", 0, "shape (9, 20)", (".sum(dim=1)", "")),
    ("probe", 3, "honest is fitted on test and scored on test", ("train_codes, train_labels", TEST)),
    ("probe", 0, "same_set is fitted on train and scored on test",
     "same_set, honest = [classifier.fit(*a).score(*b) for a, b in "
     f"(((train_codes, train_labels), ({TEST})), (({TEST}), ({TEST})))]"),
    ("score", 0, "of shape (), wanted", "return 1.0"),
    ("score", 0, "recall 0.0", "return np.random.default_rng(0).uniform(size=len(images))"),
]  # fmt: skip
CHAIN = """
pos_p_h, a_h = self.v2h(x)
for step in range(self.k):
    p_v, a_v = self.h2v(a_h)
    v = {v}
    p_h, a_h = self.v2h(v)
"""
UPDATE = """
gradient_fc = torch.einsum("nv,nh->vh", x, pos_p_h) / len(x) - torch.einsum("nv,nh->vh", v, p_h) / len(x)
gradient_v, gradient_h = torch.mean(x - v, 0), torch.mean(pos_p_h - p_h, 0)
"""
DIRECT = "".join(f"self.{name} += lr * gradient_{name.removeprefix('bias_')}\n" for name in tasks.PARAMETERS)
INLINE = """
def draw(p):
    return torch.bernoulli(p)
v, pos_p_h = x, torch.sigmoid(x @ self.fc + self.bias_h)
p_h = pos_p_h
for _ in range(self.k):
    v = torch.sigmoid(draw(p_h) @ self.fc.t() + self.bias_v)
    p_h = torch.sigmoid(v @ self.fc + self.bias_h)
"""
VARIANTS = [
    ("data", "def loader(part, **how):\n    return DataLoader([(a[0] / 255, b) for a, b in zip(*part)][:], **how)\n"
     "train_loader = loader((train[0][:, None], train[1]), batch_size=batch_size, shuffle=True, generator=generator, "
     "num_workers=num_workers)\n"
     "test_loader = loader((test[0][:, None], test[1]), batch_size=batch_size, num_workers=num_workers)"),
    ("rbm_parameters", 'for name, shape in ("fc", (in_features, out_features)), ("bias_v", in_features), '
     '("bias_h", out_features):\n    self.register_buffer(name, torch.empty(shape).uniform_(-0.1, 0.1))'),
    ("rbm_parameters", "self.fc = nn.Parameter(torch.zeros(in_features, out_features).normal_(0, 0.01), False)\n"
     "self.bias_v, self.bias_h = (nn.Parameter(torch.zeros(n), False) for n in (in_features, out_features))"),
    ("rbm_sampling", "return torch.bernoulli(p)"),
    ("rbm_sampling", "return torch.distributions.Bernoulli(p).sample()"),
    ("rbm_down", "return F.linear(h, self.fc, self.bias_v).sigmoid()"),
    ("rbm_cd", CHAIN.format(v="p_v") + UPDATE),
    ("rbm_cd", CHAIN.format(v="a_v") + UPDATE),
    ("rbm_cd", CHAIN.format(v="a_v if step + 1 < self.k else p_v") + UPDATE),
    ("rbm_cd", INLINE + UPDATE),
    ("rbm_cd", CHAIN.format(v="p_v") + UPDATE + DIRECT + "return"),
    ("rbm_reconstruction", "h = model.propup(rbm_models.v2h(x))\nreturn rbm_models.h2v(model.propdown(h))"),
    ("ae_layers", "n = len(layers) - 1\nself.encoder, self.decoder = nn.Sequential(), nn.Sequential()\n"
     "for i in range(n):\n"
     "    self.encoder.append(basic_block(layers[i], layers[i + 1], linear=linear_code and i == n - 1))\n"
     "    self.decoder.append(basic_block(layers[n - i], layers[n - i - 1]))"),
    ("ae_unrolling", "for rbm, up, down in zip(rbm_models, ae_model.encoder, list(ae_model.decoder)[::-1]):\n"
     "    up[0].weight.data.copy_(rbm.fc.t())\n    up[0].bias.data = rbm.bias_h.clone()\n"
     "    down[0].weight.data.copy_(rbm.fc)\n    down[0].bias.data = rbm.bias_v.clone()\nreturn"),
    ("ae_fine_tuning", "loss = criterion(model.decoder(model.encoder(x)), x)\nmodel.zero_grad(set_to_none=True)\n"
     "loss.backward()\noptimizer.step()"),
    ("squared_error", 'return F.mse_loss(reconstructed, x, reduction="none").sum(-1)'),
    ("probe", "import sklearn.base\n" + OWN_PROBE.format(copy="sklearn.base.clone")),
    ("probe", "import copy\n" + OWN_PROBE.format(copy="copy.deepcopy")),
    ("score", "ink = np.sort(images.reshape(len(images), -1, 3), axis=1)[:, -12:].mean(1)\n"
     "usual = [np.median(ink[labels == label], axis=0) for label in labels]\nreturn np.abs(ink - usual).sum(1)"),
]  # fmt: skip


def put(code: dict[str, str | tuple], skeleton: bool = False) -> str:
    """submission.py with code in the regions of these labels; the others keep the solution, or are not filled in."""

    def region(match):
        indent, label, solution = match.groups()
        new = code.get(label, 'raise NotImplementedError("unfilled")\n' if skeleton else None)
        if isinstance(new, tuple):
            assert solution.count(new[0]), new
            new = textwrap.dedent(solution).replace(*new)
        return solution if new is None else textwrap.indent(new.strip("\n") + "\n", indent)

    return REGION.sub(region, SOURCE)


def scored(name: str, source: str) -> dict:
    return companion.scored(lab, name, worker.load(source.encode(), "mutant"))


def test_slips_have_their_points_and_are_named():
    assert {name for name, *_ in SLIPS} == set(questions.QUESTIONS)
    for name, points, said, code in SLIPS:
        entry = scored(name, put({LABELS[name]: code}))
        assert (entry["verdict"], entry["score"]) == ("WRONG", points), (code, entry)
        assert said in entry["message"] and entry["hint"], (code, entry)
    entry = scored("ae_layers", put({"3.3 autoencoder forward": "return self.decoder(self.encoder(x)) * 0.5"}))
    assert entry["score"] == 6 and "decoder(encoder(x))" in entry["message"], entry


def test_right_variants_have_all_points():
    assert {name for name, _ in VARIANTS} == set(questions.QUESTIONS)
    for name, code in VARIANTS:
        entry = scored(name, put({LABELS[name]: code}))
        assert entry["verdict"] == "PASS", (code, entry)


def test_networks_of_another_structure_are_refused_before_a_run_begins(run_script, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    layers, plain = "3.3 autoencoder layers", "\n".join(f"self.{name} = torch.rand(9)" for name in tasks.PARAMETERS)
    for name, said, label, code in (
        ("Autoencoder", "no parameter is named encoder.0.0.weight", layers, FLAT),
        ("Autoencoder", "forward", layers, ("self.decoder = nn.Sequential(*(", "self.decoder = nn.ModuleList((")),
        ("Autoencoder", "cannot be multiplied", layers, ("reversed(pairs)", "pairs")),
        ("RBM", "no parameter is named fc", "3.2 RBM parameters", plain),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(training, name, getattr(worker.load(put({label: code}).encode(), "mutant"), name))
            companion.check_refused(run_script, command, [("--do_train_rbm --dataset digits", said)])
    assert not list(tmp_path.glob("results/*"))


def test_a_task_that_is_not_filled_in_costs_no_other():
    solved = {match[2]: textwrap.dedent(match[3]) for match in REGION.finditer(SOURCE)}
    for name, label in LABELS.items():
        own = {label, "3.3 autoencoder forward"} if name == "ae_layers" else {label}
        entry = scored(name, put({key: solved[key] for key in own}, skeleton=True))
        assert entry["verdict"] == "PASS", entry


def test_the_points_are_those_of_the_assignment_and_the_bonus_lies_beyond():
    groups = collections.Counter()
    for asked in questions.QUESTIONS.values():
        groups[asked.label[:3]] += asked.points
    assert groups == {"3.1": 20, "3.2": 30, "3.3": 30, "3.4": 12, "4.1": 10}
    assert [name for name, asked in questions.QUESTIONS.items() if asked.bonus] == ["score"]
    assert set(tasks.TASKS) == set(questions.QUESTIONS)
    assert set(LABELS.values()) < set(questions.REGIONS)
    companion.check_solution(lab)


def test_both_languages_have_the_same_structure_and_the_rubric_the_points_by_hand():
    def structure(name):
        text = (FOLDER / name).read_text(encoding="utf-8")
        rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
        return rows, re.findall("^#+|^python [^#]+", text, re.MULTILINE)

    for name in ("README", "report_template"):
        assert structure(f"{name}.md") == structure(f"{name}.zh.md"), name
    by_hand = list(rubric.parts("deep_autoencoder").values())
    skeleton = (FOLDER / "report_template.md").read_text(encoding="utf-8")
    assert [f"{points}" for points in by_hand] == re.findall(r"\((\d) points?\)", skeleton)
    assert sum(by_hand) == 8


def test_the_bonus_ladder_of_hidden_colourings():
    """Shape is worth little, one number much, and the student's process gets no colours."""

    def one_number(images, labels):
        red = images[..., 0].sum((1, 2), dtype=int) / images.sum((1, 2, 3))
        return np.abs(red - np.array([np.median(red[labels == label]) for label in range(10)])[labels])

    def near(form):
        return lambda images, labels: colored.neighbour_distance(form(images).reshape(len(images), -1) / 255, labels)

    ladder = (near(lambda images: images.mean(axis=3)), near(lambda images: images), one_number)
    points = [companion.scored(lab, "score", score=score)["score"] for score in ladder]
    assert 0 <= points[0] <= 1 < points[1] <= 5 < points[2] < 10, points
    given = questions.score_inputs(np.random.default_rng(0))
    assert {name.rstrip("_0123") for name in given} == {"images", "labels"}


def test_long_chains_reach_the_gradient_of_the_likelihood():
    """Its exact form: <v h> at the data less that of the model, over all its states."""
    rng = np.random.default_rng(0)
    fc, bias_v, bias_h = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    v, states = np.array([[1.0, 0.0, 0.0, 1.0]]), rbm_questions.states(4)
    weights = np.exp(states @ bias_v + np.logaddexp(0, states @ fc + bias_h).sum(axis=1))
    exact = v.T @ expit(v @ fc + bias_h) - (states.T * weights / weights.sum()) @ expit(states @ fc + bias_h)
    np.testing.assert_allclose(
        rbm_questions.expected_cd(v, fc, bias_v, bias_h, 2000, True, True)["fc"], exact, atol=1e-9
    )


def test_answers_of_any_kind_are_judged():
    code = worker.load(SOURCE.encode(), "mutant")
    for name, asked in questions.QUESTIONS.items():
        inputs = checks.make_inputs(name, 1, questions.QUESTIONS)
        answers = worker.answer(name, code, inputs, {}, tasks.TASKS)
        assert checks.score(name, inputs, {}, questions.QUESTIONS)["score"] < asked.points, name
        for array in (np.zeros(0), np.full((3, 2), np.nan), np.zeros((2, 2, 2)), np.array(1.0)):
            entry = checks.score(name, inputs, dict.fromkeys(answers, array), questions.QUESTIONS)
            assert entry["score"] < asked.points, (name, array)


def test_what_a_task_leaves_becomes_numbers():
    parameter = torch.nn.Parameter(torch.ones(2, 3))
    left = ((parameter, (2, 3)), ([True, False], (2,)), (None, (0,)), ("text", (0,)), ([[1], [1, 2]], (0,)), (0.5, ()))
    for value, shape in left:
        found = worker.answer("t", None, {}, {}, {"t": lambda *_, value=value: {"a": value}})["a"]
        assert (type(found), found.dtype, found.shape) == (np.ndarray, np.float64, shape), value
