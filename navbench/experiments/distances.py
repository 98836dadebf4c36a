"""What features, and distances from a reference, cost, for plans."""

from typing import TYPE_CHECKING

import torch

from navbench import seeds
from navbench.compute import Compute
from navbench.costs import Costs, Pass, Trial, seeing
from navbench.generators.base import Generator
from navbench.metrics.extractors import Extractor
from navbench.metrics.frechet import FrechetReference, Moments
from navbench.metrics.pairwise import PairwiseReference

if TYPE_CHECKING:
    from navbench.experiments.fid_curve import ReferenceStatistics

_TRIED = 1024
"""Features with which distances of pairs are tried at most."""


def extracting(extractor: Extractor, generator: Generator, compute: Compute) -> Pass:
    """One image of a generator through an extractor, at the extractor's own precision."""
    return seeing("extractor", str(extractor.cache_key), extractor, generator, compute)


def distances_costs(codes: int, reference: "ReferenceStatistics", dimensions: int, compute: Compute) -> Costs:
    """Of all distances of the images of some codes, at one shift."""
    few = min(codes, dimensions + 1)  # of more, nothing grows but sums over them
    frechet = {_frechet(few, dimensions, compute.exact): 1.0, _summing(dimensions, compute.exact): codes - few}
    return {**frechet, **pair_costs(codes, reference, dimensions, compute)}


def _frechet(codes: int, dimensions: int, device: torch.device) -> Pass:
    """The Fréchet distance of few codes at one shift."""

    def trial() -> Trial:
        features = seeds.normal(0, range(codes), (dimensions,)).to(device)
        reference = FrechetReference.from_moments(Moments.of(features))

        def once() -> float:
            reference.estimate(features)
            return 1

        return once

    return Pass("Fréchet distance", (codes, dimensions), trial)


def _summing(dimensions: int, device: torch.device) -> Pass:
    """What one more code costs, where there are more than dimensions: its part of the moments, and its influence."""

    def trial() -> Trial:
        features = seeds.normal(0, range(dimensions), (dimensions,)).to(device, torch.float64)
        outer = torch.zeros(dimensions, dimensions, dtype=torch.float64, device=device)

        def once() -> float:
            outer.addmm_(features.T, features)
            (features @ outer).square().sum(dim=1)
            return len(features)

        return once

    return Pass("Fréchet sums", (dimensions,), trial)


def pair_costs(codes: int, reference: "ReferenceStatistics", dimensions: int, compute: Compute) -> Costs:
    """Of the numbers at one shift that are of pairs of features; of none where no features of a reference are known."""
    if not len(reference.features):
        return {}
    codes, others, device = min(codes, int(reference.pairwise_samples)), len(reference.features), compute.exact
    few, some = min(codes, _TRIED), min(others, _TRIED)

    def trial() -> Trial:
        features, real = (seeds.normal(0, range(count), (dimensions,)).to(device) for count in (few, some))
        tried = PairwiseReference.of(real)

        def once() -> float:
            tried.measure(features)
            return few * (few + some) / codes / (codes + others)

        return once

    return {Pass("kernel distance", (codes, others, dimensions), trial): 1}
