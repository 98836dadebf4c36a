"""Racing: the directions that costly experiments measure are chosen by KID, at few codes first (see `metrics.racing`).

What a direction costs is how far it raises the KID above that of the unshifted images of the same codes, where its
effect is that of the other directions of its set, in the mean over both ends; an end that misses the effect takes it
out of the race.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import torch
from pydantic import Field
from torch import Tensor

from navbench.costs import Rehearsed, preparing, rehearses, rendering, seeing, times
from navbench.directions import Direction, DirectionSet
from navbench.errors import NavbenchError
from navbench.experiments.calibration import TOLERANCE
from navbench.experiments.common import Common
from navbench.experiments.curves import check_reference, realism
from navbench.experiments.distances import extracting, pair_costs
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.experiment import Experiment
from navbench.experiments.fid_curve import Features, ReferenceStatistics, prepared, unshifted_features
from navbench.experiments.footing import effect_target
from navbench.experiments.measurement import Instruments, Measurement
from navbench.experiments.rows import Row, who
from navbench.experiments.statistics import Gaussian, is_statistics, read_statistics
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.extractors import Extractor
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.racing import Lap, at_equal_effect, reaches, standings
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import Piece, Stored, pure


class Stage(Settings):
    """One stage of a race: `codes` of its own for every direction that is left, of which `keep` of each set go on."""

    codes: int = Field(ge=4)
    keep: int = Field(ge=1)


STAGES = (Stage(codes=64, keep=4), Stage(codes=256, keep=2))
"""Those that `navbench plan --racing` takes for a suite that has none."""


class RacingSettings(Settings):
    """Which directions of each set the experiments of few directions measure: by stages, instead of the first ones.

    Attributes:
        stages: one after the other; `[]` for no race.
    """

    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Sprint:
    """What a direction costs at both ends of its range.

    Attributes:
        increase: (2,), float64, of the KID above that of the unshifted images; influence: (2, n), of each code.
        effects: (2, n), of each code.
    """

    increase: Tensor
    influence: Tensor
    effects: Tensor

    def value(self, target: float) -> tuple[Estimate | None, int]:
        """The mean increase over both ends, as it is at an effect, and how many ends reach that; `None` if not both."""
        increases = map(Estimate, self.increase.tolist(), self.influence)
        ends = [
            at_equal_effect(increase, effect, target)
            for increase, effect in zip(increases, map(estimate.mean, self.effects), strict=True)
            if reaches(effect, target, TOLERANCE)
        ]
        return (estimate.average(ends) if len(ends) == 2 else None), len(ends)


@pure()
def sprint(
    edit: Edit, indices: Sequence[int], seed: int, extractor: Extractor, distance: PerceptualDistance,
    unshifted: tuple[Stored[Features], ...], reference: Stored[ReferenceStatistics],
) -> Sprint:  # fmt: skip
    """What a direction costs at both ends of its range, on codes number `indices`, whose unshifted features are given.

    Raises:
        NavbenchError: of the reference no features are known.
    """
    ends = (edit.direction.t_min, edit.direction.t_max)

    def work(chunk: Sequence[int]) -> tuple[Tensor, Tensor]:
        render = edit.prepare(codes_for(edit.space.generator, Role.RACING, chunk, seed))
        with torch.no_grad():
            original = distance.features(render(0.0))
            images = [render(t) for t in ends]
            effects = [(distance.features(each) - original).square().sum(1).cpu() for each in images]
            return torch.stack([extractor(each).cpu() for each in images]), torch.stack(effects)

    features, effects = (torch.cat(each, dim=1) for each in zip(*edit.compute.over(indices, work), strict=True))
    known = prepared(reference, edit.compute.exact)
    at_zero = _kernel(known, torch.cat([part.read("features") for part in unshifted]))
    increases = [estimate.difference(_kernel(known, each), at_zero) for each in features]
    values = torch.tensor([each.value for each in increases], dtype=torch.float64)
    return Sprint(values, torch.stack([each.influence for each in increases]), effects)


def _kernel(reference: ReferenceStatistics, features: Tensor) -> Estimate:
    if reference.pairwise is None:
        raise NavbenchError("Directions race by KID, and of this reference no features are known.")
    return reference.pairwise.measure(features)[0]


@rehearses(sprint)
def _sprint_rehearsed(
    edit: Edit, indices: Sequence[int], seed: int, extractor: Extractor, distance: PerceptualDistance,
    unshifted: tuple[Features, ...], reference: ReferenceStatistics,
) -> Rehearsed[Sprint]:  # fmt: skip
    """All directions cost the same."""
    space, compute, codes = edit.space, edit.compute, len(indices)
    generator = space.generator
    costs = {
        preparing(space, compute): 1,
        rendering(space, compute): 3,
        seeing("distance", distance.name, distance.features, generator, compute): 3,
        extracting(extractor, generator, compute): 2,
    }
    one = torch.ones((), dtype=torch.float64)
    sketch = Sprint(one.expand(2), one.expand(2, codes), one.float().expand(2, codes))
    kernel = times(3, pair_costs(codes, reference, extractor.dimensions, compute))
    return Rehearsed(sketch, {**times(codes, costs), **kernel})


# --- the experiment ----------------------------------------------------------------------------------------------


class Racing(Experiment[RacingSettings, Sequence[Lap]]):
    """Part of every run whose suite has stages; what it decides is in the plan already (see `prepared`)."""

    name = "racing"
    settings = RacingSettings
    always = True
    whole = True

    def check_suite(self, suite: Common) -> None:
        """Stages that keep no fewer, or measure on no more codes, than the one before."""
        for before, after in pairwise(suite.section(Racing).stages):
            if after.keep >= before.keep or after.codes <= before.codes:
                raise NavbenchError(
                    f"Racing's stage of {after.codes} codes that keeps {after.keep} follows one of {before.codes} that "
                    f"keeps {before.keep}; each stage must keep fewer, on more codes."
                )

    def check(self, on: Instruments) -> None:
        """A reference with features."""
        if not on.settings(Racing).stages:
            return
        check_reference(on)
        source = on.subject.reference
        if is_statistics(source) and isinstance(read_statistics(source).known, Gaussian):
            raise NavbenchError(f"Directions race by KID, which {source} does not allow: it holds no features.")

    def prepared(self, on: Measurement) -> Measurement:
        """With the survivors of each set as its leading directions."""
        stages = on.settings(Racing).stages
        if not stages or on.plan.only:
            return on
        laps = _race(on, stages)
        last = {lap.set_id: lap.kept for lap in laps}  # of each set, that of the last stage
        return replace(on, plan=replace(on.plan, leaders=last), laps=tuple(laps))

    def has_work(self, on: Measurement) -> bool:
        """With stages."""
        return bool(on.laps)

    def gaps(self, on: Measurement) -> Iterator[str]:
        """Directions that were dropped."""
        if on.laps:
            kept = on.settings(Racing).stages[-1].keep
            yield (
                f"What is measured of few directions of {on.generator.name} is measured of at most {kept} of each set, "
                "the winners of a race by KID at an equal effect, on codes that had no part in the race; means over "
                "them are of the best directions, not of a method."
            )

    def run(self, on: Measurement) -> Sequence[Lap]:
        """What was decided."""
        return on.laps

    def rows(self, on: Measurement, outcome: Sequence[Lap]) -> Mapping[str, Iterable[Row]]:
        """Per set, stage and direction."""
        return {"racing": _rows(on, outcome)}

    def facts(self, on: Measurement, outcome: Sequence[Lap]) -> Mapping[str, object]:
        """Over how many codes."""
        return {"samples": {"racing": [stage.codes for stage in on.settings(Racing).stages]}}


def _race(on: Measurement, stages: Sequence[Stage]) -> list[Lap]:
    """The laps of all sets, stage by stage."""
    laps: list[Lap] = []
    running = {found.set_id: list(found) for found in on.plan.sets}
    ends = [0, *accumulate(stage.codes for stage in stages)]
    for number, ((low, high), stage) in enumerate(zip(pairwise(ends), stages, strict=True), start=1):
        sprints = _sprints(on, [one for group in running.values() for one in group], range(low, high), number)
        for found in on.plan.sets:
            group, target = running[found.set_id], _target(on, found)
            values = {one.name: sprints[one.name].value(target) for one in group}
            standing = standings({name: value for name, (value, _) in values.items()}, stage.keep)
            counts = {name: count for name, (_, count) in values.items()}
            laps.append(Lap(found.set_id, number, stage.codes, target, standing, counts))
            running[found.set_id] = [one for one in group if one.name in laps[-1].kept]
    return laps


def _target(on: Measurement, found: DirectionSet) -> float:
    """The effect at which the directions of a set are compared: the one that their ranges were calibrated to."""
    return effect_target(on, found) or on.bench.suite.discovery_of(on.subject).effect


def _sprints(on: Measurement, directions: Sequence[Direction], codes: range, stage: int) -> dict[str, Sprint]:
    """What each direction costs on some codes, by its name."""
    along, bench, seed = realism(on), on.bench, on.bench.suite.seed
    zero = unshifted_features.piece(on.generator, Role.RACING, codes, seed, along.extractor, bench.compute)
    how = (codes, seed, along.extractor, bench.distance, (zero.but(note="unshifted"),), along.reference)
    pieces: list[Piece[Sprint]] = [sprint.piece(on.edit(one), *how).but(note=one.name) for one in directions]
    found = on.pieces(pieces, f"race, stage {stage}")
    return {one.name: each for one, each in zip(directions, found, strict=True)}


def _rows(on: Measurement, laps: Sequence[Lap]) -> Iterator[Row]:
    directions = on.plan.by_name()
    for lap in laps:
        for standing in lap.standings:
            value = standing.value
            yield {
                **who(directions[standing.name]),
                "stage": lap.stage,
                "n": lap.codes,
                "target": lap.target,
                "ends": lap.ends[standing.name],
                "value": None if value is None else value.value,
                "stderr": None if value is None else value.stderr,
                "rank": standing.rank,
                "kept": standing.kept,
                "rule": standing.rule,
                **realism(on).source,
                "n_reference": realism(on).n_reference_of("KID"),
            }
