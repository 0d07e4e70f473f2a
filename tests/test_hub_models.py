"""Networks from the Hub: what loads, and the one line for everything that does not.

The Hub is emulated on loopback (hub.py); its client is the real one.
"""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from conftest import full_disk
from hub import NOWHERE, POSIX, REASONS, TOKEN, FakeHub, use_hub
from safetensors.torch import save

import model
from hi_mnist import cli, download
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT
from hi_mnist.networks import load_ae, load_ddpm, save_network

AE_ID, DDPM_ID = "someone/their-ae", "someone/their-ddpm"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The files of a fresh AutoEncoder and a fresh diffusion model, by Hub id, and the networks themselves."""
    torch.manual_seed(0)
    networks = {AE_ID: model.AE(), DDPM_ID: model.ClassUNet(channels=16, inner_channels=32, emb_dim=16)}
    files = {}
    for repo_id, network in networks.items():
        folder = tmp_path_factory.mktemp("saved")
        save_network(network, folder)
        files[repo_id] = {name: (folder / name).read_bytes() for name in ("config.json", WEIGHTS)}
    return files, networks


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub, and an empty cache."""
    with FakeHub() as hub:
        use_hub(monkeypatch, tmp_path / "hf", hub.url)
        yield hub


@pytest.fixture
def cache(tmp_path):
    """The folder in which the Hub's client keeps the AutoEncoder's files."""
    return tmp_path / "hf" / "hub" / "models--someone--their-ae"


@pytest.fixture
def offline(monkeypatch):
    """A function that sets the client's offline mode."""
    from huggingface_hub import constants

    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def put(hub, files, repo_id=AE_ID, fault=None, weights_fault=None):
    for name, data in files.items():
        hub.add_file("model", repo_id, name, data, weights_fault if name == WEIGHTS and weights_fault else fault)


def weights_bytes(weights):
    return save({name: values.contiguous() for name, values in weights.items()}, {"format": "pt"})


def refusal(load=load_ae, source=AE_ID, flag="--ae"):
    """The line that refuses a source; it must name the source and the flag to choose another."""
    with pytest.raises(LabError) as error:
        load(source)
    line = cli.explain(error.value)
    assert "\n" not in line and source in line and flag in line
    return line


# --------------------------------------------------------------------------- what loads


@pytest.mark.parametrize("fault", [None, "redirect"])
def test_networks_on_the_hub_load(hub, saved, fault):
    files, networks = saved
    for load, repo_id in ((load_ae, AE_ID), (load_ddpm, DDPM_ID)):
        put(hub, files[repo_id], repo_id, weights_fault=fault)
        loaded = load(repo_id)
        assert not loaded.training
        expected = networks[repo_id].state_dict()
        assert all(torch.equal(value.cpu(), expected[name]) for name, value in loaded.state_dict().items())
    assert all("/resolve/" in path for _, path in hub.requests)  # no telemetry


def test_a_network_that_was_loaded_once_loads_whatever_becomes_of_the_hub(hub, saved, monkeypatch, offline):
    monkeypatch.setattr(download, "SILENCE_LIMIT", 0.4)
    put(hub, saved[0][AE_ID])
    first = load_ae(AE_ID)
    hub.commit = "f" * 40
    newer = {name: values + 1 for name, values in first.state_dict().items()}
    put(hub, saved[0][AE_ID] | {WEIGHTS: weights_bytes(newer)})

    def assert_newer():
        assert all(torch.equal(value, newer[name]) for name, value in load_ae(AE_ID).state_dict().items())

    assert_newer()
    for hub.mode in ("silent", "500", "refused"):
        with monkeypatch.context() as patch:
            if hub.mode == "refused":
                patch.setenv("HF_ENDPOINT", NOWHERE)
            assert_newer()
    hub.mode = "404"  # even a Hub that has lost the repository: what was downloaded stays usable offline
    offline()
    hub.requests.clear()
    assert_newer()
    assert hub.requests == []


def test_a_private_network_needs_its_owners_token(hub, saved, monkeypatch, tmp_path):
    put(hub, saved[0][AE_ID], fault="private")
    assert "needs your token" in refusal()
    (tmp_path / "hf").mkdir(exist_ok=True)
    (tmp_path / "hf" / "token").write_text(TOKEN)  # where the Hub's login puts it
    load_ae(AE_ID)
    (tmp_path / "hf" / "token").unlink()
    put(hub, saved[0][DDPM_ID], DDPM_ID, fault="private")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    load_ddpm(DDPM_ID)


