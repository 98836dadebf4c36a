"""What the page says of precision, recall, density and coverage."""

import pandas as pd
import pytest

from navbench.report.html import write_report

ZERO = "all four are 0 at every shift"


@pytest.fixture
def page(make_builder, tmp_path):
    """A function from the values of a table at three shifts to the page."""

    def write(**values):
        run = make_builder().write(tmp_path / "run")
        rows = [
            {"generator": name, "method": "svd", "layer": "main.6", "space": "parameter", "direction": 0,
             "name": f"{name}/svd/main.6/0", "label": "", "t": t, "effect": abs(t) / 10, "distance": "d",
             "metric": metric, "extractor": "efficientnet-lite0", "reference": "photos", "n": 200,
             "n_reference": 200, "neighbours": 3, "value": value, "stderr": 0.02}
            for name, along in values.items()
            for metric in ("precision", "recall")
            for t, value in zip((-1.0, 0.0, 1.0), along, strict=True)
        ]  # fmt: skip
        pd.DataFrame(rows).to_csv(run / "tables" / "prdc.csv", index=False)
        return write_report(run).read_text(encoding="utf-8")

    return write


def test_each_share_has_a_plot_against_the_effect(page):
    text = page(faces=(0.4, 0.7, 0.5))
    assert "precision (efficientnet-lite0) against effect" in text
    assert "recall (efficientnet-lite0) against effect" in text
    assert "nearest neighbours, here 3: as their authors have it" in text
    assert ZERO not in text


def test_where_all_are_zero_that_is_said_and_not_plotted(page):
    text = page(faces=(0.0, 0.0, 0.0))
    assert f"Of faces {ZERO}" in text
    assert "precision (efficientnet-lite0) against effect" not in text


def test_where_a_reference_gives_none_nothing_is_said(page):
    text = page(faces=(None, None, None))
    assert ZERO not in text
    assert "What is lost" not in text
