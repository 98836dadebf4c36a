"""What is shipped: every package, every file of data, and the directions beside them; `.ci/installed` installs it."""

import re
import sys
import tomllib
from importlib import resources
from pathlib import Path

from navbench import library

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SETTINGS = PROJECT["tool"]["setuptools"]
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


def test_the_workflow_tests_every_python_that_is_named_and_no_other():
    named = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"]]
    workflow = (ROOT / ".github/workflows/tests.yml").read_text("utf-8")
    assert named[0] == PROJECT["project"]["requires-python"].removeprefix(">=")
    assert set(re.findall(r'"(3\.\d+)"', workflow)) == set(named)


def test_the_lower_bounds_of_torch_and_torchvision_are_of_one_release():
    bounds = dict(line.split(">=") for line in PROJECT["project"]["dependencies"])
    torch, torchvision = (int(bounds[name].split(".")[1]) for name in ("torch", "torchvision"))
    assert torchvision == torch + 15  # as torchvision's table of versions has it, from torch 2.0 on
