"""Pairs: one direction beside those of other methods that do the same, the closest of each set (Figures 5, 6, 15)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from navbench.directions import Direction, DirectionSet
from navbench.experiments.common import Common, Subject, check_methods
from navbench.experiments.curves import Curves, realism
from navbench.experiments.experiment import Experiment, File
from navbench.experiments.fid_curve import Curve
from navbench.experiments.matched import Matched
from navbench.experiments.measurement import Measurement
from navbench.experiments.pairing import pairing
from navbench.experiments.pictures import side_by_side
from navbench.experiments.rows import ENDS, Row, estimated, who
from navbench.experiments.strips import Strips, strip_of
from navbench.methods import METHODS, competes, is_control
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.settings import Settings
from navbench.words import LATENTS


class PairSettings(Settings):
    """The same edit by other methods (Figures 5, 6, 14 and 15), on the same codes at the same effect.

    Attributes:
        method: the method whose directions are paired; '' for the last of the generator's `methods` that is no
            control and sees no labels.
        directions: how many of each of its sets, from the first.
        codes: over which pixel changes are compared; the closest is chosen on one half and measured on the other.
        shown: of them, in pictures.
        curves: of how many directions of each set the closest latent one gets a curve.
    """

    method: str = ""
    directions: int = Field(1, ge=0)
    codes: int = Field(16, ge=4)
    shown: int = Field(2, ge=1)
    curves: int = Field(1, ge=0)


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
class Sheet:
    """The same codes along several directions.

    Attributes:
        kind: 'paired' or 'matched'.
        members: the directions; the first is the one that the others are beside.
        images: (codes, directions, shifts, 3, H, W), uint8, with the same change at the right.
    """

    kind: str
    members: Sequence[Direction]
    images: Tensor


@dataclass(frozen=True)
class PairsFound:
    """One pair per direction and other set, and the sheets that show what is alike."""

    pairs: Sequence[Pair]
    sheets: Sequence[Sheet]


class Pairs(Experiment[PairSettings, PairsFound]):
    """The first directions of one method beside those of the other methods of their layer, and of latent spaces."""

    name = "pairs"
    settings = PairSettings
    whole = True
    absent = "Directions were not set beside those of other methods"

    def check_suite(self, suite: Common) -> None:
        """The method's name."""
        check_methods([suite.section(Pairs).method], (*METHODS, *suite.measured_methods()), "pairs.method")

    def gaps(self, on: Measurement) -> Iterator[str]:
        """A method that has no sets."""
        method = on.settings(Pairs).method
        if method and method not in {found.method for found in on.plan.sets}:
            yield f"{on.generator.name} has no {method} directions here, so none was set beside others'."

    def run(self, on: Measurement) -> PairsFound:
        """One piece for all directions, and the curves of the closest latent ones."""
        settings = on.settings(Pairs)
        method = settings.method or _last_method(on.subject)
        own = [found for found in on.plan.sets if found.method == method and found.space == "parameter"]
        with on.counted("pairs", 2) as tick:
            pairs = _paired(on, own)
            tick(method)
            sheets = [*_sheets(on, pairs), *_matched_sheets(on)]
            tick("pictures")
        if settings.curves and on.asks_for(Curves):
            pairs = _with_curves(on, pairs)
        return PairsFound(pairs, sheets)

    def rows(self, on: Measurement, outcome: PairsFound) -> Mapping[str, Iterable[Row]]:
        """Per direction and other set; per pair with curves, member and shift."""
        return {"pairs": _rows(outcome.pairs), "pair_curves": _curve_rows(on, outcome.pairs)}

    def files(self, on: Measurement, outcome: PairsFound) -> Iterable[File]:
        """Sheets of the same codes, one per code, with a row per direction."""
        for sheet in outcome.sheets:
            names = [direction.name for direction in sheet.members]
            yield from side_by_side(sheet.members[0], sheet.kind, names, sheet.images)


def _last_method(subject: Subject) -> str:
    return next((method for method in reversed(subject.methods) if competes(method)), "")


def _paired(on: Measurement, own: Sequence[DirectionSet]) -> list[Pair]:
    """For the first directions of each set, and each other set, the direction of the same label, or else the closest.

    Latent directions are rendered once, for the sets of all layers.
    """
    first = [one for found in own for one in found if one.index < on.settings(Pairs).directions]
    layers, ids = {one.place for one in first}, {found.set_id for found in own}
    others = [one for one in on.plan.sets if one.space in LATENTS or (one.place in layers and one.set_id not in ids)]
    candidates = [direction for found in others for direction in found]
    if not first or not candidates:
        return []
    edits, others_edits = ([on.edit(one) for one in group] for group in (first, candidates))
    piece = pairing.piece(edits, others_edits, on.settings(Pairs).codes, on.bench.suite.seed)
    (compared,), pairs = on.pieces([piece]), []
    for row, direction in enumerate(first):
        start = 0
        for found in others:
            among = list(range(start, start + len(found)))
            start += len(found)
            if found.space not in LATENTS and found.place != direction.place:
                continue
            named = [place for place in among if direction.label and candidates[place].label == direction.label]
            place, end, choice = compared.closest(row, named or among)
            cosine = compared.measured(row, place, end)
            pairs.append(Pair(direction, candidates[place], end, cosine, choice, bool(named)))
    return pairs


