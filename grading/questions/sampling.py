"""5.1 sampling: the form of the pictures, and whether many draws have the component's mean and spread."""

import numpy as np
import scipy.linalg
from scipy.special import chdtr, chdtri, kolmogorov

from grading.questions.common import Arrays, Question, close, comparison, judgement, weights
from hi_mnist import text

DRAWS = 400
FALSE_FAIL = 1e-8  # probability that one statistical test fails a correct sampler
SHOWN = 512  # pixels of a picture that vary; the others are fixed
BRIGHT, DARK = slice(512, 544), slice(544, 576)  # shuffled pixels that go out of range


def make_inputs(rng: np.random.Generator) -> Arrays:
    """Case 0: pictures within 0..255 that reach both ends, so that clipping and stretching give the same; 1: beyond."""
    pixels = rng.permutation(784)
    signs = scipy.linalg.hadamard(SHOWN)[1 + rng.choice(SHOWN - 1, 3, replace=False)]  # their sums are 0
    components = np.zeros((3, 784))
    components[:, pixels[:SHOWN]] = 6.0 * signs
    mean = rng.uniform(20, 235, size=784)
    mean[pixels[:SHOWN]] = rng.uniform(117, 137, size=SHOWN)
    inside, outside = mean.copy(), mean.copy()
    inside[pixels[BRIGHT]], inside[pixels[DARK]] = 255, 0
    outside[pixels[BRIGHT]], outside[pixels[DARK]] = 400, -150
    # The covariances share one rotation and permute the variances. So another component's covariance, the diagonal
    # alone or a transposed factor makes some direction's variance at least 2.9 times too large or too small.
    signs, axis = rng.choice([-1, 1], size=3), np.array([0.17, 1.2, 0.78]) + rng.uniform(-0.05, 0.05, size=3)
    turn = np.outer(signs, signs) * scipy.linalg.expm(np.cross(np.eye(3), axis))  # by the axis's length in radians
    variances = [np.diag(np.roll([4.0, 1.0, 0.25], shift)) for shift in rng.permutation(3)]
    # Any two means have opposite signs in two directions.
    sides = rng.choice([-1, 1], size=3) * rng.permutation([[1, 1, -1], [1, -1, 1], [-1, 1, 1]])
    means, covs = rng.uniform(1, 2, size=(3, 3)) * sides, np.array([turn @ each @ turn.T for each in variances])
    shared = {"means": means, "covs": covs, "pi": weights(rng, 3), "components": components}
    label = int(rng.integers(1, 3))
    both = {f"{name}_{i}": array for i in range(2) for name, array in shared.items()}
    numbers = {"label_0": label, "label_1": 0, "n_0": DRAWS, "n_1": 8}
    return both | {name: np.array(n) for name, n in numbers.items()} | {"mean_0": inside, "mean_1": outside}


def judge(inputs: Arrays, answers: Arrays) -> tuple[float, str, str]:
    for i in range(2):
        form = answers.get(f"form_{i}", np.zeros(1))
        if form.size:
            return 0, *wrong_file(form)
    images = [answers.get(f"images_{i}", np.zeros(0)) for i in range(2)]
    if any(array.dtype != np.uint8 or array.shape != (int(inputs[f"n_{i}"]), 28, 28) for i, array in enumerate(images)):
        return 0, "there are fewer pictures than requested", "write one picture per call"
    inside, outside = (image.reshape(len(image), 784).astype(np.float64) for image in images)
    points, faults = 2, []
    bright, dark = (np.flatnonzero(far) for far in (inputs["mean_1"] > 255, inputs["mean_1"] < 0))
    more, cause, hint = judge_draws(inputs, inside)
    if (outside[:, bright] >= 250).all() and (outside[:, dark] <= 5).all():
        points += 2
    elif outside[:, bright].max() > 1 or not cause:  # else they do not go beyond, because of that cause
        example = comparison("pixels 400, -150", outside[0, [bright[0], dark[0]]], np.array([255, 0]))
        faults.append((f"pixel values beyond 0..255 come out wrong{example}", CLIP))
    if cause:
        faults.append((cause, hint))
        if not judge_draws(inputs, images[0].swapaxes(1, 2).reshape(inside.shape).astype(np.float64))[1]:
            faults = [("the picture is transposed", "pixels lie row by row: reshape(28, 28), and no .T")]
    if faults:
        return judgement(points + more, faults)
    cause = "the pictures have the right form, mean and spread"
    stretched = np.interp(far := expected(inputs, 1), [far.min(), far.max()], [0, 255])
    if np.abs(outside - stretched).mean() < np.abs(outside - np.clip(far, 0, 255)).mean():
        cause += "; stretching min..max to 0..255 makes black grey, np.clip does not (this costs no points)"
    return 7, cause, ""


