"""Pictures in terminals: which protocol a terminal says it has, and a picture in that protocol.

Terminals are known by the variables that they document. A multiplexer (tmux, screen) passes no picture on by itself,
so within one there are at most half blocks.
"""

import base64
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

import numpy as np
from PIL import Image

from navbench.errors import unknown

CHOICE = "NAVBENCH_PICTURES"
"""The variable by which a user says what the terminal can: one of `PROTOCOLS`, or 'none'."""
WIDEST = 1600
"""Pixels: what is wider is reduced, which no screen shows in full anyway."""
_CHUNK = 4096
"""Of base64, in one command of the kitty protocol."""
_COLOURS = 256
"""That a sixel picture has."""


def protocol(environment: Mapping[str, str] = os.environ, is_terminal: bool | None = None) -> str | None:
    """The best protocol of the terminal that stdout is; `None` if it shows no pictures, or stdout is none.

    Raises:
        NavbenchError: the user's choice is no protocol.
    """
    if not (sys.stdout.isatty() if is_terminal is None else is_terminal):
        return None
    if choice := environment.get(CHOICE):
        if choice not in (*PROTOCOLS, "none"):
            raise unknown(f"value of {CHOICE}", choice, [*PROTOCOLS, "none"])
        return None if choice == "none" else choice
    return (None if _is_multiplexed(environment) else _by_name(environment)) or _blocks_if_coloured(environment)


def _is_multiplexed(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("TMUX") or environment.get("STY")) or environment.get("TERM", "").startswith(
        ("tmux", "screen")
    )


def _by_name(environment: Mapping[str, str]) -> str | None:
    """What terminals have that tell who they are."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("KITTY_WINDOW_ID") or term == "xterm-kitty" or term == "xterm-ghostty" or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    if term.startswith(("foot", "mlterm", "yaft")):
        return "sixel"
    return None


def _blocks_if_coloured(environment: Mapping[str, str]) -> str | None:
    is_coloured = environment.get("COLORTERM", "") in ("truecolor", "24bit") and not environment.get("NO_COLOR")
    return "blocks" if is_coloured and environment.get("TERM") != "dumb" else None


def drawn(picture: Image.Image, how: str, png: bytes) -> str:
    """What to write to a terminal for it to show a picture, with the end of the line.

    Args:
        picture: RGB.
        how: a protocol.
        png: the same picture as a file, which is sent as it is by protocols that take files.
    """
    return PROTOCOLS[how](picture, png) + "\n"


def kitty(_picture: Image.Image, png: bytes) -> str:
    """Kitty's graphics protocol: a PNG file in base64, in chunks; the terminal is to answer nothing (q=2)."""
    text = base64.b64encode(png).decode()
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    heads = ["a=T,f=100,q=2,", *[""] * (len(chunks) - 1)]
    lasts = [1] * (len(chunks) - 1) + [0]
    parts = zip(heads, lasts, chunks, strict=True)
    return "".join(f"\x1b_G{head}m={more};{chunk}\x1b\\" for head, more, chunk in parts)


def iterm2(_picture: Image.Image, png: bytes) -> str:
    """iTerm2's inline images: a file in base64."""
    text = base64.b64encode(png).decode()
    return f"\x1b]1337;File=inline=1;size={len(png)};preserveAspectRatio=1:{text}\x07"


def sixel(picture: Image.Image, _png: bytes) -> str:
    """DEC's sixels: bands of six rows; in each, a run of characters per colour of a palette."""
    indexed = picture.quantize(_COLOURS)
    palette, pixels = indexed.getpalette() or [], np.asarray(indexed)
    colours = "".join(
        f"#{index};2;{';'.join(str(round(value * 100 / 255)) for value in palette[3 * index : 3 * index + 3])}"
        for index in np.unique(pixels).tolist()
    )
    bands = "-".join("$".join(_runs(pixels[top : top + 6])) for top in range(0, picture.height, 6))
    return f'\x1bPq"1;1;{picture.width};{picture.height}{colours}{bands}\x1b\\'


def _runs(band: np.ndarray) -> Iterator[str]:
    """Of each colour of up to six rows its number and its sixels, repeated ones by their count."""
    for colour in np.unique(band):
        sixels = 63 + ((band == colour) << np.arange(len(band))[:, None]).sum(axis=0)
        yield f"#{colour}" + "".join(_repeated(chr(sign), len([*same])) for sign, same in groupby(sixels.tolist()))


def _repeated(sign: str, count: int) -> str:
    return f"!{count}{sign}" if count > 3 else sign * count


def blocks(picture: Image.Image, _png: bytes) -> str:
    """Two pixels in a cell: upper half blocks, whose colour is the upper one, and whose background the lower one."""
    width = min(picture.width, shutil.get_terminal_size().columns)
    height = max(2, round(picture.height * width / picture.width))
    small = picture.resize((width, height + height % 2), Image.Resampling.BOX)
    rows = []
    for top in range(0, small.height, 2):
        pairs = ((_rgb(small, x, top), _rgb(small, x, top + 1)) for x in range(width))
        rows.append("".join(f"\x1b[38;2;{upper};48;2;{lower}m▀" for upper, lower in pairs) + "\x1b[0m")
    return "\n".join(rows)


def _rgb(picture: Image.Image, x: int, y: int) -> str:
    pixel = picture.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return ";".join(map(str, pixel))


PROTOCOLS: dict[str, Callable[[Image.Image, bytes], str]] = {
    "kitty": kitty,
    "iterm2": iterm2,
    "sixel": sixel,
    "blocks": blocks,
}
"""By name, from a picture and its PNG file to what the terminal reads."""
