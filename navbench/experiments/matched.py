"""Matched: methods compared where each changes one attribute by the same amount, by its best direction for that.

The paper's claims about realism are tested there, each as a paired difference on the same codes.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from pydantic import Field

from navbench.directions import Direction, DirectionSet
from navbench.experiments.attributes import Attributes, Movements
from navbench.experiments.calibration import REACHED, Range, Target, by_attribute
from navbench.experiments.curves import check_reference, realism
from navbench.experiments.experiment import Experiment
from navbench.experiments.fid_curve import Curve
from navbench.experiments.measurement import Instruments, Measurement
from navbench.experiments.rows import Row, Tested, who
from navbench.methods import competes
from navbench.metrics import estimate
from navbench.metrics.attributes import Attribute, index_of
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Decision, Test
from navbench.settings import Settings

LEFT_OUT = "none"
"""In place of an attribute: the comparison is left out."""
POINTS = 5
"""Shifts of a match's curve: both ends, t = 0, and halfway, by which the distance's slope at the ends is known."""


class MatchedSettings(Settings):
    """Methods compared where they change one attribute by the same amount, each by its best direction for it.

    Attributes:
        attribute: of the scorer; '' for the one that most methods have an interpretable direction of; 'none' to leave
            the comparison out.
        change: in the attribute's unit, or in its standard deviations if it is not named; up on one side and down on
            the other.
        codes: over which the change is measured when the shifts are solved for. How well it is known is part of every
            standard error.
    """

    attribute: str = ""
    change: float = Field(1.0, gt=0)
    codes: int = Field(500, ge=2)


@dataclass(frozen=True)
class Match:
    """A method's best direction for one attribute, where it changes that attribute by a given amount.

    Attributes:
        direction: with the range over which it does.
        range: the same range, and the changes that were reached at its ends.
        curve: the distances at t_min, half of it, half of t_max and t_max.
    """

    direction: Direction
    range: Range
    curve: Curve


@dataclass(frozen=True)
class Matches:
    """At most one match per direction set.

    Attributes:
        target: the attribute, and the change that is to be reached; `None` if no direction is one of any attribute.
        picked: whether the attribute follows from the verdicts.
    """

    target: Target | None
    picked: bool
    matches: Sequence[Match] = ()


class Matched(Experiment[MatchedSettings, Matches]):
    """Methods at an equal change of one attribute, and the paper's claims there."""

    name = "matched"
    settings = MatchedSettings
    whole = True
    needs = (Attributes,)

    def check(self, on: Instruments) -> None:
        """The reference, and that the scorer knows the attribute."""
        check_reference(on)
        attribute = on.settings(Matched).attribute
        if on.scorer is not None and attribute not in ("", LEFT_OUT):
            index_of(on.scorer, attribute)

    def has_work(self, on: Measurement) -> bool:
        """With a scorer, and if the comparison is not left out."""
        return on.scorer is not None and on.settings(Matched).attribute != LEFT_OUT

    def run(self, on: Measurement) -> Matches:
        """Per set with a direction of the attribute a range, and the curve of its ends."""
        settings, movements = on.settings(Matched), on.outcome(Attributes)
        assert on.scorer is not None
        assert movements is not None
        target = _target(on, movements)
        best = [one for found in on.plan.sets if (one := _best(found, movements, target)) is not None]
        if target is None or not best:
            return Matches(target, not settings.attribute)
        along = realism(on)
        solved = (target.quantity, target.amount, settings.codes, on.bench.suite.seed)
        pieces = [by_attribute.piece(on.edit(one), on.scorer, *solved).but(note=one.name) for one in best]
        with on.counted(target.quantity, len(best) * (len(along.shards) + 2)) as tick:
            ranges = on.pieces(pieces, tick=tick)
            ends = [each.t.tolist() for each in ranges]
            matched = [replace(one, t_min=low, t_max=high) for one, (low, high) in zip(best, ends, strict=True)]
            curves = along.curves(matched, POINTS, tick)
        matches = [Match(*each) for each in zip(matched, ranges, curves, strict=True)]
        return Matches(target, not settings.attribute, matches)

    def rows(self, on: Measurement, outcome: Matches) -> Mapping[str, Iterable[Row | Tested]]:
        """Per match, end and metric; per claim and comparison."""
        return {"matched": _rows(on, outcome), "claims": _claim_rows(on, outcome)}

    def facts(self, on: Measurement, outcome: Matches) -> Mapping[str, object]:
        """Which attribute, who chose it, and of how many sets a direction is one of it."""
        attribute = outcome.target.quantity if outcome.target is not None else ""
        sets = {"matched": len(outcome.matches), "sets": len(on.plan.sets)}
        return {"matched": {on.generator.name: {"attribute": attribute, "picked": outcome.picked, **sets}}}


