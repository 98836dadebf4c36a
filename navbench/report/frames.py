"""The strips of directions as a page holds them: inside it, or as files beside it where there are too many."""

import io
from typing import Any
from urllib.parse import quote

from PIL import Image

from navbench.errors import NavbenchError
from navbench.report.blocks import Frames
from navbench.report.page import Page
from navbench.report.pictures import data_uri, image_bytes, listed_in

MOST_BYTES = 7_500_000
"""Of all strips that a page holds; base64 makes four thirds of it. Beyond, they stay in files."""


def strips(page: Page) -> dict[str, Frames]:
    """The strip of every direction that has one, by its name."""
    rows = strip_rows(page)
    beside = are_beside(page)
    return {row["name"]: _frames(page, row, beside) for row in rows}


def strip_of(page: Page, name: str) -> Frames | None:
    """The strip of one direction; `None` if it has none."""
    rows = [row for row in strip_rows(page) if row["name"] == name]
    return _frames(page, rows[0], are_beside(page)) if rows else None


def are_beside(page: Page) -> bool:
    """Whether strips stay in files beside the page."""
    return sum(page.size_of(row["file"]) for row in strip_rows(page)) > MOST_BYTES


def strip_rows(page: Page) -> list[dict[Any, Any]]:
    """The rows of images.csv that are of strips, the first of each direction."""
    images = page.tables.images
    strips = images[images["kind"] == "strip"].drop_duplicates("name").fillna({"rows": 1}).astype({"rows": int})
    return strips.to_dict("records")


def _frames(page: Page, row: dict[Any, Any], beside: bool) -> Frames:
    run = page.tables.run
    shifts = tuple(str(words) for words in listed_in(run / "tables" / "images.csv", row, "columns"))
    content, kind = image_bytes(run, row["file"])
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except (OSError, SyntaxError) as error:
        raise NavbenchError(f"{run / row['file']} is not an image that can be read: {error}.") from error
    if not shifts or row["rows"] < 1:
        raise NavbenchError(f"{run / 'tables' / 'images.csv'} says of {row['file']!r} that it has no rows or columns.")
    source = quote(row["file"]) if beside else data_uri(content, kind)
    return Frames(source, row["rows"], shifts, round(width / len(shifts) / (height / row["rows"]), 3))
