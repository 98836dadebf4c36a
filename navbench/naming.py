"""What people say of directions, label, mark and range: in the sets' own files, or beside them in a file of names."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from navbench.errors import NavbenchError
from navbench.files import locked, write_atomically
from navbench.library import NOT_INTERPRETABLE, RANGES_BY_HAND, SHIPPED, SetFile, amend, mark, open_set
from navbench.texts import cell, text_of

if TYPE_CHECKING:
    import numpy as np

LONGEST_LABEL = 120
COLUMNS = ("direction", "interpretable", "label", "t_min", "t_max", "offsets")
"""Of a file of names, in CSV; more are kept as they are."""
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Naming:
    """What is said of one direction.

    Attributes:
        label: '' for none; what has a label is interpretable.
        not_interpretable: whether somebody looked and saw nothing that has a name.
        t_min, t_max: its range, t_min < 0 < t_max, as a float32 holds it.
    """

    label: str
    not_interpretable: bool
    t_min: float
    t_max: float

    @property
    def named(self) -> bool:
        """Whether somebody has said what it is, or that it is nothing."""
        return bool(self.label) or self.not_interpretable

    def changed(self, changes: Mapping[str, Any]) -> Naming:
        """With other values of some fields, checked; a label takes the mark away, and the mark the label.

        Raises:
            NavbenchError: a value is none of its field.
        """
        if unknown := changes.keys() - {each.name for each in fields(self)}:
            raise NavbenchError(f"A direction has no {', '.join(sorted(unknown))} that could be set.")
        found = dict(changes)
        if "label" in found:
            found["label"] = clean_label(found["label"])
        if "not_interpretable" in found and not isinstance(found["not_interpretable"], bool):
            raise NavbenchError("A direction is marked as not interpretable, or it is not: true or false.")
        if found.get("not_interpretable"):
            if found.setdefault("label", ""):
                raise NavbenchError(
                    f"A direction with the label {found['label']!r} is interpretable; say one of the two."
                )
        elif found.get("label"):
            found["not_interpretable"] = False
        for end in {"t_min", "t_max"} & found.keys():
            found[end] = as_float32(found[end])
        after = replace(self, **found)
        if not (math.isfinite(after.t_min) and math.isfinite(after.t_max) and after.t_min < 0 < after.t_max):
            raise NavbenchError(f"A range needs t_min < 0 < t_max, not {after.t_min:g} and {after.t_max:g}.")
        return after

    def differing(self, other: Naming) -> dict[str, Any]:
        """The fields in which they differ, with the values of this one."""
        theirs = asdict(other)
        return {name: value for name, value in asdict(self).items() if value != theirs[name]}


def clean_label(text: Any) -> str:
    """A label as it is kept: on one line, without control characters, and with single spaces.

    Raises:
        NavbenchError: it is no text, or too long.
    """
    if not isinstance(text, str):
        raise NavbenchError("A label is a text.")
    printable = "".join(" " if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") else each for each in text)
    label = " ".join(unicodedata.normalize("NFC", printable).split())
    if len(label) > LONGEST_LABEL:
        raise NavbenchError(f"A label has at most {LONGEST_LABEL} characters; this one has {len(label)}.")
    return label


def as_float32(value: Any) -> float:
    """A number as a set's file holds it, so what is read back is equal to what was written."""
    import numpy as np

    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NavbenchError(f"The end of a range is a number, not {value!r}.")
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def offsets_key(file: SetFile) -> str:
    """16 hexadecimal digits of what the offsets of a set are made of; labels and ranges do not change them."""
    header = file.header
    parts = [header[name] for name in ("weights", "space", "layer", "basis", "basis_sha256", "seed")]
    digest = hashlib.sha256("\n".join(map(str, parts)).encode())
    with safe_open(file.path, framework="numpy") as opened:
        digest.update(opened.get_tensor("coefficients").tobytes())
    return digest.hexdigest()[:16]


def content_key(file: SetFile) -> str:
    """16 hexadecimal digits of what a run measures of a set, offsets and ranges; labels and marks do not change it."""
    digest = hashlib.sha256(offsets_key(file).encode())
    with safe_open(file.path, framework="numpy") as opened:
        for end in ("t_min", "t_max"):
            digest.update(opened.get_tensor(end).tobytes())
    return digest.hexdigest()[:16]


