"""What an experiment is given: the instruments of a run, one generator with its directions, and the door to results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from navbench.compute import Compute
from navbench.directions import Direction, DirectionSet
from navbench.experiments.calibration import Range
from navbench.experiments.common import Common, Subject
from navbench.experiments.edit import Edit
from navbench.experiments.experiment import Experiment
from navbench.generators.base import Generator
from navbench.library import SetFile
from navbench.metrics.attributes import Scorer
from navbench.metrics.embedding import Embedder
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.segmentation import Segmenter
from navbench.progress import Report
from navbench.settings import Settings
from navbench.work import Executor, Piece, Tick, steps

S = TypeVar("S", bound=Settings)
O = TypeVar("O")  # noqa: E741
Made = TypeVar("Made")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Plan:
    """The directions of one generator in a run.

    Attributes:
        layers: of the generator that the run is about; they imitate latent directions.
        files: every direction set that is used.
        sets: those that are measured, in the order of layers and latent spaces, then methods.
        further: those that single experiments asked for beside them, by the experiment's name.
        only: full names of the directions to measure; empty for all.
    """

    layers: tuple[str, ...]
    files: tuple[SetFile, ...]
    sets: tuple[DirectionSet, ...]
    further: Mapping[str, tuple[DirectionSet, ...]]
    only: tuple[str, ...] = ()

    def all_directions(self) -> list[Direction]:
        """Every direction of every set, or those that the suite names."""
        every = (direction for directions in self.sets for direction in directions)
        return [direction for direction in every if not self.only or direction.name in self.only]

    def leading(self, count: int) -> list[Direction]:
        """The first `count` directions of each set, or those that the suite names."""
        return [direction for direction in self.all_directions() if self.only or direction.index < count]


@dataclass(frozen=True, eq=False)
class Bench:
    """What all measurements of a run share.

    Attributes:
        catalogue: every experiment there is.
        executor: gives the results of pieces, from the store or computed now.
        stage: opens a stage of that title, which is timed and shown.
    """

    suite: Common
    compute: Compute
    catalogue: tuple[Experiment[Any, Any], ...]
    executor: Executor
    distance: PerceptualDistance
    stage: Callable[[str], AbstractContextManager[Report]]
    _made: dict[Any, Any] = field(default_factory=dict)

    def once(self, make: Callable[..., Made], *args: Any) -> Made:
        """`make(*args)`, made when it is first asked for; the arguments are hashable."""
        if (make, *args) not in self._made:
            self._made[make, *args] = make(*args)
        return self._made[make, *args]


@dataclass(frozen=True, eq=False)
class Instruments:
    """One generator of a run, and the networks that read its images."""

    bench: Bench
    subject: Subject
    generator: Generator
    scorer: Scorer | None = None
    segmenter: Segmenter | None = None
    embedder: Embedder | None = None

    def asks_for(self, kind: type[Experiment[Any, Any]]) -> bool:
        """Whether an experiment is part of every run, or named by the suite."""
        return kind.always or kind.name in self.bench.suite.experiments

    def settings(self, kind: type[Experiment[S, Any]]) -> S:
        """The suite's section of an experiment."""
        return self.bench.suite.section(kind)


@dataclass(frozen=True, eq=False, kw_only=True)
class Measurement(Instruments):
    """One generator and its directions in a run.

    Attributes:
        ranges: what calibration reached, by the direction's name, where the suite asks for it; the plan has these
            ranges.
    """

    plan: Plan
    ranges: Mapping[str, Range] = field(default_factory=dict)
    _outcomes: dict[type[Experiment[Any, Any]], Any] = field(default_factory=dict)

    # --- experiments

    def wants(self, kind: type[Experiment[Any, Any]]) -> bool:
        """Whether an experiment is part of this measurement: asked for or needed, and with something to work on."""
        experiment, users = kind(), [each for each in self.bench.catalogue if kind in each.needs]
        asked = self.asks_for(kind) or any(self.wants(type(user)) for user in users)
        return asked and not (kind.whole and self.plan.only) and experiment.has_work(self)

    def outcome(self, kind: type[Experiment[Any, O]]) -> O | None:
        """What an experiment found, which runs now if it has not; `None` if it is not part of this measurement."""
        if kind not in self._outcomes and self.wants(kind):
            self._outcomes[kind] = kind().run(self)
        return self._outcomes.get(kind)

    # --- the door to results

    def once(self, make: "Callable[[Measurement], Made]") -> Made:
        """`make(self)`, made when an experiment first asks for it."""
        return self.bench.once(make, self)

    @contextmanager
    def counted(self, title: str, total: int) -> Iterator[Tick]:
        """A stage of `total` steps, with a function that tells that one more is done."""
        with self.bench.stage(f"{self.generator.name}: {title}") as report:
            done = 0

            def tick(note: str = "") -> None:
                nonlocal done
                done += 1
                report(done, total, note)

            yield tick

    def pieces(self, pieces: Sequence[Piece[Result]], title: str = "") -> list[Result]:
        """The results of pieces, in order, from the store or computed now; with a title in a stage of their own."""
        executor = self.bench.executor
        if not title or not pieces:
            return executor.results(pieces)
        with self.counted(title, steps(pieces)) as tick:
            return executor.results(pieces, tick)

    def edit(self, direction: Direction) -> Edit:
        """The direction on the generator."""
        return Edit(self.generator, direction, self.bench.compute)

    def by_set(self, directions: Sequence[Direction]) -> list[list[Direction]]:
        """Some directions by their sets, in the order of the plan."""
        chosen = {direction.name for direction in directions}
        groups = [[one for one in found if one.name in chosen] for found in self.plan.sets]
        return [group for group in groups if group]

    def of_each_set(self, what: str, count: int) -> Iterator[str]:
        """A sentence for the report that `what` was measured for the first `count` directions of each set alone."""
        total = sum(map(len, self.plan.sets))
        measured = sum(min(count, len(directions)) for directions in self.plan.sets)
        if measured < total:
            which = f"the first {count} directions of each set" if count > 1 else "the first direction of each set"
            of = f" of {self.generator.name}" if len(self.bench.suite.generators) > 1 else ""
            yield f"{what} measured for {which if count else 'no direction'}{of}: {measured} of {total}."
