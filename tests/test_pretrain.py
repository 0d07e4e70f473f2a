"""Training the shipped networks: seconds-long runs, resuming, and no label in the autoencoder."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import nn

from hi_mnist import networks
from hi_mnist.cli import LabError
from hi_mnist.data import DataSet
from staff.pretrain import __main__ as pretrain
from staff.pretrain import autoencoder, card, judge, loop, quality
from staff.pretrain.distortions import distort
from staff.pretrain.loop import Training


def fit_line(work_dir, steps, interrupt_at=None):
    """Train a straight line for some steps; optionally press Ctrl-C in between."""
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    work_dir.mkdir(exist_ok=True)
    training = Training(net, "line", steps, work_dir, lr=0.05, seed=0, ema=0.9)

    def loss(generator):
        if training.step == interrupt_at:
            raise KeyboardInterrupt
        x = torch.randn(16, 3, generator=generator)
        return (net(x) - x.sum(dim=1, keepdim=True)).square().mean()

    training.run(loss)
    return training


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch):
    whole = fit_line(tmp_path / "whole", 40)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
    with pytest.raises(KeyboardInterrupt):
        fit_line(tmp_path / "halves", 40, interrupt_at=17)
    resumed = fit_line(tmp_path / "halves", 40)
    assert resumed.step == 40
    for key, value in whole.averaged.items():
        assert torch.equal(value, resumed.averaged[key])


def test_a_loss_that_is_not_a_number_stops_with_a_remedy(tmp_path):
    training = Training(nn.Linear(1, 1), "nan", 5, tmp_path, lr=0.1, seed=0)
    with pytest.raises(LabError, match="another --seed"):
        training.run(lambda generator: torch.tensor(float("nan"), requires_grad=True))


def small(monkeypatch, tmp_path, train_labels):
    """A data set of 64 images of noise in the place of all, and a plane that takes no time."""
    images = np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(pretrain.prepare, "ensure", lambda dataset, data_dir=None: dataset)
    monkeypatch.setattr(pretrain, "load_data_set", lambda dataset: DataSet(images, train_labels, images, train_labels))
    monkeypatch.setattr(autoencoder, "graph_of", lambda features, images, seed: csr_matrix(np.ones((64, 64))))
    monkeypatch.setattr(autoencoder, "lay_out", lambda graph, seed, start=None: images[:, 0, 0, :2].astype(np.float32))
    monkeypatch.setattr(autoencoder.tsne, "nearest", lambda rows, k: (np.arange(64)[:, None].repeat(k, 1), None))
    monkeypatch.setattr(pretrain, "has_umap", lambda: True)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def train(network, out, work_dir, *options):
    """A training of seconds."""
    options = ["--dataset", "digits", "--steps", 4, "--batch", 32, "--out", out, "--work_dir", work_dir, *options]
    assert pretrain.main([network, *map(str, options)]) == 0


SHORT = ("--contrast_steps", 4, "--contrast_batch", 32, "--cluster_steps", 4, "--seeds", 2)


@pytest.mark.filterwarnings("ignore")  # mixtures of noise do not converge
def test_labels_change_nothing_about_the_autoencoder_and_a_finished_training_is_not_repeated(tmp_path, monkeypatch):
    weights = []
    monkeypatch.setattr(autoencoder, "likeness", lambda labellings: [0.1, 0.2])
    for run, labels in enumerate((np.arange(64) // 7, np.arange(64) % 10)):
        small(monkeypatch, tmp_path / f"home{run}", labels)
        out, work = tmp_path / f"out{run}", tmp_path / f"work{run}"
        train("ae", out, work, *SHORT)
        weights.append((out / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == (work / "ae-1" / "model.safetensors").read_bytes()  # the likeness is greater
    monkeypatch.setattr(autoencoder, "train", lambda *_: pytest.fail("trained again"))
    train("ae", tmp_path / "again", work, *SHORT)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == weights[0]
    assert card.START in (tmp_path / "again" / "README.md").read_text(encoding="utf-8")

    def killed(images, args, folder, device):
        assert (folder / "facts.json").exists()  # a kill would leave no time for it
        raise KeyboardInterrupt

    monkeypatch.setattr(autoencoder, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        train("ae", out, tmp_path / "killed", *SHORT)
    for folder in (work, tmp_path / "killed"):
        with pytest.raises(LabError, match="other settings"):
            train("ae", out, folder, *SHORT, "--contrast_steps", 5)
    with pytest.raises(KeyboardInterrupt):
        train("ae", out, work, *SHORT, "--restart")
    assert not (work / "ae-1").exists()  # or the next run would take it for one of this training


def test_the_network_is_chosen_that_agrees_best_with_the_others():
    clusters = np.arange(60) % 3
    half = np.where(np.arange(60) < 10, 0, clusters)
    alike = autoencoder.likeness([half, clusters, (clusters + 1) % 3])
    assert alike[1] == alike[2] > alike[0]
    assert autoencoder.likeness([clusters]) == [1.0]


def test_a_short_training_of_the_ddpm_writes_a_network_that_loads_and_its_card(tmp_path, standin, monkeypatch):
    out = tmp_path / "ddpm"
    monkeypatch.setattr(pretrain, "load_judge", lambda mnist: (judge.Judge(judge.JudgeNet()), 0.5))
    monkeypatch.setattr(quality, "WAYS", [quality.Way(2, 1.0)])
    train("ddpm", out, tmp_path, "--per_class", 2)
    monkeypatch.setattr(quality, "draw_samples", lambda *_: pytest.fail("drawn again"))
    options = ["--dataset", "digits", "--steps", "4", "--batch", "32", "--per_class", "2"]  # pretrained/ is not for it
    assert pretrain.main(["ddpm", *options, "--work_dir", str(tmp_path)]) == 0
    assert (tmp_path / "mnist-ddpm" / "README.md").exists()
    assert networks.draw_digits(networks.load_ddpm(out), [6], steps=1, seed=0).shape == (1, 1, 28, 28)
    assert "2 steps, guidance 1" in (out / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_short_training_of_the_autoencoder_goes_through_umap(tmp_path, standin):
    pytest.importorskip("umap", reason="umap-learn is in requirements-extra.txt")
    out = tmp_path / "ae"
    train("ae", out, tmp_path, *SHORT)
    assert networks.ae_encode(networks.load_ae(out), np.zeros((3, 1, 28, 28), np.uint8)).shape == (3, 2)


def test_distortions_keep_range_and_shape_repeat_with_the_seed_and_are_none_without_strength():
    x = torch.rand(8, 1, 28, 28)
    a, b, c = (distort(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert a.shape == x.shape
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.min() >= -1e-6 and a.max() <= 1 + 1e-6
    assert torch.allclose(distort(x, torch.Generator().manual_seed(0), strength=0.0), x, atol=1e-5)


def test_impossible_settings_are_refused(tmp_path, standin):
    for option, value in (("steps", 0), ("batch", 0), ("lr", 0), ("per_class", 5000)):
        with pytest.raises(LabError, match=option):
            pretrain.main(["ddpm", f"--{option}", str(value), "--work_dir", str(tmp_path), "--dataset", "digits"])
