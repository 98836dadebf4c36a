"""What the page says of the instrument, and what it leaves out if the instrument fails."""

import pandas as pd
import pytest

from navbench.report import answer, instrument, methods
from navbench.report.blocks import Chart, Details, Words
from navbench.report.instrument import headline_tables, refusals, trusted, verdict_sentences
from navbench.report.page import Page
from navbench.report.sections import SECTIONS
from navbench.report.tables import load_run

REASONS = ("precision of unshifted images is 0, below 0.05", "FD falls under more blur (from 127 to 114)")


def rows(generator, failing=()):
    """The checks of a generator: two floors, one damage, the overlap; each failing reason fails a row of its own."""
    bare = {
        "generator": generator, "extractor": "efficientnet-lite0", "reference": "renderings", "n": 128,
        "n_reference": 128, "resolution": 64, "stderr": 0.1, "unit": "", "strength": 0.0, "passed": True, "reason": "",
    }  # fmt: skip
    floors = [
        {"check": check, "metric": metric, "value": value}
        for check in ("generator against itself", "halves of the reference")
        for metric, value in (("FD", 2.0), ("KID", 0.001))
    ]
    damage = [
        {"check": kind, "metric": metric, "strength": strength, "unit": "px", "value": value * top / 20}
        for kind, top in (("blur", 20), ("grain", 40))
        for metric, values in (("FD", (3.0, 9.0, 20.0)), ("KID", (0.0, 0.01, 0.1)))
        for strength, value in zip((0.0, 1.0, 2.0), values, strict=True)
    ]
    overlap = [
        {"check": "unshifted against the reference", "metric": metric, "value": value}
        for metric, value in (("precision", 0.93), ("recall", 0.91))
    ]
    every = [bare | row for row in (*floors, *damage, *overlap)]
    for row, reason in zip(reversed(every), failing, strict=False):
        row |= {"passed": False, "reason": reason}
    return every


@pytest.fixture
def told(make_builder, tmp_path):
    """A function from rows of the table, of a run on `faces` and `cars`, to the tables."""
    run = make_builder().add_cars().add_limits().write(tmp_path / "run")
    tables = load_run(run)
    frame = tables.instrument

    def tell(*checks):
        every = [row for rows_of in checks for row in rows_of]
        return tables.with_tables(instrument=pd.DataFrame(every) if every else frame)

    return tell


def opening(tables):
    """The lead of the comparison of methods, and the words that are folded below it."""
    blocks = list(methods.blocks(Page(tables)))
    (lead,) = [block.text for block in blocks if isinstance(block, Words)]
    folded = [block for outer in blocks if isinstance(outer, Details) for block in outer.blocks]
    return lead, " ".join(block.text for block in folded if isinstance(block, Words))


def answered(tables):
    """The sentences of the answer, one per generator."""
    return [block.text for block in answer.blocks(Page(tables)) if isinstance(block, Words) and block.look == "lead"]


def test_an_instrument_that_passes_is_told_in_figures_before_the_results(told):
    tables = told(rows("faces"), rows("cars"))
    assert next(iter(verdict_sentences(tables))) == (
        "The instrument passes on faces (efficientnet-lite0 against renderings, n = 128): every damage raises FD and "
        "KID steadily, at its strongest to 10 to 20 times the floor in FD; at t = 0, precision is 0.93 and recall is "
        "0.91."
    )
    assert not list(refusals(tables))


def test_the_section_stands_before_the_results_with_a_figure_per_generator(told):
    names = [section.anchor for section in SECTIONS]
    assert names.index("instrument") < names.index("realism")
    tables = told(rows("faces"), rows("cars", REASONS))
    shown = list(instrument.blocks(Page(tables)))
    charts = [block for block in shown if isinstance(block, Chart)]
    assert len(charts) == 2
    assert "at the strongest, FD under blur 20.0, KID under blur 0.100, FD under grain 40.0" in charts[0].picture.alt
    assert (tables.run / "figures" / "instrument-cars.svg").exists()
    assert isinstance(shown[-1], Details)


def test_an_instrument_that_fails_is_refused_in_the_answer_with_the_reason(told):
    tables = told(rows("faces"), rows("cars", REASONS))
    (sentence,) = refusals(tables)
    assert sentence == (
        "The instrument fails on cars (efficientnet-lite0 against renderings, n = 128): FD falls under more blur (from "
        "127 to 114); precision of unshifted images is 0, below 0.05. No headline is written of the realism of its "
        "edits."
    )
    assert sentence in opening(tables)[0]
    of_faces, of_cars = answered(tables)
    assert of_cars == sentence
    assert "Use" in of_faces or "use" in of_faces
    assert "cars/" not in of_faces
    assert [trusted(tables, name) for name in ("faces", "cars")] == [True, False]


def test_headlines_of_a_generator_stand_and_fall_with_its_instrument(told):
    unchecked, trusting = opening(told()), opening(told(rows("faces"), rows("cars")))
    doubting = opening(told(rows("faces"), rows("cars", REASONS[:1])))
    assert "layer convs.3 of cars" in unchecked[0]
    words = " The instrument was not checked on faces and cars, so its numbers are no better than it is."
    assert words in unchecked[0]
    assert trusting == (unchecked[0].replace(words, ""), unchecked[1])
    assert "of cars" not in doubting[0]
    assert "layer main.6 of faces" in doubting[0]
    claim = "loses realism faster"
    assert (claim in trusting[1], claim in doubting[1]) == (True, False)


def test_where_every_instrument_fails_only_that_is_told(told):
    tables = told(rows("faces", REASONS[:1]), rows("cars", REASONS[:1]))
    assert answered(tables) == list(refusals(tables))
    lead, _ = opening(tables)
    assert lead.count("The instrument fails on") == 2
    assert "realism best" not in lead
    assert "has not measured realism" not in lead
    assert "Unshifted images score" not in lead


def test_many_reasons_are_counted(told):
    tables = told(rows("cars", [f"reason {index}" for index in range(5)]))
    assert "reason 4; reason 3; reason 2; and 2 more." in next(iter(refusals(tables)))


def test_a_run_without_checks_has_no_such_section(told):
    tables = told()
    assert not list(instrument.blocks(Page(tables)))
    assert trusted(tables, "cars")


def test_tables_of_headlines_lack_the_distances_of_failing_instruments_alone(told):
    tables = told(rows("faces"), rows("cars", REASONS[:1]))
    methods = headline_tables(tables).methods.set_index("generator")
    assert methods.loc["cars", ["fd_mean", "kid_mean"]].isna().all(axis=None)
    assert methods.loc["faces", "fd_mean"].notna().all()
    pd.testing.assert_series_equal(methods["area50_mean"], tables.methods.set_index("generator")["area50_mean"])
