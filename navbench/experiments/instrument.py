"""Instrument: before distances are read, whether the extractor sees known damage of this generator's images."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from navbench.compute import Compute, batches
from navbench.costs import Rehearsed, blank, generating, rehearses
from navbench.experiments import fid_curve
from navbench.experiments.curves import Curves
from navbench.experiments.distances import extracting
from navbench.experiments.edit import codes_for, unshifted
from navbench.experiments.experiment import Experiment
from navbench.experiments.fid_curve import SHARES, Curve, Features, Shard
from navbench.experiments.measurement import Measurement
from navbench.experiments.realism import extractor_of
from navbench.experiments.reference import ReferenceImages, open_reference, real_features
from navbench.experiments.rows import Row, resolution
from navbench.experiments.statistics import is_statistics
from navbench.generators.base import Generator
from navbench.metrics.damage import DAMAGES, STEPS, damaged
from navbench.metrics.estimate import Estimate
from navbench.metrics.extractors import Extractor
from navbench.metrics.instrument import Key, Series, Verdict, floor_of, judge_damages, judge_floor, judge_share
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import Piece, pure

KID = "KID"
FLOORS = ("generator against itself", "halves of the reference")
OVERLAP = "unshifted against the reference"
ENOUGH = 8
"""Images of each half of the reference, at least."""


class InstrumentSettings(Settings):
    """The check of the instrument, which is that of the curves: their extractor and reference.

    Attributes:
        samples: images of the generator, and of each half of the reference; of a folder no more than half.
    """

    samples: int = Field(128, ge=8)


@pure()
def damaged_shard(
    generator: Generator, steps: tuple[tuple[str, float], ...], indices: Sequence[int], seed: int,
    extractor: Extractor, compute: Compute,
) -> Shard:  # fmt: skip
    """Features of unshifted images as they are, and then with each damage: a shard of a curve along damage."""

    def work(chunk: Sequence[int]) -> Tensor:
        images = unshifted(generator, codes_for(generator, Role.INSTRUMENT, chunk, seed), compute)
        worse = (damaged(images, step, chunk, seed) for step in steps)
        return torch.stack([extractor(images), *map(extractor, worse)]).cpu()

    features = torch.cat(list(compute.over(indices, work)), dim=1)
    nothing = torch.empty(len(features), 0)
    return Shard(features, nothing, nothing, nothing)


@rehearses(damaged_shard)
def _damaged_rehearsed(
    generator: Generator, steps: tuple[tuple[str, float], ...], indices: Sequence[int], seed: int,
    extractor: Extractor, compute: Compute,
) -> Rehearsed[Shard]:  # fmt: skip
    """Blank; damage takes no time beside extraction."""
    codes, points = len(indices), 1 + len(steps)
    costs = {generating(generator, compute): codes, extracting(extractor, generator, compute): codes * points}
    nothing = blank(points, 0)
    return Rehearsed(Shard(blank(points, codes, extractor.dimensions), nothing, nothing, nothing), costs)


@dataclass(frozen=True)
class Checked:
    """What the instrument gave where the truth is known.

    Attributes:
        metric: what the Fréchet distance is called.
        floors: by `FLOORS`, a curve of one point each.
        damaged: a curve whose first point is of images as they are, and the others of `STEPS`, against the reference.
        n_reference: images of the reference.
    """

    metric: str
    floors: Mapping[str, Curve]
    damaged: Curve
    n_reference: int

    def distances(self, curve: Curve, index: int) -> dict[str, Estimate]:
        """Both distances at a point of a curve."""
        return {self.metric: curve.frechet_at(index), KID: curve.kernel_at(index)}

    def series(self) -> dict[Key, Series]:
        """By damage and metric, the distance along its strengths, 0 first."""
        points = [self.distances(self.damaged, index) for index in range(1 + len(STEPS))]
        return {
            (damage.name, metric): {
                0.0: points[0][metric],
                **{strength: points[1 + STEPS.index((damage.name, strength))][metric] for strength in damage.strengths},
            }
            for damage in DAMAGES
            for metric in points[0]
        }


class Instrument(Experiment[InstrumentSettings, Checked]):
    """Part of every run with curves; an instrument that fails is used for no headline."""

    name = "instrument"
    settings = InstrumentSettings
    always = True

    def has_work(self, on: Measurement) -> bool:
        """With curves, and a reference of enough images."""
        return on.wants(Curves) and _count(on) >= ENOUGH

    def gaps(self, on: Measurement) -> Iterator[str]:
        """References that cannot be halved."""
        if on.wants(Curves) and not self.has_work(on):
            yield (
                f"The instrument was not checked on {on.generator.name}, whose reference does not have two halves of "
                f"{ENOUGH} images or more."
            )

    def run(self, on: Measurement) -> Checked:
        """A pass over the generator's images for all damage, and a comparison of each two samples."""
        bench, seed = on.bench, on.bench.suite.seed
        extractor, n = extractor_of(bench, on.settings(Curves)), on.settings(Instrument).samples
        shards = batches(n, on.settings(Curves).shard)
        own = [_unshifted(on, Role.INSTRUMENT, half, extractor) for half in (range(n), range(n, 2 * n))]
        real = _halves(on, extractor)
        steps = [
            damaged_shard.piece(on.generator, STEPS, shard, seed, extractor, bench.compute).but(
                note="damage", transient=True
            )
            for shard in shards
        ]
        on.keep([*own, *real], "images of known quality")
        against = [_reference(on, half) for half in (own[1], real[0])]
        pieces = [
            fid_curve.floor.piece((sample,), 0, reference, bench.compute)
            for sample, reference in zip((own[0], real[1]), against, strict=True)
        ]
        along = fid_curve.curve.piece(tuple(steps), against[1], bench.compute)
        *floors, curve = on.pieces([*pieces, along], "instrument")
        return Checked(extractor.metric, dict(zip(FLOORS, floors, strict=True)), curve, _count(on))

    def rows(self, on: Measurement, outcome: Checked) -> Mapping[str, Iterable[Row]]:
        """Per check, strength and metric; `passed` and `reason` are those of the check in that metric."""
        bare: Row = {
            "generator": on.generator.name,
            "extractor": extractor_of(on.bench, on.settings(Curves)).name,
            "reference": on.subject.reference,
            "n_reference": outcome.n_reference,
            "resolution": resolution(on.generator),
        }
        return {"instrument": [{**bare, **row} for row in _rows(outcome)]}

    def facts(self, on: Measurement, outcome: Checked) -> Mapping[str, object]:
        """Over how many images."""
        return {"samples": {"instrument": on.settings(Instrument).samples}}


