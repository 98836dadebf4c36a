"""The pictures of a run folder: strips, animations and panels as WebP, heatmaps as arrays."""

import io
import json
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from navbench.directions import Direction
from navbench.errors import NavbenchWarning
from navbench.experiments.strips import Strip
from navbench.files import write_atomically
from navbench.generators.base import Generator
from navbench.runner.identity import Row, by_name, identity
from navbench.runner.results import Results

QUALITY = 85
FRAME_MS = 160
_SCALE_HEIGHT, _NARROWEST = 20, 96


def sheet(images: Tensor) -> Image.Image:
    """Images (rows, columns, 3, H, W), uint8, as one picture."""
    rows, columns, _, height, width = images.shape
    array = images.permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)
    return Image.fromarray(array.numpy())


def write_strip(folder: Path, direction: Any, shifts: Sequence[float], strip: Strip) -> list[dict[str, Any]]:
    """The strip as a sheet and as a looping animation; their rows of tables/images.csv."""
    still, moving = f"strips/{direction.slug}.webp", f"strips/{direction.slug}-loop.webp"
    write_atomically(folder / still, _webp([sheet(strip.images)]))
    there = [sheet(strip.images[:, [column]].transpose(0, 1)) for column in range(len(shifts))]
    frames = [_with_scale(frame, t, shifts) for frame, t in zip(there, shifts, strict=True)]
    loop = frames + frames[-2:0:-1]
    write_atomically(folder / moving, _webp(loop))
    columns = json.dumps([f"{t:.3g}" for t in shifts])
    rows = len(strip.images)
    return [
        {**identity(direction), "kind": "strip", "file": still, "rows": rows, "columns": columns},
        {**identity(direction), "kind": "animation", "file": moving, "rows": rows, "columns": columns},
        *(
            {**identity(direction), "kind": "video", "file": video, "rows": rows, "columns": columns}
            for video in write_video(folder, f"strips/{direction.slug}-loop.mp4", loop)
        ),
    ]


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


def write_video(folder: Path, file: str, frames: Sequence[Image.Image]) -> list[str]:
    """The frames as MP4, where ffmpeg is installed; the names of what was written, which may be none."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return []
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
            return []
        write_atomically(folder / file, out.read_bytes())
    return [file]


def write_layer(folder: Path, direction: Direction, shifts: Sequence[float], strip: Strip) -> list[Row]:
    """The strip of a layer in the survey."""
    file = f"strips/{direction.slug}-layer.webp"
    return [_still(folder, direction, "layer", file, strip.images, [f"{t:.3g}" for t in shifts])]


def write_pairs(folder: Path, first: Direction, kind: str, names: Sequence[str], images: Tensor) -> list[Row]:
    """Images (codes, directions, shifts, 3, H, W) as a sheet per code, one row per direction.

    Args:
        folder: of the run.
        first: the direction that the others are beside.
        kind: 'paired' or 'matched'.
        names: of the directions.
        images: the shifts as shares of either range, from the one end to the other.
    """
    middle = images.shape[2] // 2
    columns = [f"{(place - middle) / middle:+.0%}" if place != middle else "0" for place in range(images.shape[2])]
    table = []
    for code, sheet_ in enumerate(images):
        file = f"strips/{first.slug}-{kind}-{code}.webp"
        row = _still(folder, first, kind, file, sheet_, columns)
        table.append({**row, "members": json.dumps(list(names))})
    return table


def write_photos(
    folder: Path, direction: Direction, space: str, shifts: Sequence[float], names: Sequence[str], images: Tensor
) -> list[Row]:
    """Photos and their edits (photos, 1 + shifts, 3, H, W), one row per photo."""
    file = f"strips/{direction.slug}-photos-{space.replace('+', '-plus-').strip('-')}.webp"
    row = _still(folder, direction, "photos", file, images, ["photo", *(f"{t:.3g}" for t in shifts)])
    return [{**row, "members": json.dumps(list(names)), "target": space}]


def _still(folder: Path, direction: Direction, kind: str, file: str, images: Tensor, columns: Sequence[str]) -> Row:
    write_atomically(folder / file, _webp([sheet(images)]))
    return {
        **identity(direction),
        "kind": kind,
        "file": file,
        "rows": len(images),
        "columns": json.dumps(list(columns)),
    }


def write_samples(folder: Path, generator: Generator, strip: Strip) -> list[dict[str, Any]]:
    """Unshifted images as a sheet; its row of tables/images.csv, which names no direction."""
    file = f"strips/{generator.name}-samples.webp"
    write_atomically(folder / file, _webp([sheet(strip.images)]))
    nothing = {"method": "", "layer": "", "space": "", "direction": None, "name": "", "label": ""}
    return [
        {
            "generator": generator.name,
            **nothing,
            "kind": "samples",
            "file": file,
            "rows": len(strip.images),
            "columns": "[]",
        }
    ]


def write_reproductions(folder: Path, results: Results) -> list[dict[str, Any]]:
    """Per direction the unshifted image, the edit, and the best imitation of every target space, side by side."""
    table = []
    directions = by_name(results)
    for name in dict.fromkeys(name for name, _ in results.reproductions):
        direction = directions[name]
        found = {target: piece for (of, target), piece in results.reproductions.items() if of == name}
        first = next(iter(found.values())).panel
        panel = torch.cat([first[:, :2], *(piece.panel[:, 2:] for piece in found.values())], dim=1)
        file = f"strips/{direction.slug}-reproduction.webp"
        write_atomically(folder / file, _webp([sheet(panel)]))
        targets = [f"best in {target}" for target in found]
        columns = json.dumps(["original", f"edit, t = {direction.t_max:.3g}", *targets])
        row = {"kind": "reproduction", "file": file, "rows": len(panel), "columns": columns}
        table.append({**identity(direction), **row})
    return table


def write_arrays(folder: Path, results: Sequence[Results]) -> None:
    """Heatmaps with the mean unshifted image, one npz per direction."""
    for result in results:
        directions = by_name(result)
        for name, heats in result.heats.items():
            change = torch.stack([heat.change for heat in heats]).sum(0)
            image = torch.stack([heat.image for heat in heats]).sum(0)
            shifted, unshifted = torch.stack([heat.count for heat in heats]).sum(0)
            buffer = io.BytesIO()
            np.savez_compressed(
                buffer,
                heatmap=(change / shifted).float().numpy(),
                mean_image=(image / unshifted).float().numpy(),
                examples=torch.cat([heat.examples for heat in heats]).numpy(),
                example_changes=torch.cat([heat.example_changes for heat in heats]).numpy(),
            )
            write_atomically(folder / f"heatmap-{directions[name].slug}.npz", buffer.getvalue())


def _webp(frames: Sequence[Image.Image]) -> bytes:
    buffer = io.BytesIO()
    more: dict[str, Any] = {}
    if len(frames) > 1:
        more = {"save_all": True, "append_images": frames[1:], "duration": FRAME_MS, "loop": 0}
    frames[0].save(buffer, "WEBP", quality=QUALITY, method=4, **more)
    return buffer.getvalue()
