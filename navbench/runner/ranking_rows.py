"""The table of rankings: every pair of methods of a place by their paired difference, and whether it is decided."""

import math
from collections.abc import Iterator
from itertools import combinations

from navbench.directions import DirectionSet
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.ranking import comparisons
from navbench.runner.identity import Row
from navbench.runner.locality_rows import locality_of
from navbench.runner.method_rows import Footing, effect_target, fair_ends, footing, realism_of
from navbench.runner.results import Results
from navbench.suite import Suite

UNEQUAL = "on different footings"


def ranking_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per layer or latent space, number and pair of methods.

    `difference` is that of `method` less that of `against`, on the same codes; `p` is adjusted for all pairs of the
    place, after Holm; `lower` is the method whose number is lower, '' if the difference is not significant. A lower
    distance is more real and a lower area50 more local; a lower residual says that another space imitates the edits
    better. Pairs that were not measured at the same effect and ends are not compared, and `status` says so.
    """
    for place in dict.fromkeys(found.place for found in result.plan.sets):
        sets = {found.method: found for found in result.plan.sets if found.place == place}
        for metric, numbers in _numbers(suite, result, sets).items():
            estimates = {method: value for method, (value, _) in numbers.items()}
            footings = {method: taken for method, (_, taken) in numbers.items()}
            realism = metric in (result.metric, "KID")
            common = {
                "generator": result.generator.name,
                "layer": place,
                "metric": metric,
                "extractor": suite.curves.extractor if realism else "",
                "reference": result.reference if realism else "",
                "n_reference": result.reference_samples if realism else None,
            }
            for a, b in combinations(estimates, 2):
                if footings[a] != footings[b]:
                    yield {
                        **common,
                        "method": a,
                        "against": b,
                        "n": estimates[a].n,
                        "value": estimates[a].value,
                        "value_against": estimates[b].value,
                        **dict.fromkeys(("difference", "stderr", "p")),
                        "lower": "",
                        "status": UNEQUAL,
                    }
            for alike in dict.fromkeys(footings[method] for method in estimates):
                group = {method: value for method, value in estimates.items() if footings[method] == alike}
                for pair in comparisons(group):
                    lower = pair.a if pair.difference.value < 0 else pair.b
                    yield {
                        **common,
                        "method": pair.a,
                        "against": pair.b,
                        "n": pair.difference.n,
                        "value": group[pair.a].value,
                        "value_against": group[pair.b].value,
                        "difference": pair.difference.value,
                        "stderr": pair.difference.stderr,
                        "p": pair.p,
                        "lower": lower if pair.decided else "",
                        "status": "",
                    }


def _numbers(
    suite: Suite, result: Results, sets: dict[str, DirectionSet]
) -> dict[str, dict[str, tuple[Estimate, Footing]]]:
    """By metric and method, the means over the directions that were measured, and on what they were taken."""
    found: dict[str, dict[str, tuple[Estimate, Footing]]] = {}
    for method, each in sets.items():
        ends = {direction.name: fair_ends(suite, result, direction.name) for direction in each}
        effect = effect_target(suite, each)
        for metric, value in zip((result.metric, "KID"), realism_of(suite, result, each), strict=True):
            if value is not None and math.isfinite(value.value):  # there is no KID against statistics alone
                found.setdefault(metric, {})[method] = value, footing(suite, result, each)
        heats = {
            direction.index: locality_of(result, direction.name)["area50"]
            for direction in each
            if direction.name in result.heats and len(ends[direction.name]) == 2
        }
        numbers = {"area50": heats}
        for target in dict.fromkeys(target for _, target in result.reproductions):
            numbers[f"residual in {target}"] = {
                direction.index: estimate.ratio(piece.errors, piece.sizes)
                for direction in each
                if (piece := result.reproductions.get((direction.name, target))) is not None
                and -1 in ends[direction.name]
            }
        for metric, values in numbers.items():
            if values:
                taken = effect, tuple((index,) for index in values)
                found.setdefault(metric, {})[method] = estimate.average(list(values.values())), taken
    return found
