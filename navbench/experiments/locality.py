"""Pixel-difference heatmaps (section 4.6, Figures 12 and 13): ||G_t(z) - G(z)||^2 per pixel, over z and t, or t."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.strips import to_bytes
from navbench.seeds import Role
from navbench.work import pure

EXAMPLES = 1
"""Of how many codes the single images are kept; a run folder holds them for every direction."""


@dataclass(frozen=True)
class Heat:
    """What one group of codes gives to a heatmap.

    Attributes:
        change: (H, W), float64, summed over codes and shifts: the squared difference, summed over channels.
        image: (3, H, W), float64, the sum of the unshifted images.
        count: (2,): over how many shifted and how many unshifted images the sums go.
        totals: (n,), of each code the squared difference, summed over shifts, channels and pixels.
        regions: (n, R), the part of that on each region; areas: (n, R), the share of the unshifted image that it has.
        examples: (r, 2, 3, H, W), uint8, of the codes below `EXAMPLES` the unshifted image and that at the last shift.
        example_changes: (r, H, W), float32, of the same codes the squared difference, averaged over shifts (Figure 13).
    """

    change: Tensor
    image: Tensor
    count: Tensor
    totals: Tensor
    regions: Tensor
    areas: Tensor
    examples: Tensor
    example_changes: Tensor


@pure()
def heat(
    edit: Edit,
    shifts: Sequence[float],
    indices: Sequence[int],
    seed: int,
    segment: Callable[[Tensor], Tensor] | None = None,
) -> Heat:
    """Sums over one group of codes and a uniform grid of shifts; images are not quantised.

    Args:
        edit: the direction.
        shifts: the grid.
        indices: the codes.
        seed: of the run.
        segment: from images to masks of regions (N, R, H, W). A change lies on a region as far as its pixels were of
            it before and are of it after, in the mean of both: a wheel that grows changes what was ground.
    """
    generator = edit.space.generator

    def work(chunk: Sequence[int]) -> tuple[Tensor, ...]:
        render = edit.prepare(codes_for(generator, Role.LOCALITY, chunk, seed))
        unshifted = render(0.0)
        before = _masks(segment, unshifted)
        original = unshifted.double()
        change = torch.zeros_like(original[0, 0])
        regions = torch.zeros_like(before[:, :, 0, 0])
        totals = torch.zeros_like(original[:, 0, 0, 0])
        shown = sum(row < EXAMPLES for row in chunk)
        single = torch.zeros_like(original[:shown, 0])
        images = unshifted
        for t in shifts:
            images = render(t)
            squared = (images.double() - original).square().sum(dim=1)  # (N, H, W)
            single += squared[:shown] / len(shifts)
            change += squared.sum(dim=0)
            totals += squared.sum(dim=(1, 2))
            if segment is not None:
                masks = (before + _masks(segment, images)) / 2
                regions += (masks * squared[:, None]).sum(dim=(2, 3))
        examples = torch.stack([to_bytes(unshifted[:shown]), to_bytes(images[:shown])], dim=1)
        per_code = (totals, regions, before.mean(dim=(2, 3)), examples, single.float())
        return tuple(each.cpu() for each in (change, original.sum(dim=0), *per_code))

    change, image, *per_code = zip(*edit.compute.over(indices, work), strict=True)
    count = torch.tensor([len(indices) * len(shifts), len(indices)], dtype=torch.float64)
    return Heat(torch.stack(change).sum(0), torch.stack(image).sum(0), count, *map(torch.cat, per_code))


def _masks(segment: Callable[[Tensor], Tensor] | None, images: Tensor) -> Tensor:
    """The masks of images in float64; of no region where there is no segmentation."""
    if segment is None:
        return torch.zeros(len(images), 0, *images.shape[2:], dtype=torch.float64, device=images.device)
    return segment(images).double()


def groups(codes: int, count: int = 10) -> list[range]:
    """Contiguous groups of codes of nearly equal size, over which locality is jackknifed."""
    count = min(count, codes)
    edges = [codes * group // count for group in range(count + 1)]
    return [range(low, high) for low, high in pairwise(edges)]
