"""`navbench show`: the strip is what the direction renders, in files and in terminals; and how a direction is named."""

# ruff: noqa: F401, F811 (fixtures of test_cli)

import base64
import io
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from test_cli import call, finished, folder, generator, installed

from navbench.cli import show, terminal
from navbench.compute import Compute
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.strips import to_bytes
from navbench.library import Library
from navbench.seeds import Role

NAME = "toy/svd/up/1"


def edit(folder):
    file, index = Library([folder / "sets"]).find(NAME)
    made = generator()
    return Edit(made, file.load(made)[index], Compute())


def cells(one, shifts, indices):
    """The strip, cell by cell, as the `Edit` renders one code at one shift."""
    rows = []
    for index in indices:
        codes = codes_for(one.space.generator, Role.STRIP, [index], 0)
        rows.append([to_bytes(one.prepare(codes)(t))[0].permute(1, 2, 0).numpy() for t in shifts])
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def close(image, expected):
    """Alike to a grey level, which is what batches of another size move a rounding by."""
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected.astype(int)).max() <= 1


def pixels(file):
    return np.asarray(Image.open(file).convert("RGB"))


# --- files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_the_strip_is_three_codes_at_seven_shifts_over_the_range(call, folder, tmp_path, kind):
    out = tmp_path / f"strip.{kind}"
    said = call(f"show svd/up/1 --directions sets --out {out}").stdout
    one = edit(folder)
    close(pixels(out), cells(one, one.direction.shifts(7).tolist(), range(3)))
    assert said.splitlines()[0].startswith(f"{NAME}, t = {one.direction.t_min:.3g}, ")
    assert said.splitlines()[1:] == [f"Strip: {out}"]


def test_shifts_and_codes_are_those_that_are_asked_for(call, folder, tmp_path):
    call(f"show {NAME} --directions sets --t 2,-1.5,0 --codes 4,9 --out {tmp_path / 'a.png'}")
    close(pixels(tmp_path / "a.png"), cells(edit(folder), [2, -1.5, 0], [4, 9]))
    call(f"show {NAME} --directions sets --shifts 3 --codes 5, --out {tmp_path / 'b.png'}")
    close(pixels(tmp_path / "b.png"), cells(edit(folder), edit(folder).direction.shifts(3).tolist(), [5]))


@pytest.mark.parametrize(("text", "shifts"), [("@3", [0, 3]), ("@-1.5", [-1.5, 0]), ("@\N{MINUS SIGN}1.5", [-1.5, 0])])
def test_a_name_with_a_shift_shows_that_shift_beside_none(call, folder, tmp_path, text, shifts):
    call(f"show '{NAME}{text}' --directions sets --out {tmp_path / 'strip.png'}")
    close(pixels(tmp_path / "strip.png"), cells(edit(folder), shifts, range(3)))


def test_without_a_name_the_file_is_called_after_the_direction(call, folder):
    assert "Strip: toy-svd-up-1.png" in call(f"show {NAME} --directions sets").stdout
    assert pixels(folder / "toy-svd-up-1.png").shape == (3 * 24, 7 * 24, 3)
    (folder / "toy-svd-up-1.png").unlink()


