"""What is computed from all pairs of samples: the kernel distance, precision and recall, density and coverage.

All of it follows from the products of pairs, a product of matrices, which takes nearly all the time: the kernel from
the product itself, a squared distance from the product and both norms. So each product is computed once, a tile of
pairs at a time, those among samples for one of the two orders alone, and those among the reference's once for good.
Features are taken less the reference's mean, so that distances keep their digits far from the origin, too.

Everything is float64. At float32 it would take half the time, and move a KID near 0 by 4e-4 of itself, which is 1.5e-3
of its standard error (2000 x 2048 features), but more than a batch or a device may.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.metrics import splits
from navbench.metrics.estimate import Estimate
from navbench.metrics.kernel import Across, Among, cubic, kernel_distance
from navbench.metrics.precision_recall import WIDE, Balls, PrecisionRecall, nearest, squared_distances
from navbench.metrics.splits import Nearest

MOST = 10_000
"""Samples of each kind that are used, the first ones, where nothing else is said: the cost grows with their square."""
TILE = 512
"""Samples on either side of a tile; temporary results of that size stay in a processor's cache."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples less a centre c, and what stands beside their products.

    Attributes:
        features: (n, D), float64, x - c.
        norms: (n,), their squared norms.
        terms: (n,), (x - c)·c.
        centre: c, (D,).
    """

    features: Tensor
    norms: Tensor
    terms: Tensor
    centre: Tensor

    @classmethod
    def of(cls, features: Tensor, centre: Tensor) -> "Samples":
        """Of features (n, D) of any float type, n at least 2."""
        if len(features) < 2:
            raise NavbenchError(f"A kernel distance needs at least two samples, and there are {len(features)}.")
        x = features.detach().to(centre, copy=True).sub_(centre)  # in place, as there may be many
        return cls(x, torch.einsum("nd,nd->n", x, x), x @ centre, centre)

    @classmethod
    def of_reference(cls, features: Tensor) -> "Samples":
        """Of a reference's features (m, D), whose mean is the centre."""
        return cls.of(features, features.detach().mean(dim=0, dtype=torch.float64))

    def kernels(self, products: Tensor, rows: slice, columns: slice, others: "Samples") -> Tensor:
        """The kernel of some samples and some others, in the place of their products."""
        y_terms = others.terms[columns] + self.centre.square().sum()
        return cubic(products, self.terms[rows], y_terms, len(self.centre))

    def squared(self, products: Tensor, rows: slice, columns: slice, others: "Samples") -> Tensor:
        """The squared distances of some samples and some others."""
        return squared_distances(products, self.norms[rows], others.norms[columns])


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """What the pairs of a set of samples tell.

    Attributes:
        kernels: of all pairs.
        radii: (n, 5), float64, of each sample the squared distances to its nearest others, ascending; infinite if there
            are not so many.
        nearest: of the first ones, who is nearest.
    """

    kernels: Among
    radii: Tensor
    nearest: Nearest

    @classmethod
    def of(cls, x: Samples, tile: int) -> "Neighbourhood":
        """Of samples, whose order changes nothing but standard errors."""
        n = len(x.features)
        kept = torch.empty(2 * [min(n, splits.MOST)], device=x.norms.device)
        sums, square = torch.zeros_like(x.norms), x.norms.new_zeros(())
        least = x.norms.new_full((n, WIDE), math.inf)
        for rows in _parts(n, tile):
            for columns in _parts(n, tile, rows.start):
                products = x.features[rows] @ x.features[columns].T
                squared = x.squared(products, rows, columns, x)
                kernels = x.kernels(products, rows, columns, x)
                if rows == columns:
                    squared.fill_diagonal_(math.inf)
                    kernels.fill_diagonal_(0)
                else:  # the same pairs in the other order
                    least[columns] = nearest(least[columns], squared.T.contiguous())
                    sums[columns] += kernels.sum(dim=0)
                    square += _square(kernels)
                    _keep(kept.T, rows, columns, squared)
                _keep(kept, rows, columns, squared)
                least[rows] = nearest(least[rows], squared)
                sums[rows] += kernels.sum(dim=1)
                square += _square(kernels)
        return cls(Among(sums / (n - 1), square / (n * (n - 1))), least, Nearest.of(kept))


@dataclass(frozen=True, eq=False)
class PairwiseReference:
    """A reference, with what its own pairs tell, for distances from it.

    Attributes:
        samples: its m samples less their mean.
        neighbourhood: of its own pairs.
        tile: samples on either side of a tile; it changes no result.
    """

    samples: Samples
    neighbourhood: Neighbourhood
    tile: int = TILE

    @classmethod
    def of(cls, features: Tensor, tile: int = TILE) -> "PairwiseReference":
        """From features (m, D), m at least 2, on their device."""
        samples = Samples.of_reference(features)
        return cls(samples, Neighbourhood.of(samples, tile), tile)

    def __len__(self) -> int:
        return len(self.samples.features)

    def measure(self, features: Tensor) -> tuple[Estimate, PrecisionRecall]:
        """The kernel distance of features (n, D), n at least 2, and the shares, NaN unless both have more than k."""
        if features.shape[1:] != self.samples.features.shape[1:]:
            raise NavbenchError(
                f"Features of {features.shape[1]} dimensions cannot be compared with a reference of "
                f"{len(self.samples.centre)}; use one extractor for both."
            )
        x, y = Samples.of(features, self.samples.centre), self.samples
        n, m = len(features), len(self)
        ours, theirs = Neighbourhood.of(x, self.tile), self.neighbourhood
        rows_sums, columns_sums, square = torch.zeros_like(x.norms), torch.zeros_like(y.norms), x.norms.new_zeros(())
        balls, kept = Balls(ours.radii, theirs.radii), torch.empty(splits.first(n, m), device=x.norms.device)
        for rows in _parts(n, self.tile):
            for columns in _parts(m, self.tile):
                products = x.features[rows] @ y.features[columns].T
                squared = x.squared(products, rows, columns, y)
                balls.add(rows, columns, squared)
                _keep(kept, rows, columns, squared)
                kernels = x.kernels(products, rows, columns, y)
                rows_sums[rows] += kernels.sum(dim=1)
                columns_sums[columns] += kernels.sum(dim=0)
                square += _square(kernels)
        across = Across(rows_sums / m, columns_sums / n, square / (n * m))
        variances = splits.variances(ours.nearest, kept, theirs.nearest, n)
        return kernel_distance(ours.kernels, across, theirs.kernels), balls.shares(variances)


def _keep(kept: Tensor, rows: slice, columns: slice, squared: Tensor) -> None:
    """Keep of a tile what is of the first samples."""
    part = kept[rows, columns]
    part.copy_(squared[: part.shape[0], : part.shape[1]])


def _square(kernels: Tensor) -> Tensor:
    flat = kernels.flatten()
    return flat @ flat


def _parts(count: int, size: int, start: int = 0) -> Iterator[slice]:
    return (slice(first, min(first + size, count)) for first in range(start, count, size))
