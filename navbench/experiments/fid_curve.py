"""Fréchet and kernel distance as functions of the shift (section 4.5, Figures 7, 11 and 14).

A curve is made in two steps, so that it can be resumed: features of all its images, shard by shard of codes;
then, from the features of all shards, one distance per shift with the influence of every code on it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.generators.base import Generator
from navbench.metrics.estimate import Estimate
from navbench.metrics.extractors import Extractor
from navbench.metrics.frechet import FrechetReference, Moments
from navbench.metrics.kernel import KernelReference
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.precision_recall import NEIGHBOURS, NeighbourReference

SHARES = ("precision", "recall", "density", "coverage")
"""What is said of supports at each shift, beside the distances (see `PrecisionRecall`)."""


@dataclass(frozen=True)
class Shard:
    """What one shard of codes gives to a curve.

    Attributes:
        features: (T, n, D), float32.
        effects: (T, m), perceptual distances from the unshifted images, of those of the codes that are measured.
    """

    features: Tensor
    effects: Tensor


@dataclass(frozen=True)
class Curve:
    """Distances at each shift, with the influence of each code (see `Estimate`).

    Attributes:
        frechet, kernel: (T,), float64; frechet_influence, kernel_influence: (T, n). The kernel distance is NaN where
            of the reference only a mean and a covariance are known.
        effects: (T, m), per code.
        shares, shares_stderr: (T, 4), of `SHARES`, NaN where they are not known.
    """

    frechet: Tensor
    frechet_influence: Tensor
    kernel: Tensor
    kernel_influence: Tensor
    effects: Tensor
    shares: Tensor
    shares_stderr: Tensor

    def frechet_at(self, index: int) -> Estimate:
        """The Fréchet distance at one shift."""
        return Estimate(float(self.frechet[index]), self.frechet_influence[index])

    def kernel_at(self, index: int) -> Estimate:
        """The kernel distance at one shift."""
        return Estimate(float(self.kernel[index]), self.kernel_influence[index])


@dataclass(frozen=True)
class Reference:
    """What all distances are measured against, prepared once for all curves.

    Attributes:
        kernel, neighbours: none where only a mean and a covariance are known; the latter neither of very few images.
    """

    frechet: FrechetReference
    kernel: KernelReference | None
    neighbours: NeighbourReference | None

    @property
    def n(self) -> int | None:
        """How many images it is of; none where nobody knows."""
        return self.frechet.n

    @classmethod
    def of(cls, features: Tensor) -> "Reference":
        """From the reference's features, (n, D)."""
        neighbours = NeighbourReference(features) if len(features) > NEIGHBOURS else None
        return cls(FrechetReference.from_moments(Moments.of(features)), KernelReference(features), neighbours)

    @classmethod
    def of_gaussian(cls, mean: Tensor, covariance: Tensor) -> "Reference":
        """From the mean (D,) and covariance (D, D) of features that are not there: no kernel distance."""
        return cls(FrechetReference.from_gaussian(mean, covariance), None, None)

    def estimates(self, features: Tensor) -> tuple[Estimate, Estimate]:
        """The Fréchet and the kernel distance of features (n, D); the latter NaN where it is not known."""
        if self.kernel is None:
            unknown = Estimate(math.nan, torch.full((len(features),), math.nan, dtype=torch.float64))
            return self.frechet.estimate(features), unknown
        return self.frechet.estimate(features), self.kernel.estimate(features)

    def shares(self, features: Tensor) -> Tensor:
        """`SHARES` of features (n, D) and their standard errors, (2, 4), float64; NaN where they are not known."""
        if self.neighbours is None or len(features) <= NEIGHBOURS:
            return torch.full((2, len(SHARES)), math.nan, dtype=torch.float64)
        found = self.neighbours.shares(features)
        estimates = [getattr(found, name) for name in SHARES]
        return torch.tensor([[each.value for each in estimates], [each.stderr for each in estimates]]).double()


def unshifted_features(
    generator: Generator, role: str, rows: Sequence[int], seed: int, extractor: Extractor, compute: Compute
) -> Tensor:
    """Features (n, D) of the generator at t = 0, on codes of a role: 'curve' or 'reference'."""

    def work(chunk: Sequence[int]) -> Tensor:
        return extractor(unshifted(generator, codes_for(generator, role, chunk, seed), compute)).cpu()

    return torch.cat(list(compute.over(rows, work)))


def curve_shard(
    edit: Edit, shifts: Sequence[float], rows: Sequence[int], seed: int, extractor: Extractor,
    distance: PerceptualDistance, effect_codes: int,
) -> Shard:  # fmt: skip
    """One pass over a shard of codes: each image is made once and seen by the extractor and the distance.

    Args:
        edit: the direction.
        shifts: those of the curve but t = 0, which all curves of a generator share.
        rows: the codes of the shard.
        seed: of the run.
        extractor: of the features.
        distance: of the effect, measured on the codes whose number is below `effect_codes`.
        effect_codes: on how many codes of the whole curve the effect is measured.
    """
    generator, compute = edit.space.generator, edit.compute

    def work(chunk: Sequence[int]) -> tuple[Tensor, Tensor]:
        render = edit.prepare(codes_for(generator, "curve", chunk, seed))
        measured = max(0, min(chunk[-1] + 1, effect_codes) - chunk[0])
        with torch.no_grad():
            original = distance.features(render(0.0)[:measured]) if measured else None
            features, effects = [], []
            for t in shifts:
                images = render(t)
                features.append(extractor(images).cpu())
                if original is not None:
                    change = distance.features(images[:measured]) - original
                    effects.append(change.square().sum(1).cpu())
        return torch.stack(features), torch.stack(effects) if effects else torch.empty(len(shifts), 0)

    features, effects = zip(*compute.over(rows, work), strict=True)
    return Shard(torch.cat(features, dim=1), torch.cat(effects, dim=1))


def assemble(features: Iterable[Tensor], effects: Tensor, reference: Reference) -> Curve:
    """The curve, from the features (n, D) of each shift in turn, so that one shift's are in memory at a time."""
    frechet: list[Estimate] = []
    kernel: list[Estimate] = []
    shares: list[Tensor] = []
    for at_shift in features:
        for distances, found in zip((frechet, kernel), reference.estimates(at_shift), strict=True):
            distances.append(found)
        shares.append(reference.shares(at_shift))
    return Curve(
        torch.tensor([estimate.value for estimate in frechet], dtype=torch.float64),
        torch.stack([estimate.influence for estimate in frechet]),
        torch.tensor([estimate.value for estimate in kernel], dtype=torch.float64),
        torch.stack([estimate.influence for estimate in kernel]),
        effects,
        *torch.stack(shares, dim=1),
    )
