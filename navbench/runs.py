"""Whole runs for a notebook: run a suite, or open the folder of a run, and have its tables as DataFrames."""

import weakref
from contextlib import ExitStack
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from rich.console import Console

from navbench import display
from navbench import suite as suites
from navbench.compute import Compute
from navbench.errors import NavbenchError, image_trouble
from navbench.library import library
from navbench.places import Where, mirrored, place_at
from navbench.report.html import publish
from navbench.report.tables import REPORTED, load_run
from navbench.runner.run import Run as Execution
from navbench.runner.run import check_folder
from navbench.staff import staff

_SHOWN = 4
"""Strips that a notebook shows of a run."""


class Run:
    """A run, in a folder or in an object store.

    Attributes:
        place: where it lies.
        folder: with its tables, pictures and page; of a run in an object store, a copy that lasts as long as this.
    """

    def __init__(self, where: Where) -> None:
        self.place = place_at(where)
        copy = ExitStack()
        weakref.finalize(self, copy.close)
        self.folder = copy.enter_context(mirrored(self.place, (*REPORTED, "index.html"), ("tables", "strips")))
        self._read = load_run(self.folder)

    def __repr__(self) -> str:
        return f"Run({str(self.place)!r}, {len(self._read.directions)} directions)"

    def __getitem__(self, table: str) -> pd.DataFrame:
        """The table of that name, typed; with `place` and `where`, words for the layer or the latent space."""
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
        """The pictures of a kind ('strip', 'reproduction', 'paired', ...) by file, those that the folder holds.

        Raises:
            NavbenchError: one is damaged, or none of this run.
        """
        images, root = self["images"], self.folder.resolve()
        files = images.loc[images["kind"] == kind, "file"]
        paths = {file: path for file in files if (path := (root / file).resolve()).is_file()}
        if outside := [file for file, path in paths.items() if not path.is_relative_to(root)]:
            raise NavbenchError(f"{self.folder / 'tables' / 'images.csv'} names {outside[0]!r}, not of this run.")
        return {file: _opened(path) for file, path in paths.items()}

    def _repr_html_(self) -> str:
        sizes = {name: f"{len(frame)} rows" for name, frame in self._read.frames.items() if len(frame)}
        report = str(self.report) if self.report.is_file() else "not written; `navbench report` writes it"
        strips = list(self.pictures().items())[:_SHOWN]
        shown = "".join(f"<p>{escape(file)}<br>{display.picture(image, file)}</p>" for file, image in strips)
        return f"<b>{escape(repr(self))}</b>{display.numbers(sizes | {'report': report})}{shown}"


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except OSError as error:
        raise NavbenchError(f"{path} cannot be read as an image ({image_trouble(error)}).") from None


def open_run(folder: Where) -> Run:
    """A run that is there, in a folder or in an object store; `open_run(folder)["directions"]` is a DataFrame.

    Raises:
        NavbenchError: it is none, or was written by another version.

    >>> nb.open_run("runs/smoke")["directions"][["name", "t_max"]].head(1)
                          name      t_max
    0  cars/spectrum/convs.1/0  15.060885
    """
    return Run(folder)


def run(
    suite: str, out: Where, *, folder: str | Path | None = None, device: str = "cpu", workers: int | None = None,
    ray: str | None = None, fresh: bool = False, **values: Any,
) -> Run:  # fmt: skip
    """Run a suite in a folder, or go on with it, and write its report.

    Args:
        suite: a preset ('smoke', 'quick', 'full', 'standard', 'paper') or a TOML file.
        out: the run folder, or the URL of a prefix in an object store, such as 's3://bucket/runs/quick'.
        folder: of direction sets, beside the shipped ones.
        device: 'auto', 'cpu', 'cuda', 'cuda:N', 'mps', or several: 'cuda:0,cuda:1'.
        workers: processes; `None` for one per device, and for none beside this one if there is one device. A script
            that asks for some does so below `if __name__ == "__main__":`, as Python's multiprocessing wants it.
        ray: the address of a Ray cluster whose nodes compute, 'auto' for the one of this machine, 'local' to start one
            here and end it with the run; there, workers are one per GPU, or per core, if their number is not given.
        fresh: start over.
        values: of the suite in place of its own, such as seed=3 or curves={"samples": 99}.

    >>> faces = {"name": "faces", "layers": ["main.9"], "methods": ["svd"]}
    >>> made = nb.run("smoke", "runs/faces", generators=[faces], experiments=["strips"])  # doctest: +ELLIPSIS
    weights: ...
    >>> made
    Run('runs/faces', 3 directions)
    """
    chosen, place = suites.read(suite).with_values(**values), place_at(out)
    check_folder(place, chosen, fresh=fresh)
    computing = staff(device, workers, ray)
    compute = Compute(computing.devices[0], chosen.precision, chosen.batch, computing.sharing)
    Execution(place, chosen, compute, library(folder), Console(soft_wrap=True), computing).execute(fresh=fresh)
    publish(place)
    return Run(place)
