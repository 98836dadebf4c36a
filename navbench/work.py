"""A piece of work as data: a registered pure function, and what it is given.

The key of a piece is derived from exactly that: the function's name and revision, the versions of the packages whose
arithmetic it uses, and the content of every argument. A thing that is more than a number tells its content by a
property `cache_key`; what has none cannot be given to a piece, so no dependency is forgotten. Nothing that leaves
results alone (device, batch size, progress) is part of a content.
"""

import hashlib
import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, get_type_hints

from torch import Tensor

from navbench.errors import NavbenchError
from navbench.fingerprints import tensor_hash
from navbench.metrics.parts import Parts
from navbench.places import Place
from navbench.progress import Report, silent
from navbench.settings import Settings
from navbench.tensor_files import TensorFile, open_tensors, read_tensors

P = ParamSpec("P")
Result = TypeVar("Result")
REVISION = 8
"""Raised when code below all functions changes results, so that pieces of older code are not taken for new ones."""
VERSIONS = {name: version(name) for name in ("navbench", "torch", "torchvision", "torch-fidelity", "timm", "lpips")}
REPORT = "report"
"""The parameter of a function through which it reports progress; it is no part of the key."""
EXECUTOR = "executor"
"""The parameter of a function through which it asks for other pieces; it is no part of the key."""
FUNCTIONS: dict[str, "Pure[..., Any]"] = {}
"""Every registered function by its name."""


