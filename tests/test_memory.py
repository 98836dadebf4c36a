"""Batches are sized by the bytes of one image, and what there is no memory for is refused, not killed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

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
    assert sizes[4:] == [1, 10, 1]  # as caches know chunks by their size, it stays


def test_a_work_of_the_same_name_whose_images_take_more_is_sized_anew(watched):
    def work_on(layer):
        def work(chunk):
            sizes.append(len(chunk))
            return float(zeros(layer * len(chunk))[0])

        return work

    sizes = []
    for layer in (2, 7, 2):
        list(watched.over(range(8), work_on(layer)))
    assert sizes == [1, 7, 1, 3, 3, 1, 1, 3, 3, 1]  # the last at the size of the largest images, too


def test_a_work_that_makes_no_tensor_is_of_whole_batches(watched):
    sizes = [list(watched.over(range(40), len)) for _ in range(2)]
    assert sizes == [[1, 32, 7]] * 2


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


def unlimited(monkeypatch, available):
    """Of a machine with so much memory: no limit of this process, and no control group."""
    monkeypatch.setattr(memory, "_of_process", list)
    monkeypatch.setattr(memory, "_OWN_GROUP", Path("nowhere"))
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=available))


CPU = torch.device("cpu")


def test_processes_share_what_the_machine_has_and_not_what_each_of_them_is_limited_to(monkeypatch):
    unlimited(monkeypatch, 8000)
    assert memory.room(CPU, 4) == pytest.approx(0.6 * 2000)
    monkeypatch.setattr(memory, "_of_process", lambda: [1500])
    assert memory.room(CPU, 4) == pytest.approx(0.6 * 1500)
    assert memory.free(CPU) == 1500


@pytest.mark.parametrize(
    ("groups", "own", "expected"),
    [
        ({}, "0::/", 8000),
        ({"": ("max", 700, 0)}, "0::/", 8000),
        ({"": (5000, 700, 0)}, "0::/", 4300),
        ({"": (5000, 4900, 4000)}, "0::/", 4100),  # files that were read fill the group, and are given back
        ({"job/step": (3000, 500, 0), "job": (2000, 900, 0)}, "4:memory:/else\n0::/job/step/task", 1100),
        ({"job": (3000, 3500, 0)}, "0::/job", 0),
        ({"other": (100, 0, 0)}, "0::/job", 8000),
    ],
)
def test_limits_of_the_control_groups_of_this_process_count(tmp_path, monkeypatch, groups, own, expected):
    unlimited(monkeypatch, 8000)
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_GROUP", tmp_path / "own")
    (tmp_path / "own").write_text(own, encoding="utf-8")
    for name, (most, now, files) in groups.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "memory.max").write_text(f"{most}\n", encoding="utf-8")
        (tmp_path / name / "memory.current").write_text(f"{now}\n", encoding="utf-8")
        stat = f"anon 5\ninactive_file {files // 4}\nactive_file {files - files // 4}\n"
        (tmp_path / name / "memory.stat").write_text(stat, encoding="utf-8")
    assert memory.free(CPU) == expected


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


HOLES = """
import sys
from dataclasses import dataclass

import psutil
import torch

from navbench.runner.maker import Maker
from navbench.runner.store import Store
from navbench.work import pure

small = []

def resident():
    return psutil.Process().memory_info().rss / 2**20

@dataclass(frozen=True)
class Sizes:
    values: torch.Tensor

@pure()
def leaves_holes(name: str) -> Sizes:
    torch.zeros(16 * 2**20 // 4)  # malloc maps what is larger than the largest that was freed; the rest is in its heap
    begun = resident()
    pieces = [torch.zeros((2**20 if index % 64 else 2**10) // 4) for index in range(512)]
    small.extend(pieces[::64])
    full = resident()
    del pieces
    return Sizes(torch.tensor([begun, full, resident()]))

(made,) = Maker(Store(sys.argv[1])).make([leaves_holes.piece("holes")])
print(*made.values.tolist(), resident())
"""


@pytest.mark.skipif(memory._trim is None, reason="only glibc keeps such holes, and has malloc_trim to give them back")
def test_a_piece_gives_back_the_holes_between_tensors_that_stay(tmp_path):
    command = [sys.executable, "-c", HOLES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    begun, full, holes, after = map(float, done.stdout.split())
    assert full - begun > 400
    assert holes - begun > 200  # or the example shows nothing
    assert after - begun < 50
