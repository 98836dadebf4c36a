"""The layers of BigGAN and BigGAN-deep (Brock et al., ICLR 2019, appendix B), named as in BigGAN-PyTorch.

A block says what enters each of its convolutions, given the outputs of the earlier ones, and how their outputs are
joined; so it can be stopped before any of them, and go on from there.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5
"""Of batch normalisation: it is in no file; this is what the published training scripts say."""

Outputs = Mapping[str, Tensor]
"""The outputs of the convolutions of a block that have run, by name."""
Reader = Callable[[int], nn.Module]
"""Makes what reads a condition into so many channels: a linear map of a vector, or an embedding of the class."""


class StoredStatistics(nn.Module):
    """Batch normalisation by the statistics that a file stores, before any gain and bias.

    Attributes:
        stored_mean: (channels,).
        stored_var: (channels,), the biased variance.
    """

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def normalised(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same."""
        return F.batch_norm(x, self.stored_mean, self.stored_var, eps=EPSILON)


class BatchNorm(StoredStatistics):
    """Batch normalisation with a gain and a bias per channel, before the output."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same."""
        return self.normalised(x) * _channelwise(self.gain, x) + _channelwise(self.bias, x)


class ConditionalBatchNorm(StoredStatistics):
    """Batch normalisation with gains and biases by the condition; gains are stored without the 1 that they add to."""

    def __init__(self, channels: int, reader: Reader) -> None:
        super().__init__(channels)
        self.gain, self.bias = reader(channels), reader(channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(N, channels, h, w) to the same.

        The maps run at the precision of their weights also under autocast: small steps of a code would be lost.
        """
        with torch.autocast(x.device.type, enabled=False):
            gain, bias = 1 + self.gain(condition), self.bias(condition)
        return self.normalised(x) * _channelwise(gain, x) + _channelwise(bias, x)


class Block(nn.Module, ABC):
    """Convolutions with what is between them.

    Attributes:
        convolutions: their names, in the order in which they run.
    """

    convolutions: ClassVar[tuple[str, ...]]

    @abstractmethod
    def input(self, name: str, x: Tensor, outputs: Outputs, condition: Tensor) -> Tensor:
        """What enters a convolution, given the block's input x and the outputs of the earlier convolutions."""

    @abstractmethod
    def join(self, x: Tensor, outputs: Outputs) -> Tensor:
        """The block's output, given its input and the outputs of its convolutions."""

    def run(self, x: Tensor, condition: Tensor, outputs: Outputs, stop: str | None = None) -> Outputs:
        """The outputs of the convolutions: those in `outputs`, and the following ones before `stop`."""
        for name in self.convolutions[len(outputs) :]:
            if name == stop:
                break
            convolution = cast(nn.Conv2d, self.get_submodule(name))
            outputs = {**outputs, name: convolution(self.input(name, x, outputs, condition))}
        return outputs

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h, w), or to twice the height and width."""
        return self.join(x, self.run(x, condition, {}))


class GBlock(Block):
    """BigGAN's residual block, which doubles the resolution (its figure 15)."""

    convolutions = ("conv1", "conv2", "conv_sc")

    def __init__(self, inputs: int, outputs: int, reader: Reader) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_sc = nn.Conv2d(inputs, outputs, 1)
        self.bn1 = ConditionalBatchNorm(inputs, reader)
        self.bn2 = ConditionalBatchNorm(outputs, reader)

    def input(self, name: str, x: Tensor, outputs: Outputs, condition: Tensor) -> Tensor:
        """The residual branch before conv1 and conv2; what skips it before conv_sc."""
        if name == "conv1":
            return _doubled(F.relu(self.bn1(x, condition)))
        return F.relu(self.bn2(outputs["conv1"], condition)) if name == "conv2" else _doubled(x)

    def join(self, x: Tensor, outputs: Outputs) -> Tensor:
        """The sum of both branches."""
        return outputs["conv2"] + outputs["conv_sc"]


class DeepGBlock(Block):
    """BigGAN-deep's residual block, with a bottleneck (its figure 16); what skips it loses its last channels."""

    convolutions = ("conv1", "conv2", "conv3", "conv4")

    def __init__(self, inputs: int, outputs: int, reader: Reader, up: bool) -> None:
        """Build it; with `up` it doubles the resolution."""
        super().__init__()
        hidden = inputs // 4
        self.conv1 = nn.Conv2d(inputs, hidden, 1)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv4 = nn.Conv2d(hidden, outputs, 1)
        self.bn1 = ConditionalBatchNorm(inputs, reader)
        for name in ("bn2", "bn3", "bn4"):
            self.add_module(name, ConditionalBatchNorm(hidden, reader))
        self.outputs, self.up = outputs, up

    def input(self, name: str, x: Tensor, outputs: Outputs, condition: Tensor) -> Tensor:
        """The output of the previous convolution, normalised; doubled before the first 3x3."""
        number = int(name.removeprefix("conv"))
        before = x if number == 1 else outputs[f"conv{number - 1}"]
        h = F.relu(self.get_submodule(f"bn{number}")(before, condition))
        return _doubled(h) if self.up and number == 2 else h

    def join(self, x: Tensor, outputs: Outputs) -> Tensor:
        """The sum of both branches."""
        skip = x[:, : self.outputs]
        return outputs["conv4"] + (_doubled(skip) if self.up else skip)


class Attention(Block):
    """Self-attention (Zhang et al., ICML 2019) as the published code has it: keys and values are pooled."""

    convolutions = ("theta", "phi", "g", "o")

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.o = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def input(self, name: str, x: Tensor, outputs: Outputs, condition: Tensor) -> Tensor:
        """x itself; before `o` the values, weighted by how well their keys match the queries `theta`."""
        if name != "o":
            return x
        queries = outputs["theta"].flatten(2)  # (N, C / 8, hw)
        keys = F.max_pool2d(outputs["phi"], 2).flatten(2)  # (N, C / 8, hw / 4)
        values = F.max_pool2d(outputs["g"], 2).flatten(2)  # (N, C / 2, hw / 4)
        weights = torch.softmax(queries.mT @ keys, dim=-1)  # (N, hw, hw / 4)
        return (values @ weights.mT.to(values.dtype)).unflatten(2, x.shape[2:])

    def join(self, x: Tensor, outputs: Outputs) -> Tensor:
        """x, and the attended values times a learned strength."""
        return x + self.gamma * outputs["o"]


def _channelwise(values: Tensor, x: Tensor) -> Tensor:
    """(..., C) as (..., C, 1, 1), at the precision of x."""
    return values[..., None, None].to(x.dtype)


def _doubled(x: Tensor) -> Tensor:
    """Every pixel as four."""
    return F.interpolate(x, scale_factor=2)
