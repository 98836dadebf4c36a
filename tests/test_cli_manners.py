"""Manners of the command line: JSON, quiet, pipes, groups of options, completion, the end of a run, and its page."""

# ruff: noqa: F401, F811 (fixtures of test_cli)

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import webbrowser
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from test_cli import call, commands, finished, folder, generator, installed

from navbench.cli import completing, output
from navbench.cli.findings import KEYS, findings, show_findings
from navbench.cli.grouping import GROUPS, REST, group_of
from navbench.errors import NavbenchError
from navbench.library import Library
from navbench.places import place_at
from navbench.report.instrument import trusted
from navbench.report.picks import picks
from navbench.report.reach import limit_text
from navbench.report.tables import load_run

QUICK = Path(__file__).parent.parent / "reports" / "quick"
TABLES = {
    "compare", "directions list", "directions show", "doctor", "edit", "fid-curve", "generators list",
    "generators show", "locality", "plan", "reproduce", "run-all", "survey", "testbed evaluate",
    "testbed train-scorer",
}  # fmt: skip
"""Every command that prints a table."""
LONG = {
    "discover", "edit", "fid-curve", "locality", "plan", "reproduce", "run-all", "survey", "testbed evaluate",
    "testbed train", "testbed train-scorer",
}  # fmt: skip
"""Every command that shows progress, or may have to load for long."""


def with_option(name):
    return {
        " ".join(words[1:])
        for words, command in commands()
        if any(f"--{name}" in option.opts for option in command.params)
    }


def test_every_command_that_prints_a_table_prints_json_and_every_long_one_can_be_quiet():
    assert with_option("json") == TABLES
    assert with_option("quiet") == LONG


# --- JSON ------------------------------------------------------------------------------------------------------


def same_as(rows, table):
    """Rows of JSON against a table read by pandas, null being NaN."""
    assert list(rows[0]) == list(table)
    assert len(rows) == len(table)
    for name in table:
        ours = pd.Series([row[name] for row in rows], dtype=object)
        for mine, theirs in zip(ours, table[name], strict=True):
            if pd.isna(theirs):
                assert mine in (None, "")
            elif isinstance(mine, str) and isinstance(theirs, float):
                assert float(mine) == theirs  # a size in digits, which pandas takes for a number
            elif isinstance(mine, str):
                assert mine == str(theirs)
            else:
                assert mine == theirs


@pytest.mark.parametrize(
    ("line", "table"),
    [
        ("fid-curve --direction svd/up/1 --samples 10 --shifts 5", "curves"),
        ("locality --direction svd/up/1 --samples 5 --shifts 4", "locality"),
        ("reproduce --direction random/up/1 --target z --codes 3 --held-out 4 --steps 1", "reproduction"),
        ("survey --generator toy --method svd --samples 4 --top 1", "layers"),
    ],
)
def test_json_is_the_table_of_the_run_and_nothing_else(call, line, table, tmp_path):
    said = call(f"{line} --preset tiny.toml --directions sets --out {tmp_path} --json")
    rows = json.loads(said.stdout)
    same_as(rows, pd.read_csv(tmp_path / "tables" / f"{table}.csv"))
    assert "weights: 1/1" in said.stderr


def test_counts_are_whole_numbers_flags_are_true_or_false_and_what_is_unknown_is_null(call, tmp_path):
    call(
        f"fid-curve --direction svd/up/1 --samples 10 --shifts 5 --preset tiny.toml --directions sets --out {tmp_path}"
    )
    curves = output.records_of(output.Place.__subclasses__()[0](tmp_path), "curves")
    assert {type(row["n"]) for row in curves} == {int}
    directions = output.records_of(output.Place.__subclasses__()[0](tmp_path), "directions")
    assert [row["is_control"] for row in directions] == [False]
    assert directions[0]["area50"] is None if "area50" in directions[0] else True


def test_the_list_of_directions_as_json_is_that_of_the_csv(call):
    line = "directions list --directions sets --generator toy"
    rows = json.loads(call(f"{line} --json").stdout)
    table = pd.read_csv(io.StringIO(call(f"{line} --csv").stdout), keep_default_na=False)
    same_as(rows, table)


