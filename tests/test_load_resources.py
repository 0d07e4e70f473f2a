"""What load_resources.py promises: the right data or one clear line, never half a folder, never a long wait.

The Hub and the mirrors are emulated on loopback (hub.py); the Hub's client is the real one, in its real process.
"""

import errno
import functools
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import timeit
from pathlib import Path

import numpy as np
import pytest
from conftest import wait_until
from hub import FakeHub
from PIL import Image

import load_resources
from hi_mnist import cli, download, idx, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import load_split, read_source
from hi_mnist.networks import save_network
from hi_mnist.prepare import IDX_DIR_VARIABLE

SCRIPT = Path(load_resources.__file__)
NOWHERE = "http://127.0.0.1:9"  # the discard port: refused at once
NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
HUB_REPO = "ylecun/mnist"


# --------------------------------------------------------------------------- a small MNIST, in each of its forms


def small_set(seed=0):
    """Random images and labels by split, uint8 (N, 28, 28) and (N,)."""
    rng = np.random.default_rng(seed)
    return {
        split: (rng.integers(0, 256, (n, 28, 28), np.uint8), (np.arange(n) % 10).astype(np.uint8))
        for split, n in (("train", 30), ("test", 20))
    }


def idx_bytes(array):
    magic = 2051 if array.ndim == 3 else 2049
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def idx_files(data):
    return {key: idx_bytes(data[key[0]][key[1] == "labels"]) for key in NAMES}


def write_idx(folder, data, compress=True):
    folder.mkdir(parents=True, exist_ok=True)
    for key, content in idx_files(data).items():
        (folder / (NAMES[key] + ".gz" * compress)).write_bytes(gzip.compress(content) if compress else content)
    return folder


def parquet_bytes(images, labels):
    import pyarrow as pa
    import pyarrow.parquet

    rows = []
    for image in images:
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG")
        rows.append({"bytes": png.getvalue(), "path": None})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, kind), "label": pa.array([int(x) for x in labels], pa.int64())})
    file = io.BytesIO()
    pa.parquet.write_table(table, file, row_group_size=7)
    return file.getvalue()


def put_on_hub(hub, data, fault=None):
    for split, (images, labels) in data.items():
        hub.add_file("dataset", HUB_REPO, f"mnist/{split}-00000-of-00001.parquet", parquet_bytes(images, labels), fault)


def put_on_mirror(hub, data, fault=None):
    for key, content in idx_files(data).items():
        hub.add_path(f"/idx/{NAMES[key]}.gz", gzip.compress(content), fault)


# --------------------------------------------------------------------------- fixtures

stand_in_once = functools.cache(prepare.stand_in)  # it takes a second or two, and many tests end with it


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    """A home of its own and no network; the checksums known are those of ``small_set()``."""
    home = tmp_path / "lab"
    for name in (*IDX_DIR_VARIABLE.values(), "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LAB_AE", "LAB_DDPM", "LAB_DEVICE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAB_HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(prepare, "IDX_MIRRORS", {"mnist": (), "fashion_mnist": ()})
    sums = {key: hashlib.md5(content).hexdigest() for key, content in idx_files(small_set()).items()}
    monkeypatch.setitem(idx.KNOWN_MD5, "mnist", sums)
    monkeypatch.setattr(prepare, "stand_in", stand_in_once)
    return home


@pytest.fixture
def hub(monkeypatch):
    with FakeHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def impatient(monkeypatch):
    """Limits that a test can wait for."""
    monkeypatch.setattr(download, "SILENCE_LIMIT", 0.5)
    monkeypatch.setattr(download, "TOTAL_LIMIT", 6.0)


@pytest.fixture
def no_source(monkeypatch):
    """No download is even tried: for tests of what comes after."""

    def nothing(*_):
        raise download.SourceDropped("not in this test")

    monkeypatch.setattr(download, "_fetch", nothing)


def assert_small_set(home, data=None):
    """The prepared folder holds the small set, in the promised form, and nothing lies beside it."""
    for split, (images, labels) in (data or small_set()).items():
        got_images, got_labels = load_split(split)
        assert got_images.dtype == np.uint8 and got_images.shape == (len(images), 1, 28, 28)
        assert got_labels.dtype == np.int64
        np.testing.assert_array_equal(got_images[:, 0], images)
        np.testing.assert_array_equal(got_labels, labels)
    assert_tidy(home)


def assert_tidy(home, *folders):
    """The lab's home holds these prepared folders (default: mnist_encoded) and no unfinished ones."""
    assert sorted(path.name for path in home.iterdir()) == sorted(folders or ["mnist_encoded"])
    for folder in home.iterdir():
        assert sorted(p.name for p in folder.iterdir()) == ["source.json", "test.safetensors", "train.safetensors"]


def snapshot(home):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in home.rglob("*") if path.is_file()}


