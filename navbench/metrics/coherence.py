"""Whether a direction does the same thing everywhere: how alike the changes are that it makes to different codes."""

import math

import torch
from torch import Tensor

from navbench.metrics.estimate import Estimate


def coherence(changes: Tensor) -> Estimate:
    """The mean cosine of the changes (n, D) of two different codes: 1 if all are alike, 0 if they are unrelated.

    The idea of consistent directions of Spingarn-Eliezer, Banner and Michaeli (ICLR 2021), as a number: over all pairs
    of codes, a U-statistic, so unbiased at any n, with the influence of each code; NaN for a single code. A code that
    does not change agrees with none.
    """
    if len(changes) < 2:
        return Estimate(math.nan, torch.zeros(len(changes), dtype=torch.float64))
    changes = changes.detach().double().cpu()
    norms = changes.norm(dim=1, keepdim=True)
    unit = torch.where(norms > 0, changes / norms.clamp_min(torch.finfo(norms.dtype).tiny), 0.0)
    others = unit.sum(0) - unit
    agreement = (unit * others).sum(1) / (len(unit) - 1)
    value = agreement.mean()
    return Estimate(float(value), 2 * (agreement - value))
