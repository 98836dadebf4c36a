"""The matrices of overlaps on the page."""

import pandas as pd

from navbench.report.html import write_report
from navbench.report.layers import overlap_matrices
from navbench.report.tables import load_run


def test_a_matrix_reads_from_row_to_column(make_builder, tmp_path):
    run = make_builder().write(tmp_path / "run")
    rows = [
        {"generator": "faces", "layer": "main.6", "space": "parameter", "method": method, "other": other,
         "share": share, "chance": 0.001, "rank": 2, "other_rank": 4, "largest_cosine": 0.9}
        for method, other, share in (("svd", "hybrid", 0.75), ("hybrid", "svd", 0.375))
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(run / "tables" / "overlap.csv", index=False)
    (table,) = overlap_matrices(load_run(run))
    assert table.heads == ("Method", "svd", "hybrid")
    assert [[cell.text for cell in row] for row in table.rows] == [["svd", "·", "0.75"], ["hybrid", "0.38", "·"]]
    assert "Layer main.6: the share of a row's span" in table.caption
    page = write_report(run).read_text(encoding="utf-8")
    assert "Do the methods find the same?" in page


def test_a_run_of_one_method_has_no_matrix(make_builder, tmp_path):
    run = make_builder().write(tmp_path / "run")
    assert list(overlap_matrices(load_run(run))) == []
    assert "Do the methods find the same?" not in write_report(run).read_text(encoding="utf-8")
