"""The networks and the diffusion maths: shapes, closed forms, and samplers against a denoiser known in closed form."""

import functools
import math

import pytest
import torch
from companion import one_thread  # noqa: F401
from torch import nn

import model
from model import AE, ClassUNet, add_noise, cosine_schedule, ddim_sample, ddpm_sample, folded, to_pixels


class PointDenoiser(nn.Module):
    """The exact velocity for data that consist of one image a class: constant planes of different grey."""

    num_classes = 10

    def __init__(self):
        super().__init__()
        self.conv_out = nn.Conv2d(1, 4, 1)  # only its width is read
        self.abars = cosine_schedule().alpha_bars.float()
        self.null_calls = 0

    def target(self, labels):
        grey = torch.where(labels == self.num_classes, 0.0, labels / 10 - 0.5)
        return grey[:, None, None, None].expand(-1, 1, 28, 28)

    def forward(self, x, t, labels):
        self.null_calls += int((labels == self.num_classes).sum())
        abar = self.abars[t][:, None, None, None]
        x0 = self.target(labels)
        eps = (x - abar.sqrt() * x0) / (1 - abar).sqrt()
        return abar.sqrt() * eps - (1 - abar).sqrt() * x0


def test_schedule_follows_the_squared_cosine():
    schedule = cosine_schedule(1000)
    grid = torch.arange(1, 1001, dtype=torch.float64) / 1000
    wanted = torch.cos((grid + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    # The last steps differ: their beta is capped at 0.999.
    assert torch.allclose(schedule.alpha_bars[:990], wanted[:990], rtol=1e-9)
    assert (schedule.betas > 0).all()
    assert (schedule.betas <= 0.999).all()
    assert (schedule.alpha_bars.diff() < 0).all()
    assert schedule.posterior_variances[0] == 0


def test_noise_keeps_unit_variance_and_velocity_gives_back_both_parts():
    schedule = cosine_schedule()
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(64, 1, 28, 28, generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    t = torch.randint(0, 1000, (64,), generator=generator)
    x, v = add_noise(x0, noise, t, schedule)
    assert x.var().item() == pytest.approx(1, abs=0.02)
    abar = schedule.alpha_bars[t].float()[:, None, None, None]
    assert torch.allclose(abar.sqrt() * x - (1 - abar).sqrt() * v, x0, atol=1e-5)
    assert torch.allclose((1 - abar).sqrt() * x + abar.sqrt() * v, noise, atol=1e-5)


def test_samplers_find_the_image_that_the_denoiser_knows():
    net, labels = PointDenoiser(), torch.tensor([0, 3, 9])
    for sample, options in ((ddpm_sample, {}), (ddim_sample, {"steps": 50}), (ddim_sample, {"steps": 1})):
        images = sample(net, labels, generator=torch.Generator().manual_seed(1), **options)
        assert torch.allclose(images, net.target(labels), atol=2e-3), (sample, options)
    assert net.null_calls == 0  # without guidance the null class costs nothing


def test_guidance_moves_away_from_the_null_class_and_only_inside_its_interval():
    for sample, guided, narrow, calls in (
        (functools.partial(ddim_sample, steps=20), (0, 1), (0.5, 0.6), (20, 2)),
        (ddpm_sample, (0.0, 0.5), (0.2, 0.3), (126, 26)),  # of 501 and 101 steps, every fourth asks the null class
    ):
        for interval, wanted in zip((guided, narrow), calls, strict=True):
            net, generator = PointDenoiser(), torch.Generator().manual_seed(1)
            images = sample(net, torch.tensor([7]), guidance=1.0, guidance_interval=interval, generator=generator)
            assert net.null_calls == wanted
            if interval == guided:
                assert images.mean().item() > 0.25  # grey 0.2 is asked for, and the null class is 0


def test_samples_repeat_with_the_seed_and_differ_without():
    net = ClassUNet(channels=8, inner_channels=16).eval()
    nn.init.normal_(net.conv_out.weight, std=0.1)
    draw = [ddim_sample(net, torch.tensor([6]), steps=4, generator=torch.Generator().manual_seed(s)) for s in (5, 5, 6)]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
    assert draw[0].abs().max() <= 1


def test_number_of_ddim_steps_is_checked():
    for steps in (0, 1001):
        with pytest.raises(ValueError, match=str(steps)):
            ddim_sample(PointDenoiser(), torch.tensor([1]), steps=steps)


def test_autoencoder_maps_images_to_codes_and_back():
    ae = AE(embedding_dim=3).eval()
    z, y = ae(torch.rand(5, 1, 28, 28))
    assert z.shape == (5, 3)
    assert y.shape == (5, 1, 28, 28)
    assert 0 <= y.min() <= y.max() <= 1


def test_folding_batch_normalisation_changes_no_code():
    torch.manual_seed(0)
    ae = AE()
    ae(torch.rand(64, 1, 28, 28))  # in training mode: the running statistics move away from 0 and 1
    ae.eval()
    x = torch.rand(16, 1, 28, 28)
    plain = folded(ae.encoder)
    assert not [layer for layer in plain if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert torch.allclose(plain(x), ae.encoder(x), atol=1e-5)


def test_recording_the_network_for_many_steps_changes_no_sample(monkeypatch):
    torch.manual_seed(0)
    net = ClassUNet(channels=8, inner_channels=16).eval()
    nn.init.normal_(net.conv_out.weight, std=0.1)
    draw = functools.partial(ddpm_sample, net, torch.tensor([6]), schedule=cosine_schedule(8), guidance=1.0)
    recorded = draw(generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(model._Denoiser, "_frozen", lambda self, net: net)
    assert torch.allclose(recorded, draw(generator=torch.Generator().manual_seed(3)), atol=1e-4)


def test_pixels_saturate_at_both_ends_and_keep_their_order():
    levels = to_pixels(torch.linspace(-1, 1, 1001))
    assert levels.dtype == torch.uint8
    assert (levels.int().diff() >= 0).all()
    assert levels[0] == 0
    assert levels[-1] == 255
    assert to_pixels(torch.tensor([-1 + 3 / 127.5, 0.0, 1 - 3 / 127.5])).tolist() == [0, 128, 255]


def test_unet_uses_image_step_and_class():
    torch.manual_seed(0)
    net = ClassUNet().eval()
    for block in net.modules():  # zero-initialised layers would hide what reaches them
        if isinstance(block, nn.Conv2d):
            nn.init.normal_(block.weight, std=0.05)
    x, t, k = torch.randn(1, 1, 28, 28), torch.tensor([500]), torch.tensor([6])
    out = net(x, t, k)
    assert out.shape == x.shape
    for other in (net(x + 0.1, t, k), net(x, t + 100, k), net(x, t, k + 1), net(x, t, torch.tensor([10]))):
        assert not torch.allclose(out, other)


def test_time_embedding_separates_all_steps():
    table = model.sinusoidal_embedding(torch.arange(1000), 128)
    assert table.shape == (1000, 128)
    assert torch.cdist(table, table).add(torch.eye(1000) * 9).min() > 0.1
