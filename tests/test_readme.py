"""What README and the pages of `docs/` promise: commands are commands, tables are tables, code runs, figures are so."""

import re
import shlex
from contextlib import suppress
from pathlib import Path

import click
import pandas as pd
import pytest

from navbench import suite, tables
from navbench.cli import main
from navbench.methods import competes, is_control, is_labelled
from navbench.metrics.attributes import LEAST_CONSISTENCY, LEAST_SHARE
from navbench.report.sections import CLOSING, SECTIONS
from navbench.suite import Subject
from navbench.words import NOT_CONVERGED

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
GENERATED = {"cli.md", "python.md", "suite.md", "run-folder.md", "tables.md"}
WRITTEN = {name: text for name, text in PAGES.items() if name not in GENERATED}
FULL = ROOT / "reports" / "full"


def blocks() -> list[str]:
    """The command lines of navbench in the blocks of all pages."""
    text = "".join(found for page in PAGES.values() for found in re.findall(r"(?ms)^```sh\n(.*?)^```", page))
    parts = (part.strip() for part in re.split(r"\n|&&", text))
    return sorted({part for part in parts if part.startswith("navbench ")})


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, row by row."""
    section = PAGES[page].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text))


def commands(cell: str) -> list[str]:
    """The command lines of a cell, where a later one leaves out what it has in common with the one before."""
    lines: list[str] = []
    for span in spans(cell):
        first = span.split()[0]
        if first == "navbench":
            lines.append(span)
        elif first in main.commands and first not in family(lines):
            lines.append(f"navbench {span}")
        elif first not in Subject.model_fields:  # those are of a suite
            lines.append(f"{lines[-1]} {span}")
    return lines


def family(lines: list[str]) -> dict[str, click.Command]:
    """The commands beside the last of some command lines, if it is of a group."""
    command = main.commands[lines[-1].split()[1]] if lines else None
    return command.commands if isinstance(command, click.Group) else {}


def parse(line: str) -> None:
    """Parse a command line as the program would."""
    command, words = main, shlex.split(line, comments=True)
    while isinstance(command, click.Group):
        command = command.commands[words[1]]
        words = words[1:]
    command.make_context(words[0], words[1:])


FIGURES = rows("paper.md", "Its figures and tables")
MENTIONED = {
    *(span for page in WRITTEN.values() for span in spans(page) if span.startswith("navbench ")),
    *(line for row in FIGURES for line in commands(row[2])),
}


# --- commands and options


@pytest.mark.parametrize("line", blocks())
def test_every_command_line_of_a_block_would_run(line):
    parse(line)


@pytest.mark.parametrize("line", sorted(MENTIONED))
def test_every_command_that_is_mentioned_is_one_and_has_its_options(line):
    with suppress(click.MissingParameter):  # a mention need not say everything
        parse(line.replace(" INDEX ", " 0 "))


def every_command(command: click.Command, name: str = "navbench"):
    yield name, command
    for inner, found in getattr(command, "commands", {}).items():
        yield from every_command(found, f"{name} {inner}")


@pytest.mark.parametrize(("name", "command"), list(every_command(main)), ids=str)
def test_the_page_of_the_command_line_has_every_command_and_option(name, command):
    section = re.split(r"\n##", PAGES["cli.md"].partition(f" `{name}`\n")[2])[0]
    assert section
    if not isinstance(command, click.Group):
        assert {option for each in command.params for option in each.opts if option.startswith("-")} <= set(
            re.findall(r"--?[a-z][\w-]*", section)
        )


def test_every_option_that_is_mentioned_alone_is_one_of_some_command():
    known = {option for _, command in every_command(main) for each in command.params for option in each.opts}
    of_others = {"--exclusive"}  # sbatch's
    named = {span.split()[0] for page in WRITTEN.values() for span in spans(page) if span.startswith("--")}
    assert named <= known | of_others | {"--help"}


# --- tables and sections


def test_every_table_that_is_named_is_one():
    named = {name for page in WRITTEN.values() for name in re.findall(r"`(?:tables/)?(\w+)\.csv`", page)}
    assert named - {"comparison", "agreed"} <= set(tables.TABLES)


def test_every_section_that_is_named_is_in_the_report():
    shown = {name for section in (*SECTIONS, *CLOSING) for name in (section.title, section.nav)}
    named = {name.strip() for row in FIGURES for name in row[3].split(";")} - {"the same"}
    assert named | {"Caveats"} <= shown


def test_every_figure_and_table_of_the_paper_is_covered():
    figures, tables = set(), set()
    for row in FIGURES:
        kind, _, numbers = row[0].partition(" ")
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", numbers):
            (figures if kind.startswith("Figure") else tables).update(range(int(first), int(last or first) + 1))
    assert figures == set(range(3, 22))  # 1 and 2 are diagrams, of which a sentence below the table tells
    assert tables == {1}
    assert "Figures 1 and 2 are diagrams" in PAGES["paper.md"]


# --- what README says of reports/full


def result(number: int) -> str:
    return re.search(rf"(?m)^{number}\. .*$", README)[0]


def converged(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of sets that have converged, or need not."""
    place = ["generator", "layer", "method"]
    status = tables.read(FULL, "methods").set_index(place)["status"]
    return rows[(rows.join(status.rename("of set"), on=place)["of set"] != NOT_CONVERGED)]


