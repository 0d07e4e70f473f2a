"""What load_resources.py promises: the right data or one clear line, never half a folder, never a long wait.

The Hub and the mirrors are emulated on loopback (hub.py); the clients are the real ones.
"""

import errno
import functools
import gzip
import hashlib
import os
import re
import shutil
import signal
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import full_disk
from hub import NOWHERE, POSIX, REASONS, FakeHub, stopped_download, use_hub
from small_mnist import HUB_REPO, idx_files, parquet_bytes, put_on_hub, put_on_mirror, small_set, write_idx

import load_resources
import train
from hi_mnist import cli, download, files, idx, networks, prepare
from hi_mnist.cli import LabError
from hi_mnist.data import load_split, read_source
from hi_mnist.networks import save_network
from hi_mnist.prepare import IDX_DIR_VARIABLE

# --------------------------------------------------------------------------- fixtures

stand_in_once = functools.cache(prepare.stand_in)  # it takes a second or two, and many tests end with it


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    """A separate home and no network; the known checksums are those of ``small_set()``."""
    home = tmp_path / "lab"
    monkeypatch.setenv("LAB_HOME", str(home))
    use_hub(monkeypatch, tmp_path / "hf", NOWHERE)
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


def assert_small_set(home):
    """The prepared folder holds the small set in the promised form, and there is nothing beside it."""
    for split, (images, labels) in small_set().items():
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


def script(*arguments):
    return cli.run_script(lambda: load_resources.main([str(argument) for argument in arguments]))


# --------------------------------------------------------------------------- the Hub


@pytest.mark.parametrize("fault", [None, "redirect", "trickle"])
def test_takes_the_data_from_the_hub(hub, lab, capsys, monkeypatch, fault):
    if fault == "trickle":  # a slow download that moves is never cut
        monkeypatch.setattr(download, "SILENCE_LIMIT", 1.0)
        monkeypatch.setattr(download, "TOTAL_LIMIT", 1.0)
        hub.pieces, hub.pause = 12, 0.1
        assert 2 * hub.pieces * hub.pause > 1.0  # two files; or this test shows nothing
    put_on_hub(hub, small_set(), fault)
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)
    source = read_source("mnist")
    assert hub.url in source["source"] and HUB_REPO in source["source"]
    assert (source["dataset"], source["train"], source["test"]) == ("mnist", 30, 20)
    assert source["sha256"]["train"] == hashlib.sha256(load_split("train")[0].tobytes()).hexdigest()
    assert "dropped" not in capsys.readouterr().out


def test_a_hub_that_fails_is_dropped_with_its_reason(hub, lab, monkeypatch, capsys):
    from huggingface_hub import constants

    monkeypatch.setattr(download, "SILENCE_LIMIT", 0.4)
    own = {"corrupt": "damaged|broken download", "404": "lacks the file", "refused": "cannot be reached"}
    for fault, reason in ({"empty": "no public repository"} | REASONS | own | {"offline": "HF_HUB_OFFLINE"}).items():
        if fault == "refused":
            monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
        elif fault == "offline":
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        elif fault != "empty":
            put_on_hub(hub, small_set(), fault)
        with pytest.raises(LabError, match="cannot be had"):
            prepare.ensure("mnist")
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "dropped" in line]
        assert os.environ["HF_ENDPOINT"] in line and re.search(reason, line), f"{fault}: {line}"
        assert list(lab.iterdir()) == [], fault


def test_all_sources_together_wait_no_longer_than_the_total_limit(monkeypatch):
    assert (download.SILENCE_LIMIT, download.TOTAL_LIMIT) == (5, 20)
    monkeypatch.setattr(download, "SILENCE_LIMIT", 0.2)
    monkeypatch.setattr(download, "TOTAL_LIMIT", 0.5)
    with FakeHub("silent") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(prepare, "IDX_MIRRORS", {"mnist": [f"{hub.url}/{i}/" for i in range(8)]})
        with pytest.raises(LabError, match="cannot be had"):
            prepare.ensure("mnist")
        assert 2 <= len(hub.requests) <= 3  # the other mirrors were not even asked


