"""Workers as actors of a Ray cluster, which places them on nodes and GPUs; results travel through the store alone."""

import os
import secrets
import sys
import threading
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError, RayError

from navbench.errors import Failure, NavbenchError, NavbenchWarning
from navbench.runner.crew import Done, Event, Lost, Progress
from navbench.runner.ray_cluster import connect, last_line, most_on_a_node, nodes, share_of, size_of
from navbench.runner.store import Store
from navbench.runner.worker import Place, Worker, versions
from navbench.staff import Staff, allowed_threads

PATIENCE = 60.0
"""Seconds without any worker after which the user is told what is waited for."""
STARTS = 3
"""Times that a worker may die in a row before it has begun."""
NEWS = 5.0
"""Seconds after which a worker that has nothing to tell says that it is there."""


# --- in the driver -----------------------------------------------------------------------------------------------


@dataclass
class _Member:
    """An actor, and what is asked of it.

    Attributes:
        ready: the answer to whether it has begun, which may take forever where no node has room; `None` once it has.
        news: the answer to how far it is, which fails at once when it dies.
        job: the answer to its parcel; `None` while it has none.
        jobs: parcels that it has had.
        failures: actors before it that died before they had begun.
    """

    place: Place
    actor: Any
    ready: Any
    news: Any
    job: Any = None
    jobs: int = 0
    failures: int = 0

    @property
    def waits(self) -> bool:
        """Whether it waits for a parcel."""
        return self.ready is None and self.job is None

    @property
    def answers(self) -> list[Any]:
        """All that it has not answered."""
        return [answer for answer in (self.ready, self.job, self.news) if answer is not None]


class RayCrew:
    """Actors of a cluster; one that dies, or whose node is lost, is replaced as soon as Ray has room.

    Ray itself tries nothing again: it would use up its retries before a node is back.
    """

    def __init__(self, store: Store, staff: Staff) -> None:
        """Join the cluster, or start one.

        Raises:
            NavbenchError: there is no such cluster, or it has no room.
        """
        self.store, self._members = store, list[_Member]()
        self._begun, self._told = time.monotonic(), False
        self._joined = connect(staff.ray or "local")
        try:
            self.size, self._places = _placed(staff)
        except BaseException:
            self.close()
            raise
        self._marker = secrets.token_bytes(32)

    def start(self) -> None:
        """Have Ray place the actors."""
        self._members = [self._started(place) for place in self._places]
        self._begun = time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether a worker waits for a parcel."""
        return any(member.waits for member in self._members)

    def begin(self, parcel: bytes) -> str:
        """Give a parcel to a worker that waits; its name."""
        member = next(member for member in self._members if member.waits)
        member.jobs += 1
        if member.jobs == 1:  # not before: the driver may have emptied the folder in the meantime
            self.store.keep(_name(self._marker), self._marker)
        member.job = member.actor.make.remote(parcel, member.jobs)
        return member.place.name

    def events(self, seconds: float) -> Sequence[Event]:
        """What has happened, after waiting for it for at most so long.

        Raises:
            NavbenchError: a worker has other versions.
            Failure: a worker cannot start.
        """
        answers = [answer for member in self._members for answer in member.answers]
        ray.wait(answers, timeout=seconds)
        ready = set(ray.wait(answers, num_returns=len(answers), timeout=0)[0])
        events = [event for index in range(self.size) for event in self._heard(index, ready)]
        self._tell_of_waiting()
        return events

    def close(self) -> None:
        """End all actors now, with what they are doing, and the cluster, if it was started here."""
        for member in self._members:
            with suppress(Exception):  # it may be gone, with its node or with the cluster
                ray.kill(member.actor)
        self._members = []
        if self._joined:
            ray.shutdown()

    def _started(self, place: Place) -> _Member:
        variables = {"OMP_NUM_THREADS": str(place.threads), "PYTHONPATH": _python_path()}
        options: dict[str, Any] = {
            "num_cpus": place.threads,
            "num_gpus": 0 if place.device == "cpu" else 1,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
            "concurrency_groups": {"news": 1},
            "runtime_env": {"env_vars": variables},
        }
        actor: Any = ray.remote(**options)(_Actor).remote()
        ready = actor.begin.remote(self.store, place, _name(self._marker), str(Path.cwd()))
        return _Member(place, actor, ready, actor.news.remote())

    def _heard(self, index: int, ready: Collection[Any]) -> Iterator[Event]:
        """What a worker has answered; a dead one is replaced."""
        member = self._members[index]
        try:
            if member.ready in ready:
                if (refusal := ray.get(member.ready)) is not None:
                    raise refusal
                member.ready, member.failures = None, 0
            if member.job in ready:
                done: Done = ray.get(member.job)
                member.job = None
                yield done
            if member.news in ready:
                job, progress = ray.get(member.news)
                member.news = member.actor.news.remote()
                if progress is not None and member.job is not None and job == member.jobs:
                    yield progress
        except RayError as error:
            self._members[index] = self._replaced(member, error)
            if member.job is not None:
                yield Lost(member.place.name, _ended(error))

    def _replaced(self, member: _Member, error: RayError) -> _Member:
        """The member that takes the place of a dead one.

        Raises:
            Failure: workers die before they have begun, or fail otherwise.
        """
        with suppress(Exception):  # it is not heard of, but may still compute
            ray.kill(member.actor)
        if not isinstance(error, RayActorError | OutOfMemoryError):
            raise Failure(f"Worker {member.place.name} failed: {last_line(error)}")
        failures = 0 if member.ready is None else member.failures + 1
        if failures == STARTS:
            raise Failure(f"Worker {member.place.name} died {STARTS} times before it had begun: {last_line(error)}")
        return replace(self._started(member.place), failures=failures)

    def _tell_of_waiting(self) -> None:
        """Say once what is waited for, when no worker has begun for long."""
        if any(member.ready is None for member in self._members):
            self._begun, self._told = time.monotonic(), False
        elif time.monotonic() - self._begun > PATIENCE and not self._told:
            self._told = True
            place = self._places[0]
            room = f"{place.threads} free core{'s' if place.threads > 1 else ''}"
            warnings.warn(
                f"No worker has begun for {PATIENCE:.0f} s; each needs a node with {room}"
                f"{'' if place.device == 'cpu' else ' and a GPU'}, and `ray status` tells what the cluster has.",
                NavbenchWarning,
                stacklevel=2,
            )


def _placed(staff: Staff) -> tuple[int, list[Place]]:
    """How many workers there are, and where each computes."""
    device, alive = staff.devices[0], nodes()
    gpu = device != "cpu"
    size = size_of(alive, staff.workers, gpu)
    threads = allowed_threads(share_of(alive, size, gpu))
    room = sum(node.room(threads, gpu) for node in alive)
    if staff.ray == "local" and size > room:
        raise NavbenchError(f"--workers {size} is more than this machine has {'GPUs' if gpu else 'cores'}, {room}.")
    sharing = 1 if gpu else most_on_a_node(alive, size, threads)
    names = [f"{number} ({device})" for number in range(1, size + 1)]
    return size, [Place(name, device, threads, versions(), sharing) for name in names]


def _name(content: bytes) -> str:
    """What content that is kept for workers is called."""
    return f"things/{sha256(content).hexdigest()}"


def _python_path() -> str:
    """Where this process finds modules beside those that are installed, such as the user's own."""
    installed = (Path(sys.prefix), Path(sys.base_prefix))
    folders = [Path(folder).resolve() for folder in sys.path]
    mine = [str(folder) for folder in folders if not any(folder.is_relative_to(root) for root in installed)]
    return os.pathsep.join([*mine, "${PYTHONPATH}"])


