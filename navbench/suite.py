"""The suite: the whole benchmark as data, read from TOML, validated to the last key."""

import difflib
import hashlib
import json
import tomllib
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import ValidationError, create_model

from navbench.errors import NEAR, NavbenchError, unknown
from navbench.experiments.catalogue import EXPERIMENTS, catalogue
from navbench.experiments.common import Common, check_methods
from navbench.experiments.common import Subject as Subject
from navbench.experiments.common import check_names as check_names
from navbench.experiments.experiment import NoSettings
from navbench.methods import METHODS
from navbench.texts import shown
from navbench.words import PRESETS as PRESETS

NAMED = tuple(experiment for experiment in catalogue() if not experiment.always)
"""The experiments that a suite may ask for."""
_Name: Any = Literal[tuple(each.name for each in NAMED)]
_FIELDS: dict[str, Any] = {
    "experiments": (tuple[_Name, ...], tuple(each.name for each in NAMED if not each.on_request)),
    **{each.name: (each.settings, each.settings()) for each in catalogue() if each.settings is not NoSettings},
}
_SECTIONS: Any = create_model("_Sections", __base__=Common, **_FIELDS)
"""What every suite says, with a section for each experiment's settings."""


_DEEPEST = 8
"""Mappings and lists within a key of a suite, one in the other; those of another package may need more than ours."""


class Suite(_SECTIONS):
    """One benchmark: what `Common` says, and the sections of the experiments, by their names."""

    def toml(self) -> str:
        """The suite as a file that reads back as the same suite, every key spelled out.

        Sections of other packages' experiments stand in it if they are asked for.
        """
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True, exclude=self._strangers()))

    def with_values(self, **values: Any) -> "Suite":
        """The suite with other values, given by their keys: `seed=3`, `curves={"samples": 99}`; validated anew."""
        content = self.model_dump(mode="json")
        for key, value in values.items():
            known = content.get(key)
            content[key] = known | value if isinstance(known, dict) and isinstance(value, dict) else value
        return _validated(content, "the given values")

    @property
    def cache_key(self) -> str:
        """A hash of all that results depend on: two suites with one key give the same tables."""
        content = {key: value for key, value in self.content().items() if key not in self._strangers()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _strangers(self) -> set[str]:
        """The sections of other packages' experiments that are not part of it: it is the same where there are none."""
        added = {type(experiment) for experiment in catalogue()} - {type(experiment) for experiment in EXPERIMENTS}
        return {kind.name for kind in added if kind.settings is not NoSettings and not self.names(kind)}


def read(source: str) -> Suite:
    """The suite of a preset's name or of a TOML file."""
    if source in PRESETS:
        return parse(files("navbench").joinpath("presets", f"{source}.toml").read_text("utf-8"), f"preset {source}")
    path = Path(source)
    if path.suffix != ".toml" and not path.exists():
        raise unknown("preset", source, PRESETS)
    try:
        return parse(path.read_text("utf-8-sig"), source)  # some editors begin a file with a mark of its encoding
    except (OSError, UnicodeDecodeError) as error:
        raise NavbenchError(f"Suite {source} cannot be read ({error}).") from error


def parse(text: str, source: str) -> Suite:
    """The suite in a TOML text; `source` names it in errors."""
    try:
        return _validated(tomllib.loads(text), source)
    except tomllib.TOMLDecodeError as error:
        raise NavbenchError(f"{source} is not valid TOML: {error}.") from error
    except ValueError:  # Python converts no number of thousands of digits
        raise NavbenchError(f"{source}: a whole number in it has too many digits; it must be below 2**63.") from None
    except RecursionError:
        raise NavbenchError(f"{source}: its brackets are nested too deep; no key of a suite is so.") from None


def _validated(content: dict[str, Any], source: str) -> Suite:
    if deep := _too_deep(content):
        raise NavbenchError(f"{source}: {deep}: nested more than {_DEEPEST} deep; no key of a suite is.")
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        raise NavbenchError(f"{source}: {_explain(error)}") from error
    try:
        if suite.rediscover:
            check_methods(suite.measured_methods(), METHODS, "generators")
        check_names([(subject.name, subject.alias or subject.name) for subject in suite.generators])
        for experiment in catalogue():
            experiment.check_suite(suite)
    except NavbenchError as error:
        sentence = str(error)
        raise NavbenchError(f"{source}: {sentence[0].lower()}{sentence[1:]}") from None
    return suite


def _too_deep(content: dict[str, Any]) -> str:
    """The first key with more mappings and lists in it than a suite has, one in the other; '' if there is none."""
    for key, value in content.items():
        layer = [value]
        for _ in range(_DEEPEST):
            inner = (each for each in layer if isinstance(each, dict | list))
            layer = list(chain.from_iterable(each.values() if isinstance(each, dict) else each for each in inner))
        if any(isinstance(each, dict | list) for each in layer):
            return shown(key)
    return ""


def _explain(error: ValidationError) -> str:
    """The first complaint, in one sentence; an unknown key with the nearest known one."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{place}: {first['msg'].removeprefix('Value error, ').lower()}, found {first['input']!r}."
    *parents, key = first["loc"]
    known = _keys(Suite, [part for part in parents if isinstance(part, str)])
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=NEAR)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."
    return f"unknown key {place!r}; {hint}"


def _keys(model: Any, path: list[str]) -> list[str]:
    """The keys that are known at a place in the suite."""
    for part in path:
        annotation = model.model_fields[part].annotation
        model = next(
            (inner for inner in getattr(annotation, "__args__", ()) if hasattr(inner, "model_fields")),
            annotation,
        )
    return sorted(model.model_fields)
