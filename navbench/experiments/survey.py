"""Survey: what directions of a layer change (Figure 20, section 6.2), at which scale, and how locally."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from navbench.compute import doubled
from navbench.costs import Rehearsed, preparing, rehearses, rendering
from navbench.directions import Direction, DirectionSet
from navbench.errors import NavbenchError
from navbench.experiments.attributes import movements_of, readings_of
from navbench.experiments.common import Common, Subject, check_methods
from navbench.experiments.curves import Curves, realism
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.experiment import Experiment, File, Places
from navbench.experiments.fid_curve import Curve
from navbench.experiments.locality import groups
from navbench.experiments.measurement import Measurement
from navbench.experiments.pictures import still
from navbench.experiments.strips import Strip, Strips, strip_of
from navbench.generators.base import Generator
from navbench.methods import METHODS, remedy
from navbench.metrics.attributes import Movement
from navbench.metrics.change import geometry_and_colour, scale_energies
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.spaces import ParameterSpace
from navbench.work import Tick, pure


@dataclass(frozen=True)
class Changes:
    """The changes that one direction makes at both ends of its range; squared, summed over both ends.

    Attributes:
        scales: (n, 3), float64, of each code the change at each of `SCALES`.
        kinds: (n, 2), of each code the change of geometry and of colour.
        heat: (G, H, W), summed over each group of codes and over channels; counts: (G,), over how many images.
    """

    scales: Tensor
    kinds: Tensor
    heat: Tensor
    counts: Tensor


@pure()
def changes(edit: Edit, samples: int, seed: int) -> Changes:
    """What a direction changes in the images of `samples` codes; the same codes for every layer."""

    def work(indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        render = edit.prepare(codes_for(edit.space.generator, Role.SURVEY, indices, seed))
        before = render(0.0)
        ends = [render(edit.direction.t_min), render(edit.direction.t_max)]
        scales = sum(scale_energies(before, after) for after in ends)
        kinds = sum(geometry_and_colour(before, after) for after in ends)
        heat = sum((doubled(after) - doubled(before)).square().sum(dim=(0, 1)) for after in ends)
        return tuple(each.cpu() for each in (scales, kinds, heat))  # type: ignore[union-attr,return-value]

    parts, heats = [], []
    for group in groups(samples):
        *own, heat = zip(*edit.compute.over(group, work), strict=True)
        parts.append([torch.cat(each) for each in own])
        heats.append(torch.stack(heat).sum(0))
    scales, kinds = (torch.cat(each) for each in zip(*parts, strict=True))
    counts = torch.tensor([2 * len(group) for group in groups(samples)], dtype=torch.float64)
    return Changes(scales, kinds, torch.stack(heats), counts)


@rehearses(changes)
def _changes_rehearsed(edit: Edit, samples: int, seed: int) -> Rehearsed[Changes]:
    """The same change everywhere."""
    space, compute, counts = edit.space, edit.compute, [2.0 * len(group) for group in groups(samples)]
    one = torch.ones((), dtype=torch.float64)
    heat = one.expand(len(counts), *space.generator.size)
    sketch = Changes(one.expand(samples, 3), one.expand(samples, 2), heat, torch.tensor(counts).double())
    return Rehearsed(sketch, {preparing(space, compute): samples, rendering(space, compute): 3 * samples})


# --- the experiment ----------------------------------------------------------------------------------------------


class SurveySettings(Settings):
    """What directions change in each layer (Figure 20, section 6.2), by one method at an equal budget.

    Attributes:
        method: '' for the first of the generator's `methods`.
        layers: names or indices; empty for all.
        directions: how many of each set, from the first.
        samples: codes.
        curves: of how many of those the Fréchet distance is taken, at both ends of their range.
    """

    method: str = ""
    layers: tuple[str, ...] = ()
    directions: int = Field(2, ge=0)
    samples: int = Field(32, ge=2)
    curves: int = Field(1, ge=0)


@dataclass(frozen=True)
class Surveyed:
    """A direction of the survey: what it changes; with a scorer what it moves, and if asked for what it costs."""

    direction: Direction
    changes: Changes
    movement: Movement | None = None
    curve: Curve | None = None


@dataclass(frozen=True)
class SurveyedLayer:
    """The set of a layer, its first directions as they were surveyed, and the strip of the first, over its shifts."""

    found: DirectionSet
    directions: Sequence[Surveyed]
    strip: tuple[Sequence[float], Strip] | None


@dataclass(frozen=True)
class SurveyedLayers:
    """By the layer's name, in forward order."""

    of_layer: Mapping[str, SurveyedLayer]


