"""What the page says of methods that see labels: a bound of what can be found, and no rival."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from navbench.methods import METHODS, competes, is_control, is_labelled
from navbench.report import attributes, charts, picks
from navbench.report.bounds import bound_sentences, bound_tables
from navbench.report.tables import RunTables, load_run


@pytest.fixture(scope="module")
def tables(make_builder: Callable, tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    """A run of cars whose `ganspace`, under another name, is told what images show, and moves the horizon alone."""
    builder = make_builder().add_cars()
    for rows in builder.tables.values():
        for row in rows:
            row |= {key: "supervised" for key in ("method", "against") if row.get(key) == "ganspace"}
            if "name" in row:
                row["name"] = row["name"].replace("ganspace", "supervised")
    for name in ("methods", "directions"):
        for row in builder.tables[name]:
            row |= {"is_control": row["method"] == "random", "is_labelled": row["method"] == "supervised"}
    for row in builder.tables["attributes"]:
        row["share"] = row["share"] if row["attribute"] == "wheel radius" else 0.1
        if row["name"] == "cars/supervised/w/0":
            row["share"] = 0.9 if row["attribute"] == "horizon" else 0.05
        if row["name"] == "cars/random/w/0":
            row["share"] = 0.99
        if row["name"] == "cars/hybrid/convs.3/0" and row["attribute"] == "body hue":
            row |= {"share": 0.8, "consistency": 0.3}
        if row["name"] == "cars/svd/convs.3/0" and row["attribute"] == "body hue":
            row["share"] = 0.37
    folder = tmp_path_factory.mktemp("bounds") / "run"
    builder.write(folder)
    return load_run(folder)


def test_labels_are_told_apart_from_what_is_found_without_them(tables: RunTables) -> None:
    told = list(bound_sentences(tables))
    assert told[0].startswith(
        "A share of 0.5 or more of the squared change is reached without labels for 1 of 3 attributes of cars; "
        "directions drawn at random reach 3, 1 of them among these. Told by a scorer what images show, supervised 1."
    )
    assert told[1] == (
        "No method reaches a share of 0.5 for body hue of cars; the best is svd 0, convs.3, with 0.37."
    )  # hybrid's .8 is of codes that change either way, and random's .99 is a control's
    assert len(told) == 2


def test_a_method_that_sees_labels_takes_no_prize(tables: RunTables) -> None:
    assert "supervised" not in set(tables.contenders.methods["method"])
    assert "supervised" not in " ".join(attributes.found_sentences(tables))
    assert "No method without labels found one for body hue and horizon." in " ".join(
        attributes.found_sentences(tables)
    )


def test_a_method_that_sees_labels_is_not_recommended(make_builder: Callable, tmp_path: Path) -> None:
    """The same directions are, as long as nothing says that their method was told what images show."""
    tables = load_run(make_builder(measured=1, found=3).add_cars().add_limits().write(tmp_path / "run"))
    method = picks.picks(tables, "cars", 99)["method"].iloc[0]
    methods = tables.methods.assign(is_labelled=tables.methods["method"] == method)
    directions = tables.directions.assign(is_labelled=tables.directions["method"] == method)
    told = tables.with_tables(methods=methods, directions=directions)
    assert method not in set(picks.picks(told, "cars", 99)["method"])


def test_the_figure_of_changes_has_methods_first_and_marks_the_others(tables: RunTables) -> None:
    rows = tables.attributes[tables.attributes["generator"] == "cars"]
    shown, _ = attributes._worth_showing(tables, "cars", rows, most=1)
    assert set(shown["method"]) & {"supervised", "random"} == set()
    labelled = tables.directions[tables.directions["method"] == "supervised"].to_dict("records")[0]
    assert attributes._marked(labelled).startswith("supervised (labels) 0, ")


def test_tables_mark_it_and_show_it_beside_the_best_without_labels(tables: RunTables) -> None:
    (table,) = [table for table in bound_tables(tables) if "of cars" in table.caption]
    assert table.heads == ("Attribute", "Best without labels", "Best of controls", "supervised (labels)")
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert cells["horizon"][2] == "supervised 0, w\N{NO-BREAK SPACE}space (0.90)"
    assert cells["body hue"][0] == "svd 0, convs.3 (0.37)"
    assert cells["wheel radius"][1].startswith("random 0, ")
    assert "random" not in "".join(row[0] + row[2] for row in cells.values())
    methods = tables.methods
    assert "supervised (labels)" in charts.method_names(methods, list(methods["method"].unique()))


def test_runs_of_before_have_no_method_that_sees_labels(make_builder: Callable, tmp_path: Path) -> None:
    make_builder().add_cars().write(tmp_path / "run")
    tables = load_run(tmp_path / "run")
    assert not tables.methods["is_labelled"].any()
    assert not any("told by a scorer" in sentence for sentence in bound_sentences(tables))
    assert pd.Series([table.heads[1] for table in bound_tables(tables)]).eq("Best without labels").all()


def test_attributes_that_nothing_moves_steadily_are_told_of_in_one_sentence_beyond_the_first(tables: RunTables) -> None:
    rows = tables.attributes.assign(consistency=0.1)
    more = pd.concat([rows.assign(attribute=rows["attribute"] + suffix) for suffix in ("", " too")])
    told = [sentence for sentence in bound_sentences(tables.with_tables(attributes=more)) if "labels" not in sentence]
    assert len(told) == 5
    assert "no direction moves it for nearly all codes to the same side" in told[0]
    assert told[4].startswith("Nor does any for ")


def test_which_methods_see_labels() -> None:
    assert {name for name in METHODS if is_labelled(name)} >= {"supervised", "interfacegan", "stylespace-attributes"}
    assert all(competes(name) == (not is_control(name) and not is_labelled(name)) for name in METHODS)
    assert competes("somebody's")
