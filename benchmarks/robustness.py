"""Right code never fails: right submissions scored with many seeds, and how near their answers come to the bounds.

    python -m benchmarks.robustness                          2,000 runs in this process's children, 100 in the sandbox
    python -m benchmarks.robustness --every_case --match float32 --only e_step m_step pca_fit --children 0
    python -m benchmarks.robustness --draws 20000            the statistics of right draws alone, quickly

The submissions are the lab's own, a textbook's (``tests/textbook.py``) and the corpus's family of full marks
(``tests/handins/correct``). In a run each question is scored with the run's seed and one submission, which changes from
run to run; with ``--every_case``, with all of them. Exit status 1 when any lost a point.
"""

import argparse
import contextlib
import math
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from grading import checks, table, worker
from hi_mnist import cli
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT

sys.path.append(str(ROOT / "tests"))
import handins  # noqa: E402

TEXTBOOK = ROOT / "tests" / "textbook.py"
CHUNK = 20  # runs between two steps of the progress bar
# Put behind a submission, this makes it work on float32 throughout.
IN_FLOAT32 = """

class GMM(GMM):
    def _lower(self):
        self.means, self.covs, self.pi = (np.float32(array) for array in (self.means, self.covs, self.pi))

    def _e_step(self, X):
        self._lower()
        return super()._e_step(np.float32(X))

    def _m_step(self, X, gamma):
        self._lower()
        super()._m_step(np.float32(X), np.float32(gamma))
        self._lower()


class PCA(PCA):
    def fit(self, X):
        super().fit(np.float32(X))
        self.components, self.mean = np.float32(self.components), np.float32(self.mean)


_draw = sample_from_gmm


def sample_from_gmm(gmm, pca, label, path):
    gmm.means, gmm.covs, pca.components, pca.mean = (
        np.float32(array) for array in (gmm.means, gmm.covs, pca.components, pca.mean)
    )
    _draw(gmm, pca, label, path)
"""


class Submission(NamedTuple):
    name: str
    source: bytes
    touched: list[str]  # the questions whose code is its own


class Fault(NamedTuple):
    """A right submission that lost points."""

    name: str
    question: str
    seed: int
    message: str


class Scored(NamedTuple):
    """What a part of the runs found."""

    count: int
    faults: list[Fault]
    nearest: dict[str, tuple[float, str]]  # largest error in parts of its tolerance, and where


def family() -> list[Submission]:
    """Every submission that must have full marks."""
    everything = list(checks.QUESTIONS)
    corpus = [Submission(case.name, case.source(), case.touched) for case in handins.every("correct")]
    ours = []
    for path in (ROOT / "submission.py", TEXTBOOK):
        source = path.read_bytes()
        ours.append(Submission(path.name, source, everything))
        ours.append(Submission(f"{path.name} in float32", source + IN_FLOAT32.encode(), everything))
    return ours + corpus


def plan(submissions: list[Submission], only: list[str], seeds: Iterable[int], every_case: bool) -> list[tuple]:
    """The runs: (seed, question, submission)."""
    runs = []
    for question in only:
        able = [submission for submission in submissions if question in submission.touched]
        for seed in seeds:
            chosen = able if every_case else [able[seed % len(able)]]
            runs += [(seed, question, submission) for submission in chosen]
    return runs


@contextlib.contextmanager
def measured(nearest: dict, where: str):
    """Note how near each comparison of ``checks.close`` comes to its tolerance."""
    judge = checks.close

    def close(got, want, tolerance):
        equal = judge(got, want, tolerance)
        if equal and got.size:
            part = float(np.abs(got - want).max() / tolerance)
            caller = sys._getframe(1).f_code.co_qualname.replace(".<locals>", "").replace(".<genexpr>", "")
            name = f"{where.split()[0]}: {caller}"
            if part > nearest.get(name, (-1.0, ""))[0]:
                nearest[name] = (part, where)
        return equal

    checks.close = close
    try:
        yield
    finally:
        checks.close = judge


@contextlib.contextmanager
def quiet_and_restored():
    """Submissions print, warn, change the folder and NumPy's settings: the next one must not feel it."""
    before, errors, options = os.getcwd(), np.geterr(), np.get_printoptions()
    entropy = random._urandom  # which worker.seed_everything replaces
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            random._urandom = entropy
            np.seterr(**errors)
            np.set_printoptions(**options)


def score(runs: list[tuple]) -> Scored:
    """Score runs in this process."""
    faults, nearest = [], {}
    for seed, question, submission in runs:
        inputs = checks.make_inputs(question, seed)
        with quiet_and_restored():
            worker.seed_everything(seed)
            try:
                answers = worker.answer(question, worker.load(submission.source), inputs, {})
            except Exception as error:
                faults.append(Fault(submission.name, question, seed, f"{type(error).__name__}: {error}"))
                continue
        with measured(nearest, f"{question} {submission.name} seed {seed}"):
            result = checks.score(question, inputs, answers)
        if result["verdict"] != "PASS":
            faults.append(Fault(submission.name, question, seed, result["message"]))
    return Scored(len(runs), faults, nearest)