def _ended(error: RayError) -> str:
    """How an actor ended, in words."""
    if isinstance(error, OutOfMemoryError):
        return "was ended by Ray, as the memory of its node ran out"
    if isinstance(error, ActorUnavailableError):
        return "was cut off"
    return "was lost with its node" if "its node has died" in str(error) else "died"


# --- in the actor ------------------------------------------------------------------------------------------------


class _Actor:
    """A worker in a process of Ray's."""

    def __init__(self) -> None:
        self._job = 0
        self._progress: Progress | None = None
        self._changed = threading.Event()

    def begin(self, store: Store, place: Place, marker: str, folder: str) -> NavbenchError | None:
        """Become a worker; what is in the way of it.

        Args:
            store: of the driver.
            place: where this is.
            marker: the name of what the driver keeps in the store before it gives out parcels.
            folder: in which the driver works, and so this one, where there is such a folder.
        """
        with suppress(OSError):
            os.chdir(folder)
        self._store, self._marker = store, marker
        try:
            self._worker = Worker(store, place)
        except NavbenchError as error:
            return error
        return None

    def make(self, parcel: bytes, job: int) -> Done:
        """Make what is in a parcel, in the store of the driver."""
        self._job, self._progress = job, None
        try:
            if job == 1:
                self._store.kept(self._marker)
        except OSError:
            name = self._worker.place.name
            error = NavbenchError(
                f"Worker {name} on node {ray.util.get_node_ip_address()} does not see what the driver keeps; give "
                "--out a folder that all nodes share, or an object store (s3://...)."
            )
            return Done(name, 0.0, None, None, error=error)
        return self._worker.make(parcel, self._report)

    @ray.method(concurrency_group="news")  # beside the piece that is computed
    def news(self) -> tuple[int, Progress | None]:
        """The parcel that is computed, and how far it is, as soon as there is something new, or after some seconds."""
        if self._changed.wait(NEWS):
            time.sleep(0.2)  # of many steps, the driver is told of some
        self._changed.clear()
        return self._job, self._progress

    def _report(self, done: int, total: int, note: str = "") -> None:
        self._progress = Progress(self._worker.place.name, done, total, note)
        self._changed.set()
