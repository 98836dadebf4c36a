"""Curves of one generator's directions against one reference: shard by shard, each piece stored."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from navbench.directions import Direction
from navbench.experiments import fid_curve, quality
from navbench.experiments.reference import Reference, open_reference, real_features
from navbench.experiments.statistics import Gaussian, is_statistics, read_statistics
from navbench.files import content_hash
from navbench.metrics.attributes import Scorer
from navbench.metrics.embedding import Embedder
from navbench.runner.bench import Measurement
from navbench.runner.results import Features, ReferenceScores
from navbench.runner.store import slices

Tick = Callable[[str], None]


def shards_of(count: int, size: int) -> list[range]:
    """Consecutive ranges of at most `size` that make up `count`: the resumable pieces of a curve."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


class CurveMeasurement:
    """What all curves of a generator share: the reference, the distances at t = 0, and how a curve is made.

    Attributes:
        shards: the codes of a curve, in pieces.
        floor: the distances at t = 0; reference_samples: images of the reference, if it tells.
    """

    def __init__(self, measurement: Measurement, title: str) -> None:
        """Make the reference's features and those at t = 0, in a stage of their own."""
        self._measurement = measurement
        self._settings, self._store = measurement.bench.suite.curves, measurement.bench.store
        self.shards = shards_of(self._settings.samples, self._settings.shard)
        with measurement.pieces(title, 2 * len(self.shards)) as tick:
            self.reference = self._reference(tick)
            self._at_zero = at_zero = self._unshifted("curve", self.shards, tick)
        self.reference_samples = self.reference.n
        key = measurement.key(**self._extractor, reference=self._reference_key, samples=self._settings.samples)
        zero = torch.zeros(1, self._settings.effect_samples)
        self.floor = self._store.get(fid_curve.Curve, key, lambda: fid_curve.assemble([at_zero], zero, self.reference))

    def curve(self, direction: Direction, points: int, tick: Tick) -> fid_curve.Curve:
        """The curve of a direction at `points` shifts of its range, without t = 0."""
        (curve,) = self._from_shards(direction, points, tick, (fid_curve.Curve,))
        return curve

    def curve_and_quality(
        self, direction: Direction, points: int, tick: Tick
    ) -> tuple[fid_curve.Curve, quality.Quality]:
        """The curve, and how good the direction is by what was seen along it."""
        curve, good = self._from_shards(direction, points, tick, (fid_curve.Curve, quality.Quality))
        return curve, good

    def _from_shards(self, direction: Direction, points: int, tick: Tick, kinds: Sequence[type]) -> list[Any]:
        """Pieces of these kinds, from the store or from the shards of a direction, which are then dropped."""
        settings, store = self._settings, self._store
        shifts = [t for t in direction.shifts(points).tolist() if t != 0]
        common = {
            "distance": self._measurement.bench.distance.name,
            "effect_samples": settings.effect_samples,
            "shifts": shifts,
            **self._extractor,
            **({} if self._embedder is None else {"embedding": self._embedder.identity}),
        }
        key = self._measurement.key(direction, samples=settings.samples, reference=self._reference_key, **common)
        keys = [self._measurement.key(direction, codes=[shard.start, shard.stop], **common) for shard in self.shards]
        found: dict[type, Any] = {kind: store.find(kind, key) for kind in kinds}
        if any(piece is None for piece in found.values()):
            parts = []
            for shard, shard_key in zip(self.shards, keys, strict=True):
                parts.append(store.get(fid_curve.Shard, shard_key, partial(self._shard, direction, shifts, shard)))
                tick(direction.name)
            grid = direction.shifts(points).tolist()
            makers = {fid_curve.Curve: self._assembled, quality.Quality: self._quality}
            with slices([store.path(fid_curve.Shard, shard_key) for shard_key in keys], "features") as at:
                for kind in [kind for kind, piece in found.items() if piece is None]:
                    found[kind] = makers[kind](grid, parts, at)
                    store.put(key, found[kind])
        else:
            for _ in keys:
                tick(direction.name)
        for shard_key in keys:
            store.drop(fid_curve.Shard, shard_key)
        return list(found.values())

    def _assembled(
        self, grid: list[float], parts: Sequence[fid_curve.Shard], at: Callable[[int], Tensor]
    ) -> fid_curve.Curve:
        """From all shards, with the features of each shift but t = 0 read when they are wanted."""
        effects = torch.cat([part.effects for part in parts], dim=1)
        return fid_curve.assemble(map(at, range(len(grid) - 1)), effects, self.reference)

    def _quality(
        self, grid: list[float], parts: Sequence[fid_curve.Shard], at: Callable[[int], Tensor]
    ) -> quality.Quality:
        steps, kept = (torch.cat([getattr(part, name) for part in parts], dim=1) for name in ("steps", "kept"))
        real = None if self.reference.kernel is None else self.reference.kernel.features
        return quality.quality(steps, grid, self._at_zero, (at(0), at(len(grid) - 2)), real, kept)

    def scores(self, scorer: Scorer) -> Tensor | None:
        """What a scorer reads from the reference's images, (n, A); none of the generator's own, or of statistics."""
        if self._source == "unshifted" or is_statistics(self._source):
            return None
        images, compute, parts = self._images, self._measurement.bench.compute, []
        for shard in shards_of(len(images), self._settings.shard):
            key = {"reference": self._reference_key, "images": [shard.start, shard.stop]}
            key["scorer"] = self._measurement.scorer_key

            def make(shard: range = shard) -> ReferenceScores:
                return ReferenceScores(
                    torch.cat(list(compute.over(shard, lambda rows: scorer(images.images(rows)).cpu())))
                )

            parts.append(self._store.get(ReferenceScores, key, make).scores)
        return torch.cat(parts)

    def _shard(self, direction: Direction, shifts: list[float], shard: range) -> fid_curve.Shard:
        bench = self._measurement.bench
        return fid_curve.curve_shard(
            self._measurement.edit(direction),
            shifts,
            shard,
            bench.suite.seed,
            bench.extractor,
            bench.distance,
            self._settings.effect_samples,
            self._embedder,
        )

    @property
    def _embedder(self) -> Embedder | None:
        return self._measurement.embedder

    # --- features of unshifted and of real images

    @cached_property
    def _extractor(self) -> dict[str, Any]:
        given = self._settings.extractor_weights
        return {
            "extractor": self._settings.extractor,
            "extractor_weights": content_hash(Path(given)) if given else "",
        }

    @property
    def _source(self) -> str:
        return self._measurement.plan.subject.reference

    @cached_property
    def _reference_key(self) -> Any:
        source, count = self._source, self._reference_count
        if source == "unshifted":
            return source if count == self._settings.samples else [source, count]
        return read_statistics(source).identity() if is_statistics(source) else self._images.identity()

    @property
    def _images(self) -> Reference:
        """The reference's images, where it is of images that are not the generator's own."""
        generator, subject = self._measurement.generator, self._measurement.plan.subject
        return open_reference(self._source, generator.size, self._reference_count, subject.resize)

    @property
    def description(self) -> str:
        """What the reference is, of how many images, and how they were resized, in words."""
        if self._source == "unshifted":
            return f"{self._reference_count:,} images of the generator itself at t = 0, with other codes"
        if is_statistics(self._source):
            return read_statistics(self._source).description()
        return self._images.description()

    @property
    def _reference_count(self) -> int:
        """How many images of a reference that can be drawn without end."""
        return self._settings.reference_samples or self._settings.samples

    def _reference(self, tick: Tick) -> fid_curve.Reference:
        bench = self._measurement.bench
        if not is_statistics(self._source):
            return fid_curve.Reference.of(self._reference_features(tick).to(bench.compute.device))
        for _ in self.shards:
            tick("statistics")
        known = read_statistics(self._source).known
        if isinstance(known, Gaussian):
            device = bench.compute.device
            return fid_curve.Reference.of_gaussian(known.mean.to(device), known.covariance.to(device))
        return fid_curve.Reference.of(known.to(bench.compute.device))

    def _reference_features(self, tick: Tick) -> Tensor:
        if self._source == "unshifted":
            shards = shards_of(self._reference_count, self._settings.shard)
            return self._unshifted("reference", shards, tick)
        images = self._images
        bench, parts = self._measurement.bench, []
        for shard in shards_of(len(images), self._settings.shard):
            key = {"reference": self._reference_key, "images": [shard.start, shard.stop], **self._extractor}
            key["precision"] = bench.suite.precision

            def make(shard: range = shard) -> Features:
                return Features(real_features(images, shard, bench.extractor, bench.compute))

            parts.append(self._store.get(Features, key, make).features)
        for _ in self.shards:
            tick("real images")
        return torch.cat(parts)

    def _unshifted(self, role: str, shards: list[range], tick: Tick) -> Tensor:
        measurement, parts = self._measurement, []
        for shard in shards:
            key = measurement.key(role=role, codes=[shard.start, shard.stop], **self._extractor)

            def make(shard: range = shard) -> Features:
                bench = measurement.bench
                features = fid_curve.unshifted_features(
                    measurement.generator, role, shard, bench.suite.seed, bench.extractor, bench.compute
                )
                return Features(features)

            parts.append(self._store.get(Features, key, make).features)
            tick(role)
        return torch.cat(parts)
