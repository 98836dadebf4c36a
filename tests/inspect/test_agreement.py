"""Agreement: kappa of tables that were counted by hand, its bootstrap, what is agreed, and the blind sheet."""

import csv
import math
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import number
from PIL import Image

from navbench.cli import main
from navbench.errors import NavbenchError
from navbench.inspect.agreement import (
    INTERPRETABLE,
    NAME,
    by_method,
    consensus_of,
    kappa,
    kappas,
    read_key,
    read_rating,
    read_ratings,
    write_agreed,
)  # fmt: skip
from navbench.inspect.sheet import SheetSettings, blind_order, export_sheet
from navbench.library import open_set
from navbench.naming import FileKeeper, read_names


def table(path, **rows):
    """A table that somebody filled in: by id 'yes', 'no', '' or a name."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "interpretable", "label"))
        for each, said in rows.items():
            is_verdict = said in ("yes", "no", "")
            writer.writerow((each, said if is_verdict else "yes", "" if is_verdict else said))
    return path


def counted(both, first, second, none):
    """Answers of two people, by how many times both, one or none of them said yes."""
    pairs = [(True, True)] * both + [(True, False)] * first + [(False, True)] * second + [(False, False)] * none
    return [{str(place): pair[who] for place, pair in enumerate(pairs)} for who in (0, 1)]


@pytest.mark.parametrize(
    ("counts", "agreed", "value"),
    [
        ((20, 5, 10, 15), 0.7, 0.4),  # by chance 0.5 · 0.6 + 0.5 · 0.4 = 0.5
        ((45, 15, 25, 15), 0.6, 0.06 / 0.46),  # by chance 0.6 · 0.7 + 0.4 · 0.3 = 0.54
        ((25, 35, 5, 35), 0.6, 0.14 / 0.54),  # by chance 0.6 · 0.3 + 0.4 · 0.7 = 0.46
        ((10, 0, 0, 10), 1.0, 1.0),
        ((0, 10, 10, 0), 0.0, -1.0),
    ],
)
def test_kappa_is_that_of_tables_counted_by_hand(counts, agreed, value):
    found = kappa("a", "b", INTERPRETABLE, *counted(*counts), seed=0)
    assert found.n == sum(counts)
    assert found.agreed == pytest.approx(agreed)
    assert found.value == pytest.approx(value)
    assert found.low <= found.value <= found.high


def test_the_bootstrap_is_that_of_the_asymptotic_error_and_depends_on_the_seed_only():
    answers = counted(80, 20, 40, 60)
    found = kappa("a", "b", INTERPRETABLE, *answers, seed=3)
    assert found == kappa("a", "b", INTERPRETABLE, *answers, seed=3)
    assert found.low != kappa("a", "b", INTERPRETABLE, *answers, seed=4).low
    # Fleiss, Cohen & Everitt 1969, for two answers: shares of the table, and its margins
    (aa, ab), (ba, bb) = ((0.4, 0.1), (0.2, 0.3))
    rows, columns = (aa + ab, ba + bb), (aa + ba, ab + bb)
    by_chance = rows[0] * columns[0] + rows[1] * columns[1]
    value = (aa + bb - by_chance) / (1 - by_chance)
    diagonal = sum(
        p * (1 - (r + c) * (1 - value)) ** 2 for p, r, c in ((aa, rows[0], columns[0]), (bb, rows[1], columns[1]))
    )
    beside = (1 - value) ** 2 * (ab * (columns[0] + rows[1]) ** 2 + ba * (columns[1] + rows[0]) ** 2)
    variance = (diagonal + beside - (value - by_chance * (1 - value)) ** 2) / (200 * (1 - by_chance) ** 2)
    assert found.value == pytest.approx(value)
    assert found.stderr == pytest.approx(math.sqrt(variance), rel=0.1)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * math.sqrt(variance), rel=0.15)


def test_kappa_of_one_answer_alone_is_undefined_and_not_perfect():
    found = kappa("a", "b", INTERPRETABLE, *counted(10, 0, 0, 0), seed=0)
    assert found.agreed == 1
    assert math.isnan(found.value)
    assert math.isnan(found.stderr)
    empty = kappa("a", "b", NAME, {}, {}, seed=0)
    assert empty.n == 0
    assert math.isnan(empty.value)


def test_only_strips_that_both_answered_count_and_names_in_any_case(tmp_path):
    ann = read_rating(table(tmp_path / "ann.csv", a="Smile", b="hair", c="no", d="yes", e="", f="x"))
    bob = read_rating(table(tmp_path / "bob.csv", a="smile", b="Hat", c="no", d="glow", e="no"))
    verdicts, names = kappas([ann, bob], seed=0)
    assert (verdicts.question, verdicts.n, verdicts.value) == (INTERPRETABLE, 4, 1.0)
    assert (names.question, names.n, names.agreed) == (NAME, 2, 0.5)


def test_three_people_are_three_pairs(tmp_path):
    ratings = read_ratings([table(tmp_path / f"{who}.csv", a="smile", b="no", c="no") for who in ("x", "y", "z")])
    found = list(kappas(ratings, seed=0))
    assert [(each.first, each.second) for each in found[::2]] == [("x", "y"), ("x", "z"), ("y", "z")]


def test_what_is_agreed_is_what_more_than_half_say(tmp_path):
    ratings = read_ratings(
        [
            table(tmp_path / "x.csv", a="Smile", b="no", c="hair", d="yes", e="no", f="hat", g="alone"),
            table(tmp_path / "y.csv", a="smile", b="no", c="beard", d="yes", e="hat", f="hat"),
            table(tmp_path / "z.csv", a="Smile", b="hat", c="chin", d="glow", e="no", f="no"),
        ]
    )
    found = {each: (consensus.interpretable, consensus.label) for each, consensus in consensus_of(ratings).items()}
    assert found == {
        "a": (True, "Smile"), "b": (False, ""), "c": (True, ""), "d": (True, ""), "e": (False, ""), "f": (True, "hat"),
        "g": (None, ""),
    }  # fmt: skip
    two = consensus_of(ratings[:2])
    assert [(two[each].interpretable, two[each].label) for each in "ace"] == [(True, "Smile"), (True, ""), (None, "")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("id,interpretable,label\n1,no,smile\n", "is not interpretable and has the name 'smile'"),
        ("id,interpretable,label\n1,,\n", "says nothing of any strip"),
        ("id,interpretable,label\n1,yes,\n1,no,\n", "more than once"),
        ("direction,label\na,b\n", "no column 'id'"),
        ("id,interpretable\n1,maybe\n", "write yes, no, or nothing"),
    ],
)
def test_a_table_that_is_none_is_told(tmp_path, content, complaint):
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(NavbenchError, match=complaint):
        read_rating(path)


def test_one_table_alone_or_tables_of_two_sheets_are_refused(tmp_path):
    one, other = table(tmp_path / "x.csv", a="no"), table(tmp_path / "y.csv", b="no")
    with pytest.raises(NavbenchError, match="two or more tables"):
        read_ratings([one])
    with pytest.raises(NavbenchError, match="no strip in common"):
        read_ratings([one, other])


# --- the sheet ---------------------------------------------------------------------------------------------------


@pytest.fixture
def sheet(session, tmp_path):
    export_sheet(session, tmp_path / "sheet", SheetSettings(codes=2, shifts=3, seed=5), lambda *_: None)
    return tmp_path / "sheet"


def test_the_sheet_names_no_method_no_layer_and_no_shift(session, sheet):
    assert sorted(path.name for path in sheet.iterdir()) == ["names.csv", "sheet.html"]
    for path in sheet.iterdir():
        words = re.sub(r"base64,[A-Za-z0-9+/=]+", "", path.read_text())
        assert not re.search("spectrum|ganspace|convs|styled|t_min|t_max", words)
    key = read_key(sheet.with_name("sheet-key.csv"))
    assert {row["direction"] for row in key.values()} == set(session.shelf.names)
    assert [row["id"] for row in read_names(sheet / "names.csv", "id")] == list(key)


def test_the_order_is_random_and_the_seeds(session, sheet, tmp_path):
    names = [row["direction"] for row in read_key(sheet.with_name("sheet-key.csv")).values()]
    assert names != session.shelf.names
    assert names == [session.shelf.names[place] for place in blind_order(16, 5)[0]]
    assert blind_order(16, 5) == blind_order(16, 5)
    assert blind_order(16, 5)[0] != blind_order(16, 6)[0]
    export_sheet(session, tmp_path / "again", SheetSettings(2, 3, 5), lambda *_: None)
    for name in ("sheet.html", "names.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (sheet / name).read_bytes()


def test_strips_are_of_the_directions_that_the_key_names(session, sheet):
    pictures = re.findall(r'data-id="(S\d+)".*?base64,([^"]+)', (sheet / "sheet.html").read_text())
    assert len(pictures) == len(session.shelf)
    height, width = session.generator.size
    assert {Image.open(BytesIO(b64decode(each))).size for _, each in pictures} == {(3 * width, 2 * height)}


def test_no_id_is_a_number_that_a_spreadsheet_would_write_in_another_way():
    for count in (3, 16, 1200):
        ids = blind_order(count, 5)[1]
        assert len(set(ids)) == count
        assert ids == sorted(ids)
        assert not any(each.isdigit() for each in ids)


def test_answers_are_kept_by_the_strips_of_a_sheet_and_their_order(session, sheet, tmp_path):
    def kept_under(folder):
        return re.search(r'<main data-sheet="([0-9a-f]{16})">', (folder / "sheet.html").read_text())[1]

    export_sheet(session, tmp_path / "same", SheetSettings(2, 3, 5), lambda *_: None)
    export_sheet(session, tmp_path / "other", SheetSettings(2, 3, 6), lambda *_: None)
    assert kept_under(tmp_path / "same") == kept_under(sheet) != kept_under(tmp_path / "other")


def test_a_sheet_is_written_into_the_folder_that_one_is_in(session, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    key = export_sheet(session, Path("."), SheetSettings(1, 3), lambda *_: None)
    assert key == tmp_path / "here-key.csv"
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"names.csv", "sheet.html"}


def test_a_sheet_shows_the_range_that_was_saved(session, tmp_path):
    changed = number(session, "styled/spectrum/convs.0/0")
    session.journal.save(changed, {"t_max": 0.5}, {}, "one")
    export_sheet(session, tmp_path / "sheet", SheetSettings(1, 3), lambda *_: None)
    key = read_key(tmp_path / "sheet-key.csv").values()
    assert next(row["t_max"] for row in key if row["direction"] == session.shelf.names[changed]) == "0.5"


def test_a_sheet_or_a_key_that_is_there_is_not_replaced(session, sheet):
    for folder in (sheet, sheet.parent):
        with pytest.raises(NavbenchError, match="is there already"):
            export_sheet(session, folder, SheetSettings(1, 3), lambda *_: None)


def test_agreed_names_go_from_the_sheet_into_a_file_that_inspect_understands(opened, session, sheet, tmp_path):
    key = read_key(sheet.with_name("sheet-key.csv"))
    ids = {row["direction"]: each for each, row in key.items()}
    one, two, three = (ids[f"styled/spectrum/convs.0/{index}"] for index in range(3))
    for who, label in (("ann", "Smile"), ("bob", "smile")):
        table(tmp_path / f"{who}.csv", **{one: label, two: "no", three: who})
    found = consensus_of(read_ratings([tmp_path / "ann.csv", tmp_path / "bob.csv"]))
    assert write_agreed(tmp_path / "agreed.csv", found, key) == 2
    again = opened(names=tmp_path / "agreed.csv").journal.namings()
    places = [number(session, key[each]["direction"]) for each in (one, two, three)]
    assert [again[place].label for place in places] == ["Smile", "", ""]
    assert [again[place].not_interpretable for place in places] == [False, True, False]
    counts = by_method(found, key)
    assert dict(counts["styled/spectrum/convs.0"]) == {"directions": 4, "interpretable": 2, "names": 1}
    assert dict(counts["styled/ganspace/w"]) == {"directions": 4, "interpretable": 0, "names": 0}
    with pytest.raises(NavbenchError, match="there already"):
        write_agreed(tmp_path / "agreed.csv", found, key)
    with pytest.raises(NavbenchError, match="of another sheet"):
        write_agreed(tmp_path / "other.csv", {"zz": found[one]}, key)


def test_the_commands_write_a_sheet_and_the_agreement(sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    own = ["--directions", str(sets), "--generator", "analytic:styled"]
    done = run(main, ["inspect", "styled/spectrum", "--export", "sheet", "--rows", "1", "--shifts", "3", *own])
    assert done.exit_code == 0, done.output
    assert "Sheet of 8 strips" in done.output
    key = read_key(tmp_path / "sheet-key.csv")
    ids = list(key)
    table(tmp_path / "ann.csv", **dict.fromkeys(ids[1:], "no"), **{ids[0]: "smile"})
    table(tmp_path / "bob.csv", **dict.fromkeys(ids[1:], "no"), **{ids[0]: "Smile"})
    done = run(
        main, ["inspect", "--agreement", "ann.csv", "bob.csv", "--key", "sheet-key.csv", "--names", "agreed.csv"]
    )
    assert done.exit_code == 0, done.output
    assert "1 of 8 strips have an agreed name, 7 are agreed to be not interpretable" in done.output
    assert "1.00" in done.output
    file = open_set(sets / f"{key[ids[0]]['direction'].rpartition('/')[0]}.safetensors")
    index = int(key[ids[0]]["direction"].rpartition("/")[2])
    assert FileKeeper(tmp_path / "agreed.csv", file).read()[index].label.lower() == "smile"
    refused = run(main, ["inspect", "--agreement", "ann.csv", "bob.csv", "--names", "other.csv"])
    assert refused.exit_code == 2
    assert "--key" in refused.stderr
