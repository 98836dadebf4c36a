"""What a scorer adds to a run: attributes, verdicts, the comparison at an equal change, and calibration."""

import numpy as np
import pandas as pd
import pytest
import toy

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments.edit import Edit, codes_for
from navbench.generators import zoo
from navbench.library import Library
from navbench.report.tables import load_run
from navbench.runner.plan import plan
from navbench.tables import TABLES


@pytest.fixture(scope="module")
def finished(tmp_path_factory, judged_sets):
    """A finished run; tests do not change its folder."""
    return toy.execute(tmp_path_factory.mktemp("runs") / "judged", toy.judged(), judged_sets)


def table(run, name):
    return pd.read_csv(run.folder / "tables" / f"{name}.csv")


def directions(sets, suite=None):
    """The directions of the toy suite, as a run measures them."""
    suite = suite or toy.judged()
    generator = zoo.create("toy:make", Compute())
    return generator, plan(suite, suite.generators[0], generator, Library([sets])).all_directions()


def test_each_direction_has_a_row_per_attribute_with_the_change_from_end_to_end(finished, judged_sets):
    rows = table(finished, "attributes").set_index(["name", "attribute"])
    generator, chosen = directions(judged_sets)
    assert len(rows) == 2 * len(chosen)
    for direction in chosen:
        render = Edit(generator, direction, Compute()).prepare(codes_for(generator, "attributes", range(5), 0))
        ends = [toy.scorer()(render(t)) for t in (direction.t_min, direction.t_max)]
        change = (ends[1] - ends[0]).mean(0)
        for index, (name, spread) in enumerate((("brightness", 0.05), ("redness", 1.0))):
            row = rows.loc[(direction.name, name)]
            assert row["change"] == pytest.approx(float(change[index]), rel=1e-3, abs=1e-7)
            assert row["standardised"] == pytest.approx(row["change"] / spread, rel=1e-5)
            assert row["n"] == 5


def test_change_per_effect_is_set_against_both_ends_effects(finished):
    rows, every = table(finished, "attributes"), table(finished, "directions").set_index("name")
    for row in rows.to_dict("records"):
        both = every.loc[row["name"], "effect_min"] + every.loc[row["name"], "effect_max"]
        assert row["standardised_per_effect"] == pytest.approx(row["standardised"] / both, rel=1e-5)


def test_latent_directions_are_measured_beside_parameter_directions(finished):
    every = table(finished, "directions")
    assert set(zip(every["space"], every["layer"], strict=True)) == {("parameter", "up"), ("z", "z")}
    measured = {name.rpartition("/")[0] for name in table(finished, "curves")["name"]}
    assert measured == {"toy.make/svd/up", "toy.make/random/up", "toy.make/random/z"}


def test_costly_experiments_measure_the_best_direction_of_each_set_by_its_verdict(finished):
    every = table(finished, "directions")
    rows = table(finished, "attributes").assign(pure=lambda frame: frame["share"] * frame["consistency"])
    dominant = rows.loc[rows.groupby("name")["standardised"].transform(lambda v: v.abs() == v.abs().max())]
    every = every.assign(pure=every["name"].map(dominant.set_index("name")["pure"]))
    every["interpretable"] = every["verdict"] == "interpretable"
    best = every.sort_values(["interpretable", "pure"]).groupby(["method", "layer"])["name"].last()
    for name in ("curves", "locality", "reproduction"):
        assert set(table(finished, name)["name"]) == set(best)
    left_out = " ".join(finished.manifest.facts["left_out"])
    assert "Curves were measured for the best direction of each set by verdict, then by share" in left_out


def test_an_end_has_one_effect_in_all_tables(tmp_path, sets):
    """By the codes of `ends`, where the curves measure effects on as many."""
    run = toy.execute(tmp_path, toy.tiny(experiments=["ends", "curves"]), sets)
    every, ends = table(run, "directions").set_index("name"), table(run, "ends")
    for rows in (ends, table(run, "curves")):
        for row in rows[rows["t"] != 0].to_dict("records"):
            end = "effect_min" if row["t"] < 0 else "effect_max"
            assert row["effect"] == pytest.approx(every.loc[row["name"], end], rel=1e-5)
    assert set(every["n_effect"]) == {6}
    assert set(ends["name"]) == set(every.index)


def test_the_kernel_imitates_latent_directions_and_latents_imitate_the_kernels(finished):
    targets = table(finished, "reproduction").groupby(["method", "layer"])["target"].apply(set).to_dict()
    assert targets == {
        ("svd", "up"): {"z", "activation up"},
        ("random", "up"): {"z", "activation up"},
        ("random", "z"): {"parameter up"},
    }


def test_directions_are_matched_where_they_change_the_attribute_by_the_same_amount(finished, judged_sets):
    rows = table(finished, "matched")
    generator, chosen = directions(judged_sets)
    by_name = {direction.name: direction for direction in chosen}
    assert len(rows)
    for row in rows[rows["metric"] == "FD"].to_dict("records"):
        render = Edit(generator, by_name[row["name"]], Compute()).prepare(
            codes_for(generator, "calibration", range(4), 0)
        )
        change = float((toy.scorer()(render(row["t"])) - toy.scorer()(render(0.0)))[:, 0].mean())
        assert row["reached"] == pytest.approx(change, rel=1e-3)
        assert row["is_reached"] == (abs(abs(change) / 0.002 - 1) <= 0.05)


