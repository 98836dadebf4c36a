"""The page: a run folder in, one self-contained index.html out."""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from navbench.errors import Failure, NavbenchError
from navbench.files import write_atomically
from navbench.places import Where, mirrored, place_at
from navbench.report.blocks import Block, Explorer, Header, Section, Subject, Terms
from navbench.report.page import Page, header
from navbench.report.pictures import scale_gradient
from navbench.report.sections import all_sections
from navbench.report.tables import REPORTED, load_run
from navbench.texts import escaped_lines

TEMPLATES = Path(__file__).parent / "templates"


def write_report(run: Path) -> Path:
    """Write the figures and the page of a run folder, and return the page's path."""
    page = Page(load_run(run))
    path = page.tables.run / "index.html"
    try:
        write_atomically(path, render(header(page), all_sections(), page).encode("utf-8"))
    except OSError as error:
        raise Failure(f"The report of {run} could not be written: {error}.") from error
    return path


def publish(where: Where) -> str:
    """Write the report of a run, in its folder or in an object store; where its page is."""
    place = place_at(where)
    with mirrored(place, REPORTED, ("tables", "figures", "strips")) as run:
        page = write_report(run)
    return place.address(page.name) if place.file("") is None else str(page.resolve())


def render(head: Header, sections: Iterable[Section[Subject]], subject: Subject) -> str:
    """A page of those sections that have something to show of the subject, or to say where they have nothing."""
    shown = [
        (section, section.heading(subject), blocks) for section in sections if (blocks := section.content(subject))
    ]
    facts = [Terms(head.facts, "terms facts")]
    assets = _assets(block for _, _, blocks in shown for block in blocks)
    return _environment().get_template("page.html").render(header=head, facts=facts, shown=shown, **assets)


def _shown(value: Any) -> Any:
    """A text as it is seen on a page; what is markup already stays as it is."""
    return escaped_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,  # always: names and labels come from other people's files
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def show(blocks: Iterable[Block]) -> Markup:
        macros: Any = environment.get_template("macros.html").module
        shown = list(filter(None, blocks))
        if wrong := [block for block in shown if not hasattr(macros, type(block).__name__)]:
            raise NavbenchError(f"A section cannot show {wrong[0]!r}; the blocks are in navbench.report.blocks.")
        return Markup().join(getattr(macros, type(block).__name__)(block) for block in shown)

    environment.filters["show"] = show
    return environment


def _assets(blocks: Iterable[Block]) -> dict[str, Any]:
    """A page's style, scripts and policy, which admits these scripts alone."""
    style, *scripts = _texts(("style.css",), ("sort.js",))
    shown = list(blocks)
    if any(isinstance(block, Explorer) for block in shown):
        more, *others = _texts(
            ("../vendor/uPlot.min.css", "explorer.css"), ("../vendor/uPlot.iife.min.js",), ("explorer.js",)
        )
        style, scripts = style + more, [*scripts, *others]
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; img-src data: 'self' file:; style-src 'unsafe-inline'; script-src {digests}; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"style": Markup(style), "scripts": [Markup(script) for script in scripts], "policy": policy}


def _texts(*files: tuple[str, ...]) -> list[str]:
    """The texts of templates, those of each tuple joined."""
    texts = ("".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names) for names in files)
    return [text.replace("HEAT", scale_gradient()) for text in texts]


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