def test_parquet_files_of_another_form_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    (tmp_path / "no.parquet").write_bytes(b"<html>log in first</html>")
    pa.parquet.write_table(pa.table({"label": [1]}), tmp_path / "columns.parquet")
    images, labels = small_set()["train"]
    (tmp_path / "size.parquet").write_bytes(parquet_bytes(images[:, :20], labels))
    (tmp_path / "label.parquet").write_bytes(parquet_bytes(images, labels + 1))
    (tmp_path / "train images.parquet").write_bytes(parquet_bytes(images[::-1], labels))  # sound, but other images
    for name in ("no", "columns", "size", "label", "train images"):
        with pytest.raises(download.SourceDropped, match=name):
            idx.read_parquet(tmp_path / f"{name}.parquet", "mnist", "train")


@pytest.mark.parametrize("seed", [0, 1])
def test_the_hub_cache_is_used_where_it_holds_the_right_files(hub, lab, seed, capsys):
    from huggingface_hub import hf_hub_download

    put_on_hub(hub, small_set(seed))
    for name in ("mnist/train-00000-of-00001.parquet", "mnist/test-00000-of-00001.parquet"):
        held = hf_hub_download(HUB_REPO, name, repo_type="dataset", endpoint=hub.url)  # as any other program would
    put_on_hub(hub, small_set())
    hub.requests.clear()
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)
    assert bool(hub.requests) == (seed == 1)  # a bad copy does not stand in the way of a good one
    assert ("dropped the Hub's cache" in (said := capsys.readouterr().out)) == (seed == 1)
    assert str(Path(held).parents[3]) in said


# --------------------------------------------------------------------------- the IDX mirrors


def test_takes_the_data_from_a_mirror_when_the_hub_is_down(hub, lab, monkeypatch, capsys):
    put_on_mirror(hub, small_set(), "trickle")
    hub.pieces, hub.pause = 3, 0.01
    monkeypatch.setattr(prepare, "IDX_MIRRORS", {"mnist": (f"{hub.url}/none/", f"{hub.url}/idx/")})
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)
    assert read_source("mnist")["source"] == f"the mirror {hub.url}/idx/"
    dropped = [line for line in capsys.readouterr().out.splitlines() if "dropped" in line]
    assert "the Hub" in dropped[0] and f"{hub.url}/none/" in dropped[1] and "404" in dropped[1] and len(dropped) == 2


def test_a_mirror_that_fails_is_dropped_with_its_reason(hub, monkeypatch, capsys):
    monkeypatch.setattr(download, "SILENCE_LIMIT", 0.4)
    monkeypatch.setattr(idx, "LARGEST_IDX", 100_000)
    monkeypatch.setattr(prepare, "IDX_MIRRORS", {"mnist": [f"{hub.url}/idx/"]})
    for fault, reason in (REASONS | {"corrupt": "broken download", "large": "far too large"}).items():
        put_on_mirror(hub, small_set(), fault)
        if fault == "large":
            hub.add_path("/idx/train-images-idx3-ubyte.gz", bytes(200_000))
        with pytest.raises(LabError, match="cannot be had"):
            prepare.ensure("mnist")
        assert re.search(f"dropped the mirror .*{reason}", capsys.readouterr().out), fault


# --------------------------------------------------------------------------- the user's IDX files


def test_takes_the_data_from_idx_files(lab, tmp_path, monkeypatch):
    for name, compress in (("gzipped", True), ("plain", False), ("dotted", False), ("each in a folder", False)):
        folder = write_idx(tmp_path / name, small_set(), compress)
        for path in list(folder.iterdir()) if name in ("dotted", "each in a folder") else ():
            content, place = path.read_bytes(), path if name == "each in a folder" else folder  # as an archiver unpacks
            path.unlink()
            place.mkdir(exist_ok=True)
            (place / path.name.replace("-idx", ".idx")).write_bytes(content)
        monkeypatch.setenv("MNIST_DIR", str(folder))
        assert prepare.ensure() == "mnist", name
        assert_small_set(lab)
        assert str(folder) in read_source("mnist")["source"]
        shutil.rmtree(lab)
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "nowhere"))
    assert prepare.ensure(data_dir=tmp_path / "plain") == "mnist"  # the parameter comes before the variable


