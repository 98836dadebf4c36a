"""Workers as the executor sees them: parcels go out one at a time to each, and events come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Done:
    """A worker has done with a parcel.

    Attributes:
        worker: its name.
        seconds: that it took.
        peak_memory_mib: of the worker so far; `None` if the system does not tell.
        batch: images per forward pass, which it has halved if memory ran out; `None` if it made no images.
        warnings: that are for the user.
        error: that its function raised, to be raised here; `None` if the result is in the store.
    """

    worker: str
    seconds: float
    peak_memory_mib: int | None
    batch: int | None
    warnings: tuple[str, ...] = ()
    error: BaseException | None = None


@dataclass(frozen=True)
class Progress:
    """How far a worker is with a long piece."""

    worker: str
    done: int
    total: int
    note: str


@dataclass(frozen=True)
class Lost:
    """A worker died with a parcel; another one takes its place."""

    worker: str
    why: str


Event = Done | Progress | Lost


class Crew(Protocol):
    """Workers, on this machine or on others.

    Attributes:
        size: how many there are.
    """

    size: int

    def start(self) -> None:
        """Have the workers start, without waiting for them."""

    @property
    def idle(self) -> bool:
        """Whether a worker waits for a parcel."""

    def begin(self, parcel: bytes) -> str:
        """Give a parcel to a worker that waits; its name."""

    def events(self, seconds: float) -> Sequence[Event]:
        """What has happened, after waiting for it for at most so long."""

    def close(self) -> None:
        """End all workers now, with what they are doing."""
