"""Pictures as files of a run folder: strips, animations and panels as WebP and MP4, heatmaps as arrays."""

import io
import json
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from navbench.directions import Direction
from navbench.errors import NavbenchWarning
from navbench.experiments.experiment import File
from navbench.experiments.rows import Row, who
from navbench.generators.base import Generator

QUALITY, STRIP_QUALITY = 85, 50
"""Of WebP; strips, of which there is one per direction, have to be small."""
FRAME_MS = 160
_SCALE_HEIGHT, _NARROWEST = 20, 96


def sheet(images: Tensor) -> Image.Image:
    """Images (rows, columns, 3, H, W), uint8, as one picture."""
    rows, columns, _, height, width = images.shape
    array = images.permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)
    return Image.fromarray(array.numpy())


def strip_file(direction: Direction, shifts: Sequence[float], strip: Tensor) -> File:
    """The strip as a sheet: a row per code, a column per shift."""
    return still(direction, "strip", f"{direction.slug}.webp", strip, [f"{t:.3g}" for t in shifts])


def loop_files(direction: Direction, shifts: Sequence[float], strip: Tensor) -> Iterator[File]:
    """The strip as a looping animation; as a video, too, if ffmpeg is installed."""
    columns, rows = [f"{t:.3g}" for t in shifts], len(strip)
    loop = frames(strip, shifts)
    animation = _row(direction, "animation", f"strips/{direction.slug}-loop.webp", rows, columns)
    yield File(animation["file"], _webp(loop), animation)
    video = _row(direction, "video", f"strips/{direction.slug}-loop.mp4", rows, columns)
    if content := video_of(loop):
        yield File(video["file"], content, video)


def frames(images: Tensor, shifts: Sequence[float]) -> list[Image.Image]:
    """Images (rows, columns, 3, H, W), uint8, as the frames of a loop to and fro over the columns, which are shifts."""
    there = [_with_scale(sheet(images[:, [column]].transpose(0, 1)), t, shifts) for column, t in enumerate(shifts)]
    return there + there[-2:0:-1]


def _with_scale(frame: Image.Image, t: float, shifts: Sequence[float]) -> Image.Image:
    """A frame with the range of t under it, and where in the range it is."""
    width = max(frame.width, _NARROWEST)
    whole = Image.new("RGB", (width, frame.height + _SCALE_HEIGHT), "white")
    whole.paste(frame, ((width - frame.width) // 2, 0))
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(size=9)
    low, high = shifts[0], shifts[-1]
    line, place = frame.height + 4, 4 + (width - 9) * (t - low) / (high - low)
    draw.line([(4, line), (width - 5, line)], fill="#9aa2ad")
    draw.ellipse([place - 3, line - 3, place + 3, line + 3], fill="#1d5f85")
    for text, x, anchor in (
        (f"{low:.3g}", 2, "la"),
        (f"t = {t:.2g}", width / 2, "ma"),
        (f"{high:.3g}", width - 2, "ra"),
    ):
        draw.text((x, line + 4), text, fill="#23272e", font=font, anchor=anchor)
    return whole


def video_of(frames: Sequence[Image.Image]) -> bytes:
    """The frames as MP4; b'' if ffmpeg is not installed, or fails, which is told in a warning."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return b""
    width, height = frames[0].size
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{1000 / FRAME_MS:g}", "-i", "-"]
    # H.264 in 4:2:0 wants even sides, and a player seeks in a file whose index comes first
    wanted = [
        "-vf",
        "pad=ceil(iw/2)*2:ceil(ih/2)*2",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
        "-movflags",
        "+faststart",
    ]
    with tempfile.TemporaryDirectory() as made:
        out = Path(made) / "video.mp4"
        content = b"".join(frame.convert("RGB").tobytes() for frame in frames)
        done = subprocess.run([ffmpeg, "-v", "error", *given, *wanted, str(out)], input=content, capture_output=True)
        if done.returncode != 0:
            reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            warnings.warn(f"ffmpeg wrote no MP4 ({reason}).", NavbenchWarning, stacklevel=2)
            return b""
        return out.read_bytes()


def still(direction: Direction, kind: str, file: str, images: Tensor, columns: Sequence[str], **more: Any) -> File:
    """A sheet of images (rows, columns, 3, H, W), uint8.

    Args:
        direction: that it is about.
        kind: what the report shows it as.
        file: its name under strips.
        images: the cells.
        columns: their captions.
        more: further columns of tables/images.csv.
    """
    row = _row(direction, kind, f"strips/{file}", len(images), columns) | more
    return File(row["file"], _webp([sheet(images)], STRIP_QUALITY if kind == "strip" else QUALITY), row)


def samples_file(generator: Generator, strip: Tensor) -> File:
    """Unshifted images as a sheet; its row names no direction."""
    file = f"strips/{generator.name}-samples.webp"
    nothing = {"method": "", "layer": "", "space": "", "direction": None, "name": "", "label": ""}
    shown = {"kind": "samples", "file": file, "rows": len(strip), "columns": "[]"}
    return File(file, _webp([sheet(strip)]), {"generator": generator.name, **nothing, **shown})


def side_by_side(first: Direction, kind: str, members: Sequence[str], images: Tensor) -> Iterator[File]:
    """Images (codes, directions, shifts, 3, H, W) as a sheet per code, one row per direction.

    Args:
        first: the direction that the others are beside.
        kind: 'paired' or 'matched'.
        members: names of the directions.
        images: the shifts as shares of either range, from the one end to the other.
    """
    middle = images.shape[2] // 2
    columns = [f"{(place - middle) / middle:+.0%}" if place != middle else "0" for place in range(images.shape[2])]
    for code, rows in enumerate(images):
        file = f"{first.slug}-{kind}-{code}.webp"
        yield still(first, kind, file, rows, columns, members=json.dumps(list(members)))


def arrays_file(path: str, arrays: Mapping[str, Tensor]) -> File:
    """Arrays by name, as npz."""
    buffer = io.BytesIO()
    content: dict[str, Any] = {name: array.numpy() for name, array in arrays.items()}
    np.savez_compressed(buffer, **content)
    return File(path, buffer.getvalue())


def _row(direction: Direction, kind: str, file: str, rows: int, columns: Sequence[str]) -> Row:
    return {**who(direction), "kind": kind, "file": file, "rows": rows, "columns": json.dumps(list(columns))}


def _webp(frames: Sequence[Image.Image], quality: int = QUALITY) -> bytes:
    buffer = io.BytesIO()
    more: dict[str, Any] = {}
    if len(frames) > 1:
        more = {"save_all": True, "append_images": frames[1:], "duration": FRAME_MS, "loop": 0}
    frames[0].save(buffer, "WEBP", quality=quality, method=4, **more)
    return buffer.getvalue()
