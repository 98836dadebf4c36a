"""An experiment: what each direction adds to the mean colour of images."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.experiment import Experiment
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row, who
from navbench.report.blocks import Block, Cell, Section, Table
from navbench.report.page import Page
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import pure
from navbench_blobs.table import COLOURS


class TintSettings(Settings):
    """Over how many codes."""

    samples: int = Field(8, ge=1)


@dataclass(frozen=True)
class Tint:
    """The mean change of each channel at t_max, (3,), float64."""

    change: Tensor


@pure()
def tint(edit: Edit, indices: Sequence[int], seed: int) -> Tint:
    """Measure one direction on the codes with these indices."""

    @torch.no_grad()
    def work(chunk: Sequence[int]) -> Tensor:
        render = edit.prepare(codes_for(edit.space.generator, Role.SCREENING, chunk, seed))
        return (render(edit.direction.t_max) - render(0.0)).double().mean(dim=(2, 3)).cpu()

    return Tint(torch.cat(list(edit.compute.over(indices, work))).mean(0))


@dataclass(frozen=True)
class Outcome:
    """The tint of each direction, by its name."""

    tints: Mapping[str, Tint]


class Tints(Experiment[TintSettings, Outcome]):
    """Of every direction of the suite."""

    name = "tints"
    settings = TintSettings

    def run(self, on: Measurement) -> Outcome:
        """One piece per direction."""
        directions, codes = list(on.plan.all_directions()), range(on.settings(Tints).samples)
        pieces = [tint.piece(on.edit(direction), codes, on.bench.suite.seed) for direction in directions]
        names = [direction.name for direction in directions]
        return Outcome(dict(zip(names, on.pieces(pieces, "tints"), strict=True)))

    def rows(self, on: Measurement, outcome: Outcome) -> Mapping[str, Iterable[Row]]:
        """One row per direction."""
        n = on.settings(Tints).samples
        return {
            "tints": [
                {**who(one), **dict(zip(COLOURS, outcome.tints[one.name].change.tolist(), strict=True)), "n": n}
                for one in on.plan.all_directions()
            ]
        }


def blocks(page: Page) -> Iterator[Block]:
    """The table of the run."""
    rows = page.tables.table("tints").to_dict("records")
    cells = ((Cell(row["name"]), *(Cell(f"{row[colour]:+.3f}", row[colour]) for colour in COLOURS)) for row in rows)
    yield Table("What each direction adds to the mean colour, at t_max.", ("direction", *COLOURS), tuple(cells))


SECTION = Section("tints", "Tints", "Tints", blocks, "This run has no tints.")
