"""Whole runs for a notebook: run a suite, or open the folder of a run, and have its tables as DataFrames."""

from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from rich.console import Console

from navbench import suite as suites
from navbench.compute import Compute
from navbench.library import library
from navbench.report.html import write_report
from navbench.report.tables import load_run
from navbench.runner.run import Run as Execution
from navbench.runner.run import check_folder


class Run:
    """A run folder.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._read = load_run(self.folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {len(self._read.directions)} directions)"

    def __getitem__(self, table: str) -> pd.DataFrame:
        """The table of that name, as tables/NAME.csv holds it, typed."""
        return self._read.table(table)

    @property
    def manifest(self) -> dict[str, Any]:
        """What was run: versions, hashes, device, seconds and memory."""
        return self._read.manifest

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "index.html"

    def pictures(self, kind: str = "strip") -> dict[str, Image.Image]:
        """The pictures of a kind ('strip', 'reproduction', 'paired', ...) by file."""
        rows = self._read.images[self._read.images["kind"] == kind]
        return {file: Image.open(self.folder / file) for file in rows["file"]}

    def _repr_html_(self) -> str:
        columns = ["generator", "layer", "method", "directions", "curves", "fd_mean", "fd_mean_stderr"]
        return f"<p>{self!r}</p>{self._read.methods[columns].to_html(index=False)}"


def open_run(folder: str | Path) -> Run:
    """A run folder that is there; `open_run(folder)["directions"]` is a DataFrame.

    Raises:
        NavbenchError: it is none, or was written by another version.
    """
    return Run(folder)


def run(
    suite: str, out: str | Path, *, folder: str | Path | None = None, device: str = "cpu", fresh: bool = False,
    **values: Any,
) -> Run:  # fmt: skip
    """Run a suite in a folder, or go on with it, and write its report.

    Args:
        suite: a preset ('smoke', 'quick', 'standard', 'paper') or a TOML file.
        out: the run folder.
        folder: of direction sets, beside the shipped ones.
        device: 'cpu', 'cuda' or 'cuda:N'.
        fresh: start over.
        values: of the suite in place of its own, such as seed=3 or curves={"samples": 99}.
    """
    chosen, place_ = suites.read(suite).with_values(**values), Path(out)
    check_folder(place_, chosen, fresh=fresh)
    compute = Compute(device, chosen.precision, chosen.batch)
    Execution(place_, chosen, compute, library(folder), Console(soft_wrap=True)).execute(fresh=fresh)
    write_report(place_)
    return Run(place_)
