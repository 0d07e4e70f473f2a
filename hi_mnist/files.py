"""The project's folders, and files that are written whole or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from hi_mnist.cli import LabError

LONGEST_HEADER = 1 << 16  # bytes of a safetensors file; safetensors needs fifty times as much memory to read it
Arrays = dict[str, np.ndarray]
ROOT = Path(__file__).resolve().parent.parent


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


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Write a file whole or not at all: yields a path in the same folder, which replaces ``path`` at the end."""
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with plain newlines, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """Fill a folder whole or not at all: yields a folder in the same place, which becomes ``path`` at the end.

    Raises:
        LabError: ``path`` is a file, or a folder that is not empty.
    """
    path = Path(path).expanduser().resolve()
    check_new_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        check_new_folder(path)
        if path.is_dir():
            # Move the files one by one, the settings last: the folder may be the shell's working directory.
            for child in sorted(partial.iterdir(), key=lambda child: child.name == "config.yaml"):
                os.replace(child, path / child.name)
        else:
            os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_new_folder(path: Path) -> None:
    """Refuse a path where no new folder can be made, before slow work starts."""
    if path.is_dir() and any(path.iterdir()):
        raise LabError(f"the folder {path} is not empty and is never overwritten; name another one or remove it")
    if path.exists() and not path.is_dir():
        raise LabError(f"{path} is a file, not a folder; name another folder")
    parent = next(p for p in path.parents if p.exists())
    if not parent.is_dir():
        raise LabError(f"{parent} is a file, so {path} cannot be made; name another folder")
    if not os.access(parent, os.W_OK):
        raise LabError(f"the folder {parent} cannot be written to; choose another one")


def read_json(path: Path) -> dict:
    """The object in a small JSON file; empty if the file is missing or damaged."""
    try:
        if path.stat().st_size > 1 << 20:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def read_tensors(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, np.ndarray]:
    """Read the named arrays of a safetensors file.

    Raises:
        LabError: the file is missing or damaged, or an array is missing.
    """
    if not path.is_file():
        raise LabError(f"{path} is missing; {remedy}")
    try:
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > LONGEST_HEADER:
            raise LabError(f"{path} is damaged (a header of more than 64 KiB); {remedy}")
        with safe_open(path, framework="numpy") as file:
            missing = sorted(set(names) - set(file.keys()))
            if missing:
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
        name: the first part of the file's name.
        depends_on: everything that the arrays depend on, as JSON values; use ``data_hash`` for arrays.
        shapes: shapes of the arrays, by name; None stands for any length. A file with other arrays, or with NaN or
            infinity, is computed again.
        compute: computes the arrays.
        valid: whether kept arrays can be true; others are computed again.
    """
    path = cache_path(name, depends_on)
    try:
        arrays = read_tensors(path, tuple(shapes), "")
        if all(_fits(arrays[key], shape) for key, shape in shapes.items()) and valid(arrays):
            return arrays
    except LabError:  # missing or damaged
        pass
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
