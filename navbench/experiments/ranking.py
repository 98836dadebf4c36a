"""Ranking: every pair of methods of a place by the difference of their means over all directions.

A difference is decided by both of its levels, directions and codes (see `metrics.levels`).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from navbench.directions import Direction, DirectionSet
from navbench.experiments.curves import Curves, curves_of, realism
from navbench.experiments.ends import Ends
from navbench.experiments.equal import Equal, equal
from navbench.experiments.experiment import Experiment, NoSettings
from navbench.experiments.footing import effect_target, fair_ends
from navbench.experiments.locality import Heatmaps
from navbench.experiments.lost import Lost
from navbench.experiments.measurement import Measurement
from navbench.experiments.reproduction import Reproductions
from navbench.experiments.rows import Row, Tested, estimated, levelled, who
from navbench.experiments.screening import Screening
from navbench.metrics import estimate, levels
from navbench.metrics.by_code import METRICS
from navbench.metrics.estimate import Estimate
from navbench.metrics.interpolation import reach
from navbench.metrics.levels import Levelled
from navbench.metrics.significance import Decision

UNEQUAL = "on different footings"
ALIKE = 0.1
"""Of the larger: means of directions whose mean effects differ by no more are at equal conditions."""
LEAST = 3
"""Directions of a method that is compared: the spread of two is too uncertain for 5 % of wrong decisions to hold."""
ALONE = "measured of fewer than three directions"
PART = "measured of some of their directions, which stand for no method"
UNSURE = "measured without an uncertainty"


@dataclass(frozen=True)
class Number:
    """The mean over a set's directions of what was measured.

    Attributes:
        mean: over those that were measured, and may be compared.
        target: the effect to which the ranges were calibrated, where the number depends on them; `None` where it is
            one of `equal`, or the target is unknown.
        effect: the mean one of the directions where they were measured; `None` where the number is one of `equal`.
        part: whether they are a part of their set: those that lead it.
    """

    mean: Levelled
    target: float | None
    effect: float | None
    part: bool


@dataclass(frozen=True)
class Numbers:
    """What methods are compared by.

    Attributes:
        of_place: the means by layer or latent space, metric and method.
        equal: the numbers at one effect; `None` if there are none.
    """

    of_place: Mapping[str, Mapping[str, Mapping[str, Number]]]
    equal: Equal | None


class Ranking(Experiment[NoSettings, Numbers]):
    """Part of every run: methods are compared in whatever was measured of several."""

    name = "ranking"
    always = True

    def run(self, on: Measurement) -> Numbers:
        """The means of each place, from what other experiments found."""
        alike = equal(on)
        places = dict.fromkeys(found.place for found in on.plan.sets)
        return Numbers({place: _numbers(on, place, alike) for place in places}, alike)

    def gaps(self, on: Measurement) -> Iterator[str]:
        """Directions that do not reach the effect at which they would be compared."""
        outcome = on.outcome(Ranking)
        if outcome is None or outcome.equal is None:
            return
        at, name = outcome.equal.at, on.generator.name
        if at.target is not None and at.effect < at.target:
            yield (
                f"Directions of {name} are compared at an effect of {at.effect:.3g}, not at the {at.target:.3g} of "
                "their calibration, which too few of them reach on the codes of the comparison."
            )
        if missed := at.total - at.reached:
            yield (
                f"{missed} of {at.total} directions of {name} do not reach an effect of {at.effect:.3g} at both ends "
                "and are not compared there."
            )

    def rows(self, on: Measurement, outcome: Numbers) -> Mapping[str, Iterable[Row | Tested]]:
        """Per layer or latent space, metric and pair of methods; per direction the number at one effect.

        `difference` is that of `method` less that of `against`, on the same codes and over all directions of each; `p`
        is adjusted for all tests of the run, after Holm; `lower` is the method whose number is lower, '' if the
        difference is not significant. A lower distance, a higher precision, recall, density or coverage is more real, a
        lower area50 more local; a lower share lost keeps the scorer's subject in more images; a lower unexplained
        fraction says that another space imitates the edits better.
        `status` says why a pair is not compared.
        """
        rows = (
            row
            for place, numbers in outcome.of_place.items()
            for metric, of_method in numbers.items()
            for row in _compared({**_setting(on, metric), "layer": place}, of_method)
        )
        return {"ranking": rows, "equal": _equal_rows(on, outcome)}

    def set_columns(self, on: Measurement, outcome: Numbers, directions: DirectionSet) -> Row:
        """The means of a set at one effect, and of how many directions they are."""
        names = {direction.name for direction in directions}
        row: Row = {"curves": len(names & set(curves_of(on))), "effect_target": effect_target(on, directions)}
        if outcome.equal is None:
            return row
        along = realism(on)
        row |= {"effect": outcome.equal.at.effect, "metric": along.extractor.metric, **along.source}
        numbers = outcome.of_place[directions.place]
        for metric in (along.extractor.metric, *METRICS):
            if (number := numbers.get(metric, {}).get(directions.method)) is not None:
                row |= _mean_columns("fd" if metric == along.extractor.metric else metric.lower(), number.mean)
                of = "" if metric == along.extractor.metric else "_kid"
                row |= {f"n{of}": number.mean.n, f"n_reference{of}": along.n_reference_of(metric)}
        return row | estimated("kid_floor", outcome.equal.floor("KID"))


def _mean_columns(short: str, mean: Levelled) -> Row:
    """A mean, and of a distance also the number of directions that it is of."""
    count = {f"{short}_directions": mean.count[0]} if short in ("fd", "kid") else {}
    return {**levelled(f"{short}_mean", mean), **count}


def _setting(on: Measurement, metric: str) -> Row:
    """Of which generator, and with what and against what a metric was measured, if it needs a reference."""
    row: Row = {"generator": on.generator.name, "metric": metric}
    if not _is_of_reference(on, metric):
        return row | {"extractor": "", "reference": "", "n_reference": None}
    return {**row, **realism(on).source, "n_reference": realism(on).n_reference_of(metric)}


def _is_of_reference(on: Measurement, metric: str) -> bool:
    measured = on.outcome(Curves) is not None or on.outcome(Ends) is not None
    return measured and metric in (realism(on).extractor.metric, *METRICS)


def _compared(where: Row, of_method: Mapping[str, Number]) -> Iterator[Row | Tested]:
    """A row per pair of methods."""
    for method, against in combinations(of_method, 2):
        a, b = of_method[method], of_method[against]
        row = {
            **where,
            "method": method,
            "against": against,
            "directions": a.mean.count[0],
            "directions_against": b.mean.count[0],
            "n": a.mean.n,
            "value": a.mean.value,
            "value_against": b.mean.value,
            "status": _status(a, b),
        }
        if row["status"]:
            empty = ("difference", "stderr", "stderr_directions", "stderr_codes", "p")
            yield {**row, **dict.fromkeys(empty), "lower": ""}
        else:
            difference = levels.difference(a.mean, b.mean)
            row |= {
                "difference": difference.value,
                "stderr": difference.stderr,
                "stderr_directions": difference.stderr_directions,
                "stderr_codes": difference.stderr_codes,
            }
            lower = method if difference.value < 0 else against
            yield Tested(row, (difference.test,), partial(_decided, lower))


def _decided(lower: str, decision: Decision) -> Row:
    return {"p": decision.p, "lower": lower if decision.decided else ""}


def _status(a: Number, b: Number) -> str:
    """Why two methods are not compared; '' if they are."""
    if a.part or b.part:
        return PART
    if a.target != b.target or not _alike(a.effect, b.effect):
        return UNEQUAL
    if min(*a.mean.count, *b.mean.count) < LEAST:
        return ALONE
    return UNSURE if math.isnan(a.mean.stderr) or math.isnan(b.mean.stderr) else ""


def _alike(effect: float | None, other: float | None) -> bool:
    """Whether two means are of the same effect, as it was measured; those at one effect are."""
    return effect is None or other is None or abs(effect - other) <= ALIKE * max(effect, other)


def _numbers(on: Measurement, place: str, alike: Equal | None) -> dict[str, dict[str, Number]]:
    """By metric and method, the means over the directions that were measured."""
    numbers: dict[str, dict[str, Number]] = {}
    for found in (each for each in on.plan.sets if each.place == place):
        for metric, number in (
            *_at_equal_effect(found, alike, on),
            *_of_locality(on, found),
            *_of_imitations(on, found),
            *_of_losses(on, found),
        ):
            numbers.setdefault(metric, {})[found.method] = number
    return numbers


def _at_equal_effect(found: DirectionSet, alike: Equal | None, on: Measurement) -> Iterator[tuple[str, Number]]:
    for metric, sides in alike.sides.items() if alike is not None else ():
        measured = [one for one in found if one.name in sides]
        values = alike.values(metric, measured) if alike is not None else {}
        yield from _mean(metric, on, found, values, len(measured))


def _of_locality(on: Measurement, found: DirectionSet) -> Iterator[tuple[str, Number]]:
    heatmaps = on.outcome(Heatmaps)
    measured = [one for one in found if heatmaps is not None and one.name in heatmaps.heats]
    areas = {
        one.name: heatmaps.locality_of(one.name)["area50"]
        for one in measured
        if heatmaps is not None and len(fair_ends(on, one.name)) == 2
    }
    yield from _mean("area50", on, found, areas, len(measured), (0, -1))


def _of_imitations(on: Measurement, found: DirectionSet) -> Iterator[tuple[str, Number]]:
    """Imitations are of the edit at t_max."""
    outcome = on.outcome(Reproductions)
    reproductions = outcome.reproductions if outcome is not None else {}
    for target in dict.fromkeys(target for _, target in reproductions):
        pieces = {one.name: piece for one in found if (piece := reproductions.get((one.name, target))) is not None}
        unexplained = {
            name: estimate.ratio(piece.errors, piece.sizes)
            for name, piece in pieces.items()
            if -1 in fair_ends(on, name) and bool(piece.converged)
        }
        metric = f"unexplained fraction in {target}"
        yield from _mean(metric, on, found, unexplained, len(pieces), (-1,))


def _of_losses(on: Measurement, found: DirectionSet) -> Iterator[tuple[str, Number]]:
    """Shares of images that lose the scorer's subject at both ends, if known damage raises them."""
    outcome = on.outcome(Lost)
    if outcome is None or on.scorer is None or not outcome.is_trusted:
        return
    measured = [one for one in found if one.name in outcome.along]
    shares = {one.name: outcome.at_ends(one.name) for one in measured if len(fair_ends(on, one.name)) == 2}
    yield from _mean(f"lost ({on.scorer.subject})", on, found, shares, len(measured), (0, -1))


