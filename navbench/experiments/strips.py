"""Image sequences along t (Figures 3 and 4): the first codes of a role, each at every shift."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from navbench.compute import Compute
from navbench.costs import Rehearsed, blank, generating, preparing, rehearses, rendering
from navbench.directions import Direction
from navbench.experiments.common import OddCount
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.experiments.experiment import Experiment, File
from navbench.experiments.measurement import Measurement
from navbench.experiments.pictures import samples_file, strip_files
from navbench.generators.base import Generator
from navbench.metrics.extractors import quantise
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import Piece, pure


class StripSettings(Settings):
    """Image sequences: `codes` rows of `shifts` images, of the best `directions` of each set."""

    directions: int = Field(2, ge=0)
    codes: int = Field(3, ge=1)
    shifts: OddCount = Field(7, ge=3)


@dataclass(frozen=True)
class Strip:
    """Images (rows, columns, 3, H, W), uint8: a row per code, a column per shift."""

    images: Tensor


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
    """Unshifted images, and the strip of each direction over its shifts."""

    samples: Strip
    strips: Sequence[tuple[Direction, Sequence[float], Strip]]


class Strips(Experiment[StripSettings, Sheets]):
    """Image sequences along t, and what the generator makes unshifted."""

    name = "strips"
    settings = StripSettings

    def run(self, on: Measurement) -> Sheets:
        """One piece per direction."""
        settings, bench = on.settings(Strips), on.bench
        directions = on.leading(settings.directions)
        shifts = [direction.shifts(settings.shifts).tolist() for direction in directions]
        unshifted_ones = samples.piece(on.generator, 4, 8, bench.suite.seed, bench.compute).but(note="samples")
        along = [strip_of(on, direction, at, settings.codes) for direction, at in zip(directions, shifts, strict=True)]
        first, *rest = on.pieces([unshifted_ones, *along], "strips")
        return Sheets(first, list(zip(directions, shifts, rest, strict=True)))

    def files(self, on: Measurement, outcome: Sheets) -> Iterable[File]:
        """Sheets and animations."""
        yield samples_file(on.generator, outcome.samples.images)
        for direction, shifts, sheet in outcome.strips:
            yield from strip_files(direction, shifts, sheet.images)