def reached(rows: pd.DataFrame, belongs) -> set[str]:
    """The attributes that take half of the squared change of some direction of such methods, consistently."""
    pure = rows[(rows["consistency"] >= LEAST_CONSISTENCY) & (rows["share"] >= LEAST_SHARE)]
    return set(pure[pure["method"].map(belongs)]["attribute"])


def test_readme_is_short_and_has_the_two_commands():
    assert len(README.split()) < 900
    assert "```sh\npip install -e . && navbench run-all\n```" in README
    assert "```sh\npip install tox && tox\n```" in README


def test_what_the_report_is():
    directions, curves = (tables.read(FULL, name) for name in ("directions", "curves"))
    assert set(directions["generator"]) == {"cars", "faces", "eyes"}
    assert f": {len(directions):,} directions of three small generators" in README
    assert f"{curves['name'].nunique()} curves of {curves['n'].max():,.0f} images at every shift" in README


def test_the_first_result_is_that_of_the_tables():
    methods, ranking, instrument = (tables.read(FULL, name) for name in ("methods", "ranking", "instrument"))
    place = methods[(methods["generator"] == "cars") & (methods["layer"] == "convs.1")].set_index("method")
    told = result(1)
    assert f"an effect of {place['effect'].iloc[0]:.3f}," in told
    figures = (f"{row['kid_mean']:.4f} ± {row['kid_mean_stderr']:.4f}" for _, row in place.iterrows())
    of = dict(zip(place.index, figures, strict=True))
    over = place["kid_directions"]
    assert f"spectrum is {of['spectrum']} over {over['spectrum']:.0f} directions" in told
    assert f"that of svd {of['svd']} over {over['svd']:.0f};" in told
    assert of["hybrid"] == of["random-in-spectrum"]
    assert f"random combinations of the same eigenvectors ({of['hybrid']} each)" in told
    kid = ranking[ranking["metric"] == "KID"]
    assert (set(kid["n"]), set(kid["n_reference"])) == ({64.0}, {2000.0})
    assert "on 64 codes against 2,000 images" in README
    decided = kid[kid["lower"] != ""].set_index(["generator", "layer", "method", "against"])
    pair = decided.loc["cars", "convs.1", "svd", "spectrum"]
    assert f"{pair['difference']:.4f} ± {pair['stderr']:.4f} (p < 0.001)" in told
    assert pair["p"] < 0.001
    other = decided.loc["cars", "convs.3", "svd", "spectrum"]
    assert f"In `convs.3` svd is higher as well, by {other['difference']:.4f} ± {other['stderr']:.4f}." in told
    lower = decided["lower"].to_dict()
    for layer in ("convs.1", "convs.3"):
        assert all(lower["cars", layer, "svd", method] == method for method in ("spectrum", "hybrid"))
        assert ("cars", layer, "hybrid", "random-in-spectrum") not in lower
    assert all(lower["faces", "main.6", method, "random"] == "random" for method in ("svd", "optimization"))
    assert "in `main.6` of `faces` random directions have a lower KID than svd and optimization" in told
    undecided = set(kid["layer"]) - {key[1] for key in lower}
    assert undecided == {"convs.5", "z", "w", "main.9", "main.13"}
    assert "In `convs.5`, z, w and `main.9` nothing is decided" in told
    passed = instrument[instrument["metric"] == "precision"].groupby("generator")["passed"].all()
    assert passed.to_dict() == {"cars": True, "faces": True, "eyes": False}
    assert "On `eyes` precision hardly falls under known damage" in told


