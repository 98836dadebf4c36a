"""One direction beside those of other methods that do the same: the closest of each set, on the same codes."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from navbench.directions import Direction, DirectionSet
from navbench.experiments import pairing
from navbench.experiments.calibration import Target
from navbench.runner import pictures
from navbench.runner.bench import Measurement
from navbench.runner.curves import CurveMeasurement
from navbench.runner.results import Match, Pair, Results
from navbench.spaces import LATENTS


def pairs(measurement: Measurement, results: Results, realism: Callable[[], CurveMeasurement]) -> None:
    """Pair the first directions of one method with those of the other methods of their layer, and of latent spaces.

    Args:
        measurement: of the generator.
        results: that get what was found.
        realism: makes what curves are measured with, if any is wanted.
    """
    plan, suite = measurement.plan, measurement.bench.suite
    method = suite.pairs.method or (plan.subject.methods[-1] if plan.subject.methods else "")
    own = [found for found in plan.sets if found.method == method and found.space == "parameter"]
    latent = [found for found in plan.sets if found.space in LATENTS]
    with measurement.counted(f"{measurement.generator.name}: pairs", len(own) + 1) as tick:
        for found in own:
            others = [one for one in plan.sets if one.place == found.place and one is not found] + latent
            references = [direction for direction in found if direction.index < suite.pairs.directions]
            if references and others:
                made = _paired(measurement, references, others)
                results.pairs += made
                results.pictures += _pictures(measurement, references, made)
            tick(found.reference)
        if results.matched:
            results.pictures += _matched(measurement, results.matched)
        tick("pictures")
    if suite.pairs.curves and "curves" in suite.experiments and latent and results.pairs:
        _add_curves(measurement, results, realism())


def _paired(measurement: Measurement, references: list[Direction], others: Sequence[DirectionSet]) -> list[Pair]:
    """For each reference and each other set, the direction of the same label, or else the closest."""
    bench = measurement.bench
    candidates = [direction for found in others for direction in found]
    edits, others_edits = ([measurement.edit(one) for one in group] for group in (references, candidates))
    piece = pairing.pairing.piece(edits, others_edits, bench.suite.pairs.codes, bench.suite.seed)
    (compared,), made = measurement.pieces([piece]), []
    for row, reference in enumerate(references):
        start = 0
        for found in others:
            among = list(range(start, start + len(found)))
            start += len(found)
            named = [place for place in among if reference.label and candidates[place].label == reference.label]
            place, end, choice = compared.closest(row, named or among)
            cosine = compared.measured(row, place, end)
            made.append(Pair(reference, candidates[place], end, cosine, choice, bool(named)))
    return made


def closest_latent(made: Sequence[Pair]) -> dict[str, Pair]:
    """For each direction by its name, the latent one that is most like it, on the codes of the choice."""
    best: dict[str, Pair] = {}
    for pair in made:
        known = best.get(pair.direction.name)
        if pair.other.space in LATENTS and (known is None or pair.choice > known.choice):
            best[pair.direction.name] = pair
    return best


def _pictures(measurement: Measurement, references: list[Direction], made: list[Pair]) -> list[pictures.Row]:
    """Of each reference a sheet per code: its own row, its partners in its layer, and the closest latent one."""
    rows, latent = [], closest_latent(made)
    for reference in references:
        inner = [pair for pair in made if pair.direction is reference and pair.other.space == "parameter"]
        shown = [*inner, *([latent[reference.name]] if reference.name in latent else [])]
        members = [(reference, 1), *((pair.other, pair.end) for pair in shown)]
        rows += _sheets(measurement, reference, members, "paired")
    return rows


def _matched(measurement: Measurement, matches: list[Match]) -> list[pictures.Row]:
    """Every method at the same change of an attribute, up at the right; those that do not get there are left out."""
    wanted = measurement.bench.suite.matched
    target = Target(wanted.attribute, wanted.change)
    reached = [match for match in matches if bool(match.range.is_reached(target).all())]
    members = [(match.direction, int(match.range.reached[1] > 0)) for match in reached]
    return _sheets(measurement, members[0][0], members, "matched") if len(members) > 1 else []


def _sheets(
    measurement: Measurement, first: Direction, members: list[tuple[Direction, int]], kind: str
) -> list[pictures.Row]:
    """Sheets of the same codes, one per code, with a row per direction; mirrored for the end t_min."""
    bench, suite = measurement.bench, measurement.bench.suite
    pieces = []
    for direction, end in members:
        shifts = direction.shifts(suite.strips.shifts).tolist()
        pieces.append(measurement.strip(direction, shifts if end else shifts[::-1], suite.pairs.shown))
    parts = [strip.images for strip in measurement.pieces(pieces)]
    images = torch.stack(parts, dim=1)  # (codes, members, shifts, 3, H, W)
    names = [direction.name for direction, _ in members]
    return pictures.write_pairs(bench.folder, first, kind, names, images)


def _add_curves(measurement: Measurement, results: Results, curves: CurveMeasurement) -> None:
    """Give the first directions of each layer a curve beside that of their closest latent direction."""
    suite = measurement.bench.suite
    chosen = [pair for pair in closest_latent(results.pairs).values() if pair.direction.index < suite.pairs.curves]
    title = f"{measurement.generator.name}: curves of pairs"
    with measurement.counted(title, 2 * len(chosen) * (len(curves.shards) + 1)) as tick:
        for pair in chosen:
            first, second = (curves.curve(each, suite.curves.shifts, tick) for each in (pair.direction, pair.other))
            results.pairs[results.pairs.index(pair)] = replace(pair, curves=(first, second))
