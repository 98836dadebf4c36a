"""The face mesh of MediaPipe (Kartynnik et al. 2019, arXiv:1907.06724): 468 landmarks of a face, in torch.

The published network is `face_landmark.tflite`; `convert_mesh.py` takes its tensors over, at the half precision in which
they are published, and its runtime computes with them in float32, as this does.
"""

from pathlib import Path

import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from navbench.errors import NavbenchError

SHIPPED = Path(__file__).parent / "weights" / "mesh.safetensors"
SIZE = 192
"""Pixels of a side of the crop that the network reads."""
LANDMARKS = 468


class Block(nn.Module):
    """A residual block of BlazeFace (Bazarevsky et al. 2019): a depthwise and a pointwise convolution.

    At stride 2 the shortcut is a max pool, with channels of zeros where the block has more outputs than inputs.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.added = stride, outputs - inputs
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=2 - stride, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.prelu = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        shortcut = x
        if self.stride == 2:
            shortcut = F.pad(F.max_pool2d(x, 2), (0, 0, 0, 0, 0, self.added))
            x = _padded(x)
        return self.prelu(shortcut + self.pointwise(self.depthwise(x)))


def _padded(x: Tensor) -> Tensor:
    """TensorFlow's SAME padding of an even size at stride 2: nothing at the left and the top, one pixel beyond."""
    return F.pad(x, (0, 1, 0, 1))


def _head(blocks: int, outputs: int) -> nn.Sequential:
    """From features at 6x6 pixels to numbers, (N, outputs, 1, 1), by so many blocks at 3x3 pixels."""
    return nn.Sequential(
        Block(128, 128, stride=2),
        *(Block(128, 128) for _ in range(blocks - 1)),
        nn.Conv2d(128, 32, 1),
        nn.PReLU(32),
        Block(32, 32),
        nn.Conv2d(32, outputs, 3),
    )


class FaceMesh(nn.Module):
    """Crops of faces, (N, 3, 192, 192), RGB in [0, 1], to landmarks and whether there is a face."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2)
        self.stem_prelu = nn.PReLU(16)
        blocks, width = [Block(16, 16), Block(16, 16)], 16
        for wider in (32, 64, 128, 128):  # at 48, 24, 12 and 6 pixels
            blocks += [Block(width, wider, stride=2), Block(wider, wider), Block(wider, wider)]
            width = wider
        self.trunk = nn.Sequential(*blocks)
        self.landmarks = _head(3, 3 * LANDMARKS)
        self.presence = _head(1, 1)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks and presence.

        Args:
            crops: (N, 3, 192, 192), RGB, [0, 1].

        Returns:
            Landmarks (N, 468, 3): x to the right, y down and z away from the camera, all in pixels of the crop, z = 0
            at the middle of the head; and logits (N,) of a face's presence.
        """
        features = self.trunk(self.stem_prelu(self.stem(_padded(crops))))
        return self.landmarks(features).view(-1, LANDMARKS, 3), self.presence(features).flatten()


def shipped() -> FaceMesh:
    """The network that is shipped, in float32, without gradients of its weights."""
    mesh = FaceMesh()
    try:
        mesh.load_state_dict(load_file(SHIPPED))  # copied into float32
    except (OSError, SafetensorError, RuntimeError) as error:
        raise NavbenchError(f"The face mesh {SHIPPED} cannot be read ({error}); install navbench anew.") from None
    return mesh.eval().requires_grad_(False)
