"""The kernel distance: the squared maximum mean discrepancy of features under a cubic kernel.

    k(x, y) = (x·y / D + 1)³                                               (Bińkowski et al., ICLR 2018)

The unbiased estimator is taken over all pairs of samples, a U-statistic, where the KID of the paper averages
it over random subsets: same expectation, no randomness, less variance.
"""

from torch import Tensor

from navbench.metrics.estimate import Estimate


def cubic(products: Tensor, x_terms: Tensor, y_terms: Tensor, dimensions: int) -> Tensor:
    """The kernel of all pairs, (n, m), in the place of their products.

    Args:
        products: (n, m), of samples less a common centre c.
        x_terms: (n,), (x - c)·c.
        y_terms: (m,), y·c, which makes the products those of the samples themselves.
        dimensions: D.
    """
    return products.add_(x_terms[:, None]).add_(y_terms).div_(dimensions).add_(1).pow_(3)


def kernel_distance(among: Tensor, across: Tensor, own: float) -> Estimate:
    """The squared MMD and the influence of each sample; it may be negative, for it is unbiased.

    The influence is the first-order projection of the U-statistic: twice how much a sample's mean kernel
    with the other samples, less its mean kernel with the reference, is above the average.

    Args:
        among: (n,), each sample's mean kernel with the other samples.
        across: (n,), the same with the reference's.
        own: the mean kernel of two of the reference's.
    """
    value = among.mean() + own - 2 * across.mean()
    projection = 2 * (among - across)
    return Estimate(float(value), (projection - projection.mean()).cpu())
