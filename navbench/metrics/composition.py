"""Whether two edits add up."""

import torch
from torch import Tensor

from navbench.compute import doubled
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate


def interaction_parts(one: Tensor, other: Tensor, both: Tensor) -> Tensor:
    """(n, 2): of each sample |d_ab - d_a - d_b|² and |d_ab|², from changes (n, ...) by either edit and by both."""
    rest, whole = doubled((both - one - other).flatten(1)), doubled(both.flatten(1))
    return torch.stack([rest.square().sum(1), whole.square().sum(1)], dim=1)


def relative_interaction(parts: Tensor) -> Estimate:
    """The mean of |d_ab - d_a - d_b|² over that of |d_ab|²: 0 if two edits add up.

    1 if the rest is as large as the change of both together; where nothing changes it is NaN.

    Args:
        parts: (n, 2), of `interaction_parts`.
    """
    return estimate.ratio(parts[:, 0], parts[:, 1])
