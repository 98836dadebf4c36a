"""The command that shows a direction, without a suite or a photo: `navbench show`."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navbench.cli import completing
from navbench.cli.common import (
    checkpoint_options,
    device_option,
    directions_option,
    example,
    generator_option,
    installed,
)
from navbench.cli.grouping import Command
from navbench.cli.loading import loading
from navbench.cli.naming import Wanted, run_option, split_shift
from navbench.cli.output import console
from navbench.errors import Failure, NavbenchError
from navbench.files import write_atomically
from navbench.texts import file_name

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from navbench.experiments.edit import Edit
    from navbench.generators.options import Options
    from navbench.places import Place

STILLS, MOVING = (".png", ".webp"), (".gif", ".mp4")
"""The endings of files that hold the strip, and of those that hold a loop over its columns."""
_SHIFTS, _FRAMES = 7, 15
"""Shifts of a strip, and of a loop to and fro."""


class _Numbers(click.ParamType):
    """Numbers with commas between them."""

    name = "NUMBERS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Refuse what is no number."""
        try:
            numbers = tuple(float(part.replace("\N{MINUS SIGN}", "-")) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers with commas, such as -4,0,4.", param, ctx)
        if not all(abs(number) < float("inf") for number in numbers):
            self.fail(f"{value!r} holds a number that is not finite.", param, ctx)
        return numbers


def _codes(_context: click.Context, _parameter: click.Parameter, text: str) -> Sequence[int]:
    """The indices of codes: the first N, or those that are listed."""
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*,?", text) or not text.strip("0"):
        raise click.BadParameter(f"{text!r} is neither how many, such as 3, nor a list of indices, such as 0,4,9.")
    return [int(part) for part in text.split(",") if part] if "," in text else range(int(text))


@click.command("show", cls=Command, **example("navbench show cars/hybrid/convs.5/10 --out strip.png"))
@click.argument("name", metavar="DIRECTION", shell_complete=completing.directions)
@click.option("--t", "shifts", type=_Numbers(), help="Shifts, such as -4,0,4. Default: as many as --shifts says.")
@click.option("--shifts", "count", type=click.IntRange(3), help="Shifts over the range, an odd number. Default: 7, or "
              "15 for a loop.")  # fmt: skip
@click.option("--codes", "indices", default="3", show_default=True, callback=_codes, help="How many codes, or the "
              "indices of some: 0,4,9 (4, for one).")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the codes.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file: .png or .webp for the strip, "
              ".gif or .mp4 for a loop over its shifts.")  # fmt: skip
@click.option("--picture/--no-picture", default=True, help="Whether a terminal that can is to show the strip.")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@run_option
@generator_option
@checkpoint_options
@directions_option
@device_option
def show_strip(
    name: str, shifts: tuple[float, ...] | None, count: int | None, indices: Sequence[int], seed: int,
    out: Path | None, picture: bool, force: bool, run: Place | None, generator: str | None, options: Options,
    folder: Path | None, device: str,
) -> None:  # fmt: skip
    """Show a direction: its strip, in a file and in terminals that can.

    DIRECTION is a full name, a unique part of it, or a label; with @T behind it, as in 'sky tone +@4', one shift beside
    the unshifted images. The strip has a row per code and a column per shift, the same codes as in a run's report.

    A terminal shows pictures by kitty's protocol, iTerm2's, sixels or half blocks, as far as it says that it can;
    NAVBENCH_PICTURES=kitty, iterm2, sixel, blocks or none says it in its place. Without --out, such a terminal gets the
    picture alone; elsewhere there is a file NAME.png.
    """
    from navbench.cli import terminal

    how = terminal.protocol() if picture else None
    wanted, shifts = _at(name, run, shifts)
    sets = wanted.library(folder)
    file, index = wanted.find(sets)
    if out is None and how is None:
        out = Path(f"{file_name(file.names()[index])}.png")
    if out is not None:
        check_free(out, force)
    with loading():
        from navbench.compute import Compute
        from navbench.experiments.edit import Edit
        from navbench.generators import zoo

    opened = zoo.create(generator or installed(file), Compute(device), options)
    edit = Edit(opened, file.load(opened)[index], Compute(device))
    grid = shifts or _grid(edit, count or (_FRAMES if out is not None and out.suffix.lower() in MOVING else _SHIFTS))
    _show(edit, grid, indices, seed, out, how)


