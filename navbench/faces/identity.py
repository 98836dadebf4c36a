"""The embedding `faces`: whose face an image shows.

The network is dlib's for face recognition (King, JMLR 2009; a ResNet of 29 convolutions), as it was rebuilt and
quantised for the npm package face-api (MIT; identity.md beside the weights). Its 128 numbers are published for a
Euclidean distance. Those of all faces have a large part in common, so the cosine of two people is .92; without that
part it is 0.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from navbench.errors import NavbenchError
from navbench.faces.framing import crop
from navbench.faces.landmarks import Landmarker

PUBLISHED = "@vladmandic/face-api@1.7.15"
"""The npm package that the weights are from."""
SHIPPED = Path(__file__).parent / "weights" / "identity.safetensors"
CENTRE = "centre"
"""The tensor of the shipped file that is not published: the mean of descriptors of samples of `faces`."""
SIZE = 150
"""Pixels of the network's input, in height and width."""
_MEAN = (122.782, 117.001, 104.298)
"""Of red, green and blue, in 0 to 255."""
_BLOCKS = (
    *("conv32_1", "conv32_2", "conv32_3"),
    *("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2"),
    *("conv256_down", "conv256_1", "conv256_2", "conv256_down_out"),
)
"""Names of the residual blocks, as published: their width, and whether they halve the resolution."""


class Block(nn.Module):
    """Two convolutions beside a shortcut; `halving` ones begin with a stride of 2."""

    def __init__(self, inputs: int, width: int, halving: bool) -> None:
        super().__init__()
        self.halving = halving
        self.conv1 = nn.Conv2d(inputs, width, 3, 2 if halving else 1, 0 if halving else 1)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Activations (N, C, H, W) to (N, width, H, W), or half of H and W."""
        y = self.conv2(F.relu(self.conv1(x)))
        if self.halving:
            x = F.avg_pool2d(x, 2)
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))  # further channels are 0
            y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))  # unpadded, it may lack a row
        return F.relu(x + y)


class Recognition(nn.Module):
    """Images to descriptors (N, 128) of the person; as published, but for factors that are multiplied into kernels."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.conv32_down = nn.Conv2d(3, 32, 7, 2)
        self.blocks, inputs = nn.ModuleDict(), 32
        for name in _BLOCKS:
            width = int(name.split("_")[0].removeprefix("conv"))
            self.blocks[name] = Block(inputs, width, "down" in name)
            inputs = width
        self.fc = nn.Linear(inputs, 128, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Descriptors (N, 128) of faces (N, 3, 150, 150), float, [-1, 1]."""
        x = ((images + 1) * 127.5 - self.mean) / 255
        x = F.max_pool2d(F.relu(self.conv32_down(x)), 3, 2)
        for block in self.blocks.values():
            x = block(x)
        return self.fc(x.mean(dim=(2, 3)))


class Identity(nn.Module):
    """Images (N, 3, H, W), float, [-1, 1], of any size to embeddings (N, 128), whose cosine tells who is who.

    The descriptor is the mean of those of the face's crop and of the mirrored crop, less the mean of many faces. The
    crop is where the mesh puts a face, also where none is seen: a rule for these would change the crop, and so the
    embedding, in the middle of an edit. A face that an edit destroys is another's.
    """

    centre: Tensor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the published tensors and the centre."""
        super().__init__()
        self.landmarker, self.recognition = Landmarker(), recognition(tensors)
        self.register_buffer("centre", tensors[CENTRE])

    def forward(self, images: Tensor) -> Tensor:
        """The embeddings."""
        return self.descriptors(images) - self.centre

    def descriptors(self, images: Tensor) -> Tensor:
        """The published descriptors (N, 128), of faces and mirrored faces in the mean."""
        images = (images + 1) / 2
        crops = 2 * crop(images, self.landmarker.frames(images), SIZE) - 1
        straight, mirrored = self.recognition(torch.cat([crops, crops.flip(3)])).chunk(2)
        return (straight + mirrored) / 2


def faces() -> Identity:
    """The embedding, with the weights that are shipped; the entry point `faces`."""
    try:
        return Identity(shipped()).eval().requires_grad_(False)
    except (KeyError, RuntimeError) as error:
        raise NavbenchError(f"The embedding {SHIPPED} lacks a tensor ({error}); install navbench anew.") from None


def shipped() -> dict[str, Tensor]:
    """The tensors that are shipped, by their published names, float32."""
    try:
        with safe_open(SHIPPED, framework="pt") as file:
            quantisation = json.loads((file.metadata() or {})["navbench"])["quantisation"]
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return measured(stored, quantisation)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise NavbenchError(f"The embedding {SHIPPED} cannot be read ({error}); install navbench anew.") from None


def measured(stored: Mapping[str, Tensor], quantisation: Mapping[str, Sequence[float]]) -> dict[str, Tensor]:
    """Tensors as they are used, float32, of tensors as they are stored, with the scales and minima of some."""
    scaled = {
        name: (stored[name].double() * scale + minimum).float() for name, (scale, minimum) in quantisation.items()
    }
    return {**stored, **scaled}


def recognition(published: Mapping[str, Tensor]) -> Recognition:
    """The network of published tensors, on the CPU, without gradients of its weights."""
    network = Recognition()
    state = {"mean": network.mean, "fc.weight": published["fc"].T}
    for ours, convolution in network.named_modules():
        if isinstance(convolution, nn.Conv2d):
            theirs = ours.removeprefix("blocks.").replace(".", "/")
            state[f"{ours}.weight"], state[f"{ours}.bias"] = _scaled(published, theirs)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _scaled(published: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Kernel (out, in, H, W) and bias of a convolution, with the scale and offset of channels that follow it."""
    kernel, bias, scale, offset = (
        published[f"{name}/{part}"] for part in ("conv/filters", "conv/bias", "scale/weights", "scale/biases")
    )
    return (kernel * scale).permute(3, 2, 0, 1), bias * scale + offset