def test_what_is_known_of_a_direction_and_of_a_generator_is_json_with_its_numbers(call, folder):
    told = json.loads(call("directions show svd/up/1 --directions sets --json").stdout)
    file, index = Library([folder / "sets"]).find("svd/up/1")
    direction = file.load(generator())[index]
    assert told["t"] == [direction.t_min, direction.t_max]
    assert {name: told[name] for name in direction.scores} == direction.scores
    shown = json.loads(call("generators show toy --json").stdout)
    assert [layer["layer"] for layer in shown["layers"]] == ["first", "up", "last"]
    assert [layer["parameters"] for layer in shown["layers"]] == [1152, 432, 162]
    listed = json.loads(call("generators list --json").stdout)
    assert {"name": "toy", "from": "test_cli:generator"} in listed


def test_doctor_as_json_says_what_it_prints(call):
    told = json.loads(call("doctor --json").stdout)
    shown = call("doctor").stdout
    for each in told["presets"]:
        assert f"preset {each['preset']}: needs {', '.join(each['needs'])}; " in shown
    for row in told["weights"]:
        assert re.search(rf"^ *{re.escape(row['name'])} +{'yes' if row['here'] else 'no'} ", shown, re.MULTILINE)


def test_compare_as_json_is_its_table_with_what_meets_a_condition(call, finished, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(finished[0], other)
    table = pd.read_csv(other / "tables" / "directions.csv")
    table["effect_max"] *= 3
    table.to_csv(other / "tables" / "directions.csv", index=False)
    line = f"compare 'run [a] :b:' {other} --out {tmp_path / 'c'} --fail-on 'effect_max>50%'"
    rows = json.loads(call(f"{line} --json", 3).stdout)
    table = pd.read_csv(tmp_path / "c" / "comparison.csv")
    assert [row["column"] for row in rows] == list(table["column"])
    assert {row["column"] for row in rows if row["met"]} == {"effect_max"}
    assert [row["met"] for row in rows] == [row["column"] == "effect_max" for row in rows]


def test_a_plan_is_printed_as_json_or_written_to_a_json_file(call, tmp_path):
    told = json.loads(call("plan tiny.toml --directions sets --json").stdout)
    assert told["total"]["pieces"] == sum(row["pieces"] for row in told["experiments"])
    assert "say --json after SUITE" in call("plan --json tiny.toml --directions sets", 2).stderr


def test_numbers_that_are_none_are_null(capsys):
    output.print_json([{"a": float("nan"), "b": np.float64("inf"), "c": np.int64(3), "d": [float("-inf"), True]}])
    assert json.loads(capsys.readouterr().out) == [{"a": None, "b": None, "c": 3, "d": [None, True]}]


# --- quiet, pipes ----------------------------------------------------------------------------------------------


def test_quiet_leaves_nothing_on_stderr_and_all_results_on_stdout(call, tmp_path):
    line = "locality --direction svd/up/1 --samples 5 --shifts 4 --preset tiny.toml --directions sets"
    told, quiet = call(f"{line} --out {tmp_path / 'a'}"), call(f"{line} --out {tmp_path / 'b'} --quiet")
    assert told.stderr
    assert quiet.stderr == ""
    assert quiet.stdout == told.stdout.replace(str(tmp_path / "a"), str(tmp_path / "b"))


def test_quiet_ends_with_its_command(call, tmp_path):
    call("discover --generator toy --layer up --method svd --preset tiny.toml --out quiet -q")
    assert not output.progress_console.quiet
    assert call("discover --generator toy --layer up --method svd --preset tiny.toml --out quiet --force").stderr


def test_a_warning_is_said_when_quiet(call, monkeypatch, tmp_path):
    import warnings

    from navbench.errors import NavbenchWarning
    from navbench.runner.run import Run

    begin = Run._begin

    def warned(self, fresh):
        warnings.warn("Beware.", NavbenchWarning, stacklevel=1)
        begin(self, fresh)

    monkeypatch.setattr(Run, "_begin", warned)
    line = f"locality --direction svd/up/1 --samples 5 --preset tiny.toml --directions sets --out {tmp_path} -q"
    assert call(line).stderr == "warning: Beware.\n"


def test_names_in_a_pipe_are_neither_broken_nor_cut(call, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    label = "a label of many words " * 5
    (tmp_path / "toy" / "svd").mkdir(parents=True)
    copy = tmp_path / "toy" / "svd" / "up.safetensors"
    copy.write_bytes((folder / "sets" / "toy" / "svd" / "up.safetensors").read_bytes())
    call(f"directions label {copy} 1 '{label}'")
    lines = call(f"directions list --directions {tmp_path} --generator toy").stdout.splitlines()
    assert len(lines) == 2
    assert label.strip() in lines[1]
    planned = call("plan tiny.toml --directions sets").stdout
    assert "…" not in planned


def test_a_terminal_keeps_its_own_width(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "47")
    assert output.Screen(file=Terminal()).width == 47
    assert output.Screen(file=io.StringIO()).width == output.WIDE


# --- help ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "command"),
    [pytest.param(*found, id=" ".join(found[0])) for found in commands() if not hasattr(found[1], "commands")],
)
def test_options_are_listed_once_in_groups_where_they_are_many(words, command):
    said = command.get_help(command.make_context(words[-1], [], resilient_parsing=True))
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    for option in options:
        assert len(re.findall(rf"^ .*{re.escape(option.opts[-1])}\b", said, re.MULTILINE)) >= 1
    if len(options) > 6:
        for group in {group_of(option) for option in options}:
            assert f"\n{group}:\n" in said
        rest = {option.name for option in options if group_of(option) == REST}
        assert rest <= {"half", "hardware", "notes", "learning_rate", "r1"}
    else:
        assert not any(f"\n{group}:\n" in said for group in GROUPS)


def test_an_option_is_in_one_group():
    names = [name for members in GROUPS.values() for name in members]
    assert len(names) == len(set(names))
    known = {text.removeprefix("--") for _, command in commands() for option in command.params for text in option.opts}
    assert set(names) <= known


# --- completion ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one_that_it_can_read(call, shell, tmp_path):
    script = call(f"completion {shell}").stdout
    assert f"_NAVBENCH_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True)
    assert "Invalid value" in call("completion tcsh", 2).stderr


def offered(command, parameter, typed, **given):
    found = next(each for each in command.params if each.name == parameter)
    context = click.Context(command)
    context.params |= given
    return [item.value for item in found.shell_complete(context, typed)]


def command_of(name):
    return next(command for words, command in commands() if " ".join(words[1:]) == name)


def test_a_shell_is_offered_names_presets_generators_and_runs(folder, finished, monkeypatch, tmp_path):
    show = command_of("show")
    assert offered(show, "name", "toy/svd", folder=folder / "sets") == ["toy/svd/up/0", "toy/svd/up/1"]
    assert offered(show, "name", "toy/svd", folder=folder / "nowhere") == []
    assert offered(show, "generator", "to") == ["toy"]
    assert offered(command_of("run-all"), "source", "s") == ["smoke", "standard"]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished[0], "runs/one")
    assert offered(command_of("report"), "run", "runs/") == ["runs/one"]
    assert offered(show, "run", "") == ["runs/one"]


