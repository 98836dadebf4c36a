"""Two runs side by side: what is equal, what differs beyond chance, and what cannot be compared."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from navbench.cli import main
from navbench.errors import NavbenchError
from navbench.experiments.locality import groups
from navbench.report.compare import FOOTINGS, Condition, compared, number_error, summary_of
from navbench.report.tables import load_run
from navbench.tables import TABLES

FD, KID = ({f"{metric}_{end}" for end in ("floor", "at_min", "at_max")} for metric in ("fd", "kid"))
EFFECT, RESIDUAL = {"effect_min", "effect_max"}, {"unexplained_fraction_z", "unexplained_fraction_activation"}
LOCALITY = {"area50", "area90", "participation", "entropy_area", "mean_change"}
SHARES = {"coarse": 0.4, "middle": 0.35, "fine": 0.25, "geometry": 0.7, "area50": 0.15}


@pytest.fixture(scope="module")
def finished(make_builder, tmp_path_factory):
    """A run with a survey of its layer, and another generator whose attributes were read."""
    builder = make_builder(found=6, measured=3).add_cars()
    survey = {"survey_method": "spectrum", "survey_directions": 2, "survey_effect": 0.12, "n_survey": 32}
    survey |= SHARES | {f"{name}_stderr": 0.01 for name in SHARES}
    curves = {"fd": 33.1, "fd_stderr": 0.5, "effect": 0.12, "effect_stderr": 0.003, "fd_directions": 1}
    for row in builder.tables["layers"]:
        row |= survey | curves | builder.setting | {"n_reference": 2000, "resolution": 16}
    unread = ("images", "curves", "reproduction_steps")
    return builder.write(tmp_path_factory.mktemp("runs") / "finished", without=unread)


@pytest.fixture
def pair(finished, tmp_path):
    """A finished run, a copy of it, and a function that changes a table of the copy and compares them."""
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(finished, first)
    shutil.copytree(finished, second)

    def change(table, edit):
        path = second / "tables" / f"{table}.csv"
        frame = pd.read_csv(path)
        changed = edit(frame)
        (frame if changed is None else changed).to_csv(path, index=False)
        return compared(load_run(first), load_run(second))

    return first, second, change


def added(column, amount, row=0):
    def edit(frame):
        frame.loc[row, column] += amount

    return edit


def multiplied(column, factor, row=0):
    def edit(frame):
        frame[column] = frame[column].astype(float)
        frame.loc[row, column] *= factor

    return edit


def assigned(**columns):
    def edit(frame):
        return frame.assign(**columns)

    return edit


def declare(run, **entries):
    """Change entries of a run's manifest."""
    path = run / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_run_is_equal_to_itself(pair):
    changes = pair[2]("directions", lambda frame: None)
    assert len(changes) > 100
    assert set(changes["table"]) == {"directions", "methods", "layers"}
    assert (changes["difference"] == 0).all()
    assert not changes["real"].any()
    assert (changes["status"] == "").all()


def test_a_difference_comes_with_the_errors_of_both(pair):
    changes = pair[2]("directions", added("fd_at_max", 12.5))
    found = changes[changes["difference"] != 0]
    assert len(found) == 1
    row = found.iloc[0]
    assert row["column"] == "fd_at_max"
    assert row["difference"] == pytest.approx(12.5)
    assert row["stderr"] == pytest.approx(2**0.5 * row["a_stderr"])
    assert row["relative"] == pytest.approx(12.5 / row["a"])
    assert row["real"]


@pytest.mark.parametrize(
    ("reference", "seed", "error"), [("unshifted", 1, 5.0), ("unshifted", 0, 3.0), ("renderings", 1, 3.0)]
)
def test_the_reference_varies_where_another_seed_draws_it_anew(reference, seed, error):
    rows = {"kid_floor": 1.0, "kid_floor_stderr": 3.0, "kid_floor_stderr_both": 5.0, "reference": reference}
    assert number_error(rows, "kid_floor", redrawn=seed != 0) == error


def test_a_run_that_does_not_know_the_error_of_both_has_that_of_samples():
    assert number_error({"kid_floor_stderr": 3.0, "reference": "unshifted"}, "kid_floor", redrawn=True) == 3.0


def test_numbers_of_layers_are_compared(pair):
    changes = pair[2]("layers", added("geometry", 0.2))
    layers = changes[changes["table"] == "layers"].set_index("column")
    assert set(layers.index) == {*SHARES, "fd", "effect"}
    assert set(layers["where"]) == {"faces/main.6"}
    assert layers.loc["geometry", "difference"] == pytest.approx(0.2)
    assert layers.loc["geometry", "sigmas"] == pytest.approx(0.2 / 0.01 / 2**0.5)
    assert list(layers.index[layers["real"]]) == ["geometry"]


