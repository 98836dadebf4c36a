"""Whether an edit is steady along t, or jumps."""

from collections.abc import Sequence

import torch
from torch import Tensor


def path_speed_cv(steps: Tensor, shifts: Sequence[float]) -> Tensor:
    """How much the speed of images varies along t, of each code, (m,): 0 if it is steady.

    Perceptual path regularity: the speed between neighbouring shifts is the root of their perceptual distance, which is
    squared, over their difference, as in the perceptual path length of StyleGAN (Karras et al., CVPR 2019, section
    4.1); what is returned is its standard deviation along t over its mean. NaN for a code that does not change.

    Args:
        steps: (T - 1, m), perceptual distances between the images of a code at neighbouring shifts.
        shifts: T of them, ascending.
    """
    gaps = torch.tensor(shifts, dtype=torch.float64).diff()[:, None]
    speeds = steps.double().clamp_min(0).sqrt() / gaps
    # of the whole path, so a long gap counts by its length
    weights = gaps / gaps.sum()
    mean = (weights * speeds).sum(0)
    return (weights * (speeds - mean).square()).sum(0).sqrt() / mean
