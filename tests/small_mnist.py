"""A small MNIST of random images, in each of the forms in which the real one comes."""

import gzip
import io
import struct

import numpy as np
from PIL import Image

from hi_mnist import idx

HUB_REPO = "ylecun/mnist"


def small_set(seed=0):
    """Random images and labels by split, uint8 (N, 28, 28) and (N,)."""
    rng = np.random.default_rng(seed)
    return {
        split: (rng.integers(0, 256, (n, 28, 28), np.uint8), (np.arange(n) % 10).astype(np.uint8))
        for split, n in (("train", 30), ("test", 20))
    }


def idx_bytes(array):
    magic = 2051 if array.ndim == 3 else 2049
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def idx_files(data):
    return {key: idx_bytes(data[key[0]][key[1] == "labels"]) for key in idx.IDX_NAMES}


def write_idx(folder, data, compress=True):
    folder.mkdir(parents=True, exist_ok=True)
    for key, content in idx_files(data).items():
        (folder / (idx.IDX_NAMES[key] + ".gz" * compress)).write_bytes(gzip.compress(content) if compress else content)
    return folder


def parquet_bytes(images, labels):
    import pyarrow as pa
    import pyarrow.parquet

    rows = []
    for image in images:
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG")
        rows.append({"bytes": png.getvalue(), "path": None})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, kind), "label": pa.array([int(x) for x in labels], pa.int64())})
    file = io.BytesIO()
    pa.parquet.write_table(table, file, row_group_size=7)
    return file.getvalue()


def put_on_hub(hub, data, fault=None):
    for split, (images, labels) in data.items():
        hub.add_file("dataset", HUB_REPO, f"mnist/{split}-00000-of-00001.parquet", parquet_bytes(images, labels), fault)


def put_on_mirror(hub, data, fault=None):
    for key, content in idx_files(data).items():
        hub.add_path(f"/idx/{idx.IDX_NAMES[key]}.gz", gzip.compress(content), fault)
