"""Fréchet and kernel distance as functions of the shift (section 4.5, Figures 7, 11 and 14).

A curve is made in two steps, so that it can be resumed: features of all its images, shard by shard of codes;
then, from the features of all shards, one distance per shift with the influence of every code on it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute
from navbench.costs import (
    Costs,
    Pass,
    Rehearsed,
    Trial,
    blank,
    generating,
    in_batches,
    preparing,
    rehearses,
    rendering,
    seeing,
    times,
)
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.generators.base import Generator
from navbench.metrics.embedding import Embedder
from navbench.metrics.estimate import Estimate
from navbench.metrics.extractors import Extractor
from navbench.metrics.frechet import FrechetReference, Moments
from navbench.metrics.kernel import KernelReference
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.precision_recall import NEIGHBOURS, NeighbourReference
from navbench.seeds import Role
from navbench.work import Stored, pure, slices

SHARES = ("precision", "recall", "density", "coverage")
"""Numbers of how two distributions overlap at each shift, beside the distances (see `PrecisionRecall`)."""

_TRIED = 1024
"""Features with which distances are tried at most; for plans."""


@dataclass(frozen=True)
class Features:
    """Features of unshifted or real images, (n, D), float32."""

    features: Tensor


@dataclass(frozen=True)
class Shard:
    """What one shard of codes gives to a curve.

    Attributes:
        features: (T, n, D), float32.
        effects: (T, m), perceptual distances from the unshifted images, of those of the codes that are measured.
        steps: (T, m), those between neighbouring shifts, t = 0 among them, of the same codes.
        id_similarity: (T, m), the cosine of the embeddings of the same images and the unshifted; m is 0 without an
            embedding.
    """

    features: Tensor
    effects: Tensor
    steps: Tensor
    id_similarity: Tensor


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
class ReferenceStatistics:
    """What all distances are measured against, prepared once for all curves.

    Attributes:
        kernel, neighbours: `None` if only a mean and a covariance are known; `neighbours` also of very few images.
        cache_key: what distances from it depend on, as JSON.
    """

    frechet: FrechetReference
    kernel: KernelReference | None
    neighbours: NeighbourReference | None
    cache_key: Any = None

    @property
    def n(self) -> int | None:
        """The number of images; `None` if unknown."""
        return self.frechet.n

    @classmethod
    def of(cls, features: Tensor, cache_key: Any = None) -> "ReferenceStatistics":
        """From the reference's features, (n, D), and what stands for them in keys."""
        neighbours = NeighbourReference(features) if len(features) > NEIGHBOURS else None
        return cls(
            FrechetReference.from_moments(Moments.of(features)), KernelReference(features), neighbours, cache_key
        )

    @classmethod
    def of_gaussian(cls, mean: Tensor, covariance: Tensor, cache_key: Any = None) -> "ReferenceStatistics":
        """From the mean (D,) and covariance (D, D) of features that are not there: no kernel distance."""
        return cls(FrechetReference.from_gaussian(mean, covariance), None, None, cache_key)

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


@pure()
def unshifted_features(
    generator: Generator, role: Role, indices: Sequence[int], seed: int, extractor: Extractor, compute: Compute
) -> Features:
    """Features of the generator at t = 0, on codes of a role: 'curve' or 'reference'."""

    def work(chunk: Sequence[int]) -> Tensor:
        return extractor(unshifted(generator, codes_for(generator, role, chunk, seed), compute)).cpu()

    return Features(torch.cat(list(compute.over(indices, work))))


@rehearses(unshifted_features)
def _unshifted_rehearsed(
    generator: Generator, role: Role, indices: Sequence[int], seed: int, extractor: Extractor, compute: Compute
) -> Rehearsed[Features]:
    """Blank."""
    seen = seeing("extractor", extractor.name, extractor, generator, compute)
    costs = {generating(generator, compute): len(indices), seen: len(indices)}
    return Rehearsed(Features(blank(len(indices), extractor.dimensions)), costs)


