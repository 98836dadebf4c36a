"""What an experiment is: one object that says what it is set by, needs, asks to be computed, and writes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from navbench.directions import Direction, DirectionSet
from navbench.experiments.common import Common, Subject
from navbench.experiments.rows import Row, Tested
from navbench.generators.base import Generator
from navbench.settings import Settings
from navbench.spaces import Space

if TYPE_CHECKING:
    from navbench.experiments.measurement import Instruments, Measurement

S = TypeVar("S", bound=Settings)
O = TypeVar("O")  # noqa: E741
Places = Sequence[tuple[Space, Sequence[str]]]
"""Spaces, each with the methods whose direction sets in it are wanted."""


class NoSettings(Settings):
    """Of an experiment that has nothing to set."""


@dataclass(frozen=True)
class File:
    """A file of the run folder.

    Attributes:
        path: relative to the folder, with '/'.
        content: all of it.
        row: of tables/images.csv, for what the report shows; `None` for others.
    """

    path: str
    content: bytes
    row: Row | None = None


@dataclass(frozen=True)
class Order:
    """The directions of each set in the order in which the costly experiments take them.

    Attributes:
        rule: by what, in words.
        names: by set_id, best first.
    """

    rule: str
    names: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, sets: Sequence[DirectionSet], costs: Mapping[str, Any], rule: str) -> "Order":
        """By what each direction of each set costs, by name, the least first; those without a cost are left out."""
        names = {found.set_id: [one.name for one in found if one.name in costs] for found in sets}
        return cls(rule, {set_id: sorted(group, key=costs.__getitem__) for set_id, group in names.items()})


class Experiment(ABC, Generic[S, O]):
    """An experiment on one generator; it has no state, and nobody changes its outcome.

    Attributes:
        name: in the suite's `experiments`, and of its section.
        settings: its section of the suite.
        always: part of every run, and not named in `experiments`.
        on_request: has to be named in `experiments`, which leave it out by default.
        whole: of whole direction sets, so left out where a suite names single directions.
        needs: the experiments that run wherever this one does.
        absent: the report's sentence where the suite does not ask for it; '' for none.
    """

    name: ClassVar[str]
    settings: ClassVar[type[Settings]] = NoSettings
    always: ClassVar[bool] = False
    on_request: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    needs: "ClassVar[tuple[type[Experiment[Any, Any]], ...]]" = ()
    absent: ClassVar[str] = ""

    def check_suite(self, suite: Common) -> None:
        """Refuse what is wrong in a suite's values, whatever the generators are."""

    def places(self, suite: Common, subject: Subject, generator: Generator) -> Places:
        """Where it needs direction sets beside those that the suite measures; they are `Plan.further`.

        If its settings have a number `directions`, it takes so many of each set, from the first.
        """
        return ()

    def check(self, on: "Instruments") -> None:
        """Refuse, before anything is computed or written, what would be refused late."""

    def check_directions(self, on: "Measurement") -> None:
        """The same of what depends on the directions, which are there by then: found before, or by `rediscover`."""

    def prepared(self, on: "Measurement") -> "Measurement":
        """The measurement with a plan that it changes before anything is measured; of most experiments the same."""
        return on

    def order(self, on: "Measurement") -> Order | None:
        """Which directions of each set are the best by what it finds; `None` if it does not tell, or has no part."""
        return None

    def has_work(self, on: "Measurement") -> bool:
        """Whether the generator has what it is about."""
        return True

    def gaps(self, on: "Measurement") -> Iterator[str]:
        """Sentences for the report: what it was asked for and does not measure here."""
        yield from ()

    @abstractmethod
    def run(self, on: "Measurement") -> O:
        """Ask for its pieces, and give what they tell."""

    def rows(self, on: "Measurement", outcome: O) -> Mapping[str, Iterable[Row | Tested]]:
        """Rows of declared tables, by the table's name; those that say what a test decides are `Tested`."""
        return {}

    def direction_columns(self, on: "Measurement", outcome: O, direction: Direction) -> Row:
        """What it adds to a direction's row of tables/directions.csv, in columns that are declared there."""
        return {}

    def set_columns(self, on: "Measurement", outcome: O, directions: DirectionSet) -> Row:
        """What it adds to the row of a direction set in tables/methods.csv, in columns that are declared there."""
        return {}

    def measured(self, outcome: O) -> Iterable[str]:
        """The names of the directions that the report shows singly for what it found of them."""
        return ()

    def files(self, on: "Measurement", outcome: O) -> Iterable[File]:
        """Pictures, arrays and codes."""
        return ()

    def facts(self, on: "Measurement", outcome: O) -> Mapping[str, Any]:
        """What it adds to the manifest; mappings of several generators are joined."""
        return {}
