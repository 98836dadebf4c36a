"""What a reduced precision of the extractor does to distances, as a run measures it on its own images."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from navbench.experiments.fid_curve import Curve

IMAGES = 512
"""The first shards that hold so many images are extracted at float32, too; of larger shards the first one."""

LARGEST = 0.5
"""In standard errors: an error of this size and the sampling error together are 12 % larger than the latter alone."""


@dataclass(frozen=True)
class Rounding:
    """How far the extractor's precision moves the distances at t = 0, where both of a distance's samples have it.

    Attributes:
        precision: of the extractor.
        generator: whose images were extracted at that precision and at float32.
        n: how many of them.
        moved: by metric, by how much the distance changes; NaN if it is not known.
        stderr: by metric, the standard error of the run's distance at t = 0, over all its images.
    """

    precision: str
    generator: str
    n: int
    moved: dict[str, float]
    stderr: dict[str, float]

    @classmethod
    def between(
        cls, rough: Curve, exact: Curve, floor: Curve, precision: str, generator: str, metric: str
    ) -> "Rounding":
        """From the distances of the same images at t = 0 at that precision and at float32, and the run's own."""
        of_rough, of_exact, own = (
            {metric: curve.frechet_at(0), "KID": curve.kernel_at(0)} for curve in (rough, exact, floor)
        )
        moved = {name: of_rough[name].value - of_exact[name].value for name in own}
        stderr = {name: value.stderr for name, value in own.items()}
        return cls(precision, generator, of_exact[metric].n, moved, stderr)

    def in_errors(self) -> Iterator[tuple[str, float]]:
        """Of each metric that is known, the size of its change in its standard errors."""
        for metric, moved in self.moved.items():
            if math.isfinite(moved):
                yield metric, abs(moved) / self.stderr[metric]

    @property
    def is_below_sampling(self) -> bool:
        """Whether every distance moves by no more than `LARGEST`."""
        return all(size <= LARGEST for _, size in self.in_errors())

    def __str__(self) -> str:
        """A sentence for the manifest and the report."""
        parts = [
            f"the {metric} at t = 0 by {self.moved[metric]:.2g}, {size:.2f} of its standard error"
            for metric, size in self.in_errors()
        ]
        judged = "below" if self.is_below_sampling else "not below"
        return (
            f"Extraction at {self.precision} moves {' and '.join(parts)} ({self.generator}, {self.n:,} images at both "
            f"precisions): {judged} the sampling error there, where the limit is {LARGEST:g} of it. "
            "Other shifts are not checked."
        )
