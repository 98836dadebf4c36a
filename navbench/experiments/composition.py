"""Composition: whether two edits add up, and whether their order matters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations

import torch
from pydantic import Field
from torch import Tensor

from navbench.costs import Costs, Rehearsed, added, preparing, rehearses, rendering, seeing
from navbench.directions import Direction
from navbench.errors import Failure
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.experiment import Experiment
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row, estimated, who
from navbench.generators.base import Codes, Generator
from navbench.metrics.attributes import Scores, enough, seen, standardised_changes
from navbench.metrics.composition import interaction_parts, relative_interaction
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import pure


class CompositionSettings(Settings):
    """Whether two edits, both at t_max, add up; by pixels, and by attributes where there is a scorer.

    Attributes:
        directions: of each set, the best ones, of which every two are paired; of sets of different places the first
            ones are, if they are of one method or if one of them is latent and the other is of weights.
        samples: codes.
    """

    directions: int = Field(2, ge=1)
    samples: int = Field(32, ge=2)


@dataclass(frozen=True)
class Interaction:
    """What two edits do together beyond what they do singly.

    Attributes:
        pixels, attributes: (n, 2), |d_ab - d_a - d_b|² and |d_ab|² of each code's image, and of its attributes in
            sigmas, (0, 2) without a scorer; the first is NaN where one of the images does not show its subject.
        order: (n, 2), |d_ab - d_ba|² and |d_ab|²: what the order changes.
    """

    pixels: Tensor
    attributes: Tensor
    order: Tensor


def edited(edit: Edit, t: float) -> Generator:
    """A copy of the generator whose kernel a direction of weights has shifted by t.

    Raises:
        Failure: the layer's kernel is made anew whenever it is asked for, so it cannot be shifted.
    """
    generator, layer = edit.space.generator, edit.space.layer
    assert layer is not None
    shifted = deepcopy(generator)
    for known in ("fingerprint", "cache_key"):
        shifted.__dict__.pop(known, None)
    wanted = generator.kernel(layer) + t * edit.offset
    with torch.no_grad():
        shifted.kernel(layer).copy_(wanted)
    if not torch.equal(shifted.kernel(layer), wanted):
        raise Failure(f"The kernel of {layer.name} of generator {generator.name} cannot be replaced by a shifted one.")
    return shifted


def composed(first: Edit, second: Edit, codes: Codes) -> Tensor:
    """Images (n, 3, H, W) of the generator that the first edit has changed, under the second, both at t_max."""
    t = first.direction.t_max
    if first.direction.space == "parameter":
        second = Edit(edited(first, t), second.direction, second.compute)
    else:
        codes = first.space.generator.shift_latent(codes, first.direction.space, t * first.offset)
    return second.prepare(codes)(second.direction.t_max)


@pure()
def interaction(
    first: Edit, second: Edit, indices: Sequence[int], seed: int, scorer: Scores | None = None
) -> Interaction:
    """Measure both edits at t_max, singly, together, and together in the other order."""
    compute, generator = first.compute, first.space.generator

    def work(chunk: Sequence[int]) -> Tensor:
        codes = codes_for(generator, Role.COMPOSITION, chunk, seed)
        render = first.prepare(codes)
        unshifted, one = render(0.0), render(first.direction.t_max)
        other = second.prepare(codes)(second.direction.t_max)
        both, reverse = composed(first, second, codes), composed(second, first, codes)
        parts = [interaction_parts(*(images - unshifted for images in (one, other, both)))]
        change = both - unshifted
        parts.append(torch.stack([(reverse - both).flatten(1).square().sum(1), change.flatten(1).square().sum(1)], 1))
        if scorer is not None:
            before, read = scorer(unshifted), [scorer(images) for images in (one, other, both)]
            parts.append(interaction_parts(*(standardised_changes(before, each, scorer.attributes) for each in read)))
        return torch.stack([part.cpu().double() for part in parts], dim=1)

    parts = torch.cat(list(compute.over(indices, work)))
    attributes = parts[:, 2] if scorer is not None else torch.zeros(0, 2, dtype=torch.float64)
    return Interaction(parts[:, 0], attributes, parts[:, 1])


@rehearses(interaction)
def _interaction_rehearsed(
    first: Edit, second: Edit, indices: Sequence[int], seed: int, scorer: Scores | None = None
) -> Rehearsed[Interaction]:
    """Edits that add up."""
    codes, compute, generator = len(indices), first.compute, first.space.generator
    costs: Costs = {}
    for edit, images in ((first, 3), (second, 2)):
        space = edit.space
        costs = added(costs, {preparing(space, compute): 2 * codes, rendering(space, compute): images * codes})
    if scorer is not None:
        costs = added(costs, {seeing("scorer", scorer.name, scorer, generator, compute): 4 * codes})
    parts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    read = 0 if scorer is None else codes
    return Rehearsed(Interaction(parts.expand(codes, 2), parts.expand(read, 2), parts.expand(codes, 2)), costs)


# --- the experiment ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interactions:
    """Pairs of directions, and what either does to the other's edit."""

    pairs: Sequence[tuple[Direction, Direction, Interaction]]


