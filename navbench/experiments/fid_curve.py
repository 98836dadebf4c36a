"""Fréchet and kernel distance as functions of the shift (section 4.5, Figures 7, 11 and 14).

A curve is made in two steps, so that it can be resumed: features of all its images, shard by shard of codes;
then, from the features of all shards, one distance per shift with the influence of every code on it.  Features
are read a shift and a shard at a time, so that the memory of a curve does not depend on the number of images.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.costs import (
    Rehearsed,
    blank,
    generating,
    in_batches,
    preparing,
    rehearses,
    rendering,
    seeing,
    times,
)
from navbench.experiments.distances import distances_costs, extracting
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.generators.base import Generator
from navbench.metrics import frechet, splits
from navbench.metrics.embedding import Embedder
from navbench.metrics.estimate import Estimate, ReferenceDraw
from navbench.metrics.extractors import Extractor
from navbench.metrics.frechet import SAMPLES, FrechetReference, Moments
from navbench.metrics.kernel import Among
from navbench.metrics.pairwise import MOST, Neighbourhood, PairwiseReference, Samples
from navbench.metrics.parts import Parts
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.precision_recall import SHARES, WIDE, PrecisionRecall, unknown
from navbench.metrics.splits import LISTED, Nearest
from navbench.seeds import Role
from navbench.work import Stored, joined, pure, slices


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
    """Distances at each shift, with the influence of each code and of each sample of the reference (see `Estimate`).

    Attributes:
        frechet: (T,), float64; frechet_influence: (T, n); frechet_reference: (T, r), of the reference's samples, 0 of
            them where only a mean and a covariance are known; frechet_excess: (T, 2), of samples, and of samples and
            reference.
        kernel: (T,), float64; kernel_influence: (T, m), of the first m codes; kernel_reference: (T, r), as above;
            kernel_excess: (T, 2). The kernel distance is NaN where of the
            reference only a mean and a covariance are known.
        effects: (T, m), per code.
        shares, shares_stderr, shares_stderr_both: (T, 4), of `SHARES`, of the same first codes; NaN where they are not
            known.
    """

    frechet: Tensor
    frechet_influence: Tensor
    kernel: Tensor
    kernel_influence: Tensor
    effects: Tensor
    shares: Tensor
    shares_stderr: Tensor
    shares_stderr_both: Tensor
    frechet_reference: Tensor
    kernel_reference: Tensor
    frechet_excess: Tensor
    kernel_excess: Tensor

    def frechet_at(self, index: int) -> Estimate:
        """The Fréchet distance at one shift."""
        of_samples, of_both = self.frechet_excess[index].tolist()
        draw = _draw(self.frechet_reference[index], of_both)
        return Estimate(float(self.frechet[index]), self.frechet_influence[index], of_samples, draw)

    def kernel_at(self, index: int) -> Estimate:
        """The kernel distance at one shift."""
        of_samples, of_both = self.kernel_excess[index].tolist()
        draw = _draw(self.kernel_reference[index], of_both)
        return Estimate(float(self.kernel[index]), self.kernel_influence[index], of_samples, draw)


def _draw(influence: Tensor, excess: float) -> ReferenceDraw | None:
    return ReferenceDraw(influence, excess) if len(influence) else None


@dataclass(frozen=True)
class ReferenceStatistics:
    """What all distances are measured against, prepared once for all curves.

    Attributes:
        count: (), int64, the number of images; negative if unknown.
        mean, trace, factor: of `FrechetReference`.
        features: (m, D), of the first images; m is 0 if only a mean and a covariance are known.
        kernels, kernel_square, radii, nearest, nearest_indices: of their `Neighbourhood`.
        pairwise_samples: (), int64, how many images at most, of either kind, the kernel distance and the shares are of.
    """

    count: Tensor
    mean: Tensor
    trace: Tensor
    factor: Tensor
    features: Tensor
    kernels: Tensor
    kernel_square: Tensor
    radii: Tensor
    nearest: Tensor
    nearest_indices: Tensor
    pairwise_samples: Tensor

    @classmethod
    def of(
        cls, features: Parts, pairwise_samples: int = MOST, device: torch.device | str = "cpu"
    ) -> "ReferenceStatistics":
        """From the reference's features, (n, D), computed on a device; a part is in memory at a time."""
        moments = Moments.empty(features.dimensions, device)
        for part in features:
            moments.update(part)
        gaussian = FrechetReference.from_moments(moments)
        first = features.first(pairwise_samples).to(device)
        return cls._joined(gaussian, first, PairwiseReference.of(first).neighbourhood, pairwise_samples)

    @classmethod
    def of_gaussian(cls, mean: Tensor, covariance: Tensor, pairwise_samples: int = MOST) -> "ReferenceStatistics":
        """From the mean (D,) and covariance (D, D) of features that are not there: no kernel distance."""
        frechet = FrechetReference.from_gaussian(mean, covariance)
        nobody = _nobody(mean)
        return cls._joined(frechet, mean.new_empty(0, len(mean)), nobody, pairwise_samples)

    @classmethod
    def _joined(
        cls, frechet: FrechetReference, features: Tensor, pairs: Neighbourhood, pairwise_samples: int
    ) -> "ReferenceStatistics":
        count = torch.tensor(-1 if frechet.n is None else frechet.n)
        of_gaussian = (count, frechet.mean, torch.tensor(frechet.trace, dtype=torch.float64), frechet.factor)
        of_pairs = (
            pairs.kernels.means,
            pairs.kernels.square,
            pairs.radii,
            pairs.nearest.squared,
            pairs.nearest.indices,
        )
        return cls(*of_gaussian, features, *of_pairs, torch.tensor(pairwise_samples))

    def to(self, device: torch.device | str) -> "ReferenceStatistics":
        """The same on a device, where distances from it are then computed."""
        return type(self)(*(getattr(self, each.name).to(device) for each in fields(self)))

    @property
    def n(self) -> int | None:
        """The number of images; `None` if unknown."""
        return int(self.count) if self.count >= 0 else None

    @property
    def n_pairwise(self) -> int | None:
        """The number of images that the kernel distance and the shares are from; `None` if unknown."""
        return len(self.features) or None

    @cached_property
    def frechet(self) -> FrechetReference:
        """What Fréchet distances are measured against."""
        frechet = FrechetReference(self.n, self.mean, float(self.trace), self.factor)
        return frechet.drawn(self.features) if len(self.features) else frechet

    @cached_property
    def pairwise(self) -> PairwiseReference | None:
        """What kernel distances and shares are measured against; `None` if unknown."""
        if not len(self.features):
            return None
        nearest = Nearest(self.nearest.cpu(), self.nearest_indices.cpu())
        pairs = Neighbourhood(Among(self.kernels, self.kernel_square), self.radii, nearest)
        return PairwiseReference(Samples.of_reference(self.features), pairs)

    def measure(self, features: Parts) -> tuple[Estimate, Estimate, PrecisionRecall]:
        """The Fréchet and the kernel distance of features (n, D), and the shares; the latter two NaN if not known."""
        distance, first = self.frechet.estimate_of(features), features.first(int(self.pairwise_samples))
        if self.pairwise is None:
            nothing = unknown(len(first))
            return distance, nothing.precision, nothing
        return distance, *self.pairwise.measure(first)


