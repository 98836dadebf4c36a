"""A method of discovery: each direction adds the first input of a kernel to one of its outputs."""

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.discovery.settings import DiscoverySettings
from navbench.methods import Method
from navbench.metrics.perceptual import PerceptualDistance
from navbench.spaces import Space


def channels(
    space: Space, distance: PerceptualDistance, settings: DiscoverySettings, compute: Compute, seed: int
) -> Tensor:
    """An offset per output, (out, *space.shape), none of which depends on images or on the seed."""
    outputs = space.shape[0]
    offsets = torch.zeros(outputs, *space.shape)
    offsets[range(outputs), range(outputs), 0] = 1
    return offsets


CHANNELS = Method("channels", "channels", learned=False, spaces=("parameter",), source="tests", make=channels)
