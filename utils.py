"""What the lab's scripts share: configuration, paths, seeds, device, data, the two networks, saved runs.

    >>> import utils
    >>> images, labels = utils.load_split("train")          # uint8 (N, 1, 28, 28), int64 (N,)
    >>> run = utils.load_run("results/2026-01-31_09-30-00")
    >>> clusters = utils.cluster_labels(run, images)        # int64 (N,)

torch is imported only by what needs a network: a PCA run never pays for it.
Symbols: N images, D = 784 pixels, d embedding dimensions, K components. Pixels are 0..255 unless said otherwise.
"""

import dataclasses
import errno
import gc
import hashlib
import json
import os
import random
import re
import reprlib
import shutil
import sys
import tempfile
import traceback
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import yaml
from safetensors import SafetensorError, safe_open

# GNU OpenMP reads it when torch or scikit-learn is loaded. Its threads wait for each other at full load, by default for
# milliseconds: on a machine that is busy with something else, drawing a digit took minutes. This is some microseconds.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

ROOT = Path(__file__).resolve().parent
DATASETS = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "digits": "the offline stand-in (scikit-learn's handwritten digits)",
}
N_CLASSES = 10
IMAGE_SHAPE = (1, 28, 28)
N_PIXELS = 784
LARGEST_NUMBER = 1e15  # in a saved model; pixels and their squares stay far below

# --------------------------------------------------------------------------- errors that a person reads


class LabError(Exception):
    """Something the user can mend: one line that names cause, value and remedy. Scripts exit with status 2."""


def one_line_errors(parser):
    """Make an ``argparse`` parser report a bad command line in one line; its subparsers need a call each."""

    def error(message):
        raise LabError(f"{message} (see: {parser.prog} --help)")

    parser.error = error
    return parser


def run_script(main) -> int:
    """Run a script's ``main()`` and turn what a user can mend into one line and an exit status.

    Returns:
        what ``main`` returns; 2 for a user's error, 130 for Ctrl-C. Bugs keep their traceback.
    """
    try:
        return main()
    except KeyboardInterrupt:
        print("\nstopped: nothing half-written is left behind", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in: python train.py | head
        sys.stdout = None
        return 1
    except (LabError, OSError, SafetensorError, MemoryError, RuntimeError) as error:
        line = explain(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 2
    finally:
        # At exit Python looks through all objects for garbage, several times: half a second where torch was imported.
        gc.freeze()


def explain(error: BaseException) -> str | None:
    """One line for an error that the user can mend; None where only a traceback helps."""
    if isinstance(error, LabError):
        return " ".join(str(error).split())
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == "submission.py"]
    if isinstance(error, MemoryError) or "allocate memory" in str(error):  # the latter is torch's RuntimeError
        if frames:
            return f"not enough memory in submission.py, line {frames[-1].lineno}; check the shapes of the arrays there"
        return "not enough memory; close other programs and try again"
    if isinstance(error, NotImplementedError):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        if Path(frame.filename).name != "submission.py":
            return None
        return f"submission.py, line {frame.lineno}: {error}: this task is still to be filled in"
    # safetensors gives a full disk no number, only the system's words.
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or "No space left" in str(error):
        return f"the disk is full ({_where(error)}); free some space and run the command again: nothing was lost"
    if frames:
        return None  # a bug in the student's code, whose traceback shows where
    if isinstance(error, PermissionError):
        return f"no permission for {_where(error)}; choose a folder that you may write to"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror}: {_where(error)}; check that the path is right and can be written to"
    if isinstance(error, SafetensorError):
        return f"safetensors: {error}; check the disk and run the command again"
    return None


def _where(error: BaseException) -> str:
    return str(getattr(error, "filename", None) or error)


# --------------------------------------------------------------------------- paths and whole files


def lab_home() -> Path:
    """The folder of prepared data, results and caches: the project, or ``LAB_HOME`` where that is set."""
    return Path(os.environ.get("LAB_HOME") or ROOT).expanduser().resolve()


