"""What both pages share: templates in which everything is escaped, pictures as text, the colours and names of groups.

Both pages are one file each and ask nothing of the network: pictures are data URIs, styles and scripts stand inside.
"""

import base64
import io
import re
from functools import cache
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from hi_mnist import data, scatter
from hi_mnist.data import FASHION_NAMES, N_CLASSES

TEMPLATES = Path(__file__).with_name("templates")
LARGEST_PICTURE = 20 * 2**20  # bytes; a run's own pictures have at most one megabyte
LARGEST_SIDE = 4000  # pixels
SHORT_NAMES = data.SHORT_NAMES
# C0 and C1 controls (but tab and newline), and the marks that turn the reading direction of what follows.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def render(template: str, **values) -> str:
    """Fill a template of this package; whatever is put in is escaped, unless the template itself says ``safe``."""
    page = _environment().get_template(template).render(**values)
    # A file name may hold bytes that are no text; they must not keep the page from being written.
    return page.encode("utf-8", "replace").decode("utf-8")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def plain(value, longest: int = 4000) -> str:
    """Text from outside, of bounded length and without characters that are not seen; escaping is the template's."""
    text = value if isinstance(value, str) else str(value)
    text = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    return text if len(text) <= longest else f"{text[:longest]} ..."


def data_uri(image: Image.Image, kind: str = "PNG", **options) -> str:
    """A picture as a ``data:`` address."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def digit_uri(pixels: np.ndarray) -> str:
    """A digit, (28, 28) or (1, 28, 28) of 0..255, as a PNG's ``data:`` address."""
    levels = np.clip(np.rint(np.asarray(pixels, dtype=np.float64).reshape(28, 28)), 0, 255).astype(np.uint8)
    return data_uri(Image.fromarray(levels), compress_level=9)


def read_picture(path: Path) -> Image.Image | None:
    """A PNG of the run's folder, as RGB; None where it is missing, damaged or too large to be one of ours."""
    try:
        if path.stat().st_size > LARGEST_PICTURE:
            return None
        with Image.open(path, formats=["PNG"]) as image:
            if max(image.size) > LARGEST_SIDE:
                return None
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def css_colours(count: int) -> list[str]:
    """The colours of visualization.py's pictures, as CSS has them."""
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in scatter.colours(count)]


def class_names(dataset: str) -> list[str]:
    """What the true labels 0 to 9 are called."""
    if dataset == "fashion_mnist":
        return [f"{i} {name}" for i, name in enumerate(FASHION_NAMES)]
    return [str(i) for i in range(N_CLASSES)]
