"""The strips of directions as a page holds them: inside it, or as files beside it where there are too many."""

import io
from typing import Any
from urllib.parse import quote

from PIL import Image

from navbench.errors import NavbenchError
from navbench.report.blocks import Frames
from navbench.report.page import Page
from navbench.report.pictures import data_uri, image_bytes, image_path, listed_in

MOST_BYTES = 7_500_000
"""Of all strips that a page holds; base64 makes four thirds of it. Beyond, they stay in files."""


def strips(page: Page) -> dict[str, Frames]:
    """The strip of every direction that has one, by its name."""
    return {name: _frames(page, row) for name, row in page.strip_rows.items()}


def strip_of(page: Page, name: str) -> Frames | None:
    """The strip of one direction; `None` if it has none."""
    return _frames(page, page.strip_rows[name]) if name in page.strip_rows else None


def are_beside(page: Page) -> bool:
    """Whether strips stay in files beside the page."""
    return page.strip_bytes > MOST_BYTES


def _frames(page: Page, row: dict[Any, Any]) -> Frames:
    run, beside = page.tables.run, are_beside(page)
    shifts = tuple(str(words) for words in listed_in(run / "tables" / "images.csv", row, "columns"))
    content, kind = (b"", "") if beside else image_bytes(run, row["file"])
    try:
        with Image.open(image_path(run, row["file"]) if beside else io.BytesIO(content)) as image:  # the head of it
            width, height = image.size
    except (OSError, SyntaxError) as error:
        raise NavbenchError(f"{run / row['file']} is not an image that can be read: {error}.") from error
    if not shifts or row["rows"] < 1:
        raise NavbenchError(f"{run / 'tables' / 'images.csv'} says of {row['file']!r} that it has no rows or columns.")
    source = quote(row["file"]) if beside else data_uri(content, kind)
    return Frames(source, row["rows"], shifts, round(width / len(shifts) / (height / row["rows"]), 3))