def test_a_gif_is_a_loop_to_and_fro_over_the_shifts(call, folder, tmp_path):
    call(f"show {NAME} --directions sets --t 2,0,-2 --codes 2 --out {tmp_path / 'loop.gif'}")
    loop = Image.open(tmp_path / "loop.gif")
    assert (loop.n_frames, loop.info["loop"]) == (4, 0)
    expected = cells(edit(folder), [-2, 0, 2, 0], range(2))
    for frame in range(4):
        loop.seek(frame)
        shown = np.asarray(loop.convert("RGB"))[:24]
        left = (shown.shape[1] - 48) // 2
        column = expected[:, 24 * frame : 24 * (frame + 1)]
        wanted = np.concatenate([column[:24], column[24:]], axis=1)  # the codes stand beside each other
        assert np.abs(shown[:, left : left + 48].astype(int) - wanted.astype(int)).mean() < 16  # of 256 colours


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe, of ffmpeg, reads the video")
def test_an_mp4_has_a_frame_per_step_of_the_loop(call, tmp_path):
    call(f"show {NAME} --directions sets --shifts 5 --out {tmp_path / 'loop.mp4'}")
    asked = ["-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames"]
    line = ["ffprobe", *asked, "-of", "csv=p=0", str(tmp_path / "loop.mp4")]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip() == "8"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--out strip.jpg", "strip.jpg should end in .png or .webp for a strip, or in .gif or .mp4 for a loop."),
        ("--out strip", "strip should end in .png or .webp for a strip, or in .gif or .mp4 for a loop."),
        ("--out there.png", "there.png exists already; choose another --out, or say --force to replace it."),
        ("--t 3 --out one.gif", "one.gif: a loop goes over two shifts or more; give several by --t."),
        ("--device nowhere --out x.png", ""),
    ],
)
def test_a_file_that_cannot_be_is_refused_in_one_sentence(call, folder, line, sentence):
    (folder / "there.png").write_text("mine")
    said = call(f"show {NAME} --directions sets {line}", 2).stderr
    assert said.startswith(f"Error: {sentence}")
    assert said.count("\n") == 1
    assert (folder / "there.png").read_text() == "mine"
    call(f"show {NAME} --directions sets --out there.png --force")
    assert pixels(folder / "there.png").shape == (3 * 24, 7 * 24, 3)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_video_without_ffmpeg_is_refused_before_anything_is_rendered(call, monkeypatch):
    monkeypatch.setattr(show.shutil, "which", lambda _name: None)
    monkeypatch.setattr(show, "_show", None)
    assert "needs ffmpeg, which is not installed" in call(f"show {NAME} --directions sets --out x.mp4", 2).stderr


def test_a_video_that_ffmpeg_does_not_write_is_a_failure(call, monkeypatch, folder):
    monkeypatch.setattr("navbench.experiments.pictures.video_of", lambda _frames: b"")
    assert "ffmpeg failed" in call(f"show {NAME} --directions sets --out x.mp4", 1).stderr
    assert not (folder / "x.mp4").exists()


@pytest.mark.parametrize(
    "line", ["--codes 0", "--codes 00", "--codes -1", "--codes 1.5", "--t a", "--t 1,inf", "--t nan", "--t ''"]
)
def test_codes_and_shifts_that_are_none_are_refused(call, line):
    assert "Error: Invalid value for" in call(f"show {NAME} --directions sets --out x.png {line}", 2).stderr


def test_a_shift_is_said_once(call):
    assert "say it once" in call(f"show {NAME}@2 --t 1,2 --directions sets --out x.png", 2).stderr


# --- names -----------------------------------------------------------------------------------------------------


@pytest.fixture
def labelled(finished, tmp_path):
    """A run in which two directions got the same automatic label, and a third another."""
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    table = pd.read_csv(run / "tables" / "directions.csv")
    labels = {"toy/svd/up/0": "sky tone +", "toy/random/up/0": "sky tone +", NAME: "hue -"}
    table["auto_label"] = [labels.get(name, "") for name in table["name"]]
    table.to_csv(run / "tables" / "directions.csv", index=False)
    return run


@pytest.mark.parametrize("sign", ["-", "\N{MINUS SIGN}"])
def test_an_automatic_label_of_a_run_is_a_name(call, folder, labelled, tmp_path, sign):
    call(f"show 'hue {sign}@2' --run {labelled} --directions sets --out {tmp_path / 'a.png'}")
    close(pixels(tmp_path / "a.png"), cells(edit(folder), [0, 2], range(3)))
    said = call(f"directions show 'Hue {sign}' --run {labelled} --directions sets").stdout
    assert said.splitlines()[0].split() == ["name", NAME]
    call(f"locality --direction 'hue {sign}' --run {labelled} --samples 4 --shifts 3 --preset tiny.toml "
         f"--directions sets --out {tmp_path / 'local'}")  # fmt: skip
    assert set(pd.read_csv(tmp_path / "local" / "tables" / "locality.csv")["name"]) == {NAME}


