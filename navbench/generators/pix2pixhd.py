"""pix2pixHD (Wang et al., CVPR 2018): images from label maps, by one network or by several of rising resolution.

The module tree, and so the names of tensors and layers, is that of NVIDIA's pix2pixHD; `pix2pixhd_layouts` reads its
files.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import seeds
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.generators.base import Codes, Generator, Layer, State, convolve
from navbench.generators.label_maps import LabelMaps


@dataclass(frozen=True)
class MapCodes(Codes):
    """Codes that are label maps.

    Attributes:
        z: (N, 0): there is no latent space.
        labels: (N, H, W), uint8, class numbers.
        edges: (N, H, W), bool, where objects meet; none for a network without that channel.
    """

    labels: Tensor
    edges: Tensor | None


@dataclass(frozen=True)
class Sizes:
    """What the networks are built from.

    Attributes:
        inputs: channels: the classes, and one for edges where it is used.
        width: channels at full resolution (ngf).
        downsamplings, blocks: of the global network (n_downsample_global, n_blocks_global).
        local_blocks: of each local enhancer, by rising resolution (n_blocks_local); empty for none.
    """

    inputs: int
    width: int
    downsamplings: int
    blocks: int
    local_blocks: tuple[int, ...] = ()

    @property
    def multiple(self) -> int:
        """What height and width must be multiples of."""
        return 2 ** (self.downsamplings + len(self.local_blocks))


@dataclass(frozen=True)
class _Step:
    """One step of the networks, in forward order.

    Attributes:
        kind: 'run' a module; 'keep' what there is; 'add' what was kept last; 'enter' the maps anew, which the network
            of another resolution starts from.
        name: of the module.
        halvings: how often the maps are halved.
    """

    kind: Literal["run", "keep", "add", "enter"]
    name: str = ""
    halvings: int = 0


@dataclass(frozen=True)
class _Rest:
    """What goes on beside a layer's input: the codes, and the tensors that are added to later ones."""

    codes: Codes
    kept: tuple[Tensor, ...]


