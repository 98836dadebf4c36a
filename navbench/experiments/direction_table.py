"""The direction table (Table 1): what every direction of a set does at both ends of its range."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.experiments.edit import Edit, codes_for
from navbench.metrics.perceptual import PerceptualDistance
from navbench.seeds import Role
from navbench.work import pure


@dataclass(frozen=True)
class Screening:
    """Each code's perceptual distance between G(z) and G_t(z), (K, 2, n): of K directions, at t_min and at t_max."""

    effects: Tensor


@pure()
def screen(edits: Sequence[Edit], distance: PerceptualDistance, indices: Sequence[int], seed: int) -> Screening:
    """Measure directions of one space at both ends of their ranges.

    The unshifted images and all work before the shifted layer are shared by the directions.
    """
    first = edits[0]

    @torch.no_grad()
    def work(chunk: Sequence[int]) -> Tensor:
        state = first.state(codes_for(first.space.generator, Role.SCREENING, chunk, seed))
        original = distance.features(first.renderer(state)(0.0))
        return torch.stack([_effects(edit, state, original) for edit in edits])

    def _effects(edit: Edit, state: object, original: Tensor) -> Tensor:
        render, ends = edit.renderer(state), (edit.direction.t_min, edit.direction.t_max)
        return torch.stack([(distance.features(render(t)) - original).square().sum(1).cpu() for t in ends])

    return Screening(torch.cat(list(first.compute.over(indices, work)), dim=2))
