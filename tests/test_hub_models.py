"""Networks from the Hub: what loads, and the one line for everything that does not.

The Hub is emulated on loopback (hub.py); its client is the real one, in the process of its own in which every download
runs, and is set by the variables that a user would set.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from conftest import wait_until
from hub import TOKEN, FakeHub

import model
from hi_mnist import cli, download
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from hi_mnist.networks import _check_blob, ae_encode, load_ae, load_ddpm, save_network

NOWHERE = "http://127.0.0.1:9"  # the discard port: refused at once
AE_ID, DDPM_ID = "someone/their-ae", "someone/their-ddpm"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The files of a fresh AutoEncoder and a fresh diffusion model, by Hub id, and the networks themselves."""
    torch.manual_seed(0)
    networks = {AE_ID: model.AE(), DDPM_ID: model.ClassUNet(channels=16, inner_channels=32, emb_dim=16)}
    files = {}
    for repo_id, network in networks.items():
        folder = tmp_path_factory.mktemp("saved")
        save_network(network, folder)
        files[repo_id] = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    return files, networks


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub, and an empty cache."""
    for variable in ("LAB_AE", "LAB_DDPM", "LAB_DEVICE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with FakeHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def cache(tmp_path):
    """The folder in which the Hub's client keeps the AutoEncoder's files."""
    return tmp_path / "hf" / "hub" / "models--someone--their-ae"


@contextlib.contextmanager
def at_most(seconds):
    """Beyond the second or two that a process with the Hub's client in it takes to start on a busy machine."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds + 2


def put(hub, files, repo_id=AE_ID, fault=None):
    for name, data in files.items():
        hub.add_file("model", repo_id, name, data, fault)


def weights_bytes(weights):
    from safetensors.torch import save

    return save({name: values.contiguous() for name, values in weights.items()}, {"format": "pt"})


def refusal(load=load_ae, source=AE_ID, flag="--ae"):
    """The line in which a source is refused; it must name the source and the flag that chooses another."""
    with pytest.raises(LabError) as error:
        load(source)
    line = cli.explain(error.value)
    assert "\n" not in line and source in line and flag in line
    return line


@pytest.mark.parametrize(("load", "repo_id"), [(load_ae, AE_ID), (load_ddpm, DDPM_ID)])
def test_a_network_on_the_hub_loads(hub, saved, load, repo_id):
    files, networks = saved
    put(hub, files[repo_id], repo_id)
    loaded = load(repo_id)
    assert not loaded.training
    expected = networks[repo_id].state_dict()
    for name, value in loaded.state_dict().items():
        assert torch.equal(value.cpu(), expected[name])
    assert all("/resolve/" in path for _, path in hub.requests)  # no telemetry, which may hang


def test_a_network_that_was_loaded_once_loads_offline(hub, saved, monkeypatch, capfd):
    put(hub, saved[0][AE_ID])
    first = load_ae(AE_ID)
    hub.mode = "404"  # even a Hub that has lost the repository: what was downloaded stays usable offline
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    n_requests = len(hub.requests)
    again = load_ae(AE_ID)
    assert len(hub.requests) == n_requests
    assert capfd.readouterr().err == ""  # it is what the user chose
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), np.uint8)
    np.testing.assert_array_equal(ae_encode(first, images), ae_encode(again, images))


def test_a_hub_that_is_switched_off_leaves_the_cache_usable(hub, saved, monkeypatch, capfd):
    put(hub, saved[0][AE_ID])
    load_ae(AE_ID)
    capfd.readouterr()
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    with at_most(1):
        load_ae(AE_ID)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{AE_ID}: taking the copy in the Hub's cache (it cannot be reached")


@pytest.mark.parametrize("fault", ["silent", "500"])
def test_a_hub_that_fails_leaves_the_cache_usable(hub, saved, capfd, fault):
    put(hub, saved[0][AE_ID])
    load_ae(AE_ID)
    hub.mode = fault
    with at_most(download.CACHED_LIMIT + 1):
        load_ae(AE_ID)
    assert "taking the copy in the Hub's cache" in capfd.readouterr().err


def test_a_newer_version_on_the_hub_is_taken(hub, saved):
    put(hub, saved[0][AE_ID])
    before = load_ae(AE_ID).state_dict()
    hub.commit = "f" * 40
    newer = {name: values + 1 for name, values in before.items()}
    put(hub, saved[0][AE_ID] | {"model.safetensors": weights_bytes(newer)})
    after = load_ae(AE_ID).state_dict()
    assert all(torch.equal(after[name], newer[name]) for name in newer)


