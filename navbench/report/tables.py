"""What the report reads of a run: its manifest, its suite, and its tables with words for places."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from navbench.errors import NavbenchError, unknown
from navbench.places import Where, mirrored, place_at
from navbench.report.numbers import FID_EXTRACTOR, place, short_place
from navbench.tables import TABLES, read
from navbench.words import NOT_CONVERGED

REPORTED = ("manifest.json", "suite.toml")
"""The files that a report reads beside tables and pictures."""
_SET = ["generator", "layer", "method"]
"""The columns that say which direction set a row is about."""


@dataclass(frozen=True)
class RunTables:
    """Everything the report reads of a run but its images; each declared table is an attribute, too: `tables.curves`.

    Tables with a generator and a layer have two columns more than their files: `place`, how headings and sentences
    call the layer or the latent space, and `where`, the same in short. Those with a method have `is_control` and
    `is_labelled`.

    Attributes:
        run: the folder, which lasts as long as its mirror where the run lies in an object store.
        address: how the user calls the run.
        manifest: what was run.
        suite_toml: the suite file.
        frames: every declared table by name; one that the run lacks has no rows.
    """

    run: Path
    address: str
    manifest: dict[str, Any]
    suite_toml: str
    frames: Mapping[str, pd.DataFrame]

    def table(self, name: str) -> pd.DataFrame:
        """The table of that name.

        Raises:
            NavbenchError: no table of that name is declared.
        """
        if name not in self.frames:
            raise unknown("table", name, self.frames)
        return self.frames[name]

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name == "frames" or name not in self.frames:  # copies are asked before they are filled
            raise AttributeError(name)
        return self.frames[name]

    def with_tables(self, **frames: pd.DataFrame) -> "RunTables":
        """The same run with other tables of these names."""
        return replace(self, frames={**self.frames, **frames})

    @property
    def complete(self) -> bool:
        """Whether the run says that it finished."""
        return self.manifest["complete"] is True

    @property
    def measured(self) -> pd.DataFrame:
        """The directions of which there is a curve, a heatmap, an imitation or a picture."""
        return self.directions[self.directions["measured"]]

    @property
    def converged(self) -> "RunTables":
        """The same run without the sets whose learning has not converged: what headlines may speak of."""
        failed = self.methods[self.methods["status"] == NOT_CONVERGED]
        keys = pd.MultiIndex.from_frame(failed[_SET])

        def kept(frame: pd.DataFrame) -> pd.DataFrame:
            for method in {"method", "against"} & {*frame}:
                columns = ["generator", "layer", method]
                if {*columns} <= {*frame}:
                    frame = frame[~pd.MultiIndex.from_frame(frame[columns]).isin(keys)]
            return frame

        return self.with_tables(**{name: kept(frame) for name, frame in self.frames.items()})

    @property
    def contenders(self) -> "RunTables":
        """The same run without controls and methods that see labels: what headlines may call found, or the best."""
        others = self.methods.loc[self.methods["is_control"] | self.methods["is_labelled"], "method"]

        def kept(frame: pd.DataFrame) -> pd.DataFrame:
            for column in {"method", "against"} & {*frame}:
                frame = frame[~frame[column].isin(others)]
            return frame

        return self.with_tables(**{name: kept(frame) for name, frame in self.frames.items()})

    @property
    def several_generators(self) -> bool:
        """Whether sentences and headings must name the generator."""
        return self.directions["generator"].nunique() > 1

    def of(self, generator: object) -> str:
        """' of GENERATOR', if sentences and headings must name it, else ''."""
        return f" of {generator}" if self.several_generators else ""

    @property
    def curved(self) -> pd.DataFrame:
        """The directions that have curves."""
        return self.directions[self.directions["fd_at_max"].notna()]


def load_run(where: Where) -> RunTables:
    """Read the manifest, the suite and the tables of a run, of its folder or in an object store."""
    place = place_at(where)
    with mirrored(place, REPORTED, ("tables",)) as run:
        return _read(run, str(place))


def _read(run: Path, address: str) -> RunTables:
    manifest = _manifest(run)
    tables = {name: read(run, name) for name in TABLES}
    _check_names(tables["directions"], run / "tables" / "directions.csv")
    spaces = tables["methods"].drop_duplicates(["generator", "layer"]).set_index(["generator", "layer"])["space"]
    tables |= {name: _placed(table, spaces) for name, table in tables.items() if {"generator", "layer"} <= {*table}}
    for flag in ("is_control", "is_labelled"):
        marked = set(tables["methods"].loc[tables["methods"][flag], "method"])
        tables |= {
            name: table.assign(**{flag: table["method"].isin(marked)})
            for name, table in tables.items()
            if "method" in table
        }
    for name in ("directions", "methods", "curves"):
        _check_fid(tables[name], run / "tables" / f"{name}.csv")
    suite = run / "suite.toml"
    text = suite.read_text(encoding="utf-8", errors="replace") if suite.is_file() else ""
    return RunTables(run=run, address=address, manifest=manifest, suite_toml=text, frames=tables)


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
