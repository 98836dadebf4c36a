"""A run's tables depend on the suite and the directions alone: not on batches, shards, or how often it was killed."""

import os
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import toy
from safetensors.torch import load_file

from navbench.compute import Compute
from navbench.experiments.fid_curve import ReferenceStatistics, unshifted_features
from navbench.generators import zoo
from navbench.library import Library
from navbench.metrics.extractors import create_extractor
from navbench.metrics.parts import Parts
from navbench.report import caveats
from navbench.report.tables import load_run
from navbench.runner.run import check_folder
from navbench.runner.store import Store
from navbench.tables import TABLES

TESTS = Path(__file__).parent


def pieces(folder):
    """The files of the run's store."""
    return sorted((Path(folder) / "cache").rglob("*.safetensors"))


# --- what changes no number ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "shard"), [(2, 20), (64, 3), (7, 11)])
def test_batch_and_shard_sizes_change_no_number(tmp_path, sets, finished, batch, shard):
    toy.execute(tmp_path, toy.tiny(batch=batch, curves={"shard": shard}), sets)
    toy.assert_same_tables(finished.folder, tmp_path)


def test_batches_of_16_and_64_give_one_table_of_faces(tmp_path):
    sets = toy.write_sets(tmp_path / "sets", "faces", ["main.9"], ["svd"])
    subject = {"name": "faces", "layers": ["main.9"], "methods": ["svd"]}
    curves = {"extractor": "efficientnet-lite0"}
    for batch, shard in ((16, 20), (64, 12)):
        chosen = toy.tiny(generators=[subject], batch=batch, curves=curves | {"shard": shard})
        toy.execute(tmp_path / str(batch), chosen, sets)
    toy.assert_same_tables(tmp_path / "16", tmp_path / "64")


def test_two_runs_of_one_seed_write_the_same_bytes(tmp_path, sets, finished):
    toy.execute(tmp_path, toy.tiny(), sets)
    assert toy.table_bytes(tmp_path) == toy.table_bytes(finished.folder)
    for part in ("strips", "figures"):
        for path in sorted((finished.folder / part).glob("*.webp")):
            assert (tmp_path / part / path.name).read_bytes() == path.read_bytes()


def test_another_seed_writes_other_numbers(tmp_path, sets, finished):
    toy.execute(tmp_path, toy.tiny(seed=1), sets)
    with pytest.raises(AssertionError):
        toy.assert_same_tables(finished.folder, tmp_path)


# --- interruption ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("survive", [0, 3, 5, 9, 12, 16, 17, 22, 30, 43, 55])
def test_a_run_that_was_interrupted_goes_on_where_it_stopped(tmp_path, sets, finished, monkeypatch, survive):
    made, put = 0, Store.put

    def put_some(store, piece, result):
        nonlocal made
        if made == survive:
            raise KeyboardInterrupt
        put(store, piece, result)
        made += 1

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", put_some)
        with pytest.raises(KeyboardInterrupt):
            toy.execute(tmp_path, toy.tiny(), sets)
    check_folder(tmp_path, toy.tiny(), fresh=False)
    assert pd.read_json(tmp_path / "manifest.json", typ="series")["complete"] is False
    run = toy.execute(tmp_path, toy.tiny(), sets)
    assert toy.table_bytes(tmp_path) == toy.table_bytes(finished.folder)
    assert made + run.store.made == finished.store.made


@pytest.mark.parametrize("survive", [0, 1, 2, 7])
def test_a_run_that_died_within_a_write_goes_on(tmp_path, sets, finished, monkeypatch, survive):
    calls = iter(range(survive + 1))

    def dying(descriptor):
        if next(calls, None) == survive:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying)
        with pytest.raises(KeyboardInterrupt):
            toy.execute(tmp_path, toy.tiny(), sets)
    check_folder(tmp_path, toy.tiny(), fresh=False)
    toy.execute(tmp_path, toy.tiny(), sets)
    assert toy.table_bytes(tmp_path) == toy.table_bytes(finished.folder)