def test_an_ambiguous_label_is_answered_with_full_names_a_line_each(call, labelled):
    said = call(f"show 'sky tone +' --run {labelled} --directions sets", 2).stderr.splitlines()
    assert said[0].startswith("Error: Direction 'sky tone +' is not unique; ")
    assert sorted(said[1:]) == ["  toy/random/up/0", "  toy/svd/up/0"]


def test_an_automatic_label_without_its_run_is_answered_with_how_to_name_it(call):
    assert "are known with --run RUN" in call("show 'hue -' --directions sets", 2).stderr
    assert "--run RUN" not in call("show 'hue' --directions sets", 2).stderr


def test_the_label_of_a_set_that_has_changed_since_the_run_is_none(call, labelled):
    manifest = json.loads((labelled / "manifest.json").read_text())
    for each in manifest["direction_sets"]:
        each["content"] = "0" * 16
    (labelled / "manifest.json").write_text(json.dumps(manifest))
    assert "Unknown direction 'hue -'" in call(f"show 'hue -' --run {labelled} --directions sets", 2).stderr


def test_labels_of_a_set_in_which_something_was_named_since_are_known(call, folder, labelled, tmp_path):
    shutil.copytree(folder / "sets", tmp_path / "mine")
    call(f"directions label {tmp_path / 'mine/toy/svd/up.safetensors'} 1 smile")
    call(f"show 'hue -' --run {labelled} --directions {tmp_path / 'mine'} --out {tmp_path / 'a.png'}")
    assert (tmp_path / "a.png").exists()


def test_a_place_without_a_run_has_no_labels(call, tmp_path):
    assert "holds no run" in call(f"show 'hue -' --run {tmp_path} --directions sets", 2).stderr


# --- terminals -------------------------------------------------------------------------------------------------

TRUE = {"COLORTERM": "truecolor"}


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"KITTY_WINDOW_ID": "1", "TERM": "xterm-256color"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app", **TRUE}, "iterm2"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "foot", **TRUE}, "sixel"),
        ({"TERM": "xterm-256color", **TRUE}, "blocks"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, "blocks"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-256color", "NO_COLOR": "1", **TRUE}, None),
        ({"TERM": "dumb", **TRUE}, None),
        ({"TERM": "xterm-kitty", "TMUX": "socket,1,0"}, None),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "iTerm.app", **TRUE}, "blocks"),
        ({"TERM": "xterm", "NAVBENCH_PICTURES": "sixel"}, "sixel"),
        ({"TERM": "xterm-kitty", "NAVBENCH_PICTURES": "none"}, None),
    ],
)
def test_a_terminal_is_known_by_what_it_says_of_itself(environment, protocol):
    assert terminal.protocol(environment, is_terminal=True) == protocol
    assert terminal.protocol(environment, is_terminal=False) is None


def test_a_protocol_that_is_none_is_refused():
    with pytest.raises(Exception, match="Unknown value of NAVBENCH_PICTURES 'kity'; did you mean 'kitty'"):
        terminal.protocol({"NAVBENCH_PICTURES": "kity"}, is_terminal=True)


def picture(array):
    image = Image.fromarray(array)
    return image, show.encoded(image, ".png")


IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90), st.just(3)))


@given(IMAGES)
@example(np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8))  # of several chunks
def test_kitty_is_sent_the_png_in_chunks(array):
    image, png = picture(array)
    commands = re.findall("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", terminal.kitty(image, png))
    assert "".join(f"\x1b_G{keys};{chunk}\x1b\\" for keys, chunk in commands) == terminal.kitty(image, png)
    assert base64.b64decode("".join(chunk for _, chunk in commands)) == png
    assert all(len(chunk) <= 4096 for _, chunk in commands)
    first, *rest = [keys for keys, _ in commands]
    assert first == f"a=T,f=100,q=2,m={int(bool(rest))}"
    assert rest == [f"m={int(place < len(rest))}" for place in range(1, len(rest) + 1)]


