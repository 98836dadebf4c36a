"""Imports go down only: a file imports from floors below its own (ARCHITECTURE.md, whose ground floor is two here)."""

import ast
from pathlib import Path

import pytest

import navbench

ROOT = Path(navbench.__file__).parent
FLOORS = (
    (
        *("words", "texts", "errors", "files", "places", "buckets", "tensor_files", "fingerprints", "seeds"),
        *("memory", "compute", "progress", "once", "staff", "unpickler", "pickle_names", "pickles", "arrays"),
        "user_code",
    ),
    ("weights", "settings", "plugins", "methods"),
    ("metrics",),
    ("generators",),
    ("faces",),
    ("spaces", "basis"),
    ("library", "naming", "directions", "navigan_files", "navigan", "latent_files", "baking"),
    ("columns", "declared", "tables", "work", "costs"),
    ("discovery",),
    ("experiments",),
    ("testbed",),
    ("suite", "runner"),
    ("report",),
    ("inspect",),
    ("display", "face", "measures", "runs"),
    ("cli",),
)  # fmt: skip
HEIGHT = {part: height for height, floor in enumerate(FLOORS) for part in floor}


def part_of(path):
    """The folder or file of the package that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """The parts of navbench that a file imports, those for annotations alone left out."""
    tree = ast.parse(path.read_text())
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "navbench":
            names = [f"navbench.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from (name.split(".")[1] for name in names if name.startswith("navbench."))


FILES = sorted(path for path in ROOT.rglob("*.py") if part_of(path) not in ("__init__", "__main__"))


def test_every_file_has_a_floor():
    assert {part_of(path) for path in FILES} == set(HEIGHT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_nothing_from_above(path):
    above = {part for part in imports(path) if part in HEIGHT and HEIGHT[part] > HEIGHT[part_of(path)]}
    assert not above
