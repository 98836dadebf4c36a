"""The mean of each channel: as attributes, and as features."""

from torch import Tensor, nn

from navbench.metrics.attributes import Attribute


class Extractor(nn.Module):
    """Maps images (N, 3, H, W) to features (N, 3)."""

    def forward(self, images: Tensor) -> Tensor:
        """The mean of each channel."""
        return images.mean(dim=(2, 3))


class Scorer(Extractor):
    """The same, as numbers that have names."""

    attributes = tuple(Attribute(name, unit="", spread=0.1) for name in ("red", "green", "blue"))