def test_offline_and_not_in_the_cache(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with at_most(1):
        line = refusal()
    assert "not in the Hub's cache" in line and "HF_HUB_OFFLINE" in line
    assert hub.requests == []


def test_a_hub_that_is_switched_off_is_one_line_at_once(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    with at_most(1):
        line = refusal()
    assert "not in the Hub's cache" in line and "check the network" in line


@pytest.mark.parametrize("fault", ["silent", "silent_body"])
def test_a_hub_that_falls_silent_is_dropped_in_time_and_leaves_nothing(hub, saved, cache, fault):
    put(hub, saved[0][AE_ID])
    hub.add_file("model", AE_ID, "model.safetensors", saved[0][AE_ID]["model.safetensors"], fault)
    with at_most(download.SILENCE_LIMIT + 1):
        line = refusal()
    assert f"no byte for {download.SILENCE_LIMIT:.0f} s" in line
    if os.name != "nt":
        assert list(cache.rglob("*.incomplete")) == []


def test_a_slow_network_that_moves_is_never_cut(hub, saved, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_LIMIT", 1.5)
    monkeypatch.setattr(download, "TOTAL_LIMIT", 3.0)
    hub.pieces, hub.pause = 20, 0.2
    put(hub, saved[0][AE_ID])
    hub.add_file("model", AE_ID, "model.safetensors", saved[0][AE_ID]["model.safetensors"], "trickle")
    start = time.monotonic()
    load_ae(AE_ID)
    assert time.monotonic() - start > download.TOTAL_LIMIT  # or this test shows nothing


def test_a_hub_that_cuts_again_and_again_is_one_line(hub, saved):
    put(hub, saved[0][AE_ID])
    hub.add_file("model", AE_ID, "model.safetensors", saved[0][AE_ID]["model.safetensors"], "cut")
    with at_most(10):
        assert "cut model.safetensors short" in refusal()


def test_a_download_that_was_cut_once_goes_on(hub, saved):
    put(hub, saved[0][AE_ID])
    hub.add_file("model", AE_ID, "model.safetensors", saved[0][AE_ID]["model.safetensors"], "cut_once")
    load_ae(AE_ID)


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")
def test_ctrl_c_stops_a_download_and_leaves_nothing(hub, saved, cache):
    put(hub, saved[0][AE_ID], fault="silent_body")

    def interrupt():
        while not any(method == "GET" for method, _ in hub.requests):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        load_ae(AE_ID)
    assert list(cache.rglob("*.incomplete")) == []


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")
def test_ctrl_c_in_load_resources_stops_the_download_of_its_second_process(hub, saved, cache, standin):
    put(hub, saved[0][AE_ID], fault="silent_body")
    command = [sys.executable, ROOT / "load_resources.py", "--dataset", "digits", "--ae", AE_ID]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(method == "GET" and AE_ID in path for method, path in hub.requests))
    time.sleep(0.2)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)  # waits until nobody holds the pipes any more
    assert time.monotonic() - started < download.SILENCE_LIMIT  # it was stopped, not given up
    assert process.returncode == 130 and err == "\nstopped: nothing half-written is left behind\n"
    assert "data set" in out and "next" not in out
    wait_until(lambda: list(cache.rglob("*.incomplete")) == [], seconds=2)  # the third process clears up


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_disk_that_fills_is_not_the_hubs_fault(hub, saved):
    put(hub, saved[0][AE_ID])
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))\n"
        f"import sys, utils; sys.exit(utils.run_script(lambda: utils.load_ae({AE_ID!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: the disk is full"), done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_disk_that_fills_leaves_the_older_copy_usable(hub, saved):
    put(hub, saved[0][AE_ID])
    load_ae(AE_ID)
    hub.commit = "f" * 40
    newer = {name: values + 1 for name, values in saved[1][AE_ID].state_dict().items()}
    put(hub, saved[0][AE_ID] | {"model.safetensors": weights_bytes(newer)})
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))\n"
        f"import utils; utils.load_ae({AE_ID!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "taking the copy in the Hub's cache" in done.stderr, done.stderr


# --------------------------------------------------------------------------- tokens


def test_a_private_network_needs_its_owners_token(hub, saved, monkeypatch, tmp_path):
    put(hub, saved[0][AE_ID], fault="private")
    assert "no public Hub repository" in refusal()
    (tmp_path / "hf").mkdir(exist_ok=True)
    (tmp_path / "hf" / "token").write_text(TOKEN)  # where the Hub's login puts it
    load_ae(AE_ID)
    (tmp_path / "hf" / "token").unlink()
    shutil.rmtree(tmp_path / "hf" / "hub")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    load_ae(AE_ID)


