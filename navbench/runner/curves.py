"""Curves of one generator's directions against one reference, as pieces: shards of codes, and what is made of them."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from navbench.directions import Direction
from navbench.experiments import fid_curve, quality
from navbench.experiments.fid_curve import Curve, Features
from navbench.experiments.reference import Reference, open_reference, real_features, real_scores
from navbench.experiments.statistics import Gaussian, is_statistics, read_statistics
from navbench.metrics.attributes import Scorer
from navbench.runner.bench import Measurement
from navbench.runner.executor import Tick
from navbench.seeds import Role
from navbench.work import Piece


def shards_of(count: int, size: int) -> list[range]:
    """Consecutive ranges of at most `size` that make up `count`: the resumable pieces of a curve."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


class CurveMeasurement:
    """What all curves of a generator share: the reference, the distances at t = 0, and how a curve is made.

    Attributes:
        shards: the codes of a curve, in pieces.
        reference: what all distances are measured against.
        floor: the distances at t = 0.
    """

    def __init__(self, measurement: Measurement, title: str) -> None:
        """Compute the features of the reference and those at t = 0, in a stage of their own."""
        self._measurement = measurement
        self._settings = settings = measurement.bench.suite.curves
        self.shards = shards_of(settings.samples, settings.shard)
        self._at_zero = self._unshifted(Role.CURVE, self.shards)
        real = self._reference_pieces()
        features = measurement.pieces([*real, *self._at_zero], title)[: len(real)]
        self.reference = self._reference([piece.key for piece in real], [each.features for each in features])
        floor = fid_curve.floor.piece(tuple(self._at_zero), settings.effect_samples, self.reference)
        (self.floor,) = measurement.pieces([floor])

    def curve(self, direction: Direction, points: int, tick: Tick) -> Curve:
        """The curve of a direction at `points` shifts of its range, without t = 0."""
        (curve,) = self._measurement.bench.executor.results([self._curve(direction, points)], tick)
        return curve

    def curves_and_qualities(
        self, directions: Sequence[Direction], points: int, tick: Tick
    ) -> list[tuple[Curve, quality.Quality]]:
        """The curve of each direction, and how good the direction is by what was seen along it."""
        pieces: list[Piece] = []
        for direction in directions:
            pieces += [self._curve(direction, points), self._quality(direction, points)]
        found = self._measurement.bench.executor.results(pieces, tick)
        return list(zip(found[::2], found[1::2], strict=True))

    def scores(self, scorer: Scorer) -> Tensor | None:
        """What a scorer reads from the reference's images, (n, A); `None` if it has none of its own."""
        images = self._images
        if images is None:
            return None
        shards, compute = shards_of(len(images), self._settings.shard), self._measurement.bench.compute
        found = self._measurement.pieces([real_scores.piece(images, shard, scorer, compute) for shard in shards])
        return torch.cat([each.scores for each in found])

    # --- pieces

    def _shards(self, direction: Direction, points: int) -> tuple[Piece[fid_curve.Shard], ...]:
        """The shards of a curve, which are dropped once all that is made of them is there."""
        measurement, effect_codes = self._measurement, self._settings.effect_samples
        bench, edit = measurement.bench, measurement.edit(direction)
        shifts = tuple(t for t in direction.shifts(points).tolist() if t != 0)
        seen = (bench.suite.seed, bench.extractor, bench.distance, effect_codes, measurement.embedder)
        pieces = [fid_curve.curve_shard.piece(edit, shifts, shard, *seen) for shard in self.shards]
        return tuple(piece.but(note=direction.name, transient=True) for piece in pieces)

    def _curve(self, direction: Direction, points: int) -> Piece[Curve]:
        return fid_curve.curve.piece(self._shards(direction, points), self.reference).but(note=direction.name)

    def _quality(self, direction: Direction, points: int) -> Piece[quality.Quality]:
        shards, shifts = self._shards(direction, points), tuple(direction.shifts(points).tolist())
        piece = quality.curve_quality.piece(shards, shifts, tuple(self._at_zero), self.reference)
        return piece.but(note=direction.name)

    def _unshifted(self, role: Role, shards: Sequence[range]) -> list[Piece[Features]]:
        measurement, bench = self._measurement, self._measurement.bench
        seen = (bench.suite.seed, bench.extractor, bench.compute)
        pieces = [fid_curve.unshifted_features.piece(measurement.generator, role, shard, *seen) for shard in shards]
        return [piece.but(note=role) for piece in pieces]

    # --- the reference

    @property
    def _source(self) -> str:
        return self._measurement.plan.subject.reference

    @cached_property
    def _images(self) -> Reference | None:
        """The reference's images; `None` if they are the generator's own, or unknown."""
        if self._source == "unshifted" or is_statistics(self._source):
            return None
        generator, subject = self._measurement.generator, self._measurement.plan.subject
        return open_reference(self._source, generator.size, self._reference_count, subject.resize)

    @property
    def description(self) -> str:
        """What the reference is, of how many images, and how they were resized, in words."""
        if self._source == "unshifted":
            return f"{self._reference_count:,} images of the generator itself at t = 0, with other codes"
        if self._images is None:
            return read_statistics(self._source).description()
        return self._images.description()

    @property
    def reference_samples(self) -> int | None:
        """How many images the reference is of; `None` if unknown."""
        return self.reference.n

    @property
    def _reference_count(self) -> int:
        """How many images are drawn of a reference that has no end."""
        return self._settings.reference_samples or self._settings.samples

    def _reference_pieces(self) -> list[Piece[Features]]:
        """The features of the reference; none of statistics."""
        images, bench = self._images, self._measurement.bench
        if self._source == "unshifted":
            return self._unshifted(Role.REFERENCE, shards_of(self._reference_count, self._settings.shard))
        if images is None:
            return []
        shards = shards_of(len(images), self._settings.shard)
        pieces = [real_features.piece(images, shard, bench.extractor, bench.compute) for shard in shards]
        return [piece.but(note="real images") for piece in pieces]

    def _reference(self, keys: Sequence[str], features: Sequence[Tensor]) -> fid_curve.Reference:
        device = self._measurement.bench.compute.device
        if not is_statistics(self._source):
            return fid_curve.Reference.of(torch.cat(list(features)).to(device), list(keys))
        statistics = read_statistics(self._source)
        known, key = statistics.known, statistics.cache_key
        if isinstance(known, Gaussian):
            return fid_curve.Reference.of_gaussian(known.mean.to(device), known.covariance.to(device), key)
        return fid_curve.Reference.of(known.to(device), key)
