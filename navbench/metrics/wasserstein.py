"""How far one sample of numbers must be moved to become another: the Wasserstein-1 distance, on a line or a circle."""

import torch
from torch import Tensor

from navbench.errors import NavbenchError


def wasserstein(x: Tensor, y: Tensor, period: float | None = None) -> float:
    """The Wasserstein-1 distance of samples x (n,) and y (m,), in their unit.

    On a line it is the integral of |F - G|, F and G being the two distribution functions; on a circle of that
    period the integral of |F - G - a| for the best constant a, a median (Rabin, Delon & Gousseau, 2011).
    """
    x, y = (values.detach().double().flatten() for values in (x, y))
    if not (len(x) and len(y) and torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise NavbenchError("A distance between distributions needs finite samples of both.")
    if period is not None:
        x, y = x.remainder(period), y.remainder(period)
    places, order = torch.cat([x, y]).sort()
    steps = torch.cat([torch.full_like(x, 1 / len(x)), torch.full_like(y, -1 / len(y))])[order]
    gap, width = steps.cumsum(0), places.diff()  # F - G behind each place, and how far that holds
    if period is None:
        return float((gap[:-1].abs() * width).sum())
    width = torch.cat([width, places[:1] + period - places[-1:]])  # around, to the first place again
    return float(((gap - _weighted_median(gap, width)).abs() * width).sum())


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    values, order = values.sort()
    total = weights[order].cumsum(0)
    return values[int((total < total[-1] / 2).sum())]
