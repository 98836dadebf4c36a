"""The segmentation `faces`: eyes, nose, mouth, skin and the rest, by the mesh."""

import torch.nn.functional as F
from torch import Tensor, nn

from navbench.faces.landmarks import Landmarker
from navbench.faces.regions import parts

FINEST = 256
"""Pixels of the longer side at which polygons are drawn; the masks of larger images are enlarged."""


class FaceParts(nn.Module):
    """Images (N, 3, H, W), float, [-1, 1], to masks (N, 5, H, W), which sum to 1; all is rest where no face is seen.

    Eyes include the lids; skin is the rest of the face's oval, brows and a part of the forehead included.
    """

    regions = ("eyes", "nose", "mouth", "skin", "rest")

    def __init__(self) -> None:
        super().__init__()
        self.landmarker = Landmarker()

    def forward(self, images: Tensor) -> Tensor:
        """The masks of images."""
        size = images.shape[2:]
        shrinking = min(1.0, FINEST / max(size))
        height, width = (max(1, round(side * shrinking)) for side in size)
        faces = self.landmarker(images)
        scale = images.new_tensor([width / size[1], height / size[0], shrinking])
        masks = parts(faces.landmarks * scale, height, width)
        nothing = masks.new_tensor([0, 0, 0, 0, 1])[:, None, None]
        masks = masks.where(faces.seen[:, None, None, None], nothing)
        return masks if shrinking == 1 else F.interpolate(masks, size, mode="bilinear")


def faces() -> FaceParts:
    """By the mesh that is shipped."""
    return FaceParts()
