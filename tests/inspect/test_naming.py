"""Names in files: a set's own and a file beside it, read, changed and merged, and what older sets say."""

import json
import threading
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from navbench.cli import main
from navbench.directions import write_set
from navbench.errors import NavbenchError
from navbench.library import SHIPPED, library, open_set
from navbench.naming import (
    FileKeeper,
    Naming,
    SetKeeper,
    apply_names,
    clean_label,
    is_own,
    keeper_of,
    offsets_key,
    read_names,
    write_names,
)  # fmt: skip

BARE = Naming("", False, -1.0, 2.0)


@pytest.fixture
def path(sets):
    return sets / "styled/spectrum/convs.0.safetensors"


@pytest.fixture(params=["set", "file"])
def keeper(request, path, tmp_path):
    return SetKeeper(path) if request.param == "set" else FileKeeper(tmp_path / "names.csv", open_set(path))


def said(keeper, index, **changes):
    return keeper.change(index, lambda naming: naming.changed(changes))


def test_what_is_said_is_read_back_and_nothing_else_has_changed(keeper):
    before = keeper.read()
    assert said(keeper, 1, label="smile") == (before[1], replace(before[1], label="smile"))
    said(keeper, 2, not_interpretable=True)
    said(keeper, 3, t_min=-0.1, t_max=0.3)
    after = keeper.read()
    assert after[0] == before[0]
    assert after[1] == replace(before[1], label="smile")
    assert after[2] == replace(before[2], not_interpretable=True)
    assert (after[3].t_min, after[3].t_max) == pytest.approx((-0.1, 0.3))
    assert keeper.change(3, lambda naming: naming)[1] == after[3]  # to the last digit


def test_a_label_takes_the_mark_away_and_the_mark_the_label(keeper):
    said(keeper, 0, label="smile")
    assert said(keeper, 0, not_interpretable=True)[1] == replace(keeper.read()[0], label="", not_interpretable=True)
    assert said(keeper, 0, label="grin")[1] == replace(keeper.read()[0], label="grin", not_interpretable=False)


def test_a_sets_offsets_and_other_tensors_stay_as_they_are(path, generator):
    before, key = load_file(path), offsets_key(open_set(path))
    said(SetKeeper(path), 1, label="smile", t_max=7.5)
    after = load_file(path)
    assert before.keys() == after.keys()
    assert all(bool((before[name] == after[name]).all()) for name in before if name not in ("t_min", "t_max"))
    assert offsets_key(open_set(path)) == key
    loaded = open_set(path).load(generator)
    assert (loaded.labels[1], loaded[1].t_max) == ("smile", 7.5)


def test_marks_and_ranges_by_hand_stay_with_a_set_that_is_written_again(path, generator, tmp_path):
    said(SetKeeper(path), 1, not_interpretable=True)
    said(SetKeeper(path), 3, t_max=9.0)
    loaded = open_set(path).load(generator)
    assert (loaded.not_interpretable, loaded.ranges_by_hand) == ((1,), (3,))
    assert (loaded.first(2).not_interpretable, loaded.first(2).ranges_by_hand) == ((1,), ())
    write_set(loaded, tmp_path / "again.safetensors")
    again = open_set(tmp_path / "again.safetensors").header
    assert (again["not_interpretable"], again["ranges_by_hand"]) == ([1], [3])


def test_a_set_without_marks_is_written_as_before_and_read(path):
    assert not {"not_interpretable", "ranges_by_hand"} & open_set(path).header.keys()
    assert not any(naming.not_interpretable for naming in SetKeeper(path).read())
    said(SetKeeper(path), 0, not_interpretable=True)
    said(SetKeeper(path), 0, not_interpretable=False)
    assert "not_interpretable" not in open_set(path).header


@pytest.mark.parametrize("marked", [[4], [-1], ["0"], [True], 3])
def test_marks_of_directions_that_are_not_there_are_refused(path, marked):
    header = open_set(path).header | {"not_interpretable": marked}
    save_file(load_file(path), path, {"navbench": json.dumps(header)})
    with pytest.raises(NavbenchError, match="not a navbench direction set"):
        open_set(path)


def test_many_writers_at_once_lose_nothing_of_each_other(keeper):
    rounds = 5

    def write(index):
        for count in range(rounds):
            said(keeper, index, label=f"direction {index}, {count}")

    writers = [threading.Thread(target=write, args=[index]) for index in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [naming.label for naming in keeper.read()] == [f"direction {index}, {rounds - 1}" for index in range(4)]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"t_min": 0}, "t_min < 0 < t_max"),
        ({"t_max": -1}, "t_min < 0 < t_max"),
        ({"t_max": float("inf")}, "t_min < 0 < t_max"),
        ({"t_max": 1e300}, "t_min < 0 < t_max"),
        ({"t_min": "-1"}, "is a number"),
        ({"t_min": True}, "is a number"),
        ({"label": 3}, "is a text"),
        ({"label": "x" * 121}, "at most 120 characters"),
        ({"label": "smile", "not_interpretable": True}, "say one of the two"),
        ({"not_interpretable": 1}, "true or false"),
        ({"basis": "svd"}, "no basis that could be set"),
    ],
)
def test_what_is_no_name_or_range_is_refused(changes, complaint):
    with pytest.raises(NavbenchError, match=complaint):
        BARE.changed(changes)


