"""Pictures whose pixels are known."""

import io
import json
import shutil
import subprocess

import pytest
import torch
from analytic import LinearGenerator, direction
from PIL import Image

from navbench.errors import NavbenchWarning
from navbench.experiments import pictures

SHIFTS = [-2.0, 0.0, 3.0]


@pytest.fixture
def made():
    generator = LinearGenerator(side=6)
    return direction(generator, generator.row(0, torch.ones(3, 6, 6)), layer="map", ends=(-2.0, 3.0))


def strip(rows=1, side=96):
    """A strip whose columns are black, grey and white."""
    levels = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1, 1)
    return levels.expand(rows, 3, 3, side, side)


def written(folder, files):
    """The rows of files, which are written into a folder."""
    rows = []
    for file in files:
        (folder / file.path).parent.mkdir(exist_ok=True)
        (folder / file.path).write_bytes(file.content)
        rows.append(file.row)
    return rows


def frames(path):
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            yield image.convert("RGB")


def test_an_animation_goes_to_and_fro_over_the_range(made, tmp_path):
    written(tmp_path, pictures.loop_files(made, SHIFTS, strip()))
    levels = [frame.getpixel((48, 48))[0] for frame in frames(tmp_path / "strips" / "linear-made-map-0-loop.webp")]
    assert levels == pytest.approx([0, 128, 255, 128], abs=3)


def test_under_an_animation_a_mark_says_where_t_is(made, tmp_path):
    written(tmp_path, pictures.loop_files(made, SHIFTS, strip()))
    places = []
    for frame in frames(tmp_path / "strips" / "linear-made-map-0-loop.webp"):
        line = [frame.getpixel((x, 100)) for x in range(frame.width)]
        blue = [x for x, (red, _, b) in enumerate(line) if b - red > 60]
        places.append(sum(blue) / len(blue))
    low, middle, high = places[0], places[1], places[2]
    assert middle == pytest.approx(low + (high - low) * 2 / 5, abs=2)  # 0 in [-2, 3]
    assert places[3] == pytest.approx(middle, abs=1)


def test_without_ffmpeg_there_is_no_video(made, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    kinds = [row["kind"] for row in written(tmp_path, pictures.loop_files(made, SHIFTS, strip()))]
    assert kinds == ["animation"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_with_ffmpeg_the_video_has_the_frames_of_the_animation(made, tmp_path):
    rows = written(tmp_path, pictures.loop_files(made, SHIFTS, strip(side=97)))
    (video,) = [row["file"] for row in rows if row["kind"] == "video"]
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / video), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    side = (98, 118)  # made even
    decoded = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(-1, side[1], side[0])
    assert [int(frame[40, 40]) for frame in decoded] == pytest.approx([0, 128, 255, 128], abs=6)


def test_an_ffmpeg_that_fails_is_told_of_and_stops_nothing(made, tmp_path, monkeypatch):
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho 'Unknown encoder' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(broken))
    with pytest.warns(NavbenchWarning, match="Unknown encoder"):
        rows = written(tmp_path, pictures.loop_files(made, SHIFTS, strip()))
    assert [row["kind"] for row in rows] == ["animation"]


def test_a_sheet_of_pairs_has_a_row_per_direction_and_a_file_per_code(made, tmp_path):
    values = torch.arange(2 * 3 * 5).view(2, 3, 5, 1, 1, 1).mul(8).byte().expand(2, 3, 5, 3, 4, 4)
    rows = written(tmp_path, pictures.side_by_side(made, "paired", ["a", "b", "c"], values))
    assert [row["rows"] for row in rows] == [3, 3]
    assert json.loads(rows[0]["members"]) == ["a", "b", "c"]
    assert json.loads(rows[0]["columns"]) == ["-100%", "-50%", "0", "+50%", "+100%"]
    with Image.open(io.BytesIO((tmp_path / rows[1]["file"]).read_bytes())) as image:
        assert image.size == (20, 12)
        assert image.convert("RGB").getpixel((18, 10))[0] == pytest.approx(29 * 8, abs=12)  # the last code's last cell
