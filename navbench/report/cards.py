"""Each direction: its strip, its numbers, its curve, where it changes images, and its imitations."""

from collections.abc import Iterator

from navbench.declared.shared import IMITATORS
from navbench.report.blocks import Block, Card, Chart, Details, Figure, Heading, Terms, Words
from navbench.report.charts import direction_curve, make_chart
from navbench.report.drawing import colour
from navbench.report.numbers import NOTHING, capital, metric_name, setting, significant
from navbench.report.page import Page
from navbench.report.realism import ends
from navbench.report.tables import RunTables
from navbench.report.views import Row, anchor, automatic_label, estimate, metric_names


def blocks(page: Page) -> Iterator[Block]:
    """A card per measured direction, by layer or latent space."""
    tables, curves = page.tables, _curves(page.tables)
    measured = tables.measured
    several = measured["generator"].nunique() > 1
    if page.frugal:
        yield Words(
            "To keep this page light, its strips are compressed harder than the files in the folder strips of this "
            "run, which holds the animations as well.",
            "note",
        )
    groups: dict[str, list[Row]] = {}
    for row in measured.to_dict("records"):
        title = capital(row["place"]) + (f" of {row['generator']}" if several else "")
        groups.setdefault(title, []).append(row)
    for title, rows in groups.items():
        yield Heading(title, "group")
        yield from (_card(page, row, curves.get(row["name"])) for row in rows)


def _card(page: Page, row: Row, curve: Chart | None) -> Card:
    name, heatmap = row["name"], page.heatmaps.get(row["name"])
    below: list[Block] = []
    if curve:
        below.append(Figure((curve.picture,), f"{curve.caption} Band: ± 1.96 standard errors.", "curve"))
    if heatmap:
        below.append(Figure((heatmap.own,), "Mean squared change, on this direction’s own scale.", "heat", heatmap.top))
    if heatmap and heatmap.examples:
        caption = "Single images: unshifted, at t max, and the squared change averaged over t."
        below.append(Figure(heatmap.examples, caption, "examples"))
    own = page.tables.measured[page.tables.measured["name"] == name]
    measured_with = f"; {setting(own)}" if own["n"].notna().any() else ""
    numbers = Terms(_numbers(row), "terms numbers"), Words(f"± one standard error{measured_with}.", "note")
    strips = page.sheets("strip", name)
    animations = () if page.frugal else page.sheets("animation", name)
    return Card(
        anchor=anchor(name),
        title=name,
        colour=colour(row["method"]),
        label=row["label"],
        automatic=automatic_label(row),
        beside=(strips, numbers) if strips else (numbers,),
        below=(*below, *page.sheets("reproduction", name)),
        more=(Details("Animation", animations),),
    )


def _curves(tables: RunTables) -> dict[str, Chart]:
    """The Fréchet distance of each direction against t, by name."""
    charts = {}
    curves = tables.curves[tables.curves["value"].notna() & tables.curves["metric"].isin(["FD", "FID"])]
    for name, rows in curves.groupby("name", sort=False):
        rows = rows[rows["extractor"] == rows["extractor"].iloc[0]]
        metric, _ = metric_names(rows)
        words, caption = f"{metric} of {name} against t: {ends(rows)}.", f"{metric}; {setting(rows)}."
        figure = direction_curve(rows)
        charts[str(name)] = make_chart(tables.run, f"curve-{anchor(str(name))}", figure, words, caption)
    return charts


def _numbers(row: Row) -> list[tuple[str, str]]:
    """The summary numbers of one direction, as terms and values."""
    fd, kid = (metric_name(metric, row["extractor"]) for metric in (row["metric"] or "FD", "KID"))
    terms = [
        ("Range of t", f"{significant(row['t_min'])} to {significant(row['t_max'])}"),
        ("Effect at t min", estimate(row, "effect_min")),
        ("Effect at t max", estimate(row, "effect_max")),
        (f"{fd} at t min", estimate(row, "fd_at_min")),
        (f"{fd} at t = 0", estimate(row, "fd_floor")),
        (f"{fd} at t max", estimate(row, "fd_at_max")),
        (f"{kid} at t min", estimate(row, "kid_at_min")),
        (f"{kid} at t = 0", estimate(row, "kid_floor")),
        (f"{kid} at t max", estimate(row, "kid_at_max")),
        ("area50", estimate(row, "area50")),
        ("area90", estimate(row, "area90")),
        ("Participation", estimate(row, "participation")),
        ("Area by entropy", estimate(row, "entropy_area")),
        ("Mean squared change", estimate(row, "mean_change")),
        ("Verdict", row["verdict"] or NOTHING),
        ("Attribute", row["attribute"] or NOTHING),
        ("Its change from end to end", estimate(row, "attribute_change")),
        ("Its share of all changes", significant(row["attribute_share"])),
        ("Monotonicity", significant(row["monotonicity"])),
        ("Attribute dependency", significant(row["attribute_dependency"])),
        *((f"Unexplained fraction, best {kind}", estimate(row, f"unexplained_fraction_{kind}")) for kind in IMITATORS),
        ("Rayleigh quotient", significant(row["rayleigh"])),
        ("Solver residual", significant(row["solver_residual"])),
        ("Singular value", significant(row["singular_value"])),
        ("Reconstructor accuracy", significant(row["accuracy"])),
    ]
    return [(term, value) for term, value in terms if value != NOTHING]
