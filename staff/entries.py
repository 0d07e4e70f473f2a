"""The files in an untrusted hand-in and in the archives inside it: no name, size or link in them is trusted.

    with opened(path) as contents:      # a folder, a zip or, through bsdtar, another archive
        for entry in contents.entries:
            entry.read(limit)

Nothing is ever written under a name taken from an archive. What one hand-in may cost is bounded in all.
"""

import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

from hi_mnist.cli import DISK_FULL
from hi_mnist.files import NO_RESOURCES
from hi_mnist.text import one_line, plain, size
from sandbox import bubblewrap

MOST_ENTRIES = 20_000
MOST_DIRECTORY = 4 << 20  # bytes of a zip's list of entries, which zipfile reads at once
MOST_DECLARED = 2 << 30  # unpacked bytes as the archives declare them; what is read has limits of its own
MOST_COPIED = 128 << 20  # bytes of archives inside archives, and of other archives made into zips
MOST_ARCHIVES = 5  # inside one hand-in
MOST_SECONDS = 60  # of processor time, and for bsdtar
LONGEST_PATH = 500  # characters
KEEP = "zip submission.py, results and the report only"
LINKS = "links or devices"
MARK = "\ufffd"
FOR_STAFF = "; staff: "  # what follows in a line is for staff only
ARCHIVE_SUFFIXES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
# What zipfile raises for damaged archives, found by changing random bytes of good ones.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, LookupError)
_OURS = {*DISK_FULL, *NO_RESOURCES}


class Refused(Exception):
    """Reading stops here; the text gives the cause."""


@dataclass(frozen=True)
class Entry:
    """A file in a hand-in."""

    parts: tuple[str, ...]  # its path; what is in an archive is below the archive's own path
    read: Callable[[int], bytes]  # ``read(limit)`` gives its bytes or raises ``Refused``, or what ``DAMAGE`` lists
    file: Path | None = None  # its path on the disk; None in an archive
    archives: tuple[str, ...] = ()  # paths of the archives around it, the outermost first

    @property
    def path(self) -> str:
        return "/".join(self.parts)


