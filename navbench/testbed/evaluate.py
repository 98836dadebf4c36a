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
from navbench.experiments.fid_curve import Reference
from navbench.generators.base import Generator
from navbench.metrics.attributes import Attribute, Scores
from navbench.metrics.estimate import Estimate
from navbench.metrics.extractors import Extractor
from navbench.metrics.precision_recall import precision_recall
from navbench.metrics.wasserstein import wasserstein
from navbench.progress import Report, silent
from navbench.testbed import cars

NEIGHBOURS = 3
"""k of precision and recall."""
Images = Callable[[Sequence[int]], Tensor]
"""From indices to images (N, 3, 64, 64)."""


@dataclass(frozen=True)
class Measured:
    """Features (n, D) and readings (n, A) of the same n images."""

    features: Tensor
    readings: Tensor


@dataclass(frozen=True)
class Distances:
    """How far images are from the reference; uncertainties are those of the images, the reference held fixed.

    Attributes:
        frechet: the squared Fréchet distance of the extractor's features.
        kernel: the squared MMD, unbiased.
        precision, recall: with k = 3 (see `PrecisionRecall`).
    """

    frechet: Estimate
    kernel: Estimate
    precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class FactorQuality:
    """How one factor is distributed, as the scorer reads it.

    Attributes:
        rendered_spread, generated_spread: standard deviations of its readings, in `unit`; none for a circular one.
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
        """The generated spread per rendered spread; none for a circular factor."""
        if self.rendered_spread is None or self.generated_spread is None:
            return None
        return self.generated_spread / self.rendered_spread


@dataclass(frozen=True)
class Quality:
    """What is known of a generator's images beside n renderings.

    Attributes:
        extractor, metric: what the features are of, and 'FID' or 'FD'.
        n: how many images of each kind.
        generated: of the generator.
        floor: of other renderings.
        factors: one each, in the scorer's order.
    """

    extractor: str
    metric: str
    n: int
    seed: int
    generated: Distances
    floor: Distances
    factors: tuple[FactorQuality, ...]


def evaluate(
    generator: Generator, extractor: Extractor, scorer: Scores, n: int, seed: int, compute: Compute,
    report: Report = silent,
) -> Quality:  # fmt: skip
    """Compare n images of a generator, and n other renderings, with n fresh renderings.

    Codes and renderings are of roles of their own, so none was seen in training.
    """
    if n <= NEIGHBOURS:
        raise NavbenchError(f"Quality needs more than {NEIGHBOURS} images of each kind, and {n} were asked for.")

    @torch.no_grad()
    def generated(rows: Sequence[int]) -> Tensor:
        return unshifted(generator, codes_for(generator, "quality", rows, seed), compute)

    kinds = (generated, rendered(seed, "quality"), rendered(seed, "quality floor"))
    images, reference, floor = (
        measure(kind, n, extractor, scorer, compute, _part(report, index, n)) for index, kind in enumerate(kinds)
    )
    prepared = Reference.of(reference.features.to(compute.device))
    return Quality(
        extractor.name, extractor.metric, n, seed,
        distances(images.features, reference.features, prepared),
        distances(floor.features, reference.features, prepared),
        factors(scorer.attributes, images.readings, reference.readings, floor.readings),
    )  # fmt: skip


def rendered(seed: int, role: str) -> Images:
    """Renderings of a role, by index."""
    return lambda rows: cars.renderings(rows, seeds.derived(seed, role))


def measure(
    images: Images, n: int, extractor: Extractor, scorer: Scores, compute: Compute, report: Report = silent
) -> Measured:
    """Features and readings of images 0 to n - 1, each made once and seen by both, on the CPU."""

    def work(chunk: Sequence[int]) -> tuple[Tensor, Tensor]:
        made = images(chunk).to(compute.device)
        report(chunk[-1] + 1, n)
        return extractor(made).cpu(), scorer(made).cpu()

    features, readings = zip(*compute.over(range(n), work), strict=True)
    return Measured(torch.cat(features), torch.cat(readings))


def distances(features: Tensor, reference: Tensor, prepared: Reference) -> Distances:
    """All distances of features (n, D) from a reference's, which come as they are and prepared."""
    device = prepared.kernel.features.device
    shares = precision_recall(features.to(device), reference.to(device), NEIGHBOURS)
    frechet, kernel = prepared.frechet.estimate(features), prepared.kernel.estimate(features)
    return Distances(frechet, kernel, shares.precision, shares.recall)


def factors(
    attributes: Sequence[Attribute], generated: Tensor, reference: Tensor, floor: Tensor
) -> tuple[FactorQuality, ...]:
    """How each attribute's readings (n, A) on generated images and on other renderings differ from the reference's."""
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
