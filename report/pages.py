"""What all pages share: templates that escape everything, and pictures as text.

Each page is a single file that works offline: it contains its pictures (as data URIs), styles and scripts.
"""

import base64
import io
import re
from functools import cache
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from hi_mnist.text import plain

TEMPLATES = Path(__file__).with_name("templates")
LARGEST_PICTURE = 20 * 2**20  # bytes; a run's own pictures have up to one megabyte
LARGEST_SIDE = 4000  # pixels
MOST_ROWS = 200  # of a table
# A flag between tags, scripts and styles: browsers would break the line after its hyphens.
_FLAG = re.compile(r"<(script|style|title)\b.*?</\1>|<[^>]*>|(?<![\w-])(?P<flag>--[a-z]\w*)", re.DOTALL)


def render(template: str, *, folder: Path = TEMPLATES, **values) -> str:
    """Fill a template of a folder or of this package; values are escaped unless it marks them as ``safe``."""
    page = _environment(folder).get_template(template).render(**values)
    if template.endswith(".html.j2"):
        page = _FLAG.sub(lambda m: f'<span class="flag">{m[0]}</span>' if m["flag"] else m[0], page)
    # A file name may contain bytes that are not text; the page must still be written.
    return page.encode("utf-8", "replace").decode("utf-8")


@cache
def _environment(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def shown(value: object, longest: int = 4000) -> str:
    """Text from outside, cut to ``longest``, with a mark for invisible characters; the template escapes it."""
    return plain(value, longest, mark="\N{REPLACEMENT CHARACTER}")


def percent(share: float) -> str:
    """Whole percent, but neither 0% nor 100% unless that is exact."""
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{100 * share:.0f}%"


def data_uri(image: Image.Image, kind: str = "PNG", **options) -> str:
    """A picture as a ``data:`` address."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return encoded(kind.lower(), buffer.getvalue())


def encoded(kind: str, content: bytes) -> str:
    """The bytes of a picture file as a ``data:`` address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def digit_uri(pixels: np.ndarray) -> str:
    """A digit, (28, 28) or (1, 28, 28) of 0..255, as a PNG's ``data:`` address."""
    levels = np.clip(np.rint(np.asarray(pixels, dtype=np.float64).reshape(28, 28)), 0, 255).astype(np.uint8)
    return data_uri(Image.fromarray(levels), compress_level=9)


def read_picture(path: Path) -> Image.Image | None:
    """A PNG or JPEG, as RGB; None if it is missing, damaged or too large to be ours."""
    try:
        if path.stat().st_size > LARGEST_PICTURE:
            return None
        with Image.open(path, formats=["PNG", "JPEG"]) as image:
            if max(image.size) > LARGEST_SIDE:
                return None
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
