"""What directions do to the attributes of images, as a scorer reads them along their shifts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from navbench.costs import Rehearsed, preparing, rehearses, rendering, seeing
from navbench.directions import Direction, DirectionSet
from navbench.experiments.common import OddCount
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.experiment import Experiment, Order
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row, quality_row, who
from navbench.experiments.screening import Screening
from navbench.methods import competes
from navbench.metrics.attributes import Movement, Scorer, Scores, Verdict, movement, nearly_all, seen, verdict
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import Piece, pure


class AttributeSettings(Settings):
    """What every direction moves, as the generator's attribute scorer reads it.

    Attributes:
        samples: codes.
        shifts: from t_min to t_max.
    """

    samples: int = Field(32, ge=2)
    shifts: OddCount = Field(5, ge=3)


@dataclass(frozen=True)
class Readings:
    """Scores (K, T, n, A) of each code's image, of K directions at T shifts each."""

    scores: Tensor


@pure()
def readings(edits: Sequence[Edit], points: int, indices: Sequence[int], seed: int, scorer: Scores) -> Readings:
    """Read the attributes of codes number `indices` at `points` shifts of each of some directions of one space.

    The unshifted images and all work before the shifted layer are shared by the directions.
    """
    first = edits[0]

    def work(chunk: Sequence[int]) -> Tensor:
        state = first.state(codes_for(first.space.generator, Role.ATTRIBUTES, chunk, seed))
        unshifted = scorer(first.renderer(state)(0.0))
        return torch.stack([_along(edit, state, unshifted) for edit in edits]).cpu()

    def _along(edit: Edit, state: Any, unshifted: Tensor) -> Tensor:
        render, shifts = edit.renderer(state), edit.direction.shifts(points).tolist()
        return torch.stack([scorer(render(t)) if t else unshifted for t in shifts])

    return Readings(torch.cat(list(first.compute.over(indices, work)), dim=2))


@rehearses(readings)
def _readings_rehearsed(
    edits: Sequence[Edit], points: int, indices: Sequence[int], seed: int, scorer: Scores
) -> Rehearsed[Readings]:
    """Each attribute is moved by one direction, or some attributes by one where there are more of them."""
    space, compute, codes = edits[0].space, edits[0].compute, len(indices)
    images = codes * (1 + len(edits) * (points - 1))
    read = seeing("scorer", scorer.name, scorer, space.generator, compute)
    costs = {preparing(space, compute): codes, rendering(space, compute): images, read: images}
    spread = torch.tensor([each.spread for each in scorer.attributes])
    moved = torch.arange(len(spread)) % len(edits) == torch.arange(len(edits))[:, None]  # (K, A)
    scores = (moved * spread)[:, None] * torch.linspace(-1, 1, points)[:, None]  # (K, T, A)
    return Rehearsed(Readings(scores[:, :, None].expand(-1, -1, codes, -1)), costs)


# --- the experiment ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Movements:
    """What directions do to the attributes, by the direction's name.

    Attributes:
        scorer: that read them.
        seen: (T, n), of the image of each code at each shift, whether it shows the subject of the scorer.
        moved: what each direction does, of those under which enough codes keep the subject.
    """

    scorer: Scorer
    seen: Mapping[str, Tensor]
    moved: Mapping[str, Movement]

    def verdict_of(self, name: str) -> Verdict | None:
        """What a direction is found to be; `None` if the scorer was not given it."""
        return verdict(self.moved.get(name), self.scorer.attributes) if name in self.seen else None

    def verdicts(self) -> Iterator[tuple[str, Verdict]]:
        """What every direction is found to be, by name."""
        return ((name, verdict(self.moved.get(name), self.scorer.attributes)) for name in self.seen)

    def purity(self, name: str) -> float:
        """The share of the change that is of the direction's dominant attribute, times its consistency.

        0 of a direction of which too little could be read.
        """
        if name not in self.moved:
            return 0.0
        moved = self.moved[name]
        return float(moved.share[moved.dominant] * moved.consistency[moved.dominant])

    def index(self, attribute: str) -> int:
        """The place of an attribute among the scorer's."""
        return [one.name for one in self.scorer.attributes].index(attribute)


def readings_of(on: Measurement, scorer: Scorer, group: Sequence[Direction]) -> Piece[Readings]:
    """The piece that reads directions of one place."""
    settings, edits = on.settings(Attributes), [on.edit(direction) for direction in group]
    piece = readings.piece(edits, settings.shifts, range(settings.samples), on.bench.suite.seed, scorer)
    return piece.but(note=group[0].name.rpartition("/")[0])


def movements_of(
    on: Measurement, scorer: Scorer, group: Sequence[Direction], read: Readings
) -> Iterator[tuple[str, Movement]]:
    """What directions of one place do to the attributes, by name.

    Those under which too many images lose the subject of the scorer are left out.
    """
    points = on.settings(Attributes).shifts
    for direction, scores in zip(group, read.scores, strict=True):
        moved = movement(scores, direction.shifts(points).tolist(), scorer.attributes)
        if moved is not None:
            yield direction.name, moved