CLIP = "np.clip(image, 0, 255) before astype(np.uint8), which wraps around"


def expected(inputs: Arrays, i: int, label: int | None = None) -> np.ndarray:
    """The middle of the pictures of case i, or what it would be for another component: (784,), not clipped."""
    means = inputs[f"means_{i}"][int(inputs[f"label_{i}"]) if label is None else label]
    return means @ inputs[f"components_{i}"] + inputs[f"mean_{i}"]


def wrong_file(form: np.ndarray) -> tuple[str, str]:
    """Cause and hint for a wrong picture, from the worker's ``form``."""
    with np.errstate(all="ignore"):  # the file may hold any numbers
        numbers = np.nan_to_num(np.resize(form, 3).astype(np.complex128).real)
        letters = bytes(np.nan_to_num(form.reshape(-1)[3:].astype(np.complex128).real).astype(np.uint8))
    code, width, height = (int(n) for n in np.clip(numbers, -1, 10**6))
    other = text.one_line(letters.decode("utf-8", "replace"), 80)
    hint = "Image.fromarray(array of uint8, shape (28, 28)).save(Path(path) / 'gmm_sample.png')"
    if code not in (1, 2, 3, 4):
        return "no gmm_sample.png was written into the folder `path`" + (f", but {other}" if other else ""), hint
    hints = {28: "the array was one row: no [0] on an array (28, 28)", 784: "reshape(28, 28) first"}
    hint = hints.get(max(width, height), hint) if code == 4 and min(width, height) == 1 else hint
    size = f"has {width} x {height} pixels, not 28 x 28"
    faults = ("is not a picture", "is not in PNG format", "is not 8-bit grey (mode L)", size)
    return f"gmm_sample.png {faults[code - 1]}", hint


def judge_draws(inputs: Arrays, images: np.ndarray) -> tuple[float, str, str]:
    """Points out of 3 for the mean (1) and the spread (2) of many draws, with cause and hint."""
    label = int(inputs["label_0"])
    mean, covs = inputs["means_0"][label], inputs["covs_0"]
    wrong_middle = middle(inputs, images)
    if (images == images[0]).all():
        told = "every draw is the same picture", "draw anew in each call, and set no seed inside"
        if np.abs(images[0] - np.clip(expected(inputs, 0), 0, 255)).max() < 3:
            told = f"{told[0]}: the component's mean", "draw from the normal distribution with gmm.covs[label]"
        return 0, *(wrong_middle or told)
    codes, right = draw_statistics(inputs, images, covs[label])
    mean_right = right.pop("offset of the mean")
    spread_right = all(right.values())
    if not mean_right and (spread_right or not close(codes.mean(axis=0), mean, 0.5)):
        hint = "use gmm.means[label], and add the PCA's mean once (inverse_transform does)"
        told = wrong_middle or (f"the draws are not centred on the mean of component {label}", hint)
        return 2 * int(spread_right), *told
    if spread_right:
        return 3, "", ""
    scatter = (codes - mean).T @ (codes - mean) / len(codes)
    other, told = likeliest(covs, label, scatter)
    known = f": {told}" if all(draw_statistics(inputs, images, other)[1].values()) else ""
    own, want = np.round(np.sqrt(np.diag(scatter)), 1), np.sqrt(np.diag(covs[label]))
    cause = f"the draws do not spread as the component's covariance says{known}"
    hint = "mean + L z with L the Cholesky factor of gmm.covs[label], or np.random.multivariate_normal"
    return 1, cause + comparison("standard deviation of each code", own, want), hint


