"""What another package adds, installed and used as a user would: `tests/plugin`, whose numbers are known."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import navbench
from navbench.library import open_set

PLUGIN, TREE = Path(__file__).parent / "plugin", Path(navbench.__file__).parent.parent
RAMP = 0.75  # the mean of what a direction adds to one channel, per shift
COLOURS = ("red", "green", "blue")
SUITE = """
name = "blobs"
experiments = ["attributes", "curves", "tints"]
[[generators]]
name = "blobs"
layers = ["colour"]
methods = ["channels"]
scorer = "colours"
[discovery]
directions = 3
effect = 0.05
effect_codes = 4
[screening]
samples = 4
[attributes]
samples = 6
shifts = 3
[tints]
samples = 5
[curves]
directions = 3
shifts = 3
samples = 40
extractor = "colours"
effect_samples = 4
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """An empty folder in which the plug-in was installed, listed, asked for directions and measured; and the list."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("empty")
    source = shutil.copytree(PLUGIN, tmp_path_factory.mktemp("source") / "plugin")
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (site, TREE)))}

    def run(*line):
        done = subprocess.run(
            [sys.executable, "-m", *map(str, line)],
            cwd=folder, env=variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", site, source)
    listed = run("navbench", "generators", "list")
    (folder / "suite.toml").write_text(SUITE)
    chosen = ("--generator", "blobs", "--method", "channels", "--layer", "colour", "--preset", "suite.toml")
    run("navbench", "discover", *chosen, "--out", "sets")
    run("navbench", "run-all", "suite.toml", "--directions", "sets", "--out", "run")
    return folder, listed


def table(used, name):
    return pd.read_csv(used[0] / "run" / "tables" / f"{name}.csv")


def test_its_generator_is_listed_beside_those_that_are_shipped(used):
    assert "navbench_blobs.generator:Blobs" in used[1]
    assert "cars" in used[1]


def test_its_method_finds_one_direction_per_channel(used):
    found = open_set(used[0] / "sets" / "blobs" / "channels" / "colour.safetensors")
    assert found.names() == [f"blobs/channels/colour/{index}" for index in range(len(COLOURS))]


def test_its_scorer_reads_that_each_direction_changes_one_colour_and_by_how_much(used):
    curves, attributes = table(used, "curves"), table(used, "attributes")
    assert len(attributes) == len(COLOURS) ** 2
    for row in attributes.itertuples():
        shifts = curves.loc[curves["direction"] == row.direction, "t"]
        expected = RAMP * (shifts.max() - shifts.min()) if row.attribute == COLOURS[row.direction] else 0
        assert row.change == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_its_extractor_sees_the_square_of_the_shift(used):
    curves = table(used, "curves")
    assert set(curves["extractor"]) == {"colours"}
    distances = curves[curves["metric"] == "FD"]
    assert len(distances) == 3 * len(COLOURS)
    for row in distances.itertuples():  # images are rounded to 8 bits, which a ramp averages out
        assert row.value == pytest.approx((RAMP * row.t) ** 2, rel=0.02, abs=1e-6)


def test_its_experiment_writes_its_own_table(used):
    tints, curves = table(used, "tints"), table(used, "curves")
    assert tints["n"].tolist() == [5] * len(COLOURS)
    for row in tints.itertuples():
        t_max = curves.loc[curves["direction"] == row.direction, "t"].max()
        expected = [RAMP * t_max if index == row.direction else 0 for index in range(len(COLOURS))]
        assert [row.red, row.green, row.blue] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_report_shows_what_it_added(used):
    report = (used[0] / "run" / "index.html").read_text()
    assert "FD (colours)" in report
    section = report.partition('id="tints"')[2]
    assert "What each direction adds to the mean colour, at t_max." in section
    assert f"{table(used, 'tints')['green'][1]:+.3f}" in section
