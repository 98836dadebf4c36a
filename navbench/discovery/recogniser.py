"""Whether a plain recogniser tells directions apart at equal effect: the nearest class mean of pooled differences.

It has no training that could be blamed or saturate, as a network's does, and knows no direction by the size of its
effect, as each is shown at the ends of its calibrated range.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench import seeds
from navbench.basis import Basis
from navbench.compute import Compute, doubled
from navbench.costs import Rehearsed, preparing, rehearses, rendering
from navbench.metrics.recognition import nearest_mean
from navbench.spaces import Space
from navbench.work import pure

SIDE = 8
"""Differences are averaged down to this side: what remains is where and in which colour an edit changes an image."""


@dataclass(frozen=True)
class Named:
    """What the recogniser made of edits.

    Attributes:
        shares: (N,), float64, of the edits of each held-out code the share whose direction is named rightly.
    """

    shares: Tensor


@pure()
def name_edits(
    space: Space, basis: Basis, coefficients: Tensor, t_min: Tensor, t_max: Tensor,
    codes: int, compute: Compute, seed: int,
) -> Named:  # fmt: skip
    """Name the directions of rows (K, B) at both ends of their ranges, by class means over as many other codes.

    Both ends of a direction are classes of their own; an edit is named rightly by either of its direction.
    """
    ends = torch.stack([t_min, t_max], dim=1).flatten()  # (2K,)
    offsets = ends[:, None] * coefficients.repeat_interleave(2, dim=0)

    @torch.no_grad()
    def differences(indices: Sequence[int]) -> Tensor:
        batch = space.generator.sample(indices, seeds.derived(seed, "recogniser"))
        with compute.autocast():
            state = space.prepare(batch)
            original = space.render(state, torch.zeros(space.shape, device=compute.device)).float()
            pooled = []
            for row in offsets:
                images = space.render(state, basis.combine(row[None].to(compute.device))[0])
                pooled.append(F.adaptive_avg_pool2d(images.float() - original, SIDE).flatten(1).cpu())
        return torch.stack(pooled)

    seen = torch.cat(list(compute.over(range(2 * codes), differences)), dim=1)  # (2K, 2N, D)
    named = nearest_mean(seen[:, :codes], seen[:, codes:]) // 2
    right = named == torch.arange(len(ends))[:, None] // 2
    return Named(doubled(right).mean(0))


@rehearses(name_edits)
def _name_edits_rehearsed(
    space: Space, basis: Basis, coefficients: Tensor, t_min: Tensor, t_max: Tensor,
    codes: int, compute: Compute, seed: int,
) -> Rehearsed[Named]:  # fmt: skip
    """Nobody is recognised."""
    images = 2 * codes * (2 * len(coefficients) + 1)
    costs = {preparing(space, compute): 2 * codes, rendering(space, compute): images}
    return Rehearsed(Named(torch.zeros(codes, dtype=torch.float64)), costs)
