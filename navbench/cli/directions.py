"""The commands that tell which directions there are: `navbench directions`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navbench.cli import completing
from navbench.cli.common import (
    PLACE,
    checkpoint_options,
    created,
    directions_option,
    example,
    generator_option,
    installed,
)
from navbench.cli.grouping import Family
from navbench.cli.naming import Wanted, run_option
from navbench.cli.navigan import export_directions, import_directions
from navbench.cli.output import console, folding, json_option
from navbench.errors import NavbenchError
from navbench.library import library, open_set
from navbench.naming import SetKeeper, apply_names, content_key
from navbench.texts import cell

if TYPE_CHECKING:
    from navbench.generators.options import Options
    from navbench.places import Place


_COLUMNS = ("set", "directions", "status", "verdicts", "labels", "sha256")


@click.group("directions", cls=Family, **example("navbench directions list"))
def directions() -> None:
    """The directions that there are."""


directions.add_command(import_directions)
directions.add_command(export_directions)


@directions.command("list", **example("navbench directions list --generator faces"))
@click.option("--generator", shell_complete=completing.generators, help="Only those of one generator.")
@click.option(
    "--run",
    type=PLACE,
    metavar="RUN",
    shell_complete=completing.runs,
    help="A run, for the verdicts of the sets that it measured.",
)
@click.option("--csv", "as_csv", is_flag=True, help="As a table for programs, such as directions/index.csv.")
@directions_option
@json_option(f"an object per set, with the keys {', '.join(_COLUMNS)}")
def list_directions(
    generator: str | None, run: Place | None, as_csv: bool, folder: Path | None
) -> list[dict[str, Any]]:
    """List the direction sets."""
    verdicts = {} if run is None else _verdicts(run)
    rows = [
        (
            *(set_id, file.count, file.status, verdicts.get(content_key(file), "")),
            *("; ".join(filter(None, file.header["labels"])), file.sha256),
        )
        for set_id, file in sorted(library(folder).sets.items())
        if generator in (None, file.header["generator"])
    ]
    if as_csv:
        written = io.StringIO()
        cells = [[cell(str(each)) for each in row] for row in rows]
        csv.writer(written, lineterminator="\n").writerows([_COLUMNS, *cells])
        console.out(written.getvalue(), end="")
    else:
        table = folding(*_COLUMNS)
        for row in rows:
            table.add_row(*map(str, row[:-1]), str(row[-1])[:12])
        console.print(table)
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]


def _verdicts(run: Place) -> dict[str, str]:
    """By a set's content how many of its directions are what, with the attributes of the interpretable ones."""
    from navbench.runs import open_run

    opened = open_run(run)
    files = {each["set_id"]: each.get("content", "") for each in opened.manifest["direction_sets"]}
    table = opened["directions"]
    table = table[table["verdict"] != ""]
    told: dict[str, str] = {}
    for set_id, rows in table.groupby(table["name"].str.rpartition("/")[0]):
        counts = [f"{count} {kind}" for kind, count in rows["verdict"].value_counts().sort_index().items()]
        attributes = sorted(set(rows.loc[rows["verdict"] == "interpretable", "attribute"]))
        told[files[set_id]] = ", ".join(counts) + (f": {', '.join(attributes)}" if attributes else "")
    return told


@directions.command("label", **example('navbench directions label my-directions/faces/svd/main.6.safetensors 3 "hair"'))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("index", type=click.IntRange(0), required=False)
@click.argument("label", required=False)
@click.option("--from", "names", type=click.Path(dir_okay=False, path_type=Path), help="A file of names of inspect.")
def label_direction(file: Path, index: int | None, label: str | None, names: Path | None) -> None:
    """Name a direction by hand; from then on it answers to that name.

    With --from in place of INDEX and LABEL, take the names, marks and ranges that `navbench inspect` wrote into a file.
    """
    found = open_set(file)
    if (names is None) == (index is None or label is None) or (names is not None and index is not None):
        raise NavbenchError(
            "Name a direction by its index and a label, or several by a file of names: --from names.csv."
        )
    if names is not None:
        console.print(f"{apply_names(names, found)} directions of {found.set_id} are as {names} says")
        return
    assert index is not None
    assert label is not None
    if index >= found.count:
        raise NavbenchError(f"{file} has directions 0 to {found.count - 1}; there is no {index}.")
    _, now = SetKeeper(file).change(index, lambda naming: naming.changed({"label": label}))
    console.print(f"{found.names()[index]} is now {now.label!r}")


@directions.command("show", **example("navbench directions show faces/hybrid/main.6/3"))
@click.argument("name", shell_complete=completing.directions)
@run_option
@generator_option
@checkpoint_options
@directions_option
@json_option("an object whose keys are the words of the table's first column, with '_' for spaces")
def show_direction(
    name: str, run: Place | None, generator: str | None, options: Options, folder: Path | None
) -> dict[str, Any]:
    """Show what is known of one direction.

    NAME is a direction's full name, a unique part of it, or its label.
    """
    wanted = Wanted(name, run)
    file, index = wanted.find(wanted.library(folder))
    direction = file.load(created(generator or installed(file), options))[index]
    table = folding("", "", header=False)
    table.add_row("name", direction.name)
    table.add_row("label", direction.label or "-")
    table.add_row("space", f"{direction.space}, {tuple(direction.offset.shape)}")
    table.add_row("layer", direction.layer or "-")
    table.add_row("t", f"[{direction.t_min:.4g}, {direction.t_max:.4g}]")
    for key, value in direction.scores.items():
        table.add_row(key.replace("_", " "), f"{value:.4g}")
    provenance = file.provenance_of(index)
    for key, value in provenance.items():
        table.add_row(key.replace("_", " "), str(value))
    table.add_row("file", str(file.path))
    table.add_row("sha256", file.sha256)
    console.print(table)
    where = {"space": [direction.space, *direction.offset.shape], "layer": direction.layer}
    numbers = {"t": [direction.t_min, direction.t_max], **direction.scores, **provenance}
    known = {"name": direction.name, "label": direction.label, **where, **numbers}
    return {**known, "file": str(file.path), "sha256": file.sha256}
