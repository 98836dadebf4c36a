"""What two processes of one thread make of two cores, beside one process of one thread.

Efficiency is the time of one process over twice that of two, so 1 is all that two cores can give.
"""

import io
import os
import time

import pytest
import torch
from rich.console import Console

from navbench import suite
from navbench.compute import Compute
from navbench.library import library
from navbench.runner.run import Run
from navbench.staff import Staff, cores

CARS = {
    "name": "cars",
    "layers": ["convs.1", "convs.5"],
    "methods": ["svd", "spectrum"],
    "reference": "renderings",
    "scorer": "cars",
}
KINDS = {
    "curves": {"directions": 2, "shifts": 5, "samples": 64, "shard": 32, "effect_samples": 16},
    "reproduction": {"directions": 2, "codes": 16, "held_out": 16, "steps": 6},
    "attributes": {"samples": 256, "shifts": 5},
}


@pytest.fixture
def one_thread(monkeypatch):
    """The driver, and every worker, has one thread."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(cores() < 2, reason="two workers need two cores")
@pytest.mark.parametrize("kind", KINDS)
def test_two_workers(benchmark, tmp_path, capsys, one_thread, kind):
    """The stage of the experiment, in which the first seconds may pass while processes start."""

    def seconds(staff):
        folder = tmp_path / f"{staff.count}"
        chosen = suite.read("smoke").with_values(
            generators=[CARS], experiments=[kind], screening={"samples": 2}, **{kind: KINDS[kind]}
        )
        run = Run(folder, chosen, Compute("cpu", "float32", 32), library(None), Console(file=io.StringIO()), staff)
        begun = time.monotonic()
        run.execute()
        accounts = run.executor.accounts.values()
        busy = sum(account.seconds for account in accounts)
        stages = {each["stage"]: each["seconds"] for each in run.manifest.stages}
        return {"whole": time.monotonic() - begun, "stage": stages[f"cars: {kind}"], "busy": busy}

    alone = seconds(Staff())
    together = benchmark.pedantic(seconds, args=(Staff(workers=2),), rounds=1)
    efficiency = alone["stage"] / (2 * together["stage"])
    benchmark.extra_info |= {"efficiency": round(efficiency, 3), "alone": alone, "together": together}
    with capsys.disabled():
        print(
            f"\n{kind}: {alone['stage']:.1f} s by one process, {together['stage']:.1f} s by two, efficiency "
            f"{efficiency:.2f}; work {alone['busy']:.1f} s against {together['busy']:.1f} s; "
            f"load {os.getloadavg()[0]:.1f}"
        )
