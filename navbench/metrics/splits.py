"""Standard errors of shares of neighbours, from halves and quarters of the samples.

A sample changes not only its own part of such a share but the balls of others, and terms of high order make up much of
the variance: an influence, its own part alone, misses them (0.64-0.78 of the truth), and a jackknife holds them several
times (1.2-2.4).  Disjoint parts of the samples are independent, so the spread between them has all terms right, at
their smaller number of samples.  How that spread falls from quarters to halves, by a power of n, tells that of all.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from navbench import seeds
from navbench.metrics.precision_recall import NARROW, SHARES, WIDE, Variances, shares_of

MOST = 1024
"""Samples of each kind that are split, the first ones; from there on a variance falls as 1/n."""
LEAST = 4 * (WIDE + 1)
"""Of fewer, a quarter has too few neighbours."""
LISTED = 256
"""Nearest others that are listed, of which a quarter of the samples that are split must hold enough."""
_UNLISTED = 0.01
"""The largest share of balls whose radius may be cut at the end of a list; beyond, the variances are unknown."""
_SPLITS = 4
"""Random splits into quarters; each has three pairs of halves."""
_PAIRS = [torch.tensor(pairs) for pairs in (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))]
_POWERS = (0.25, 2.0)
"""Between those powers of 1/n a variance falls; beyond is chance."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest others of each of s samples, (s, l) each, ascending; on the CPU.

    Attributes:
        squared: their squared distances, float32; infinite of those that are left out.
        indices: which they are; s of those.
    """

    squared: Tensor
    indices: Tensor

    @classmethod
    def of(cls, squared: Tensor) -> "Nearest":
        """From all squared distances (s, s) among samples, infinite on the diagonal."""
        found = squared.topk(min(LISTED, len(squared) - 1), dim=1, largest=False, sorted=True)
        return cls(found.values.cpu(), found.indices.cpu())

    def first(self, count: int) -> "Nearest":
        """Of the first samples alone."""
        if count == len(self.squared):
            return self
        order = torch.where(self.indices < count, self.squared, math.inf)[:count].sort(dim=1, stable=True)
        return Nearest(order.values, self.indices[:count].clamp(max=count).gather(1, order.indices))

    def radii(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        """The squared radii of balls in parts (G, p) of the samples: of precision and recall, and of the others.

        NaN, all of them, if too many lists end before the radius.
        """
        labels = torch.full((len(self.squared) + 1,), -1)  # the last of what is left out
        labels[parts] = torch.arange(len(parts))[:, None]
        rank = (labels[self.indices] == labels[:-1, None]).cumsum(dim=1)
        ends = rank[:, -1][parts] < min(WIDE, parts.shape[1] - 1)
        if ends.double().mean() > _UNLISTED:
            unknown = torch.full(parts.shape, math.nan)
            return unknown, unknown
        last = self.squared.shape[1] - 1  # of what is listed, where a part holds fewer
        places = torch.stack([(rank < k).sum(dim=1).clamp(max=last) for k in (NARROW, WIDE)], dim=1)
        narrow, wide = self.squared.gather(1, places)[parts].unbind(dim=-1)
        return narrow, wide


def first(n: int, m: int) -> tuple[int, int]:
    """How many of n samples and m of a reference are split: in the same proportion."""
    share = min(1.0, MOST / max(n, m))
    return int(n * share), int(m * share)


def variances(ours: Nearest, across: Tensor, theirs: Nearest, n: int) -> Variances:
    """Of the shares of n samples, from the first s of them and r of the reference.

    Args:
        ours: of the samples, at least s.
        across: (s, r), float32, the squared distances of samples from the reference.
        theirs: of the reference, at least r.
        n: of how many samples the shares are.
    """
    across, (count, others) = across.cpu(), across.shape
    if min(count, others) < LEAST:
        return Variances(*torch.full((2, 4), math.nan, dtype=torch.float64))
    ours, theirs = ours.first(count), theirs.first(others)
    quarters, halves = [], []
    for split in range(_SPLITS):
        rows, columns = _quarters(split, 0, count), _quarters(split, 1, others)
        quarters.append(_spread(ours, across, theirs, rows, columns))
        halves += [_spread(ours, across, theirs, rows[pairs].flatten(1), columns[pairs].flatten(1)) for pairs in _PAIRS]
    of_halves, of_quarters = (torch.stack(parts).mean(dim=0) for parts in (halves, quarters))
    least, most = (2**-power for power in _POWERS[::-1])
    fall = torch.where(of_quarters > 0, of_halves / of_quarters, 0.5).clamp(least, most)
    return Variances(*(of_halves * fall * count / n))


@lru_cache(maxsize=64)
def _quarters(split: int, kind: int, count: int) -> Tensor:
    """Four disjoint random parts of so many samples, (4, count // 4)."""
    size = count // 4
    order = seeds.normal(kind, range(split, split + 1), (count,))[0].argsort()
    return order[: 4 * size].reshape(4, size)


def _spread(ours: Nearest, across: Tensor, theirs: Nearest, rows: Tensor, columns: Tensor) -> Tensor:
    """The variance between parts, (2, 4): of samples alone, against each part of the reference, and of both.

    Args:
        ours: as of `variances`.
        across: likewise.
        theirs: likewise.
        rows: (G, s), the samples of each part.
        columns: (G, r), those of the reference.
    """
    count = len(rows)
    (narrow, _), (reference_narrow, reference_wide) = ours.radii(rows), theirs.radii(columns)
    if narrow.isnan().any() or reference_narrow.isnan().any():
        return torch.full((2, len(SHARES)), math.nan, dtype=torch.float64)
    blocks = across.index_select(0, rows.flatten()).index_select(1, columns.flatten())
    table = torch.stack(
        [
            torch.stack([shares_of(block, radii, *reference) for block, *reference in zip(*others, strict=True)])
            for line, radii in zip(blocks.chunk(count), narrow, strict=True)
            for others in [(line.chunk(count, dim=1), reference_narrow, reference_wide)]
        ]
    )  # (G, G, 4)
    pairs = (table[:, :, None, None] - table).square() / 2  # (G, G, G, G, 4), of any two parts of either kind
    apart = ~torch.eye(count, dtype=torch.bool)
    of_samples = pairs.diagonal(dim1=1, dim2=3)[apart].mean(dim=(0, 2))
    return torch.stack([of_samples, pairs.transpose(1, 2)[apart][:, apart].mean(dim=(0, 1))])
