"""Asymmetry: which end of a direction costs more realism, and whether the reference has fewer images there.

The paper explains the sides of its curves by the data: wheels smaller than all that were seen are unrealistic, larger
ones are not (section 4.5).  With a scorer and a reference of images that can be tested.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import sqrt

from torch import Tensor

from navbench.experiments.attributes import Attributes
from navbench.experiments.curves import Curves, curves_of, realism
from navbench.experiments.experiment import Experiment, NoSettings
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import ENDS, Row, Tested, who
from navbench.metrics import estimate
from navbench.metrics.attributes import seen
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Decision, Test


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


@dataclass(frozen=True)
class Sides:
    """By the direction's name.

    Attributes:
        differences: the distance at t_max less that at t_min, paired on the codes.
        explanations: columns of what explains it, and a test.
    """

    differences: Mapping[str, Estimate]
    explanations: Mapping[str, tuple[Row, Test]]


class Asymmetry(Experiment[NoSettings, Sides]):
    """Part of every run with curves."""

    name = "asymmetry"
    always = True

    def has_work(self, on: Measurement) -> bool:
        """With curves."""
        return on.wants(Curves)

    def run(self, on: Measurement) -> Sides:
        """From the curves; with a scorer its readings of the reference, too."""
        curves = curves_of(on)
        differences = {
            name: estimate.difference(curve.frechet_at(-1), curve.frechet_at(0)) for name, curve in curves.items()
        }
        return Sides(differences, _explanations(on))

    def rows(self, on: Measurement, outcome: Sides) -> Mapping[str, Iterable[Tested]]:
        """Per direction with a curve.

        `costlier_end` is the end that costs more, '' if the difference is not significant among all tests of the run;
        `rarer_end` the end beyond which the reference has fewer images, likewise.
        """
        return {"asymmetry": _rows(on, outcome)}


def _rows(on: Measurement, outcome: Sides) -> Iterator[Tested]:
    directions, curves, along = on.plan.by_name(), curves_of(on), realism(on)
    for name, difference in outcome.differences.items():
        curve = curves[name]
        low, high = (estimate.mean(curve.effects[end]).value for end in (0, -1))
        row = {
            **who(directions[name]),
            "metric": along.extractor.metric,
            **along.source,
            "n": difference.n,
            "effect_min": low,
            "effect_max": high,
            "value_min": curve.frechet_at(0).value,
            "value_max": curve.frechet_at(-1).value,
            "difference": difference.value,
            "stderr": difference.stderr,
        }
        tests = {"costlier_end": Test.of(difference)}
        if name in outcome.explanations:
            explanation, tests["rarer_end"] = outcome.explanations[name]
            row |= explanation
        yield Tested(row, tuple(tests.values()), partial(_sided, tests))


def _sided(tests: Mapping[str, Test], *decisions: Decision) -> Row:
    """By column the end whose number is greater; '' if the difference is not significant."""
    pairs = zip(tests.items(), decisions, strict=True)
    return {column: ENDS[test.value > 0] if each.decided else "" for (column, test), each in pairs}


def _explanations(on: Measurement) -> dict[str, tuple[Row, Test]]:
    """By direction, how much of the reference lies beyond either end, and the test."""
    return {name: each for name in curves_of(on) if (each := _explanation(on, name)) is not None}


def _explanation(on: Measurement, name: str) -> tuple[Row, Test] | None:
    """How much of the reference lies beyond either end, by the attribute that it moves most; and the test."""
    movements = on.outcome(Attributes)
    judged = movements.verdict_of(name) if movements is not None else None
    if movements is None or judged is None or not judged.attribute:
        return None
    index, scores = movements.index(judged.attribute), realism(on).reference_scores
    attribute = movements.scorer.attributes[index]
    if scores is None or attribute.period is not None:  # around a circle, nothing is further out
        return None
    scores = scores[seen(scores)]
    if len(scores) < 2:
        return None
    start, zero, end = movements.moved[name].levels[:, index].tolist()
    low, high = (beyond(scores[:, index], zero, reached) for reached in (start, end))
    (share_min, stderr_min), (share_max, stderr_max) = share_of(low), share_of(high)
    row: Row = {
        "attribute": attribute.name,
        "unit": attribute.unit,
        "level_min": start,
        "level_zero": zero,
        "level_max": end,
        "fraction_beyond_min": share_min,
        "fraction_beyond_min_stderr": stderr_min,
        "fraction_beyond_max": share_max,
        "fraction_beyond_max_stderr": stderr_max,
        "n_reference": len(scores),
    }
    return row, Test(*difference_of(low, high), freedom=len(low) - 1)
