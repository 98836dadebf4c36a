"""What the sections of a report share: the tables of the run, its pictures, and the names of its metrics."""

from functools import cached_property
from typing import Any

from markupsafe import Markup

from navbench.report.blocks import Header, Sheet
from navbench.report.numbers import duration, listed
from navbench.report.pictures import Heatmap, image_path, listed_in, read_heatmaps, read_sheet
from navbench.report.tables import RunTables
from navbench.report.views import metric_names
from navbench.texts import escaped

_MANY, _FRUGAL_QUALITY = 24, 60
"""From that many measured directions on, a page compresses its sheets harder."""
_SHOWN = {
    "reproduction": "{name} and its imitations, {rows} codes, one per row.",
    "samples": "Unshifted images of {generator}.",
    "layer": "The first direction of layer {layer}, one code, t growing from left to right.",
    "paired": "{name} beside the closest directions of other methods, one per row.",
    "matched": "Methods at the same change of one attribute, one per row.",
    "photos": "Photos edited by {name}, one per row, the photo itself at the left.",
}
"""What a sheet shows, by its kind, for who cannot see it."""
_CAPTIONS = {
    "reproduction": "{name}: the edit and its best imitations, on held-out codes.",
    "samples": _SHOWN["samples"],
}


class Page:
    """A run as its sections see it; pictures are read when a section asks for them.

    Attributes:
        tables: of the run.
    """

    def __init__(self, tables: RunTables) -> None:
        self.tables = tables
        self._sheets: dict[str, tuple[Sheet, ...]] = {}

    @cached_property
    def frugal(self) -> bool:
        """Whether there are so many directions that pictures have to be small."""
        return len(self.tables.measured) >= _MANY

    @cached_property
    def metrics(self) -> tuple[str, str]:
        """What the Fréchet and the kernel distance are called."""
        return metric_names(self.tables.curved if len(self.tables.curved) else self.tables.methods)

    def sheets(self, kind: str) -> tuple[Sheet, ...]:
        """The sheets of a kind of images.csv."""
        if kind not in self._sheets:
            images = self.tables.images
            rows = images[images["kind"] == kind].fillna({"rows": 1}).astype({"rows": int}).to_dict("records")
            self._sheets[kind] = tuple(self._sheet(row) for row in rows)
        return self._sheets[kind]

    @cached_property
    def strip_rows(self) -> dict[str, dict[Any, Any]]:
        """The rows of images.csv that are of strips, by the direction's name."""
        images = self.tables.images
        strips = images[images["kind"] == "strip"].drop_duplicates("name").fillna({"rows": 1}).astype({"rows": int})
        return {row["name"]: row for row in strips.to_dict("records")}

    @cached_property
    def strip_bytes(self) -> int:
        """Of all strips; what is missing is told where it is read."""
        paths = (image_path(self.tables.run, row["file"]) for row in self.strip_rows.values())
        return sum(path.stat().st_size for path in paths if path.is_file())

    @cached_property
    def heatmaps(self) -> dict[str, Heatmap]:
        """Where directions change images, by name."""
        return read_heatmaps(self.tables.run, self.tables.measured["name"])

    def _sheet(self, row: dict[Any, Any]) -> Sheet:
        kind = row["kind"]
        caption = _CAPTIONS[kind].format(**row) if kind in _CAPTIONS else self._rows_of(row)
        alt = _SHOWN.get(kind, "{name}, one image per row.").format(**row)
        quality = _FRUGAL_QUALITY if self.frugal else None
        return read_sheet(self.tables.run, row, alt, caption, quality)

    def _rows_of(self, row: dict[Any, Any]) -> str:
        """What the rows of a sheet are, from the top."""
        members = listed_in(self.tables.run / "tables" / "images.csv", row, "members")
        name = row["name"] if self.tables.several_generators else row["name"].partition("/")[2]
        if not members:
            return name
        if row["kind"] == "matched":
            name = f"At the same change, {row['generator']}"
        into = f", projected into {row['target']}" if row["target"] else ""
        rows = "; ".join(str(member).partition("/")[2] or str(member) for member in members)
        return f"{name}{into}. Rows: {rows}."


def header(page: Page) -> Header:
    """The head of a report."""
    tables, manifest = page.tables, page.tables.manifest
    names = dict.fromkeys(tables.directions["generator"]) or tables.methods["generator"].unique()
    generators, suite = escaped(listed(names)), str(manifest.get("suite", "run"))
    seconds = manifest.get("seconds")
    when = str(manifest.get("finished") or manifest.get("started") or "")[:10]
    told = [
        "navbench report",
        escaped(suite),
        when,
        f"{duration(seconds)} on {manifest.get('device')}" if isinstance(seconds, int | float) else "",
    ]
    unfinished = Markup(
        "<strong>Incomplete run.</strong> This run has not finished: what follows is what it had measured so far."
    )
    return Header(
        title=f"{suite}: editing directions of {generators}",
        kicker=" · ".join(filter(None, told)),
        heading=Markup("Which edits of <em>{}</em> are worth using?").format(generators or "no generator"),
        subtitle="",
        facts=(),
        warning="" if tables.complete else unfinished,
        footer=f"Written by navbench {manifest.get('navbench', '')}".rstrip()
        + " from the tables in this folder; nothing on this page is loaded from elsewhere.",
    )
