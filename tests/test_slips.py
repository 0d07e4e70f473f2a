"""What train.py notices: unfilled tasks before any data, then each slip at its step, under its own task's name."""

import sys
import types

import handins
import numpy as np
import pytest
from sklearn.datasets import load_digits

import sandbox
from grading import checks
from hi_mnist import runs, slips, training
from hi_mnist.cli import LabError
from hi_mnist.runs import TrainConfig

pytestmark = pytest.mark.usefixtures("one_blas_thread")
SKELETON = handins._base("skeleton")
RAISE = 'raise NotImplementedError("{}: write it")\n'


def filled(task: str, code: str, base: str = "solved") -> bytes:
    return handins._fill(handins._base(base), handins.REGIONS[task], code).encode()


@pytest.fixture
def trained(monkeypatch):
    """``trained(source)``: what is said while it is trained on small images, with K = d = 10; an error comes last."""
    images = (16 * load_digits().images[:300, None] - 1).clip(0).astype(np.uint8)

    def train(source: bytes, judge=checks.ask_here, images=images) -> list[str]:
        module = types.ModuleType("submission")
        monkeypatch.setitem(sys.modules, "submission", module)
        exec(compile(source, "submission.py", "exec"), vars(module))
        said = []
        with np.errstate(all="ignore"):
            try:
                training.train(TrainConfig(use_pca=True, max_iter=3), images, said.append, judge)
            except LabError as error:
                said.append(str(error))
        return said

    return train


# --------------------------------------------------------------------------- slips, and none

MOMENTS = """N_k = gamma.sum(axis=0)
self.pi = N_k / len(X)
self.means = {}
for k in range({}):
    diff = X - self.means[k]
    self.covs[k] = (gamma[:, k, None] * diff).T @ diff / N_k[k] + 1e-6 * np.eye(X.shape[1])
"""
OWN = {
    "m_step: no new axis": ("m_step", MOMENTS.format("gamma.T @ X / N_k", "self.n_components")),
    "m_step: ten components": ("m_step", MOMENTS.format("gamma.T @ X / N_k[:, None]", "10")),
    "m_step: asymmetric": ("m_step", "# SOLUTION\nself.covs[:, 0] *= 2\n"),
    "m_step: NaN": ("m_step", "# SOLUTION\nself.means[0] = np.nan\n"),
    "e_step: NaN": ("e_step", "gamma = np.full((len(X), self.n_components), np.nan)\nreturn gamma\n"),
    "pca_fit: imaginary": ("pca_fit", "# SOLUTION\nself.components = self.components + 0j\n"),
}
SLIPS = {  # a case of handins/wrong, or of OWN: part of what is said
    "e_not_normalised": "300 of the 300 rows of gamma do not sum to 1",
    "e_wrong_axis": "sum to 1", "e_logarithms": "sum to 1", "e_transposed": "(transpose it)",
    "e_nothing_returned": "is `return gamma` missing?", "e_likelihood_too": "returns tuple",
    "e_pi_forgotten": "pi", "e_diagonal_only": "", "e_determinant_of_inverse": "", "e_x_centred_in_place": "in place",
    "e_step: NaN": "NaN", "e_shapes_do_not_fit": "submission.py, line 57: ValueError: ",
    "e_name_not_defined": "NameError", "m_not_transposed": "ValueError", "p_x_centred_in_place": "UFunc",
    "m_pi_is_a_count": "pi sums to 300 instead of 1", "m_pi_a_column": "pi has shape (10, 1) instead of (10,)",
    "m_variances_only": "covs has shape (10, 10)", "m_old_parameters_kept": "self.covs is not set",
    "m_means_transposed": "means has shape", "m_covs_divided_by_n": "N_k", "m_unbiased": "", "m_diagonal": "",
    "m_step: no new axis": "where N, K and D differ, ValueError", "m_step: NaN": "means holds NaN",
    "m_step: ten components": "where N, K and D differ, IndexError", "m_step: asymmetric": "not symmetric",
    "p_columns": "components has shape (64, 10) instead of (10, 64) (transpose it)", "p_ascending": "order",
    "p_mean_not_set": "self.mean is not set", "p_nothing_set": "is not set", "p_one_mean": "mean has shape ()",
    "p_all_components": "components has shape", "p_least_variance": "", "p_rows_of_eigenvectors": "",
    "p_scaled_by_deviation": "length 1",
    "e_covariance_for_inverse": "(the covariance is not inverted",
    "pca_fit: imaginary": "does not hold real numbers",
}  # fmt: skip
STARTS = {"e": "e_step", "m": "m_step", "p": "pca_fit"}


def test_each_slip_is_said_once_with_its_own_task_and_command(trained):
    for name, cause in SLIPS.items():
        source = filled(*OWN[name]) if name in OWN else handins.find(f"wrong/{name}").source()
        said, task = trained(source), STARTS[name[0]]
        assert said and cause in said[0] and "\n" not in said[0], (name, said)
        for line in said:
            assert line.startswith(f"{slips.TASKS[task][0]}: "), (name, said)
            assert line.endswith(f"; python -m grading submission.py --only {task}"), (name, said)


