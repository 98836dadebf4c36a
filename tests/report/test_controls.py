"""What the page says of methods beside their controls, from tables whose numbers are known."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from navbench.report import attributes, charts, controls
from navbench.report import methods as answer
from navbench.report.controls import control_sentences
from navbench.report.matched import claim_sentences
from navbench.report.tables import RunTables, load_run

CONTROLS = {
    "svd": "random", "optimization": "random-in-svd", "spectrum": "random", "hybrid": "random-in-spectrum",
    "ganspace": "random",
}  # fmt: skip


def tables_with(builder: object, run: Path, ranking: Sequence[dict], controls: Sequence[str] = ()) -> RunTables:
    """The tables of a run with controls on layer main.6 and with these comparisons."""
    for control in controls:
        builder.tables["methods"].append({**builder.tables["methods"][0], "method": control})
    for name in ("methods", "directions"):
        for row in builder.tables[name]:
            row |= {"control": CONTROLS.get(row["method"], ""), "is_control": row["method"].startswith("random")}
    builder.write(run)
    (run / "tables" / "ranking.csv").unlink(missing_ok=True)
    if ranking:
        pd.DataFrame(ranking).to_csv(run / "tables" / "ranking.csv", index=False)
    return load_run(run)


def ranked(method: str, against: str, lower: str, metric: str = "KID", status: str = "") -> dict:
    numbers = {
        "n": 128,
        "directions": 4,
        "directions_against": 4,
        "value": 1.0,
        "value_against": 2.0,
        "difference": -1.0,
        "stderr": 0.3,
        "p": 0.01,
    }
    where = {"generator": "faces", "layer": "main.6", "metric": metric, "method": method, "against": against}
    return {**where, **numbers, "extractor": "", "reference": "", "lower": lower, "status": status}


@pytest.fixture
def told(make_builder: Callable, tmp_path: Path) -> Callable[..., list[str]]:
    """The sentences of a run with some comparisons."""

    def tell(*ranking: dict, controls: Sequence[str] = CONTROLS.values()) -> list[str]:
        tables = tables_with(make_builder(), tmp_path / "run", ranking, tuple(dict.fromkeys(controls)))
        return list(control_sentences(tables))

    return tell


def test_a_method_that_is_not_decidedly_better_than_its_control_is_no_better_than_chance(told: Callable) -> None:
    (sentence,) = told(ranked("hybrid", "random-in-spectrum", ""))
    assert sentence == (
        "In KID, where lower is better, hybrid (main.6) is no better than chance (no significant difference from its "
        "control random-in-spectrum)."
    )


def test_one_that_is_decidedly_better_is_not_called_chance(told: Callable) -> None:
    (sentence,) = told(ranked("hybrid", "random-in-spectrum", "hybrid"))
    assert "hybrid (main.6) is significantly better than its control random-in-spectrum (Holm, 5 %)." in sentence
    assert "chance" not in sentence


def test_a_method_that_sees_labels_has_no_verdict(make_builder: Callable, tmp_path: Path) -> None:
    """That it is better than chance by what leads it is no finding."""
    ranking = [ranked("hybrid", "random-in-spectrum", "hybrid"), ranked("svd", "random", "svd")]
    tables = tables_with(make_builder(), tmp_path / "run", ranking, ["random", "random-in-spectrum"])
    tables = tables.with_tables(methods=tables.methods.assign(is_labelled=tables.methods["method"] == "hybrid"))
    (sentence,) = [each for each in control_sentences(tables) if "significantly" in each]
    assert "svd (main.6) is significantly better" in sentence
    assert "hybrid" not in sentence


def test_one_that_is_decidedly_worse_is_told_so(told: Callable) -> None:
    (sentence,) = told(ranked("random", "svd", "random"))
    assert "svd (main.6) is no better than chance (significantly worse than its control random;" in sentence


def test_nothing_is_told_of_imitations_whose_control_is_another(told: Callable) -> None:
    assert told(ranked("svd", "random", "random", "unexplained fraction in activation main.6")) == []


def test_only_a_method_and_its_own_control_are_told_of_and_methods_share_a_sentence(told: Callable) -> None:
    (sentence,) = told(
        ranked("svd", "random", ""), ranked("spectrum", "random", ""), ranked("hybrid", "random", "random"),
        ranked("svd", "hybrid", "hybrid"), ranked("optimization", "random-in-svd", "optimization"),
    )  # fmt: skip
    assert "optimization (main.6) is significantly better than its control random-in-svd" in sentence
    assert "svd (main.6) and spectrum (main.6) are no better than chance (no significant difference from" in sentence
    assert "hybrid" not in sentence


def test_a_number_in_which_no_control_is_compared_is_not_told_of(told: Callable) -> None:
    assert told(ranked("svd", "random", "", status="on different footings"), ranked("svd", "random", "", "path")) == []


def test_a_method_whose_control_is_not_part_of_the_run_is_named(told: Callable) -> None:
    (sentence,) = told(ranked("svd", "hybrid", "svd"), controls=["random"])
    assert sentence.endswith("so nothing tells these from chance: optimization (main.6) and hybrid (main.6).")


def test_a_run_without_comparisons_says_nothing(told: Callable) -> None:
    assert told(controls=[]) == []


@pytest.fixture(scope="module")
def cars(make_builder: Callable, tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    """A run of cars whose control `random` found the first attribute by the largest share."""
    builder = make_builder().add_cars()
    first = next(row for row in builder.tables["found"] if row["method"] == "ganspace")
    name = "cars/random/w/0"
    builder.tables["found"].append({**first, "method": "random", "name": name, "share": 0.99, "best": False})
    builder.tables["found"].append(
        {**first, "method": "random", "name": name, "attribute": "horizon", "share": 0.9, "best": False}
    )
    return tables_with(builder, tmp_path_factory.mktemp("controls") / "run", [])


def test_controls_take_part_in_no_headline_of_what_was_found(cars: RunTables) -> None:
    told = " ".join(attributes.found_sentences(cars))
    assert "for 1 of 3 attributes" in told
    assert "random" not in told
    assert "No method found one for body hue and horizon." in told


def test_controls_stand_in_tables_marked_as_such(cars: RunTables) -> None:
    (matrix,) = attributes._found_matrices(cars)
    assert "random (control)" in matrix.heads
    place = matrix.heads.index("random (control)")
    assert [row[place].text for row in matrix.rows][-1] == "2"
    assert not any(row[place].strong for row in matrix.rows)
    _, table = answer._methods_tables(cars)
    column = table.heads.index("Control")
    assert {row[table.heads.index("Method")].text: row[column].text for row in table.rows} == CONTROLS | {
        "random (control)": ""
    }


def test_a_comparison_with_a_control_is_none_of_a_claim(cars: RunTables) -> None:
    assert "holds in 1 of 3 comparisons, is contradicted in 2, undecided in 0 (Holm, 5 %)." in next(
        claim_sentences(cars)
    )


def test_figures_draw_controls_hollow_and_call_them_so(cars: RunTables) -> None:
    rows = cars.methods[cars.methods["place"] == "latent space w"]
    figure = charts.method_spread(rows, cars.equal, "kid_mean", "KID", math.nan)
    (axes,) = [axes for axes in figure.axes if axes.get_visible()]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ganspace", "random (control)"]
    hollow = {
        line.get_ydata()[0]: line.get_markerfacecolor() == "none"
        for line in axes.lines
        if line.get_marker() == "o" and line.get_ydata()[0] in (0, 1)  # the small points of directions lie between
    }
    assert hollow == {0: False, 1: True}


def test_numbers_by_which_the_same_is_told_share_a_sentence(told: Callable) -> None:
    shares = [ranked("hybrid", "random-in-spectrum", "", metric) for metric in ("precision", "coverage")]
    sentences = told(ranked("hybrid", "random-in-spectrum", "hybrid"), *shares)
    assert [sentence.partition(" is better")[0] for sentence in sentences] == [
        "In KID, where lower",
        "In precision and coverage, where higher",
    ]


def test_many_methods_that_do_not_differ_are_told_by_number(told: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("svd", "random"), ("spectrum", "random"), ("optimization", "random-in-svd")]
    same = [ranked(*pair, "") for pair in pairs]
    (alike,) = told(*same, ranked("hybrid", "random-in-spectrum", ""))
    assert "all 4 methods and places are no better than chance" in alike
    monkeypatch.setattr(controls, "_MOST_NAMED", 2)
    (apart,) = told(*same, ranked("hybrid", "random-in-spectrum", "hybrid"))
    assert "hybrid (main.6) is significantly better than its control" in apart
    assert "; the others are no better than chance" in apart
