"""Networks that packages add (attribute scorers, segmentations, embeddings): opened, placed and fed in one way."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from navbench import plugins
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.fingerprints import fingerprint_of


class PluginNetwork:
    """A network of images, on a device, in float32; its subclasses check its outputs.

    Attributes:
        name: in tables.
    """

    def __init__(self, name: str, network: nn.Module, compute: Compute) -> None:
        self.name, self._device = name, compute.device
        self._network = network.to(compute.device).float().eval().requires_grad_(False)

    @cached_property
    def cache_key(self) -> list[Any]:
        """What its outputs depend on, as JSON."""
        return [self.name, fingerprint_of(self._network.state_dict()), *self._meaning()]

    def _meaning(self) -> list[Any]:
        """What its outputs mean, beyond what its weights say."""
        return []

    @torch.no_grad()
    def _answer(self, images: Tensor) -> Any:
        """The network's output for images (N, 3, H, W), float, clipped to [-1, 1], as generators overshoot a little."""
        return self._network(images.to(self._device).float().clamp(-1, 1))


def open_network(group: str, kind: str, name: str) -> nn.Module:
    """The network of that name: an installed entry point of the group, or 'package.module:callable'.

    Raises:
        NavbenchError: the name is unknown, or the callable does not return an `nn.Module`.
    """
    network = plugins.find(group, kind, name)()
    if not isinstance(network, nn.Module):
        raise NavbenchError(f"{kind.capitalize()} {name!r} is a {type(network).__name__}; it must be an nn.Module.")
    return network


def shape_of(answer: object) -> object:
    """The shape of an output, or the name of its type, for an error."""
    return tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