class Contents:
    """All files of one hand-in, and what reading it may still cost."""

    def __init__(self, stack: ExitStack):
        self.entries: list[Entry] = []  # its files, and those of its archives
        # Paths that were not read for safety, by what they are.
        self.passed: dict[str, list[str]] = {"unsafe paths": [], LINKS: [], "the same file twice": []}
        self.unread: dict[str, str] = {}  # archives in it that were not read, by path, with the cause
        self._stack, self._count, self._archives, self._declared, self._copied = stack, 0, 0, 0, 0
        self._until = time.thread_time() + MOST_SECONDS

    def add_all(self, path: Path) -> None:
        """Add the files of a folder or an archive, those of the archives in it, and those of archives in these."""
        if path.is_dir():
            levels, new = 2, list(self._folder(path))
        else:
            levels, new = 1, self._archive(self._stack.enter_context(path.open("rb")))
        self.entries += new
        for _ in range(levels):
            archives = [entry for entry in sorted(new, key=lambda entry: entry.parts) if _is_archive(entry)]
            new = [inner for archive in archives for inner in self._inside(archive)]
            self.entries += new
        self.unread |= {entry.path: "inside two other archives" for entry in new if _is_archive(entry)}

    def replace(self, name: str, path: Path) -> None:
        """Put a file of our own in place of each one that has this name."""
        self.entries = [entry for entry in self.entries if entry.parts[-1].lower() != name]
        self.entries.append(Entry((name,), partial(_bounded, partial(path.open, "rb"), name), path))

    def _inside(self, archive: Entry) -> list[Entry]:
        """The files of an archive in the hand-in; none if it cannot be read, which ``unread`` then tells."""
        self._archives += 1
        try:
            if self._archives > MOST_ARCHIVES:
                raise Refused(f"more than {MOST_ARCHIVES} archives")
            if archive.file:
                file = self._stack.enter_context(archive.file.open("rb"))
            else:
                file = self._scratch()
                file.write(archive.read(MOST_COPIED - self._copied))
                self._copied += file.tell()
                file.seek(0)
            return self._archive(file, archive)
        except (Refused, *DAMAGE) as error:
            self.unread[archive.path] = told(error)
            return []

    def _scratch(self) -> IO[bytes]:
        return self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  the stack closes it

    def _archive(self, file: IO[bytes], around: Entry | None = None) -> list[Entry]:
        start = file.read(512)
        if not start:
            raise Refused(f"an empty file{FOR_STAFF}ask for it again")
        if not start.startswith(b"PK"):
            file = self._converted(file)
        bounded = _Bounded(file)
        archive = self._stack.enter_context(zipfile.ZipFile(bounded))
        bounded.most = MOST_COPIED  # from here on, members are read
        return list(self._zip(archive, around))

    def _converted(self, file: IO[bytes]) -> IO[bytes]:
        """Another archive (RAR, 7z, tar) as a zip; bsdtar makes it in a sandbox, from one open file to another."""
        refused = f"it is not a zip{FOR_STAFF}unpack it into a folder of the same name, remove it, and use --resume"
        bsdtar, prlimit = shutil.which("bsdtar"), shutil.which("prlimit")
        if not (bsdtar and prlimit) or bubblewrap.unavailable():
            raise Refused(refused)
        self._check(0)
        made, began, left = self._scratch(), time.monotonic(), self._until - time.thread_time()
        limits = [f"--cpu={int(left) + 1}", f"--as={1 << 30}", f"--fsize={MOST_COPIED - self._copied}"]
        command = [prlimit, *limits, *bubblewrap.prefix([], 4096), os.path.realpath(bsdtar)]
        command += ["-c", "-f", "-", "--format=zip", "@-"]
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        options = {"stdin": file, "stdout": made, "stderr": subprocess.DEVNULL, "timeout": 2 * left}
        try:  # in another locale, names are lost
            subprocess.run(command, check=True, env={"LC_ALL": "C.UTF-8"}, **options)
        except (OSError, subprocess.SubprocessError):
            made.truncate(0)
        self._until -= time.monotonic() - began
        self._copied += made.seek(0, os.SEEK_END)
        made.seek(0)
        if made.read(4) != b"PK\3\4":  # a zip with a file in it
            raise Refused(f"{refused} (bsdtar cannot read it: damaged, too large or with a password)")
        return made

    def _zip(self, archive: zipfile.ZipFile, around: Entry | None) -> Iterator[Entry]:
        members = archive.infolist()
        if not members:
            raise Refused(f"the zip is empty{FOR_STAFF}ask for it again")
        self._check(len(members))
        if any(info.flag_bits & 0x1 for info in members):
            raise Refused(f"it is encrypted{FOR_STAFF}ask for one without a password")
        declared = sum(info.file_size for info in members)
        if self._declared + declared > MOST_DECLARED:
            raise Refused(f"it would unpack to {size(declared)}; {KEEP}")
        self._declared += declared
        above, archives = (around.parts, (*around.archives, around.path)) if around else ((), ())
        seen = set()
        for info in members:
            self._check(0)
            name = info.orig_filename
            if not info.flag_bits & 0x800:  # without the UTF-8 flag zipfile reads bytes as cp437, whatever they were
                name = decoded(name.encode("cp437", errors="replace"))
            parts = safe_parts(name)
            kind = stat.S_IFMT(info.external_attr >> 16) or stat.S_IFREG
            if name in (".", "./"):  # the folder itself, which tar lists
                continue
            if parts is None:
                self.passed["unsafe paths"].append(clean(name[:80]))
            elif info.is_dir() or name.endswith(("/", "\\")) or not _wanted(parts):
                continue
            elif kind != stat.S_IFREG:
                self.passed[LINKS].append("/".join(parts))
            elif parts in seen:
                self.passed["the same file twice"].append("/".join(parts))
            else:
                seen.add(parts)
                member = partial(_bounded, partial(_member, archive, info), parts[-1])
                yield Entry((*above, *parts), member, archives=archives)

    def _folder(self, folder: Path) -> Iterator[Entry]:
        waiting = [(folder, ())]
        while waiting:
            here, above = waiting.pop()
            for item in sorted(islice(os.scandir(here), MOST_ENTRIES + 1), key=lambda item: item.name):
                self._check(1)
                parts = (*above, display(item.name))
                is_folder = item.is_dir(follow_symlinks=False)
                if getattr(item, "is_junction", bool)() or not (is_folder or item.is_file(follow_symlinks=False)):
                    self.passed[LINKS].append("/".join(parts))
                elif is_folder and _wanted(parts) and len(parts) < 20:
                    waiting.append((item.path, parts))
                elif not is_folder and _wanted(parts):
                    path = Path(item.path)
                    yield Entry(parts, partial(_bounded, partial(path.open, "rb"), parts[-1]), path)

    def _check(self, count: int) -> None:
        if self._count + count > MOST_ENTRIES:
            raise Refused(f"it has more than {MOST_ENTRIES:,} entries; {KEEP}")
        self._count += count
        if time.thread_time() > self._until:
            raise Refused(f"reading it takes more than {MOST_SECONDS} s; {KEEP}")


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """The files of a hand-in, to be read while the block lasts. Raises ``Refused``, or what ``DAMAGE`` lists."""
    with ExitStack() as stack:
        contents = Contents(stack)
        contents.add_all(path)
        yield contents


