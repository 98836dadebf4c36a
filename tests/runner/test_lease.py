"""One driver at a time holds a place; a second is told who, a dead one's hold is taken over by one, a lost one ends."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import toy

from navbench.errors import Failure, NavbenchError
from navbench.places import Folder, place_at
from navbench.runner import lease as module
from navbench.runner.lease import LEASE, Holder, Lease, Leased
from navbench.runner.run import check_folder


def other(**values):
    """A driver on another machine, which has just beaten."""
    return replace(Holder.here(), **({"host": "alpha", "machine": "another", "pid": 4242, "token": "t"} | values))


@pytest.fixture
def quick(monkeypatch):
    """Beats in hundredths of a second."""
    monkeypatch.setattr(module, "BEAT", 0.02)
    monkeypatch.setattr(module, "STALE", 0.4)


def test_a_lease_lasts_as_long_as_its_driver_and_is_renewed(place, quick):
    lease = Lease(place)
    with lease.held():
        first = Holder.of(place.version(LEASE))
        assert (first.pid, first.token) == (os.getpid(), lease._holder.token)
        time.sleep(0.6)  # longer than a dead one's
        with pytest.raises(NavbenchError):
            Lease(place).check_free()
        assert Holder.of(place.version(LEASE)).beat > first.beat
        lease.check()
    assert not place.exists(LEASE)
    Lease(place).check_free()


@pytest.mark.parametrize("end", [KeyboardInterrupt, Failure])
def test_a_lease_ends_with_an_error(tmp_path, end):
    with pytest.raises(end), Lease(Folder(tmp_path)).held():
        raise end
    assert not (tmp_path / LEASE).exists()


def test_the_second_driver_is_told_who_holds_the_place(place):
    place.create(LEASE, other(started="2026-11-26T17:00:00+00:00").content())
    sentence = (
        rf"^{re.escape(str(place))} is in use by process 4242 on alpha, which began 2026-11-26T17:00:00\+00:00, "
        r"heard of \d s ago; wait until it ends \(if it died, 60 s\), or choose another folder with --out\.$"
    )
    for attempt in (Lease(place).check_free, lambda: Lease(place).held().__enter__()):
        with pytest.raises(NavbenchError, match=sentence):
            attempt()
    assert Holder.of(place.version(LEASE)).pid == 4242


def race(lease_of, count=20):
    """Drivers that tried at once: the leases of those that hold the place, and how many were refused."""
    barrier, held, refused, done = threading.Barrier(count), [], [], threading.Event()

    def drive():
        lease = lease_of()
        barrier.wait()
        try:
            with lease.held():
                held.append(lease)
                done.wait()
        except NavbenchError:
            refused.append(lease)

    threads = [threading.Thread(target=drive) for _ in range(count)]
    for thread in threads:
        thread.start()
    while len(held) + len(refused) < count:
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    return held, refused


@pytest.mark.parametrize("before", [None, "stale", "ended", "unreadable"])
def test_of_twenty_drivers_at_once_one_gets_a_free_or_a_dead_one_s_place(place, quick, monkeypatch, before):
    monkeypatch.setattr(module, "STALE", 5.0)  # twenty threads share two cores
    content = {
        "stale": other(beat=time.time() - 6).content(),
        "ended": replace(Holder.here(), pid=2**22 + 1, born="5").content(),
        "unreadable": b"{",
    }
    if before is not None:
        place.create(LEASE, content[before])
    held, refused = race(lambda: Lease(place))
    assert (len(held), len(refused)) == (1, 19)
    assert not place.exists(LEASE)


def test_a_lease_that_looks_old_by_another_clock_but_beats_is_not_taken_over(tmp_path, monkeypatch):
    place = Folder(tmp_path)
    version = place.create(LEASE, other(beat=time.time() - 7200).content())

    def watch(seconds: float) -> None:
        assert seconds >= 2 * module.BEAT
        place.replace(LEASE, other(beat=time.time() - 7195).content(), version)

    monkeypatch.setattr(module, "time", SimpleNamespace(time=time.time, sleep=watch))
    with pytest.raises(NavbenchError, match="is in use by process 4242"), Lease(place).held():
        pass


def test_a_killed_driver_of_this_machine_holds_nothing(tmp_path):
    program = (
        "import sys, time\nfrom navbench.places import Folder\nfrom navbench.runner.lease import Lease\n"
        "from pathlib import Path\n"
        "with Lease(Folder(Path(sys.argv[1]))).held():\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(NavbenchError, match=f"is in use by process {process.pid} on "):
        Lease(Folder(tmp_path)).check_free()
    process.kill()
    process.wait()
    check_folder(tmp_path, toy.tiny(), fresh=False)
    with Lease(Folder(tmp_path)).held():
        assert Holder.of(Folder(tmp_path).version(LEASE)).pid == os.getpid()


def test_the_process_of_another_container_with_a_dead_number_here_is_alive():
    assert replace(Holder.here(), pid=2**22 + 1).ended
    assert not replace(Holder.here(), pid=2**22 + 1, machine="another container").ended
    assert not replace(Holder.here(), pid=2**22 + 1, machine="").ended
    assert replace(Holder.here(), born="another process of this number").ended
    assert not Holder.here().ended


def test_a_driver_that_lost_its_lease_writes_nothing_more(place, quick):
    lease = Lease(place)
    folder = Leased(place, lease).within("tables")
    with lease.held():
        folder.write("a", b"mine")
        with lease._renewing:  # it stands still, and another takes over
            place.delete(LEASE)
            place.create(LEASE, other().content())
            lease._holder = replace(lease._holder, beat=time.time() - 1)
        changes = (
            lambda: folder.write("a", b"late"),
            lambda: folder.create("b", b"late"),
            lambda: folder.delete("a"),
            lambda: folder.clear("."),
        )
        for change in changes:
            with pytest.raises(Failure, match=r"is in use by process 4242 on alpha.* by now, as this run stood still"):
                change()
        assert folder.read("a") == b"mine"
    assert Holder.of(place.version(LEASE)).pid == 4242  # which is not given back


def test_an_answer_that_was_lost_on_the_way_loses_no_lease(tmp_path, quick):
    """A store may say that a write came too late which it had taken, where the request was sent twice."""
    lease = Lease(Folder(tmp_path))
    with lease.held():
        for _ in range(3):
            with lease._renewing:
                lease._version = replace(lease._version, mark=b"the one before")
                lease._version = replace(lease._version, content=b"the one before")
            time.sleep(0.1)
        lease.check()


def test_a_leased_place_is_another_process_s_place_without_the_lease(tmp_path):
    place = Folder(tmp_path)
    assert pickle.loads(pickle.dumps(Leased(place, Lease(place)).within("cache"))) == place.within("cache")


def test_a_run_is_refused_where_another_runs_before_anything_is_loaded(tmp_path, sets):
    check_folder(tmp_path, toy.tiny(), fresh=False)
    (tmp_path / LEASE).write_bytes(other().content())
    check_folder(tmp_path, toy.tiny(), fresh=False)  # a run that has written nothing yet
    for fresh in (False, True):
        with pytest.raises(NavbenchError, match="is in use by process 4242 on alpha"):
            toy.execute(tmp_path, toy.tiny(only=["nothing of that name"]), sets, fresh=fresh)
    assert json.loads((tmp_path / LEASE).read_text())["pid"] == 4242
    assert [path.name for path in tmp_path.iterdir()] == [LEASE]


def test_a_run_that_was_taken_over_ends_with_one_sentence_and_leaves_the_other_s_tables(tmp_path, sets, monkeypatch):
    from navbench.runner.store import Store

    place, put = place_at(tmp_path), Store.put
    left = 3

    def taken_over(store, piece, result):
        nonlocal left
        left -= 1
        if left == 0:
            store.place.lease._holder = replace(store.place.lease._holder, beat=time.time() - 120)
            place.delete(LEASE)
            place.create(LEASE, other().content())
        put(store, piece, result)

    monkeypatch.setattr(Store, "put", taken_over)
    with pytest.raises(Failure, match="is in use by process 4242 on alpha"):
        toy.execute(tmp_path, toy.tiny(), sets)
    assert left == 0
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    assert json.loads((tmp_path / LEASE).read_text())["pid"] == 4242


def test_a_lease_is_taken_in_a_folder_that_is_removed_meanwhile(tmp_path, monkeypatch):
    folder, lock, removed = Folder(tmp_path / "run"), Folder._lock, []

    def remove_and_lock(self, name):
        if not removed:
            removed.append(shutil.rmtree(folder.path))
        return lock(self, name)

    monkeypatch.setattr(Folder, "_lock", remove_and_lock)
    with Lease(folder).held():
        assert folder.exists(LEASE)
    assert removed
