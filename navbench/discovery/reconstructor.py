"""The reconstructor R of eq. 2: it names the direction and the shift of a pair of images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

from navbench.discovery.settings import Trunk

SIZE = 256  # images are seen at most this large (section 3.2, practical details)
GAIN = 5.0
"""How much the difference of a pair is amplified.

Edits change pixels by a few hundredths of what images differ by. [G, g (G_t - G)] is an invertible linear map of the
paper's [G, G_t], so it holds the same information; on faces main.9 a ResNet-18 names 0.31 of 16 frozen directions after
80 steps by it, and 0.08 by the paper's.
"""
_WIDTHS = (32, 64, 128, 128)


class Reconstructor(nn.Module):
    """R of eq. 2: a network from a pair of images, (G, g (G_t - G)) stacked along channels, to (k, t / T)."""

    def __init__(self, directions: int, trunk: Trunk = "resnet18") -> None:
        """Take a trunk: the paper's ResNet-18, or four convolutions for a CPU."""
        super().__init__()
        self.trunk: nn.Module = {"small": _small, "resnet18": _resnet18}[trunk](directions + 1)

    def forward(self, original: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) of the direction and the shift (N,), in units of T, of pairs of (N, 3, H, W) images."""
        pair = torch.cat([original, GAIN * (shifted - original)], dim=1)
        if max(pair.shape[2:]) > SIZE:
            pair = F.interpolate(pair, size=(SIZE, SIZE), mode="area")
        out = self.trunk(pair)
        return out[:, :-1], out[:, -1]


def _resnet18(outputs: int) -> nn.Module:
    network = resnet18(weights=None, num_classes=outputs)
    network.conv1 = nn.Conv2d(6, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return network


def _small(outputs: int) -> nn.Module:
    """Four convolutions of stride 2, the mean over places, and a linear map."""
    layers: list[nn.Module] = []
    for inputs, width in zip((6, *_WIDTHS), _WIDTHS, strict=False):
        convolution = nn.Conv2d(inputs, width, kernel_size=3, stride=2, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_WIDTHS[-1], outputs))
