"""What README promises: its commands are commands, its tables are tables, its sections are sections of the report."""

import re
import shlex
from contextlib import suppress
from pathlib import Path

import click
import pytest

from navbench import tables
from navbench.cli import main
from navbench.report.sections import CLOSING, SECTIONS
from navbench.suite import Subject

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks() -> list[str]:
    """The command lines of navbench in README's blocks."""
    text = "".join(re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
    return [part.strip() for part in re.split(r"\n|&&", text) if part.strip().startswith("navbench ")]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, row by row."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def commands(cell: str) -> list[str]:
    """The command lines of a cell, where a later one leaves out what it has in common with the one before."""
    lines: list[str] = []
    for span in spans(cell):
        first = span.split()[0]
        if first == "navbench":
            lines.append(span)
        elif first in main.commands and first not in family(lines):
            lines.append(f"navbench {span}")
        elif first.startswith("--"):
            lines.append(f"{lines[-1]} {span}")
        elif first not in Subject.model_fields:  # those are of a suite
            lines.append(f"{' '.join(lines[-1].split()[:2])} {span}")
    return lines


def family(lines: list[str]) -> dict[str, click.Command]:
    """The commands beside the last of some command lines, if it is of a group."""
    command = main.commands[lines[-1].split()[1]] if lines else None
    return command.commands if isinstance(command, click.Group) else {}


def parse(line: str) -> None:
    """Parse a command line as the program would."""
    command, words = main, shlex.split(line)
    while isinstance(command, click.Group):
        command = command.commands[words[1]]
        words = words[1:]
    command.make_context(words[0], words[1:])


FIGURES = rows("The paper's figures and tables")
MENTIONED = {
    *(span for span in spans(README) if span.startswith("navbench ")),
    *(line for row in rows("Commands") for line in commands(row[0])),
    *(line for row in FIGURES for line in commands(row[2])),
}


@pytest.mark.parametrize("line", blocks())
def test_every_command_line_of_a_block_would_run(line):
    parse(line)


@pytest.mark.parametrize("line", sorted(MENTIONED))
def test_every_command_that_is_mentioned_is_one_and_has_its_options(line):
    with suppress(click.MissingParameter):  # a mention need not say everything
        parse(line.replace(" INDEX ", " 0 "))


def test_every_command_is_mentioned():
    groups = {name: command for name, command in main.commands.items() if isinstance(command, click.Group)}
    every = {f"navbench {name}" for name in main.commands.keys() - groups.keys()}
    every |= {f"navbench {group} {name}" for group, command in groups.items() for name in command.commands}
    assert not {line for line in every if not any(f"{known} ".startswith(f"{line} ") for known in MENTIONED)}


def test_every_option_that_is_mentioned_alone_is_one_of_some_command():
    def options(command: click.Command) -> set[str]:
        own = {name for parameter in command.params for name in parameter.opts}
        return own.union(*map(options, getattr(command, "commands", {}).values()))

    assert {span.split()[0] for span in spans(README) if span.startswith("--")} <= options(main) | {"--help"}


def test_the_list_of_tables_is_that_of_the_declarations():
    assert tables.listed().splitlines()[2:] == [f"| {' | '.join(row)} |" for row in rows("What comes out")]


def test_every_table_that_is_named_is_one():
    assert set(re.findall(r"`(?:tables/)?(\w+)\.csv`", README)) == set(tables.TABLES)


def test_every_section_that_is_named_is_in_the_report():
    shown = {name for section in (*SECTIONS, *CLOSING) for name in (section.title, section.nav)}
    named = {name.strip() for row in FIGURES for name in row[3].split(";")} - {"the same"}
    assert named | {"Limits"} <= shown


def test_every_figure_and_table_of_the_paper_is_covered():
    figures, tables = set(), set()
    for row in FIGURES:
        kind, _, numbers = row[0].partition(" ")
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", numbers):
            (figures if kind.startswith("Figure") else tables).update(range(int(first), int(last or first) + 1))
    assert figures == set(range(3, 22))  # 1 and 2 are diagrams, of which a sentence below the table tells
    assert tables == {1}
    assert "Figures 1 and 2 are diagrams" in README
