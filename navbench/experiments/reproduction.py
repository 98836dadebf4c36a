"""Reproduction: whether another space can do the same as an edit (see `imitation`)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field

from navbench.directions import Direction, DirectionSet
from navbench.errors import NavbenchError
from navbench.experiments.experiment import Experiment, File
from navbench.experiments.imitation import Reproduction, imitate
from navbench.experiments.measurement import Measurement
from navbench.experiments.pictures import still
from navbench.experiments.rows import Row, estimated, who
from navbench.metrics.estimate import Estimate
from navbench.settings import Settings
from navbench.spaces import Space, describe
from navbench.spaces import create as create_space
from navbench.words import KINDS


class ReproductionSettings(Settings):
    """The test of eq. 5, of the first `directions` of each set at t_max.

    Attributes:
        targets: the spaces that are to imitate: of a parameter direction, latent spaces and 'activation', the tensor
            that enters its layer; of a latent direction, 'parameter', the kernel of each layer of the generator's
            `layers`. Those that a generator lacks are left out.
        codes: on which the offset is found; held_out: others, on which it is measured.
        steps: of L-BFGS.
    """

    directions: int = Field(1, ge=0)
    targets: tuple[Literal["z", "w", "w+", "activation", "parameter"], ...] = (
        "z",
        "w",
        "w+",
        "activation",
        "parameter",
    )
    codes: int = Field(32, ge=1)
    held_out: int = Field(64, ge=2)
    steps: int = Field(20, ge=1)


@dataclass(frozen=True)
class Imitations:
    """By the direction's name and the target space, in words."""

    reproductions: Mapping[tuple[str, str], Reproduction]

    def of(self, name: str) -> dict[str, Reproduction]:
        """Those of one direction, by the target space."""
        return {target: piece for (direction, target), piece in self.reproductions.items() if direction == name}

    def least(self, name: str) -> dict[str, Estimate]:
        """The unexplained fraction of one direction per kind of target space; of several layers, the smallest."""
        best: dict[str, Estimate] = {}
        for target, piece in self.of(name).items():
            kind, unexplained = target.partition(" ")[0], piece.unexplained_fraction
            if kind not in best or unexplained.value < best[kind].value:
                best[kind] = unexplained
        return best


class Reproductions(Experiment[ReproductionSettings, Imitations]):
    """Whether another space can do the same."""

    name = "reproduction"
    settings = ReproductionSettings

    def check_directions(self, on: Measurement) -> None:
        """A direction that the suite names, and that no target space can imitate."""
        for direction in on.plan.all_directions() if on.plan.only else ():
            if not _imitators(on, direction):
                raise NavbenchError(
                    f"{direction.name} cannot be imitated in {', '.join(on.settings(Reproductions).targets)}: "
                    f"generator {on.generator.name} has the latent spaces {', '.join(on.generator.latents)}; a "
                    "direction of weights is imitated there or in 'activation', and a latent one in 'parameter'."
                )

    def gaps(self, on: Measurement) -> Iterator[str]:
        """Directions that are not imitated."""
        yield from on.of_each_set("Reproduction was", on.settings(Reproductions).directions)

    def run(self, on: Measurement) -> Imitations:
        """One piece per direction and target space."""
        settings, pieces = on.settings(Reproductions), {}
        sizes = (settings.codes, settings.held_out, settings.steps)
        for direction in on.plan.leading(settings.directions):
            for space in _imitators(on, direction):
                problem = (space, on.edit(direction), direction.t_max, on.bench.distance, on.bench.suite.seed)
                note = f"{direction.name} into {describe(space)}"
                pieces[direction.name, describe(space)] = imitate.piece(*problem, *sizes).but(note=note)
        return Imitations(dict(zip(pieces, on.pieces(list(pieces.values()), "reproduction"), strict=True)))

    def rows(self, on: Measurement, outcome: Imitations) -> Mapping[str, Iterable[Row]]:
        """Per direction and target space; per step of each search."""
        return {"reproduction": _rows(on, outcome), "reproduction_steps": _step_rows(on, outcome)}

    def direction_columns(self, on: Measurement, outcome: Imitations, direction: Direction) -> Row:
        """The unexplained fraction per kind of target space."""
        row: Row = {}
        for kind, unexplained in outcome.least(direction.name).items():
            row |= estimated(f"unexplained_fraction_{kind}", unexplained) | {"n_reproduction": unexplained.n}
        return row

    def set_columns(self, on: Measurement, outcome: Imitations, directions: DirectionSet) -> Row:
        """The mean unexplained fraction per kind of target space."""
        least = [outcome.least(direction.name) for direction in directions]
        values = {kind: [one[kind].value for one in least if kind in one] for kind in KINDS}
        return {
            f"unexplained_fraction_{kind}_mean": sum(own) / len(own) if own else None for kind, own in values.items()
        }

    def measured(self, outcome: Imitations) -> Iterable[str]:
        """The directions that were imitated."""
        return {name for name, _ in outcome.reproductions}

    def files(self, on: Measurement, outcome: Imitations) -> Iterable[File]:
        """Per direction the unshifted image, the edit, and the imitation of every target space, side by side."""
        for direction in on.plan.all_directions():
            if own := outcome.of(direction.name):
                first, targets = next(iter(own.values())).panel, [f"best in {target}" for target in own]
                panel = torch.cat([first[:, :2], *(piece.panel[:, 2:] for piece in own.values())], dim=1)
                columns = ["original", f"edit, t = {direction.t_max:.3g}", *targets]
                yield still(direction, "reproduction", f"{direction.slug}-reproduction.webp", panel, columns)

    def facts(self, on: Measurement, outcome: Imitations) -> Mapping[str, object]:
        """Over how many codes."""
        return {"samples": {"reproduction": on.settings(Reproductions).held_out}}


def _imitators(on: Measurement, direction: Direction) -> list[Space]:
    """The spaces that are to imitate a direction: the others of its generator, among the suite's targets."""
    targets, generator = on.settings(Reproductions).targets, on.generator
    if direction.space == "parameter":
        kinds = [kind for kind in targets if kind in (*generator.latents, "activation")]
        return [create_space(generator, kind, direction.layer if kind == "activation" else None) for kind in kinds]
    return [create_space(generator, "parameter", name) for name in on.plan.layers if "parameter" in targets]


def _rows(on: Measurement, outcome: Imitations) -> Iterator[Row]:
    directions = on.plan.by_name()
    for (name, target), piece in outcome.reproductions.items():
        unexplained = piece.unexplained_fraction
        yield {
            **who(directions[name]),
            "t": directions[name].t_max,
            "target": target,
            "steps": len(piece.steps) - 1,
            "n_train": on.settings(Reproductions).codes,
            "n": unexplained.n,
            **estimated("unexplained_fraction", unexplained),
            "unexplained_fraction_train": float(piece.steps[-1]),
            "perceptual": float(piece.perceptual.double().mean()),
            "perceptual_edit": float(piece.perceptual_sizes.double().mean()),
            "distance": on.bench.suite.distance,
        }


def _step_rows(on: Measurement, outcome: Imitations) -> Iterator[Row]:
    directions = on.plan.by_name()
    for (name, target), piece in outcome.reproductions.items():
        about = {**who(directions[name]), "t": directions[name].t_max, "target": target}
        for step, unexplained in enumerate(piece.steps.tolist()):
            yield {**about, "step": step, "unexplained_fraction_train": unexplained}
