"""From who is to compute to the executor that has it computed."""

from navbench.compute import Compute
from navbench.runner.executor import InProcess, StoreExecutor, Workers
from navbench.runner.processes import Processes
from navbench.runner.store import Store
from navbench.staff import Staff, threads_each


def executor_of(staff: Staff, store: Store, compute: Compute) -> StoreExecutor:
    """Computes in this process, or by workers; to be used as a context."""
    if not staff.count:
        return InProcess(store, compute)
    devices = [staff.device_of(number) for number in range(staff.count)]
    return Workers(store, Processes(store, devices, threads_each(staff.count)))