def _nobody(mean: Tensor) -> Neighbourhood:
    """The pairs of no samples."""
    kernels, indices = Among(mean.new_empty(0), mean.new_tensor(math.nan)), torch.empty(0, 0, dtype=torch.int64)
    return Neighbourhood(kernels, mean.new_empty(0, WIDE), Nearest(torch.empty(0, 0), indices))


@pure(revision=2)
def reference_statistics(
    features: tuple[Stored[Features], ...], pairwise_samples: int, compute: Compute
) -> ReferenceStatistics:
    """What distances are measured against, from the features of the reference's images."""
    return ReferenceStatistics.of(joined(features, "features"), pairwise_samples, compute.exact).to("cpu")


@lru_cache(maxsize=1)
def prepared(reference: Stored[ReferenceStatistics], device: torch.device) -> ReferenceStatistics:
    """A reference on the device of a computation; the last one stays in memory for further curves from it."""
    return reference.load().to(device)


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
    seen = extracting(extractor, generator, compute)
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
                features.append(extractor(images))
                if trace is not None:
                    trace.add(t, images[:measured])
        nothing = torch.empty(len(shifts), 0)
        traced = trace.result() if trace is not None else (nothing, nothing, nothing)
        return torch.stack(features).cpu(), *traced

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
        extracting(extractor, generator, compute): codes * points,
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
            self._similarities.append((self._embed(images) * self._identity).sum(1))

    def result(self) -> tuple[Tensor, Tensor, Tensor]:
        """Effects, steps and cosines of identity, (T, m) each, on the CPU."""
        id_similarity = torch.stack(self._similarities) if self._similarities else torch.empty(len(self._effects), 0)
        return torch.stack(self._effects).cpu(), torch.stack(self._steps).cpu(), id_similarity.cpu()


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(1)


def assemble(features: Iterable[Parts], effects: Tensor, reference: ReferenceStatistics) -> Curve:
    """The curve, from the features (n, D) of each shift in turn."""
    distances, kernel, shares = zip(*map(reference.measure, features), strict=True)

    def of_shares(attribute: str) -> Tensor:
        values = [[getattr(getattr(point, name), attribute) for name in SHARES] for point in shares]
        return torch.tensor(values, dtype=torch.float64)

    return Curve(
        *_distances(distances),
        *_distances(kernel),
        effects,
        of_shares("value"),
        of_shares("stderr"),
        of_shares("stderr_both"),
        _of_reference(distances),
        _of_reference(kernel),
        _excess(distances),
        _excess(kernel),
    )


