"""What could run a file's code, or fill the memory by it, is called in the hardened readers alone."""

import ast
import pickle
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from theirs import GENERATOR

import navbench
from navbench import navigan, weights
from navbench.compute import Compute
from navbench.errors import NavbenchError, reason
from navbench.metrics.extractors import create_extractor
from navbench.testbed.train import read_checkpoint

ROOT = Path(navbench.__file__).parent
OWN_PROCESSES = {"runner/worker.py", "runner/parcels.py", "runner/processes.py"}
"""What these unpickle comes from the driver of the run, or from its workers."""
READERS = {
    "torch.load": {"pickles.py"},
    "np.load": set(),
    "numpy.load": set(),
    "npy.read_array": {"arrays.py"},
    "pickle.load": set(),
    "pickle.loads": {"runner/worker.py", "runner/processes.py"},
    "pickle.Unpickler": {"runner/parcels.py"},
    "cloudpickle.load": set(),
    "cloudpickle.loads": set(),
    "torch.jit.load": set(),
    "torch.hub.load": set(),
    "torch.hub.load_state_dict_from_url": set(),
    "joblib.load": set(),
    "marshal.loads": set(),
    "shelve.open": set(),
    "pd.read_pickle": set(),
    "yaml.load": set(),
    "zipfile.ZipFile": {"pickles.py", "arrays.py", "weights.py", "experiments/image_folder.py"},
}
"""Where each may be called."""


TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def wrong(place, call):
    """Whether a call reads what only the hardened readers may, or as they may not."""
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return (
        place not in READERS.get(name, {place})
        or given.get("weights_only", "False" if name == "torch.load" else "True") != "True"
        or given.get("allow_pickle", "False") != "False"
    )


def test_files_are_read_by_the_hardened_readers_alone():
    assert not [
        f"{place}, line {node.lineno}: {ast.unparse(node)}"
        for place, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and wrong(place, node)
    ]


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "pickle.loads(content)",
        "zipfile.ZipFile(path)",
        "f(path, weights_only=False)",
        "f(path, allow_pickle=True)",
    ],
)
def test_a_bypass_would_be_found(line):
    assert wrong("cli/output.py", ast.parse(line, mode="eval").body)


def test_no_reader_goes_by_another_name():
    for place, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert not {f"{node.module}.{alias.name}" for alias in node.names} & READERS.keys(), place
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    assert alias.asname in (None, _SHORT.get(alias.name, alias.asname)), place
                    assert alias.name not in _UNPICKLING or place in OWN_PROCESSES, place


def test_every_place_that_is_allowed_is_there():
    assert set().union(*READERS.values(), OWN_PROCESSES) <= TREES.keys()


_SHORT = {"numpy": "np", "pandas": "pd", "torch": None, "pickle": None, "zipfile": None}
_UNPICKLING = {"pickle", "cloudpickle", "joblib", "marshal", "shelve", "dill"}


@pytest.mark.parametrize(
    "read",
    [
        lambda path: navigan.read_sets(path, GENERATOR),
        weights.load_file,
        lambda path: create_extractor("efficientnet-lite0", Compute(), path),
        lambda path: create_extractor("inception-v3-compat", Compute(), path),
        read_checkpoint,
    ],
    ids=["directions import", "weights", "extractor weights", "another extractor's", "testbed train"],
)
def test_a_small_file_that_unpacks_to_much_is_refused_by_all_that_read_tensors(tmp_path, read):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(tmp_path / "bomb.pt", "w") as bomb:
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name) + bytes(20_000_000), zipfile.ZIP_DEFLATED)
    assert (tmp_path / "bomb.pt").stat().st_size < 1_000_000
    with pytest.raises(NavbenchError, match=r"bomb\.pt is (damaged or no .* \(it is compressed|not a checkpoint)"):
        read(tmp_path / "bomb.pt")


def test_nobody_is_advised_to_have_a_files_code_run(tmp_path):
    torch.save({"weight": Fraction(1, 2)}, tmp_path / "a.pt")
    with pytest.raises(NavbenchError) as refused:
        weights.load_file(tmp_path / "a.pt")
    assert "weights_only" not in str(refused.value)
    with pytest.raises(pickle.UnpicklingError, match="weights_only") as advice:
        torch.load(tmp_path / "a.pt", weights_only=True)
    assert reason(advice.value) == "torch finds more than tensors and plain data in it"
