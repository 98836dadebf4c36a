"""The landmarks of the face in an image of any size."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from navbench.faces import mesh, shape
from navbench.faces.framing import Frames, around, crop, whole

PADDING = 0.15
"""Of the first crop, the whole image: a face that fills the image is then as large in it as in MediaPipe's crops."""


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

    A first look, at the whole image, tells where the face is; a second looks at MediaPipe's crop of it and at the
    mirrored crop, and gives the mean of both. Both looks are at every image: with a rule for when the first is good
    enough, readings would jump where an edit crosses it. Gradients pass through the second look, at a fixed crop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mesh = mesh.shipped().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("mirror", shape.shipped().mirror)

    def forward(self, images: Tensor) -> Faces:
        """The faces of images; where there is none, landmarks mean nothing."""
        images = (images + 1) / 2
        frames = self._frames(images)
        crops = crop(images, frames)
        landmarks, presence = self._look(torch.cat([crops, crops.flip(3)]))
        straight, mirrored = landmarks.chunk(2)
        mirrored = mirrored[:, self.mirror] * mirrored.new_tensor([-1, 1, 1]) + mirrored.new_tensor([mesh.SIZE, 0, 0])
        return Faces(presence.sigmoid().view(2, -1).mean(0), frames, crops, (straight + mirrored) / 2)

    @torch.no_grad()
    def _frames(self, images: Tensor) -> Frames:
        first = whole(len(images), images.shape[2:], PADDING, images.device)
        landmarks, _ = self._look(crop(images, first))
        return around(first.outward(landmarks))

    def _look(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return self.mesh(crops.contiguous(memory_format=torch.channels_last))
