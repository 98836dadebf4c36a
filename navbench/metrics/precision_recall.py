"""Improved precision and recall: which samples lie in the neighbourhood of the others' manifold.

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


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Shares in [0, 1]; the uncertainty of each is that of the samples it is the mean over, the balls held fixed.

    Attributes:
        precision: over the samples.
        recall: over the reference.
    """

    precision: Estimate
    recall: Estimate


def precision_recall(features: Tensor, reference: Tensor, k: int = 3, block: int = 1024) -> PrecisionRecall:
    """Precision and recall of features (n, D) against a reference's (m, D), both of more than k rows.

    `block` rows of a matrix of distances are in memory at once; it changes no result.
    """
    if features.shape[1:] != reference.shape[1:]:
        raise NavbenchError(
            f"Features of {features.shape[1]} dimensions cannot be compared with a reference of "
            f"{reference.shape[1]}; use one extractor for both."
        )
    if min(len(features), len(reference)) <= k:
        raise NavbenchError(
            f"Precision and recall with {k} neighbours need more than {k} samples of each, and there are "
            f"{len(features)} and {len(reference)}."
        )
    middle = reference.detach().double().mean(dim=0)  # distances keep their digits far from the origin, too
    x, y = features.detach().double().to(middle.device) - middle, reference.detach().double() - middle
    radii_x, radii_y = _squared_radii(x, k, block), _squared_radii(y, k, block)
    within = []
    reached = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    for rows, radii in zip(x.split(block), radii_x.split(block), strict=True):
        squared = _squared_distances(rows, y)  # (block, m)
        within.append((squared <= radii_y).any(dim=1))
        reached |= (squared <= radii[:, None]).any(dim=0)
    return PrecisionRecall(mean(torch.cat(within)), mean(reached))


def _squared_radii(x: Tensor, k: int, block: int) -> Tensor:
    """The squared distance of each of x (n, D) to its k-th nearest other, (n,)."""
    # The nearest of all is the sample itself, at distance zero.
    return torch.cat([_squared_distances(rows, x).kthvalue(k + 1, dim=1).values for rows in x.split(block)])


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    norms = x.square().sum(dim=1, keepdim=True) + y.square().sum(dim=1)
    squared = norms - 2 * (x @ y.T)
    return torch.where(squared > _SAME * norms, squared, 0.0)