def test_a_killed_process_leaves_whole_pieces_that_are_not_made_again(tmp_path, sets, finished):
    folder = tmp_path / "run"
    process = toy.slow_run(folder, sets)
    while len(pieces(folder)) < 9 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = pieces(folder)
    assert len(left) >= 9
    times = {path: path.stat().st_mtime_ns for path in left}
    check_folder(folder, toy.tiny(), fresh=False)
    run = toy.execute(folder, toy.tiny(), sets)
    assert toy.table_bytes(folder) == toy.table_bytes(finished.folder)
    assert run.store.made == finished.store.made - len(left)
    assert all(path.stat().st_mtime_ns == when for path, when in times.items() if path.exists())


def test_a_finished_run_makes_nothing_again(tmp_path, sets, finished):
    shutil.copytree(finished.folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "tables")
    run = toy.execute(tmp_path / "run", toy.tiny(), sets)
    assert run.store.made == 0
    parts = ("unshifted_features", "reference_statistics")  # which only what is made of them reads
    assert run.store.found >= sum(path.parent.name not in parts for path in pieces(finished.folder))
    assert toy.table_bytes(run.folder) == toy.table_bytes(finished.folder)


def test_a_damaged_piece_is_made_again(tmp_path, sets, finished):
    shutil.copytree(finished.folder, tmp_path / "run")
    cache = tmp_path / "run" / "cache"
    curves = sorted((cache / "curve").iterdir())
    single = [next((cache / kind).iterdir()) for kind in ("heat", "floor", "strip")]
    spoilt = [*curves, *single]
    contents = (*(b"" for _ in curves), b"not a piece", single[1].read_bytes()[:-3], bytes(64))
    for path, content in zip(spoilt, contents, strict=True):
        path.write_bytes(content)
    run = toy.execute(tmp_path / "run", toy.tiny(), sets)
    # The shards, which were dropped: three of each direction's curve, and two of the instrument's.
    assert (len(curves), run.store.made - len(spoilt)) == (3, 2 * 3 + 2)
    told = manifest(run.folder)["warnings"]
    assert sorted(Path(words.partition(" is damaged")[0]) for words in told) == sorted(spoilt)
    assert toy.table_bytes(run.folder) == toy.table_bytes(finished.folder)
    for path in spoilt:
        assert load_file(path)


# --- the manifest ----------------------------------------------------------------------------------------------


def manifest(folder):
    """A run's manifest.json."""
    return pd.read_json(Path(folder) / "manifest.json", typ="series")


def test_the_manifest_times_and_weighs_every_stage(finished):
    stages = {stage["stage"]: stage for stage in manifest(finished.folder)["stages"]}
    assert [name.removeprefix("toy.make: ") for name in stages] == [
        *("images of known quality", "instrument"),
        *("reference", "ends", "curves", "heatmaps", "reproduction", "strips", "overlaps", "pairs"),
        "tables",
    ]
    assert all(stage["seconds"] >= 0 and stage["peak_memory_mib"] > 50 for stage in stages.values())
    assert manifest(finished.folder)["seconds"] >= sum(stage["seconds"] for stage in stages.values()) - 0.06
    assert not stages["toy.make: curves"]["cached"]


def test_the_manifest_is_incomplete_until_the_tables_are_there(tmp_path, sets, monkeypatch):
    seen, put = [], Store.put

    def watching(store, piece, result):
        seen.append((manifest(tmp_path)["complete"], (tmp_path / "tables").exists()))
        put(store, piece, result)

    monkeypatch.setattr(Store, "put", watching)
    toy.execute(tmp_path, toy.tiny(), sets)
    assert set(seen) == {(False, False)}
    assert manifest(tmp_path)["complete"] is True
    monkeypatch.undo()
    check_folder(tmp_path, toy.tiny(), fresh=False)


def test_a_resumed_run_adds_up_its_seconds(tmp_path, sets, finished):
    shutil.copytree(finished.folder, tmp_path / "run")
    toy.execute(tmp_path / "run", toy.tiny(), sets)
    before, after = ({s["stage"]: s for s in manifest(f)["stages"]} for f in (finished.folder, tmp_path / "run"))
    assert before.keys() == after.keys()
    assert all(after[name]["seconds"] >= before[name]["seconds"] for name in before)
    assert [name for name, stage in after.items() if not stage["cached"]] == ["tables"]


