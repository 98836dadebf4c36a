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
from navbench.experiments.attributes import Attributes
from navbench.experiments.calibration import Range, Target, by_attribute
from navbench.experiments.curves import check_reference, realism
from navbench.experiments.experiment import Experiment
from navbench.experiments.fid_curve import Curve
from navbench.experiments.measurement import Instruments, Measurement
from navbench.experiments.rows import Row, Tested, who
from navbench.metrics import estimate
from navbench.metrics.attributes import LEAST_CHANGE, Movement, index_of
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Decision, Test
from navbench.settings import Settings

LEAST_PURITY = 0.1
"""A direction whose share of change for an attribute, times its consistency, is less is none of that attribute."""


class MatchedSettings(Settings):
    """Methods compared where they change one attribute by the same amount, each by its best direction for it.

    Attributes:
        attribute: of the scorer; '' to leave the comparison out.
        change: in the attribute's unit, up on one side and down on the other.
        codes: over which the change is measured when the shifts are solved for.
    """

    attribute: str = ""
    change: float = Field(1.0, gt=0)
    codes: int = Field(32, ge=2)

    @property
    def target(self) -> Target:
        """What both ends are to reach."""
        return Target(self.attribute, self.change)


@dataclass(frozen=True)
class Match:
    """A method's best direction for one attribute, where it changes that attribute by a given amount.

    Attributes:
        direction: with the range over which it does.
        range: the same range, and the changes that were reached at its ends.
        curve: the distances at both ends.
    """

    direction: Direction
    range: Range
    curve: Curve


class Matched(Experiment[MatchedSettings, Sequence[Match]]):
    """At most one match per direction set."""

    name = "matched"
    settings = MatchedSettings
    whole = True
    needs = (Attributes,)

    def check(self, on: Instruments) -> None:
        """The reference, and that the scorer knows the attribute."""
        check_reference(on)
        attribute = on.settings(Matched).attribute
        if on.scorer is not None and attribute:
            index_of(on.scorer, attribute)

    def has_work(self, on: Measurement) -> bool:
        """With a scorer, and an attribute."""
        return on.scorer is not None and bool(on.settings(Matched).attribute)

    def run(self, on: Measurement) -> Sequence[Match]:
        """Per set with a direction of the attribute a range, and the curve of its ends."""
        settings, movements, along = on.settings(Matched), on.outcome(Attributes), realism(on)
        assert on.scorer is not None
        assert movements is not None
        index = index_of(on.scorer, settings.attribute)
        best = [one for found in on.plan.sets if (one := _best(found, movements.moved, index)) is not None]
        target = (settings.attribute, settings.change, settings.codes, on.bench.suite.seed)
        pieces = [by_attribute.piece(on.edit(one), on.scorer, *target).but(note=one.name) for one in best]
        with on.counted(settings.attribute, len(best) * (len(along.shards) + 2)) as tick:
            ranges = on.pieces(pieces, tick=tick)
            ends = [each.t.tolist() for each in ranges]
            matched = [replace(one, t_min=low, t_max=high) for one, (low, high) in zip(best, ends, strict=True)]
            curves = along.curves(matched, 3, tick)
        return [Match(*each) for each in zip(matched, ranges, curves, strict=True)]

    def rows(self, on: Measurement, outcome: Sequence[Match]) -> Mapping[str, Iterable[Row | Tested]]:
        """Per match, end and metric; per claim and comparison."""
        return {"matched": _rows(on, outcome), "claims": _claim_rows(on, outcome)}


def _best(found: DirectionSet, movements: Mapping[str, Movement], attribute: int) -> Direction | None:
    """The direction of a set that moves an attribute most purely and consistently; `None` if it has none."""

    def purity(direction: Direction) -> float:
        moved = movements[direction.name]
        return float(moved.share[attribute] * moved.consistency[attribute])

    movers = [one for one in found if abs(float(movements[one.name].standardised[attribute])) >= LEAST_CHANGE]
    best = max(movers, key=purity, default=None)
    return best if best is not None and purity(best) >= LEAST_PURITY else None


