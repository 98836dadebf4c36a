"""The kernel distance: the squared maximum mean discrepancy of features under a cubic kernel.

    k(x, y) = (x·y / D + 1)³                                               (Bińkowski et al., ICLR 2018)

The unbiased estimator is taken over all pairs of samples, a U-statistic, where the KID of the paper averages
it over random subsets: same expectation, no randomness, less variance.
"""

import torch
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.metrics.estimate import Estimate


class KernelReference:
    """What kernel distances are measured against; its own term is computed once."""

    def __init__(self, features: Tensor, block: int = 1024) -> None:
        """Keep features (m, D), m at least 2, as float64 on their device.

        `block` rows of a kernel matrix are in memory at once; it changes no result.
        """
        self.features = _checked(features)
        self._block = block
        self._own = float(_mean_of_others(self.features, block).mean())

    @property
    def n(self) -> int:
        """The number of samples of the reference."""
        return len(self.features)

    def distance(self, features: Tensor) -> float:
        """The squared MMD of features (n, D), n at least 2; it may be negative, for it is unbiased."""
        return self.estimate(features).value

    def estimate(self, features: Tensor) -> Estimate:
        """The squared MMD of features (n, D) and the influence of each.

        The influence is the first-order projection of the U-statistic: twice how much a sample's mean kernel
        with the other samples, less its mean kernel with the reference, is above the average.
        """
        if features.shape[1:] != self.features.shape[1:]:
            raise NavbenchError(
                f"Features of {features.shape[1]} dimensions cannot be compared with a reference of "
                f"{self.features.shape[1]}; use one extractor for both."
            )
        x = _checked(features).to(self.features)
        among = _mean_of_others(x, self._block)
        across = torch.cat([_kernel(rows, self.features).mean(dim=1) for rows in x.split(self._block)])
        value = among.mean() + self._own - 2 * across.mean()
        projection = 2 * (among - across)
        return Estimate(float(value), (projection - projection.mean()).cpu())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _mean_of_others(x: Tensor, block: int) -> Tensor:
    """For each sample of x (n, D), the mean of its kernel with the other n - 1."""
    with_itself = (x.square().sum(dim=1) / x.shape[1] + 1) ** 3
    sums = torch.cat([_kernel(rows, x).sum(dim=1) for rows in x.split(block)])
    return (sums - with_itself) / (len(x) - 1)


def _checked(features: Tensor) -> Tensor:
    if len(features) < 2:
        raise NavbenchError(f"A kernel distance needs at least two samples, and there are {len(features)}.")
    return features.detach().double()
