"""Lost: in which share of images the scorer no longer sees its subject, a face for example, along each direction.

It needs no reference, so it stands beside the distances: a subject is lost where edits break it, but also where they
turn it away, cover it or make it small. And it says of how many codes the attributes could be read. The images are
those of the attributes. As an instrument it is checked by known damage.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.costs import Rehearsed, blank, generating, rehearses, seeing
from navbench.directions import Direction, DirectionSet
from navbench.experiments.attributes import Attributes, AttributeSettings
from navbench.experiments.curves import Curves, curves_of
from navbench.experiments.edit import codes_for, unshifted
from navbench.experiments.experiment import Experiment, NoSettings
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row, estimated, levelled, who
from navbench.experiments.screening import Screening
from navbench.generators.base import Generator
from navbench.metrics import estimate, levels
from navbench.metrics.attributes import Scorer, Scores, seen
from navbench.metrics.damage import BLANK, DAMAGES, OCCLUSION, damaged
from navbench.metrics.estimate import Estimate
from navbench.metrics.instrument import Verdict, judge_losses
from navbench.seeds import Role
from navbench.work import pure

AS_THEY_ARE = ""
"""In place of a damage: none."""
LADDER = (*DAMAGES, OCCLUSION)
"""What hides a subject the more, the stronger it is."""
JUDGED = tuple(damage.name for damage in LADDER if damage.name != BLANK)
"""Of these, what the check is by: blank images lose the subject by construction."""
STEPS = tuple((damage.name, strength) for damage in LADDER for strength in damage.strengths)


@dataclass(frozen=True)
class Damaged:
    """Whether the subject is lost, (1 + S, n), 1 or 0: of unshifted images as they are, then with each damage."""

    lost: Tensor


@pure()
def lost_by_damage(
    generator: Generator, scorer: Scores, steps: tuple[tuple[str, float], ...], indices: Sequence[int], seed: int,
    compute: Compute,
) -> Damaged:  # fmt: skip
    """Look for the subject in damaged images of codes number `indices`: a measure of realism has to see that."""

    def work(chunk: Sequence[int]) -> Tensor:
        images = unshifted(generator, codes_for(generator, Role.ATTRIBUTES, chunk, seed), compute)
        looks = (images, *(damaged(images, step, chunk, seed) for step in steps))
        return torch.stack([~seen(scorer(look)) for look in looks]).double().cpu()

    return Damaged(torch.cat(list(compute.over(indices, work)), dim=1))


@rehearses(lost_by_damage)
def _lost_by_damage_rehearsed(
    generator: Generator, scorer: Scores, steps: tuple[tuple[str, float], ...], indices: Sequence[int], seed: int,
    compute: Compute,
) -> Rehearsed[Damaged]:  # fmt: skip
    """All the same."""
    codes, looks = len(indices), 1 + len(steps)
    read = seeing("scorer", scorer.name, scorer, generator, compute)
    return Rehearsed(Damaged(blank(looks, codes)), {generating(generator, compute): codes, read: codes * looks})


# --- the experiment ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Losses:
    """Where the subject is lost.

    Attributes:
        along: (T, n), whether it is in the image of each code at each shift, by the direction's name.
        damaged: of images without any direction, as `Damaged` has it.
    """

    along: Mapping[str, Tensor]
    damaged: Tensor

    def at(self, name: str, shift: int) -> Estimate:
        """The share of codes that have lost it at a shift."""
        return estimate.mean(self.along[name][shift])

    def raised(self, name: str, shift: int) -> Estimate:
        """That share less the one at t = 0, paired on the codes."""
        return estimate.difference(self.at(name, shift), self.at(name, len(self.along[name]) // 2))

    def at_ends(self, name: str) -> Estimate:
        """The mean share of both ends of the range."""
        return estimate.average([self.at(name, 0), self.at(name, -1)])

    @cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """Whether known damage is noticed, by its name; without blank images."""
        steps = {damage: [0] for damage in JUDGED}
        for place, (damage, _) in enumerate(STEPS, start=1):
            if damage in steps:
                steps[damage].append(place)
        return judge_losses({damage: self.damaged[places] for damage, places in steps.items()})

    @property
    def is_trusted(self) -> bool:
        """Whether it passes the check, and may be read as a measure."""
        return all(verdict.passed for verdict in self.verdicts.values())


class Lost(Experiment[NoSettings, Losses]):
    """Part of every run with attributes whose scorer has a subject."""

    name = "lost"
    always = True

    def has_work(self, on: Measurement) -> bool:
        """With a scorer that may not see what it reads, and its readings."""
        return on.scorer is not None and bool(on.scorer.subject) and on.wants(Attributes)

    def run(self, on: Measurement) -> Losses:
        """From the readings of the attributes; one piece for what damage does."""
        movements = on.outcome(Attributes)
        assert movements is not None
        along = {name: (~shown).double() for name, shown in movements.seen.items()}
        codes, seed = range(_settings(on).samples), on.bench.suite.seed
        piece = lost_by_damage.piece(on.generator, movements.scorer, STEPS, codes, seed, on.bench.compute)
        (found,) = on.pieces([piece], f"{movements.scorer.subject} under damage")
        return Losses(along, found.lost)

    def rows(self, on: Measurement, outcome: Losses) -> Mapping[str, Iterable[Row]]:
        """Per direction and shift; per damage and strength."""
        return {"lost": _rows(on, outcome), "lost_damage": _damage_rows(on, outcome)}

    def direction_columns(self, on: Measurement, outcome: Losses, direction: Direction) -> Row:
        """The shares at both ends."""
        if direction.name not in outcome.along:
            return {}
        low, high = outcome.at(direction.name, 0), outcome.at(direction.name, -1)
        return {**estimated("lost_at_min", low), **estimated("lost_at_max", high), "n_lost": low.n}

    def set_columns(self, on: Measurement, outcome: Losses, directions: DirectionSet) -> Row:
        """The mean over all directions and both ends, and the share at t = 0."""
        values = [outcome.at_ends(one.name) for one in directions if one.name in outcome.along]
        if not values:
            return {}
        mean = levels.levelled(values)
        return {**levelled("lost_mean", mean), **estimated("lost_at_zero", _at_zero(outcome)), "n_lost": mean.n}


def _at_zero(outcome: Losses) -> Estimate:
    """Of unshifted images, which are the same for all directions."""
    return estimate.mean(outcome.damaged[0])


def _scorer(on: Measurement) -> Scorer:
    assert on.scorer is not None
    return on.scorer


def _rows(on: Measurement, outcome: Losses) -> Iterator[Row]:
    shifts, scorer = _settings(on).shifts, _scorer(on)
    for direction in on.plan.all_directions():
        effects = _effects(on, direction)
        for place, t in enumerate(direction.shifts(shifts).tolist() if direction.name in outcome.along else ()):
            share, raised = outcome.at(direction.name, place), outcome.raised(direction.name, place)
            told = {"value": share.value, "stderr": share.stderr, **estimated("raised", raised), "n": share.n}
            own = {"subject": scorer.subject, "t": t, "effect": effects.get(t)}
            yield {**who(direction), **own, **told, "scorer": scorer.name}


def _effects(on: Measurement, direction: Direction) -> dict[float, float]:
    """The effect by the shift: that of the ends as `directions` has it, and between them that of the curve."""
    shifts, curve = direction.shifts(on.settings(Curves).shifts).tolist(), curves_of(on).get(direction.name)
    along = dict(zip(filter(None, shifts), curve.effects.double().mean(1).tolist(), strict=True)) if curve else {}
    screened = on.outcome(Screening)
    assert screened is not None
    low, high = screened.effects[direction.name].double().mean(1).tolist()
    return {**along, shifts[0]: low, 0.0: 0.0, shifts[-1]: high}


def _settings(on: Measurement) -> AttributeSettings:
    return on.settings(Attributes)


def _damage_rows(on: Measurement, outcome: Losses) -> Iterator[Row]:
    scorer, units = _scorer(on), {damage.name: damage.unit for damage in LADDER}
    steps = ((AS_THEY_ARE, 0.0), *STEPS)
    for (name, strength), lost in zip(steps, outcome.damaged, strict=True):
        share, verdict = estimate.mean(lost), outcome.verdicts.get(name, Verdict())
        yield {
            "generator": on.generator.name,
            "subject": scorer.subject,
            "damage": name,
            "unit": units.get(name, ""),
            "strength": strength,
            "value": share.value,
            "stderr": share.stderr,
            "n": share.n,
            "scorer": scorer.name,
            "passed": verdict.passed,
            "reason": verdict.reason,
        }
