"""Attributes: numbers that a scorer reads from images, and what a direction does to them.

A scorer is any network from images to one number per named attribute: a testbed's own reader of true factors, a
face-attribute network, a set of CLIP prompts.  Packages add theirs as entry points of the group
`navbench.attributes`.

Some scorers read a subject, such as a face, which an image may not show. Their answer is then a row of NaN, and whoever
uses scores leaves such images out, by `seen`.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Literal, Protocol, TypeVar

import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from navbench.compute import Compute, doubled
from navbench.errors import Failure, NavbenchError, NavbenchWarning, unknown
from navbench.metrics import estimate
from navbench.metrics.coherence import coherence
from navbench.metrics.estimate import Estimate
from navbench.metrics.networks import PluginNetwork, open_network, shape_of
from navbench.metrics.repeatability import Repeatability, repeatability
from navbench.texts import legible

GROUP = "navbench.attributes"
LOOKS = 32
"""Images of a generator that are looked at for two that show the subject of a scorer."""
Number = TypeVar("Number", float, Tensor)


@dataclass(frozen=True)
class Attribute:
    """One thing that a scorer reads.

    Attributes:
        unit: of its numbers, '' without one.
        spread: its standard deviation over the data: what one sigma of change is.
        period: of a circular one, such as an angle; `None` for others.
    """

    name: str
    unit: str
    spread: float
    period: float | None = None

    def shortest(self, difference: Number) -> Number:
        """A difference of two of its numbers; around a circle the shortest way."""
        if self.period is None:
            return difference
        return (difference + self.period / 2) % self.period - self.period / 2


class Scores(Protocol):
    """What everything needs of a scorer, and what a package that adds one implements, as an `nn.Module`."""

    name: str

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """What it reads, in the order of its numbers."""

    def __call__(self, images: Tensor) -> Tensor:
        """Numbers (N, A), in the attributes' units, of images (N, 3, H, W), float, [-1, 1]."""


