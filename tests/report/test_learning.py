"""What the report says of learned sets: whether they have converged, and what shows it."""

import json
from html import unescape

import pandas as pd
import pytest

from navbench.report import methods as answer
from navbench.report.html import write_report
from navbench.report.tables import load_run

PROVENANCE = {
    "losses": [0.9, 0.5, 0.3, 0.2, 0.1, 0.06, 0.042, 0.0412],
    "control_loss": 0.0881,
    "accuracy": 0.987,
    "fresh_accuracy": 0.981,
    "control_accuracy": 0.954,
    "cosine_to_start": 0.586,
    "overlap": 0.0123,
    "recognition": {"learned": 0.813, "start": 0.611, "basis": 0.744, "random in basis": 0.557},
}


@pytest.fixture
def run(make_builder, tmp_path):
    return make_builder().write(tmp_path / "run")


def with_status(run, status, method="hybrid"):
    """The run whose sets of a method have a status."""
    path = run / "tables" / "methods.csv"
    table = pd.read_csv(path)
    table["status"] = ""
    table.loc[table["method"] == method, "status"] = status
    table.to_csv(path, index=False)
    return run


def with_provenance(run, **provenance):
    manifest = json.loads((run / "manifest.json").read_text())
    for entry in manifest["direction_sets"]:
        if "hybrid" in entry["set_id"]:
            entry["provenance"] |= provenance
    (run / "manifest.json").write_text(json.dumps(manifest))
    return run


def test_sentences_leave_out_a_set_that_has_not_converged(run):
    tables = load_run(with_status(run, "not converged"))
    assert "hybrid" in " ".join(answer.realism_sentences(tables))
    assert "hybrid" not in " ".join(answer.realism_sentences(tables.converged))
    assert set(tables.methods["method"]) - set(tables.converged.methods["method"]) == {"hybrid"}
    assert "hybrid" not in set(tables.converged.directions["method"])


@pytest.mark.parametrize("status", ["converged", ""])
def test_sentences_keep_every_other_set(run, status):
    tables = load_run(with_status(run, status))
    for name, frame in tables.frames.items():
        assert len(tables.converged.frames[name]) == len(frame)


def test_a_comparison_is_left_out_if_either_side_has_not_converged(make_builder, tmp_path):
    tables = load_run(make_builder().add_cars().write(tmp_path / "run"))
    assert {"hybrid"} < {*tables.claims["against"].dropna(), *tables.claims["method"]}
    methods = tables.methods.assign(status="").astype({"status": object})
    methods.loc[methods["method"] == "hybrid", "status"] = "not converged"
    claims = tables.with_tables(methods=methods).converged.claims
    assert len(claims) == len(tables.claims) - 2
    assert "hybrid" not in {*claims["against"].dropna(), *claims["method"]}


def test_the_page_names_the_sets_that_it_leaves_out(run):
    page = write_report(with_status(run, "not converged")).read_text(encoding="utf-8")
    assert "The learning of faces/hybrid/main.6" in page
    assert "has not converged" in page


def test_the_page_says_nothing_of_it_if_all_have_converged(run):
    assert "has not converged" not in write_report(with_status(run, "converged")).read_text(encoding="utf-8")


def test_the_provenance_of_a_learned_set_shows_what_its_convergence_rests_on(run):
    run = with_provenance(run, **PROVENANCE, status="not converged", failed=["The loss still fell by 20%."])
    page = unescape(write_report(run).read_text(encoding="utf-8"))
    for shown in ("0.0412", "0.0881", "0.987", "0.981", "0.954", "0.586", "0.0123", "0.813", "0.611", "0.744", "0.557"):
        assert shown in page
    assert "not converged. The loss still fell by 20%." in page


def test_sets_that_learned_nothing_have_no_table_of_learning(run):
    assert "Learned sets." not in write_report(run).read_text(encoding="utf-8")
