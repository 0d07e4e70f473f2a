"""Read untrusted hand-ins, zips or folders: no name, size or link in them is trusted.

    for found in find(folder):          # each zip or folder of a class
        handin = read(found)            # the few files that grading needs, in memory, within bounds
        unpack(handin, scratch)         # into a clean folder, under names of our own

Nothing is ever written under a name taken from an archive, so no path in it can escape. ``review`` holds what a person
should look at, ``notes`` what is merely worth knowing.
"""

import hashlib
import json
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

from hi_mnist.files import NO_RESOURCES
from hi_mnist.text import one_line, plain, size

# The files taken from a run's folder, each with its maximum size in bytes: K = 10 and d = 784 make 49 MiB of covs.
RUN_FILES = {
    "config.yaml": 1 << 16,
    "gmm/config.json": 1 << 16,
    "gmm/gmm.safetensors": 64 << 20,
    "pca/config.json": 1 << 16,
    "pca/pca.safetensors": 16 << 20,
    "grade.json": 1 << 20,
}
CODE_LIMIT = 1 << 20
MOST_ENTRIES = 20_000
MOST_DIRECTORY = 4 << 20  # bytes of a zip's list of entries, which zipfile reads at once
MOST_DECLARED = 2 << 30  # unpacked bytes as the archive declares them; the limits above bound what is unpacked
MOST_RUNS = 50
LONGEST_PATH = 500  # characters
LONGEST_NAME = 255
KEEP = "zip submission.py, results and the report only"
LINKS = "links or devices"
MARK = "\ufffd"
NO_REPORT = "no report (.pdf)"
REPORT_SUFFIXES = (".pdf", ".docx", ".doc")
ARCHIVE_SUFFIXES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")

# Foreign archives by their first bytes; zipfile only says that they are not zips.
_FOREIGN = {b"Rar!": "RAR", b"7z\xbc\xaf": "7z", b"\x1f\x8b": "gzip"}
# Course systems put their own words and numbers before the student's file name: lee_LATE_123_456_2100000022+...
_NAME = re.compile(
    r"(?:[^+]*_(?=[A-Za-z]{0,4}[0-9]{4,}\s*\+))?(?P<id>[A-Za-z0-9][A-Za-z0-9_.-]{0,39})"
    r"\s*\+\s*(?P<name>[^+]{1,60}?)\s*\+\s*LAB\s*3(?![0-9]).*",
    re.I | re.S | re.A,
)
# What zipfile raises for damaged archives, found by changing random bytes of good ones.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, LookupError)


class Refused(Exception):
    """Reading a hand-in stops here; the text gives the cause."""


@dataclass(frozen=True)
class Found:
    """A hand-in seen from outside: its path and what its name says (empty if it says nothing)."""

    path: Path
    hand_in: str
    student_id: str
    name: str