# --- where it is kept ------------------------------------------------------------------------------------------


class Keeper(ABC):
    """Keeps what is said of the directions of one set in a file, whose other content it leaves as it is."""

    path: Path

    @abstractmethod
    def read(self) -> list[Naming]:
        """What is said of each direction of the set now."""

    @abstractmethod
    def change(self, index: int, change: Callable[[Naming], Naming]) -> tuple[Naming, Naming]:
        """Change what is said of one direction, as the file stands now; what it was, and what is on the disk now."""

    def stamp(self) -> tuple[int, ...]:
        """Another one whenever the file has been written."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


class SetKeeper(Keeper):
    """Keeps it in the set's own file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Naming]:
        """See `Keeper`."""
        file = open_set(self.path)
        with safe_open(self.path, framework="numpy") as opened:
            ends = {name: opened.get_tensor(name) for name in ("t_min", "t_max")}
        return [_of_set(file.header, ends, index) for index in range(file.count)]

    def change(self, index: int, change: Callable[[Naming], Naming]) -> tuple[Naming, Naming]:
        """See `Keeper`."""
        found: list[tuple[Naming, Naming]] = []

        def apply(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
            found.append(_amended(header, tensors, index, change))

        amend(self.path, apply)
        return found[0]


def _amended(
    header: dict[str, Any], tensors: dict[str, np.ndarray], index: int, change: Callable[[Naming], Naming]
) -> tuple[Naming, Naming]:
    """Change what a set's header and tensors say of one direction, in place; what it was, and what it is."""
    before = _of_set(header, tensors, index)
    after = change(before)
    header["labels"] = [*header["labels"][:index], after.label, *header["labels"][index + 1 :]]
    mark(header, NOT_INTERPRETABLE, index, after.not_interpretable)
    if (before.t_min, before.t_max) != (after.t_min, after.t_max):
        mark(header, RANGES_BY_HAND, index, True)
    tensors["t_min"][index], tensors["t_max"][index] = after.t_min, after.t_max
    return before, after


def _of_set(header: Mapping[str, Any], ends: Mapping[str, np.ndarray], index: int) -> Naming:
    marked = index in header.get(NOT_INTERPRETABLE, ())
    return Naming(header["labels"][index], marked, float(ends["t_min"][index]), float(ends["t_max"][index]))


class FileKeeper(Keeper):
    """Keeps it in a file of names, a row per direction that somebody has looked at; the others are as in their set.

    Rows of other sets stay as they are, so one file serves several.
    """

    def __init__(self, path: Path, file: SetFile) -> None:
        self.path, self.set = path, file
        self._names, self._offsets = file.names(), offsets_key(file)

    def read(self) -> list[Naming]:
        """See `Keeper`."""
        return self._namings(read_names(self.path) if self.path.exists() else [])

    def _namings(self, rows: Iterable[Mapping[str, str]]) -> list[Naming]:
        said = SetKeeper(self.set.path).read()
        indices = {name: index for index, name in enumerate(self._names)}
        for row in rows:
            if (index := indices.get(row["direction"])) is not None:
                said[index] = said[index].changed(changes_of(row, self._offsets, self.path))
        return said

    def change(self, index: int, change: Callable[[Naming], Naming]) -> tuple[Naming, Naming]:
        """See `Keeper`."""
        with locked(self.path):
            rows = read_names(self.path) if self.path.exists() else []
            before = self._namings(rows)[index]
            after = change(before)
            write_names(self.path, [row_of(self._names[index], after, self._offsets)], rows)
        return before, after


def keeper_of(file: SetFile, names: Path | None) -> Keeper:
    """Who keeps what is said of a set: its own file where it is the user's and no other is named, else that one.

    Raises:
        NavbenchError: its file may not be written to, and no other is named.
    """
    if names is not None:
        return FileKeeper(names, file)
    if not is_own(file):
        raise NavbenchError(f"{file.path} is not yours to write to; name a file for what you say by --names names.csv.")
    return SetKeeper(file.path)


def is_own(file: SetFile) -> bool:
    """Whether a set is the user's: not one that comes with navbench, and in a folder that may be written to."""
    path = file.path.resolve()
    return not path.is_relative_to(SHIPPED.resolve()) and os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)