class ResnetBlock(nn.Module):
    """Two convolutions, each after a reflected border, added to what entered."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width), nn.ReLU()),
            *(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return x + self.conv_block(x)


class Pix2PixHD(Generator):
    """`GlobalGenerator`, or `LocalEnhancer` where there are local enhancers, of pix2pixHD.

    Every convolution is a shiftable layer. There is no latent space: what a code is, is a label map, with the edges
    between objects where the network uses them.

    Attributes:
        sizes: what it is built from.
        maps: the label maps that codes are drawn from.
    """

    latents = ()
    latent_dim = 0

    def __init__(self, name: str, description: str, sizes: Sizes, maps: LabelMaps) -> None:
        """Build the network, with random weights."""
        super().__init__()
        self.name, self.description, self.sizes, self.maps = name, description, sizes, maps
        self._check()
        count = len(sizes.local_blocks)
        trunk = _trunk(sizes.inputs, sizes.width * 2**count, sizes.downsamplings, sizes.blocks)
        self.model = nn.Sequential(*trunk, *(() if count else _output(sizes.width)))
        for number, blocks in enumerate(sizes.local_blocks, start=1):
            width = sizes.width * 2 ** (count - number)
            self.add_module(f"model{number}_1", nn.Sequential(*_stem(sizes.inputs, width), *_down(width)))
            ending = _output(width) if number == count else ()
            local = (*(ResnetBlock(2 * width) for _ in range(blocks)), *_up(2 * width), *ending)
            self.add_module(f"model{number}_2", nn.Sequential(*local))

    def _check(self) -> None:
        height, width = self.size
        multiple = self.sizes.multiple
        if height % multiple or width % multiple or min(height, width) < 2 * multiple:
            near = [max(2, round(side / multiple)) * multiple for side in (height, width)]
            raise NavbenchError(
                f"Generator {self.name} takes label maps whose height and width are multiples of {multiple}, at least "
                f"{2 * multiple}, not {height}x{width}; the nearest is size {near[0]}x{near[1]}."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, those of the label maps."""
        return self.maps.shape

    @property
    def resolution(self) -> int:  # type: ignore[override]
        """The longer side."""
        return max(self.size)

    @property
    def variant(self) -> str:
        """The maps that codes are drawn from."""
        return f"maps {self.maps.cache_key}"

    # --- codes

    def check(self) -> None:
        """Read every map once."""
        for number in range(len(self.maps)):
            self.maps.labels([number])
            self.maps.edges([number])

    def sample(self, indices: Sequence[int], seed: int) -> MapCodes:
        """Codes on the generator's device; code i depends on (seed, i) only.

        Of M maps, codes 0 to M-1 are all of them in an order of that seed, codes M to 2M-1 in another.
        """
        indices = tuple(indices)
        if indices and max(indices) >= len(self.maps):
            warnings.warn(
                f"Generator {self.name} has {len(self.maps)} label maps, and more codes were asked for, so its images "
                "repeat: numbers of more images than that have smaller errors than they should.",
                NavbenchWarning,
                stacklevel=2,
            )
        numbers = [self._map_number(index, seed) for index in indices]
        labels, edges = self.maps.labels(numbers), self.maps.edges(numbers)
        z = torch.empty(len(numbers), 0, device=self.device)
        return MapCodes(z, labels.to(self.device), None if edges is None else edges.to(self.device))

    def _map_number(self, index: int, seed: int) -> int:
        turn, place = divmod(index, len(self.maps))
        return int(seeds.stream(seeds.derived(seed, "maps"), turn).permutation(len(self.maps))[place])

    def _entering(self, codes: Codes, halvings: int) -> Tensor:
        """What a network starts from, (N, inputs, h, w): a channel per class, then the edges."""
        if not isinstance(codes, MapCodes):
            raise NavbenchError(f"Generator {self.name} makes images from label maps; sample its codes.")
        classes = self.sizes.inputs - (codes.edges is not None)
        # Class by class, for what one_hot makes has 64 bits a number
        channels = [codes.labels == number for number in range(classes)]
        x = torch.stack([*channels, *([] if codes.edges is None else [codes.edges])], dim=1).float()
        for _ in range(halvings):
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return x

    # --- images

    def forward(self, codes: Codes) -> Tensor:
        """Images of the codes, (N, 3, H, W), in [-1, 1]."""
        return self._finish(codes.z, _Rest(codes, ()), 0)

    def layers(self) -> tuple[Layer, ...]:
        """The convolutions in forward order: of the smallest resolution first."""
        found = [(name, self.get_submodule(name)) for name in self._places]
        return tuple(
            Layer(name, index, module.weight.shape, isinstance(module, nn.ConvTranspose2d))
            for index, (name, module) in enumerate(found)
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        )

    def before(self, codes: Codes, layer: Layer) -> State:
        """All steps before the layer's, of all resolutions up to its own."""
        x, rest = codes.z, _Rest(codes, ())
        for step in self._steps[: self._places[layer.name]]:
            x, rest = self._take(step, x, rest)
        return State(x, rest)

    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        """The layer with its own or another kernel, and all steps after it."""
        x = convolve(self.convolution(layer), state.input, weight)
        return self._finish(x, state.rest, self._places[layer.name] + 1)

    def _finish(self, x: Tensor, rest: _Rest, place: int) -> Tensor:
        for step in self._steps[place:]:
            x, rest = self._take(step, x, rest)
        return x

    def _take(self, step: _Step, x: Tensor, rest: _Rest) -> tuple[Tensor, _Rest]:
        if step.kind == "run":
            return self.get_submodule(step.name)(x), rest
        if step.kind == "keep":
            return x, _Rest(rest.codes, (*rest.kept, x))
        if step.kind == "add":
            return x + rest.kept[-1], _Rest(rest.codes, rest.kept[:-1])
        return self._entering(rest.codes, step.halvings), rest

    @cached_property
    def _steps(self) -> tuple[_Step, ...]:
        """All steps in forward order: `LocalEnhancer.forward` and `ResnetBlock.forward`, unrolled."""
        count = len(self.sizes.local_blocks)
        steps = [_Step("enter", halvings=count), *self._unrolled("model")]
        for number in range(1, count + 1):
            steps += [_Step("keep"), _Step("enter", halvings=count - number)]
            steps += [*self._unrolled(f"model{number}_1"), _Step("add"), *self._unrolled(f"model{number}_2")]
        return tuple(steps)

    def _unrolled(self, path: str) -> list[_Step]:
        steps = []
        for name, module in self.get_submodule(path).named_children():
            if isinstance(module, ResnetBlock):
                inner = [_Step("run", f"{path}.{name}.conv_block.{place}") for place in range(len(module.conv_block))]
                steps += [_Step("keep"), *inner, _Step("add")]
            else:
                steps.append(_Step("run", f"{path}.{name}"))
        return steps

    @cached_property
    def _places(self) -> dict[str, int]:
        """The place among the steps of each convolution, in forward order."""
        modules = ((step.name, place) for place, step in enumerate(self._steps) if step.kind == "run")
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        return {name: place for name, place in modules if isinstance(self.get_submodule(name), kinds)}


def _trunk(inputs: int, width: int, downsamplings: int, blocks: int) -> list[nn.Module]:
    """The global network but for its output."""
    modules = _stem(inputs, width)
    for halving in range(downsamplings):
        modules += _down(width * 2**halving)
    modules += [ResnetBlock(width * 2**downsamplings) for _ in range(blocks)]
    for halving in reversed(range(downsamplings)):
        modules += _up(width * 2 ** (halving + 1))
    return modules


def _stem(inputs: int, width: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7), nn.InstanceNorm2d(width), nn.ReLU()]


def _down(width: int) -> list[nn.Module]:
    return [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.InstanceNorm2d(2 * width), nn.ReLU()]


def _up(width: int) -> list[nn.Module]:
    half = width // 2
    double = nn.ConvTranspose2d(width, half, 3, stride=2, padding=1, output_padding=1)
    return [double, nn.InstanceNorm2d(half), nn.ReLU()]


def _output(width: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