# --------------------------------------------------------------------------- what the Hub does not give


def test_a_hub_that_fails_is_one_line_with_its_reason_and_leaves_nothing(hub, saved, cache, monkeypatch, offline):
    monkeypatch.setattr(download, "SILENCE_LIMIT", 0.4)
    reasons = {"empty": "no public repository"} | {fault: REASONS[fault] for fault in ("silent", "500", "loop")}
    reasons |= {"refused": "cannot be reached", "offline": "HF_HUB_OFFLINE"}
    for fault, reason in reasons.items():
        if fault == "refused":
            monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
        elif fault == "offline":
            offline()
        elif fault != "empty":
            put(hub, saved[0][AE_ID], fault=fault)
        assert re.search(reason, refusal()), fault
        assert list(cache.rglob("*.incomplete")) == [], fault


def test_a_hub_that_lacks_a_file_is_one_line_and_a_pickle_is_never_read(hub, saved):
    assert "not a Hub id" in refusal(source="no/such/folder")
    assert hub.requests == []
    config, weights = saved[0][AE_ID]["config.json"], saved[0][AE_ID][WEIGHTS]
    put(hub, {WEIGHTS: weights}, "someone/no-config")
    assert "lacks the file config.json" in refusal(source="someone/no-config")
    put(hub, {"config.json": config, "pytorch_model.bin": b"a pickle could run anything"})
    assert f"lacks the file {WEIGHTS}" in refusal()
    assert not any("pytorch_model.bin" in path for _, path in hub.requests)


@POSIX
def test_a_disk_that_fills_is_not_the_hubs_fault(hub, saved, capfd):
    put(hub, saved[0][AE_ID])
    with full_disk(5_000):
        assert cli.run_script(lambda: load_ae(AE_ID)) == 2
    assert capfd.readouterr().err.startswith("error: the disk is full")
    load_ae(AE_ID)


# --------------------------------------------------------------------------- files that are not a network of this lab


def test_files_that_are_not_a_network_are_one_line(saved, tmp_path):
    files, networks = saved
    config = json.loads(files[AE_ID]["config.json"])
    cases = [
        ("a page", {WEIGHTS: b"<html>please log in</html>"}, "does not hold"),
        ("no byte", {WEIGHTS: b""}, "does not hold"),
        ("half a file", {WEIGHTS: files[AE_ID][WEIGHTS][:100_000]}, "does not hold"),
        ("half a config", {"config.json": b"{"}, "does not hold"),
        ("a list", {"config.json": b"[1, 2]"}, "does not hold"),
        ("a setting of others", {"config.json": b'{"depth": 3}'}, "does not hold"),
        ("another shape", {"config.json": json.dumps(config | {"embedding_dim": 3}).encode()}, "does not hold"),
        ("another network", files[DDPM_ID], "does not hold"),
    ]
    for value in (float("nan"), float("-inf")):
        weights = {name: values.clone() for name, values in networks[AE_ID].state_dict().items()}
        name = list(weights)[-1]
        weights[name].view(-1)[0] = value
        cases.append((str(value), {WEIGHTS: weights_bytes(weights)}, f"{name} in {tmp_path / WEIGHTS} holds NaN"))
    for what, changed, cause in cases:
        for name, data in (files[AE_ID] | changed).items():
            (tmp_path / name).write_bytes(data)
        assert cause in (line := refusal(source=str(tmp_path))), what
        assert any(str(tmp_path / name) in line for name in files[AE_ID]), line  # what to delete from the Hub's cache
    for name, data in files[AE_ID].items():
        (tmp_path / name).write_bytes(data)
    assert "does not hold" in refusal(load_ddpm, str(tmp_path), "--ddpm")


def test_the_variables_of_a_user_are_respected(hub, saved):
    put(hub, saved[0][AE_ID])  # HF_ENDPOINT and HF_HOME are set by the fixture
    code = "from hi_mnist import networks as n; print(n.find_network(n.AE_NETWORK).weights)"
    environment = os.environ | {"LAB_AE": AE_ID}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(os.environ["HF_HOME"])
    assert any(WEIGHTS in path for _, path in hub.requests)
