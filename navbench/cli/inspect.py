"""The command on whose page directions are looked at and named: `navbench inspect`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from navbench.cli.common import checkpoint_options, device_option, directions_option, example
from navbench.cli.grouping import Command
from navbench.cli.loading import loading
from navbench.cli.output import console, folding, progress_console
from navbench.errors import NavbenchError
from navbench.library import library
from navbench.words import PRECISIONS

if TYPE_CHECKING:
    from navbench.generators.options import Options
    from navbench.inspect.agreement import Kappa, Rating
    from navbench.inspect.session import Session

_FILE = click.Path(dir_okay=False, path_type=Path)
_PLACE = click.Path(path_type=Path)


@click.command("inspect", cls=Command, **example("navbench inspect cars/hybrid --names my-names.csv"))
@click.argument("what", metavar="[GENERATOR | SET...]", nargs=-1)
@click.option("--generator", help="Its file or 'package.module:callable', if it is not installed by its name.")
@click.option("--names", type=_FILE, help="A file for names and ranges. Default: the sets' own, if they are yours.")
@click.option(
    "--codes", multiple=True, type=_PLACE, help="Projected photos: a file, a folder, or a run; again for more."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the page. Default: any that is free.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of codes, orders and resamples.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option("--export", "sheet", type=click.Path(file_okay=False, path_type=Path), help="Write a blind sheet there.")
@click.option("--rows", type=click.IntRange(1, 12), default=4, show_default=True, help="Codes of a strip of the sheet.")
@click.option("--shifts", type=click.IntRange(3), default=7, show_default=True, help="Its columns, an odd number.")
@click.option("--agreement", is_flag=True, help="How far the tables agree that are named in the place of sets.")
@click.option("--key", type=_FILE, help="With --agreement: the key of the sheet, to write the agreed names.")
@device_option
@click.option("--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True, help="Of images.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Images per forward pass.")
@checkpoint_options
@directions_option
def inspect(
    what: tuple[str, ...], generator: str | None, names: Path | None, codes: tuple[Path, ...], port: int, seed: int,
    opens: bool, sheet: Path | None, rows: int, shifts: int, agreement: bool, key: Path | None, device: str,
    precision: str, batch: int, options: Options, folder: Path | None,
) -> None:  # fmt: skip
    """Look at directions and name them, on a page in the browser.

    Of a generator, all its sets; or sets by file, by name, or by what their names begin with. The page is served to
    this machine alone, until Ctrl-C. With --export, a sheet of strips without their names, for several people to name;
    with --agreement, how far their tables agree: navbench inspect --agreement ANN.csv BOB.csv --key sheet-key.csv.
    """
    if agreement:
        _agreement([Path(each) for each in what], seed, key, names)
        return
    if key is not None:
        raise NavbenchError("--key is the key of a sheet whose tables --agreement compares; say both.")
    if sheet is None:
        _check_extra()
    with loading():
        from navbench.compute import Compute
        from navbench.inspect.session import Session, Wanted

    wanted = Wanted(what, generator, options, names, codes, seed)
    session = Session(wanted, library(folder), Compute(device, precision, batch))  # type: ignore[arg-type]
    if sheet is not None:
        _export(session, sheet, rows, shifts, seed)
        return
    _serve(session, port, opens)


def _check_extra() -> None:
    """Refuse to serve without what serves."""
    from importlib.util import find_spec

    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        raise NavbenchError(
            f"navbench inspect serves its page by {' and '.join(missing)}, which is not installed; "
            "install it with `pip install 'navbench[inspect]'`."
        )


def _serve(session: Session, port: int, opens: bool) -> None:
    from navbench.inspect.server import serve

    with TemporaryDirectory(prefix="navbench-") as private:

        def ready(address: str) -> None:
            files = session.journal.paths
            click.echo(f"{len(session.shelf)} directions of {session.generator.name}: {address}")
            click.echo(f"Names and ranges go into {files[0] if len(files) == 1 else f'{len(files)} sets of yours'}.")
            click.echo("Ctrl-C ends it.")
            if opens:
                _open(address, Path(private))

        with suppress(KeyboardInterrupt):
            serve(session, port, ready)
        click.echo("Ended; what was saved is saved.")


def _open(address: str, private: Path) -> None:
    """Open the address in the browser by a file in a folder that nobody else can read.

    All accounts see the command lines of programs, and the address holds the token.
    """
    import threading
    import webbrowser

    page = private / "inspect.html"
    page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">', encoding="utf-8")
    threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()  # some browsers block


def _export(session: Session, folder: Path, rows: int, shifts: int, seed: int) -> None:
    from navbench.inspect.sheet import NAMES, SHEET, SheetSettings, export_sheet
    from navbench.progress import stage

    with stage(progress_console, "strips") as tick:
        key = export_sheet(session, folder, SheetSettings(rows, shifts, seed), tick)
    console.print(f"Sheet of {len(session.shelf)} strips: {folder / SHEET}, or as a table to fill in: {folder / NAMES}")
    console.print(f"Key, which nobody who names may see: {key}")


# --- agreement -------------------------------------------------------------------------------------------------


def _agreement(files: list[Path], seed: int, key: Path | None, names: Path | None) -> None:
    """Print how far tables agree, and write what they agree on."""
    if names is not None and key is None:
        raise NavbenchError("To write the agreed names, name the key of the sheet by --key.")
    with loading("scikit-learn"):
        from navbench.inspect.agreement import kappas, read_ratings

    ratings = read_ratings(files)
    table = folding("raters", "question", "strips", "same", "kappa", "95 % interval", "stderr")
    for each in kappas(ratings, seed):
        table.add_row(*_cells(each))
    console.print("Cohen's kappa, its interval and error by the bootstrap over strips:")
    console.print(table)
    _consensus(ratings, key, names)


def _cells(each: Kappa) -> tuple[str, ...]:
    numbers = [f"{value:.2f}" if value == value else "undefined" for value in (each.value, each.low, each.high)]
    interval = f"{numbers[1]} to {numbers[2]}" if each.low == each.low else "undefined"
    share = f"{each.agreed:.0%}" if each.n else "-"
    stderr = f"{each.stderr:.2f}" if each.stderr == each.stderr else "undefined"
    return f"{each.first}, {each.second}", each.question, str(each.n), share, numbers[0], interval, stderr


def _consensus(ratings: list[Rating], key: Path | None, names: Path | None) -> None:
    """Print what is settled and what is not; with the key, per set, and write the agreed names."""
    from navbench.inspect.agreement import by_method, consensus_of, read_key, write_agreed

    found = consensus_of(ratings)
    named = sum(bool(each.label) for each in found.values())
    nothing = sum(each.interpretable is False for each in found.values())
    console.print(f"{named} of {len(found)} strips have an agreed name, {nothing} are agreed to be not interpretable.")
    unsettled = {strip: each for strip, each in found.items() if not each.label and each.interpretable is not False}
    if alone := sum(len(each.said) == 1 for each in found.values()):
        console.print(f"{alone} of them were answered by one person alone, so nothing is agreed of these.")
    if unsettled:
        table = folding("to settle", "said")
        for strip, each in unsettled.items():
            table.add_row(strip, "; ".join(each.said))
        console.print(table)
    if key is None:
        return
    sheet = read_key(key)
    written = names or Path("agreed-names.csv")
    count = write_agreed(written, found, sheet)
    table = folding("set", "directions", "interpretable", "distinct names")
    for set_id, counts in by_method(found, sheet).items():
        table.add_row(set_id, *(str(counts[name]) for name in ("directions", "interpretable", "names")))
    console.print(table)
    generator = next(iter(sheet.values()))["direction"].partition("/")[0]
    console.print(f"{count} agreed directions: {written}; see them by navbench inspect {generator} --names {written}")
