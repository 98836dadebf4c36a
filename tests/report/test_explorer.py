"""What the explorer knows of each direction, from a run whose numbers are known."""

import base64
import json
import math

import numpy as np
import pytest

from navbench.report import explorer, frames
from navbench.report.explorer import Records, unexplained
from navbench.report.html import write_report
from navbench.report.page import Page
from navbench.report.reach import effect_within_limits, is_at_least, limit_text, limit_words, within_text
from navbench.report.tables import load_run
from navbench.texts import escaped
from navbench.words import LATENTS

ROW = {"t_min": -10.0, "t_max": 8.0, "effect_min": 0.2, "effect_max": 0.3}
LIMITS = {"limit_min": -5.0, "limit_min_stderr": 0.25, "limit_min_status": "within"}
LIMITS |= {"limit_max": 4.0, "limit_max_stderr": 0.3, "limit_max_status": "within"}
BEYOND = {f"limit_{end}{suffix}": value for end in ("min", "max")
          for suffix, value in (("", math.nan), ("_stderr", math.nan), ("_status", "beyond"))}  # fmt: skip
UNDECIDED = BEYOND | {f"limit_{end}_status": "undecided" for end in ("min", "max")}


def spaced(words):
    return words.replace("\N{NO-BREAK SPACE}", " ")


# --- how far -----------------------------------------------------------------------------------------------------


def test_the_effect_within_limits_is_that_of_the_end_which_reaches_less():
    assert effect_within_limits(ROW | LIMITS) == pytest.approx(0.2 * (5 / 10) ** 2)
    assert effect_within_limits(ROW | LIMITS | {"limit_max": 2.0}) == pytest.approx(0.3 * (2 / 8) ** 2)


def test_beyond_the_range_the_effect_is_that_of_its_end():
    assert effect_within_limits(ROW | BEYOND) == pytest.approx(0.2)
    one = {key: value for key, value in BEYOND.items() if "min" in key}
    assert effect_within_limits(ROW | LIMITS | one) == pytest.approx(0.3 * (4 / 8) ** 2)


def test_of_an_undecided_end_what_is_shown_counts():
    row = ROW | UNDECIDED | {"limit_min_shown": -9.0, "limit_max_shown": 4.0}
    assert effect_within_limits(row) == pytest.approx(min(0.2 * (9 / 10) ** 2, 0.3 * (4 / 8) ** 2))


def test_an_effect_is_a_lower_bound_where_the_end_that_decides_it_has_no_limit():
    assert spaced(within_text(ROW | LIMITS)) == "0.050"
    assert spaced(within_text(ROW | BEYOND)) == "≥ 0.20"
    assert spaced(within_text(ROW | UNDECIDED | {"limit_min_shown": -5.0, "limit_max_shown": 8.0})) == "≥ 0.050"
    assert not is_at_least(ROW | BEYOND | {"limit_max": 2.0, "limit_max_status": "within"})


@pytest.mark.parametrize("end", ["min", "max"])
def test_without_a_limit_at_either_end_the_effect_is_not_known(end):
    assert math.isnan(effect_within_limits(ROW | LIMITS | {f"limit_{end}": math.nan, f"limit_{end}_status": ""}))


def test_a_limit_is_told_with_its_error_or_as_the_end_that_it_lies_beyond():
    assert spaced(limit_text(ROW | LIMITS, "min")) == "\N{MINUS SIGN}5.00 ± 0.25"
    assert spaced(limit_text(ROW | LIMITS, "max")) == "4.00 ± 0.30"
    assert spaced(limit_text(ROW | BEYOND, "min")) == "≤ \N{MINUS SIGN}10.0"
    assert spaced(limit_text(ROW | BEYOND, "max")) == "≥ 8.00"
    assert spaced(limit_text(ROW | UNDECIDED, "max")) == "8.00 (undecided)"
    assert limit_text(ROW | {"limit_min_status": ""}, "min") == ""


