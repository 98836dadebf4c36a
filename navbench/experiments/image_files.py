"""Image files as people's folders and zips hold them: which of the files are images, and how one is read."""

import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".ppm", ".tif", ".tiff", ".gif"}
"""Endings of the files that are read; of several frames, the first."""
BACKGROUND = "white"
"""What an image with alpha is composed on where it is converted to RGB."""
_LITTER = {"__MACOSX", "@eaDir"}
"""Folders of copies and thumbnails that systems leave beside images; most others are hidden ones."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets an image upright, by the value of its EXIF tag `_ORIENTATION` (Exif 2.32, table 6)."""
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)
_WORDS = {"1": "black and white", "L": "grey", "LA": "grey with alpha", "P": "a palette", "RGBA": "with alpha"}
_NO_RANGE = ("I", "F")
"""Modes of pixels that are any number."""
RGB = "RGB"
"""The kind of file that is read as it is: 8 bits of red, green and blue."""


def image_names(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of the files in a folder or zip that are images, and those that look like one and are skipped, both sorted.

    Skipped is what is hidden (`.ipynb_checkpoints`, `.thumbnails`, `._` files of macOS), or in a folder of copies.
    """
    images = sorted(name for name in names if PurePath(name).suffix.lower() in SUFFIXES)
    kept, skipped = (tuple(name for name in images if _is_litter(name) == litter) for litter in (False, True))
    return kept, skipped


def _is_litter(name: str) -> bool:
    return any(part.startswith(".") or part in _LITTER for part in PurePath(name.replace("/", os.sep)).parts)


def kind_of(image: Image.Image) -> str:
    """How pixels are stored in a file that was opened and not loaded: Pillow's mode, or '16-bit RGB' and its kin."""
    mode = "L" if image.mode.startswith("I;16") else image.mode
    if not (
        image.mode.startswith("I;16") or any(_is_deep(tile[0], tile[3]) for tile in getattr(image, "tile", ())[:1])
    ):
        return mode
    return f"16-bit {'grey' if mode in ('L', 'I') else mode}"


def _is_deep(decoder: str, told: Any) -> bool:
    """Whether a decoder is told that samples have more than 8 bits: by its raw mode, or a PPM's largest value."""
    raw_mode, *rest = told if isinstance(told, tuple) else (told,)
    return ";16" in str(raw_mode) or (decoder.startswith("ppm") and rest[:1] > [255])


def is_convertible(kind: str) -> bool:
    """Whether `to_rgb` takes a kind: whether it is known which number is white."""
    return kind not in _NO_RANGE


def in_words(kind: str) -> str:
    """A kind for a sentence: 'mode L (grey)'."""
    if kind.startswith("16-bit"):
        return f"{kind} pixels"
    return f"mode {kind} ({_WORDS[kind]})" if kind in _WORDS else f"mode {kind}"


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """What sets an image upright; `None` if it is, or if its EXIF data cannot be read."""
    return _TURNS.get(_orientation(image))


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image once it is upright; of an opened TIFF, Pillow tells that itself."""
    on_its_side = image.format != "TIFF" and _orientation(image) in _ON_ITS_SIDE
    return (image.height, image.width) if on_its_side else image.size


def _orientation(image: Image.Image) -> int:
    try:
        return int(Image.Image.getexif(image).get(_ORIENTATION, 1))  # a PNG's own would decode all of it
    except Exception:  # of many kinds, as EXIF data may be anything
        return 1


def upright(image: Image.Image) -> Image.Image:
    """A loaded image as its EXIF orientation has it seen."""
    turn = turn_of(image)
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image, kind: str) -> Image.Image:
    """A loaded image of a kind (`kind_of`) as 8-bit RGB; of 16 bits the upper 8, alpha composed on `BACKGROUND`.

    Raises:
        ValueError: its pixels are numbers of no known range.
    """
    if not is_convertible(kind):
        raise ValueError(f"its numbers, of mode {kind}, have no known range")
    if kind == "16-bit grey":
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data and image.mode != "RGB":
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), colours)
    return image.convert("RGB")
