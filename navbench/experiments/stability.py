"""Stability: whether a method finds the same span again, from another seed or from another number of codes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from navbench.compute import Compute
from navbench.costs import Rehearsed, Tally, rehearses
from navbench.directions import DirectionSet
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings
from navbench.experiments.common import Common, check_methods
from navbench.experiments.experiment import Experiment
from navbench.experiments.measurement import Measurement
from navbench.experiments.overlap import Angles, blank_angles
from navbench.experiments.rows import Row
from navbench.generators.base import Generator
from navbench.methods import METHODS, is_determined
from navbench.metrics.perceptual import PerceptualDistance, create_distance
from navbench.metrics.subspaces import Overlap
from navbench.settings import Settings
from navbench.work import pure


class StabilitySettings(Settings):
    """Whether a method finds the same span again, from other codes and from other numbers of codes.

    Attributes:
        methods: that are run again.
        seeds: how many further seeds.
        codes: further numbers of codes of the Hessian, and of samples of w.
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
class Variant:
    """How the second search differs from the first: in its 'seed' or in its number of 'codes', and the value."""

    varied: str
    value: int
    settings: DiscoverySettings
    seed: int


@dataclass(frozen=True)
class Repetitions:
    """Each set with each of its variants, and how their spans overlap."""

    overlaps: Sequence[tuple[DirectionSet, Variant, Overlap]]


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
        methods = on.settings(Stability).methods
        pairs = [(found, each) for found in on.plan.sets if found.method in methods for each in variants(on, found)]
        pieces = []
        for found, each in pairs:
            distance = on.bench.once(create_distance, each.settings.distance, on.bench.compute)
            piece = found_again.piece(found, on.generator, each.settings, distance, each.seed, on.bench.compute)
            pieces.append(piece.but(note=f"{found.set_id}, {each.varied} {each.value}"))
        angles = on.pieces(pieces, "stability")
        return Repetitions([(*pair, each.overlap) for pair, each in zip(pairs, angles, strict=True)])

    def rows(self, on: Measurement, outcome: Repetitions) -> Mapping[str, Iterable[Row]]:
        """Per set and variant: how much of its span was found again, and at what angles (degrees)."""
        return {"stability": (_row(*each) for each in outcome.overlaps)}


def variants(on: Measurement, found: DirectionSet) -> Iterator[Variant]:
    """The same settings from further seeds, and with further numbers of codes, none of which is among the first ones.

    Codes are those of a Hessian's expectation, or the samples of principal components; other methods have none.
    """
    if is_determined(found.method):
        return
    wanted, first = on.settings(Stability), on.bench.suite.discovery_of(on.subject).model_dump()
    settings = DiscoverySettings.model_validate(first | found.settings)
    for step in range(1, wanted.seeds + 1):
        yield Variant("seed", found.seed + step, settings, found.seed + step)
    counts = {"hessian": ("spectrum", "codes"), "pca": ("ganspace", "samples")}
    part, field = counts.get(METHODS[found.method].basis, ("", ""))
    for step, codes in enumerate(wanted.codes if part else (), start=1):
        changed = settings.model_copy(update={part: getattr(settings, part).model_copy(update={field: codes})})
        seed = found.seed + wanted.seeds + step  # of its own: no code is in both
        yield Variant("codes", codes, changed, seed)


def _row(found: DirectionSet, variant: Variant, overlap: Overlap) -> Row:
    return {
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
