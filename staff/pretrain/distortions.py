"""Random distortions of digit images that keep what the digit is, for training without labels."""

import torch
import torch.nn.functional as F
from torch import Tensor


def distort(x: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Rotate, scale, shear, shift, bend, thicken or thin each image at random, and blur or partly cover some.

    Args:
        x: float32 (N, C, H, W), 0 the background.
        generator: a CPU generator.
        strength: 1 for contrastive views; below 0.5 nothing is covered, and the rest shrinks with it.

    Returns:
        float32, the shape and device of ``x``.
    """
    n, _, height, width = x.shape

    def uniform(*shape, low=-1.0, high=1.0):
        return (low + (high - low) * torch.rand(shape, generator=generator)).to(x.device)

    angle = 0.35 * strength * uniform(n)  # radians: 20 degrees
    scale = 1 + 0.2 * strength * uniform(n, 2)
    shear = 0.35 * strength * uniform(n)
    shift = 0.2 * strength * uniform(n, 2)  # in half image sizes
    cos, sin = angle.cos() / scale[:, 0], angle.sin() / scale[:, 1]
    theta = torch.stack([cos, -sin + shear * cos, shift[:, 0], sin, cos + shear * sin, shift[:, 1]], dim=1)
    grid = F.affine_grid(theta.view(n, 2, 3), list(x.shape), align_corners=False)
    # Elastic: a coarse random field, made smooth by interpolation.
    bend = F.interpolate(0.12 * strength * uniform(n, 2, 5, 5), (height, width), mode="bicubic", align_corners=True)
    y = F.grid_sample(x, grid + bend.permute(0, 2, 3, 1), align_corners=False)
    # Stroke width: mix with the dilated or the eroded image.
    amount = strength * uniform(n, 1, 1, 1)
    wide = F.max_pool2d(y, 3, stride=1, padding=1)
    thin = -F.max_pool2d(-y, 3, stride=1, padding=1)
    y = torch.where(amount > 0, y.lerp(wide, amount.clamp(min=0)), y.lerp(thin, -0.5 * amount.clamp(max=0)))
    if strength > 0:
        y = _coarsen(y, generator)
    if strength >= 0.5:
        y = y * _window(n, height, width, uniform)
    return y


def _coarsen(y: Tensor, generator: torch.Generator) -> Tensor:
    """Show one image in four at a resolution of 7 to 12 pixels, as a poor scan would."""
    few = (torch.rand(len(y), generator=generator) < 0.25).to(y.device)
    if not few.any():
        return y
    side = int(torch.randint(7, 13, (), generator=generator))
    small = F.interpolate(y[few], (side, side), mode="area")
    y = y.clone()
    y[few] = F.interpolate(small, y.shape[2:], mode="bicubic", align_corners=False).clamp(0, 1)
    return y


def _window(n: int, height: int, width: int, uniform) -> Tensor:
    """Masks (N, 1, H, W) that cover one rectangle in half of the images."""
    centre = uniform(n, 2, 1, low=0.15, high=0.85)
    half = uniform(n, 2, 1, low=0.04, high=0.13)
    places = (torch.linspace(0, 1, size, device=centre.device) for size in (height, width))
    rows, columns = ((place - centre[:, i]).abs() < half[:, i] for i, place in enumerate(places))
    chosen = uniform(n, 1, 1, 1) > 0
    return 1 - (rows[:, None, :, None] & columns[:, None, None, :] & chosen).float()
