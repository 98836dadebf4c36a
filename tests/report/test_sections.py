"""How sections become a page: what is shown, where, and what other packages may add."""

import re
from importlib.metadata import EntryPoint

import pandas as pd
import pytest
from markupsafe import Markup

from navbench import plugins
from navbench.columns import Table as Declaration
from navbench.columns import number, text
from navbench.errors import NavbenchError
from navbench.report import sections
from navbench.report.blocks import (
    Block,
    Cell,
    Chips,
    Details,
    Explorer,
    Frames,
    Header,
    Heading,
    Items,
    Pick,
    Picks,
    Pre,
    Section,
    Sheets,
    Table,
    Terms,
    Words,
)
from navbench.report.html import render, write_report
from navbench.report.tables import load_run
from navbench.report.views import make_table, measured, who_columns
from navbench.tables import TABLES, declare

HEADER = Header("title", "kicker", "heading", "subtitle")


def shown(*made, subject=None):
    """The HTML of a page of sections."""
    return render(HEADER, made, subject)


def anchors(page):
    return re.findall(r'<section id="([^"]*)"', page)


def navigation(page):
    return re.findall(r'<a href="#([^"]*)">', page[page.index("<nav") : page.index("</nav>")])


def write(run, name, rows):
    pd.DataFrame(rows).to_csv(run / "tables" / f"{name}.csv", index=False)


@pytest.mark.parametrize("cars", [False, True])
def test_the_navigation_lists_the_sections_that_are_shown_and_have_a_name_there(make_builder, tmp_path, cars):
    builder = make_builder().add_cars() if cars else make_builder()
    page = write_report(builder.write(tmp_path / "run")).read_text(encoding="utf-8")
    named = {section.anchor for section in sections.all_sections() if section.nav}
    assert navigation(page) == [anchor for anchor in anchors(page) if anchor in named]
    assert ("attributes" in anchors(page)) == ("matched" in anchors(page)) == cars
    assert anchors(page)[:3] == ["answer", "all", "methods"]
    assert anchors(page)[-3:] == ["caveats", "reading", "provenance"]


def test_a_section_without_a_name_in_the_navigation_is_not_listed_there():
    page = shown(Section("a", "A", "a", lambda _: [Words("x")]), Section("b", "B", "", lambda _: [Words("y")]))
    assert anchors(page) == ["a", "b"]
    assert navigation(page) == ["a"]


def test_a_folded_section_shows_its_first_blocks_and_the_rest_behind_a_summary():
    made = sections.folded(lambda _: [Words("one"), Words(""), Words("two"), Words("three")], 2, "More")
    assert list(made(None)) == [Words("one"), Words("two"), Details("More", [Words("three")])]


def test_a_folded_section_without_a_rest_has_no_summary():
    page = shown(Section("a", "A", "a", sections.folded(lambda _: [Words("one")], 1, "More")))
    assert "<summary>" not in page


def test_a_folded_section_without_blocks_says_that_it_has_nothing():
    page = shown(Section("a", "A", "a", sections.folded(lambda _: []), absent="It was not measured."))
    assert '<p class="absent">It was not measured.</p>' in page


def test_a_section_with_nothing_to_show_leaves_no_trace():
    page = shown(Section("full", "Full", "full", lambda _: [Words("something")]),
                 Section("empty", "Empty", "empty", lambda _: []))  # fmt: skip
    assert anchors(page) == navigation(page) == ["full"]
    assert "mpty" not in page


def test_a_section_with_nothing_to_show_says_so_if_it_has_a_sentence():
    page = shown(Section("empty", "Empty", "empty", lambda _: [], absent="It was not measured."))
    assert navigation(page) == ["empty"]
    assert '<p class="absent">It was not measured.</p>' in page


def test_the_sentence_is_not_there_beside_blocks():
    assert "Not measured." not in shown(Section("a", "A", "a", lambda _: [Words("b")], absent="Not measured."))


@pytest.mark.parametrize(
    "block", [Words(""), Items(()), Terms(()), Pre(""), Sheets(()), Table("caption", ("head",), ()),
              Chips(()), Picks(()), Explorer("", 0), Details("summary", ()),
              Details("summary", (Table("caption", ("head",), ()), Words("")))],
)  # fmt: skip
def test_a_block_without_content_is_left_out(block):
    assert anchors(shown(Section("a", "A", "a", lambda _: [block]))) == []


def test_a_heading_may_depend_on_what_the_page_is_of():
    section = Section("a", lambda subject: f"Of {subject}", "a", lambda _: [Words("b")])
    assert "<h2>Of cars</h2>" in shown(section, subject="cars")