# --- files of names --------------------------------------------------------------------------------------------


def row_of(name: str, naming: Naming, offsets: str) -> dict[str, str]:
    """A row of a file of names."""
    interpretable = YES if naming.label else NO if naming.not_interpretable else ""
    return {
        "direction": name,
        "interpretable": interpretable,
        "label": naming.label,
        "t_min": repr(naming.t_min),
        "t_max": repr(naming.t_max),
        "offsets": offsets,
    }


def changes_of(row: Mapping[str, str], offsets: str, path: Path) -> dict[str, Any]:
    """What a row of a file of names says of a direction; an empty end of a range leaves that as it is.

    Args:
        row: of the file.
        offsets: key of the set that the direction is in now.
        path: of the file, for errors.
    """
    if row.get("offsets") and row["offsets"] != offsets:
        raise NavbenchError(
            f"{path}: {row['direction']} was named when its offsets were others ({row['offsets']}, now {offsets}); "
            "take another file of names, or delete that row."
        )
    marked = verdict_of(row.get("interpretable", ""), path) is False
    said: dict[str, Any] = {"label": row.get("label", ""), "not_interpretable": marked}
    for end in ("t_min", "t_max"):
        if row.get(end):
            try:
                said[end] = float(row[end])
            except ValueError:
                raise NavbenchError(f"{path}: {end} of {row['direction']} is {row[end]!r}, not a number.") from None
    return said


def verdict_of(text: str, path: Path) -> bool | None:
    """What a cell of the column `interpretable` says; `None` if it is empty."""
    word = text.strip().lower()
    if word in ("", "yes", "y", "1", "true", "no", "n", "0", "false"):
        return word in ("yes", "y", "1", "true") if word else None
    raise NavbenchError(f"{path}: the column 'interpretable' holds {text!r}; write yes, no, or nothing.")


def read_names(path: Path, column: str = COLUMNS[0]) -> list[dict[str, str]]:
    """The rows of a file of names, by column.

    Args:
        path: of the file.
        column: that every row needs, once.

    Raises:
        NavbenchError: it is no CSV with that column, or two rows are of one direction.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
        rows = [
            {key: text_of(value or "") for key, value in row.items() if key}
            for row in csv.DictReader(io.StringIO(content))
        ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NavbenchError(f"{path} cannot be read as a CSV of names ({error}).") from None
    if content.strip() and column not in next(csv.reader(io.StringIO(content))):
        raise NavbenchError(f"{path} has no column {column!r}; its columns are those of `navbench inspect`.")
    keys = [row[column] for row in rows]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise NavbenchError(f"{path} names {twice[0]} more than once; keep one row of it.")
    return rows


def write_names(path: Path, rows: Sequence[Mapping[str, str]], others: Iterable[Mapping[str, str]] = ()) -> None:
    """Write a file of names: rows, and those of others that are of none of their directions, in their order."""
    merged = {row["direction"]: dict(row) for row in others}
    for row in rows:
        merged[row["direction"]] = merged.get(row["direction"], {}) | dict(row)
    columns = list(dict.fromkeys([*COLUMNS, *(key for row in merged.values() for key in row)]))
    written = io.StringIO()
    writer = csv.DictWriter(written, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: cell(value) for key, value in row.items()} for row in merged.values())
    write_atomically(path, written.getvalue())


def apply_names(path: Path, file: SetFile) -> int:
    """Put what a file of names says into a set's own file; of how many directions it says something."""
    offsets, indices = offsets_key(file), {name: index for index, name in enumerate(file.names())}
    said = [
        (indices[row["direction"]], changes_of(row, offsets, path))
        for row in read_names(path)
        if row["direction"] in indices
    ]

    def apply(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
        for index, changes in said:
            _amended(header, tensors, index, lambda naming, changes=changes: naming.changed(changes))  # type: ignore[misc]

    if said:
        amend(file.path, apply)
    return len(said)
