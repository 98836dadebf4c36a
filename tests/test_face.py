"""The public face: what a notebook gets is what a run measures."""

import base64
import dataclasses
import doctest
import html
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import navbench as nb
from navbench import display, face, measures, runs
from navbench.errors import NavbenchError

sys.path.insert(0, str(Path(__file__).parent / "runner"))
import toy

ROOT = Path(__file__).parent.parent
NAME = "toy.make/svd/up/0"


def loaded(sets):
    return nb.load_direction(NAME, generator="toy:make", folder=sets)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return toy.write_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sets):
    """A run without `ends`, so that the first directions of each set are its leading ones."""
    others = [name for name in toy.tiny().experiments if name != "ends"]
    return toy.execute(tmp_path_factory.mktemp("runs") / "finished", toy.tiny(experiments=others), sets)


@pytest.fixture
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


@pytest.mark.parametrize("module", [face, measures, runs])
def test_the_examples_of_the_docstrings_run(module, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "smoke").symlink_to(ROOT / "reports" / "smoke")
    monkeypatch.chdir(tmp_path)
    assert not doctest.testmod(module, extraglobs={"nb": nb}).failed


def test_every_public_function_has_an_example():
    assert [name for name in nb.__all__ if name[0].islower() and ">>> " not in getattr(nb, name).__doc__] == []


def curve_like(suite, sets, **values):
    """The curve of `NAME` by the face, of the sizes of a suite and in its batches."""
    sizes = suite.curves
    direction = nb.load_direction(NAME, generator="toy:make", folder=sets, batch=suite.batch)
    return nb.curve(
        direction,
        shifts=sizes.shifts,
        samples=sizes.samples,
        effect_samples=sizes.effect_samples,
        reference_samples=sizes.reference_samples,
        extractor=sizes.extractor,
        **values,
    )


def assert_is_of_a_run(frame, folder):
    """Every column of a run's table of curves, to the last digit that is written."""
    rows = nb.open_run(folder)["curves"]
    rows = rows[rows["name"] == NAME]
    assert len(rows) == len(frame) == 6
    for name in rows:
        if pd.api.types.is_numeric_dtype(rows[name]):
            assert [f"{x:.8g}" for x in frame[name]] == [f"{x:.8g}" for x in rows[name]], name
        else:
            assert list(frame[name]) == list(rows[name]), name


def test_a_curve_is_that_of_a_run(tmp_path, sets):
    suite = toy.tiny(experiments=["curves"], curves={"shard": 16, "reference_samples": 30})
    run = toy.execute(tmp_path, suite, sets)
    frame = curve_like(suite, sets)
    assert_is_of_a_run(frame, run.folder)
    assert set(frame["n_reference"]) == {30}
    assert nb.plot_curve(frame)._repr_png_().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of 24 images at twice the generator's size."""
    folder = tmp_path_factory.mktemp("images")
    drawn = torch.randint(0, 256, (24, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for index, image in enumerate(drawn):
        toy.picture(image).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory, images):
    """The same in a zip."""
    return Path(shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "images"), "zip", images))


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    """A mean and a covariance of features."""
    path = tmp_path_factory.mktemp("statistics") / "known.npz"
    np.savez(path, mu=np.arange(6.0), sigma=np.diag(np.arange(1.0, 7.0)))
    return path


@pytest.mark.parametrize(
    ("kind", "resize", "n"), [("images", "lanczos", 24), ("archive", "box", 24), ("statistics", "", float("nan"))]
)
def test_a_curve_against_another_reference_is_that_of_a_run(kind, resize, n, request, tmp_path, sets):
    source = {"reference": str(request.getfixturevalue(kind)), "resize": resize}
    subject = toy.tiny().generators[0].model_dump() | source
    suite = toy.tiny(generators=[subject], experiments=["curves"], curves={"shard": 16})
    run = toy.execute(tmp_path, suite, sets)
    frame = curve_like(suite, sets, **source)
    assert_is_of_a_run(frame, run.folder)
    np.testing.assert_equal(frame["n_reference"].to_numpy(), np.full(len(frame), n))
    assert nb.plot_curve(frame).axes


def test_a_curve_against_an_installed_distribution_is_that_of_the_committed_run():
    sizes = {"shifts": 3, "samples": 32, "effect_samples": 8}
    rows = nb.open_run(ROOT / "reports" / "smoke")["curves"]
    rows = rows[(rows["generator"] == "cars") & (rows["method"] == "spectrum")]
    extractor = rows["extractor"].iloc[0]
    name = rows["name"].iloc[0]
    frame = nb.curve(nb.load_direction(name), reference="renderings", extractor=extractor, **sizes)
    for column in ("t", "effect", "value", "stderr", "n_reference"):
        np.testing.assert_allclose(frame[column], rows[column], rtol=5e-3, atol=1e-4, err_msg=column)
    assert list(frame["reference"]) == list(rows["reference"]) == ["renderings"] * 6


