"""A lease on the place of a run: one driver at a time. A second is told who holds it; a dead one's is taken over."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from navbench.errors import Failure, NavbenchError
from navbench.places import Conflict, Place, Version, place_at

LEASE = "lease.json"
BEAT, STALE = 5.0, 60.0
"""Seconds between two beats of a driver, and after which one that has not beaten is taken for dead."""


@dataclass(frozen=True)
class Holder:
    """Who drives a run, as the lease says it.

    Attributes:
        machine: what distinguishes the processes of this machine, or container, from those of others; '' if unknown.
        born: when the process began, in the system's own units, as the number of a dead one is given to another.
        token: of this run of the process.
        started: ISO 8601.
        beat: when it was last known to be alive, in seconds of its own clock.
    """

    host: str
    machine: str
    pid: int
    born: str
    token: str
    started: str
    beat: float

    @classmethod
    def here(cls) -> "Holder":
        """This process, now."""
        pid, token, started = os.getpid(), uuid.uuid4().hex, datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), _machine(), pid, _born(pid), token, started, time.time())

    @classmethod
    def of(cls, version: Version | None) -> "Holder | None":
        """Who wrote a lease; `None` if there is none, or none that can be read."""
        try:
            return cls(**json.loads(version.content)) if version is not None else None
        except (ValueError, TypeError):
            return None

    def content(self) -> bytes:
        """The lease, as JSON."""
        return json.dumps(asdict(self), indent=1).encode()

    @property
    def silence(self) -> float:
        """Seconds since its last beat, if both clocks are right."""
        return time.time() - self.beat

    @property
    def ended(self) -> bool:
        """Whether it is a process of this machine that is no more; of other machines nothing is known."""
        return self.machine != "" and self.machine == _machine() and self.born != _born(self.pid)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, which began {self.started}"


class Lease:
    """The right to write at a place, kept alive by a thread.

    The clock of another machine may be wrong, so a lease that looks old is looked at again before it is taken over.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._holder: Holder | None = None
        self._version: Version | None = None
        self._lost = ""
        self._renewing = threading.Lock()

    def check_free(self) -> None:
        """Refuse a place that another driver holds.

        Raises:
            NavbenchError: it does, and was heard of lately.
        """
        holder = Holder.of(self.place.version(LEASE))
        if holder is not None and not holder.ended and holder.silence < STALE:
            raise self._refusal(holder)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lease, and give it back at the end or at an error.

        Raises:
            NavbenchError: another driver holds it.
        """
        self._take()
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(ended,), name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._release()

    def _release(self) -> None:
        """Remove the lease, unless it is, or may be, another's."""
        with suppress(NavbenchError):
            self._renew()  # so that nobody takes it over before it is removed; a full disk forbids that
        if not self._lost and self._holder is not None and self._holder.silence < STALE / 2:
            with suppress(NavbenchError):  # then it ends by itself
                self.place.delete(LEASE)
        self._holder = None

    def check(self) -> None:
        """Make sure that the lease is still held, if it was taken; asked before every write.

        Raises:
            Failure: another driver has taken it over, since this one stood still or was cut off.
        """
        if self._holder is None:
            return
        if not self._lost and self._holder.silence > STALE / 2:
            self._renew()
        if self._lost:
            raise Failure(self._lost)

    def _take(self) -> None:
        """Create the lease or replace a dead one; whoever comes too late looks again at who holds it."""
        holder = Holder.here()
        while True:
            version = self.place.version(LEASE)
            before = Holder.of(version)
            if before is not None and before.token == holder.token:
                self._holder, self._version = holder, version  # an answer was lost, and the request repeated
                return
            if before is not None and not before.ended and not self._stale(before, version):
                raise self._refusal(before)
            try:
                if version is None:
                    self._version = self.place.create(LEASE, holder.content())
                else:
                    self._version = self.place.replace(LEASE, holder.content(), version)
            except Conflict:
                continue
            self._holder = holder
            return

    def _stale(self, holder: Holder, version: Version | None) -> bool:
        """Whether it has not beaten for long by its clock, and does not beat while this one watches."""
        if holder.silence < STALE:
            return False
        time.sleep(2 * BEAT)
        return self.place.version(LEASE) == version

    def _refusal(self, holder: Holder) -> NavbenchError:
        return NavbenchError(
            f"{self.place} is in use by {holder}, heard of {max(holder.silence, 0):.0f} s ago; wait until it ends "
            f"(if it died, {STALE:.0f} s), or choose another folder with --out."
        )

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(BEAT):
            with suppress(NavbenchError):  # the next beat, or the next write, tries again
                self._renew()

    def _renew(self) -> None:
        """Beat once, unless another has taken the lease over."""
        with self._renewing:
            if self._lost or self._holder is None or self._version is None:
                return
            holder = replace(self._holder, beat=time.time())
            try:
                self._version = self.place.replace(LEASE, holder.content(), self._version)
            except Conflict:
                version = self.place.version(LEASE)
                other = Holder.of(version)
                if other is None or other.token != holder.token:
                    self._lost = _loss(self.place, other)
                    return
                self._version = version
            self._holder = holder


def _loss(place: Place, other: Holder | None) -> str:
    by = f"is in use by {other} by now" if other is not None else "has lost its lease"
    return f"{place} {by}, as this run stood still or was cut off for too long; it ends here."


@dataclass(frozen=True)
class Leased(Place):
    """A place where only the holder of its lease writes; in another process it is the place without the lease."""

    place: Place
    lease: Lease

    def __reduce__(self) -> tuple:
        return place_at, (self.place,)

    def __str__(self) -> str:
        return str(self.place)

    @property
    def name(self) -> str:
        """See `Place`."""
        return self.place.name

    def within(self, name: str) -> "Leased":
        """See `Place`."""
        return Leased(self.place.within(name), self.lease)

    def address(self, name: str) -> str:
        """See `Place`."""
        return self.place.address(name)

    def file(self, name: str) -> Path | None:
        """See `Place`."""
        return self.place.file(name)

    def exists(self, name: str) -> bool:
        """See `Place`."""
        return self.place.exists(name)

    def names(self, folder: str = "") -> Iterator[str]:
        """See `Place`."""
        return self.place.names(folder)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """See `Place`."""
        return self.place.read(name, start, stop)

    def version(self, name: str) -> Version | None:
        """See `Place`."""
        return self.place.version(name)

    def write(self, name: str, content: bytes | str) -> None:
        """See `Place`."""
        self.lease.check()
        try:
            self.place.write(name, content)
        except NavbenchError:
            self.lease.check()  # the next holder has removed what this one was writing
            raise

    def create(self, name: str, content: bytes) -> Version:
        """See `Place`."""
        self.lease.check()
        return self.place.create(name, content)

    def replace(self, name: str, content: bytes, version: Version) -> Version:
        """See `Place`."""
        self.lease.check()
        return self.place.replace(name, content, version)

    def delete(self, name: str) -> None:
        """See `Place`."""
        self.lease.check()
        self.place.delete(name)

    def clear(self, folder: str) -> None:
        """See `Place`."""
        self.lease.check()
        self.place.clear(folder)

    def tidy(self) -> None:
        """See `Place`."""
        self.lease.check()
        self.place.tidy()


@cache
def _machine() -> str:
    """This boot of this machine, and this container's own numbers of processes."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _born(pid: int) -> str:
    """When a process of this machine began; '' if there is none, or the system does not say."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else rest[18]