# --------------------------------------------------------------------------- the Hub


def test_takes_the_data_from_the_hub(hub, lab, tmp_path, capsys):
    put_on_hub(hub, small_set())
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)
    source = read_source("mnist")
    assert hub.url in source["source"] and HUB_REPO in source["source"]
    assert (source["dataset"], source["train"], source["test"]) == ("mnist", 30, 20)
    images, _ = load_split("train")
    assert source["sha256"]["train"] == hashlib.sha256(images.tobytes()).hexdigest()
    assert "dropped" not in capsys.readouterr().out
    assert {method for method, _ in hub.requests} == {"HEAD", "GET"}  # the real client's protocol
    assert os.environ["HF_ENDPOINT"] == hub.url


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("404", "it lacks the file"),
        ("500", "HTTP status 500"),
        ("cut", "cut train-00000-of-00001.parquet short"),
        ("corrupt", "damaged|broken download"),
    ],
)
def test_a_hub_that_fails_is_dropped_with_its_reason(hub, lab, capsys, fault, reason):
    import re

    put_on_hub(hub, small_set(), fault)
    start = time.monotonic()
    assert prepare.ensure() == "digits"
    assert time.monotonic() - start < 20
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "dropped" in line]
    assert hub.url in line and re.search(reason, line)
    assert_tidy(lab)


def test_a_hub_without_the_data_set_is_dropped(hub, capsys):
    assert prepare.ensure() == "digits"
    assert f"it has no public data set {HUB_REPO}" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["silent", "silent_body"])
def test_a_hub_that_falls_silent_is_dropped_in_time(hub, lab, capsys, impatient, fault):
    put_on_hub(hub, small_set(), fault)
    stand_in_once()
    start = time.monotonic()
    assert prepare.ensure() == "digits"
    assert time.monotonic() - start < download.TOTAL_LIMIT
    assert "no byte for" in capsys.readouterr().out
    assert_tidy(lab)


def test_all_sources_together_wait_no_longer_than_the_total_limit(lab, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_LIMIT", 1.0)
    monkeypatch.setattr(download, "TOTAL_LIMIT", 2.5)
    with FakeHub("silent") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        mirrors = tuple(f"{hub.url}/{i}/" for i in range(8))
        monkeypatch.setattr(prepare, "IDX_MIRRORS", {"mnist": mirrors})
        start = time.monotonic()
        assert prepare._find("mnist", None, lab) is None
        assert time.monotonic() - start < 2.5 + 2


def test_the_limits_are_those_of_the_design():
    assert (download.SILENCE_LIMIT, download.TOTAL_LIMIT) == (5, 20)


def test_a_slow_download_that_moves_is_never_cut(hub, lab, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_LIMIT", 1.5)
    monkeypatch.setattr(download, "TOTAL_LIMIT", 3.0)
    hub.pieces, hub.pause = 10, 0.2
    put_on_hub(hub, small_set(), "trickle")
    start = time.monotonic()
    assert prepare.ensure() == "mnist"
    assert time.monotonic() - start > download.TOTAL_LIMIT  # or this test shows nothing
    assert_small_set(lab)


def test_a_cut_download_goes_on_where_it_ended(hub, lab):
    put_on_hub(hub, small_set(), "cut_once")
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)


def test_other_images_in_a_sound_file_are_refused(hub, capsys):
    put_on_hub(hub, small_set(seed=1))
    assert prepare.ensure() == "digits"
    out = capsys.readouterr().out
    assert "train images is a broken download (MD5 " in out and idx.KNOWN_MD5["mnist"]["train", "images"] in out


def test_files_of_another_form_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    (tmp_path / "no.parquet").write_bytes(b"<html>log in first</html>")
    pa.parquet.write_table(pa.table({"label": [1]}), tmp_path / "columns.parquet")
    images, labels = small_set()["train"]
    (tmp_path / "size.parquet").write_bytes(parquet_bytes(images[:, :20], labels))
    (tmp_path / "label.parquet").write_bytes(parquet_bytes(images, labels + 1))
    for name in ("no", "columns", "size", "label"):
        with pytest.raises(download.SourceDropped, match=name):
            idx.read_parquet(tmp_path / f"{name}.parquet", "mnist", "train")


def test_the_hub_cache_is_used_where_it_holds_the_files(hub, lab, monkeypatch, tmp_path):
    put_on_hub(hub, small_set())
    fill_hub_cache(hub)
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)


