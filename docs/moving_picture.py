"""The moving picture at the top of the README: the explorer of a report as its slider goes to and fro.

    python docs/moving_picture.py reports/quick docs/pictures/explorer.webp

Needs the extra `test` and a Chromium.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

SIZE = {"width": 1180, "height": 720}
SHOWN = (900, 549)
"""Of the browser's window, and of the picture, in pixels."""
QUALITY, FRAME_MS, HELD_MS = 62, 220, 900


def frames(page: Page) -> list[Image.Image]:
    """The explorer at every shift, there and back; the direction that the report recommends first is chosen."""
    page.evaluate("document.querySelector('.lead a').click()")
    slider = page.locator('[data-role="t"]')
    steps = range(int(slider.get_attribute("max") or 0) + 1)
    shots = []
    for step in steps:
        slider.evaluate("(each, step) => { each.value = step; each.dispatchEvent(new Event('input')); }", step)
        page.wait_for_timeout(400)
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        shots.append(image.resize(SHOWN, Image.Resampling.LANCZOS))
    return shots + shots[-2:0:-1]


def main(run: str, out: str) -> None:
    """Write the picture."""
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto((Path(run) / "index.html").resolve().as_uri())
        first, *others = frames(page)
        browser.close()
    held = len(others) // 2
    durations = [HELD_MS, *(HELD_MS if place == held else FRAME_MS for place in range(len(others)))]
    first.save(out, save_all=True, append_images=others, duration=durations, loop=0, quality=QUALITY, method=6)


if __name__ == "__main__":
    main(*sys.argv[1:])
