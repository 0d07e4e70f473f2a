"""Get the data set, prepare it, check the two networks and the device.

    python load_resources.py                                  # MNIST, from the first source that has it
    python load_resources.py --data_dir ~/Downloads/mnist     # from IDX files that you have already
    python load_resources.py --dataset fashion_mnist

The sources, in this order: IDX files in ``--data_dir`` or ``MNIST_DIR``; the Hugging Face Hub (or the mirror that
``HF_ENDPOINT`` names); public mirrors of the IDX files; and, where nothing can be reached and no data set was asked
for by name, the offline stand-in: scikit-learn's handwritten digits in MNIST's form. The other scripts call
``ensure``, so that running this script first is never necessary.

A download runs in a process of its own, because only a process can be stopped for certain: a name server that does not
answer, or a client that waits before it tries again, blocks a thread for as long as it likes.
"""

import argparse
import errno
import gzip
import hashlib
import io
import json
import os
import queue
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from datetime import datetime
from pathlib import Path

import numpy as np

import utils
from utils import LabError

SILENCE_LIMIT = 5.0  # seconds without a byte after which a source is given up
TOTAL_LIMIT = 20.0  # seconds without a byte of a file, over all sources together
STALE_AFTER = 86_400  # seconds after which a killed run's unfinished folder is cleared away