def test_what_the_best_latent_code_leaves_is_the_least_of_those_sought():
    left = {f"unexplained_fraction_{kind}": math.nan for kind in LATENTS}
    assert math.isnan(unexplained(left))
    assert unexplained(left | {"unexplained_fraction_z": 0.9, "unexplained_fraction_w+": 0.4}) == 0.4


# --- records -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(make_builder, tmp_path_factory):
    builder = make_builder(measured=1, found=2).add_cars().add_limits()
    return builder.write(tmp_path_factory.mktemp("explorer") / "run")


@pytest.fixture(scope="module")
def tables(run):
    return load_run(run)


@pytest.fixture(scope="module")
def data(tables):
    return Records(Page(tables)).data()


def record(data, name):
    (only,) = [row for row in data["rows"] if row["name"] == name]
    return only


def test_every_direction_has_a_record_in_the_order_of_the_table(tables, data):
    assert [row["name"] for row in data["rows"]] == tables.directions["name"].tolist()


def test_numbers_stand_in_the_order_of_their_heads_and_unknown_ones_are_none(tables, data):
    keys = [key for key, *_ in data["numbers"]]
    known = dict(zip(keys, record(data, "cars/svd/convs.3/0")["numbers"], strict=True))
    row = tables.directions.set_index("name").loc["cars/svd/convs.3/0"]
    assert known["within"] == pytest.approx(min(0.12 * 0.4**2, 0.1212 * 0.5**2))
    assert known["share"] == pytest.approx(row["attribute_share"])
    assert known["area50"] == pytest.approx(row["area50"], rel=1e-4)
    assert dict(zip(keys, record(data, "faces/svd/main.6/1")["numbers"], strict=True))["area50"] is None


def test_of_sets_that_the_run_found_the_commands_name_the_folder(make_builder, tmp_path, data):
    assert data["found"] == {}
    folder = make_builder().write(tmp_path / "a run", without=("images",))
    (folder / "directions").mkdir()
    found = Records(Page(load_run(folder))).data()["found"]
    assert found == {"shell": f"'{folder}/directions'", "python": f'"{folder}/directions"'}


def test_a_number_that_no_direction_has_is_not_offered(tables):
    bare = tables.with_tables(directions=tables.directions.assign(area50=np.nan))
    assert "area50" not in [key for key, *_ in Records(Page(bare)).data()["numbers"]]


def test_limits_and_their_status_are_there_and_beyond_the_range_the_limit_is_none(data):
    known = record(data, "faces/hybrid/main.6/0")
    assert known["status"] == ["beyond", "within"]
    assert known["limit"][0] is None
    assert known["limit"][1] == pytest.approx(0.9 * known["t"][1], rel=1e-4)


def test_a_curve_ascends_in_t_and_holds_the_standard_error(tables, data):
    curve = record(data, "faces/svd/main.6/0")["curve"]
    rows = tables.curves.query("name == 'faces/svd/main.6/0' and metric == 'KID'").sort_values("t")
    np.testing.assert_allclose(curve, rows[["t", "effect", "value", "stderr"]], rtol=1e-4)


def test_directions_without_a_curve_have_the_kid_at_their_ends_and_at_zero_that_of_unshifted_images(tables, data):
    curve = record(data, "faces/svd/main.6/1")["curve"]
    assert [point[0] for point in curve] == sorted(point[0] for point in curve)
    assert len(curve) == 5
    floor = tables.methods.set_index("method").loc["svd"].iloc[0]
    assert curve[2] == pytest.approx([0, 0, floor["kid_floor"], floor["kid_floor_stderr"]])


def test_without_the_kid_of_unshifted_images_a_curve_has_no_point_at_zero(tables):
    unknown = tables.with_tables(methods=tables.methods.assign(kid_floor=np.nan))
    assert len(record(Records(Page(unknown)).data(), "faces/svd/main.6/1")["curve"]) == 4


def test_the_attributes_that_a_direction_moves_most_come_first(data):
    moves = record(data, "cars/svd/convs.3/0")["moves"]
    assert moves[0][0] == "wheel radius"
    assert [abs(change) for _, change in moves] == sorted((abs(change) for _, change in moves), reverse=True)
    assert "moves" not in record(data, "faces/svd/main.6/0")