@dataclass(frozen=True)
class Pure(Generic[P, Result]):
    """A pure function that pieces can be made of; called, it is that function.

    Attributes:
        name: unique; part of the key.
        function: from content to a dataclass of tensors.
        kind: that dataclass.
        revision: raised when a change of the function changes its results.
        together: computes several pieces in one pass, from their arguments by name; `None` to compute one at a time.
    """

    name: str
    function: Callable[P, Result]
    kind: type[Result]
    revision: int
    together: Callable[[Sequence[Mapping[str, Any]]], Sequence[Result]] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result:
        """Compute now, without a store."""
        return self.function(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Its name stands for it in another process."""
        return _registered, (self.function.__module__, self.name)

    def piece(self, *args: Any, **kwargs: Any) -> "Piece[Result]":
        """The piece of these arguments, as data; an argument may be another piece, or a tuple of them (see `Stored`).

        Raises:
            TypeError: the arguments do not fit the function.
        """
        bound = inspect.signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        given = {name: value for name, value in bound.arguments.items() if name not in (REPORT, EXECUTOR)}
        return Piece(self, given)

    @cached_property
    def reports(self) -> bool:
        """Whether it reports progress."""
        return REPORT in inspect.signature(self.function).parameters

    @cached_property
    def leads(self) -> bool:
        """Whether it asks for other pieces; then it runs where it was asked for, and those anywhere."""
        return EXECUTOR in inspect.signature(self.function).parameters


def _registered(module: str, name: str) -> Pure[..., Any]:
    """The function of that name, which the module registers."""
    importlib.import_module(module)
    return FUNCTIONS[name]


def pure(
    *, revision: int = 1, together: Callable[[Sequence[Mapping[str, Any]]], Sequence[Any]] | None = None
) -> Callable[[Callable[P, Result]], Pure[P, Result]]:
    """Register a pure function under its name; its return annotation is the kind of its pieces."""

    def registered(function: Callable[P, Result]) -> Pure[P, Result]:
        kind: Any = get_type_hints(function)["return"]
        name = function.__name__
        if not (isinstance(kind, type) and is_dataclass(kind)):
            raise TypeError(f"{name} returns a {kind}, not a dataclass of tensors.")
        if name in FUNCTIONS and FUNCTIONS[name].function.__module__ != function.__module__:
            raise TypeError(f"Two functions are registered as {name!r}.")
        made: Pure[P, Result] = Pure(name, function, cast(type[Result], kind), revision, together)
        made.__dict__["__doc__"] = function.__doc__
        FUNCTIONS[name] = made
        return made

    return registered


@dataclass(frozen=True, eq=False)
class Piece(Generic[Result]):
    """A function and its arguments.

    Attributes:
        given: the arguments by name.
        note: a few words for the progress bar, such as a direction's name; no part of the key.
        transient: kept only until the pieces that are made of it are there.
    """

    function: Pure[..., Result]
    given: Mapping[str, Any]
    note: str = field(default="", compare=False)
    transient: bool = False

    def but(self, *, note: str = "", transient: bool = False) -> "Piece[Result]":
        """The same piece with a note, or as a transient one."""
        return Piece(self.function, self.given, note, transient)

    @cached_property
    def content(self) -> dict[str, Any]:
        """All that the result depends on, as JSON."""
        arguments = {name: content_of(value, f"{self.function.name}({name})") for name, value in self.given.items()}
        return {"function": [self.function.name, self.function.revision], "given": arguments}

    @cached_property
    def key(self) -> str:
        """SHA-256 of the content and of the versions, hexadecimal."""
        text = json.dumps({"revision": REVISION, "versions": VERSIONS, **self.content}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def cache_key(self) -> str:
        """What stands for it among the arguments of another piece."""
        return self.key

    def __getstate__(self) -> dict[str, Any]:
        """With its key, which another process takes as it is."""
        return {"key": self.key} | {name: value for name, value in self.__dict__.items() if name != "content"}

    def shares_a_pass(self, other: "Piece[Any]") -> bool:
        """Whether two pieces are computed in one pass: of one function, they differ in its first argument alone."""
        if self.function is not other.function or self.function.together is None:
            return False
        first = next(iter(self.given))
        others = other.content["given"]
        return all(others[name] == value for name, value in self.content["given"].items() if name != first)

    def parts(self) -> "Iterator[Piece[Any]]":
        """The pieces among the arguments, which must be in the store before this one is made."""
        for value in self.given.values():
            values = value if isinstance(value, tuple) else (value,)
            yield from (each for each in values if isinstance(each, Piece))

    def make(
        self, stored: "Callable[[Piece[Any]], Any]", report: Report = silent, executor: "Executor | None" = None
    ) -> Result:
        """Compute the result; `stored` gives what stands for an argument that is a piece."""
        further: dict[str, Any] = {REPORT: report} if self.function.reports else {}
        if self.function.leads:
            further[EXECUTOR] = executor
        return self.function(**self.arguments(stored), **further)

    def arguments(self, stored: "Callable[[Piece[Any]], Any]") -> dict[str, Any]:
        """The arguments, with `stored` of those that are pieces."""

        def opened(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(opened, value))
            return stored(value) if isinstance(value, Piece) else value

        return {name: opened(value) for name, value in self.given.items()}


class SentOnce:
    """Base of what many pieces share: a worker keeps the one that it was sent, with what that has computed so far."""


def content_of(value: Any, what: str = "a value") -> Any:
    """What a result depends on of a value, as JSON.

    Raises:
        NavbenchError: the value is of a kind that does not tell its content.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return ["tensor", str(value.dtype), list(value.shape), tensor_hash(value)]
    if isinstance(value, range):
        return ["range", value.start, value.stop, value.step]
    if isinstance(value, tuple | list):
        return [content_of(each, what) for each in value]
    if isinstance(value, Mapping):
        return {str(key): content_of(each, what) for key, each in value.items()}
    if isinstance(value, Settings):
        return value.model_dump(mode="json")
    if hasattr(value, "cache_key"):
        return content_of(value.cache_key, what)
    raise NavbenchError(
        f"{what} is a {type(value).__name__}, which does not tell what it holds; give it a property `cache_key`."
    )


# --- who computes ---------------------------------------------------------------------------------------------

Tick = Callable[[str], None]
"""Called with its note when a piece is there."""


def no_tick(note: str) -> None:
    """Count nothing."""


def steps(pieces: Iterable[Piece[Any]]) -> int:
    """How often an executor ticks: once per distinct piece, and per part that is made for it alone."""
    distinct = {piece.key: piece for piece in pieces}
    parts = {part.key for piece in distinct.values() for part in piece.parts() if part.transient}
    return len(distinct) + len(parts)


class Executor(Protocol):
    """The one door to whoever computes pieces."""

    def results(self, pieces: Sequence[Piece[Result]], tick: Tick = no_tick, report: Report = silent) -> list[Result]:
        """The results in the order of the pieces, from a store or computed now.

        Args:
            pieces: of any functions.
            tick: called with its note when a piece, or a transient part of one, is there.
            report: for functions that report their own progress.
        """

    def ensure(self, pieces: Sequence[Piece[Any]], tick: Tick = no_tick) -> None:
        """Have pieces in the store, of which others will be made; their results are not read."""

    def forget(self, pieces: Sequence[Piece[Any]]) -> None:
        """Remove results that nobody will ask for again."""

    def side_by_side(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """What some functions return, in their order, each of which asks for results: at once where many compute."""


class Unstored:
    """Computes every piece anew, in this process, and keeps nothing; for pieces that are made of no others."""

    def results(self, pieces: Sequence[Piece[Result]], tick: Tick = no_tick, report: Report = silent) -> list[Result]:
        """The results in the order of the pieces."""
        results = []
        for piece in pieces:
            results.append(piece.make(_no_parts, report, self))
            tick(piece.note)
        return results

    def ensure(self, pieces: Sequence[Piece[Any]], tick: Tick = no_tick) -> None:
        """Refused: nothing is kept, so nothing can be made of what was."""
        raise TypeError("Pieces that others are made of need a store.")

    def forget(self, pieces: Sequence[Piece[Any]]) -> None:
        """No-op: nothing is kept."""

    def side_by_side(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """One after the other."""
        return [work() for work in works]


UNSTORED = Unstored()


def _no_parts(piece: Piece[Any]) -> Any:
    raise TypeError(f"{piece.function.name} is a part of another piece, which needs a store.")


# --- stored results -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored(Generic[Result]):
    """The result of a piece where it is stored: what a function gets for an argument that is a piece."""

    kind: type[Result]
    place: Place
    name: str

    def load(self) -> Result:
        """The whole result."""
        _, tensors = read_tensors(self.place, self.name)
        return self.kind(**{field.name: tensors[field.name] for field in fields(self.kind)})  # type: ignore[arg-type]

    def read(self, name: str) -> Tensor:
        """One tensor of the result; the others, which may be large, are not read."""
        return self.file.tensor(name)

    @property
    def file(self) -> TensorFile:
        """The file, of which any part can be read."""
        return open_tensors(self.place, self.name)


def joined(stored: tuple[Stored[Any], ...], name: str) -> Parts:
    """A tensor (n, D) that lies in several results, joined along n; a part is read when it is asked for."""
    files = [each.file for each in stored]
    return Parts([partial(file.tensor, name) for file in files], [file.shape(name) for file in files])


def slices(stored: tuple[Stored[Any], ...], name: str) -> Callable[[int], Parts]:
    """A function from i to the i-th slice of a tensor (T, n, D) that lies in several results, joined along n."""
    files = [each.file for each in stored]
    shapes = [file.shape(name)[1:] for file in files]
    return lambda index: Parts([partial(file.slice, name, index) for file in files], shapes)


def tensors_of(result: Any) -> dict[str, Tensor]:
    """The fields of a result, as a file holds them."""
    return {field.name: getattr(result, field.name).contiguous() for field in fields(result)}
