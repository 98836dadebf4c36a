"""Disentangling: a set's directions as a code, whose coordinates are shifts, and attributes as its factors."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from navbench import seeds
from navbench.costs import Pass, Rehearsed, Trial, preparing, rehearses, rendering, seeing
from navbench.directions import DirectionSet
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.experiment import Experiment
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row
from navbench.metrics.attributes import Scores, enough, enough_of, seen, standardised_changes
from navbench.metrics.disentanglement import GROUPS, MEASURES, disentanglement
from navbench.metrics.estimate import Estimate
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import Stored, pure


class DisentanglingSettings(Settings):
    """DCI and MIG of each set's directions as a code of the attributes.

    Attributes:
        directions: K, the best ones of each set (`Measurement.leading`).
        samples: codes, each with one draw of K shifts.
        bins: of equal counts, in which mutual information is counted.
    """

    directions: int = Field(16, ge=2)
    samples: int = Field(512, ge=50)
    bins: int = Field(10, ge=2)


@dataclass(frozen=True)
class JointChanges:
    """What K directions, shifted together at random, do to the attributes.

    Attributes:
        shares: (n, K), the shift of each direction as a share of the end of its range, in [-1, 1].
        changes: (n, A), of the attributes from the unshifted image of the same code, in sigmas; NaN where one of both
            does not show the subject of the scorer.
    """

    shares: Tensor
    changes: Tensor


def drawn_shares(indices: Sequence[int], count: int, seed: int) -> Tensor:
    """Uniform shares of the ends of `count` ranges, (n, count); row i depends on (seed, i) only.

    They are drawn from [-s, s], s = sqrt(3 / count) or 1: the squared shares add up to 1 in the mean, so that all
    directions together change images about as much as one does at an end of its range.
    """
    largest = min(1.0, (3 / count) ** 0.5)
    role = seeds.derived(seed, "joint shifts")
    drawn = [seeds.stream(role, index).uniform(-largest, largest, count) for index in indices]
    return torch.from_numpy(np.stack(drawn)).float()


@pure()
def joint_changes(edits: Sequence[Edit], indices: Sequence[int], seed: int, scorer: Scores) -> JointChanges:
    """Read codes number `indices` under a random combination of all of some directions of one space."""
    first = edits[0]
    space, compute = first.space, first.compute
    offsets = torch.stack([edit.offset for edit in edits])
    low, high = (torch.tensor([getattr(edit.direction, end) for edit in edits]) for end in ("t_min", "t_max"))

    @torch.no_grad()
    def work(chunk: Sequence[int]) -> Tensor:
        state = first.state(codes_for(space.generator, Role.DISENTANGLING, chunk, seed))
        shares = drawn_shares(chunk, len(edits), seed)
        shifts = torch.where(shares > 0, shares * high, -shares * low).to(compute.device)
        with compute.autocast():
            images = space.render(state, torch.tensordot(shifts, offsets, dims=1))
        images = compute.finite(images, f"Generator {space.generator.name} under {len(edits)} directions")
        return standardised_changes(scorer(first.renderer(state)(0.0)), scorer(images), scorer.attributes).cpu()

    changes = torch.cat(list(compute.over(indices, work)))
    return JointChanges(drawn_shares(indices, len(edits), seed), changes)


@rehearses(joint_changes)
def _joint_changes_rehearsed(
    edits: Sequence[Edit], indices: Sequence[int], seed: int, scorer: Scores
) -> Rehearsed[JointChanges]:
    """Each attribute follows one direction."""
    space, compute, codes = edits[0].space, edits[0].compute, len(indices)
    read = seeing("scorer", scorer.name, scorer, space.generator, compute)
    shares = drawn_shares(indices, len(edits), seed)
    costs = {preparing(space, compute): codes, rendering(space, compute): 2 * codes, read: 2 * codes}
    followed = torch.arange(len(scorer.attributes)) % len(edits)
    return Rehearsed(JointChanges(shares, shares[:, followed].double()), costs)


@dataclass(frozen=True)
class CodeQuality:
    """`Disentanglement` as tensors.

    Attributes:
        values, influences: (4,) and (4, G), float64, of each of `MEASURES`; NaN if too few codes could be read.
        importance: (K, A), of each direction for each attribute.
        codes: how many could be read; ().
    """

    values: Tensor
    influences: Tensor
    importance: Tensor
    codes: Tensor

    def measures(self) -> dict[str, Estimate]:
        """Each of `MEASURES` by its name."""
        pairs = zip(self.values.tolist(), self.influences, strict=True)
        return {name: Estimate(*pair) for name, pair in zip(MEASURES, pairs, strict=True)}


@pure(revision=2)
def code_quality(joint: Stored[JointChanges], bins: int) -> CodeQuality:
    """How disentangled the shifts are as a code of the changes, over the codes that could be read."""
    shares, changes = joint.read("shares"), joint.read("changes")
    is_seen = seen(changes)
    if not enough(is_seen):
        unknown = torch.full((len(MEASURES), GROUPS), math.nan, dtype=torch.float64)
        return CodeQuality(unknown[:, 0], unknown, torch.zeros(shares.shape[1], changes.shape[1]), is_seen.sum())
    measured = disentanglement(shares[is_seen], changes[is_seen], bins)
    estimates = [getattr(measured, name) for name in MEASURES]
    values = torch.tensor([one.value for one in estimates], dtype=torch.float64)
    influences = torch.stack([one.influence for one in estimates])
    return CodeQuality(values, influences, measured.importance, is_seen.sum())


@rehearses(code_quality)
def _code_quality_rehearsed(joint: JointChanges, bins: int) -> Rehearsed[CodeQuality]:
    """No better than none."""
    (samples, directions), attributes = joint.shares.shape, joint.changes.shape[1]

    def trial() -> Trial:
        code, factors = (seeds.normal(part, range(samples), (size,)) for part, size in ((0, directions), (1, 1)))

        def once() -> float:
            disentanglement(code, factors, bins)
            return 1

        return once

    regressions = Pass("regressions", (samples, directions, bins), trial)
    zeros = torch.zeros((), dtype=torch.float64)
    some = len(MEASURES)
    sketch = CodeQuality(
        zeros.expand(some), zeros.expand(some, GROUPS), zeros.expand(directions, attributes), torch.tensor(samples)
    )
    return Rehearsed(sketch, {regressions: attributes})


# --- the experiment ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CodeQualities:
    """Each set of two directions or more, how many of them are the code, and how good a code they are."""

    sets: Sequence[tuple[DirectionSet, int, CodeQuality]]


class Disentangling(Experiment[DisentanglingSettings, CodeQualities]):
    """DCI and MIG of each set, by a scorer."""

    name = "disentanglement"
    settings = DisentanglingSettings
    on_request = True
    whole = True
    absent = "Directions were not taken together as a code (DCI, MIG)"

    def has_work(self, on: Measurement) -> bool:
        """Whether there is a scorer."""
        return on.scorer is not None

    def gaps(self, on: Measurement) -> Iterator[str]:
        """Generators without a scorer, and sets whose images lose its subject."""
        if on.scorer is None:
            yield f"{on.generator.name} has no attribute scorer, so its directions are no code of attributes."
            return
        outcome = on.outcome(Disentangling)
        for found, _, quality in outcome.sets if outcome is not None else ():
            if not _is_read(on, quality):
                yield (
                    f"{found.set_id} is not measured as a code of attributes: of {on.settings(Disentangling).samples} "
                    f"codes, {int(quality.codes)} keep the {on.scorer.subject} under all directions together."
                )

    def run(self, on: Measurement) -> CodeQualities:
        """Two pieces per set: the images, and what is made of their readings."""
        assert on.scorer is not None
        settings, seed = on.settings(Disentangling), on.bench.suite.seed
        leading = {direction.name for direction in on.leading(settings.directions)}
        groups = [[direction for direction in found if direction.name in leading] for found in on.plan.sets]
        chosen = [(found, group) for found, group in zip(on.plan.sets, groups, strict=True) if len(group) > 1]
        pieces = []
        for found, group in chosen:
            edits = [on.edit(direction) for direction in group]
            joint = joint_changes.piece(edits, range(settings.samples), seed, on.scorer)
            pieces.append(code_quality.piece(joint, settings.bins).but(note=found.set_id))
        qualities = on.pieces(pieces, "disentanglement")
        sizes = [(found, len(group)) for found, group in chosen]
        return CodeQualities([(*size, quality) for size, quality in zip(sizes, qualities, strict=True)])

    def rows(self, on: Measurement, outcome: CodeQualities) -> Mapping[str, Iterable[Row]]:
        """Per set and measure."""
        return {"disentanglement": _rows(on, outcome)}

    def facts(self, on: Measurement, outcome: CodeQualities) -> Mapping[str, object]:
        """Over how many codes."""
        return {"samples": {self.name: on.settings(Disentangling).samples}}


def _is_read(on: Measurement, quality: CodeQuality) -> bool:
    """Whether enough codes could be read; a measure may be NaN also where they could."""
    return enough_of(int(quality.codes), on.settings(Disentangling).samples)


def _rows(on: Measurement, outcome: CodeQualities) -> Iterator[Row]:
    assert on.scorer is not None
    for found, count, quality in outcome.sets:
        place = {"generator": found.generator, "layer": found.place, "space": found.space, "method": found.method}
        for name, measured in quality.measures().items() if _is_read(on, quality) else ():
            yield {
                **place,
                "metric": name,
                "value": measured.value,
                "stderr": measured.stderr,
                "directions": count,
                "attributes": len(on.scorer.attributes),
                "scorer": on.scorer.name,
                "n": int(quality.codes),
            }