def _mean(
    metric: str,
    on: Measurement,
    found: DirectionSet,
    values: Mapping[str, Estimate],
    measured: int,
    ends: Sequence[int] = (),
) -> Iterator[tuple[str, Number]]:
    """The mean of some directions' values, by their names; nothing of none.

    Args:
        metric: what it is of.
        found: the set.
        values: of those of its directions that may be compared.
        measured: of how many of its directions it was measured.
        ends: of the ranges, at which it was measured; none where the number is one of `equal`.
    """
    if values:
        target, effect = (effect_target(on, found), _effect(on, values, ends)) if ends else (None, None)
        yield metric, Number(levels.levelled(list(values.values())), target, effect, measured < len(found))


def _effect(on: Measurement, names: Iterable[str], ends: Sequence[int]) -> float | None:
    """The mean effect of some directions at ends of their ranges; `None` if it was not measured."""
    screened = on.outcome(Screening)
    if screened is None:
        return None
    effects = [float(screened.effects[name][end].mean()) for name in names for end in ends]
    return sum(effects) / len(effects)


def _equal_rows(on: Measurement, outcome: Numbers) -> Iterator[Row]:
    """Per direction and metric the number at the effect of the comparison, empty if it does not reach that."""
    alike = outcome.equal
    for metric in alike.sides if alike is not None else ():
        assert alike is not None
        measured: list[Direction] = [one for one in on.plan.all_directions() if one.name in alike.sides[metric]]
        values = alike.values(metric, measured)
        for one in measured:
            value = values.get(one.name)
            yield {
                **who(one),
                **{key: cell for key, cell in _setting(on, metric).items() if key != "generator"},
                "effect": alike.at.effect,
                "n": None if value is None else value.n,
                "value": None if value is None else value.value,
                "stderr": None if value is None else value.stderr,
                "reached": reach(alike.sides[metric][one.name]) >= alike.at.effect,
            }
