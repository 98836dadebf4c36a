"""Regions of images: where wheels, hair or sky are, as a segmentation network sees them.

Packages add theirs as entry points of the group `navbench.segmentations`.
"""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from navbench import plugins
from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.fingerprints import fingerprint_of

GROUP = "navbench.segmentations"
_BEYOND = 1e-4
"""How far a mask's values may be outside [0, 1], by rounding."""


class Segmenter:
    """A segmentation network on a device, in float32, whose every answer is checked.

    Attributes:
        regions: their names, in the order of the masks.
    """

    def __init__(self, name: str, network: nn.Module, compute: Compute) -> None:
        """Take a network with a tuple `regions`; `name` is what it is called in tables."""
        regions = getattr(network, "regions", None)
        if not isinstance(regions, tuple) or not regions or not all(isinstance(each, str) and each for each in regions):
            raise NavbenchError(f"Segmentation {name} names no regions; give it a tuple `regions` of names.")
        if len(set(regions)) < len(regions):
            raise NavbenchError(f"Segmentation {name} has a region twice: {', '.join(regions)}.")
        self.name, self.regions, self._device = name, regions, compute.device
        self._network = network.to(compute.device).float().eval().requires_grad_(False)

    @cached_property
    def cache_key(self) -> list[Any]:
        """What its masks depend on, as JSON."""
        return [self.name, fingerprint_of(self._network.state_dict()), list(self.regions)]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Masks (N, R, H, W), float32, in [0, 1], of images (N, 3, H, W), float, [-1, 1]; regions may overlap."""
        masks = self._network(images.to(self._device).float().clamp(-1, 1))  # generators overshoot a little
        wanted = (len(images), len(self.regions), *images.shape[2:])
        if not isinstance(masks, Tensor) or tuple(masks.shape) != wanted:
            found = tuple(masks.shape) if isinstance(masks, Tensor) else type(masks).__name__
            raise NavbenchError(
                f"Segmentation {self.name} gave {found} where it must give {wanted}, a mask per region."
            )
        masks = masks.float()
        if not bool(((masks >= -_BEYOND) & (masks <= 1 + _BEYOND)).all()):
            raise Failure(f"Segmentation {self.name} gave values outside [0, 1] or NaN; masks are shares of pixels.")
        return masks.clamp(0, 1)


def create_segmenter(name: str, compute: Compute) -> Segmenter:
    """The segmentation of that name: an entry point of `navbench.segmentations`, or 'package.module:callable'.

    Either gives a callable that returns an `nn.Module` with a tuple `regions`, and masks for them (see `Segmenter`).
    """
    network = plugins.find(GROUP, "segmentation", name)()
    if not isinstance(network, nn.Module):
        raise NavbenchError(f"Segmentation {name!r} is a {type(network).__name__}; it must be an nn.Module.")
    return Segmenter(name, network, compute)
