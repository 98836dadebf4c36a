"""What an experiment is given: the instruments of a run, one generator with its directions, and the door to results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from navbench.compute import Compute
from navbench.directions import Direction, DirectionSet
from navbench.experiments.calibration import Range
from navbench.experiments.common import Common, Subject
from navbench.experiments.edit import Edit
from navbench.experiments.experiment import Experiment, Order
from navbench.experiments.guards import Noise
from navbench.generators.base import Generator
from navbench.library import SetFile
from navbench.metrics.attributes import Scorer
from navbench.metrics.embedding import Embedder
from navbench.metrics.networks import PluginNetwork
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.racing import Lap
from navbench.metrics.segmentation import Segmenter
from navbench.once import Once
from navbench.progress import Report
from navbench.settings import Settings
from navbench.work import Executor, Piece, Tick, no_tick, steps

S = TypeVar("S", bound=Settings)
O = TypeVar("O")  # noqa: E741
Made = TypeVar("Made")
Result = TypeVar("Result")


class Shared(Protocol):
    """What several experiments of a measurement ask for."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the manifest tells of it."""


Kept = TypeVar("Kept", bound=Shared)


@dataclass(frozen=True)
class Plan:
    """The directions of one generator in a run.

    Attributes:
        layers: of the generator that the run is about; they imitate latent directions.
        files: every direction set that is used.
        sets: those that are measured, in the order of layers and latent spaces, then methods.
        further: those that single experiments asked for beside them, by the experiment's name.
        only: full names of the directions to measure; empty for all.
        leaders: by set_id, the names of the directions that a race chose, best first; empty without a race.
    """

    layers: tuple[str, ...]
    files: tuple[SetFile, ...]
    sets: tuple[DirectionSet, ...]
    further: Mapping[str, tuple[DirectionSet, ...]]
    only: tuple[str, ...] = ()
    leaders: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def all_directions(self) -> list[Direction]:
        """Every direction of every set, or those that the suite names."""
        every = (direction for directions in self.sets for direction in directions)
        return [direction for direction in every if not self.only or direction.name in self.only]

    def by_name(self) -> dict[str, Direction]:
        """The same by their full names."""
        return {direction.name: direction for direction in self.all_directions()}

    def first(self, count: int) -> list[Direction]:
        """The first `count` directions of each set, or those that the suite names."""
        if self.only:
            return self.all_directions()
        return [direction for directions in self.sets for direction in list(directions)[:count]]


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
    _made: Once = field(default_factory=Once)

    def once(self, make: Callable[..., Made], *args: Any) -> Made:
        """`make(*args)`, made when it is first asked for; the arguments are hashable."""
        return cast(Made, self._made.get((make, *args), lambda: make(*args)))


@dataclass(frozen=True, eq=False)
class Instruments:
    """One generator of a run, and the networks that read its images.

    Attributes:
        noise: of a generator that is not a function of its codes; `None` for others.
    """

    bench: Bench
    subject: Subject
    generator: Generator
    scorer: Scorer | None = None
    segmenter: Segmenter | None = None
    embedder: Embedder | None = None
    noise: Noise | None = None

    def asks_for(self, kind: type[Experiment[Any, Any]]) -> bool:
        """Whether the suite wants an experiment: it names it, or one that needs it, or it is part of every run."""
        users = (type(each) for each in self.bench.catalogue if kind in each.needs)
        return self.bench.suite.names(kind) or any(self.asks_for(user) for user in users)

    def settings(self, kind: type[Experiment[S, Any]]) -> S:
        """The suite's section of an experiment."""
        return self.bench.suite.section(kind)

    @property
    def networks(self) -> tuple[PluginNetwork, ...]:
        """The networks that there are."""
        return tuple(each for each in (self.scorer, self.segmenter, self.embedder) if each is not None)

    @property
    def noises(self) -> list[str]:
        """Sentences on the generator and its networks, of those that are measured although they do not repeat."""
        of_networks = [network.noise for network in self.networks if network.noise]
        return of_networks if self.noise is None else [str(self.noise), *of_networks]


