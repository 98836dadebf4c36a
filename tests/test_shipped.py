"""What the project ships: direction sets that fit their generator, their index, a report, and a preset that runs."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from navbench.cli import main
from navbench.compute import Compute
from navbench.directions import SHIPPED, Library
from navbench.generators import zoo

REPORTS = SHIPPED.parent / "reports"
METHODS = ("hybrid", "optimization", "spectrum", "svd")


@pytest.fixture(scope="module")
def faces():
    return zoo.create("faces", Compute())


def test_all_four_methods_are_shipped_on_two_layers_of_different_depth(faces):
    layers = {method: {file.header["layer"] for file in Library().of("faces") if file.header["method"] == method}
              for method in METHODS}  # fmt: skip
    assert len(set(map(frozenset, layers.values()))) == 1
    depths = {faces.layer(layer).index for layer in layers["svd"]}
    assert len(depths) >= 2


def test_every_shipped_set_loads_on_its_generator_with_unit_norm_directions_and_a_range(faces):
    for file in Library().of("faces"):
        for direction in file.load(faces):
            assert float(direction.offset.norm()) == pytest.approx(1, abs=1e-5)
            assert direction.t_min < 0 < direction.t_max


def test_shipped_directions_take_less_than_25_mb():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 25e6


def test_the_index_says_what_is_there():
    listed = CliRunner().invoke(main, ["directions", "list", "--csv"])
    ours, theirs = pd.read_csv(SHIPPED / "index.csv"), pd.read_csv(io.StringIO(listed.output))
    pd.testing.assert_frame_equal(ours, theirs)


def test_the_shipped_report_is_of_the_shipped_directions_and_small():
    manifest = json.loads((REPORTS / "quick" / "manifest.json").read_text())
    assert manifest["complete"]
    hashes = {item["reference"]: item["sha256"] for item in manifest["direction_sets"]}
    assert hashes == {
        file.reference: file.sha256 for file in Library().of("faces") if file.header["method"] != "random"
    }
    kept = [path for path in (REPORTS / "quick").rglob("*") if path.is_file() and "cache" not in path.parts]
    assert sum(path.stat().st_size for path in kept) < 6e6


def test_the_smoke_preset_ends_with_a_report_and_does_nothing_the_second_time(tmp_path):
    out = tmp_path / "smoke"
    first = CliRunner().invoke(main, ["run-all", "smoke", "--out", str(out)])
    assert first.exit_code == 0, first.output
    page = Path(first.output.rsplit("Report: ", 1)[1].strip())
    assert page == (out / "index.html").resolve()
    tables = {path.name: path.read_bytes() for path in (out / "tables").iterdir()}
    second = CliRunner().invoke(main, ["run-all", "smoke", "--out", str(out)])
    assert second.exit_code == 0, second.output
    stages = json.loads((out / "manifest.json").read_text())["stages"]
    assert [stage["stage"] for stage in stages if not stage["cached"]] == ["tables and pictures"]
    assert tables == {path.name: path.read_bytes() for path in (out / "tables").iterdir()}