def _target(on: Measurement, movements: Movements) -> Target | None:
    """What both ends are to reach; `None` if the attribute is not named and no verdict names one."""
    settings = on.settings(Matched)
    if settings.attribute:
        return Target(settings.attribute, settings.change)
    attribute = _most_found(on.plan.sets, movements)
    return None if attribute is None else Target(attribute.name, settings.change * attribute.spread)


def _most_found(sets: Sequence[DirectionSet], movements: Movements) -> Attribute | None:
    """The attribute that most methods have an interpretable direction of, of those that compete, then of all.

    Of equals the one that most sets have, then the first of the scorer; `None` if there is no interpretable direction.
    """
    found = [(group.method, attribute) for group in sets for attribute in _found(group, movements)]

    def count(attribute: Attribute) -> tuple[int, int, int]:
        methods = [method for method, name in found if name == attribute.name]
        return sum(map(competes, set(methods))), len(set(methods)), len(methods)

    most = max(movements.scorer.attributes, key=count)
    return most if any(count(most)) else None


def _found(directions: DirectionSet, movements: Movements) -> set[str]:
    """The attributes that a set has interpretable directions of."""
    verdicts = (movements.verdict_of(one.name) for one in directions)
    return {judged.attribute for judged in verdicts if judged is not None and judged.kind == "interpretable"}


def _best(directions: DirectionSet, movements: Movements, target: Target | None) -> Direction | None:
    """Of the directions whose verdict names the attribute the one with the largest share; `None` if there is none."""
    if target is None:
        return None
    index = movements.index(target.quantity)

    def is_of_it(direction: Direction) -> bool:
        judged = movements.verdict_of(direction.name)
        return judged is not None and (judged.kind, judged.attribute) == ("interpretable", target.quantity)

    def share(direction: Direction) -> float:
        return float(movements.moved[direction.name].share[index])

    return max(filter(is_of_it, directions), key=share, default=None)


def _rows(on: Measurement, outcome: Matches) -> Iterator[Row]:
    """Per method's best direction for the attribute and side, the distances where the change is the same."""
    for match in outcome.matches:
        along, target = realism(on), outcome.target
        assert target is not None
        statuses = match.range.statuses(target)
        for end in (0, 1):
            for metric in (along.extractor.metric, "KID"):
                cost = _cost_at(on, match, end, metric)
                change = match.range.at[end]
                yield {
                    **who(match.direction),
                    "attribute": target.quantity,
                    "target": target.amount,
                    "side": _side(match, end),
                    "t": float(match.range.t[end]),
                    "reached": change.value,
                    "reached_stderr": change.stderr,
                    "is_reached": statuses[end] == REACHED,
                    "status": statuses[end],
                    "n_change": match.range.counts[end],
                    "effect": estimate.mean(match.curve.effects[-end]).value,
                    "metric": metric,
                    **along.source,
                    "n": cost.estimate.n,
                    "n_reference": along.n_reference_of(metric),
                    "value": cost.estimate.value,
                    "stderr": cost.stderr,
                    "stderr_of_change": cost.solving.stderr,
                }


def _side(match: Match, end: int) -> str:
    return "+" if match.range.at[end].value > 0 else "-"