def test_text_is_escaped_in_every_kind_of_block_and_its_control_characters_are_seen():
    evil = "<b>\N{RIGHT-TO-LEFT OVERRIDE}&"
    blocks = [
        Words(evil), Heading(evil), Items((evil,)), Terms(((evil, evil),)), Pre(evil), Details(evil, (Words(evil),)),
        Table(evil, (evil,), ((Cell(evil, link=evil, automatic=evil),),), ((evil, 1),)),
        Chips((evil,)), Picks((Pick(evil, evil, evil, ((evil, evil),), Frames(evil, 1, (evil,), 1.0)),)),
    ]  # fmt: skip
    page = shown(Section("a", evil, evil, lambda _: blocks))
    assert "<b>" not in page
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page
    assert page.count(r"&lt;b&gt;\u202e&amp;") == 25


def test_markup_is_the_only_way_to_tags():
    page = shown(Section("a", "A", "a", lambda _: [Words(Markup("<em>x</em> {}").format("<i>"))]))
    assert "<p><em>x</em> &lt;i&gt;</p>" in page


def test_what_is_no_block_is_refused():
    class Stranger(Block):
        def __bool__(self):
            return True

    with pytest.raises(NavbenchError, match=r"cannot show .*navbench\.report\.blocks"):
        shown(Section("a", "A", "a", lambda _: [Stranger()]))


def test_text_of_a_table_is_escaped_on_the_page(make_builder, tmp_path):
    run = make_builder().write(tmp_path / "run")
    path = run / "tables" / "layers.csv"
    pd.read_csv(path).assign(shape="<script>1</script>").to_csv(path, index=False)
    page = write_report(run).read_text(encoding="utf-8")
    assert "&lt;script&gt;1&lt;/script&gt;" in page
    assert "<script>1" not in page


# --- other packages ----------------------------------------------------------------------------------------------


def speeds(page):
    frame = page.tables.table("speeds")
    if len(frame):
        yield make_table(frame, [*who_columns(page.tables, frame), measured("Speed", "speed")], "How fast.")


SPEEDS = Section("speeds", "How fast they are", "Speeds", speeds)
SECOND_ANSWER = Section("answer", "The answer", "Answer", lambda page: ())
NOT_A_SECTION = "speeds"


@pytest.fixture
def plugged(monkeypatch):
    """A function that installs an entry point of this module as a section."""
    who = [text(name, name) for name in ("generator", "method", "layer", "direction", "name")]
    columns = (*who, number("speed", "the speed", stderr="speed_stderr"), number("speed_stderr", "its error"))
    declare(Declaration("speeds", "a direction's speed", columns))

    def install(name):
        point = EntryPoint("speeds", f"{__name__}:{name}", sections.GROUP)
        monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == sections.GROUP else [])

    yield install
    del TABLES.declared["speeds"]


def speed_row():
    return {"generator": "faces", "method": "svd", "layer": "main.6", "direction": 0, "name": "faces/svd/main.6/0",
            "speed": 12.5, "speed_stderr": 0.5}  # fmt: skip


def test_a_section_of_another_package_stands_before_the_limits_and_shows_its_own_table(make_builder, tmp_path, plugged):
    plugged("SPEEDS")
    run = make_builder().write(tmp_path / "run")
    write(run, "speeds", [speed_row()])
    page = write_report(run).read_text(encoding="utf-8")
    assert navigation(page)[-3:] == ["speeds", "caveats", "provenance"]
    assert anchors(page)[-4:] == ["speeds", "caveats", "reading", "provenance"]
    assert "How fast they are</h2>" in page
    assert "12.50 ± 0.50" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert load_run(run).speeds["where"].tolist() == ["main.6"]


def test_a_section_of_another_package_whose_experiment_was_not_run_is_not_there(make_builder, tmp_path, plugged):
    plugged("SPEEDS")
    assert "speeds" not in anchors(write_report(make_builder().write(tmp_path / "run")).read_text(encoding="utf-8"))


def test_a_section_whose_anchor_is_taken_is_refused(make_builder, tmp_path, plugged):
    plugged("SECOND_ANSWER")
    with pytest.raises(NavbenchError, match="two sections 'answer'; the entry point 'speeds'"):
        write_report(make_builder().write(tmp_path / "run"))


def test_an_entry_point_that_gives_no_section_is_told(make_builder, tmp_path, plugged):
    plugged("NOT_A_SECTION")
    with pytest.raises(NavbenchError, match=r"'speeds' of navbench\.sections gives 'speeds', not a Section"):
        write_report(make_builder().write(tmp_path / "run"))


def test_a_table_that_is_not_declared_is_told(make_builder, tmp_path):
    with pytest.raises(NavbenchError, match="Unknown table 'curve'; did you mean 'curves'"):
        load_run(make_builder().write(tmp_path / "run")).table("curve")
    assert not hasattr(load_run(tmp_path / "run"), "curve")
