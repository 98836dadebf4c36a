"""The bar of all stages: what it expects of them, and that it changes nothing of a run."""

import io
from pathlib import Path

import pytest
import toy
from rich.console import Console

from navbench.compute import Compute
from navbench.library import Library
from navbench.progress import Outlook
from navbench.runner import estimate
from navbench.runner.rehearsal import rehearsed
from navbench.runner.run import Run
from navbench.staff import Staff


def run_of(folder, chosen, sets, console=None, **more):
    compute = Compute("cpu", chosen.precision, chosen.batch)
    return Run(Path(folder), chosen, compute, Library([Path(sets)]), console or terminal(), **more)


def terminal():
    return Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)


@pytest.fixture
def asked(monkeypatch):
    """What `expected` said of each run."""
    said, real = [], estimate.expected

    def kept(run, opened):
        said.append(real(run, opened, 1000.0, 1000.0))
        return said[-1]

    monkeypatch.setattr(estimate, "expected", kept)
    return said


@pytest.mark.parametrize("values", [{}, {"rediscover": True}])
def test_the_stages_that_are_expected_are_those_that_come(sets, tmp_path, asked, values):
    run = run_of(tmp_path / "run", toy.tiny(**values), sets)
    run.execute()
    came = {each["stage"] for each in run.manifest.stages} - {"tables"}
    assert set(asked[0].seconds) <= came
    assert all(seconds > 0 for seconds in asked[0].seconds.values())
    assert {"toy.make: curves", "toy.make: strips", "toy.make: reproduction"} <= set(asked[0].seconds)


def test_what_is_expected_is_every_piece_of_a_stage_at_its_price(sets, tmp_path, asked, monkeypatch):
    monkeypatch.setattr(estimate, "seconds_of", lambda _pass, _compute: 1.0)
    chosen = toy.tiny()
    run_of(tmp_path / "run", chosen, sets).execute()
    planned = rehearsed(chosen, Compute("cpu", chosen.precision, chosen.batch), Library([Path(sets)]))
    units = sum(sum(piece.costs.values()) + piece.size for piece in planned.pieces if piece.stage)
    assert sum(asked[0].seconds.values()) == pytest.approx(units)
    run_of(tmp_path / "run", chosen, sets).execute()
    assert asked[1].seconds == {}  # all is there
    assert set(asked[1].before.values()) == {1.0}


def test_the_bar_changes_no_number(sets, tmp_path, finished):
    run = run_of(tmp_path / "run", toy.tiny(), sets)
    run.execute()
    assert "all stages" in run.console.file.getvalue()
    assert toy.table_bytes(tmp_path / "run") == toy.table_bytes(finished.folder)


def test_nothing_is_planned_where_nobody_watches(sets, tmp_path, asked):
    for console in (Console(file=io.StringIO()), terminal()):
        console.quiet = console.is_terminal
        run_of(tmp_path / f"run{console.quiet}", toy.tiny(experiments=["strips"]), sets, console).execute()
    assert asked == []


@pytest.fixture
def given_run(sets, tmp_path, monkeypatch):
    """A run that was begun and lost its pieces, and what it had opened."""
    opened = []
    with monkeypatch.context() as patch:
        patch.setattr(estimate, "expected", lambda _run, these: opened.extend(these) or Outlook())
        run = run_of(tmp_path / "run", toy.tiny(), sets)
        run.execute()
    run.place.clear("cache")
    return run, opened


def test_a_suite_that_is_not_rehearsed_in_time_has_no_estimate(given_run):
    assert estimate.expected(*given_run, rehearsal=-1.0) == Outlook()


def test_passes_that_are_not_tried_in_time_cost_what_others_of_their_network_do(given_run, monkeypatch):
    tried = []
    monkeypatch.setattr(estimate, "seconds_of", lambda each, _compute: float(tried.append(each.network) or 2.0))
    hurried = estimate.expected(*given_run, trials=-1.0)
    assert len(tried) == len(set(tried)) > 5
    whole = estimate.expected(*given_run, trials=1000.0)
    assert len(tried) > 2 * len(set(tried))
    assert hurried == whole


def test_workers_share_what_is_expected(given_run, monkeypatch):
    monkeypatch.setattr(estimate, "seconds_of", lambda _pass, _compute: 1.0)
    run, opened = given_run
    alone = estimate.expected(run, opened, 1000.0, 1000.0).seconds
    run.staff = Staff(workers=2)
    assert alone
    assert estimate.expected(run, opened, 1000.0, 1000.0).seconds == {title: each / 2 for title, each in alone.items()}


def test_an_estimate_that_fails_ends_no_run(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(estimate.RehearsedRun, "run_with", lambda *_: {}["no such thing"])
    run = run_of(tmp_path / "run", toy.tiny(experiments=["strips"]), sets)
    run.execute()
    assert "all stages" in run.console.file.getvalue()
    assert " left" not in run.console.file.getvalue()


def test_what_is_there_of_a_stage_is_known_and_not_planned(given_run, sets, monkeypatch):
    """Heatmaps of one direction of each set are there, and wanted of two."""
    run, opened = given_run
    monkeypatch.setattr(estimate, "seconds_of", lambda _pass, _compute: 1.0)
    wider = run_of(run.folder, toy.tiny(locality={**toy.tiny().locality.model_dump(), "directions": 2}), sets)
    wider.store = run.store
    nothing = estimate.expected(wider, opened, 1000.0, 1000.0)
    assert set(nothing.before.values()) == {0.0}
    run_of(run.folder, toy.tiny(), sets).execute()
    some = estimate.expected(wider, opened, 1000.0, 1000.0)
    assert some.before["toy.make: heatmaps"] == pytest.approx(0.5)
    assert some.seconds["toy.make: heatmaps"] == pytest.approx(nothing.seconds["toy.make: heatmaps"] / 2)


def test_to_look_at_a_damaged_piece_leaves_it_to_the_run(sets, tmp_path, asked):
    chosen = toy.tiny(experiments=["strips"])
    run_of(tmp_path / "run", chosen, sets).execute()
    path = next((tmp_path / "run" / "cache").rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = run_of(tmp_path / "run", chosen, sets)
    again.execute()
    assert any("is damaged" in words for words in again.manifest.warnings)