def test_a_bad_copy_in_the_hub_cache_does_not_stand_in_the_way(hub, lab, monkeypatch):
    put_on_hub(hub, small_set(seed=1))
    fill_hub_cache(hub)
    put_on_hub(hub, small_set())
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)


def fill_hub_cache(hub):
    """As any other program would: with the client's own cache."""
    code = (
        "import sys; from huggingface_hub import hf_hub_download\n"
        f"for s in ('train', 'test'): hf_hub_download({HUB_REPO!r}, f'mnist/{{s}}-00000-of-00001.parquet', "
        "repo_type='dataset')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_hub_offline_mode_is_respected(hub, monkeypatch, capsys):
    put_on_hub(hub, small_set())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert prepare.ensure() == "digits"
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().out
    assert hub.requests == []


# --------------------------------------------------------------------------- the IDX mirrors


def test_takes_the_data_from_a_mirror_when_the_hub_is_down(hub, lab, monkeypatch, capsys):
    put_on_mirror(hub, small_set())
    monkeypatch.setattr(prepare, "IDX_MIRRORS", {"mnist": (f"{hub.url}/none/", f"{hub.url}/idx/")})
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)
    assert read_source("mnist")["source"] == f"the mirror {hub.url}/idx/"
    out = capsys.readouterr().out
    assert "dropped the Hub" in out and f"dropped the mirror {hub.url}/none/: it answers with HTTP status 404" in out


@pytest.mark.parametrize(
    ("fault", "reason"), [("cut", "cut train-images"), ("corrupt", "broken download"), ("silent_body", "no byte for")]
)
def test_a_mirror_that_fails_is_dropped_with_its_reason(hub, tmp_path, impatient, fault, reason):
    put_on_mirror(hub, small_set(), fault)
    patience = download.Patience(download.TOTAL_LIMIT)
    with pytest.raises(download.SourceDropped, match=reason):
        prepare._from_mirror(f"{hub.url}/idx/", "mnist", tmp_path / "download", patience)


# --------------------------------------------------------------------------- IDX files of the user's


@pytest.mark.parametrize("compress", [True, False])
def test_takes_the_data_from_idx_files(lab, tmp_path, compress, monkeypatch):
    monkeypatch.setenv("MNIST_DIR", str(write_idx(tmp_path / "idx", small_set(), compress)))
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)
    assert str(tmp_path / "idx") in read_source("mnist")["source"]


def test_knows_the_names_with_a_dot(lab, tmp_path):
    folder = write_idx(tmp_path / "idx", small_set(), compress=False)
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert prepare.ensure(data_dir=folder) == "mnist"
    assert_small_set(lab)


def test_the_parameter_comes_before_the_variable(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "nowhere"))
    prepare.ensure(data_dir=write_idx(tmp_path / "idx", small_set()))
    assert_small_set(lab)


def damage_truncated(files):
    files["train", "images"] = files["train", "images"][:-100]


def damage_magic(files):
    files["train", "labels"] = b"\0\0\x08\x03" + files["train", "labels"][4:]


def damage_html(files):
    files["test", "images"] = b"<!doctype html><title>404</title>"


def damage_label(files):
    files["test", "labels"] = files["test", "labels"][:-1] + b"\x0a"


def damage_pixel(files):
    files["train", "images"] = files["train", "images"][:-1] + bytes([files["train", "images"][-1] ^ 1])


def damage_empty(files):
    files["train", "labels"] = b""


def damage_size(files):
    files["test", "images"] = struct.pack(">4I", 2051, 20, 27, 28) + bytes(20 * 27 * 28)


