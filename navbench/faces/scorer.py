"""The attribute scorer `faces`: pose, shape and expression by the mesh, brightness and colour of the skin."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench.faces import geometry, shape
from navbench.faces.colour import lab
from navbench.faces.landmarks import Faces, Landmarker
from navbench.faces.mesh import SIZE
from navbench.metrics.attributes import Attribute

LEAST_RELIABILITY = 0.9
"""What is read with less is no attribute: half a spread of error (the root of 1 - .9 is a third) hides most edits."""


@dataclass(frozen=True)
class Reading:
    """A number that can be read, and how well; all are measured by `card.py` on samples of `faces`.

    Attributes:
        attribute: its name, unit and spread, the standard deviation over samples.
        shift: its reliability when the image is shifted by a pixel, the least of four directions.
        mirror: its reliability when the image is mirrored.
    """

    attribute: Attribute
    shift: float
    mirror: float

    @property
    def reliable(self) -> bool:
        """Whether both reliabilities are enough for an attribute."""
        return min(self.shift, self.mirror) >= LEAST_RELIABILITY


READINGS = (
    Reading(Attribute("yaw", "deg", 1), 1, 1),
    Reading(Attribute("pitch", "deg", 1), 1, 1),
    Reading(Attribute("roll", "deg", 1), 1, 1),
    Reading(Attribute("eye opening", "", 1), 1, 1),
    Reading(Attribute("eye distance", "", 1), 1, 1),
    Reading(Attribute("mouth opening", "", 1), 1, 1),
    Reading(Attribute("mouth width", "", 1), 1, 1),
    Reading(Attribute("smile", "", 1), 1, 1),
    Reading(Attribute("brow height", "", 1), 1, 1),
    Reading(Attribute("nose length", "", 1), 1, 1),
    Reading(Attribute("face width", "", 1), 1, 1),
    Reading(Attribute("skin brightness", "L*", 1), 1, 1),
    Reading(Attribute("skin contrast", "L*", 1), 1, 1),
    Reading(Attribute("skin redness", "a*", 1), 1, 1),
    Reading(Attribute("skin yellowness", "b*", 1), 1, 1),
)


class FacesScorer(nn.Module):
    """Images (N, 3, H, W), float, [-1, 1], of one face each, to attributes (N, A); NaN where no face is seen."""

    name = "faces"
    subject = "face"

    def __init__(self, readings: Sequence[Reading]) -> None:
        super().__init__()
        self.attributes = tuple(reading.attribute for reading in readings)
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
    """By the mesh that is shipped, with the attributes that are read reliably."""
    return FacesScorer([reading for reading in READINGS if reading.reliable])
