"""Where a face is looked for: square crops of an image, and the way back from landmarks of a crop to the image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench.faces.mesh import SIZE

EYES = (33, 263)
"""The outer corners of the eyes, that at the left of the image first."""
MARGIN = 1.5
"""MediaPipe's crop: a square of so many times the longer side of the landmarks' box, the eyes level."""

PADDING = 0.05
"""Of the first crop, the whole image, at each side. MediaPipe's crop has two thirds of its side for the face; with this
padding, faces of a half to the whole of an image's side are found."""


@dataclass(frozen=True)
class Frames:
    """Square crops of N images.

    Attributes:
        centres: (N, 2), x and y in pixels of the image, whose corner is (0, 0).
        sides: (N,), in pixels of the image.
        angles: (N,), radians by which the crop's x axis is turned towards the image's y axis.
    """

    centres: Tensor
    sides: Tensor
    angles: Tensor

    def __getitem__(self, chosen: Tensor | slice) -> "Frames":
        """The crops of some images."""
        return Frames(self.centres[chosen], self.sides[chosen], self.angles[chosen])

    @property
    def turns(self) -> Tensor:
        """The crops' axes in the image, (N, 2, 2): columns are the crop's x and y."""
        cos, sin = self.angles.cos(), self.angles.sin()
        return torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)

    def outward(self, landmarks: Tensor) -> Tensor:
        """Landmarks (N, L, 3) in pixels of the crops of `SIZE`, in pixels of the images; depths by the same scale."""
        scale = (self.sides / SIZE)[:, None, None]
        middle = landmarks.new_tensor([SIZE / 2, SIZE / 2, 0])
        plane, depth = (scale * (landmarks - middle)).split([2, 1], dim=2)
        return torch.cat([plane @ self.turns.mT + self.centres[:, None], depth], dim=2)


def whole(count: int, size: Sequence[int], padding: float, device: torch.device) -> Frames:
    """Crops of whole images of (height, width) pixels, padded at each side by a share of the longer one."""
    height, width = size
    middle = torch.tensor([width / 2, height / 2], device=device)
    side = torch.full((count,), (1 + 2 * padding) * max(height, width), device=device)
    return Frames(middle.expand(count, 2), side, torch.zeros(count, device=device))


def around(landmarks: Tensor) -> Frames:
    """MediaPipe's crops of faces whose landmarks, (N, 468, 3), are known in pixels of the images; no gradient."""
    points = landmarks.detach()[..., :2]
    left, right = (points[:, eye] for eye in EYES)
    across = right - left
    angles = torch.atan2(across[:, 1], across[:, 0])
    turns = Frames(points.mean(1), points.new_zeros(len(points)), angles).turns
    level = points @ turns  # in the crops' axes
    low, high = level.amin(1), level.amax(1)
    centres = (turns @ ((low + high) / 2)[..., None]).squeeze(-1)
    return Frames(centres, MARGIN * (high - low).amax(1), angles)


def crop(images: Tensor, frames: Frames, size: int = SIZE) -> Tensor:
    """Crops (N, C, size, size) of images (N, C, H, W), by bicubic interpolation; 0 beyond the images' edges.

    An image that a crop shrinks is first averaged over squares of 2, 4, 8, ... pixels, and the two nearest of these
    are blended, so that nothing aliases and nothing jumps as a face grows. What is done with one image does not depend
    on the others.
    """
    halvings = (frames.sides / size).clamp_min(1).log2()
    crops = images.new_zeros(len(images), images.shape[1], size, size)
    for level in range(int(halvings.max().ceil()) + 1 if len(images) else 0):
        share = (1 - (halvings - level).abs()).clamp_min(0)
        (chosen,) = share.nonzero(as_tuple=True)
        if len(chosen):
            part = _sampled(images[chosen], frames[chosen], 2**level, size)
            crops = crops.index_add(0, chosen, share[chosen, None, None, None] * part)
    return crops


def _sampled(images: Tensor, frames: Frames, factor: int, size: int) -> Tensor:
    """Crops of images that are averaged over squares of `factor` pixels first."""
    height, width = images.shape[2:]
    if factor > 1:
        beyond = (-width % factor, -height % factor)
        images = F.avg_pool2d(F.pad(images, (0, beyond[0], 0, beyond[1])), factor)
        width, height = width + beyond[0], height + beyond[1]
    whole_size = frames.centres.new_tensor([width, height])
    turned = frames.turns * frames.sides[:, None, None] / whole_size[:, None]
    affine = torch.cat([turned, (2 * frames.centres / whole_size - 1)[..., None]], dim=2)
    grid = F.affine_grid(affine, [len(images), images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bicubic", padding_mode="zeros", align_corners=False)
