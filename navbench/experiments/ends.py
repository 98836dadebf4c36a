"""Ends: KID, precision, recall, density, coverage and effect of every direction at both ends, on few codes.

A method is a distribution over directions (see `metrics.levels`), so images are spent on directions before codes: KID
is unbiased in their number.  Fréchet distances and whole curves are for the leading directions (`curves`), whose first
codes these are.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from navbench.costs import Rehearsed, blank, preparing, rehearses, rendering, seeing, times
from navbench.experiments.common import OddCount
from navbench.experiments.curves import check_reference, realism
from navbench.experiments.distances import extracting, pair_costs
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.experiment import Experiment, Order
from navbench.experiments.fid_curve import Features, ReferenceStatistics, prepared, unshifted_features
from navbench.experiments.footing import EqualEffect
from navbench.experiments.measurement import Instruments, Measurement
from navbench.experiments.rows import Row, estimated, resolution, who
from navbench.metrics import by_code, estimate
from navbench.metrics.by_code import METRICS
from navbench.metrics.estimate import Estimate
from navbench.metrics.extractors import Extractor
from navbench.metrics.interpolation import Point, Sides, at_both_sides, reach, unshifted
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.precision_recall import NEIGHBOURS
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import Piece, Stored, pure

_GROUP = 8
"""Directions of one space that share the work before the layer, and a piece."""


class EndsSettings(Settings):
    """Every direction of every set at both ends of its range: what methods are compared by.

    Attributes:
        samples: codes, the first ones of those of curves.
        points: of each direction, odd, t = 0 inside; 3 are both ends, more are for the interpolation to one effect.
    """

    samples: int = Field(32, ge=6)
    points: OddCount = Field(3, ge=3)


@dataclass(frozen=True)
class EndPoints:
    """Numbers of K directions at T shifts, t = 0 not among them, by n codes.

    Attributes:
        values: (K, T, M), float64, of `METRICS`; NaN where they are not known.
        influence: (K, T, M, n), float64, of each code on them; NaN likewise.
        effects: (K, T, n), perceptual distances from the unshifted images.
    """

    values: Tensor
    influence: Tensor
    effects: Tensor

    def at(self, direction: int, shift: int, metric: str) -> Estimate:
        """A number."""
        place = direction, shift, METRICS.index(metric)
        return Estimate(float(self.values[place]), self.influence[place])

    def effect_at(self, direction: int, shift: int) -> Estimate:
        """The mean effect."""
        return estimate.mean(self.effects[direction, shift])


@pure()
def end_points(
    edits: Sequence[Edit], points: int, indices: Sequence[int], seed: int, extractor: Extractor,
    distance: PerceptualDistance, reference: Stored[ReferenceStatistics],
) -> EndPoints:  # fmt: skip
    """Measure directions of one space at `points` shifts of their ranges.

    The unshifted images and all work before the shifted layer are shared by the directions.
    """
    first, known = edits[0], prepared(reference, edits[0].compute.exact)

    @torch.no_grad()
    def work(chunk: Sequence[int]) -> tuple[Tensor, Tensor]:
        state = first.state(codes_for(first.space.generator, Role.CURVE, chunk, seed))
        original = distance.features(first.renderer(state)(0.0))
        features, effects = [], []
        for edit in edits:
            render = edit.renderer(state)
            for t in edit.direction.shifts(points).tolist():
                if t != 0:
                    images = render(t)
                    features.append(extractor(images).cpu())
                    effects.append((distance.features(images) - original).square().sum(1).cpu())
        return torch.stack(features), torch.stack(effects)

    features, effects = (torch.cat(part, dim=1) for part in zip(*first.compute.over(indices, work), strict=True))
    measured = _measured(known, features)
    return EndPoints(*(part.unflatten(0, (len(edits), -1)) for part in (*measured, effects)))


@pure()
def end_floor(features: tuple[Stored[Features], ...], reference: Stored[ReferenceStatistics]) -> EndPoints:
    """The numbers at t = 0, as of one direction with one shift, from the features of its images."""
    values, influence = _measured(reference.load(), torch.cat([part.read("features") for part in features])[None])
    return EndPoints(values[None], influence[None], torch.zeros(1, 1, influence.shape[-1]))


def _measured(reference: ReferenceStatistics, features: Tensor) -> tuple[Tensor, Tensor]:
    """Of features (P, n, D) the numbers (P, M), and the influences of the codes on them (P, M, n)."""
    count, n = features.shape[:2]
    if reference.pairwise is None:
        return torch.full((count, len(METRICS)), math.nan).double(), torch.full(
            (count, len(METRICS), n), math.nan
        ).double()
    numbers = [by_code.measure(reference.pairwise, sample) for sample in features]
    values = torch.tensor([[number.value for number in point] for point in numbers], dtype=torch.float64)
    return values, torch.stack([torch.stack([number.influence.cpu() for number in point]) for point in numbers])


@rehearses(end_points)
def _points_rehearsed(
    edits: Sequence[Edit], points: int, indices: Sequence[int], seed: int, extractor: Extractor,
    distance: PerceptualDistance, reference: ReferenceStatistics,
) -> Rehearsed[EndPoints]:  # fmt: skip
    """The same numbers everywhere."""
    space, compute, codes = edits[0].space, edits[0].compute, len(indices)
    shifts, generator = len(edits) * (points - 1), space.generator
    costs = {
        preparing(space, compute): codes,
        rendering(space, compute): codes * (1 + shifts),
        seeing("distance", distance.name, distance.features, generator, compute): codes * (1 + shifts),
        extracting(extractor, generator, compute): codes * shifts,
    }
    pairs = times(shifts, pair_costs(codes, reference, extractor.dimensions, compute))
    return Rehearsed(_blank(len(edits), points - 1, codes), {**costs, **pairs})


@rehearses(end_floor)
def _floor_rehearsed(features: tuple[Features, ...], reference: ReferenceStatistics) -> Rehearsed[EndPoints]:
    """The same numbers; what they cost is little."""
    return Rehearsed(_blank(1, 1, sum(len(part.features) for part in features)), {})


def _blank(directions: int, shifts: int, codes: int) -> EndPoints:
    zeros = (directions, shifts, len(METRICS))
    values, influence = blank(*zeros, dtype=torch.float64), blank(*zeros, codes, dtype=torch.float64)
    return EndPoints(values, influence, torch.ones(()).expand(directions, shifts, codes))


# --- the experiment ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """What was measured of a direction, and at t = 0.

    Attributes:
        points: of some directions, of which this is number `index`.
        floor: at t = 0.
    """

    points: EndPoints
    index: int
    floor: EndPoints

    @property
    def effects(self) -> Tensor:
        """(2, n), of each code at t_min and at t_max."""
        return self.points.effects[self.index, [0, -1]]

    def sides(self, metric: str) -> Sides:
        """The number on both sides of t = 0, from there outward."""
        middle = self.points.effects.shape[1] // 2
        shifts = (range(middle - 1, -1, -1), range(middle, 2 * middle))
        start = unshifted(self.floor.at(0, 0, metric))
        low, high = ([start, *(self.point(shift, metric) for shift in side)] for side in shifts)
        return low, high

    def increase(self, effect: float) -> float:
        """How far it raises the KID above that of unshifted images, at an effect; infinite if it misses that."""
        both = at_both_sides(self.sides("KID"), effect)
        return math.inf if both is None else both.value - self.floor.at(0, 0, "KID").value

    def point(self, shift: int, metric: str) -> Point:
        """The number and the effect at a shift, numbered without t = 0."""
        return Point(self.points.effect_at(self.index, shift), self.points.at(self.index, shift, metric))


Measured = Mapping[str, Ended]
"""By the direction's name."""


