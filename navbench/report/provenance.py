"""What the page says about where its numbers come from, read from the manifest without trusting its shape."""

from dataclasses import dataclass
from typing import Any

from navbench.report.numbers import NOTHING, count, duration, plain
from navbench.report.tables import RunTables
from navbench.report.views import Cell, Table


@dataclass(frozen=True)
class Provenance:
    """Facts, tables and lists for the last section."""

    facts: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    stages: Table | None
    generators: list[tuple[str, list[tuple[str, str]]]]
    direction_sets: list[tuple[str, list[tuple[str, str]]]]
    warnings: list[str]
    left_out: list[str]
    suite_toml: str


def provenance(tables: RunTables) -> Provenance:
    """Everything of the manifest that the page shows."""
    manifest = tables.manifest
    named = [
        ("navbench", "navbench"),
        ("Suite", "suite"),
        ("Suite's SHA-256", "suite_sha256"),
        ("Seed", "seed"),
        ("Started", "started"),
        ("Finished", "finished"),
        ("Device", "device"),
        ("Processor", "processor"),
        ("Precision", "precision"),
        ("Extractor", "extractor"),
        ("Distance", "distance"),
        ("Reference", "reference"),
    ]
    facts = [(term, _text(manifest[key])) for term, key in named if manifest.get(key) not in (None, "")]
    of = _dict(manifest.get("references")).items()
    facts += [(f"Reference of {plain(name)}", _text(words)) for name, words in of]
    facts.append(("Duration", duration(_number(manifest.get("seconds")))))
    return Provenance(
        facts=[fact for fact in facts if fact[1] != NOTHING],
        versions=_pairs(manifest.get("versions")),
        stages=_stages(manifest.get("stages")),
        generators=[(plain(name), _generator(entry)) for name, entry in _dict(manifest.get("generators")).items()],
        direction_sets=[
            (_text(entry.get("reference", "")), _pairs({k: v for k, v in entry.items() if k != "reference"}))
            for entry in _list(manifest.get("direction_sets"))
            if isinstance(entry, dict)
        ],
        warnings=[_text(warning) for warning in _list(manifest.get("warnings"))],
        left_out=[_text(entry) for entry in _list(manifest.get("left_out"))],
        suite_toml="".join(plain(line) + "\n" for line in tables.suite_toml.splitlines()),
    )


def discovery_seconds(manifest: dict[str, Any]) -> dict[str, float]:
    """How long it took to find each direction set, by its reference, where the manifest says so."""
    sets = [entry for entry in _list(manifest.get("direction_sets")) if isinstance(entry, dict)]
    found = {_text(entry.get("reference", "")): _dict(entry.get("provenance")).get("seconds") for entry in sets}
    return {reference: _number(seconds) for reference, seconds in found.items()}


def _stages(stages: Any) -> Table | None:
    rows = []
    for stage in _list(stages):
        if isinstance(stage, dict):
            seconds, memory = _number(stage.get("seconds")), _number(stage.get("peak_memory_mib"))
            rows.append(
                (
                    Cell(_text(stage.get("stage", ""))),
                    Cell(duration(seconds), seconds),
                    Cell(count(memory), memory),
                    Cell("yes" if stage.get("cached") else "no"),
                )
            )
    heads = ("Stage", "Time", "Peak memory, MiB", "From the cache")
    return Table("What was run, in order.", heads, tuple(rows)) if rows else None


def _generator(entry: Any) -> list[tuple[str, str]]:
    return _pairs({key: value for key, value in _dict(entry).items() if key != "layers"})


def _pairs(entries: Any) -> list[tuple[str, str]]:
    """A dictionary as terms and values; what is nested is named by its path."""
    pairs = []
    for key, value in _dict(entries).items():
        if isinstance(value, dict):
            pairs += [(f"{_text(key)}: {term}", text) for term, text in _pairs(value)]
        elif value not in (None, ""):
            pairs.append((_text(key).replace("_", " "), _text(value)))
    return pairs


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    return plain(str(value))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