# --- claims --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """A distance, or a difference of such, at a given change of the attribute.

    Attributes:
        estimate: with the influence of each code of the curve.
        solving: the error that it has from that of the change, which was solved for on other codes: of value 0, with
            the influence of each of those codes.
    """

    estimate: Estimate
    solving: Estimate

    def less(self, other: "Cost") -> "Cost":
        """The difference, paired on the codes of both kinds."""
        differences = ((self.estimate, other.estimate), (self.solving, other.solving))
        return Cost(*(estimate.difference(a, b) for a, b in differences))

    @property
    def stderr(self) -> float:
        """Of both sources together."""
        return math.hypot(self.estimate.stderr, self.solving.stderr)


def cost_of(t: float, at_zero: float, halfway: float, distance: Estimate, change: Estimate, slope: float) -> Cost:
    """A distance at shift t, with the error that the change of the attribute leaves in it, by the delta method.

    Args:
        t: the shift at which the change was solved for.
        at_zero, halfway: the distance at t = 0 and at half the shift; with `distance` they give its slope at t, that
            of a parabola.
        distance: at t.
        change: of the attribute at t.
        slope: of that change with the shift.
    """
    of_distance = (3 * distance.value - 4 * halfway + at_zero) / t
    by_change = of_distance / slope if slope else math.inf
    return Cost(distance, Estimate(0.0, by_change * change.influence))


def _cost_at(on: Measurement, match: Match, end: int, metric: str) -> Cost:
    """What the change of the attribute at an end costs in a metric."""
    floor, curve = realism(on).floor, match.curve
    zero, half, there = (
        (of.kernel_at if metric == "KID" else of.frechet_at)(index)
        for of, index in ((floor, 0), (curve, 1 + end), (curve, -end))
    )
    t, slope = float(match.range.t[end]), float(match.range.slopes[end])
    return cost_of(t, zero.value, half.value, there, match.range.at[end], slope)


def _cost(on: Measurement, outcome: Matches, match: Match, side: str) -> Cost | None:
    """The Fréchet distance of the change to that side, if the target is reached there."""
    assert outcome.target is not None
    for end, there in enumerate(match.range.is_reached(outcome.target)):
        if bool(there) and _side(match, end) == side:
            return _cost_at(on, match, end, realism(on).extractor.metric)
    return None


def _claim_rows(on: Measurement, outcome: Matches) -> Iterator[Tested]:
    """The paper's claims at an equal change of the attribute, each as a paired difference on the same codes.

    They are of the family of all tests of a run (see `rows.settled`).
    """
    for claim, compared in (
        ("svd loses realism faster", _against_baseline(on, outcome)),
        ("less costs more than more", _both_sides(on, outcome)),
    ):
        for subject, cost in compared:
            yield _claim(on, outcome, claim, subject, cost)


def _both_sides(on: Measurement, outcome: Matches) -> Iterator[tuple[Row, Cost]]:
    """Of each match: the distance where the attribute shrinks less that where it grows."""
    for found in outcome.matches:
        grown, shrunk = (_cost(on, outcome, found, side) for side in "+-")
        if grown is not None and shrunk is not None:
            subject: Row = {"layer": found.direction.place, "method": found.direction.method, "against": ""}
            yield subject, shrunk.less(grown)


def _against_baseline(on: Measurement, outcome: Matches) -> Iterator[tuple[Row, Cost]]:
    """Of each layer: the distance of `svd` less that of each other method, in the mean over the sides both reach."""
    for place, group in groupby(outcome.matches, key=lambda found: found.direction.place):
        of_method = {found.direction.method: found for found in group}
        svd = of_method.pop("svd", None)
        for method, other in of_method.items() if svd is not None else ():
            assert svd is not None
            pairs = [(_cost(on, outcome, svd, side), _cost(on, outcome, other, side)) for side in "+-"]
            both = [a.less(b) for a, b in pairs if a is not None and b is not None]
            if both:
                subject: Row = {"layer": place, "method": "svd", "against": method}
                parts = [one.estimate for one in both], [one.solving for one in both]
                yield subject, Cost(*map(estimate.average, parts))


def _claim(on: Measurement, outcome: Matches, claim: str, subject: Row, cost: Cost) -> Tested:
    """One claim about one pair: it holds if the difference is positive and significant."""
    difference, target = cost.estimate, outcome.target
    assert target is not None
    row = {
        "generator": on.generator.name,
        "claim": claim,
        **subject,
        "attribute": target.quantity,
        "change": target.amount,
        "metric": realism(on).extractor.metric,
        **realism(on).source,
        "n": difference.n,
        "difference": difference.value,
        "stderr": cost.stderr,
        "stderr_of_change": cost.solving.stderr,
    }
    sign = "yes" if difference.value > 0 else "no"
    return Tested(row, (Test.of(difference, cost.solving.stderr),), partial(_holds, sign))


def _holds(sign: str, decision: Decision) -> Row:
    return {"holds": sign if decision.decided else "undecided"}
