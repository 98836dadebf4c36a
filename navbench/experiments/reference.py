"""A reference of real images at the generator's size: a folder, a zip, or a distribution that can be drawn from."""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from navbench import plugins, seeds
from navbench.arrays import MOST_BYTES
from navbench.compute import Compute, finite_images
from navbench.costs import Pass, Rehearsed, Trial, blank, rehearses, tried_images
from navbench.errors import NavbenchError, image_trouble
from navbench.experiments.fid_curve import Features
from navbench.files import content_hash
from navbench.metrics.attributes import Scorer
from navbench.metrics.extractors import Extractor
from navbench.work import SentOnce, pure

GROUP = "navbench.references"
"""Entry points of distributions: callables from (indices, seed) to images (N, 3, H, W), float, [-1, 1]."""
Size = tuple[int, int]
"""Height and width."""
RESAMPLING = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""How real images of another size may be resized, by Pillow, all with antialiasing (Parmar et al., CVPR 2022)."""
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff"}


class ReferenceImages(Protocol):
    """Real images by number."""

    def __len__(self) -> int:
        """How many there are."""

    def images(self, indices: Sequence[int]) -> Tensor:
        """Images number `indices`, (N, 3, H, W), float, [-1, 1]."""

    def check(self) -> None:
        """Refuse what cannot be used, before any work is done."""

    @property
    def cache_key(self) -> Any:
        """What results depend on, as JSON."""

    def description(self) -> str:
        """What it is, and how its images were resized, in words."""


@dataclass(frozen=True)
class Drawn:
    """The first `count` images of a distribution that can be drawn from without end, such as a testbed's renderings.

    Attributes:
        draw: from indices and a seed to images; image i depends on (seed, i) only.
    """

    source: str
    draw: Callable[[Sequence[int], int], Tensor]
    count: int
    size: Size

    def __len__(self) -> int:
        return self.count

    def images(self, indices: Sequence[int]) -> Tensor:
        """Images number `indices`, (N, 3, H, W), float, [-1, 1]."""
        return finite_images(
            self.draw(indices, seeds.derived(0, "reference", self.source)), f"Reference {self.source!r}"
        )

    def check(self) -> None:
        """Refuse a distribution of images of another size."""
        found = tuple(self.images([0]).shape)
        if found != (1, 3, *self.size):
            raise NavbenchError(
                f"Reference {self.source!r} makes images of shape {found[1:]}, but the generator makes "
                f"{(3, *self.size)}; name another reference."
            )

    @cached_property
    def cache_key(self) -> Any:
        """Its name, how many images of which size, and what the first of them look like."""
        first = self.images(range(min(4, self.count))).double()
        return [self.source, self.count, list(self.size), f"{float(first.mean()):.6f} {float(first.std()):.6f}"]

    def description(self) -> str:
        """What it is, in words."""
        return f"{self.count:,} images drawn from {self.source}, at the generator's size"


@dataclass(frozen=True)
class RealImages(SentOnce):
    """Image files by name, in sorted order, read one at a time; none is converted.

    Attributes:
        source: the folder, or the zip.
        names: of the files in it.
        resize: one of `RESAMPLING`, for images of another size but the same proportions; '' to refuse them.
    """

    source: str
    names: tuple[str, ...]
    size: Size
    resize: str = ""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def cache_key(self) -> Any:
        """The hash of all files with their names, and to which size they are resized, and how."""
        return [content_hash(Path(self.source)), list(self.size), self.resize]

    def description(self) -> str:
        """What it is, and how its images were resized, in words."""
        height, width = self.size
        how = f"resized to {height}x{width} by Pillow's {self.resize}" if self.resize else "as they are, not resized"
        return f"{len(self):,} images of {self.source}, {how}"

    def images(self, indices: Sequence[int]) -> Tensor:
        """Images number `indices`, (N, 3, H, W), float, [-1, 1]."""
        return torch.stack([self._image(self.names[index]) for index in indices])

    def check(self) -> None:
        """Refuse the first file whose header tells of another size or mode, before any work is done."""
        for name in self.names:
            self._open(name, whole=False)

    def _image(self, name: str) -> Tensor:
        image = self._open(name)
        if image.size != self.size[::-1]:
            image = image.resize(self.size[::-1], RESAMPLING[self.resize])
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1

    def _open(self, name: str, *, whole: bool = True) -> Image.Image:
        try:
            with Image.open(BytesIO(self._read(name))) as image:
                if whole:
                    image.load()
        except Exception as error:  # of many kinds: zip files, encryption and every image format have their own
            raise NavbenchError(
                f"{name} in reference {self.source} cannot be read as an image ({image_trouble(error)})."
            ) from None
        if image.mode != "RGB":
            raise NavbenchError(
                f"{name} in reference {self.source} has mode {image.mode}; convert the images to RGB first."
            )
        height, width = self.size
        same_proportions = abs(image.width * height - image.height * width) <= max(image.size)
        if image.size != (width, height) and not (self.resize and same_proportions):
            raise NavbenchError(
                f"{name} in reference {self.source} is {image.width}x{image.height}, but the generator makes "
                f"{width}x{height}; {self._remedy(same_proportions)}."
            )
        return image

    def _read(self, name: str) -> bytes:
        path = Path(self.source)
        if path.is_dir():
            return (path / name).read_bytes()
        if _archive(path).getinfo(name).file_size > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES >> 20} MiB")
        return _archive(path).read(name)

    def _remedy(self, same_proportions: bool) -> str:
        if same_proportions:
            return f"resize the images first, or say how: {', '.join(RESAMPLING)} (it matters for the FID)"
        return "crop the images to its proportions first"


def is_drawn(source: str) -> bool:
    """Whether a reference is of images that can be drawn anew: the generator's own, or a distribution's."""
    return source == "unshifted" or _is_distribution(source)


def _is_distribution(source: str) -> bool:
    return not Path(source).exists() and (":" in source or source in plugins.known(GROUP))


def open_reference(source: str, size: Size, count: int, resize: str = "") -> ReferenceImages:
    """All images of a folder (with its subfolders) or a zip, or the first `count` of a distribution by its name.

    Args:
        source: the folder, zip or name.
        size: of the generator's images, height and width.
        count: how many images of a distribution.
        resize: how files of another size are resized, one of `RESAMPLING`; '' to refuse them.
    """
    if _is_distribution(source):
        draw = plugins.find(GROUP, "reference", source)
        return Drawn(source, draw, count, size)
    path = Path(source)
    try:
        if path.is_dir():
            inside = [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()]
        elif zipfile.is_zipfile(path):
            inside = [entry.filename for entry in _archive(path).infolist() if not entry.is_dir()]
        else:
            known = ", ".join(sorted(plugins.known(GROUP)))
            raise NavbenchError(
                f"Reference {source!r} is neither 'unshifted' nor a folder or zip of images, "
                f"nor the name of an installed distribution ({known}); check the path."
            )
    except (OSError, zipfile.BadZipFile) as error:
        raise NavbenchError(f"Reference {source!r} cannot be read ({error}).") from error
    names = tuple(sorted(name for name in inside if PurePath(name).suffix.lower() in SUFFIXES))
    if len(names) < 2:
        raise NavbenchError(
            f"Reference {source!r} holds {len(names)} images ({', '.join(sorted(SUFFIXES))}); it needs at least 2."
        )
    return RealImages(source, names, size, resize)


def _archive(path: Path) -> zipfile.ZipFile:
    """A zip, whose index is read once."""
    return _opened(path, path.stat().st_mtime_ns)


@cache
def _opened(path: Path, _changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@pure()
def real_features(images: ReferenceImages, indices: Sequence[int], extractor: Extractor, compute: Compute) -> Features:
    """Features of images number `indices` of a reference."""

    def work(chunk: Sequence[int]) -> Tensor:
        return extractor(images.images(chunk).to(compute.device)).cpu()

    return Features(torch.cat(list(compute.over(indices, work))))


@rehearses(real_features)
def _real_features_rehearsed(
    images: ReferenceImages, indices: Sequence[int], extractor: Extractor, compute: Compute
) -> Rehearsed[Features]:
    """Blank."""
    seen = Pass("extractor", (str(extractor.cache_key), images.description()), _seen(images, extractor, compute))
    return Rehearsed(Features(blank(len(indices), extractor.dimensions)), {seen: len(indices)})


def _seen(images: ReferenceImages, see: Callable[[Tensor], object], compute: Compute) -> Callable[[], Trial]:
    """A trial of reading images of a reference, and seeing them."""

    def once() -> float:
        count = min(tried_images(compute), len(images))
        see(images.images(range(count)).to(compute.device))
        return count

    return lambda: once


@dataclass(frozen=True)
class Scored:
    """What a scorer reads from images, (n, A), float32."""

    scores: Tensor


@pure()
def real_scores(images: ReferenceImages, indices: Sequence[int], scorer: Scorer, compute: Compute) -> Scored:
    """What a scorer reads from images number `indices` of a reference."""
    return Scored(torch.cat(list(compute.over(indices, lambda chunk: scorer(images.images(chunk)).cpu()))))


@rehearses(real_scores)
def _real_scores_rehearsed(
    images: ReferenceImages, indices: Sequence[int], scorer: Scorer, compute: Compute
) -> Rehearsed[Scored]:
    """Blank."""
    seen = Pass("scorer", (scorer.name, images.description()), _seen(images, scorer, compute))
    return Rehearsed(Scored(blank(len(indices), len(scorer.attributes))), {seen: len(indices)})
