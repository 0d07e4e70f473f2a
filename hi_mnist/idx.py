"""Read and check the files of the data sets: IDX, and parquet as on the Hugging Face Hub.

The checksums of the real files are known, so a file that is truncated, damaged or from another data set never passes;
``SourceDropped`` says why in a few words.
"""

import gzip
import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np

from hi_mnist.data import DATASETS, IMAGE_SHAPE
from hi_mnist.download import SourceDropped, short

SPLITS = ("train", "test")
IDX_NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
# MD5 of these files before compression: every copy compresses them differently.
KNOWN_MD5 = {
    dataset: dict(zip(IDX_NAMES, sums, strict=True))
    for dataset, *sums in (
        ("mnist", "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
         "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c629615203637"),
        ("fashion_mnist", "f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9",
         "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
    )
}  # fmt: skip
IDX_MAGIC = {"images": 2051, "labels": 2049}
IDX_HEADER = {"images": ">4I", "labels": ">2I"}  # magic number and sizes; then come the bytes
LARGEST_IDX = 1 << 28  # bytes; every file of these data sets is far smaller

Split = tuple[np.ndarray, np.ndarray]  # images uint8 (N, 1, 28, 28) of 0..255, labels int64 (N,) of 0 to 9


def read_idx_folder(folder: Path, dataset: str) -> tuple[Split, Split]:
    """Read and check the four IDX files of a data set, compressed or not: its training and its test split.

    ``folder`` holds files like ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``, with or without ``.gz``, or
    folders of such names that an archiver put the files into. Raises SourceDropped.
    """
    if not folder.is_dir():
        raise SourceDropped(f"there is no folder {folder}; name the folder with the four IDX files")
    arrays = {key: _read_idx(_idx_path(folder, name), dataset, *key) for key, name in IDX_NAMES.items()}
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
    """One IDX file, gzipped or not, as uint8 (N, 28, 28) or (N,); whatever else is wrong, its checksum tells."""
    try:
        with open(path, "rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"  # names can be wrong
        with gzip.open(path) if compressed else open(path, "rb") as file:
            header = struct.unpack(IDX_HEADER[kind], file.read(struct.calcsize(IDX_HEADER[kind])))
            array = np.frombuffer(file.read(LARGEST_IDX), np.uint8).reshape(header[1:])
    except (EOFError, ValueError, struct.error, zlib.error, gzip.BadGzipFile) as error:
        raise SourceDropped(f"{path} is a broken download ({short(error)}); download it again") from None
    check_array(dataset, split, array, path)
    return array


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


def read_parquet(path: Path, dataset: str, split: str) -> Split:
    """Decode and check one split in the Hub's form: columns ``image {bytes (PNG), path}`` and ``label``.

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
    bad_png = (Image.DecompressionBombError, zlib.error, struct.error)
    images = np.empty((len(pngs), 28, 28), np.uint8)
    for i, png in enumerate(tqdm(pngs, desc=f"decoding {split}", unit="image", delay=1, leave=False)):
        try:
            images[i] = Image.open(io.BytesIO(png), formats=["PNG"])
        except (OSError, ValueError, TypeError, SyntaxError, *bad_png) as error:
            raise SourceDropped(f"{path.name} is damaged at image {i} ({short(error)})") from None
    check_array(dataset, split, images)
    check_array(dataset, split, labels)
    return as_split(images, labels)
