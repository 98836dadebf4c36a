"""Workers as processes of this machine: one per device, or several that share the cores."""

import os
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import cloudpickle

from navbench.errors import Failure, NavbenchError
from navbench.runner.crew import Done, Event, Lost, Progress
from navbench.runner.store import Store
from navbench.runner.worker import Place, Worker, versions

_SPAWN = get_context("spawn")
_READY = "ready"
STARTS = 3
"""How often a process may be killed while it starts."""


@dataclass
class _Member:
    """A process, and how to talk to it.

    Attributes:
        ready: it has started, and is not known to have failed.
        busy: it has a parcel.
        failures: how many before it were killed while they started.
    """

    place: Place
    process: BaseProcess
    pipe: Connection
    ready: bool = False
    busy: bool = False
    failures: int = 0


class Processes:
    """A process per device, each with its share of the cores; a process that dies is replaced."""

    def __init__(self, store: Store, devices: Sequence[str], threads: int) -> None:
        """Name the devices, such as ('cpu', 'cpu'), and the threads of each."""
        self.store, self.size = store, len(devices)
        self._members: dict[str, _Member] = {}
        self._places = [
            Place(f"{number} ({device})", device, threads, versions(), sharing=devices.count(device))
            for number, device in enumerate(devices, start=1)
        ]

    def start(self) -> None:
        """Start the processes."""
        self._members = {place.name: self._started(place) for place in self._places}

    @property
    def idle(self) -> bool:
        """Whether a worker waits for a parcel."""
        return any(member.ready and not member.busy for member in self._members.values())

    def begin(self, parcel: bytes) -> str:
        """Give a parcel to a worker that waits; its name."""
        member = next(member for member in self._members.values() if member.ready and not member.busy)
        member.busy = True
        with suppress(OSError):  # it has died, which its sentinel tells
            member.pipe.send_bytes(parcel)
        return member.place.name

    def events(self, seconds: float) -> Sequence[Event]:
        """What has happened, after waiting for it for at most so long.

        Raises:
            Failure: a process cannot start.
            NavbenchError: a process has other versions.
        """
        waiting = {member.pipe: name for name, member in self._members.items()}
        waiting |= {member.process.sentinel: name for name, member in self._members.items()}  # type: ignore[misc]
        ready = connection.wait(list(waiting), seconds)
        return [event for name in {waiting[each]: None for each in ready} for event in self._heard(name)]  # type: ignore[index]

    def close(self) -> None:
        """End all processes now, with what they are doing."""
        for member in self._members.values():
            member.process.kill()
        for member in self._members.values():
            member.process.join()
            member.pipe.close()
        self._members = {}

    def _started(self, place: Place) -> _Member:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=_serve, args=(theirs, self.store, place), name=f"navbench {place.name}", daemon=True
        )
        with _threads(place.threads):
            process.start()
        theirs.close()
        return _Member(place, process, ours)

    def _heard(self, name: str) -> Iterator[Event]:
        """What a process has sent; a dead one is replaced."""
        member = self._members[name]
        try:
            while member.pipe.poll():
                message = pickle.loads(member.pipe.recv_bytes())
                if message == _READY:
                    member.ready = True
                elif isinstance(message, NavbenchError):
                    raise message
                else:
                    member.busy &= not isinstance(message, Done)
                    yield message
        except (EOFError, OSError):
            member.process.join()
        if member.process.exitcode is not None:
            why, killed = _ended(member.process.exitcode), member.process.exitcode < 0
            failures = 0 if member.ready else member.failures + 1
            if failures and (not killed or failures == STARTS):
                hint = "free some memory" if killed else 'in a script, call navbench below `if __name__ == "__main__":`'
                raise Failure(f"Worker {name} {why} while it started; {hint}, or run without --workers.")
            member.pipe.close()
            self._members[name] = self._started(member.place)
            self._members[name].failures = failures
            if member.busy:
                yield Lost(name, why)


def _ended(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """The environment in which a process starts with so many threads."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


# --- in the process ----------------------------------------------------------------------------------------------


def _serve(pipe: Connection, store: Store, place: Place) -> None:
    """Make what comes through the pipe, until the driver ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's, who ends its workers
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    try:
        worker = Worker(store, place)
    except NavbenchError as error:
        pipe.send_bytes(cloudpickle.dumps(error))
        return
    pipe.send_bytes(pickle.dumps(_READY))

    def report(done: int, total: int, note: str = "") -> None:
        pipe.send_bytes(pickle.dumps(Progress(place.name, done, total, note)))

    while True:
        try:
            parcel = pipe.recv_bytes()
        except EOFError:
            return
        pipe.send_bytes(cloudpickle.dumps(worker.make(parcel, report)))


def _end_with_the_driver() -> None:
    """End this process when its driver is gone, however that ended: nobody waits for what it computes."""
    driver = parent_process()
    assert driver is not None
    connection.wait([driver.sentinel])
    os._exit(1)