def test_a_heatmap_is_that_of_a_run(direction, finished):
    sizes = toy.tiny().locality
    found = nb.heatmap(direction, samples=sizes.samples, shifts=sizes.shifts)
    rows = nb.open_run(finished.folder)["locality"]
    rows = rows[rows["name"] == NAME].set_index("metric")
    assert set(found.numbers) == set(rows.index)
    for name, (value, stderr) in found.numbers.items():
        assert (value, stderr) == pytest.approx((rows.loc[name, "value"], rows.loc[name, "stderr"]), rel=1e-5)
    assert found._repr_png_().startswith(b"\x89PNG")
    area50, stderr = found.numbers["area50"]
    assert repr(found).startswith("Heatmap(24x24, ")
    assert f"area50 {area50:.3g} ± {stderr:.2g}" in repr(found)


def test_an_imitation_is_that_of_a_run(direction, finished):
    sizes = toy.tiny().reproduction
    found = nb.imitate(direction, "z", codes=sizes.codes, held_out=sizes.held_out, steps=sizes.steps)
    rows = nb.open_run(finished.folder)["reproduction"]
    row = rows[(rows["name"] == NAME) & (rows["target"] == "z")].iloc[0]
    assert (found["unexplained_fraction"], found["n"]) == pytest.approx(
        (row["unexplained_fraction"], row["n"]), rel=1e-4
    )


def test_a_strip_shows_the_edits_of_its_codes(direction):
    made = nb.strip(direction, shifts=3, codes=2)
    assert made.size == (3 * 24, 2 * 24)
    middle = nb.edit(direction, 0.0, codes=range(2))
    assert middle.shape == (2, 3, 24, 24)
    torch.testing.assert_close(middle, direction.space.generator(direction.space.generator.sample(range(2), 0)))


def test_a_set_is_loaded_whole(direction, sets):
    loaded = nb.load_directions("toy.make/svd/up", generator=direction.space.generator, folder=sets)
    torch.testing.assert_close(loaded[0].offset, direction.direction.offset)
    assert len(loaded) == 2


def test_a_direction_that_was_found_is_bound_to_its_generator():
    generator = nb.load_generator("toy:make")
    found = nb.discover(generator, "svd", layer="up", directions=2, effect=0.01, effect_codes=2)
    bound = nb.bind(found[1], generator)
    assert (repr(found), bound.direction.index) == ("DirectionSet(toy.make/svd/up, 2 directions)", 1)
    assert nb.strip(bound, shifts=3, codes=1).size == (72, 24)


def test_an_animation_is_that_of_a_run(finished, direction, tmp_path):
    shown = finished.manifest.facts["shown_codes"]["toy.make"]
    made = nb.animation(direction, shifts=3, codes=shown)
    assert (repr(made), len(made.frames)) == ("Animation(4 frames, 96x44)", 4)
    made.save(tmp_path / "loop.webp")
    (file,) = (name for name in nb.open_run(finished.folder).pictures("animation") if "svd-up-0" in name)
    assert (tmp_path / "loop.webp").read_bytes() == (finished.folder / file).read_bytes()
    made.save(tmp_path / "loop.gif")
    with Image.open(tmp_path / "loop.gif") as image:
        assert (image.n_frames, image.info["loop"], image.info["duration"]) == (4, 0, 160)
    assert made._repr_html_().startswith('<img src="data:image/webp;base64,')


def test_a_direction_shows_its_strip_its_numbers_and_the_curve_that_was_measured_last(sets):
    direction = loaded(sets)
    shown = direction._repr_html_()
    assert len(repr(direction)) < 200
    assert NAME in shown
    assert f"{direction.direction.t_min:.3g} to {direction.direction.t_max:.3g}" in shown
    assert (shown.count("data:image/webp"), shown.count("data:image/png")) == (1, 0)
    frame = nb.curve(direction, shifts=3, samples=4, effect_samples=2, extractor="toy-pixels")
    assert direction.measured is frame
    assert direction._repr_html_().count("data:image/png") == 1


def test_a_direction_shows_one_code_where_images_are_large(direction, monkeypatch):
    monkeypatch.setattr(type(direction.space.generator), "size", (512, 512))
    assert direction._strip.size == (5 * 24, 24)


def cells(shown):
    """The cells of a table, row by row."""
    rows = re.findall(r"<tr.*?</tr>", shown, re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)] for row in rows]


def test_a_set_is_short_and_shows_the_range_label_and_scores_of_each_direction():
    found = nb.discover(nb.load_generator("toy:make"), "svd", layer="up", directions=2, effect=0.01, effect_codes=2)
    shown = dataclasses.replace(found, labels=("<b>big</b>", "small"))._repr_html_()
    assert repr(found) == "DirectionSet(toy.make/svd/up, 2 directions)"
    assert "<b>big" not in shown
    table = pd.DataFrame(cells(shown)[1:], columns=["", *cells(shown)[0][1:]])
    assert list(table["label"]) == ["<b>big</b>", "small"]
    np.testing.assert_allclose(table["t_min"].astype(float), found.t_min, rtol=0.01)
    np.testing.assert_allclose(table["t_max"].astype(float), found.t_max, rtol=0.01)
    np.testing.assert_allclose(table["singular_value"].astype(float), found.scores["singular_value"], rtol=0.01)


