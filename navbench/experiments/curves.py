"""Curves: distances from a reference, and precision and recall, against the shift; and the quality seen along it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from navbench.directions import Direction
from navbench.experiments.experiment import Experiment
from navbench.experiments.fid_curve import Curve
from navbench.experiments.measurement import Instruments, Measurement
from navbench.experiments.quality import Quality
from navbench.experiments.realism import CurveSettings, Realism, extractor_of
from navbench.experiments.reference import open_reference
from navbench.experiments.rows import ENDS, Row, drawn, estimated, quality_row, resolution, who
from navbench.experiments.statistics import is_statistics, read_statistics
from navbench.metrics import estimate
from navbench.metrics.dvn import MOST
from navbench.metrics.precision_recall import NEIGHBOURS


def realism(on: Measurement) -> Realism:
    """What curves of this generator are measured with, made when it is first asked for."""
    return on.once(_realism)


def _realism(on: Measurement) -> Realism:
    return Realism(on, on.settings(Curves))


def check_reference(on: Instruments) -> None:
    """Refuse an extractor whose weights are missing, and a reference that does not fit."""
    subject, extractor = on.subject, extractor_of(on.bench, on.settings(Curves))
    if is_statistics(subject.reference):
        read_statistics(subject.reference).check(extractor.dimensions, extractor.name)
    elif subject.reference != "unshifted":
        open_reference(subject.reference, on.generator.size, 1, subject.resize, subject.convert).check()


@dataclass(frozen=True)
class CurvesFound:
    """The curve of each direction, and its quality, by the direction's name."""

    curves: Mapping[str, Curve]
    qualities: Mapping[str, Quality]


class Curves(Experiment[CurveSettings, CurvesFound]):
    """Realism against the shift (Figures 7, 11 and 14)."""

    name = "curves"
    settings = CurveSettings

    def check(self, on: Instruments) -> None:
        """The extractor and the reference."""
        check_reference(on)

    def has_work(self, on: Measurement) -> bool:
        """With directions."""
        return bool(on.plan.first(on.settings(Curves).directions))

    def gaps(self, on: Measurement) -> Iterator[str]:
        """Directions without curves."""
        yield from on.of_each_set("Curves were", on.settings(Curves).directions)

    def run(self, on: Measurement) -> CurvesFound:
        """Two pieces per direction, of the same shards."""
        settings, along = on.settings(Curves), realism(on)
        directions = on.leading(settings.directions)
        with on.counted("curves", len(directions) * (len(along.shards) + 2)) as tick:
            results = along.curves_and_qualities(directions, settings.shifts, tick)
        by_name = dict(zip((direction.name for direction in directions), results, strict=True))
        curves, qualities = ({name: pair[part] for name, pair in by_name.items()} for part in (0, 1))
        return CurvesFound(curves, qualities)  # type: ignore[arg-type]

    def rows(self, on: Measurement, outcome: CurvesFound) -> Mapping[str, Iterable[Row]]:
        """Per direction, shift and metric; per direction and number of its quality."""
        directions = [one for one in on.plan.all_directions() if one.name in outcome.curves]
        return {
            table: [row for one in directions for row in rows(on, outcome, one)]
            for table, rows in (("curves", _curve_rows), ("prdc", _prdc_rows), ("quality", _quality_rows))
        }

    def direction_columns(self, on: Measurement, outcome: CurvesFound, direction: Direction) -> Row:
        """The distances at t_min, 0 and t_max."""
        if direction.name not in outcome.curves:
            return {}
        along, curve = realism(on), outcome.curves[direction.name]
        columns: Row = {"metric": along.extractor.metric, **along.source}
        for end, (of, index) in (("at_min", (curve, 0)), ("floor", (along.floor, 0)), ("at_max", (curve, -1))):
            for short, value in (("fd", of.frechet_at(index)), ("kid", of.kernel_at(index))):
                columns |= drawn(f"{short}_{end}", value, along.is_drawn)
        own = {"n": curve.frechet_at(0).n, "n_reference": along.n_reference, "resolution": resolution(on.generator)}
        return columns | own | {"n_kid": curve.kernel_at(0).n, "n_reference_kid": along.n_reference_of("KID")}

    def measured(self, outcome: CurvesFound) -> Iterable[str]:
        """The directions with curves."""
        return outcome.curves


