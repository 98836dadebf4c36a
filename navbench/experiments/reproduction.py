"""Reproduction: whether another space can do the same as an edit (see `imitation`)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import Field

from navbench.basis import DenseBasis, random_basis
from navbench.directions import Direction, DirectionSet
from navbench.discovery.calibration import EffectMeter, Ends, calibrate
from navbench.errors import NavbenchError
from navbench.experiments.edit import codes_for
from navbench.experiments.experiment import Experiment, File
from navbench.experiments.imitation import Reproduction, imitate
from navbench.experiments.measurement import Measurement
from navbench.experiments.pictures import still
from navbench.experiments.rows import Row, estimated, who
from navbench.experiments.screening import Screening
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Decision, Test, decided
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.spaces import Space, describe
from navbench.spaces import create as create_space
from navbench.words import KINDS
from navbench.work import Piece

CONTROL = "random"
"""The method whose directions are the control."""
EQUAL_EFFECT = 0.25
"""Edits whose effects differ by no more than this share are compared: the residual hardly depends on the effect."""


class ReproductionSettings(Settings):
    """The test of eq. 5, of the first `directions` of each set at t_max, beside a random direction of their space.

    Attributes:
        targets: the spaces that are to imitate: of a parameter direction, latent spaces and 'activation', the tensor
            that enters its layer; of a latent direction, 'parameter', the kernel of each layer of the generator's
            `layers`. Those that a generator lacks are left out. 'latent' is w of a generator that has it, else z.
        codes: on which the offset is found; held_out: others, on which it is measured.
        steps: of L-BFGS at most. It ends when the unexplained fraction has stopped falling; what is still falling at
            the last step is told as not converged, and not compared.
        bound: of how many held-out codes the best offset of each is sought; 0 for none.
    """

    directions: int = Field(1, ge=0)
    targets: tuple[Literal["latent", "z", "w", "w+", "activation", "parameter"], ...] = (
        "z",
        "w",
        "w+",
        "activation",
        "parameter",
    )
    codes: int = Field(32, ge=1)
    held_out: int = Field(64, ge=2)
    steps: int = Field(200, ge=1)
    bound: int = Field(4, ge=0)


@dataclass(frozen=True)
class Control:
    """A random direction of the space that some edits lie in, and how well it is imitated, by the target in words.

    Attributes:
        effect: the mean of its edit at t_max, on the codes of the screening.
    """

    direction: Direction
    effect: float
    reproductions: Mapping[str, Reproduction]


@dataclass(frozen=True)
class Imitations:
    """By the direction's name and the target space, in words; controls by the place that they are of."""

    reproductions: Mapping[tuple[str, str], Reproduction]
    controls: Mapping[str, Control] = field(default_factory=dict)

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
        edits = on.leading(on.settings(Reproductions).directions)
        random = _random_directions(on, edits)
        directions = {one.name: one for one in (*edits, *(one for one, _ in random.values()))}
        pieces = {
            (name, describe(space)): _piece(on, one, space)
            for name, one in directions.items()
            for space in _imitators(on, one)
        }
        found = dict(zip(pieces, on.pieces(list(pieces.values()), "reproduction"), strict=True))
        controls = {
            place: Control(one, effect, {target: piece for (name, target), piece in found.items() if name == one.name})
            for place, (one, effect) in random.items()
        }
        names = {one.name for one in edits}
        return Imitations({key: piece for key, piece in found.items() if key[0] in names}, controls)

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


def _piece(on: Measurement, direction: Direction, space: Space) -> Piece[Reproduction]:
    settings = on.settings(Reproductions)
    sizes = (settings.codes, settings.held_out, settings.steps, min(settings.bound, settings.held_out))
    problem = (space, on.edit(direction), direction.t_max, on.bench.distance, on.bench.suite.seed)
    return imitate.piece(*problem, *sizes).but(note=f"{direction.name} into {describe(space)}")


def _imitators(on: Measurement, direction: Direction) -> list[Space]:
    """The spaces that are to imitate a direction: the others of its generator, among the suite's targets."""
    generator = on.generator
    latent = "w" if "w" in generator.latents else "z"
    named = (latent if kind == "latent" else kind for kind in on.settings(Reproductions).targets)
    targets = tuple(dict.fromkeys(named))
    if direction.space == "parameter":
        kinds = [kind for kind in targets if kind in (*generator.latents, "activation")]
        return [create_space(generator, kind, direction.layer if kind == "activation" else None) for kind in kinds]
    return [create_space(generator, "parameter", name) for name in on.plan.layers if "parameter" in targets]


# --- the control -------------------------------------------------------------------------------------------------


