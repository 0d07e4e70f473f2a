"""The two networks: find and load them, encode images and draw digits.

Only functions that need a network import torch: a PCA run never loads it.
Symbols: N images, d embedding dimensions. Pixels are 0..255.
"""

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError

from hi_mnist import download
from hi_mnist.cli import LabError
from hi_mnist.files import ROOT, atomic_path, scratch
from hi_mnist.text import one_line


def has_torch() -> bool:
    """Whether torch is installed. Some platforms have no wheels of it; there, the PCA part of the lab still works."""
    return importlib.util.find_spec("torch") is not None


def get_device(name: str | None = None):
    """The ``torch.device`` to compute on: ``name``, else ``LAB_DEVICE``, else CUDA, MPS or the CPU, in this order.

    Raises:
        LabError: the device is not available, or torch cannot be imported.
    """
    if not has_torch():
        raise LabError(
            "torch is not installed; run: python -m pip install -r requirements.txt. If that skips torch (Python 3.15, "
            "Intel Macs), the PCA part of the lab still works: python train.py --use_pca"
        )
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: Windows cannot load one of torch's libraries
        raise LabError(f"torch: {one_line(error)}; run: python -m pip install -r requirements.txt") from None
    name = name or os.environ.get("LAB_DEVICE")
    if not name:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise LabError(f"the device {name!r} is not available here; set LAB_DEVICE to cpu or leave it out") from None
    return device


class _Network(NamedTuple):
    """Where a network comes from."""

    flag: str  # it and the variable choose another
    variable: str
    shipped: str  # folder
    module_class: str

    @property
    def remedy(self) -> str:
        return f"choose another with {self.flag} or {self.variable}"


AE_NETWORK = _Network("--ae", "LAB_AE", "mnist-ae", "AE")
DDPM_NETWORK = _Network("--ddpm", "LAB_DDPM", "mnist-ddpm", "ClassUNet")
FILES = ["config.json", "model.safetensors"]  # of a network: the arguments of its class, and its weights
DDPM_STEPS = 1000
# Chosen by agreement and diversity together: see pretrained/mnist-ddpm/README.md.
DEFAULT_GUIDANCE = 1.0
# The part of the process in which guidance acts; elsewhere it costs time and diversity.
GUIDANCE_INTERVAL = (0.25, 0.75)


def load_ae(source: str | Path | None = None):
    """The AutoEncoder: ``source``, else ``LAB_AE``, else the shipped one; see ``load_found``."""
    return load_found(find_network(AE_NETWORK, source))


def chosen_ae(source: str | None) -> str | None:
    """The AutoEncoder as a run records it: ``source`` or ``LAB_AE``, a folder as an absolute path; None if shipped."""
    name = source or os.environ.get(AE_NETWORK.variable) or None
    if name and Path(name).expanduser().is_dir():  # later scripts may start in another folder
        return str(Path(name).expanduser().resolve())
    return name


def load_ddpm(source: str | Path | None = None):
    """The diffusion U-Net: ``source``, else ``LAB_DDPM``, else the shipped one; see ``load_found``."""
    return load_found(find_network(DDPM_NETWORK, source))


def network_source(network: _Network, source: str | Path | None = None) -> str:
    """The Hub id or folder that will be loaded."""
    return str(source or os.environ.get(network.variable) or ROOT / "pretrained" / network.shipped)


class NetworkFiles(NamedTuple):
    """Where a network's ``FILES`` are."""

    network: _Network
    name: str  # Hub id or folder
    config: Path
    weights: Path

    def error(self, cause: object) -> LabError:
        file = self.weights if isinstance(cause, OSError | RuntimeError | SafetensorError) else self.config
        fault = f"{self.name} does not hold this lab's {self.network.module_class} ({file}: {one_line(cause)})"
        return LabError(f"{fault}; {self.network.remedy}")


def find_network(network: _Network, source: str | Path | None = None) -> NetworkFiles:
    """The files of a network, downloaded into the Hub's cache if needed; torch is not imported.

    Raises:
        LabError: the files cannot be found or downloaded.
    """
    name, remedy = network_source(network, source), network.remedy
    folder = Path(name).expanduser()
    if folder.is_dir():
        paths = [folder / file for file in FILES]
        if missing := [path.name for path in paths if not path.is_file()]:
            raise LabError(f"the folder {folder} lacks {' and '.join(missing)}; {remedy}")
        return NetworkFiles(network, name, *paths)
    try:
        return NetworkFiles(network, name, *download.network_from_hub(name, FILES))
    except download.SourceDropped as error:
        cause = f"{name} is not a folder, and the Hub does not have it ({error})"
        raise LabError(f"{cause}; check name and network, or {remedy}") from None


def network_digest(network: _Network, source: str | Path | None = None) -> str:
    """SHA-256 of a network's files, a cache key, without torch. Raises LabError if they cannot be had or read."""
    found = find_network(network, source)
    try:
        return hashlib.sha256(found.config.read_bytes() + found.weights.read_bytes()).hexdigest()
    except OSError as error:
        raise found.error(error) from None


