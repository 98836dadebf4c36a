"""The notebook in `docs/` runs from top to bottom, in the interpreter of the tests."""

import ast
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

TOUR = Path(__file__).parent.parent / "docs" / "tour.ipynb"


class OwnInterpreter(KernelSpecManager):
    """Knows the interpreter of the tests alone, whatever kernels are installed."""

    def get_kernel_spec(self, kernel_name):
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


def execute(notebook, folder):
    """Execute a notebook in a folder; a cell that raises ends it."""
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=OwnInterpreter())
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, km=manager, resources=resources, timeout=300).execute()


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(TOUR, as_version=4)


@pytest.fixture(scope="module")
def executed():
    return execute(nbformat.read(TOUR, as_version=4), TOUR.parent)


def test_every_cell_shows_what_its_committed_output_shows(committed, executed):
    def kinds(cell):
        return [sorted(output.get("data", [output.get("name")])) for output in cell.outputs]

    assert [kinds(cell) for cell in code(executed)] == [kinds(cell) for cell in code(committed)]


def test_it_runs_in_the_interpreter_of_the_tests(tmp_path):
    cell = nbformat.v4.new_code_cell("import sys\nprint(sys.executable)")
    made = execute(nbformat.v4.new_notebook(cells=[cell]), tmp_path)
    assert made.cells[0].outputs[0].text.strip() == sys.executable


def test_a_cell_that_raises_fails(tmp_path):
    cell = nbformat.v4.new_code_cell("import navbench as nb\nnb.curves")
    with pytest.raises(CellExecutionError, match="no attribute 'curves'"):
        execute(nbformat.v4.new_notebook(cells=[cell]), tmp_path)


def test_every_task_takes_at_most_three_statements(committed):
    assert all(len(ast.parse(cell.source).body) <= 3 for cell in code(committed))


def test_the_committed_notebook_is_executed_in_order_without_errors_and_small(committed):
    assert [cell.execution_count for cell in code(committed)] == list(range(1, len(code(committed)) + 1))
    assert not [output for cell in code(committed) for output in cell.outputs if output.output_type == "error"]
    assert TOUR.stat().st_size < 350_000
