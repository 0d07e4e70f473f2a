"""Compare the students of a class: equal parameters, and code that two share and hardly anybody else has."""

import functools
from collections import Counter, defaultdict
from itertools import combinations

import numpy as np

import sandbox
from grading import checks
from hi_mnist.files import ROOT
from hi_mnist.runs import SavedRun
from hi_mnist.text import listed
from labs import catalog
from staff import fingerprint
from staff.gradebook import Row, in_order

SAME_PARAMETERS = 1e-4  # relative; two machines differ by less, two seeds by more
SIMILAR_CODE = 0.9  # share of common pieces of the questions' functions
COMMON, FEWEST = 0.05, 3  # what more than this share of the class and more than so many hand-ins have is everybody's
LEAST, SHARE = 20, 0.5  # two are listed who share so many rare pieces, and this share of those of either,
COMMENTS = 3  # or so many rare comments
LONGEST_LIST = 10
LABELS = {name: asked.label for name, asked in checks.QUESTIONS.items()} | {"helpers": "helpers"}
Code = dict[str, set[int]]  # hashes by part, see fingerprint.py


def hashes(box: sandbox.Box) -> dict[str, list[int]]:
    """The fingerprint, for its record, of the code that the sandbox has; empty if it cannot be read."""
    files = {"tasks.py": (ROOT / "staff/fingerprint.py").read_bytes()}
    arrays = box.run("fingerprint", {}, files=files).arrays
    found = {part: array for part, array in arrays.items() if part in fingerprint.PARTS and array.dtype == np.uint32}
    return {part: array.ravel()[: fingerprint.MOST].tolist() for part, array in found.items()}


@functools.cache
def known(lab: str) -> frozenset[int]:
    """Hashes that say nothing about anybody: those of the lab's solution, and with it of the handout."""
    parts = fingerprint.fingerprint(catalog.load(lab).source.read_bytes())
    return frozenset(int(value) for array in parts.values() for value in array)


def signature(run: SavedRun) -> list[list[float]]:
    """Numbers (K, 3) that are the same for equal mixtures, whatever the order of components or the signs of the PCA."""
    parts = [run.pi, np.linalg.norm(run.means, axis=1), np.linalg.slogdet(run.covs)[1]]
    return sorted(np.round(parts, 8).T.tolist())


def same_parameters(a: list, b: list) -> bool:
    return len(a) == len(b) > 0 and bool(np.allclose(a, b, rtol=SAME_PARAMETERS, atol=SAME_PARAMETERS))


def code_of(row: Row) -> Code:
    kept = row.record["fingerprint"]
    return {part: set(kept[part]) if isinstance(kept.get(part), list) else set() for part in fingerprint.PARTS}


def hidden(code: Code) -> bool:
    """Whether one of EM's two steps, which every run needs, cannot be found."""
    return not (code["e_step"] and code["m_step"])


def nearly_equal(one: Code, other: Code) -> bool:
    """Whether the same regions, including both EM steps, are filled, and nearly equal apart from names and layout."""
    regions = fingerprint.REGIONS.values()
    filled = all(bool(one[part]) == bool(other[part]) for part in regions)
    common, every = (sum(len(how(one[p], other[p])) for p in regions) for how in (set.intersection, set.union))
    return filled and not hidden(one) and common >= SIMILAR_CODE * every


def compare(rows: list[Row], lab: str = catalog.MAIN) -> list[tuple[str, str, str]]:
    """Tell equal parameters with nearly equal code in the rows' ``review``: a shared seed alone makes them equal.

    Returns the pairs with the most similar code, whatever their parameters, and what they share in words.
    """
    rows = in_order([row for row in rows if row.record])
    codes = {row.hand_in: code_of(row) for row in rows}
    copies = {row.hand_in: [] for row in rows}
    for one, other in combinations([row for row in rows if row.record["signature"]], 2):
        if one_student(one, other) or not same_parameters(one.record["signature"], other.record["signature"]):
            continue
        code, others_code = codes[one.hand_in], codes[other.hand_in]
        if nearly_equal(code, others_code) or hidden(code) or hidden(others_code):  # what is hidden clears nobody
            copies[one.hand_in].append(other.hand_in)
            copies[other.hand_in].append(one.hand_in)
    for row in rows:
        if copies[row.hand_in]:
            told = "code that cannot be compared" if hidden(codes[row.hand_in]) else "nearly the same code"
            row.review.append(f"{told} and the same parameters as {listed(sorted(copies[row.hand_in]))}")
    return hints(rows, codes, lab)


def one_student(one: Row, other: Row) -> bool:
    return bool(one.student_id) and one.student_id.casefold() == other.student_id.casefold()


def hints(rows: list[Row], codes: dict[str, Code], lab: str) -> list[tuple[str, str, str]]:
    """The most similar pairs; those come first that share most of what the fewest others have."""
    owners = defaultdict(list)  # of each hash, the rows that have it
    for row in rows:
        for value in set().union(*codes[row.hand_in].values()) - known(lab):
            owners[value].append(row)
    most, pairs, found = max(FEWEST, COMMON * len(rows)), set(), []
    rare = {value for value, its in owners.items() if len(its) <= most}
    for value in rare:
        couples = combinations(owners[value], 2)
        pairs |= {(one.hand_in, other.hand_in) for one, other in couples if not one_student(one, other)}
    for one, other in pairs:
        mine, theirs = ({part: values & rare for part, values in codes[name].items()} for name in (one, other))
        both = {part: mine[part] & theirs[part] for part in fingerprint.PARTS}
        shared = Counter({part: len(values) for part, values in both.items()})
        comments = shared.pop("comments")
        whole = min(sum(len(code[part]) for part in shared) for code in (mine, theirs))
        if shared.total() >= max(LEAST, SHARE * whole) or comments >= COMMENTS:
            where = ", ".join(LABELS[part] for part, count in shared.items() if count) or "none"
            told = f"{shared.total()} of {whole} rare pieces of code ({where}), {comments} equal comments"
            telling = sum(1 / (len(owners[value]) - 1) for values in both.values() for value in values)
            found.append((-telling - LEAST * comments, one, other, told))
    chosen, listed = [], set()
    for _, one, other, told in sorted(found):
        if not {one, other} <= listed:  # else many copies of one file would fill the list with their pairs
            listed |= {one, other}
            chosen.append((one, other, told))
    return chosen[:LONGEST_LIST]