def told(error: Exception) -> str:
    """The cause of an error in reading as one line; raises it if it is this machine's, such as a full disk."""
    if getattr(error, "errno", None) in _OURS:
        raise error
    return str(error) if isinstance(error, Refused) else f"it is damaged or not a zip archive ({one_line(error, 120)})"


def for_student(line: str) -> str:
    """A line, or several, without what staff are told to do."""
    return re.sub(rf"{FOR_STAFF}.*", "", line)


def _is_archive(entry: Entry) -> bool:
    name = entry.parts[-1].lower()
    return name.endswith(ARCHIVE_SUFFIXES) and not re.search(r"(?<!\.tar)\.(gz|bz2|xz)$", name)  # of MNIST, say


class _Bounded:
    """A file that refuses long reads: zipfile reads the list of entries at once, whatever length it claims."""

    def __init__(self, file):
        self._file, self.most = file, MOST_DIRECTORY
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, length: int = -1) -> bytes:
        if length > self.most:
            raise Refused(f"its list of entries has {size(length)}; {KEEP}")
        return self._file.read(self.most if length < 0 else length)


def _bounded(opened: Callable[[], IO[bytes]], name: str, limit: int) -> bytes:
    """All bytes of a file. A zip bomb is unpacked no further than the limit."""
    with opened() as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise Refused(f"{name} is larger than {size(limit)}")
    return content


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"it is compressed by an uncommon method{FOR_STAFF}ask for an ordinary zip")
    return archive.open(info)


# --------------------------------------------------------------------------- names


def safe_parts(name: str) -> tuple[str, ...] | None:
    """A member's path in parts, NFC; None if it is absolute, has a drive, leads upwards or is too long."""
    if len(name) > LONGEST_PATH:  # checked first: NFC is slow on long names
        return None
    name = unicodedata.normalize("NFC", name).replace("\\", "/")  # some Windows programs write backslashes
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not parts or ".." in parts or name.startswith("/") or re.match("[A-Za-z]:", name) or "\0" in name:
        return None
    return tuple(clean("/".join(parts)).split("/"))


def _wanted(parts: tuple[str, ...]) -> bool:
    """False for what systems and editors leave behind. Hidden run folders are unfinished trainings."""
    return not any(part.startswith((".", "__MACOSX", "~$")) or part == "__pycache__" for part in parts)


def display(name: str) -> str:
    """A file's name as text that can be shown and compared: NFC, no control characters, GBK bytes decoded."""
    return clean(decoded(os.fsencode(name)))


def decoded(raw: bytes) -> str:
    """Decode a name: as UTF-8 if it is valid, otherwise as GBK, which Chinese Windows writes."""
    for encoding in ("utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            return raw.decode(encoding)
    return raw.decode("utf-8", errors="replace")


def clean(name: str) -> str:
    """A name in NFC on one line; characters that could change how the rest is shown become a mark."""
    return plain(unicodedata.normalize("NFC", name), mark=MARK).replace("\n", MARK)
