"""1.2 M-step: weights, means and covariances, against NumPy's weighted moments."""

import numpy as np

from grading.questions import common, e_step
from grading.questions.common import Arrays, Question, cases, changed, comparison, get, moments_close, shown, weights

RIDGE = 1e-6  # allowed on the covariances' diagonal


def make_inputs(rng: np.random.Generator) -> Arrays:
    """By hand: 3 points, 2 clusters; then two ordinary cases. The parameters before the step differ."""
    arrays = {"x_0": np.array([[0.0], [1.0], [4.0]]), "gamma_0": np.array([[1.0, 0.0], [0.75, 0.25], [0.25, 0.75]])}
    arrays |= {"means_0": np.array([[-1.0], [5.0]]), "covs_0": np.array([[[1.0]], [[3.0]]]), "pi_0": np.full(2, 0.5)}
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
    means = [np.average(x, axis=0, weights=column) for column in gamma.T]
    covs = [np.cov(x.T, aweights=column, ddof=0).reshape(x.shape[1], -1) for column in gamma.T]
    return {"pi": gamma.mean(axis=0), "means": np.array(means), "covs": np.array(covs)}


def ridge_of(got: np.ndarray, want: np.ndarray) -> float:
    return np.trace(got - want, axis1=1, axis2=2).mean() / want.shape[-1]


def covariances_close(got: np.ndarray, want: np.ndarray) -> bool:
    """Equal up to a ridge between 0 and 1e-6."""
    if got.shape != want.shape:
        return False
    return moments_close(got - np.clip(ridge_of(got, want), 0, RIDGE) * np.eye(want.shape[-1]), want)


OVER = "divide by N_k, the sum of gamma over the samples"
PARTS = {  # points, comparison, hints for a wrong shape and for a wrong value
    "pi": (2, moments_close, "one number per component: gamma.sum(axis=0) / N", "pi_k = N_k / N"),
    "means": (3, moments_close, "divide gamma.T @ X by N_k[:, None]", "mean_k = sum_n gamma_nk x_n / N_k"),
    "covs": (5, covariances_close, "one full matrix for each component",
             "cov_k = sum_n gamma_nk (x_n - mean_k)(x_n - mean_k)^T / N_k"),
}  # fmt: skip


