"""What directions of a layer change (Figure 20, section 6.2): at which scale, geometry or colour, and how locally."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.locality import groups
from navbench.metrics.change import geometry_and_colour, scale_energies
from navbench.seeds import Role
from navbench.work import pure


@dataclass(frozen=True)
class Changes:
    """The changes that one direction makes at both ends of its range; squared, summed over both ends.

    Attributes:
        scales: (n, 3), float64, of each code the change at each of `SCALES`.
        kinds: (n, 2), of each code the change of geometry and of colour.
        heat: (G, H, W), summed over each group of codes and over channels; counts: (G,), over how many images.
    """

    scales: Tensor
    kinds: Tensor
    heat: Tensor
    counts: Tensor


@pure()
def changes(edit: Edit, samples: int, seed: int) -> Changes:
    """What a direction changes in the images of `samples` codes; the same codes for every layer."""

    def work(indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        render = edit.prepare(codes_for(edit.space.generator, Role.SURVEY, indices, seed))
        before = render(0.0)
        ends = [render(edit.direction.t_min), render(edit.direction.t_max)]
        scales = sum(scale_energies(before, after) for after in ends)
        kinds = sum(geometry_and_colour(before, after) for after in ends)
        heat = sum((after.double() - before.double()).square().sum(dim=(0, 1)) for after in ends)
        return tuple(each.cpu() for each in (scales, kinds, heat))  # type: ignore[union-attr,return-value]

    parts, heats = [], []
    for group in groups(samples):
        *own, heat = zip(*edit.compute.over(group, work), strict=True)
        parts.append([torch.cat(each) for each in own])
        heats.append(torch.stack(heat).sum(0))
    scales, kinds = (torch.cat(each) for each in zip(*parts, strict=True))
    counts = torch.tensor([2 * len(group) for group in groups(samples)], dtype=torch.float64)
    return Changes(scales, kinds, torch.stack(heats), counts)
