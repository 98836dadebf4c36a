"""From landmarks to numbers: the pose of a face, and lengths on it, after pose, place and size are undone.

Lengths are of landmarks that are turned back by the pose and divided by the size of the upper face. The mesh trades
widths against heights, as a pitched face is a short one: in samples of `faces`, nose length and face width in common
units correlate by -.57. So heights are given in heights and widths in widths; .46, of face width and pitch, is then the
largest correlation of two readings of the mesh. Undoing the pose does not undo all of it: the card has what is left.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Landmarks by MediaPipe's numbers; left and right are those of the image.
LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS = (33, 133), (362, 263)
LIDS = ((160, 144), (159, 145), (158, 153), (385, 380), (386, 374), (387, 373))
"""Pairs of an upper and a lower lid's landmarks, three per eye."""
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
"""The upper edges of both brows."""
MOUTH_CORNERS = (61, 291)
INNER_LIPS = (13, 14)
"""The middle of the upper and of the lower lip, inside."""
CHEEKBONES = (234, 454)
"""Where the face ends beside the ears."""
FOREHEAD, NOSE_BASE, CHIN = 10, 2, 152


@dataclass(frozen=True)
class Aligned:
    """Faces, N of them, over the mean face.

    Attributes:
        landmarks: (N, 468, 3), turned and scaled to fit the mean face's rigid landmarks, in its unit.
        rotations: (N, 3, 3), of the mean face to that in the image; columns are the face's axes in the image.
    """

    landmarks: Tensor
    rotations: Tensor


def aligned(landmarks: Tensor, mean: Tensor, rigid: Tensor) -> Aligned:
    """Landmarks (N, 468, 3) over the mean face, by the similarity that fits the rigid ones best (Umeyama 1991)."""
    points, target = landmarks[:, rigid], mean[rigid]
    centre, middle = points.mean(1, keepdim=True), target.mean(0)
    points, target = points - centre, target - middle
    left, sizes, right = torch.linalg.svd(points.mT @ target)
    signs = torch.ones_like(sizes)
    signs[:, 2] = torch.linalg.det(left @ right).sign().detach()  # a rotation, no reflection
    rotations = (left * signs[:, None]) @ right
    scale = (sizes * signs).sum(1) / points.square().sum((1, 2))
    return Aligned(scale[:, None, None] * (landmarks - centre) @ rotations + middle, rotations)


def pose(rotations: Tensor) -> dict[str, Tensor]:
    """Yaw, pitch and roll, (N,) each, in degrees, of rotations (N, 3, 3).

    The face is pitched first (positive: it looks up), then yawed (positive: it looks to the right of the image), then
    rolled (positive: clockwise), so that turning the image changes the roll alone.
    """
    angles = {
        "yaw": torch.asin(rotations[:, 2, 0].clamp(-1 + 1e-6, 1 - 1e-6)),
        "pitch": torch.atan2(-rotations[:, 2, 1], rotations[:, 2, 2]),
        "roll": torch.atan2(rotations[:, 1, 0], rotations[:, 0, 0]),
    }
    return {name: angle * (180 / math.pi) for name, angle in angles.items()}


def lengths(landmarks: Tensor) -> dict[str, Tensor]:
    """What a face is like, (N,) each, of aligned landmarks (N, 468, 3); see `scorer.ATTRIBUTES` for the meanings."""

    def between(one: int, other: int) -> Tensor:
        return (landmarks[:, one] - landmarks[:, other]).norm(dim=1)

    def middle(*points: int) -> Tensor:
        return landmarks[:, list(points)].mean(1)

    eyes = middle(*LEFT_EYE_CORNERS), middle(*RIGHT_EYE_CORNERS)
    height, width = between(FOREHEAD, NOSE_BASE), between(*CHEEKBONES)
    eye_level = (eyes[0] + eyes[1])[:, 1] / 2
    gaps = torch.stack([between(*pair) for pair in LIDS])
    return {
        "eye opening": gaps.mean(0) / height,
        "eye distance": (eyes[0] - eyes[1]).norm(dim=1),
        "mouth opening": between(*INNER_LIPS) / height,
        "mouth width": between(*MOUTH_CORNERS) / width,
        "smile": (landmarks[:, NOSE_BASE, 1] - middle(*MOUTH_CORNERS)[:, 1]) / width,
        "brow height": (eye_level - middle(*BROWS)[:, 1]) / height,
        "nose length": (landmarks[:, NOSE_BASE, 1] - eye_level) / height,
        "face width": width,
    }
