"""The commands: what they print, what they leave behind, and with which exit code they end."""

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent / "runner"))
import toy

from navbench import __version__, plugins, weights
from navbench.cli import main
from navbench.cli.output import show
from navbench.generators import zoo
from navbench.generators.wrapped import Wrapped
from navbench.library import Library, open_set
from navbench.suite import PRESETS


def commands(group=main, words=("navbench",)):
    """Every command with the words that call it, groups among them."""
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


def generator():
    """The toy generator as an installed one, `toy`."""
    return Wrapped(toy.make(), (4,), "toy", "a small random network")


def install(patch, there=plugins.known):
    """Install the toy generator."""
    ours = {zoo.GROUP: {"toy": EntryPoint("toy", "test_cli:generator", zoo.GROUP)}}
    patch.setattr(plugins, "known", lambda group: there(group) | ours.get(group, {}))
    patch.setitem(sys.modules, "test_cli", sys.modules[__name__])


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """The toy generator is installed beside those that there are."""
    install(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a suite of the toy generator and its direction sets."""
    place = tmp_path_factory.mktemp("work")
    (place / "tiny.toml").write_text(toy.TINY.replace("toy:make", "toy"))
    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        toy.write_sets(place / "sets", "toy")
    return place


@pytest.fixture
def call(folder, monkeypatch):
    """Run a command line in that folder; its result."""
    monkeypatch.chdir(folder)
    return lambda line, code=0: checked(CliRunner().invoke(main, shlex.split(line)), code)


def checked(result, code):
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def finished(folder):
    """A run folder that `run-all` left, and what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        install(patch)
        result = CliRunner().invoke(main, ["run-all", "tiny.toml", "--directions", "sets", "--out", "run [a] :b:"])
    return folder / "run [a] :b:", checked(result, 0)


# --- help ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "command"), [pytest.param(*found, id=" ".join(found[0])) for found in commands()])
def test_the_help_of_every_command_says_what_it_does_and_shows_an_example(words, command):
    result = checked(CliRunner().invoke(main, [*words[1:], "--help"]), 0)
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    if words != ("navbench",):
        assert f"Example:\n    {' '.join(words)}" in result.stdout


@pytest.mark.parametrize(
    ("words", "command"),
    [pytest.param(*found, id=" ".join(found[0])) for found in commands() if not hasattr(found[1], "commands")],
)
def test_every_example_is_a_command_line_that_would_run(words, command):
    line = shlex.split(command.epilog.partition("Example:")[2])
    assert tuple(line[: len(words)]) == words
    command.make_context(words[-1], line[len(words) :])


def test_the_program_without_a_command_lists_what_there_is():
    result = checked(CliRunner().invoke(main, []), 2)
    for name in main.commands:
        assert re.search(rf"^  {name}\b", result.output, re.MULTILINE)


@pytest.mark.parametrize("module", ["navbench", "navbench.cli"])
def test_the_module_is_a_program_and_tells_its_version(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout


# --- runs ------------------------------------------------------------------------------------------------------


def test_run_all_ends_with_the_path_of_its_report(finished):
    folder, result = finished
    assert result.stdout.splitlines()[-1] == f"Report: {(folder / 'index.html').resolve()}"
    assert (folder / "index.html").read_text().startswith("<!doctype html>")


def test_run_all_tells_of_every_stage_as_it_ends_on_stderr(finished):
    stages = [line.partition(":")[0] for line in finished[1].stderr.splitlines()]
    assert stages == ["weights", *["toy"] * 10, "tables", "report"]


def test_a_run_goes_on_with_the_same_command_and_starts_over_with_fresh(call, folder, finished):
    line = "run-all tiny.toml --directions sets --out 'run [a] :b:'"
    piece = next((finished[0] / "cache" / "curve").iterdir())
    before = piece.stat().st_mtime_ns
    call(f"{line} --batch 3")
    assert piece.stat().st_mtime_ns == before
    call(f"{line} --fresh")
    assert piece.stat().st_mtime_ns > before
    assert "another run" in call(f"{line} --precision bf16", 2).stderr


def test_options_of_run_all_take_the_place_of_the_suites_values(call, folder):
    line = "run-all tiny.toml --directions sets --layer 1 --precision bf16 --batch 5 --out options"
    call(line)
    written = (folder / "options" / "suite.toml").read_text()
    for setting in ('precision = "bf16"', "batch = 5", '"1"'):
        assert setting in written
    assert set(pd.read_csv(folder / "options" / "tables" / "curves.csv")["precision"]) == {"bf16"}


def test_run_all_finds_the_directions_itself_when_it_is_asked_to(call, folder):
    call("run-all tiny.toml --generator toy --layer up --rediscover --out found")
    found = Library([folder / "found" / "directions"])
    assert sorted(found.sets) == ["toy/random/up", "toy/svd/up"]
    times = {path: path.stat().st_mtime_ns for path in (folder / "found" / "directions").rglob("*.safetensors")}
    call("run-all tiny.toml --generator toy --layer up --rediscover --out found")
    assert times == {path: path.stat().st_mtime_ns for path in times}


@pytest.mark.parametrize(
    ("line", "table", "rows"),
    [
        ("fid-curve --direction svd/up/1 --samples 10 --shifts 5", "curves", 10),
        ("fid-curve --direction toy/random/up/0 --reference unshifted --extractor toy-pixels", "curves", 6),
        ("locality --direction svd/up/1 --samples 5 --shifts 4", "locality", 5),
        ("reproduce --direction random/up/1 --target z --codes 3 --held-out 4 --steps 1", "reproduction", 1),
    ],
)
def test_one_direction_is_named_by_a_unique_part_and_measured_alone(call, folder, line, table, rows, tmp_path):
    result = call(f"{line} --preset tiny.toml --directions sets --out {tmp_path}")
    found = pd.read_csv(tmp_path / "tables" / f"{table}.csv")
    name = shlex.split(line)[2]
    assert len(found) == rows
    assert found["name"].nunique() == 1
    assert found["name"][0].endswith(name)
    assert f"Report: {tmp_path.resolve() / 'index.html'}" in result.stdout.splitlines()
    others = {"curves", "locality", "reproduction"} - {table}
    assert not any((tmp_path / "tables" / f"{other}.csv").exists() for other in others)


def test_the_sizes_of_one_direction_are_those_of_its_options(call, tmp_path):
    options = "--samples 10 --shifts 5 --directions sets --preset tiny.toml"
    call(f"fid-curve --direction svd/up/1 {options} --out {tmp_path}")
    curves = pd.read_csv(tmp_path / "tables" / "curves.csv")
    assert (set(curves["n"]), curves["t"].nunique(), set(curves["n_reference"])) == ({10}, 5, {10})


def test_one_direction_goes_to_a_folder_of_its_name(call, folder):
    call("locality --direction svd/up/0 --preset tiny.toml --directions sets")
    assert (folder / "runs" / "locality-toy-svd-up-0" / "index.html").exists()


def test_a_report_is_written_anew_from_the_folder_alone(call, finished):
    page = finished[0] / "index.html"
    before = page.read_bytes()
    page.unlink()
    result = call("report 'run [a] :b:'")
    assert result.stdout == f"Report: {page.resolve()}\n"
    assert page.read_bytes() == before


# --- directions ------------------------------------------------------------------------------------------------


def test_directions_are_listed_with_how_many_they_are(call):
    lines = call("directions list --directions sets --generator toy").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["set", "directions"], ["toy/random/up", "2"], ["toy/svd/up", "2"]]
    assert not call("directions list --directions sets --generator other").stdout.splitlines()[1:]


def test_directions_are_listed_as_a_table_for_programs(call, folder, tmp_path):
    (tmp_path / "list.csv").write_text(call("directions list --directions sets --generator toy --csv").stdout)
    listed = pd.read_csv(tmp_path / "list.csv")
    assert list(listed["set"]) == ["toy/random/up", "toy/svd/up"]
    assert list(listed["sha256"]) == [Library([folder / "sets"]).sets[name].sha256 for name in listed["set"]]


def test_the_list_has_the_verdicts_of_a_run_for_the_sets_that_it_measured(call, finished, folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    table = pd.read_csv(run / "tables" / "directions.csv")
    verdicts = {"toy/svd/up/0": ("interpretable", "hue"), "toy/svd/up/1": ("entangled", "size")}
    table = table.assign(verdict=table["name"].map(lambda name: verdicts.get(name, ("",))[0]))
    table["attribute"] = [verdicts.get(name, ("", ""))[1] for name in table["name"]]
    table.to_csv(run / "tables" / "directions.csv", index=False)

    def listed():
        lines = call(f"directions list --directions sets --generator toy --csv --run {run}").stdout
        return dict(pd.read_csv(io.StringIO(lines), keep_default_na=False).set_index("set")["verdicts"])

    assert listed() == {"toy/svd/up": "1 entangled, 1 interpretable: hue", "toy/random/up": ""}
    manifest = json.loads((run / "manifest.json").read_text())
    for each in manifest["direction_sets"]:
        each["content"] = "0" * 16  # another set of the same name
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert set(listed().values()) == {""}


def test_a_direction_is_shown_with_its_range_and_its_file(call, folder):
    shown = call("directions show svd/up/1 --directions sets").stdout
    file, index = Library([folder / "sets"]).find("svd/up/1")
    direction = file.load(generator())[index]
    rows = [line.split() for line in shown.splitlines()]
    assert ["name", "toy/svd/up/1"] in rows
    assert ["t", f"[{direction.t_min:.4g},", f"{direction.t_max:.4g}]"] in rows
    assert ["file", "sets/toy/svd/up.safetensors"] in rows
    assert file.sha256 in "".join(shown.split())  # folded where the screen is narrow, never cut off


def test_a_direction_answers_to_the_label_that_it_was_given(call, folder, tmp_path):
    (tmp_path / "toy" / "svd").mkdir(parents=True)
    copy = tmp_path / "toy" / "svd" / "up.safetensors"
    copy.write_bytes((folder / "sets" / "toy" / "svd" / "up.safetensors").read_bytes())
    call(f"directions label {copy} 1 '[wide] smile'")
    assert "toy/svd/up/1" in call(f"directions show '[Wide] smile' --directions {tmp_path}").stdout
    assert "[wide] smile" in call(f"directions list --directions {tmp_path}").stdout
    assert "there is no 2" in call(f"directions label {copy} 2 frown", 2).stderr


@pytest.mark.parametrize(
    "line",
    [
        "list",
        "list --csv",
        "list --json",
        "show toy/svd/up/1",
        "show toy/svd/up/1 --json",
        "show \x1b[31m",
        "show toy",
        "export toy/svd/up/1 --out x.pt",
    ],
)
def test_what_a_set_says_of_itself_steers_no_terminal_and_breaks_no_line(call, folder, tmp_path, line):
    hostile = "\x1b]0;owned\x07\x1b[2J\r\n\u202etxt.exe\ud800\x9b31m=1+1"
    copy = tmp_path / "up.safetensors"
    tensors = load_file(folder / "sets" / "toy" / "svd" / "up.safetensors")
    header = dict(open_set(folder / "sets" / "toy" / "svd" / "up.safetensors").header)
    header |= {"labels": [hostile, "=" + hostile], "provenance": {hostile: hostile, "status": hostile}}
    save_file(tensors, copy, {"navbench": json.dumps(header)})
    result = CliRunner().invoke(main, ["directions", *shlex.split(line), "--directions", str(tmp_path)])
    printed = result.stdout + result.stderr
    assert printed
    assert printed.replace("\n", "").isprintable()
    assert "\n=" not in printed


def test_directions_are_found_written_and_kept(call, folder):
    line = "discover --generator toy --layer up --method svd --preset tiny.toml --seed 4 --out mine"
    printed = call(line).stdout
    path = folder / "mine" / "toy" / "svd" / "up.safetensors"
    assert "Directions: mine/toy/svd/up.safetensors" in printed.splitlines()
    found = Library([folder / "mine"]).sets["toy/svd/up"]
    assert (found.count, found.header["seed"]) == (2, 4)
    before = path.stat().st_mtime_ns
    assert "mine/toy/svd/up.safetensors, kept as it was found before, with the same seed" in call(line).stdout
    assert "was found with seed 4, not 5; choose" in call(line.replace("--seed 4", "--seed 5"), 2).stderr
    assert path.stat().st_mtime_ns == before
    call(f"{line} --force")
    assert path.stat().st_mtime_ns > before


def test_latent_directions_are_found_where_they_are_asked_for_and_shown(call, folder):
    printed = call("discover --generator toy --latent z --method random --preset tiny.toml --out latent").stdout
    assert [text for text in printed.splitlines() if text.startswith("Directions: ")] == [
        "Directions: latent/toy/random/z.safetensors"
    ]
    assert list(Library([folder / "latent"]).sets) == ["toy/random/z"]
    rows = [line.split() for line in call("directions show toy/random/z/1 --directions latent").stdout.splitlines()]
    assert ["name", "toy/random/z/1"] in rows
    assert ["space", "z,", "(4,)"] in rows
    assert ["layer", "-"] in rows


def test_each_method_goes_to_the_spaces_that_it_is_defined_in(call, folder):
    call("discover --generator toy --layer up --latent z --method svd --method random --preset tiny.toml --out both")
    assert sorted(Library([folder / "both"]).sets) == ["toy/random/up", "toy/random/z", "toy/svd/up"]


# --- generators, doctor ----------------------------------------------------------------------------------------


def test_generators_are_listed_with_where_they_come_from(call):
    lines = [line.split() for line in call("generators list").stdout.splitlines()]
    assert ["faces", "navbench.generators.dcgan:faces"] in lines
    assert ["toy", "test_cli:generator"] in lines


def test_a_generator_is_shown_with_its_layers_in_forward_order(call):
    shown = call("generators show toy").stdout
    assert shown.startswith("toy: a small random network\nimages of 24x24, spaces parameter, activation, z (4)\n")
    assert generator().fingerprint in shown
    rows = [line.split() for line in shown.splitlines()[-3:]]
    assert rows == [["0", "first", "4x8x6x6", "1,152"], ["1", "up", "6x8x3x3", "432"], ["2", "last", "3x6x3x3", "162"]]


def test_doctor_lists_every_weight_and_every_preset(call):
    shown = call("doctor").stdout
    for item in weights.status():
        row = next(line for line in shown.splitlines() if line.strip().startswith(f"{item.name} "))
        assert f" {'yes' if item.present else 'no'} " in row
    for name in PRESETS:
        assert f"preset {name}: needs " in shown


def test_doctor_names_the_weights_that_a_preset_lacks(call, monkeypatch, tmp_path):
    monkeypatch.setenv("NAVBENCH_CACHE", str(tmp_path))
    shown = call("doctor").stdout
    quick = next(line for line in shown.splitlines() if line.startswith("preset quick"))
    assert quick.endswith("missing faces, stlpips-alex, fetched when first used")
    assert not list(tmp_path.iterdir())


# --- photos and layers -----------------------------------------------------------------------------------------------


def test_edit_projects_photos_and_says_how_well(call, folder, tmp_path):
    picture = tmp_path / "me.png"
    toy.picture((torch.arange(24 * 24 * 3).view(24, 24, 3) % 255).byte()).save(picture)
    said = call(f"edit {picture} --direction svd/up/0 --directions {folder / 'sets'} --space z --steps 2 "
                f"--preset {folder / 'tiny.toml'} --out {tmp_path / 'run'}").output  # fmt: skip
    assert "psnr_db" in said
    assert "\ndistance stlpips-alex\n" in said
    assert re.search(r"me\s+z\s", said)
    assert (tmp_path / "run" / "codes" / "me-z.safetensors").is_file()
    assert 'id="photos"' in (tmp_path / "run" / "index.html").read_text(encoding="utf-8")
    codes = tmp_path / "run" / "codes" / "me-z.safetensors"
    again = call(f"edit {codes} --direction random/up/0 --directions {folder / 'sets'} "
                 f"--preset {folder / 'tiny.toml'} --out {tmp_path / 'again'}").output  # fmt: skip
    assert re.search(r"me\s+z\s", again)


def test_edit_refuses_what_is_no_photo_before_it_writes(call, folder, tmp_path):
    said = call(f"edit nobody.png --direction svd/up/0 --directions {folder / 'sets'} --out {tmp_path / 'run'}", 2)
    assert "neither a file" in said.output
    assert not (tmp_path / "run").exists()


def test_survey_measures_every_layer_that_has_directions(call, folder):
    said = call("survey --generator toy --method svd --samples 4 --top 1 --directions sets --preset tiny.toml").output
    assert re.search(r"up\s+0\.\d", said)
    layers = pd.read_csv(folder / "runs" / "survey-toy-svd" / "tables" / "layers.csv")
    assert layers["coarse"].notna().sum() == 1
    assert layers["survey_directions"].dropna().tolist() == [1]
    assert "\nn_survey 4, metric FD, extractor toy-pixels, reference unshifted, n 20\n" in said


def test_a_survey_of_a_file_goes_to_a_folder_of_its_name_which_nothing_is_built_for(call, folder, monkeypatch):
    monkeypatch.setattr("navbench.cli.shared.run_suite", lambda _suite, place, *_rest, **_more: print(place))
    monkeypatch.setattr("pandas.read_csv", lambda _path: pd.DataFrame({"coarse": []}))
    monkeypatch.setattr("navbench.cli.survey.records_of", lambda _place, _name: [])
    assert call("survey --generator 'my files/car f.pkl'").stdout.split() == ["runs/survey-car-f-spectrum", "coarse"]
    assert (
        call("survey --generator my_gan:generator --method svd").stdout.split()[0] == "runs/survey-my_gan.generator-svd"
    )


# --- what is printed -------------------------------------------------------------------------------------------


def test_what_all_rows_share_is_said_once_and_numbers_have_four_digits(capsys):
    frame = pd.DataFrame(
        {"t": [0.0, 1.23456], "n": [50000.0, 50000.0], "value": [0.0000123456, np.nan], "other": [1, 2]}
    )
    show(frame, "t", "n", "value", "absent")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["n", "50000"], ["t", "value"], ["0", "1.235e-05"], ["1.235", "nan"]]


def test_a_direction_that_is_not_there_is_answered_in_one_short_sentence(call):
    said = call("fid-curve --direction qqq", 2).stderr
    assert re.match(r"Error: Unknown direction 'qqq'; known: [\d,]+ names, such as ", said)
    assert said.endswith("; navbench directions list shows them.\n")
    assert len(said) < 240
    assert "did you mean 'cars/hybrid/convs.1/0'?" in call("fid-curve --direction cars/hybird/convs.1/0", 2).stderr
