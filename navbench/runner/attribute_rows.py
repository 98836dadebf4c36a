"""The tables that an attribute scorer makes possible: what each direction moves, what each method found, what holds."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from navbench.directions import Direction
from navbench.experiments.calibration import Target, parse_target
from navbench.metrics import estimate
from navbench.metrics.attributes import Verdict, verdict
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Decision, Test, decided
from navbench.runner.identity import Row
from navbench.runner.results import Match, Results
from navbench.suite import Suite


def verdict_of(result: Results, name: str) -> Verdict | None:
    """What a direction was found to be; none where no scorer looked at it."""
    if result.scorer is None or name not in result.movements:
        return None
    return verdict(result.movements[name], result.scorer.attributes)


def effect_between_ends(result: Results, name: str) -> float:
    """The effects at t_min and t_max, added: what the change from end to end is set against."""
    return float(result.effects[name].double().mean(1).sum())


def attribute_rows(suite: Suite, result: Results, who: dict[str, Row]) -> Iterator[Row]:
    """Per direction and attribute; `who` gives a direction's identifying columns."""
    if result.scorer is None:
        return
    for name, moved in result.movements.items():
        effect = effect_between_ends(result, name)
        for index, attribute in enumerate(result.scorer.attributes):
            standardised = float(moved.standardised[index])
            yield {
                **who[name],
                "attribute": attribute.name,
                "unit": attribute.unit,
                "spread": attribute.spread,
                "change": moved.change[index].value,
                "change_stderr": moved.change[index].stderr,
                "standardised": standardised,
                "standardised_per_effect": standardised / effect if effect else float("nan"),
                "magnitude": float(moved.magnitude[index]),
                "share": float(moved.share[index]),
                "consistency": float(moved.consistency[index]),
                "monotonicity": float(moved.monotonicity[index]),
                "scorer": result.scorer.name,
                "n": moved.change[index].n,
                "shifts": suite.attributes.shifts,
            }


def summary(result: Results, name: str) -> Row:
    """The columns that attributes add to a direction's row: the automatic label and what it rests on."""
    judged = verdict_of(result, name)
    if judged is None or result.scorer is None:
        return {}
    moved = result.movements[name]
    row: Row = {"verdict": judged.kind, "attribute": judged.attribute, "auto_label": judged.label}
    if judged.attribute:
        index = [attribute.name for attribute in result.scorer.attributes].index(judged.attribute)
        row |= {
            "attribute_change": moved.change[index].value,
            "attribute_change_stderr": moved.change[index].stderr,
            "attribute_share": float(moved.share[index]),
            "monotonicity": float(moved.monotonicity[index]),
            "attribute_dependency": moved.dependency,
        }
    return row


def of_method(result: Results, directions: list[str]) -> Row:
    """The columns that attributes add to a method's row: how many factors its directions are directions of."""
    judged = {name: found for name in directions if (found := verdict_of(result, name)) is not None}
    if not judged:
        return {}
    own = {name: found for name, found in judged.items() if found.kind == "interpretable"}
    dependencies = [result.movements[name].dependency for name, found in judged.items() if found.kind != "none"]
    return {
        "interpretable": len(own),
        "entangled": sum(found.kind == "entangled" for found in judged.values()),
        "attributes_found": len({found.attribute for found in own.values()}),
        "dependency_mean": sum(dependencies) / len(dependencies) if dependencies else None,
    }


def found_rows(result: Results) -> Iterator[Row]:
    """Table 1, without a human: per attribute and method, the best of the directions that are interpretable.

    The best is the one of which the attribute gets the largest share of the change; `best` marks it among methods.
    """
    if result.scorer is None:
        return
    directions = [one for one in result.plan.all_directions() if one.name in result.movements]
    for index, attribute in enumerate(result.scorer.attributes):
        best: dict[str, tuple[float, Direction]] = {}
        for direction in directions:
            judged = verdict_of(result, direction.name)
            if judged is None or judged.kind != "interpretable" or judged.attribute != attribute.name:
                continue
            share = float(result.movements[direction.name].share[index])
            best[direction.method] = max(best.get(direction.method, (0.0, direction)), (share, direction), key=_first)
        top = max((share for share, _ in best.values()), default=0.0)
        for method, (share, direction) in best.items():
            yield {
                "generator": direction.generator,
                "attribute": attribute.name,
                "method": method,
                "layer": direction.place,
                "direction": direction.index,
                "name": direction.name,
                "share": share,
                "best": share == top,
            }


def _first(pair: tuple[float, Direction]) -> float:
    return pair[0]


# --- calibration and comparison at an equal change ------------------------------------------------------------


def calibration_rows(suite: Suite, result: Results, who: dict[str, Row]) -> Iterator[Row]:
    """Per direction and end: what was asked for, and what was reached."""
    if not result.ranges:
        return
    target = parse_target(suite.calibrate)
    for name, found in result.ranges.items():
        for end, (t, reached, there) in enumerate(zip(found.t, found.reached, found.is_reached(target), strict=True)):
            yield {
                **who[name],
                "end": ("t_min", "t_max")[end],
                "quantity": target.quantity,
                "target": target.amount,
                "t": float(t),
                "reached": float(reached),
                "reached_stderr": float(found.stderr[end]),
                "is_reached": bool(there),
                "n": suite.discovery.effect_codes,
            }


