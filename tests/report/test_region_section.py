"""The table of regions on the page."""

import pandas as pd

from navbench.report.html import write_report
from navbench.report.locality import region_tables
from navbench.report.tables import load_run


def row(index, region, share, area):
    return {
        "generator": "faces", "method": "svd", "layer": "main.6", "space": "parameter", "direction": index,
        "name": f"faces/svd/main.6/{index}", "label": "", "region": region, "share": share, "share_stderr": 0.01,
        "area": area, "area_stderr": 0.001, "segmentation": "parts", "n": 48,
    }  # fmt: skip


def test_a_direction_is_a_row_and_a_region_a_column(make_builder, tmp_path):
    run = make_builder().write(tmp_path / "run")
    rows = [row(0, "hair", 0.75, 0.2), row(0, "skin", 0.25, 0.3), row(1, "hair", 0.1, 0.2), row(1, "skin", 0.9, 0.3)]
    pd.DataFrame(rows).to_csv(run / "tables" / "regions.csv", index=False)
    (table,) = region_tables(load_run(run))
    assert table.heads[-2:] == ("hair", "skin")
    assert [[cell.sort for cell in row[-2:]] for row in table.rows] == [[0.75, 0.25], [0.1, 0.9]]
    assert "the parts take hair 0.20 and skin 0.30" in table.caption
    assert "0.750" in write_report(run).read_text(encoding="utf-8")


def test_without_a_segmentation_there_is_no_table(make_builder, tmp_path):
    assert list(region_tables(load_run(make_builder().write(tmp_path / "run")))) == []