@pytest.mark.parametrize(
    ("damage", "name", "cause"),
    [
        (damage_truncated, "train-images-idx3-ubyte", "broken download (23436 bytes, its header says 23536)"),
        (damage_magic, "train-labels-idx1-ubyte", "not an IDX file of labels (it starts with 2051, not 2049)"),
        (damage_html, "t10k-images-idx3-ubyte", "not an IDX file of images"),
        (damage_label, "t10k-labels-idx1-ubyte", "a label of 10"),
        (damage_pixel, "train-images-idx3-ubyte", "broken download (MD5 "),
        (damage_empty, "train-labels-idx1-ubyte", "broken download (only 0 bytes)"),
        (damage_size, "t10k-images-idx3-ubyte", "27x28 pixels"),
    ],
)
def test_bad_idx_files_are_one_line_that_names_file_and_cause(lab, tmp_path, monkeypatch, capsys, damage, name, cause):
    files = idx_files(small_set())
    damage(files)
    folder = tmp_path / "idx"
    folder.mkdir()
    for key, content in files.items():
        (folder / NAMES[key]).write_bytes(content)
    monkeypatch.setenv("MNIST_DIR", str(folder))
    assert cli.run_script(lambda: load_resources.main([])) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("error: MNIST_DIR: ")
    assert str(folder / name) in captured.err and cause in captured.err
    assert "stand-in" not in captured.out  # never a silent fall-through
    assert list(lab.iterdir()) == []


def test_a_checksum_that_differs_names_both_sums_and_the_remedy(tmp_path):
    with pytest.raises(LabError) as error:
        prepare.ensure(data_dir=write_idx(tmp_path / "idx", small_set(seed=1)))
    assert idx.KNOWN_MD5["mnist"]["train", "images"] in str(error.value)
    assert hashlib.md5(idx_files(small_set(seed=1))["train", "images"]).hexdigest() in str(error.value)
    assert "download it again" in str(error.value)


@pytest.mark.parametrize("keep", [40, 2000])
def test_truncated_gzip_is_a_broken_download(tmp_path, keep):
    folder = write_idx(tmp_path / "idx", small_set())
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(LabError, match="train-images-idx3-ubyte.gz is a broken download"):
        prepare.ensure(data_dir=folder)


def test_images_and_labels_that_do_not_match_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(idx.KNOWN_MD5, "mnist", {})
    data = small_set()
    data["test"] = data["test"][0], data["test"][1][:-1]
    with pytest.raises(LabError, match="20 test images but 19 labels"):
        prepare.ensure(data_dir=write_idx(tmp_path / "idx", data))


def test_a_folder_that_lacks_files_is_one_line(tmp_path):
    with pytest.raises(LabError, match="train-images-idx3-ubyte"):
        prepare.ensure(data_dir=tmp_path)
    with pytest.raises(LabError, match="there is no folder"):
        prepare.ensure(data_dir=tmp_path / "nowhere")


def test_mistaking_fashion_for_mnist_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(idx.KNOWN_MD5, "fashion_mnist", dict(idx.KNOWN_MD5["mnist"]))
    monkeypatch.setitem(idx.KNOWN_MD5, "mnist", dict.fromkeys(NAMES, "0" * 32))
    with pytest.raises(LabError, match="is of Fashion-MNIST; use --dataset fashion_mnist"):
        prepare.ensure(data_dir=write_idx(tmp_path / "idx", small_set()))


# --------------------------------------------------------------------------- choosing, repeating, replacing


def test_a_second_call_does_nothing_and_says_nothing(lab, tmp_path, capsys):
    folder = write_idx(tmp_path / "idx", small_set())
    prepare.ensure(data_dir=folder)
    before = snapshot(lab)
    capsys.readouterr()
    assert prepare.ensure() == "mnist"
    assert min(timeit.repeat(prepare.ensure, number=1, repeat=5)) < 0.02
    assert prepare.ensure("mnist") == "mnist"
    assert prepare.ensure(data_dir=folder) == "mnist"
    assert capsys.readouterr().out == ""
    assert snapshot(lab) == before