def matched_rows(suite: Suite, result: Results, who: dict[str, Row]) -> Iterator[Row]:
    """Per method's best direction for the attribute and side, the distances where the change is the same."""
    for found in result.matched:
        for end, metric, value in _ends(suite, result, found):
            yield {
                **who[found.direction.name],
                "attribute": suite.matched.attribute,
                "target": suite.matched.change,
                "side": _side(found, end),
                "t": float(found.range.t[end]),
                "reached": float(found.range.reached[end]),
                "reached_stderr": float(found.range.stderr[end]),
                "is_reached": bool(found.range.is_reached(_target(suite))[end]),
                "effect": estimate.mean(found.curve.effects[end]).value,
                "metric": metric,
                "extractor": suite.curves.extractor,
                "reference": result.reference,
                "n": value.n,
                "n_reference": result.reference_samples,
                "value": value.value,
                "stderr": value.stderr,
            }


def _ends(suite: Suite, result: Results, found: Match) -> Iterator[tuple[int, str, Estimate]]:
    for end in (0, 1):
        yield end, result.metric, found.curve.frechet_at(end)
        yield end, "KID", found.curve.kernel_at(end)


def _target(suite: Suite) -> Target:
    return Target(suite.matched.attribute, suite.matched.change)


def _side(found: Match, end: int) -> str:
    return "+" if float(found.range.reached[end]) > 0 else "-"


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


def _cost(suite: Suite, result: Results, found: Match, side: str) -> _Cost | None:
    """What the change of the attribute to that side costs, if the target is reached there."""
    assert result.floor is not None
    for end, there in enumerate(found.range.is_reached(_target(suite))):
        if bool(there) and _side(found, end) == side:
            there_is, unshifted = found.curve.frechet_at(end), result.floor.frechet_at(0)
            # A distance between Gaussians grows with the square of what moves them, hence the factor of 2.
            slope = 2 * (there_is.value - unshifted.value) / abs(float(found.range.reached[end]))
            return _Cost(there_is, abs(slope) * float(found.range.stderr[end]))
    return None


def claim_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """The paper's claims at an equal change of the attribute, each as a paired difference on the same codes.

    All comparisons of one claim are a family (see `significance.decided`).
    """
    for claim, compared in (
        ("svd loses realism faster", list(_against_baseline(suite, result))),
        ("less costs more than more", list(_both_sides(suite, result))),
    ):
        decisions = decided([Test.of(cost.estimate, cost.solving) for _, cost in compared])
        for (subject, cost), decision in zip(compared, decisions, strict=True):
            yield _claim(suite, result, claim, subject, cost, decision)


def _both_sides(suite: Suite, result: Results) -> Iterator[tuple[Row, _Cost]]:
    """Of each match: the distance where the attribute shrinks less that where it grows."""
    for found in result.matched:
        grown, shrunk = (_cost(suite, result, found, side) for side in "+-")
        if grown is not None and shrunk is not None:
            subject: Row = {"layer": found.direction.place, "method": found.direction.method, "against": ""}
            yield subject, shrunk.less(grown)


def _against_baseline(suite: Suite, result: Results) -> Iterator[tuple[Row, _Cost]]:
    """Of each layer: the distance of `svd` less that of each other method, in the mean over the sides both reach."""
    for place, group in groupby(result.matched, key=lambda found: found.direction.place):
        matches = {found.direction.method: found for found in group}
        svd = matches.pop("svd", None)
        for method, other in matches.items() if svd is not None else ():
            assert svd is not None
            pairs = [(_cost(suite, result, svd, side), _cost(suite, result, other, side)) for side in "+-"]
            both = [a.less(b) for a, b in pairs if a is not None and b is not None]
            if both:
                subject: Row = {"layer": place, "method": "svd", "against": method}
                mean = estimate.average([each.estimate for each in both])
                yield subject, _Cost(mean, math.hypot(*(each.solving for each in both)) / len(both))


def _claim(suite: Suite, result: Results, claim: str, subject: Row, cost: _Cost, decision: Decision) -> Row:
    """One claim about one pair: it holds if the difference is positive and significant."""
    difference = cost.estimate
    holds = ("yes" if difference.value > 0 else "no") if decision.decided else "undecided"
    return {
        "generator": result.generator.name,
        "claim": claim,
        **subject,
        "attribute": suite.matched.attribute,
        "change": suite.matched.change,
        "metric": result.metric,
        "extractor": suite.curves.extractor,
        "reference": result.reference,
        "n": difference.n,
        "difference": difference.value,
        "stderr": cost.stderr,
        "stderr_of_change": cost.solving,
        "holds": holds,
    }
