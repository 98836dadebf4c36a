"""Stability: whether a method finds the same again, from another seed or number of codes: its span, and its labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from navbench.basis import DenseBasis
from navbench.compute import Compute
from navbench.costs import Rehearsed, Tally, added, rehearse, rehearses
from navbench.directions import DirectionSet
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings
from navbench.experiments.attributes import Attributes, Movements, readings
from navbench.experiments.common import Common, check_methods
from navbench.experiments.edit import Edit
from navbench.experiments.experiment import Experiment
from navbench.experiments.measurement import Measurement
from navbench.experiments.overlap import Angles, blank_angles
from navbench.experiments.rows import Row, estimated
from navbench.generators.base import Generator
from navbench.methods import METHODS, is_determined
from navbench.metrics import estimate
from navbench.metrics.attributes import Scores, Verdict, movement, verdict
from navbench.metrics.estimate import Estimate
from navbench.metrics.perceptual import PerceptualDistance, create_distance
from navbench.metrics.subspaces import Overlap, counterparts
from navbench.settings import Settings
from navbench.work import Piece, pure


class StabilitySettings(Settings):
    """Whether a method finds the same span again, from other codes and from other numbers of codes.

    Attributes:
        methods: that are run again.
        seeds: how many further seeds.
        codes: further numbers of codes of the Hessian or of the search by labels, and of samples of w.
    """

    methods: tuple[str, ...] = ("spectrum",)
    seeds: int = Field(1, ge=0)
    codes: tuple[Annotated[int, Field(ge=1)], ...] = ()


@pure(revision=2)
def found_again(
    found: DirectionSet, generator: Generator, settings: DiscoverySettings, distance: PerceptualDistance, seed: int,
    compute: Compute,
) -> Angles:  # fmt: skip
    """Between the span of a set and that of the same method with other settings or from another seed."""
    space = found[0].space_of(generator)
    again = Discovery(space, distance, settings, compute, seed).offsets(found.method)
    return Angles.between(found.basis.combine(found.coefficients), again)


@rehearses(found_again)
def _found_again_rehearsed(
    found: DirectionSet, generator: Generator, settings: DiscoverySettings, distance: PerceptualDistance, seed: int,
    compute: Compute,
) -> Rehearsed[Angles]:  # fmt: skip
    """The costs of the second search; its result is the first one's."""
    tally, space = Tally(), found[0].space_of(generator)
    again = Discovery(space, distance, settings, compute, seed, executor=tally).offsets(found.method)
    return Rehearsed(blank_angles(len(found), len(again), space.shape.numel()), tally.costs, about=True)


@dataclass(frozen=True)
class ReadAgain:
    """A second search whose directions a scorer reads, beside a set of K directions.

    Attributes:
        cosines, sizes: of `Angles`.
        counterpart: (K,), which direction of the second search each of the set is, -1 for none (`counterparts`).
        scores: (M, T, n, A), read from the M counterparts that there are.
    """

    cosines: Tensor
    sizes: Tensor
    counterpart: Tensor
    scores: Tensor


@pure()
def read_again(
    found: DirectionSet, generator: Generator, settings: DiscoverySettings, distance: PerceptualDistance, seed: int,
    compute: Compute, points: int, samples: int, codes_seed: int, scorer: Scores,
) -> ReadAgain:  # fmt: skip
    """Find directions again, and read them as `Attributes` reads the set's, on the same codes.

    A counterpart is turned to the side of the direction that it stands for, and has its range.
    """
    space = found[0].space_of(generator)
    again = Discovery(space, distance, settings, compute, seed).offsets(found.method)
    offsets = found.basis.to(again.device).combine(found.coefficients.to(again.device))
    angles, (counterpart, cosine) = Angles.between(offsets, again), counterparts(offsets, again)
    edits = []
    for direction, number, sign in zip(found, counterpart.tolist(), cosine.sign().tolist(), strict=True):
        if number >= 0:
            basis = DenseBasis((sign or 1.0) * again[number][None])
            edits.append(Edit(generator, replace(direction, basis=basis, coefficients=torch.ones(1)), compute))
    scores = readings(edits, points, range(samples), codes_seed, scorer).scores
    return ReadAgain(angles.cosines, angles.sizes, counterpart, scores)