SPLITS = ("train", "test")
HUB_FILES = {
    "mnist": ("ylecun/mnist", "mnist/{}-00000-of-00001.parquet"),
    "fashion_mnist": ("zalando-datasets/fashion_mnist", "fashion_mnist/{}-00000-of-00001.parquet"),
}
IDX_MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion_mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
}
IDX_DIR_VARIABLE = {"mnist": "MNIST_DIR", "fashion_mnist": "FASHION_MNIST_DIR"}
IDX_NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
# MD5 of the IDX files before compression: every copy compresses them differently.
KNOWN_MD5 = {
    "mnist": {
        ("train", "images"): "6bbc9ace898e44ae57da46a324031adb",
        ("train", "labels"): "a25bea736e30d166cdddb491f175f624",
        ("test", "images"): "2646ac647ad5339dbf082846283269ea",
        ("test", "labels"): "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        ("train", "images"): "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        ("train", "labels"): "9018921c3c673c538a1fc5bad174d6f9",
        ("test", "images"): "8181f5470baa50b63fa0f6fddb340f0a",
        ("test", "labels"): "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
IDX_MAGIC = {"images": 2051, "labels": 2049}
LARGEST_IDX = 1 << 28  # bytes; no file of these data sets comes near, so more is not one of them

Split = tuple[np.ndarray, np.ndarray]  # images uint8 (N, 1, 28, 28), labels int64 (N,)


class SourceDropped(Exception):
    """A source does not give the data set; its text says why, in a few words."""


# --------------------------------------------------------------------------- what the other scripts call


def ensure(dataset: str | None = None, data_dir: Path | str | None = None) -> str:
    """Make sure that a data set is prepared; silent and quick (milliseconds) where it is.

    Args:
        dataset: ``mnist``, ``fashion_mnist`` or ``digits``. None asks for MNIST and takes the offline stand-in where
            MNIST cannot be had; a data set asked for by name is never replaced by another.
        data_dir: a folder with the four IDX files; None leaves it to ``MNIST_DIR`` or ``FASHION_MNIST_DIR``.

    Returns:
        The data set that is prepared: ``dataset``, or ``digits`` where the stand-in took MNIST's place.

    Raises:
        LabError: it cannot be had, or the folder of IDX files is not usable.
        OSError: the prepared files cannot be written.
    """
    return _ensure(dataset, data_dir, retry_stand_in=False)


def _ensure(dataset: str | None, data_dir: Path | str | None, retry_stand_in: bool) -> str:
    """``ensure``, which on request looks for MNIST again where its stand-in is prepared."""
    if dataset is not None and dataset not in utils.DATASETS:
        raise LabError(f"there is no data set {dataset!r}; choose one of {', '.join(utils.DATASETS)}")
    wanted = dataset or "mnist"
    idx_dir = _idx_dir(wanted, data_dir)
    folder = utils.prepared_dir(wanted)
    there = prepared_source(folder)
    if there.get("dataset") == wanted:
        return wanted
    # What is left: nothing there, something damaged, or the stand-in in MNIST's place.
    if there.get("dataset") == "digits" and dataset is None and idx_dir is None and not retry_stand_in:
        return "digits"
    _prepare(wanted, idx_dir, folder, by_name=dataset is not None)
    return prepared_source(folder)["dataset"]


def _idx_dir(dataset: str, data_dir: Path | str | None) -> tuple[Path, str] | None:
    """The folder of IDX files that was named, and by what; None where none was.

    Raises:
        LabError: the folder does not exist, or the data set has no IDX files.
    """
    if data_dir is not None and dataset == "digits":
        raise LabError("--data_dir has no use for the data set digits, which comes with scikit-learn; leave it out")
    variable = IDX_DIR_VARIABLE.get(dataset, "")
    name, named_by = (data_dir, "--data_dir") if data_dir is not None else (os.environ.get(variable), variable)
    if not name:
        if data_dir is not None:
            raise LabError("--data_dir is empty; name the folder with the four IDX files")
        return None
    path = Path(name).expanduser().resolve()
    if data_dir is not None and not path.is_dir():
        raise LabError(f"{named_by}: there is no folder {path}; name the folder with the four IDX files")
    return path, named_by


def prepared_source(folder: Path) -> dict:
    """What ``source.json`` says about a prepared folder; empty where the folder is missing or incomplete.

    Sizes are compared, contents are not: that would take longer than this check may (see ``contents_match``).
    """
    source = utils._read_json(folder / "source.json")
    counts, sums = [source.get(split) for split in SPLITS], source.get("sha256")
    if source.get("dataset") not in tuple(utils.DATASETS) or not isinstance(sums, dict):
        return {}
    for split, count in zip(SPLITS, counts, strict=True):
        if type(count) is not int or not isinstance(sums.get(split), str):
            return {}
        if not _has_size(folder / f"{split}.safetensors", count):
            return {}
    return source


def _has_size(path: Path, count: int) -> bool:
    """Whether a safetensors file is as long as so many images and labels make it: header length, header, arrays."""
    try:
        with open(path, "rb") as file:
            header = file.read(8)
        size = path.stat().st_size
    except OSError:
        return False
    return size == 8 + int.from_bytes(header, "little") + count * (utils.N_PIXELS + 8)  # a label takes eight bytes


def contents_match(folder: Path, source: dict) -> bool:
    """Whether a prepared folder still has the checksums: of images in its ``source.json``, of labels where known."""
    try:
        for split in SPLITS:
            arrays = utils.read_tensors(folder / f"{split}.safetensors", ("image2D", "label"), "")
            labels = arrays["label"]
            if _sha256(arrays["image2D"]) != source["sha256"][split] or labels.min() < 0 or labels.max() > 9:
                return False
            _check_md5(source["dataset"], split, "labels", _idx_parts(labels))
    except (LabError, SourceDropped, ValueError):
        return False
    return True


# --------------------------------------------------------------------------- preparing


def _prepare(dataset: str, idx_dir: tuple[Path, str] | None, folder: Path, by_name: bool) -> None:
    """Find a data set and write its folder, saying which source it came from and why others were dropped.

    An existing stand-in stays as it is where MNIST cannot be had.

    Raises:
        LabError: no source has it and the stand-in is not allowed, or the IDX files that were named are not usable.
    """
    title = utils.DATASETS[dataset]
    there = prepared_source(folder)
    before = there or utils._read_json(folder / "source.json")
    if folder.exists() and not there:
        if not folder.is_dir():
            raise LabError(f"{folder} is a file, where the folder of {title} belongs; move it away")
        if _adopt(dataset, folder):
            return
        if any(folder.iterdir()):
            print(f"{folder} is damaged or incomplete: preparing it again", flush=True)
    # Who had MNIST must not go on with other data because a file was damaged while the network is down.
    stand_in_allowed = dataset == "digits" or (dataset == "mnist" and not by_name and before.get("dataset") != "mnist")

    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_stale(folder)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        found = _find(dataset, idx_dir, work / "download")
        if found is None and not stand_in_allowed:
            raise LabError(_how_to_get(dataset))
        if found is None and there.get("dataset") == "digits":
            print(f"still on {utils.DATASETS['digits']}, prepared in {folder}", flush=True)
            return
        if found is None:
            dataset, found = "digits", (stand_in(), "scikit-learn's load_digits, brought to 28x28")
            print(f"taking {utils.DATASETS['digits']}", flush=True)
        splits, source = found
        _write(dataset, splits, source, work / "prepared")
        _replace_folder(work / "prepared", folder, work / "former")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    train, test = (len(images) for images, _ in splits)
    print(f"prepared {folder}: {train:,} training and {test:,} test images, from {source}", flush=True)


def _find(dataset: str, idx_dir: tuple[Path, str] | None, work: Path) -> tuple[tuple[Split, Split], str] | None:
    """The two splits and the name of their source, from the first source that has them; None where none has."""
    if dataset == "digits":
        return None
    if idx_dir is not None:
        path, named_by = idx_dir
        try:
            return read_idx_folder(path, dataset), f"the IDX files in {path}"
        except SourceDropped as error:
            raise LabError(f"{named_by}: {error}") from None
    print(f"looking for {utils.DATASETS[dataset]}", flush=True)
    patience = _Patience(TOTAL_LIMIT)
    sources = [(_hub_name(dataset), lambda folder: _from_hub(dataset, folder, patience))]
    for url in IDX_MIRRORS[dataset]:
        sources.append((f"the mirror {url}", lambda folder, url=url: _from_mirror(url, dataset, folder, patience)))
    for number, (name, get) in enumerate(sources):
        try:
            return get(work / str(number)), name
        except SourceDropped as error:
            print(f"  dropped {name}: {error}", flush=True)
    return None


def _hub_name(dataset: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return f"the Hub ({endpoint}, {HUB_FILES[dataset][0]})"


def _how_to_get(dataset: str) -> str:
    title, variable = utils.DATASETS[dataset], IDX_DIR_VARIABLE[dataset]
    other = "" if dataset != "mnist" else ", or take the offline stand-in with --dataset digits"
    return (
        f"{title} cannot be had from any source; connect to the network, set HF_ENDPOINT to a mirror of the Hub, name "
        f"a folder with its IDX files by --data_dir of load_resources.py or {variable}{other}"
    )


def _adopt(dataset: str, folder: Path) -> bool:
    """Take over prepared files that lack a good ``source.json`` (an earlier year's): True where they are the data set.

    Raises:
        LabError: they are sound but other data, which is not ours to overwrite.
    """
    if dataset not in KNOWN_MD5:
        return False
    try:
        splits = tuple(utils.load_split(split, dataset) for split in SPLITS)
    except LabError:
        return False
    try:
        for split, (images, labels) in zip(SPLITS, splits, strict=True):
            _check_md5(dataset, split, "images", _idx_parts(images[:, 0]))
            _check_md5(dataset, split, "labels", _idx_parts(labels))
    except SourceDropped:
        if utils._read_json(folder / "source.json"):
            return False  # ours, and damaged
        raise LabError(
            f"{folder} holds data that is not {utils.DATASETS[dataset]} and was not written by load_resources.py; "
            "move the folder away"
        ) from None
    source = f"the files found in {folder}, whose checksums are right"
    utils.write_text(folder / "source.json", _source_json(dataset, splits, source))
    print(f"taking {source}", flush=True)
    return True


def _write(dataset: str, splits: tuple[Split, Split], source: str, folder: Path) -> None:
    """Write a prepared data set into a new folder."""
    from safetensors.numpy import save

    folder.mkdir(parents=True)
    for split, (images, labels) in zip(SPLITS, splits, strict=True):
        arrays = {"image2D": np.ascontiguousarray(images), "label": np.ascontiguousarray(labels)}
        # Not save_file: it makes files that only their owner may read, and its errors hide a full disk.
        (folder / f"{split}.safetensors").write_bytes(save(arrays))
    utils.write_text(folder / "source.json", _source_json(dataset, splits, source))


def _source_json(dataset: str, splits: tuple[Split, Split], source: str) -> str:
    content = {"dataset": dataset, "source": source}
    content |= {split: len(images) for split, (images, _) in zip(SPLITS, splits, strict=True)}
    content["sha256"] = {split: _sha256(images) for split, (images, _) in zip(SPLITS, splits, strict=True)}
    content["created"] = datetime.now().astimezone().isoformat(timespec="seconds")
    return json.dumps(content, indent=2) + "\n"


def _sha256(images: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def _replace_folder(new: Path, target: Path, former: Path) -> None:
    """Put ``new`` at ``target``; what was there goes to ``former``, or comes back if the exchange fails."""
    there = prepared_source(target)
    if there and there["sha256"] == prepared_source(new)["sha256"] and contents_match(target, there):
        return  # another process was faster
    if target.exists():
        os.replace(target, former)
    try:
        os.replace(new, target)
    except BaseException:
        if former.exists() and not target.exists():
            os.replace(former, target)
        raise


def _clear_stale(folder: Path) -> None:
    """Remove what a killed process left beside ``folder``; a younger one may still be at work."""
    for path in folder.parent.glob(f".{folder.name}.*.partial"):
        try:
            old = time.time() - path.stat().st_mtime > STALE_AFTER
        except OSError:
            continue
        if old:
            shutil.rmtree(path, ignore_errors=True)


# --------------------------------------------------------------------------- IDX files


def read_idx_folder(folder: Path, dataset: str) -> tuple[Split, Split]:
    """Read and check the four IDX files of a data set, compressed or not.

    Args:
        folder: with files named as ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``, and ``.gz`` or nothing.
        dataset: whose checksums must hold.

    Returns:
        The training and the test split: images uint8 (N, 1, 28, 28) of 0..255, labels int64 (N,) of 0 to 9.

    Raises:
        SourceDropped: a file is missing, damaged, or not of this data set.
    """
    if not folder.is_dir():
        raise SourceDropped(f"there is no folder {folder}; name the folder with the four IDX files")
    arrays = {key: _read_idx(_idx_path(folder, name), dataset, *key) for key, name in IDX_NAMES.items()}
    for split in SPLITS:
        n_images, n_labels = len(arrays[split, "images"]), len(arrays[split, "labels"])
        if n_images != n_labels:
            raise SourceDropped(f"{folder} has {n_images} {split} images but {n_labels} labels; download it again")
    return tuple(_as_split(arrays[split, "images"], arrays[split, "labels"]) for split in SPLITS)


def _as_split(images: np.ndarray, labels: np.ndarray) -> Split:
    """Images (N, 28, 28) and labels (N,) in the form and types of a prepared split."""
    return np.ascontiguousarray(images, np.uint8).reshape(-1, *utils.IMAGE_SHAPE), labels.astype(np.int64)


def _idx_path(folder: Path, name: str) -> Path:
    stems = (name, name.replace("-idx", ".idx"))
    for path in (folder / f"{stem}{end}" for end in ("", ".gz") for stem in stems):
        if path.is_file():
            return path
    raise SourceDropped(f"{folder} has no {name} or {name}.gz; name the folder with the four IDX files")


def _read_idx(path: Path, dataset: str, split: str, kind: str) -> np.ndarray:
    """One IDX file as uint8 (N, 28, 28) or (N,). Format: big-endian magic number, sizes, then the bytes themselves."""
    again = "download it again"
    try:
        data = _uncompressed(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceDropped(f"{path} is a broken download ({_short(error)}); {again}") from None
    if len(data) > LARGEST_IDX:
        raise SourceDropped(f"{path} is far larger than any file of {utils.DATASETS[dataset]}; {again}")
    n_sizes = 3 if kind == "images" else 1
    n_header = 4 * (1 + n_sizes)
    if len(data) < n_header:
        raise SourceDropped(f"{path} is a broken download (only {len(data)} bytes); {again}")
    magic, *shape = struct.unpack(f">{1 + n_sizes}I", data[:n_header])
    if magic != IDX_MAGIC[kind]:
        raise SourceDropped(
            f"{path} is not an IDX file of {kind} (it starts with {magic}, not {IDX_MAGIC[kind]}); {again}"
        )
    if kind == "images" and shape[1:] != [28, 28]:
        raise SourceDropped(f"{path} holds images of {shape[1]}x{shape[2]} pixels, not 28x28; name another folder")
    expected = n_header + int(np.prod(shape, dtype=np.int64))
    if len(data) != expected or shape[0] == 0:
        raise SourceDropped(f"{path} is a broken download ({len(data)} bytes, its header says {expected}); {again}")
    array = np.frombuffer(data, np.uint8, offset=n_header).reshape(shape)
    if kind == "labels" and array.max() >= utils.N_CLASSES:
        raise SourceDropped(f"{path} is damaged (a label of {array.max()}, where 9 is the last); {again}")
    _check_md5(dataset, split, kind, (data,), path)
    return array


def _uncompressed(path: Path) -> bytes:
    """The contents of a file, gzipped or not (its first bytes tell, for names lie), at most ``LARGEST_IDX`` + 1."""
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not compressed:
            return file.read(LARGEST_IDX + 1)
        with gzip.open(file) as inside:
            return inside.read(LARGEST_IDX + 1)


def _idx_parts(array: np.ndarray) -> tuple[bytes, memoryview]:
    """Images (N, 28, 28) or labels (N,) put back into the bytes of an IDX file: header and data."""
    array = np.ascontiguousarray(array, np.uint8)
    magic = IDX_MAGIC["images" if array.ndim == 3 else "labels"]
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape), array.data


def _check_md5(dataset: str, split: str, kind: str, parts, path: Path | None = None) -> None:
    """Compare the checksum of an IDX file's bytes with the one that is known.

    Raises:
        SourceDropped: naming both.
    """
    known = KNOWN_MD5.get(dataset, {}).get((split, kind))
    if known is None:
        return
    md5 = hashlib.md5(usedforsecurity=False)
    for part in parts:
        md5.update(part)
    if md5.hexdigest() == known:
        return
    for other, sums in KNOWN_MD5.items():
        if md5.hexdigest() == sums.get((split, kind)):
            raise SourceDropped(f"{path or split + ' ' + kind} is of {utils.DATASETS[other]}; use --dataset {other}")
    remedy = "; download it again" if path else ""
    raise SourceDropped(
        f"{path or split + ' ' + kind} is a broken download (MD5 {md5.hexdigest()}, {utils.DATASETS[dataset]} has "
        f"{known}){remedy}"
    )


# --------------------------------------------------------------------------- the Hub and the mirrors


def _from_hub(dataset: str, folder: Path, patience: "_Patience") -> tuple[Split, Split]:
    """Download the two parquet files of a data set and decode them."""
    repo_id, pattern = HUB_FILES[dataset]
    task = {"kind": "hub", "repo_id": repo_id, "files": [pattern.format(split) for split in SPLITS]}
    paths, cached = _fetch(task, folder, patience)
    if cached:  # by any program of the user's; a bad copy there must not stand in the way of a good one
        try:
            splits = _read_parquet_files(paths, dataset)
            print("  found in the Hub's cache", flush=True)
            return splits
        except SourceDropped:
            paths, _ = _fetch(task | {"use_cache": False}, folder, patience)
    return _read_parquet_files(paths, dataset)


def _read_parquet_files(paths: list[Path], dataset: str) -> tuple[Split, Split]:
    return tuple(read_parquet(path, dataset, split) for path, split in zip(paths, SPLITS, strict=True))


def read_parquet(path: Path, dataset: str, split: str) -> Split:
    """Decode and check one split in the Hub's form: columns ``image {bytes (PNG), path}`` and ``label``.

    Returns:
        images uint8 (N, 1, 28, 28) of 0..255, labels int64 (N,) of 0 to 9.

    Raises:
        SourceDropped: damaged, of another form, or with another checksum than the data set.
    """
    import pyarrow
    import pyarrow.parquet
    from PIL import Image
    from tqdm import tqdm

    try:
        table = pyarrow.parquet.read_table(path, columns=["image", "label"])
        # combine_chunks: a struct's field of a chunked column would otherwise come chunk by chunk
        pngs = table["image"].combine_chunks().field("bytes").to_pylist()
        labels = np.array(table["label"].to_pylist(), np.int64)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise SourceDropped(f"{path.name} is a broken download ({_short(error)})") from None
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= utils.N_CLASSES:
        raise SourceDropped(f"{path.name} is damaged (it has no labels of 0 to 9)")
    bad_png = (Image.DecompressionBombError, zlib.error, struct.error)
    images = np.empty((len(pngs), 28, 28), np.uint8)
    for i, png in enumerate(tqdm(pngs, desc=f"decoding {split}", unit="image", delay=1, leave=False)):
        try:
            image = Image.open(io.BytesIO(png), formats=["PNG"])
            if image.size != (28, 28) or image.mode != "L":
                raise SourceDropped(f"{path.name} holds images of {image.size} {image.mode}, not 28x28 grey")
            images[i] = image
        except (*bad_png, OSError, ValueError, TypeError, SyntaxError) as error:
            raise SourceDropped(f"{path.name} is damaged at image {i} ({_short(error)})") from None
    _check_md5(dataset, split, "images", _idx_parts(images))
    _check_md5(dataset, split, "labels", _idx_parts(labels))
    return _as_split(images, labels)


def _from_mirror(url: str, dataset: str, folder: Path, patience: "_Patience") -> tuple[Split, Split]:
    """Download the four IDX files of a data set and read them."""
    _fetch({"kind": "http", "url": url, "files": [f"{name}.gz" for name in IDX_NAMES.values()]}, folder, patience)
    try:
        return read_idx_folder(folder, dataset)
    except SourceDropped as error:  # of files that the user will never see
        raise SourceDropped(str(error).replace(f"{folder}{os.sep}", "").removesuffix("; download it again")) from None


class _Patience:
    """How many seconds all sources together may still pass without a byte of a file."""

    def __init__(self, seconds: float):
        self.seconds = seconds


def _fetch(task: dict, folder: Path, patience: _Patience) -> tuple[list[Path], bool]:
    """Let another process download files, and stop it when nothing arrives any more.

    Args:
        task: for ``_worker``.
        folder: where the files go; made here.
        patience: is used up by waiting, never by a download that moves.

    Returns:
        The files, and whether they were in the Hub's cache already.

    Raises:
        SourceDropped: nothing arrived in time, or the source does not have them.
        OSError: they could not be written.
    """
    from tqdm import tqdm

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    task = task | {"folder": str(folder)}
    # Xet transfers go around the HTTP client, so that their bytes could not be counted; mirrors rarely offer them.
    environment = os.environ | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), WORKER_FLAG, json.dumps(task)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    events: queue.Queue = queue.Queue()
    reader = threading.Thread(target=_read_events, args=(process.stdout, events), daemon=True)
    reader.start()
    last_body = last_sign = time.monotonic()
    ready = False
    bar = None
    try:
        while True:
            now = time.monotonic()
            left = patience.seconds - (now - last_body)
            if ready:  # to start a process is slow on some machines, and not the source's fault
                left = min(left, SILENCE_LIMIT - (now - last_sign))
            if left <= 0:
                raise SourceDropped(f"no byte for {now - last_sign:.0f} s")
            try:
                event = events.get(timeout=left)
            except queue.Empty:
                continue
            last_sign = time.monotonic()
            ready = True
            match event:
                case {"file": name, "total": total, "at": at}:
                    if bar is not None and bar.desc != name:
                        bar.close()
                        bar = None
                    bar = bar or tqdm(desc=name, total=total, unit="B", unit_scale=True, delay=1, leave=False)
                    bar.n = at
                case {"bytes": count}:
                    last_body = last_sign
                    bar.update(count)
                case {"done": names, "cached": cached}:
                    last_body = last_sign
                    return [Path(name) for name in names], cached
                case {"errno": number, "error": text}:
                    raise OSError(number, os.strerror(number), text)
                case {"error": text}:
                    raise SourceDropped(text)
                case None:
                    raise SourceDropped("the download stopped without a word")
    finally:
        patience.seconds -= time.monotonic() - last_body
        process.kill()
        process.wait()
        reader.join(SILENCE_LIMIT)
        if bar is not None:
            bar.close()


def _read_events(stream, events: queue.Queue) -> None:
    """Pass on a worker's lines, and None at their end."""
    with stream:
        for line in stream:
            try:
                events.put(json.loads(line))
            except ValueError:
                break
    events.put(None)


# --------------------------------------------------------------------------- the download process

WORKER_FLAG = "--download-worker"
# Errors of this machine's disk, as against those of a source: no other source would fare better.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


def _worker(task: dict) -> None:
    """Download files and report on standard output, one JSON object a line: ``_fetch`` reads them."""

    def tell(**event) -> None:
        print(json.dumps(event), flush=True)

    try:
        download = {"hub": _download_from_hub, "http": _download_by_http}[task["kind"]]
        names, cached = download(task, tell)
        tell(done=names, cached=cached)
    except SourceDropped as error:
        tell(error=str(error))
    except OSError as error:
        if error.errno in DISK_ERRORS:
            tell(errno=error.errno, error=str(error.filename or task["folder"]))
        else:
            tell(error=_short(error))
    except Exception as error:  # whatever a client may raise is a reason to take the next source
        tell(error=_short(error))


def _download_from_hub(task: dict, tell) -> tuple[list[str], bool]:
    """Get the files of a data set by the Hub's own client: from its cache, else into ``task["folder"]``."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    # Anonymous: these data sets are public, and a stale token would get a refusal.
    repo = {"repo_id": task["repo_id"], "repo_type": "dataset", "token": False}
    if task.get("use_cache", True):
        try:
            return [hf_hub_download(filename=name, local_files_only=True, **repo) for name in task["files"]], True
        except (LocalEntryNotFoundError, OSError):
            pass
    progress = _watch_hub_client(tell)
    tell(ready=True)
    empty_cache = str(Path(task["folder"]) / "cache")  # else the client would take a bad copy from the user's cache
    names = []
    for name in task["files"]:
        progress.start(Path(name).name)
        try:
            names.append(hf_hub_download(filename=name, local_dir=task["folder"], cache_dir=empty_cache, **repo))
        except RepositoryNotFoundError:
            raise SourceDropped(f"it has no public data set {task['repo_id']}") from None
        except LocalEntryNotFoundError as error:
            if isinstance(error.__cause__, OfflineModeIsEnabled):
                raise SourceDropped("HF_HUB_OFFLINE is set") from None
            raise SourceDropped(_short(error.__cause__ or error)) from None
        except EntryNotFoundError:
            raise SourceDropped(f"it lacks the file {name}") from None
    return names, False


class _Progress:
    """Reports one file's download, and notices one that starts at the same place again and again.

    The Hub's client tries a cut download again without end as long as each try brings bytes, even the same bytes.
    """

    MOST_TRIES = 2  # beyond the first that bring nothing new

    def __init__(self, tell):
        self._tell = tell

    def start(self, name: str) -> None:
        self.name, self.furthest, self.tries = name, -1, 0

    @property
    def moved(self) -> bool:
        return self.furthest >= 0

    def answer(self, total: int | None, asked_from: int, at: int) -> None:
        """A server begins to send, from byte ``at``; it was asked to begin at ``asked_from``."""
        self.tries = 0 if asked_from > self.furthest else self.tries + 1
        self.furthest = max(self.furthest, asked_from)
        if self.tries >= self.MOST_TRIES:
            raise SourceDropped(f"it cut {self.name} short again and again, at byte {asked_from}")
        self._tell(file=self.name, total=None if total is None else at + total, at=at)

    def bytes(self, count: int) -> None:
        self._tell(bytes=count)


def _watch_hub_client(tell) -> _Progress:
    """Make the Hub's client report each answer and each byte, and give up where it would wait and try again.

    The client's own progress reports come every ten megabytes, which is too coarse to see whether a download moves.
    """
    from huggingface_hub import get_session, set_client_factory

    progress = _Progress(tell)
    standard = get_session()
    http = sys.modules[type(standard).__module__.partition(".")[0]]  # httpx or httpx2, whichever the client uses

    class CountedStream(http.SyncByteStream):
        def __init__(self, stream):
            self.stream = stream

        def __iter__(self):
            for block in self.stream:
                progress.bytes(len(block))
                yield block

        def close(self):
            self.stream.close()

    class WatchedClient(type(standard)):
        def send(self, request, **options):
            try:
                response = super().send(request, **options)
            except http.TransportError as error:
                if progress.moved:  # the client may try to go on with what it has
                    raise
                raise SourceDropped(f"it cannot be reached ({_short(error)})") from None
            if response.status_code in (408, 429) or response.status_code >= 500:
                response.close()
                raise SourceDropped(f"it answers with HTTP status {response.status_code}")
            tell(answered=response.status_code)
            if request.method == "GET" and response.status_code in (200, 206):
                asked_from = int(request.headers.get("Range", "bytes=0-")[6:].partition("-")[0] or 0)
                length = response.headers.get("Content-Length", "")
                at = asked_from if response.status_code == 206 else 0
                progress.answer(int(length) if length.isdigit() else None, asked_from, at)
                response.stream = CountedStream(response.stream)
            return response

    hooks = standard.event_hooks
    set_client_factory(lambda: WatchedClient(event_hooks=hooks, follow_redirects=True, timeout=None))
    return progress


def _download_by_http(task: dict, tell) -> tuple[list[str], bool]:
    """Get files by plain HTTP into ``task["folder"]``; the proxies in the environment are used."""
    import urllib.error
    import urllib.request

    tell(ready=True)
    names = []
    for name in task["files"]:
        path = Path(task["folder"]) / name
        try:
            response = urllib.request.urlopen(task["url"] + name, timeout=60)
        except urllib.error.HTTPError as error:
            raise SourceDropped(f"it answers with HTTP status {error.code} for {name}") from None
        except urllib.error.URLError as error:
            raise SourceDropped(f"it cannot be reached ({_short(error.reason)})") from None
        with response, open(path, "wb") as file:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            tell(file=name, total=total, at=0)
            done = 0
            while block := response.read1(65_536):
                file.write(block)
                done += len(block)
                tell(bytes=len(block))
                if done > LARGEST_IDX:
                    raise SourceDropped(f"{name} is far too large")
        if total is not None and done != total:
            raise SourceDropped(f"it cut {name} short at {done} of {total} bytes")
        names.append(str(path))
    return names, False


def _short(error: object) -> str:
    """A foreign error's text in one short line of ASCII, which every console can show."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.encode("ascii", "replace").decode()[:120]


# --------------------------------------------------------------------------- the offline stand-in


def stand_in() -> tuple[Split, Split]:
    """Scikit-learn's 1,797 handwritten digits in MNIST's form: 1,437 for training and 360 for testing.

    The split is stratified and always the same. The digits are real ones, of 43 people (Alpaydin and Kaynak 1998).
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.stack([mnist_form(image) for image in digits.images])
    train, test = train_test_split(np.arange(len(images)), test_size=360, stratify=digits.target, random_state=0)
    return tuple(_as_split(images[rows], digits.target[rows]) for rows in (train, test))


def mnist_form(image: np.ndarray) -> np.ndarray:
    """Bring an image of a digit to MNIST's form (LeCun et al. 1998, section III-A).

    The ink is scaled to fit a box of 20x20 pixels, its proportions kept, and lies with its centre of mass in the
    centre of 28x28 pixels.

    Args:
        image: (H, W), 0 the background, any positive scale.

    Returns:
        uint8 (28, 28), 0 the background and 255 full ink.
    """
    from PIL import Image

    # A rim of background, so that strokes end inside the picture; then enlarged, and the blur of that taken back, for
    # MNIST's strokes have hard edges: a tenth of full ink counts as paper, nine tenths as full.
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
    top, left = (
        int(np.clip(round(13.5 - mean), 0, 28 - size))
        for mean, size in zip(_centre_of_mass(ink), ink.shape, strict=True)
    )
    out[top : top + height, left : left + width] = ink
    return out


def _centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    """Row and column of an image's centre of mass, in pixels from the middle of the first one."""
    weights = image / image.sum(dtype=np.float64)
    return tuple(float(weights.sum(1 - axis) @ np.arange(image.shape[axis])) for axis in (0, 1))


# --------------------------------------------------------------------------- the script


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="load_resources.py",
        description="Get the data set, prepare it, check the two networks and the device.",
        epilog="Running it again changes nothing, but looks for MNIST again where only the stand-in is there.",
    )
    parser.add_argument("--data_dir", metavar="DIR", help="folder with the four IDX files, gzipped or not")
    parser.add_argument(
        "--dataset", choices=tuple(utils.DATASETS), help="default: mnist, or digits where MNIST cannot be had"
    )
    parser.add_argument("--ae", metavar="SOURCE", help="AutoEncoder: Hub id or folder (default: the shipped one)")
    parser.add_argument("--ddpm", metavar="SOURCE", help="diffusion model: Hub id or folder (default: the shipped one)")
    return utils.one_line_errors(parser)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    folder = utils.prepared_dir(args.dataset or "mnist")
    source = prepared_source(folder)
    if source and not contents_match(folder, source):
        # Mark it as what it is: ensure() looks at sizes only, and would take it for whole.
        print(f"{folder} does not have the checksums that were noted", flush=True)
        utils.write_text(folder / "source.json", json.dumps({"dataset": source["dataset"]}) + "\n")
    dataset = _ensure(args.dataset, args.data_dir, retry_stand_in=True)
    source = utils.read_source(dataset)
    _print_fact("data set", f"{utils.DATASETS[dataset]}, prepared in {utils.prepared_dir(dataset)}")
    _print_fact("source", source["source"])
    _print_fact("images", f"{source['train']:,} for training, {source['test']:,} for testing")
    sound = _report_networks(args.ae, args.ddpm)
    choice = "" if args.dataset in (None, "mnist") else f" --dataset {args.dataset}"
    print(f"next: python train.py --use_pca{choice}")
    return 0 if sound else 2


def _report_networks(ae: str | None, ddpm: str | None) -> bool:
    """Load both networks and print what they are; True where both load. A PCA run needs neither."""
    try:
        device = utils.get_device()
    except LabError as error:
        _print_error(error)
        return False
    sound = True
    for label, load, network, chosen in (
        ("AutoEncoder", utils.load_ae, utils.AE_NETWORK, ae),
        ("diffusion", utils.load_ddpm, utils.DDPM_NETWORK, ddpm),
    ):
        try:
            net = load(chosen)
        except LabError as error:
            _print_error(error)
            sound = False
            continue
        n_parameters = sum(p.numel() for p in net.parameters())
        _print_fact(label, f"{n_parameters:,} parameters, from {utils.network_source(network, chosen)}")
    _print_fact("device", str(device))
    return sound


def _print_fact(label: str, fact: str) -> None:
    print(f"{label:<12}{fact}", flush=True)


def _print_error(error: LabError) -> None:
    print(f"error: {utils.explain(error)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [WORKER_FLAG]:
        _worker(json.loads(sys.argv[2]))
        sys.exit()
    sys.exit(utils.run_script(main))
