"""The attribute scorer `faces`: pose, shape and expression by the mesh, brightness and colour of the skin."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench.faces import geometry, shape
from navbench.faces.colour import lab
from navbench.faces.landmarks import Faces, Landmarker
from navbench.faces.mesh import SIZE
from navbench.metrics.attributes import Attribute

READINGS = (
    Attribute("yaw", "deg", 1),
    Attribute("pitch", "deg", 1),
    Attribute("roll", "deg", 1),
    Attribute("eye opening", "", 1),
    Attribute("eye distance", "", 1),
    Attribute("mouth opening", "", 1),
    Attribute("mouth width", "", 1),
    Attribute("smile", "", 1),
    Attribute("brow height", "", 1),
    Attribute("nose length", "", 1),
    Attribute("face width", "", 1),
    Attribute("skin brightness", "L*", 1),
    Attribute("skin contrast", "L*", 1),
    Attribute("skin redness", "a*", 1),
    Attribute("skin yellowness", "b*", 1),
)


class FacesScorer(nn.Module):
    """Images (N, 3, H, W), float, [-1, 1], of one face each, to attributes (N, A); NaN where no face is seen."""

    name = "faces"
    subject = "face"
    attributes = READINGS

    def __init__(self) -> None:
        super().__init__()
        self.landmarker = Landmarker()
        known = shape.shipped()
        self.register_buffer("mean", known.mean)
        self.register_buffer("rigid", known.rigid)
        self.register_buffer("skin", known.skin)

    def forward(self, images: Tensor) -> Tensor:
        """The attributes of images, in their units."""
        faces = self.landmarker(images)
        read = self._read(faces)
        scores = torch.stack([read[attribute.name] for attribute in self.attributes], dim=1)
        return scores.where(faces.seen[:, None], torch.nan)

    def _read(self, faces: Faces) -> dict[str, Tensor]:
        """All readings, also of what is no face."""
        laid = geometry.aligned(faces.landmarks, self.mean, self.rigid)
        return geometry.pose(laid.rotations) | geometry.lengths(laid.landmarks) | self._skin(faces)

    def _skin(self, faces: Faces) -> dict[str, Tensor]:
        """Of CIELAB at the skin's landmarks: the mean, and the standard deviation of L*."""
        places = 2 * faces.within[:, None, self.skin, :2] / SIZE - 1
        colours = F.grid_sample(faces.crops, places, mode="bilinear", align_corners=False)
        light, redness, yellowness = lab(colours.squeeze(2).mT).unbind(-1)
        return {
            "skin brightness": light.mean(1),
            "skin contrast": light.std(1),
            "skin redness": redness.mean(1),
            "skin yellowness": yellowness.mean(1),
        }


def faces() -> FacesScorer:
    """By the mesh that is shipped."""
    return FacesScorer()
