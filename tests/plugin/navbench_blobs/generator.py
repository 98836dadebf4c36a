"""Images of a blob before a ramp, as a linear function of one kernel."""

import torch
from torch import Tensor, nn

SIDE = 32
RAMP = 0.75
"""The mean of the ramp, which rises from 0.5 to 1 from left to right."""


class Blobs(nn.Module):
    """Maps (N, 2) codes, the place of a blob, to (N, 3, 32, 32) images in [-1, 1].

    A convolution of 1x1, the layer `colour`, gives the ramp (input 0) and the blob (input 1) their colours.
    """

    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Conv2d(2, 3, 1, bias=False)
        self.colour.weight.data = torch.tensor([[0.3, 0.3], [0.2, 0.2], [-0.3, 0.1]])[:, :, None, None]
        self.register_buffer("line", (torch.arange(SIDE) + 0.5) * 2 / SIDE - 1)  # centres of pixels, in [-1, 1]

    def forward(self, z: Tensor) -> Tensor:
        """The images."""
        x, y = (torch.tanh(z) / 2).split(1, dim=1)
        blob = torch.exp(-8 * ((self.line - x) ** 2)[:, None, :] - 8 * ((self.line - y) ** 2)[:, :, None])
        ramp = (RAMP + self.line / 4).expand_as(blob)
        return self.colour(torch.stack([ramp, blob], dim=1))
