"""The images of a report: those of the run as they are, their thumbnails, and heatmaps over mean images."""

import base64
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from navbench.arrays import read_arrays
from navbench.errors import NavbenchError
from navbench.files import write_atomically
from navbench.report.blocks import Picture, Sheet
from navbench.report.numbers import MINUS, significant
from navbench.report.views import anchor
from navbench.texts import file_name

_TYPES = {".webp": "image/webp", ".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg"}
_WIDEST_HEATMAP, _HEATMAP_QUALITY = 128, 85


@dataclass(frozen=True)
class Heatmap:
    """Where one direction changes images: on a scale of its own, and on that of all of its generator."""

    own: Picture
    shared: Picture
    top: str
    shared_top: str
    examples: tuple[Picture, ...] = ()


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as a URI that a page can hold."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def read_sheet(run: Path, row: dict[Any, Any], alt: str, caption: str = "", quality: int | None = None) -> Sheet:
    """Read the image of a row of images.csv, which must lie in the run's folder.

    With a `quality` the page gets a copy that is compressed to it, where that is smaller.
    """
    content, kind = image_bytes(run, row["file"])
    columns = tuple(_column(str(words)) for words in listed_in(run / "tables" / "images.csv", row, "columns"))
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            copy = webp(image, quality) if quality is not None and getattr(image, "n_frames", 1) == 1 else content
    except (OSError, SyntaxError) as error:
        raise NavbenchError(f"{run / row['file']} is not an image that can be read: {error}.") from error
    if len(copy) < len(content):
        content, kind = copy, _TYPES[".webp"]
    picture = Picture(data_uri(content, kind), width, height, alt)
    return Sheet(picture, row["rows"], columns, caption)


def image_bytes(run: Path, file: str) -> tuple[bytes, str]:
    """The bytes and the media type of an image that images.csv names, which must lie in the run's folder."""
    table, path = run / "tables" / "images.csv", image_path(run, file)
    try:
        return path.read_bytes(), _TYPES[path.suffix.lower()]
    except FileNotFoundError as error:
        raise NavbenchError(f"{table} names {file!r}, which is missing.") from error
    except OSError as error:
        raise NavbenchError(f"{path} cannot be read: {error}.") from error


def image_path(run: Path, file: str) -> Path:
    """Where an image lies that images.csv names; in the run's folder, or it is refused."""
    path = (run / file).resolve()
    if not path.is_relative_to(run.resolve()) or path.suffix.lower() not in _TYPES:
        raise NavbenchError(f"{run / 'tables' / 'images.csv'} names {file!r}, not an image of this run.")
    return path


