"""The limits of a run, against the curves and ends that they are read from."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import toy
from pydantic import ValidationError

from navbench.compute import Compute
from navbench.directions import write_set
from navbench.experiments.limits import LimitSettings
from navbench.generators import zoo
from navbench.library import Library, set_path
from navbench.metrics.damage import DAMAGES

DAMAGE = {"damage": "blank images", "strength": 1.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory, sets):
    """Two directions of each set, far out, with ends at five points, and one of them with a curve of seven."""
    far = tmp_path_factory.mktemp("far")
    for file in Library([sets]).sets.values():
        found = file.load(zoo.create("toy:make", Compute()))
        write_set(replace(found, t_min=2 * found.t_min, t_max=60 * found.t_max), set_path(far, found.set_id))
    curves = {**toy.tiny().curves.model_dump(), "shifts": 7}
    values = {"ends": {"samples": 6, "points": 5}, "limits": DAMAGE, "instrument": {"samples": 20}}
    chosen = toy.tiny(curves=curves, experiments=["curves", "ends"], **values)
    return toy.execute(tmp_path_factory.mktemp("limits"), chosen, far).folder


def table(run, name):
    return pd.read_csv(run / "tables" / f"{name}.csv", keep_default_na=False, na_values=[""])


def along(run, row):
    """The shifts of a side from t = 0 outward, and how far the KID lies above that at t = 0, by the tables."""
    curves, ends = (table(run, name) for name in ("curves", "ends"))
    own = curves[(curves["name"] == row["name"]) & (curves["metric"] == "KID")]
    floor = own.loc[own["t"] == 0, "value"].squeeze() if len(own) else table(run, "methods")["kid_floor"].iloc[0]
    if own.empty:
        own = ends[(ends["name"] == row["name"]) & (ends["metric"] == "KID")]
    side = own[np.sign(own["t"]) == np.sign(row["t_end"])]
    side = side.reindex(side["t"].abs().sort_values().index)
    return np.array([0, *side["t"]]), np.array([0, *(side["value"] - floor)])


def test_every_direction_has_a_limit_or_is_said_to_have_none_within_its_range(run):
    limits = table(run, "limits")
    assert len(limits) == 2 * len(table(run, "directions"))
    assert {"within", "beyond"} <= set(limits["status"]) <= {"within", "beyond", "undecided"}
    assert (limits["limit"].notna() == (limits["status"] == "within")).all()
    assert set(limits["n"]) == {6, 20}  # of ends, and of curves


def test_limits_are_where_the_lines_between_the_table_s_points_cross_the_amount(run):
    for row in table(run, "limits").to_dict("records"):
        shifts, rises = along(run, row)
        assert row["rise"] == pytest.approx(rises[-1], rel=1e-4, abs=1e-9)
        fine = np.linspace(0, shifts[-1] ** 2, 200_001)
        above = np.flatnonzero(np.interp(fine, shifts**2, rises) >= row["amount"])
        assert 0 <= row["shown"] / row["t_end"] <= (row["limit"] / row["t_end"] if row["status"] == "within" else 1)
        assert (row["shown"] == row["t_end"]) == (row["status"] == "beyond")
        if row["status"] == "within":
            assert row["limit"] == pytest.approx(np.sign(shifts[-1]) * np.sqrt(fine[above[0]]), rel=1e-3)
            assert row["limit_stderr"] > 0
        else:
            assert len(above) == 0


def test_the_amount_is_what_the_damage_does_to_the_kid(run):
    limits, checks = table(run, "limits").iloc[0], table(run, "instrument")
    kid = checks[(checks["check"] == "blank images") & (checks["metric"] == "KID")].set_index("strength")["value"]
    assert limits["amount"] == pytest.approx(kid[1.0] - kid[0], rel=1e-4)
    assert (limits["damage"], limits["strength"]) == ("blank images", 1.0)


def test_a_direction_s_row_has_both_limits(run):
    limits, directions = table(run, "limits"), table(run, "directions").set_index("name")
    for row in limits.to_dict("records"):
        end = row["end"].removeprefix("t_")
        own = directions.loc[row["name"]]
        assert own[f"limit_{end}_status"] == row["status"]
        assert own[f"limit_{end}"] == pytest.approx(row["limit"], nan_ok=True)
        assert own["n_limit"] == row["n"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"damage": "rust"}, "no damage 'rust'; there are blur, grain"),
        ({"strength": 7}, "grain is not checked at strength 7; it is at 6, 12, 24"),
    ],
)
def test_a_damage_that_is_not_checked_is_refused(values, words):
    with pytest.raises(ValidationError, match=words):
        LimitSettings(**values)


def test_the_default_is_a_damage_that_is_checked():
    strengths = {damage.name: damage.strengths for damage in DAMAGES}
    assert LimitSettings().checked_strength == strengths["grain"][1]


def test_a_damage_that_the_instrument_does_not_see_gives_no_limits_but_a_sentence(tmp_path, sets):
    made = toy.execute(tmp_path, toy.tiny(experiments=["curves"], limits={"damage": "grain", "strength": 6}), sets)
    assert not (made.folder / "tables" / "limits.csv").exists()
    assert "is not known: grain of 6 does not raise the KID significantly." in " ".join(made.manifest.facts["left_out"])
