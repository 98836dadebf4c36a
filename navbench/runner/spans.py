"""What sets span: how much of one lies in another, of another method, or of the same method found again."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from navbench.directions import DirectionSet
from navbench.discovery.methods import METHODS, Discovery, is_determined
from navbench.discovery.settings import DiscoverySettings
from navbench.metrics.perceptual import create_distance
from navbench.metrics.subspaces import Overlap, overlap
from navbench.runner.bench import Measurement
from navbench.runner.results import Results, Stable


@dataclass(frozen=True)
class Angles:
    """An `Overlap` as a piece.

    Attributes:
        cosines: of the principal angles, largest first.
        sizes: (3,), int64, the rank of the one span and of the other, and the dimensions of the space.
    """

    cosines: Tensor
    sizes: Tensor

    @classmethod
    def between(cls, a: Tensor, b: Tensor) -> "Angles":
        """Of the spans of two sets of offsets."""
        both = overlap(a, b)
        return cls(both.cosines.cpu(), torch.tensor([both.rank, both.other_rank, both.dimensions]))

    @property
    def overlap(self) -> Overlap:
        """What they have in common."""
        rank, other, dimensions = self.sizes.tolist()
        return Overlap(self.cosines, rank, other, dimensions)


def overlaps(measurement: Measurement, results: Results) -> None:
    """Every two sets of a layer or latent space."""
    sets = measurement.plan.sets
    pairs = [(one, other) for one, other in combinations(sets, 2) if one.place == other.place]
    if not pairs:
        return
    with measurement.pieces(f"{measurement.generator.name}: overlaps", len(pairs)) as tick:
        for one, other in pairs:
            # neither ranges nor the run's seed change what is spanned
            spans = [[direction.identity[:-2] for direction in each] for each in (one, other)]
            key = {"weights": measurement.generator.fingerprint, "spans": spans}

            def make(one: DirectionSet = one, other: DirectionSet = other) -> Angles:
                return Angles.between(*(each.basis.combine(each.coefficients) for each in (one, other)))

            both = measurement.bench.store.get(Angles, key, make).overlap
            results.overlaps[one.reference, other.reference] = both
            results.overlaps[other.reference, one.reference] = both.reversed
            tick(f"{one.reference} and {other.method}")


# --- found again -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """What is done otherwise the second time: the 'seed' or the 'codes', and its value."""

    varied: str
    value: int
    settings: DiscoverySettings
    seed: int


def stability(measurement: Measurement, results: Results) -> None:
    """Find the sets of the suite's methods again, and compare what they span with what the first ones do."""
    suite = measurement.bench.suite
    wanted = [found for found in measurement.plan.sets if found.method in suite.stability.methods]
    pairs = [(found, variant) for found in wanted for variant in variants(measurement, found)]
    if not pairs:
        return
    with measurement.pieces(f"{measurement.generator.name}: stability", len(pairs)) as tick:
        for found, variant in pairs:
            again = _again(measurement, found, variant).overlap
            results.stable.append(Stable(found, variant.varied, variant.value, again))
            tick(f"{found.reference}, {variant.varied} {variant.value}")


def variants(measurement: Measurement, found: DirectionSet) -> Iterator[Variant]:
    """The same settings from further seeds, and with further numbers of codes, none of which is among the first ones.

    Codes are those of a Hessian's expectation, or the samples of principal components; other methods have none.
    """
    suite = measurement.bench.suite
    own = suite.discovery_of(measurement.plan.subject).model_dump() | found.settings
    settings = DiscoverySettings.model_validate(own)
    if is_determined(found.method):
        return
    seeds = suite.stability.seeds
    for step in range(1, seeds + 1):
        yield Variant("seed", found.seed + step, settings, found.seed + step)
    basis = METHODS[found.method].basis
    for step, codes in enumerate(suite.stability.codes, start=1):
        if basis == "hessian":
            changed = _with(settings, "spectrum", codes=codes)
        elif basis == "pca":
            changed = _with(settings, "ganspace", samples=codes)
        else:
            return
        yield Variant("codes", codes, changed, found.seed + seeds + step)  # a seed of its own: no code is in both


def _with(settings: DiscoverySettings, part: str, **values: int) -> DiscoverySettings:
    """The settings with other values in one of their parts."""
    return settings.model_copy(update={part: getattr(settings, part).model_copy(update=values)})


def _again(measurement: Measurement, found: DirectionSet, variant: Variant) -> Angles:
    bench = measurement.bench
    key = measurement.key(
        stability=found.method,
        directions=[direction.identity for direction in found],
        settings=variant.settings.model_dump(),
        again=variant.seed,
    )

    def make() -> Angles:
        space, settings = found[0].space_of(measurement.generator), variant.settings
        distance = create_distance(settings.distance, bench.compute)
        other = Discovery(space, distance, settings, bench.compute, variant.seed).offsets(found.method)
        return Angles.between(found.basis.combine(found.coefficients), other)

    return bench.store.get(Angles, key, make)
