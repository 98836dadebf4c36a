"""What the report reads of a run: its manifest, its suite, and its tables with words for places."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from navbench.declared.shared import RESIDUALS as RESIDUALS
from navbench.errors import NavbenchError
from navbench.report.numbers import FID_EXTRACTOR, place, short_place
from navbench.tables import read


@dataclass(frozen=True)
class RunTables:
    """Everything the report reads of a run but its images; a table the run lacks has no rows.

    Tables of directions, methods and claims have two columns more than their files: `place`, how headings and
    sentences call the layer or the latent space, and `where`, the same in short.
    """

    run: Path
    manifest: dict[str, Any]
    suite_toml: str
    directions: pd.DataFrame
    methods: pd.DataFrame
    curves: pd.DataFrame
    support: pd.DataFrame
    regions: pd.DataFrame
    overlap: pd.DataFrame
    asymmetry: pd.DataFrame
    attributes: pd.DataFrame
    found: pd.DataFrame
    calibration: pd.DataFrame
    matched: pd.DataFrame
    claims: pd.DataFrame
    locality: pd.DataFrame
    reproduction: pd.DataFrame
    reproduction_steps: pd.DataFrame
    layers: pd.DataFrame
    pairs: pd.DataFrame
    pair_curves: pd.DataFrame
    projection: pd.DataFrame
    photo_attributes: pd.DataFrame
    quality: pd.DataFrame
    confusion: pd.DataFrame
    stability: pd.DataFrame
    ranking: pd.DataFrame
    images: pd.DataFrame

    @staticmethod
    def names() -> tuple[str, ...]:
        """The tables among its fields."""
        return tuple(field.name for field in fields(RunTables) if field.type is pd.DataFrame)

    @property
    def complete(self) -> bool:
        """Whether the run says that it finished."""
        return self.manifest["complete"] is True

    @property
    def measured(self) -> pd.DataFrame:
        """The directions of which there is a curve, a heatmap, an imitation or a picture."""
        return self.directions[self.directions["measured"]]

    @property
    def several_generators(self) -> bool:
        """Whether sentences and headings must name the generator."""
        return self.directions["generator"].nunique() > 1

    @property
    def curved(self) -> pd.DataFrame:
        """The directions that have curves."""
        return self.directions[self.directions["fd_at_max"].notna()]


def load_run(run: Path) -> RunTables:
    """Read the manifest, the suite and the tables of a run folder."""
    run = Path(run)
    manifest = _manifest(run)
    tables = {name: read(run, name) for name in RunTables.names()}
    _check_names(tables["directions"], run / "tables" / "directions.csv")
    spaces = tables["methods"].drop_duplicates(["generator", "layer"]).set_index(["generator", "layer"])["space"]
    unplaced = ("layers", "projection")
    tables |= {name: _placed(table, spaces) for name, table in tables.items() if name not in unplaced}
    for name in ("directions", "methods", "curves"):
        _check_fid(tables[name], run / "tables" / f"{name}.csv")
    suite = run / "suite.toml"
    text = suite.read_text(encoding="utf-8", errors="replace") if suite.is_file() else ""
    return RunTables(run=run, manifest=manifest, suite_toml=text, **tables)


def _manifest(run: Path) -> dict[str, Any]:
    path = run / "manifest.json"
    if not run.is_dir():
        raise NavbenchError(f"{run} is not a folder; give the folder that `navbench run-all` wrote.")
    if not path.is_file():
        raise NavbenchError(f"{run} is not a run folder: it has no manifest.json.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NavbenchError(f"{path} is not JSON: {error}.") from error
    if not isinstance(manifest, dict) or "complete" not in manifest:
        raise NavbenchError(f"{path} is not the manifest of a run: it has no field 'complete'.")
    return manifest


def _check_names(directions: pd.DataFrame, path: Path) -> None:
    twice = directions.loc[directions["name"].duplicated(), "name"]
    if len(twice):
        raise NavbenchError(f"{path} lists the direction {twice.iloc[0]!r} twice.")


def _placed(frame: pd.DataFrame, spaces: pd.Series) -> pd.DataFrame:
    """A table with words for each row's layer or latent space; a table without spaces has those of the methods."""
    keys = pd.MultiIndex.from_frame(frame[["generator", "layer"]])
    space = frame["space"] if "space" in frame else spaces.reindex(keys).fillna("")
    pairs = list(zip(frame["layer"], space, strict=True))
    words = {"place": [place(*pair) for pair in pairs], "where": [short_place(*pair) for pair in pairs]}
    return frame.assign(**{name: pd.Series(column, index=frame.index, dtype=str) for name, column in words.items()})


def _check_fid(frame: pd.DataFrame, path: Path) -> None:
    false = frame[(frame["metric"] == "FID") & (frame["extractor"] != FID_EXTRACTOR)]
    if len(false):
        raise NavbenchError(
            f"{path} calls a number FID, but its extractor is {false['extractor'].iloc[0]!r}; "
            f"only {FID_EXTRACTOR} makes a FID."
        )
