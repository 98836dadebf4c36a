"""Whether a method finds the same span again: from another seed, and from other numbers of codes."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.directions import DirectionSet
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings
from navbench.metrics.perceptual import create_distance
from navbench.metrics.subspaces import overlap
from navbench.runner.bench import Measurement
from navbench.runner.results import Results, Stable


@dataclass(frozen=True)
class Again:
    """How the span of a set that was found again lies to that of the first one.

    Attributes:
        cosines: of the principal angles, largest first.
        share: (), of the first one's span that lies in it; chance: (), what a random span of its size would have.
    """

    cosines: Tensor
    share: Tensor
    chance: Tensor


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
    pairs = [(found, variant) for found in wanted for variant in _variants(measurement, found)]
    with measurement.pieces(f"{measurement.generator.name}: stability", len(pairs)) as tick:
        for found, variant in pairs:
            again = _again(measurement, found, variant)
            stable = Stable(
                found, variant.varied, variant.value, again.cosines, float(again.share), float(again.chance)
            )
            results.stable.append(stable)
            tick(f"{found.reference}, {variant.varied} {variant.value}")


def _variants(measurement: Measurement, found: DirectionSet) -> Iterator[Variant]:
    """The same settings from further seeds, and with further numbers of codes."""
    suite = measurement.bench.suite
    own = suite.discovery_of(measurement.plan.subject).model_dump() | found.settings
    settings = DiscoverySettings.model_validate(own)
    for step in range(1, suite.stability.seeds + 1):
        yield Variant("seed", found.seed + step, settings, found.seed + step)
    for codes in suite.stability.codes:
        spectrum = settings.spectrum.model_copy(update={"codes": codes})
        ganspace = settings.ganspace.model_copy(update={"samples": codes})
        changed = settings.model_copy(update={"spectrum": spectrum, "ganspace": ganspace})
        yield Variant("codes", codes, changed, found.seed)


def _again(measurement: Measurement, found: DirectionSet, variant: Variant) -> Again:
    bench = measurement.bench
    key = measurement.key(
        stability=found.method,
        directions=[direction.identity for direction in found],
        settings=variant.settings.model_dump(),
        again=variant.seed,
    )

    def make() -> Again:
        space, settings = found[0].space_of(measurement.generator), variant.settings
        distance = create_distance(settings.distance, bench.compute)
        other = Discovery(space, distance, settings, bench.compute, variant.seed).offsets(found.method)
        both = overlap(found.basis.combine(found.coefficients), other)
        return Again(both.cosines, torch.tensor(both.share), torch.tensor(both.chance))

    return bench.store.get(Again, key, make)
