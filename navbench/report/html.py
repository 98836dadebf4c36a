"""The page: a run folder in, one self-contained index.html out."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from navbench.errors import Failure
from navbench.files import write_atomically
from navbench.report import attributes, charts, figures, pairs, photos, quality, survey, views
from navbench.report.answer import answer
from navbench.report.asymmetry import asymmetry_sentences, asymmetry_table
from navbench.report.charts import Chart, Heatmap
from navbench.report.claims import claim_sentences, unreached_sentences
from navbench.report.drawing import colour
from navbench.report.numbers import FID_EXTRACTOR, LATENT, counts, listed, plain, setting, short_direction
from navbench.report.overlap import overlap_matrices
from navbench.report.pictures import Picture, Sheet, read_sheet, scale_gradient
from navbench.report.provenance import discovery_seconds, provenance
from navbench.report.regions import region_tables
from navbench.report.tables import RunTables, load_run

_MANY, _FRUGAL_QUALITY = 24, 60
"""From that many measured directions on, a page leaves animations to the folder, and compresses strips harder."""
TEMPLATES = Path(__file__).parent / "templates"


@dataclass
class Card:
    """Everything about one measured direction."""

    anchor: str
    title: str
    short: str
    method: str
    colour: str
    label: str
    automatic: str
    numbers: list[tuple[str, str]]
    setting: str
    curve: Chart | None = None
    heatmap: Heatmap | None = None
    strips: list[Sheet] = field(default_factory=list)
    animations: list[Sheet] = field(default_factory=list)
    reproductions: list[Sheet] = field(default_factory=list)

    def images(self, kind: str) -> list[Sheet]:
        """The sheets of one kind of images.csv."""
        return {"strip": self.strips, "animation": self.animations, "reproduction": self.reproductions}[kind]


def write_report(run: Path) -> Path:
    """Write the figures and the page of a run folder, and return the page's path."""
    tables = load_run(run)
    try:
        page = environment().get_template("base.html").render(_context(tables))
        path = tables.run / "index.html"
        write_atomically(path, page.encode("utf-8"))
    except OSError as error:
        raise Failure(f"The report of {run} could not be written: {error}.") from error
    return path


