"""Faces with one feature changed by a known amount: smooth warps of an image about some landmarks."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench.faces.geometry import (
    BROWS,
    INNER_LIPS,
    LEFT_EYE_CORNERS,
    LIDS,
    MOUTH_CORNERS,
    NOSE_BASE,
    RIGHT_EYE_CORNERS,
)

_ROUNDS = 8
"""Steps of the fixed point that inverts a warp, which contracts: reaches are several times as long as steps."""


@dataclass(frozen=True)
class Warp:
    """What moves where; lengths in distances between the centres of the eyes.

    Attributes:
        centres: groups of landmarks, about whose means the image moves.
        steps: how far it moves there, along the line from the left to the right eye, and down the face.
        reach: the standard deviation of the Gaussian by which that fades.
    """

    centres: tuple[tuple[int, ...], ...]
    steps: tuple[tuple[float, float], ...]
    reach: float

    def moved(self, points: Tensor, landmarks: Tensor) -> Tensor:
        """Points (N, P, 2) of images, in pixels, where the warp moves them; landmarks (N, 468, 3) are the faces'."""
        return points + self._field(points, landmarks)

    def applied(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """Images (N, 3, H, W) in which the faces with these landmarks are warped."""
        height, width = images.shape[2:]
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        targets = torch.stack([x, y], dim=-1).view(1, -1, 2).expand(len(images), -1, -1)
        sources = targets
        for _ in range(_ROUNDS):
            sources = targets - self._field(sources, landmarks)
        grid = (2 * sources / sources.new_tensor([width, height]) - 1).view(-1, height, width, 2)
        return F.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(-1, 1)

    def _field(self, points: Tensor, landmarks: Tensor) -> Tensor:
        def middle(group: tuple[int, ...]) -> Tensor:
            return landmarks[:, list(group), :2].mean(1, keepdim=True)

        across = middle(RIGHT_EYE_CORNERS) - middle(LEFT_EYE_CORNERS)  # (N, 1, 2)
        down = torch.stack([-across[..., 1], across[..., 0]], dim=-1)
        field = torch.zeros_like(points)
        for group, (right, below) in zip(self.centres, self.steps, strict=True):
            away = (points - middle(group)).square().sum(-1) / across.square().sum(-1)
            field = field + torch.exp(-away / (2 * self.reach**2))[..., None] * (right * across + below * down)
        return field


_APART = ((-0.06, 0.0), (0.06, 0.0))
_UPPER, _LOWER = zip(*LIDS, strict=True)
WARPS: Mapping[str, Warp] = {
    "eye opening": Warp((_UPPER[:3], _LOWER[:3], _UPPER[3:], _LOWER[3:]), 2 * ((0.0, -0.03), (0.0, 0.03)), reach=0.06),
    "eye distance": Warp((LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS), _APART, reach=0.3),
    "brow height": Warp((BROWS[:5], BROWS[5:]), ((0.0, -0.08), (0.0, -0.08)), reach=0.25),
    "nose length": Warp(((NOSE_BASE,),), ((0.0, 0.08),), reach=0.25),
    "mouth opening": Warp(tuple((lip,) for lip in INNER_LIPS), ((0.0, -0.08), (0.0, 0.08)), reach=0.14),
    "mouth width": Warp(tuple((corner,) for corner in MOUTH_CORNERS), _APART, reach=0.2),
    "smile": Warp(tuple((corner,) for corner in MOUTH_CORNERS), ((0.0, -0.06), (0.0, -0.06)), reach=0.15),
    "face width": Warp(((93, 132), (323, 361)), ((-0.15, 0.0), (0.15, 0.0)), reach=0.35),
}
"""What enlarges one attribute, by its name."""
