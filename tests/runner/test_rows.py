"""What the rows of a run say of its directions."""

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import toy
from made_up import measurement

from navbench.basis import DenseBasis
from navbench.experiments.overlap import Angles, Overlaps, Spans
from navbench.experiments.rows import who
from navbench.generators import zoo
from navbench.library import Library
from navbench.runner.tables import SCORES, score_columns


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"experiments": ["locality"]}, {0}),
        ({"experiments": ["reproduction"]}, {0}),
        ({"experiments": ["strips"], "strips": {"directions": 2}}, {0, 1}),
        ({"experiments": ["curves"], "curves": {"directions": 0}}, set()),
    ],
)
def test_a_direction_is_measured_when_anything_of_it_is(tmp_path, sets, values, expected):
    toy.execute(tmp_path, toy.tiny(**values), sets)
    directions, methods = (pd.read_csv(tmp_path / "tables" / f"{name}.csv") for name in ("directions", "methods"))
    assert set(directions.loc[directions["measured"], "direction"]) == expected
    assert len(directions) == 4
    assert (methods["curves"] == 0).all()


def test_methods_count_the_directions_with_curves(finished):
    methods = pd.read_csv(finished.folder / "tables" / "methods.csv")
    assert (methods["curves"] == 1).all()
    assert (methods["directions"] == 2).all()


def test_directions_and_methods_name_their_control(finished):
    for name in ("directions", "methods"):
        table = pd.read_csv(finished.folder / "tables" / f"{name}.csv", keep_default_na=False)
        told = table.groupby("method")[["control", "is_control"]].agg(lambda column: set(column))
        assert told.to_dict("index") == {
            "svd": {"control": {"random"}, "is_control": {False}},
            "random": {"control": {""}, "is_control": {True}},
        }


def test_scores_take_no_column_of_another_number(sets):
    direction = next(iter(Library([sets]).sets["toy.make/svd/up"].load(zoo.create("toy:make", toy.Compute()))))
    scores = {"residual": 0.1, "rayleigh": 2.0, "t_min": 9.0, "measured": 1.0, "area50": 0.5}
    columns = score_columns(dataclasses.replace(direction, scores=scores))
    assert columns.pop("solver_residual") == 0.1
    assert columns.pop("rayleigh") == 2.0
    assert set(columns) == {"score_t_min", "score_measured", "score_area50"}
    assert not set(SCORES.values()) & set(who(direction))


def test_overlaps_are_of_the_spans_of_two_methods_in_one_place():
    axes = torch.eye(6).view(6, 1, 6, 1, 1)

    def found(method, place, rows):
        basis, mixed = DenseBasis(axes[rows]), torch.eye(len(rows)) + 0.5
        return SimpleNamespace(
            generator="g", method=method, place=place, space="parameter", basis=basis, coefficients=mixed,
            reference=f"g/{method}/{place}",
        )  # fmt: skip

    sets = [found("svd", "a", [0, 1]), found("hybrid", "a", [1, 2, 3, 4])]
    overlap = Angles.between(*(each.basis.combine(each.coefficients) for each in sets)).overlap
    outcome = Spans([(*sets, overlap)])
    rows = {(row["method"], row["other"]): row for row in Overlaps().rows(measurement(), outcome)["overlap"]}
    assert overlap.reversed.share == pytest.approx(1 / 4)
    assert rows["svd", "hybrid"]["share"] == pytest.approx(1 / 2)
    assert rows["hybrid", "svd"]["share"] == pytest.approx(1 / 4)
    assert rows["svd", "hybrid"]["chance"] == pytest.approx(4 / 6)
    assert rows["svd", "hybrid"]["largest_cosine"] == pytest.approx(1)
