"""Mixtures and PCAs are read back exactly as they were saved."""

import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

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
