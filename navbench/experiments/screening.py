"""Screening: the effect of every direction of every set, at both ends of its range (the directions of Table 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from navbench.costs import Rehearsed, preparing, rehearses, rendering, seeing
from navbench.directions import Direction
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.ends import Ends, measured_ends
from navbench.experiments.experiment import Experiment
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row, estimated
from navbench.generators.base import Codes
from navbench.metrics import estimate
from navbench.metrics.perceptual import PerceptualDistance
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import pure


@dataclass(frozen=True)
class Effects:
    """Each code's perceptual distance between G(z) and G_t(z), (K, 2, n): of K directions, at t_min and at t_max."""

    effects: Tensor


class ScreeningSettings(Settings):
    """The effect of every direction of every set, at both ends of its range.

    Attributes:
        samples: codes; where the suite has `ends`, those are the codes.
    """

    samples: int = Field(32, ge=2)


@pure()
def screen(edits: Sequence[Edit], distance: PerceptualDistance, indices: Sequence[int], seed: int) -> Effects:
    """Measure directions of one space at both ends of their ranges.

    The unshifted images and all work before the shifted layer are shared by the directions.
    """
    first = edits[0]

    @torch.no_grad()
    def work(chunk: Sequence[int]) -> Tensor:
        state = first.state(codes_for(first.space.generator, Role.SCREENING, chunk, seed))
        original = distance.features(first.renderer(state)(0.0))
        return torch.stack([_effects(edit, state, original) for edit in edits]).cpu()

    def _effects(edit: Edit, state: object, original: Tensor) -> Tensor:
        render, ends = edit.renderer(state), (edit.direction.t_min, edit.direction.t_max)
        return torch.stack([(distance.features(render(t)) - original).square().sum(1) for t in ends])

    return Effects(torch.cat(list(first.compute.over(indices, work)), dim=2))


@rehearses(screen)
def _screen_rehearsed(
    edits: Sequence[Edit], distance: PerceptualDistance, indices: Sequence[int], seed: int
) -> Rehearsed[Effects]:
    """The same effect everywhere."""
    space, compute, codes = edits[0].space, edits[0].compute, len(indices)
    images = codes * (1 + 2 * len(edits))
    seen = seeing("distance", distance.name, distance.features, space.generator, compute)
    costs = {preparing(space, compute): codes, rendering(space, compute): images, seen: images}
    return Rehearsed(Effects(torch.ones(()).expand(len(edits), 2, codes)), costs)


@dataclass(frozen=True)
class Screened:
    """The effects (2, n) of each code at t_min and at t_max, by the direction's name."""

    effects: Mapping[str, Tensor]


class Screening(Experiment[ScreeningSettings, Screened]):
    """Part of every run; where `ends` is, too, its images are these."""

    name = "screening"
    settings = ScreeningSettings
    always = True

    def run(self, on: Measurement) -> Screened:
        """One piece per set; none where `ends` measured the effects already."""
        if measured := measured_ends(on):
            return Screened({name: ended.effects for name, ended in measured.items()})
        groups, seed = on.by_set(on.plan.all_directions()), on.bench.suite.seed
        codes = range(on.settings(Screening).samples)
        pieces = [screen.piece([on.edit(one) for one in group], on.bench.distance, codes, seed) for group in groups]
        effects: dict[str, Tensor] = {}
        for group, found in zip(groups, on.pieces(pieces, "screening"), strict=True):
            effects |= zip((direction.name for direction in group), found.effects, strict=True)
        return Screened(effects)

    def direction_columns(self, on: Measurement, outcome: Screened, direction: Direction) -> Row:
        """The effects at both ends."""
        low, high = (estimate.mean(end) for end in outcome.effects[direction.name])
        own = {"distance": on.bench.suite.distance, "n_effect": low.n}
        return {**estimated("effect_min", low), **estimated("effect_max", high), **own}

    def facts(self, on: Measurement, outcome: Screened) -> Mapping[str, object]:
        """Over how many codes."""
        return {"samples": {"screening": next((effects.shape[1] for effects in outcome.effects.values()), 0)}}


def effect_codes(on: Measurement) -> Codes:
    """The codes that the effects of directions are measured on: of `ends` where the suite has it, else its own."""
    of_ends = (Role.CURVE, on.settings(Ends).samples)
    role, samples = of_ends if on.wants(Ends) else (Role.SCREENING, on.settings(Screening).samples)
    return codes_for(on.generator, role, range(samples), on.bench.suite.seed)
