"""What the project ships: direction sets that fit their generators, their index, a report, and a preset that runs."""

import io
import json
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from navbench import suite, tables
from navbench.cli import main
from navbench.compute import Compute
from navbench.discovery.convergence import failed_criteria
from navbench.experiments.imitation import TYPICAL_STEPS
from navbench.generators import zoo
from navbench.library import SHIPPED, Library
from navbench.report.compare import Condition, write_comparison
from navbench.tables import TABLES
from navbench.words import CONVERGED, NOT_CONVERGED

REPORTS = SHIPPED.parent / "reports"
WEIGHTS = ("hybrid", "optimization", "spectrum", "svd")
CODES = ("latent-optimization", "latent-spectrum", "random", "sefa")
LAYERS = {"cars": 3, "faces": 2, "eyes": 1}


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
    settings = [file.header["settings"] for file in files]
    efforts = [(each["spectrum"]["codes"], each["spectrum"]["solver"], each["effect"]) for each in settings]
    assert all(effort == efforts[0] for effort in efforts)
    assert min(file.count for file in files) >= 8


def test_every_latent_method_is_shipped_in_each_space_of_cars_that_it_is_defined_in():
    assert places("cars", "ganspace") == {"w"}
    assert all(places("cars", method) >= {"z", "w"} for method in CODES)
    assert all("z" in places("eyes", method) for method in CODES)


def test_every_shipped_set_loads_on_its_generator_with_unit_norm_directions_and_a_range(generator):
    for file in Library().of(generator.name):
        for direction in file.load(generator):
            assert float(direction.offset.norm()) == pytest.approx(1, abs=1e-5)
            assert direction.t_min < 0 < direction.t_max


def test_the_status_of_a_learned_set_is_what_its_provenance_gives():
    for file in Library().sets.values():
        if file.status:
            provenance = file.header["provenance"]
            failed = provenance["failed"]
            if "losses" in provenance:  # else it was found before there were criteria, which is what it fails by
                assert failed == failed_criteria(provenance, file.count)
            assert file.status == (NOT_CONVERGED if failed else CONVERGED)


def test_shipped_directions_take_less_than_60_mb():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 60e6


def test_the_index_says_what_is_there():
    listed = CliRunner().invoke(main, ["directions", "list", "--csv", "--run", str(REPORTS / "quick")])
    ours, theirs = pd.read_csv(SHIPPED / "index.csv"), pd.read_csv(io.StringIO(listed.output))
    pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize(
    ("preset", "generators"),
    [("quick", {"cars", "faces"}), ("smoke", {"cars", "faces"}), ("full", {"cars", "faces", "eyes"})],
)
def test_the_shipped_runs_are_of_their_presets_and_of_the_shipped_directions(preset, generators):
    manifest = json.loads((REPORTS / preset / "manifest.json").read_text())
    assert manifest["complete"]
    assert suite.read(str(REPORTS / preset / "suite.toml")) == suite.read(preset)
    hashes = {item["set_id"]: item["sha256"] for item in manifest["direction_sets"]}
    shipped = {reference: file.sha256 for reference, file in Library().sets.items()}
    assert hashes == {reference: shipped[reference] for reference in hashes}
    assert {reference.partition("/")[0] for reference in hashes} == generators


@pytest.mark.parametrize(("preset", "folder", "page"), [("quick", 40e6, 15e6), ("full", 120e6, 25e6)])
def test_the_shipped_runs_are_small(preset, folder, page):
    files = [path for path in (REPORTS / preset).rglob("*") if path.is_file() and "cache" not in path.parts]
    assert sum(path.stat().st_size for path in files) < folder
    assert (REPORTS / preset / "index.html").stat().st_size < page