def _random_directions(on: Measurement, edits: Sequence[Direction]) -> dict[str, tuple[Direction, float]]:
    """By place a random direction and its effect at t_max: of the plan's set if it is imitated, else drawn.

    A drawn one has the mean effect of the place's edits, on the same codes.
    """
    groups: dict[str, list[Direction]] = {}
    for one in edits:
        groups.setdefault(one.place, []).append(one)
    known = {place: one for place, group in groups.items() for one in reversed(group) if one.method == CONTROL}
    others = {place: group for place, group in groups.items() if place not in known}
    drawn = {
        place: random_basis(group[0].space_of(on.generator).shape, 1, on.bench.suite.seed)
        for place, group in others.items()
    }
    pieces = [_calibration(on, group, drawn[place]) for place, group in others.items()]
    found = {place: (one, _effect(on, one)) for place, one in known.items()}
    for (place, group), ends in zip(others.items(), on.pieces(pieces), strict=True):
        first, ones = group[0], torch.ones(1)
        where = (on.generator.name, CONTROL, first.space, first.layer, 0, "")
        random = Direction(*where, drawn[place], ones, float(ends.t_min), float(ends.t_max))
        found[place] = random, float(ends.effect_max)
    return found


def _effect(on: Measurement, direction: Direction) -> float:
    """The mean effect at t_max."""
    screened = on.outcome(Screening)
    assert screened is not None
    return float(screened.effects[direction.name][1].double().mean())


def _calibration(on: Measurement, group: Sequence[Direction], basis: DenseBasis) -> Piece[Ends]:
    """The piece that gives the only direction of a basis the mean effect of some directions."""
    bench, generator = on.bench, on.generator
    codes = codes_for(generator, Role.SCREENING, range(on.settings(Screening).samples), bench.suite.seed)
    meter = EffectMeter(group[0].space_of(generator), bench.distance, codes, bench.compute)
    target = sum(_effect(on, one) for one in group) / len(group)
    device = bench.compute.device
    piece = calibrate.piece(meter, basis.to(device), torch.ones(1, device=device), target, group[0].t_max)
    return piece.but(note=f"{CONTROL} in {group[0].place}")


def _against(outcome: Imitations, direction: Direction, target: str, effect: float) -> Estimate | None:
    """What is left of an edit less what is left of its control, on the same codes; `None` if not comparable."""
    control, piece = outcome.controls.get(direction.place), outcome.reproductions[direction.name, target]
    if control is None or control.direction.name == direction.name or abs(effect / control.effect - 1) > EQUAL_EFFECT:
        return None
    beside = control.reproductions[target]
    if not (bool(piece.converged) and bool(beside.converged)):
        return None
    return estimate.difference(piece.unexplained_fraction, beside.unexplained_fraction)


# --- rows --------------------------------------------------------------------------------------------------------


def _rows(on: Measurement, outcome: Imitations) -> Iterator[Row]:
    directions = on.plan.by_name()
    keys = [(directions[name], target) for name, target in outcome.reproductions]
    against = [_against(outcome, one, target, _effect(on, one)) for one, target in keys]
    decisions = iter(decided([Test.of(difference) for difference in against if difference is not None]))
    for (direction, target), difference in zip(keys, against, strict=True):
        piece = outcome.reproductions[direction.name, target]
        unexplained = piece.unexplained_fraction
        yield {
            **who(direction),
            "t": direction.t_max,
            "effect": _effect(on, direction),
            "target": target,
            "steps": len(piece.steps) - 1,
            "n_train": on.settings(Reproductions).codes,
            "n": unexplained.n,
            **estimated("unexplained_fraction", unexplained),
            "unexplained_fraction_train": float(piece.steps[-1]),
            "status": piece.status,
            **(estimated("bound", piece.bound) if piece.bound is not None else {}),
            "n_bound": len(piece.best_errors),
            **_control_columns(outcome, direction, target),
            **(_decided(difference, next(decisions)) if difference is not None else {"than_control": ""}),
            "perceptual": float(piece.perceptual.double().mean()),
            "perceptual_edit": float(piece.perceptual_sizes.double().mean()),
            "distance": on.bench.suite.distance,
        }


def _control_columns(outcome: Imitations, direction: Direction, target: str) -> Row:
    """What is left of the control of a direction's place."""
    control = outcome.controls.get(direction.place)
    if control is None:
        return {}
    beside = control.reproductions[target]
    told = {"control_effect": control.effect, "control_status": beside.status}
    return {**estimated("control", beside.unexplained_fraction), **told}


def _decided(difference: Estimate, decision: Decision) -> Row:
    """Whether an imitation leaves more or less than that of the control."""
    words = ("more" if difference.value > 0 else "less") if decision.decided else "undecided"
    return {**estimated("control_difference", difference), "control_p": decision.p, "than_control": words}


def _step_rows(on: Measurement, outcome: Imitations) -> Iterator[Row]:
    directions = on.plan.by_name()
    for (name, target), piece in outcome.reproductions.items():
        about = {**who(directions[name]), "t": directions[name].t_max, "target": target}
        for step, unexplained in enumerate(piece.steps.tolist()):
            yield {**about, "step": step, "unexplained_fraction_train": unexplained}