def test_every_range_reaches_the_effect_that_it_is_calibrated_to(tmp_path, judged_sets):
    run = toy.execute(tmp_path / "run", toy.judged(calibrate="effect=0.02", experiments=[]), judged_sets)
    rows = table(run, "calibration")
    assert rows["is_reached"].all()
    np.testing.assert_allclose(rows["reached"], 0.02, rtol=0.05)
    every = table(run, "directions").set_index("name")
    for row in rows.to_dict("records"):
        assert every.loc[row["name"], row["end"]] == pytest.approx(row["t"], rel=1e-6)


def test_every_range_reaches_the_change_that_it_is_calibrated_to_or_says_how_far_it_got(tmp_path, judged_sets):
    suite = toy.judged(calibrate="brightness=+0.001lx", experiments=[])
    run = toy.execute(tmp_path / "run", suite, judged_sets)
    rows = table(run, "calibration")
    assert rows["is_reached"].any()
    reached = rows["reached"].abs()
    assert ((reached / 0.001 - 1).abs() <= 0.05)[rows["is_reached"]].all()
    sides = rows.groupby("name")["reached"].prod()
    assert (sides[rows.loc[rows["is_reached"], "name"]] < 0).all()  # up at one end and down at the other
    generator, chosen = directions(judged_sets)
    by_name = {direction.name: direction for direction in chosen}
    for row in rows[rows["is_reached"]].head(3).to_dict("records"):
        render = Edit(generator, by_name[row["name"]], Compute()).prepare(
            codes_for(generator, "calibration", range(2), 0)
        )
        change = toy.scorer()(render(row["t"])) - toy.scorer()(render(0.0))
        assert row["reached"] == pytest.approx(float(change[:, 0].mean()), rel=1e-3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"calibrate": "brightnes=1"}, "did you mean 'brightness'"),
        ({"calibrate": "brightness=1px"}, "measured in lx, not in px"),
        ({"matched": {"attribute": "hue"}}, "Unknown attribute of scorer toy:scorer 'hue'"),
    ],
)
def test_an_attribute_that_the_scorer_does_not_know_is_refused_before_any_work(tmp_path, judged_sets, values, words):
    with pytest.raises(NavbenchError, match=words):
        toy.execute(tmp_path / "run", toy.judged(**values), judged_sets)
    assert not (tmp_path / "run").exists()


def test_an_attribute_target_without_a_scorer_is_refused(tmp_path, judged_sets):
    subject = toy.judged().generators[0].model_dump() | {"scorer": ""}
    with pytest.raises(NavbenchError, match="has no attribute scorer"):
        toy.execute(tmp_path / "run", toy.judged(generators=[subject], calibrate="brightness=1"), judged_sets)


def test_without_a_scorer_there_are_no_tables_of_attributes(tmp_path, judged_sets):
    subject = toy.judged().generators[0].model_dump() | {"scorer": ""}
    run = toy.execute(tmp_path / "run", toy.judged(generators=[subject]), judged_sets)
    names = {path.stem for path in (run.folder / "tables").iterdir()}
    assert not names & {"attributes", "found", "matched", "claims", "calibration"}
    assert "verdict" not in table(run, "directions")


def test_the_tables_of_attributes_have_the_columns_that_the_report_reads(finished):
    for name in ("attributes", "matched", "directions", "methods"):
        declared, written = TABLES[name], set(table(finished, name).columns)
        assert written <= set(declared.names), name
        assert set(declared.needed) <= written, name
    load_run(finished.folder)


def test_an_imitation_for_which_there_is_no_space_is_refused_before_any_work(tmp_path, judged_sets):
    only = {"only": ["toy.make/svd/up/0"], "experiments": ["reproduction"], "reproduction": {"targets": ["w"]}}
    with pytest.raises(NavbenchError, match=r"cannot be imitated in w: generator toy\.make has the latent spaces z;"):
        toy.execute(tmp_path / "run", toy.judged(**only), judged_sets)


def test_the_mean_of_a_method_is_of_its_directions_that_reach_the_effect(tmp_path, judged_sets):
    run = toy.execute(tmp_path / "run", toy.judged(calibrate="brightness=0.001", experiments=["ends"]), judged_sets)
    equal, methods = table(run, "equal"), table(run, "methods")
    kernel = equal[equal["metric"] == "KID"]
    assert len(kernel) == len(table(run, "directions"))
    reached = kernel[kernel["reached"]].groupby(["method", "layer"])["value"]
    methods = methods.set_index(["method", "layer"])
    assert methods["kid_mean"].dropna().to_dict() == pytest.approx(reached.mean().to_dict(), rel=1e-6)
    assert methods["kid_directions"].dropna().to_dict() == reached.size().to_dict()
