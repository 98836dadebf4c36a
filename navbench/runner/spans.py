"""What sets span: how much of one lies in another, of another method, or of the same method found again."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from navbench.directions import DirectionSet
from navbench.discovery.settings import DiscoverySettings
from navbench.experiments.spans import Angles, found_again, span_overlap
from navbench.methods import METHODS, is_determined
from navbench.metrics.perceptual import create_distance
from navbench.runner.bench import Measurement
from navbench.runner.results import Results, Stable
from navbench.work import Piece


def overlaps(measurement: Measurement, results: Results) -> None:
    """Every two sets of a layer or latent space."""
    sets = measurement.plan.sets
    pairs = [(one, other) for one, other in combinations(sets, 2) if one.place == other.place]
    pieces = [span_overlap.piece(one, other).but(note=f"{one.reference} and {other.method}") for one, other in pairs]
    for (one, other), angles in zip(pairs, measurement.pieces(pieces, "overlaps"), strict=True):
        both = angles.overlap
        results.overlaps[one.reference, other.reference] = both
        results.overlaps[other.reference, one.reference] = both.reversed


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
    pieces = [_again(measurement, found, variant) for found, variant in pairs]
    for (found, variant), angles in zip(pairs, measurement.pieces(pieces, "stability"), strict=True):
        results.stable.append(Stable(found, variant.varied, variant.value, angles.overlap))


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


def _again(measurement: Measurement, found: DirectionSet, variant: Variant) -> Piece[Angles]:
    compute = measurement.bench.compute
    distance = create_distance(variant.settings.distance, compute)
    piece = found_again.piece(found, measurement.generator, variant.settings, distance, variant.seed, compute)
    return piece.but(note=f"{found.reference}, {variant.varied} {variant.value}")