class Scorer(PluginNetwork):
    """A scorer whose every answer is checked.

    Attributes:
        subject: what an image must show to be read, 'face' for example, from the network's attribute of that name; ''
            of one that reads any image. Where there is one, an image that does not show it has a row of NaN.
        probe: what it read from an image, to few digits, as its code may change.
    """

    kind = "Scorer"

    def __init__(self, name: str, network: nn.Module, compute: Compute) -> None:
        """Take a network with a tuple `attributes`; `name` stands in tables."""
        self.attributes = _checked(name, getattr(network, "attributes", None))
        self.subject = _subject(name, getattr(network, "subject", ""))
        super().__init__(name, network, compute)
        self.unit = torch.tensor([attribute.spread for attribute in self.attributes], device=compute.device)
        self.probe: tuple[str, ...] = ()

    def repeatability(self, images: Tensor) -> Repeatability:
        """Whether it is a function of images: two of them, (2, 3, H, W); to see no subject twice is to repeat."""
        return repeatability(lambda part: self(images[part]).nan_to_num(0.0), self.unit)

    def shown(self, source: str, images_of: Callable[[Sequence[int]], Tensor]) -> Tensor:
        """Two images, (2, 3, H, W), that show the subject, the first there are; without a subject, the first two.

        Where no two of `LOOKS` show it, the last is the one that does. Where none does, a warning says so.

        Args:
            source: whose images they are, for that warning.
            images_of: from numbers of images to the images.
        """
        if not self.subject:
            return images_of([0, 1])
        others: list[Tensor] = []
        showing: list[Tensor] = []
        for first in range(0, LOOKS, 2):
            images = images_of([first, first + 1])
            for image, is_seen in zip(images, seen(self(images)).tolist(), strict=True):
                (showing if is_seen else others).append(image)
            if len(showing) >= 2:
                return torch.stack(showing[:2])
        if not showing:
            warnings.warn(
                f"Scorer {self.name} sees no {self.subject} in any of {LOOKS} images of {source}, so nothing can be "
                "said of attributes there; name another scorer, or none.",
                NavbenchWarning,
                stacklevel=2,
            )
        return torch.stack([*others, *showing][-2:])

    def look(self, images: Tensor) -> None:
        """Read images of the generator, (N, 3, H, W): what it reads of the first that it can stands for it in keys."""
        scores = self(images)
        first = int(seen(scores).int().argmax())
        self.probe = tuple(f"{value:.3g}" for value in scores[first].tolist())

    def _meaning(self) -> list[Any]:
        own = [self.subject] if self.subject else []
        return [[list(astuple(attribute)) for attribute in self.attributes], list(self.probe), *own]

    def __call__(self, images: Tensor) -> Tensor:
        """Numbers (N, A), float32, in the attributes' units, of images (N, 3, H, W), float, [-1, 1].

        Of a scorer with a subject, rows of NaN for images that do not show it.
        """
        return self._admitted(self._answer(images), images)

    def differentiable(self, images: Tensor) -> Tensor:
        """The same numbers, as a function of images that require gradients.

        Raises:
            NavbenchError: no gradient of any attribute reaches the images.
        """
        scores = self._admitted(self._traced(images), images)
        if not scores.requires_grad:
            raise NavbenchError(
                f"Scorer {self.name} is not differentiable: no gradient of what it reads reaches the images; take "
                "method interfacegan, which needs none, in z or w."
            )
        return scores

    def _admitted(self, scores: Any, images: Tensor) -> Tensor:
        """What the network gave, if it is what a scorer gives."""
        wanted = (len(images), len(self.attributes))
        if not isinstance(scores, Tensor) or tuple(scores.shape) != wanted:
            raise NavbenchError(
                f"Scorer {self.name} gave {shape_of(scores)} for {len(images)} images; it names {len(self.attributes)} "
                f"attributes, so it must give {wanted}."
            )
        is_lost = scores.isnan().all(dim=1, keepdim=True) if self.subject else torch.zeros(1, 1, dtype=torch.bool)
        wrong = (~torch.isfinite(scores) & ~is_lost.to(scores.device)).any(dim=0).nonzero().flatten().tolist()
        if wrong:
            raise Failure(
                f"Scorer {self.name} read NaN or infinity for {self.attributes[wrong[0]].name!r}; "
                "check its weights and the range of images it expects, which is [-1, 1]."
            )
        return scores.float()


def create_scorer(name: str, compute: Compute) -> Scorer:
    """The scorer of that name: an installed entry point of `navbench.attributes`, or 'package.module:callable'.

    Either gives a callable that returns an `nn.Module` with a tuple `attributes`, and numbers for them (see `Scores`).
    """
    return Scorer(name, open_network(GROUP, "attribute scorer", name), compute)


def _checked(name: str, attributes: object) -> tuple[Attribute, ...]:
    if not isinstance(attributes, tuple) or not attributes or not all(isinstance(a, Attribute) for a in attributes):
        raise NavbenchError(f"Scorer {name} names no attributes; give it a tuple `attributes` of Attribute.")
    names = [attribute.name for attribute in attributes]
    for attribute in attributes:
        if names.count(attribute.name) > 1 or not attribute.name:
            raise NavbenchError(f"Scorer {name} has the attribute {attribute.name!r} twice or without a name.")
        sizes = (attribute.spread,) if attribute.period is None else (attribute.spread, attribute.period)
        if not all(0 < size < math.inf for size in sizes):
            raise NavbenchError(f"Scorer {name}: spread and period of {attribute.name!r} must be positive numbers.")
    return attributes


def _subject(name: str, subject: object) -> str:
    if not isinstance(subject, str) or legible(subject) != subject:
        raise NavbenchError(f"Scorer {name} has the subject {subject!r}; name what it needs to see in a word: 'face'.")
    return subject


def seen(scores: Tensor) -> Tensor:
    """Of which images the subject was seen, (...), by their scores (..., A)."""
    return ~scores.isnan().all(dim=-1)


LEAST_SEEN = 0.5
"""Of codes, the share whose images have to show the subject for a mean over these to stand for all of them."""


def enough(is_seen: Tensor) -> bool:
    """Whether the codes whose images all show the subject, by a mask (n,), are enough for numbers."""
    return enough_of(int(is_seen.sum()), len(is_seen))