@given(IMAGES)
def test_iterm2_is_sent_the_png_with_its_size(array):
    image, png = picture(array)
    keys, content = re.fullmatch("\x1b]1337;File=([^:]*):([^\x07]*)\x07", terminal.iterm2(image, png)).groups()
    assert base64.b64decode(content) == png
    assert {"inline=1", f"size={len(png)}"} <= set(keys.split(";"))


def unsixeled(text):
    """What a terminal draws of sixels."""
    head = re.match('\x1bPq"1;1;(\\d+);(\\d+)', text)
    drawn, palette = np.full((int(head[2]), int(head[1]), 3), 255), {}
    x = y = 0
    for token in re.findall(r"#\d+;2;\d+;\d+;\d+|#\d+|!\d+.|[$-]|[?-~]", text[head.end() : -2]):
        if token.count(";") == 4:
            index, _, *colour = token[1:].split(";")
            palette[index] = [int(part) * 255 / 100 for part in colour]
        elif token[0] == "#":
            colour = palette[token[1:]]
        elif token in "$-":
            x, y = 0, y + 6 * (token == "-")
        else:
            count = int(token[1:-1]) if token[0] == "!" else 1
            for row in range(6):
                if (ord(token[-1]) - 63) >> row & 1:
                    drawn[y + row, x : x + count] = colour
            x += count
    return drawn


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_sixel_picture_is_drawn_as_it_is(height, width, seed):
    draw = np.random.default_rng(seed)
    colours = draw.integers(0, 256, (200, 3)).astype(np.uint8)  # more would have to share the palette's
    array = colours[draw.integers(0, 200, (height, width))]
    text = terminal.sixel(Image.fromarray(array), b"")
    assert text.endswith("\x1b\\")
    assert np.abs(unsixeled(text) - array.astype(int)).max() <= 3  # colours are in percent


def test_blocks_are_two_pixels_each_as_wide_as_the_terminal(monkeypatch):
    monkeypatch.setattr(terminal.shutil, "get_terminal_size", lambda: os.terminal_size((4, 24)))
    array = np.arange(2 * 4 * 3).reshape(2, 4, 3).astype(np.uint8)
    cells = [
        f"\x1b[38;2;{';'.join(map(str, upper))};48;2;{';'.join(map(str, lower))}m▀"
        for upper, lower in zip(*array, strict=True)
    ]
    assert terminal.blocks(Image.fromarray(array), b"") == "".join(cells) + "\x1b[0m"
    wide = terminal.blocks(Image.new("RGB", (400, 200)), b"")
    assert wide.count("▀") == 4 * 1


def test_a_terminal_gets_the_strip_alone_and_with_a_name_the_file_too(call, folder, monkeypatch, tmp_path):
    monkeypatch.setattr(terminal, "protocol", lambda: "kitty")
    said = call(f"show {NAME} --directions sets").stdout
    sent = base64.b64decode("".join(re.findall("\x1b_G[^;]*;([^\x1b]*)\x1b", said)))
    one = edit(folder)
    close(pixels(io.BytesIO(sent)), cells(one, one.direction.shifts(7).tolist(), range(3)))
    assert not (folder / "toy-svd-up-1.png").exists()
    call(f"show {NAME} --directions sets --out {tmp_path / 'strip.png'}")
    assert (tmp_path / "strip.png").read_bytes() == sent
    assert "\x1b" not in call(f"show {NAME} --directions sets --no-picture --out {tmp_path / 'b.png'}").stdout


def test_nothing_is_drawn_into_a_pipe(call, monkeypatch, tmp_path):
    for name, value in {"TERM": "xterm-kitty", "NAVBENCH_PICTURES": "kitty"}.items():
        monkeypatch.setenv(name, value)
    assert "\x1b" not in call(f"show {NAME} --directions sets --out {tmp_path / 'strip.png'}").stdout
