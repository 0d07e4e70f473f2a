"""Pictures of a hand-in, made small. The child process does it (``staff.grade_one`` sends this there): decoders have
bugs, and a small file may unpack to gigabytes.
"""

import io
from contextlib import suppress

import numpy as np
from PIL import Image

SIDE = 720  # pixels; the plane of one of the lab's pictures is about 600 of them
LARGEST_SIDE = 4000  # pixels; larger pictures are none of ours


def thumbnails(source: bytes, pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """PNGs, bytes as uint8 (n,) by name, as uint8 (height, width, 3) of at most ``SIDE``; without what is not one."""
    made = {}
    for name, content in pictures.items():
        with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            image = Image.open(io.BytesIO(content.tobytes()), formats=["PNG"])
            if max(image.size) <= LARGEST_SIDE:
                picture = image.convert("RGB")
                picture.thumbnail((SIDE, SIDE))
                made[name] = np.array(picture)
    return made


TASKS = {"thumbnails": thumbnails}