def _at(name: str, run: Place | None, shifts: tuple[float, ...] | None) -> tuple[Wanted, tuple[float, ...] | None]:
    """The direction, and the shifts: where the name says one, that and 0."""
    plain, shift = split_shift(name)
    if shift is None:
        return Wanted(name, run), shifts
    if shifts is not None:
        raise NavbenchError(f"{name!r} says a shift, and so does --t; say it once.")
    return Wanted(plain, run), tuple(sorted({0.0, shift}))


def check_free(out: Path, force: bool) -> None:
    """Refuse a file that could not be written as its ending says, or is there already."""
    kind = out.suffix.lower()
    if kind not in STILLS + MOVING:
        raise NavbenchError(f"{out} should end in .png or .webp for a strip, or in .gif or .mp4 for a loop.")
    if kind == ".mp4" and shutil.which("ffmpeg") is None:
        raise NavbenchError(f"{out} needs ffmpeg, which is not installed; install it, or write a .gif or .webp.")
    if out.exists() and not force:
        raise NavbenchError(f"{out} exists already; choose another --out, or say --force to replace it.")


def _grid(edit: Edit, count: int) -> tuple[float, ...]:
    return tuple(edit.direction.shifts(count).tolist())


def _show(
    edit: Edit, shifts: Sequence[float], indices: Sequence[int], seed: int, out: Path | None, how: str | None
) -> None:
    """Render the strip; write it to a file, if there is one, and to a terminal that shows pictures."""
    from navbench.cli.terminal import WIDEST, drawn
    from navbench.experiments.pictures import sheet
    from navbench.experiments.strips import rendered

    strip = rendered(edit, shifts, indices, seed)
    direction = edit.direction
    label = f" ({direction.label})" if direction.label else ""
    console.print(f"{direction.name}{label}, t = {', '.join(f'{t:.3g}' for t in shifts)}")
    if how is not None:
        small = sheet(strip)
        small.thumbnail((WIDEST, small.height))
        click.echo(drawn(small, how, encoded(small, ".png")), nl=False)
    if out is not None:
        write_atomically(out, content_of(strip, shifts, out))
        console.print(f"Strip: {out}")


def content_of(strip: Tensor, shifts: Sequence[float], out: Path) -> bytes:
    """The file of a strip (rows, columns, 3, H, W), uint8, in the format of its ending.

    Raises:
        NavbenchError: a loop would have a single frame.
        Failure: ffmpeg wrote no video.
    """
    from navbench.experiments.pictures import frames, sheet, video_of

    kind = out.suffix.lower()
    if kind in STILLS:
        return encoded(sheet(strip), kind)
    if len(set(shifts)) < 2:
        raise NavbenchError(f"{out}: a loop goes over two shifts or more; give several by --t.")
    order = sorted(range(len(shifts)), key=lambda column: shifts[column])
    loop = frames(strip[:, order], [shifts[column] for column in order])
    if kind == ".gif":
        return encoded(loop[0], kind, loop[1:])
    if not (video := video_of(loop)):
        raise Failure(f"{out} could not be written, as ffmpeg failed; write a .gif instead.")
    return video


def encoded(picture: Image.Image, kind: str, more: Sequence[Image.Image] = ()) -> bytes:
    """A picture as a file, or several as a looping one; WebP without loss, so that pixels are the generator's."""
    from navbench.experiments.pictures import FRAME_MS

    settings: dict[str, Any] = {"lossless": True} if kind == ".webp" else {}
    if more:
        settings |= {"save_all": True, "append_images": list(more), "duration": FRAME_MS, "loop": 0}
    buffer = io.BytesIO()
    picture.save(buffer, kind.removeprefix("."), **settings)
    return buffer.getvalue()
