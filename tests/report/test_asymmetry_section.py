"""What the page says of the two ends of each direction."""

import pandas as pd
import pytest

from navbench.report.html import write_report
from navbench.report.realism import asymmetry_sentences
from navbench.report.tables import load_run


def row(index, costlier="", rarer="", effects=(0.1, 0.1), difference=3.0):
    return {
        "generator": "faces", "method": "svd", "layer": "main.6", "space": "parameter", "direction": index,
        "name": f"faces/svd/main.6/{index}", "label": "", "metric": "FD", "extractor": "efficientnet-lite0",
        "reference": "photos", "n": 2000, "effect_min": effects[0], "effect_max": effects[1], "value_min": 20.0,
        "value_max": 20 + difference, "difference": difference, "stderr": 0.5, "costlier_end": costlier,
        "attribute": "smile" if rarer else "", "fraction_beyond_min": 0.25 if rarer else None,
        "fraction_beyond_min_stderr": 0.02 if rarer else None, "fraction_beyond_max": 0.01 if rarer else None,
        "fraction_beyond_max_stderr": 0.01 if rarer else None, "rarer_end": rarer,
    }  # fmt: skip


@pytest.fixture
def told(make_builder, tmp_path):
    """A function from rows to the sentences and the page."""

    def tell(*rows):
        run = make_builder().write(tmp_path / "run")
        pd.DataFrame(rows).to_csv(run / "tables" / "asymmetry.csv", index=False)
        return asymmetry_sentences(load_run(run)), write_report(run).read_text(encoding="utf-8")

    return tell


def test_directions_are_counted_whose_dearer_end_is_the_rarer(told):
    sentences, page = told(
        row(0, "t_max", "t_max"), row(1, "t_min", "t_max"), row(2, "t_max"), row(3), row(4, "t_min", effects=(0.1, 0.2))
    )
    (sentence,) = sentences
    assert sentence.startswith("Of 4 directions whose ends have the same effect within 10%, 3 cost more realism at one")
    assert "1 more have ends of unequal effects." in sentence
    assert "Of 2 of them, the reference has fewer images beyond one end than beyond the other, and that end" in sentence
    assert "is the costlier in 1;" in sentence
    assert sentence.replace("'", "&#39;") in page
    assert "Share of the reference beyond it" in page


def test_without_images_in_the_reference_nothing_is_explained(told):
    (sentence,), page = told(row(0, "t_max"), row(1))
    assert "the reference has" not in sentence
    assert "Share of the reference beyond it" not in page


def test_a_run_without_curves_says_nothing_of_ends(make_builder, tmp_path):
    page = write_report(make_builder().write(tmp_path / "run")).read_text(encoding="utf-8")
    assert "Which end costs more" not in page
