"""Texts from files are texts: whatever they hold, they steer no terminal, break no line, and compute no cell."""

import csv
import io
import json
import pickle
import unicodedata

import pytest
import torch
from analytic import LinearGenerator
from hypothesis import example, given
from hypothesis import strategies as st
from rich.table import Table

from navbench import tables, texts
from navbench.cli.output import Screen, folding
from navbench.columns import Table as Declared
from navbench.columns import text as column
from navbench.errors import NavbenchError, NavbenchWarning, unknown
from navbench.places import Folder
from navbench.texts import as_json, cell, escaped, file_name, leads_outside, legible, shown, text_of

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\nroot: \u202etxt.exe\ud800\u2028\x9b31m\0"
ANY = st.text(st.characters(codec=None), max_size=60) | st.text("=+-@'\t\r\n 1e.inf\x1b/\\:", max_size=12)


def is_plain(text):
    return not any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for each in text)


@given(ANY, st.integers(10, 80))
@example(HOSTILE, 20)
@example("a" * 1000, 10)
def test_a_shown_text_is_one_plain_line_of_some_length_and_shown_again_it_is_the_same(text, longest):
    once = shown(text, longest)
    assert is_plain(once)
    assert len(once) <= longest
    once.encode()
    assert shown(once, longest) == once
    if is_plain(text) and len(text) <= longest:
        assert once == text


def test_hidden_characters_are_seen_as_python_writes_them():
    assert escaped("a\x1b[1m\n\ud800\u202e\U000e0001") == r"a\x1b[1m\n\ud800\u202e\U000e0001"
    assert escaped("C:\\new Größe 顔 é\xa0…") == "C:\\new Größe 顔 é\xa0…"


def test_an_endless_text_keeps_its_beginning_and_its_end():
    assert shown("begin" + "x" * 10**6 + "end", 20) == "beginxxxxxxxx…xxxend"


@given(ANY)
@example(HOSTILE)
def test_every_message_is_one_plain_line(text):
    for error in (
        NavbenchError(f"{text} cannot be read; fetch it again."),
        NavbenchError(str(NavbenchError(text))),
        unknown("layer", text, [text, "main.6"]),
        NavbenchWarning(text),
        pickle.loads(pickle.dumps(NavbenchError(text))),
    ):
        assert is_plain(str(error))
        assert len(str(error)) <= texts.LONGEST_MESSAGE


def test_what_a_message_lists_is_a_line_each():
    error = NavbenchError("One of:", "a\nb", "c")
    assert str(error) == "One of:\n  a\\nb\n  c"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(ANY)
@example("=1+1")
@example("'=1+1")
@example("'tis")
@example("-")
def test_a_cell_is_no_formula_and_gives_its_text_back(text):
    kept = cell(text)
    assert is_plain(kept)
    assert text_of(kept) == escaped(text)
    if kept[:1] in ("=", "@") or kept[:1] in ("+", "-"):
        assert len(kept) == 1 or float(kept) is not None


@pytest.mark.parametrize("number", ["-1", "+2.5", "-1e-05", "-inf", "nan", "-.5", "0", "-"])
def test_numbers_and_signs_stay_as_they_are(number):
    assert cell(number) == number


@given(ANY, ANY)
def test_a_table_gives_its_texts_back(first, second):
    declared = Declared(
        "told", "a told row", (column("name", "what", empty=True), column("other", "which", empty=True))
    )
    frame = tables._csv(declared, [{"name": first, "other": second}])
    (row,) = csv.DictReader(io.StringIO(frame, newline=""))
    assert [text_of(row[name]) for name in ("name", "other")] == [escaped(first), escaped(second)]


@given(st.recursive(ANY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=3)))
def test_json_is_plain_and_gives_its_texts_back(value):
    assert is_plain(as_json(value).replace("\n", ""))
    assert json.loads(as_json(value, indent=1)) == json.loads(json.dumps(value))
    assert is_plain(json.dumps(legible(value), ensure_ascii=False))


@given(ANY)
@example("../../etc/passwd")
@example("..")
@example("/")
@example("x" * 300)
@example("C:\\Windows")
def test_a_file_name_is_one_name_in_its_folder(text):
    name = file_name(text)
    assert name
    assert not set("/\\\0") & set(name)
    assert name not in (".", "..")
    assert len(name.encode()) <= 180
    assert file_name(name) == name


def test_healthy_names_stay_as_they_are_and_long_ones_stay_apart():
    assert file_name("cars/hybrid/convs.5/10") == "cars-hybrid-convs.5-10"
    assert file_name("x" * 300 + "1") != file_name("x" * 300 + "2")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\\..\\..\\x", "C:\\x", "a\0b", "\\\\server\\x"])
def test_no_name_leads_out_of_a_run_folder(tmp_path, name):
    assert leads_outside(name)
    for use in (Folder(tmp_path / "run").read, Folder(tmp_path / "run").exists):
        with pytest.raises(NavbenchError, match="may lead elsewhere"):
            use(name)
    with pytest.raises(NavbenchError, match="may lead elsewhere"):
        Folder(tmp_path / "run").write(name, b"x")
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["strips/a..b.webp", "a:b", "codes/x-w+.safetensors", "..x", ""])
def test_other_names_are_those_of_files(name):
    assert not leads_outside(name)


@given(ANY)
@example(HOSTILE)
def test_a_terminal_gets_lines_of_plain_text(text):
    written = io.StringIO()
    screen = Screen(file=written, soft_wrap=True, markup=False, emoji=False, highlight=False)
    screen.print(text)
    table = folding("name")
    assert isinstance(table, Table)
    table.add_row(text)
    screen.print(table)
    assert is_plain(written.getvalue().replace("\n", ""))


def test_a_sets_labels_and_provenance_are_read_as_plain_texts(tmp_path):
    from navbench.basis import IdentityBasis
    from navbench.directions import DirectionSet, write_set
    from navbench.library import open_set, set_path

    made = LinearGenerator()
    eye = torch.eye(made.latent_dim)[:2]
    found = DirectionSet(
        made.name, made.fingerprint, "z", None, "random", "identity", IdentityBasis(eye[0].shape), eye,
        -torch.ones(2), torch.ones(2), (HOSTILE, "x" * 5000), 0, provenance={HOSTILE: [HOSTILE]},
    )  # fmt: skip
    write_set(found, tmp_path / "a.safetensors")
    header = open_set(tmp_path / "a.safetensors").header
    assert is_plain(json.dumps(header, ensure_ascii=False))
    assert list(map(len, header["labels"])) == [len(shown(HOSTILE)), 500]
    for set_id in ("../x/svd/z", "x/../../z", "/x/z", "x//z", "x/\0/z"):
        with pytest.raises(NavbenchError, match="plainer name"):
            set_path(tmp_path, set_id)
