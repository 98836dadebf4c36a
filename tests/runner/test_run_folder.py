"""Which folders a run may use: an empty one, or the one that it began in."""

import shutil

import pytest
import toy

from navbench.errors import NavbenchError
from navbench.runner.local import open_folder


@pytest.fixture
def folder(tmp_path, finished):
    """A finished run that may be changed."""
    return shutil.copytree(finished.folder, tmp_path / "run")


def test_a_folder_that_is_missing_or_empty_may_be_used(tmp_path):
    open_folder(tmp_path / "new" / "run", toy.tiny(), fresh=False)
    open_folder(tmp_path, toy.tiny(), fresh=True)


def test_a_run_goes_on_with_other_batches_and_shards(folder):
    open_folder(folder, toy.tiny(batch=3, curves={"shard": 5}), fresh=False)


@pytest.mark.parametrize(
    "values", [{"seed": 1}, {"curves": {"samples": 21}}, {"only": ["toy.make/svd/up/0"]}, {"precision": "bf16"}]
)
def test_the_run_of_another_suite_is_refused(folder, values):
    with pytest.raises(
        NavbenchError, match=r"holds another run than 'tiny' .* --out, or replace that run with --fresh"
    ):
        open_folder(folder, toy.tiny(**values), fresh=False)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_holds_no_run_is_refused_and_kept(tmp_path, fresh):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "thesis.tex").write_text("years of work")
    with pytest.raises(NavbenchError, match="is not empty and holds no run; choose another folder with --out"):
        open_folder(tmp_path, toy.tiny(), fresh=fresh)
    assert (tmp_path / "tables" / "thesis.tex").exists()


def test_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(NavbenchError, match="is a file; choose another folder"):
        open_folder(tmp_path / "run", toy.tiny(), fresh=False)


def test_a_fresh_start_makes_every_piece_again_and_keeps_no_old_picture(folder, sets, finished):
    stale = folder / "figures" / "heatmap-of-an-older-run.npz"
    stale.write_bytes(b"")
    open_folder(folder, toy.tiny(), fresh=True)
    run = toy.execute(folder, toy.tiny(), sets)
    assert (run.store.made, run.store.found) == (finished.store.made, 0)
    assert not stale.exists()
    assert toy.table_bytes(folder) == toy.table_bytes(finished.folder)


def test_a_fresh_start_takes_over_the_run_of_another_suite(folder, sets):
    other = toy.tiny(seed=1, experiments=["strips"])
    open_folder(folder, other, fresh=True)
    toy.execute(folder, other, sets)
    assert sorted(toy.table_bytes(folder)) == ["directions.csv", "images.csv", "layers.csv", "methods.csv"]
    open_folder(folder, other, fresh=False)


def test_a_run_whose_suite_is_unreadable_says_how_to_start_over(folder):
    (folder / "suite.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(NavbenchError, match="--fresh"):
        open_folder(folder, toy.tiny(), fresh=False)
    (folder / "suite.toml").write_text("name = ")
    with pytest.raises(NavbenchError, match="--fresh"):
        open_folder(folder, toy.tiny(), fresh=False)
    open_folder(folder, toy.tiny(), fresh=True)
