"""What sets span: how much of one lies in another, of another method, or of the same method found again."""

from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.directions import DirectionSet
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings
from navbench.generators.base import Generator
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.subspaces import Overlap, overlap
from navbench.work import pure


@dataclass(frozen=True)
class Angles:
    """An `Overlap` as tensors.

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


@pure()
def span_overlap(one: DirectionSet, other: DirectionSet) -> Angles:
    """Between the spans of two sets of one space."""
    return Angles.between(*(each.basis.combine(each.coefficients) for each in (one, other)))


@pure(revision=2)
def found_again(
    found: DirectionSet, generator: Generator, settings: DiscoverySettings, distance: PerceptualDistance, seed: int,
    compute: Compute,
) -> Angles:  # fmt: skip
    """Between the span of a set and that of the same method with other settings or from another seed."""
    space = found[0].space_of(generator)
    again = Discovery(space, distance, settings, compute, seed).offsets(found.method)
    return Angles.between(found.basis.combine(found.coefficients), again)
