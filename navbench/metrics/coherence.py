"""Whether a direction does the same thing everywhere: how alike the changes are that it makes to different codes."""

import math

import torch
from torch import Tensor

from navbench.metrics.estimate import Estimate
from navbench.metrics.parts import Parts


def coherence(changes: Tensor) -> Estimate:
    """The coherence of changes (n, D), see `coherence_of`."""
    return coherence_of(Parts.of(changes))


def coherence_of(changes: Parts) -> Estimate:
    """The mean cosine of the changes (n, D) of two different codes: 1 if all are alike, 0 if they are unrelated.

    The idea of consistent directions of Spingarn-Eliezer, Banner and Michaeli (ICLR 2021), as a number: over all pairs
    of codes, a U-statistic, so unbiased at any n, with the influence of each code; NaN for a single code. A code that
    does not change agrees with none. The changes are read twice.
    """
    if len(changes) < 2:
        return Estimate(math.nan, torch.zeros(len(changes), dtype=torch.float64))
    total, agreement = torch.zeros(changes.dimensions).double(), torch.empty(len(changes)).double()
    for unit in map(_unit, changes):
        total += unit.sum(0)
    for unit, of_part in zip(map(_unit, changes), agreement.split(changes.sizes), strict=True):
        of_part.copy_((unit * (total - unit)).sum(1) / (len(changes) - 1))
    value = agreement.mean()
    return Estimate(float(value), 2 * (agreement - value))


def _unit(changes: Tensor) -> Tensor:
    """The changes at unit norm, float64; 0 of those that are 0."""
    changes = changes.detach().cpu().double()
    norms = changes.norm(dim=1, keepdim=True)
    return torch.where(norms > 0, changes / norms.clamp_min(torch.finfo(norms.dtype).tiny), 0.0)