def test_the_second_and_third_result_are_those_of_the_tables():
    directions, reproduction = (tables.read(FULL, name) for name in ("directions", "reproduction"))
    best = directions[directions["method"].map(competes)].nlargest(1, "attribute_share").iloc[0]
    assert f"`{best['name']}` gives {best['attribute_share']:.0%}".replace("%", " %") in result(2)
    assert best["attribute"] in result(2)
    rows = reproduction[reproduction["method"].map(competes) & (reproduction["space"] == "parameter")]
    own = rows[(rows["name"] == best["name"]) & (rows["target"] == "w")].iloc[0]
    told = f"{own['unexplained_fraction']:.2f} ± {own['unexplained_fraction_stderr']:.3f}"
    assert f"One offset of w leaves {told} of it ({own['n']:.0f} held-out codes)." in result(2)
    others = converged(rows[rows["name"] != best["name"]])
    assert f"found on {others['n_train'].max():.0f} codes" in result(3)
    for generator, target in (("cars", "w"), ("faces", "z"), ("eyes", "z")):
        left = others[(others["generator"] == generator) & (others["target"] == target)]["unexplained_fraction"]
        assert f"{left.min():.2f} to {left.max():.2f} in {target} of `{generator}`" in result(3)
    latent = others[others["target"].isin(["z", "w", "w+"])]
    easier = latent[latent["than_control"] == "less"]
    assert "more" not in set(latent["than_control"])
    assert (set(easier["layer"]), easier["name"].nunique()) == ({"convs.3"}, 3)
    assert "none significantly more than of random directions, and of three in `convs.3` less" in result(3)


def test_the_fourth_result_is_that_of_the_tables():
    locality = tables.read(FULL, "locality")
    area = locality[locality["metric"] == "area50"]
    free, drawn = (area[area["method"].map(belongs)]["value"] for belongs in (competes, is_control))
    assert f"{100 * free.min():.0f} to {100 * free.max():.0f} % of the image" in result(4)
    assert f"for random directions on {100 * drawn.min():.0f} to {100 * drawn.max():.0f} %" in result(4)
    assert (set(locality["n"]), suite.read("full").locality.directions) == ({128.0}, 2)
    assert "(two best of each set, 128 codes)" in result(4)


def test_the_fifth_result_is_that_of_the_tables():
    rows = tables.read(FULL, "attributes")
    cars, faces = (rows[rows["generator"] == name] for name in ("cars", "faces"))
    labelled, free, drawn = (reached(cars, belongs) for belongs in (is_labelled, competes, is_control))
    assert labelled == reached(cars, "supervised".__eq__)
    assert "{} of the {} factors of `cars`; without labels, methods reach {}".format(
        len(labelled), cars["attribute"].nunique(), len(free)
    ) in result(5)
    assert f"and directions drawn at random {len(drawn)}, {len(drawn & free)} of them the same" in result(5)
    assert set(cars["attribute"]) - labelled - free - drawn == {"body hue"}
    assert "No method reaches body hue." in result(5)
    assert reached(faces, competes) == {"skin redness", "skin yellowness"}
    assert reached(faces, is_control) == {"skin redness"}
    assert f"{len(reached(faces, competes))} of {faces['attribute'].nunique()}" in result(5)
