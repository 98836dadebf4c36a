"""The landmarks of the face in an image of any size."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from navbench.faces import mesh, shape
from navbench.faces.framing import PADDING, Frames, around, crop, whole

FINDING = 2
"""Looks that find the face. The second halves what rotation, shift and scale of the image do to readings."""
_PORTION = 16
"""Crops that are looked at together: activations of more leave the caches of a CPU, which doubles the time."""


@dataclass(frozen=True)
class Faces:
    """What is seen in N images.

    Attributes:
        presence: (N,), how sure it is that there is a face, in [0, 1].
        frames: the crops in which the faces lie.
        crops: the crops, (N, 3, 192, 192), RGB in [0, 1].
        within: the landmarks (N, 468, 3) in pixels of the crops (see `FaceMesh`).
    """

    presence: Tensor
    frames: Frames
    crops: Tensor
    within: Tensor

    @property
    def landmarks(self) -> Tensor:
        """The landmarks (N, 468, 3) in pixels of the images, whose corner is (0, 0); depths by the same scale."""
        return self.frames.outward(self.within)

    @property
    def seen(self) -> Tensor:
        """Whether there is a face, (N,)."""
        return self.presence >= 0.5


class Landmarker(nn.Module):
    """Images (N, 3, H, W), float, [-1, 1], of one face each, to its landmarks.

    Two looks find the face: one at the whole image, one at MediaPipe's crop of what the first has found, as it
    underestimates how far a face is off. The last look, at the crop that then follows and at its mirror image, gives
    the mean of both. All looks are at every image: with a rule for when one is good enough, readings would jump where
    an edit crosses it. Gradients pass through the last look, at a fixed crop.
    """

    mirror: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mesh = mesh.shipped().to(memory_format=torch.channels_last)
        self.register_buffer("mirror", shape.shipped().mirror)

    def forward(self, images: Tensor) -> Faces:
        """The faces of images; where there is none, landmarks mean nothing."""
        images = (images + 1) / 2
        frames = self.frames(images)
        crops = crop(images, frames)
        landmarks, presence = self._look(torch.cat([crops, crops.flip(3)]))
        straight, mirrored = landmarks.chunk(2)
        mirrored = mirrored[:, self.mirror] * mirrored.new_tensor([-1, 1, 1]) + mirrored.new_tensor([mesh.SIZE, 0, 0])
        return Faces(presence.sigmoid().view(2, -1).mean(0), frames, crops, (straight + mirrored) / 2)

    @torch.no_grad()
    def frames(self, images: Tensor) -> Frames:
        """The crops of the faces in images (N, 3, H, W), RGB in [0, 1]."""
        frames = whole(len(images), images.shape[2:], PADDING, images.device)
        for _ in range(FINDING):
            landmarks, _ = self._look(crop(images, frames))
            frames = around(frames.outward(landmarks))
        return frames

    def _look(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        looks = [self.mesh(part.contiguous(memory_format=torch.channels_last)) for part in crops.split(_PORTION)]
        landmarks, presence = zip(*looks, strict=True)
        return torch.cat(landmarks), torch.cat(presence)