# --- the page --------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch):
    """The addresses that a browser was asked to open."""
    addresses = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not addresses.append(address))
    return addresses


def test_open_opens_the_page_and_says_where_it_is(call, finished, opened):
    page = (finished[0] / "index.html").resolve()
    assert call("open 'run [a] :b:'").stdout == f"Report: {page}\n"
    assert opened == [page.as_uri()]


def test_open_takes_the_newest_run(call, finished, opened, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "There is no run in the folder runs" in call_here("open", 2).stderr
    for age, name in enumerate(("newest", "older", "oldest")):
        shutil.copytree(finished[0], f"runs/{name}")
        os.utime(f"runs/{name}/manifest.json", (10**9 - age, 10**9 - age))
    (tmp_path / "runs" / "no run").mkdir()
    call_here("open")
    assert opened == [(tmp_path / "runs" / "newest" / "index.html").resolve().as_uri()]


def call_here(line, code=0):
    from click.testing import CliRunner

    from navbench.cli import main

    result = CliRunner().invoke(main, shlex.split(line))
    assert result.exit_code == code, result.output
    return result


def test_open_without_a_page_or_a_browser_is_one_sentence(call, finished, monkeypatch, tmp_path, opened):
    said = call(f"open {tmp_path}", 2).stderr
    assert said == f"Error: {tmp_path} has no index.html; navbench report {tmp_path} writes it, if there is a run.\n"
    monkeypatch.setattr(webbrowser, "open", lambda _address: False)
    said = call("open 'run [a] :b:'", 1)
    assert said.stderr == "Error: No browser was found on this machine; open that file yourself.\n"
    assert "index.html" in said.stdout
    assert "object store" in call("open memory://bucket/run", 2).stderr
    assert not opened


# --- the end of a run ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick():
    """A run of two generators, one with verdicts, in which one set has not converged."""
    return load_run(QUICK)


def told(tables, generator):
    return next(row for row in findings(tables) if row["generator"] == generator)


@pytest.mark.parametrize("generator", ["cars", "faces"])
def test_the_best_direction_is_what_the_report_recommends_first(quick, generator):
    row, (best,) = told(quick, generator), picks(quick, generator, 1).to_dict("records")
    assert (row["direction"], row["label"]) == (best["name"], best["label"] or best["auto_label"])
    assert [limit_text(row, end) for end in ("min", "max")] == [limit_text(best, end) for end in ("min", "max")]
    assert (row["limit_min"], row["t_max"]) == (pytest.approx(best["limit_min"], nan_ok=True), best["t_max"])
    equal = quick.equal[quick.equal["metric"] == "KID"].set_index("name")["value"]
    floor = quick.methods.loc[quick.methods["generator"] == generator, "kid_floor"].iloc[0]
    assert row["kid"] == equal[row["direction"]]
    assert row["kid_rise"] == pytest.approx(row["kid"] - floor)
    assert row["area50"] == pytest.approx(best["area50"], nan_ok=True)
    assert row["instrument"] == "passes"


@pytest.mark.parametrize("generator", ["cars", "faces"])
def test_what_an_imitation_leaves_is_the_least_of_all_spaces(quick, generator):
    changed = quick.directions.copy()
    best = told(quick, generator)["direction"]
    changed.loc[changed["name"] == best, ["unexplained_fraction_z", "unexplained_fraction_w"]] = [0.5, 0.25]
    row = told(quick.with_tables(directions=changed), generator)
    assert (row["direction"], row["unexplained_fraction"], row["imitated_in"]) == (best, 0.25, "w")
    kinds = [name for name in changed if re.fullmatch(r"unexplained_fraction_(z|w|w\+|activation|parameter)", name)]
    changed.loc[changed["name"] == best, kinds] = float("nan")
    row = told(quick.with_tables(directions=changed), generator)
    assert np.isnan(row["unexplained_fraction"])
    assert row["imitated_in"] == ""


def test_a_set_that_has_not_converged_is_never_the_best(quick):
    best = told(quick, "faces")["direction"].rpartition("/")[0]
    methods = quick.methods.copy()
    mine = methods["generator"] + "/" + methods["method"] + "/" + methods["layer"] == best
    methods.loc[mine, "status"] = "not converged"
    changed = quick.with_tables(methods=methods)
    assert told(changed, "faces")["direction"].rpartition("/")[0] not in (best, "")


def test_what_a_failing_instrument_measured_is_not_told(quick):
    instrument = quick.instrument.copy()
    instrument.loc[(instrument["generator"] == "cars").idxmax(), ["passed", "reason"]] = [False, "it sees nothing"]
    changed = quick.with_tables(instrument=instrument)
    assert not trusted(changed, "cars")
    row = told(changed, "cars")
    assert row["instrument"] == "fails"
    assert all(np.isnan(row[key]) for key in ("kid", "kid_stderr", "kid_rise", "effect"))
    assert row["direction"] == ""
    assert told(changed, "faces") == pytest.approx(told(quick, "faces"), nan_ok=True)


def test_the_findings_take_few_lines_and_say_all_of_it(quick, capsys):
    found = show_findings(quick)
    said = capsys.readouterr().out.splitlines()
    assert len(said) + 1 <= 15  # and the path of the page
    for row in found:
        assert any(row["generator"] in line and row["direction"] in line for line in said)
    assert "Not converged, and left out here: faces/hybrid/main.6." in said


def test_run_all_as_json_says_what_it_found_and_where_its_page_is(call, finished):
    lines = finished[1].stdout.splitlines()
    assert len(lines) <= 15
    assert lines[0].split()[:3] == ["generator", "use", "label"]
    told = json.loads(call("run-all tiny.toml --directions sets --out 'run [a] :b:' --json").stdout)
    assert told["report"] == str((finished[0] / "index.html").resolve())
    assert [list(row) for row in told["findings"]] == [list(KEYS)]
    assert told["findings"][0]["direction"] in finished[1].stdout


def test_the_help_of_run_all_names_the_keys_of_its_findings():
    said = " ".join(command_of("run-all").get_help(click.Context(command_of("run-all"))).split())
    assert ", ".join(KEYS) in said
