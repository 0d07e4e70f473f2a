"""Training the shipped networks: seconds-long runs, resuming, and no label in the autoencoder."""

import numpy as np
import pytest
import torch
from torch import nn

from hi_mnist import networks
from hi_mnist.cli import LabError
from staff import pretrain
from staff.augment import distort


def fit_line(work_dir, steps, interrupt_at=None):
    """Train a straight line for some steps; optionally press Ctrl-C in between."""
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    work_dir.mkdir(exist_ok=True)
    training = pretrain.Training(net, "line", steps, work_dir, lr=0.05, seed=0, ema=0.9)

    def loss(generator):
        if training.step == interrupt_at:
            raise KeyboardInterrupt
        x = torch.randn(16, 3, generator=generator)
        return (net(x) - x.sum(dim=1, keepdim=True)).square().mean()

    training.run(loss)
    return training


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = fit_line(tmp_path / "whole", 40)
    with pytest.raises(KeyboardInterrupt):
        fit_line(tmp_path / "halves", 40, interrupt_at=17)
    resumed = fit_line(tmp_path / "halves", 40)
    assert resumed.step == 40
    for key, value in whole.averaged.items():
        assert torch.equal(value, resumed.averaged[key])


def test_a_loss_that_is_not_a_number_stops_with_a_remedy(tmp_path):
    training = pretrain.Training(nn.Linear(1, 1), "nan", 5, tmp_path, lr=0.1, seed=0)
    with pytest.raises(LabError, match="lower --lr"):
        training.run(lambda generator: torch.tensor(float("nan"), requires_grad=True))


def test_labels_change_nothing_about_the_autoencoder(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "lay_out", lambda features, images, seed: features[:, :2].copy())
    images = np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(pretrain.prepare, "ensure", lambda dataset, data_dir=None: dataset)
    weights = []
    for run, labels in enumerate((np.zeros(64, np.int64), np.arange(64) % 10)):
        monkeypatch.setattr(pretrain.data, "load_split", lambda split, dataset, labels=labels: (images, labels))
        out = tmp_path / f"out{run}"
        monkeypatch.setenv("LAB_HOME", str(tmp_path / f"home{run}"))
        train("ae", out, tmp_path / f"work{run}", "--contrast_steps", 4, "--contrast_batch", 32)
        weights.append((out / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def train(network, out, work_dir, *options):
    """A training of seconds."""
    options = ["--dataset", "digits", "--steps", 4, "--batch", 32, "--out", out, "--work_dir", work_dir, *options]
    assert pretrain.main([network, "--device", "cpu", *map(str, options)]) == 0


def test_a_short_training_of_the_ddpm_writes_a_network_that_loads(tmp_path, standin):
    out = tmp_path / "ddpm"
    train("ddpm", out, tmp_path)
    assert networks.draw_digits(networks.load_ddpm(out), [6], steps=1, seed=0).shape == (1, 1, 28, 28)


@pytest.mark.slow
def test_a_short_training_of_the_autoencoder_goes_through_umap(tmp_path, standin):
    pytest.importorskip("umap", reason="umap-learn is in requirements-extra.txt")
    out = tmp_path / "ae"
    train("ae", out, tmp_path, "--contrast_steps", 4, "--contrast_batch", 64)
    assert networks.ae_encode(networks.load_ae(out), np.zeros((3, 1, 28, 28), np.uint8)).shape == (3, 2)


def test_distortions_keep_range_and_shape_repeat_with_the_seed_and_are_none_without_strength():
    x = torch.rand(8, 1, 28, 28)
    a, b, c = (distort(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert a.shape == x.shape
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.min() >= -1e-6 and a.max() <= 1 + 1e-6
    assert torch.allclose(distort(x, torch.Generator().manual_seed(0), strength=0.0), x, atol=1e-5)


def test_impossible_settings_are_refused(tmp_path):
    for option in ("steps", "batch", "lr"):
        with pytest.raises(LabError, match=option):
            pretrain.main(["ddpm", f"--{option}", "0", "--work_dir", str(tmp_path)])