def enough_of(count: int, codes: int) -> bool:
    """Whether so many of some codes are."""
    return count >= LEAST_SEEN * codes and count >= min(2, codes)


LEAST_KEPT = 0.8
"""Of the codes whose unshifted image shows the subject, the share that has to show it when it is shifted for a mean
over these to be compared with others: who loses the subject is not like the rest."""


def nearly_all(is_seen: Tensor, unshifted: Tensor) -> bool:
    """Whether the codes that show the subject when they are shifted are nearly all that do unshifted, (n,) each."""
    return int(is_seen.sum()) >= LEAST_KEPT * int(unshifted.sum())


def index_of(scorer: Scores, name: str) -> int:
    """The place of an attribute; an unknown one is refused with the nearest known."""
    names = [attribute.name for attribute in scorer.attributes]
    if name not in names:
        raise unknown(f"attribute of scorer {scorer.name}", name, names)
    return names.index(name)


# --- what a direction does ---------------------------------------------------------------------------------------


def changes(scores: Tensor, zero: int, attributes: Sequence[Attribute]) -> Tensor:
    """Changes (T, n, A), float64, from the scores (T, n, A) at shift number `zero`, in the attributes' units.

    Circular attributes are followed outward from `zero`: each step is the shortest way round.
    """
    scores = doubled(scores)
    steps = scores.diff(dim=0)
    for index, attribute in enumerate(attributes):
        steps[..., index] = attribute.shortest(steps[..., index])
    path = torch.cat([torch.zeros_like(scores[:1]), steps.cumsum(dim=0)])
    return path - path[zero]


def standardised_changes(before: Tensor, after: Tensor, attributes: Sequence[Attribute]) -> Tensor:
    """Changes (n, A), float64, in sigmas, between two scores (n, A) of the same codes."""
    moved = changes(torch.stack([before, after]), 0, attributes)[1]
    return moved / torch.tensor([attribute.spread for attribute in attributes], dtype=moved.dtype, device=moved.device)


@dataclass(frozen=True)
class Movement:
    """What a direction does to each attribute from the first shift to the last; (A,) each, float64.

    Attributes:
        change: the mean over codes, in the attribute's unit, one estimate per attribute.
        standardised: the same in sigmas.
        magnitude: the mean over codes of the size of the change, in sigmas.
        consistency: |mean| / mean size, from 0 (codes change either way) to 1 (all the same way).
        monotonicity: the mean over codes of Spearman's rank correlation of t and the attribute, in [-1, 1].
        share: of the squared magnitudes of all: changes of independent attributes add up in squares, and twelve that
            move by a reading's error do not outweigh one that moves.
        coherence: the mean cosine of the standardised changes of two codes (see `coherence`).
        dependency: the mean magnitude of the other attributes over that of the dominant one; NaN where nothing moves.
            The attribute dependency of StyleSpace (Wu, Lischinski, Shechtman, CVPR 2021, section 5) is the former at a
            fixed change of a target attribute; the ratio compares directions that reach different changes.
        levels: (3, A), the mean scores at the first shift, at t = 0 and at the last.
    """

    change: tuple[Estimate, ...]
    standardised: Tensor
    magnitude: Tensor
    consistency: Tensor
    monotonicity: Tensor
    share: Tensor
    coherence: Estimate
    dependency: float
    levels: Tensor

    @property
    def dominant(self) -> int:
        """The attribute that moves most in the mean over codes, in sigmas."""
        return int(self.standardised.abs().argmax())