@rehearses(read_again)
def _read_again_rehearsed(
    found: DirectionSet, generator: Generator, settings: DiscoverySettings, distance: PerceptualDistance, seed: int,
    compute: Compute, points: int, samples: int, codes_seed: int, scorer: Scores,
) -> Rehearsed[ReadAgain]:  # fmt: skip
    """The costs of the search and of the readings; each direction is its own counterpart."""
    search = _found_again_rehearsed(found, generator, settings, distance, seed, compute)
    counterpart = torch.arange(len(found))
    counterpart[int(search.result.sizes[1]) :] = -1
    edits = [Edit(generator, direction, compute) for direction, number in zip(found, counterpart, strict=True)
             if number >= 0]  # fmt: skip
    read = rehearse(readings.piece(edits, points, range(samples), codes_seed, scorer), lambda piece: piece)
    sketch = ReadAgain(search.result.cosines, search.result.sizes, counterpart, read.result.scores)
    return Rehearsed(sketch, added(search.costs, read.costs), about=True)


@dataclass(frozen=True)
class Labels:
    """What became of a set's automatic labels in a second search.

    Attributes:
        labelled: how many directions have one; without those whose counterpart could not be read.
        kept: the share of these whose counterpart has the same; `None` if there are none.
        chance: the share that would if counterparts were drawn at random, with a random sign.
    """

    labelled: int
    kept: Estimate | None
    chance: float


def labels_kept(first: Sequence[Verdict], again: Sequence[Verdict | None]) -> Labels:
    """Compare the labels of directions with those of their counterparts, `None` for one that has none.

    A counterpart that could not be read neither keeps a label nor loses it, and is left out.
    """
    kept, chances = [], []
    known = [other for other in again if other is None or other.kind != "unread"]
    others = [other.attribute for other in known if other is not None and other.label]
    for direction, counterpart in zip(first, again, strict=True):
        if direction.label and (counterpart is None or counterpart.kind != "unread"):
            kept.append(counterpart is not None and direction.label == counterpart.label)
            chances.append(others.count(direction.attribute) / (2 * len(known)))
    if not kept:
        return Labels(0, None, float("nan"))
    return Labels(len(kept), estimate.mean(torch.tensor(kept)), sum(chances) / len(chances))


@dataclass(frozen=True)
class Variant:
    """How the second search differs from the first: in its 'seed' or in its number of 'codes', and the value."""

    varied: str
    value: int
    settings: DiscoverySettings
    seed: int


@dataclass(frozen=True)
class Repetitions:
    """Each set with each of its variants, how their spans overlap, and what became of labels, if a scorer gave any."""

    overlaps: Sequence[tuple[DirectionSet, Variant, Overlap, Labels | None]]


class Stability(Experiment[StabilitySettings, Repetitions]):
    """Every set of some methods is found again, and the spans are compared."""

    name = "stability"
    settings = StabilitySettings
    on_request = True
    whole = True
    absent = "Directions were not found again, from other seeds or codes"

    def check_suite(self, suite: Common) -> None:
        """The methods' names."""
        check_methods(suite.section(Stability).methods, METHODS, "stability.methods")

    def gaps(self, on: Measurement) -> Iterator[str]:
        """Methods without sets, and methods that the weights alone determine."""
        methods, present = on.settings(Stability).methods, {found.method for found in on.plan.sets}
        if missing := [method for method in methods if method not in present]:
            yield f"{on.generator.name} has no {', '.join(missing)} directions here for experiment {self.name!r}."
        if fixed := [method for method in methods if method in present and is_determined(method)]:
            yield f"The weights alone determine {', '.join(fixed)}, so there is nothing to find again."

    def run(self, on: Measurement) -> Repetitions:
        """One piece per set and variant."""
        methods, moved = on.settings(Stability).methods, on.outcome(Attributes)
        pairs = [(found, each) for found in on.plan.sets if found.method in methods for each in variants(on, found)]
        pieces = [_piece(on, moved, *pair) for pair in pairs]
        overlaps = []
        for (found, variant), result in zip(pairs, on.pieces(pieces, "stability"), strict=True):
            overlap = Angles(result.cosines, result.sizes).overlap
            labels = _labels(moved, found, result) if moved is not None and isinstance(result, ReadAgain) else None
            overlaps.append((found, variant, overlap, labels))
        return Repetitions(overlaps)

    def rows(self, on: Measurement, outcome: Repetitions) -> Mapping[str, Iterable[Row]]:
        """Per set and variant: how much of its span was found again, at what angles (degrees), and with what labels."""
        return {"stability": (_row(*each) for each in outcome.overlaps)}