def middle(inputs: Arrays, images: np.ndarray) -> list[str] | None:
    """Cause and hint if the pictures' medians are those of a known mistake."""
    label, pixels, mean = int(inputs["label_0"]), expected(inputs, 0), inputs["mean_0"]
    others, hint = [k for k in range(3) if k != label], "use gmm.means[label] and gmm.covs[label]"
    known = [
        (pixels + mean, "the PCA's mean is added twice", "inverse_transform adds it"),
        (pixels - mean, "the PCA's mean is left out", "use pca.inverse_transform"),
        (255 - pixels, "black and white are exchanged", "save the pixels as they are: the background is 0, black"),
        (mean, "the component's mean is left out", "add gmm.means[label] to the noise"),
        (np.clip(pixels, 0, 1) * 255, "pixels are clipped to 0..1, then multiplied by 255", CLIP),
        (np.clip(pixels, 0, 1), "every pixel is 0 or 1", "pixels are 0..255 here, before and after PCA: do not divide"),
        *((expected(inputs, 0, k), f"component {k} is drawn, not component {label}", hint) for k in others),
    ]
    found = np.median(images, axis=0)
    return next((told for far, *told in known if np.abs(found - np.clip(far, 0, 255)).mean() < 3), None)


def likeliest(covs: np.ndarray, label: int, scatter: np.ndarray) -> tuple[np.ndarray, str]:
    """The covariance that explains the draws' scatter matrix best among those of known mistakes, and the mistake."""
    cov, factor = covs[label], np.linalg.cholesky(covs[label])
    variances = np.diag(np.diag(cov))
    known = [
        (cov @ cov, "it is used as its own square root"),
        (variances, "only the variances are used"),
        (variances**2, "variances are used as standard deviations"),
        (np.eye(len(cov)), "it is not used"),
        (factor.T @ factor, "its Cholesky factor is transposed"),
        *((other, f"that of component {k} is used") for k, other in enumerate(covs) if k != label),
    ]
    return min(known, key=lambda one: np.linalg.slogdet(one[0])[1] + np.trace(np.linalg.solve(one[0], scatter)))


def draw_statistics(inputs: Arrays, images: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, dict[str, bool]]:
    """The codes (N, d) of draws (N, 784), and their statistics: name -> whether it is as ``cov`` makes it."""
    mean = inputs["means_0"][int(inputs["label_0"])]
    codes = (images - inputs["mean_0"]) @ np.linalg.pinv(inputs["components_0"])
    # Standard normal if the draws are right.
    white = np.linalg.solve(np.linalg.cholesky(cov), (codes - mean).T).T
    n, d = white.shape
    variances = np.linalg.eigvalsh(white.T @ white / n)
    # Judge the mean by the draws' own spread, so that a wrong covariance does not count against it.
    centred = codes - codes.mean(axis=0)
    offset = codes.mean(axis=0) - mean
    distance = n * offset @ np.linalg.pinv(centred.T @ centred / n) @ offset
    # The test of Kolmogorov and Smirnov: the squared radii have a chi-squared distribution.
    shares = chdtr(d, np.sort((white**2).sum(axis=1)))
    largest_gap = max((np.arange(1, n + 1) / n - shares).max(), (shares - np.arange(n) / n).max())
    # At n = 400, d = 3, correct draws exceed each bound of a variance with a probability below 1e-15.
    return codes, {
        "offset of the mean": distance < 1.3 * chdtri(d, FALSE_FAIL),
        "variances": variances.min() > 0.5 and variances.max() < 1.75,
        "sum of squares": chdtri(n * d, 1 - FALSE_FAIL) < variances.sum() * n < chdtri(n * d, FALSE_FAIL),
        "radii": kolmogorov(np.sqrt(n) * largest_gap) > FALSE_FAIL,
    }


QUESTION = Question("5.1 sampling", 7, make_inputs, judge)
