"""The layers of a generator: what they are, and what directions of the survey change in them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

import torch

from navbench.directions import DirectionSet
from navbench.experiments.curves import realism
from navbench.experiments.experiment import Experiment, NoSettings
from navbench.experiments.footing import effect_target, fair_ends
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row, estimated, resolution
from navbench.experiments.survey import Survey, Surveyed, SurveyedLayer
from navbench.generators.base import Layer
from navbench.methods import effort
from navbench.metrics import estimate
from navbench.metrics.attributes import verdict
from navbench.metrics.change import SCALES
from navbench.metrics.locality import locality


class Layers(Experiment[NoSettings, Mapping[str, int]]):
    """Part of every run; its outcome is the side of the tensor that enters each layer, in forward order."""

    name = "layers"
    always = True

    def run(self, on: Measurement) -> Mapping[str, int]:
        """One image, up to each layer."""
        codes = on.generator.sample([0], seed=0)
        with torch.no_grad():
            return {each.name: on.generator.before(codes, each).input.shape[-1] for each in on.generator.layers()}

    def rows(self, on: Measurement, outcome: Mapping[str, int]) -> Mapping[str, Iterable[Row]]:
        """Per shiftable layer; the numbers of the survey are means over its directions, paired over codes."""
        return {"layers": [_row(on, layer, outcome[layer.name]) for layer in on.generator.layers()]}


def _row(on: Measurement, layer: Layer, side: int) -> Row:
    surveyed = on.outcome(Survey)
    own = surveyed.of_layer.get(layer.name) if surveyed is not None else None
    return {
        "generator": on.generator.name,
        "layer": layer.name,
        "index": layer.index,
        "shape": "x".join(map(str, layer.shape)),
        "parameters": layer.shape.numel(),
        "input_size": side,
        "directions": sum(len(found) for found in on.plan.sets if found.layer == layer.name),
        **(_survey(on, own) if own is not None and own.directions else {}),
    }


def _survey(on: Measurement, layer: SurveyedLayer) -> Row:
    """What the directions of a layer change."""
    each, found = layer.directions, layer.found
    totals = [one.changes.scales.sum(1) for one in each]
    shares = {
        name: [estimate.ratio(one.changes.scales[:, place], total) for one, total in zip(each, totals, strict=True)]
        for place, name in enumerate(SCALES)
    }
    shares["geometry"] = [estimate.ratio(one.changes.kinds[:, 0], one.changes.kinds.sum(1)) for one in each]
    shares["area50"] = [locality(one.changes.heat, one.changes.counts)["area50"] for one in each]
    reached = all(len(fair_ends(on, one.direction.name)) == 2 for one in each)
    row: Row = {
        "survey_method": found.method,
        "survey_directions": len(each),
        "survey_effect": effect_target(on, found) if reached else None,
        "survey_settings": _digest(found),
    }
    for name, estimates in shares.items():
        row |= estimated(name, estimate.average(estimates))
    return row | {"n_survey": len(totals[0])} | _attributes(on, each) | _cost(on, each)


def _digest(found: DirectionSet) -> str:
    """What stands for the settings by which a set was found, and how many directions: equal efforts, equal digests."""
    text = json.dumps([effort(found.method, found.settings), len(found)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _attributes(on: Measurement, each: Sequence[Surveyed]) -> Row:
    """The attributes that the directions of a layer move most, of those that could be read."""
    if on.scorer is None:
        return {}
    movements = [one.movement for one in each if one.movement is not None]
    verdicts = [verdict(moved, on.scorer.attributes) for moved in movements]
    reached = dict.fromkeys(one.attribute for one in verdicts if one.attribute)
    return {
        "attributes_reached": len(reached),
        "attributes": ", ".join(reached),
        "n_attributes": min((moved.change[0].n for moved in movements), default=0),
        "directions_read": len(movements),
        "interpretable": sum(one.kind == "interpretable" for one in verdicts),
    }


def _cost(on: Measurement, each: Sequence[Surveyed]) -> Row:
    """The mean distance at both ends of the ranges."""
    curves = [one.curve for one in each if one.curve is not None]
    if not curves:
        return {}
    along = realism(on)
    fd = estimate.average([curve.frechet_at(end) for curve in curves for end in (0, -1)])
    effect = estimate.average([estimate.mean(curve.effects[end]) for curve in curves for end in (0, -1)])
    setting = {"n": fd.n, "n_reference": along.n_reference, "resolution": resolution(on.generator)}
    named = {"metric": along.extractor.metric, **along.source, "fd_directions": len(curves), **setting}
    return {**named, **estimated("fd", fd), **estimated("effect", effect)}