def test_stages_of_an_earlier_session_stay_in_the_manifest_when_it_is_cut_short_again(tmp_path, sets, finished):
    shutil.copytree(finished.folder, tmp_path / "run")
    cut = toy.tiny(distance="no such distance")
    with pytest.raises(Exception, match="no such distance"):
        toy.execute(tmp_path / "run", cut, sets)
    before, after = ([s["stage"] for s in manifest(f)["stages"]] for f in (finished.folder, tmp_path / "run"))
    assert after == before


def test_the_manifest_says_what_was_measured_on_what(finished, sets):
    facts = manifest(finished.folder)
    generator = zoo.create("toy:make", Compute())
    assert facts["generators"]["toy.make"]["weights_sha256"] == generator.fingerprint
    assert {entry["set_id"]: entry["sha256"] for entry in facts["direction_sets"]} == {
        reference: file.sha256 for reference, file in Library([sets]).sets.items()
    }
    assert facts["suite_sha256"] == toy.tiny().cache_key
    words = "Curves were measured for the best direction of each set by the least KID at an effect of "
    assert any(s.startswith(words) and s.endswith(": 2 of 4.") for s in facts["left_out"])


# --- the tables ------------------------------------------------------------------------------------------------


def test_the_tables_have_the_columns_that_the_report_reads(finished):
    tables = {path.stem for path in (finished.folder / "tables").iterdir()}
    elsewhere = {"attributes", "found", "calibration", "racing", "matched", "claims", "regions", "pair_curves"}
    elsewhere |= {"projection", "photo_attributes", "confusion", "stability", "disentanglement", "composition"}
    elsewhere |= {"lost", "lost_damage"}  # of a scorer with a subject
    elsewhere |= {"limits"}  # the toy's instrument does not see grain
    assert tables == set(TABLES) - elsewhere
    # Scores of methods that this suite does not measure, spaces that the toy does not have, and what needs a scorer.
    made_elsewhere = {"rayleigh", "solver_residual", "accuracy", "variance", "verdict", "auto_label", "monotonicity"}
    made_elsewhere |= {"interpretable", "entangled", "attributes_found", "dependency_mean", "attribute"}
    made_elsewhere |= {f"attribute_{name}" for name in ("change", "change_stderr", "share", "dependency")}
    made_elsewhere |= {"target", "n_limit"}
    made_elsewhere |= {name for table in ("directions", "methods") for name in TABLES[table].names if "lost" in name}
    made_elsewhere |= {f"limit_{place}{end}" for place in ("min", "max") for end in ("", "_stderr", "_status")}
    survey = {*TABLES["layers"].names} - {*TABLES["layers"].needed} - {"parameters", "input_size", "directions"}
    made_elsewhere |= {"rarer_end", "unit", *(f"level_{place}" for place in ("min", "zero", "max"))}
    made_elsewhere |= {f"fraction_beyond_{place}{end}" for place in ("min", "max") for end in ("", "_stderr")}
    # Two steps of a search do not converge, so no imitation is compared with those of random directions.
    made_elsewhere |= {"control_difference", "control_difference_stderr", "control_p"}
    made_elsewhere |= {"sensitivity", "specificity"}
    imitators = ("w", "w+", "s", "parameter")
    made_elsewhere |= {f"unexplained_fraction_{kind}{end}" for kind in imitators for end in ("", "_stderr", "_mean")}
    for name in tables:
        wanted = set(TABLES[name].names)
        written = set(pd.read_csv(finished.folder / "tables" / f"{name}.csv").columns)
        absent = made_elsewhere | ({"n_reference"} if name == "asymmetry" else survey if name == "layers" else set())
        assert wanted - written <= absent, name
        assert written <= wanted, name
    load_run(finished.folder)


