"""What directions do to the attributes of images, as a scorer reads them along their shifts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from navbench.experiments.edit import Edit, codes_for
from navbench.metrics.attributes import Scores
from navbench.seeds import Role
from navbench.work import pure


@dataclass(frozen=True)
class Readings:
    """Scores (K, T, n, A) of each code's image, of K directions at T shifts each."""

    scores: Tensor


@pure()
def readings(edits: Sequence[Edit], points: int, indices: Sequence[int], seed: int, scorer: Scores) -> Readings:
    """Read the attributes of codes number `indices` at `points` shifts of each of some directions of one space.

    The unshifted images and all work before the shifted layer are shared by the directions.
    """
    first = edits[0]

    def work(chunk: Sequence[int]) -> Tensor:
        state = first.state(codes_for(first.space.generator, Role.ATTRIBUTES, chunk, seed))
        unshifted = scorer(first.renderer(state)(0.0)).cpu()
        return torch.stack([_along(edit, state, unshifted) for edit in edits])

    def _along(edit: Edit, state: Any, unshifted: Tensor) -> Tensor:
        render, shifts = edit.renderer(state), edit.direction.shifts(points).tolist()
        return torch.stack([scorer(render(t)).cpu() if t else unshifted for t in shifts])

    return Readings(torch.cat(list(first.compute.over(indices, work)), dim=2))