def curves_of(on: Measurement) -> Mapping[str, Curve]:
    """The curves of a measurement by the direction's name; `{}` if it has none."""
    outcome = on.outcome(Curves)
    return outcome.curves if outcome is not None else {}


def _points(on: Measurement, curve: Curve, direction: Direction) -> Iterator[tuple[float, Curve, int, Row]]:
    """Each shift of a curve, which curve it is on at which index, and its effect; t = 0 is all directions' own."""
    index = 0
    for t in direction.shifts(on.settings(Curves).shifts).tolist():
        if t == 0:
            yield t, realism(on).floor, 0, {"effect": 0.0, "effect_stderr": 0.0}
        else:
            yield t, curve, index, estimated("effect", estimate.mean(curve.effects[index]))
            index += 1


def _curve_rows(on: Measurement, outcome: CurvesFound, direction: Direction) -> Iterator[Row]:
    curve, along, suite = outcome.curves[direction.name], realism(on), on.bench.suite
    for t, of, index, effect in _points(on, curve, direction):
        for metric, value in ((along.extractor.metric, of.frechet_at(index)), ("KID", of.kernel_at(index))):
            yield {
                **who(direction),
                "t": t,
                **effect,
                "distance": suite.distance,
                "n_effect": curve.effects.shape[1],
                "metric": metric,
                **along.source,
                "n": value.n,
                "n_reference": along.n_reference_of(metric),
                "resolution": resolution(on.generator),
                "precision": suite.precision,
                "value": value.value,
                "stderr": value.stderr,
                "stderr_both": value.stderr_both if along.is_drawn else None,
            }


def _prdc_rows(on: Measurement, outcome: CurvesFound, direction: Direction) -> Iterator[Row]:
    curve, along = outcome.curves[direction.name], realism(on)
    for t, of, index, effect in _points(on, curve, direction):
        for place, (metric, k) in enumerate(NEIGHBOURS.items()):
            yield {
                **who(direction),
                "t": t,
                "effect": effect["effect"],
                "distance": on.bench.suite.distance,
                "metric": metric,
                **along.source,
                "n": curve.kernel_at(0).n,
                "n_reference": along.n_reference_of(metric),
                "neighbours": k,
                "value": float(of.shares[index, place]),
                "stderr": float(of.shares_stderr[index, place]),
                "stderr_both": float(of.shares_stderr_both[index, place]) if along.is_drawn else None,
            }


def _quality_rows(on: Measurement, outcome: CurvesFound, direction: Direction) -> Iterator[Row]:
    """Numbers that are not known have no row."""
    quality, along, row = outcome.qualities[direction.name], realism(on), partial(quality_row, direction)
    steady = quality.path_speed_cv[torch.isfinite(quality.path_speed_cv)]
    if len(steady) > 1:
        yield row("path_speed_cv", on.bench.suite.distance, estimate.mean(steady))
    bare = {**who(direction), "by": along.extractor.name}
    for end, (value, stderr) in zip(ENDS, quality.coherence.tolist(), strict=True):
        n = on.settings(Curves).samples
        yield {**bare, "metric": "feature coherence", "end": end, "n": n, "value": value, "stderr": stderr}
    if math.isfinite(float(quality.dvn[0])):
        value, stderr = quality.dvn.tolist()
        against = {"reference": along.name, "n_reference": min(along.n_reference_of("dvn") or MOST, MOST)}
        n = int(quality.dvn_n)
        yield {**bare, "metric": "dvn", "end": "", "n": n, "value": value, "stderr": stderr, **against}
    if quality.id_similarity.numel() and on.embedder is not None:
        for end, cosines in zip(ENDS, (quality.id_similarity[0], quality.id_similarity[-1]), strict=True):
            yield row("id_similarity", on.embedder.name, estimate.mean(cosines), end)