def test_the_distance_at_zero_shift_is_the_floor_and_comes_from_the_unshifted_images(finished):
    curves, directions = (pd.read_csv(finished.folder / "tables" / f"{name}.csv") for name in ("curves", "directions"))
    at_zero, compute = curves[curves["t"] == 0], Compute()
    generator, extractor = zoo.create("toy:make", compute), create_extractor("toy-pixels", compute)
    own, reference = (
        unshifted_features(generator, role, range(20), 0, extractor, compute).features
        for role in ("curve", "reference")
    )
    expected = ReferenceStatistics.of(Parts.of(reference))
    for metric, column, distance in (
        ("FD", "fd_floor", expected.frechet.distance_from_features(own)),
        ("KID", "kid_floor", expected.measure(Parts.of(own))[1].value),
    ):
        values = at_zero.loc[at_zero["metric"] == metric, "value"]
        assert len(values) == 2
        assert values.to_numpy() == pytest.approx(distance, rel=1e-6)
        has_curve = directions["name"].isin(curves["name"])
        assert has_curve.sum() == 2
        assert directions.loc[has_curve, column].to_numpy() == pytest.approx(distance, rel=1e-6)
        assert directions.loc[~has_curve, column].isna().all()
    assert (at_zero["effect"] == 0).all()


def test_a_curve_says_how_many_images_of_what_size_it_compares(tmp_path, sets):
    photos = tmp_path / "photos"
    photos.mkdir()
    sample = torch.arange(9 * 24 * 24 * 3).reshape(9, 24, 24, 3) % 251
    for index, image in enumerate(sample.to(torch.uint8)):
        toy.picture(image).save(photos / f"{index}.png")
    subject = {"name": "toy:make", "layers": ["1"], "methods": ["svd"], "reference": str(photos)}
    run = toy.execute(tmp_path / "run", toy.tiny(generators=[subject], experiments=["curves"]), sets)
    curves = pd.read_csv(run.folder / "tables" / "curves.csv")
    for column, value in (("n", 20), ("n_reference", 9), ("resolution", 24), ("n_effect", 6)):
        assert (curves[column] == value).all()
    assert set(curves["reference"]) == {str(photos)}
    assert list(curves["t"].drop_duplicates()) == sorted(curves["t"].unique())
    assert len(curves) == 2 * 3


def test_numbers_of_pairs_say_that_they_are_of_fewer_images(tmp_path, sets):
    chosen = toy.tiny(curves={"pairwise_samples": 12, "reference_samples": 25}, experiments=["curves"])
    folder = toy.execute(tmp_path / "run", chosen, sets).folder
    curves, prdc, methods = (pd.read_csv(folder / "tables" / f"{name}.csv") for name in ("curves", "prdc", "methods"))
    counts = curves.groupby("metric")[["n", "n_reference"]].agg(["min", "max"])
    assert counts.loc["FD"].tolist() == [20, 20, 25, 25]
    assert counts.loc["KID"].tolist() == [12] * 4
    assert (prdc[["n", "n_reference"]] == 12).all(axis=None)
    assert (methods[["n", "n_reference", "n_kid", "n_reference_kid"]].dropna() == [20, 25, 12, 12]).all(axis=None)
    assert any("are of the first 12 of 20 images" in words for words in caveats._limits(load_run(folder)))


def test_the_report_of_a_direction_names_its_ends_as_the_curve_has_them(finished):
    curves, directions = (pd.read_csv(finished.folder / "tables" / f"{name}.csv") for name in ("curves", "directions"))
    with_ends = directions[directions[["fd_at_min", "fd_at_max"]].notna().all(axis=1)]
    assert set(with_ends["name"]) == set(curves["name"])
    assert list(with_ends["method"]) == ["svd", "random"]
    for _, row in with_ends.iterrows():
        curve = curves[(curves["name"] == row["name"]) & (curves["metric"] == "FD")].set_index("t")["value"]
        assert curve.iloc[0] == row["fd_at_min"]
        assert curve.iloc[-1] == row["fd_at_max"]
        assert (curve.index[0], curve.index[-1]) == (row["t_min"], row["t_max"])


def test_the_first_directions_of_each_set_are_measured_alone_and_the_report_says_so(tmp_path):
    sets = toy.write_sets(tmp_path / "sets", count=3)
    run = toy.execute(tmp_path / "run", toy.tiny(directions=2), sets)
    names = pd.read_csv(tmp_path / "run" / "tables" / "directions.csv")["name"]
    assert sorted(names) == [f"toy.make/{method}/up/{index}" for method in ("random", "svd") for index in (0, 1)]
    assert "Only the first 2 directions of each set of toy.make were measured." in run.manifest.facts["left_out"]
    every = toy.execute(tmp_path / "every", toy.tiny(directions=3), sets)
    assert not any("Only the first" in sentence for sentence in every.manifest.facts["left_out"])
