"""What the README promises: commands, tables and sections that there are, and every figure and table of the paper."""

import re
import shlex
from pathlib import Path

import click
import pytest

from navbench.cli import main
from navbench.report.html import TEMPLATES
from navbench.report.tables import SCHEMAS

README = (Path(__file__).parent.parent / "README.md").read_text()
PAPER = README.partition("## The paper's figures and tables\n")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAPER.splitlines() if line.startswith("| ")]
ROWS = ROWS[2:]  # below the heads


def commands() -> list[str]:
    """Every command line of the README, in its blocks and in its tables."""
    blocks = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    spans = re.findall(r"`((?:navbench|run-all) [^`]*)`", README)
    lines = [part.strip() for line in [*blocks, *spans] for part in line.split("&&")]
    return sorted({line for line in lines if line.startswith(("navbench ", "run-all "))})


@pytest.mark.parametrize("line", commands())
def test_every_command_and_option_is_there(line):
    command: click.Command = main
    words = shlex.split(line.replace("[", "").replace("]", ""))
    for word in words[1:] if words[0] == "navbench" else words:
        if isinstance(command, click.Group):
            command = command.commands[word]
        elif word.startswith("--"):
            options = {name for parameter in command.params for name in parameter.opts}
            assert word in options, f"{word} of {line}"
    assert not isinstance(command, click.Group)


def numbers(words: str) -> set[int]:
    """The figures that a cell names: 'Figures 3, 4, 17-19'."""
    spans = re.findall(r"(\d+)(?:-(\d+))?", words) if words.startswith("Figure") else []
    return {number for low, high in spans for number in range(int(low), int(high or low) + 1)}


def test_every_figure_from_3_to_21_and_table_1_have_a_row():
    assert set().union(*(numbers(row[0]) for row in ROWS)) == set(range(3, 22))
    assert "Table 1" in [row[0] for row in ROWS]


def test_every_section_is_one_of_the_report():
    page = (TEMPLATES / "summary.html").read_text()
    sections = set(re.findall(r'<a href="#[a-z]+">([^<]+)</a>', page))
    named = {name.strip() for row in ROWS for name in row[3].split(";")} - {"the same"}
    assert named
    assert named <= sections


def test_every_table_is_one_that_a_run_writes_and_every_one_is_named():
    named = set(re.findall(r"\b([a-z_]+)\.csv", README)) - {"index"}
    assert named == set(SCHEMAS)
