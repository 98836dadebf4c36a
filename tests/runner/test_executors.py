"""Runs give the same tables whoever computes, and lose nothing when workers or drivers die."""

import io
import os
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import toy
from mischief import born, descendants, wait_until_ended
from pieces import breaks, dies, refuses, summed, waited, warns, where
from rich.console import Console

from navbench.compute import Compute
from navbench.directions import load_set
from navbench.discovery.settings import DiscoverySettings
from navbench.errors import Failure, NavbenchError, NavbenchWarning
from navbench.generators import zoo
from navbench.library import Library, open_set
from navbench.places import Folder
from navbench.runner import worker
from navbench.runner.discover import discover
from navbench.runner.executor import LIVES, Workers
from navbench.runner.executors import discoverer, executor_of
from navbench.runner.lease import LEASE, Lease
from navbench.runner.processes import Processes
from navbench.runner.run import Run
from navbench.runner.store import Store
from navbench.spaces import ParameterSpace
from navbench.staff import Staff, cores, staff, threads_each

HERE = Path(__file__).parent
TWO = Staff(workers=2)


@pytest.fixture(scope="module", autouse=True)
def as_many_threads_as_a_worker():
    """This process computes as workers do: numbers of other threads differ by rounding."""
    threads = torch.get_num_threads()
    torch.set_num_threads(threads_each(2))
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Two processes, which the tests of a module share, and their store."""
    with executor_of(TWO, Store(tmp_path_factory.mktemp("store")), Compute()) as executor:
        yield executor


@contextmanager
def alone(folder):
    """Two processes for one test, which may harm them."""
    with executor_of(TWO, Store(folder), Compute()) as executor:
        yield executor


def judged_run(folder, sets, computing, **values):
    """The toy suite with a scorer and a latent space, computed by somebody."""
    chosen = toy.judged(**values)
    compute = Compute("cpu", chosen.precision, chosen.batch)
    run = Run(Path(folder), chosen, compute, Library([Path(sets)]), Console(file=io.StringIO()), computing)
    run.execute()
    return run


@pytest.fixture(scope="module")
def alone_run(tmp_path_factory, judged_sets):
    """What this process computes without workers."""
    return judged_run(tmp_path_factory.mktemp("runs") / "alone", judged_sets, Staff())


# --- pieces ------------------------------------------------------------------------------------------------------


def test_pieces_are_computed_by_other_processes_at_the_same_time_with_their_share_of_the_threads(pool):
    results = pool.results([where.piece(f"{index}") for index in range(6)])
    processes = {int(result.value[0]) for result in results}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert {int(result.value[1]) for result in results} == {threads_each(2)}


def test_processes_of_a_device_share_its_memory(tmp_path):
    crew = Processes(Store(Folder(tmp_path)), ["cuda:0", "cuda:1", "cuda:0", "cuda:1"], threads=1)
    assert [place.sharing for place in crew._places] == [2, 2, 2, 2]


def test_results_come_in_order_and_twice_from_the_store(pool):
    pieces = [summed.piece((waited.piece(f"in order {index}"),) * (index + 1)) for index in range(4)]
    made = pool.store.made
    for _ in range(2):
        assert [float(result.value) for result in pool.results(pieces)] == [1, 2, 3, 4]
    assert pool.store.made == made + 8


def test_progress_and_ticks_arrive(pool):
    ticks, told = [], []
    pieces = [waited.piece(f"told {index}", 0.1).but(note=f"{index}") for index in range(3)]
    pool.results(pieces, ticks.append, lambda *report: told.append(report))
    assert sorted(ticks) == ["0", "1", "2"]
    assert sorted(told) == [(1, 2, f"told {index}") for index in range(3)]


def test_few_groups_of_transient_parts_are_on_disk_at_any_time(pool):
    most, stop = [0], threading.Event()
    folder = Path(pool.store.place.address("waited"))
    before = len(list(folder.glob("*.safetensors"))) if folder.exists() else 0

    def watch():
        while not stop.wait(0.005):
            most.append(len(list(folder.glob("*.safetensors"))) - before)

    parts = [
        tuple(waited.piece(f"group {group} {part}", 0.02).but(transient=True) for part in range(3))
        for group in range(8)
    ]
    watcher = threading.Thread(target=watch)
    watcher.start()
    pool.results([summed.piece(group, 0.02) for group in parts])
    stop.set()
    watcher.join()
    assert 0 < max(most) <= 3 * (2 + 1)
    assert not [part for group in parts for part in group if pool.store.has(part)]


def test_functions_that_ask_side_by_side_share_the_workers(pool):
    begun = time.monotonic()

    def ask(name):
        for turn in range(3):  # each asks for one thing after the other
            pool.results([waited.piece(f"{name} {turn}", 0.3)])
        return name

    pool.results([waited.piece("warm")])
    assert pool.side_by_side([lambda name=name: ask(name) for name in ("one", "other")]) == ["one", "other"]
    together = time.monotonic() - begun
    begun = time.monotonic()
    ask("alone")
    assert together < 1.7 * (time.monotonic() - begun)


def test_workers_that_end_leave_what_another_driver_keeps_for_its_own(tmp_path):
    """Theirs may have lost its lease to that one."""
    with alone(tmp_path) as executor:
        executor.results([waited.piece("done")])
        executor.store.keep("things/ab", b"another's")
    assert executor.store.kept("things/ab") == b"another's"


def test_warnings_of_workers_are_told_to_the_user(pool):
    with pytest.warns(NavbenchWarning, match="the batch was halved"):
        pool.results([warns.piece("the batch")])


# --- what goes wrong ----------------------------------------------------------------------------------------------


def test_an_error_of_a_function_is_raised_as_it_is(tmp_path):
    with alone(tmp_path) as executor:
        with pytest.raises(NavbenchError, match=r"^the layer is refused\.$"):
            executor.results([refuses.piece("the layer")])
        with pytest.raises(NavbenchError, match="the layer is refused"):  # and the executor is of no more use
            executor.results([waited.piece("after an error")])


def test_a_defect_tells_where_it_is(tmp_path):
    with alone(tmp_path) as executor, pytest.raises(ZeroDivisionError) as caught:
        executor.results([breaks.piece("here")])
    assert "raise ZeroDivisionError(name)" in "".join(caught.value.__notes__)


def test_the_first_error_ends_all_that_goes_on_side_by_side(tmp_path):
    with alone(tmp_path) as executor:
        begun = time.monotonic()
        works = [
            lambda: executor.results([waited.piece("long", 60.0)]),
            lambda: executor.results([refuses.piece("one of many")]),
        ]
        with pytest.raises(NavbenchError, match="one of many is refused"):
            executor.side_by_side(works)
    assert time.monotonic() - begun < 50


def test_a_killed_worker_is_replaced_and_its_piece_made_by_another(tmp_path):
    with alone(tmp_path / "store") as executor:
        result, *_ = executor.results([dies.piece(str(tmp_path), 2), *(waited.piece(f"{i}", 0.05) for i in range(4))])
        assert float(result.value) == 2
        assert sum(account.retries for account in executor.accounts.values()) == 1
        assert sum(account.pieces for account in executor.accounts.values()) == 5


def test_a_piece_that_kills_every_worker_ends_the_run_with_a_sentence(tmp_path):
    with alone(tmp_path / "store") as executor, pytest.raises(Failure) as caught:
        executor.results([dies.piece(str(tmp_path), 99).but(note="cars/svd/w/0")])
    assert str(caught.value) == (
        f"dies of cars/svd/w/0 lost its worker {LIVES} times (it was killed by SIGKILL); if memory ran out, take fewer "
        "workers or a smaller --batch, then run the same again."
    )


def test_a_worker_of_another_version_is_refused(tmp_path, monkeypatch):
    other = {**worker.versions(), "torch": "0.0"}
    monkeypatch.setattr("navbench.runner.processes.versions", lambda: other)
    executor = Workers(Store(tmp_path), Processes(Store(tmp_path), ["cpu"], 1))
    with (
        executor,
        pytest.raises(NavbenchError, match=r"Worker 1 \(cpu\) has torch .*, the driver 0\.0; install the same"),
    ):
        executor.results([waited.piece("never")])


def test_a_part_that_was_damaged_is_made_again_by_the_worker_that_needs_it(tmp_path):
    with alone(tmp_path) as executor:
        part = waited.piece("part")
        executor.results([part])
        executor.store.place.write(executor.store.name(part), b"spoilt")
        with pytest.warns(NavbenchWarning, match="is damaged"):
            (result,) = executor.results([summed.piece((part, waited.piece("other part")))])
        assert float(result.value) == 2


def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(HERE)!r})
        from pathlib import Path
        from test_executors import alone, waited
        with alone(Path({str(tmp_path / "store")!r})) as executor:
            executor.results([waited.piece("never")])
        """)
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 1
    assert "call navbench below `if __name__" in ended.stderr


