"""The table of rankings: every pair of methods of a place by their paired difference, and whether it is decided."""

from collections.abc import Iterator

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.ranking import comparisons
from navbench.runner.identity import Row
from navbench.runner.locality_rows import locality_of
from navbench.runner.method_rows import realism_of
from navbench.runner.results import Results
from navbench.suite import Suite


def ranking_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per layer or latent space, number and pair of methods; a smaller number is better in all of them.

    `difference` is that of `method` less that of `against`, on the same codes; `p` is adjusted for all pairs of the
    place, after Holm; `better` is '' where the difference is inside the noise.
    """
    for place in dict.fromkeys(found.place for found in result.plan.sets):
        for metric, estimates in _numbers(suite, result, place).items():
            for pair in comparisons(estimates):
                first = pair.a if pair.difference.value < 0 else pair.b
                yield {
                    "generator": result.generator.name,
                    "layer": place,
                    "metric": metric,
                    "method": pair.a,
                    "against": pair.b,
                    "extractor": suite.curves.extractor if metric in (result.metric, "KID") else "",
                    "reference": result.reference if metric in (result.metric, "KID") else "",
                    "n": pair.difference.n,
                    "value": estimates[pair.a].value,
                    "value_against": estimates[pair.b].value,
                    "difference": pair.difference.value,
                    "stderr": pair.difference.stderr,
                    "p": pair.p,
                    "better": first if pair.decided else "",
                }


def _numbers(suite: Suite, result: Results, place: str) -> dict[str, dict[str, Estimate]]:
    """By metric and method, the means over the directions of a place that were measured, with their influences."""
    found: dict[str, dict[str, Estimate]] = {}
    for each in result.plan.sets:
        if each.place != place:
            continue
        fd, kid = realism_of(suite, result, each)
        names = [direction.name for direction in each]
        heats = [locality_of(result, name)["area50"] for name in names if name in result.heats]
        numbers = {result.metric: fd, "KID": kid, "area50": estimate.average(heats) if heats else None}
        for target in dict.fromkeys(target for _, target in result.reproductions):
            pieces = [result.reproductions[name, target] for name in names if (name, target) in result.reproductions]
            ratios = [estimate.ratio(piece.errors, piece.sizes) for piece in pieces]
            numbers[f"residual in {target}"] = estimate.average(ratios) if ratios else None
        for metric, value in numbers.items():
            if value is not None:
                found.setdefault(metric, {})[each.method] = value
    return found
