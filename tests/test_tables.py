"""The tables of a run folder: what is declared is what can be written and read, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from navbench import tables
from navbench.columns import Column, Table, count, estimated, flag, number, text
from navbench.errors import Failure, NavbenchError

ROOT = Path(__file__).parent.parent
COLUMNS = (
    text("name", "a name"),
    *estimated("size", "a size", "m"),
    count("n", "how many"),
    flag("seen", "whether it was seen"),
    text("note", "a note", empty=True),
    number("score_*", "another number", empty=True),
)
ROW = {"name": "a", "size": 1.0, "size_stderr": 0.5, "n": 3, "seen": True}


@pytest.fixture
def toys(monkeypatch):
    """A table `toys` beside those that are declared."""
    monkeypatch.setattr(tables.TABLES, "declared", dict(tables.TABLES.declared))
    tables.declare(Table("toys", "a toy", COLUMNS))


def written(run: Path, *rows: dict) -> Path:
    tables.write(run / "tables", {"toys": rows})
    return run / "tables" / "toys.csv"


# --- declarations


def test_importing_the_declarations_imports_neither_pandas_nor_torch():
    code = "import sys, navbench.tables; sys.exit(bool({'pandas', 'torch', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_name_is_declared_once(toys):
    with pytest.raises(NavbenchError, match="'toys' is declared twice"):
        tables.declare(Table("toys", "a toy", COLUMNS))
    with pytest.raises(NavbenchError, match="small letters"):
        tables.declare(Table("../toys", "a toy", COLUMNS))


def test_a_table_has_a_column_once_and_the_columns_of_its_standard_errors():
    with pytest.raises(NavbenchError, match="column 'n' twice"):
        Table("t", "a row", (count("n", "how many"), text("n", "a name")))
    with pytest.raises(NavbenchError, match="no column 'stderr'"):
        Table("t", "a row", (number("value", "a number", stderr="stderr"),))


@pytest.mark.parametrize("table", tables.TABLES.values(), ids=lambda table: table.name)
def test_every_standard_error_belongs_to_a_number_of_the_same_unit(table):
    of = {column.stderr: column for column in table.columns if column.stderr}
    for column in table.columns:
        assert column.words
        assert not column.words.endswith(".")
        if column.name.endswith("stderr"):
            assert of[column.name].unit == column.unit


def test_the_page_of_tables_is_that_of_the_declarations():
    assert (ROOT / "docs" / "tables.md").read_text() == tables.page()


@pytest.mark.parametrize("run", ["smoke", "quick", "full"])
def test_the_committed_runs_have_the_declared_tables(run):
    tables.check(ROOT / "reports" / run)


# --- writing


def test_columns_follow_the_declaration_and_numbers_have_eight_digits(toys, tmp_path):
    row = {"score_b": 2.0, **dict(reversed(ROW.items())), "size": 1 / 3, "score_a": np.float32(0.5)}
    expected = "name,size,size_stderr,n,seen,score_b,score_a\na,0.33333333,0.5,3,True,2,0.5\n"
    assert written(tmp_path, row).read_text() == expected


def test_a_column_that_some_row_has_is_written_for_all(toys, tmp_path):
    path = written(tmp_path, ROW, {**ROW, "note": "odd"})
    assert path.read_text().splitlines()[1:] == ["a,1,0.5,3,True,", "a,1,0.5,3,True,odd"]


def test_a_table_without_rows_has_no_file(toys, tmp_path):
    path = written(tmp_path, ROW)
    (path.parent / "other.csv").write_text("kept")
    written(tmp_path)
    assert [file.name for file in path.parent.iterdir()] == ["other.csv"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": "red"}, "Table toys, row 2: the column 'colour' is not declared"),
        ({"name": ""}, "row 2: column 'name' is empty"),
        ({"size": None}, "row 2: column 'size' is empty"),
        ({"name": 0.5}, "'name' holds 0.5, not a text"),
        ({"name": True}, "'name' holds True, not a text"),
        ({"size": "1.0"}, "'size' holds '1.0', not a number"),
        ({"size": True}, "'size' holds True, not a number"),
        ({"n": 3.0}, "'n' holds 3.0, not a count"),
        ({"n": -1}, "'n' holds -1, not a count"),
        ({"seen": 1}, "'seen' holds 1, not a flag"),
        ({"score_a": "x"}, "'score_a' holds 'x', not a number"),
    ],
)
def test_a_row_that_is_not_as_declared_is_refused_before_anything_is_written(toys, tmp_path, change, sentence):
    with pytest.raises(Failure, match=sentence):
        written(tmp_path, ROW, ROW | change)
    assert not (tmp_path / "tables").exists()


def test_a_row_without_a_column_and_a_table_that_is_not_declared_are_refused(toys, tmp_path):
    with pytest.raises(Failure, match="row 1 lacks the column 'seen'"):
        written(tmp_path, {name: value for name, value in ROW.items() if name != "seen"})
    with pytest.raises(Failure, match="'games' is not declared"):
        tables.write(tmp_path, {"games": [ROW]})


# --- reading


def test_what_was_written_is_read_with_its_types(toys, tmp_path):
    written(tmp_path, {**ROW, "name": 7, "size": float("nan"), "score_a": 2.5}, {**ROW, "seen": np.False_})
    frame = tables.read(tmp_path, "toys")
    assert list(frame) == ["name", "size", "size_stderr", "n", "seen", "note", "score_a"]
    assert frame["name"].tolist() == ["7", "a"]
    assert frame["seen"].dtype == bool
    assert frame["seen"].tolist() == [True, False]
    assert frame["size"].isna().tolist() == [True, False]
    assert frame["n"].tolist() == [3.0, 3.0]
    assert frame["note"].tolist() == ["", ""]
    assert frame["score_a"].tolist()[0] == 2.5
    assert np.isnan(frame["score_a"].tolist()[1])


def test_a_table_without_a_file_has_its_columns_and_no_rows(toys, tmp_path):
    frame = tables.read(tmp_path, "toys")
    assert len(frame) == 0
    assert list(frame) == ["name", "size", "size_stderr", "n", "seen", "note"]
    with pytest.raises(NavbenchError, match=r"directions\.csv is missing"):
        tables.read(tmp_path, "directions")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("a,1,", ",1,", r"toys\.csv, line 3: column 'name' holds nothing"),
        ("a,1,", "a,lots,", r"toys\.csv, line 3: column 'size' holds 'lots', not a number"),
        (",3,", ",3.5,", r"toys\.csv, line 3: column 'n' holds '3.5', not a whole number"),
        (",3,", ",-3,", r"toys\.csv, line 3: column 'n' holds '-3', not a whole number"),
        ("True", "perhaps", r"toys\.csv, line 3: column 'seen' holds 'perhaps', neither True nor False"),
    ],
)
def test_a_cell_of_another_kind_is_named_with_its_line_and_column(toys, tmp_path, old, new, sentence):
    path = written(tmp_path, ROW, ROW)
    header, first, second = path.read_text().splitlines()
    path.write_text("\n".join([header, first, second.replace(old, new)]))
    with pytest.raises(NavbenchError, match=sentence):
        tables.read(tmp_path, "toys")


@pytest.mark.parametrize(
    ("old", "sentence"), [("seen", "lacks the column 'seen'"), ("note", "has an unknown column 'nicht'")]
)
def test_a_table_of_another_version_is_refused_with_the_version_that_wrote_it(toys, tmp_path, old, sentence):
    path = written(tmp_path, {**ROW, "note": "odd"})
    path.write_text(path.read_text().replace(old, "nicht"))
    with pytest.raises(NavbenchError, match=f"{sentence}: the run was written by another version of navbench; run it"):
        tables.read(tmp_path, "toys")
    (tmp_path / "manifest.json").write_text(json.dumps({"navbench": "0.0.7"}))
    with pytest.raises(NavbenchError, match=r"another version of navbench \(0\.0\.7, by the field 'navbench'"):
        tables.read(tmp_path, "toys")


def test_a_table_that_is_not_declared_does_not_pass(toys, tmp_path):
    path = written(tmp_path, ROW)
    path.rename(path.with_name("games.csv"))
    with pytest.raises(NavbenchError, match=r"games\.csv is no table that is known"):
        tables.check(tmp_path)


def test_a_pattern_covers_what_begins_like_it_and_gives_way_to_a_name():
    table = Table("t", "a row", (number("score_*", "any"), Column("score_b", "text", "a name", empty=True)))
    assert table.column("score_a").kind == "number"
    assert table.column("score_b").kind == "text"
    assert table.column("scores") is None
