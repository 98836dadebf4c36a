"""The one notion of uncertainty: a value, and how much each sample moved it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from navbench.errors import NavbenchError

BAND = 1.96
"""Standard errors to either side of a number: 95 % of a normal distribution."""


@dataclass(frozen=True, eq=False)
class ReferenceDraw:
    """What makes a number differ between draws of its reference.

    Attributes:
        influence: (m,), float64, on the CPU: of each sample of the reference, as that of samples.
        excess: what the influences of samples and reference hold twice of the variance (see `Estimate.excess`).
    """

    influence: Tensor
    excess: float = 0.0


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number estimated from n samples, with the influence of each of them.

    The influence of sample i is the derivative of the value with respect to its share of the weight (the
    infinitesimal jackknife of Jaeckel, 1972; of mean zero): for a mean, the sample less the mean.  It is
    exact, so an uncertainty depends neither on shards nor on batches, and two estimates on the same codes can
    be subtracted sample by sample.

    A distance has two uncertainties: of the samples, its reference held fixed, which differences on the same codes
    and the same reference have; and of both, which another seed has, if the reference is drawn, too.

    Attributes:
        value: the number itself.
        influence: (n,), float64, on the CPU.
        excess: the variance that pairs of samples bring beyond their parts.  A jackknife holds that twice (Efron &
            Stein, 1981), so it is taken off once; 0 where it is unknown, which is cautious.
        reference: the draw of it; `None` if there is none, or it is unknown.
        n_known: of how many samples the value is, where the others have no influence; `None` for all.
    """

    value: float
    influence: Tensor
    excess: float = 0.0
    reference: ReferenceDraw | None = None
    n_known: int | None = None

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.influence)

    @property
    def freedom(self) -> int:
        """The degrees of freedom of its error."""
        return (self.n if self.n_known is None else self.n_known) - 1

    @cached_property
    def stderr(self) -> float:
        """The standard error of other samples, by Σ influence² / (n·(n-1)); NaN for fewer than two samples."""
        return _root(variance(self.influence), self.excess)

    @cached_property
    def stderr_both(self) -> float:
        """The standard error of other samples and another draw of the reference; NaN if unknown."""
        if self.reference is None:
            return math.nan
        return _root(variance(self.influence) + variance(self.reference.influence), self.reference.excess)


def variance(influence: Tensor) -> float:
    """The variance of a number by the influence of its samples, (n,); NaN for fewer than two."""
    n = len(influence)
    return float(influence.square().sum() / (n * (n - 1))) if n > 1 else math.nan


def _root(variance: float, excess: float) -> float:
    """The standard error, less an excess that is at most half of the variance, and estimated."""
    return math.sqrt(variance - min(max(excess, 0.0), variance / 2)) if excess == excess else math.sqrt(variance)


def mean(values: Tensor) -> Estimate:
    """The mean of values (n,), with its usual standard error."""
    values = values.detach().cpu().double()
    value = values.mean()
    return Estimate(float(value), values - value)


def mean_of(values: Tensor, is_known: Tensor) -> Estimate:
    """The mean of those of values (n,) that are known, on all n samples: the others have no influence.

    How many are known is no part of the error: it is that of the mean of so many, and NaN of fewer than two.
    """
    if bool(is_known.all()):
        return mean(values)
    known = mean(values[is_known])
    n, m = len(values), known.n
    if m < 2:
        return Estimate(known.value, torch.full((n,), math.nan, dtype=torch.float64), n_known=m)
    influence = torch.zeros(n, dtype=torch.float64)
    influence[is_known.cpu()] = known.influence * math.sqrt(n * (n - 1) / (m * (m - 1)))
    return Estimate(known.value, influence, n_known=m)


def ratio(numerators: Tensor, denominators: Tensor) -> Estimate:
    """The ratio of the means of two quantities of the same samples, (n,) each, by the delta method."""
    _same_length("ratio", len(numerators), len(denominators))
    return quotient(mean(numerators), mean(denominators))


def quotient(a: Estimate, b: Estimate) -> Estimate:
    """The ratio a / b of two estimates on the same codes, in the same order, by the delta method."""
    _same_length("ratio", a.n, b.n)
    value = float(torch.tensor(a.value, dtype=torch.float64) / b.value)  # infinite or NaN where b is 0
    return Estimate(value, (a.influence - value * b.influence) / b.value)


def cosine(products: Tensor, a: Tensor, b: Tensor) -> Estimate:
    """The cosine Σ products / sqrt(Σ a · Σ b) of two long vectors, from each sample's part, (n,) each.

    Args:
        products: of the inner product.
        a: of the squared norm of the one.
        b: of the squared norm of the other; by the delta method.
    """
    _same_length("cosine", len(products), len(a))
    parts = [part.detach().cpu().double() for part in (products, a, b)]
    product, first, second = (part.mean() for part in parts)
    root = (first * second).sqrt()
    value = product / root
    relative = (parts[1] - first) / first + (parts[2] - second) / second
    return Estimate(float(value), (parts[0] - product) / root - value / 2 * relative)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """The difference a - b of two estimates on the same codes, in the same order; what they share cancels.

    So does what both have of one reference.
    """
    _same_length("difference", a.n, b.n)
    draws = [part.reference.influence for part in (a, b) if part.reference is not None]
    draw = ReferenceDraw(draws[0] - draws[1]) if len(draws) == 2 and len(draws[0]) == len(draws[1]) else None
    return Estimate(a.value - b.value, a.influence - b.influence, reference=draw)


def average(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of several estimates on the same codes and from the same reference, if from any."""
    value = sum(part.value for part in estimates) / len(estimates)
    draws = [part.reference.influence for part in estimates if part.reference is not None]
    draw = ReferenceDraw(torch.stack(draws).mean(0)) if len(draws) == len(estimates) else None
    return Estimate(value, torch.stack([part.influence for part in estimates]).mean(0), reference=draw)


def of_first(value: Estimate, n: int) -> Estimate:
    """An estimate on the first of n codes as one on all of them, on which the others have no influence.

    Its standard error is the same.
    """
    m, rest = value.n, value.influence.new_zeros(n - value.n)
    scale = math.sqrt(n * (n - 1) / (m * (m - 1))) if m > 1 else math.nan
    return Estimate(value.value, torch.cat([value.influence * scale, rest]))


def jackknife(value: float, without: Tensor) -> Estimate:
    """The estimate whose samples are groups: `without` (G,) holds the value with each group left out in turn.

    Its standard error is that of the grouped jackknife, sqrt((G-1)/G · Σ (without - mean)²).
    """
    without = without.detach().cpu().double()
    return Estimate(value, (len(without) - 1) * (without.mean() - without))


def _same_length(what: str, a: int, b: int) -> None:
    if a != b:
        raise NavbenchError(f"A {what} needs the same samples twice, and got {a} and {b} of them.")