class Ends(Experiment[EndsSettings, Measured]):
    """What every direction costs: the numbers by which methods are compared."""

    name = "ends"
    settings = EndsSettings
    absent = "Directions that have no curves were not measured against the reference"

    def check(self, on: Instruments) -> None:
        """The extractor and the reference."""
        check_reference(on)

    def run(self, on: Measurement) -> Measured:
        """A piece for every few directions of a set, and one for t = 0."""
        settings, along, bench = on.settings(Ends), realism(on), on.bench
        codes, seed = range(settings.samples), bench.suite.seed
        zero = unshifted_features.piece(on.generator, Role.CURVE, codes, seed, along.extractor, bench.compute)
        (floor,) = on.pieces([end_floor.piece((zero.but(note="unshifted"),), along.reference)])
        sets = on.by_set(on.plan.all_directions())
        groups = [found[start : start + _GROUP] for found in sets for start in range(0, len(found), _GROUP)]
        how = (settings.points, codes, seed, along.extractor, bench.distance, along.reference)
        pieces: list[Piece[EndPoints]] = [
            end_points.piece([on.edit(one) for one in group], *how).but(note=group[0].name.rpartition("/")[0])
            for group in groups
        ]
        results = zip(groups, on.pieces(pieces, "ends"), strict=True)
        return {one.name: Ended(points, k, floor) for group, points in results for k, one in enumerate(group)}

    def order(self, on: Measurement) -> Order | None:
        """Those that raise the KID least at an equal effect."""
        measured = measured_ends(on)
        if any(math.isnan(ended.floor.at(0, 0, "KID").value) for ended in measured.values()):
            return None  # of a reference whose images are not known
        equal = EqualEffect.of(on, {name: reach(ended.sides("KID")) for name, ended in measured.items()})
        if equal is None:
            return None
        costs = {name: ended.increase(equal.effect) for name, ended in measured.items()}
        return Order.of(on.plan.sets, costs, f"by the least KID at an effect of {equal.effect:.3g}")

    def rows(self, on: Measurement, outcome: Measured) -> Mapping[str, Iterable[Row]]:
        """Per direction, shift and metric."""
        return {"ends": _rows(on, outcome)}

    def facts(self, on: Measurement, outcome: Measured) -> Mapping[str, object]:
        """Over how many codes."""
        return {"samples": {"ends": on.settings(Ends).samples}}


def _rows(on: Measurement, outcome: Measured) -> Iterator[Row]:
    """Every measured point; numbers that are not known have no row."""
    along, settings = realism(on), on.settings(Ends)
    for direction in on.plan.all_directions():
        ended = outcome[direction.name]
        shifts = [t for t in direction.shifts(settings.points).tolist() if t != 0]
        for shift, t in enumerate(shifts):
            for metric in METRICS:
                point = ended.point(shift, metric)
                if math.isfinite(point.value.value):
                    yield {
                        **who(direction),
                        "t": t,
                        **estimated("effect", point.effect),
                        "distance": on.bench.suite.distance,
                        "metric": metric,
                        **along.source,
                        "n": settings.samples,
                        "n_reference": along.n_reference_of(metric),
                        "resolution": resolution(on.generator),
                        "neighbours": NEIGHBOURS.get(metric),
                        "value": point.value.value,
                        "stderr": point.value.stderr,
                    }


def measured_ends(on: Measurement) -> Measured:
    """What was measured at the ends of all directions; `{}` if that is not part of the measurement."""
    return on.outcome(Ends) or {}
