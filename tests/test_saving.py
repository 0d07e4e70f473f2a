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


class Refusing:
    """``os.replace`` as a virus scanner makes it: some calls fail. Time passes only while somebody sleeps."""

    def __init__(self, monkeypatch, refused, error=PermissionError):
        self.calls, self.refused, self.error, self.now = itertools.count(), refused, error, 0.0
        self.replace = os.replace
        monkeypatch.setattr(os, "replace", self)
        monkeypatch.setattr(files.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(files.time, "sleep", self.sleep)

    def __call__(self, source, target):
        if next(self.calls) in self.refused:
            raise self.error(errno.EBUSY if self.error is OSError else errno.EACCES, "it is in use", str(target))
        self.replace(source, target)

    def sleep(self, seconds):
        self.now += seconds


def fill(path, names=("config.yaml", "a", "b")):
    with files.new_folder(path) as folder:
        for name in names:
            (folder / name).write_text(name)


def test_a_rename_that_is_refused_for_a_moment_costs_nothing(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    for refused, error in (({0}, PermissionError), (range(20), PermissionError), ({0, 3, 4}, OSError)):
        for name in ("new", "empty", "file"):
            with monkeypatch.context() as patch:
                clock = Refusing(patch, refused, error)
                files.write_text(tmp_path / name, "text") if name == "file" else fill(tmp_path / name)
                assert 0 < clock.now < 2
        assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "new"]
        for name in ("new", "empty"):
            assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["a", "b", "config.yaml"]
            for path in (tmp_path / name).iterdir():
                path.unlink()
        (tmp_path / "new").rmdir()


def test_a_folder_that_cannot_be_moved_is_kept_and_named(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    for name, refused, error in (
        ("new", range(1000), PermissionError),
        ("empty", range(1000), PermissionError),
        ("empty", range(1, 1000), PermissionError),  # the first file was moved already
        ("new", {0}, FileExistsError),  # an error that no waiting mends
        ("new", (), "taken"),
        ("empty", (), "taken"),
        ("new", (), "taken before"),
    ):
        taken = "taken" in str(error)
        with monkeypatch.context() as patch, pytest.raises(LabError) as caught:
            clock = Refusing(patch, refused, error)
            if error == "taken before":  # while it was trained
                (tmp_path / name).mkdir(exist_ok=True)
                (tmp_path / name / "anothers").touch()
            with files.new_folder(tmp_path / name) as folder:
                for file in ("config.yaml", "a", "b"):
                    (folder / file).write_text(file)
                if taken:
                    (tmp_path / name).mkdir(exist_ok=True)
                    (tmp_path / name / "anothers").touch()
        assert 1.5 < clock.now < 3 or error is not PermissionError
        assert str(folder) in str(caught.value) and str(tmp_path / name) in str(caught.value)
        kept, moved = ({path.name for path in where.glob("*")} for where in (folder, tmp_path / name))
        assert moved == ({"anothers"} if taken else {"a", "b", "config.yaml"} - kept), (name, error)
        assert kept == {"a", "b", "config.yaml"} or ("the rest" in str(caught.value) and "config.yaml" in kept)
        for path in (tmp_path / name).glob("*"):
            path.unlink()


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("old")
    clock = Refusing(monkeypatch, range(1000))
    with pytest.raises(LabError, match="cannot be replaced.*it is in use"):
        files.write_text(tmp_path / "file", "new")
    assert clock.now < 3
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]
