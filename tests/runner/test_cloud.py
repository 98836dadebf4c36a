"""A run in an object store is the run of a folder: its tables, its resumption, its repairs and its report."""

import pickle
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import toy
from click.testing import CliRunner
from test_discover import GENERATOR, MORE, PLACES
from test_discover import sets as tensors_of_sets

from navbench import runs
from navbench.cli import main
from navbench.compute import Compute
from navbench.discovery.learn import Learner
from navbench.errors import NavbenchError
from navbench.places import mirrored, place_at
from navbench.runner.discover import discover
from navbench.runner.run import check_folder
from navbench.runner.store import Store

TESTS = Path(__file__).parent


def tables_of(url):
    """Every table of a run in an object store."""
    place = place_at(url)
    return {name.removeprefix("tables/"): place.read(name) for name in sorted(place.names("tables"))}


@pytest.fixture(scope="module")
def remote(s3, sets):
    """A finished run in a bucket; tests do not change it."""
    return toy.execute(f"{s3.bucket()}/runs/tiny", toy.tiny(), sets)


def copied(remote, url):
    """A copy of a run that may be changed."""
    place = place_at(url)
    for name in remote.place.names():
        place.write(name, remote.place.read(name))
    return place


def test_tables_pictures_and_pieces_are_those_of_a_local_run_byte_by_byte(remote, finished):
    assert tables_of(remote.folder) == toy.table_bytes(finished.folder)
    assert sorted(remote.place.names()) == sorted(finished.place.names())
    for name in set(finished.place.names()) - {"manifest.json"}:  # which has seconds in it
        assert remote.place.read(name) == finished.place.read(name), name
    assert (remote.store.made, remote.store.found) == (finished.store.made, finished.store.found)


def test_a_piece_is_one_put_and_one_get(s3, sets):
    run = toy.execute(s3.bucket(), toy.tiny(experiments=["strips"]), sets)
    assert run.store.made == sum("/cache/" in request.path for request in s3.asked("PUT"))
    s3.requests.clear()
    again = toy.execute(run.folder, toy.tiny(experiments=["strips"]), sets)
    assert again.store.found == sum("/cache/" in request.path for request in s3.asked("GET"))
    assert not [request for request in s3.asked("PUT") if "/cache/" in request.path]


def test_a_run_that_was_killed_goes_on_from_another_machine(s3, sets, finished):
    url = f"{s3.bucket()}/run"
    process = toy.slow_run(url, sets)
    place = place_at(url)
    while len(list(place.names("cache"))) < 9 and process.poll() is None:
        time.sleep(0.02)
    with pytest.raises(NavbenchError, match=f"is in use by process {process.pid} on "):
        toy.execute(url, toy.tiny(), sets)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = set(place.names("cache"))
    assert len(left) >= 9
    check_folder(url, toy.tiny(), fresh=False)
    with pytest.raises(NavbenchError, match=rf"{url} holds another run than 'tiny'"):
        check_folder(url, toy.tiny(seed=1), fresh=False)
    run = toy.execute(url, toy.tiny(), sets)
    assert tables_of(url) == toy.table_bytes(finished.folder)
    assert run.store.made == finished.store.made - len(left)


def test_a_damaged_piece_is_told_and_made_again(s3, remote, sets):
    place = copied(remote, s3.bucket())
    names = [next(iter(place.names(f"cache/{kind}"))) for kind in ("curve", "heat", "floor", "strip")]
    whole = place.read(names[2])
    for name, content in zip(names, (b"", b"not a piece", whole[:-3], bytes(64)), strict=True):
        place.write(name, content)
    run = toy.execute(str(place), toy.tiny(), sets)
    told = {sentence.partition(" is damaged")[0] for sentence in run.manifest.warnings}
    assert told == {place.address(name) for name in names}
    assert tables_of(str(place)) == tables_of(remote.folder)
    assert place.read(names[2]) == whole


def test_a_fresh_start_makes_everything_again(s3, remote, sets):
    place = copied(remote, f"{s3.bucket()}/run")
    place.write("figures/stale.npz", b"")
    run = toy.execute(str(place), toy.tiny(), sets, fresh=True)
    assert (run.store.made, run.store.found) == (remote.store.made, remote.store.found)
    assert not place.exists("figures/stale.npz")
    assert tables_of(str(place)) == tables_of(remote.folder)


