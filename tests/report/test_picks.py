"""Which directions the answer recommends, and what it says against believing the numbers."""

import numpy as np
import pandas as pd
import pytest

from navbench.report import answer
from navbench.report.blocks import Picks, Words
from navbench.report.page import Page
from navbench.report.picks import doubts, picks
from navbench.report.tables import load_run


@pytest.fixture(scope="module")
def tables(make_builder, tmp_path_factory):
    builder = make_builder(measured=1, found=3).add_cars().add_limits()
    for name in ("directions", "methods"):
        for row in builder.tables[name]:
            row["is_control"] = row["method"] == "random"
    return load_run(builder.write(tmp_path_factory.mktemp("picks") / "run", without=("images",)))


def names(tables, generator="cars", count=9):
    return picks(tables, generator, count)["name"].tolist()


def changed(tables, where, table="directions", **columns):
    """The run with other values in the rows of a table where a function of the table holds."""
    frame = tables.frames[table].copy()
    for column, value in columns.items():
        frame[column] = frame[column].astype(object).mask(where(frame), value).infer_objects()
    return tables.with_tables(**{table: frame})


def test_controls_are_never_recommended(tables):
    assert set(tables.methods.loc[tables.methods["is_control"], "method"]) == {"random"}
    assert names(tables)
    assert not [name for name in names(tables) if "/random/" in name]


def test_sets_that_have_not_converged_are_never_recommended(tables):
    before = names(tables)
    failed = changed(tables, lambda rows: rows["method"] == "hybrid", "methods", status="not converged")
    assert [name for name in before if "/hybrid/" in name]
    assert not [name for name in names(failed) if "/hybrid/" in name]


def test_generators_whose_instrument_fails_have_no_recommendation(tables):
    row = {"generator": "cars", "extractor": "e", "reference": "renderings", "n": 64, "check": "blur", "passed": False}
    failing = tables.with_tables(instrument=pd.DataFrame([{**row, "metric": "KID", "reason": "it falls"}]))
    assert names(failing) == []
    assert names(failing, "faces") == names(tables, "faces") != []


def test_interpretable_directions_come_before_others_whatever_their_effect(tables):
    rows = picks(tables, "cars", 9)
    assert rows["verdict"].tolist()[0] == "interpretable"
    assert "interpretable" not in rows["verdict"].tolist()[1:]  # the others of this attribute are not there
    worse = changed(tables, lambda rows: rows["verdict"] == "interpretable", effect_min=1e-4)
    assert names(worse)[0] in set(tables.directions.query("verdict == 'interpretable'")["name"])


def test_directions_with_a_curve_come_before_those_with_a_larger_effect_at_few_codes(tables):
    larger = changed(tables, lambda rows: rows["direction"] == "1", effect_min=9.0, effect_max=9.0)
    rows = picks(larger, "faces", 9)
    assert rows["curved"].tolist() == sorted(rows["curved"], reverse=True)
    assert rows["curved"].tolist()[0]


def test_among_equals_the_larger_effect_within_limits_comes_first(tables):
    rows = picks(tables, "faces", 9)
    assert rows["within"].is_monotonic_decreasing
    assert rows["method"].tolist() == ["hybrid", "spectrum", "optimization", "svd"]
    limits = {"limit_min_status": "beyond", "limit_max_status": "beyond"}
    assert names(changed(tables, lambda rows: rows["method"] == "svd", **limits), "faces")[0] == "faces/svd/main.6/0"


def test_an_undecided_end_counts_up_to_where_no_break_is_shown(tables):
    name = names(tables, "faces")[0]
    row = tables.directions.set_index("name").loc[name]
    shown = 0.5 * row["t_max"]
    rows = tables.limits
    is_end = (rows["name"] == name) & (rows["end"] == "t_max")
    said = {"status": "undecided", "limit": np.nan, "shown": shown}
    limits = rows.assign(**{key: rows[key].mask(is_end, value) for key, value in said.items()})
    undecided = changed(tables, lambda rows: rows["name"] == name, limit_max_status="undecided", limit_max=np.nan)
    curve = tables.curves[(tables.curves["name"] == name) & (tables.curves["metric"] == "KID")].sort_values("t")
    curve = curve[curve["t"] >= 0]
    found = picks(undecided.with_tables(limits=limits), "faces", 9).set_index("name").loc[name, "within"]
    assert found == pytest.approx(np.interp(shown**2, curve["t"] ** 2, curve["effect"]))
    assert found < picks(tables, "faces", 1).iloc[0]["within"]


