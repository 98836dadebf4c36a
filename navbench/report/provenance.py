"""Where the numbers come from, read from the manifest without trusting its shape."""

from collections.abc import Iterator
from typing import Any

from navbench.report.blocks import Block, Cell, Details, Heading, Pre, Table, Terms
from navbench.report.numbers import NOTHING, count, duration, significant
from navbench.report.page import Page

_FACTS = {
    "navbench": "navbench",
    "suite": "Suite",
    "suite_sha256": "Suite's SHA-256",
    "seed": "Seed",
    "started": "Started",
    "finished": "Finished",
    "device": "Device",
    "processor": "Processor",
    "precision": "Precision",
    "extractor": "Extractor",
    "extractor_precision": "Extractor's precision",
    "distance": "Distance",
    "reference": "Reference",
}
"""Keys of the manifest, and what the page calls them."""


def blocks(page: Page) -> Iterator[Block]:
    """Everything of the manifest that the page shows, and the suite."""
    manifest = page.tables.manifest
    facts = [(term, _text(manifest[key])) for key, term in _FACTS.items() if manifest.get(key) not in (None, "")]
    references = _dict(manifest.get("references")).items()
    facts += [(f"Reference of {name}", _text(words)) for name, words in references]
    facts.append(("Duration", duration(_number(manifest.get("seconds")))))
    yield Terms([fact for fact in facts if fact[1] != NOTHING])
    if versions := _pairs(manifest.get("versions")):
        yield Heading("Versions")
        yield Terms(versions)
    if (workers := _workers(manifest)).rows:
        yield workers
    yield _stages(manifest)
    for name, entry in _dict(manifest.get("generators")).items():
        yield Details(f"Generator {name}", (Terms(_pairs(entry, without="layers")),))
    if (learning := _learning(manifest)).rows:
        yield learning
    for entry in _direction_sets(manifest):
        name = _text(entry.get("set_id", ""))
        yield Details(f"Direction set {name}", (Terms(_pairs(entry, without="set_id")),))
    yield Details("The suite file", (Pre(page.tables.suite_toml),))


def discovery_seconds(manifest: dict[str, Any]) -> dict[str, float]:
    """How long it took to find each direction set, by its id, if the manifest says so."""
    found = {
        _text(entry.get("set_id", "")): _dict(entry.get("provenance")).get("seconds")
        for entry in _direction_sets(manifest)
    }
    return {set_id: _number(seconds) for set_id, seconds in found.items()}


def saturated_ends(manifest: dict[str, Any]) -> dict[str, int]:
    """How many ends of each direction set fall short of its effect, by its id, if its discovery has told."""
    told = {
        _text(entry.get("set_id", "")): _dict(entry.get("provenance")).get("saturated_ends")
        for entry in _direction_sets(manifest)
    }
    return {set_id: ends for set_id, ends in told.items() if isinstance(ends, int)}


def told_in(manifest: dict[str, Any], key: str) -> list[str]:
    """The sentences of a list of the manifest: 'warnings', 'left_out'."""
    return [_text(entry) for entry in _list(manifest.get(key))]


def shown_codes_words(manifest: dict[str, Any]) -> str:
    """Which codes strips show, and by what rule, in a sentence; '' if the run does not tell."""
    rule, codes = manifest.get("shown_by"), _dict(manifest.get("shown_codes"))
    if not rule:
        return ""
    told = "; ".join(f"{name}: {', '.join(map(_text, _list(numbers)))}" for name, numbers in codes.items())
    return f"The codes of strips were chosen to be seen: {rule} (codes {told})."


def _direction_sets(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in _list(manifest.get("direction_sets")) if isinstance(entry, dict)]


def _stages(manifest: dict[str, Any]) -> Table:
    rows = []
    for stage in _list(manifest.get("stages")):
        if isinstance(stage, dict):
            seconds, memory = _number(stage.get("seconds")), _number(stage.get("peak_memory_mib"))
            numbers = Cell(duration(seconds), seconds), Cell(count(memory), memory)
            cached = "yes" if stage.get("cached") else "no"
            rows.append((Cell(_text(stage.get("stage", ""))), *numbers, Cell(cached)))
    heads = ("Stage", "Time", "Peak memory, MiB", "From the cache")
    return Table("What was run, in order.", heads, tuple(rows))


_LEARNING = {
    "Loss": ("losses",),
    "of the control": ("control_loss",),
    "Held-out accuracy": ("accuracy",),
    "of a fresh reconstructor": ("fresh_accuracy",),
    "of the control ": ("control_accuracy",),
    "Cosine to the start": ("cosine_to_start",),
    "Overlap": ("overlap",),
    "Recognition": ("recognition", "learned"),
    "of the start": ("recognition", "start"),
    "of random in basis": ("recognition", "random in basis"),
    "of the basis": ("recognition", "basis"),
}
"""What the table of learning shows, and where it stands in a set's provenance."""


def _learning(manifest: dict[str, Any]) -> Table:
    """What shows whether the learning of each set has converged."""
    rows = []
    for entry in _direction_sets(manifest):
        provenance = _dict(entry.get("provenance"))
        if not (status := provenance.get("status")):
            continue
        numbers = [_at(provenance, *path) for path in _LEARNING.values()]
        reasons = " ".join(map(_text, _list(provenance.get("failed"))))
        words = Cell(_text(entry.get("set_id", ""))), Cell(f"{_text(status)}. {reasons}".strip())
        rows.append((words[0], *(Cell(significant(number), number) for number in numbers), words[1]))
    caption = (
        "Learned sets. The loss is of the last eighth of the steps; the control is a reconstructor that learned on the "
        "same pairs with the rows at their start, a fresh one learned so with the rows that were found. Accuracy and "
        "recognition: higher is better; recognition is the share of edits at equal effect whose direction is named by "
        "the nearest class mean of pooled differences."
    )
    return Table(caption, ("Set", *map(str.strip, _LEARNING), "Learning"), tuple(rows))


def _at(entries: dict[str, Any], *path: str) -> float:
    """The number at a path of a dictionary, of a list the last; NaN if there is none."""
    value: Any = entries
    for key in path:
        value = _dict(value).get(key)
    return _number(value[-1] if isinstance(value, list) and value else value)


def _workers(manifest: dict[str, Any]) -> Table:
    rows = []
    for name, account in _dict(manifest.get("workers")).items():
        numbers = [
            _number(_dict(account).get(key)) for key in ("pieces", "batch", "seconds", "peak_memory_mib", "retries")
        ]
        shown = [duration(number) if at == 2 else count(number) for at, number in enumerate(numbers)]
        rows.append((Cell(_text(name)), *(Cell(text, number) for text, number in zip(shown, numbers, strict=True))))
    heads = ("Worker", "Pieces", "Batch", "Time computing", "Peak memory, MiB", "Retries")
    return Table("Who computed what the cache did not have.", heads, tuple(rows))


def _pairs(entries: Any, without: str = "") -> list[tuple[str, str]]:
    """A dictionary as terms and values; what is nested is named by its path."""
    pairs = []
    for key, value in _dict(entries).items():
        if isinstance(value, dict):
            pairs += [(f"{key}: {term}", text) for term, text in _pairs(value)]
        elif value not in (None, "") and key != without:
            pairs.append((str(key).replace("_", " "), _text(value)))
    return pairs


def _text(value: Any) -> str:
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