@dataclass
class HandIn:
    """What grading needs from a hand-in.

    Attributes:
        hand_in: the name of its row, without ``.zip``.
        student_id, name: from its name or that of its only folder; empty if neither has them.
        source: submission.py unchanged; None if it is missing.
        run: original name of the graded run's folder; None if there is no run.
        files: that run's files by their names in ``RUN_FILES``.
        notes: what is worth knowing.
        review: what a person should look at.
        refused: why nothing was read; empty if something was.
    """

    hand_in: str
    student_id: str = ""
    name: str = ""
    source: bytes | None = None
    run: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    review: list[str] = field(default_factory=list)
    refused: str = ""

    def digest(self) -> str:
        """SHA-256 of everything that grading sees."""
        rest = [self.hand_in, self.student_id, self.name, self.run, self.notes, self.review, self.refused]
        digest = hashlib.sha256(json.dumps(rest).encode())
        for name, content in sorted({**self.files, "submission.py": self.source or b""}.items()):
            digest.update(f"{name} {len(content)} ".encode() + content)
        return digest.hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file in a hand-in: its path in parts, and ``read(limit)``, which gives its bytes or raises ``Refused``.

    ``file`` is its path if the hand-in is a folder.
    """

    parts: tuple[str, ...]
    read: Callable[[int], bytes]
    file: str = ""


# --------------------------------------------------------------------------- the class's folder


def find(folder: Path) -> tuple[list[Found], list[str]]:
    """The hand-ins in a class's folder, sorted, and the names of files that are not hand-ins.

    Each folder, each archive and each file named like a hand-in counts as one and gets a row.
    """
    found, others, taken = [], [], set()
    for path in sorted(folder.iterdir(), key=lambda path: (display(path.name), path.name)):
        name = display(path.name)
        if name.startswith((".", "__MACOSX", "~$")) or name in ("Thumbs.db", "desktop.ini"):
            continue
        is_folder = path.is_dir()
        student_id, person = parse_name(name)
        if not (is_folder or student_id or path.suffix.lower() in ARCHIVE_SUFFIXES):
            others.append(name)
            continue
        stem = name if is_folder or "." not in name else name.rpartition(".")[0]
        hand_in, count = stem, 1
        while hand_in.casefold() in taken:  # a folder beside its zip, or one name in two Unicode forms
            count += 1
            hand_in = f"{stem} ({count})"
        taken.add(hand_in.casefold())
        found.append(Found(path, hand_in, student_id, person))
    return found, others


def parse_name(name: str) -> tuple[str, str]:
    """Student id and name in ``student_id+name+LAB3.zip``; both empty if the name has another form."""
    if len(name) > LONGEST_NAME:  # the pattern's time grows with the square of it
        return "", ""
    match = _NAME.fullmatch(name.replace("\uff0b", "+").strip())
    return (match["id"], match["name"].strip()) if match else ("", "")


def display(name: str) -> str:
    """A file's name as text that can be shown and compared: NFC, no control characters, GBK bytes decoded."""
    return clean(decoded(os.fsencode(name)))