def _unshifted(on: Measurement, role: Role, indices: range, extractor: Extractor) -> Piece[Features]:
    how = (on.bench.suite.seed, extractor, on.bench.compute)
    return fid_curve.unshifted_features.piece(on.generator, role, indices, *how).but(note=role)


def _halves(on: Measurement, extractor: Extractor) -> list[Piece[Features]]:
    """Two samples of the reference, without a common image: of files every second one, as they may be in an order."""
    count, images = _count(on), _images(on)
    if images is None:
        return [_unshifted(on, Role.REFERENCE, half, extractor) for half in (range(count), range(count, 2 * count))]
    step = len(images) // (2 * count)
    parts = [range(first * step, 2 * count * step, 2 * step) for first in (0, 1)]
    return [real_features.piece(images, part, extractor, on.bench.compute).but(note="real images") for part in parts]


def _images(on: Measurement) -> ReferenceImages | None:
    """Enough images of the reference; `None` if they are the generator's own."""
    subject, wanted = on.subject, 2 * on.settings(Instrument).samples
    if subject.reference == "unshifted":
        return None
    return open_reference(subject.reference, on.generator.size, wanted, subject.resize, subject.convert)


def _count(on: Measurement) -> int:
    """Images of each half of the reference; 0 if it is not of images."""
    if is_statistics(on.subject.reference):
        return 0
    images, wanted = _images(on), on.settings(Instrument).samples
    return wanted if images is None else min(wanted, len(images) // 2)


def _reference(on: Measurement, features: Piece[Features]) -> Piece[fid_curve.ReferenceStatistics]:
    pairwise = on.settings(Curves).pairwise_samples
    return fid_curve.reference_statistics.piece((features,), pairwise, on.bench.compute)


def _rows(outcome: Checked) -> Iterator[Row]:
    floors = {name: outcome.distances(curve, 0) for name, curve in outcome.floors.items()}
    of_metric = {metric: [estimates[metric] for estimates in floors.values()] for metric in (outcome.metric, KID)}
    floor = judge_floor(outcome.metric, of_metric[outcome.metric])
    for name, estimates in floors.items():
        for metric, value in estimates.items():
            verdict = floor if metric == outcome.metric else Verdict()
            yield _row(name, 0.0, "", metric, value, verdict)
    series = outcome.series()
    verdicts = judge_damages(series, {metric: floor_of(estimates) for metric, estimates in of_metric.items()})
    units = {damage.name: damage.unit for damage in DAMAGES}
    for (damage, metric), along in series.items():
        for strength, value in along.items():
            yield _row(damage, strength, units[damage], metric, value, verdicts[damage, metric])
    yield from _share_rows(outcome.damaged)


def _share_rows(curve: Curve) -> Iterator[Row]:
    """Of the shares at t = 0; they are not known of a handful of images."""
    strongest = {damage.name: 1 + STEPS.index((damage.name, damage.strengths[-1])) for damage in DAMAGES}
    for place, name in enumerate(SHARES):
        value, stderr = float(curve.shares[0, place]), float(curve.shares_stderr[0, place])
        verdict = judge_share(name, value, {kind: float(curve.shares[at, place]) for kind, at in strongest.items()})
        if math.isfinite(value):
            numbers = {"n": curve.kernel_at(0).n, "value": value, "stderr": stderr}
            yield {"check": OVERLAP, "strength": 0.0, "metric": name, **numbers, **_told(verdict)}


def _row(check: str, strength: float, unit: str, metric: str, value: Estimate, verdict: Verdict) -> Row:
    numbers = {"n": value.n, "value": value.value, "stderr": value.stderr}
    return {"check": check, "strength": strength, "unit": unit, "metric": metric, **numbers, **_told(verdict)}


def _told(verdict: Verdict) -> Row:
    return {"passed": verdict.passed, "reason": verdict.reason}