def test_the_stand_in_stays_silently_for_the_scripts(lab, no_source, capsys):
    assert prepare.ensure() == "digits"
    before = snapshot(lab)
    capsys.readouterr()
    assert prepare.ensure() == "digits"
    assert prepare.ensure("digits") == "digits"
    assert capsys.readouterr().out == ""
    assert snapshot(lab) == before


def test_the_script_looks_for_the_real_data_again(lab, hub, monkeypatch):
    with monkeypatch.context() as offline:
        offline.setattr(prepare, "_find", lambda *_: None)
        assert prepare.ensure() == "digits"
    before = snapshot(lab)
    assert prepare._ensure(None, None, retry_stand_in=True) == "digits"
    assert snapshot(lab) == before  # in vain: nothing is touched
    put_on_hub(hub, small_set())
    assert prepare._ensure(None, None, retry_stand_in=True) == "mnist"
    assert_small_set(lab)


def test_the_stand_in_is_replaced_when_mnist_dir_appears(lab, tmp_path, monkeypatch, no_source):
    assert prepare.ensure() == "digits"
    monkeypatch.setenv("MNIST_DIR", str(write_idx(tmp_path / "idx", small_set())))
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)


def test_mnist_asked_for_by_name_is_never_replaced_by_the_stand_in(lab, no_source):
    with pytest.raises(LabError, match="MNIST_DIR.*--dataset digits"):
        prepare.ensure("mnist")
    assert list(lab.iterdir()) == []
    assert prepare.ensure() == "digits"
    before = snapshot(lab)
    with pytest.raises(LabError, match="cannot be had"):
        prepare.ensure("mnist")
    assert snapshot(lab) == before


def test_digits_are_prepared_beside_mnist(lab, tmp_path):
    prepare.ensure(data_dir=write_idx(tmp_path / "idx", small_set()))
    assert prepare.ensure("digits") == "digits"
    assert_tidy(lab, "mnist_encoded", "digits_encoded")
    assert len(load_split("test", "digits")[0]) == 360


def test_fashion_mnist_has_its_own_folder_and_no_stand_in(lab, tmp_path, monkeypatch, no_source):
    with pytest.raises(LabError, match="Fashion-MNIST cannot be had.*FASHION_MNIST_DIR"):
        prepare.ensure("fashion_mnist")
    monkeypatch.setitem(idx.KNOWN_MD5, "fashion_mnist", {})
    monkeypatch.setenv("FASHION_MNIST_DIR", str(write_idx(tmp_path / "idx", small_set())))
    assert prepare.ensure("fashion_mnist") == "fashion_mnist"
    assert_tidy(lab, "fashion_mnist_encoded")


def test_choices_that_make_no_sense_are_one_line(tmp_path):
    with pytest.raises(LabError, match="choose one of mnist, fashion_mnist, digits"):
        prepare.ensure("cifar")
    with pytest.raises(LabError, match="no use"):
        prepare.ensure("digits", data_dir=tmp_path)
    with pytest.raises(LabError, match="--data_dir is empty"):
        prepare.ensure(data_dir="")
    with pytest.raises(LabError, match="--dataset"):
        load_resources.main(["--dataset", "cifar"])


# --------------------------------------------------------------------------- damage, interruption, a full disk


@pytest.mark.parametrize("name", ["train.safetensors", "test.safetensors", "source.json"])
def test_a_damaged_folder_is_prepared_again(lab, tmp_path, capsys, name):
    folder = write_idx(tmp_path / "idx", small_set())
    prepare.ensure(data_dir=folder)
    path = lab / "mnist_encoded" / name
    path.write_bytes(path.read_bytes()[:-60])
    assert prepare.ensure(data_dir=folder) == "mnist"
    assert_small_set(lab)


def test_damaged_real_data_is_never_replaced_by_the_stand_in(lab, tmp_path, no_source):
    prepare.ensure(data_dir=write_idx(tmp_path / "idx", small_set()))
    (lab / "mnist_encoded" / "train.safetensors").unlink()
    before = snapshot(lab)
    with pytest.raises(LabError, match="cannot be had"):
        prepare.ensure()
    assert snapshot(lab) == before


