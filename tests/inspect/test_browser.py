"""The page in a real browser, by keyboard and by mouse; skipped where there is no Chromium or Playwright."""

import shutil
import threading
import time

import pytest
import uvicorn
from conftest import photo_file

from navbench.inspect.frames import Frames, render_on
from navbench.inspect.server import application, listening
from navbench.library import open_set

driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
TOKEN, SECONDS = "a-token", 60


@pytest.fixture(scope="module")
def browser():
    with driver.sync_playwright() as play:
        launched = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def session(opened, generator, tmp_path):
    """With a photo, too."""
    return opened(codes=(photo_file(generator, tmp_path, "w+"),))


@pytest.fixture
def address(session):
    """Where a session is served, in a thread."""
    with listening(0) as opened:
        port = opened.getsockname()[1]
        app = application(session, Frames(render_on(session.bench)), TOKEN, port)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        yield f"http://127.0.0.1:{port}/?token={TOKEN}"
        server.should_exit = True
        thread.join(SECONDS)


class Tab:
    """A tab with the page, and what it complained of."""

    def __init__(self, context, address):
        self.page, self.complaints = context.new_page(), []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._watch)
        self.home = address.partition("?")[0]
        self.page.goto(address)
        self.until(lambda: "ms" in self.text("#timing"))

    def _watch(self, request):
        if not request.url.startswith((self.home, "data:", "blob:")):
            self.complaints.append(f"asked {request.url}")

    def until(self, holds):
        """Wait for something to hold; the page's policy admits no polling within it."""
        end = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < end, self.page.inner_text("body")
            time.sleep(0.05)

    def text(self, selector):
        return self.page.inner_text(selector)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def shown(self):
        """What the first frame says that it shows."""
        return self.page.get_attribute("#frames canvas", "aria-label") or ""

    def pixels(self):
        return self.page.evaluate("document.querySelector('#frames canvas').toDataURL()")

    def evaluate(self, script):
        return self.page.evaluate(script)


