"""What the measurements of one generator gave, before it is turned into tables and pictures."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from navbench.experiments.direction_table import Screening
from navbench.experiments.fid_curve import Curve
from navbench.experiments.locality import Heat
from navbench.experiments.reproduction import Reproduction
from navbench.generators.base import Generator
from navbench.runner.plan import Plan


@dataclass(frozen=True)
class Features:
    """Features of unshifted or real images, (n, D), float32."""

    features: Tensor


@dataclass
class Results:
    """The pieces, by full direction name.

    Attributes:
        metric: 'FID' or 'FD'.
        floor: the distances at t = 0, shared by all curves.
        heats: one per group of codes.
        reproductions: by direction name and target.
        pictures: rows of tables/images.csv.
    """

    generator: Generator
    plan: Plan
    metric: str
    reference: str = ""
    reference_samples: int = 0
    floor: Curve | None = None
    screenings: dict[str, Screening] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    heats: dict[str, list[Heat]] = field(default_factory=dict)
    reproductions: dict[tuple[str, str], Reproduction] = field(default_factory=dict)
    pictures: list[dict[str, Any]] = field(default_factory=list)