def environment() -> jinja2.Environment:
    """What fills in a page's template."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,  # always: names and labels come from other people's files
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _context(tables: RunTables) -> dict[str, Any]:
    cards = _cards(tables)
    thumbnails = {name: small for name, card in cards.items() if (small := _thumbnail(card))}
    fd, kid = views.metric_names(tables.curved if len(tables.curved) else tables.methods)
    others = views.other_directions_table(tables)
    return {
        **assets(),
        **_heading(tables),
        **_attributes(tables),
        "answer": answer(tables),
        "fd": fd,
        "kid": kid,
        "curved": len(tables.curved) > 0,
        "is_fid": FID_EXTRACTOR in set(tables.methods["extractor"]),
        "distance": plain(" or ".join(sorted(set(tables.directions["distance"]) - {""})) or "a perceptual distance"),
        "methods": views.methods_table(tables, discovery_seconds(tables.manifest)),
        "method_charts": charts.method_charts(tables),
        "effect_charts": charts.effect_charts(tables),
        "shift_charts": charts.shift_charts(tables),
        "support_charts": charts.support_charts(tables),
        "support_sentences": charts.support_sentences(tables),
        "neighbours": counts(tables.support["neighbours"]),
        "asymmetry": asymmetry_table(tables),
        "asymmetry_sentences": asymmetry_sentences(tables),
        "directions": views.directions_table(tables, thumbnails) if cards else None,
        "others": others if others.rows else None,
        "locality_charts": charts.locality_charts(tables),
        "regions": region_tables(tables),
        "galleries": _galleries(cards),
        "gradient": scale_gradient(),
        "reproduction_charts": charts.reproduction_charts(tables),
        "reproduced": _reproduced(tables),
        "targets": _latent_targets(tables),
        "frugal": len(cards) >= _MANY,
        "groups": _groups(tables, cards),
        "layers": views.layers_table(tables) if len(tables.layers) else None,
        **_beyond(tables, _FRUGAL_QUALITY if len(cards) >= _MANY else None),
        "overlaps": overlap_matrices(tables),
        "samples": _samples(tables),
        "provenance": provenance(tables),
    }


def _beyond(tables: RunTables, sheets: int | None) -> dict[str, Any]:
    """What the page shows of quality, rankings, layers, pairs and photos; nothing of what is not there.

    Args:
        tables: of the run.
        sheets: the quality to which its sheets are compressed; none to leave them as they are.
    """
    return {
        "quality": quality.quality_table(tables),
        "natural": quality.natural_words(tables),
        "confusions": quality.confusion_tables(tables),
        "stability": quality.stability_table(tables),
        "rankings": quality.ranking_table(tables),
        "ranking_sentences": quality.ranking_sentences(tables),
        "survey_charts": survey.survey_charts(tables),
        "survey": survey.survey_table(tables),
        "survey_sentences": survey.survey_sentences(tables),
        "layer_strips": _of_kind(tables, "layer", sheets),
        "pairs": pairs.pair_table(tables),
        "pair_charts": pairs.pair_charts(tables),
        "pair_sentences": pairs.pair_sentences(tables),
        "pair_footing": pairs.pair_footing(tables),
        "paired": _of_kind(tables, "paired", sheets),
        "matched_sheets": _of_kind(tables, "matched", sheets),
        "projection": photos.projection_table(tables),
        "photo_sentences": photos.photo_sentences(tables),
        "photo_moves": photos.photo_moves(tables),
        "photo_sheets": _of_kind(tables, "photos", sheets),
    }


def _of_kind(tables: RunTables, kind: str, quality: int | None) -> list[tuple[str, Sheet]]:
    """The sheets of a kind of images.csv, each with what its rows are."""
    rows = tables.images[tables.images["kind"] == kind].to_dict("records")
    return [(_rows_of(tables, row), _sheet(tables.run, row, quality)) for row in rows]


def _rows_of(tables: RunTables, row: dict[Any, Any]) -> str:
    """The caption of a sheet: what its rows are, from the top."""
    name = plain(row["name"] if tables.several_generators else row["name"].partition("/")[2])
    if not row["members"]:
        return name
    if row["kind"] == "matched":
        name = f"At the same change, {plain(row['generator'])}"
    members = [plain(str(member).partition("/")[2] or str(member)) for member in json.loads(row["members"])]
    into = f", projected into {plain(row['target'])}" if row["target"] else ""
    return f"{name}{into}. Rows: {'; '.join(members)}."


def _attributes(tables: RunTables) -> dict[str, Any]:
    """What the page shows of attributes; nothing of it is there where no scorer looked."""
    quantities = [name for name in tables.calibration["quantity"].unique() if name != "effect"]
    scorers = sorted(set(tables.attributes["scorer"]) - {""})
    return {
        "scored": len(tables.attributes) > 0,
        "scorers": plain(" or ".join(scorers)),
        "found_sentences": attributes.found_sentences(tables),
        "movement_charts": charts.movement_charts(tables),
        "found_matrices": attributes.found_matrices(tables),
        "methods_found": attributes.methods_found(tables),
        "calibration_sentences": attributes.calibration_sentences(tables),
        "unreached": attributes.unreached_table(tables),
        "other_target": plain(listed(quantities)) if quantities else "",
        "matched_charts": charts.matched_charts(tables),
        "matched": attributes.matched_table(tables),
        "matched_sentences": [*claim_sentences(tables), *unreached_sentences(tables)],
        "claims": attributes.claims_table(tables),
    }


def _galleries(cards: dict[str, Card]) -> list[list[Card]]:
    """The cards with heatmaps, by generator, which is a scale of its own."""
    shown = [(name.partition("/")[0], card) for name, card in cards.items() if card.heatmap]
    return [[card for _, card in group] for _, group in groupby(shown, key=itemgetter(0))]


def _reproduced(tables: RunTables) -> set[str]:
    """Which kinds of edits were imitated: 'latent', 'parameter'."""
    return {"latent" if space in LATENT else "parameter" for space in tables.reproduction["space"]}


def _latent_targets(tables: RunTables) -> str:
    """The latent spaces in which imitations were sought; z where there were none."""
    kinds = set(figures.target_kinds(tables.reproduction))
    return ", of ".join(space for space in LATENT if space in kinds) or "z"


def assets() -> dict[str, Any]:
    """A page's style, script and policy, which admits that script alone."""
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "sort.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"style": Markup(style), "script": Markup(script), "policy": policy}