def webp(image: Image.Image, quality: int) -> bytes:
    """An image as lossy WebP."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()


def listed_in(table: Path, row: dict[Any, Any], column: str) -> list[Any]:
    """The JSON list in a cell; an empty one if the cell is empty."""
    try:
        entries = json.loads(row[column] or "[]")
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        raise NavbenchError(f"{table}: column {column!r} holds {row[column]!r}, not a JSON list.")
    return entries


def _column(text: str) -> str:
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def read_heatmaps(run: Path, names: Iterable[str]) -> dict[str, Heatmap]:
    """Where each direction changes images, by name, for the directions that have a heatmap.

    They are written into the run's folder as well, as PNG.
    """
    paths = {name: run / "figures" / f"heatmap-{file_name(name)}.npz" for name in names}
    arrays = {name: _read(path) for name, path in paths.items() if path.is_file()}
    tops: dict[str, float] = {}  # one scale per generator: what is much in one may be little in another
    for name, (heatmap, *_) in arrays.items():
        generator = name.partition("/")[0]
        tops[generator] = max(tops.get(generator, 0.0), float(heatmap.max()))
    return {name: _heatmap(run, name, tops[name.partition("/")[0]], *parts) for name, parts in arrays.items()}


def _heatmap(run: Path, name: str, top: float, change: np.ndarray, mean: np.ndarray, *single: np.ndarray) -> Heatmap:
    pictures, scales = [], {"own": float(change.max()), "shared": top}
    for scale, most in scales.items():
        image = heatmap_image(change, mean, most)
        write_atomically(run / "figures" / f"heatmap-{anchor(name)}-{scale}.png", png(image))
        alt = f"Where {name} changes images: heatmap over the mean image, brightest at {significant(most)}."
        pictures.append(_as_webp(image, alt))
    alt = f"One image before and after {name}, and its squared change, averaged over t."
    examples = tuple(
        _as_webp(example_image(before, after, change), alt) for (before, after), change in zip(*single, strict=True)
    )
    return Heatmap(pictures[0], pictures[1], significant(change.max(), 2), significant(top, 2), examples)


def _as_webp(image: Image.Image, alt: str) -> Picture:
    return Picture(data_uri(webp(image, _HEATMAP_QUALITY), "image/webp"), *image.size, alt)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What is known of where a direction changes images.

    Returns:
        the mean squared change (H, W); the mean image (3, H, W), in [-1, 1]; single images before and after, uint8,
        (r, 2, 3, H, W); and their changes (r, H, W). r is 0 if there are none.
    """
    try:
        arrays = read_arrays(path)
        heatmap, mean_image = (np.nan_to_num(arrays[name].astype(float)) for name in ("heatmap", "mean_image"))
        empty = np.zeros((0, 2, 3, 1, 1), np.uint8), np.zeros((0, 1, 1))
        single = (arrays["examples"], arrays["example_changes"].astype(float)) if "examples" in arrays else empty
    except (KeyError, ValueError) as error:
        raise NavbenchError(f"{path} does not hold a heatmap and a mean image: {error}.") from error
    if heatmap.ndim != 2 or mean_image.shape != (3, *heatmap.shape):
        raise NavbenchError(
            f"{path}: a heatmap (H, W) and a mean image (3, H, W) were expected, "
            f"found {heatmap.shape} and {mean_image.shape}."
        )
    return heatmap, mean_image, *single


def example_image(before: np.ndarray, after: np.ndarray, change: np.ndarray) -> Image.Image:
    """One image before and after an edit, and where it changed, side by side (Figure 13)."""
    shade = matplotlib.colormaps["magma"](change / change.max() if change.max() > 0 else change)[..., :3]
    parts = [before.transpose(1, 2, 0), after.transpose(1, 2, 0), np.round(shade * 255).astype(np.uint8)]
    return Image.fromarray(np.concatenate(parts, axis=1))


def overlay(heatmap: np.ndarray, mean_image: np.ndarray, top: float) -> np.ndarray:
    """A heatmap on a grey mean image, (H, W, 3) in [0, 1]; `top` is the brightest colour's value."""
    grey = (mean_image.mean(axis=0, keepdims=True).transpose(1, 2, 0) + 1) / 2
    level = np.clip(heatmap / top if top > 0 else np.zeros_like(heatmap), 0, 1)
    shade = matplotlib.colormaps["magma"](0.12 + 0.88 * level)[..., :3]
    cover = np.clip(1.6 * level, 0, 0.9)[..., None]
    return np.clip((1 - cover) * grey * 0.85 + cover * shade, 0, 1)


def heatmap_image(heatmap: np.ndarray, mean_image: np.ndarray, top: float) -> Image.Image:
    """A heatmap over its mean image, of a size that a page bears."""
    pixels = np.round(overlay(heatmap, mean_image, top) * 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    image.thumbnail((_WIDEST_HEATMAP, _WIDEST_HEATMAP), Image.Resampling.BOX)
    return image


def png(image: Image.Image) -> bytes:
    """An image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def scale_gradient(stops: int = 9) -> str:
    """The colours of the heatmaps from zero to the top, over mid grey, as a CSS gradient."""
    levels = np.linspace(0, 1, stops)[None]
    colours = np.round(overlay(levels, np.zeros((3, 1, stops)), 1.0)[0] * 255).astype(int)
    return "linear-gradient(to right," + ",".join(f"rgb({r},{g},{b})" for r, g, b in colours) + ")"
