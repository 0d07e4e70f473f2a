"""Networks from the Hub: what loads, and the one line for everything that does not.

The Hub is emulated on loopback (hub.py), the client is the real one. It reads the variables that a user sets when it is
imported, so most tests hand it the same by arguments; one runs in a process of its own, with the variables.
"""

import json
import os
import subprocess
import sys

import huggingface_hub
import numpy as np
import pytest
import torch
from hub import FakeHub
from huggingface_hub import constants

import model
import utils

AE_ID, DDPM_ID = "someone/their-ae", "someone/their-ddpm"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The files of a fresh AutoEncoder and a fresh diffusion model, by Hub id, and the networks themselves."""
    torch.manual_seed(0)
    networks = {AE_ID: model.AE(), DDPM_ID: model.ClassUNet(channels=16, inner_channels=32, emb_dim=16)}
    files = {}
    for repo_id, network in networks.items():
        folder = tmp_path_factory.mktemp("saved")
        utils.save_network(network, folder)
        files[repo_id] = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    return files, networks


@pytest.fixture
def hub(tmp_path, monkeypatch):
    for variable in ("LAB_AE", "LAB_DDPM", "LAB_DEVICE", "HF_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    download = huggingface_hub.hf_hub_download
    with FakeHub() as hub:
        hub.endpoint = hub.url

        def download_from_hub(*args, **options):
            return download(*args, endpoint=hub.endpoint, cache_dir=tmp_path / "cache", **options)

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download_from_hub)
        yield hub


def put(hub, files, repo_id=AE_ID):
    for name, data in files.items():
        hub.add_file("model", repo_id, name, data)


def refusal(load=utils.load_ae, source=AE_ID, flag="--ae"):
    """The line in which a source is refused; it must name the source and the flag that chooses another."""
    with pytest.raises(utils.LabError) as error:
        load(source)
    line = utils.explain(error.value)
    assert "\n" not in line and source in line and flag in line
    return line


@pytest.mark.parametrize(("load", "repo_id"), [(utils.load_ae, AE_ID), (utils.load_ddpm, DDPM_ID)])
def test_a_network_on_the_hub_loads(hub, saved, load, repo_id):
    files, networks = saved
    put(hub, files[repo_id], repo_id)
    loaded = load(repo_id)
    assert not loaded.training
    expected = networks[repo_id].state_dict()
    for name, value in loaded.state_dict().items():
        assert torch.equal(value.cpu(), expected[name])


def test_a_network_that_was_loaded_once_loads_offline(hub, saved, monkeypatch):
    put(hub, saved[0][AE_ID])
    first = utils.load_ae(AE_ID)
    hub.mode = "404"  # even a Hub that has lost the repository: what was downloaded stays usable offline
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    n_requests = len(hub.requests)
    again = utils.load_ae(AE_ID)
    assert len(hub.requests) == n_requests
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), np.uint8)
    np.testing.assert_array_equal(utils.ae_encode(first, images), utils.ae_encode(again, images))


def test_a_hub_that_is_switched_off_leaves_the_cache_usable(hub, saved):
    put(hub, saved[0][AE_ID])
    utils.load_ae(AE_ID)
    hub.endpoint = "http://127.0.0.1:9"  # refused at once
    utils.load_ae(AE_ID)


def test_offline_and_not_in_the_cache(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "not in the Hub's cache" in refusal()
    assert hub.requests == []


def test_no_such_repository(hub):
    assert "no public Hub repository" in refusal()
    assert "no public Hub repository" in refusal(utils.load_ddpm, DDPM_ID, "--ddpm")


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


def test_a_network_of_another_shape_is_one_line(hub, saved):
    files = saved[0]
    config = json.loads(files[AE_ID]["config.json"]) | {"embedding_dim": 3}
    put(hub, files[AE_ID] | {"config.json": json.dumps(config).encode()})
    refusal()
    put(hub, files[AE_ID], "someone/an-ae")
    refusal(utils.load_ddpm, "someone/an-ae", "--ddpm")  # an AutoEncoder is no diffusion model


def test_what_is_neither_folder_nor_id(hub):
    assert "neither a folder nor a Hub id" in refusal(source="no/such/folder")
    assert hub.requests == []


def test_the_variables_of_a_user_are_respected(hub, saved, tmp_path):
    put(hub, saved[0][AE_ID])
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "LAB_AE": AE_ID}
    environment.pop("HF_HUB_CACHE", None)
    code = "import utils; print(utils.network_source(utils.AE_NETWORK)); utils.load_ae()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=utils.ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == AE_ID
    assert any("model.safetensors" in path for _, path in hub.requests)
