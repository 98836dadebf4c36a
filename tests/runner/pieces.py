"""Pieces for executors, and no more, so that a process that makes them starts quickly."""

import os
import signal
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from navbench.errors import NavbenchError, NavbenchWarning
from navbench.progress import Report, silent
from navbench.work import Stored, pure


@dataclass(frozen=True)
class Number:
    value: Tensor


@pure()
def waited(name: str, seconds: float = 0.0, report: Report = silent) -> Number:
    """One, after a while; a long piece tells how far it is."""
    report(1, 2, name)
    time.sleep(seconds)
    return Number(torch.ones(1))


@pure()
def where(name: str) -> Number:
    """The process that computes, and its threads."""
    time.sleep(0.2)
    return Number(torch.tensor([os.getpid(), torch.get_num_threads()]))


@pure()
def dies(marker: str, times: int) -> Number:
    """One; but the process is killed the first few times."""
    tries = sorted(Path(marker).glob("try-*"))
    if len(tries) < times:
        (Path(marker) / f"try-{len(tries)}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Number(torch.tensor([float(len(tries))]))


@pure()
def refuses(name: str) -> Number:
    """Nothing."""
    raise NavbenchError(f"{name} is refused.")


@pure()
def breaks(name: str) -> Number:
    """Nothing."""
    raise ZeroDivisionError(name)


@pure()
def warns(name: str) -> Number:
    """One, with a warning."""
    warnings.warn(f"{name} was halved.", NavbenchWarning, stacklevel=1)
    return Number(torch.ones(1))


@pure()
def summed(parts: tuple[Stored[Number], ...], seconds: float = 0.0) -> Number:
    """The sum of its parts."""
    time.sleep(seconds)
    return Number(sum(part.load().value for part in parts))
