"""Overlap: how much of what one set spans lies in what another method's set of the same place does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from navbench import seeds
from navbench.costs import Pass, Rehearsed, Trial, rehearses
from navbench.directions import DirectionSet
from navbench.experiments.experiment import Experiment, NoSettings
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row
from navbench.metrics.subspaces import Overlap, overlap
from navbench.work import pure

_TRIED = 2**16
"""Dimensions of spans whose angles are tried for plans, at most; time grows with their number."""


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


@rehearses(span_overlap)
def _overlap_rehearsed(one: DirectionSet, other: DirectionSet) -> Rehearsed[Angles]:
    """Right angles; the search for them is of a set's size, and counts as one."""

    size = one.basis.shape.numel()
    some = min(size, _TRIED)

    def trial() -> Trial:
        spans = [seeds.normal(number, range(len(each)), (some,)) for number, each in enumerate((one, other))]

        def once() -> float:
            Angles.between(*spans)
            return some / size

        return once

    angles = Pass("principal angles", (len(one), len(other), size), trial)
    return Rehearsed(blank_angles(len(one), len(other), size), {angles: 1})


def blank_angles(rank: int, other: int, dimensions: int) -> Angles:
    """Right angles between spans of two ranks, for sketches."""
    rank, other = min(rank, dimensions), min(other, dimensions)
    return Angles(torch.zeros(min(rank, other), dtype=torch.float64), torch.tensor([rank, other, dimensions]))


# --- the experiment ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spans:
    """Every two sets of a layer or latent space, and what their spans have in common."""

    overlaps: Sequence[tuple[DirectionSet, DirectionSet, Overlap]]


class Overlaps(Experiment[NoSettings, Spans]):
    """Part of every run of whole sets."""

    name = "overlap"
    always = True
    whole = True

    def run(self, on: Measurement) -> Spans:
        """One piece per pair of sets."""
        pairs = [(one, other) for one, other in combinations(on.plan.sets, 2) if one.place == other.place]
        pieces = [span_overlap.piece(one, other).but(note=f"{one.set_id} and {other.method}") for one, other in pairs]
        angles = on.pieces(pieces, "overlaps")
        return Spans([(*pair, each.overlap) for pair, each in zip(pairs, angles, strict=True)])

    def rows(self, on: Measurement, outcome: Spans) -> Mapping[str, Iterable[Row]]:
        """Per pair of sets, both ways."""
        both = (
            row
            for one, other, overlap in outcome.overlaps
            for row in (_row(one, other, overlap), _row(other, one, overlap.reversed))
        )
        return {"overlap": both}


def _row(found: DirectionSet, other: DirectionSet, overlap: Overlap) -> Row:
    return {
        "generator": found.generator,
        "layer": found.place,
        "space": found.space,
        "method": found.method,
        "other": other.method,
        "share": overlap.share,
        "chance": overlap.chance,
        "rank": overlap.rank,
        "other_rank": overlap.other_rank,
        "largest_cosine": float(overlap.cosines.max()),
    }
