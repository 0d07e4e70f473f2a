"""Get a data set from the first source that has it, and prepare its folder.

The sources, in this order: IDX files in ``data_dir`` or ``MNIST_DIR``; the Hugging Face Hub (or the mirror that
``HF_ENDPOINT`` names); public mirrors of the IDX files; and, if nothing can be reached and no data set was named, the
offline stand-in: scikit-learn's handwritten digits in MNIST's form.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from hi_mnist import data, download, files, idx
from hi_mnist.cli import LabError
from hi_mnist.data import DATASETS, N_PIXELS
from hi_mnist.download import SourceDropped
from hi_mnist.idx import SPLITS, Split

HUB_FILES = {
    "mnist": ("ylecun/mnist", "mnist/{}-00000-of-00001.parquet"),
    "fashion_mnist": ("zalando-datasets/fashion_mnist", "fashion_mnist/{}-00000-of-00001.parquet"),
}
IDX_MIRRORS = {
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    "fashion_mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
}
IDX_DIR_VARIABLE = {"mnist": "MNIST_DIR", "fashion_mnist": "FASHION_MNIST_DIR"}


def ensure(dataset: str | None = None, data_dir: Path | str | None = None, *, look_again: bool = False) -> str:
    """Make sure that a data set is prepared, and return which; silent and quick (milliseconds) if it already is.

    Args:
        dataset: ``mnist``, ``fashion_mnist`` or ``digits``. None asks for MNIST and takes the offline stand-in if MNIST
            is not available; a data set that was named is never replaced by another.
        data_dir: a folder with the four IDX files; None uses ``MNIST_DIR`` or ``FASHION_MNIST_DIR``.
        look_again: look for MNIST again if its stand-in is prepared.

    Raises:
        LabError: no source has the data set, or the folder of IDX files is not usable.
        OSError: the prepared files cannot be written.
    """
    if dataset is not None and dataset not in DATASETS:
        raise LabError(f"there is no data set {dataset!r}; choose one of {', '.join(DATASETS)}")
    wanted = dataset or "mnist"
    idx_dir = _idx_dir(wanted, data_dir)
    folder = data.prepared_dir(wanted)
    there = prepared_source(folder).get("dataset")
    content = there == "digits" and dataset is None and idx_dir is None and not look_again
    if there != wanted and not content:  # missing, damaged, or the stand-in in MNIST's place
        _prepare(wanted, idx_dir, folder, by_name=dataset is not None)
    return prepared_source(folder)["dataset"]


def _idx_dir(dataset: str, data_dir: Path | str | None) -> tuple[Path, str] | None:
    """The folder of IDX files that the user named, and the flag or variable that names it; None if there is none.

    Raises:
        LabError: the folder does not exist, or the data set has no IDX files.
    """
    if data_dir is None:
        variable = IDX_DIR_VARIABLE.get(dataset, "")
        name = os.environ.get(variable)
        return (Path(name).expanduser().resolve(), variable) if name else None
    if dataset == "digits":
        raise LabError("--data_dir does not apply to the data set digits, which comes with scikit-learn; leave it out")
    path = Path(data_dir).expanduser().resolve()
    if not (data_dir and path.is_dir()):
        raise LabError(f"--data_dir: there is no folder {str(data_dir)!r}; name the folder with the four IDX files")
    return path, "--data_dir"


def prepared_source(folder: Path) -> dict:
    """What ``source.json`` says about a prepared folder; empty if the folder is missing or incomplete.

    It compares sizes only: reading the contents would be too slow for a check at every start.
    """
    source = files.read_json(folder / "source.json")
    try:
        for split in SPLITS:
            path = folder / f"{split}.safetensors"
            with open(path, "rb") as file:
                n_header = int.from_bytes(file.read(8), "little")
            size = 8 + n_header + source[split] * (N_PIXELS + 8)  # the header and its length, pixels, labels of 8 bytes
            if path.stat().st_size != size or len(source["sha256"][split]) != 64:
                return {}
    except (OSError, LookupError, TypeError):
        return {}
    return source if source.get("dataset") in list(DATASETS) else {}


def _prepare(dataset: str, idx_dir: tuple[Path, str] | None, folder: Path, by_name: bool) -> None:
    """Find a data set and write its folder; print which source it came from and why others were dropped.

    An existing stand-in stays as it is if MNIST is not available. Raises LabError if there is no data set to use.
    """
    title = DATASETS[dataset]
    there = prepared_source(folder)
    before = there or files.read_json(folder / "source.json")
    if folder.exists() and not folder.is_dir():
        raise LabError(f"{folder} is a file, but the folder of {title} belongs there; move it away")
    if folder.exists() and not there and any(folder.iterdir()):
        if not (folder / "source.json").exists():
            raise LabError(f"{folder} holds files that load_resources.py did not write; move the folder away")
        print(f"{folder} is damaged or incomplete: preparing it again", flush=True)
    # A user of MNIST must not get other data because a file was damaged while the network is down.
    stand_in_allowed = dataset == "digits" or (dataset == "mnist" and not by_name and before.get("dataset") != "mnist")

    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.scratch(f".{folder.name}.partial-", folder.parent) as work:
        found = _find(dataset, idx_dir, work)
        if found is None:
            if not stand_in_allowed:
                other = "" if dataset != "mnist" else ", or train on the offline stand-in (train.py --dataset digits)"
                raise LabError(
                    f"{title} cannot be had from any source; connect to the network, set HF_ENDPOINT to a mirror of "
                    f"the Hub, name a folder with its IDX files by --data_dir or {IDX_DIR_VARIABLE[dataset]}{other}"
                )
            if there.get("dataset") == "digits":
                print(f"still on {DATASETS['digits']}, prepared in {folder}", flush=True)
                return
            print(f"taking {DATASETS['digits']}", flush=True)
            dataset, found = "digits", (stand_in(), "scikit-learn's load_digits, brought to 28x28")
        splits, source = found
        _write(dataset, splits, source, work / "prepared")
        _replace_folder(work / "prepared", folder, work / "former")
    train, test = (len(images) for images, _ in splits)
    print(f"prepared {folder}: {train:,} training and {test:,} test images, from {source}", flush=True)


def _find(dataset: str, idx_dir: tuple[Path, str] | None, work: Path) -> tuple[tuple[Split, Split], str] | None:
    """The two splits and the name of their source, from the first source that has them; None if none has."""
    if dataset == "digits":
        return None
    if idx_dir is not None:
        path, named_by = idx_dir
        try:
            return idx.read_idx_folder(path, dataset), f"the IDX files in {path}"
        except SourceDropped as error:
            raise LabError(f"{named_by}: {error}") from None
    print(f"looking for {DATASETS[dataset]}", flush=True)
    for name, get in _sources(dataset, work):
        try:
            return get(), name
        except SourceDropped as error:
            print(f"  dropped {name}: {str(error).replace(f'{work}{os.sep}', '')}", flush=True)
    return None


def _sources(dataset: str, work: Path) -> Iterator[tuple[str, Callable[[], tuple[Split, Split]]]]:
    """Where a data set may be had, in this order: the source's name, and what gets the two splits from it."""
    patience = download.Patience(download.TOTAL_LIMIT)
    hub, (repo_id, pattern) = os.environ.get("HF_ENDPOINT") or "https://huggingface.co", HUB_FILES[dataset]
    names = [pattern.format(split) for split in SPLITS]

    def fetch(urls: list[str]) -> list[Path]:
        return download.files_by_http(urls, work, patience, idx.LARGEST_IDX)

    def decode(paths: list[Path]) -> tuple[Split, Split]:
        return tuple(idx.read_parquet(path, dataset, split) for path, split in zip(paths, SPLITS, strict=True))

    if cached := download.files_in_hub_cache("dataset", repo_id, names):
        where = f"the Hub's cache, {cached[0].parents[3]} (delete this folder if it is damaged)"
        yield where, lambda: decode(cached)
    yield f"the Hub ({hub}, {repo_id})", lambda: decode(fetch(download.hub_urls(repo_id, names)))
    for mirror in IDX_MIRRORS[dataset]:
        urls = [f"{mirror}{name}.gz" for name in idx.IDX_NAMES.values()]
        yield f"the mirror {mirror}", lambda urls=urls: idx.read_idx_folder(fetch(urls)[0].parent, dataset)