def decoded(raw: bytes) -> str:
    """Decode a name: as UTF-8 if it is valid, otherwise as GBK, which Chinese Windows writes."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", errors="replace")


def clean(name: str) -> str:
    """A name in NFC on one line; characters that could change how the rest is shown become a mark."""
    return plain(unicodedata.normalize("NFC", name), mark=MARK).replace("\n", MARK)


# --------------------------------------------------------------------------- reading one


def read(found: Found) -> HandIn:
    """Read what grading needs from a hand-in. The result reports what is wrong; nothing is raised."""
    handin = HandIn(found.hand_in, found.student_id, found.name)
    try:
        with _opened(found.path, handin) as entries:
            _take(handin, entries)
    except Refused as refusal:
        handin.refused = str(refusal)
    except _DAMAGE as error:
        if getattr(error, "errno", None) in NO_RESOURCES:
            raise
        handin.refused = f"it is damaged or not a zip archive ({one_line(error, 120)})"
    if not handin.student_id:
        handin.review.append("its name does not have the form student_id+name+LAB3")
    elif handin.name and (handin.name.isdigit() or not re.search("[0-9]", handin.student_id)):
        told = f"id {handin.student_id!r} and name {handin.name!r}"
        handin.review.append(f"{told} may be the wrong way round; rename it to student_id+name+LAB3 and --resume")
    return handin


def unpack(handin: HandIn, folder: Path) -> Path:
    """Write the run's files into the empty folder ``folder``, under names of our own; returns the run's folder."""
    run = folder / "run"
    for name, content in handin.files.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)
    return run


@contextmanager
def _opened(path: Path, handin: HandIn) -> Iterator[list[Entry]]:
    if path.is_dir():
        entries = list(_folder_entries(path, handin))
        zips = [entry.file for entry in entries if entry.parts[-1].lower().endswith(".zip")]
        if not zips or any(entry.parts[-1].lower() == "submission.py" for entry in entries):
            yield entries
            return
        if len(zips) > 1:
            raise Refused(f"{len(zips)} archives in one folder; keep one and --resume")
        # Course systems put each upload into its own folder.
        path = Path(zips[0])
        if not handin.student_id:
            handin.student_id, handin.name = parse_name(display(path.name))
    with path.open("rb") as file:
        start = file.read(4)
        if not start:
            raise Refused("an empty file; ask for it again")
        if kind := next((kind for magic, kind in _FOREIGN.items() if start.startswith(magic)), None):
            remedy = "unpack it into a folder of the same name, remove it, and run again with --resume"
            raise Refused(f"a {kind} archive; {remedy}")
        with zipfile.ZipFile(_Bounded(file)) as archive:
            yield list(_zip_entries(archive, handin))


class _Bounded:
    """A file that refuses long reads: zipfile reads the list of entries at once, whatever length it claims."""

    def __init__(self, file):
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, length: int = -1) -> bytes:
        if length > MOST_DIRECTORY:
            raise Refused(f"its list of entries has {size(length)}; {KEEP}")
        return self._file.read(MOST_DIRECTORY if length < 0 else length)


def _zip_entries(archive: zipfile.ZipFile, handin: HandIn) -> Iterator[Entry]:
    members = archive.infolist()
    if not members:
        raise Refused("the zip is empty; ask for it again")
    _check_count(len(members))
    if any(info.flag_bits & 0x1 for info in members):
        raise Refused("it is encrypted; ask for one without a password")
    declared = sum(info.file_size for info in members)
    if declared > MOST_DECLARED:
        raise Refused(f"it would unpack to {size(declared)}; {KEEP}")
    passed, seen = {"unsafe paths": [], LINKS: [], "the same file twice": []}, set()
    for info in members:
        name = info.orig_filename
        if not info.flag_bits & 0x800:  # without the UTF-8 flag zipfile reads bytes as cp437, whatever they were
            name = decoded(name.encode("cp437", errors="replace"))
        parts = safe_parts(name)
        kind = stat.S_IFMT(info.external_attr >> 16) or stat.S_IFREG
        if parts is None:
            passed["unsafe paths"].append(clean(name[:80]))
        elif kind == stat.S_IFLNK:
            passed[LINKS].append("/".join(parts))
        elif info.is_dir() or name.endswith(("/", "\\")) or not _wanted(parts):
            continue
        elif kind != stat.S_IFREG:
            passed[LINKS].append("/".join(parts))
        elif parts in seen:
            passed["the same file twice"].append("/".join(parts))
        else:
            seen.add(parts)
            yield Entry(parts, partial(_member, archive, info, parts[-1]))
    for what, names in passed.items():
        _report(handin, what, names)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, limit: int) -> bytes:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"{name} is compressed by an uncommon method ({info.compress_type}); ask for an ordinary zip")
    with archive.open(info) as file:
        return _bounded(file, limit, name)


def _bounded(file: IO[bytes], limit: int, name: str) -> bytes:
    """All bytes of a file. A zip bomb is unpacked no further than the limit."""
    content = file.read(limit + 1)
    if len(content) > limit:
        raise Refused(f"{name} is larger than {size(limit)}")
    return content


def _folder_entries(folder: Path, handin: HandIn) -> Iterator[Entry]:
    links, count, waiting = [], 0, [(folder, ())]
    while waiting:
        here, above = waiting.pop()
        for item in sorted(islice(os.scandir(here), MOST_ENTRIES + 1), key=lambda item: item.name):
            count += 1
            _check_count(count)
            parts = (*above, display(item.name))
            if item.is_symlink() or getattr(item, "is_junction", bool)():
                links.append("/".join(parts))
            elif item.is_dir(follow_symlinks=False):
                if _wanted(parts) and len(parts) < 20:
                    waiting.append((Path(item.path), parts))
            elif not item.is_file(follow_symlinks=False):
                links.append("/".join(parts))
            elif _wanted(parts):
                yield Entry(parts, partial(_file, item.path, parts[-1]), item.path)
    _report(handin, LINKS, links)


def _file(path: str, name: str, limit: int) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        return _bounded(file, limit, name)


def _check_count(count: int) -> None:
    if count > MOST_ENTRIES:
        raise Refused(f"it has more than {MOST_ENTRIES:,} entries; {KEEP}")


def _report(handin: HandIn, what: str, names: list[str]) -> None:
    if names:
        shown = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
        handin.review.append(f"it holds {what}, which were not read: {shown}")


def safe_parts(name: str) -> tuple[str, ...] | None:
    """A member's path in parts, NFC; None if it is absolute, has a drive, leads upwards or is too long.

    Backslashes also separate parts: some Windows programs write them.
    """
    if len(name) > LONGEST_PATH:  # checked first: NFC is slow on long names
        return None
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not parts or ".." in parts or name.startswith("/") or re.match("[A-Za-z]:", name) or "\0" in name:
        return None
    return tuple(map(clean, parts))


def _wanted(parts: tuple[str, ...]) -> bool:
    """False for what systems and editors leave behind. Hidden run folders are unfinished trainings."""
    return not any(part.startswith((".", "__MACOSX", "~$")) or part == "__pycache__" for part in parts)


# --------------------------------------------------------------------------- what is taken


def _take(handin: HandIn, entries: list[Entry]) -> None:
    named = {parse_name(entry.parts[0]) for entry in entries if len(entry.parts) > 1} - {("", "")}
    if not handin.student_id and len(named) == 1:
        ((handin.student_id, handin.name),) = named
        handin.notes.append("id and name were taken from the folder inside")
    _take_code(handin, entries)
    _take_run(handin, entries)
    reports = [e.parts[-1] for e in entries if e.parts[-1].lower().endswith(REPORT_SUFFIXES)]
    if not reports:
        handin.notes.append(NO_REPORT)
    elif not any(name.lower().endswith(".pdf") for name in reports):
        handin.notes.append(f"the report is not a PDF: {reports[0]}")


def _take_code(handin: HandIn, entries: list[Entry]) -> None:
    exact = [e for e in entries if e.parts[-1] == "submission.py"]
    candidates = exact or [e for e in entries if e.parts[-1].lower() == "submission.py"]
    if not candidates:
        inner = [e.parts[-1] for e in entries if e.parts[-1].lower().endswith(ARCHIVE_SUFFIXES)]
        handin.review.append("no submission.py" + (f"; it holds another archive, {inner[0]}" if inner else ""))
        return
    chosen = min(candidates, key=lambda e: (len(e.parts), e.parts))
    if not exact:
        handin.notes.append(f"the code is in {chosen.parts[-1]}")
    if len(candidates) > 1:
        rivals = sum(len(e.parts) == len(chosen.parts) for e in candidates)
        line = f"{len(candidates)} files submission.py; {'/'.join(chosen.parts)} was graded"
        (handin.review if rivals > 1 else handin.notes).append(line)
    handin.source = chosen.read(CODE_LIMIT)


def _take_run(handin: HandIn, entries: list[Entry]) -> None:
    """Take the run that counts: the newest PCA run by name, because only PCA runs are scored, else the newest."""
    runs: dict[tuple[str, ...], dict[str, Entry]] = {}
    for entry in entries:
        for name in RUN_FILES:
            depth = name.count("/") + 1
            if entry.parts[-depth:] == tuple(name.split("/")):
                runs.setdefault(entry.parts[:-depth], {})[name] = entry
    # A config.json or a grade.json alone does not make a run.
    runs = {folder: files for folder, files in runs.items() if {"config.yaml", "gmm/gmm.safetensors"} & files.keys()}
    if not runs:
        handin.review.append("no results")
        return
    if len(runs) > MOST_RUNS:
        raise Refused(f"it holds {len(runs)} results folders; keep the one that counts")
    chosen = max(runs, key=lambda folder: ("pca/pca.safetensors" in runs[folder], folder[-1:], folder))
    handin.run = "/".join(chosen) or "."
    if len(runs) > 1:
        pca_runs = sum("pca/pca.safetensors" in files for files in runs.values())
        newest = "newest by name" if pca_runs in (0, len(runs)) else "newest PCA run by name"
        handin.notes.append(f"{len(runs)} results folders; {handin.run}, the {newest}, was graded")
    handin.files = {name: entry.read(RUN_FILES[name]) for name, entry in sorted(runs[chosen].items())}
