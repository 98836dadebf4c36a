"""The memory that there is, and how many images at a time it is for."""

from __future__ import annotations

import ctypes
import sys
import weakref
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

SHARE = 0.6
"""Of the memory that is free, what batches are sized for; the rest is for what is kept of them, and for others."""
SCRATCH = 2.0
"""Bytes that a forward pass takes, as a multiple of its tensors: convolutions have buffers of their own."""
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # musl has none
_GROUPS, _OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


class Allocations(TorchDispatchMode):
    """Counts the bytes of the tensors that are made within it, on any device; those of views are their base's.

    Attributes:
        alive: of those that are still there.
        peak: the most at any moment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Run an operation and count what it made."""
        result = func(*args, **(kwargs or {}))
        known = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and id(leaf.untyped_storage()) not in known:
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        self._seen.add(storage)
        size = storage.nbytes()
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.alive -= size


def room(device: torch.device, sharing: int = 1) -> float:
    """Bytes that the batches of one of so many processes are sized for; a limit is of each process."""
    if device.type == "cuda":
        return SHARE * free(device) / sharing
    return SHARE * min([_of_machine() / sharing, *_of_process()])


def free(device: torch.device) -> int:
    """Bytes that may be taken on a device: of the machine, its control groups and this process, or of the GPU."""
    if device.type == "cuda":
        unused, _ = torch.cuda.mem_get_info(device)
        return unused + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min([_of_machine(), *_of_process()])


def _of_machine() -> int:
    """What all processes together may still take."""
    return min([psutil.virtual_memory().available, *_of_groups()])


def _of_groups() -> list[int]:
    """What the control groups leave that this process is in, those of them with a limit (Linux, version 2)."""
    try:
        lines = _OWN_GROUP.read_text("utf-8").splitlines()
    except OSError:  # another system
        return []
    own = [_GROUPS / line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")]
    groups = [group for leaf in own for group in (leaf, *leaf.parents) if group.is_relative_to(_GROUPS)]
    return [left for group in groups for left in _of_group(group)]


def _of_group(group: Path) -> list[int]:
    """What a control group leaves; the cache of files, which counts as its memory, is given back when it is needed."""
    try:
        most, now = (int((group / name).read_text("utf-8")) for name in ("memory.max", "memory.current"))
        entries = dict(line.split() for line in (group / "memory.stat").read_text("utf-8").splitlines())
        cache = int(entries["inactive_file"]) + int(entries["active_file"])
    except (OSError, ValueError, KeyError):  # it has no such files, or its limit is 'max'
        return []
    return [max(0, most - now + cache)]


def _of_process() -> list[int]:
    """What the limit of this process leaves, if it has one (Linux)."""
    if resource is None or sys.platform != "linux":
        return []
    most, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return [] if most == resource.RLIM_INFINITY else [max(0, most - psutil.Process().memory_info().data)]


def bound(sharing: int = 1) -> None:
    """Have this process refused more memory than there is, rather than killed for it (Linux); it can be called again.

    What is refused ends a batch, which is then tried as halves (`Compute.over`), or the command, by one sentence. Swap
    counts as memory, but not in a control group with a limit, which may be allowed none.
    """
    if resource is None or sys.platform != "linux":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    swap = 0 if _of_groups() else psutil.swap_memory().free
    taken, left = psutil.Process().memory_info().data, free(torch.device("cpu")) + swap
    limit = int(taken + left / sharing)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def give_back() -> None:
    """Have malloc return what it holds unused to the system (glibc).

    Where tensors of many sizes come and go between small things that stay, it holds gigabytes, as holes in its heap.
    """
    if _trim is not None:
        _trim(0)