def test_unusual_but_right_code_is_trained_without_a_word(trained):
    left_out = {"e_process_pool", "e_python_loops", "p_power_deflation"}  # slow
    left_out |= {"e_long_double", "m_lists"}  # the solution's other step does not take their results
    for case in handins.every("correct"):
        family, _, name = case.name.partition("/")
        if name[:2] in ("e_", "m_", "p_") and name not in left_out | {"m_returned"}:
            assert trained(case.source()) == [], name
    assert trained(filled("pca_fit", "# SOLUTION\nself.mean = self.mean[None]\n")) == []
    (line,) = trained(handins.find("correct/m_returned").source())  # right, but fit takes nothing that is returned
    assert "1.2 M-step: self.covs is not set" in line
    for name in ("t_empty", "t_class_missing", "t_method_missing"):
        (line,) = trained(handins.find(f"wrong/{name}").source())
        assert line.startswith("submission.py: GMM._e_step is missing; "), line


def test_a_likelihood_that_falls_is_one_sentence_for_all(trained):
    wider = filled("m_step", "# SOLUTION\nself.covs *= 1 + 9 * len(self.log_likelihoods)\n")
    (line,) = trained(wider, judge=lambda task, submission: "")
    assert line == f"{runs.fall([-1, -2])}; python -m grading submission.py"
    assert "fell at iteration 4;" in runs.fall([-9, -8, -7, -7.5, -9])
    assert not any(map(runs.fall, ([], [-1], [-9, -8, -8], [-60.0, -59.99999999, -59.999999991])))


def test_what_follows_from_a_mistake_is_not_blamed_on_a_later_step_that_is_right():
    for wrong, task, impossible, line in (
        ("pca_fit", "m_step", "means holds NaN or infinity", "2.1 PCA: means holds NaN or infinity (why)"),
        ("pca_fit", "m_step", "pi sums to 2", "1.2 M-step: pi sums to 2"),
        ("m_step", "m_step", "covs holds NaN or infinity", "1.2 M-step: covs holds NaN or infinity (why)"),
    ):
        watch = training.Checks(None, str, lambda task, _, wrong=wrong: "why" * (task == wrong))
        watch.look("pca_fit", "")
        with pytest.raises(LabError) as error:
            watch.look(task, impossible)
        assert str(error.value).startswith(f"{line}, so nothing was saved; ")


# --------------------------------------------------------------------------- slow and large steps


def test_a_slow_step_is_foreseen_and_one_too_large_for_memory_refused(trained, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(slips.time, "thread_time", lambda: clock[0])

    def step(m):
        clock[0] += 0.5 if m == 8 else m * 1e-3  # an import first

    assert slips.forecast(step, 60_000) == (pytest.approx(60), 0)
    assert slips.forecast(lambda m: np.ones((m, 10)), 60_000) == (0, 0)
    assert slips.forecast(lambda m: np.ones((m, m)), 60_000)[1] == pytest.approx(8 * 60_000**2, rel=0.1)

    images = np.random.default_rng(0).integers(0, 256, size=(training.MANY, 1, 6, 6), dtype=np.uint8)
    slow = filled("e_step", "import time\ntime.work(len(X))\n# SOLUTION\n")
    monkeypatch.setattr(slips.time, "work", step, raising=False)
    (line,) = trained(slow, images=images)
    assert line.startswith("1.1 E-step: one call for 4,000 images takes 4 s or more")
    pairs = filled("m_step", "W = [np.diag(g) for g in gamma.T]\n# SOLUTION\n")
    monkeypatch.setattr("psutil.virtual_memory", lambda: types.SimpleNamespace(available=2**30))
    (line,) = trained(pairs, images=images)
    assert line.startswith("1.2 M-step: its N x N arrays would take 1.")


# --------------------------------------------------------------------------- tasks that are not filled in


def test_unfilled_tasks_are_found_without_data_or_a_process(monkeypatch):
    assert list(slips.unfilled(SKELETON.encode())) == list(slips.TASKS) == list(checks.QUESTIONS)
    monkeypatch.setattr(sandbox.Box, "run", None)
    assert {entry["verdict"] for entry in checks.check_code(SKELETON.encode())} == {"ERROR"}
    for code, found in (
        (RAISE, slips.FILL_IN),
        ("self.pi = gamma.mean(axis=0)\n" + RAISE, slips.DELETE),
        (RAISE + "self.pi = gamma.mean(axis=0)\n", slips.DELETE),
        ("if X is None:\n    " + RAISE + "# SOLUTION\n", None),
        ("return\n" + RAISE, None),
    ):
        gaps = slips.unfilled(filled("m_step", code.format("1.2 M-step")))
        assert gaps.get("m_step", (None, None))[1] == found and len(gaps) == (found is not None), code
    for end in ("GMM._m_step = 0", 'setattr(GMM, "_m_step", 0)', "class Better(GMM):\n    pass", "GMM = 0"):
        assert not slips.unfilled(filled("m_step", RAISE.format("1.2 M-step")) + f"\n{end}\n".encode()), end
