"""Which folders a run may use: an empty one, or the one that it began in."""

import shutil

import pytest
import toy

from navbench.errors import NavbenchError
from navbench.runner.run import check_folder


@pytest.fixture
def folder(tmp_path, finished):
    """A finished run that may be changed."""
    return shutil.copytree(finished.folder, tmp_path / "run")


def test_a_folder_that_is_missing_or_empty_may_be_used(tmp_path):
    check_folder(tmp_path / "new" / "run", toy.tiny(), fresh=False)
    check_folder(tmp_path, toy.tiny(), fresh=True)


def test_a_run_goes_on_with_other_batches_and_shards(folder):
    check_folder(folder, toy.tiny(batch=3, curves={"shard": 5}), fresh=False)


@pytest.mark.parametrize(
    "values", [{"seed": 1}, {"curves": {"samples": 21}}, {"only": ["toy.make/svd/up/0"]}, {"precision": "bf16"}]
)
def test_the_run_of_another_suite_is_refused(folder, values):
    with pytest.raises(
        NavbenchError, match=r"holds another run than 'tiny' .* --out, or replace that run with --fresh"
    ):
        check_folder(folder, toy.tiny(**values), fresh=False)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_holds_no_run_is_refused_and_kept(tmp_path, fresh):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "thesis.tex").write_text("years of work")
    with pytest.raises(
        NavbenchError, match="is not empty and holds no run that can be read; choose another folder with --out"
    ):
        check_folder(tmp_path, toy.tiny(), fresh=fresh)
    assert (tmp_path / "tables" / "thesis.tex").exists()


def test_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(NavbenchError, match="is a file; choose another folder"):
        check_folder(tmp_path / "run", toy.tiny(), fresh=False)


def test_a_fresh_start_makes_every_piece_again_and_keeps_no_old_picture(folder, sets, finished):
    stale = folder / "figures" / "heatmap-of-an-older-run.npz"
    stale.write_bytes(b"")
    check_folder(folder, toy.tiny(), fresh=True)
    run = toy.execute(folder, toy.tiny(), sets, fresh=True)
    assert (run.store.made, run.store.found) == (finished.store.made, finished.store.found)
    assert not stale.exists()
    assert toy.table_bytes(folder) == toy.table_bytes(finished.folder)


def test_a_fresh_start_takes_over_the_run_of_another_suite(folder, sets):
    other = toy.tiny(seed=1, experiments=["strips"])
    check_folder(folder, other, fresh=True)
    toy.execute(folder, other, sets, fresh=True)
    assert sorted(toy.table_bytes(folder)) == [
        "directions.csv",
        "images.csv",
        "layers.csv",
        "methods.csv",
        "overlap.csv",
    ]
    check_folder(folder, other, fresh=False)


@pytest.mark.parametrize("manifest", [b"\xff\xfe", b"{", b"[]", b"{}", None])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_without_a_readable_manifest_is_nobody_s_run_and_kept(folder, manifest, fresh):
    (folder / "manifest.json").unlink()
    if manifest is not None:
        (folder / "manifest.json").write_bytes(manifest)
    with pytest.raises(NavbenchError, match="holds no run that can be read"):
        check_folder(folder, toy.tiny(), fresh=fresh)
    assert (folder / "tables").exists()


def test_a_mistake_costs_nothing_of_the_run_that_was_to_be_replaced(folder, sets):
    before = toy.table_bytes(folder)
    with pytest.raises(NavbenchError):
        toy.execute(folder, toy.tiny(only=["nothing of that name"]), sets, fresh=True)
    assert toy.table_bytes(folder) == before


def test_a_suite_file_in_its_own_run_folder_is_not_rewritten(folder, sets):
    (folder / "suite.toml").write_text("# mine\n" + (folder / "suite.toml").read_text())
    toy.execute(folder, toy.tiny(), sets)
    assert (folder / "suite.toml").read_text().startswith("# mine")


def test_what_killed_drivers_and_workers_left_is_gone_at_the_end_of_a_run(tmp_path, sets):
    left = [tmp_path / "cache" / name for name in ("curve/.aa.safetensors.x7_abcde.partial", "things/ab")]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
    toy.execute(tmp_path, toy.tiny(), sets)
    assert not [path for path in left if path.exists()]
    assert list((tmp_path / "cache" / "curve").glob("*.safetensors"))