@dataclass(frozen=True, eq=False, kw_only=True)
class Measurement(Instruments):
    """One generator and its directions in a run.

    Attributes:
        ranges: what calibration reached, by the direction's name, where the suite asks for it; the plan has these
            ranges.
        laps: of the race that chose the leading directions, where the suite asks for one.
    """

    plan: Plan
    ranges: Mapping[str, Range] = field(default_factory=dict)
    laps: Sequence[Lap] = ()
    _outcomes: Once = field(default_factory=Once, init=False)
    _shared: Once = field(default_factory=Once, init=False)
    _order: Once = field(default_factory=Once, init=False)

    # --- experiments

    def wants(self, kind: type[Experiment[Any, Any]]) -> bool:
        """Whether an experiment is part of this measurement: asked for or needed, and with something to work on."""
        users = (type(each) for each in self.bench.catalogue if kind in each.needs)
        asked = self.bench.suite.names(kind) or any(self.wants(user) for user in users)
        return asked and not (kind.whole and self.plan.only) and kind().has_work(self)

    def outcome(self, kind: type[Experiment[Any, O]]) -> O | None:
        """What an experiment found, which runs now if it has not; `None` if it is not part of this measurement."""
        if kind not in self._outcomes.values and not self.wants(kind):
            return None
        return cast(O, self._outcomes.get(kind, lambda: kind().run(self)))

    def order(self) -> Order | None:
        """By what the directions of each set are ordered, of which costly experiments take the first.

        By a race, where there is one; else by the first experiment that orders them. `None`, as they come, where none
        does, or the suite names the directions.
        """
        if self.laps:
            return Order("by a race", self.plan.leaders)
        if self.plan.only:
            return None
        orders = (each.order(self) for each in self.bench.catalogue)
        return cast(Order | None, self._order.get(Order, lambda: next(filter(None, orders), None)))

    def leading(self, count: int) -> list[Direction]:
        """The best `count` directions of each set, in the order of the plan; or all that the suite names."""
        order = self.order()
        if order is None:
            return self.plan.first(count)
        best = {name for names in order.names.values() for name in names[:count]}
        return [one for one in self.plan.all_directions() if one.name in best]

    # --- the door to results

    def once(self, make: "Callable[[Measurement], Kept]") -> Kept:
        """`make(self)`, made when an experiment first asks for it."""
        return cast(Kept, self._shared.get(make, lambda: make(self)))

    def shared(self) -> list[Shared]:
        """Everything that several experiments have asked for."""
        return list(self._shared.values.values())

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

    def pieces(self, pieces: Sequence[Piece[Result]], title: str = "", tick: Tick = no_tick) -> list[Result]:
        """The results of pieces, in order, from the store or computed now.

        Args:
            pieces: the more are asked for at once, the more can be computed side by side.
            title: of a stage of their own; '' for none.
            tick: of the stage that is open, if they have none of their own.
        """
        if not title or not pieces:
            return self.bench.executor.results(pieces, tick)
        with self.counted(title, steps(pieces)) as own:
            return self.bench.executor.results(pieces, own)

    def keep(self, pieces: Sequence[Piece[Any]], title: str) -> None:
        """Have pieces made that others will be made of, in a stage of their own."""
        with self.counted(title, len(pieces)) as tick:
            self.bench.executor.ensure(pieces, tick)

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
        total, measured, order = sum(map(len, self.plan.sets)), len(self.leading(count)), self.order()
        if measured < total:
            first, rule = ("first", "") if order is None else ("best", f" {order.rule}")
            number = f"{count} directions" if count > 1 else "direction"
            which = f"the {first} {number} of each set{rule}"
            of = f" of {self.generator.name}" if len(self.bench.suite.generators) > 1 else ""
            yield f"{what} measured for {which if count else 'no direction'}{of}: {measured} of {total}."