def _write(dataset: str, splits: tuple[Split, Split], source: str, folder: Path) -> None:
    """Write a prepared data set into a new folder."""
    folder.mkdir()
    content, sums = {"dataset": dataset, "source": source}, {}
    for split, (images, labels) in zip(SPLITS, splits, strict=True):
        arrays = {"image2D": np.ascontiguousarray(images), "label": np.ascontiguousarray(labels)}
        # Not save_file: only the owner could read its files, and its errors hide a full disk.
        (folder / f"{split}.safetensors").write_bytes(save(arrays))
        content[split], sums[split] = len(images), hashlib.sha256(arrays["image2D"].data).hexdigest()
    content |= {"sha256": sums, "created": datetime.now().astimezone().isoformat(timespec="seconds")}
    files.write_text(folder / "source.json", json.dumps(content, indent=2) + "\n")


def _replace_folder(new: Path, target: Path, former: Path) -> None:
    """Move ``new`` to ``target``; the old content goes to ``former``, or comes back if the exchange fails."""
    if prepared_source(target).get("sha256") == prepared_source(new)["sha256"]:
        return  # another process was faster
    if target.exists():
        files.move(target, former)
    try:
        files.move(new, target)
    except BaseException:
        if former.exists() and not target.exists():
            files.move(former, target)
        raise


