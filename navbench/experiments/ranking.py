"""Ranking: every pair of methods of a place by their paired difference, and whether it is significant."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from navbench.directions import DirectionSet
from navbench.experiments.curves import Curves, realism
from navbench.experiments.experiment import Experiment, NoSettings
from navbench.experiments.footing import Footing, effect_target, fair_ends, footing, footing_of, realism_of
from navbench.experiments.locality import Heatmaps
from navbench.experiments.measurement import Measurement
from navbench.experiments.reproduction import Reproductions
from navbench.experiments.rows import Row, drawn
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.ranking import comparisons, ranks

UNEQUAL = "on different footings"


@dataclass(frozen=True)
class Number:
    """The mean over a set's directions of what was measured, and on what footing it was."""

    mean: Estimate
    footing: Footing


@dataclass(frozen=True)
class Numbers:
    """By layer or latent space, metric and method."""

    of_place: Mapping[str, Mapping[str, Mapping[str, Number]]]


class Ranking(Experiment[NoSettings, Numbers]):
    """Part of every run: methods are compared in whatever was measured of several."""

    name = "ranking"
    always = True

    def run(self, on: Measurement) -> Numbers:
        """The means of each place, from what other experiments found."""
        return Numbers({place: _numbers(on, place) for place in dict.fromkeys(found.place for found in on.plan.sets)})

    def rows(self, on: Measurement, outcome: Numbers) -> Mapping[str, Iterable[Row]]:
        """Per layer or latent space, metric and pair of methods.

        `difference` is that of `method` less that of `against`, on the same codes; `p` is adjusted for all pairs of
        the place, after Holm; `lower` is the method whose number is lower, '' if the difference is not significant. A
        lower distance is more real and a lower area50 more local; a lower unexplained fraction says that another space
        imitates the edits better. Pairs on different footings are not compared, and `status` says so.
        """
        rows = (
            {"generator": on.generator.name, "layer": place, "metric": metric, **_setting(on, metric), **row}
            for place, numbers in outcome.of_place.items()
            for metric, of_method in numbers.items()
            for row in _compared(of_method)
        )
        return {"ranking": rows}

    def set_columns(self, on: Measurement, outcome: Numbers, directions: DirectionSet) -> Row:
        """The mean distances of a set, and the best and the worst rank that it may have among its place's."""
        curves = on.outcome(Curves)
        names = {direction.name for direction in directions}
        row: Row = {"curves": len(names & set(curves.curves)) if curves is not None else 0}
        row["effect_target"] = effect_target(on, directions)
        both = realism_of(on, directions)
        if both is None:
            return row
        fd, kid = both
        along = realism(on)
        own = {"metric": along.extractor.metric, **along.source, "n": fd.n, "n_reference": along.n_reference}
        row |= {**own, **drawn("fd_mean", fd, along.is_drawn), **drawn("kid_mean", kid, along.is_drawn)}
        row |= {"n_kid": kid.n, "n_reference_kid": along.n_reference_of("KID")}
        of_method = outcome.of_place[directions.place].get(along.extractor.metric, {})
        if len({number.footing for number in of_method.values()}) == 1 and directions.method in of_method:
            ranked = ranks({method: number.mean for method, number in of_method.items()})
            row["fd_rank_best"], row["fd_rank_worst"] = ranked[directions.method]
        return row


def _setting(on: Measurement, metric: str) -> Row:
    """With what and against what a metric was measured; nothing of those that need no reference."""
    if on.outcome(Curves) is None or metric not in (realism(on).extractor.metric, "KID"):
        return {"extractor": "", "reference": "", "n_reference": None}
    return {**realism(on).source, "n_reference": realism(on).n_reference_of(metric)}


def _compared(of_method: Mapping[str, Number]) -> Iterator[Row]:
    """A row per pair of methods: first those that cannot be compared, then each footing's own."""
    for a, b in combinations(of_method, 2):
        if of_method[a].footing != of_method[b].footing:
            unknown = dict.fromkeys(("difference", "stderr", "p"))
            yield {**_values(of_method, a, b), "n": of_method[a].mean.n, **unknown, "lower": "", "status": UNEQUAL}
    for alike in dict.fromkeys(number.footing for number in of_method.values()):
        group = {method: number.mean for method, number in of_method.items() if number.footing == alike}
        for pair in comparisons(group):
            lower = pair.a if pair.difference.value < 0 else pair.b
            yield {
                **_values(of_method, pair.a, pair.b),
                "n": pair.difference.n,
                "difference": pair.difference.value,
                "stderr": pair.difference.stderr,
                "p": pair.p,
                "lower": lower if pair.decided else "",
                "status": "",
            }


def _values(of_method: Mapping[str, Number], a: str, b: str) -> Row:
    means = {"value": of_method[a].mean.value, "value_against": of_method[b].mean.value}
    return {"method": a, "against": b, **means}


def _numbers(on: Measurement, place: str) -> dict[str, dict[str, Number]]:
    """By metric and method, the means over the directions that were measured."""
    numbers: dict[str, dict[str, Number]] = {}
    for found in (each for each in on.plan.sets if each.place == place):
        for metric, number in (*_of_realism(on, found), *_of_locality(on, found), *_of_reproduction(on, found)):
            numbers.setdefault(metric, {})[found.method] = number
    return numbers


def _of_realism(on: Measurement, found: DirectionSet) -> Iterator[tuple[str, Number]]:
    both = realism_of(on, found)
    for metric, value in zip((realism(on).extractor.metric, "KID"), both, strict=True) if both is not None else ():
        if math.isfinite(value.value):  # there is no KID against statistics alone
            yield metric, Number(value, footing(on, found))


def _of_locality(on: Measurement, found: DirectionSet) -> Iterator[tuple[str, Number]]:
    heatmaps = on.outcome(Heatmaps)
    areas = {
        one.index: heatmaps.locality_of(one.name)["area50"]
        for one in found
        if heatmaps is not None and one.name in heatmaps.heats and len(fair_ends(on, one.name)) == 2
    }
    yield from _mean("area50", on, found, areas)


def _of_reproduction(on: Measurement, found: DirectionSet) -> Iterator[tuple[str, Number]]:
    """Imitations are of the edit at t_max."""
    outcome = on.outcome(Reproductions)
    reproductions = outcome.reproductions if outcome is not None else {}
    for target in dict.fromkeys(target for _, target in reproductions):
        unexplained = {
            one.index: estimate.ratio(piece.errors, piece.sizes)
            for one in found
            if (piece := reproductions.get((one.name, target))) is not None and -1 in fair_ends(on, one.name)
        }
        yield from _mean(f"unexplained fraction in {target}", on, found, unexplained)


def _mean(
    metric: str, on: Measurement, found: DirectionSet, values: Mapping[int, Estimate]
) -> Iterator[tuple[str, Number]]:
    """The mean of some directions' values, by their indices, and that they are of these; nothing of none."""
    if values:
        average = estimate.average(list(values.values()))
        yield metric, Number(average, footing_of(on, found, [(index,) for index in values]))