def closest_latent(pairs: Sequence[Pair]) -> dict[str, Pair]:
    """For each direction by its name, the latent one that is most like it, on the codes of the choice.

    One of a method that sees labels is taken only where no other has any, and one of a control after these.
    """

    def preference(pair: Pair) -> tuple[bool, bool, float]:
        return competes(pair.other.method), not is_control(pair.other.method), pair.choice

    best: dict[str, Pair] = {}
    for pair in pairs:
        known = best.get(pair.direction.name)
        if pair.other.space in LATENTS and (known is None or preference(pair) > preference(known)):
            best[pair.direction.name] = pair
    return best


def _sheet(on: Measurement, kind: str, members: Sequence[tuple[Direction, int]]) -> Sheet:
    """The first codes along directions, each with the end of its range that is shown at the right."""
    points, shown, pieces = on.settings(Strips).shifts, on.settings(Pairs).shown, []
    for direction, end in members:
        shifts = direction.shifts(points).tolist()
        pieces.append(strip_of(on, direction, shifts if end else shifts[::-1], shown))
    images = torch.stack([strip.images for strip in on.pieces(pieces)], dim=1)
    return Sheet(kind, [direction for direction, _ in members], images)


def _sheets(on: Measurement, pairs: Sequence[Pair]) -> Iterator[Sheet]:
    """Of each direction its own row, its partners in its layer, and the closest latent one."""
    latent = closest_latent(pairs)
    for direction in {pair.direction.name: pair.direction for pair in pairs}.values():
        inner = [pair for pair in pairs if pair.direction is direction and pair.other.space == "parameter"]
        shown = [*inner, *([latent[direction.name]] if direction.name in latent else [])]
        yield _sheet(on, "paired", [(direction, 1), *((pair.other, pair.end) for pair in shown)])


def _matched_sheets(on: Measurement) -> Iterator[Sheet]:
    """Every method at the same change of an attribute, up at the right; those that do not get there are left out."""
    found = on.outcome(Matched)
    if found is None or found.target is None:
        return
    reached = [match for match in found.matches if bool(match.range.is_reached(found.target).all())]
    if len(reached) > 1:
        yield _sheet(on, "matched", [(match.direction, int(match.range.reached[1] > 0)) for match in reached])


def _with_curves(on: Measurement, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs; those of the first directions of each layer and their closest latent ones with curves of both."""
    chosen = [pair for pair in closest_latent(pairs).values() if pair.direction.index < on.settings(Pairs).curves]
    if not chosen:
        return list(pairs)
    along, points = realism(on), on.settings(Curves).shifts
    members = [member for pair in chosen for member in (pair.direction, pair.other)]
    with on.counted("curves of pairs", len(members) * (len(along.shards) + 1)) as tick:
        found = along.curves(members, points, tick)
    curves = dict(zip(chosen, zip(found[::2], found[1::2], strict=True), strict=True))
    return [replace(pair, curves=curves.get(pair)) for pair in pairs]


def _rows(pairs: Sequence[Pair]) -> Iterator[Row]:
    """`closest` marks the latent direction that does most nearly the same, of all sets (see `closest_latent`).

    It was chosen by `cosine_of_choice`, on other codes than `cosine` is of.
    """
    closest = closest_latent(pairs)
    for pair in pairs:
        yield {
            **who(pair.direction),
            **_other(pair),
            **estimated("cosine", pair.cosine),
            "cosine_of_choice": pair.choice,
            "by_label": pair.by_label,
            "closest": closest.get(pair.direction.name) is pair,
            "n": pair.cosine.n,
        }


def _curve_rows(on: Measurement, pairs: Sequence[Pair]) -> Iterator[Row]:
    """The distance at every shift of either; `signed_effect` is positive where both do the same."""
    for pair in pairs:
        if pair.curves is None:
            continue
        for member, curve, sign in zip((pair.direction, pair.other), pair.curves, (1, 2 * pair.end - 1), strict=True):
            for t, effect, value in _points(on, member, curve):
                yield {
                    **who(pair.direction),
                    **_other(pair),
                    "member": member.name,
                    "t": t,
                    "signed_effect": sign * effect,
                    "distance": on.bench.suite.distance,
                    "metric": realism(on).extractor.metric,
                    **realism(on).source,
                    "n": value.n,
                    "value": value.value,
                    "stderr": value.stderr,
                }


def _points(on: Measurement, member: Direction, curve: Curve) -> Iterator[tuple[float, float, Estimate]]:
    """Each shift with its effect, signed as t, and the distance; at t = 0 that of the unshifted images."""
    index = 0
    for t in member.shifts(on.settings(Curves).shifts).tolist():
        if t == 0:
            yield 0.0, 0.0, realism(on).floor.frechet_at(0)
            continue
        effect = estimate.mean(curve.effects[index]).value
        yield t, effect if t > 0 else -effect, curve.frechet_at(index)
        index += 1


def _other(pair: Pair) -> Row:
    return {
        "other": pair.other.name,
        "other_method": pair.other.method,
        "other_layer": pair.other.place,
        "other_space": pair.other.space,
        "other_end": ENDS[pair.end],
    }