def test_a_stale_token_does_not_stand_in_the_way_of_a_public_network(hub, saved, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_an_old_one")
    put(hub, saved[0][AE_ID])
    load_ae(AE_ID)
    put(hub, saved[0][DDPM_ID], DDPM_ID, fault="private")
    assert "no public Hub repository" in refusal(load_ddpm, DDPM_ID, "--ddpm")


# --------------------------------------------------------------------------- what the Hub does not have


def test_no_such_repository(hub):
    assert "no public Hub repository" in refusal()
    assert "no public Hub repository" in refusal(load_ddpm, DDPM_ID, "--ddpm")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_repository_that_lacks_a_file(hub, saved, missing):
    put(hub, {name: data for name, data in saved[0][AE_ID].items() if name != missing})
    assert "lacks a file" in refusal()


def test_a_repository_that_only_holds_a_pickle_is_refused_unread(hub, saved):
    put(hub, {"config.json": saved[0][AE_ID]["config.json"], "pytorch_model.bin": b"a pickle could run anything"})
    assert "lacks a file" in refusal()
    assert not any("pytorch_model.bin" in path for _, path in hub.requests)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.safetensors", b"<html>please log in</html>"),
        ("model.safetensors", b""),
        ("config.json", b"{"),
        ("config.json", b"[1, 2]"),
        ("config.json", b'{"depth": 3}'),
    ],
)
def test_a_damaged_file_is_one_line(hub, saved, name, data):
    put(hub, saved[0][AE_ID] | {name: data})
    assert "does not hold" in refusal()


def test_truncated_weights_are_one_line(hub, saved):
    weights = saved[0][AE_ID]["model.safetensors"]
    put(hub, saved[0][AE_ID] | {"model.safetensors": weights[: len(weights) // 2]})
    refusal()


def test_wrong_bytes_in_the_right_number_are_found_and_mended(hub, saved, cache):
    """A sound file of sound numbers, if it is not the one that the Hub announced: only its checksum tells."""
    files = saved[0][AE_ID]
    put(hub, files)
    hub.add_file("model", AE_ID, "model.safetensors", files["model.safetensors"], "corrupt")
    for _ in range(2):  # downloaded, then from the cache
        line = refusal()
        assert "model.safetensors" in line and "SHA-256" in line
        (blob,) = [path for path in (cache / "blobs").iterdir() if str(path) in line]
    put(hub, files)
    blob.unlink()  # as the line says
    load_ae(AE_ID)


def test_a_blob_that_rots_in_the_cache_is_found(hub, saved, cache, monkeypatch):
    put(hub, saved[0][AE_ID])
    load_ae(AE_ID)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (path,) = cache.rglob("model.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.resolve().write_bytes(content)
    assert str(path.resolve()) in refusal()


def test_a_file_with_another_kind_of_name_in_the_cache_is_not_compared(hub, saved, cache):
    """Small files' names are not SHA-256, and where there are no symbolic links there are no such names."""
    put(hub, saved[0][AE_ID])
    load_ae(AE_ID)
    for path in cache.rglob("snapshots/*/*"):
        blob = path.resolve()
        path.unlink()
        if path.suffix == ".json":
            path.symlink_to(blob.rename(blob.with_name("0" * 40)))
        else:
            blob.rename(path)
    _check_blob(next(cache.rglob("config.json")), AE_ID, "")
    _check_blob(next(cache.rglob("model.safetensors")), AE_ID, "")


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
@pytest.mark.parametrize("load, repo_id, flag", [(load_ae, AE_ID, "--ae"), (load_ddpm, DDPM_ID, "--ddpm")])
def test_weights_that_are_no_numbers_are_one_line(saved, tmp_path, value, load, repo_id, flag):
    weights = {name: values.clone() for name, values in saved[1][repo_id].state_dict().items()}
    name = list(weights)[-1]
    weights[name].view(-1)[0] = value
    (tmp_path / "config.json").write_bytes(saved[0][repo_id]["config.json"])
    (tmp_path / "model.safetensors").write_bytes(weights_bytes(weights))
    assert f"{name} in {tmp_path / 'model.safetensors'} holds NaN or infinity" in refusal(load, str(tmp_path), flag)


def test_a_network_of_another_shape_is_one_line(hub, saved):
    files = saved[0]
    config = json.loads(files[AE_ID]["config.json"]) | {"embedding_dim": 3}
    put(hub, files[AE_ID] | {"config.json": json.dumps(config).encode()})
    refusal()
    put(hub, files[AE_ID], "someone/an-ae")
    refusal(load_ddpm, "someone/an-ae", "--ddpm")  # an AutoEncoder is no diffusion model


def test_what_is_neither_folder_nor_id(hub):
    assert "neither a folder nor a Hub id" in refusal(source="no/such/folder")
    assert hub.requests == []


def test_the_variables_of_a_user_are_respected(hub, saved, tmp_path):
    put(hub, saved[0][AE_ID])
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "LAB_AE": AE_ID}
    environment.pop("HF_HUB_CACHE", None)
    code = "from hi_mnist import networks as n; print(n.network_source(n.AE_NETWORK)); n.load_ae()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == AE_ID
    assert any("model.safetensors" in path for _, path in hub.requests)
