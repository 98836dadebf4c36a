"""A folder with a small suite, its direction sets and photographs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))
import toy
from complaints import gray


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Direction sets of the toy generator."""
    return toy.write_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture
def work(tmp_path, monkeypatch, sets):
    """An empty folder to work in, but for a suite, its direction sets and a folder of photographs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(toy.TINY)
    (tmp_path / "sets").symlink_to(sets)
    (tmp_path / "photos").mkdir()
    for index in range(3):
        gray(level=index).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path


@pytest.fixture
def no_report(monkeypatch):
    """Runs end without their page, which takes longer than the rest of them."""
    monkeypatch.setattr("navbench.report.html.write_report", lambda run: run / "index.html")