def bad_idx_files():
    """Cases: what is wrong, the file, its bytes, and the cause that the message must name."""
    good = {idx.IDX_NAMES[key]: content for key, content in idx_files(small_set()).items()}
    train, test = good["train-images-idx3-ubyte"], good["t10k-labels-idx1-ubyte"]
    squeezed = gzip.compress(train)
    return [
        ("cut short", "train-images-idx3-ubyte", train[:-100], "broken download"),
        ("other labels", "train-labels-idx1-ubyte", test, "MD5"),
        ("a page", "t10k-images-idx3-ubyte", b"<!doctype html><title>404</title>", "broken download"),
        ("a label of 10", "t10k-labels-idx1-ubyte", test[:-1] + b"\x0a", "MD5"),
        ("one pixel", "train-images-idx3-ubyte", train[:-1] + bytes([train[-1] ^ 1]), "MD5"),
        ("empty", "train-labels-idx1-ubyte", b"", "broken download"),
        ("size", "t10k-images-idx3-ubyte", struct.pack(">4I", 2051, 20, 27, 28) + bytes(20 * 27 * 28), "MD5"),
        ("gzip's header", "train-images-idx3-ubyte", squeezed[:40], "broken download"),
        ("gzip's middle", "train-images-idx3-ubyte", squeezed[:2000], "broken download"),
    ]


def test_bad_idx_files_are_one_line_that_names_file_and_cause(lab, tmp_path, monkeypatch, capsys):
    for what, name, content, cause in bad_idx_files():
        folder = write_idx(tmp_path / what, small_set(), compress=False)
        (folder / name).write_bytes(content)
        monkeypatch.setenv("MNIST_DIR", str(folder))
        assert script() == 2, what
        captured = capsys.readouterr()
        assert cli.run_script(lambda: train.main(["--use_pca"])) == 2 and capsys.readouterr().err == captured.err, what
        assert captured.err.count("\n") == 1 and captured.err.startswith("error: MNIST_DIR: "), what
        assert str(folder / name) in captured.err and cause in captured.err, captured.err
        assert "stand-in" not in captured.out  # never a silent fall-through
        assert not any(path.is_file() for path in lab.rglob("*")), what


def test_sound_files_with_other_data_are_refused(tmp_path, monkeypatch):
    other = write_idx(tmp_path / "other", small_set(seed=1))
    with pytest.raises(LabError, match="download it again") as error:
        prepare.ensure(data_dir=other)
    found = hashlib.md5(idx_files(small_set(1))["train", "images"]).hexdigest()
    assert idx.KNOWN_MD5["mnist"]["train", "images"] in str(error.value) and found in str(error.value)
    monkeypatch.setitem(idx.KNOWN_MD5, "fashion_mnist", dict(idx.KNOWN_MD5["mnist"]))
    monkeypatch.setitem(idx.KNOWN_MD5, "mnist", dict.fromkeys(idx.IDX_NAMES, "0" * 32))
    with pytest.raises(LabError, match="--dataset fashion_mnist"):
        prepare.ensure(data_dir=write_idx(tmp_path / "fashion", small_set()))


# --------------------------------------------------------------------------- choosing, repeating, replacing


def test_a_second_call_does_nothing_and_says_nothing(lab, tmp_path, capsys, monkeypatch):
    folder = write_idx(tmp_path / "idx", small_set())
    prepare.ensure(data_dir=folder)
    before = snapshot(lab)
    capsys.readouterr()
    monkeypatch.setattr(files, "read_tensors", None)  # must be quick: no array may be read
    assert prepare.ensure() == prepare.ensure("mnist") == prepare.ensure(data_dir=folder) == "mnist"
    assert capsys.readouterr().out == ""
    assert snapshot(lab) == before


def test_the_stand_in_stays_until_mnist_can_be_had(lab, hub, tmp_path, monkeypatch, capsys):
    assert prepare.ensure() == "digits"
    before = snapshot(lab)
    capsys.readouterr()
    put_on_hub(hub, small_set())
    assert prepare.ensure() == prepare.ensure("digits") == "digits"  # the other scripts do not look again
    assert capsys.readouterr().out == ""
    with monkeypatch.context() as offline:
        offline.setenv("HF_ENDPOINT", NOWHERE)
        assert prepare.ensure(look_again=True) == "digits"
    assert snapshot(lab) == before  # in vain: nothing is touched
    assert prepare.ensure(look_again=True) == "mnist"
    assert_small_set(lab)
    shutil.rmtree(lab)
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert prepare.ensure() == "digits"
    monkeypatch.setenv("MNIST_DIR", str(write_idx(tmp_path / "idx", small_set())))  # the user means it
    assert prepare.ensure() == "mnist"
    assert_small_set(lab)


