"""How good a generator of cars is: distances from fresh renderings, and how its factors are distributed.

Every number has its floor beside it: the same number for as many other renderings, which no generator can beat.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments.edit import codes_for, unshifted
from navbench.experiments.fid_curve import ReferenceStatistics
from navbench.generators.base import Generator
from navbench.metrics.attributes import Attribute, Scores, seen
from navbench.metrics.estimate import Estimate
from navbench.metrics.extractors import Extractor
from navbench.metrics.pairwise import PairwiseReference
from navbench.metrics.parts import Parts
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.precision_recall import NARROW
from navbench.metrics.wasserstein import wasserstein
from navbench.progress import Report, silent
from navbench.seeds import Role
from navbench.testbed import cars

"""k of precision and recall."""
PERCEPTUAL = 1000
"""Images at most whose precision and recall are also taken in the features of a perceptual distance, which are large.

The renderings are smooth to the last bit, and a classifier's features depend on that: grain of one grey level, which no
eye sees, puts renderings outside the reference's balls. A perceptual distance is as blind to it as an eye is.
"""
Images = Callable[[Sequence[int]], Tensor]
"""From indices to images (N, 3, 64, 64)."""


@dataclass(frozen=True)
class Measured:
    """Features (n, D) and readings (n, A) of the same n images, and perceptual features of the first of them."""

    features: Tensor
    readings: Tensor
    perceptual: Tensor


@dataclass(frozen=True)
class Distances:
    """How far images are from the reference; uncertainties are those of the images, the reference held fixed.

    Attributes:
        frechet: the squared Fréchet distance of the extractor's features.
        kernel: the squared MMD, unbiased.
        precision, recall: with k = 3 (see `PrecisionRecall`).
        perceptual_precision, perceptual_recall: in the features of the perceptual distance, of the first images.
    """

    frechet: Estimate
    kernel: Estimate
    precision: Estimate
    recall: Estimate
    perceptual_precision: Estimate
    perceptual_recall: Estimate


@dataclass(frozen=True)
class FactorQuality:
    """How one factor is distributed, as the scorer reads it.

    Attributes:
        rendered_spread, generated_spread: standard deviations of its readings, in `unit`; `None` for a circular one.
        distance: Wasserstein-1 from the reference renderings to the generated images, in units of the factor's spread.
        floor: the same to other renderings.
    """

    name: str
    unit: str
    rendered_spread: float | None
    generated_spread: float | None
    distance: float
    floor: float

    @property
    def ratio(self) -> float | None:
        """The generated spread per rendered spread; `None` for a circular factor."""
        if self.rendered_spread is None or self.generated_spread is None:
            return None
        return self.generated_spread / self.rendered_spread


@dataclass(frozen=True)
class Quality:
    """What is known of a generator's images beside n renderings.

    Attributes:
        extractor, metric: what the features are of, and 'FID' or 'FD'.
        distance: whose features the perceptual precision and recall are taken in.
        n: how many images of each kind.
        generated: of the generator.
        floor: of other renderings.
        factors: one each, in the scorer's order.
    """

    extractor: str
    metric: str
    distance: str
    n: int
    seed: int
    generated: Distances
    floor: Distances
    factors: tuple[FactorQuality, ...]


def evaluate(
    generator: Generator, extractor: Extractor, scorer: Scores, distance: PerceptualDistance, n: int, seed: int,
    compute: Compute, report: Report = silent,
) -> Quality:  # fmt: skip
    """Compare n images of a generator, and n other renderings, with n fresh renderings.

    Codes and renderings are drawn for this alone, so none was seen in training.
    """
    if n <= NARROW:
        raise NavbenchError(f"Quality needs more than {NARROW} images of each kind, and {n} were asked for.")

    @torch.no_grad()
    def generated(indices: Sequence[int]) -> Tensor:
        return unshifted(generator, codes_for(generator, Role.QUALITY, indices, seed), compute)

    kinds = (generated, rendered(seed, "quality"), rendered(seed, "quality floor"))
    images, reference, floor = (
        measure(kind, n, extractor, scorer, distance, compute, _part(report, index, n))
        for index, kind in enumerate(kinds)
    )
    prepared = ReferenceStatistics.of(Parts.of(reference.features), n, compute.exact)
    return Quality(
        extractor.name, extractor.metric, distance.name, n, seed,
        distances(images, reference, prepared),
        distances(floor, reference, prepared),
        factors(scorer.attributes, images.readings, reference.readings, floor.readings),
    )  # fmt: skip


def rendered(seed: int, role: str) -> Images:
    """Renderings of a role, by index."""
    return lambda indices: cars.renderings(indices, seeds.derived(seed, role))


def measure(
    images: Images, n: int, extractor: Extractor, scorer: Scores, distance: PerceptualDistance, compute: Compute,
    report: Report = silent,
) -> Measured:  # fmt: skip
    """Measurements of images 0 to n - 1, which are made once and shared by all networks, on the CPU."""

    @torch.no_grad()
    def work(chunk: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        batch = images(chunk).to(compute.device)
        report(chunk[-1] + 1, n)
        looked_at = batch[: max(0, PERCEPTUAL - chunk[0])]
        return extractor(batch).cpu(), scorer(batch).cpu(), distance.features(looked_at).cpu()

    return Measured(*map(torch.cat, zip(*compute.over(range(n), work), strict=True)))


def distances(images: Measured, reference: Measured, prepared: ReferenceStatistics) -> Distances:
    """All distances of some images from a reference, which comes as measured and prepared."""
    frechet, kernel, shares = prepared.measure(Parts.of(images.features))
    seen = PairwiseReference.of(reference.perceptual.to(prepared.mean.device))
    _, perceptual = seen.measure(images.perceptual)
    return Distances(frechet, kernel, shares.precision, shares.recall, perceptual.precision, perceptual.recall)


def factors(
    attributes: Sequence[Attribute], generated: Tensor, reference: Tensor, floor: Tensor
) -> tuple[FactorQuality, ...]:
    """How each attribute's readings (n, A) on generated images and on other renderings differ from the reference's.

    Images that do not show the subject of the scorer are left out.
    """
    generated, reference, floor = (readings[seen(readings)] for readings in (generated, reference, floor))
    return tuple(
        _factor(attribute, generated[:, column], reference[:, column], floor[:, column])
        for column, attribute in enumerate(attributes)
    )


def _factor(attribute: Attribute, generated: Tensor, reference: Tensor, floor: Tensor) -> FactorQuality:
    linear = attribute.period is None
    away, least = (wasserstein(reference, other, attribute.period) / attribute.spread for other in (generated, floor))
    spreads = [float(values.double().std()) if linear else None for values in (reference, generated)]
    return FactorQuality(attribute.name, attribute.unit, spreads[0], spreads[1], away, least)


def _part(report: Report, index: int, n: int) -> Report:
    """A report of the kinds of images, all of which have n, as one."""
    names = ("generated", "rendered", "other renderings")

    def part(done: int, total: int, note: str = "") -> None:
        report(index * n + done, len(names) * n, note or names[index])

    return part
