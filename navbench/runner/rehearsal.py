"""A run without its work: the code that runs a suite names its pieces, and each is written down instead of made."""

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from navbench.compute import Compute
from navbench.costs import Costs, UnrehearsedError, rehearse
from navbench.errors import NavbenchWarning
from navbench.experiments.catalogue import catalogue
from navbench.experiments.experiment import Experiment
from navbench.experiments.measurement import Bench, Instruments, Measurement
from navbench.library import Library
from navbench.metrics.perceptual import PerceptualDistance
from navbench.places import Folder, Place, place_at
from navbench.progress import Report, silent
from navbench.runner.run import CACHE, DIRECTIONS, Run
from navbench.runner.store import Store
from navbench.suite import Suite
from navbench.work import Piece, Tick, no_tick, steps

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Planned:
    """A piece that a run would make.

    Attributes:
        experiment: that asks for it first; or 'discovery'.
        generator: its name.
        function: the name of the pure function.
        batch: the number of the request for it.
        after: the pieces of the request before, which must be there when it is asked for.
        parts: the planned pieces that it is made of.
        costs, about: see `PlannedRun`.
        size: of the result, in bytes.
        transient: whether the result is dropped in the end of its batch, or earlier.
        stage: the title of the stage in which it is asked for; '' outside of any.
    """

    experiment: str
    generator: str
    function: str
    batch: int
    after: "tuple[Planned, ...]"
    parts: "tuple[Planned, ...]"
    costs: Costs
    about: bool
    size: int
    transient: bool
    stage: str = ""


