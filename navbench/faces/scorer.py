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
"""What is read with less is no attribute: its error is a third of its spread (the root of 1 - 0.9) or more."""
LEAST_RESPONSE = 0.25
"""Nor is that of which less than a quarter of a known change is read, however steadily."""


@dataclass(frozen=True)
class Reading:
    """A number that can be read, and how well; all are measured by `card.py` on samples of `faces`.

    Attributes:
        attribute: its name, unit and spread, the standard deviation over samples.
        shift: its reliability when the image is shifted by a pixel, the least of four directions.
        mirror: its reliability when the image is mirrored.
        response: the share that is read of a warp of the image by which it alone changes (`warps.py`); `None` of pose
            and skin, which turning an image and making it lighter change by a known amount.
    """

    attribute: Attribute
    shift: float
    mirror: float
    response: float | None = None

    @property
    def reliable(self) -> bool:
        """Whether it is read well enough for an attribute."""
        steady = min(self.shift, self.mirror) >= LEAST_RELIABILITY
        return steady and (self.response is None or self.response >= LEAST_RESPONSE)


READINGS = (
    Reading(Attribute("yaw", "deg", 20.9), 0.997, 0.996),
    Reading(Attribute("pitch", "deg", 9.23), 0.993, 0.993),
    Reading(Attribute("roll", "deg", 3.59), 0.987, 0.981),
    Reading(Attribute("eye opening", "", 0.011), 0.988, 0.97, 0.09),
    Reading(Attribute("eye distance", "", 0.0221), 0.983, 0.972, 0.28),
    Reading(Attribute("mouth opening", "", 0.0626), 0.99, 0.993, 0.44),
    Reading(Attribute("mouth width", "", 0.0453), 0.993, 0.99, 0.42),
    Reading(Attribute("smile", "", 0.0267), 0.991, 0.988, 0.46),
    Reading(Attribute("brow height", "", 0.0182), 0.988, 0.98, 0.51),
    Reading(Attribute("nose length", "", 0.0145), 0.984, 0.979, 0.15),
    Reading(Attribute("face width", "", 0.0719), 0.989, 0.974, 0.36),
    Reading(Attribute("skin brightness", "L*", 14.2), 0.998, 0.999),
    Reading(Attribute("skin contrast", "L*", 4.78), 0.991, 0.994),
    Reading(Attribute("skin redness", "a*", 4.71), 0.996, 0.997),
    Reading(Attribute("skin yellowness", "b*", 8.33), 0.999, 0.998),
)


class FacesScorer(nn.Module):
    """Images (N, 3, H, W), float, [-1, 1], of one face each, to attributes (N, A); NaN where no face is seen."""

    name = "faces"
    subject = "face"
    mean: Tensor
    rigid: Tensor
    skin: Tensor

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

    def lengths(self, landmarks: Tensor) -> dict[str, Tensor]:
        """The lengths on faces, (N,) each, of landmarks (N, 468, 3) in pixels."""
        return geometry.lengths(geometry.aligned(landmarks, self.mean, self.rigid).landmarks)

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
