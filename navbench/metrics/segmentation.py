"""Regions of images: where wheels, hair or sky are, as a segmentation network sees them.

Packages add theirs as entry points of the group `navbench.segmentations`.
"""

from typing import Any

from torch import Tensor, nn

from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.metrics.networks import PluginNetwork, open_network, shape_of

GROUP = "navbench.segmentations"
_BEYOND = 1e-4
"""How far a mask's values may be outside [0, 1], by rounding."""


class Segmenter(PluginNetwork):
    """A segmentation network whose every answer is checked.

    Attributes:
        regions: their names, in the order of the masks.
    """

    kind = "Segmentation"
    unit = 1.0

    def __init__(self, name: str, network: nn.Module, compute: Compute) -> None:
        """Take a network with a tuple `regions`; `name` stands in tables."""
        regions = getattr(network, "regions", None)
        if not isinstance(regions, tuple) or not regions or not all(isinstance(name, str) and name for name in regions):
            raise NavbenchError(f"Segmentation {name} names no regions; give it a tuple `regions` of names.")
        if len(set(regions)) < len(regions):
            raise NavbenchError(f"Segmentation {name} has a region twice: {', '.join(regions)}.")
        super().__init__(name, network, compute)
        self.regions = regions

    def _meaning(self) -> list[Any]:
        return list(self.regions)

    def __call__(self, images: Tensor) -> Tensor:
        """Masks (N, R, H, W), float32, in [0, 1], of images (N, 3, H, W), float, [-1, 1]; regions may overlap."""
        masks = self._answer(images)
        wanted = (len(images), len(self.regions), *images.shape[2:])
        if not isinstance(masks, Tensor) or tuple(masks.shape) != wanted:
            raise NavbenchError(
                f"Segmentation {self.name} gave {shape_of(masks)} where it must give {wanted}, a mask per region."
            )
        masks = masks.float()
        if not bool(((masks >= -_BEYOND) & (masks <= 1 + _BEYOND)).all()):
            raise Failure(f"Segmentation {self.name} gave values outside [0, 1] or NaN; masks are shares of pixels.")
        return masks.clamp(0, 1)


def create_segmenter(name: str, compute: Compute) -> Segmenter:
    """The segmentation of that name: an entry point of `navbench.segmentations`, or 'package.module:callable'.

    Either gives a callable that returns an `nn.Module` with a tuple `regions`, and masks for them (see `Segmenter`).
    """
    return Segmenter(name, open_network(GROUP, "segmentation", name), compute)
