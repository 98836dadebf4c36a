"""The table of layers: what they are, and what directions of the survey change in them."""

import hashlib
import json
from collections.abc import Iterator, Sequence

import torch

from navbench.directions import DirectionSet
from navbench.generators.base import Layer
from navbench.methods import effort
from navbench.metrics import estimate
from navbench.metrics.attributes import verdict
from navbench.metrics.change import SCALES
from navbench.metrics.estimate import Estimate
from navbench.metrics.locality import locality
from navbench.runner.curve_rows import resolution
from navbench.runner.identity import Row
from navbench.runner.method_rows import effect_target, fair_ends
from navbench.runner.results import Results, Surveyed
from navbench.suite import Suite


def layer_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per shiftable layer; the numbers of the survey are means over its directions, paired over codes."""
    generator = result.generator
    codes = generator.sample([0], seed=0)
    for layer in generator.layers():
        with torch.no_grad():
            side = generator.before(codes, layer).input.shape[-1]
        yield {
            "generator": generator.name,
            "layer": layer.name,
            "index": layer.index,
            "shape": "x".join(map(str, layer.shape)),
            "parameters": layer.shape.numel(),
            "input_size": side,
            "directions": sum(len(found) for found in result.plan.sets if found.layer == layer.name),
            **_survey(suite, result, layer),
        }


def _survey(suite: Suite, result: Results, layer: Layer) -> Row:
    """What the directions of a layer change; nothing if it was not surveyed."""
    found = [each for each in result.survey if each.direction.layer == layer.name]
    if not found:
        return {}
    totals = [each.changes.scales.sum(1) for each in found]
    shares = {
        name: [estimate.ratio(each.changes.scales[:, place], total) for each, total in zip(found, totals, strict=True)]
        for place, name in enumerate(SCALES)
    }
    shares["geometry"] = [estimate.ratio(each.changes.kinds[:, 0], each.changes.kinds.sum(1)) for each in found]
    shares["area50"] = [locality(each.changes.heat, each.changes.counts)["area50"] for each in found]
    own = next(each for each in result.plan.surveyed if each.layer == layer.name)
    row: Row = {
        "survey_method": own.method,
        "survey_directions": len(found),
        "survey_effect": _effect(suite, result, own, found),
        "survey_settings": _digest(own),
    }
    for name, estimates in shares.items():
        row |= _with_stderr(name, estimate.average(estimates))
    row["n_survey"] = len(totals[0])
    return row | _reached(result, found) | _cost(suite, result, found)


def _effect(suite: Suite, result: Results, own: DirectionSet, found: Sequence[Surveyed]) -> float | None:
    """What the ranges of a layer were calibrated to; none where an end that the suite calibrated did not get there."""
    reached = all(len(fair_ends(suite, result, each.direction.name)) == 2 for each in found)
    return effect_target(suite, own) if reached else None


def _digest(found: DirectionSet) -> str:
    """What stands for the settings by which a set was found, and how many directions: equal efforts, equal digests."""
    text = json.dumps([effort(found.method, found.settings), len(found)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _reached(result: Results, found: Sequence[Surveyed]) -> Row:
    """The attributes that the directions of a layer move most; nothing where no scorer looked."""
    if result.scorer is None:
        return {}
    attributes = result.scorer.attributes
    verdicts = [verdict(each.movement, attributes) for each in found if each.movement is not None]
    reached = dict.fromkeys(each.attribute for each in verdicts if each.attribute)
    return {
        "attributes_reached": len(reached),
        "attributes": ", ".join(reached),
        "n_attributes": found[0].movement.change[0].n if found[0].movement is not None else None,
        "interpretable": sum(each.kind == "interpretable" for each in verdicts),
    }


def _cost(suite: Suite, result: Results, found: Sequence[Surveyed]) -> Row:
    """The mean distance at both ends of the ranges."""
    curves = [each.curve for each in found if each.curve is not None]
    if not curves:
        return {}
    ends = estimate.average([curve.frechet_at(end) for curve in curves for end in (0, -1)])
    effect = estimate.average([estimate.mean(curve.effects[end]) for curve in curves for end in (0, -1)])
    return {
        "metric": result.metric,
        "extractor": suite.curves.extractor,
        "reference": result.reference,
        "fd_directions": len(curves),
        **_with_stderr("fd", ends),
        "n": ends.n,
        "n_reference": result.reference_samples,
        "resolution": resolution(result.generator),
        **_with_stderr("effect", effect),
    }


def _with_stderr(name: str, value: Estimate) -> Row:
    return {name: value.value, f"{name}_stderr": value.stderr}
