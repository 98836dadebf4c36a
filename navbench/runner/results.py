"""What the measurements of one generator gave, before it is turned into tables and pictures."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from navbench.directions import Direction, DirectionSet
from navbench.experiments.calibration import Range
from navbench.experiments.fid_curve import Curve
from navbench.experiments.layer_survey import Changes
from navbench.experiments.locality import Heat
from navbench.experiments.projection import Projection
from navbench.experiments.quality import Quality
from navbench.experiments.real_images import Photo
from navbench.experiments.recognition import Recognition
from navbench.experiments.reproduction import Reproduction
from navbench.generators.base import Generator
from navbench.metrics.attributes import Movement, Scorer
from navbench.metrics.estimate import Estimate
from navbench.metrics.segmentation import Segmenter
from navbench.metrics.subspaces import Overlap
from navbench.runner.plan import Plan


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


@dataclass(frozen=True)
class Surveyed:
    """A direction of the survey: what it changes, and if that was asked for, moves and costs."""

    direction: Direction
    changes: Changes
    movement: Movement | None
    curve: Curve | None


@dataclass(frozen=True, eq=False)
class Pair:
    """A direction and the one of another set that does most nearly the same.

    Attributes:
        end: of the other, 0 for t_min or 1 for t_max, that is like this one's t_max.
        cosine: of the changes of pixels, on codes that had no part in any choice.
        choice: the same on the other codes, by which the other was chosen in its set, and is chosen among sets.
        by_label: whether the other was taken because a human gave it the same label.
        curves: of both, where they were measured.
    """

    direction: Direction
    other: Direction
    end: int
    cosine: Estimate
    choice: float
    by_label: bool
    curves: tuple[Curve, Curve] | None = None


@dataclass(frozen=True)
class Projected:
    """A photo and its projection into a space.

    Attributes:
        layer: of the activations that belong to it; '' for none.
        distance: the perceptual one that was minimised, in `steps` steps, with the pixels' squared difference at that
            weight beside it.
    """

    photo: Photo
    space: str
    layer: str
    distance: str
    pixel_weight: float
    steps: int
    projection: Projection


@dataclass(frozen=True)
class Stable:
    """A set and the same found again, with another 'seed' or number of 'codes', `value`: how their spans overlap."""

    found: DirectionSet
    varied: str
    value: int
    overlap: Overlap


@dataclass(frozen=True)
class EditedPhotos:
    """The edits of photos by one direction: over which shifts, and what a scorer reads of each, (P, 1 + T, A)."""

    direction: Direction
    space: str
    photos: tuple[Photo, ...]
    shifts: tuple[float, ...]
    scores: Tensor


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
        qualities: of the directions that have curves; embedding: the name of the one that sees identities, '' for none.
        heats: one per group of codes; segmenter: of the regions that they are divided into, if any.
        survey: one per direction of the survey; pairs: one per direction and other set that it was compared with.
        projected: one per photo and space; edited: one per direction and space that photos were edited in.
        overlaps: of the spans of two sets of one place, by their references, both ways.
        recognitions: by set; stable: one per set and time that it was found again.
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
    qualities: dict[str, Quality] = field(default_factory=dict)
    embedding: str = ""
    matched: list[Match] = field(default_factory=list)
    segmenter: Segmenter | None = None
    heats: dict[str, list[Heat]] = field(default_factory=dict)
    survey: list[Surveyed] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    projected: list[Projected] = field(default_factory=list)
    overlaps: dict[tuple[str, str], Overlap] = field(default_factory=dict)
    recognitions: dict[str, Recognition] = field(default_factory=dict)
    stable: list[Stable] = field(default_factory=list)
    edited: list[EditedPhotos] = field(default_factory=list)
    reproductions: dict[tuple[str, str], Reproduction] = field(default_factory=dict)
    pictures: list[dict[str, Any]] = field(default_factory=list)
