"""Perceptual distances as squared Euclidean distances: d(x, y) = ||features(x) - features(y)||².

LPIPS (Zhang et al., CVPR 2018) and its shift-tolerant variant (Ghildyal & Liu, ECCV 2022) compare the
activations of a trunk at five depths: each is normalised to unit length over channels, subtracted, squared,
weighted per channel and averaged over positions.  Scaling the normalised activations by
sqrt(weight / (H·W)) makes that the squared norm of one difference, which is what Gauss-Newton products,
Hessians and nearest neighbours want.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import weights
from navbench.compute import Compute
from navbench.errors import NavbenchError, unknown
from navbench.fingerprints import fingerprint_of


class BlurPool(nn.Module):
    """Subsampling by 2 after a 3×3 binomial blur (Zhang, ICML 2019), with two reflected pixels on each side.

    The second reflected pixel, beyond the one that the blur itself needs, is that of Ghildyal & Liu.
    """

    filt: Tensor  # as the released weights name it

    def __init__(self, channels: int) -> None:
        """Make room for the blur of each channel, which the weights hold."""
        super().__init__()
        self.register_buffer("filt", torch.empty(channels, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Blur and subsample (N, C, H, W); H and W must be at least 3."""
        x = F.pad(x, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(x, self.filt, stride=2, groups=x.shape[1])


def _alexnet() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU()),
        *(nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
        *(nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    )


def _shift_tolerant_alexnet() -> nn.Sequential:
    """AlexNet with every stride replaced by a BlurPool, the first one ahead of its ReLU."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, padding=2), BlurPool(64), nn.ReLU()),
        *(nn.MaxPool2d(3, 1), BlurPool(64), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
        *(nn.MaxPool2d(3, 1), BlurPool(192), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    )


def _vgg16(pool: Callable[[int], Sequence[nn.Module]]) -> nn.Sequential:
    """The convolutions of VGG-16 up to conv5_3, with `pool(channels)` ahead of each block but the first."""
    layers: list[nn.Module] = []
    before = 3
    for block, (channels, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]):
        layers += pool(before) if block else []
        for _ in range(depth):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class _Trunk:
    """A network's layers, the indices of the five activations compared, and the smallest side it can take."""

    layers: Callable[[], nn.Sequential]
    taps: tuple[int, ...]
    smallest: int


_TRUNKS = {
    "lpips-alex": _Trunk(_alexnet, (1, 4, 7, 9, 11), 31),
    "lpips-vgg": _Trunk(lambda: _vgg16(lambda _: [nn.MaxPool2d(2, 2)]), (3, 8, 15, 22, 29), 16),
    "stlpips-alex": _Trunk(_shift_tolerant_alexnet, (2, 6, 10, 12, 14), 21),
    "stlpips-vgg": _Trunk(
        lambda: _vgg16(lambda channels: [nn.MaxPool2d(2, 1), BlurPool(channels)]), (3, 9, 17, 25, 33), 18
    ),
}


class PerceptualDistance(nn.Module):
    """A perceptual distance whose `features` make it a squared Euclidean one.

    It computes in the precision of its own parameters (float32; float64 after `.double()`) even under
    autocast: the effect of a small shift is a difference of nearly equal features, which bf16 would round
    away.  Images are never quantised, for the same reason.  Its kernels are channels-last on every device, which is
    the faster order, and the activations follow them.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, name: str, trunk: Mapping[str, Tensor], heads: Sequence[Tensor]) -> None:
        """Build a distance from its tensors; see `create_distance` for the released ones.

        Args:
            name: one of 'lpips-alex', 'lpips-vgg', 'stlpips-alex', 'stlpips-vgg'.
            trunk: the tensors of the network, named '{layer}.weight', '{layer}.bias', '{layer}.filt'.
            heads: the weight of each channel at each of the five depths, non-negative.
        """
        super().__init__()
        self.name = name
        self._trunk = _TRUNKS[name]
        self.layers = self._trunk.layers()
        self.layers.load_state_dict(trunk)
        self.layers.to(memory_format=torch.channels_last)
        for depth, head in enumerate(heads):
            if not (head >= 0).all():
                raise NavbenchError(
                    f"The weights of {name!r} have a negative channel weight at depth {depth}, so that it is "
                    "not a squared distance; use the released weights."
                )
            self.register_buffer(f"root{depth}", head.detach().reshape(1, -1, 1, 1).sqrt())
        # From [-1, 1] to the standardised RGB of ImageNet classifiers, with the constants of LPIPS 0.1.
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).reshape(1, 3, 1, 1))

    @cached_property
    def cache_key(self) -> list[str]:
        """What distances depend on: the name and the weights."""
        return [self.name, fingerprint_of(self.state_dict())]

    def features(self, images: Tensor) -> Tensor:
        """Return (N, D) features of images, (N, 3, H, W), float, [-1, 1]; D grows with H·W.

        Raises:
            NavbenchError: the images are smaller than the network can take, or not of three channels.
        """
        with torch.autocast(images.device.type, enabled=False):
            features = [
                (_unit(x) * (self.get_buffer(f"root{depth}") / (x.shape[2] * x.shape[3]) ** 0.5)).flatten(1)
                for depth, x in enumerate(self.activations(images))
            ]
        return torch.cat(features, dim=1)

    def activations(self, images: Tensor) -> Iterator[Tensor]:
        """The trunk's activations at the five depths, (N, C, H', W') each, of images as `features` takes them."""
        smallest = self._trunk.smallest
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < smallest:
            raise NavbenchError(
                f"{self.name!r} takes images of shape (N, 3, H, W) with H and W at least {smallest}, "
                f"and was given {tuple(images.shape)}; use another distance or larger images."
            )
        x = (images.to(self.shift.dtype) - self.shift) / self.scale
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self._trunk.taps:
                yield x

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distances (N,) between images x and y, each (N, 3, H, W), float, [-1, 1]."""
        return (self.features(x) - self.features(y)).square().sum(dim=1)

    forward = distance


def create_distance(name: str, compute: Compute) -> PerceptualDistance:
    """Return a perceptual distance with its released weights, frozen, on the device of `compute`.

    Raises:
        NavbenchError: the name is not one of 'lpips-alex', 'lpips-vgg', 'stlpips-alex', 'stlpips-vgg'.
        Failure: its weights could not be downloaded.
    """
    if name not in _TRUNKS:
        raise unknown("perceptual distance", name, _TRUNKS)
    state = weights.load(name)
    if name.startswith("stlpips"):
        return compute.place(shift_tolerant(name, state))
    last = _TRUNKS[name].taps[-1]
    layers = {key[len("features.") :]: state[key] for key in state if key.startswith("features.")}
    trunk = {key: value for key, value in layers.items() if int(key.partition(".")[0]) <= last}
    return compute.place(_built(name, trunk, _lpips_heads(name.removeprefix("lpips-"))))


def shift_tolerant(name: str, state: Mapping[str, Tensor]) -> PerceptualDistance:
    """A shift-tolerant distance from its released file, trunk and heads.

    Raises:
        KeyError, RuntimeError: the tensors are not those of the network.
    """
    # 'net.slice3.9.weight' is the weight of layer 9: layers are numbered through all slices.
    trunk = {key.split(".", 2)[2]: value for key, value in state.items() if key.startswith("net.")}
    return _built(name, trunk, state)


def _built(name: str, trunk: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> PerceptualDistance:
    return PerceptualDistance(name, trunk, [heads[f"lin{depth}.model.1.weight"] for depth in range(5)])


def _lpips_heads(net: str) -> dict[str, Tensor]:
    """The channel weights that the lpips package ships; it is located, not imported."""
    spec = importlib.util.find_spec("lpips")
    if spec is None or spec.origin is None:
        raise NavbenchError("The package lpips, which LPIPS needs, is missing; run 'pip install lpips'.")
    return weights.load_file(Path(spec.origin).parent / "weights" / "v0.1" / f"{net}.pth")


def _unit(x: Tensor) -> Tensor:
    """Activations (N, C, H, W) divided by their norm over channels plus 1e-10, as in LPIPS.

    The floor under the square changes no value, and keeps the derivative finite where ReLUs are all zero.
    """
    square = x.square().sum(dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    return x / (square.sqrt() + 1e-10)