def variants(on: Measurement, found: DirectionSet) -> Iterator[Variant]:
    """The same settings from further seeds, and with further numbers of codes, none of which is among the first ones.

    Codes are those of a Hessian's expectation or of a search, or the samples of principal components; other methods
    have none.
    """
    if is_determined(found.method):
        return
    wanted, first = on.settings(Stability), on.bench.suite.discovery_of(on.subject).model_dump()
    settings = DiscoverySettings.model_validate(first | found.settings)
    for step in range(1, wanted.seeds + 1):
        yield Variant("seed", found.seed + step, settings, found.seed + step)
    counts = {
        "hessian": ("spectrum", "codes"),
        "pca": ("ganspace", "samples"),
        "style channels": ("stylespace", "codes"),
        "attribute offsets": ("supervised", "codes"),
    }
    part, field = counts.get(METHODS[found.method].basis, ("", ""))
    for step, codes in enumerate(wanted.codes if part else (), start=1):
        changed = settings.model_copy(update={part: getattr(settings, part).model_copy(update={field: codes})})
        seed = found.seed + wanted.seeds + step  # of its own: no code is in both
        yield Variant("codes", codes, changed, seed)


def _piece(on: Measurement, moved: Movements | None, found: DirectionSet, variant: Variant) -> Piece[Any]:
    """The second search; its directions are read where the set's own were."""
    distance = on.bench.once(create_distance, variant.settings.distance, on.bench.compute)
    search = (found, on.generator, variant.settings, distance, variant.seed, on.bench.compute)
    note = f"{found.set_id}, {variant.varied} {variant.value}"
    if moved is None:
        return found_again.piece(*search).but(note=note)
    how = on.settings(Attributes)
    return read_again.piece(*search, how.shifts, how.samples, on.bench.suite.seed, moved.scorer).but(note=note)


def _labels(moved: Movements, found: DirectionSet, result: ReadAgain) -> Labels:
    attributes, points = moved.scorer.attributes, result.scores.shape[1]
    scores = iter(result.scores)
    again = [
        verdict(movement(next(scores), direction.shifts(points).tolist(), attributes), attributes)
        if number >= 0
        else None
        for direction, number in zip(found, result.counterpart.tolist(), strict=True)
    ]
    return labels_kept([verdict(moved.moved.get(direction.name), attributes) for direction in found], again)


def _row(found: DirectionSet, variant: Variant, overlap: Overlap, labels: Labels | None) -> Row:
    kept = {} if labels is None or labels.kept is None else estimated("labels_kept", labels.kept)
    told = {} if labels is None else {"labelled": labels.labelled, "labels_chance": labels.chance}
    return {
        **told,
        **kept,
        "generator": found.generator,
        "layer": found.place,
        "space": found.space,
        "method": found.method,
        "varied": variant.varied,
        "value": variant.value,
        "share": overlap.share,
        "chance": overlap.chance,
        "smallest_angle": float(overlap.angles[0]),
        "median_angle": float(overlap.angles.quantile(0.5)),
        "largest_angle": float(overlap.angles[-1]),
        "directions": len(found),
    }
