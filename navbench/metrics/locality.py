"""Locality: how concentrated the change is that an edit makes to the pixels."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate


@dataclass(frozen=True)
class Concentration:
    """How concentrated a heatmap of change is; an edit that changes nothing has mean_change 0 and NaN shares.

    Attributes:
        area50: smallest share of the pixels that holds half of the change; 0.5 if it is even.
        area90: the same for nine tenths; 0.9 if it is even.
        participation: (Σh)² / (HW Σh²): 1 if the change is even, 1/HW if it is in one pixel.
        entropy_area: exp(entropy) / HW: likewise.
        mean_change: mean of the heatmap.
    """

    area50: float
    area90: float
    participation: float
    entropy_area: float
    mean_change: float


def concentration(heatmap: Tensor) -> Concentration:
    """Summarise a heatmap (H, W) of non-negative squared change, which only `mean_change` takes the scale of.

    Raises:
        NavbenchError: the heatmap has a negative, infinite or NaN value.
    """
    h = heatmap.detach().double().flatten().sort(descending=True).values
    if not (torch.isfinite(h).all() and (h >= 0).all()):
        raise NavbenchError("A heatmap of squared change has negative or infinite values; check the images.")
    total = h.sum()
    if total == 0:
        nan = float("nan")
        return Concentration(nan, nan, nan, nan, mean_change=0.0)
    share = h / total
    return Concentration(
        area50=_area(share, 0.5),
        area90=_area(share, 0.9),
        participation=float(1 / share.square().sum() / len(h)),
        entropy_area=float(torch.special.entr(share).sum().exp() / len(h)),
        mean_change=float(total / len(h)),
    )


def locality(sums: Tensor, counts: Tensor) -> dict[str, Estimate]:
    """Estimate every number of `Concentration`, by its name, with a jackknife over groups of codes.

    Args:
        sums: (G, H, W), G at least 2: per group of codes, the sum over its images of the squared change,
            itself summed over channels, of images in [-1, 1].
        counts: (G,), how many images each sum is over; close to equal.

    Returns:
        Estimates whose samples are the groups; `stderr` is NaN where the change is in a single group.
    """
    if len(sums) < 2 or len(sums) != len(counts):
        raise NavbenchError(
            f"Locality needs at least two groups of codes and a count for each, and got {len(sums)} and "
            f"{len(counts)}; use more codes."
        )
    sums, counts = sums.detach().double(), counts.to(sums.device)
    total, images = sums.sum(dim=0), counts.sum()
    whole = asdict(concentration(total / images))
    # A difference of sums may fall below zero by rounding where all other groups are zero.
    others = (total - sums).clamp_min(0) / (images - counts).reshape(-1, 1, 1)
    without = [asdict(concentration(heatmap)) for heatmap in others]
    return {
        name: estimate.jackknife(value, torch.tensor([part[name] for part in without], dtype=torch.float64))
        for name, value in whole.items()
    }


def _area(share: Tensor, part: float) -> float:
    """The share of pixels that holds a part of the change, from shares in descending order that sum to 1."""
    upto = share.cumsum(0)
    last = min(int(torch.searchsorted(upto, part)), len(share) - 1)
    before = float(upto[last - 1]) if last else 0.0
    return (last + (part - before) / float(share[last])) / len(share)
