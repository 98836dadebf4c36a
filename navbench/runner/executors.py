"""From who is to compute to the executor that has it computed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.places import Folder
from navbench.runner.crew import Crew
from navbench.runner.executor import InProcess, StoreExecutor, Workers
from navbench.runner.lease import LEASE, Lease, Leased
from navbench.runner.processes import Processes
from navbench.runner.store import Store
from navbench.staff import Staff, threads_each
from navbench.work import Executor, Unstored


def executor_of(staff: Staff, store: Store, compute: Compute) -> StoreExecutor:
    """Computes in this process, or by workers; to be used as a context."""
    if staff.alone:
        return InProcess(store, compute)
    if staff.ray is not None:
        return Workers(store, _ray_crew(store, staff))
    devices = [staff.device_of(number) for number in range(staff.count)]
    for device in {*devices}:
        compute.on(device)  # refuses one that does not exist, before anything is written
    return Workers(store, Processes(store, devices, threads_each(staff.count)))


def _ray_crew(store: Store, staff: Staff) -> Crew:
    try:
        from navbench.runner.ray_crew import RayCrew
    except ImportError as error:
        raise NavbenchError(
            f"--ray needs Ray, which cannot be imported ({error}); install navbench[ray], or compute by --workers."
        ) from error
    return RayCrew(store, staff)


@contextmanager
def discoverer(staff: Staff, out: Path, compute: Compute) -> Iterator[Executor]:
    """Computes what discovery asks for; workers keep their results in a hidden folder of `out` until all is done.

    Raises:
        NavbenchError: another driver's workers do so now.
    """
    if staff.alone:
        yield Unstored()
        return
    folder = Folder(out / ".pieces")
    lease = Lease(folder)
    with lease.held():
        with executor_of(staff, Store(Leased(folder, lease)), compute) as executor:
            yield executor
        for name in [*folder.names()]:
            if name != LEASE:
                folder.delete(name)
    folder.remove(LEASE)
