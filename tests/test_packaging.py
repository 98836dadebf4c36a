"""What is shipped: every package, every file of data, and the directions beside them; `.ci/installed` installs it."""

import sys
import tomllib
from importlib import resources
from pathlib import Path

from navbench import library

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {name: ROOT / SETTINGS["package-dir"].get(name, name.replace(".", "/")) for name in SETTINGS["packages"]}


def test_every_package_is_shipped():
    there = {path.parent for path in (ROOT / "navbench").rglob("__init__.py")}
    assert set(FOLDERS.values()) == there | {ROOT / "directions"}


def test_every_file_of_data_is_shipped():
    shipped = {
        path for name, patterns in SETTINGS["package-data"].items() for each in patterns
        for path in FOLDERS[name].glob(each)
    }  # fmt: skip
    there = {
        path for folder in (ROOT / "navbench", ROOT / "directions") for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }  # fmt: skip
    assert there - shipped == set()
    for wanted in ("quick.toml", "page.html", "cars.safetensors", "cars-scorer.safetensors", "index.csv"):
        assert wanted in {path.name for path in shipped}


def test_the_shipped_directions_are_found_as_a_package_and_in_a_bare_checkout(monkeypatch, tmp_path):
    package = tmp_path / "navbench_directions"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "navbench_directions", raising=False)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        assert library._shipped() == package
    monkeypatch.delitem(sys.modules, "navbench_directions", raising=False)

    def missing(_name):
        raise ModuleNotFoundError

    monkeypatch.setattr(resources, "files", missing)
    assert library._shipped() == ROOT / "directions"
