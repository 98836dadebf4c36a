"""What a notebook shows of an object, as HTML: pictures and figures are part of it, and text is escaped."""

import io
from collections.abc import Mapping
from html import escape
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from navbench.report.pictures import data_uri, webp

WIDEST = 900
"""Pixels: a picture that is wider is shown at this width."""


def picture(image: Image.Image, alt: str) -> str:
    """An image, reduced to `WIDEST`."""
    small = image.convert("RGB")
    small.thumbnail((WIDEST, 8 * WIDEST))
    return tag(webp(small, quality=80), "image/webp", alt)


def figure(drawn: Figure, alt: str) -> str:
    """A plot."""
    return tag(png(drawn), "image/png", alt)


def png(drawn: Figure) -> bytes:
    """A plot on white, as a file."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=90, facecolor="white")
    return buffer.getvalue()


def tag(content: bytes, kind: str, alt: str) -> str:
    """An image file of a MIME type."""
    return f'<img src="{data_uri(content, kind)}" alt="{escape(alt)}">'


def numbers(values: Mapping[str, Any]) -> str:
    """A table of two columns; floats have three significant digits."""
    rows = ((name, f"{value:.3g}" if isinstance(value, float) else str(value)) for name, value in values.items())
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"
