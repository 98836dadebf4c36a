"""Actors of a Ray cluster compute the same tables as this process, and a node that is lost takes nothing with it."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import toy
from click.testing import CliRunner
from mischief import born, descendants, wait_until_ended
from test_executors import judged_run

from navbench.cli import main
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.runner import worker
from navbench.runner.executor import Workers
from navbench.runner.parcels import Packer
from navbench.runner.store import Store
from navbench.staff import Staff, staff

ray = pytest.importorskip("ray", reason="Ray is not installed; pip install navbench[ray]")

from pieces import dies, refuses, waited, warns, where  # noqa: E402

from navbench.runner import ray_cluster, ray_crew  # noqa: E402
from navbench.runner.crew import Done, Lost, Progress  # noqa: E402
from navbench.runner.ray_cluster import Node, most_on_a_node, share_of, size_of  # noqa: E402
from navbench.runner.ray_crew import RayCrew  # noqa: E402

HERE = Path(__file__).parent
NODE = {"num_cpus": 4, "object_store_memory": ray_cluster.OBJECT_STORE_BYTES, "include_dashboard": False}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """One thread each: driver and workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cluster(one_thread):
    """Two nodes on this machine."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        both = Cluster(initialize_head=True, head_node_args=NODE)
        both.add_node(**NODE)
    ray_cluster.connect(both.address)
    yield both
    ray.shutdown()
    both.shutdown()


class Lent:
    """A crew that an executor does not end."""

    def __init__(self, crew):
        self.size, self.begin, self.events, self._crew = crew.size, crew.begin, crew.events, crew

    @property
    def idle(self):
        return self._crew.idle

    def start(self):
        pass

    def close(self):
        pass


@pytest.fixture(scope="module")
def crew(cluster, tmp_path_factory):
    """Two workers that the tests of this module share."""
    shared = RayCrew(Store(tmp_path_factory.mktemp("store")), Staff(workers=2, ray=cluster.address))
    shared.start()
    yield shared
    shared.close()


@pytest.fixture
def executor(crew):
    with Workers(crew.store, Lent(crew)) as lent:
        yield lent


@contextmanager
def one_worker(folder, cluster):
    crew = RayCrew(Store(folder), Staff(workers=1, ray=cluster.address))
    crew.start()
    try:
        yield crew
    finally:
        crew.close()


def events_until(crew, kind):
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        for event in crew.events(0.1):
            if isinstance(event, kind):
                return event
    pytest.fail(f"no {kind} for 100 s")


# --- pieces ------------------------------------------------------------------------------------------------------


def test_pieces_are_computed_on_both_nodes_at_one_thread(executor):
    results = executor.results([where.piece(f"{index}") for index in range(6)])
    assert len({int(result.value[0]) for result in results} - {os.getpid()}) == 2
    assert {int(result.value[1]) for result in results} == {1}
    actors = [member.actor for member in executor.crew._crew._members]
    nodes = ray.get([actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()) for actor in actors])
    assert len(set(nodes)) == 2


def test_progress_of_a_long_piece_arrives(executor):
    told, ticks = [], []
    executor.results([waited.piece("long", 1.0).but(note="n")], ticks.append, lambda *report: told.append(report))
    assert told == [(1, 2, "long")]
    assert ticks == ["n"]


def test_an_error_is_raised_as_it_is_and_a_warning_told(executor):
    with pytest.warns(NavbenchWarning, match=r"^the batch was halved\.$"):
        executor.results([warns.piece("the batch")])
    with pytest.raises(NavbenchError, match=r"^the layer is refused\.$"):
        executor.results([refuses.piece("the layer")])


def test_a_killed_actor_is_replaced_and_its_piece_made_by_another(executor, tmp_path):
    result, *_ = executor.results([dies.piece(str(tmp_path), 1), *(waited.piece(f"{i}", 0.05) for i in range(4))])
    assert float(result.value) == 1
    assert sum(account.retries for account in executor.accounts.values()) == 1
    assert sum(account.pieces for account in executor.accounts.values()) == 5


def test_an_actor_that_dies_while_it_waits_costs_no_piece_a_life(executor):
    process = int(executor.results([where.piece("who")])[0].value[0])
    os.kill(process, signal.SIGKILL)
    time.sleep(1)
    executor.crew.events(0.1)
    result = executor.results([where.piece("after")])[0]
    assert int(result.value[0]) != process
    assert not any(account.retries for account in executor.accounts.values())


def test_ray_itself_tries_nothing_again(cluster, tmp_path):
    with one_worker(tmp_path, cluster) as crew:
        while not crew.idle:
            crew.events(0.1)
        crew.begin(Packer(crew.store).pack([dies.piece(str(tmp_path), 2)]))
        assert events_until(crew, Lost).why == "died"
        assert not crew.idle
        assert [path.name for path in tmp_path.glob("try-*")] == ["try-0"]


# --- who may compute ---------------------------------------------------------------------------------------------


def refusal(crew):
    with pytest.raises(NavbenchError) as caught:
        events_until(crew, Done | Progress)
    return str(caught.value)


def test_a_worker_of_another_version_is_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_crew, "versions", lambda: {**worker.versions(), "torch": "0.0"})
    with one_worker(tmp_path, cluster) as crew:
        assert re.fullmatch(
            r"Worker 1 \(cpu\) has torch .*, the driver 0\.0; install the same versions for all\.", refusal(crew)
        )


def test_a_worker_that_does_not_see_the_store_is_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(Store, "keep", lambda *_: None)  # as on a node that has a disk of its own
    with one_worker(tmp_path, cluster) as crew:
        while not crew.idle:
            crew.events(0.1)
        crew.begin(Packer(crew.store).pack([waited.piece("never")]))
        assert re.fullmatch(
            r"Worker 1 \(cpu\) on node \S+ does not see what the driver keeps; give --out a folder that all nodes "
            r"share, or an object store \(s3://\.\.\.\)\.",
            str(events_until(crew, Done).error),
        )
        assert not list(tmp_path.rglob("*.safetensors"))


def test_a_worker_that_never_begins_ends_the_run_with_a_sentence(cluster, tmp_path, monkeypatch):
    class WithoutNavbench:
        def __init__(self):
            raise ModuleNotFoundError("No module named 'navbench'")

        def begin(self, *_):
            pass

        news = begin

    monkeypatch.setattr(ray_crew, "_Actor", WithoutNavbench)
    with one_worker(tmp_path, cluster) as crew:
        assert refusal(crew) == (
            "Worker 1 (cpu) died 3 times before it had begun: ModuleNotFoundError: No module named 'navbench'"
        )


def test_a_worker_that_no_node_has_room_for_is_waited_for_with_a_sentence(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_crew, "allowed_threads", lambda share: 99)
    monkeypatch.setattr(ray_crew, "PATIENCE", 0.1)
    with one_worker(tmp_path, cluster) as crew:
        with pytest.warns(NavbenchWarning, match="each needs a node with 99 free cores, and `ray status`") as told:
            deque((crew.events(0.05) for _ in range(10)), maxlen=0)
        assert not crew.idle
    assert len(told) == 1


def test_a_cluster_that_does_not_answer_is_told(monkeypatch):
    def no_answer(address, **_):
        raise ConnectionError("a page of text\nand the cause\n")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", no_answer)
    with pytest.raises(NavbenchError, match=r"No Ray cluster can be joined at '10\.0\.0\.1:6379' \(and the cause\)"):
        ray_cluster.connect("10.0.0.1:6379")


# --- whole runs --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(tmp_path_factory, judged_sets, one_thread):
    """The tables of a run that found its directions and measured them in this process."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    judged_run(folder, judged_sets, Staff(), rediscover=True)
    return toy.table_bytes(folder)


