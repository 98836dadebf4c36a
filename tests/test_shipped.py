"""What the project ships: direction sets that fit their generators, their index, a report, and a preset that runs."""

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
WEIGHTS = ("hybrid", "optimization", "spectrum", "svd")
CODES = ("latent-optimization", "latent-spectrum", "random", "sefa")
LAYERS = {"cars": 3, "faces": 2}


@pytest.fixture(scope="module", params=LAYERS)
def generator(request):
    return zoo.create(request.param, Compute())


def places(name: str, method: str) -> set[str]:
    return {file.header["layer"] or file.header["space"] for file in of(name, method)}


def of(name: str, method: str) -> list:
    return [file for file in Library().of(name) if file.header["method"] == method]


def test_every_method_is_shipped_on_the_same_layers_of_different_depth(generator):
    common = set.intersection(*(places(generator.name, method) for method in WEIGHTS))
    assert len({generator.layer(layer).index for layer in common}) >= LAYERS[generator.name]
    assert all(places(generator.name, method) == common for method in WEIGHTS if method != "spectrum")


def test_the_survey_of_cars_has_every_layer_found_with_the_same_effort():
    files = of("cars", "spectrum")
    assert {file.header["layer"] for file in files} == {layer.name for layer in zoo.create("cars", Compute()).layers()}
    efforts = [(file.header["settings"]["spectrum"], file.header["settings"]["effect"], file.count) for file in files]
    assert all(effort == efforts[0] for effort in efforts)


def test_every_latent_method_is_shipped_in_each_space_of_cars_that_it_is_defined_in():
    assert places("cars", "ganspace") == {"w"}
    assert all(places("cars", method) >= {"z", "w"} for method in CODES)


def test_every_shipped_set_loads_on_its_generator_with_unit_norm_directions_and_a_range(generator):
    for file in Library().of(generator.name):
        for direction in file.load(generator):
            assert float(direction.offset.norm()) == pytest.approx(1, abs=1e-5)
            assert direction.t_min < 0 < direction.t_max


@pytest.mark.parametrize("name", LAYERS)
def test_shipped_directions_of_a_generator_take_less_than_25_mb(name):
    assert sum(path.stat().st_size for path in (SHIPPED / name).rglob("*") if path.is_file()) < 25e6


def test_the_index_says_what_is_there():
    listed = CliRunner().invoke(main, ["directions", "list", "--csv"])
    ours, theirs = pd.read_csv(SHIPPED / "index.csv"), pd.read_csv(io.StringIO(listed.output))
    pd.testing.assert_frame_equal(ours, theirs)


def test_the_shipped_report_is_of_the_shipped_directions_and_small():
    manifest = json.loads((REPORTS / "quick" / "manifest.json").read_text())
    assert manifest["complete"]
    hashes = {item["reference"]: item["sha256"] for item in manifest["direction_sets"]}
    shipped = {file.reference: file.sha256 for name in LAYERS for file in Library().of(name)}
    assert hashes == {reference: shipped[reference] for reference in hashes}
    assert {reference.partition("/")[0] for reference in hashes} == set(LAYERS)
    kept = [path for path in (REPORTS / "quick").rglob("*") if path.is_file() and "cache" not in path.parts]
    assert sum(path.stat().st_size for path in kept) < 14e6


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
