"""A group of commands whose modules are imported when a command is asked for."""

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import click


class Verbs(MutableMapping[str, click.Command]):
    """Commands by name, each imported when it is looked up, from its 'module:attribute'."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = dict(places)
        self.loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self.loaded:
            module, _, attribute = self.places[name].partition(":")
            self.loaded[name] = getattr(importlib.import_module(module), attribute)
        return self.loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self.places[name], self.loaded[name] = "", command

    def __delitem__(self, name: str) -> None:
        del self.places[name]
        self.loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


class Index(click.Group):
    """A group that knows its commands by a table: name -> ('module:attribute', what its help says in one line)."""

    def __init__(self, *, verbs: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        places = {name: place for name, (place, _) in verbs.items()}
        super().__init__(commands=Verbs(places), **settings)
        self.lines = {name: line for name, (_, line) in verbs.items()}

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by the table alone, so that help imports none of them."""
        room = formatter.width - 6 - max(map(len, self.lines))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, click.Command(name, help=line).get_short_help_str(room))
                    for name, line in sorted(self.lines.items())
                ]
            )