@pytest.fixture
def tab(browser, address):
    """A function that opens a tab; at the end none has complained of anything."""
    opened = []

    def open_tab(width=1440, height=900, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        opened.append((context, Tab(context, address)))
        return opened[-1][1]

    yield open_tab
    for context, each in opened:
        assert each.complaints == []
        context.close()


def labels(sets):
    return open_set(sets / "styled/ganspace/w.safetensors").header["labels"]


def test_directions_are_named_by_keyboard_alone(tab, sets):
    page = tab()
    assert page.text("#progress") == "0 of 16 named"
    page.press("l")
    page.page.keyboard.type("smile")
    page.press("Enter")
    page.page.keyboard.type("<b>hair</b>")
    page.press("Enter", "Escape", "x")
    page.until(lambda: page.text("#progress") == "3 of 16 named, 1 of them not interpretable")
    assert labels(sets) == ["smile", "<b>hair</b>", "", ""]
    assert open_set(sets / "styled/ganspace/w.safetensors").header["not_interpretable"] == [2]
    assert page.evaluate("document.querySelectorAll('#items li b b').length") == 0
    page.press("u")
    page.until(lambda: page.text("#progress") == "2 of 16 named")
    page.press("u")
    page.until(lambda: page.text("#progress") == "1 of 16 named")
    assert labels(sets) == ["smile", "", "", ""]
    assert page.text("#title") == "no name yet"


def test_t_moves_the_frames_and_zero_is_the_generator_itself(tab):
    page = tab()
    at_end = page.pixels()
    page.press("ArrowLeft", "ArrowLeft")
    page.until(lambda: page.pixels() != at_end)
    page.press("Space")
    assert page.page.get_attribute("#unshifted", "aria-pressed") == "true"
    page.until(lambda: page.shown().endswith("w/0 at t = 0"))
    unshifted = page.pixels()
    assert unshifted != at_end
    page.press("Space", "]")
    page.until(lambda: page.pixels() == at_end)
    page.press("j", "0")
    page.until(lambda: page.shown().endswith("w/1 at t = 0"))
    assert page.pixels() == unshifted


def test_a_range_is_set_by_key_by_mouse_and_by_typing(tab, session):
    page = tab()
    before = session.journal.namings()[0]
    for _ in range(4):
        page.press("ArrowLeft")
    page.press("e")
    page.until(lambda: session.journal.namings()[0].t_max < before.t_max)
    assert session.journal.namings()[0].t_min == before.t_min
    box = page.page.locator("#low").bounding_box()
    share = page.evaluate("(Number(low.value) + 200) / 199")
    grip = (box["x"] + 6 + share * (box["width"] - 12), box["y"] + box["height"] / 2)
    page.page.mouse.move(*grip)
    page.page.mouse.down()
    page.page.mouse.move(grip[0] + 40, grip[1], steps=4)
    page.page.mouse.up()
    page.until(lambda: session.journal.namings()[0].t_min > before.t_min)
    page.page.fill("#high-typed", "7.25")
    page.press("Enter")
    page.until(lambda: session.journal.namings()[0].t_max == 7.25)


def test_a_stack_of_four_and_no_more(tab):
    page = tab()
    for _ in range(3):
        page.press("s")
    assert page.page.locator(".stacked").count() == 3
    assert page.page.is_disabled("#stack-this")
    page.press("s")
    assert page.page.locator(".stacked").count() == 3
    assert "with=styled/ganspace/w/0@" in page.page.url
    page.until(lambda: "and styled/ganspace/w/3" in page.shown())
    page.page.click(".stacked >> nth=0 >> text=Take out")
    assert page.page.locator(".stacked").count() == 2


def test_the_address_brings_back_what_was_looked_at(tab):
    page = tab()
    page.press("j", "s", "j", "n", "ArrowLeft")
    page.until(lambda: page.evaluate("state.codes[0]") == "s0.6")
    address, state = page.page.url, page.evaluate("[state.number, state.t, state.kept, state.codes]")
    assert TOKEN not in address
    page.page.reload()
    page.until(lambda: page.text("#timing") != "" and page.evaluate("state.info !== null"))
    assert page.evaluate("[state.number, state.t, state.kept, state.codes]") == state


def test_search_and_filters_shorten_the_list(tab):
    page = tab()
    page.press("/")
    page.page.keyboard.type("convs.1")
    assert page.text("#count") == "4 of 16 directions"
    page.press("Enter")
    assert page.text("#subtitle").startswith("styled/spectrum/convs.1/0")
    page.page.fill("#search", "nothing at all")
    assert "No direction is like that" in page.text("#items")
    page.page.fill("#search", "")
    page.page.select_option("#by-state", "named")
    assert page.text("#count") == "0 of 16 directions"


def test_the_earlier_of_two_tabs_is_told_that_it_was_replaced(tab, session):
    first, second = tab(), tab()
    for page, name in ((first, "smile"), (second, "grin")):
        page.press("l")
        page.page.keyboard.type(name)
        page.press("Enter")
        page.until(lambda name=name: session.journal.namings()[0].label == name)
    second.until(lambda: "what you said has replaced that" in second.text("#notices"))
    first.until(lambda: "was changed elsewhere after you had saved it: it is now “grin”" in first.text("#notices"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_page_without_scrolling_sideways(tab, scheme):
    page = tab(390, 844, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
    assert dark == (scheme == "dark")


def test_a_photo_is_edited_beside_the_codes_and_a_direction_that_cannot_says_so(tab):
    page = tab()
    page.page.select_option("#photo", "p0")
    page.until(lambda: page.shown().startswith("ann (w+) under styled/ganspace/w/0"))
    assert page.page.locator("#frames canvas").count() == 7
    page.page.fill("#search", "ganspace/z")
    page.press("Enter")
    page.until(lambda: "does not move photo 'ann', projected into w+." in page.text("#frames"))
    assert "400" in page.complaints.pop()  # the browser's own line for that answer
    page.page.click("[aria-label='Leave out ann (w+)']")
    page.until(lambda: page.shown().startswith("seed 0, 0 under styled/ganspace/z/0"))
    assert page.page.locator("#frames .wrong").count() == 0
