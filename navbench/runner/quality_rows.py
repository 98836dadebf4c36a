"""The table of what is known of a direction's quality beyond the paper: a row per direction, number and end."""

import math
from collections.abc import Iterator

import torch

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.runner.identity import Row, identity
from navbench.runner.results import Results
from navbench.suite import Suite


def quality_rows(suite: Suite, result: Results, who: dict[str, Row]) -> Iterator[Row]:
    """Of directions with a curve, and of those that a scorer has looked at; numbers that are not known have no row."""
    for name, found in result.qualities.items():
        steady = found.uneven[torch.isfinite(found.uneven)]
        if len(steady) > 1:
            yield {**who[name], **_row("unevenness", "", suite.distance, estimate.mean(steady))}
        n = suite.curves.samples
        for end, (value, stderr) in zip(("t_min", "t_max"), found.coherence.tolist(), strict=True):
            yield {**who[name], **_numbers("feature coherence", end, suite.curves.extractor, n, value, stderr)}
        if math.isfinite(float(found.natural[0])):
            value, stderr = found.natural.tolist()
            count = int(found.natural_n)
            row = _numbers("naturalness", "", suite.curves.extractor, count, value, stderr)
            yield {**who[name], **row, "reference": result.reference, "n_reference": result.reference_samples}
        if found.kept.numel():
            for end, cosines in (("t_min", found.kept[0]), ("t_max", found.kept[-1])):
                yield {**who[name], **_row("identity kept", end, result.embedding, estimate.mean(cosines))}
    for own in result.plan.sets:
        recognition = result.recognitions.get(own.reference)
        if recognition is not None:
            for direction in own:
                accuracy = recognition.accuracy_of(direction.index)
                yield {**who[direction.name], **_row("recognised", "", "resnet18", accuracy)}
    for name, moved in result.movements.items():
        if result.scorer is not None:
            yield {**who[name], **_row("attribute coherence", "", result.scorer.name, moved.coherence)}


def confusion_rows(result: Results) -> Iterator[Row]:
    """Per set, direction shown and direction named: the share of the shown ones that was taken for it."""
    for found in result.plan.sets:
        recognition = result.recognitions.get(found.reference)
        if recognition is None:
            continue
        confusion = recognition.confusion(len(found))
        for direction in found:
            shown = int((recognition.shown == direction.index).sum())
            for named, share in enumerate(confusion[direction.index].tolist()):
                yield {**identity(direction), "named": named, "share": share, "n": shown}


def stability_rows(result: Results) -> Iterator[Row]:
    """Per set and time that it was found again: how much of its span was found, and at what angles (degrees)."""
    for stable in result.stable:
        angles = stable.overlap.angles
        yield {
            "generator": stable.found.generator,
            "layer": stable.found.place,
            "space": stable.found.space,
            "method": stable.found.method,
            "varied": stable.varied,
            "value": stable.value,
            "share": stable.overlap.share,
            "chance": stable.overlap.chance,
            "smallest_angle": float(angles[0]),
            "median_angle": float(angles.quantile(0.5)),
            "largest_angle": float(angles[-1]),
            "directions": len(stable.found),
        }


def _row(metric: str, end: str, by: str, value: Estimate) -> Row:
    return _numbers(metric, end, by, value.n, value.value, value.stderr)


def _numbers(metric: str, end: str, by: str, n: int, value: float, stderr: float) -> Row:
    return {"metric": metric, "end": end, "by": by, "n": n, "value": value, "stderr": stderr}
