"""Reproduction: whether another space can do the same as an edit (see `imitation`)."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from pydantic import Field

from navbench.basis import random_basis
from navbench.directions import Direction, DirectionSet
from navbench.discovery.calibration import EffectMeter, Ends, calibrate
from navbench.errors import NavbenchError
from navbench.experiments.experiment import Experiment, File
from navbench.experiments.imitation import Reproduction, imitate
from navbench.experiments.measurement import Measurement
from navbench.experiments.pictures import still
from navbench.experiments.rows import Row, Tested, estimated, who
from navbench.experiments.screening import Screening, effect_codes
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Decision, Test
from navbench.settings import Settings
from navbench.spaces import Space, describe
from navbench.spaces import create as create_space
from navbench.words import KINDS
from navbench.work import Piece

CONTROL, DRAWN = "random", "random (drawn)"
"""The method whose directions are the control, and what those are called that are drawn for want of them."""
EQUAL_EFFECT = 0.25
"""Edits whose effects differ by no more than this share are compared: the residual hardly depends on the effect."""


class ReproductionSettings(Settings):
    """The test of eq. 5, of the best `directions` of each set at t_max, beside random directions of their space.

    Attributes:
        targets: the spaces that are to imitate: of a parameter direction, latent spaces and 'activation', the tensor
            that enters its layer; of a latent direction, 'parameter', the kernel of each layer of the generator's
            `layers`. Those that a generator lacks are left out. 'latent' is w of a generator that has it, else z;
            's', style channels, is for those that name it.
        codes: on which the offset is found; held_out: others, on which it is measured.
        steps: of L-BFGS at most. It ends when the unexplained fraction has stopped falling; what is still falling at
            the last step is told as not converged, and not compared.
        bound: of how many held-out codes the best offset of each is sought; 0 for none.
        controls: random directions of each place that are imitated beside them, of the suite's sets or drawn.
    """

    directions: int = Field(1, ge=0)
    targets: tuple[Literal["latent", "z", "w", "w+", "s", "activation", "parameter"], ...] = (
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
    controls: int = Field(4, ge=2)


@dataclass(frozen=True)
class Control:
    """Random directions of the space that some edits lie in, and how well they are imitated, by the target in words.

    Attributes:
        effect: the mean of their edits at t_max, on the codes of the edits' effects.
    """

    effect: float
    reproductions: Mapping[str, Sequence[Reproduction]]


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
        every = (*edits, *(one for directions, _ in random.values() for one in directions))
        directions = {one.name: one for one in every}
        pieces = {
            (name, describe(space)): _piece(on, one, space)
            for name, one in directions.items()
            for space in _imitators(on, one)
        }
        results = dict(zip(pieces, on.pieces(list(pieces.values()), "reproduction"), strict=True))
        imitated = {one.name for one in edits}
        controls = {
            place: Control(effect, _of_targets({one.name for one in ones}, results))
            for place, (ones, effect) in random.items()
        }
        return Imitations({key: piece for key, piece in results.items() if key[0] in imitated}, controls)

    def rows(self, on: Measurement, outcome: Imitations) -> Mapping[str, Iterable[Row | Tested]]:
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


def _random_directions(on: Measurement, edits: Sequence[Direction]) -> dict[str, tuple[Sequence[Direction], float]]:
    """By place some random directions and their mean effect at t_max: the plan's, or else drawn ones.

    The drawn ones have the mean effect of the place's edits, on the same codes.
    """
    groups: dict[str, list[Direction]] = {}
    for one in edits:
        groups.setdefault(one.place, []).append(one)
    count = on.settings(Reproductions).controls
    random: dict[str, tuple[Sequence[Direction], float]] = {}
    drawn: dict[str, list[Piece[Ends]]] = {}
    for place, group in groups.items():
        known = [one for one in on.plan.all_directions() if (one.place, one.method) == (place, CONTROL)][:count]
        if len(known) > 1:
            random[place] = known, sum(_effect(on, one) for one in known) / len(known)
        else:
            drawn[place] = _calibrations(on, group, count)
    results = iter(on.pieces([piece for pieces in drawn.values() for piece in pieces]))
    for place, pieces in drawn.items():
        ends = [next(results) for _ in pieces]
        effect = sum(float(each.effect_max) for each in ends) / count
        random[place] = _drawn(on, groups[place][0], ends), effect
    return random


def _effect(on: Measurement, direction: Direction) -> float:
    """The mean effect at t_max."""
    screened = on.outcome(Screening)
    assert screened is not None
    return float(screened.effects[direction.name][1].double().mean())


def _calibrations(on: Measurement, group: Sequence[Direction], count: int) -> list[Piece[Ends]]:
    """The pieces that give random directions of a place the mean effect of some of its directions."""
    bench, space = on.bench, group[0].space_of(on.generator)
    meter = EffectMeter(space, bench.distance, effect_codes(on), bench.compute)
    target = sum(_effect(on, one) for one in group) / len(group)
    device = bench.compute.device
    basis = random_basis(space.shape, count, bench.suite.seed).to(device)
    rows = torch.eye(count, device=device)
    return [calibrate.piece(meter, basis, row, target, group[0].t_max).but(note=CONTROL) for row in rows]


def _drawn(on: Measurement, like: Direction, ends: Sequence[Ends]) -> list[Direction]:
    """The same as directions of the space of another one."""
    basis = random_basis(like.space_of(on.generator).shape, len(ends), on.bench.suite.seed)
    return [
        Direction(
            on.generator.name,
            DRAWN,
            like.space,
            like.layer,
            index,
            "",
            basis,
            row,
            float(each.t_min),
            float(each.t_max),
        )
        for index, (row, each) in enumerate(zip(torch.eye(len(ends)), ends, strict=True))
    ]


def _against(outcome: Imitations, direction: Direction, target: str, effect: float) -> Test | None:
    """What is left of an edit less what is left of random ones; `None` if they are not comparable.

    The edit is compared with a random direction, not with the mean of those that were drawn: their spread is part of
    the error, beside that of the codes, on which both are paired.
    """
    control, piece = outcome.controls.get(direction.place), outcome.reproductions[direction.name, target]
    if control is None or direction.method == CONTROL or not _is_equal(effect, control.effect):
        return None
    random = control.reproductions[target]
    if not all(bool(each.converged) for each in (piece, *random)):
        return None
    left = [each.unexplained_fraction for each in random]
    paired = estimate.difference(piece.unexplained_fraction, estimate.average(left))
    spread = torch.tensor([each.value for each in left], dtype=torch.float64).var() * (1 + 1 / len(left))
    return Test(paired.value, *_summed([(paired.stderr**2, paired.n - 1), (float(spread), len(left) - 1)]))


def _is_equal(effect: float, other: float) -> bool:
    return abs(effect - other) <= EQUAL_EFFECT * other


def _summed(variances: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """The standard error of a sum of independent parts, each given by its variance and degrees of freedom.

    And its own degrees of freedom (Welch and Satterthwaite).
    """
    total = sum(variance for variance, _ in variances)
    if not total > 0:
        return 0.0, 1.0
    return total**0.5, total**2 / sum(variance**2 / freedom for variance, freedom in variances)


# --- rows --------------------------------------------------------------------------------------------------------


def _rows(on: Measurement, outcome: Imitations) -> Iterator[Row | Tested]:
    directions = on.plan.by_name()
    for (name, target), piece in outcome.reproductions.items():
        direction, unexplained = directions[name], piece.unexplained_fraction
        row: Row = {
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
            "than_control": "",
            "perceptual": float(piece.perceptual.double().mean()),
            "perceptual_edit": float(piece.perceptual_sizes.double().mean()),
            "distance": on.bench.suite.distance,
        }
        test = _against(outcome, direction, target, _effect(on, direction))
        yield row if test is None else Tested(row, (test,), partial(_decided, test))


def _of_targets(
    names: Container[str], results: Mapping[tuple[str, str], Reproduction]
) -> dict[str, list[Reproduction]]:
    """The imitations of some directions by the target space."""
    groups: dict[str, list[Reproduction]] = {}
    for (name, target), piece in results.items():
        if name in names:
            groups.setdefault(target, []).append(piece)
    return groups


def _control_columns(outcome: Imitations, direction: Direction, target: str) -> Row:
    """What is left of the control of a direction's place."""
    control = outcome.controls.get(direction.place)
    if control is None:
        return {}
    random = control.reproductions[target]
    statuses = dict.fromkeys(words for piece in random for words in piece.status.split("; ") if words)
    told = {"control_effect": control.effect, "n_control": len(random), "control_status": "; ".join(statuses)}
    return {**estimated("control", estimate.average([piece.unexplained_fraction for piece in random])), **told}


def _decided(test: Test, decision: Decision) -> Row:
    """Whether an imitation leaves more or less than those of the control."""
    words = ("more" if test.value > 0 else "less") if decision.decided else "undecided"
    difference = {"control_difference": test.value, "control_difference_stderr": test.stderr}
    return {**difference, "control_p": decision.p, "than_control": words}


def _step_rows(on: Measurement, outcome: Imitations) -> Iterator[Row]:
    directions = on.plan.by_name()
    for (name, target), piece in outcome.reproductions.items():
        about = {**who(directions[name]), "t": directions[name].t_max, "target": target}
        for step, unexplained in enumerate(piece.steps.tolist()):
            yield {**about, "step": step, "unexplained_fraction_train": unexplained}