@pytest.mark.parametrize("name", ["image2D", "label"])
def test_the_script_finds_changed_contents_and_prepares_again(lab, tmp_path, capsys, monkeypatch, name):
    from safetensors.numpy import load_file, save_file

    monkeypatch.setattr(load_resources, "_report_networks", lambda *_: True)
    folder = write_idx(tmp_path / "idx", small_set())
    prepare.ensure(data_dir=folder)
    path = lab / "mnist_encoded" / "train.safetensors"
    arrays = load_file(path)
    arrays[name].flat[7] ^= 1  # a label stays between 0 and 9
    save_file(arrays, path)
    load_resources.main(["--data_dir", str(folder)])
    assert_small_set(lab)
    assert "checksums" in capsys.readouterr().out


def test_prepared_files_without_a_note_are_taken_over_if_they_are_mnist(lab, tmp_path, no_source):
    prepare.ensure(data_dir=write_idx(tmp_path / "idx", small_set()))
    note = lab / "mnist_encoded" / "source.json"
    before = json.loads(note.read_text())
    note.unlink()
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)
    assert json.loads(note.read_text())["sha256"] == before["sha256"]


def test_foreign_data_in_the_folder_is_never_overwritten(lab, tmp_path, monkeypatch):
    monkeypatch.setitem(idx.KNOWN_MD5, "mnist", {})
    prepare.ensure(data_dir=write_idx(tmp_path / "idx", small_set(seed=1)))
    (lab / "mnist_encoded" / "source.json").unlink()
    monkeypatch.setitem(idx.KNOWN_MD5, "mnist", {("train", "images"): "0" * 32})
    before = snapshot(lab)
    with pytest.raises(LabError, match="move the folder away"):
        prepare.ensure(data_dir=write_idx(tmp_path / "idx", small_set()))
    assert snapshot(lab) == before


def test_a_file_in_the_folders_place_is_one_line(lab):
    lab.mkdir()
    (lab / "mnist_encoded").write_text("")
    with pytest.raises(LabError, match="is a file"):
        prepare.ensure()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("at", [0, 1])
def test_whatever_stops_the_exchange_the_former_folder_stays(lab, tmp_path, monkeypatch, no_source, stop, at):
    prepare.ensure()
    before = snapshot(lab)
    folder = write_idx(tmp_path / "idx", small_set())
    real, calls = os.replace, []

    def replace(source, target):
        if "mnist_encoded" in str(target) and Path(target).suffix != ".json" or "former" in str(target):
            calls.append(target)
            if len(calls) == at + 1:
                raise stop
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(stop if isinstance(stop, type) else type(stop)):
        prepare.ensure(data_dir=folder)
    assert len(calls) > at
    assert {path: content for path, (_, content) in snapshot(lab).items()} == {p: c for p, (_, c) in before.items()}
    assert_tidy(lab)


def run_script(*arguments, setup=""):
    """The script in a group of processes of its own, as a shell starts it, after lines of set-up."""
    code = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import load_resources as l\n{setup}\n"
    code += f"sys.exit(l.cli.run_script(lambda: l.main({list(arguments)!r})))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **pipes)


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_download_leaves_the_former_folder(hub, lab, signal_number, no_source):
    prepare.ensure()
    before = snapshot(lab)
    put_on_hub(hub, small_set(), "silent_body")
    process = run_script()
    wait_until(lambda: any(method == "GET" for method, _ in hub.requests))
    process.send_signal(signal_number)
    _, err = process.communicate(timeout=10)
    after = {path: content for path, content in snapshot(lab).items() if ".partial" not in str(path)}
    assert after == before
    if signal_number == signal.SIGINT:
        assert process.returncode == 130 and "Traceback" not in err
        assert_tidy(lab)


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_full_disk_is_one_line_and_leaves_nothing(lab, tmp_path):
    folder = write_idx(tmp_path / "idx", small_set())
    sums = f"l.KNOWN_MD5['mnist'] = {idx.KNOWN_MD5['mnist']!r}; "
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))"
    process = run_script("--data_dir", str(folder), setup=sums + limit)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and err.startswith("error: the disk is full") and err.count("\n") == 1
    assert list(lab.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_disk_that_fills_during_a_download_is_not_the_sources_fault(hub, lab):
    put_on_hub(hub, small_set())
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))"
    process = run_script(setup=limit)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and err.startswith("error: the disk is full")
    assert "dropped" not in out and list(lab.iterdir()) == []