def test_runs_without_numbers_have_nothing_to_compare(pair):
    first, second, change = pair
    for run in (first, second):
        for name in ("directions", "methods", "layers"):
            path = run / "tables" / f"{name}.csv"
            frame = pd.read_csv(path)
            frame.drop(columns=[column for column in frame if column.endswith("_stderr")]).to_csv(path, index=False)
    changes = change("directions", lambda frame: None)
    assert (changes["freedom"] >= 1).all()
    assert not changes["real"].any()  # nothing is said of errors
    empty = compared(*(load_run(run).with_tables(**no_rows(run)) for run in (first, second)))
    assert empty.empty
    assert summary_of(empty, empty).startswith("0 numbers are in both runs")


def no_rows(run):
    return {name: getattr(load_run(run), name).iloc[:0] for name in FOOTINGS}


def test_a_layer_that_is_there_twice_is_refused(pair):
    with pytest.raises(NavbenchError, match=r"layers.csv lists 'faces/main.6' twice"):
        pair[2]("layers", lambda frame: pd.concat([frame, frame]))


# --- what is beyond chance


def test_a_difference_that_chance_gives_among_so_many_is_not_real(pair):
    error = pd.read_csv(pair[0] / "tables" / "directions.csv").loc[0, "fd_at_max_stderr"]
    assert not pair[2]("directions", added("fd_at_max", 3 * 2**0.5 * error))["real"].any()  # 3 sigmas, of hundreds


@pytest.mark.parametrize(
    ("column", "sigmas", "real"), [("fd_at_max", 5, True), ("area50", 5, False), ("area50", 15, True)]
)
def test_the_fewer_samples_an_error_is_from_the_larger_a_difference_must_be(pair, column, sigmas, real):
    error = pd.read_csv(pair[0] / "tables" / "directions.csv").loc[0, f"{column}_stderr"]
    changes = pair[2]("directions", added(column, sigmas * 2**0.5 * error))
    row = changes[changes["difference"] != 0].iloc[0]
    freedom = {"fd_at_max": 2000 - 1, "area50": len(groups(1600)) - 1}[column]
    assert row["freedom"] == freedom
    among = int((changes["status"] == "").sum())  # the others are not 0, so Holm's factor is that of all
    assert row["p"] == pytest.approx(min(1.0, among * 2 * stats.t.sf(sigmas, freedom)))
    assert row["real"] == real == (row["p"] < 0.05)


def test_the_degrees_of_freedom_are_those_of_the_run_with_fewer_samples(pair):
    changes = pair[2]("locality", assigned(n=6))
    assert set(changes.loc[changes["column"] == "area90", "freedom"]) == {5}
    changes = pair[2]("directions", assigned(n_effect=30))
    assert set(changes.loc[changes["column"] == "effect_min", "freedom"]) == {29}


def test_under_no_change_at_all_differences_beyond_chance_are_rare(make_builder, tmp_path):
    """Samples drawn anew for both runs, and with them the errors: few pairs of runs have any difference called real.

    With normal quantiles most have: there are 4 codes of effects and losses, 5 of unexplained fractions, and 10 groups
    of locality.
    """
    run = load_run(make_builder(found=6, measured=6).write(tmp_path / "run", without=("images",)))
    run = run.with_tables(directions=run.directions.assign(n=20, n_effect=4, n_lost=4, n_reproduction=5))
    rng, counts = np.random.default_rng(0), {"fd": 20, "kid": 20, "effect": 4, "lost": 4, "unexplained_fraction": 5}

    def drawn():
        frame = run.directions.copy()
        for name in [name for name in frame if f"{name}_stderr" in frame]:
            count = counts.get(name.split("_")[0], 10)
            error = frame[f"{name}_stderr"].to_numpy()
            samples = rng.normal(frame[name], error * count**0.5, (count, len(frame)))
            frame[name], frame[f"{name}_stderr"] = samples.mean(0), samples.std(0, ddof=1) / count**0.5
        return run.with_tables(directions=frame)

    pairs = [compared(drawn(), drawn()) for _ in range(60)]
    assert sum(changes["real"].any() for changes in pairs) <= 3  # that is 5 %
    limit = stats.norm.isf(0.05 / 2 / len(pairs[0]))
    assert sum((changes["sigmas"] > limit).any() for changes in pairs) >= 30


# --- what can be compared