class Attributes(Experiment[AttributeSettings, Movements]):
    """What every direction moves; Table 1 without a human."""

    name = "attributes"
    settings = AttributeSettings

    def has_work(self, on: Measurement) -> bool:
        """With a scorer."""
        return on.scorer is not None

    def gaps(self, on: Measurement) -> Iterator[str]:
        """A generator without a scorer, where others have one."""
        if on.scorer is None and any(subject.scorer for subject in on.bench.suite.generators):
            yield f"{on.generator.name} has no attribute scorer, so nothing is said of what its directions do."

    def run(self, on: Measurement) -> Movements:
        """One piece per set."""
        assert on.scorer is not None
        movements: dict[str, Movement] = {}
        shown: dict[str, Tensor] = {}
        groups = on.by_set(on.plan.all_directions())
        pieces = [readings_of(on, on.scorer, group) for group in groups]
        for group, read in zip(groups, on.pieces(pieces, "attributes"), strict=True):
            shown |= zip((one.name for one in group), seen(read.scores), strict=True)
            movements |= movements_of(on, on.scorer, group, read)
        return Movements(on.scorer, shown, movements)

    def order(self, on: Measurement) -> Order | None:
        """Those that are interpretable, of these the purest, then the others likewise."""
        outcome = on.outcome(Attributes)
        if outcome is None:
            return None
        costs = {name: (judged.kind != "interpretable", -outcome.purity(name)) for name, judged in outcome.verdicts()}
        return Order.of(on.plan.sets, costs, "by verdict, then by share and consistency of the change")

    def rows(self, on: Measurement, outcome: Movements) -> Mapping[str, Iterable[Row]]:
        """Per direction and attribute; per attribute and method the best direction."""
        quality = [
            quality_row(direction, "attribute coherence", outcome.scorer.name, outcome.moved[direction.name].coherence)
            for direction in on.plan.all_directions()
            if direction.name in outcome.moved
        ]
        return {"attributes": _attribute_rows(on, outcome), "found": _found_rows(on, outcome), "quality": quality}

    def direction_columns(self, on: Measurement, outcome: Movements, direction: Direction) -> Row:
        """The automatic label and what it rests on."""
        judged = outcome.verdict_of(direction.name)
        if judged is None:
            return {}
        row: Row = {"verdict": judged.kind, "attribute": judged.attribute, "auto_label": judged.label}
        if not judged.attribute:
            return row
        moved, index = outcome.moved[direction.name], outcome.index(judged.attribute)
        return row | {
            "attribute_change": moved.change[index].value,
            "attribute_change_stderr": moved.change[index].stderr,
            "attribute_share": float(moved.share[index]),
            "monotonicity": float(moved.monotonicity[index]),
            "attribute_dependency": moved.dependency,
        }

    def set_columns(self, on: Measurement, outcome: Movements, directions: DirectionSet) -> Row:
        """How many attributes the directions are directions of."""
        names = [direction.name for direction in directions]
        judged = {name: verdict for name in names if (verdict := outcome.verdict_of(name)) is not None}
        if not judged:
            return {}
        pure_ones = [verdict for verdict in judged.values() if verdict.kind == "interpretable"]
        dependencies = [outcome.moved[name].dependency for name, verdict in judged.items() if verdict.attribute]
        return {
            "interpretable": len(pure_ones),
            "entangled": sum(verdict.kind == "entangled" for verdict in judged.values()),
            "attributes_found": len({verdict.attribute for verdict in pure_ones}),
            "dependency_mean": sum(dependencies) / len(dependencies) if dependencies else None,
        }

    def facts(self, on: Measurement, outcome: Movements) -> Mapping[str, object]:
        """Over how many codes."""
        return {"samples": {"attributes": on.settings(Attributes).samples}}


def _attribute_rows(on: Measurement, outcome: Movements) -> Iterator[Row]:
    screened = on.outcome(Screening)
    assert screened is not None
    for direction in on.plan.all_directions():
        if direction.name not in outcome.moved:
            continue
        moved, effects = outcome.moved[direction.name], screened.effects[direction.name]
        effect = float(effects.double().mean(1).sum())  # as the change is from end to end, both are added
        is_seen = outcome.seen[direction.name]
        comparable = bool(effect) and nearly_all(is_seen.all(dim=0), is_seen[len(is_seen) // 2])
        for index, attribute in enumerate(outcome.scorer.attributes):
            standardised = float(moved.standardised[index])
            yield {
                **who(direction),
                "attribute": attribute.name,
                "unit": attribute.unit,
                "spread": attribute.spread,
                "change": moved.change[index].value,
                "change_stderr": moved.change[index].stderr,
                "standardised": standardised,
                "standardised_per_effect": standardised / effect if comparable else float("nan"),
                "magnitude": float(moved.magnitude[index]),
                "share": float(moved.share[index]),
                "consistency": float(moved.consistency[index]),
                "monotonicity": float(moved.monotonicity[index]),
                "scorer": outcome.scorer.name,
                "n": moved.change[index].n,
                "shifts": on.settings(Attributes).shifts,
            }


def _found_rows(on: Measurement, outcome: Movements) -> Iterator[Row]:
    """Per attribute and method, of the interpretable directions the one of which it gets the largest share.

    `best` marks the largest share among the methods that compete.
    """
    for index, attribute in enumerate(outcome.scorer.attributes):
        best: dict[str, tuple[float, Direction]] = {}
        for direction in on.plan.all_directions():
            judged = outcome.verdict_of(direction.name)
            if judged is None or judged.kind != "interpretable" or judged.attribute != attribute.name:
                continue
            share = float(outcome.moved[direction.name].share[index])
            rival = best.get(direction.method, (0.0, direction))
            best[direction.method] = max(rival, (share, direction), key=itemgetter(0))
        top = max((share for method, (share, _) in best.items() if competes(method)), default=0.0)
        for method, (share, direction) in best.items():
            yield {
                "generator": direction.generator,
                "attribute": attribute.name,
                "method": method,
                "layer": direction.place,
                "direction": direction.index,
                "name": direction.name,
                "share": share,
                "best": share == top and competes(method),
            }
