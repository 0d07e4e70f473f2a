"""``trace.safetensors``: how EM moved the mixture, in the embedding's first two dimensions.

State 0 is the M-step on k-means' clusters, state i the i-th iteration. T states are kept, of K components and n images:
``iteration`` int32 (T,), ``means`` (T, K, 2), ``covs`` (T, K, 2, 2), ``pi`` (T, K) and ``points`` (n, 2), the images,
all float32; ``clusters`` uint8 (T, n), the most probable component of each image in the iteration's E-step.
"""

import numpy as np

from hi_mnist.cli import LabError
from hi_mnist.files import read_tensors
from hi_mnist.runs import LARGEST_NUMBER, SavedRun

FILE = "trace.safetensors"
MOST_BYTES = 2_000_000
# With these numbers, a trace has at most 1.2 MB, and report.html becomes at most 1.5 MB larger by it.
MOST_STATES = 120
MOST_POINTS = 2500
MOST_CLUSTERS = 256  # mixtures of more components are not traced: nobody could tell them apart
REMEDY = "the report is whole without it, and python train.py writes a new one"


class Trace:
    """A listener of ``training.observed``; ``codes`` are the images that the mixture is fitted to, float (N, d).

    Of a long training it keeps the first and the last state, and between them each second, fourth ... one.
    """

    def __init__(self, codes: np.ndarray):
        self.shown = np.sort(np.random.default_rng(0).permutation(len(codes))[:MOST_POINTS])
        self.points = _plane(codes[self.shown], 1)
        self.states, self.iteration, self.every = [], 0, 1

    def __call__(self, gmm, task: str, arguments: tuple, result) -> None:
        if task != "m_step" or gmm.n_components > MOST_CLUSTERS:
            return
        if self.states and self.states[-1]["iteration"] % self.every:
            self.states.pop()  # it was kept as the last one
        state = {"iteration": np.int32(self.iteration), "means": _plane(gmm.means, 1), "covs": _plane(gmm.covs, 2)}
        state["pi"] = np.asarray(gmm.pi, np.float32)
        state["clusters"] = np.asarray(arguments[1])[self.shown].argmax(axis=1).astype(np.uint8)
        self.states.append(state)
        if len(self.states) > MOST_STATES:
            self.every *= 2
            self.states = [*self.states[:-1:2], self.states[-1]]
        self.iteration += 1

    def arrays(self) -> dict[str, np.ndarray]:
        """What the file holds; empty if the mixture has too many components."""
        stacked = {name: np.stack([state[name] for state in self.states]) for name in (self.states or [{}])[0]}
        return stacked and stacked | {"points": self.points}


def _plane(values, axes: int) -> np.ndarray:
    """The first two entries of the last ``axes`` axes, float32; a single one gets a zero beside it."""
    values = np.asarray(values)
    first = values[(..., *(slice(2),) * axes)]
    widths = [(0, 0)] * (values.ndim - axes) + [(0, 2 - first.shape[-1])] * axes
    return np.pad(first.astype(np.float32), widths)


def read(run: SavedRun, values: np.ndarray | None) -> dict[str, np.ndarray]:
    """The arrays of a run's trace; ``values`` are its likelihoods, from ``runs.read_trace``.

    Raises:
        LabError: the file is missing or damaged, or not of such a mixture or such likelihoods.
    """
    path, K = run.path / FILE, run.n_components
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise LabError(f"{path} is damaged (more than 2 MB); {REMEDY}")
    arrays = read_tensors(path, ("iteration", "means", "covs", "pi", "points", "clusters"), REMEDY)
    iteration, T, n = arrays["iteration"], arrays["iteration"].shape[:1], arrays["points"].shape[:1]
    shapes = {"iteration": T, "means": (*T, K, 2), "covs": (*T, K, 2, 2), "pi": (*T, K), "clusters": (*T, *n)}
    types = dict.fromkeys(arrays, "float32") | {"iteration": "int32", "clusters": "uint8"}
    good = {name: array.shape for name, array in arrays.items()} == shapes | {"points": (*n, 2)}
    good = good and {name: array.dtype for name, array in arrays.items()} == types and len(iteration) and n[0]
    good = good and iteration[0] == 0 and (np.diff(iteration) > 0).all() and arrays["clusters"].max() < K
    good = good and values is not None and iteration[-1] == len(values)
    if not good or not all(np.abs(array).max() < LARGEST_NUMBER**2 for array in arrays.values()):  # or NaN
        raise LabError(f"{path} is damaged or not of the training that trace.csv tells of; {REMEDY}")
    return arrays
