"""What a worker does: it opens parcels, makes the pieces in them, and keeps the results in the store."""

import hashlib
import os
import pickle
import time
import traceback
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cloudpickle
import torch

import navbench
from navbench.compute import peak_memory
from navbench.errors import Failure, NavbenchError, NavbenchWarning
from navbench.progress import Report
from navbench.runner.crew import Done
from navbench.runner.maker import Maker
from navbench.runner.parcels import Unpacker
from navbench.runner.store import Store
from navbench.user_code import no_exit
from navbench.work import VERSIONS


@dataclass(frozen=True)
class Place:
    """Where a worker computes, and for whom.

    Attributes:
        name: of the worker, such as '1 (cuda:0)'.
        device: 'cpu', 'cuda', 'cuda:N' or 'mps'.
        threads: of torch.
        versions: of the driver; see `versions`.
        sharing: how many workers share the memory of its device, or of its machine.
    """

    name: str
    device: str
    threads: int
    versions: dict[str, str]
    sharing: int = 1


@cache
def versions() -> dict[str, str]:
    """Of all packages whose arithmetic results depend on, and the hash of navbench's own code."""
    root, digest = Path(navbench.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return {**VERSIONS, "navbench's code": digest.hexdigest()[:12]}


class Worker:
    """One worker, wherever it runs.

    Raises:
        NavbenchError: it has other versions than the driver.
    """

    def __init__(self, store: Store, place: Place) -> None:
        if different := [name for name, value in place.versions.items() if versions().get(name) != value]:
            name = different[0]
            raise NavbenchError(
                f"Worker {place.name} has {name} {versions().get(name)}, the driver {place.versions[name]}; install "
                "the same versions for all."
            )
        torch.set_num_threads(place.threads)
        self.place, self._maker, self._unpacker = place, Maker(store), Unpacker(store, place.device, place.sharing)

    def make(self, parcel: bytes, report: Report) -> Done:
        """Make the piece in a parcel; what its function raises is part of the answer."""
        begun, error = time.monotonic(), None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", NavbenchWarning)
            try:
                with no_exit("Something that a worker calls"):
                    self._maker.make(self._unpacker.unpack(parcel), report)
            except Exception as raised:
                error = _portable(raised, self.place.name)
        sentences = tuple(str(each.message) for each in caught if issubclass(each.category, NavbenchWarning))
        batches = [compute.batch for compute in self._unpacker.computes.values()]
        memory = peak_memory(torch.device(self.place.device))
        return Done(
            self.place.name,
            time.monotonic() - begun,
            None if memory is None else round(memory),
            min(batches, default=None),
            sentences,
            error,
        )


def _portable(error: Exception, worker: str) -> Exception:
    """An error that can be sent, with where it was raised in the worker."""
    if not isinstance(error, NavbenchError):
        error.add_note(f"In worker {worker}:\n{''.join(traceback.format_exception(error))}")
    try:
        return pickle.loads(cloudpickle.dumps(error))
    except Exception:  # of many kinds: exceptions whose arguments cannot be sent, or do not build them anew
        return Failure(f"{type(error).__name__} in worker {worker}: {error} (pid {os.getpid()}).")
