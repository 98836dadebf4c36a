"""What curves of one generator share: the reference, the distances at t = 0, and the pieces of a curve."""

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from navbench.compute import Precision, batches
from navbench.directions import Direction
from navbench.errors import NavbenchWarning
from navbench.experiments import fid_curve, quality
from navbench.experiments.common import OddCount
from navbench.experiments.fid_curve import Curve, Features, ReferenceStatistics
from navbench.experiments.guards import check_extractor
from navbench.experiments.measurement import Bench, Measurement
from navbench.experiments.reference import ReferenceImages, is_drawn, open_reference, real_features, real_scores
from navbench.experiments.rounding import IMAGES, Rounding
from navbench.experiments.rows import Row
from navbench.experiments.statistics import StatisticsFile, is_statistics, read_statistics, statistics_of_file
from navbench.metrics.extractors import Extractor, create_extractor
from navbench.metrics.pairwise import MOST
from navbench.seeds import Role
from navbench.settings import SPEED, Settings
from navbench.words import EXTRACTOR
from navbench.work import Piece, Tick


class CurveSettings(Settings):
    """FD and KID against the shift.

    Attributes:
        directions: how many of each set, the best ones (`Measurement.leading`).
        shifts: points of a curve, odd, t = 0 inside.
        samples: images per point.
        reference_samples: images of a reference that can be drawn without end; 0 for as many as `samples`.
        shard: images per resumable piece; changes no result.
        extractor: of the features: one of torch-fidelity, an entry point of `navbench.extractors`, or
            'package.module:callable'; only 'inception-v3-compat' makes an FID.
        extractor_weights: a file with its weights, '' for the ones it downloads.
        extractor_precision: at which it computes, whatever the generator's is. A run at 'bf16' measures how far that
            moves distances (see `Rounding`).
        effect_samples: on how many of the codes the effect is measured along the curve.
        pairwise_samples: of how many images KID, precision, recall, density and coverage are at most, the first ones of
            either kind, and DVN of the reference: their cost grows with the square; a Fréchet distance is of all.
    """

    directions: int = Field(2, ge=0)
    shifts: OddCount = Field(5, ge=3)
    samples: int = Field(512, ge=2)
    reference_samples: int = Field(0, ge=0)
    shard: int = Field(256, ge=1, json_schema_extra=SPEED)
    extractor: str = EXTRACTOR
    extractor_weights: str = ""
    extractor_precision: Precision = "float32"
    effect_samples: int = Field(64, ge=2)
    pairwise_samples: int = Field(MOST, ge=2)


def extractor_of(bench: Bench, settings: CurveSettings, precision: Precision | None = None) -> Extractor:
    """The extractor of the suite's curves, at the suite's precision or another."""
    return bench.once(_extractor, bench, settings, precision or settings.extractor_precision)


def _extractor(bench: Bench, settings: CurveSettings, precision: Precision) -> Extractor:
    extractor = create_extractor(settings.extractor, bench.compute.at(precision), settings.extractor_weights or None)
    check_extractor(extractor, allow_stochastic=bench.suite.allow_stochastic)
    return extractor