def judge(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    """Each parameter has points of its own; the example by hand is judged first, so its cause is the one named."""
    every = cases(inputs, "x")
    want = [moments(inputs[f"x_{i}"], inputs[f"gamma_{i}"]) for i in every]
    got = [{name: get(answers, f"{name}_{i}") for name in PARTS} for i in every]
    if got[0]["covs"].shape == want[0]["pi"].shape:  # np.cov of a single variable is a number
        got[0]["covs"] = got[0]["covs"].reshape(want[0]["covs"].shape)
    points, faults = 0, []
    for name, (worth, same, *_) in PARTS.items():
        wrong = [i for i in every if not same(got[i][name], want[i][name])]
        if not wrong:
            points += worth
            continue
        cause, hint = mistake(name, wrong[0], inputs, got, want)
        if wrong[0] == 0 and got[0][name].size:
            given = f"x = 0, 1, 4; gamma = {shown(inputs['gamma_0'])}"
            cause += comparison(given, got[0][name].squeeze(), want[0][name].squeeze())
        faults.append((cause, hint))
    if changed(inputs, answers) or changed(inputs, answers, "gamma"):
        points = min(points, 5)
        faults.append(("_m_step changes X or gamma in place: the next E-step would get other data", "work on a copy"))
    return common.judgement(points, faults or [("pi, means and covs are right", "")])


def mistake(name: str, i: int, inputs: Arrays, got: list[Arrays], want: list[Arrays]) -> tuple[str, str]:
    """What is wrong with one parameter if case i is the first wrong one, and how to fix it."""
    found, wanted = got[i][name], want[i][name]
    if found.size == 0:
        return f"{name} does not hold numbers", f"set self.{name}"
    if found.shape != wanted.shape:
        return f"{name} has shape {found.shape} instead of {wanted.shape}", PARTS[name][2]
    if np.array_equal(found, inputs[f"{name}_{i}"]):
        return f"{name} is unchanged", f"set self.{name}"
    tolerances = [common.MOMENT_TOLERANCE * np.abs(right[name]).max() for right in want]
    known = [slips(inputs, j, got[j], want[j])[name] for j in range(len(want))]
    told = common.recognised([its[name] for its in got], known, tolerances)
    if told and np.isfinite(found).any():
        return told[i]
    if not np.isfinite(found).all():
        return f"{name} holds NaN or infinity", OVER
    return f"{name} {'is' if name == 'pi' else 'are'} wrong", PARTS[name][3]


def slips(inputs: Arrays, i: int, got: Arrays, want: Arrays) -> dict[str, list[tuple[np.ndarray, str, str]]]:
    """What known mistakes give in case i for each parameter, each with its cause and hint."""
    x, gamma, covs = inputs[f"x_{i}"], inputs[f"gamma_{i}"], want["covs"]
    (n, k), n_k, centre, axes = gamma.shape, gamma.sum(axis=0), x.mean(axis=0), np.eye(x.shape[1])
    over, share = n_k[:, None, None], "pi_k = N_k / N"

    def around(centres: np.ndarray) -> np.ndarray:
        shift = want["means"] - centres
        return covs + np.einsum("ki,kj->kij", shift, shift)

    def scatter(weights: np.ndarray) -> np.ndarray:
        away = x[:, None] - want["means"]
        return np.einsum("nk,nki,nkj->kij", weights, away, away) / over

    unbiased = over - (gamma**2).sum(axis=0)[:, None, None] / over
    means = got["means"] if got["means"].shape == want["means"].shape else np.nan
    ridge = ridge_of(got["covs"], covs) if got["covs"].shape == covs.shape else 0
    known = {
        "pi": [
            (n_k, "pi is not divided by the number of samples", share),
            (n_k / n / k, "pi has a factor 1/K too many", share),
            (np.full(k, 1 / k), "pi is 1/K for every component", share),
        ],
        "means": [
            (n_k[:, None] * want["means"], "means are not divided by N_k", OVER),
            (n_k[:, None] * want["means"] / n, "means are divided by N instead of N_k", OVER),
            (np.tile(centre, (k, 1)), "every component has the mean of all samples", "weight sample n by gamma_nk"),
        ],
        "covs": [
            (covs * over, "covs are not divided by N_k", OVER),
            (covs * over / n, "covs are divided by N instead of N_k", OVER),
            (covs * over / (n - 1), "covs are divided by N - 1 instead of N_k", OVER),
            (covs * over / (over - 1), "covs are divided by N_k - 1 instead of N_k", OVER),
            (covs * over / unbiased, "covs are np.cov's unbiased estimates", "np.cov(..., ddof=0)"),
            (scatter(gamma**2), "gamma is multiplied to both sides of the product in covs", "once is enough"),
            (scatter(np.ones((n, k))), "covs do not use gamma", "weight sample n by gamma_nk"),
            (covs + inputs[f"covs_{i}"], "covs are added to those before this step", "start from zeros"),
            (around(inputs[f"means_{i}"]), "covs are taken around the means before this step", "set self.means first"),
            (around(np.zeros(1)), "covs are taken around 0", "subtract the mean of component k from X first"),
            (around(centre), "covs are taken around the mean of all samples", "subtract the mean of component k"),
            (around(means), "covs are taken around the wrong means", "mend the means first"),
            (covs * axes, "covs contain only the diagonal", "the mixture has full covariances"),
            (covs + ridge * axes, f"covs have {ridge:.3g} added to the diagonal", f"add {RIDGE:g} at most"),
        ],
    }
    rounded = moments(x, np.eye(k)[gamma.argmax(axis=1)] + 1e-12)
    anew = moments(x, e_step.softmax(e_step.log_densities(inputs, i) + np.log(inputs[f"pi_{i}"])))
    for name, found in known.items():
        found.append((rounded[name], "gamma is rounded to 0 and 1", "use gamma as it is"))
        found.append((anew[name], "the given gamma is not used", "use the argument gamma; do not call _e_step"))
    return known


QUESTION = Question("1.2 M-step", 10, make_inputs, judge)