def results_dir() -> Path:
    return lab_home() / "results"


def cache_dir() -> Path:
    """Folder of what is dear to compute and safe to delete (t-SNE, the grading baseline)."""
    folder = lab_home() / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Write a file whole or not at all: yields a path beside ``path`` that replaces it in the end."""
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with plain newlines, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """Fill a folder whole or not at all: yields a folder beside ``path`` that takes its place in the end.

    Raises:
        LabError: ``path`` is a file, or a folder that is not empty.
    """
    path = Path(path).expanduser().resolve()
    check_new_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        check_new_folder(path)
        if path.is_dir():
            # Moved in one by one, the settings last: the folder may be the one that the user's shell stands in.
            for child in sorted(partial.iterdir(), key=lambda child: child.name == "config.yaml"):
                os.replace(child, path / child.name)
        else:
            os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_new_folder(path: Path) -> None:
    """Refuse a path at which a new folder cannot be made, before slow work starts."""
    if path.is_dir():
        if any(path.iterdir()):
            raise LabError(f"the folder {path} is not empty and is never overwritten; name another one or remove it")
        if not os.access(path.parent, os.W_OK):
            raise LabError(f"the folder {path.parent} cannot be written to; choose another one")
        return
    if path.exists():
        raise LabError(f"{path} is a file, not a folder; name another folder")
    parent = next(p for p in path.parents if p.exists())
    if not parent.is_dir():
        raise LabError(f"{parent} is a file, so {path} cannot be made; name another folder")
    if not os.access(parent, os.W_OK):
        raise LabError(f"the folder {parent} cannot be written to; choose another one")


# --------------------------------------------------------------------------- configuration of a run


class _PlainLoader(yaml.SafeLoader):
    """Plain YAML without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "it holds an alias", self.peek_event().start_mark)
        return super().compose_node(parent, index)


