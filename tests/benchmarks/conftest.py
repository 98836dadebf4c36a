"""What the benchmarks share: the real generator, and the peak memory of a call beside its time."""

import gc

import pytest

from navbench.compute import Compute, peak_memory, reset_peak_memory
from navbench.generators import zoo


@pytest.fixture(scope="session")
def faces():
    return zoo.create("faces", Compute())


@pytest.fixture
def measured(benchmark):
    """Time a function a few times, and record the peak memory (MiB above the start) of one more call."""

    def run(function, rounds=3, **facts):
        result = benchmark.pedantic(function, rounds=rounds, warmup_rounds=1)
        gc.collect()
        compute = Compute()
        reset_peak_memory(compute.device)
        before = peak_memory(compute.device)
        function()
        benchmark.extra_info["peak_mib"] = round(peak_memory(compute.device) - before)
        benchmark.extra_info.update(facts)
        return result

    return run
