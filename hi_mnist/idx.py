"""Read and check the files of the data sets: IDX, and parquet as on the Hugging Face Hub.

    (images, labels), test = idx.read_idx_folder(Path("~/Downloads/mnist").expanduser(), "mnist")
    images, labels = idx.read_parquet(Path("train-00000-of-00001.parquet"), "mnist", "train")

A split is its images, uint8 (N, 1, 28, 28) of 0..255, and its labels, int64 (N,) of 0 to 9. The checksums of the real
files are known, so a file that is truncated, damaged or from another data set never passes. It raises ``SourceDropped``
with a short reason: this source is out, and ``load_resources.py`` has others.
"""

import gzip
import hashlib
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from hi_mnist.data import DATASETS, IMAGE_SHAPE, N_CLASSES
from hi_mnist.download import SourceDropped, short

SPLITS = ("train", "test")
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
LARGEST_IDX = 1 << 28  # bytes; every file of these data sets is far smaller

Split = tuple[np.ndarray, np.ndarray]  # images uint8 (N, 1, 28, 28), labels int64 (N,)


# --------------------------------------------------------------------------- IDX files


def read_idx_folder(folder: Path, dataset: str) -> tuple[Split, Split]:
    """Read and check the four IDX files of a data set, compressed or not.

    Args:
        folder: holds files like ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``, with or without ``.gz``,
            or folders of such names that an archiver put the files into.
        dataset: the data set whose checksums they must have.

    Returns:
        The training and the test split: images uint8 (N, 1, 28, 28) of 0..255, labels int64 (N,) of 0 to 9.

    Raises:
        SourceDropped: a file is missing, damaged or from another data set.
    """
    if not folder.is_dir():
        raise SourceDropped(f"there is no folder {folder}; name the folder with the four IDX files")
    arrays = {key: _read_idx(_idx_path(folder, name), dataset, *key) for key, name in IDX_NAMES.items()}
    for split in SPLITS:
        n_images, n_labels = len(arrays[split, "images"]), len(arrays[split, "labels"])
        if n_images != n_labels:
            raise SourceDropped(f"{folder} has {n_images} {split} images but {n_labels} labels; download it again")
    return tuple(as_split(arrays[split, "images"], arrays[split, "labels"]) for split in SPLITS)


def as_split(images: np.ndarray, labels: np.ndarray) -> Split:
    """Images (N, 28, 28) and labels (N,) in the shape and dtypes of a prepared split."""
    return np.ascontiguousarray(images, np.uint8).reshape(-1, *IMAGE_SHAPE), labels.astype(np.int64)


def _idx_path(folder: Path, name: str) -> Path:
    names = [f"{stem}{end}" for end in ("", ".gz") for stem in (name, name.replace("-idx", ".idx"))]
    for path in (folder / place / name for place in ("", *names) for name in names):
        if path.is_file():
            return path
    raise SourceDropped(f"{folder} has no {name} or {name}.gz; name the folder with the four IDX files")


def _read_idx(path: Path, dataset: str, split: str, kind: str) -> np.ndarray:
    """One IDX file as uint8 (N, 28, 28) or (N,). Format: big-endian magic number, sizes, then the bytes."""

    def bad(cause: str) -> SourceDropped:
        return SourceDropped(f"{path} {cause}; download it again")

    try:
        data = _uncompressed(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise bad(f"is a broken download ({short(error)})") from None
    if len(data) > LARGEST_IDX:
        raise bad(f"is far larger than any file of {DATASETS[dataset]}")
    n_header = 16 if kind == "images" else 8
    if len(data) < n_header:
        raise bad(f"is a broken download (only {len(data)} bytes)")
    magic, *shape = struct.unpack_from(f">{n_header // 4}I", data)
    if magic != IDX_MAGIC[kind]:
        raise bad(f"is not an IDX file of {kind} (it starts with {magic}, not {IDX_MAGIC[kind]})")
    if kind == "images" and shape[1:] != [28, 28]:
        raise bad(f"holds images of {shape[1]}x{shape[2]} pixels, not 28x28")
    expected = n_header + math.prod(shape)
    if len(data) != expected or shape[0] == 0:
        raise bad(f"is a broken download ({len(data)} bytes, its header says {expected})")
    array = np.frombuffer(data, np.uint8, offset=n_header).reshape(shape)
    if kind == "labels" and array.max() >= N_CLASSES:
        raise bad(f"is damaged (it holds the label {array.max()}; the last one is 9)")
    check_array(dataset, split, array, path)
    return array


def _uncompressed(path: Path) -> bytes:
    """Up to ``LARGEST_IDX`` + 1 bytes of a file, gzipped or not: its first bytes tell, because names can be wrong."""
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not compressed:
            return file.read(LARGEST_IDX + 1)
        with gzip.open(file) as inside:
            return inside.read(LARGEST_IDX + 1)


def check_array(dataset: str, split: str, array: np.ndarray, path: Path | None = None) -> None:
    """Compare images (N, 28, 28) or labels (N,) of a split with the checksum of their IDX file, if it is known.

    Raises:
        SourceDropped: with both checksums; it names ``path`` if that is given.
    """
    kind = "images" if array.ndim == 3 else "labels"
    known = KNOWN_MD5.get(dataset, {}).get((split, kind))
    md5 = hashlib.md5(struct.pack(f">{1 + array.ndim}I", IDX_MAGIC[kind], *array.shape), usedforsecurity=False)
    md5.update(np.ascontiguousarray(array, np.uint8).data)
    found = md5.hexdigest()
    if known in (None, found):
        return
    what, remedy = (path, "; download it again") if path else (f"{split} {kind}", "")
    for other, sums in KNOWN_MD5.items():
        if found == sums.get((split, kind)):
            raise SourceDropped(f"{what} is of {DATASETS[other]}; use --dataset {other}")
    raise SourceDropped(f"{what} is a broken download (MD5 {found}, {DATASETS[dataset]} has {known}){remedy}")


# --------------------------------------------------------------------------- parquet files


def read_parquet(path: Path, dataset: str, split: str) -> Split:
    """Decode and check one split in the Hub's form: columns ``image {bytes (PNG), path}`` and ``label``.

    Returns:
        images uint8 (N, 1, 28, 28) of 0..255, labels int64 (N,) of 0 to 9.

    Raises:
        SourceDropped: the file is damaged, has another form, or its images or labels have another checksum.
    """
    import pyarrow
    import pyarrow.parquet
    from PIL import Image
    from tqdm import tqdm

    try:
        table = pyarrow.parquet.read_table(path, columns=["image", "label"])
        # Without combine_chunks, a chunked column gives a struct's field chunk by chunk.
        pngs = table["image"].combine_chunks().field("bytes").to_pylist()
        labels = np.array(table["label"].to_pylist(), np.int64)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise SourceDropped(f"{path.name} is a broken download ({short(error)})") from None
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= N_CLASSES:
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
            raise SourceDropped(f"{path.name} is damaged at image {i} ({short(error)})") from None
    check_array(dataset, split, images)
    check_array(dataset, split, labels)
    return as_split(images, labels)
