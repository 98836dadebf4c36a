"""A reference of real images at the generator's size: a folder, a zip, or a distribution that can be drawn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from navbench import plugins, seeds
from navbench.compute import Compute, finite_images
from navbench.costs import Pass, Rehearsed, Trial, blank, rehearses, tried_images
from navbench.errors import NavbenchError
from navbench.experiments.fid_curve import Features
from navbench.experiments.image_folder import open_folder
from navbench.metrics.attributes import Scorer
from navbench.metrics.extractors import Extractor
from navbench.work import pure

GROUP = "navbench.references"
"""Entry points of distributions: callables from (indices, seed) to images (N, 3, H, W), float, [-1, 1]."""
Size = tuple[int, int]
"""Height and width."""


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


def is_drawn(source: str) -> bool:
    """Whether a reference is of images that can be drawn anew: the generator's own, or a distribution's."""
    return source == "unshifted" or _is_distribution(source)


def _is_distribution(source: str) -> bool:
    return not Path(source).exists() and (":" in source or source in plugins.known(GROUP))


def open_reference(source: str, size: Size, count: int, resize: str = "", convert: str = "") -> ReferenceImages:
    """All images of a folder (with its subfolders) or a zip, or the first `count` of a distribution by its name.

    Args:
        source: the folder, zip or name.
        size: of the generator's images, height and width.
        count: how many images of a distribution.
        resize: how files of another size are resized, one of `RESAMPLING`; '' to refuse them.
        convert: 'rgb' to convert files that are not 8-bit RGB; '' to refuse them.
    """
    if _is_distribution(source):
        draw = plugins.find(GROUP, "reference", source)
        return Drawn(source, draw, count, size)
    images = open_folder(source, size, resize, convert)
    if images is None:
        known = ", ".join(sorted(plugins.known(GROUP)))
        raise NavbenchError(
            f"Reference {source!r} is neither 'unshifted' nor a folder or zip of images, "
            f"nor the name of an installed distribution ({known}); check the path."
        )
    return images


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