def test_a_prefix_that_holds_no_run_is_refused_and_kept(s3):
    place = place_at(f"{s3.bucket()}/thesis")
    check_folder(place, toy.tiny(), fresh=False)
    place.write("tables/thesis.tex", "years of work")
    for fresh in (False, True):
        with pytest.raises(NavbenchError, match="is not empty and holds no run that can be read"):
            check_folder(place, toy.tiny(), fresh=fresh)
    assert place.exists("tables/thesis.tex")


def test_a_report_and_a_comparison_are_made_of_runs_wherever_they_lie(s3, remote, finished, tmp_path):
    place = copied(remote, f"{s3.bucket()}/runs/far")
    s3.requests.clear()
    done = CliRunner().invoke(main, ["report", str(place)])
    assert (done.exit_code, done.stdout) == (0, f"Report: {place}/index.html\n")
    page = place.read("index.html").decode()
    assert "toy.make" in page
    assert len(list(place.names("figures"))) > len(list(remote.place.names("figures")))
    assert not [request for request in s3.requests if "/cache/" in request.path]
    line = ["compare", str(finished.folder), str(place), "--out", str(tmp_path), "--fail-on", "fd>0.001%"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    assert f"{place}</em> (b)" in (tmp_path / "index.html").read_text()


def test_a_notebook_opens_a_run_in_an_object_store(remote, finished):
    far, near = runs.open_run(remote.folder), runs.open_run(finished.folder)
    pd.testing.assert_frame_equal(far["curves"], near["curves"])
    assert far.pictures().keys() == near.pictures().keys() != set()
    assert repr(far) == f"Run('{remote.folder}', {len(far['directions'])} directions)"


def test_where_there_is_no_run_the_user_s_name_of_the_place_is_told(s3):
    url = f"{s3.bucket()}/runs/none"
    done = CliRunner().invoke(main, ["report", url])
    assert (done.exit_code, done.stderr) == (2, f"Error: {url} is not a run folder: it has no manifest.json.\n")


@pytest.mark.parametrize("trained", [1, 2])
def test_found_directions_and_their_checkpoints_lie_at_the_place(s3, tmp_path, monkeypatch, trained):
    """A discovery is killed when the one step of its training is kept, or that of its control as well.

    The third training is of a fresh reconstructor.
    """
    common = (GENERATOR, PLACES, MORE, Compute(), 0)
    discover(*common, tmp_path / "whole")
    place = place_at(f"{s3.bucket()}/run")

    def find():
        with mirrored(place, folders=("directions",)) as mirror:
            discover(*common, mirror / "directions", checkpoints=place.within("directions"))

    evaluate, train_step, steps = Learner.evaluate, Learner.train_step, []

    def killed(learner):
        if sum(".checkpoint" in name for name in place.names("directions")) == trained:
            raise KeyboardInterrupt
        return evaluate(learner)

    def counted(learner):
        steps.append(learner.settings.row_learning_rate)
        return train_step(learner)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            find()
    monkeypatch.setattr(Learner, "train_step", counted)
    find()
    assert steps == [0.0] * (3 - trained)  # those of reconstructors alone that were not taken before
    whole = {path.relative_to(tmp_path / "whole").as_posix() for path in (tmp_path / "whole").rglob("*.safetensors")}
    assert set(place.within("directions").names()) == whole
    with mirrored(place, folders=("directions",)) as mirror:
        for ours, theirs in zip(*map(tensors_of_sets, (mirror / "directions", tmp_path / "whole")), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_what_workers_are_given_is_kept_once_and_forgotten(s3):
    store = Store(f"{s3.bucket()}/cache")
    store.keep("things/ab", b"content")
    again = pickle.loads(pickle.dumps(store))
    again.keep("things/ab", b"content")
    assert again.kept("things/ab") == b"content"
    assert len(s3.asked("PUT")) == 1
    store.tidy()
    with pytest.raises(FileNotFoundError):
        again.kept("things/ab")


def test_two_stores_that_write_the_same_piece_do_no_harm(s3):
    from test_store import pair, results

    one, other = (Store(f"{s3.bucket()}/cache") for _ in range(2))
    other.place = one.place
    piece = pair.piece()
    one.put(piece, piece.make(lambda _: None))
    other.put(piece, piece.make(lambda _: None))
    assert float(results(one, piece)[0].first[0, 0]) == 1.0
    assert one.find(piece) is not None