def test_mnist_asked_for_by_name_is_never_replaced_by_the_stand_in(lab):
    with pytest.raises(LabError, match="MNIST_DIR.*--dataset digits"):
        prepare.ensure("mnist")
    assert list(lab.iterdir()) == []
    assert prepare.ensure() == "digits"
    before = snapshot(lab)
    with pytest.raises(LabError, match="cannot be had"):
        prepare.ensure("mnist")
    assert snapshot(lab) == before


def test_each_data_set_has_its_own_folder(lab, tmp_path, monkeypatch):
    prepare.ensure(data_dir=write_idx(tmp_path / "idx", small_set()))
    assert prepare.ensure("digits") == "digits"
    assert len(load_split("test", "digits")[0]) == 360
    with pytest.raises(LabError, match="Fashion-MNIST cannot be had.*FASHION_MNIST_DIR"):  # it has no stand-in
        prepare.ensure("fashion_mnist")
    monkeypatch.setitem(idx.KNOWN_MD5, "fashion_mnist", {})
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tmp_path / "idx"))
    assert prepare.ensure("fashion_mnist") == "fashion_mnist"
    assert_tidy(lab, "mnist_encoded", "digits_encoded", "fashion_mnist_encoded")


def test_choices_that_make_no_sense_are_one_line(lab, tmp_path):
    for choice, named in (
        ({"dataset": "cifar"}, "fashion_mnist"),
        ({"dataset": "digits", "data_dir": tmp_path}, "--data_dir"),
        ({"data_dir": ""}, "--data_dir"),
        ({"data_dir": tmp_path / "nowhere"}, "nowhere"),
        ({"data_dir": tmp_path}, "train-images-idx3-ubyte"),
    ):
        with pytest.raises(LabError, match=named):
            prepare.ensure(**choice)
    with pytest.raises(LabError, match="--dataset"):
        load_resources.main(["--dataset", "cifar"])
    lab.mkdir(exist_ok=True)
    (lab / "mnist_encoded").write_text("")
    with pytest.raises(LabError, match="is a file"):
        prepare.ensure()
    (lab / "mnist_encoded").unlink()
    (lab / "mnist_encoded").mkdir()
    (lab / "mnist_encoded" / "theirs").touch()
    with pytest.raises(LabError, match="move the folder away"):
        prepare.ensure()


# --------------------------------------------------------------------------- damage, interruption, a full disk


def test_a_damaged_folder_is_prepared_again_and_never_replaced_by_the_stand_in(lab, tmp_path):
    folder = write_idx(tmp_path / "idx", small_set())
    prepare.ensure(data_dir=folder)
    for name in ("train.safetensors", "test.safetensors", "source.json"):
        path = lab / "mnist_encoded" / name
        for content in (path.read_bytes()[:-60], b"", *[None] * (name != "source.json")):
            path.write_bytes(content) if content is not None else path.unlink()
            assert prepare.ensure(data_dir=folder) == "mnist", name
            assert_small_set(lab)
    (lab / "mnist_encoded" / "train.safetensors").unlink()
    before = snapshot(lab)
    with pytest.raises(LabError, match="cannot be had"):
        prepare.ensure()
    assert snapshot(lab) == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("at", [0, 1])
def test_whatever_stops_the_exchange_the_former_folder_stays(lab, tmp_path, monkeypatch, stop, at):
    prepare.ensure()
    before = snapshot(lab)
    folder = write_idx(tmp_path / "idx", small_set())
    real, calls = os.replace, []

    def replace(source, target):
        if Path(source).suffix != ".json" and Path(target).suffix != ".json":
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


@POSIX
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_download_leaves_the_former_folder(hub, lab, monkeypatch, signal_number):
    prepare.ensure()
    before = snapshot(lab)
    put_on_hub(hub, small_set(), "silent_body")
    status, _, err = stopped_download(hub, by=signal_number)
    after = {path: content for path, content in snapshot(lab).items() if ".partial" not in str(path)}
    assert after == before
    if signal_number == signal.SIGINT:
        assert status == 130 and err == "\nstopped: nothing half-written is left behind\n"
    else:  # the next command tidies up
        monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
        prepare.ensure(look_again=True)
    assert_tidy(lab)


