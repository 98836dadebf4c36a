"""Batches are sized by the bytes of one image, and what there is no memory for is refused, not killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from navbench import memory
from navbench.compute import Compute
from navbench.staff import Staff

MIB = 2**20


def zeros(mib):
    return torch.zeros(mib * MIB // 4)


def test_allocations_count_what_is_alive_the_peak_and_all_but_views():
    outside = zeros(8)
    with memory.Allocations() as made:
        first = zeros(1)
        second = first + 1
        view = second.view(2, -1)[:1].expand(5, -1)
        del first
        third = second * 2
        outside += 1
        outside.mul_(2)
    assert made.peak == 2 * MIB
    assert made.total == 3 * MIB
    assert made.alive == 2 * MIB
    del second, third
    assert made.alive == MIB  # the view's
    del view
    assert made.alive == 0


def test_what_is_kept_for_a_derivative_counts():
    start = torch.zeros(MIB // 4, requires_grad=True)
    with memory.Allocations() as made:
        loss = (start.exp().exp().exp()).sum()
        loss.backward()
    assert made.peak >= 4 * MIB
    with memory.Allocations() as pushed:
        torch.func.linearize(lambda x: x.exp().exp().exp(), start.detach())
    assert pushed.peak >= 3 * MIB


@pytest.fixture
def watched(monkeypatch):
    """A compute that watches; there is room for 40 MiB."""
    monkeypatch.setattr(memory, "room", lambda device, sharing: 42 * MIB / sharing)
    compute = Compute(batch=32)
    compute.watch((8, 8))
    assert not compute.watched  # 32 images of 8x8 fit easily
    compute.watch((64, 64))
    assert compute.watched
    return compute


def test_the_first_image_of_a_work_says_how_many_fit(watched):
    def work(chunk):
        sizes.append(len(chunk))
        made = zeros(2 * len(chunk))
        return [float(index + made[0]) for index in chunk]

    sizes = []
    results = [value for part in watched.over(range(25), work) for value in part]
    assert results == list(range(25))
    assert sizes == [1, 10, 10, 4]  # 42 MiB for 2 MiB an image and as much that no tensor shows
    assert [value for part in watched.over(range(12), work) for value in part] == list(range(12))
    assert sizes[4:] == [10, 2]  # it is known by now


def test_no_more_than_a_batch_and_no_less_than_an_image_is_taken(watched):
    small, large = [], []
    list(watched.over(range(100), lambda chunk: small.append(len(chunk)) or torch.zeros(8 * len(chunk))))
    assert small == [1, 32, 32, 32, 3]

    def work(chunk):
        large.append(len(chunk))
        return float(zeros(30 * len(chunk))[0])

    list(watched.over(range(3), work))
    assert large == [1, 1, 1]


def test_other_precisions_and_devices_watch_as_well_and_share_as_many(watched):
    watched.sharing = 2
    for other in (watched.at("bf16"), watched.on("cpu")):
        assert (other.watched, other.sharing, other.batch) == (True, 2, 32)


@pytest.mark.parametrize(
    ("devices", "workers", "sharing"),
    [(("cpu",), None, 1), (("cpu",), 2, 2), (("cuda:0", "cuda:1"), None, 1), (("cuda:0", "cuda:1"), 4, 2)],
)
def test_workers_of_a_device_share_its_memory(devices, workers, sharing):
    assert Staff(devices, workers).sharing == sharing


HALVING = """
import json, sys, warnings
import torch
from navbench import memory
from navbench.compute import Compute

free = memory.free
memory.free = lambda device: 300 * 2**20
memory.psutil.swap_memory = lambda: type("Swap", (), {"free": 0})
memory.bound()
memory.bound()  # a later one replaces it
memory.free = free
left = free(torch.device("cpu")) / 2**20
sizes = []

def work(chunk):
    made = torch.zeros(40 * len(chunk) * 2**18)
    sizes.append(len(chunk))
    return float(made[-1])

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    list(Compute(batch=32).over(range(20), work))
print(json.dumps({"sizes": sizes, "said": [str(each.message) for each in said], "left": left}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux alone")
def test_what_there_is_no_memory_for_ends_a_batch_and_not_the_process():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-c", HALVING]
    done = subprocess.run(program, capture_output=True, text=True, check=True, env=environment)
    told = json.loads(done.stdout)
    assert told["sizes"] == [5, 5, 5, 5]  # of 40 MiB each, and no fewer later, as no freed memory is kept in pieces
    assert told["said"] == [f"Out of memory: going on with batches of {size}." for size in (10, 5)]
    assert 200 < told["left"] <= 300
