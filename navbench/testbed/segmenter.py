"""The segmentation of cars: the renderer's own masks of the parts, of the factors that the scorer reads."""

from torch import Tensor, nn

from navbench.testbed import cars
from navbench.testbed.scorer import CarsScorer, shipped


class CarsParts(nn.Module):
    """Images (N, 3, 64, 64) to masks (N, 5, 64, 64) of `cars.PARTS`, which sum to 1 over parts."""

    regions = cars.PARTS

    def __init__(self, scorer: CarsScorer) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, images: Tensor) -> Tensor:
        """The masks of images in [-1, 1]; as true as the scorer's readings are."""
        return cars.parts(self.scorer(images))


def parts() -> CarsParts:
    """By the scorer that is shipped."""
    return CarsParts(shipped())