def test_a_run_gives_the_same_tables_byte_for_byte_though_a_node_is_lost_in_its_middle(
    tmp_path, cluster, judged_sets, alone
):
    lost = next(iter(cluster.worker_nodes))
    events = RayCrew.events

    def losing(crew, seconds):
        if lost in cluster.worker_nodes and len(list((tmp_path / "cache").rglob("*.safetensors"))) > 5:
            cluster.remove_node(lost, allow_graceful=False)
        return events(crew, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RayCrew, "events", losing)
        run = judged_run(tmp_path, judged_sets, Staff(workers=2, ray=cluster.address), rediscover=True)
    cluster.add_node(**NODE)
    assert lost not in cluster.worker_nodes
    assert toy.table_bytes(tmp_path) == alone
    assert set(run.manifest.facts["workers"]) == {"1 (cpu)", "2 (cpu)"}


def test_a_killed_driver_ends_its_cluster_and_its_run_goes_on_to_the_same_tables(tmp_path, judged_sets, alone):
    script = tmp_path / "driver.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(HERE)!r})
        from test_executors import judged_run, Staff
        judged_run({str(tmp_path / "run")!r}, {str(judged_sets)!r}, Staff(workers=1, ray="local"), rediscover=True)
        """)
    )
    driver = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not list((tmp_path / "run" / "cache").rglob("*.safetensors")):
        time.sleep(0.05)
        assert driver.poll() is None, driver.stdout.read().decode()
    processes = {process: born(process) for process in descendants(driver.pid)}
    assert {os.getpriority(os.PRIO_PROCESS, process) for process in processes} == {0}
    assert listening(processes) <= {"127.0.0.1", "::ffff:127.0.0.1"}
    driver.kill()
    driver.wait()
    assert not wait_until_ended(processes)
    assert not driver.stdout.read()
    judged_run(tmp_path / "run", judged_sets, Staff(), rediscover=True)
    assert toy.table_bytes(tmp_path / "run") == alone


def listening(processes):
    """The addresses at which some processes listen."""
    import psutil

    return {
        connection.laddr.ip
        for process in processes
        for connection in psutil.Process(process).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


# --- how many ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "workers", "gpu", "size", "threads"),
    [
        ([Node(8, 0)], None, False, 8, 1),
        ([Node(8, 0)], 2, False, 2, 4),
        ([Node(8, 0), Node(8, 0)], 3, False, 3, 4),  # 5 would leave the third without a node
        ([Node(0, 0), Node(16, 2), Node(32, 4)], None, True, 6, 8),  # a head node without work
        ([Node(4, 8)], None, True, 4, 1),
        ([Node(16, 2)], 5, True, 5, 1),  # as many as there is room for begin
        ([Node(4, 0)], 2, True, 2, 1),  # a cluster that grows
    ],
)
def test_workers_are_one_per_gpu_or_core_and_share_the_cores(nodes, workers, gpu, size, threads):
    assert size_of(nodes, workers, gpu) == size
    assert share_of(nodes, size, gpu) == threads


@pytest.mark.parametrize(
    ("nodes", "size", "threads", "most"),
    [
        ([Node(8, 0)], 8, 1, 8),
        ([Node(8, 0)] * 4, 8, 4, 2),
        ([Node(8, 0)] * 8, 64, 1, 8),
        ([Node(64, 0), Node(8, 0)], 20, 1, 12),
        ([Node(0, 0), Node(4, 0)], 3, 1, 3),
        ([Node(4, 0)], 6, 1, 6),  # a cluster that grows
    ],
)
def test_the_memory_of_a_node_is_shared_by_the_workers_on_it(nodes, size, threads, most):
    assert most_on_a_node(nodes, size, threads) == most


def test_a_cluster_without_gpus_is_refused_for_cuda():
    with pytest.raises(NavbenchError, match="has no GPU for a worker"):
        size_of([Node(8, 0)], None, gpu=True)


def test_more_workers_than_cores_are_refused_on_this_machine(cluster, tmp_path, monkeypatch):
    with pytest.raises(NavbenchError, match="--workers 1 is more than this machine has GPUs, 0"):
        RayCrew(Store(tmp_path), Staff(devices=("cuda",), workers=1, ray="local"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("cpu", None, "quick"), r"--ray 'quick' is no address of a cluster; use 'auto'"),
        (("cuda:0,cuda:1", None, "auto"), "say --device cuda"),
        (("cpu", 999, "local"), "more than this machine has cores"),
    ],
)
def test_what_ray_cannot_do_is_refused(words, sentence):
    with pytest.raises(NavbenchError, match=sentence):
        staff(*words)


def test_a_word_after_ray_is_an_address_which_a_suite_is_not():
    ended = CliRunner().invoke(main, ["run-all", "--ray", "smoke"])
    assert "--ray 'smoke' is no address of a cluster" in str(ended.exception) + ended.output


def test_without_ray_the_extra_is_named(monkeypatch, tmp_path):
    from navbench.compute import Compute
    from navbench.runner.executors import executor_of

    monkeypatch.setitem(sys.modules, "navbench.runner.ray_crew", None)
    with pytest.raises(NavbenchError, match=r"install navbench\[ray\]"):
        executor_of(Staff(ray="local"), Store(tmp_path), Compute())