def test_a_set_that_has_not_converged_a_control_and_a_method_with_labels_are_marked(tables):
    methods = tables.methods.assign(
        status=np.where(tables.methods["method"] == "hybrid", "not converged", ""),
    )
    method = tables.directions["method"]
    directions = tables.directions.assign(is_control=method == "random", is_labelled=method == "spectrum")
    data = Records(Page(tables.with_tables(methods=methods, directions=directions))).data()
    assert {row["method"] for row in data["rows"] if row.get("failed")} == {"hybrid"}
    assert {row["method"] for row in data["rows"] if row.get("control")} == {"random"}
    assert {row["method"] for row in data["rows"] if row.get("labels")} == {"spectrum"}


def test_what_is_not_known_is_left_out_of_a_record(data):
    for row in data["rows"]:
        assert not [key for key, value in row.items() if value in ("", [], None, False)]


def test_the_limit_is_explained_where_there_are_any(tables):
    assert "as grain of 12" in spaced(limit_words(tables))
    assert limit_words(tables.with_tables(limits=tables.limits.iloc[:0])) == ""


# --- JSON --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["</script>", "<!--", "<script", "]]>", "&amp;", "a\u2028b\u2029c"])
def test_no_text_ends_the_script_element_or_begins_a_comment(text):
    shown = explorer._json({"label": text})
    assert not any(sign in shown for sign in "<>&\u2028\u2029")
    assert json.loads(shown) == {"label": escaped(text)}


def test_formatting_characters_are_seen_on_the_page():
    assert json.loads(explorer._json(["a\N{RIGHT-TO-LEFT OVERRIDE}b"])) == [r"a\u202eb"]


def test_a_number_that_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        explorer._json({"value": math.nan})


# --- frames ------------------------------------------------------------------------------------------------------


def sources(data):
    return [row["strip"]["source"] for row in data["rows"]]


def test_strips_are_in_the_page_byte_for_byte(run, tables, data):
    first = tables.images[tables.images["kind"] == "strip"].iloc[0]
    source = record(data, first["name"])["strip"]["source"]
    assert base64.b64decode(source.removeprefix("data:image/webp;base64,")) == (run / first["file"]).read_bytes()


def test_a_strip_knows_its_codes_and_shifts(data):
    strip = record(data, "faces/svd/main.6/0")["strip"]
    assert strip["rows"] == 4
    assert strip["shifts"][3] in ("0.0", "-0.0")
    assert len(strip["shifts"]) == 7


def test_too_many_strips_stay_in_files_beside_the_page(make_builder, tmp_path, monkeypatch, explorer_data):
    monkeypatch.setattr(frames, "MOST_BYTES", 100)
    run = make_builder().add_limits().write(tmp_path / "run")
    page = write_report(run).read_text(encoding="utf-8")
    data = explorer_data(page)
    assert all((run / source).is_file() for source in sources(data))
    strips = load_run(run).images.query("kind == 'strip'")["file"]
    inside = [base64.b64encode((run / file).read_bytes()).decode() in page for file in strips]
    assert not any(inside)


def test_the_path_of_a_file_beside_the_page_is_quoted(make_builder, tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "MOST_BYTES", 0)
    run = make_builder().write(tmp_path / "run")
    tables = load_run(run)
    file = tables.images.query("kind == 'strip'").iloc[0]["file"]
    (run / file).rename(run / "strips" / "a b#c?.webp")
    images = tables.images.replace({"file": {file: "strips/a b#c?.webp"}})
    strips = frames.strips(Page(tables.with_tables(images=images)))
    assert next(iter(strips.values())).source == "strips/a%20b%23c%3F.webp"


def test_a_direction_without_a_strip_has_none(tables):
    page = Page(tables.with_tables(images=tables.images.iloc[:0]))
    assert frames.strip_of(page, "faces/svd/main.6/0") is None
    assert frames.strips(page) == {}
