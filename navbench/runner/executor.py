"""Who computes the pieces that are not in the store: this process, or workers.

All executors keep one door: pieces in, results in the same order out, everything that is made in the store.
"""

import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Self, TypeVar

from navbench.compute import Compute, peak_memory
from navbench.errors import Failure, NavbenchWarning
from navbench.progress import Report, silent
from navbench.runner.crew import Crew, Done, Event, Lost, Progress
from navbench.runner.maker import Maker
from navbench.runner.parcels import Packer
from navbench.runner.schedule import Schedule
from navbench.runner.store import Store
from navbench.work import Piece, Tick, no_tick

Result = TypeVar("Result")
LIVES = 3
"""Workers that one piece may cost before it is taken for the cause."""
PAUSE = 0.05
"""Seconds after which new pieces are looked for while workers compute."""


class _Batch:
    """Pieces that are asked for at once: their results so far, and what was told of them.

    Attributes:
        wanted: the distinct pieces, by key.
        results: of those that are there, by key.
        messages: for who asked: a piece that was made, how far a long one is, or the error that ends all.
    """

    def __init__(self, pieces: Sequence[Piece[Any]], tick: Tick, store: Store) -> None:
        self.wanted, self.store = {piece.key: piece for piece in pieces}, store
        self.results: dict[str, Any] = {}
        self.messages: SimpleQueue[Piece[Any] | Progress | BaseException] = SimpleQueue()
        self._keys = {*self.wanted, *(part.key for piece in pieces for part in piece.parts() if part.transient)}
        self._tick, self._told = tick, set[str]()

    @property
    def missing(self) -> list[Piece[Any]]:
        """The pieces without a result."""
        return [piece for key, piece in self.wanted.items() if key not in self.results]

    def concerns(self, piece: Piece[Any]) -> bool:
        """Whether a piece was asked for, or is a transient part of one that was."""
        return piece.key in self._keys

    def look(self, piece: Piece[Any]) -> bool:
        """Whether a piece is in the store, whose result is read."""
        if (result := self.store.find(piece)) is not None:
            self.take(piece, result)
        return result is not None

    def take(self, piece: Piece[Any], result: Any) -> None:
        """The result of a piece that was asked for."""
        self.results[piece.key] = result

    def tell(self, piece: Piece[Any]) -> None:
        """Tick once for a piece that is there, after its transient parts."""
        for each in (*(part for part in piece.parts() if part.transient), piece):
            if self.concerns(each) and each.key not in self._told:
                self._told.add(each.key)
                self._tick(each.note)


class _Presences(_Batch):
    """Pieces whose results are not wanted now: `True` stands for each."""

    def look(self, piece: Piece[Any]) -> bool:
        """Whether there is a file of a piece; who reads it verifies it."""
        if present := self.store.has(piece):
            self.take(piece, None)
        return present

    def take(self, piece: Piece[Any], result: Any) -> None:
        """A piece that is there."""
        self.results[piece.key] = True


class Tally(threading.local):
    """How many pieces a thread got from the store, and how many were made for it."""

    found = made = 0


@dataclass
class Account:
    """What a worker did.

    Attributes:
        batch: images per forward pass at the end.
        retries: pieces that it was given because another worker had lost them.
    """

    pieces: int = 0
    seconds: float = 0.0
    peak_memory_mib: int | None = None
    batch: int | None = None
    retries: int = 0

    def after(self, earlier: "Account") -> "Account":
        """What it did in an earlier run and in this one."""
        peaks = [peak for peak in (earlier.peak_memory_mib, self.peak_memory_mib) if peak is not None]
        return Account(
            earlier.pieces + self.pieces,
            round(earlier.seconds + self.seconds, 2),
            max(peaks, default=None),
            self.batch,
            earlier.retries + self.retries,
        )