def test_what_is_in_one_run_only_is_told_and_not_compared(pair):
    changes = pair[2]("directions", lambda frame: frame.iloc[1:])
    assert set(changes.loc[changes["status"] != "", "status"]) == {"only in a"}
    assert changes.loc[changes["status"] != "", "where"].nunique() == 1


def odd_columns(changes, table="directions"):
    assert set(changes.loc[changes["status"] != "", "table"]) == {table}
    assert changes.loc[changes["status"] != "", "difference"].isna().all()
    return set(changes.loc[changes["status"] != "", "column"])


@pytest.mark.parametrize(
    ("columns", "status", "odd"),
    [
        ({"n": 3000}, "n 2000 and 3000", FD | KID),
        ({"n_reference": 500}, "n_reference 2000 and 500", FD | KID),
        ({"metric": "FID", "extractor": "inception-v3-compat"}, "metric FD and FID", FD | KID),
        ({"extractor": "vgg"}, "extractor efficientnet-lite0 and vgg", FD | KID),
        ({"reference": "faces.zip"}, "reference generator at t = 0 and faces.zip", FD | KID),
        ({"resolution": 32}, "resolution 16 and 32", FD | KID),
        ({"resolution": ""}, "resolution 16 and not said", FD | KID),
        ({"distance": "lpips-vgg"}, "distance stlpips-alex and lpips-vgg", EFFECT),
        ({"n_effect": 255}, "n_effect 256 and 255", EFFECT),
        ({"n_reproduction": 64}, "n_reproduction 256 and 64", RESIDUAL),
    ],
)
def test_what_rests_on_something_else_is_not_compared_and_the_rest_is(pair, columns, status, odd):
    def edit(frame):
        faces = frame[frame["generator"] == "faces"].assign(**columns)
        return pd.concat([faces, frame[frame["generator"] != "faces"]])

    changes = pair[2]("directions", edit)
    assert status in set(changes["status"])
    told = changes.loc[changes["where"] == "faces/svd/main.6/0", "status"]
    assert set(told.str.replace("_kid", "")) == {"", status}
    assert odd_columns(changes) == odd


@pytest.mark.parametrize(
    ("table", "columns", "status", "odd"),
    [
        ("locality", {"shifts": 8}, "shifts 20 and 8", LOCALITY),
        ("locality", {"n": 64}, "n_locality 1600 and 64", LOCALITY),
        ("reproduction", {"n_train": 32}, "n_train 256 and 32", RESIDUAL | {"unexplained_fraction_parameter"}),
        ("attributes", {"scorer": "trucks"}, "scorer cars and trucks", {"attribute_change"}),
    ],
)
def test_what_other_tables_say_of_a_number_must_agree_as_well(pair, table, columns, status, odd):
    changes = pair[2](table, assigned(**columns))
    assert set(changes["status"]) == {"", status}
    assert odd_columns(changes) == odd


@pytest.mark.parametrize(
    ("table", "columns", "status", "odd"),
    [
        ("methods", {"effect": 0.2}, "effect 0.12 and 0.2", {"fd_mean", "kid_mean"}),
        ("methods", {"fd_directions": 2}, "fd_directions 3 and 2", {"fd_mean"}),
        ("methods", {"kid_directions": 2}, "kid_directions 6 and 2", {"kid_mean"}),
        ("layers", {"survey_method": "svd"}, "survey_method spectrum and svd", {*SHARES, "fd", "effect"}),
        ("layers", {"survey_effect": 0.2}, "survey_effect 0.12 and 0.2", {*SHARES, "fd", "effect"}),
        ("layers", {"survey_directions": 3}, "survey_directions 2 and 3", set(SHARES)),
        ("layers", {"fd_directions": 2}, "fd_directions 1 and 2", {"fd", "effect"}),
        ("layers", {"resolution": 32}, "resolution 16 and 32", {"fd"}),
    ],
)
def test_means_over_other_directions_or_at_another_effect_are_not_compared(pair, table, columns, status, odd):
    changes = pair[2](table, assigned(**columns))
    assert set(changes["status"]) == {"", status}
    assert odd_columns(changes, table) == odd


def test_changes_of_attributes_are_compared_if_as_many_codes_were_asked_for(pair):
    """Of how many the subject of the scorer was seen only says how sure they are."""
    for run in pair[:2]:
        declare(run, samples={"attributes": 256})
    changes = pair[2]("attributes", assigned(n=20))
    assert (changes["status"] == "").all()
    assert set(changes.loc[changes["column"] == "attribute_change", "freedom"]) == {19}
    declare(pair[1], samples={"attributes": 128})
    changes = pair[2]("attributes", lambda frame: None)
    assert odd_columns(changes[changes["column"] == "attribute_change"]) == {"attribute_change"}
    assert set(changes.loc[changes["column"] == "attribute_change", "status"]) == {"codes_attributes 256 and 128"}


