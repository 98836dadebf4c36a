"""The public face: what a notebook gets is what a run measures."""

import doctest
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import toy
from PIL import Image

import navbench as nb
from navbench.errors import NavbenchError

NAME = "toy.make/svd/up/0"


def loaded(sets):
    return nb.load_direction(NAME, generator="toy:make", folder=sets)


@pytest.fixture(scope="module")
def direction(sets):
    return loaded(sets)


def test_the_import_alone_loads_nothing_heavy():
    code = "import sys, navbench as nb; dir(nb); print(sorted({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_is_there_and_documented():
    for name in nb.__all__:
        assert getattr(nb, name).__doc__
    assert set(nb.__all__) <= set(dir(nb))
    with pytest.raises(AttributeError, match="no attribute 'curves'"):
        _ = nb.curves


def test_the_examples_of_the_docstrings_run():
    import navbench.face

    found = doctest.testmod(navbench.face)
    assert found.attempted >= 5
    assert not found.failed


def test_a_curve_is_that_of_a_run(direction, finished):
    sizes = toy.tiny().curves
    found = nb.curve(
        direction,
        shifts=sizes.shifts,
        samples=sizes.samples,
        effect_samples=sizes.effect_samples,
        extractor=sizes.extractor,
    )
    rows = nb.open_run(finished.folder)["curves"]
    rows = rows[rows["name"] == NAME].reset_index(drop=True)
    assert list(found["metric"]) == list(rows["metric"])
    for column in ("t", "effect", "value", "stderr", "n", "n_reference"):
        np.testing.assert_allclose(found[column], rows[column], rtol=1e-5, err_msg=column)
    assert nb.plot_curve(found).axes


def test_a_heatmap_is_that_of_a_run(direction, finished):
    sizes = toy.tiny().locality
    found = nb.heatmap(direction, samples=sizes.samples, shifts=sizes.shifts)
    rows = nb.open_run(finished.folder)["locality"]
    rows = rows[rows["name"] == NAME].set_index("metric")
    assert set(found.numbers) == set(rows.index)
    for name, (value, stderr) in found.numbers.items():
        assert (value, stderr) == pytest.approx((rows.loc[name, "value"], rows.loc[name, "stderr"]), rel=1e-5)
    assert found._repr_png_().startswith(b"\x89PNG")


def test_an_imitation_is_that_of_a_run(direction, finished):
    sizes = toy.tiny().reproduction
    found = nb.imitate(direction, "z", codes=sizes.codes, held_out=sizes.held_out, steps=sizes.steps)
    rows = nb.open_run(finished.folder)["reproduction"]
    row = rows[(rows["name"] == NAME) & (rows["target"] == "z")].iloc[0]
    assert (found["residual"], found["n"]) == pytest.approx((row["residual"], row["n"]), rel=1e-4)


def test_a_strip_shows_the_edits_of_its_codes(direction):
    made = nb.strip(direction, shifts=3, codes=2)
    assert made.size == (3 * 24, 2 * 24)
    middle = nb.edit(direction, 0.0, codes=range(2))
    assert middle.shape == (2, 3, 24, 24)
    torch.testing.assert_close(middle, direction.space.generator(direction.space.generator.sample(range(2), 0)))


def test_a_direction_that_was_found_is_bound_to_its_generator():
    generator = nb.load_generator("toy:make")
    found = nb.discover(generator, "svd", layer="up", directions=2, effect=0.01, effect_codes=2)
    bound = nb.bind(found[1], generator)
    assert (repr(found), bound.direction.index) == ("DirectionSet(toy.make/svd/up, 2 directions)", 1)
    assert nb.strip(bound, shifts=3, codes=1).size == (72, 24)


def test_a_direction_and_a_run_are_short_and_show_themselves(direction, finished):
    run = nb.open_run(finished.folder)
    for each in (direction, run):
        assert len(repr(each)) < 200
        assert "<" in each._repr_html_()
    assert "data:image/webp;base64," in direction._repr_html_()
    assert isinstance(next(iter(run.pictures().values())), Image.Image)
    assert isinstance(run["methods"], pd.DataFrame)
    assert run.report.name == "index.html"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda sets: nb.load_direction("faces/svd/nowhere/0"), "Unknown direction"),
        (lambda sets: nb.load_direction(NAME, folder=sets), "not installed; name it"),
        (lambda sets: nb.open_run(sets), "not a run folder"),
        (lambda sets: nb.discover(nb.load_generator("toy:make"), "svd"), "name one of the two"),
        (lambda sets: nb.discover(nb.load_generator("toy:make"), "svd", layer="up", nope=1), "nope of discover"),
        (lambda sets: nb.strip(loaded(sets), codes=0), "codes is 0; it must be at least 1"),
        (lambda sets: nb.heatmap(loaded(sets), samples=0), "samples is 0; it must be at least 2"),
        (lambda sets: nb.heatmap(loaded(sets), shifts=0), "shifts is 0"),
        (lambda sets: nb.imitate(loaded(sets), "z", codes=0), "codes is 0"),
    ],
)
def test_mistakes_are_told_in_one_sentence(sets, call, message):
    with pytest.raises(NavbenchError, match=message):
        call(sets)


def test_an_unknown_table_is_refused_with_the_nearest(finished):
    with pytest.raises(NavbenchError, match="did you mean 'curves'"):
        _ = nb.open_run(finished.folder)["curve"]


def test_a_run_is_run_and_opened(tmp_path, sets):
    place = tmp_path / "tiny.toml"
    place.write_text(toy.TINY)
    made = nb.run(str(place), tmp_path / "run", folder=sets, experiments=["strips"])
    assert len(made["directions"]) == 4
    assert made.report.is_file()