def test_each_attribute_is_there_once_and_so_is_each_method_in_a_place(tables):
    rows = picks(tables, "cars", 9)
    pure = rows[rows["is_pure"]]
    others = rows[~rows["is_pure"]]
    assert not pure["attribute"].duplicated().any()
    assert not others[["method", "layer"]].duplicated().any()
    assert len(picks(tables, "faces", 9)) == 4


def test_no_more_are_recommended_than_are_asked_for(tables):
    assert names(tables, "faces", 2) == names(tables, "faces")[:2]


def test_a_direction_without_both_limits_is_not_recommended(tables):
    unknown = changed(tables, lambda rows: rows["method"] == "hybrid", limit_min_status="")
    assert not [name for name in names(unknown, "faces") if "/hybrid/" in name]


def test_a_run_without_limits_recommends_nothing_and_says_so(make_builder, tmp_path):
    tables = load_run(make_builder().write(tmp_path / "run", without=("images",)))
    assert names(tables, "faces") == []
    blocks = list(answer.blocks(Page(tables)))
    assert not any(isinstance(block, Picks) and block for block in blocks)
    assert blocks[0] == Words(
        "This run does not say how far directions can go before realism breaks, so it recommends none.", "lead"
    )


def test_a_run_of_controls_alone_recommends_nothing_and_says_so(tables):
    controls = changed(tables, lambda rows: rows["method"] != "", "methods", is_control=True)
    lead = next(block.text for block in answer.blocks(Page(controls)) if isinstance(block, Words))
    assert lead == (
        "No direction of faces but those of controls, of methods that see labels and of sets that have not converged "
        "was measured, so none is recommended."
    )


# --- doubts ------------------------------------------------------------------------------------------------------


def doubt(tables, generator="faces"):
    return " | ".join(doubts(tables, generator)).replace("\N{NO-BREAK SPACE}", " ")


def test_an_instrument_that_fails_is_a_doubt_and_so_is_one_that_was_not_checked(tables):
    row = {"generator": "faces", "extractor": "e", "reference": "r", "n": 64, "check": "blur", "metric": "KID"}
    checked = tables.with_tables(instrument=pd.DataFrame([{**row, "reason": "", "passed": True}]))
    failing = tables.with_tables(instrument=pd.DataFrame([{**row, "reason": "it falls", "passed": False}]))
    assert "the instrument was not checked" in doubt(tables)
    assert "instrument" not in doubt(checked)
    assert "the instrument fails its check" in doubt(failing)


def test_few_images_are_a_doubt(tables):
    assert "few images" not in doubt(tables)
    few = changed(tables, lambda rows: rows["n"].notna(), n=128.0)
    assert "few images: 128 per point of a curve" in doubt(few)
    assert "64 codes where all directions are compared" in doubt(tables)
    many = changed(tables, lambda rows: rows["n_kid"].notna(), "methods", n_kid=2000.0)
    assert "where all directions are compared" not in doubt(many)


def test_distances_that_are_no_fid_are_a_doubt(tables, make_builder, tmp_path):
    assert "FD (efficientnet-lite0): no FID" in doubt(tables)
    of_fid = make_builder(extractor="inception-v3-compat").write(tmp_path / "run", without=("images",))
    assert "no FID" not in doubt(load_run(of_fid))


def test_directions_without_a_curve_are_a_doubt(tables):
    some = changed(tables, lambda rows: rows["kid_at_max"].isna(), n=np.nan)
    every = tables.with_tables(directions=some.directions[some.directions["kid_at_max"].notna()])
    assert "4 of 12 directions have a curve" in doubt(some)
    assert "have a curve" not in doubt(every)


def test_sets_that_have_not_converged_are_counted(tables):
    assert "converged" not in doubt(tables)
    one = changed(tables, lambda rows: rows["method"] == "hybrid", "methods", status="not converged")
    two = changed(tables, lambda rows: rows["method"].isin(["hybrid", "svd"]), "methods", status="not converged")
    assert "1 learned set has not converged" in doubt(one)
    assert "2 learned sets have not converged" in doubt(two)


def test_the_best_of_many_are_doubted_wherever_there_are_any(tables):
    assert doubt(tables).endswith("the best of many look better than they are")
    assert doubt(tables, "nothing") == ""


def test_a_run_that_measured_nothing_has_no_doubt_of_its_instrument(make_builder, tmp_path):
    tables = load_run(make_builder(measured=0).write(tmp_path / "run", without=("images",)))
    assert np.isnan(tables.methods["kid_mean"]).all()
    assert "instrument" not in doubt(tables)