class StoreExecutor(ABC):
    """An executor over a store: it finds what is there, and has the rest made; used as a context.

    Attributes:
        accounts: what each worker did, by its name.
        tally: of the thread that asks.
    """

    def __init__(self, store: Store) -> None:
        self.store, self.tally = store, Tally()
        self.accounts: dict[str, Account] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:  # noqa: B027 (nothing to let go of in this process)
        """Let go of what computes."""

    def results(self, pieces: Sequence[Piece[Result]], tick: Tick = no_tick, report: Report = silent) -> list[Result]:
        """See `work.Executor`."""
        batch = _Batch(pieces, tick, self.store)
        self._complete(batch, report)
        return [batch.results[piece.key] for piece in pieces]

    def ensure(self, pieces: Sequence[Piece[Any]], tick: Tick = no_tick) -> None:
        """See `work.Executor`."""
        self._complete(_Presences(pieces, tick, self.store), silent)

    def _complete(self, batch: _Batch, report: Report) -> None:
        """Look all pieces up, and have those made that are missing."""
        for piece in batch.wanted.values():
            batch.look(piece)
        self.tally.found += len(batch.results)
        self.tally.made += len(batch.missing)
        for piece in [piece for piece in batch.missing if piece.function.leads]:
            batch.take(piece, self._led(piece, report))
        self._make(batch, report)

    def forget(self, pieces: Sequence[Piece[Any]]) -> None:
        """See `work.Executor`."""
        for piece in pieces:
            self.store.drop(piece)

    def _led(self, piece: Piece[Result], report: Report) -> Result:
        """The result of a piece that asks for others, made in this thread."""
        return Maker(self.store).make([piece], report, self)[0]

    @abstractmethod
    def side_by_side(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """See `work.Executor`."""

    @abstractmethod
    def _make(self, batch: _Batch, report: Report) -> None:
        """Make what is missing of a batch."""


class InProcess(StoreExecutor):
    """Computes in this process, in the order of the pieces."""

    def __init__(self, store: Store, compute: Compute | None = None) -> None:
        """Name the compute for its account."""
        super().__init__(store)
        self._maker, self._compute = Maker(store), compute

    def side_by_side(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """One after the other."""
        return [work() for work in works]

    def _make(self, batch: _Batch, report: Report) -> None:
        schedule = Schedule(self._maker.has)
        schedule.add(batch.missing)
        _clear(batch, schedule, self._maker.drop)
        while pieces := schedule.next():
            begun = time.monotonic()
            results = self._maker.make(pieces, report)
            self._count(len(pieces), time.monotonic() - begun)
            for piece, result in zip(pieces, results, strict=True):
                if piece.key in batch.wanted:
                    batch.take(piece, result)
                for part in schedule.done(piece):
                    self._maker.drop(part)
                batch.tell(piece)

    def _count(self, pieces: int, seconds: float) -> None:
        account = self.accounts.setdefault("driver", Account())
        account.pieces += pieces
        account.seconds = round(account.seconds + seconds, 2)
        if self._compute is not None:
            account.batch, memory = self._compute.batch, peak_memory(self._compute.device)
            account.peak_memory_mib = None if memory is None else max(round(memory), account.peak_memory_mib or 0)


def _clear(batch: _Batch, schedule: Schedule, drop: Callable[[Piece[Any]], None]) -> None:
    """Tell of the results that are there, and drop parts that were left over when a run was killed."""
    for key in batch.results:
        for part in batch.wanted[key].parts():
            if part.transient and not schedule.needs(part):
                drop(part)
        batch.tell(batch.wanted[key])


@dataclass
class _Errand:
    """What a crew is doing: who makes what, and how often each piece was lost."""

    schedule: Schedule
    running: dict[str, list[Piece[Any]]] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)

    def lose(self, pieces: Sequence[Piece[Any]], why: str) -> None:
        """Give pieces back to the schedule; too often lost, they end the run."""
        piece = pieces[0]
        self.losses[piece.key] += 1
        if self.losses[piece.key] == LIVES:
            raise Failure(
                f"{piece.function.name}{f' of {piece.note}' if piece.note else ''} lost its worker {LIVES} times (it "
                f"{why}); if memory ran out, take fewer workers or a smaller --batch, then run the same again."
            )
        for lost in reversed(pieces):  # each becomes the first in line
            self.schedule.back(lost)


class Workers(StoreExecutor):
    """Has a crew of workers compute, each a piece at a time; a piece whose worker dies goes to another.

    Several threads of the driver may ask at once; one more thread gives out the pieces of all.
    """

    def __init__(self, store: Store, crew: Crew) -> None:
        super().__init__(store)
        self.crew, self._packer = crew, Packer(store)
        self._errand = _Errand(Schedule(store.has, crew.size + 1))
        self._batches: list[_Batch] = []
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._foreman = threading.Thread(target=self._lead, name="navbench workers", daemon=True)

    def __enter__(self) -> Self:
        """Start the workers, which takes seconds, while the driver gets ready."""
        self.crew.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End the workers, whatever they are doing."""
        self._fail(Failure("The workers were told to end."))
        if self._foreman.is_alive():
            self._foreman.join()
        self.crew.close()

    def side_by_side(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """A thread each; the first error ends all."""
        if not works:
            return []
        with ThreadPoolExecutor(len(works)) as threads:
            try:
                futures = [threads.submit(work) for work in works]
                for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                    future.result()
                return [future.result() for future in futures]
            except BaseException as error:
                self._fail(error)
                raise

    # --- in the thread that asks

    def _make(self, batch: _Batch, report: Report) -> None:
        with self._changed:
            if self._error is not None:
                raise self._error
            self._errand.schedule.add(batch.missing)
            _clear(batch, self._errand.schedule, self.store.drop)
            self._batches.append(batch)
            if batch.missing and not self._foreman.is_alive():
                self._foreman.start()
            self._changed.notify_all()
        while batch.missing:
            message = batch.messages.get()
            if isinstance(message, BaseException):
                raise message
            if isinstance(message, Progress):
                report(message.done, message.total, message.note)
            else:
                self._read(batch, message)
        with self._changed:
            self._batches.remove(batch)

    def _read(self, batch: _Batch, piece: Piece[Any]) -> None:
        """Read a result that a worker has kept."""
        if piece.key in batch.wanted and not batch.look(piece):  # damaged since
            with self._changed:
                self._errand.schedule.add([piece])
                self._changed.notify_all()
        else:
            batch.tell(piece)

    # --- in the thread that gives out

    def _lead(self) -> None:
        try:
            while self._error is None:
                with self._changed:
                    while not self._errand.running and not self._errand.schedule.pending and self._error is None:
                        self._changed.wait()
                    while self.crew.idle and (pieces := self._errand.schedule.next()):
                        self._errand.running[self.crew.begin(self._packer.pack(pieces))] = pieces
                for event in self.crew.events(PAUSE):
                    with self._changed:
                        self._heard(event)
        except BaseException as error:
            self._fail(error)

    def _heard(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._tell(self._errand.running[event.worker][0], event)
            return
        pieces = self._errand.running.pop(event.worker)
        if isinstance(event, Lost):
            self._errand.lose(pieces, event.why)
            return
        for sentence in event.warnings:
            warnings.warn(sentence, NavbenchWarning, stacklevel=2)
        if event.error is not None:
            raise event.error
        self._count(event, pieces)
        for piece in pieces:
            for part in self._errand.schedule.done(piece):
                self.store.drop(part)
            self._tell(piece, piece)

    def _tell(self, piece: Piece[Any], message: Piece[Any] | Progress) -> None:
        for batch in self._batches:
            if batch.concerns(piece):
                batch.messages.put(message)

    def _count(self, event: Done, pieces: Sequence[Piece[Any]]) -> None:
        account = self.accounts.setdefault(event.worker, Account())
        account.pieces += len(pieces)
        account.seconds = round(account.seconds + event.seconds, 2)
        peaks = [peak for peak in (account.peak_memory_mib, event.peak_memory_mib) if peak is not None]
        account.peak_memory_mib, account.batch = max(peaks, default=None), event.batch
        account.retries += sum(piece.key in self._errand.losses for piece in pieces)
        self.store.made += len(pieces)

    def _fail(self, error: BaseException) -> None:
        """Let everybody who waits know that it is over."""
        with self._changed:
            self._error = self._error or error
            for batch in self._batches:
                batch.messages.put(self._error)
            self._changed.notify_all()
