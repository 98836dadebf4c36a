"""Precision and recall, density and coverage: which samples lie in the neighbourhood of the others' manifold.

A set of features spans the union of balls around each, out to its k-th nearest neighbour in the set.  Precision is
the share of samples within the reference's balls, recall that of the reference within the samples', with k = 3
(Kynkäänniemi et al., NeurIPS 2019, section 2).  Density and coverage count the reference's balls of k = 5 that samples
are in (Naeem et al., ICML 2020, section 3).  All depend on n and k; compare only equal ones.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

NARROW, WIDE = 3, 5
"""k of precision and recall, and of density and coverage, as their authors have it."""
NEIGHBOURS = {"precision": NARROW, "recall": NARROW, "density": WIDE, "coverage": WIDE}
"""k of each share."""
SHARES = tuple(NEIGHBOURS)
"""Numbers of how two distributions overlap."""
_SAME = 1e-10
"""Squared distances below this share of the squared norms are rounding: the features are the same."""


@dataclass(frozen=True)
class Share:
    """A share and its uncertainty.

    Attributes:
        value: the share itself.
        stderr: the standard error of other samples, the reference held fixed.
        stderr_both: that of other samples and another draw of the reference; NaN of fewer than 24 samples.
    """

    value: float
    stderr: float
    stderr_both: float


@dataclass(frozen=True)
class PrecisionRecall:
    """How the supports of two sets overlap.

    Attributes:
        precision: the share of samples in any of the reference's balls.
        recall: the share of the reference in any of the samples' balls.
        density: the mean over samples of the number of the reference's balls that it is in, over k; beyond 1 where
            samples crowd.
        coverage: the share of the reference's balls with a sample in them.
    """

    precision: Share
    recall: Share
    density: Share
    coverage: Share


def unknown() -> PrecisionRecall:
    """The shares of a reference whose samples are not known."""
    return PrecisionRecall(*(Share(math.nan, math.nan, math.nan) for _ in SHARES))


@dataclass(frozen=True, eq=False)
class Variances:
    """Variances of the four shares, (4,) each.

    Attributes:
        samples: under other samples, the reference held fixed.
        both: under other samples and another draw of the reference.
    """

    samples: Tensor
    both: Tensor


class Balls:
    """Which samples are in which balls, of a reference and of the samples themselves, seen a tile at a time.

    Args:
        radii: (n, 5), the squared distances of each sample to its nearest others.
        reference_radii: (m, 5), of the reference's.
    """

    def __init__(self, radii: Tensor, reference_radii: Tensor) -> None:
        self._radii = radii[:, NARROW - 1]
        self._narrow, self._wide = reference_radii[:, NARROW - 1], reference_radii[:, WIDE - 1]
        zeros = torch.zeros(len(radii), dtype=torch.int64, device=radii.device)
        self._precise, self._count = zeros.bool(), zeros  # whether a sample is in any ball; in how many
        self._recalled, self._covered = torch.zeros(2, len(reference_radii), dtype=torch.bool, device=radii.device)

    def add(self, rows: slice, columns: slice, squared: Tensor) -> None:
        """The squared distances of some samples to some of the reference."""
        self._precise[rows] |= (squared <= self._narrow[columns]).any(dim=1)
        self._recalled[columns] |= (squared <= self._radii[rows, None]).any(dim=0)
        inside = squared <= self._wide[columns]
        self._count[rows] += inside.sum(dim=1)
        self._covered[columns] |= inside.any(dim=0)

    def shares(self, variances: Variances) -> PrecisionRecall:
        """All four, once all pairs were added; NaN unless there are more than k of either kind."""
        parts = (self._precise, self._recalled, self._count / WIDE, self._covered)
        alone = variances.samples.tolist()
        for index in (0, 2):  # given the reference, means of samples
            alone[index] = float(parts[index].double().var()) / len(parts[index])
        fewest = min(len(self._precise), len(self._covered))
        errors = zip(parts, alone, variances.both.tolist(), NEIGHBOURS.values(), strict=True)
        return PrecisionRecall(
            *(
                Share(float(part.double().mean()), samples**0.5, both**0.5) if fewest > k else Share(*3 * [math.nan])
                for part, samples, both, k in errors
            )
        )


def shares_of(squared: Tensor, radii: Tensor, narrow: Tensor, wide: Tensor) -> Tensor:
    """All four shares, (4,), from all pairs at once.

    Args:
        squared: (n, m), squared distances.
        radii: (n,), the squared radii of the samples' balls.
        narrow: (m,), those of the reference's, for precision.
        wide: (m,), for density and coverage.
    """
    precise = (squared - narrow).amin(dim=1) <= 0
    recalled = (squared - radii[:, None]).amin(dim=0) <= 0
    beyond = squared - wide
    density = (beyond <= 0).sum() / (WIDE * len(squared))
    covered = beyond.amin(dim=0) <= 0
    shares = [precise.double().mean(), recalled.double().mean(), density.double(), covered.double().mean()]
    return torch.stack(shares)


def squared_distances(products: Tensor, x_norms: Tensor, y_norms: Tensor) -> Tensor:
    """The squared distances of all pairs, (n, m), from their products and the squared norms, (n,) and (m,)."""
    squared = products.mul(-2).add_(x_norms[:, None]).add_(y_norms)
    return squared.masked_fill_(squared <= 2 * _SAME * x_norms[:, None], 0.0)  # where both norms are the same


def nearest(known: Tensor, squared: Tensor) -> Tensor:
    """The k least of squared distances to some others, (n, k), once more others, (n, m), are seen."""
    least = squared.topk(min(known.shape[1], squared.shape[1]), dim=1, largest=False).values
    return torch.cat([known, least], dim=1).topk(known.shape[1], dim=1, largest=False).values
