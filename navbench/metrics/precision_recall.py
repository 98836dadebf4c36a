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

from navbench.metrics.estimate import Estimate, mean

NARROW, WIDE = 3, 5
"""k of precision and recall, and of density and coverage, as their authors have it."""
NEIGHBOURS = {"precision": NARROW, "recall": NARROW, "density": WIDE, "coverage": WIDE}
"""k of each share."""
SHARES = tuple(NEIGHBOURS)
"""Numbers of how two distributions overlap."""
_SAME = 1e-10
"""Squared distances below this share of the squared norms are rounding: the features are the same."""


@dataclass(frozen=True, eq=False)
class Share(Estimate):
    """A share, with the influence of each sample.

    Given the reference, precision and density are means over samples.  Of recall and coverage the influence is what the
    share would lose without the sample, the balls of the others held fixed, scaled to the variance that parts of the
    samples tell (see `splits`).

    Attributes:
        both: the standard error of other samples and another draw of the reference, never below that of samples alone;
            NaN if unknown.
    """

    both: float = math.nan

    @property
    def stderr_both(self) -> float:
        """As given."""
        return self.both


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


def unknown(n: int) -> PrecisionRecall:
    """The shares of n samples where they are not known."""
    influence = torch.full((n,), math.nan, dtype=torch.float64)
    return PrecisionRecall(*(Share(math.nan, influence) for _ in SHARES))


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
        self._recalled, self._covered = (_Pairs(len(radii), len(reference_radii), radii.device) for _ in range(2))

    def add(self, rows: slice, columns: slice, squared: Tensor) -> None:
        """The squared distances of some samples to some of the reference."""
        self._precise[rows] |= (squared <= self._narrow[columns]).any(dim=1)
        self._recalled.add(rows, columns, squared <= self._radii[rows, None])
        inside = squared <= self._wide[columns]
        self._count[rows] += inside.sum(dim=1)
        self._covered.add(rows, columns, inside)

    def shares(self, variances: Variances) -> PrecisionRecall:
        """All four, once all pairs were added; NaN unless there are more than k of either kind."""
        n = len(self._precise)
        recalled, covered = (
            pairs.scaled(float(variances.samples[index])) for index, pairs in ((1, self._recalled), (3, self._covered))
        )
        parts = (mean(self._precise), recalled, mean(self._count / WIDE), covered)
        fewest, both = min(n, len(self._narrow)), variances.both.sqrt().tolist()
        return PrecisionRecall(
            *(
                Share(part.value, part.influence, both=max(error, part.stderr)) if fewest > k else unknown(n).precision
                for part, error, k in zip(parts, both, NEIGHBOURS.values(), strict=True)
            )
        )


class _Pairs:
    """Which of the reference any of the samples reaches, and which of them only one sample does."""

    def __init__(self, n: int, m: int, device: torch.device) -> None:
        self._n = n
        self._count, self._sum = torch.zeros(2, m, dtype=torch.float64, device=device)  # of the samples that reach it

    def add(self, rows: slice, columns: slice, reached: Tensor) -> None:
        """Whether some samples reach some of the reference."""
        numbers = torch.arange(len(reached), dtype=torch.float32, device=reached.device)
        count, total = torch.mm(torch.stack([torch.ones_like(numbers), numbers]), reached.float()).double()
        self._count[columns] += count
        self._sum[columns] += total + rows.start * count

    def scaled(self, variance: float) -> Estimate:
        """The share that is reached, with influences of a given variance of it; NaN where none could have that."""
        sole = self._sum[self._count == 1].long().cpu()
        lost = torch.zeros(self._n, dtype=torch.float64).index_add_(0, sole, torch.ones(len(sole)).double())
        influence = lost - lost.mean()
        spread = float(influence.square().sum()) / (self._n * (self._n - 1))
        value = float((self._count > 0).double().mean())
        if not spread:
            return Estimate(value, influence if variance == 0 else torch.full_like(influence, math.nan))
        return Estimate(value, influence * math.sqrt(variance / spread))


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
