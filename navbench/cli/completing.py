"""What a shell offers for a word that is being typed; nothing here needs torch."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from navbench.words import PRESETS

RUNS = Path("runs")
"""Where runs lie, unless --out names another place."""


def directions(ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Full names of directions, those of --directions, too; a label by hand stands beside its name."""
    from navbench.errors import NavbenchError
    from navbench.library import library

    try:
        sets = library(ctx.params.get("folder")).sets
    except NavbenchError:
        return []
    named = [
        (name, label)
        for set_id, file in sorted(sets.items())
        if set_id.startswith(typed[: len(set_id)])
        for name, label in zip(file.names(), file.header["labels"], strict=True)
    ]
    return [CompletionItem(name, help=label or None) for name, label in named if name.startswith(typed)]


def generators(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Installed generators; else files."""
    from navbench.generators import zoo

    known = [CompletionItem(name) for name in sorted(zoo.known()) if name.startswith(typed)]
    return known or [CompletionItem(typed, type="file")]


def scorers(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Installed attribute scorers, and none."""
    from navbench import plugins

    names = [*sorted(plugins.known("navbench.attributes")), "none"]
    return [CompletionItem(name) for name in names if name.startswith(typed)]


def suites(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Presets; else files."""
    known = [CompletionItem(name) for name in PRESETS if name.startswith(typed)]
    return known or [CompletionItem(typed, type="file")]


def runs(_ctx: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Runs in the folder runs, the newest first; else folders."""
    known = [CompletionItem(str(run)) for run in newest_runs() if str(run).startswith(typed)]
    return known or [CompletionItem(typed, type="dir")]


def newest_runs() -> list[Path]:
    """The runs in the folder runs, the one that was written to last first."""
    written = {path.parent: path.stat().st_mtime for path in RUNS.glob("*/manifest.json")}
    return sorted(written, key=lambda run: (-written[run], run))
