"""One generator measured twice, and two of one name, in one suite."""

import pandas as pd
import pytest
import toy

from navbench.errors import NavbenchError
from navbench.generators.wrapped import Wrapped
from navbench.library import Library

SUBJECT = {"name": "toy:make", "layers": ["up"], "methods": ["svd"]}


def twin():
    """Another generator with the name of the toy."""
    return Wrapped(toy.Toy(), (4,), "toy.make")


def two(second, **values):
    return toy.tiny(generators=[SUBJECT, SUBJECT | second], experiments=["ends"], **values)


def test_one_generator_twice_is_measured_under_both_names_on_the_sets_of_its_own(tmp_path, sets):
    toy.execute(tmp_path / "run", two({"as": "again"}), sets)
    rows = pd.read_csv(tmp_path / "run" / "tables" / "ends.csv").set_index("generator")
    first, second = (rows.loc[name].reset_index(drop=True) for name in ("toy.make", "again"))
    shared = [column for column in first if column != "name"]
    pd.testing.assert_frame_equal(first[shared], second[shared])
    assert list(second["name"]) == [name.replace("toy.make", "again") for name in first["name"]]


def test_two_generators_of_one_name_are_refused_when_they_are_opened(tmp_path, sets):
    with pytest.raises(NavbenchError, match=r"Two generators .* 'toy\.make' \('toy:make' and 'test_aliases:twin'\)"):
        toy.execute(tmp_path / "run", two({"name": "test_aliases:twin"}), sets)


def test_sets_of_another_name_come_before_those_that_are_borrowed(sets):
    found = Library([sets])
    other = found.also_as("toy.make", "again")
    assert {file.set_id for file in other.of("again")} == {
        file.set_id.replace("toy.make", "again") for file in found.of("toy.make")
    }
    assert found.of("again") == []
    assert other.also_as("again", "toy.make").sets.keys() == other.sets.keys()
    assert other.also_as("again", "toy.make").of("toy.make") == found.of("toy.make")
