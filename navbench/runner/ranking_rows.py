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
from navbench.runner.method_rows import fair_ends, footing, realism_of
from navbench.runner.results import Results
from navbench.suite import Suite

UNEQUAL = "on different footings"


def ranking_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per layer or latent space, number and pair of methods.

    `difference` is that of `method` less that of `against`, on the same codes; `p` is adjusted for all pairs of the
    place, after Holm; `lower` is the method whose number is lower, '' where the difference is inside the noise. A lower
    distance is more real and a lower area50 more local; a lower residual says that another space imitates the edits
    better. Pairs that were not measured at the same effect and ends are not compared, and `status` says so.
    """
    for place in dict.fromkeys(found.place for found in result.plan.sets):
        sets = {found.method: found for found in result.plan.sets if found.place == place}
        footings = {method: footing(suite, result, found) for method, found in sets.items()}
        for metric, estimates in _numbers(suite, result, sets).items():
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
                    values = {"value": estimates[a].value, "value_against": estimates[b].value}
                    yield {**common, "method": a, "against": b, "n": estimates[a].n, **values, "status": UNEQUAL}
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


def _numbers(suite: Suite, result: Results, sets: dict[str, DirectionSet]) -> dict[str, dict[str, Estimate]]:
    """By metric and method, the means over the directions that were measured, with their influences."""
    found: dict[str, dict[str, Estimate]] = {}
    for method, each in sets.items():
        fd, kid = realism_of(suite, result, each)
        names = [direction.name for direction in each]
        heats = [
            locality_of(result, name)["area50"]
            for name in names
            if name in result.heats and len(fair_ends(suite, result, name)) == 2
        ]
        numbers = {result.metric: fd, "KID": kid, "area50": estimate.average(heats) if heats else None}
        for target in dict.fromkeys(target for _, target in result.reproductions):
            pieces = [
                result.reproductions[name, target]
                for name in names
                if (name, target) in result.reproductions and -1 in fair_ends(suite, result, name)
            ]
            ratios = [estimate.ratio(piece.errors, piece.sizes) for piece in pieces]
            numbers[f"residual in {target}"] = estimate.average(ratios) if ratios else None
        for metric, value in numbers.items():
            if value is not None and math.isfinite(value.value):  # there is no KID against statistics alone
                found.setdefault(metric, {})[method] = value
    return found
