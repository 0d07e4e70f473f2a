"""The project's folders, and files and folders that are written whole or not at all."""

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from hi_mnist.cli import LabError

LONGEST_HEADER = 1 << 16  # bytes of a safetensors file; safetensors needs fifty times as much memory to read it
Arrays = dict[str, np.ndarray]
ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 2.0  # s; virus scanners and synchronised folders hold a new file for a moment
NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)  # the machine's fault, not the file's


def lab_home() -> Path:
    """The folder of prepared data, results and caches: the project, or ``LAB_HOME`` if that is set."""
    return Path(os.environ.get("LAB_HOME") or ROOT).expanduser().resolve()


def results_dir() -> Path:
    return lab_home() / "results"


def cache_dir() -> Path:
    """The folder of what is slow to compute and safe to delete (t-SNE, the grading baseline)."""
    folder = lab_home() / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def move(source: Path, target: Path) -> None:
    """``os.replace``, tried again for two seconds while another program holds one of the two."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(source, target)
        except OSError as error:
            refused = isinstance(error, PermissionError) or error.errno == errno.EBUSY
            if not refused or time.monotonic() >= end:
                raise
        time.sleep(0.05)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Write a file whole or not at all: yields a path in the same folder, which replaces ``path`` at the end.

    Raises:
        LabError: another program holds ``path``, which stays as it was.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        try:
            move(partial, path)
        except PermissionError as error:
            remedy = "close the program that has it open and run the command again: the file is as it was"
            raise LabError(f"{path} cannot be replaced ({error.strerror or error}); {remedy}") from None
    finally:
        with suppress(PermissionError):
            partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with plain newlines, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """Fill a folder whole or not at all: yields a folder in the same place, which becomes ``path`` at the end.

    Raises:
        LabError: that is refused, as by ``check_new_folder``. The filled folder is kept, and the error names it.
    """
    path = Path(path).expanduser().resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    partial.mkdir()
    try:
        yield partial
    except BaseException:
        remove(partial)
        raise
    try:
        check_new_folder(path)
        if path.is_dir():
            # Move the files one by one, the settings last: the folder may be the shell's working directory.
            for child in sorted(partial.iterdir(), key=lambda child: child.name == "config.yaml"):
                move(child, path / child.name)
            remove(partial)
        else:
            move(partial, path)
    except (OSError, LabError) as error:
        cause = getattr(error, "strerror", None) or str(error).partition(";")[0]
        remedy = f"nothing is lost: what it lacks is in {partial}; close what holds that folder and move it there"
        raise LabError(f"{path} could not be made ({cause}); {remedy}") from None


def check_new_folder(path: Path) -> None:
    """Refuse a path where no new folder can be made, before slow work starts."""
    there = next(p for p in (path, *path.parents) if p.exists())
    if not there.is_dir():
        raise LabError(f"{there} is a file, so the folder {path} cannot be made; name another folder")
    if there == path and any(path.iterdir()):
        raise LabError(f"the folder {path} is not empty and is never overwritten; name another one or remove it")
    if not os.access(there, os.W_OK):
        raise LabError(f"the folder {there} cannot be written to; choose another one")


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file while a block runs; the system takes the lock back when this process ends, even by a kill.

    Raises:
        filelock.Timeout: at once, if somebody has it, in this process or another.
    """
    from filelock import FileLock  # only in functions: most commands hold nothing

    lock = FileLock(path, timeout=0, thread_local=False)
    lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # Windows refuses this, and removes the file when the lock is released
            path.unlink()
        lock.release()


@contextmanager
def scratch(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A temporary folder for the length of a block; folders like it that killed processes left are removed first.

    ``prefix`` begins its name; ``parent`` None stands for the system's folder of temporary files.
    """
    from filelock import Timeout

    parent = Path(os.path.realpath(parent or tempfile.gettempdir()))
    for mark in parent.glob(f"{prefix}*.lock"):
        left = mark.with_name(mark.name.removesuffix(".lock"))
        with suppress(OSError, Timeout):
            ours = mark.lstat().st_uid == getattr(os, "getuid", int)()  # Windows has only 0
            if ours and not left.is_symlink():
                with held(mark):
                    remove(left)
    folder = parent / f"{prefix}{secrets.token_hex(8)}"
    with held(folder.with_name(f"{folder.name}.lock")):
        folder.mkdir(mode=stat.S_IRWXU)
        try:
            yield folder
        finally:
            remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder of any permissions, as far as that is possible; links in it are not followed."""
    for pause in (0, 0.1, 0.5):  # Windows keeps an ended process's files open for a moment
        time.sleep(pause)
        with suppress(OSError, RecursionError):
            for top, folders, names in os.walk(folder):
                os.chmod(top, stat.S_IRWXU)
                for name in folders + (names if sys.platform == "win32" else []):  # elsewhere files need no permission
                    if not os.path.islink(path := os.path.join(top, name)):
                        os.chmod(path, stat.S_IRWXU)
        with suppress(RecursionError):
            shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def read_json(path: Path) -> dict:
    """The object in a small JSON file; empty if the file is missing or damaged."""
    try:
        if path.stat().st_size > 1 << 20:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if getattr(error, "errno", None) in NO_RESOURCES:
            raise
        return {}
    return content if isinstance(content, dict) else {}


def read_tensors(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, np.ndarray]:
    """Read the named arrays of a safetensors file. Raises LabError if it or one of them is missing or damaged."""
    if not path.is_file():
        raise LabError(f"{path} is missing; {remedy}")
    try:
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > LONGEST_HEADER:
            raise LabError(f"{path} is damaged (a header of more than 64 KiB); {remedy}")
        with safe_open(path, framework="numpy") as file:
            if missing := sorted(set(names) - set(file.keys())):
                raise LabError(f"{path} lacks {', '.join(missing)}; {remedy}")
            return {name: file.get_tensor(name) for name in names}
    except LabError:
        raise
    except Exception as error:  # truncated, not safetensors at all, or a dtype that NumPy lacks
        raise LabError(f"{path} is damaged ({' '.join(str(error).split())}); {remedy}") from None


def cached(
    name: str,
    depends_on: list,
    shapes: dict[str, tuple],
    compute: Callable[[], Arrays],
    valid: Callable[[Arrays], bool] = lambda _: True,
) -> Arrays:
    """What ``compute`` returns, now or in an earlier call; kept in ``cache/NAME-<hash>.safetensors``.

    Args:
        depends_on: everything that the arrays depend on, as JSON values; use ``data_hash`` for arrays.
        shapes: shapes of the arrays, by name; None stands for any length. Arrays of another shape, or with NaN or
            infinity, are computed again, and those that are not ``valid``.
    """
    path = cache_path(name, depends_on)
    with suppress(LabError):  # missing or damaged
        arrays = read_tensors(path, tuple(shapes), "")
        if all(_fits(arrays[key], shape) for key, shape in shapes.items()) and valid(arrays):
            return arrays
    # Not ascontiguousarray, which would add an axis to scalars.
    arrays = {key: np.asarray(value, order="C") for key, value in compute().items()}
    with atomic_path(path) as partial:
        partial.write_bytes(save(arrays))
    return arrays


def cache_path(name: str, depends_on: list) -> Path:
    """Where ``cached`` keeps arrays."""
    key = json.dumps(depends_on, sort_keys=True)
    return cache_dir() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"


def _fits(array: np.ndarray, shape: tuple) -> bool:
    same = array.ndim == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    return same and bool(np.isfinite(array).all())


def data_hash(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays' contents: a cache key that does not rely on ``source.json``."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
