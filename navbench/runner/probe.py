"""The probe: a few seconds of each pass that a plan names, timed on this machine, with its arithmetic counted."""

import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch.utils.flop_counter import FlopCounterMode

from navbench.compute import Compute, peak_memory, reset_peak_memory
from navbench.costs import Pass, Trial
from navbench.files import write_atomically
from navbench.fingerprints import fingerprint_of

PATIENCE = 0.1
"""Seconds that a pass is tried for, and at least twice unless one trial takes ten times as long."""
_BYTES = 2**23


@dataclass(frozen=True)
class Price:
    """Of one unit of a pass: seconds, and floating point operations of convolutions and matrix products."""

    seconds: float
    flops: float


@dataclass(frozen=True)
class Probed:
    """What the probe found.

    Attributes:
        prices: of each pass.
        memory: the peak of the process, or of the CUDA device, in bytes; `None` on a system that does not report it.
    """

    prices: Mapping[Pass, Price]
    memory: float | None


def storing() -> Pass:
    """A byte of a result: hashed and written."""

    def trial() -> Trial:
        tensors = {"content": torch.zeros(_BYTES, dtype=torch.uint8)}

        def once() -> float:
            fingerprint_of(tensors)
            with tempfile.TemporaryDirectory() as place:
                write_atomically(Path(place) / "piece", save(tensors))
            return _BYTES

        return once

    return Pass("store", (), trial)


def probe(passes: Iterable[Pass], compute: Compute, threads: int) -> Probed:
    """Try every pass, by so many threads of the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    reset_peak_memory(compute.device)
    try:
        prices = {each: _price(each.trial(), compute) for each in passes}
    finally:
        torch.set_num_threads(before)
    memory = peak_memory(compute.device)
    return Probed(prices, None if memory is None else memory * 2**20)


def _price(trial: Trial, compute: Compute) -> Price:
    """The fastest of some trials, for whatever else the machine does slows them down; the first is for the counting."""
    with FlopCounterMode(display=False) as counter:
        first, amount = _timed(trial, compute)
    flops, tries = counter.get_total_flops() / amount, [first]
    while len(tries) < 3 or sum(tries[1:]) < PATIENCE:
        if first > 10 * PATIENCE:
            break
        tries.append(_timed(trial, compute)[0])
    return Price(min(tries) / amount, flops)


def seconds_of(passed: Pass, compute: Compute) -> float:
    """Of one unit of a pass, by a first trial and, unless that took long, a second one: quick and rough."""
    trial = passed.trial()
    first, amount = _timed(trial, compute)
    seconds = first if first > PATIENCE else min(first, _timed(trial, compute)[0])
    return seconds / amount


def _timed(trial: Trial, compute: Compute) -> tuple[float, float]:
    begun = time.perf_counter()
    amount = trial()
    if compute.device.type == "cuda":
        torch.cuda.synchronize(compute.device)
    if compute.device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - begun, amount
