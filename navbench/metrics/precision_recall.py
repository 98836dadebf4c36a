"""Precision and recall, density and coverage: which samples lie in the neighbourhood of the others' manifold.

A set of features spans the union of balls around each, out to its k-th nearest neighbour in the set.  Precision is
the share of samples within the reference's balls, recall that of the reference within the samples'
(Kynkäänniemi et al., NeurIPS 2019, section 2).  Both depend on n and k; compare only equal ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.metrics.estimate import Estimate, mean

_SAME = 1e-10
"""Squared distances below this share of the squared norms are rounding: the features are the same."""


NEIGHBOURS = 3
"""k, as in the paper of precision and recall."""


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """How the supports of two sets overlap; the uncertainty of each is that of its mean, the balls held fixed.

    Attributes:
        precision: the share of samples in any of the reference's balls.
        recall: the share of the reference in any of the samples' balls.
        density: the mean over samples of the number of the reference's balls that it is in, over k; beyond 1 where
            samples crowd (Naeem et al., ICML 2020, section 3).
        coverage: the share of the reference's balls with a sample in them (the same).
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


class Balls:
    """Which samples are in which balls, of a reference and of the samples themselves, seen a tile at a time.

    Args:
        radii: (n,), the squared radii of the samples' balls.
        reference_radii: (m,), of the reference's.
    """

    def __init__(self, radii: Tensor, reference_radii: Tensor) -> None:
        self._radii, self._reference_radii = radii, reference_radii
        self._count = torch.zeros(len(radii), dtype=torch.int64, device=radii.device)  # of balls that a sample is in
        self._recalled, self._covered = torch.zeros(2, len(reference_radii), dtype=torch.bool, device=radii.device)

    def add(self, rows: slice, columns: slice, squared: Tensor) -> None:
        """The squared distances of some samples to some of the reference."""
        inside = squared <= self._reference_radii[columns]
        self._count[rows] += inside.sum(dim=1)
        self._covered[columns] |= inside.any(dim=0)
        self._recalled[columns] |= (squared <= self._radii[rows, None]).any(dim=0)

    def shares(self, k: int) -> PrecisionRecall:
        """All four shares, once all pairs were added."""
        count = self._count
        return PrecisionRecall(mean(count > 0), mean(self._recalled), mean(count / k), mean(self._covered))


def squared_distances(products: Tensor, x_norms: Tensor, y_norms: Tensor) -> Tensor:
    """The squared distances of all pairs, (n, m), from their products and the squared norms, (n,) and (m,)."""
    squared = products.mul(-2).add_(x_norms[:, None]).add_(y_norms)
    return squared.masked_fill_(squared <= 2 * _SAME * x_norms[:, None], 0.0)  # where both norms are the same


def nearest(known: Tensor, squared: Tensor) -> Tensor:
    """The k least of squared distances to some others, (n, k), once more others, (n, m), are seen."""
    least = squared.topk(min(known.shape[1], squared.shape[1]), dim=1, largest=False).values
    return torch.cat([known, least], dim=1).topk(known.shape[1], dim=1, largest=False).values
