"""Real images under an edit (section 4.4, Figures 9 and 10): photos, how a generator makes them, and their edits."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from navbench import plugins, seeds
from navbench.costs import Rehearsed, blank, preparing, rehearses, rendering, seeing
from navbench.errors import NavbenchError, NavbenchWarning, image_trouble
from navbench.experiments.edit import Edit
from navbench.experiments.image_files import SUFFIXES, image_names, kind_of, to_rgb, upright
from navbench.experiments.projection import Projection, codes_of, with_activations
from navbench.experiments.reference import GROUP
from navbench.experiments.strips import to_bytes, to_float
from navbench.metrics.attributes import Scorer
from navbench.work import pure

_ROLE = "photos"


class Known(Protocol):
    """A distribution whose images' attributes are known: a reference's callable may tell these, too."""

    factor_names: tuple[str, ...]

    def factors(self, indices: Sequence[int], seed: int) -> Tensor:
        """The true attributes (N, A), in the order of the names and in the units of a scorer of the same names."""


@dataclass(frozen=True)
class Photo:
    """A real image at the generator's size.

    Attributes:
        name: what tables call it, unique within a run.
        image: (3, H, W), float, [-1, 1].
        source: the file, or the distribution and the number in it.
        cropped: whether its sides were cut off to the generator's proportions.
        truth: its true attributes by name, where they are known.
    """

    name: str
    image: Tensor
    source: str
    cropped: bool = False
    truth: dict[str, float] = field(default_factory=dict)


def open_photos(sources: Sequence[str], size: tuple[int, int], count: int) -> list[Photo]:
    """Photos from image files, folders of them, or distributions that can be drawn from, at a generator's size.

    Args:
        sources: paths, or names of installed distributions such as 'renderings'.
        size: of the generator's images, height and width.
        count: how many of each folder (the first by name) and of each distribution (none of those that anything else in
            navbench draws).
    """
    photos: list[Photo] = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            files, skipped = image_names(file.name for file in path.iterdir())
            if not files:
                raise NavbenchError(f"Folder {source} holds no photos ({', '.join(sorted(SUFFIXES))}).")
            if skipped:
                told = f"Folder {source}: {len(skipped)} hidden files are skipped, such as {skipped[0]}."
                warnings.warn(told, NavbenchWarning, stacklevel=2)
            photos += [_file(path / name, size) for name in files[:count]]
        elif path.exists():
            photos.append(_file(path, size))
        elif source in plugins.known(GROUP):
            photos += _drawn(source, size, count)
        else:
            known = ", ".join(sorted(plugins.known(GROUP)))
            raise NavbenchError(f"Photo {source!r} is neither a file, a folder nor a distribution ({known}).")
    names = [photo.name for photo in photos]
    for photo in photos:
        if names.count(photo.name) > 1:
            raise NavbenchError(f"Two photos are called {photo.name!r}, one is {photo.source}; rename it.")
    return photos


def _drawn(source: str, size: tuple[int, int], count: int) -> list[Photo]:
    draw, seed = plugins.find(GROUP, "distribution", source), seeds.derived(0, _ROLE, source)
    images = draw(range(count), seed)
    if tuple(images.shape[1:]) != (3, *size):
        raise NavbenchError(f"{source!r} makes images of {tuple(images.shape[1:])}, but the generator of {(3, *size)}.")
    truths: list[dict[str, float]] = [{}] * count
    if hasattr(draw, "factors"):
        known = cast(Known, draw)
        rows = known.factors(range(count), seed).tolist()
        truths = [dict(zip(known.factor_names, row, strict=True)) for row in rows]
    names = [f"{source}-{index}" for index in range(count)]
    return [
        Photo(name, image, f"{source}, number {index}", False, truth)
        for index, (name, image, truth) in enumerate(zip(names, images, truths, strict=True))
    ]


def _file(path: Path, size: tuple[int, int]) -> Photo:
    try:
        with Image.open(path) as opened:
            kind = kind_of(opened)
            opened.load()
            image = to_rgb(upright(opened), kind)
    except Exception as error:  # of many kinds: every image format has its own
        raise NavbenchError(f"Photo {path} cannot be read as an image ({image_trouble(error)}).") from None
    height, width = size
    cropped = abs(image.width * height - image.height * width) > max(image.size)
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return Photo(path.stem, to_float(pixels), str(path), cropped)


@dataclass(frozen=True)
class PhotoStrip:
    """Photos and their edits.

    Attributes:
        images: (P, 1 + T, 3, H, W), uint8: of each photo itself, then what the generator makes of it at each shift.
        scores: (P, 1 + T, A), what a scorer reads from those; A is 0 where there is none.
    """

    images: Tensor
    scores: Tensor


@pure()
@torch.no_grad()
def photo_strip(
    edit: Edit, kind: str, found: Sequence[Projection], shifts: Sequence[float], scorer: Scorer | None = None
) -> PhotoStrip:
    """The edits of projected photos.

    Args:
        edit: the direction.
        kind: the latent space that they were projected into.
        found: the projections; those with activations into the layer of the direction.
        shifts: the columns.
        scorer: of their attributes.
    """
    generator = edit.space.generator

    def work(indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        chunk = [found[index] for index in indices]
        state = edit.state(codes_of(generator, chunk, kind))
        if chunk[0].activation.numel():
            state = with_activations(state, chunk)
        render = edit.renderer(state)
        photos = to_float(torch.stack([each.photo for each in chunk]).to(edit.compute.device))
        columns = [photos, *(render(t) for t in shifts)]
        read = [scorer(each).cpu() if scorer is not None else torch.empty(len(chunk), 0) for each in columns]
        return torch.stack([to_bytes(each) for each in columns], dim=1), torch.stack(read, dim=1)

    images, scores = zip(*edit.compute.over(range(len(found)), work), strict=True)
    return PhotoStrip(torch.cat(images), torch.cat(scores))


@rehearses(photo_strip)
def _photo_strip_rehearsed(
    edit: Edit, kind: str, found: Sequence[Projection], shifts: Sequence[float], scorer: Scorer | None = None
) -> Rehearsed[PhotoStrip]:
    """Blank."""
    space, compute, columns = edit.space, edit.compute, 1 + len(shifts)
    costs = {preparing(space, compute): len(found), rendering(space, compute): len(found) * len(shifts)}
    if scorer is not None:
        costs[seeing("scorer", scorer.name, scorer, space.generator, compute)] = len(found) * columns
    images = blank(len(found), columns, 3, *space.generator.size, dtype=torch.uint8)
    return Rehearsed(PhotoStrip(images, blank(len(found), columns, len(scorer.attributes) if scorer else 0)), costs)
