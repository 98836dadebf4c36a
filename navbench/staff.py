"""Who is to compute, as data: what `--device`, `--workers` and `--ray` say."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from navbench.errors import NavbenchError


@dataclass(frozen=True)
class Staff:
    """Who is to compute.

    Attributes:
        devices: of the workers in turn; the driver uses the first.
        workers: how many compute; `None` for one per device, and for the driver alone if there is one device; with
            Ray, for one per GPU of the cluster, or per core.
        ray: the address of a Ray cluster, 'local' for one that is started here, 'auto' for the one of this machine;
            `None` for processes of this machine.
    """

    devices: tuple[str, ...] = ("cpu",)
    workers: int | None = None
    ray: str | None = None

    @property
    def alone(self) -> bool:
        """Whether the driver computes, without workers."""
        return self.ray is None and not self.count

    @property
    def count(self) -> int:
        """How many processes compute; 0 for the driver alone."""
        if self.workers is None:
            return len(self.devices) if len(self.devices) > 1 else 0
        return self.workers

    @property
    def sharing(self) -> int:
        """How many processes share the memory of one device, the driver aside."""
        return max(1, self.count // len(self.devices))

    def check(self) -> None:
        """Refuse more workers than this machine has cores for, devices shared unevenly, and what is no Ray cluster."""
        if self.workers is not None and self.workers < 1:
            raise NavbenchError(f"--workers {self.workers} computes nothing; name at least 1.")
        if self.ray is not None and not re.fullmatch(r"local|auto|(ray://)?[^\s/]+:\d+", self.ray):
            raise NavbenchError(
                f"--ray {self.ray!r} is no address of a cluster; use 'auto', 'HOST:6379' or 'ray://HOST:10001', or "
                "--ray as the last word to start one on this machine."
            )
        if self.ray is not None and self.devices not in (("cpu",), ("cuda",)):
            raise NavbenchError("Ray chooses the GPUs of its workers; say --device cuda, and how many by --workers.")
        if self.ray in (None, "local") and self.devices[0] == "cpu" and self.count > cores():
            raise NavbenchError(
                f"--workers {self.count} is more than this machine has cores, {cores()}; each worker needs one."
            )
        if self.count % len(self.devices):
            raise NavbenchError(
                f"--workers {self.count} cannot be shared evenly by {len(self.devices)} devices; take a multiple."
            )

    def device_of(self, worker: int) -> str:
        """The device of worker number `worker`, from 0."""
        return self.devices[worker % len(self.devices)]


def staff(device: str, workers: int | None = None, ray: str | None = None) -> Staff:
    """Who is to compute, from devices with commas between them, such as 'cuda:0,cuda:1'."""
    made = Staff(tuple(part.strip() for part in device.split(",")), workers, ray)
    made.check()
    return made


def cores() -> int:
    """How many cores this process may use: of the machine, of its affinity, and of its control group's quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("utf-8").split()
        return max(1, min(available, int(quota) // int(period)))
    except (OSError, ValueError):  # another system, or no quota
        return available


def threads_each(workers: int) -> int:
    """The threads of each worker: together never more than the cores, and each no more than OMP_NUM_THREADS allows."""
    return allowed_threads(max(1, cores() // workers))


def allowed_threads(share: int) -> int:
    """So many threads, or as many as OMP_NUM_THREADS allows."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(allowed)) if allowed.isdigit() and int(allowed) > 0 else share