def stand_in() -> tuple[Split, Split]:
    """Scikit-learn's 1,797 handwritten digits in MNIST's form: 1,437 for training and 360 for testing.

    The split is stratified and always the same. The digits are real, written by 43 people (Alpaydin and Kaynak 1998).
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.stack([mnist_form(image) for image in digits.images])
    train, test = train_test_split(np.arange(len(images)), test_size=360, stratify=digits.target, random_state=0)
    return tuple(idx.as_split(images[rows], digits.target[rows]) for rows in (train, test))


def mnist_form(image: np.ndarray) -> np.ndarray:
    """Bring a digit (H, W), 0 the background, to MNIST's form (LeCun et al. 1998, section III-A): uint8 (28, 28).

    The ink is scaled to fit a box of 20x20 pixels, with its proportions kept, and placed with its centre of mass at the
    centre of 28x28 pixels.
    """
    from PIL import Image

    # Add a rim of background, so that strokes end inside the image, and enlarge. Then undo the blur, because MNIST's
    # strokes have hard edges: up to a tenth of full ink counts as paper, from nine tenths on as full ink.
    large = Image.fromarray(np.pad(image, 1).astype(np.float32) / image.max())
    large = np.asarray(large.resize([10 * size for size in large.size], Image.Resampling.BICUBIC))
    ink = np.clip((large - 0.1) / 0.8, 0, 1)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = 20 / max(ink.shape)
    height, width = (max(1, round(size * scale)) for size in ink.shape)
    ink = Image.fromarray((255 * ink).round().astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    ink = np.asarray(ink)
    out = np.zeros((28, 28), np.uint8)
    centre = (np.average(np.arange(size), weights=ink.sum(1 - axis)) for axis, size in enumerate(ink.shape))
    top, left = (int(np.clip(round(13.5 - mean), 0, 28 - size)) for mean, size in zip(centre, ink.shape, strict=True))
    out[top : top + height, left : left + width] = ink
    return out