class Survey(Experiment[SurveySettings, SurveyedLayers]):
    """The sets of one method in every layer; what is equal is how they were found, and their effect."""

    name = "survey"
    settings = SurveySettings
    on_request = True
    absent = "What directions change in each layer was not surveyed"

    def check_suite(self, suite: Common) -> None:
        """The method's name; sets that are there may be of a method that nothing else is of."""
        if suite.rediscover:
            check_methods([suite.section(Survey).method], (*METHODS, *suite.measured_methods()), "survey.method")

    def places(self, suite: Common, subject: Subject, generator: Generator) -> Places:
        """The layers of the survey, with its method."""
        if not subject.methods or suite.only:
            return ()
        named = suite.section(Survey).layers or [layer.name for layer in generator.layers()]
        layers = dict.fromkeys(generator.layer(name) for name in named)
        return [(ParameterSpace(generator, layer), (_method(suite, subject),)) for layer in layers]

    def check_directions(self, on: Measurement) -> None:
        """A survey whose suite names its layers, or a method of others, and that has no set."""
        places = self.places(on.bench.suite, on.subject, on.generator)
        if not places or _sets(on):
            return
        method = _method(on.bench.suite, on.subject)
        if on.settings(Survey).layers or method not in METHODS:
            set_id = f"{on.generator.name}/{method}/{places[0][0].place}"
            raise NavbenchError(f"There are no directions {set_id!r}{remedy(method)}")

    def has_work(self, on: Measurement) -> bool:
        """With direction sets."""
        return bool(_sets(on))

    def gaps(self, on: Measurement) -> Iterator[str]:
        """Layers without sets."""
        places = [space.place for space, _ in self.places(on.bench.suite, on.subject, on.generator)]
        present = {found.layer for found in _sets(on)}
        if missing := [place for place in places if place not in present]:
            method = _method(on.bench.suite, on.subject)
            yield f"The survey of {on.generator.name}'s layers has no {method} directions in {', '.join(missing)}."

    def run(self, on: Measurement) -> SurveyedLayers:
        """Per layer one piece for each direction, one for all attributes, and a curve where one is asked for."""
        settings, suite, sets = on.settings(Survey), on.bench.suite, _sets(on)
        chosen = [list(found)[: settings.directions] for found in sets]
        every = [direction for group in chosen for direction in group]
        curved = [one for group in chosen for one in group[: settings.curves]] if on.asks_for(Curves) else []
        each = len(realism(on).shards) + 1 if curved else 0
        with on.counted("layers", len(every) + len(curved) * each) as tick:
            movements = _movements(on, chosen)
            how = (settings.samples, suite.seed)
            pieces = [changes.piece(on.edit(direction), *how).but(note=direction.name) for direction in every]
            found = dict(zip((one.name for one in every), on.pieces(pieces, tick=tick), strict=True))
            curves = _curves(on, curved, tick)
            strips = [_strip(on, directions) for directions in sets]
        surveyed = [
            [Surveyed(one, found[one.name], movements.get(one.name), curves.get(one.name)) for one in group]
            for group in chosen
        ]
        layers = [SurveyedLayer(*layer) for layer in zip(sets, surveyed, strips, strict=True)]
        return SurveyedLayers({layer.found.place: layer for layer in layers})

    def files(self, on: Measurement, outcome: SurveyedLayers) -> Iterable[File]:
        """The first code along the first direction of each layer."""
        for layer in outcome.of_layer.values():
            if layer.strip is not None:
                shifts, strip = layer.strip
                columns, direction = [f"{t:.3g}" for t in shifts], layer.found[0]
                yield still(direction, "layer", f"{direction.slug}-layer.webp", strip.images, columns)


def _method(suite: Common, subject: Subject) -> str:
    """The method whose directions the survey uses."""
    return suite.section(Survey).method or subject.methods[0]


def _sets(on: Measurement) -> tuple[DirectionSet, ...]:
    return on.plan.further.get(Survey.name, ())


def _movements(on: Measurement, chosen: Sequence[Sequence[Direction]]) -> dict[str, Movement]:
    """What directions do to the attributes, by name; nothing without a scorer."""
    scorer, layers = on.scorer, [group for group in chosen if group]
    if scorer is None:
        return {}
    read = on.pieces([readings_of(on, scorer, group) for group in layers])
    pairs = zip(layers, read, strict=True)
    return {name: moved for group, each in pairs for name, moved in movements_of(on, scorer, group, each)}


def _curves(on: Measurement, directions: Sequence[Direction], tick: Tick) -> dict[str, Curve]:
    """The curves of directions by name, at both ends; at all shifts of those that have such a curve anyway."""
    points, measured = on.settings(Curves).shifts, {one.name for one in on.leading(on.settings(Curves).directions)}
    curves: dict[str, Curve] = {}
    for count, group in (
        (points, [one for one in directions if one.name in measured]),
        (3, [one for one in directions if one.name not in measured]),
    ):
        found = realism(on).curves(group, count, tick) if group else []
        curves |= zip((one.name for one in group), found, strict=True)
    return curves


def _strip(on: Measurement, found: DirectionSet) -> tuple[Sequence[float], Strip] | None:
    """The first code along the first direction of a set; `None` if the survey takes no direction."""
    if not on.settings(Survey).directions:
        return None
    shifts = found[0].shifts(on.settings(Strips).shifts).tolist()
    (strip,) = on.pieces([strip_of(on, found[0], shifts, 1)])
    return shifts, strip