def test_an_effect_is_of_the_runs_perceptual_distance(pair):
    declare(pair[1], distance="lpips-vgg")
    changes = pair[2]("directions", lambda frame: None)
    odd = changes[changes["status"] != ""]
    assert set(odd["status"]) == {"distance stlpips-alex and lpips-vgg"}
    assert set(odd["column"]) == {"fd_mean", "kid_mean", *SHARES, "fd", "effect"}


@pytest.mark.parametrize("end", ["min", "max"])
def test_another_range_is_another_edit(pair, end):
    changes = pair[2]("directions", multiplied(f"t_{end}", 1.001))
    t = pd.read_csv(pair[0] / "tables" / "directions.csv").loc[0, f"t_{end}"]
    assert set(changes["status"]) == {"", f"t_{end} {t:.8g} and {t * 1.001:.8g}"}
    assert set(changes.loc[changes["status"] != "", "where"]) == {"faces/svd/main.6/0"}
    at_end = {f"fd_at_{end}", f"kid_at_{end}", f"effect_{end}"}
    assert odd_columns(changes) == at_end | LOCALITY | (RESIDUAL if end == "max" else set())  # imitated at t_max


def test_a_range_that_only_rounding_moved_is_the_same(pair):
    changes = pair[2]("directions", multiplied("t_max", 1 + 5e-5))
    assert (changes["status"] == "").all()


def test_a_change_of_another_attribute_is_not_compared(pair):
    where = "cars/svd/convs.3/0"

    def edit(frame):
        frame.loc[frame["name"] == where, "attribute"] = "body hue"
        frame.loc[frame["name"] == where, "attribute_change"] = 80.0

    changes = pair[2]("directions", edit)
    row = changes[(changes["where"] == where) & (changes["column"] == "attribute_change")].iloc[0]
    assert row["status"] == "attribute wheel radius and body hue"
    assert not row["real"]
    assert np.isnan(row["difference"])
    assert (changes["status"] != "").sum() == 1


def test_every_number_with_a_standard_error_has_a_footing():
    for table, footings in FOOTINGS.items():
        numbers = {column.name for column in TABLES[table].columns if column.stderr == f"{column.name}_stderr"}
        for name in numbers:
            assert any(name.startswith(footing.columns) for footing in footings), (table, name)


# --- weights and direction sets


def test_other_weights_and_direction_sets_are_told_and_their_numbers_compared(pair, tmp_path):
    first, second, change = pair
    sets = json.loads((second / "manifest.json").read_text())["direction_sets"]
    sets[0]["sha256"] = "ef" * 32
    declare(second, direction_sets=sets, generators={"faces": {"weights_sha256": "0c3c" * 16}})
    changes = change("directions", lambda frame: None)
    assert (changes["status"] == "").all()
    others = changes[changes["where"].str.startswith("faces/")].groupby("where")["other"].unique().map(list)
    assert others["faces/svd/main.6/0"] == others["faces/svd/main.6"] == ["weights and direction set"]
    assert others["faces/hybrid/main.6/0"] == others["faces/main.6"] == ["weights"]
    assert set(changes.loc[changes["where"].str.startswith("cars/"), "other"]) == {""}
    told = CliRunner().invoke(main, ["compare", str(first), str(second), "--out", str(tmp_path / "out")])
    behind = f"direction set behind {(changes['other'] != '').sum():,} numbers are not the same in both."
    assert behind in " ".join(told.output.split())
    page = (tmp_path / "out" / "index.html").read_text()
    for name, digits in (
        ("weights of faces", "0c3b0c3b0c3b and 0c3c0c3c0c3c"),
        (sets[0]["set_id"], "cdcdcdcdcdcd and ef"),
    ):
        assert f"{name}</dt><dd>{digits}" in page
    assert "direction set faces/optimization/main.6" not in page


def test_a_direction_set_of_one_run_is_told(pair, tmp_path):
    sets = json.loads((pair[1] / "manifest.json").read_text())["direction_sets"]
    declare(pair[1], direction_sets=sets[1:])
    CliRunner().invoke(main, ["compare", str(pair[0]), str(pair[1]), "--out", str(tmp_path / "out")])
    page = (tmp_path / "out" / "index.html").read_text()
    assert "direction set faces/svd/main.6</dt><dd>cdcdcdcdcdcd and not said" in page


def test_the_same_weights_and_direction_sets_are_not_spoken_of(pair):
    changes = pair[2]("directions", lambda frame: None)
    assert (changes["other"] == "").all()
    assert "weights" not in summary_of(changes, changes.iloc[:0])


