"""A Ray cluster: joined or started, and how many workers of which size it has room for."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import ray
from ray._private import ray_constants

from navbench.errors import NavbenchError
from navbench.staff import cores

OBJECT_STORE_BYTES = 80 << 20
"""Of the cluster that is started here; about the least that Ray takes, as only parcels pass through it."""
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


@dataclass(frozen=True)
class Node:
    """What a node has for workers."""

    cores: int
    gpus: int

    def room(self, threads: int, gpu: bool) -> int:
        """How many workers of so many threads fit, each with a GPU of its own if it needs one."""
        return min(self.cores // threads, self.gpus) if gpu else self.cores // threads


def size_of(nodes: Sequence[Node], workers: int | None, gpu: bool) -> int:
    """How many workers a cluster gets: as many as are asked for, or one per GPU, or one per core.

    Raises:
        NavbenchError: none are asked for by number, and the cluster has room for none.
    """
    size = workers or sum(node.room(1, gpu) for node in nodes)
    if not size:
        raise NavbenchError(
            f"The Ray cluster has no {'GPU' if gpu else 'core'} for a worker; use another --device, or say by "
            "--workers for how many it will grow."
        )
    return size


def share_of(nodes: Sequence[Node], size: int, gpu: bool) -> int:
    """The threads of each worker: the most with which all of them have room at the same time, and at least 1."""
    most = max((node.cores for node in nodes), default=1)
    fitting = (share for share in range(most, 0, -1) if sum(node.room(share, gpu) for node in nodes) >= size)
    return next(fitting, 1)


def most_on_a_node(nodes: Sequence[Node], size: int, threads: int) -> int:
    """How many of so many workers without GPUs share the memory of a node, at most, as Ray spreads them evenly."""
    rooms = [node.room(threads, gpu=False) for node in nodes]
    fitting = (most for most in range(1, size + 1) if sum(min(most, room) for room in rooms) >= size)
    return next(fitting, size)


def connect(address: str) -> bool:
    """Join a cluster, or start one on this machine; `False` if this process has joined one before, which it keeps."""
    if ray.is_initialized():
        return False
    # What Ray tells of dead processes has no option; it would fill the screen with what is mended here.
    with patch.object(ray._private.worker, "listen_error_messages", lambda *_: None):
        if address == "local":
            _start()
        else:
            _join(address)
    return True


def _start() -> None:
    """Start a cluster that listens on the loopback device alone, at normal niceness, and reports to nobody.

    Ray has no option for the first: it is what it does on systems on which it supports no clusters.
    """
    wanted = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    with patch.dict(os.environ, wanted), patch.object(ray_constants, "ENABLE_RAY_CLUSTER", False):
        ray.init("local", num_cpus=cores(), object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False, **_QUIET)


def _join(address: str) -> None:
    try:
        ray.init(address, **_QUIET)
    except (ImportError, OSError, RuntimeError, ValueError, AssertionError) as error:
        raise NavbenchError(
            f"No Ray cluster can be joined at {address!r} ({last_line(error)}); start one by `ray start --head`, set "
            "RAY_AUTH_MODE=token if it asks for a token, or leave out the address to compute on this machine."
        ) from error


def nodes() -> list[Node]:
    """The nodes of the cluster that are alive."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in resources]


def last_line(error: BaseException) -> str:
    """What an error of Ray's, which may fill a page, comes to."""
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
