"""Write the pages of reference that follow from the code: the command line, the Python face, the suite and
the run folder.

    python docs/reference.py

`docs/tables.md` is written by `navbench.tables`. Tests hold all five pages to what the code says.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import navbench
from navbench import tables
from navbench.cli import main
from navbench.cli.lazy import Index

DOCS = Path(__file__).parent
NOTE = "Written by `python docs/reference.py` from the code."


# --- the command line ------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Every command with its arguments and options, in Markdown."""
    words = [
        "# The command line",
        NOTE,
        "Every command has `--help`. A direction is named `faces/hybrid/main.6/3`, or by any unique part of that, or "
        "by its label. A command that was stopped goes on where it stopped when it is given again. The exit code is 0 "
        "for success, 1 for a failure, 2 for what the user can mend, and 3 where a condition of `navbench compare` is "
        "met.",
        _overview(),
    ]
    words += [part for name in sorted(main.commands) for part in _command(main.commands[name], f"navbench {name}")]
    words += ["## `navbench`", "Options that stand before the command.", _options(main, "navbench")]
    return "\n\n".join(words) + "\n"


def _overview() -> str:
    lines = main.lines if isinstance(main, Index) else {}
    rows = [f"| [`navbench {name}`](#{_anchor(f'navbench {name}')}) | {lines[name]} |" for name in sorted(lines)]
    return "\n".join(["| command | what it does |", "| --- | --- |", *rows])


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _command(command: click.Command, name: str, depth: int = 2) -> Iterator[str]:
    """A command's heading, help, example and options; of a group, those of its commands, too."""
    yield f"{'#' * depth} `{name}`"
    yield from (_flowing(part) for part in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")))
    if isinstance(command, click.Group):
        for inner in sorted(command.commands):
            yield from _command(command.commands[inner], f"{name} {inner}", depth + 1)
        return
    context = click.Context(command, info_name=name, **main.context_settings)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    example = re.sub(r"(?s).*Example:\s*", "", command.epilog or "").strip()
    yield "\n".join(["```text", usage, "```"])
    if example:
        yield "\n".join(["For example:", "", "```sh", example, "```"])
    yield _options(command, name)


def _flowing(text: str) -> str:
    return " ".join(text.split())


def _options(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, **main.context_settings)
    options = (each for each in command.get_params(context) if isinstance(each, click.Option))
    records = (option.get_help_record(context) for option in options)
    rows = [f"| `{_cell(record[0])}` | {_cell(record[1])} |" for record in records if record is not None]
    return "\n".join(["| option | what it says |", "| --- | --- |", *rows])


def _cell(text: str) -> str:
    """Without what would end a cell."""
    return _flowing(text).replace("|", ", ")


# --- the Python face ---------------------------------------------------------------------------------------------


def python_face() -> str:
    """Every public name with its signature and docstring, in Markdown."""
    modules = {name: module for module, names in navbench._MODULES.items() for name in names}
    words = [
        "# The Python face",
        NOTE,
        "`import navbench as nb` costs nothing: torch and pandas are loaded when a name is first used. "
        "[From Python](from-python.md) shows the names at work.",
    ]
    for name in navbench.__all__:
        words += _documented(name, _definition(name, modules.get(name, "face")))
    return "\n\n".join(words) + "\n"


def _definition(name: str, module: str) -> ast.FunctionDef | ast.ClassDef:
    tree = ast.parse((Path(navbench.__file__).parent / f"{module}.py").read_text())
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name)


def _documented(name: str, node: ast.FunctionDef | ast.ClassDef) -> Iterator[str]:
    yield f"## `nb.{name}`"
    if isinstance(node, ast.FunctionDef):
        yield "\n".join(["```python", f"nb.{_signature(node)}", "```"])
    yield from markdown(ast.get_docstring(node) or "")
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and (ast.get_docstring(inner) or "") and inner.name != "__init__":
                is_property = any(ast.unparse(each).endswith("property") for each in inner.decorator_list)
                yield f"**`{inner.name}`**" if is_property else f"**`{_signature(inner)}`**"
                yield from markdown(ast.get_docstring(inner) or "")


def _signature(node: ast.FunctionDef) -> str:
    """The name, arguments and result, one argument a line where they are long."""
    arguments = node.args
    arguments.args = [each for each in arguments.args if each.arg != "self"]
    text, result = ast.unparse(arguments), f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if len(node.name) + len(text) + len(result) < 100:
        return f"{node.name}({text}){result}"
    inner = ",\n    ".join(re.split(r", (?=[*\w]+(?:: |,|=|$))", text))
    return f"{node.name}(\n    {inner},\n){result}"


_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes):$")


