"""The kernel distance: the squared maximum mean discrepancy of features under a cubic kernel.

    k(x, y) = (x·y / D + 1)³                                               (Bińkowski et al., ICLR 2018)

The unbiased estimator is taken over all pairs of samples, a U-statistic, where the KID of the paper averages
it over random subsets: same expectation, no randomness, less variance.

Its variance has terms of two orders (Hoeffding, 1948).  Those of the first vanish where both distributions are one,
and those of the second remain, with v the variance of the doubly centred kernel of a kind of pairs:

    2 v_xx / n(n-1)  +  2 v_yy / m(m-1)  +  4 v_xy / nm       (Bounliphone et al., ICLR 2016; Sutherland et al., 2017)
"""

from dataclasses import dataclass

from torch import Tensor

from navbench.metrics.estimate import Estimate, ReferenceDraw


@dataclass(frozen=True, eq=False)
class Among:
    """The kernels of all pairs of different samples of a set.

    Attributes:
        means: (n,), float64, each sample's mean kernel with the others.
        square: (), the mean of the squared kernel.
    """

    means: Tensor
    square: Tensor

    @property
    def variance(self) -> float:
        """v of the doubly centred kernel, unbiased (Székely & Rizzo, 2014, for distances); NaN below four samples."""
        n = len(self.means)
        if n < 4:
            return float("nan")
        sums = self.means.mean(), self.means.square().mean()
        factor = (n - 1) / (n - 3)
        return float(factor * (self.square - 2 * (n - 1) / (n - 2) * sums[1] + n / (n - 2) * sums[0].square()))


@dataclass(frozen=True, eq=False)
class Across:
    """The kernels of all samples with all of a reference.

    Attributes:
        means: (n,), float64, each sample's mean kernel with the reference.
        reference_means: (m,), of each of the reference with the samples.
        square: (), the mean of the squared kernel.
    """

    means: Tensor
    reference_means: Tensor
    square: Tensor

    @property
    def variance(self) -> float:
        """v of the doubly centred kernel, unbiased."""
        n, m = len(self.means), len(self.reference_means)
        both = self.means.square().mean() + self.reference_means.square().mean()
        return float((self.square - both + self.means.mean().square()) * n * m / ((n - 1) * (m - 1)))


def cubic(products: Tensor, x_terms: Tensor, y_terms: Tensor, dimensions: int) -> Tensor:
    """The kernel of all pairs, (n, m), in the place of their products.

    Args:
        products: (n, m), of samples less a common centre c.
        x_terms: (n,), (x - c)·c.
        y_terms: (m,), y·c, which makes the products those of the samples themselves.
        dimensions: D.
    """
    return products.add_(x_terms[:, None]).add_(y_terms).div_(dimensions).add_(1).pow_(3)


def kernel_distance(samples: Among, across: Across, reference: Among) -> Estimate:
    """The squared MMD and the influence of each sample; it may be negative, for it is unbiased.

    The influence is the first-order projection of the U-statistic: twice how much a sample's mean kernel with the
    others of its set, less its mean kernel with the other set, is above the average.
    """
    value = samples.means.mean() + reference.means.mean() - 2 * across.means.mean()
    projection = 2 * (samples.means - across.means)
    opposite = 2 * (reference.means - across.reference_means)
    n, m = len(projection), len(opposite)
    of_samples, of_reference = 2 * samples.variance / (n * (n - 1)), 2 * reference.variance / (m * (m - 1))
    excess = of_samples + of_reference + 4 * across.variance / (n * m)
    draw = ReferenceDraw((opposite - opposite.mean()).cpu(), excess)
    return Estimate(float(value), (projection - projection.mean()).cpu(), of_samples, draw)