@POSIX
@pytest.mark.parametrize("source", ["the Hub", "a mirror", "IDX files"])
def test_a_full_disk_is_one_line_and_leaves_nothing(hub, lab, tmp_path, monkeypatch, capsys, source):
    monkeypatch.setattr(prepare, "IDX_MIRRORS", {"mnist": (f"{hub.url}/idx/",)})
    if source == "the Hub":
        put_on_hub(hub, small_set())
    elif source == "a mirror":
        put_on_mirror(hub, small_set())
        monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    else:
        monkeypatch.setenv("MNIST_DIR", str(write_idx(tmp_path / "idx", small_set())))
    with full_disk(5_000):
        assert script() == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: the disk is full") and err.count("\n") == 1
    assert out.count("dropped") == (source == "a mirror")  # only the Hub, which is down: the disk is not the source's
    assert list(lab.iterdir()) == []


# --------------------------------------------------------------------------- the script


def save_networks(folder):
    import model

    save_network(model.AE(), folder / "ae")
    save_network(model.ClassUNet(), folder / "ddpm")
    return ["--ae", folder / "ae", "--ddpm", folder / "ddpm"]


def test_the_script_says_what_is_there(lab, tmp_path, capsys):
    networks = save_networks(tmp_path)
    folder = write_idx(tmp_path / "idx", small_set())
    assert script("--data_dir", folder, *networks) == 0
    out = capsys.readouterr().out
    facts = ("MNIST", str(folder), "30 for training, 20 for testing", f"from {tmp_path}")
    assert [fact for fact in facts if fact not in out] == []
    lines = out.splitlines()[-7:]
    labels = ["data set", "source", "images", "AutoEncoder", "diffusion", "device", "next: python train.py --use_pca"]
    assert [label for label, line in zip(labels, lines, strict=True) if not line.startswith(label)] == []
    assert script(*networks) == 0
    assert "prepared " + str(lab) not in capsys.readouterr().out.splitlines()


def test_a_network_that_does_not_load_is_an_error_line(tmp_path, capsys):
    networks = save_networks(tmp_path)
    for weights in (b"broken", (tmp_path / "ddpm" / "model.safetensors").read_bytes()):  # all kinds: test_hub_models.py
        (tmp_path / "ae" / "model.safetensors").write_bytes(weights)
        assert script("--dataset", "digits", *networks) == 2
        out, err = capsys.readouterr()
        assert err.count("\n") == 1 and err.startswith("error: ") and str(tmp_path / "ae") in err
        assert f"from {tmp_path / 'ddpm'}" in out and "device" in out and "next" in out  # the rest is still reported


def test_a_broken_or_missing_torch_is_one_line_after_all_else_was_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)  # cannot be imported, and passes for one that is not there
    for is_there in (True, False):
        monkeypatch.setattr(networks, "has_torch", lambda is_there=is_there: is_there)
        assert script("--dataset", "digits") == 2
        out, err = capsys.readouterr()
        assert err.startswith("error: torch") and "pip install" in err and err.count("\n") == 1
        assert "data set" in out and "diffusion" in out and "next" in out


# --------------------------------------------------------------------------- the real data


# Read at import: the fixture ``lab`` takes the variables away from every test.
REAL = {dataset: os.environ.get(variable) for dataset, variable in IDX_DIR_VARIABLE.items()}


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_the_real_data_are_prepared(lab, dataset, monkeypatch):
    if not REAL[dataset]:
        pytest.skip(f"{IDX_DIR_VARIABLE[dataset]} is not set")
    monkeypatch.undo()
    monkeypatch.setenv("LAB_HOME", str(lab))
    assert prepare.ensure(dataset, REAL[dataset]) == dataset
    train, test = (load_split(split, dataset)[0] for split in ("train", "test"))
    assert train.shape == (60_000, 1, 28, 28) and test.shape == (10_000, 1, 28, 28)
    # published means of the training pixels
    assert train.mean() / 255 == pytest.approx({"mnist": 0.1307, "fashion_mnist": 0.2860}[dataset], abs=1e-4)
