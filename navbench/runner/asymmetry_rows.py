"""Which end of a direction costs more realism, and whether the reference has fewer images there.

The paper explains the sides of its curves by the data: wheels smaller than all that were seen are unrealistic, larger
ones are not (section 4.5).  With a scorer and a reference of images that can be tested.
"""

from collections.abc import Iterator
from math import sqrt

from torch import Tensor

from navbench.metrics import estimate
from navbench.metrics.significance import Test, decided
from navbench.runner.attribute_rows import verdict_of
from navbench.runner.identity import Row
from navbench.runner.results import Results
from navbench.suite import Suite

_ENDS = ("t_min", "t_max")


def beyond(scores: Tensor, start: float, end: float) -> Tensor:
    """Of a reference's readings (n,) which are further out than an end, (n,), bool.

    Args:
        scores: the readings.
        start: the mean reading at t = 0.
        end: the mean reading at the end.
    """
    return scores > end if end > start else scores < end


def share_of(outside: Tensor) -> tuple[float, float]:
    """The share of images (n,) that are outside, and Agresti and Coull's error, which is not 0 where none was seen."""
    n = len(outside)
    near = (int(outside.sum()) + 2) / (n + 4)
    return float(outside.double().mean()), sqrt(near * (1 - near) / (n + 4))


def difference_of(low: Tensor, high: Tensor) -> tuple[float, float]:
    """The share of images (n,) in `low` less that in `high`, and its error: both are shares of the same images.

    The error is that of Bonett and Price (2012): one more image is counted on either side alone, so it is not 0 where
    none was seen.
    """
    n, only_low, only_high = len(low), int((low & ~high).sum()), int((high & ~low).sum())
    p, q = (only_low + 1) / (n + 2), (only_high + 1) / (n + 2)
    return (only_low - only_high) / n, sqrt((p + q - (p - q) ** 2) / (n + 2))


def asymmetry_rows(suite: Suite, result: Results, who: dict[str, Row]) -> Iterator[Row]:
    """Per direction with a curve: the distance at t_max less that at t_min, paired on the codes, and its explanation.

    `dearer` is the end that costs more, '' if the difference is not significant among all directions; `rarer` the end
    beyond which the reference has fewer images, likewise.
    """
    explanations = _explanations(result)
    ends = {name: (curve.frechet_at(0), curve.frechet_at(-1)) for name, curve in result.curves.items()}
    differences = {name: estimate.difference(high, low) for name, (low, high) in ends.items()}
    costlier = _sided([Test.of(difference) for difference in differences.values()])
    for (name, difference), costlier_end in zip(differences.items(), costlier, strict=True):
        curve, (low, high) = result.curves[name], ends[name]
        effects = [estimate.mean(curve.effects[end]).value for end in (0, -1)]
        yield {
            **who[name],
            "metric": result.metric,
            "extractor": suite.curves.extractor,
            "reference": result.reference,
            "n": difference.n,
            "effect_min": effects[0],
            "effect_max": effects[1],
            "value_min": low.value,
            "value_max": high.value,
            "difference": difference.value,
            "stderr": difference.stderr,
            "dearer": costlier_end,
            **explanations.get(name, {}),
        }


def _sided(family: list[Test]) -> list[str]:
    """Of each difference the end whose number is greater; '' if it is not significant."""
    decisions = decided(family)
    return [_ENDS[test.value > 0] if each.decided else "" for test, each in zip(family, decisions, strict=True)]


def _explanations(result: Results) -> dict[str, Row]:
    """By direction, how much of the reference lies beyond either end; all directions are one family of tests."""
    found = {name: each for name in result.curves if (each := _explanation(result, name)) is not None}
    rarer = _sided([test for _, test in found.values()])
    return {name: {**row, "rarer": end} for (name, (row, _)), end in zip(found.items(), rarer, strict=True)}


def _explanation(result: Results, name: str) -> tuple[Row, Test] | None:
    """How much of the reference lies beyond either end, by the attribute that it moves most; and the test."""
    judged = verdict_of(result, name)
    if judged is None or not judged.attribute or result.reference_scores is None or result.scorer is None:
        return None
    index = [attribute.name for attribute in result.scorer.attributes].index(judged.attribute)
    attribute = result.scorer.attributes[index]
    if attribute.period is not None:  # around a circle, nothing is further out
        return None
    start, zero, end = result.levels[name][:, index].tolist()
    low, high = (beyond(result.reference_scores[:, index], zero, reached) for reached in (start, end))
    (share_min, stderr_min), (share_max, stderr_max) = share_of(low), share_of(high)
    row: Row = {
        "attribute": attribute.name,
        "unit": attribute.unit,
        "level_min": start,
        "level_zero": zero,
        "level_max": end,
        "beyond_min": share_min,
        "beyond_min_stderr": stderr_min,
        "beyond_max": share_max,
        "beyond_max_stderr": stderr_max,
        "n_reference": len(result.reference_scores),
    }
    return row, Test(*difference_of(low, high), freedom=len(low) - 1)
