"""The blind naming sheet: strips of all directions without their names, for several people, and the key to it."""

import base64
import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from navbench import seeds
from navbench.errors import NavbenchError
from navbench.experiments.edit import Edit, reduced
from navbench.experiments.pictures import sheet
from navbench.experiments.strips import strip, to_bytes, to_float
from navbench.files import write_atomically
from navbench.inspect.page import assembled
from navbench.inspect.session import Session
from navbench.naming import offsets_key
from navbench.texts import cell

LARGEST_SIDE = 160
"""Of each image of a strip, in pixels."""
QUALITY = 85
SHEET, NAMES = "sheet.html", "names.csv"
KEY_COLUMNS = ("id", "direction", "t_min", "t_max", "offsets")
NAME_COLUMNS = ("id", "interpretable", "label", "remark")


@dataclass(frozen=True)
class SheetSettings:
    """How strips are drawn: rows of codes, columns of shifts, an odd number; the seed is of their order, too."""

    codes: int = 4
    shifts: int = 7
    seed: int = 0


def export_sheet(session: Session, folder: Path, settings: SheetSettings, tick: Callable[[int, int], None]) -> Path:
    """Write a page of strips and a table to fill in into a folder, and the key beside it; where the key is.

    Neither page nor table says which method a strip is of, or how large its shifts are.

    Args:
        session: what is to be named.
        folder: a new or an empty one.
        settings: how strips are drawn.
        tick: is told how many of all strips are drawn.

    Raises:
        NavbenchError: there is something in the folder, or the key of another sheet beside it.
    """
    folder = folder.resolve()
    key = folder.with_name(f"{folder.name}-key.csv")
    if key.exists() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise NavbenchError(f"{folder} or {key.name} beside it is there already; choose another folder by --export.")
    order, ids = blind_order(len(session.shelf), settings.seed)
    strips = []
    for place, picture in enumerate(_strips(session, order, settings), start=1):
        strips.append(picture)
        tick(place, len(order))
    page, policy = assembled("sheet")
    articles = "\n".join(map(_article, ids, strips))
    sheet_id = hashlib.sha256(articles.encode()).hexdigest()[:16]
    page = page.replace("POLICY", policy).replace("SHEET_ID", sheet_id).replace("<!--STRIPS-->", articles)
    write_atomically(key, _table(KEY_COLUMNS, _key_rows(session, order, ids)))  # first: without it the rest is no use
    write_atomically(folder / NAMES, _table(NAME_COLUMNS, ((each, "", "", "") for each in ids)))
    write_atomically(folder / SHEET, page)
    return key


def blind_order(count: int, seed: int) -> tuple[list[int], list[str]]:
    """The numbers of directions in a random order that the seed determines, and what each is called on the sheet."""
    order = seeds.stream(seeds.derived(seed, "naming sheet"), 0).permutation(count).tolist()
    width = max(2, len(str(count)))
    return order, [f"S{place:0{width}d}" for place in range(1, count + 1)]  # a spreadsheet would make 1 of 01


def _strips(session: Session, order: Sequence[int], settings: SheetSettings) -> Iterator[bytes]:
    """Each direction's strip over its range as it is set now, as WebP."""
    namings = session.journal.namings()
    for number in order:
        naming = namings[number]
        direction = replace(session.shelf.direction(number), t_min=naming.t_min, t_max=naming.t_max)
        edit = Edit(session.generator, direction, session.bench.compute)
        images = strip(edit, direction.shifts(settings.shifts).tolist(), settings.codes, settings.seed).images
        buffer = io.BytesIO()
        sheet(_small(images)).save(buffer, "WEBP", quality=QUALITY, method=4)
        yield buffer.getvalue()


def _small(images: Tensor) -> Tensor:
    """Images (rows, columns, 3, H, W), uint8, at no more than `LARGEST_SIDE`."""
    if max(images.shape[-2:]) <= LARGEST_SIDE:
        return images
    return torch.stack([to_bytes(reduced(to_float(row), LARGEST_SIDE)) for row in images])


def _article(each: str, picture: bytes) -> str:
    """A strip with what is to be said of it."""
    uri = f"data:image/webp;base64,{base64.b64encode(picture).decode('ascii')}"
    return (
        f'<article data-id="{each}"><h2>{each}</h2>'
        f'<img src="{uri}" alt="Strip {each}: rows are codes, columns go from one end over no change to the other">'
        f"<fieldset><legend>Strip {each}</legend>"
        f'<label><input type="radio" name="i{each}" value="yes"> one interpretable change</label>'
        f'<label><input type="radio" name="i{each}" value="no"> not interpretable</label>'
        f'<label class="name">Name <input type="text" maxlength="120" autocomplete="off"></label></fieldset></article>'
    )


def _key_rows(session: Session, order: Sequence[int], ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    namings, keys = session.journal.namings(), {file.set_id: offsets_key(file) for file in session.files}
    for each, number in zip(ids, order, strict=True):
        naming, file = namings[number], session.shelf.places[number][0]
        ends = repr(naming.t_min), repr(naming.t_max)
        yield each, session.shelf.names[number], *ends, keys[file.set_id]


def _table(columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([columns, *(map(cell, row) for row in rows)])
    return written.getvalue()
