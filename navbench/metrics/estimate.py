"""The one notion of uncertainty: a value, and how much each sample moved it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from navbench.errors import NavbenchError


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number estimated from n samples, with the influence of each of them.

    The influence of sample i is the derivative of the value with respect to its share of the weight (the
    infinitesimal jackknife of Jaeckel, 1972; of mean zero): for a mean, the sample less the mean.  It is
    exact, so an uncertainty depends neither on shards nor on batches, and two estimates on the same codes can
    be subtracted sample by sample.  What a distance is measured against is held fixed: the uncertainty is
    that of the samples alone.

    Attributes:
        value: the number itself.
        influence: (n,), float64, on the CPU.
    """

    value: float
    influence: Tensor

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.influence)

    @cached_property
    def stderr(self) -> float:
        """The standard error, sqrt(Σ influence² / (n·(n-1))); NaN for fewer than two samples."""
        if self.n < 2:
            return float("nan")
        return float((self.influence.square().sum() / (self.n * (self.n - 1))).sqrt())


def mean(values: Tensor) -> Estimate:
    """The mean of values (n,), with its usual standard error."""
    values = values.detach().double().cpu()
    value = values.mean()
    return Estimate(float(value), values - value)


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
    parts = [part.detach().double().cpu() for part in (products, a, b)]
    product, first, second = (part.mean() for part in parts)
    root = (first * second).sqrt()
    value = product / root
    relative = (parts[1] - first) / first + (parts[2] - second) / second
    return Estimate(float(value), (parts[0] - product) / root - value / 2 * relative)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """The difference a - b of two estimates on the same codes, in the same order; what they share cancels."""
    _same_length("difference", a.n, b.n)
    return Estimate(a.value - b.value, a.influence - b.influence)


def average(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of several estimates on the same codes; its uncertainty is that of the codes alone."""
    value = sum(part.value for part in estimates) / len(estimates)
    return Estimate(value, torch.stack([part.influence for part in estimates]).mean(0))


def of_first(value: Estimate, n: int) -> Estimate:
    """An estimate on the first of n codes as one on all of them, on which the others have no influence."""
    rest = value.influence.new_zeros(n - value.n)
    return Estimate(value.value, torch.cat([value.influence * (n / value.n), rest]))


def jackknife(value: float, without: Tensor) -> Estimate:
    """The estimate whose samples are groups: `without` (G,) holds the value with each group left out in turn.

    Its standard error is that of the grouped jackknife, sqrt((G-1)/G · Σ (without - mean)²).
    """
    without = without.detach().double().cpu()
    return Estimate(value, (len(without) - 1) * (without.mean() - without))


def _same_length(what: str, a: int, b: int) -> None:
    if a != b:
        raise NavbenchError(f"A {what} needs the same samples twice, and got {a} and {b} of them.")
