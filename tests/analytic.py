"""Generators, distances and extractors so small that what an edit does to them is known in closed form."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from navbench.basis import DenseBasis
from navbench.compute import Compute
from navbench.directions import Direction, DirectionSet
from navbench.experiments.calibration import Range
from navbench.experiments.edit import Edit
from navbench.generators.base import Codes, Generator, Layer, State, convolve
from navbench.generators.stylegan2 import StyleGAN2
from navbench.generators.wrapped import Wrapped


def noise(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers, float32, the same on every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def styled(resolution: int = 8, style_dim: int = 8, strength: float = 0.3, **options: Any) -> StyleGAN2:
    """A small StyleGAN2 whose biases, noise strengths and mean style are not zero; the same on every call."""
    sizes = {"latent_dim": 8, "style_dim": style_dim, "mapping_layers": 2, "channel_base": 64}
    made = StyleGAN2("styled", "a small StyleGAN2", resolution, **sizes | options)
    for index, (key, value) in enumerate(made.state_dict().items()):
        drawn = noise(index, *value.shape)
        if key.endswith("noise.weight"):
            drawn = strength * (1 + drawn.abs())
        elif key.endswith("modulation.bias"):
            drawn = 1 + 0.3 * drawn
        elif key.startswith("style."):  # stored at 100 times its size (see EqualLinear)
            drawn = 100 * drawn if key.endswith("weight") else 30 * drawn
        elif key.endswith("bias"):
            drawn = 0.3 * drawn
        value.copy_(drawn)
    return made.requires_grad_(False).eval()


def unit(offset: Tensor) -> Tensor:
    return offset / offset.norm()


class LinearGenerator(Generator):
    """Images that are linear in the kernel and in the inputs (z, 1): sum over c of inputs_c * kernel[c].

    Row `latent_dim` of the kernel meets the constant 1, so a shift of that row alone adds the same image to all,
    and a latent shift h adds sum over c of h_c * kernel[c].
    """

    def __init__(self, latent_dim: int = 3, side: int = 4, seed: int = 0) -> None:
        super().__init__()
        self.name, self.description = "linear", "a linear map"
        self.latent_dim, self.resolution = latent_dim, side
        self.map = nn.ConvTranspose2d(latent_dim + 1, 3, side, bias=False)
        self.map.weight.data = noise(seed, *self.map.weight.shape)
        self.requires_grad_(False).eval()

    @staticmethod
    def inputs(codes: Codes) -> Tensor:
        return torch.cat([codes.z, torch.ones_like(codes.z[:, :1])], dim=1)

    def forward(self, codes: Codes) -> Tensor:
        return self.map(self.inputs(codes)[:, :, None, None])

    def layers(self) -> tuple[Layer, ...]:
        return (Layer("map", 0, self.map.weight.shape, transposed=True),)

    def before(self, codes: Codes, layer: Layer) -> State:
        return State(self.inputs(codes)[:, :, None, None])

    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        return convolve(self.map, state.input, weight)

    def row(self, channel: int, image: Tensor) -> Tensor:
        """The offset of the kernel that adds inputs[channel] * image, (3, side, side)."""
        offset = torch.zeros(self.map.weight.shape)
        offset[channel] = image
        return offset

    def hessian(self, codes: Codes, matrix: Tensor | None = None) -> Tensor:
        """2 E J^T J of the distance |A (x - y)|^2 over kernel offsets: 2 E[inputs inputs^T] (x) A^T A."""
        inputs = self.inputs(codes).double()
        pixels = 3 * self.resolution**2
        gram = torch.eye(pixels, dtype=torch.float64) if matrix is None else matrix.double().T @ matrix.double()
        return 2 * torch.kron(inputs.T @ inputs / len(inputs), gram)


class Convolutions(nn.Module):
    """A smooth random network, (N, 6) to (N, 3, 8, 8), of the kinds of convolution that generators use."""

    code_shape = (6,)

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.first = nn.ConvTranspose2d(6, 8, 4)
        self.up = nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False)
        self.reflect = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect", groups=2)
        self.wide = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.last = nn.Conv2d(8, 3, 1)
        for index, parameter in enumerate(self.parameters()):
            fan_in = max(1, parameter[0].numel())
            parameter.data = noise(100 * seed + index, *parameter.shape) / fan_in**0.5
        self.requires_grad_(False).eval()

    def forward(self, z: Tensor) -> Tensor:
        x = torch.tanh(self.first(z[:, :, None, None]))
        x = torch.tanh(self.up(x))
        x = torch.tanh(self.reflect(x))
        x = torch.tanh(self.wide(x))
        return torch.tanh(self.last(x))


LAYERS = ("first", "up", "reflect", "wide", "last")


def wrapped(seed: int = 0) -> Wrapped:
    """`Convolutions` as a generator."""
    return Wrapped(Convolutions(seed), Convolutions.code_shape, "convolutions")


@dataclass
class Quadratic:
    """The distance |A (x - y)|^2 of flattened images; A is the identity if there is no matrix."""

    matrix: Tensor | None = None
    name: str = "quadratic"

    def features(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return flat if self.matrix is None else flat @ self.matrix.to(flat).T


class Curved:
    """A distance that, like LPIPS, compares activations at two depths, each of unit norm over channels."""

    name = "curved"

    def features(self, images: Tensor) -> Tensor:
        shallow = torch.tanh(nn.functional.conv2d(images, noise(1, 5, 3, 3, 3).to(images)))
        deep = torch.tanh(nn.functional.conv2d(shallow, noise(2, 6, 5, 3, 3).to(images), stride=2))
        return torch.cat([(x / (x.norm(dim=1, keepdim=True) + 1e-3)).flatten(1) for x in (shallow, deep)], dim=1)


@dataclass
class Extractor:
    """Random linear features of flattened images; remembers how many images it was shown at a time."""

    dimensions: int = 4
    name: str = "linear-features"
    metric: str = "FD"
    shown: list[int] = field(default_factory=list)

    def __call__(self, images: Tensor) -> Tensor:
        self.shown.append(len(images))
        pixels = images[0].numel()
        return images.flatten(1) @ noise(3, pixels, self.dimensions) / pixels**0.5


def direction(
    generator: Generator,
    offset: Tensor,
    *,
    space: str = "parameter",
    layer: str | None = None,
    ends: tuple[float, float] = (-2.0, 2.0),
) -> Direction:
    """A direction with that offset, made of unit norm."""
    return Direction(generator.name, "made", space, layer, 0, "", DenseBasis(offset[None]), torch.ones(1), *ends)


def edit(generator: Generator, offset: Tensor, compute: Compute | None = None, **where: object) -> Edit:
    """That direction on its generator."""
    return Edit(generator, direction(generator, offset, **where), compute or Compute())  # type: ignore[arg-type]


def direction_set(generator: Generator, layer: str, vectors: Tensor, **changes: object) -> DirectionSet:
    """A set with a stored basis, one direction per vector, or whatever `changes` says."""
    count = len(vectors)
    settings = {
        "generator": generator.name,
        "weights": generator.fingerprint,
        "space": "parameter",
        "layer": layer,
        "method": "spectrum",
        "basis_name": "stored",
        "basis": DenseBasis(vectors),
        "coefficients": torch.eye(count),
        "t_min": -torch.arange(1.0, count + 1),
        "t_max": torch.arange(2.0, count + 2),
        "labels": ("",) * count,
        "seed": 5,
    }
    return DirectionSet(**(settings | changes))  # type: ignore[arg-type]


def ranged(*reached: float, stderr: float = 0.0, slope: float = 1.0, seed: int = 0, count: int = 50) -> Range:
    """A range from -1 to 1, tried to four times that, at whose ends `count` codes have these means, to that error.

    The errors of both ends, and those of different seeds, are independent.
    """
    code = torch.arange(count, dtype=torch.float64)[None] + 0.5
    frequency = torch.tensor([[2.0 * seed + 1], [2.0 * seed + 2]], dtype=torch.float64)
    spread = (2 * (count - 1)) ** 0.5 * torch.cos(torch.pi * frequency * code / count)  # cosines are orthogonal
    means = torch.tensor(reached, dtype=torch.float64)[:, None]
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    return Range(ends, means + stderr * spread, torch.full_like(ends, slope), 4 * ends, torch.tensor([False, False]))
