"""Build the site of the documentation, strictly, with run folders beside it if they are named.

    python docs/build.py build/site [--reports reports]

The pages are copied to a temporary folder with the pages that live elsewhere in the tree, and built there by Zensical,
which refuses a link or an anchor that leads nowhere. The built pages are then read: every link within the site must
lead to a file and an anchor of it, and nothing may be loaded from another server.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
ELSEWHERE = {
    "architecture.md": "ARCHITECTURE.md",
    "cars.md": "navbench/testbed/weights/cars.md",
    "faces-card.md": "navbench/faces/CARD.md",
    "identity-card.md": "navbench/faces/weights/identity.md",
    "cars.png": "navbench/testbed/weights/cars.png",
}
"""Files of the site that live elsewhere in the tree, by their path in the site."""
PARTS = (".md", ".css", ".webp", ".png", ".ipynb")
"""What is copied of `docs`."""
REPORTED = ("index.html", "comparison.csv", "suite.toml", "manifest.json", "tables", "figures", "strips", "frames")
"""What is copied of a run folder, or of a comparison of two."""


def stage(folder: Path, reports: Path | None) -> None:
    """Copy all sources of the site to a folder, with links that hold there."""
    pages = folder / "docs"
    for path in sorted(DOCS.rglob("*")):
        if path.suffix in PARTS:
            _copy(path, pages / path.relative_to(DOCS))
    for target, source in ELSEWHERE.items():
        _copy(ROOT / source, pages / target)
    for picture in (*ROOT.glob("reports/*.png"), *ROOT.glob("reports/*.webp")):
        _copy(picture, pages / "reports" / picture.name)
    shutil.copyfile(DOCS / "zensical.toml", folder / "zensical.toml")
    runs = sorted(path.parent for path in (reports.glob("*/index.html") if reports else ()))
    for run in runs:
        for name in REPORTED:
            if (run / name).is_dir():
                shutil.copytree(run / name, pages / "reports" / run.name / name)
            elif (run / name).is_file():
                _copy(run / name, pages / "reports" / run.name / name)
    if runs:
        listed = [f"- [{run.name}](reports/{run.name}/index.html)" for run in runs]
        with (pages / "index.md").open("a") as home:
            home.write("\n".join(["", "## Reports of this version", "", *listed, ""]))
    for path in pages.glob("*.md"):
        path.write_text(_relinked(path.read_text(), pages))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _relinked(text: str, pages: Path) -> str:
    """A page whose links into the tree lead to the copies; to a report that is not part of the site there is none."""
    for target, source in ELSEWHERE.items():
        text = text.replace(f"](../{source}", f"]({target}")
    text = text.replace("](../reports/", "](reports/").replace("](docs/", "](")
    return re.sub(
        r"(?<!!)\[([^\]]*)\]\((reports/[^)#]*)(?:#[^)]*)?\)",
        lambda found: found[0] if (pages / found[2]).exists() else found[1],
        text,
    )


# --- what was built --------------------------------------------------------------------------------------------------


@dataclass
class Page(HTMLParser):
    """What a built page names."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what a tag links to, loads, and is named."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.classes |= set(values.get("class", "").split())
        if tag == "a":
            self.links += [values["href"]] if "href" in values else []
            return
        self.loads += [values[name] for name in ("src", "href", "data", "poster") if name in values]
        self.loads += [part.split()[0] for part in values.get("srcset", "").split(",") if part.strip()]


ON_DEMAND = {"mermaid", "glightbox", "arithmatex", "pyodide"}
"""Classes for which the theme's script loads something from another server."""


def _is_direction(link: str) -> bool:
    """Whether it opens a direction in a report's explorer, whose script knows its name; no anchor has a slash."""
    return link.startswith("#") and "/" in link


def faults(site: Path) -> Iterator[str]:
    """Sentences about links that lead nowhere, and about what is loaded from elsewhere."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name} loads {each}" for each in page.loads if re.match(r"(?i)(https?:)?//", each))
        yield from (f"{name} has a {each}, whose script is loaded" for each in sorted(page.classes & ON_DEMAND))
        if name.name != "404.html":
            own = (link for link in page.links if not _is_direction(link))
            links = [*own, *page.loads]
            yield from (f"{name}: {link} leads nowhere" for link in links if _is_lost(link, path, site, pages))
    for path in sorted(site.rglob("*.css")):
        for found in re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]+)", path.read_text()):
            yield f"{path.relative_to(site)} loads {found}"


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text())
    return page


def _is_lost(link: str, path: Path, site: Path, pages: Mapping[Path, Page]) -> bool:
    if re.match(r"(?i)([a-z][a-z0-9+.-]*:|//)", link):
        return False
    file, _, anchor = unquote(link).partition("#")
    target = path if not file else Path(os.path.normpath(path.parent / file.partition("?")[0]))
    if target.is_dir():
        target /= "index.html"
    if not target.is_file() or not target.is_relative_to(site):
        return True
    return bool(anchor) and target in pages and target.suffix == ".html" and _is_unknown(anchor, pages[target])


def _is_unknown(anchor: str, page: Page) -> bool:
    """A report's script knows more anchors than its page holds: those of directions, with a shift."""
    return anchor not in page.anchors and "@" not in anchor


def unlisted() -> Iterator[str]:
    """Pages that the navigation does not name."""
    listed = (DOCS / "zensical.toml").read_text()
    pages = {path.name for path in DOCS.glob("*.md")} | {name for name in ELSEWHERE if name.endswith(".md")}
    yield from (f"{name} is missing in the navigation" for name in sorted(pages) if f'"{name}"' not in listed)


def build(out: Path, reports: Path | None = None) -> list[str]:
    """Build the site in a folder, which is replaced; what is wrong with it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage(folder, reports)
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"})
        if done.returncode:
            return [re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)]
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(folder / "site", out)
    return [*unlisted(), *faults(out.resolve())]


def main() -> None:
    """Build, say where the site is, and end with 1 if anything is wrong with it."""
    parser = argparse.ArgumentParser(description="Build the site of the documentation.")
    parser.add_argument("out", type=Path, help="the folder of the site")
    parser.add_argument("--reports", type=Path, help="a folder of run folders that are part of the site")
    given = parser.parse_args()
    wrong = build(given.out, given.reports)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if wrong:
        sys.exit(1)
    print(f"Site: {given.out.resolve() / 'index.html'}")


if __name__ == "__main__":
    main()