def _heading(tables: RunTables) -> dict[str, Any]:
    manifest = tables.manifest
    generators = list(dict.fromkeys(tables.directions["generator"])) or list(tables.methods["generator"].unique())
    when = str(manifest.get("finished") or manifest.get("started") or "")[:10]
    facts = [
        ("Extractor", manifest.get("extractor")),
        ("Distance", manifest.get("distance")),
        ("Reference", _references(tables) or manifest.get("reference")),
        ("Samples", ", ".join(f"{key} {value:,}" for key, value in _samples_of(manifest).items())),
        ("Device", manifest.get("device")),
    ]
    return {
        "suite": plain(str(manifest.get("suite", "run"))),
        "generators": [plain(name) for name in generators],
        "when": plain(when),
        "complete": tables.complete,
        "version": plain(str(manifest.get("navbench", ""))),
        "facts": [(name, plain(str(value))) for name, value in facts if value],
    }


def _references(tables: RunTables) -> str:
    """The reference of each generator; '' where all have the same, which the manifest tells."""
    pairs = tables.curved.drop_duplicates(["generator", "reference"])
    if pairs["reference"].nunique() < 2:
        return ""
    return ", ".join(f"{row['reference']} ({row['generator']})" for row in pairs.to_dict("records"))


def _samples_of(manifest: dict[str, Any]) -> dict[str, int]:
    samples = manifest.get("samples")
    whole = samples.items() if isinstance(samples, dict) else ()
    return {str(key): value for key, value in whole if isinstance(value, int)}


def _cards(tables: RunTables) -> dict[str, Card]:
    curves, maps = charts.direction_charts(tables), charts.heatmaps(tables)
    cards = {}
    for row in tables.measured.to_dict("records"):
        name = row["name"]
        mine = tables.measured[tables.measured["name"] == name]
        cards[name] = Card(
            anchor=views.anchor(name),
            title=plain(name),
            short=plain(short_direction(row)),
            method=plain(row["method"]),
            colour=colour(row["method"]),
            label=plain(row["label"]),
            automatic=views.automatic_label(row),
            numbers=views.card_numbers(row),
            setting=plain(setting(mine)) if mine["n"].notna().any() else "",
            curve=curves.get(name),
            heatmap=maps.get(name),
        )
    frugal = len(cards) >= _MANY
    kinds = ("strip", "reproduction") if frugal else ("strip", "animation", "reproduction")
    for row in tables.images.to_dict("records"):
        if row["name"] in cards and row["kind"] in kinds:
            sheet = _sheet(tables.run, row, _FRUGAL_QUALITY if frugal else None)
            cards[row["name"]].images(row["kind"]).append(sheet)
    return cards


def _sheet(run: Path, row: dict[Any, Any], quality: int | None = None) -> Sheet:
    rows = int(row["rows"]) if row["rows"] == row["rows"] else 1
    shows = {
        "strip": f"Strip of {row['name']}: {rows} codes, one per row, t growing from left to right.",
        "animation": f"Animation of {row['name']} as t goes to and fro over its range.",
        "reproduction": f"{row['name']} and its imitations, {rows} codes, one per row.",
        "samples": f"Unshifted images of {row['generator']}.",
        "layer": f"The first direction of layer {row['layer']}, one code, t growing from left to right.",
        "paired": f"{row['name']} beside the closest directions of other methods, one per row.",
        "matched": "Methods at the same change of one attribute, one per row.",
        "photos": f"Photos edited by {row['name']}, one per row, the photo itself at the left.",
    }
    alt = plain(shows[row["kind"]])
    return read_sheet(run, row["file"], rows, row["columns"], alt, thumbnail=row["kind"] == "strip", quality=quality)


def _thumbnail(card: Card) -> Picture | None:
    return card.strips[0].thumbnail if card.strips else None


def _groups(tables: RunTables, cards: dict[str, Card]) -> list[tuple[str, list[Card]]]:
    several = tables.measured["generator"].nunique() > 1
    groups: dict[str, list[Card]] = {}
    for row in tables.measured.to_dict("records"):
        title = f"{row['place'][:1].upper()}{row['place'][1:]}" + (f" of {row['generator']}" if several else "")
        groups.setdefault(plain(title), []).append(cards[row["name"]])
    return list(groups.items())


def _samples(tables: RunTables) -> list[Sheet]:
    rows = tables.images[tables.images["kind"] == "samples"].to_dict("records")
    return [_sheet(tables.run, row) for row in rows]