def test_the_full_report_has_every_shipped_direction_of_its_places_and_2000_images_at_each_point():
    full = suite.read("full")
    directions, curves = (tables.read(REPORTS / "full", name) for name in ("directions", "curves"))
    counts = directions["name"].str.rpartition("/")[0].value_counts()
    places = {
        (subject.name, place): methods
        for subject in full.generators
        for measured, methods in ((subject.layers, subject.methods), (subject.latents, subject.latent_methods))
        for place in measured
    }
    shipped = {
        reference: file.count
        for reference, file in Library().sets.items()
        if file.header["method"]
        in places.get((file.header["generator"], file.header["layer"] or file.header["space"]), ())
    }
    assert shipped == counts.to_dict()
    assert set(curves["n"]) == {2000.0}
    drawn = curves.groupby(curves["name"].str.rpartition("/")[0])["name"].nunique()
    assert drawn.to_dict() == {each: min(full.curves.directions, count) for each, count in shipped.items()}


def test_plans_count_the_steps_of_an_imitation_that_the_full_report_took():
    took, most = tables.read(REPORTS / "full", "reproduction"), suite.read("full").reproduction.steps
    kind = took["target"].str.split().str[0]
    assert kind.map(TYPICAL_STEPS).clip(upper=most).sum() == pytest.approx(took["steps"].sum(), rel=0.15)
    for each, steps in took["steps"].groupby(kind):
        assert steps.median() == pytest.approx(TYPICAL_STEPS[each], rel=0.25)


def test_the_tables_of_smoke_are_small():
    files = (REPORTS / "smoke" / "tables").iterdir()
    assert sum(path.stat().st_size for path in files) < 2e6


# --- tox -e science --------------------------------------------------------------------------------------------


def science() -> list[Condition]:
    """The conditions under which it fails."""
    words = shlex.split((REPORTS.parent / "tox.ini").read_text(), comments=True)
    return [Condition.parse(words[place + 1]) for place, word in enumerate(words) if word == "--fail-on"]


@pytest.mark.parametrize(
    ("column", "factor"),
    [
        ("fd_at_max", 1),
        ("fd_at_max", 1.01),
        ("kid_at_min", 0.9),
        ("effect_max", 1.01),
        ("area50", 0.99),
        ("unexplained_fraction_z", 1.1),
        ("attribute_change", 1.02),
    ],
)
def test_science_fails_where_a_number_changes_and_needs_no_more_of_a_run_than_is_kept(column, factor, tmp_path):
    run = tmp_path / "smoke"
    shutil.copytree(REPORTS / "smoke" / "tables", run / "tables")
    for name in ("manifest.json", "suite.toml"):
        shutil.copy(REPORTS / "smoke" / name, run)
    table = pd.read_csv(run / "tables" / "directions.csv")
    table.assign(**{column: factor * table[column]}).to_csv(run / "tables" / "directions.csv", index=False)
    _, changes, met = write_comparison(REPORTS / "smoke", run, tmp_path / "out", science())
    assert len(changes) > 100
    assert set(met["column"]) == ({column} if factor != 1 else set())


def test_the_smoke_preset_gives_the_numbers_of_its_report_and_does_nothing_the_second_time(tmp_path):
    out = tmp_path / "smoke"
    first = CliRunner().invoke(main, ["run-all", "smoke", "--out", str(out)])
    assert first.exit_code == 0, first.output
    page = Path(first.output.rsplit("Report: ", 1)[1].strip())
    assert page == (out / "index.html").resolve()
    before, pieces = contents(out / "tables"), times(out / "cache")
    second = CliRunner().invoke(main, ["run-all", "smoke", "--out", str(out)])
    assert second.exit_code == 0, second.output
    assert times(out / "cache") == pieces
    assert contents(out / "tables") == before
    assert set(before) == {f"{name}.csv" for name in TABLES} - {"calibration.csv", "racing.csv", "disentanglement.csv"}
    _, changes, met = write_comparison(REPORTS / "smoke", out, tmp_path / "changes", science())
    assert len(changes) > 100
    assert met.empty, met.to_string()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
