"""From who is to compute to the executor that has it computed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from navbench.compute import Compute
from navbench.runner.executor import InProcess, StoreExecutor, Workers
from navbench.runner.processes import Processes
from navbench.runner.store import Store
from navbench.staff import Staff, threads_each
from navbench.work import Executor, Unstored


def executor_of(staff: Staff, store: Store, compute: Compute) -> StoreExecutor:
    """Computes in this process, or by workers; to be used as a context."""
    if not staff.count:
        return InProcess(store, compute)
    devices = [staff.device_of(number) for number in range(staff.count)]
    return Workers(store, Processes(store, devices, threads_each(staff.count)))


@contextmanager
def discoverer(staff: Staff, out: Path, compute: Compute) -> Iterator[Executor]:
    """Computes what discovery asks for; workers keep their results in a hidden folder of `out` until all is done."""
    if not staff.count:
        yield Unstored()
        return
    folder = out / ".pieces"
    with executor_of(staff, Store(folder), compute) as executor:
        yield executor
    shutil.rmtree(folder, ignore_errors=True)
