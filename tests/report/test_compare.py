"""Two runs side by side: what is equal, what differs beyond chance, and what cannot be compared."""

import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from navbench.cli import main
from navbench.errors import NavbenchError
from navbench.report.compare import Condition, compared
from navbench.report.tables import load_run


@pytest.fixture
def pair(make_builder, tmp_path):
    """A finished run, a copy of it, and a function that changes numbers of the copy."""
    first, second = tmp_path / "first", tmp_path / "second"
    make_builder(found=6, measured=3).write(first)
    shutil.copytree(first, second)

    def change(table, edit):
        path = second / "tables" / f"{table}.csv"
        frame = pd.read_csv(path)
        changed = edit(frame)
        (frame if changed is None else changed).to_csv(path, index=False)
        return compared(load_run(first), load_run(second))

    return first, second, change


def added(column, amount, row=0):
    def edit(frame):
        frame.loc[row, column] += amount

    return edit


def test_a_run_is_equal_to_itself(pair):
    changes = pair[2]("directions", lambda frame: None)
    assert len(changes) > 100
    assert (changes["difference"] == 0).all()
    assert not changes["real"].any()
    assert (changes["status"] == "").all()


def test_a_difference_comes_with_the_errors_of_both(pair):
    changes = pair[2]("directions", added("fd_at_max", 12.5))
    found = changes[changes["difference"] != 0]
    assert len(found) == 1
    row = found.iloc[0]
    assert row["column"] == "fd_at_max"
    assert row["difference"] == pytest.approx(12.5)
    assert row["stderr"] == pytest.approx(2**0.5 * row["a_stderr"])
    assert row["relative"] == pytest.approx(12.5 / row["a"])
    assert row["real"]


def test_a_difference_that_chance_gives_among_so_many_is_not_real(pair):
    error = pd.read_csv(pair[0] / "tables" / "directions.csv").loc[0, "fd_at_max_stderr"]
    assert not pair[2]("directions", added("fd_at_max", 3 * 2**0.5 * error))["real"].any()  # 3 sigmas, of hundreds


def test_under_no_change_at_all_differences_beyond_chance_are_rare(pair):
    """Numbers drawn anew within their errors: in 20 pairs of runs, few have any difference that is called real."""
    first, second, _ = pair
    source, rng = pd.read_csv(first / "tables" / "directions.csv"), np.random.default_rng(0)
    columns = [name for name in source if f"{name}_stderr" in source]
    calls = 0
    for _ in range(20):
        for place in (first, second):
            frame = source.copy()
            for name in columns:
                frame[name] += frame[f"{name}_stderr"] * rng.normal(size=len(frame))
            frame.to_csv(place / "tables" / "directions.csv", index=False)
        calls += bool(compared(load_run(first), load_run(second))["real"].any())
    assert calls <= 4  # 1 expected; 5 or more have a probability of 0.3 %


def test_what_is_in_one_run_only_is_told_and_not_compared(pair):
    changes = pair[2]("directions", lambda frame: frame.iloc[1:])
    assert set(changes.loc[changes["status"] != "", "status"]) == {"only in a"}
    assert changes.loc[changes["status"] != "", "where"].nunique() == 1


def test_realism_on_other_numbers_of_images_is_not_compared_and_the_rest_is(pair):
    def edit(frame):
        frame["n"] = 4000

    changes = pair[2]("directions", edit)
    odd = changes[changes["status"] != ""]
    assert set(odd["status"]) == {"n 2000 and 4000"}
    assert odd["column"].str.startswith(("fd_", "kid_")).all()
    assert "area50" in set(changes.loc[changes["status"] == "", "column"])


# --- conditions


@pytest.mark.parametrize(
    ("text", "met"), [("fd>5%", True), ("fd>50%", False), ("fd>2", True), ("fd>4", False), ("area50>0%", False)]
)
def test_a_condition_is_met_by_a_change_either_way(pair, text, met):
    fd = pd.read_csv(pair[0] / "tables" / "directions.csv").loc[0, "fd_at_min"]
    share = 0.06
    assert 2 < share * fd < 4
    for sign in (1, -1):
        changes = pair[2]("directions", added("fd_at_min", sign * share * fd))
        found = Condition.parse(text).met_by(changes)
        assert list(found["column"]) == (["fd_at_min"] if met else [])
        pair[2]("directions", added("fd_at_min", -sign * share * fd))


def test_what_is_gone_meets_a_condition(pair):
    changes = pair[2]("directions", lambda frame: frame.iloc[1:])
    assert len(Condition.parse("fd>1000%").met_by(changes)) == 3  # floor, and both ends


@pytest.mark.parametrize("text", ["fd", "fd<5", "fd>", "fd>5%%", ">5", "fd>-1", "fd>x", ""])
def test_a_condition_that_cannot_be_read_is_refused(text):
    with pytest.raises(NavbenchError, match="Cannot read the condition"):
        Condition.parse(text)


def test_a_measure_that_no_run_has_is_refused_with_those_there_are(pair):
    changes = pair[2]("directions", lambda frame: None)
    with pytest.raises(NavbenchError, match=r"measure 'fid' to compare; there are: area50, .*fd"):
        Condition.parse("fid>1").met_by(changes)


# --- the command


def test_the_command_writes_a_table_and_a_page_and_ends_with_3_where_a_condition_is_met(pair, tmp_path):
    first, second, change = pair
    change("directions", added("fd_at_max", 12.5))
    line = ["compare", str(first), str(second), "--out", str(tmp_path / "out")]
    plain = CliRunner().invoke(main, line)
    assert plain.exit_code == 0, plain.output
    assert "1 differ by more than chance" in " ".join(plain.output.split())
    assert (pd.read_csv(tmp_path / "out" / "comparison.csv")["difference"] != 0).sum() == 1
    assert "12.5" in (tmp_path / "out" / "index.html").read_text()
    again = CliRunner().invoke(main, line)
    assert again.exit_code == 2
    assert "is not empty; choose another folder with --out, or say --force" in again.output
    failed = CliRunner().invoke(main, [*line, "--force", "--fail-on", "fd>5%"])
    assert failed.exit_code == 3
    assert "fd_at_max" in failed.output


def test_names_of_other_peoples_files_cannot_write_into_the_page(pair, tmp_path):
    def edit(frame):
        frame.loc[0, "name"] = "<script>alert(1)</script>"

    pair[2]("directions", edit)
    CliRunner().invoke(main, ["compare", str(pair[0]), str(pair[1]), "--out", str(tmp_path / "out")])
    assert "<script>alert" not in (tmp_path / "out" / "index.html").read_text()


def test_what_is_no_run_is_refused(pair, tmp_path):
    for other, sentence in ((tmp_path / "none", "is not a folder"), (tmp_path, "is not a run folder")):
        refused = CliRunner().invoke(main, ["compare", str(pair[0]), str(other), "--out", str(tmp_path / "out")])
        assert refused.exit_code == 2
        assert sentence in refused.output
        assert not (tmp_path / "out").exists()