class Composition(Experiment[CompositionSettings, Interactions]):
    """Pairs of directions of one set, of one method in two layers, and of a latent space and a layer."""

    name = "composition"
    settings = CompositionSettings
    on_request = True
    absent = "No two directions were applied together"

    def run(self, on: Measurement) -> Interactions:
        """One piece per pair."""
        settings, seed = on.settings(Composition), on.bench.suite.seed
        pairs = list(paired(on.by_set(on.leading(settings.directions))))
        pieces = [
            interaction.piece(on.edit(one), on.edit(other), range(settings.samples), seed, on.scorer).but(
                note=f"{one.name} and {other.name}"
            )
            for one, other in pairs
        ]
        found = on.pieces(pieces, "composition")
        return Interactions([(*pair, each) for pair, each in zip(pairs, found, strict=True)])

    def rows(self, on: Measurement, outcome: Interactions) -> Mapping[str, Iterable[Row]]:
        """Per pair."""
        return {"composition": (_row(*pair) for pair in outcome.pairs)}

    def facts(self, on: Measurement, outcome: Interactions) -> Mapping[str, object]:
        """Over how many codes."""
        return {"samples": {self.name: on.settings(Composition).samples}}


def paired(groups: Sequence[Sequence[Direction]]) -> Iterator[tuple[Direction, Direction]]:
    """Every two directions of one set, and the first ones of two sets of different places that go together."""
    for group in groups:
        yield from combinations(group, 2)
    for one, other in combinations([group[0] for group in groups], 2):
        kinds = {one.space == "parameter", other.space == "parameter"}
        if one.place != other.place and (len(kinds) == 2 or (kinds == {True} and one.method == other.method)):
            yield one, other


def relation(one: Direction, other: Direction) -> str:
    """Where two directions lie: 'same layer', 'same latent', 'two layers' or 'layer and latent'."""
    if one.place == other.place:
        return "same layer" if one.space == "parameter" else "same latent"
    return "two layers" if one.space == other.space else "layer and latent"


def _row(one: Direction, other: Direction, found: Interaction) -> Row:
    is_seen = seen(found.attributes[:, :1])
    attributes = found.attributes[is_seen]
    is_read = len(attributes) > 0 and enough(is_seen)
    return {
        **who(one),
        "other": other.name,
        "other_method": other.method,
        "other_layer": other.place,
        "relation": relation(one, other),
        **estimated("interaction", relative_interaction(found.pixels)),
        **(estimated("interaction_attributes", relative_interaction(attributes)) if is_read else {}),
        **({"n_attributes": len(attributes)} if is_read else {}),
        "order": relative_interaction(found.order).value,
        "n": len(found.pixels),
    }