# --- whole runs ---------------------------------------------------------------------------------------------------


def test_a_run_by_processes_gives_the_same_tables_byte_for_byte(tmp_path, judged_sets, alone_run):
    run = judged_run(tmp_path, judged_sets, TWO)
    assert toy.table_bytes(tmp_path) == toy.table_bytes(alone_run.folder)
    accounts = run.manifest.facts["workers"]
    assert set(accounts) == {"1 (cpu)", "2 (cpu)"}
    assert all(account["batch"] == 16 and account["peak_memory_mib"] > 100 for account in accounts.values())
    assert not (tmp_path / "cache" / "things").exists()


def test_a_killed_driver_leaves_no_worker_and_its_run_goes_on_to_the_same_tables(tmp_path, judged_sets, alone_run):
    code = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(HERE)!r})
        import test_executors
        if __name__ == "__main__":
            test_executors.judged_run({str(tmp_path / "run")!r}, {str(judged_sets)!r}, test_executors.TWO)
        """)
    script = tmp_path / "driver.py"
    script.write_text(code)
    driver = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    cache = tmp_path / "run" / "cache"
    while not list(cache.rglob("*.safetensors")):
        time.sleep(0.05)
        assert driver.poll() is None, driver.stderr.read().decode()
    workers = {process: born(process) for process in descendants(driver.pid)}
    driver.kill()
    driver.wait()
    assert workers
    assert not wait_until_ended(workers, 20)
    judged_run(tmp_path / "run", judged_sets, TWO)
    assert toy.table_bytes(tmp_path / "run") == toy.table_bytes(alone_run.folder)


def test_workers_see_directions_that_were_found_a_moment_ago(tmp_path, judged_sets):
    for name, computing in (("alone", Staff()), ("workers", TWO)):
        judged_run(tmp_path / name, judged_sets, computing, rediscover=True)
    assert toy.table_bytes(tmp_path / "alone") == toy.table_bytes(tmp_path / "workers")


def test_discovery_by_workers_finds_the_same_sets(tmp_path):
    compute = Compute()
    generator = zoo.create("toy:make", compute)
    settings = DiscoverySettings(directions=2, effect_codes=2, effect=0.01).model_copy(deep=True)
    spectrum = settings.spectrum.model_copy(update={"vectors": 3, "products": 8, "codes": 4})
    hybrid = settings.hybrid.model_copy(update={"steps": 2, "batch": 4, "evaluation": 8, "recognition_codes": 4})
    settings = settings.model_copy(update={"spectrum": spectrum, "hybrid": hybrid, "optimization": hybrid})
    space = ParameterSpace(generator, generator.layer("up"))
    places = [(space, ("hybrid", "optimization", "random", "spectrum", "svd"))]
    paths = {}
    for name, computing in (("alone", Staff()), ("workers", TWO)):
        with executor_of(computing, Store(tmp_path / "cache" / name), compute) as executor:
            sets = discover(generator, places, settings, compute, 3, tmp_path / name, executor=executor)
            paths[name] = [each.path for each in sets]
    assert [path.parent.name for path in paths["alone"]] == [path.parent.name for path in paths["workers"]]
    assert len(paths["alone"]) == 5
    for one, other in zip(paths["alone"], paths["workers"], strict=True):
        first, second = (load_set(open_set(path), generator) for path in (one, other))
        assert first.cache_key == second.cache_key


def test_two_discoveries_with_workers_do_not_share_a_folder(tmp_path):
    pieces = tmp_path / ".pieces"
    with Lease(Folder(pieces)).held():
        with pytest.raises(NavbenchError, match="is in use by process"), discoverer(TWO, tmp_path, Compute()):
            pass
        assert Folder(pieces).exists(LEASE)
    with discoverer(TWO, tmp_path, Compute()):
        pass
    assert not pieces.exists()


def test_a_discovery_that_begins_when_another_ends_keeps_its_pieces(tmp_path, monkeypatch):
    folder, release = Folder(tmp_path / ".pieces"), Lease._release

    def release_and_lose(lease):
        release(lease)
        folder.write("cache/first.safetensors", b"of the second")

    monkeypatch.setattr(Lease, "_release", release_and_lose)
    with discoverer(TWO, tmp_path, Compute()):
        pass
    assert folder.read("cache/first.safetensors") == b"of the second"


def test_a_resumed_run_tells_what_all_its_workers_did(tmp_path, judged_sets):
    first = judged_run(tmp_path, judged_sets, Staff()).manifest.facts["workers"]["driver"]
    again = judged_run(tmp_path, judged_sets, Staff(), strips={"codes": 3}).manifest.facts["workers"]["driver"]
    assert again["pieces"] > first["pieces"]
    assert again["seconds"] >= first["seconds"]
    assert again["batch"] == 16


# --- who computes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "count", "devices"),
    [
        (("cpu",), 0, ["cpu"]),
        (("cpu", 1), 1, ["cpu"]),
        (("cuda:0,cuda:1",), 2, ["cuda:0", "cuda:1"]),
        (("cuda:0, cuda:1", 4), 4, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        (("cuda",), 0, ["cuda"]),
    ],
)
def test_devices_and_workers_say_who_computes(words, count, devices):
    who = staff(*words)
    assert who.count == count
    assert [who.device_of(number) for number in range(len(devices))] == devices


def test_a_device_that_does_not_exist_is_refused_before_anything_is_written(tmp_path, judged_sets):
    with pytest.raises(NavbenchError, match="Device 'cuda' was asked for"):
        judged_run(tmp_path / "run", judged_sets, staff("cpu,cuda"))
    assert not (tmp_path / "run").exists()


def test_threads_times_workers_never_exceed_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert all(threads_each(count) * count <= cores() for count in range(1, cores() + 1))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads_each(1) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("cpu", cores() + 1), r"more than this machine has cores"),
        (("cuda:0,cuda:1", 3), r"cannot be shared evenly by 2 devices; take a multiple"),
        (("cpu", 0), r"computes nothing"),
    ],
)
def test_too_many_or_too_few_workers_are_refused(words, sentence):
    with pytest.raises(NavbenchError, match=sentence):
        staff(*words)