def test_old_leftovers_are_cleared_and_young_ones_are_not(lab, no_source):
    old, young = lab / ".mnist_encoded.old.partial", lab / ".mnist_encoded.young.partial"
    for path in (old, young):
        path.mkdir(parents=True)
    os.utime(old, (1, 1))
    prepare.ensure()
    assert not old.exists() and young.exists()


# --------------------------------------------------------------------------- the stand-in


@pytest.fixture(scope="module")
def stand_in():
    return stand_in_once()


def test_the_stand_in_is_split_evenly(stand_in):
    for (images, labels), n in zip(stand_in, (1437, 360), strict=True):
        assert images.shape == (n, 1, 28, 28) and images.dtype == np.uint8
        assert labels.shape == (n,) and labels.dtype == np.int64
        counts = np.bincount(labels, minlength=10)
        assert len(counts) == 10 and counts.max() < 1.1 * counts.min()
    both = np.concatenate([images for images, _ in stand_in]).reshape(1797, -1)
    assert len(np.unique(both, axis=0)) > 1780  # no image in both splits


def test_the_stand_in_has_mnists_form(stand_in):
    for image in np.concatenate([images for images, _ in stand_in])[:, 0]:
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        weights = image / image.sum(dtype=float)
        centre = (weights.sum(1) @ np.arange(28), weights.sum(0) @ np.arange(28))
        np.testing.assert_allclose(centre, 13.5, atol=1)
        assert image.max() > 230


def test_the_stand_in_is_the_same_every_time(stand_in):
    for (images, labels), (again, labels_again) in zip(stand_in, stand_in_once.__wrapped__(), strict=True):
        assert images.tobytes() == again.tobytes() and labels.tobytes() == labels_again.tobytes()


def test_the_stand_in_shows_digits(stand_in):
    """A nearest neighbour among the training digits reads the test digits: the pictures are what the labels say."""
    from sklearn.neighbors import KNeighborsClassifier

    (train, train_labels), (test, labels) = ((images.reshape(len(images), -1), y) for images, y in stand_in)
    assert KNeighborsClassifier(1).fit(train, train_labels).score(test, labels) > 0.95


# --------------------------------------------------------------------------- the script


def save_networks(folder):
    import model

    save_network(model.AE(), folder / "ae")
    save_network(model.ClassUNet(), folder / "ddpm")
    return ["--ae", str(folder / "ae"), "--ddpm", str(folder / "ddpm")]


def test_the_script_says_what_is_there(lab, tmp_path, capsys, monkeypatch, no_source):
    networks = save_networks(tmp_path)
    folder = write_idx(tmp_path / "idx", small_set())
    assert load_resources.main(["--data_dir", str(folder), *networks]) == 0
    out = capsys.readouterr().out
    for fact in ("MNIST", str(folder), "30 for training, 20 for testing", str(tmp_path / "ae"), "parameters", "device"):
        assert fact in out
    assert out.rstrip().endswith("python train.py --use_pca")
    assert load_resources.main(networks) == 0
    assert "prepared " + str(lab) not in capsys.readouterr().out.splitlines()


