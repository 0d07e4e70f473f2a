"""1.2 M-step: weights, means and covariances, against NumPy's weighted moments."""

import numpy as np

from grading.questions import common
from grading.questions.common import Arrays, Question, cases, changed, comparison, get, moments_close, shown, weights

RIDGE = 1e-6  # allowed on the covariances' diagonal


def make_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: 3 points, 2 clusters; then two ordinary cases. The parameters before the step differ."""
    arrays = {
        "x_0": np.array([[0.0], [1.0], [4.0]]),
        "gamma_0": np.array([[1.0, 0.0], [0.75, 0.25], [0.25, 0.75]]),
        "means_0": np.array([[-1.0], [5.0]]),
        "covs_0": np.array([[[1.0]], [[3.0]]]),
        "pi_0": np.array([0.5, 0.5]),
    }
    for i, (n, k, d, scale) in enumerate([(1030, 4, 3, 1.0), (200, 5, 8, 20.0)], start=1):
        arrays |= {
            f"x_{i}": scale * (2 + rng.normal(size=(n, d)) * rng.uniform(0.5, 1.5, size=d)),
            f"gamma_{i}": rng.dirichlet(weights(rng, k) * 3, size=n),
            f"means_{i}": rng.normal(size=(k, d)) * scale,
            f"covs_{i}": common.covariances(rng, k, d, scale),
            f"pi_{i}": weights(rng, k),
        }
    return arrays


def moments(x: np.ndarray, gamma: np.ndarray) -> Arrays:
    """Weighted moments, by NumPy's weighted average and covariance."""
    columns = gamma.T
    return {
        "pi": columns.mean(axis=1),
        "means": np.array([np.average(x, axis=0, weights=column) for column in columns]),
        "covs": np.array([np.cov(x.T, aweights=column, ddof=0).reshape(x.shape[1], -1) for column in columns]),
    }


def covariances_close(got: np.ndarray, want: np.ndarray) -> bool:
    """Equal up to a ridge between 0 and 1e-6."""
    if got.shape != want.shape:
        return False
    d = want.shape[-1]
    ridge = np.clip(np.trace(got - want, axis1=1, axis2=2).mean() / d, 0, RIDGE)
    return moments_close(got - ridge * np.eye(d), want)


def judge(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    every = cases(inputs, "x")
    want = [moments(inputs[f"x_{i}"], inputs[f"gamma_{i}"]) for i in every]
    got = [{name: get(answers, f"{name}_{i}") for name in want[i]} for i in every]
    parts = {"pi": (2, moments_close), "means": (3, moments_close), "covs": (5, covariances_close)}
    points, faults = 0, []
    for name, (worth, same) in parts.items():
        wrong = [i for i in every if not same(got[i][name], want[i][name])]
        if not wrong:
            points += worth
            continue
        i = wrong[0]
        cause, hint = mistake(name, i, inputs, got[i], want[i])
        if i == 0 and got[0][name].size:
            given = f"x = 0, 1, 4; gamma = {shown(inputs['gamma_0'])}"
            cause += comparison(given, got[0][name].squeeze(), want[0][name].squeeze())
        faults.append((cause, hint))
    if changed(inputs, answers) or changed(inputs, answers, "gamma"):
        points = min(points, 5)
        faults.append(("_m_step changes X or gamma in place: the next E-step would get other data", "work on a copy"))
    return common.judgement(points, faults) if faults else (10, "pi, means and covs are right", "")


def mistake(name: str, i: int, inputs: Arrays, got: Arrays, want: Arrays) -> tuple[str, str]:
    """What is wrong with one parameter in case i, and how to fix it."""
    found, wanted, before = got[name], want[name], inputs[f"{name}_{i}"]
    gamma = inputs[f"gamma_{i}"]
    if found.size == 0:
        return f"{name} does not hold numbers", f"set self.{name}"
    if found.shape != wanted.shape:
        return f"{name} has shape {found.shape} instead of {wanted.shape}", ""
    if np.array_equal(found, before):
        return f"{name} is unchanged", f"set self.{name}"
    if not np.isfinite(found).all():
        return f"{name} holds NaN or infinity", "divide by N_k, the sum of gamma over the samples"
    n_soft = gamma.sum(axis=0)
    if name == "pi":
        if moments_close(found, n_soft):
            return "pi is not divided by the number of samples", "pi_k = N_k / N"
        return "pi is wrong", "pi_k = N_k / N, with N_k the sum of gamma over the samples"
    if name == "means":
        return "means are wrong", "mean_k = sum_n gamma_nk x_n / N_k"
    if moments_close(found, wanted * (n_soft / len(gamma))[:, None, None]):
        return "covs are divided by N instead of N_k", "divide by N_k, the sum of gamma over the samples"

    def around(centres: np.ndarray) -> np.ndarray:
        shift = want["means"] - centres
        return wanted + np.einsum("ki,kj->kij", shift, shift)

    if moments_close(found, around(inputs[f"means_{i}"])):
        return (
            "covs are taken around the means before this step",
            "update self.means first and use the new ones",
        )
    if moments_close(found, around(np.zeros(1))):
        return "covs are taken around 0", "subtract the mean of component k from X first"
    if moments_close(found, wanted * np.eye(wanted.shape[-1])):
        return "covs contain only the diagonal", "the mixture has full covariances"
    return "covs are wrong", "cov_k = sum_n gamma_nk (x_n - mean_k)(x_n - mean_k)^T / N_k"


QUESTION = Question("1.2 M-step", 10, make_inputs, judge)