def _brief(value: object) -> str:
    """A value of a file as a few printable characters, whatever it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python prints only so many digits
        return "a number of thousands of digits"


def read_settings(path: Path) -> dict:
    """The settings in a run's ``config.yaml``, whatever they are.

    Raises:
        LabError: missing, huge, or not plain YAML of the form ``name: value``.
    """
    try:
        if path.stat().st_size > 65_536:
            raise LabError(f"{path} is larger than 64 KiB, which no run's settings are; restore it")
        settings = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_PlainLoader)
    except FileNotFoundError:
        raise LabError(f"{path} is missing; name a run folder written by train.py") from None
    except (LabError, OSError):
        raise
    except Exception as error:  # PyYAML's own, and whatever its converters let out
        cause = " ".join(str(getattr(error, "problem", None) or error).split())[:200]
        raise LabError(f"{path} cannot be read as plain YAML ({cause}); restore it or train again") from None
    if not isinstance(settings, dict):
        raise LabError(f"{path} must hold settings as 'name: value' lines; restore it or train again")
    return settings


@dataclass
class TrainConfig:
    """The settings of a run, saved as ``config.yaml``. Defaults live here and nowhere else.

    Attributes:
        embedding_dim: d of the PCA embedding; ignored in AE runs, whose network sets it.
        use_pca: embed by PCA (else by the AutoEncoder).
        n_components: K of the mixture.
        max_iter: at most so many EM iterations.
        results_path: the run's folder as it was asked for; None stands for ``results/<datetime>``. Never used as a path
            after training: a results folder may be moved.
        seed: of everything random.
        dataset: what the run was trained on: ``mnist``, ``fashion_mnist`` or ``digits``.
        ae: the AutoEncoder of an AE run, a Hub id or a folder; None is the shipped one.
    """

    embedding_dim: int = 10
    use_pca: bool = False
    n_components: int = 10
    max_iter: int = 100
    results_path: str | None = None
    seed: int = 123
    dataset: str = "mnist"
    ae: str | None = None

    _TYPES = {"embedding_dim": int, "use_pca": bool, "n_components": int, "max_iter": int, "seed": int, "dataset": str}

    def validate(self, n_samples: int | None = None) -> "TrainConfig":
        """Check types and ranges.

        Args:
            n_samples: N, where it is known, bounds ``n_components``.

        Raises:
            LabError: naming the setting, its value and what is allowed.
        """
        for name, kind in self._TYPES.items():
            value = getattr(self, name)
            if type(value) is not kind:  # bool is an int in Python, but not here
                raise LabError(f"{name} must be of type {kind.__name__}, got {_brief(value)}")
            if kind is int and value.bit_length() > 1000:
                raise LabError(f"{name} is far too large, got {_brief(value)}")
        for name in ("results_path", "ae"):
            value = getattr(self, name)
            if value is not None and type(value) is not str:
                raise LabError(f"{name} must be text or null, got {_brief(value)}")
            if value is not None and any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
                raise LabError(f"{name} holds characters that cannot be shown or saved, got {_brief(value)}")
        if self.use_pca and not 1 <= self.embedding_dim <= N_PIXELS:
            raise LabError(
                f"embedding_dim must be between 1 and {N_PIXELS}, the number of pixels, got {self.embedding_dim}"
            )
        if self.n_components < 1:
            raise LabError(f"n_components must be at least 1, got {self.n_components}")
        if n_samples is not None and self.n_components > n_samples:
            raise LabError(
                f"n_components must be at most {n_samples}, the number of training images, got {self.n_components}"
            )
        if self.max_iter < 1:
            raise LabError(f"max_iter must be at least 1, got {self.max_iter}")
        if not 0 <= self.seed < 2**32:
            raise LabError(f"seed must be between 0 and {2**32 - 1}, got {self.seed}")
        if self.dataset not in DATASETS:
            raise LabError(f"dataset must be one of {', '.join(DATASETS)}, got {reprlib.repr(self.dataset)}")
        return self

    def save(self, path: Path | str) -> None:
        """Write ``config.yaml``: the lab's six keys, then ``dataset``, and ``ae`` in AE runs that name one."""
        settings = dataclasses.asdict(self)
        if self.ae is None:
            del settings["ae"]
        write_text(path, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))

    @classmethod
    def load(cls, path: Path | str) -> "TrainConfig":
        """Read and check ``config.yaml``; missing keys take their defaults.

        Raises:
            LabError: not readable, not a plain mapping, unknown keys, wrong types or values.
        """
        path = Path(path)
        settings = read_settings(path)
        unknown = sorted(
            _brief(key).strip("'\"") for key in settings.keys() - {f.name for f in dataclasses.fields(cls)}
        )
        if unknown:
            raise LabError(f"{path} has unknown settings: {', '.join(unknown[:10])}; remove them")
        try:
            return cls(**settings).validate()
        except LabError as error:
            raise LabError(f"{path}: {error}") from None


# --------------------------------------------------------------------------- seeds and device


def set_seed(seed: int) -> None:
    """Seed every global generator there is; what takes its own generator or ``random_state`` gets it passed."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@contextmanager
def without_collecting() -> Iterator[None]:
    """For imports of large packages: what they make stays, and searching it for garbage takes a tenth of a second.

    Where the caller has switched garbage collection off, it stays off.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def get_device(name: str | None = None):
    """The ``torch.device`` to compute on: ``name``, else ``LAB_DEVICE``, else CUDA, MPS or the CPU, in this order.

    Raises:
        LabError: the device asked for is not there.
    """
    with without_collecting():
        import torch

    name = name or os.environ.get("LAB_DEVICE")
    if not name:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise LabError(f"the device {name!r} is not available here; set LAB_DEVICE to cpu or leave it out") from None
    return device


# --------------------------------------------------------------------------- prepared data


def prepared_dir(dataset: str) -> Path:
    """The folder that holds a prepared data set (``mnist_encoded`` may hold the stand-in, when offline)."""
    if dataset == "digits":
        offline = lab_home() / "mnist_encoded"
        source = read_json(offline / "source.json")
        if source.get("dataset") == "digits":
            return offline
    return lab_home() / f"{dataset}_encoded"