def test_a_network_that_does_not_load_is_an_error_line(tmp_path, capfd, no_source):
    networks = save_networks(tmp_path)
    (tmp_path / "ae" / "model.safetensors").write_bytes(b"broken")
    assert load_resources.main(networks) == 2
    captured = capfd.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("error: ") and str(tmp_path / "ae") in captured.err
    assert str(tmp_path / "ddpm") in captured.out  # the other one is checked all the same


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")
@pytest.mark.parametrize("stopped", [False, True])
def test_the_networks_process_ends_with_the_script(lab, tmp_path, stopped, no_source):
    """Data that cannot be had, or Ctrl-C before the networks' turn: one line, and no process is left."""
    note = tmp_path / "process"
    setup = (
        "start = l.subprocess.Popen\n"
        "def noted(*a, **k):\n"
        "    process = start(*a, **k)\n"
        f"    l.Path({str(note)!r}).write_text(str(process.pid))\n"
        "    return process\n"
        "l.subprocess.Popen = noted\n"
    )
    if stopped:
        setup += (  # clearing up takes a while, as after a stopped download
            "def prepare(*_):\n    try: l.time.sleep(60)\n    finally: l.time.sleep(1)\nl._report_data = prepare"
        )
    process = run_script("--data_dir", str(tmp_path / "nowhere"), setup=setup)
    if stopped:
        wait_until(note.exists)
        time.sleep(0.5)  # until it imports torch, where Ctrl-C would show a traceback
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=30)  # waits until nobody holds the pipes any more
    assert process.returncode == (130 if stopped else 2)
    assert err.strip().count("\n") == 0 and ("stopped: nothing" if stopped else "nowhere") in err
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@pytest.mark.skipif(os.name == "nt", reason="needs a program that only fails")
def test_a_networks_process_that_dies_is_one_line(lab, monkeypatch, capfd, no_source):
    monkeypatch.setattr(load_resources.sys, "executable", shutil.which("false"))
    assert cli.run_script(lambda: load_resources.main([])) == 2
    captured = capfd.readouterr()
    assert captured.err.count("\n") == 1 and "ended with status 1" in captured.err and "next" not in captured.out


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize("killed", [signal.SIGTERM, signal.SIGKILL])
def test_the_networks_process_does_not_outlive_a_killed_script(lab, hub, killed):
    """Killed while the second process waits for a network of the Hub: nobody goes on."""
    hub.add_file("model", "someone/their-ae", "config.json", b"{}", "silent_body")
    process = run_script("--dataset", "digits", "--ae", "someone/their-ae")
    wait_until(lambda: any("their-ae" in path for _, path in hub.requests))
    process.send_signal(killed)
    started = time.monotonic()
    out, _ = process.communicate(timeout=30)  # waits until nobody holds the pipes any more
    assert process.returncode == -killed and "diffusion" not in out
    assert time.monotonic() - started < download.SILENCE_LIMIT


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_has_seen_enough_is_no_error(lab, tmp_path, no_source):
    setup = "report = l._report_data\nl._report_data = lambda *a: (report(*a), l.time.sleep(1))"
    process = run_script("--dataset", "digits", *save_networks(tmp_path), setup=setup)
    assert any(line.startswith("images") for line in process.stdout)  # what comes next is said of the networks
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 1
    process.stderr.close()


def test_a_broken_torch_is_one_line(lab, tmp_path, monkeypatch, capfd):
    (tmp_path / "torch.py").write_text("raise ImportError('DLL load failed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert load_resources.main(["--dataset", "digits"]) == 2
    captured = capfd.readouterr()
    assert captured.err == "error: DLL load failed; run: python -m pip install -r requirements.txt\n"
    assert "next" not in captured.out


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = "import sys, load_resources; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parent, capture_output=True, text=True, check=True)
    assert not {"torch", "sklearn", "pyarrow", "huggingface_hub", "PIL"} & set(done.stdout.split())


def test_what_it_prints_is_ascii():
    for module in (load_resources, download, idx):
        for line in Path(module.__file__).read_text(encoding="utf-8").splitlines():
            assert line.isascii(), line


# --------------------------------------------------------------------------- the real data


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_the_real_data_is_prepared_quickly(lab, dataset, request):
    folder = REAL[dataset]
    if not folder:
        pytest.skip(f"{IDX_DIR_VARIABLE[dataset]} is not set")
    environment = os.environ | {IDX_DIR_VARIABLE[dataset]: folder}
    code = f"import load_resources; print(load_resources.ensure({dataset!r}))"
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPT.parent, env=environment, capture_output=True, text=True, check=True
    )
    assert time.monotonic() - start < 10  # under 2 s on two idle cores; a test machine may be busy
    assert done.stdout.split()[-1] == dataset
    assert_tidy(lab, f"{dataset}_encoded")
    train, test = (load_split(split, dataset) for split in ("train", "test"))
    assert train[0].shape == (60_000, 1, 28, 28) and test[0].shape == (10_000, 1, 28, 28)
    assert (np.bincount(test[1]).sum(), train[1].max()) == (10_000, 9)
    # published means of the training pixels
    assert train[0].mean() / 255 == pytest.approx({"mnist": 0.1307, "fashion_mnist": 0.2860}[dataset], abs=1e-4)
    shutil.rmtree(lab)


# Read at import: the fixture ``lab`` takes the variables away from every test.
REAL = {dataset: os.environ.get(variable) for dataset, variable in IDX_DIR_VARIABLE.items()}