@pure()
def curve_shard(
    edit: Edit, shifts: Sequence[float], indices: Sequence[int], seed: int, extractor: Extractor,
    distance: PerceptualDistance, effect_codes: int, embed: Embedder | None = None,
) -> Shard:  # fmt: skip
    """One pass over a shard of codes: each image is made once and seen by the extractor and the distance.

    Args:
        edit: the direction.
        shifts: those of the curve but t = 0, which all curves of a generator share; ascending, of both signs.
        indices: the codes of the shard.
        seed: of the run.
        extractor: of the features.
        distance: of the effect, measured on the codes whose number is below `effect_codes`.
        effect_codes: on how many codes of the whole curve the effect is measured.
        embed: embeddings of unit norm, in which an identity is seen, if it is to be measured.
    """
    generator, compute = edit.space.generator, edit.compute

    def work(chunk: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        render = edit.prepare(codes_for(generator, Role.CURVE, chunk, seed))
        measured = max(0, min(chunk[-1] + 1, effect_codes) - chunk[0])
        with torch.no_grad():
            trace = _Trace(render(0.0)[:measured], distance, embed) if measured else None
            features = []
            for t in shifts:
                images = render(t)
                features.append(extractor(images).cpu())
                if trace is not None:
                    trace.add(t, images[:measured])
        nothing = torch.empty(len(shifts), 0)
        traced = trace.result() if trace is not None else (nothing, nothing, nothing)
        return torch.stack(features), *traced

    return Shard(*(torch.cat(each, dim=1) for each in zip(*compute.over(indices, work), strict=True)))


@rehearses(curve_shard)
def _shard_rehearsed(
    edit: Edit, shifts: Sequence[float], indices: Sequence[int], seed: int, extractor: Extractor,
    distance: PerceptualDistance, effect_codes: int, embed: Embedder | None = None,
) -> Rehearsed[Shard]:  # fmt: skip
    """Blank; the unshifted images are made in those batches alone whose effect is measured."""
    space, compute, codes, points = edit.space, edit.compute, len(indices), len(shifts)
    measured = max(0, min(indices[-1] + 1, effect_codes) - indices[0])
    originals = min(in_batches(measured, compute.batch), codes)
    generator = space.generator
    costs = {
        preparing(space, compute): codes,
        rendering(space, compute): codes * points + originals,
        seeing("extractor", extractor.name, extractor, generator, compute): codes * points,
    }
    if measured:
        costs[seeing("distance", distance.name, distance.features, generator, compute)] = measured * (1 + points)
    if measured and embed is not None:
        costs[seeing("embedding", embed.name, embed, generator, compute)] = measured * (1 + points)
    traced = torch.ones(()).expand(points, measured)
    cosines = traced if embed is not None else blank(points, 0)
    return Rehearsed(Shard(blank(points, codes, extractor.dimensions), traced, traced, cosines), costs)


class _Trace:
    """The path of some images along ascending shifts, by what a distance sees of them; three points in memory."""

    def __init__(
        self, unshifted: Tensor, distance: PerceptualDistance, embed: Callable[[Tensor], Tensor] | None
    ) -> None:
        self._distance, self._embed = distance, embed
        self._origin = distance.features(unshifted)
        self._identity = embed(unshifted) if embed is not None else None
        self._last: tuple[float, Tensor] | None = None
        self._effects: list[Tensor] = []
        self._steps: list[Tensor] = []
        self._similarities: list[Tensor] = []

    def add(self, t: float, images: Tensor) -> None:
        """The images at the next shift."""
        here = self._distance.features(images)
        effect = _squared(here, self._origin)
        if t > 0 and (self._last is None or self._last[0] < 0):  # t = 0 lies between
            if self._last is not None:
                self._steps.append(self._effects[-1])
            self._steps.append(effect)
        elif self._last is not None:
            self._steps.append(_squared(here, self._last[1]))
        self._last = (t, here)
        self._effects.append(effect)
        if self._embed is not None and self._identity is not None:
            self._similarities.append((self._embed(images) * self._identity).sum(1).cpu())

    def result(self) -> tuple[Tensor, Tensor, Tensor]:
        """Effects, steps and cosines of identity, (T, m) each."""
        id_similarity = torch.stack(self._similarities) if self._similarities else torch.empty(len(self._effects), 0)
        return torch.stack(self._effects), torch.stack(self._steps), id_similarity


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(1).cpu()


def assemble(features: Iterable[Tensor], effects: Tensor, reference: ReferenceStatistics) -> Curve:
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


@pure()
def curve(shards: tuple[Stored[Shard], ...], reference: ReferenceStatistics) -> Curve:
    """The curve of a direction from its shards, which make up all codes in order."""
    effects = torch.cat([shard.read("effects") for shard in shards], dim=1)
    with slices(shards, "features") as at:
        return assemble(map(at, range(len(effects))), effects, reference)


@pure()
def floor(unshifted: tuple[Stored[Features], ...], effect_codes: int, reference: ReferenceStatistics) -> Curve:
    """The distances at t = 0, which all curves of a generator share, as a curve of one point."""
    features = torch.cat([part.read("features") for part in unshifted])
    return assemble([features], torch.zeros(1, effect_codes), reference)


@rehearses(curve)
def _curve_rehearsed(shards: tuple[Shard, ...], reference: ReferenceStatistics) -> Rehearsed[Curve]:
    """Distances of 1, everywhere."""
    points, _, dimensions = shards[0].features.shape
    codes = sum(shard.features.shape[1] for shard in shards)
    return _distances_rehearsed(points, codes, dimensions, sum(each.effects.shape[1] for each in shards), reference)


@rehearses(floor)
def _floor_rehearsed(
    unshifted: tuple[Features, ...], effect_codes: int, reference: ReferenceStatistics
) -> Rehearsed[Curve]:
    """A distance of 1."""
    codes = sum(len(part.features) for part in unshifted)
    return _distances_rehearsed(1, codes, unshifted[0].features.shape[1], effect_codes, reference)


def _distances_rehearsed(
    points: int, codes: int, dimensions: int, measured: int, reference: ReferenceStatistics
) -> Rehearsed[Curve]:
    one = torch.ones((), dtype=torch.float64)
    distances, influences, shares = (one.expand(points, *more) for more in ((), (codes,), (len(SHARES),)))
    effects = one.float().expand(points, measured)
    sketch = Curve(distances, influences, distances, influences, effects, shares, shares)
    costs = {
        _frechet(min(codes, _TRIED), dimensions, reference.frechet.mean.device): 1.0,
        **pair_costs(codes, reference, dimensions),
    }
    return Rehearsed(sketch, times(points, costs))


def _frechet(codes: int, dimensions: int, device: torch.device) -> Pass:
    """The Fréchet distance at one shift; with many dimensions, more codes cost little more."""

    def trial() -> Trial:
        features = seeds.normal(0, range(codes), (dimensions,)).to(device)
        reference = FrechetReference.from_moments(Moments.of(features))

        def once() -> float:
            reference.estimate(features)
            return 1

        return once

    return Pass("Fréchet distance", (codes, dimensions), trial)


def pair_costs(codes: int, reference: ReferenceStatistics, dimensions: int) -> Costs:
    """Of the numbers at one shift that are of pairs of features; of none where no features of a reference are known."""
    if reference.kernel is None or reference.n is None:
        return {}
    others, device = reference.n, reference.kernel.features.device
    few, some = min(codes, _TRIED), min(others, _TRIED)

    def trial() -> Trial:
        features, real = (seeds.normal(0, range(count), (dimensions,)).to(device) for count in (few, some))
        tried = ReferenceStatistics.of(real)

        def once() -> float:
            tried.estimates(features)
            tried.shares(features)
            return few * (few + some) / codes / (codes + others)

        return once

    return {Pass("kernel distance", (codes, others, dimensions), trial): 1}