def movement(scores: Tensor, shifts: Sequence[float], attributes: Sequence[Attribute]) -> Movement | None:
    """What a direction does, from scores (T, n, A) at ascending shifts, t = 0 among them.

    Codes that lose the subject at any shift are left out; `None` if too few are left (see `enough`).
    """
    is_seen = seen(scores).all(dim=0)
    if not enough(is_seen):
        return None
    scores = scores[:, is_seen]
    zero = list(shifts).index(0)
    path = changes(scores, zero, attributes)
    spread = torch.tensor([attribute.spread for attribute in attributes], dtype=torch.float64)
    # Circular attributes turn at most half way round on either side of t = 0: followed from shift to shift, readings
    # that are mere noise would seem to move the further, the more shifts there are.
    outer = scores[[0, zero, len(scores) - 1]]
    ends = changes(outer, 1, attributes)
    across = ends[2] - ends[0]  # (n, A)
    standardised, magnitude = across.mean(0) / spread, across.abs().mean(0) / spread
    total, dominant = float(magnitude.sum()), int(standardised.abs().argmax())
    others = (total - float(magnitude[dominant])) / max(len(attributes) - 1, 1)
    return Movement(
        change=tuple(estimate.mean(column) for column in across.unbind(1)),
        standardised=standardised,
        magnitude=magnitude,
        consistency=_ratio(standardised.abs(), magnitude),
        monotonicity=_rank_correlation(path).mean(0),
        share=_ratio(magnitude.square(), magnitude.square().sum()),
        coherence=coherence(across / spread),
        dependency=others / float(magnitude[dominant]) if magnitude[dominant] > 0 else math.nan,
        levels=doubled(outer).mean(1),
    )


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Elementwise; 0 where nothing moves."""
    return torch.where(whole > 0, part / whole.clamp_min(torch.finfo(whole.dtype).tiny), 0.0)


def _rank_correlation(path: Tensor) -> Tensor:
    """Spearman's rho of shift and attribute, (n, A), of (T, n, A) at ascending shifts; 0 where nothing moves."""
    ranks = torch.from_numpy(rankdata(path.cpu().numpy(), axis=0))  # ties share their mean rank
    order = torch.arange(len(path), dtype=torch.float64).view(-1, 1, 1)
    a, b = order - order.mean(), ranks - ranks.mean(dim=0)
    return _ratio((a * b).sum(0), (a.square().sum(0) * b.square().sum(0)).sqrt())


# --- label and verdict ------------------------------------------------------------------------------------------

LEAST_CHANGE = 0.25
"""Sigmas from end to end that an attribute must move in the mean for a direction to be a direction of anything."""
LEAST_SHARE = 0.5
"""Of an interpretable direction, the dominant attribute has half of the squared change or more ..."""
LEAST_LEAD = 2.0
"""... and moves twice as much as any other: of two that move alike neither does ..."""
LEAST_CONSISTENCY = 0.8
"""... for nearly all codes to the same side (a normal change of mean 1.25 deviations has consistency 0.8) ..."""
LEAST_MONOTONICITY = 0.8
"""... and steadily: of five shifts, one pair of neighbours may be out of order (rho = 0.9), not three (0.7)."""


@dataclass(frozen=True)
class Verdict:
    """What a direction is.

    Attributes:
        kind: 'interpretable': one attribute dominates; 'entangled': several move; 'none': none moves for all codes;
            'unread': too few codes keep the subject of the scorer for it to be said.
        attribute: the dominant one, '' if none moves or nothing could be read.
        label: of an interpretable direction, the attribute and the sign of its change as t grows: 'wheel radius +'.
    """

    kind: Literal["interpretable", "entangled", "none", "unread"]
    attribute: str
    label: str


def verdict(moved: Movement | None, attributes: Sequence[Attribute]) -> Verdict:
    """Judge a direction by what it moves, `None` if too few codes could be read."""
    if moved is None:
        return Verdict("unread", "", "")
    index = moved.dominant
    change, name = float(moved.standardised[index]), attributes[index].name
    if abs(change) < LEAST_CHANGE:
        return Verdict("none", "", "")
    others = torch.cat([moved.magnitude[:index], moved.magnitude[index + 1 :]])
    pure = (
        float(moved.share[index]) >= LEAST_SHARE
        and bool((moved.magnitude[index] >= LEAST_LEAD * others).all())
        and float(moved.consistency[index]) >= LEAST_CONSISTENCY
        and abs(float(moved.monotonicity[index])) >= LEAST_MONOTONICITY
    )
    if not pure:
        return Verdict("entangled", name, "")
    return Verdict("interpretable", name, f"{name} {'+' if change > 0 else '-'}")
