"""Pixel-difference heatmaps (section 4.6, Figure 12): E over z and t of ||G_t(z) - G(z)||^2 per pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from navbench.experiments.edit import Edit, codes_for


@dataclass(frozen=True)
class Heat:
    """What one group of codes gives to a heatmap.

    Attributes:
        change: (H, W), float64, summed over codes and shifts: the squared difference, summed over channels.
        image: (3, H, W), float64, the sum of the unshifted images.
        count: (2,): over how many shifted and how many unshifted images the sums go.
    """

    change: Tensor
    image: Tensor
    count: Tensor


def heat(edit: Edit, shifts: Sequence[float], rows: Sequence[int], seed: int) -> Heat:
    """Sums over one group of codes and a uniform grid of shifts; images are not quantised."""
    generator = edit.space.generator

    def work(chunk: Sequence[int]) -> tuple[Tensor, Tensor]:
        render = edit.prepare(codes_for(generator, "locality", chunk, seed))
        original = render(0.0).double()
        change = torch.zeros_like(original[0, 0])
        for t in shifts:
            change += (render(t).double() - original).square().sum(dim=(0, 1))
        return change.cpu(), original.sum(dim=0).cpu()

    change, image = zip(*edit.compute.over(rows, work), strict=True)
    count = torch.tensor([len(rows) * len(shifts), len(rows)], dtype=torch.float64)
    return Heat(torch.stack(change).sum(0), torch.stack(image).sum(0), count)


def groups(codes: int, count: int = 10) -> list[range]:
    """Contiguous groups of codes of nearly equal size, over which locality is jackknifed."""
    count = min(count, codes)
    edges = [codes * group // count for group in range(count + 1)]
    return [range(low, high) for low, high in pairwise(edges)]