def read_source(dataset: str) -> dict:
    """What ``load_resources.py`` noted about a prepared data set: ``dataset``, ``source``, ``sha256`` and counts."""
    return read_json(prepared_dir(dataset) / "source.json")


def read_json(path: Path) -> dict:
    """The object in a small JSON file; empty where it is missing or damaged."""
    try:
        if path.stat().st_size > 1 << 20:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def load_split(split: str, dataset: str = "mnist") -> tuple[np.ndarray, np.ndarray]:
    """Read a prepared data set.

    Args:
        split: ``train`` or ``test``.
        dataset: ``mnist``, ``fashion_mnist`` or ``digits``.

    Returns:
        images, uint8 (N, 1, 28, 28), 0 the background and 255 full ink; labels, int64 (N,), 0 to 9.

    Raises:
        LabError: not prepared, damaged, or not of this form.
    """
    folder = prepared_dir(dataset)
    path = folder / f"{split}.safetensors"
    remedy = f"delete the folder {folder} and run: python load_resources.py"
    if not path.is_file():
        raise LabError(f"{path} is missing; {remedy}")
    tensors = read_tensors(path, ("image2D", "label"), remedy)
    images, labels = tensors["image2D"], tensors["label"]
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE_SHAPE or len(images) == 0:
        raise LabError(f"{path}: image2D is {images.dtype} {images.shape}, not uint8 (N, 1, 28, 28); {remedy}")
    if labels.dtype != np.int64 or labels.shape != (len(images),):
        raise LabError(f"{path}: label is {labels.dtype} {labels.shape}, not int64 ({len(images)},); {remedy}")
    if labels.min() < 0 or labels.max() >= N_CLASSES:
        raise LabError(f"{path}: labels run from {labels.min()} to {labels.max()}, not 0 to 9; {remedy}")
    return images, labels


def read_tensors(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, np.ndarray]:
    """Read the named arrays of a safetensors file.

    Raises:
        LabError: the file is missing or damaged, or an array is missing.
    """
    if not path.is_file():
        raise LabError(f"{path} is missing; {remedy}")
    try:
        with safe_open(path, framework="numpy") as file:
            missing = sorted(set(names) - set(file.keys()))
            if missing:
                raise LabError(f"{path} lacks {', '.join(missing)}; {remedy}")
            return {name: file.get_tensor(name) for name in names}
    except LabError:
        raise
    except Exception as error:  # truncated, not safetensors at all, or a dtype that NumPy lacks
        raise LabError(f"{path} is damaged ({' '.join(str(error).split())}); {remedy}") from None


