"""What a direction does to the attributes of images, as a scorer reads them along its shifts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.experiments.edit import Edit, codes_for
from navbench.metrics.attributes import Scores


@dataclass(frozen=True)
class Readings:
    """Scores (T, n, A) of each code's image at each shift."""

    scores: Tensor


def readings(edit: Edit, shifts: Sequence[float], rows: Sequence[int], seed: int, scorer: Scores) -> Readings:
    """Read the attributes of codes number `rows` at each shift, in one pass over the images."""

    def work(chunk: Sequence[int]) -> Tensor:
        render = edit.prepare(codes_for(edit.space.generator, "attributes", chunk, seed))
        return torch.stack([scorer(render(t)).cpu() for t in shifts])

    return Readings(torch.cat(list(edit.compute.over(rows, work)), dim=1))
