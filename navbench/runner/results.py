"""What the measurements of one generator gave, before it is turned into tables and pictures."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from navbench.directions import Direction
from navbench.experiments.calibration import Range
from navbench.experiments.fid_curve import Curve
from navbench.experiments.locality import Heat
from navbench.experiments.reproduction import Reproduction
from navbench.generators.base import Generator
from navbench.metrics.attributes import Movement, Scorer
from navbench.metrics.segmentation import Segmenter
from navbench.runner.plan import Plan


@dataclass(frozen=True)
class Features:
    """Features of unshifted or real images, (n, D), float32."""

    features: Tensor


@dataclass(frozen=True)
class ReferenceScores:
    """What a scorer reads from a reference's images, (n, A), float32."""

    scores: Tensor


@dataclass(frozen=True)
class Match:
    """A method's best direction for one attribute, where it changes that attribute by a given amount.

    Attributes:
        direction: with the range over which it does.
        range: the same range, and the changes that were reached at its ends.
        curve: the distances at both ends.
    """

    direction: Direction
    range: Range
    curve: Curve


@dataclass
class Results:
    """The pieces, by full direction name.

    Attributes:
        metric: 'FID' or 'FD'.
        floor: the distances at t = 0, shared by all curves.
        effects: (2, n), of each code at t_min and at t_max.
        ranges: what calibration reached, where the suite asks for it.
        scorer: of the attributes; movements: what each direction does to them; levels: (3, A), their means at t_min, at
            t = 0 and at t_max; reference_scores: (n, A), those of the reference's images, where it has any.
        matched: at most one per direction set.
        heats: one per group of codes; segmenter: of the regions that they are divided into, if any.
        reproductions: by direction name and target space, in words.
        pictures: rows of tables/images.csv.
    """

    generator: Generator
    plan: Plan
    metric: str
    reference: str = ""
    reference_samples: int | None = 0
    reference_description: str = ""
    floor: Curve | None = None
    scorer: Scorer | None = None
    ranges: dict[str, Range] = field(default_factory=dict)
    effects: dict[str, Tensor] = field(default_factory=dict)
    movements: dict[str, Movement] = field(default_factory=dict)
    levels: dict[str, Tensor] = field(default_factory=dict)
    reference_scores: Tensor | None = None
    curves: dict[str, Curve] = field(default_factory=dict)
    matched: list[Match] = field(default_factory=list)
    segmenter: Segmenter | None = None
    heats: dict[str, list[Heat]] = field(default_factory=dict)
    reproductions: dict[tuple[str, str], Reproduction] = field(default_factory=dict)
    pictures: list[dict[str, Any]] = field(default_factory=list)
