"""The direction table (Table 1): what every direction of a set does at both ends of its range."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.experiments.edit import Edit, codes_for
from navbench.metrics.perceptual import PerceptualDistance


@dataclass(frozen=True)
class Screening:
    """Each code's perceptual distance between G(z) and G_t(z), (2, n): at t_min and at t_max."""

    effects: Tensor


def screen(edit: Edit, distance: PerceptualDistance, rows: Sequence[int], seed: int) -> Screening:
    """Measure a direction at both ends of its range."""
    direction, generator = edit.direction, edit.space.generator

    @torch.no_grad()
    def work(chunk: Sequence[int]) -> Tensor:
        render = edit.prepare(codes_for(generator, "screening", chunk, seed))
        original = distance.features(render(0.0))
        ends = (distance.features(render(t)) - original for t in (direction.t_min, direction.t_max))
        return torch.stack([change.square().sum(1) for change in ends]).cpu()

    return Screening(torch.cat(list(edit.compute.over(rows, work)), dim=1))