@given(st.text(max_size=60))
def test_a_label_is_one_line_and_stays_so(text):
    label = clean_label(text)
    assert label == clean_label(label) == " ".join(label.split())
    assert "\n" not in label


def test_hostile_labels_go_through_both_files_unchanged(keeper):
    for label in ('"; drop,\ttable', "<script>alert(1)</script>", "=cmd|'/c calc'!A1", "ä\u202eb", 'a\nb,c\r\n"d'):
        said(keeper, 0, label=label)
        assert keeper.read()[0].label == clean_label(label)
        assert len(keeper.read()) == 4


def test_a_file_of_names_keeps_rows_of_other_sets_and_columns_of_others(path, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text("direction,interpretable,label,t_min,t_max,remark\nother/set/x/3,yes,hat,,,mine\n")
    keeper = FileKeeper(names, open_set(path))
    said(keeper, 2, label="smile")
    rows = read_names(names)
    assert rows[0]["direction"] == "other/set/x/3"
    assert rows[0]["remark"] == "mine"
    assert [(row["direction"], row["label"]) for row in rows[1:]] == [("styled/spectrum/convs.0/2", "smile")]


def test_a_file_of_names_of_other_offsets_is_refused(path, tmp_path):
    names = tmp_path / "names.csv"
    write_names(names, [{"direction": "styled/spectrum/convs.0/1", "label": "smile", "offsets": "0" * 16}])
    with pytest.raises(NavbenchError, match="offsets were others"):
        FileKeeper(names, open_set(path)).read()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("name,label\na,b\n", "no column 'direction'"),
        ("direction,label\na/b/c/0,x\na/b/c/0,y\n", "more than once"),
        ("direction,interpretable\nstyled/spectrum/convs.0/0,perhaps\n", "write yes, no, or nothing"),
        ("direction,t_min\nstyled/spectrum/convs.0/0,far\n", "'far', not a number"),
    ],
)
def test_a_broken_file_of_names_is_told(path, tmp_path, content, complaint):
    names = tmp_path / "names.csv"
    names.write_text(content)
    with pytest.raises(NavbenchError, match=complaint):
        FileKeeper(names, open_set(path)).read()


def test_shipped_sets_are_nobodys_own(path):
    shipped = next(iter(library().of("cars")))
    assert shipped.path.is_relative_to(SHIPPED)
    assert not is_own(shipped)
    assert is_own(open_set(path))
    assert isinstance(keeper_of(open_set(path), None), SetKeeper)
    with pytest.raises(NavbenchError, match="--names"):
        keeper_of(shipped, None)


def test_a_file_of_names_goes_into_a_set(path, tmp_path):
    names = tmp_path / "names.csv"
    keeper = FileKeeper(names, open_set(path))
    said(keeper, 0, label="smile", t_max=4.5)
    said(keeper, 2, not_interpretable=True)
    wanted = keeper.read()
    assert apply_names(names, open_set(path)) == 2
    assert SetKeeper(path).read() == wanted


def test_the_command_label_takes_a_name_or_a_file_of_names(path, tmp_path):
    names = tmp_path / "names.csv"
    said(FileKeeper(names, open_set(path)), 1, label="smile")
    run = CliRunner().invoke
    assert "1 directions" in run(main, ["directions", "label", str(path), "--from", str(names)]).output
    assert open_set(path).header["labels"][1] == "smile"
    assert run(main, ["directions", "label", str(path), "0", "hair"]).exit_code == 0
    for wrong in (["0"], [], ["0", "hair", "--from", str(names)]):
        refused = run(main, ["directions", "label", str(path), *wrong])
        assert refused.exit_code == 2
        assert "by its index and a label" in refused.stderr


def test_a_label_that_is_a_formula_is_no_cell_of_one_and_comes_back(tmp_path):
    rows = [{"direction": f"toy/svd/up/{index}", "label": label, "t_min": "-1.0"}
            for index, label in enumerate(("=1+1", "-smile", "@x", "'=x", "-1"))]  # fmt: skip
    write_names(tmp_path / "names.csv", rows)
    content = (tmp_path / "names.csv").read_text(encoding="utf-8")
    assert [line.split(",")[2] for line in content.splitlines()[1:]] == ["'=1+1", "'-smile", "'@x", "''=x", "-1"]
    assert [row["label"] for row in read_names(tmp_path / "names.csv")] == [row["label"] for row in rows]
    assert {row["t_min"] for row in read_names(tmp_path / "names.csv")} == {"-1.0"}
