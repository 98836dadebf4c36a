"""Image sequences along t (Figures 3 and 4): codes that are chosen to be seen, each at every shift."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from navbench.compute import Compute
from navbench.costs import Rehearsed, blank, generating, preparing, rehearses, rendering, seeing
from navbench.directions import Direction
from navbench.experiments.common import OddCount
from navbench.experiments.edit import Edit, codes_for, reduced, unshifted
from navbench.experiments.experiment import Experiment, File
from navbench.experiments.measurement import Measurement
from navbench.experiments.pictures import loop_files, samples_file, strip_file
from navbench.generators.base import Generator
from navbench.metrics.extractors import quantise
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.typical import RULE, typical
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import Piece, pure

_LOOKED_AT = 128
"""Pixels of the longer side of the images among which those that are shown are chosen, at most."""
_GROUP = 8
"""Directions of one space that share the work before the layer, and a piece."""


class StripSettings(Settings):
    """Image sequences of every direction.

    Attributes:
        directions: of so many of each set, the best ones, the sequence is also written as a loop that plays.
        codes: rows of a sequence.
        shifts: images of a row, odd, t = 0 in the middle.
        side: images whose longer side is larger are shown with so many pixels.
        candidates: codes among which those that are shown are chosen (`metrics.typical`).
    """

    directions: int = Field(2, ge=0)
    codes: int = Field(3, ge=1)
    shifts: OddCount = Field(7, ge=3)
    side: int = Field(256, ge=8)
    candidates: int = Field(64, ge=1)


@dataclass(frozen=True)
class Strip:
    """Images (rows, columns, 3, H, W), uint8: a row per code, a column per shift."""

    images: Tensor


@dataclass(frozen=True)
class StripsOfSet:
    """Images (K, rows, columns, 3, H, W), uint8, of K directions: a row per code, a column per shift."""

    images: Tensor


@dataclass(frozen=True)
class ShownCodes:
    """Indices (rows,), int64, of the codes that are shown."""

    indices: Tensor


@pure()
def strip(edit: Edit, shifts: Sequence[float], codes: int, seed: int) -> Strip:
    """The strip of one direction."""
    return Strip(rendered(edit, shifts, range(codes), seed))


def rendered(edit: Edit, shifts: Sequence[float], indices: Sequence[int], seed: int) -> Tensor:
    """Images (rows, columns, 3, H, W), uint8: a row per code of these indices, a column per shift."""
    generator = edit.space.generator

    def work(chunk: Sequence[int]) -> Tensor:
        render = edit.prepare(codes_for(generator, Role.STRIP, chunk, seed))
        return torch.stack([to_bytes(render(t)) for t in shifts], dim=1)

    return torch.cat(list(edit.compute.over(indices, work)))


@rehearses(strip)
def _strip_rehearsed(edit: Edit, shifts: Sequence[float], codes: int, seed: int) -> Rehearsed[Strip]:
    """Blank."""
    costs = {preparing(edit.space, edit.compute): codes, rendering(edit.space, edit.compute): codes * len(shifts)}
    size = edit.space.generator.size
    return Rehearsed(Strip(blank(codes, len(shifts), 3, *size, dtype=torch.uint8)), costs)


@pure()
def strips_of_set(edits: Sequence[Edit], points: int, indices: Sequence[int], seed: int, side: int) -> StripsOfSet:
    """The strips of directions of one space, at `points` shifts of their ranges.

    The unshifted images and all work before the shifted layer are shared by the directions.
    """
    first = edits[0]

    def work(chunk: Sequence[int]) -> Tensor:
        state = first.state(codes_for(first.space.generator, Role.STRIP, chunk, seed))
        zero = to_bytes(reduced(first.renderer(state)(0.0), side))
        return torch.stack([_row(edit, state, zero) for edit in edits])

    def _row(edit: Edit, state: object, zero: Tensor) -> Tensor:
        render, shifts = edit.renderer(state), edit.direction.shifts(points).tolist()
        return torch.stack([to_bytes(reduced(render(t), side)) if t != 0 else zero for t in shifts], dim=1)

    return StripsOfSet(torch.cat(list(first.compute.over(indices, work)), dim=1))


@rehearses(strips_of_set)
def _strips_rehearsed(
    edits: Sequence[Edit], points: int, indices: Sequence[int], seed: int, side: int
) -> Rehearsed[StripsOfSet]:
    """Blank."""
    space, compute, codes = edits[0].space, edits[0].compute, len(indices)
    images = codes * (1 + len(edits) * (points - 1))
    size = reduced(torch.zeros(1, 1, *space.generator.size), side).shape[2:]
    costs = {preparing(space, compute): codes, rendering(space, compute): images}
    return Rehearsed(StripsOfSet(blank(len(edits), codes, points, 3, *size, dtype=torch.uint8)), costs)


@pure()
def codes_to_show(
    generator: Generator, candidates: int, count: int, seed: int, distance: PerceptualDistance, compute: Compute
) -> ShownCodes:
    """Which of the first codes are shown, by `metrics.typical`."""

    @torch.no_grad()
    def work(chunk: Sequence[int]) -> tuple[Tensor, Tensor]:
        images = unshifted(generator, codes_for(generator, Role.STRIP, chunk, seed), compute)
        return images.mean(dim=(1, 2, 3)).cpu(), distance.features(reduced(images, _LOOKED_AT)).cpu()

    brightness, features = (
        torch.cat(part) for part in zip(*compute.over(range(max(candidates, count)), work), strict=True)
    )
    return ShownCodes(typical(features, brightness, count))


@rehearses(codes_to_show)
def _codes_rehearsed(
    generator: Generator, candidates: int, count: int, seed: int, distance: PerceptualDistance, compute: Compute
) -> Rehearsed[ShownCodes]:
    """The first ones."""
    images, seen = max(candidates, count), seeing("distance", distance.name, distance.features, generator, compute)
    return Rehearsed(ShownCodes(torch.arange(count)), {generating(generator, compute): images, seen: images})


@pure()
def samples(generator: Generator, rows: int, columns: int, seed: int, compute: Compute) -> Strip:
    """Unshifted images, to show what the generator makes."""

    def work(chunk: Sequence[int]) -> Tensor:
        return to_bytes(unshifted(generator, codes_for(generator, Role.STRIP, chunk, seed), compute))

    images = torch.cat(list(compute.over(range(rows * columns), work)))
    return Strip(images.unflatten(0, (rows, columns)))


@rehearses(samples)
def _samples_rehearsed(generator: Generator, rows: int, columns: int, seed: int, compute: Compute) -> Rehearsed[Strip]:
    """Blank."""
    images = blank(rows, columns, 3, *generator.size, dtype=torch.uint8)
    return Rehearsed(Strip(images), {generating(generator, compute): rows * columns})


def strip_of(on: Measurement, direction: Direction, shifts: Sequence[float], codes: int) -> Piece[Strip]:
    """The piece of the first codes along a direction."""
    return strip.piece(on.edit(direction), shifts, codes, on.bench.suite.seed).but(note=direction.name)


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, for showing."""
    return quantise(images).cpu()


