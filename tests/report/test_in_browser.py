"""The page in a browser: what a reader sees, moves and finds, by mouse and by keyboard."""

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from navbench.declared.shared import IMITATORS, SHARES
from navbench.report.html import write_report
from navbench.texts import text_of

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install navbench[test]"
)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here: apt install chromium")

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
MOST_WORDS, MOST_PAGES = 2500, 20
NAME = "faces/svd/main.9/2"
MINUS = "cars/svd/convs.3/1"
"""The direction whose label has a minus sign."""
FORMULA = "faces/hybrid/main.9/1"
"""The one whose label a spreadsheet would compute."""
CUT = """() => [...document.querySelectorAll(".scroll")].filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.getAttribute("aria-label"))"""
LEFTS = """() => [...document.querySelectorAll("#explorer .tile .frame img")]
  .map((image) => parseFloat(getComputedStyle(image).left))"""
NAMES = """() => [...document.querySelectorAll("#explorer .tile")].map((tile) => tile.dataset.name)"""
UNFOLD = """() => document.querySelectorAll("details").forEach((each) => { each.open = true; })"""


@pytest.fixture(scope="session")
def report(make_builder: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 60 directions, more than are drawn at once, and of methods with all their numbers."""
    builder = make_builder(("main.6", "main.9"), measured=1, found=5, size=32).add_cars().add_limits()
    for name in ("directions", "methods"):
        for row in builder.tables[name]:
            row["is_control"] = row["method"] == "random"
            if row.get("name") == FORMULA:
                row["label"] = "=1+1"
            if row.get("name") == MINUS:
                row["auto_label"] = "tone \N{MINUS SIGN}"
    for row in builder.tables["methods"]:
        row |= {f"{share}_mean{end}": 0.9123 for share in SHARES for end in ("", "_stderr")}
        row |= {f"unexplained_fraction_{kind}_mean": 0.8123 for kind in IMITATORS}
        row |= {"control": "random", "status": "not converged" if row["method"] == "optimization" else "converged"}
    return write_report(builder.write(tmp_path_factory.mktemp("browser") / "run"))


@pytest.fixture(scope="session")
def data(report: Path, explorer_data: Callable) -> dict:
    return explorer_data(report.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def browser() -> Iterator:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def visit(browser, report: Path) -> Iterator[Callable]:
    """A function that opens the page at a fragment, with settings of the browser.

    When the test is over, the page must have told the console nothing, and asked for nothing but itself.
    """
    contexts, told, asked = [], [], []

    def visit(fragment: str = "", **settings: object):
        contexts.append(browser.new_context(**{"viewport": WIDE, **settings}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{report.as_uri()}{fragment}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert told == []
    assert {url.partition("#")[0] for url in asked if not url.startswith(("data:", "blob:"))} <= {report.as_uri()}


@pytest.fixture
def page(visit: Callable):
    return visit()


def part(page, role: str):
    """An element of the explorer by its role."""
    return page.locator(f'#explorer [data-role="{role}"]')


def names(page) -> list[str]:
    """The directions whose tiles are there, in their order."""
    return page.evaluate(NAMES)


def chosen(page) -> str:
    """The direction that the panel shows."""
    return part(page, "panel").locator("h3").inner_text()


def unfold_filters(page) -> None:
    page.locator("#explorer .filters > summary").click()


# --- the explorer ------------------------------------------------------------------------------------------------


def test_the_slider_moves_every_picture(page) -> None:
    before = page.evaluate(LEFTS)
    part(page, "t").fill("0")
    after = page.evaluate(LEFTS)
    assert len(before) == len(after) == len(names(page)) > 0
    assert all(left < 0 for left in before)
    assert set(after) == {0}
    assert part(page, "share").inner_text() == "\N{MINUS SIGN}100 %"


def test_a_picture_is_one_frame_of_its_strip(page) -> None:
    image = page.locator("#explorer .tile .frame img").first
    image.scroll_into_view_if_needed()
    frame, strip = image.locator("xpath=..").bounding_box(), image.bounding_box()
    assert strip["width"] == pytest.approx(7 * frame["width"], rel=0.01)
    assert strip["height"] == pytest.approx(4 * frame["height"], rel=0.01)
    page.wait_for_function("image => image.complete && image.naturalWidth === 7 * 32", arg=image.element_handle())


def test_another_code_moves_every_picture_to_its_row(page) -> None:
    image = page.locator("#explorer .tile .frame img").first
    before = image.evaluate("image => getComputedStyle(image).top")
    part(page, "code").select_option("2")
    assert image.evaluate("image => getComputedStyle(image).top") != before


def test_filters_keep_what_they_say(page) -> None:
    unfold_filters(page)
    page.locator('#explorer [data-filter="generator"]').select_option("cars")
    assert part(page, "count").inner_text() == "20 of 60 directions"
    page.locator('#explorer [data-filter="method"]').select_option("svd")
    assert sorted(names(page)) == [f"cars/svd/convs.3/{index}" for index in range(5)]
    part(page, "reset").click()
    assert part(page, "count").inner_text() == "60 of 60 directions"


def test_controls_can_be_left_out(page) -> None:
    unfold_filters(page)
    part(page, "controls").uncheck()
    assert part(page, "count").inner_text() == "55 of 60 directions"


def test_a_range_of_a_number_keeps_what_lies_in_it(page) -> None:
    unfold_filters(page)
    part(page, "number").select_option("within")
    part(page, "low").fill("0.05")
    assert {name.split("/")[1] for name in names(page)} == {"spectrum", "hybrid"}
    part(page, "high").fill("0.08")
    assert {name.split("/")[1] for name in names(page)} == {"spectrum"}


def test_what_is_nowhere_is_said_to_be(page) -> None:
    part(page, "search").fill("nothing like this")
    assert names(page) == []
    assert part(page, "none").is_visible()


def test_the_search_finds_labels_and_names(page) -> None:
    part(page, "search").fill("opens mouth")
    assert sorted(names(page)) == ["faces/hybrid/main.6/0", "faces/hybrid/main.9/0"]
    part(page, "search").fill("CARS svd")
    assert len(names(page)) == 5


def test_the_search_finds_a_minus_as_it_is_typed(page) -> None:
    for typed in ("tone -", "TONE \N{MINUS SIGN}"):
        part(page, "search").fill(typed)
        assert names(page) == [MINUS]


def test_sorting_keeps_generators_apart_and_turns_round(page, data: dict) -> None:
    place = [key for key, *_ in data["numbers"]].index("kid")
    known = {row["name"]: row["numbers"][place] for row in data["rows"]}
    controls = {row["name"] for row in data["rows"] if row.get("control")}
    part(page, "sort").select_option("kid")
    for is_reversed in (False, True):
        draw_all(page)
        shown = names(page)
        assert [name.partition("/")[0] for name in shown] == ["faces"] * 40 + ["cars"] * 20
        for part_of in (shown[:40], shown[40:]):
            order = [(name in controls, -known[name] if is_reversed else known[name]) for name in part_of]
            assert order == sorted(order)
        part(page, "turn").click()


def draw_all(page) -> None:
    while part(page, "more").is_visible():
        part(page, "more").click()


def test_more_are_drawn_on_demand(page) -> None:
    first = names(page)
    assert 0 < len(first) < 60
    part(page, "more").click()
    assert names(page)[: len(first)] == first
    draw_all(page)
    assert len(set(names(page))) == 60


def test_a_chosen_direction_stands_in_the_panel_with_its_curve_and_its_address(page) -> None:
    part(page, "search").fill(NAME)
    page.locator(f'.tile[data-name="{NAME}"]').click()
    assert chosen(page) == NAME
    assert part(page, "panel").locator("canvas").is_visible()
    assert f"--direction {NAME}" in part(page, "panel").inner_text()
    assert page.url.partition("#")[2].startswith(f"{NAME}@")


def test_up_to_three_pins_are_compared_in_one_chart(page) -> None:
    first = names(page)[:4]
    for place, name in enumerate(first):
        page.locator(f'.tile[data-name="{name}"]').click()
        part(page, "pin").click()
        assert part(page, "pins").locator(".pinned").count() == min(place + 1, 3)
    assert part(page, "pins").locator(".pinned b").all_inner_texts() == first[1:]
    marked = page.locator('#explorer .tile:has-text("· pinned")')
    assert [each.get_attribute("data-name") for each in marked.all()] == first[1:]
    assert part(page, "pins").locator(".overlay canvas").is_visible()
    part(page, "pins").locator("button").first.click()
    assert part(page, "pins").locator(".pinned b").all_inner_texts() == first[2:]


def test_a_permalink_opens_what_it_names_at_its_t(visit: Callable) -> None:
    page = visit(f"#{NAME}@-20")
    assert chosen(page) == NAME
    low = -31 * (1 + 2 / 7)
    assert part(page, "t").input_value() == "1"  # of 0 to 6, 3 being t = 0: the nearest frame to half of the way down
    assert page.url.endswith(f"#{NAME}@-20")  # as it was given, until t is moved
    part(page, "t").press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    assert float(page.url.partition("@")[2]) == pytest.approx(2 / 3 * low, rel=0.01)
    assert page.locator('.tile[aria-pressed="true"]').get_attribute("data-name") == NAME


@pytest.mark.parametrize("words", ["-", "e", "1e999", "1.2.3"])
def test_a_permalink_at_no_number_opens_its_direction_where_t_is(visit: Callable, words: str) -> None:
    page = visit(f"#{NAME}@{words}")
    assert chosen(page) == NAME
    assert part(page, "share").inner_text() == "+100 %"
    assert all(left == left for left in page.evaluate(LEFTS))


def test_a_permalink_opens_a_direction_that_is_not_drawn_yet(visit: Callable) -> None:
    page = visit()
    first = names(page)
    draw_all(page)
    last = names(page)[-1]
    assert last not in first
    assert chosen(visit(f"#{last}")) == last


def test_a_link_on_the_page_opens_its_direction(page) -> None:
    link = page.locator("#answer .card h3 a").first
    name = link.inner_text()
    link.click()
    assert chosen(page) == name


def test_a_permalink_to_nothing_leaves_what_is_recommended(visit: Callable) -> None:
    for fragment in ("", "#faces/none/main.6/0@1", "#%"):
        opened = visit(fragment)
        assert chosen(opened) == opened.locator("#answer .lead a").first.inner_text()


# --- by keyboard alone -------------------------------------------------------------------------------------------


def test_keys_go_to_the_next_and_the_last_and_pin(page) -> None:
    start = names(page).index(chosen(page))
    first, second = names(page)[start + 1 : start + 3]
    for key, name in (("j", first), ("j", second), ("k", first)):
        page.keyboard.press(key)
        assert chosen(page) == name
    page.keyboard.press("p")
    assert part(page, "pins").locator(".pinned b").inner_text() == first
    page.keyboard.press("Escape")
    assert part(page, "panel").locator("h3").count() == 0


def test_arrows_move_t_wherever_the_focus_is(page) -> None:
    most = int(part(page, "t").input_value())
    page.keyboard.press("ArrowLeft")
    assert int(part(page, "t").input_value()) == most - 1
    page.keyboard.press("ArrowRight")
    assert int(part(page, "t").input_value()) == most
    part(page, "t").focus()
    page.keyboard.press("ArrowLeft")
    assert int(part(page, "t").input_value()) == most - 1


def test_a_slash_finds_and_what_is_typed_there_is_no_command(page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("jp")
    assert part(page, "search").input_value() == "jp"
    assert part(page, "pins").is_hidden()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement === document.body")


def test_tabs_reach_the_tiles_and_enter_chooses(page) -> None:
    part(page, "search").focus()
    name = None
    while not name and page.evaluate("document.activeElement !== document.body"):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.dataset.name")
    assert name == names(page)[0]
    page.keyboard.press("Enter")
    assert chosen(page) == name
    assert page.evaluate("document.activeElement.dataset.name") == name


def test_pinning_by_keyboard_keeps_the_focus(page) -> None:
    tile = page.locator("#explorer .tile").first
    name = tile.get_attribute("data-name")
    tile.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("p")
    assert page.evaluate("document.activeElement.dataset.name") == name
    part(page, "pin").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.role") == "pin"


def test_the_first_tab_offers_to_skip_to_the_content(page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"


# --- what is taken away ------------------------------------------------------------------------------------------


def test_the_csv_is_what_is_shown(page, data: dict) -> None:
    part(page, "search").fill("hybrid main.9")
    unfold_filters(page)
    with page.expect_download() as waiting:
        part(page, "csv").click()
    assert waiting.value.suggested_filename == "directions.csv"
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == names(page)
    records = {row["name"]: row for row in data["rows"]}
    for row in rows:
        known = records[row["name"]]
        numbers = [float(row[key]) if row[key] else None for key, *_ in data["numbers"]]
        assert numbers == known["numbers"]
        assert [float(row[end]) for end in ("t_min", "t_max")] == pytest.approx(known["t"])
        assert text_of(row["label"]) == known.get("label", "")
    assert [row["label"] for row in rows if row["name"] == FORMULA] == ["'=1+1"]


def test_the_print_is_short(page) -> None:
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", page.pdf())) <= MOST_PAGES


# --- schemes, sizes, and readers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_the_page_follows_the_scheme(visit: Callable, scheme: str, is_dark: bool) -> None:
    page = visit(color_scheme=scheme)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", colour)[:3])) < 3 * 128) == is_dark


@pytest.mark.parametrize("fragment", ["", f"#{NAME}"])
def test_a_phone_does_not_scroll_the_page_sideways(visit: Callable, fragment: str) -> None:
    page = visit(fragment, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_no_table_or_chart_is_cut_on_a_desk(page) -> None:
    page.evaluate(UNFOLD)
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDE["width"]


def test_the_page_is_short_before_anything_is_unfolded(page) -> None:
    assert len(page.evaluate("document.body.innerText").split()) <= MOST_WORDS


def test_without_scripts_the_answer_is_there_and_a_sentence_tells_what_is_not(visit: Callable) -> None:
    page = visit(java_script_enabled=False)
    assert page.locator("noscript p").inner_text().startswith("The explorer of 60 directions needs JavaScript")
    assert page.locator("#answer .card").count() > 0
    assert page.locator("#answer .card .frame").first.is_visible()
    assert page.locator("#explorer").is_hidden()


def test_the_pictures_of_the_answer_move_unless_motion_is_unwelcome(visit: Callable) -> None:
    moving = "() => document.getAnimations().length"
    assert visit(reduced_motion="no-preference").evaluate(moving) > 0
    assert visit(reduced_motion="reduce").evaluate(moving) == 0


def test_the_pictures_of_the_answer_can_be_held_still(visit: Callable) -> None:
    page = visit(reduced_motion="no-preference")
    for box in page.locator("#answer .hold input").all():
        box.check()
    assert set(page.evaluate("document.getAnimations().map((each) => each.playState)")) == {"paused"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["1440", "390"])
def test_axe_finds_nothing_serious(visit: Callable, scheme: str, viewport: dict) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed: pip install navbench[test]"
    )
    page = visit(f"#{NAME}", viewport=viewport, color_scheme=scheme, bypass_csp=True)
    page.keyboard.press("p")
    page.evaluate(UNFOLD)
    found = [each for each in axe.Axe().run(page).response["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], node["target"]) for each in found for node in each["nodes"]] == []
