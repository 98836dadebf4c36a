"""The mean of a method, whose error has two levels: which directions it gave, and on which codes they were measured.

A method is a distribution over directions.  D of them, each measured on the same n codes, are a crossed design,

    Y[d, c] = μ + a[d] + b[c] + e[d, c],   with   Var(mean) = σa²/D + σb²/n + σe²/(D·n)

(Searle, Casella & McCulloch, Variance Components, 1992, ch. 4).  The spread of the directions' values estimates
(σa² + σe²/n) / D, and the influence of the codes on the mean (σb² + σe²/D) / n.  What both hold, σe²/(D·n), follows
from the residuals and is taken off once.  Samples need not be values Y: the influence of each code on each direction's
value takes their place (see `Estimate`), so that distances between distributions have both levels, too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Test


@dataclass(frozen=True)
class Variance:
    """A part of the variance of a mean, estimated with some degrees of freedom."""

    value: float
    freedom: float


@dataclass(frozen=True, eq=False)
class Levelled:
    """The mean over the directions of a method, or the difference of two such means on the same codes.

    Attributes:
        codes: the mean, with the influence of each code on it.
        directions: of each method, the variance that the mean has from the choice of its directions; NaN of one
            direction, which does not tell.
        shared: of each method, what is in the variance of both levels.
        count: of each method, its directions.
    """

    codes: Estimate
    directions: tuple[Variance, ...]
    shared: tuple[Variance, ...]
    count: tuple[int, ...]

    @property
    def value(self) -> float:
        """The mean, or the difference."""
        return self.codes.value

    @property
    def n(self) -> int:
        """The number of codes."""
        return self.codes.n

    @property
    def stderr_codes(self) -> float:
        """The standard error of other codes under the same directions."""
        return self.codes.stderr

    @property
    def stderr_directions(self) -> float:
        """The standard error of other directions of the same methods, on the same codes."""
        return math.sqrt(sum(part.value for part in self.directions))

    @cached_property
    def stderr(self) -> float:
        """The standard error of both levels together, never below that of either; NaN if one of them is not known."""
        levels = self.stderr_directions**2, self.stderr_codes**2
        if any(map(math.isnan, levels)):
            return math.nan
        return math.sqrt(max(*levels, sum(levels) - sum(part.value for part in self.shared)))

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of the error (Satterthwaite, 1946); NaN where the error is."""
        parts = (*self.directions, Variance(self.codes.stderr**2, self.n - 1), *self.shared)
        spread = sum(part.value**2 / part.freedom for part in parts if part.value != 0)
        return self.stderr**4 / spread if spread != 0 else math.nan

    @property
    def test(self) -> Test:
        """Of the hypothesis that the value is 0 in the mean over all directions and codes."""
        return Test(self.value, self.stderr, self.freedom)


def levelled(values: Sequence[Estimate]) -> Levelled:
    """The mean of a method from the values of its directions, at least one, all on the same codes in the same order."""
    mean, count = estimate.average(values), len(values)
    if count < 2:
        unknown = Variance(math.nan, math.nan)
        return Levelled(mean, (unknown,), (unknown,), (count,))
    spread = float(torch.tensor([value.value for value in values], dtype=torch.float64).var())
    residuals = torch.stack([value.influence for value in values]) - mean.influence
    freedom = (count - 1) * (mean.n - 1)
    residual = float(residuals.square().sum()) / freedom if freedom else math.nan
    own, shared = Variance(spread / count, count - 1), Variance(residual / (count * mean.n), freedom)
    return Levelled(mean, (own,), (shared,), (count,))


def difference(a: Levelled, b: Levelled) -> Levelled:
    """The difference a - b of two methods on the same codes, which are paired; their directions are independent."""
    codes = estimate.difference(a.codes, b.codes)
    return Levelled(codes, a.directions + b.directions, a.shared + b.shared, a.count + b.count)
