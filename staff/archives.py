"""Read untrusted hand-ins, zips or folders: no name, size or link in them is trusted.

    for found in find(folder):          # each zip or folder of a class
        handin = read(found)            # the few files that grading needs, in memory, within bounds
        unpack(handin, scratch)         # into a clean folder, under names of our own

``entries`` opens archives.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from hi_mnist.text import listed
from labs import catalog
from staff import entries, tables
from staff.entries import ARCHIVE_SUFFIXES, DAMAGE, FOR_STAFF, Contents, Entry, Refused, display

# The files taken from a run's folder, each with its maximum size in bytes: K = 10 and d = 784 make 49 MiB of covs.
RUN_FILES = {
    "config.yaml": 1 << 16,
    "gmm/config.json": 1 << 16,
    "gmm/gmm.safetensors": 64 << 20,
    "pca/config.json": 1 << 16,
    "pca/pca.safetensors": 16 << 20,
    "grade.json": 1 << 20,
}
# Shown in its student's feedback, decoded in the sandbox only.
PICTURES = [f"{kind}_{name}" for kind in ("true", "cluster") for name in ("pca", "tsne", "ae")]
PICTURES = {f"{name}.png": name for name in [*PICTURES, "gmm_sample", "ddpm_sample"]}
LARGEST_PICTURE = 4 << 20  # bytes; a run's own have up to one megabyte
PCA_FILES = {"pca/config.json", "pca/pca.safetensors"}  # which an AE run lacks
NEEDED = RUN_FILES.keys() - {"grade.json"}
CODE_LIMIT = 1 << 20
NO_REPORT = "no report (.pdf)"
REPORT_SUFFIXES = (".pdf", ".docx", ".doc")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_UPLOADED_ID = re.compile("[A-Za-z]{0,4}[0-9]{4,40}")
_LAB = re.compile(r"\s*LAB\s*3(?![0-9])", re.I | re.A)  # of the main lab; those of companion labs may end as they like
# What course systems put before the name of a file that staff download: by the system's name, who uploaded it.
# Canvas: user_LATE_id_upload_, Moodle: Name_id_assignsubmission_file_, Blackboard: Lab 3_user_attempt_TIME_.
UPLOAD = re.compile(
    "(?P<canvas>[^_]+(?:_LATE)?_[0-9]+)_[0-9]+_|(?P<moodle>[^_]+_[0-9]+)_assignsubmission_file_?"
    "|(?P<blackboard>.+?)_attempt_(?P<at>[0-9]{4}(?:-[0-9]{2}){5})(?:_|$)"
)
# What may be meant by a file that is missing: submission (1).py, submission.py.txt, my_results/model.safetensors.
_LIKE_CODE = re.compile(r"submission|\.(py|ipynb)$", re.I)
_MISNAMED = re.compile(r"submission[^/]*\.(py|txt|ipynb)$", re.I)
_LIKE_RUN = re.compile(r"results|gmm|pca|config\.ya?ml", re.I)
_LIKE_REPORT = re.compile(r"report|\u62a5\u544a|\.(odt|pages|wps|rtf|tex)$", re.I)


@dataclass(frozen=True)
class Found:
    """A hand-in seen from outside: its path and what its name says (empty if it says nothing)."""

    path: Path
    hand_in: str
    student_id: str
    name: str
    uploader: str = ""  # as far as a course system put that before the name
    lab: str = catalog.MAIN  # whose hand-in it is
    code: Path | None = None  # after a regrade: a submission.py in place of each one in it,
    notes: tuple[str, ...] = ()  # and why


@dataclass
class HandIn:
    """What grading needs from a hand-in: what is worth knowing is in ``notes``, what a person decides in ``review``."""

    hand_in: str  # the name of its row, without ``.zip``
    student_id: str = ""  # this and the name: from its own name or that of its only folder; empty if neither has them
    name: str = ""
    source: bytes | None = None  # submission.py unchanged; None if it is missing
    run: str | None = None  # original name of the graded run's folder; None if there is no run
    files: dict[str, bytes] = field(default_factory=dict)  # of that run, by their names in ``RUN_FILES``
    pictures: dict[str, bytes] = field(default_factory=dict)  # in its folder, by their names in ``PICTURES``
    others: list[str] = field(default_factory=list)  # its other complete PCA runs, the newest first
    notes: list[str] = field(default_factory=list)
    review: list[str] = field(default_factory=list)
    refused: str = ""  # why nothing was read; empty if something was
    lab: str = catalog.MAIN  # whose hand-in it is; only the main lab's has a run

    def digest(self) -> str:
        """SHA-256 of everything that grading sees."""
        rest = [self.hand_in, self.student_id, self.name, self.lab, self.run, self.others, self.notes, self.review]
        digest = hashlib.sha256(json.dumps([*rest, self.refused]).encode())
        for name, content in sorted((self.files | self.pictures | {"submission.py": self.source or b""}).items()):
            digest.update(f"{name} {len(content)} ".encode() + content)
        return digest.hexdigest()


# --------------------------------------------------------------------------- the class's folder


def find(folder: Path, lab: str = catalog.MAIN) -> tuple[list[Found], list[str]]:
    """The hand-ins of a lab in a class's folder, sorted, and the names of files that are not hand-ins.

    Each folder, archive and file named like a hand-in is one, under a name that no spreadsheet makes another's.
    """
    found, others, taken = [], [], set()
    for path in sorted(folder.iterdir(), key=lambda path: (display(path.name), path.name)):
        name = display(path.name)
        if name.startswith((".", "__MACOSX", "~$")) or name in ("Thumbs.db", "desktop.ini"):
            continue
        is_folder = path.is_dir() and not name.rstrip("_").endswith("_onlinetext")  # Moodle's, for what was typed
        student_id, person = parse_name(name, lab)
        if not (is_folder or student_id or path.suffix.lower() in ARCHIVE_SUFFIXES):
            others.append(name)
            continue
        stem = name if is_folder or "." not in name else name.rpartition(".")[0]
        hand_in, count = stem, 1
        while tables.key(hand_in) in taken:  # a folder beside its zip, or one name in two forms
            count += 1
            hand_in = f"{stem} ({count})"
        taken.add(tables.key(hand_in))
        found.append(Found(path, hand_in, student_id, person, uploader(name), lab))
    return found, others


def parse_name(name: str, lab: str = catalog.MAIN) -> tuple[str, str]:
    """Student id and name in ``student_id+name+LAB3.zip``; both empty if the name has another form."""
    start, _, rest = name.replace("\uff0b", "+").strip().partition("+")
    person, _, rest = rest.partition("+")
    student_id, person = _split(start)[1], person.strip()
    # Each pattern reads its part once: a hand-in may hold thousands of names that were made to take long.
    good = _ID.fullmatch(student_id) and 0 < len(person) <= 60 and (lab != catalog.MAIN or _LAB.match(rest))
    return (student_id, person) if good else ("", "")


def uploader(name: str) -> str:
    """Who uploaded a file: what a course system put before the id, without what its next upload would not have."""
    if found := UPLOAD.match(name):
        return next(filter(None, found.groups())).casefold().replace("_late_", "_")
    return _split(name.replace("\uff0b", "+").partition("+")[0])[0].casefold()


def _split(start: str) -> tuple[str, str]:
    """What a course system put before the id, and the id: words and numbers as in lee_LATE_123_456_2100000022."""
    before, _, student_id = start.strip().rpartition("_")
    return (before, student_id) if _UPLOADED_ID.fullmatch(student_id) else ("", start.strip())


# --------------------------------------------------------------------------- reading one


def read(found: Found) -> HandIn:
    """What grading needs from a hand-in, and what is wrong with it. OSError: a fault of this machine, a full disk."""
    handin = HandIn(found.hand_in, found.student_id, found.name, notes=list(found.notes), lab=found.lab)
    try:
        with entries.opened(found.path) as contents:
            if found.code:
                contents.replace("submission.py", found.code)
            _take(handin, contents)
    except (Refused, *DAMAGE) as error:
        handin.refused = entries.told(error)
    if not handin.student_id:
        ending = "LAB3" if found.lab == catalog.MAIN else found.lab
        handin.review.append(f"its name does not have the form student_id+name+{ending}")
    return handin


def unpack(handin: HandIn, folder: Path) -> Path:
    """Write the run's files into the empty folder ``folder``, under names of our own; returns the run's folder."""
    run = folder / "run"
    for name, content in handin.files.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)
    return run


# --------------------------------------------------------------------------- what is taken


def _take(handin: HandIn, contents: Contents) -> None:
    for what, names in contents.passed.items():
        if names:
            handin.review.append(f"it holds {what}, which were not read: {listed(sorted(names))}")
    folders = {part for entry in contents.entries for part in entry.parts[:-1][:3]}
    named = {parse_name(folder, handin.lab): folder for folder in folders if "+" in folder or "\uff0b" in folder}
    named.pop(("", ""), None)
    if not handin.student_id and len(named) == 1:
        (((handin.student_id, handin.name), folder),) = named.items()
        if not folder.lower().endswith(ARCHIVE_SUFFIXES):
            handin.notes.append("id and name were taken from the folder inside")
    _take_code(handin, contents)
    if handin.lab == catalog.MAIN:
        _take_run(handin, contents)
    if contents.unread and handin.source is None and handin.run is None:
        raise Refused(next(iter(contents.unread.values())))
    handin.notes += [f"{path} was not read: {cause}" for path, cause in sorted(contents.unread.items())[:3]]
    reports = [e.parts[-1] for e in contents.entries if e.parts[-1].lower().endswith(REPORT_SUFFIXES)]
    if not reports:
        handin.notes.append(NO_REPORT)
        if like := [e.path for e in contents.entries if _LIKE_REPORT.search(e.parts[-1])]:
            handin.notes.append(f"no report, but {listed(like)}")
    elif not any(name.lower().endswith(".pdf") for name in reports):
        handin.notes.append(f"the report is not a PDF: {reports[0]}")


def _missing(what: str, contents: Contents, like: re.Pattern) -> str:
    """A line on what is missing, with what may be meant by it."""
    order = sorted(contents.entries, key=lambda e: ("submission" not in e.parts[-1].lower(), len(e.parts), e.parts))
    found = [e.path for e in order if like.search(e.parts[-1]) and e.path not in contents.unread]
    found += [f"another archive, {path}" for path in sorted(contents.unread)]
    return f"{what}; it holds {listed(found)}" if found else what


def _take_code(handin: HandIn, contents: Contents) -> None:
    exact = [e for e in contents.entries if e.parts[-1] == "submission.py"]
    candidates = exact or [e for e in contents.entries if e.parts[-1].lower() == "submission.py"]
    if not candidates:
        handin.review.append(_missing("no submission.py", contents, _LIKE_CODE))
        return
    chosen = min(candidates, key=lambda e: (len(e.archives), len(e.parts), e.parts))
    rivals = [e for e in candidates if len(e.archives) == len(chosen.archives)]
    if archives := {e.archives for e in rivals} - {chosen.archives}:
        raise Refused(f"{len(archives) + 1} archives in one folder{FOR_STAFF}keep one and --resume")
    if not exact:
        handin.notes.append(f"the code is in {chosen.parts[-1]}")
    if len(candidates) > 1:
        line = f"{len(candidates)} files submission.py; {chosen.path} was graded"
        equal = sum(len(e.parts) == len(chosen.parts) for e in rivals)
        (handin.review if equal > 1 else handin.notes).append(line)
    nearer = [e.path for e in contents.entries if len(e.archives) < len(chosen.archives) and _MISNAMED.search(e.path)]
    if nearer:  # perhaps the archive is the student's copy of the lab as it was handed out
        handin.review.append(f"{chosen.path} was graded, not {listed(nearer)}")
    handin.source = chosen.read(CODE_LIMIT)


def _take_run(handin: HandIn, contents: Contents) -> None:
    """Take the newest complete PCA run by name, else the newest complete one, else the newest."""
    runs: dict[tuple[str, ...], dict[str, Entry]] = {}
    for entry in contents.entries:
        for name in RUN_FILES:
            depth = name.count("/") + 1
            if entry.parts[-depth:] == tuple(name.split("/")):
                runs.setdefault(entry.parts[:-depth], {})[name] = entry
    # A config.json or a grade.json alone does not make a run.
    runs = {folder: files for folder, files in runs.items() if {"config.yaml", "gmm/gmm.safetensors"} & files.keys()}
    if not runs:
        handin.review.append(_missing("no results", contents, _LIKE_RUN))
        return
    with_pca = {folder for folder, files in runs.items() if files.keys() & PCA_FILES}
    complete = {f for f, files in runs.items() if files.keys() >= (NEEDED if f in with_pca else NEEDED - PCA_FILES)}
    chosen, *others = sorted(runs, key=lambda f: (f in complete, f in with_pca, f[-1:], f), reverse=True)
    handin.run = "/".join(chosen) or "."
    handin.others = ["/".join(folder) or "." for folder in others if folder in with_pca & complete]
    handin.files = {name: entry.read(RUN_FILES[name]) for name, entry in sorted(runs[chosen].items())}
    for entry in (e for e in contents.entries if e.parts[:-1] == chosen and e.parts[-1] in PICTURES):
        try:
            handin.pictures[PICTURES[entry.parts[-1]]] = entry.read(LARGEST_PICTURE)
        except (Refused, *DAMAGE) as error:
            entries.told(error)  # raises a fault of this machine
    if len(runs) > 1:
        kind = "complete PCA " if chosen in with_pca & complete else ""
        handin.notes.append(f"{len(runs)} results folders; {handin.run}, the newest {kind}run by name, was graded")
