"""Models are read back exactly as they were saved; what is written is not lost, whatever the system refuses."""

import errno
import itertools
import os
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from hi_mnist import files
from hi_mnist.cli import LabError
from submission import GMM, PCA

RNG = np.random.default_rng(0)
ARRAYS = {
    "gmm": {"means": RNG.random((4, 3)), "covs": RNG.random((4, 3, 3)), "pi": RNG.random(4)},
    "pca": {"components": RNG.random((3, 16)), "mean": RNG.random(16)},
}
MODELS = {"gmm": lambda: GMM(4, 3), "pca": lambda: PCA(3)}
LAYOUTS = {
    "plain": np.array,
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "transposed": lambda a: a.T.copy().T,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", MODELS)
def test_arrays_come_back_whatever_their_memory_layout(tmp_path, name, layout):
    model = MODELS[name]()
    vars(model).update({key: LAYOUTS[layout](array) for key, array in ARRAYS[name].items()})
    model.save_pretrained(tmp_path / "new" / name)
    back = type(model).from_pretrained(str(tmp_path / "new" / name))
    assert vars(back).keys() == vars(model).keys()
    on_disk = load_file(tmp_path / "new" / name / f"{name}.safetensors")
    assert on_disk.keys() == ARRAYS[name].keys()
    for key, array in ARRAYS[name].items():
        assert np.array_equal(getattr(back, key), array)
        assert np.array_equal(on_disk[key], array)
        assert on_disk[key].dtype == np.float64


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_arrays_are_as_readable_as_the_folder(tmp_path):
    GMM(2, 2).save_pretrained(tmp_path)
    modes = {(tmp_path / name).stat().st_mode for name in ("config.json", "gmm.safetensors")}
    assert len(modes) == 1


NAMES = ("a", "b", "config.yaml")


@pytest.fixture
def refusing(monkeypatch):
    """``refusing(calls, error)``: these calls of ``os.replace`` fail; the pauses so far, which alone take time."""
    replace, clock = os.replace, []
    monkeypatch.setattr(files.time, "monotonic", lambda: sum(clock))
    monkeypatch.setattr(files.time, "sleep", clock.append)

    def start(calls, error=PermissionError, code=errno.EACCES):
        count = itertools.count()
        clock.clear()

        def refuse(source, target):
            if next(count) in calls:
                raise error(code, "it is in use", str(target))
            replace(source, target)

        monkeypatch.setattr(os, "replace", refuse)
        return clock

    return start


def fill(path, meanwhile=lambda: None):
    with files.new_folder(path) as folder:
        for name in NAMES:
            (folder / name).write_text(name)
        meanwhile()


def test_a_rename_that_is_refused_for_a_moment_costs_nothing(tmp_path, refusing):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("old")
    for name, write in (("new", fill), ("empty", fill), ("file", lambda path: files.write_text(path, "new"))):
        clock = refusing(range(20)) if name != "file" else refusing({0}, OSError, errno.EBUSY)
        write(tmp_path / name)
        assert 0 < sum(clock) < 2
    assert {path.name for path in tmp_path.iterdir()} == {"new", "empty", "file"}
    assert (tmp_path / "file").read_text() == "new"
    assert all({path.name for path in (tmp_path / name).iterdir()} == set(NAMES) for name in ("new", "empty"))
    clock = refusing(range(1000))
    with pytest.raises(LabError, match="file cannot be replaced.*it is in use"):
        files.write_text(tmp_path / "file", "newer")
    assert 1.5 < sum(clock) < 3
    assert {path.name for path in tmp_path.iterdir()} == {"new", "empty", "file"}
    assert (tmp_path / "file").read_text() == "new"


def test_a_folder_that_cannot_be_made_is_kept_and_named(tmp_path, refusing):
    for i, (there, calls, code, count) in enumerate((
        (False, range(1000), errno.EACCES, 0),
        (False, {0}, errno.EEXIST, 0),  # no waiting mends it
        (True, range(1000), errno.EACCES, 0),
        (True, range(1, 1000), errno.EACCES, 1),
        (False, (), "taken", 1),
        (True, (), "taken", 1),
    )):  # fmt: skip
        path = tmp_path / str(i) / "run"
        path.parent.mkdir()

        def meanwhile(path=path, code=code):
            if code == "taken":
                path.mkdir(exist_ok=True)
                (path / "anothers").touch()

        if there:
            path.mkdir()
            meanwhile()  # before it is saved, while it is trained
        clock = refusing(calls, PermissionError if code == errno.EACCES else OSError, code)
        with pytest.raises(LabError) as caught:
            fill(path, meanwhile)
        assert (1.5 < sum(clock) < 3) == (code == errno.EACCES), i
        (folder,) = (p for p in path.parent.iterdir() if p != path)
        assert str(folder) in str(caught.value) and str(path) in str(caught.value)
        moved = {p.name for p in path.glob("*")}
        assert len(moved) == count and "config.yaml" not in moved, i
        assert {p.name for p in folder.iterdir()} == set(NAMES) - moved, i