def markdown(docstring: str) -> Iterator[str]:
    """A docstring in Markdown: its paragraphs, lists of its arguments, and its examples."""
    lines = inspect.cleandoc(docstring).splitlines()
    block: list[str] = []
    blocks: list[list[str]] = [block]
    for line in lines:
        if not line.strip():
            block = []
            blocks.append(block)
        else:
            block.append(line)
    for block in filter(None, blocks):
        heading = _SECTION.match(block[0])
        if heading:
            yield f"*{ {'Args': 'Arguments'}.get(heading[1], heading[1]) }*"
            yield _listed(block[1:], heading[1] != "Returns")
        elif block[0].startswith(">>>"):
            yield "\n".join(["```pycon", *block, "```"])
        elif block[0].startswith("    "):
            yield "\n".join(["```text", *(line[4:] for line in block), "```"])
        else:
            yield " ".join(line.strip() for line in block)


def _listed(lines: list[str], named: bool) -> str:
    """A list of 'name: words', whose words may go on in deeper lines."""
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    items: list[str] = []
    for line in lines:
        if len(line) - len(line.lstrip()) == margin and (named or not items):
            items.append(line.strip())
        else:
            items[-1] += f" {line.strip()}"
    if not named:
        return " ".join(items)
    split = (item.partition(": ") for item in items)
    return "\n".join(f"- `{name}`: {words}" if words else f"- {name}" for name, _, words in split)


# --- the suite -----------------------------------------------------------------------------------------------------


def suite_keys() -> str:
    """Every key of a suite, section by section, in Markdown."""
    from navbench.discovery.settings import DiscoverySettings
    from navbench.experiments.catalogue import EXPERIMENTS
    from navbench.experiments.common import Common, Subject
    from navbench.experiments.experiment import NoSettings
    from navbench.generators.options import Options
    from navbench.suite import Suite

    parts: list[str] = [
        "# The keys of a suite",
        NOTE,
        "A suite is a TOML file ([Suites, plans and runs](suites.md)). A key that is left out has its default. An "
        "unknown key is refused with the nearest known one.",
    ]
    top = {name: Suite.model_fields[name] for name in Common.model_fields}
    parts += _keys("The suite itself", Common, "Keys at the top of the file.", top)
    parts += _keys("`[[generators]]`", Subject)
    parts += _keys("`[generators.options]`", Options)
    parts += _keys("`[discovery]`", DiscoverySettings, "Also as `[generators.discovery]`, of one generator.")
    for name, field in DiscoverySettings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts += _keys(f"`[discovery.{name}]`", field.annotation)
    for experiment in EXPERIMENTS:
        if experiment.settings is not NoSettings:
            asked = "" if experiment.always else f"Of the experiment `{experiment.name}`."
            parts += _keys(f"`[{experiment.name}]`", experiment.settings, asked)
    return "\n\n".join(parts) + "\n"


def _keys(heading: str, model: type[BaseModel], note: str = "", fields: dict[str, Any] | None = None) -> Iterator[str]:
    yield f"## {heading}"
    own = inspect.getdoc(model) or ""
    if note:
        yield note
    yield from markdown(own)
    bases = (base.__doc__ or "" for base in model.__mro__[1:] if base is not BaseModel)
    inherited = next((doc for doc in bases if "Attributes:" in doc), "")
    if inherited and "Attributes:" not in own:
        yield from list(markdown(inherited))[1:]
    known = model.model_fields if fields is None else fields
    rows = [f"| `{name}` | {_type(field.annotation)} | {_default(field)} |" for name, field in known.items()]
    yield "\n".join(["| key | kind | default |", "| --- | --- | --- |", *rows])


_KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}


def _type(annotation: Any) -> str:
    if annotation in _KINDS:
        return _KINDS[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is Literal:
        return " or ".join(f"`{value!r}`".replace("'", '"') for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(_type(each) for each in inner if each is not type(None))
    return "section"


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    if isinstance(value, BaseModel):
        return "as below"
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(_toml(each) for each in value)}]`" if value else "`[]`"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, BaseModel):
        return str(value.model_dump())
    return f'"{value}"' if isinstance(value, str) else str(value)


# --- a run folder ----------------------------------------------------------------------------------------------------

RUN_FOLDER = """\
```text
RUN/
  index.html                  the report: self-contained
  suite.toml  manifest.json   the suite with every key spelled out; versions, hashes, device, seconds and peak memory
  tables/*.csv                below
  figures/                    plots as SVG; heatmaps as PNG, and as .npz with the mean image
  strips/                     image sequences as sheets and as looping animations, WebP; MP4 where ffmpeg is installed
  codes/                      projected photos, one file each, for later runs
  directions/                 with --rediscover: the sets that were found
  cache/                      pieces; may be deleted once the run is complete
  lease.json                  while a run writes here: which
```"""


def run_folder() -> str:
    """What a run writes, and what a row of each table is, in Markdown."""
    parts = [
        "# A run folder",
        NOTE,
        RUN_FOLDER,
        "## Tables",
        tables.listed(tables.TABLES.declared.values()).strip(),
        "Every column, with its unit, is in [The columns of every table](tables.md).",
    ]
    return "\n\n".join(parts) + "\n"


PAGES = {"cli.md": command_line, "python.md": python_face, "suite.md": suite_keys, "run-folder.md": run_folder}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
