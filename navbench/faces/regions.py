"""Regions of a face as polygons of landmarks, and polygons as masks."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Landmarks by MediaPipe's numbers; left and right are those of the image.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The outline of the face, from the middle of the forehead."""
LEFT_EYE = (130, 247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25)
RIGHT_EYE = (359, 467, 260, 259, 257, 258, 286, 414, 463, 341, 256, 252, 253, 254, 339, 255)
"""Around the lids, from the outer corner over the upper lid."""
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""Around both lips, from the left corner."""
NOSE = (168, 193, 245, 188, 174, 217, 126, 142, 129, 98, 97, 2, 326, 327, 358, 371, 355, 437, 399, 412, 465, 417)
"""From the root along the left flank and wing to the base, and back along the right."""


def inside(polygons: Tensor, height: int, width: int) -> Tensor:
    """Masks (N, height, width) in [0, 1] of polygons (N, P, 2), P corners of x and y in pixels each, in any order.

    A pixel counts as inside by its centre, by the even-odd rule; within half a pixel of an edge by its share.
    """
    y, x = torch.meshgrid(_centres(height, polygons), _centres(width, polygons), indexing="ij")
    points = torch.stack([x, y], dim=-1).view(1, -1, 2)
    distance = torch.full((len(polygons), points.shape[1]), torch.inf, device=polygons.device)
    crossings = torch.zeros_like(distance, dtype=torch.bool)
    for start, end in zip(polygons.unbind(1), polygons.roll(-1, dims=1).unbind(1), strict=True):
        start, edge = start[:, None], (end - start)[:, None]
        offset = points - start
        along = ((offset * edge).sum(-1) / edge.square().sum(-1).clamp_min(1e-12)).clamp(0, 1)
        distance = torch.minimum(distance, (offset - along[..., None] * edge).square().sum(-1))
        # The ray from a point to the right crosses the edge: it is between the ends' heights, and left of the edge.
        between = (offset[..., 1] < 0) != (offset[..., 1] < edge[..., 1])
        left = (offset[..., 0] * edge[..., 1] < offset[..., 1] * edge[..., 0]) == (edge[..., 1] > 0)
        crossings ^= between & left
    signed = torch.where(crossings, distance.sqrt(), -distance.sqrt())
    return (signed + 0.5).clamp(0, 1).view(-1, height, width)


def _centres(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, device=like.device, dtype=like.dtype) + 0.5


def parts(landmarks: Tensor, height: int, width: int) -> Tensor:
    """Masks (N, 5, height, width) of eyes, nose, mouth, skin and the rest, which sum to 1.

    Args:
        landmarks: (N, 468, 3), in pixels.
        height, width: of the masks, in the same pixels.
    """

    def mask(outline: Sequence[int]) -> Tensor:
        return inside(landmarks[:, list(outline), :2], height, width)

    left = mask(OVAL)
    regions = []
    for region in (torch.maximum(mask(LEFT_EYE), mask(RIGHT_EYE)), mask(NOSE), mask(LIPS), torch.ones_like(left)):
        regions.append(left * region)
        left = left - regions[-1]
    skin = regions[-1]
    return torch.stack([*regions[:-1], skin, 1 - torch.stack(regions).sum(0)], dim=1)
