"""A race of the toy generator's directions, from suite to page."""

from collections import Counter

import pandas as pd
import pytest
import toy

from navbench import seeds
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.generators.wrapped import Wrapped
from navbench.library import Library
from navbench.report.html import write_report
from navbench.runner.rehearsal import rehearsed
from navbench.seeds import Role

STAGES = [{"codes": 6, "keep": 2}, {"codes": 9, "keep": 1}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three directions of each of two methods."""
    return toy.write_sets(tmp_path_factory.mktemp("sets"), count=3)


@pytest.fixture(scope="module")
def raced(tmp_path_factory, folder):
    return toy.execute(tmp_path_factory.mktemp("runs") / "raced", suite(), folder)


def suite(**values):
    return toy.tiny(racing={"stages": STAGES}, calibrate="effect=0.02", **values)


def table(run, name):
    return pd.read_csv(run.folder / "tables" / f"{name}.csv")


def test_every_direction_runs_in_the_first_stage_and_those_kept_in_the_next(raced):
    rows = table(raced, "racing")
    first, second = (rows[rows["stage"] == stage] for stage in (1, 2))
    assert len(first) == 6
    assert set(second["name"]) == set(first["name"][first["kept"]])
    assert first.groupby("method")["kept"].sum().tolist() == [2, 2]
    assert second.groupby("method")["kept"].sum().tolist() == [1, 1]
    assert (first["n"].unique(), second["n"].unique()) == ([6], [9])


def test_the_best_of_each_stage_are_those_with_the_least_increase(raced):
    for _, rows in table(raced, "racing").groupby(["stage", "method"]):
        assert rows.sort_values("value")["rank"].tolist() == sorted(rows["rank"].tolist())
        assert rows["value"][rows["kept"]].max() <= rows["value"][~rows["kept"]].min()


def test_costly_experiments_measure_the_winners(raced):
    rows = table(raced, "racing")
    winners = set(rows["name"][(rows["stage"] == 2) & rows["kept"]])
    for name in ("curves", "locality", "reproduction"):
        assert set(table(raced, name)["name"]) == winners
    assert len(table(raced, "directions")) == 6


def test_without_stages_there_is_no_race(finished):
    assert not (finished.folder / "tables" / "racing.csv").exists()


def test_a_plan_counts_the_pieces_of_a_race(raced, folder):
    compute = Compute(batch=16)
    planned = rehearsed(suite(), compute, Library([folder])).pieces
    assert len(planned) == raced.store.made
    assert sum(piece.function == "sprint" for piece in planned) == 6 + 4


def test_the_page_says_who_raced_and_what_the_means_are_of(raced):
    page = write_report(raced.folder).read_text()
    assert "The race" in page
    assert "Stage 1, 6 codes: 4 of 6 went on" in page
    assert "the winners of a race by KID at an equal effect" in page


def test_batches_change_nothing_in_a_race(tmp_path, raced, folder):
    toy.execute(tmp_path, suite(batch=4), folder)
    toy.assert_same_tables(raced.folder, tmp_path)


@pytest.mark.parametrize("after", [{"codes": 9, "keep": 2}, {"codes": 6, "keep": 1}])
def test_a_stage_that_decides_nothing_more_is_refused(after):
    with pytest.raises(NavbenchError, match="each stage must keep fewer, on more codes"):
        toy.tiny(racing={"stages": [STAGES[0], after]})


def test_no_code_takes_part_in_two_stages_or_in_anything_else(tmp_path, folder, monkeypatch):
    drawn, sample = [], Wrapped.sample

    def drawing(self, indices, seed):
        drawn.extend((seed, index) for index in indices)
        return sample(self, indices, seed)

    with monkeypatch.context() as patch:
        patch.setattr(Wrapped, "sample", drawing)
        toy.execute(tmp_path, suite(), folder)
    own = seeds.derived(0, Role.RACING)
    times = Counter(index for seed, index in drawn if seed == own)
    features = 1  # each code's unshifted features are made once, and are no direction's
    assert times == {index: 6 + features if index < 6 else 4 + features for index in range(15)}
    assert own not in {seeds.derived(0, role) for role in Role if role != Role.RACING}
