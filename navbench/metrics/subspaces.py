"""How much of one span of offsets lies in another: principal angles, from Gram matrices alone."""

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from navbench.errors import NavbenchError

_RANK = 1e-8
"""Eigenvalues of a Gram matrix below this share of the largest are rounding, so the rows are dependent."""


@dataclass(frozen=True)
class Overlap:
    """What the span of A and the span of B have in common (Björck and Golub, 1973).

    Attributes:
        cosines: of the principal angles, largest first, as many as the smaller rank; 1 is a common line.
        rank, other_rank: dimensions of the spans.
        dimensions: of the space.
    """

    cosines: Tensor
    rank: int
    other_rank: int
    dimensions: int

    @property
    def share(self) -> float:
        """How much of A's span lies in B's: the mean over unit vectors of A's span of |their projection|²."""
        return float(self.cosines.square().sum()) / self.rank

    @property
    def chance(self) -> float:
        """The expected share of a random span of B's rank."""
        return self.other_rank / self.dimensions

    @property
    def reversed(self) -> "Overlap":
        """The same, seen from B."""
        return Overlap(self.cosines, self.other_rank, self.rank, self.dimensions)

    @property
    def angles(self) -> Tensor:
        """The principal angles in degrees, smallest first."""
        return torch.rad2deg(torch.arccos(self.cosines))


def overlap(a: Tensor, b: Tensor) -> Overlap:
    """The overlap of the spans of two sets of offsets, (K, *shape) and (L, *shape), in float64.

    Nothing larger than the offsets is made; they may be linearly dependent.
    """
    if a.shape[1:] != b.shape[1:]:
        raise NavbenchError(f"Offsets of shapes {tuple(a.shape[1:])} and {tuple(b.shape[1:])} are of different spaces.")
    a, b = a.flatten(1).double(), b.flatten(1).double()
    whiten_a, whiten_b = _whitening(a @ a.T), _whitening(b @ b.T)
    cosines = torch.linalg.svdvals(whiten_a @ (a @ b.T) @ whiten_b.T).clamp(0, 1)
    return Overlap(cosines, len(whiten_a), len(whiten_b), a.shape[1])


def counterparts(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Which offset of b (L, *shape) is each of a's (K, *shape), one to one, so that the sum of |cosines| is largest.

    Returns:
        (K,), int64, the number of its counterpart, -1 for none where b has fewer; and (K,), float64, their cosine, NaN
        for none.
    """
    if a.shape[1:] != b.shape[1:]:
        raise NavbenchError(f"Offsets of shapes {tuple(a.shape[1:])} and {tuple(b.shape[1:])} are of different spaces.")
    a, b = (torch.nn.functional.normalize(each.flatten(1).cpu().double(), dim=1) for each in (a, b))
    cosines = a @ b.T
    rows, columns = linear_sum_assignment(-cosines.abs().numpy())
    number, cosine = torch.full((len(a),), -1), torch.full((len(a),), torch.nan, dtype=torch.float64)
    number[rows] = torch.from_numpy(columns)
    cosine[rows] = cosines[rows, columns]
    return number, cosine


def _whitening(gram: Tensor) -> Tensor:
    """W (r, K) with rows that take K offsets of that Gram matrix to r orthonormal ones."""
    values, vectors = torch.linalg.eigh(gram)
    kept = values > _RANK * values[-1]
    return (vectors[:, kept] / values[kept].sqrt()).T