def data_hash(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays' contents: the key of what is computed from them, whatever ``source.json`` says."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def flatten(images: np.ndarray) -> np.ndarray:
    """Images (N, 1, 28, 28) as rows (N, 784), of the same dtype and, where possible, the same memory."""
    return images.reshape(len(images), -1)


# --------------------------------------------------------------------------- the two networks


@dataclass(frozen=True)
class _Network:
    """Where a network comes from: the flag and variable that choose it, and the folder that ships it."""

    flag: str
    variable: str
    shipped: str
    module_class: str


AE_NETWORK = _Network("--ae", "LAB_AE", "mnist-ae", "AE")
DDPM_NETWORK = _Network("--ddpm", "LAB_DDPM", "mnist-ddpm", "ClassUNet")

# Chosen by agreement and Frechet distance together: see pretrained/mnist-ddpm/README.md.
DEFAULT_GUIDANCE = 1.0
DDPM_STEPS = 1000


def guidance_interval(steps: int) -> tuple[float, float]:
    """The part of the process in which guidance acts: outside, it costs time and diversity.

    The random draws of the thousand steps need more of it than DDIM for the same agreement.
    """
    return (0.2, 0.8) if steps == DDPM_STEPS else (0.3, 0.7)


def load_ae(source: str | Path | None = None):
    """The AutoEncoder in evaluation mode, on the best device: ``source``, else ``LAB_AE``, else the shipped one.

    Raises:
        LabError: in one line, whatever keeps it from loading.
    """
    return _load_network(AE_NETWORK, source)


def load_ddpm(source: str | Path | None = None):
    """The diffusion U-Net in evaluation mode, on the best device: ``source``, else ``LAB_DDPM``, else the shipped one.

    Raises:
        LabError: in one line, whatever keeps it from loading.
    """
    return _load_network(DDPM_NETWORK, source)


def network_source(network: _Network, source: str | Path | None = None) -> str:
    """The Hub id or folder that will be loaded."""
    return str(source or os.environ.get(network.variable) or ROOT / "pretrained" / network.shipped)


def network_digest(network: _Network, source: str | Path | None = None) -> str:
    """SHA-256 of a network's two files: the key of what is computed with it. Does not load it, nor import torch.

    Raises:
        LabError: they cannot be had.
    """
    digest = hashlib.sha256()
    for path in _network_files(network, source):
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise LabError(f"{path} cannot be read ({error.strerror}); {_other_network(network)}") from None
    return digest.hexdigest()


def _load_network(network: _Network, source: str | Path | None):
    with without_collecting():
        import safetensors.torch
        import torch

        import model

    device = get_device()
    name = network_source(network, source)
    remedy = _other_network(network)
    config_path, weights_path = _network_files(network, source)
    module_class = getattr(model, network.module_class)
    try:
        settings = json.loads(config_path.read_text(encoding="utf-8"))
        net = module_class(**settings)
        # Not from_pretrained: it would unpickle a pytorch_model.bin where there is no safetensors file.
        net.load_state_dict(safetensors.torch.load_file(weights_path))
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        cause = " ".join(str(error).split())[:200]
        raise LabError(f"{name} does not hold a {network.module_class} of this lab ({cause}); {remedy}") from None
    bad = [key for key, values in net.state_dict().items() if not values.isfinite().all()]
    if bad:
        raise LabError(f"{name} is damaged ({bad[0]} in {weights_path} holds NaN or infinity); {remedy}")
    # Channels last is the layout in which convolutions are fastest, on CPUs too.
    return net.eval().to(device, memory_format=torch.channels_last)


def _other_network(network: _Network) -> str:
    return f"choose another with {network.flag} or {network.variable}"


def _network_files(network: _Network, source: str | Path | None) -> tuple[Path, Path]:
    """Paths of ``config.json`` and ``model.safetensors``, downloaded into the Hub's cache where needed."""
    name, remedy = network_source(network, source), _other_network(network)
    files = ("config.json", "model.safetensors")
    folder = Path(name).expanduser()
    if folder.is_dir():
        missing = [file for file in files if not (folder / file).is_file()]
        if missing:
            raise LabError(f"the folder {folder} lacks {' and '.join(missing)}; {remedy}")
        return tuple(folder / file for file in files)

    import download

    try:
        paths = download.network_from_hub(name, list(files))
    except download.SourceDropped as error:
        line = {
            "name": f"{name} is neither a folder nor a Hub id (owner/name)",
            "repository": f"there is no folder and no public Hub repository {name} (a private one needs your token)",
            "file": f"the Hub repository {name} lacks a file ({error})",
            "network": f"{name} is not in the Hub's cache ({error})",
        }.get(error.lacks, f"{name} is not in the Hub's cache, and the Hub was dropped ({error}); check the network")
        raise LabError(f"{line}; {remedy}") from None
    for path in paths:
        _check_blob(path, name, remedy)
    return tuple(paths)


def _check_blob(path: Path, name: str, remedy: str) -> None:
    """Compare a file of the Hub's cache with its checksum: large files lie in ``blobs`` under their SHA-256.

    The Hub's client compares lengths only. Small files have another kind of name, and where Windows allows no
    symbolic links there are no blobs; those pass.

    Raises:
        LabError: naming the blob, for the client would link a deleted ``path`` to it again.
    """
    if not path.is_symlink():
        return
    # One link only: a blob may itself be a link into a store that counts its files otherwise.
    blob = path.parent / os.readlink(path)
    blob = blob.parent.resolve() / blob.name
    if blob.parent.name != "blobs" or not re.fullmatch("[0-9a-f]{64}", blob.name):
        return
    with open(blob, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != blob.name:
        raise LabError(
            f"{path.name} of {name} is damaged: delete {blob}, whose SHA-256 is {digest[:8]}..., and it is downloaded "
            f"again, or {remedy}"
        )


def save_network(net, folder: Path | str) -> None:
    """Write ``config.json`` and ``model.safetensors`` in the Hub's layout; a README.md that is there stays."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
        net.to("cpu").save_pretrained(partial)
        for name in ("config.json", "model.safetensors"):
            os.replace(Path(partial) / name, folder / name)


def ae_encode(ae, images, batch_size: int = 500) -> np.ndarray:
    """Encode images with the AutoEncoder, in batches.

    Args:
        ae: from ``load_ae``.
        images: array or tensor (N, 1, 28, 28) of 0..255, any dtype.
        batch_size: images at a time.

    Returns:
        float32 (N, d).
    """
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
    """Draw one digit with the diffusion model and write ``path/ddpm_sample.png``.

    Args:
        label: the digit, 0 to 9.
        path: an existing folder.
        ddpm: from ``load_ddpm``; loaded when None.
        steps: 1,000 for ancestral sampling; fewer for DDIM.
        guidance: weight of classifier-free guidance; 0 is the conditional model alone.
        seed: makes the draw repeatable; None draws afresh.

    Returns:
        uint8 (28, 28).
    """
    from PIL import Image

    images = draw_digits(ddpm or load_ddpm(), [label], steps=steps, guidance=guidance, seed=seed)
    with atomic_path(Path(path) / "ddpm_sample.png") as partial:
        Image.fromarray(images[0, 0]).save(partial)
    return images[0, 0]


def draw_digits(ddpm, labels, *, steps=DDPM_STEPS, guidance=DEFAULT_GUIDANCE, seed=None) -> np.ndarray:
    """Draw digits with the diffusion model, all in one batch: uint8 (N, 1, 28, 28).

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
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    options = {
        "guidance": guidance,
        "guidance_interval": guidance_interval(steps),
        "generator": generator,
        "progress": lambda steps: tqdm(steps, desc="DDPM", unit="step", delay=1, leave=False),
    }
    # One image is too little to share: a second thread gains a seventh, and where another program needs its core, each
    # of a thousand steps waits for it.
    with torch_threads(1 if len(labels) == 1 else torch.get_num_threads()):
        if steps == DDPM_STEPS:
            images = model.ddpm_sample(ddpm, labels, **options)
        else:
            images = model.ddim_sample(ddpm, labels, steps=steps, **options)
    return model.to_pixels(images).cpu().numpy()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads of the CPU inside the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --------------------------------------------------------------------------- saved runs


@dataclass
class SavedRun:
    """A run read back from its folder, checked.

    Attributes:
        path: the run's folder.
        config: its settings.
        means, covs, pi: the mixture, float64 (K, d), (K, d, d), (K,).
        components, mean: the PCA, float64 (d, 784), (784,); None in AE runs.
    """

    path: Path
    config: TrainConfig
    means: np.ndarray
    covs: np.ndarray
    pi: np.ndarray
    components: np.ndarray | None = None
    mean: np.ndarray | None = None
    ae: object = field(default=None, repr=False)

    @property
    def n_components(self) -> int:
        return len(self.pi)


def new_run_path(results_path: str | None) -> Path:
    """Where a new run goes: ``results_path`` as the user's shell means it, else ``results/<now>``.

    Raises:
        LabError: the path is empty, or lies where prepared data or caches are made anew.
    """
    if results_path == "":
        raise LabError("--results_path is empty; name a folder or leave it out")
    if results_path is not None:
        path = Path(results_path).expanduser().resolve()
        kept_out = [lab_home() / "cache", *(lab_home() / f"{dataset}_encoded" for dataset in DATASETS)]
        if any(folder.resolve() in (path, *path.parents) for folder in kept_out):
            raise LabError(f"{path} lies in a folder that is made anew when data are prepared; name another one")
        return path
    return results_dir() / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def run_option(path: Path) -> str:
    """What a command needs to work on this run: nothing where it is the newest, else its ``--results_path``."""
    try:
        if find_run(None) == path:
            return ""
    except LabError:
        pass
    return f' --results_path "{path}"'


def find_run(results_path: str | Path | None) -> Path:
    """The run folder that was named, or the newest under ``results/``.

    Raises:
        LabError: there is none, or it is not a run folder.
    """
    if results_path == "":
        raise LabError("--results_path is empty; name a run's folder or leave it out")
    if results_path is None:
        # No hidden ones: a killed training leaves its unfinished folder under such a name.
        runs = [p.parent for p in results_dir().glob("[!.]*/config.yaml") if (p.parent / "gmm").is_dir()]
        if not runs:
            raise LabError(f"there is no run in {results_dir()} yet; train one: python train.py --use_pca")
        return max(runs, key=lambda run: (run / "config.yaml").stat().st_mtime_ns)
    path = Path(results_path).expanduser().resolve()
    if path.is_file():
        raise LabError(f"{path} is a file, not a run folder; name the folder that train.py wrote")
    if not path.is_dir():
        raise LabError(f"there is no run folder {path}; name one that train.py wrote, or leave --results_path out")
    return path


def load_run(results_path: str | Path | None, to_write: bool = False) -> SavedRun:
    """Read a run and check everything that later steps rely on.

    Args:
        results_path: the run's folder; None takes the newest.
        to_write: whether pictures or scores will be written into it.

    Raises:
        LabError: a file is missing or damaged, its arrays cannot be a mixture of this data, or the folder is read-only.
    """
    path = find_run(results_path)
    if to_write and not os.access(path, os.W_OK):
        raise LabError(f"the run folder {path} cannot be written to; copy it to where you may write")
    config = TrainConfig.load(path / "config.yaml")
    remedy = "train the run again or restore the file"
    gmm_path, pca_path = path / "gmm" / "gmm.safetensors", path / "pca" / "pca.safetensors"
    gmm_config = _read_model_config(path / "gmm" / "config.json", ("n_components", "data_dim"), remedy)
    k, d = gmm_config["n_components"], gmm_config["data_dim"]
    gmm = _checked(read_tensors(gmm_path, ("means", "covs", "pi"), remedy), gmm_path, remedy)
    if k != config.n_components:
        raise LabError(f"{path}: config.yaml says n_components {config.n_components}, the mixture has {k}; {remedy}")
    _check_shapes(gmm_path, gmm, {"means": (k, d), "covs": (k, d, d), "pi": (k,)}, remedy)
    _check_mixture(gmm_path, gmm, remedy)
    run = SavedRun(path, config, gmm["means"], gmm["covs"], gmm["pi"])
    if config.use_pca:
        dim = _read_model_config(path / "pca" / "config.json", ("dim",), remedy)["dim"]
        pca = _checked(read_tensors(pca_path, ("components", "mean"), remedy), pca_path, remedy)
        _check_shapes(pca_path, pca, {"components": (dim, N_PIXELS), "mean": (N_PIXELS,)}, remedy)
        for name, value in (("embedding_dim in config.yaml", config.embedding_dim), ("data_dim of the mixture", d)):
            if value != dim:
                raise LabError(f"{path}: {name} is {value}, but the PCA has {dim} components; {remedy}")
        run.components, run.mean = pca["components"], pca["mean"]
    return run


def _read_model_config(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, int]:
    if not path.is_file():
        raise LabError(f"{path} is missing; {remedy}")
    content = read_json(path)
    for name in names:
        value = content.get(name)
        if type(value) is not int or value < 1:
            raise LabError(f"{path}: {name} must be a positive whole number, got {reprlib.repr(value)}; {remedy}")
    return content


def _checked(tensors: dict[str, np.ndarray], path: Path, remedy: str) -> dict[str, np.ndarray]:
    """All arrays real, finite and of a size that can be squared, as float64."""
    for name, array in tensors.items():
        if array.dtype.kind != "f":
            raise LabError(f"{path}: {name} holds {array.dtype}, not floating-point numbers; {remedy}")
        tensors[name] = array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise LabError(f"{path}: {name} holds NaN or infinity; {remedy}")
        if array.size and np.abs(array).max() > LARGEST_NUMBER:
            raise LabError(f"{path}: {name} holds numbers up to {np.abs(array).max():.3g}, not of pixels; {remedy}")
    return tensors


def _check_shapes(path, tensors, shapes, remedy) -> None:
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise LabError(f"{path}: {name} has shape {tensors[name].shape}, its config.json says {shape}; {remedy}")


def _check_mixture(path, gmm, remedy) -> None:
    """Weights that sum to one, covariances that are symmetric and positive definite."""
    pi, covs = gmm["pi"], gmm["covs"]
    if (pi < 0).any() or abs(pi.sum() - 1) > 1e-4:
        raise LabError(f"{path}: pi must be non-negative and sum to 1, its sum is {pi.sum():.6g}; {remedy}")
    for k, cov in enumerate(covs):
        if not np.allclose(cov, cov.T, rtol=1e-4, atol=1e-6 * max(1.0, np.abs(cov).max())):
            raise LabError(f"{path}: the covariance of component {k} is not symmetric; {remedy}")
        try:
            singular = np.diag(np.linalg.cholesky((cov + cov.T) / 2)).min() < 1 / LARGEST_NUMBER
        except np.linalg.LinAlgError:
            singular = True
        if singular:
            raise LabError(f"{path}: the covariance of component {k} is not positive definite; {remedy}")


def embed(run: SavedRun, images: np.ndarray) -> np.ndarray:
    """The run's own embedding of images (N, 1, 28, 28): float64 (N, d).

    Raises:
        LabError: the AE of an AE run embeds into another dimension than its mixture.
    """
    if run.components is not None:
        rows = flatten(images)
        blocks = [(rows[i : i + 4096] - run.mean) @ run.components.T for i in range(0, len(rows), 4096)]
        return np.concatenate(blocks)
    run.ae = run.ae or load_ae(run.config.ae)
    codes = ae_encode(run.ae, images)
    if codes.shape[1] != run.means.shape[1]:
        raise LabError(
            f"{run.path}: the mixture lives in {run.means.shape[1]} dimensions, the AE embeds into {codes.shape[1]}; "
            "name the AE of the run with --ae"
        )
    return codes.astype(np.float64)


def mixture(run: SavedRun):
    """The run's mixture as a scikit-learn GaussianMixture with these parameters set.

    Labels and likelihoods of a run are computed by it, in the log domain, whatever submission.py does.
    """
    from sklearn.mixture import GaussianMixture

    covs = (run.covs + run.covs.transpose(0, 2, 1)) / 2
    gmm = GaussianMixture(run.n_components)
    # A weight of zero would make scikit-learn take log 0, with a warning.
    weights = np.maximum(run.pi / run.pi.sum(), np.finfo(np.float64).tiny)
    gmm.weights_, gmm.means_, gmm.covariances_ = weights, run.means, covs
    # P with P P^T = inv(cov), upper triangular as scikit-learn has it
    inverse_factors = [np.linalg.inv(np.linalg.cholesky(cov)).T for cov in covs]
    gmm.precisions_cholesky_ = np.array(inverse_factors)
    return gmm


def cluster_labels(run: SavedRun, images: np.ndarray) -> np.ndarray:
    """The most probable component of each image (N, 1, 28, 28) under the saved parameters: int64 (N,)."""
    return mixture(run).predict(embed(run, images))
