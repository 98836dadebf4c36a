"""Precision and recall, density and coverage: which samples lie in the neighbourhood of the others' manifold.

A set of features spans the union of balls around each, out to its k-th nearest neighbour in the set.  Precision is
the share of samples within the reference's balls, recall that of the reference within the samples'
(Kynkäänniemi et al., NeurIPS 2019, section 2).  Both depend on n and k; compare only equal ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.errors import NavbenchError
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


class NeighbourReference:
    """What precision and recall are measured against: the balls of a reference, found once.

    Attributes:
        n: number of its samples.
    """

    def __init__(self, reference: Tensor, k: int = NEIGHBOURS, block: int = 1024) -> None:
        """Keep a reference's features (m, D), m above k; `block` rows of distances are in memory at once."""
        self.n, self._k, self._block = len(reference), k, block
        self._check(len(reference))
        self._middle = reference.detach().double().mean(dim=0)  # distances keep their digits far from the origin, too
        self._features = reference.detach().double() - self._middle
        self._radii = _squared_radii(self._features, k, block)

    def shares(self, features: Tensor) -> PrecisionRecall:
        """All four shares of samples' features (n, D), n above k."""
        if features.shape[1:] != self._features.shape[1:]:
            raise NavbenchError(
                f"Features of {features.shape[1]} dimensions cannot be compared with a reference of "
                f"{self._features.shape[1]}; use one extractor for both."
            )
        self._check(len(features))
        x = features.detach().double().to(self._middle.device) - self._middle
        radii = _squared_radii(x, self._k, self._block)
        counts = []  # of the reference's balls that each sample is in
        recalled, covered = torch.zeros(2, self.n, dtype=torch.bool, device=x.device)
        for rows, radius in zip(x.split(self._block), radii.split(self._block), strict=True):
            squared = _squared_distances(rows, self._features)  # (block, m)
            inside = squared <= self._radii
            counts.append(inside.sum(dim=1))
            covered |= inside.any(dim=0)
            recalled |= (squared <= radius[:, None]).any(dim=0)
        count = torch.cat(counts)
        return PrecisionRecall(mean(count > 0), mean(recalled), mean(count / self._k), mean(covered))

    def _check(self, count: int) -> None:
        if count <= self._k:
            raise NavbenchError(
                f"Precision and recall with {self._k} neighbours need more than {self._k} samples of each, and there "
                f"are {count}."
            )


def precision_recall(features: Tensor, reference: Tensor, k: int = NEIGHBOURS, block: int = 1024) -> PrecisionRecall:
    """Precision, recall, density and coverage of features (n, D) against a reference's (m, D), see `PrecisionRecall`.

    `block` rows of a matrix of distances are in memory at once; it changes no result.
    """
    return NeighbourReference(reference, k, block).shares(features)


def _squared_radii(x: Tensor, k: int, block: int) -> Tensor:
    """The squared distance of each of x (n, D) to its k-th nearest other, (n,)."""
    # The nearest of all is the sample itself, at distance zero.
    return torch.cat([_squared_distances(rows, x).kthvalue(k + 1, dim=1).values for rows in x.split(block)])


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    norms = x.square().sum(dim=1, keepdim=True) + y.square().sum(dim=1)
    squared = norms - 2 * (x @ y.T)
    return torch.where(squared > _SAME * norms, squared, 0.0)
