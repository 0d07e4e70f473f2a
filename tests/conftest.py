"""Shared by all tests: a separate home, the stand-in prepared once, runs to damage, the scripts' own mains."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

# Set before NumPy is loaded. The tests' arrays are small: more threads would busy-wait for each other and take four
# times the processor time.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ.get("OPENBLAS_NUM_THREADS", "1")
os.environ["GOMP_SPINCOUNT"] = os.environ.get("GOMP_SPINCOUNT", "10000")

import numpy as np
import pytest
from browser import browser  # noqa: F401
from threadpoolctl import threadpool_limits

from hi_mnist import cli, data, files, prepare, projections

MNIST_DIR = os.environ.get("MNIST_DIR")
VARIABLES = ("LAB_AE", "LAB_DDPM", "LAB_DEVICE", "MNIST_DIR", "FASHION_MNIST_DIR")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """One worker of pytest-xdist runs all tests of a file, which share fixtures, unless they have another group."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))


class Split(NamedTuple):
    images: np.ndarray  # uint8 (N, 1, 28, 28)
    labels: np.ndarray  # int64 (N,)


class Outcome(NamedTuple):
    """The exit status and output of a script."""

    status: int
    out: str
    err: str


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.05)


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may grow beyond ``limit`` bytes; what the scripts print must stay below it."""
    resource = pytest.importorskip("resource", reason="limits on file size are POSIX's")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="session")
def mnist_dir() -> str | None:
    """``MNIST_DIR`` as it was when the tests began."""
    return MNIST_DIR


@pytest.fixture(scope="session", autouse=True)
def lab_home(tmp_path_factory):
    """Keep tests away from the user's data, results, caches and settings.

    Each worker of pytest-xdist has its own home. All share one cache, because its files are written whole.
    """
    home, base = tmp_path_factory.mktemp("lab_home"), tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    cache.mkdir(exist_ok=True)
    (home / "cache").symlink_to(cache)
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        patch.setenv("LAB_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def standin(lab_home) -> Path:
    """The offline stand-in, prepared in the tests' home: its folder."""
    assert prepare.ensure("digits") == "digits"
    return data.prepared_dir("digits")


@pytest.fixture(scope="session")
def digits(standin) -> dict[str, Split]:
    """The stand-in's images and labels by split."""
    return {split: Split(*data.load_split(split, "digits")) for split in ("train", "test")}


@pytest.fixture(scope="session")
def real_mnist(mnist_dir, tmp_path_factory):
    """The folder of a home with the real MNIST; skips if the images are missing."""
    if not mnist_dir:
        pytest.skip("MNIST_DIR is not set: it names the folder of MNIST's four IDX files")
    home = tmp_path_factory.mktemp("real_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(home))
        prepare.ensure("mnist", mnist_dir)
    return home


@pytest.fixture
def empty_cache(monkeypatch, tmp_path) -> Path:
    """The folder of a separate, empty cache."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(files, "cache_dir", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def cheap_tsne(monkeypatch, empty_cache) -> list[int]:
    """New random points instead of t-SNE, which takes seconds; yields the numbers of images of the calls so far."""
    calls = []

    def compute(images):
        calls.append(len(images))
        return np.random.default_rng(len(calls)).normal(size=(len(images), 2))

    monkeypatch.setattr(projections, "compute_tsne", compute)
    return calls


@pytest.fixture
def code_unchecked(monkeypatch):
    """Save tests of the scripts the seconds for the checks and the page; tests of the whole chain override this."""
    from grading import checks
    from report import report_page

    def passed(source, **_):
        return [
            checks.question(name, q.label, q.points) | {"score": float(q.points), "verdict": "PASS"}
            for name, q in checks.QUESTIONS.items()
        ]

    def page(run, *_, **__):
        return files.write_text(run.path / "report.html", "") or run.path / "report.html"

    monkeypatch.setattr(checks, "check_code", passed)
    monkeypatch.setattr(report_page, "write", page)


@pytest.fixture
def run_script(capfd, code_unchecked):
    """Call a script's ``main`` as its command line does: ``run_script(train, "--use_pca") -> Outcome``."""

    def call(script, *arguments) -> Outcome:
        capfd.readouterr()
        status = cli.run_script(lambda: script.main([str(a) for a in arguments]))
        return Outcome(status, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def trained_run(standin, tmp_path_factory) -> Path:
    """A PCA run of ``train.py`` on the stand-in; only read it: ``run_folder`` is a copy to damage."""
    import train

    path = tmp_path_factory.mktemp("runs") / "trained"
    assert train.main(["--use_pca", "--dataset", "digits", "--results_path", str(path)]) == 0
    return path


@pytest.fixture
def run_folder(trained_run, tmp_path) -> Path:
    """A copy of ``trained_run`` that a test may damage."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def files_below():
    """``files_below(folder)``: every file below a folder by relative path, with its contents."""
    return lambda folder: {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="session")
def one_blas_thread():
    """Use one BLAS thread: for small matrices, several busy-wait for each other."""
    with threadpool_limits(1):
        yield
