"""Texts that come from files, made fit for messages, tables, terminals, CSV files and file names.

A label, a layer's name or a path is whatever its author wrote: a line break, a terminal's control sequence, half a
character, a formula, or a million letters.
"""

import hashlib
import json
import re
import unicodedata
from typing import Any

LONGEST = 200
"""Characters of one text; longer ones lose their middle."""
LONGEST_MESSAGE = 2000
"""Characters of a whole sentence."""
_LONGEST_FILE_NAME = 180
"""Bytes, as file systems take 255 and the name is a part."""
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's categories of what is not seen, steers a terminal, turns a line around or breaks it."""
_FORMULA = re.compile(r"'|[=+\-@](?=.)")
"""How cells begin that a spreadsheet computes, and those that are told apart from them."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def escaped(text: str) -> str:
    """A text as one line in which everything is seen, hidden characters as Python escapes them: `\\x1b`, `\\n`.

    Escaped twice, it is the same.
    """
    return text if text.isprintable() else "".join(map(_seen, text))


def escaped_lines(text: str) -> str:
    """A text of several lines, each `escaped`."""
    return "\n".join(map(escaped, text.split("\n")))


def _seen(character: str) -> str:
    return character.encode("unicode_escape").decode() if _is_hidden(character) else character


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def shown(text: str, longest: int = LONGEST) -> str:
    """A text as one line in which everything is seen, of no more than `longest` characters."""
    return _cut(escaped(_cut(text, longest)), longest)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = (longest - 1) // 3
    return f"{text[: longest - 1 - end]}…{text[-end:]}"


def legible(value: Any, longest: int = LONGEST) -> Any:
    """Plain data with each of its texts as `shown`, keys of mappings included."""
    if isinstance(value, str):
        return shown(value, longest)
    if isinstance(value, dict):
        return {legible(key, longest): legible(inner, longest) for key, inner in value.items()}
    return [legible(inner, longest) for inner in value] if isinstance(value, list | tuple) else value


def as_json(value: Any, indent: int | None = None) -> str:
    """Plain data as JSON that any terminal bears: hidden characters within its texts are escaped as JSON has it."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(json.dumps(each)[1:-1] if each != "\n" and _is_hidden(each) else each for each in text)


# --- cells of CSV files ----------------------------------------------------------------------------------------


def cell(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula: what begins like one gets an apostrophe before it.

    Numbers stay as they are, and so does a sign alone.
    """
    text = escaped(text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def text_of(cell: str) -> str:
    """The text, escaped, that `cell` made a cell of; other cells are their own text."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell, 1) else cell


# --- names of files --------------------------------------------------------------------------------------------


def file_name(text: str) -> str:
    """A text as a part of a file's name: it leads to no other folder, and is no longer than file systems take."""
    name = "".join("-" if each in "/\\" or _is_hidden(each) else each for each in text)
    if name.strip(".") and len(name.encode()) <= _LONGEST_FILE_NAME:
        return name
    mark = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{name.encode()[: _LONGEST_FILE_NAME - 9].decode(errors='ignore').strip('.')}-{mark}"


def leads_outside(name: str) -> bool:
    """Whether a path of parts with '/' between them leads out of the folder that it is in, or is none."""
    parts = name.replace("\\", "/").split("/")
    is_absolute = len(parts) > 1 and (parts[0] == "" or re.fullmatch("[A-Za-z]:", parts[0]) is not None)
    return is_absolute or ".." in parts or "\0" in name