class Rehearser:
    """An executor that makes no piece, and writes down what it would make.

    Attributes:
        store: whose pieces are taken as they are, and cost nothing.
        planned: the others, each after its parts.
        subject: the generator and the experiment that pieces are asked for by.
        steps, there: of each stage, how many there are, and how many of these are done already (see `work.steps`).
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.planned: list[Planned] = []
        self.subject = ("", "")
        self.stage = ""
        self.steps, self.there = Counter[str](), Counter[str]()
        self._results: dict[str, Any] = {}
        self._planned: dict[str, Planned] = {}
        self._after: tuple[Planned, ...] = ()
        self._batches = 0

    def results(self, pieces: Sequence[Piece[Result]], tick: Tick = no_tick, report: Report = silent) -> list[Result]:
        """Results from the store, and sketches of those that are not there."""
        self._batches += 1
        begun = len(self.planned)
        results = [self._result(piece) for piece in pieces]
        self._after = tuple(self.planned[begun:]) or self._after
        self.steps[self.stage] += steps(pieces)
        self.there[self.stage] += steps(piece for piece in pieces if piece.key not in self._planned)
        for part in {part.key: part for piece in pieces for part in piece.parts()}.values():
            if part.transient:  # it is made anew if it is asked for later
                self._results.pop(part.key, None)
        return results

    def ensure(self, pieces: Sequence[Piece[Any]], tick: Tick = no_tick) -> None:
        """The same as `results`, of what is not there; what is there is not read."""
        missing = [piece for piece in pieces if not self.store.has(piece)]
        self.results(missing)
        for counts in (self.steps, self.there):
            counts[self.stage] += steps(pieces) - steps(missing)

    def forget(self, pieces: Sequence[Piece[Any]]) -> None:
        """No-op: sketches take no room."""

    def side_by_side(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """One after the other; none waits for the pieces of another one."""
        before, results, last = self._after, list[Result](), dict[Planned, None]()
        for work in works:
            self._after = before
            results.append(work())
            last |= dict.fromkeys(self._after)
        self._after = tuple(last)
        return results

    def _result(self, piece: Piece[Result]) -> Result:
        if piece.key not in self._results:
            result = self.store.sound(piece)
            self._results[piece.key] = self._rehearsed(piece) if result is None else result
        known: Result = self._results[piece.key]
        return known

    def _rehearsed(self, piece: Piece[Result]) -> Result:
        rehearsed = rehearse(piece, self._result)
        tensors = (getattr(rehearsed.result, field.name) for field in fields(rehearsed.result))  # type: ignore[arg-type]
        generator, experiment = self.subject
        planned = Planned(
            experiment,
            generator,
            piece.function.name,
            self._batches,
            self._after,
            tuple(self._planned[part.key] for part in piece.parts() if part.key in self._planned),
            rehearsed.costs,
            rehearsed.about,
            sum(tensor.numel() * tensor.element_size() for tensor in tensors),
            piece.transient,
            self.stage,
        )
        self.planned.append(planned)
        self._planned[piece.key] = planned
        return rehearsed.result


@dataclass(frozen=True)
class PlannedRun:
    """What a run would make.

    Attributes:
        pieces: each after its parts.
        left_out: the experiments that do not say what they cost, each with the reason.
        before: the share of each stage's steps that is done already, by its title.
    """

    pieces: Sequence[Planned]
    left_out: Sequence[str]
    before: Mapping[str, float] = field(default_factory=dict)


class RehearsedRun(Run):
    """A run whose pieces are written down instead of made; nothing is written but sets in a folder of its own."""

    rehearser: Rehearser

    def __post_init__(self) -> None:
        self.place = place_at(self.folder)  # without a lease

    @contextmanager
    def _stage(self, title: str) -> Iterator[Report]:
        before, self.rehearser.stage = self.rehearser.stage, title
        try:
            yield silent
        finally:
            self.rehearser.stage = before

    def run(self, store: Store) -> PlannedRun:
        """Go through the suite; what the store holds is not made."""
        self.rehearser = Rehearser(store)
        bench = self._bench(self._distance())
        return self._planned([self._instruments(bench, subject) for subject in self.suite.generators])

    def run_with(self, rehearser: Rehearser, opened: Sequence[Instruments]) -> PlannedRun:
        """The same with the generators and networks that a run has opened already."""
        self.rehearser = rehearser
        bench = self._bench(opened[0].bench.distance)
        return self._planned([replace(on, bench=bench) for on in opened])

    def _bench(self, distance: PerceptualDistance) -> Bench:
        return Bench(self.suite, self.compute, catalogue(), self.rehearser, distance, self._stage)

    def _planned(self, subjects: Sequence[Instruments]) -> PlannedRun:
        rehearser, left_out, library = self.rehearser, list[str](), self.library
        if self.suite.rediscover:
            rehearser.subject = (", ".join(on.generator.name for on in subjects), "discovery")
            self._rediscover(subjects)
            library = Library([Path(str(self.folder)) / DIRECTIONS])
        for on in subjects:
            left_out += _measured(self._measurement(on, library), rehearser)
        before = {title: rehearser.there[title] / count for title, count in rehearser.steps.items() if count}
        return PlannedRun(rehearser.planned, left_out, before)


def _measured(on: Measurement, rehearser: Rehearser) -> list[str]:
    """Ask every experiment for its pieces; the sentences of those that do not say what they cost."""
    left_out = []
    for experiment in on.bench.catalogue:
        rehearser.subject = (on.generator.name, experiment.name)
        on = experiment.prepared(on)

    def ask(experiment: Experiment[Any, Any]) -> None:
        rehearser.subject = (on.generator.name, experiment.name)
        try:
            on.outcome(type(experiment))
        except UnrehearsedError as error:
            left_out.append(f"{experiment.name}: {error}")

    rehearser.side_by_side([partial(ask, experiment) for experiment in on.bench.catalogue])
    return left_out


def rehearsed(suite: Suite, compute: Compute, library: Library, run: Place | None = None) -> PlannedRun:
    """What a run of a suite would make; of a run at a place, what it has not made yet."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", NavbenchWarning)  # the run itself tells them
        store = Store((run or Folder(Path(folder).resolve())).within(CACHE))
        return RehearsedRun(Path(folder), suite, compute, library, Console(quiet=True)).run(store)