def load_found(found: NetworkFiles):
    """A network in evaluation mode, on the best device. Raises LabError if torch or a valid network is missing."""
    device = get_device()  # explains why, if torch cannot be imported
    import safetensors.torch
    import torch

    import model

    try:
        net = getattr(model, found.network.module_class)(**json.loads(found.config.read_text(encoding="utf-8")))
        # Not from_pretrained: without a safetensors file it would unpickle a pytorch_model.bin.
        net.load_state_dict(safetensors.torch.load_file(found.weights))
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise found.error(error) from None
    if bad := [key for key, values in net.state_dict().items() if not values.isfinite().all()]:
        cause = f"{bad[0]} in {found.weights} holds NaN or infinity"
        raise LabError(f"{found.name} is damaged ({cause}); {found.network.remedy}")
    # Channels last is the layout in which convolutions are fastest, on CPUs too.
    return net.eval().to(device, memory_format=torch.channels_last)


def save_network(net, folder: Path | str) -> None:
    """Write ``FILES`` in the Hub's layout; an existing README.md stays."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with scratch(".partial-", folder) as partial:
        net.to("cpu").save_pretrained(partial)
        for name in FILES:  # rewritten, because only the owner can read what safetensors saves
            with atomic_path(folder / name) as new:
                new.write_bytes((partial / name).read_bytes())


def ae_encode(ae, images, batch_size: int = 500) -> np.ndarray:
    """Encode images, an array or tensor (N, 1, 28, 28) of 0..255, by a network from ``load_ae``: float32 (N, d)."""
    import torch
    from tqdm import tqdm

    import model

    images = torch.as_tensor(np.asarray(images))
    device = next(ae.parameters()).device
    out = []
    with torch.inference_mode():
        encoder = model.folded(ae.encoder)
        for block in tqdm(images.split(batch_size), desc="encoding", unit="batch", delay=1, leave=False):
            x = block.to(device).float() / 255
            out.append(encoder(x.contiguous(memory_format=torch.channels_last)).cpu())
    return torch.cat(out).numpy()


def sample_from_ddpm(
    label: int,
    path: Path | str,
    *,
    ddpm=None,
    steps: int = DDPM_STEPS,
    guidance: float = DEFAULT_GUIDANCE,
    seed: int | None = None,
) -> np.ndarray:
    """Draw one digit, 0 to 9, into the folder ``path`` as ``ddpm_sample.png``, and return it: uint8 (28, 28).

    ``ddpm`` comes from ``load_ddpm``; None loads it. 1,000 ``steps`` are ancestral sampling, fewer are DDIM. A
    ``guidance`` of 0 uses the conditional model alone. A ``seed`` makes the draw repeatable; None draws afresh.
    """
    from PIL import Image

    images = draw_digits(ddpm or load_ddpm(), [label], steps=steps, guidance=guidance, seed=seed)
    with atomic_path(Path(path) / "ddpm_sample.png") as partial:
        Image.fromarray(images[0, 0]).save(partial)
    return images[0, 0]


def draw_digits(
    ddpm, labels, *, steps=DDPM_STEPS, guidance=DEFAULT_GUIDANCE, seed=None, watch=None, bar=True
) -> np.ndarray:
    """Draw digits with the diffusion model, all in one batch: uint8 (N, 1, 28, 28).

    ``guidance`` acts in ``GUIDANCE_INTERVAL``. ``watch`` is that of ``model.ddpm_sample``; ``bar`` shows the progress.

    Raises:
        LabError: a label, the number of steps or the guidance is out of range.
    """
    import torch
    from tqdm import tqdm

    import model

    labels = torch.as_tensor(labels)
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= ddpm.num_classes:
        raise LabError(f"labels must be between 0 and {ddpm.num_classes - 1}, got {labels.tolist()}")
    if not 1 <= steps <= DDPM_STEPS:
        raise LabError(f"ddpm_steps must be between 1 and {DDPM_STEPS}, got {steps}")
    if not (np.isfinite(guidance) and guidance >= 0):
        raise LabError(f"guidance must be 0 or more, got {guidance}")
    generator = torch.Generator()
    generator.manual_seed(generator.seed() if seed is None else seed)
    options = {"guidance": guidance, "guidance_interval": GUIDANCE_INTERVAL}
    options |= {
        "generator": generator,
        "progress": lambda steps: tqdm(steps, desc="DDPM", unit="step", delay=1, leave=False, disable=not bar),
        "watch": watch,
    }
    # A second thread hardly speeds up one image; if another program needs its core, each of a thousand steps waits.
    with torch_threads(1 if len(labels) == 1 else torch.get_num_threads()):
        if steps == DDPM_STEPS:
            images = model.ddpm_sample(ddpm, labels, **options)
        else:
            images = model.ddim_sample(ddpm, labels, steps=steps, **options)
    return model.to_pixels(images).cpu().numpy()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Make torch use ``count`` CPU threads inside the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