class Realism:
    """What all curves of a generator share: the reference, the distances at t = 0, and how a curve is made.

    Attributes:
        name: of the reference, as the suite has it.
        extractor: of the features.
        shards: the codes of a curve, in pieces.
        reference: the piece that all distances are measured against.
        floor: the distances at t = 0.
        rounding: what the extractor's precision does to them; `None` at float32.
    """

    def __init__(self, on: Measurement, settings: CurveSettings) -> None:
        """Compute the features of the reference and those at t = 0, in a stage of their own."""
        self._on, self._settings, self.name = on, settings, on.subject.reference
        self.extractor = extractor_of(on.bench, settings)
        self.shards = batches(settings.samples, settings.shard)
        self._at_zero = self._unshifted(Role.CURVE, self.shards, self.extractor)
        self.reference, self.floor = self._measured(self._reference_pieces(self.extractor), self._at_zero, "reference")
        self.rounding = self._rounding() if settings.extractor_precision != "float32" else None

    def curves(self, directions: Sequence[Direction], points: int, tick: Tick) -> list[Curve]:
        """The curve of each direction at `points` shifts of its range, without t = 0."""
        return self._on.pieces([self._curve(direction, points) for direction in directions], tick=tick)

    def curves_and_qualities(
        self, directions: Sequence[Direction], points: int, tick: Tick
    ) -> list[tuple[Curve, quality.Quality]]:
        """The curve of each direction, and how good the direction is by what was seen along it."""
        pieces: list[Piece] = []
        for direction in directions:
            pieces += [self._curve(direction, points), self._quality(direction, points)]
        results = self._on.pieces(pieces, tick=tick)
        return list(zip(results[::2], results[1::2], strict=True))

    @cached_property
    def reference_scores(self) -> Tensor | None:
        """What the scorer reads from the reference's images, (n, A); `None` without a scorer, or images of its own."""
        images, scorer, compute = self._images, self._on.scorer, self._on.bench.compute
        if images is None or scorer is None:
            return None
        shards = batches(len(images), self._settings.shard)
        scores = self._on.pieces([real_scores.piece(images, shard, scorer, compute) for shard in shards])
        return torch.cat([each.scores for each in scores])

    # --- pieces

    def _shards(self, direction: Direction, points: int) -> tuple[Piece[fid_curve.Shard], ...]:
        """The shards of a curve, which are dropped once all that is made of them is there."""
        bench, edit = self._on.bench, self._on.edit(direction)
        shifts = tuple(t for t in direction.shifts(points).tolist() if t != 0)
        seen = (bench.suite.seed, self.extractor, bench.distance, self._settings.effect_samples, self._on.embedder)
        pieces = [fid_curve.curve_shard.piece(edit, shifts, shard, *seen) for shard in self.shards]
        return tuple(piece.but(note=direction.name, transient=True) for piece in pieces)

    def _curve(self, direction: Direction, points: int) -> Piece[Curve]:
        piece = fid_curve.curve.piece(self._shards(direction, points), self.reference, self._on.bench.compute)
        return piece.but(note=direction.name)

    def _quality(self, direction: Direction, points: int) -> Piece[quality.Quality]:
        shards, shifts = self._shards(direction, points), tuple(direction.shifts(points).tolist())
        piece = quality.curve_quality.piece(shards, shifts, tuple(self._at_zero), self.reference)
        return piece.but(note=direction.name)

    def _unshifted(self, role: Role, shards: Sequence[range], extractor: Extractor) -> list[Piece[Features]]:
        seen = (self._on.bench.suite.seed, extractor, self._on.bench.compute)
        pieces = [fid_curve.unshifted_features.piece(self._on.generator, role, shard, *seen) for shard in shards]
        return [piece.but(note=role) for piece in pieces]

    # --- the reference

    def _measured(
        self, real: Sequence[Piece[Features]], unshifted: Sequence[Piece[Features]], title: str
    ) -> tuple[Piece[ReferenceStatistics], Curve]:
        """The reference of such features, and the distances of unshifted images from it, in a stage of their own."""
        self._on.keep([*real, *unshifted], title)
        reference = self._prepared(real)
        how = (self._settings.effect_samples, reference, self._on.bench.compute)
        (floor,) = self._on.pieces([fid_curve.floor.piece(tuple(unshifted), *how)])
        if self.name == "unshifted":
            floor = fid_curve.of_one_distribution(floor, self._reference_count)
        return reference, floor

    def _rounding(self) -> Rounding:
        """Measured on the first images of the reference and of t = 0; said in a warning if it is not small."""
        settings, metric = self._settings, self.extractor.metric
        first = math.ceil(IMAGES / settings.shard)
        exact = extractor_of(self._on.bench, settings, "float32")
        (_, rough), (_, precise) = (
            self._measured(
                self._reference_pieces(extractor)[:first],
                self._unshifted(Role.CURVE, self.shards[:first], extractor),
                "precision of extraction",
            )
            for extractor in (self.extractor, exact)
        )
        precision, generator = settings.extractor_precision, self._on.generator.name
        rounding = Rounding.between(rough, precise, self.floor, precision, generator, metric)
        if not rounding.is_below_sampling:
            warnings.warn(f"{rounding} Set extractor_precision to 'float32'.", NavbenchWarning, stacklevel=2)
        return rounding

    @cached_property
    def _images(self) -> ReferenceImages | None:
        """The reference's images; `None` if they are the generator's own, or unknown."""
        if self.name == "unshifted" or is_statistics(self.name):
            return None
        subject, size = self._on.subject, self._on.generator.size
        return open_reference(self.name, size, self._reference_count, subject.resize, subject.convert)

    @property
    def is_drawn(self) -> bool:
        """Whether the reference is of images that can be drawn anew: the generator's own, or a distribution's."""
        return is_drawn(self.name)

    @property
    def description(self) -> str:
        """What the reference is, of how many images, and how they were resized, in words."""
        if self.name == "unshifted":
            return f"{self._reference_count:,} images of the generator itself at t = 0, with other codes"
        if self._images is None:
            return read_statistics(self.name).description()
        return self._images.description()

    @property
    def facts(self) -> Mapping[str, Any]:
        """With what, against what and over how many images distances are measured."""
        settings, generator = self._settings, self._on.generator.name
        samples = {"curve": settings.samples, "reference": {generator: self.n_reference}}
        noise = getattr(self.extractor, "noise", "")
        return {
            **({"noise": [noise]} if noise else {}),
            "extractor": self.extractor.name,
            "extractor_precision": settings.extractor_precision,
            "rounding": [] if self.rounding is None else [str(self.rounding)],
            "references": {generator: self.description},
            "samples": {**samples, "effect": settings.effect_samples},
        }

    @property
    def source(self) -> Row:
        """The columns that say with what and against what distances are measured."""
        return {"extractor": self.extractor.name, "reference": self.name}

    @cached_property
    def n_reference(self) -> int | None:
        """How many images the reference is of; `None` if unknown."""
        if self.name == "unshifted":
            return self._reference_count
        return read_statistics(self.name).n if self._images is None else len(self._images)

    def n_reference_of(self, metric: str) -> int | None:
        """How many images of the reference a metric is of: all, or the first ones; `None` if unknown."""
        n = self.n_reference
        if n is None or metric == self.extractor.metric:
            return n
        return min(n, self._settings.pairwise_samples)

    @property
    def _reference_count(self) -> int:
        """How many images are drawn of a reference that has no end."""
        return self._settings.reference_samples or self._settings.samples

    def _prepared(self, real: Sequence[Piece[Features]]) -> Piece[ReferenceStatistics]:
        """What distances are measured against, of the reference's features or of a file of their statistics."""
        how = (self._settings.pairwise_samples, self._on.bench.compute)
        if real:
            return fid_curve.reference_statistics.piece(tuple(real), *how)
        return statistics_of_file.piece(StatisticsFile(self.name), *how)

    def _reference_pieces(self, extractor: Extractor) -> list[Piece[Features]]:
        """The features of the reference; `[]` if the reference is a file of statistics."""
        images, compute = self._images, self._on.bench.compute
        if self.name == "unshifted":
            return self._unshifted(Role.REFERENCE, batches(self._reference_count, self._settings.shard), extractor)
        if images is None:
            return []
        shards = batches(len(images), self._settings.shard)
        pieces = [real_features.piece(images, shard, extractor, compute) for shard in shards]
        return [piece.but(note="real images") for piece in pieces]