def _rows(on: Measurement, matches: Sequence[Match]) -> Iterator[Row]:
    """Per method's best direction for the attribute and side, the distances where the change is the same."""
    settings, along = on.settings(Matched), realism(on)
    for found in matches:
        there = found.range.is_reached(settings.target)
        for end in (0, 1):
            curve = found.curve
            for metric, value in ((along.extractor.metric, curve.frechet_at(end)), ("KID", curve.kernel_at(end))):
                yield {
                    **who(found.direction),
                    "attribute": settings.attribute,
                    "target": settings.change,
                    "side": _side(found, end),
                    "t": float(found.range.t[end]),
                    "reached": float(found.range.reached[end]),
                    "reached_stderr": float(found.range.stderr[end]),
                    "is_reached": bool(there[end]),
                    "effect": estimate.mean(curve.effects[end]).value,
                    "metric": metric,
                    **along.source,
                    "n": value.n,
                    "n_reference": along.n_reference_of(metric),
                    "value": value.value,
                    "stderr": value.stderr,
                }


def _side(found: Match, end: int) -> str:
    return "+" if float(found.range.reached[end]) > 0 else "-"


# --- claims --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cost:
    """A Fréchet distance, or a difference of such, at a given change of the attribute.

    Attributes:
        estimate: with the influence of each code of the curve.
        solving: the standard error that it has from that of the change, which was solved for on other codes.
    """

    estimate: Estimate
    solving: float

    def less(self, other: "_Cost") -> "_Cost":
        """The difference, paired on the curve's codes."""
        return _Cost(estimate.difference(self.estimate, other.estimate), math.hypot(self.solving, other.solving))

    @property
    def stderr(self) -> float:
        """Of both sources together."""
        return math.hypot(self.estimate.stderr, self.solving)


def _cost(on: Measurement, found: Match, side: str) -> _Cost | None:
    """What the change of the attribute to that side costs, if the target is reached there."""
    for end, there in enumerate(found.range.is_reached(on.settings(Matched).target)):
        if bool(there) and _side(found, end) == side:
            there_is, unshifted = found.curve.frechet_at(end), realism(on).floor.frechet_at(0)
            # A distance between Gaussians grows with the square of what moves them, hence the factor of 2.
            slope = 2 * (there_is.value - unshifted.value) / abs(float(found.range.reached[end]))
            return _Cost(there_is, abs(slope) * float(found.range.stderr[end]))
    return None


def _claim_rows(on: Measurement, matches: Sequence[Match]) -> Iterator[Tested]:
    """The paper's claims at an equal change of the attribute, each as a paired difference on the same codes.

    They are of the family of all tests of a run (see `rows.settled`).
    """
    for claim, compared in (
        ("svd loses realism faster", _against_baseline(on, matches)),
        ("less costs more than more", _both_sides(on, matches)),
    ):
        for subject, cost in compared:
            yield _claim(on, claim, subject, cost)


def _both_sides(on: Measurement, matches: Sequence[Match]) -> Iterator[tuple[Row, _Cost]]:
    """Of each match: the distance where the attribute shrinks less that where it grows."""
    for found in matches:
        grown, shrunk = (_cost(on, found, side) for side in "+-")
        if grown is not None and shrunk is not None:
            subject: Row = {"layer": found.direction.place, "method": found.direction.method, "against": ""}
            yield subject, shrunk.less(grown)


def _against_baseline(on: Measurement, matches: Sequence[Match]) -> Iterator[tuple[Row, _Cost]]:
    """Of each layer: the distance of `svd` less that of each other method, in the mean over the sides both reach."""
    for place, group in groupby(matches, key=lambda found: found.direction.place):
        of_method = {found.direction.method: found for found in group}
        svd = of_method.pop("svd", None)
        for method, other in of_method.items() if svd is not None else ():
            assert svd is not None
            pairs = [(_cost(on, svd, side), _cost(on, other, side)) for side in "+-"]
            both = [a.less(b) for a, b in pairs if a is not None and b is not None]
            if both:
                subject: Row = {"layer": place, "method": "svd", "against": method}
                mean = estimate.average([each.estimate for each in both])
                yield subject, _Cost(mean, math.hypot(*(each.solving for each in both)) / len(both))


def _claim(on: Measurement, claim: str, subject: Row, cost: _Cost) -> Tested:
    """One claim about one pair: it holds if the difference is positive and significant."""
    difference = cost.estimate
    row = {
        "generator": on.generator.name,
        "claim": claim,
        **subject,
        "attribute": on.settings(Matched).attribute,
        "change": on.settings(Matched).change,
        "metric": realism(on).extractor.metric,
        **realism(on).source,
        "n": difference.n,
        "difference": difference.value,
        "stderr": cost.stderr,
        "stderr_of_change": cost.solving,
    }
    sign = "yes" if difference.value > 0 else "no"
    return Tested(row, (Test.of(difference, cost.solving),), partial(_holds, sign))


def _holds(sign: str, decision: Decision) -> Row:
    return {"holds": sign if decision.decided else "undecided"}