def score_in_children(seed: int, submission: Submission) -> Scored:
    """Score one submission as a student's is: each question in a fresh child."""
    results = table.check_code(submission.source, only=submission.touched, seed=seed, jobs=1)
    faults = [Fault(submission.name, q["id"], seed, q["message"]) for q in results if q["verdict"] != "PASS"]
    return Scored(len(results), faults, {})


def gathered(parts: Iterable[Scored], total: int, label: str) -> Scored:
    count, faults, nearest = 0, [], {}
    with tqdm(total=total, desc=label, leave=False) as bar:
        for part in parts:
            count += part.count
            faults += part.faults
            for name, found in part.nearest.items():
                nearest[name] = max(found, nearest.get(name, (-1.0, "")))
            bar.update(part.count)
    return Scored(count, faults, nearest)


def right_draws(inputs: checks.Arrays, rng: np.random.Generator) -> np.ndarray:
    """Pictures of right draws without the detour through files: float64 (N, 784)."""
    label = int(inputs["label_0"])
    codes = rng.multivariate_normal(inputs["means_0"][label], inputs["covs_0"][label], size=int(inputs["n_0"]))
    return np.clip(np.rint(codes @ inputs["components_0"] + inputs["mean_0"]), 0, 255)


def draw_statistics(seeds: Iterable[int]) -> tuple[dict[str, list], int]:
    """Least and largest value of each statistic of right draws, beside its bounds; and how many failed."""
    found: dict[str, list] = {}
    failed = 0
    for seed in seeds:
        inputs = checks.make_inputs("sample_from_gmm", seed)
        images = right_draws(inputs, np.random.default_rng([seed, 1]))
        failed += checks.judge_draws(inputs, images)[0] < 3
        for name, (value, low, high) in checks.draw_statistics(inputs, images)[1].items():
            _, least, largest, _ = found.get(name, (0, math.inf, -math.inf, 0))
            found[name] = [low, min(value, least), max(value, largest), high]
    return found, failed


def show(title: str, scored: Scored, seconds: float) -> None:
    print(f"{title}: {scored.count} scored, {len(scored.faults)} false fails, {seconds:.0f} s")
    for fault in scored.faults[:20]:
        print(f"  {fault.question} of {fault.name}, seed {fault.seed}: {fault.message.splitlines()[0]}")
    for (name, question), count in Counter((f.name, f.question) for f in scored.faults).most_common():
        print(f"  {count} times {question} of {name}")
    for name, (part, where) in sorted(scored.nearest.items()):
        print(f"  largest error in parts of its tolerance: {part:.2g} in {name} ({where})")


def timed(title: str, work: Callable[[], Scored]) -> int:
    started = time.perf_counter()
    scored = work()
    show(title, scored, time.perf_counter() - started)
    return len(scored.faults)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness", description="Right code never fails the checks, whatever the seed."
    )
    parser.add_argument("--runs", type=int, default=2000, metavar="N", help="seeds scored in one process each [2000]")
    parser.add_argument(
        "--children", type=int, default=100, metavar="N", help="submissions scored in the sandbox [100]"
    )
    parser.add_argument("--draws", type=int, default=2000, metavar="N", help="seeds of the sampler's statistics [2000]")
    parser.add_argument("--first_seed", type=int, default=0, metavar="S", help="seeds from this one on [0]")
    parser.add_argument("--only", nargs="+", choices=list(checks.QUESTIONS), default=list(checks.QUESTIONS))
    parser.add_argument("--every_case", action="store_true", help="every submission at every seed: hours for sampling")
    parser.add_argument("--match", default="", metavar="TEXT", help="only submissions with this in their name")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes [2]")
    return cli.one_line_errors(parser)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    submissions = [submission for submission in family() if args.match in submission.name]
    if not submissions:
        raise LabError(f"no right submission has {args.match!r} in its name")
    print(f"{len(submissions)} right submissions")
    seeds = range(args.first_seed, args.first_seed + args.runs)
    runs = plan(submissions, args.only, seeds, args.every_case)
    faults = 0
    if runs:
        pool = Parallel(args.jobs, return_as="generator_unordered")
        parts = pool(delayed(score)(runs[at : at + CHUNK]) for at in range(0, len(runs), CHUNK))
        faults += timed("in one process", lambda: gathered(parts, len(runs), "in one process"))
    if args.children:
        chosen = [(seed, submissions[seed % len(submissions)]) for seed in range(args.children)]
        pool = Parallel(args.jobs, prefer="threads", return_as="generator_unordered")
        parts = pool(delayed(score_in_children)(*run) for run in chosen)
        total = sum(len(submission.touched) for _, submission in chosen)
        faults += timed("in the sandbox", lambda: gathered(parts, total, "in the sandbox"))
    if args.draws:
        found, failed = draw_statistics(range(args.first_seed, args.first_seed + args.draws))
        print(f"right draws: {args.draws} times {checks.DRAWS}, {failed} false fails; bound, least, largest, bound:")
        for name, values in found.items():
            print(f"  {name:<22}" + "".join(f"{value:>12.4g}" for value in values))
        faults += failed
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(cli.run_script(main))
