"""What the benchmarks share: the real generator, and the peak memory of a call beside its time."""

import gc
import time

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


@pytest.fixture
def faster(benchmark):
    """How many times the CPU time of one way is that of another, by the least of alternating rounds.

    CPU time, as a busy machine changes it least. The report's extra info holds the ratio.
    """

    def ratio(old, new, rounds=5, **facts):
        seconds = {old: [], new: []}
        for _ in range(rounds):
            for way in (old, new):
                begun = time.process_time()
                way()
                seconds[way].append(time.process_time() - begun)
        benchmark.pedantic(new, rounds=1)
        old_over_new = min(seconds[old]) / min(seconds[new])
        benchmark.extra_info.update(ratio=round(old_over_new, 2), **facts)
        print(f"\n{benchmark.name}: {old_over_new:.2f}")
        return old_over_new

    return ratio