def test_a_wide_picture_is_shown_reduced():
    shown = display.picture(Image.new("RGB", (1800, 100)), 'a "wide" one')
    assert shown.endswith('alt="a &quot;wide&quot; one">')
    content = base64.b64decode(shown.partition("base64,")[2].partition('"')[0])
    assert Image.open(io.BytesIO(content)).size == (900, 50)


def test_what_is_shown_is_escaped(direction, finished, tmp_path):
    label = "<script>alert(1)</script>"
    named = nb.bind(dataclasses.replace(direction.direction, label=label), direction.space.generator)
    folder = tmp_path / "<img src=x>"
    shutil.copytree(finished.folder, folder)
    assert "<script" not in named._repr_html_()
    assert "<img src=x" not in nb.open_run(folder)._repr_html_()


def test_a_run_is_short_and_shows_its_tables_its_strips_and_its_report(finished, tmp_path):
    run = nb.open_run(finished.folder)
    assert len(repr(run)) < 200
    shown = run._repr_html_()
    assert ["curves", f"{len(run['curves'])} rows"] in cells(shown)
    assert shown.count("data:image/webp") == len(run.pictures()) == 4
    assert "navbench report" in shown
    assert isinstance(run["methods"], pd.DataFrame)


def test_a_run_without_its_pictures_is_shown_without_them():
    run = nb.open_run(ROOT / "reports" / "smoke")
    assert len(run["images"]) > 0
    assert run.pictures() == {}
    assert "<img" not in run._repr_html_()


def test_a_picture_outside_of_the_run_is_refused(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.folder, folder)
    shutil.copy(next((folder / "strips").glob("*.webp")), tmp_path / "other.webp")
    path = folder / "tables" / "images.csv"
    rows = pd.read_csv(path)
    rows.loc[rows["kind"] == "strip", "file"] = "../other.webp"
    rows.to_csv(path, index=False)
    with pytest.raises(NavbenchError, match="not of this run"):
        nb.open_run(folder).pictures()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda sets: nb.load_direction("faces/svd/nowhere/0"), "Unknown direction"),
        (lambda sets: nb.load_direction(NAME, folder=sets), "not installed; name it"),
        (lambda sets: nb.load_directions("faces/svd/main.5"), "Unknown direction set 'faces/svd/main.5'"),
        (lambda sets: nb.open_run(sets), "not a run folder"),
        (lambda sets: nb.discover(nb.load_generator("toy:make"), "svd"), "name one of the two"),
        (lambda sets: nb.discover(nb.load_generator("toy:make"), "svd", layer="up", nope=1), "nope of discover"),
        (lambda sets: nb.strip(loaded(sets), codes=0), "codes is 0; it must be at least 1"),
        (lambda sets: nb.heatmap(loaded(sets), samples=0), "samples is 0; it must be at least 2"),
        (lambda sets: nb.heatmap(loaded(sets), shifts=0), "shifts is 0"),
        (lambda sets: nb.imitate(loaded(sets), "z", codes=0), "codes is 0"),
        (lambda sets: nb.animation(loaded(sets), codes=0), "codes is 0"),
        (lambda sets: nb.animation(loaded(sets), shifts=3, codes=1).save("a.png"), r"as \.webp or \.gif"),
        (lambda sets: nb.animation(loaded(sets), shifts=3, codes=1).save("nowhere/a.gif"), "cannot be written"),
        (lambda sets: nb.curve(loaded(sets), samples=4, reference="nowhere"), "neither 'unshifted' nor a folder"),
        (lambda sets: nb.curve(loaded(sets), samples=4, reference="no.npz"), "There is no file no.npz"),
        (lambda sets: nb.curve(loaded(sets), samples=4, reference=str(sets), resize="area"), "Unknown resampling"),
        (lambda sets: nb.curve(loaded(sets), samples=4, reference=str(sets)), "holds 0 images"),
    ],
)
def test_mistakes_are_told_in_one_sentence(sets, call, message):
    with pytest.raises(NavbenchError, match=message):
        call(sets)


def test_a_reference_that_does_not_fit_is_told_in_one_sentence(direction, images, statistics):
    with pytest.raises(NavbenchError, match="48x48, but the generator makes 24x24"):
        nb.curve(direction, samples=4, extractor="toy-pixels", reference=str(images))
    with pytest.raises(NavbenchError, match="features of 6 dimensions, but efficientnet-lite0 gives 1280"):
        nb.curve(direction, samples=4, reference=str(statistics))


def test_an_unknown_table_is_refused_with_the_nearest(finished):
    with pytest.raises(NavbenchError, match="did you mean 'curves'"):
        _ = nb.open_run(finished.folder)["curve"]


def test_a_run_is_run_and_opened(tmp_path, sets):
    place = tmp_path / "tiny.toml"
    place.write_text(toy.TINY)
    made = nb.run(str(place), tmp_path / "run", folder=sets, experiments=["strips"])
    assert len(made["directions"]) == 4
    assert made.report.is_file()