def to_float(images: Tensor) -> Tensor:
    """Images of uint8 as float, in [-1, 1]."""
    return images.float() / 127.5 - 1


@dataclass(frozen=True)
class Sheets:
    """Unshifted images, and the strip of each direction over its shifts.

    Attributes:
        codes: indices of the codes that the rows of strips are of.
        strips: directions of one space, each time with the piece of their strips, which are read one at a time.
        looped: names of the directions whose strips are also written as loops.
    """

    samples: Strip
    codes: Sequence[int]
    strips: Sequence[tuple[Sequence[Direction], Piece[StripsOfSet]]]
    looped: frozenset[str]


class Strips(Experiment[StripSettings, Sheets]):
    """Image sequences along t, and what the generator makes unshifted."""

    name = "strips"
    settings = StripSettings

    def run(self, on: Measurement) -> Sheets:
        """The codes first, then a piece for every few directions of a set."""
        settings, bench = on.settings(Strips), on.bench
        seed, how = bench.suite.seed, (bench.distance, bench.compute)
        unshifted_ones = samples.piece(on.generator, 4, 8, seed, bench.compute).but(note="samples")
        (sheet,) = on.pieces([unshifted_ones])
        (shown,) = on.pieces([codes_to_show.piece(on.generator, settings.candidates, settings.codes, seed, *how)])
        codes, groups = shown.indices.tolist(), _groups(on)
        pieces = [
            strips_of_set.piece([on.edit(one) for one in group], settings.shifts, codes, seed, settings.side).but(
                note=group[0].name.rpartition("/")[0]
            )
            for group in groups
        ]
        on.keep(pieces, "strips")
        looped = frozenset(one.name for one in on.leading(settings.directions))
        return Sheets(sheet, codes, list(zip(groups, pieces, strict=True)), looped)

    def files(self, on: Measurement, outcome: Sheets) -> Iterable[File]:
        """Sheets and loops."""
        yield samples_file(on.generator, outcome.samples.images)
        points = on.settings(Strips).shifts
        for group, piece in outcome.strips:
            (made,) = on.pieces([piece])
            for direction, images in zip(group, made.images, strict=True):
                shifts = direction.shifts(points).tolist()
                yield strip_file(direction, shifts, images)
                if direction.name in outcome.looped:
                    yield from loop_files(direction, shifts, images)

    def facts(self, on: Measurement, outcome: Sheets) -> Mapping[str, object]:
        """Which codes are shown, and by what rule."""
        return {"shown_codes": {on.generator.name: list(outcome.codes)}, "shown_by": RULE}


def _groups(on: Measurement) -> list[list[Direction]]:
    """All directions, in groups that share a space."""
    sets = on.by_set(on.plan.all_directions())
    return [found[start : start + _GROUP] for found in sets for start in range(0, len(found), _GROUP)]
