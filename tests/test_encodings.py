"""Files are UTF-8 on every system, whatever its own encoding is."""

import ast
from pathlib import Path

import pytest

import navbench

ROOT = Path(navbench.__file__).parent
OTHERS = {"Image", "webbrowser", "archive", "os", "tarfile"}
"""What else has a function `open`, whose files are not of text."""


def is_of_text(call):
    """Whether a call opens, reads or writes a text without saying how it is encoded."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in OTHERS and name == "open":
            return False
        place = 1 if isinstance(call.func, ast.Name) or name == "fdopen" else 0
        modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] + call.args[place : place + 1]
        default = "w+b" if name.endswith("File") else "r"
        mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else default
        return "b" not in mode
    return False


def test_every_text_is_read_and_written_with_its_encoding():
    wrong = [
        f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"
        for path in sorted(ROOT.rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and is_of_text(call)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(text)", True),
        ("path.write_text(text, 'utf-8')", False),
        ("open(path)", True),
        ("open(path, 'rb')", False),
        ("open(path, 'w', encoding='utf-8')", False),
        ("path.open()", True),
        ("path.open('a')", True),
        ("path.open('rb')", False),
        ("path.open(mode='w')", True),
        ("os.fdopen(number, 'w')", True),
        ("tempfile.NamedTemporaryFile('w')", True),
        ("tempfile.NamedTemporaryFile(dir=here)", False),
        ("Image.open(path)", False),
    ],
)
def test_the_search_sees_what_it_is_for(line, wrong):
    assert is_of_text(ast.parse(line).body[0].value) == wrong