def _distances(along: Sequence[Estimate]) -> tuple[Tensor, Tensor]:
    """Values (T,) and influences (T, n)."""
    values = torch.tensor([point.value for point in along], dtype=torch.float64)
    return values, torch.stack([point.influence for point in along])


def _excess(along: Sequence[Estimate]) -> Tensor:
    """Of samples, and of samples and reference, (T, 2)."""
    both = [[point.excess, 0.0 if point.reference is None else point.reference.excess] for point in along]
    return torch.tensor(both, dtype=torch.float64)


def of_one_distribution(curve: Curve, n_reference: int) -> Curve:
    """A curve of unshifted images against others of the same generator (see `frechet.of_one_distribution`)."""
    points = [frechet.of_one_distribution(curve.frechet_at(index), n_reference) for index in range(len(curve.frechet))]
    return replace(curve, frechet_excess=_excess(points))


def _of_reference(along: Sequence[Estimate]) -> Tensor:
    """The influences of the reference's samples (T, r)."""
    draws = [torch.empty(0) if point.reference is None else point.reference.influence for point in along]
    return torch.stack(draws).double()


@pure(revision=3)
def curve(shards: tuple[Stored[Shard], ...], reference: Stored[ReferenceStatistics], compute: Compute) -> Curve:
    """The curve of a direction from its shards, which make up all codes in order."""
    effects = torch.cat([shard.read("effects") for shard in shards], dim=1)
    at = slices(shards, "features")
    return assemble(map(at, range(len(effects))), effects, prepared(reference, compute.exact))


@pure(revision=3)
def floor(
    unshifted: tuple[Stored[Features], ...], effect_codes: int, reference: Stored[ReferenceStatistics], compute: Compute
) -> Curve:
    """The distances at t = 0, which all curves of a generator share, as a curve of one point."""
    features = joined(unshifted, "features")
    return assemble([features], torch.zeros(1, effect_codes), prepared(reference, compute.exact))


@rehearses(reference_statistics)
def _reference_rehearsed(
    features: tuple[Features, ...], pairwise_samples: int, compute: Compute
) -> Rehearsed[ReferenceStatistics]:
    """Blank; its own distances cost about what those of one shift do."""
    count, dimensions = sum(len(part.features) for part in features), features[0].features.shape[1]
    sketch = blank_reference(count, min(count, pairwise_samples), dimensions, pairwise_samples)
    return Rehearsed(sketch, distances_costs(count, sketch, dimensions, compute))


def blank_reference(count: int, known: int, dimensions: int, pairwise_samples: int) -> ReferenceStatistics:
    """Statistics of `count` images, negative if unknown, of which the features of the first ones are known."""
    zero = torch.zeros((), dtype=torch.float64)
    gaussian = (zero.expand(dimensions), zero, zero.expand(dimensions, dimensions))
    listed, listed_first = max(0, min(LISTED, known - 1)), min(known, splits.MOST)
    nearest = (
        zero.float().expand(listed_first, listed),
        torch.zeros((), dtype=torch.int64).expand(listed_first, listed),
    )
    pairs = (zero.float().expand(known, dimensions), zero.expand(known), zero, zero.expand(known, WIDE), *nearest)
    return ReferenceStatistics(torch.tensor(count), *gaussian, *pairs, torch.tensor(pairwise_samples))


@rehearses(curve)
def _curve_rehearsed(shards: tuple[Shard, ...], reference: ReferenceStatistics, compute: Compute) -> Rehearsed[Curve]:
    """Distances of 1, everywhere."""
    points, _, dimensions = shards[0].features.shape
    codes, measured = (sum(getattr(shard, name).shape[1] for shard in shards) for name in ("features", "effects"))
    costs = distances_costs(codes, reference, dimensions, compute)
    return Rehearsed(_blank_curve(points, codes, measured, reference), times(points, costs))


@rehearses(floor)
def _floor_rehearsed(
    unshifted: tuple[Features, ...], effect_codes: int, reference: ReferenceStatistics, compute: Compute
) -> Rehearsed[Curve]:
    """A distance of 1."""
    codes, dimensions = sum(len(part.features) for part in unshifted), unshifted[0].features.shape[1]
    costs = distances_costs(codes, reference, dimensions, compute)
    return Rehearsed(_blank_curve(1, codes, effect_codes, reference), costs)


def _blank_curve(points: int, codes: int, measured: int, reference: ReferenceStatistics) -> Curve:
    one, first = torch.ones((), dtype=torch.float64), min(codes, int(reference.pairwise_samples))
    distances, shares, known = one.expand(points), one.expand(points, len(SHARES)), len(reference.features)
    values = (distances, one.expand(points, codes), distances, one.expand(points, first))
    of_reference = (one.expand(points, min(known, SAMPLES)), one.expand(points, known))
    excess = torch.zeros(points, 2, dtype=torch.float64)
    effects = one.float().expand(points, measured)
    return Curve(*values, effects, shares, shares, shares, *of_reference, excess, excess)