def test_a_manifest_of_any_shape_is_read(pair, tmp_path):
    declare(pair[1], generators=["faces"], direction_sets={"a": 1}, samples=3)
    declare(pair[0], generators={"faces": None}, direction_sets=["a", {}], samples={"effect": "many"})
    told = CliRunner().invoke(main, ["compare", str(pair[0]), str(pair[1]), "--out", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output


# --- conditions


@pytest.mark.parametrize(
    ("text", "met"), [("fd>5%", True), ("fd>50%", False), ("fd>2", True), ("fd>4", False), ("area50>0%", False)]
)
def test_a_condition_is_met_by_a_change_either_way(pair, text, met):
    fd = pd.read_csv(pair[0] / "tables" / "directions.csv").loc[0, "fd_at_min"]
    share = 0.06
    assert 2 < share * fd < 4
    for sign in (1, -1):
        changes = pair[2]("directions", added("fd_at_min", sign * share * fd))
        found = Condition.parse(text).met_by(changes)
        assert list(found["column"]) == (["fd_at_min"] if met else [])
        pair[2]("directions", added("fd_at_min", -sign * share * fd))


def test_what_only_one_of_the_runs_has_meets_a_condition(pair):
    first, second, change = pair
    changes = change("directions", lambda frame: frame.iloc[1:])
    for there in (changes, compared(load_run(second), load_run(first))):
        met = Condition.parse("fd>1000%").met_by(there)
        assert set(met["column"]) == FD
        assert len(met) == 3
    assert set(met["status"]) == {"only in b"}


def test_what_rests_on_something_else_meets_a_condition(pair):
    changes = pair[2]("directions", multiplied("t_max", 1.01))
    assert list(Condition.parse("fd>1000%").met_by(changes)["column"]) == ["fd_at_max"]
    assert set(Condition.parse("area50>1").met_by(changes)["where"]) == {"faces/svd/main.6/0"}


def test_a_condition_on_a_measure_is_on_that_of_layers_too(pair):
    changes = pair[2]("layers", multiplied("fd", 1.1))
    assert list(Condition.parse("fd>5%").met_by(changes)["where"]) == ["faces/main.6"]


@pytest.mark.parametrize("text", ["fd", "fd<5", "fd>", "fd>5%%", ">5", "fd>-1", "fd>x", ""])
def test_a_condition_that_cannot_be_read_is_refused(text):
    with pytest.raises(NavbenchError, match="Cannot read the condition"):
        Condition.parse(text)


def test_a_measure_that_no_run_has_is_refused_with_those_there_are(pair):
    changes = pair[2]("directions", lambda frame: None)
    with pytest.raises(NavbenchError, match=r"measure 'fid' to compare; there are: area50, .*fd"):
        Condition.parse("fid>1").met_by(changes)


# --- the command


def test_the_command_writes_a_table_and_a_page_and_ends_with_3_where_a_condition_is_met(pair, tmp_path):
    first, second, change = pair
    change("directions", added("fd_at_max", 12.5))
    line = ["compare", str(first), str(second), "--out", str(tmp_path / "out")]
    plain = CliRunner().invoke(main, line)
    assert plain.exit_code == 0, plain.output
    assert "1 differ by more than chance" in " ".join(plain.output.split())
    assert (pd.read_csv(tmp_path / "out" / "comparison.csv")["difference"] != 0).sum() == 1
    assert "12.5" in (tmp_path / "out" / "index.html").read_text()
    again = CliRunner().invoke(main, line)
    assert again.exit_code == 2
    assert "is not empty; choose another folder with --out, or say --force" in again.output
    failed = CliRunner().invoke(main, [*line, "--force", "--fail-on", "fd>5%"])
    assert failed.exit_code == 3
    assert "fd_at_max" in failed.output


def test_names_of_other_peoples_files_cannot_write_into_the_page(pair, tmp_path):
    def edit(frame):
        frame.loc[0, "name"] = "<script>alert(1)</script>"

    pair[2]("directions", edit)
    CliRunner().invoke(main, ["compare", str(pair[0]), str(pair[1]), "--out", str(tmp_path / "out")])
    assert "<script>alert" not in (tmp_path / "out" / "index.html").read_text()


def test_what_is_no_run_is_refused(pair, tmp_path):
    for other, sentence in ((tmp_path / "none", "is not a folder"), (tmp_path, "is not a run folder")):
        refused = CliRunner().invoke(main, ["compare", str(pair[0]), str(other), "--out", str(tmp_path / "out")])
        assert refused.exit_code == 2
        assert sentence in refused.output
        assert not (tmp_path / "out").exists()
