"""What pieces cost, before any is made: passes through networks, and the shape of what comes out.

Beside a pure function stands its rehearsal (`rehearses`): from the same arguments it gives a sketch of the result and
the passes that the result would take. So the code that runs a suite also tells its price: an executor that rehearses
(`Tally`) takes the place of one that computes. A pass is timed, never guessed: each can be tried.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute, finite_images
from navbench.errors import NavbenchError
from navbench.generators.base import Codes, Generator
from navbench.spaces import Space, describe
from navbench.work import Piece, Pure, Tick, no_tick

Result = TypeVar("Result")
TRIED = 8
"""Images of a trial on a CPU, at most."""
Trial = Callable[[], float]
"""Does some of a pass when it is called, and returns how much of it."""


@dataclass(frozen=True)
class Pass:
    """Work that pieces do many times over, in a unit that can be tried: mostly one image through one network.

    Attributes:
        network: that does it: 'generator', 'extractor', 'distance' and so on; a column of the plan.
        key: what tells it from the other passes of that network.
        trial: makes a trial ready, whose preparations are no part of the pass.
        images: that the generator makes in one unit.
    """

    network: str
    key: tuple[Any, ...]
    trial: Callable[[], Trial] = field(compare=False, repr=False)
    images: float = field(default=0, compare=False)


Costs = Mapping[Pass, float]
"""How many units of each pass."""


@dataclass(frozen=True)
class Rehearsed(Generic[Result]):
    """What stands for a piece that is not made.

    Attributes:
        result: of the right shapes, with plausible values; tensors may be expanded from one number.
        costs: what the true result takes.
        about: whether that is a typical amount, as the true one follows from the results on the way.
    """

    result: Result
    costs: Costs
    about: bool = False


Rehearsal = Callable[..., Rehearsed[Any]]
REHEARSALS: dict[str, Rehearsal] = {}
"""By the name of the pure function."""


class UnrehearsedError(NavbenchError):
    """A pure function does not say what it costs."""


def rehearses(function: Pure[..., Result]) -> Callable[[Callable[..., Rehearsed[Result]]], Rehearsal]:
    """Register what stands for pieces of a pure function; it takes the same arguments, sketches for those of pieces."""

    def registered(rehearsal: Callable[..., Rehearsed[Result]]) -> Rehearsal:
        REHEARSALS[function.name] = rehearsal
        return rehearsal

    return registered


def rehearse(piece: Piece[Result], stored: Callable[[Piece[Any]], Any]) -> Rehearsed[Result]:
    """What stands for a piece; `stored` gives what stands for an argument that is a piece.

    Raises:
        UnrehearsedError: its function has no rehearsal.
    """
    name = piece.function.name
    if name not in REHEARSALS:
        raise UnrehearsedError(f"{name} does not say what it costs; register its rehearsal (navbench.costs).")
    return REHEARSALS[name](**piece.arguments(stored))


class Tally:
    """An executor that computes nothing: sketches for results, and the sum of their costs."""

    def __init__(self) -> None:
        self.costs: Counter[Pass] = Counter()

    def results(self, pieces: Sequence[Piece[Result]], tick: Tick = no_tick, report: object = None) -> list[Result]:
        """The sketches in the order of the pieces."""
        return [self._sketch(piece) for piece in pieces]

    def ensure(self, pieces: Sequence[Piece[Any]], tick: Tick = no_tick) -> None:
        """Count their costs."""
        self.results(pieces)

    def forget(self, pieces: Sequence[Piece[Any]]) -> None:
        """No-op: nothing is kept."""

    def side_by_side(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """One after the other."""
        return [work() for work in works]

    def _sketch(self, piece: Piece[Result]) -> Result:
        rehearsed = rehearse(piece, self._sketch)
        self.costs.update(rehearsed.costs)
        return rehearsed.result


def added(*parts: Costs) -> Costs:
    """The sum of some costs."""
    total: Counter[Pass] = Counter()
    for part in parts:
        total.update(part)
    return total


def times(count: float, costs: Costs) -> Costs:
    """Some costs so many times."""
    return {each: count * amount for each, amount in costs.items()}


def blank(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Zeros that take no memory, for sketches."""
    return torch.zeros((), dtype=dtype).expand(shape)


def in_batches(count: int, batch: int) -> int:
    """How many images are made where those of whole batches are, until `count` are there."""
    return -(-count // batch) * batch


def tried_images(compute: Compute) -> int:
    """Of how many images a trial is: a whole batch on a GPU; on a CPU few, as one costs about the same in any batch.

    Of one where memory may not hold a batch.
    """
    if compute.watched:
        return 1
    return compute.batch if compute.device.type == "cuda" else min(compute.batch, TRIED)


# --- passes ------------------------------------------------------------------------------------------------------


def generating(generator: Generator, compute: Compute) -> Pass:
    """One image of the generator itself."""

    def trial() -> Trial:
        def once() -> float:
            with torch.no_grad(), compute.autocast():
                finite_images(generator(_codes(generator, compute)), "The probe")
            return tried_images(compute)

        return once

    return Pass("generator", (generator.name, "image", compute.precision), trial, images=1)


def preparing(space: Space, compute: Compute) -> Pass:
    """The work of one code that no offset of a space changes."""

    def trial() -> Trial:
        def once() -> float:
            with torch.no_grad(), compute.autocast():
                space.prepare(_codes(space.generator, compute))
            return tried_images(compute)

        return once

    return Pass("before", (space.generator.name, describe(space), compute.precision), trial)


def rendering(space: Space, compute: Compute) -> Pass:
    """One image under an offset of a space, from what was prepared."""

    def trial() -> Trial:
        with torch.no_grad(), compute.autocast():
            state, offset = space.prepare(_codes(space.generator, compute)), torch.zeros(space.shape)

        def once() -> float:
            with torch.no_grad(), compute.autocast():
                finite_images(space.render(state, offset.to(compute.device)), "The probe")
            return tried_images(compute)

        return once

    return Pass("generator", (space.generator.name, describe(space), compute.precision), trial, images=1)


def seeing(network: str, name: str, see: Callable[[Tensor], object], generator: Generator, compute: Compute) -> Pass:
    """One image of a generator through a network: what `see` makes of (N, 3, H, W), float, [-1, 1]."""

    def trial() -> Trial:
        images = seeds.normal(0, range(tried_images(compute)), (3, *generator.size)).clamp(-1, 1).to(compute.device)

        def once() -> float:
            with torch.no_grad():
                see(images)
            return tried_images(compute)

        return once

    return Pass(network, (name, *generator.size), trial)


def _codes(generator: Generator, compute: Compute) -> Codes:
    return generator.sample(range(tried_images(compute)), seed=0)
