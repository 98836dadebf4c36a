"""What a network that reads attributes says of the directions: sentences, and the tables of that section."""

from collections.abc import Iterator

import pandas as pd

from navbench.report import views
from navbench.report.claims import matched_ends, with_unit
from navbench.report.drawing import known_first
from navbench.report.numbers import listed, plain, with_stderr
from navbench.report.tables import RunTables
from navbench.report.views import Cell, Column, Row, Table, make_table, measured, number, whole, word

_MOST_NAMED = 4


def found_sentences(tables: RunTables) -> list[str]:
    """Per generator, of how many attributes a direction was found without a human, by which methods."""
    told = []
    for generator, names in _attributes(tables):
        found = tables.found[tables.found["generator"] == generator]
        of = f" of {generator}" if tables.several_generators else ""
        missing = [name for name in names if name not in set(found["attribute"])]
        told.append(
            f"Directions{of} that change one attribute and leave the others alone were found, without a human, for "
            f"{len(names) - len(missing)} of {len(names)} attributes" + _by_method(tables, generator, found) + "."
        )
        if 0 < len(missing) <= _MOST_NAMED:
            told.append(f"No method found one for {listed(missing)}.")
    return [plain(words) for words in told]


def _by_method(tables: RunTables, generator: str, found: pd.DataFrame) -> str:
    counts = found.groupby("method")["attribute"].nunique()
    counts = counts.reindex(_methods(tables, generator), fill_value=0).sort_values(ascending=False, kind="stable")
    return f" ({', '.join(f'{method} {count}' for method, count in counts.items())})" if len(counts) else ""


def _attributes(tables: RunTables) -> Iterator[tuple[str, list[str]]]:
    """Per generator that was looked at, its attributes in the order of the table."""
    for generator, rows in tables.attributes.groupby("generator", sort=False):
        yield str(generator), list(rows["attribute"].unique())


def _methods(tables: RunTables, generator: str) -> list[str]:
    return known_first(tables.methods.loc[tables.methods["generator"] == generator, "method"])


def found_matrices(tables: RunTables) -> list[Table]:
    """Per generator, which method's best direction is one of which attribute: Table 1 of the paper, without a human."""
    cards = set(tables.measured["name"])
    return [_found_matrix(tables, generator, names, cards) for generator, names in _attributes(tables)]


def _found_matrix(tables: RunTables, generator: str, names: list[str], cards: set[str]) -> Table:
    found, methods = tables.found[tables.found["generator"] == generator], _methods(tables, generator)
    cells = {(row["attribute"], row["method"]): _found_cell(row, cards) for row in found.to_dict("records")}
    rows = [(Cell(plain(name)), *(cells.get((name, method), Cell("·")) for method in methods)) for name in names]
    totals = found.groupby("method")["attribute"].nunique().reindex(methods, fill_value=0)
    rows.append((Cell(f"Found, of {len(names)}"), *(Cell(str(total)) for total in totals)))
    of = f" of {plain(generator)}" if tables.several_generators else ""
    caption = (
        f"Which attributes{of} each method found: where its best interpretable direction lies, that direction's number "
        "and the share of its change that falls on the attribute. The best of each attribute is bold and underlined."
    )
    return Table(caption, ("Attribute", *map(plain, methods)), tuple(rows), total=True)


def _found_cell(row: Row, cards: set[str]) -> Cell:
    link = f"#{views.anchor(row['name'])}" if row["name"] in cards else ""
    text = f"{row['where']}, no. {row['direction']} ({row['share']:.2f})".replace(" ", "\N{NO-BREAK SPACE}")
    return Cell(plain(text.replace(",\N{NO-BREAK SPACE}", ", ", 1)), link=link, strong=bool(row["best"]))


def methods_found(tables: RunTables) -> Table | None:
    """Per set of directions, how many of them are directions of an attribute."""
    frame = tables.methods[tables.methods["attributes_found"].notna()]
    if frame.empty:
        return None
    columns = [
        *views.generator_column(frame),
        views.place_column(frame),
        word("Method", "method"),
        whole("Directions", "directions"),
        whole("Attributes found", "attributes_found"),
        whole("Interpretable", "interpretable"),
        whole("Entangled", "entangled"),
        number("Mean dependency", "dependency_mean"),
        number("Reconstructor accuracy", "accuracy"),
    ]
    caption = (
        "How many directions of each set are directions of an attribute; the mean dependency is over those that are "
        "interpretable or entangled (lower is purer)."
    )
    return make_table(frame, columns, caption)


# --- calibration ------------------------------------------------------------------------------------------------


def calibration_sentences(tables: RunTables) -> list[str]:
    """Per generator and quantity, how many ends of the ranges reached what they were calibrated to."""
    told = []
    for (generator, quantity, _), rows in tables.calibration.groupby(["generator", "quantity", "target"], sort=False):
        of = f" of {generator}" if tables.several_generators else ""
        amount = with_unit(tables, str(generator), str(quantity), rows["target"].iloc[0])
        aim = f"an effect of {amount}" if quantity == "effect" else f"a change of {quantity} by {amount}"
        told.append(
            f"{int(rows['is_reached'].sum())} of {len(rows)} ends of the ranges{of} reached {aim}, to within 5 %."
        )
    return [plain(words) for words in told]


def unreached_table(tables: RunTables) -> Table | None:
    """The ends that did not reach what they were calibrated to, and how far they got."""
    frame = tables.calibration[~tables.calibration["is_reached"]]
    if frame.empty:
        return None
    columns = [
        *views.generator_column(frame),
        *views.who_columns(frame, set(tables.measured["name"])),
        Column("End", lambda row: Cell(plain(row["end"].replace("_", " ")))),
        word("Quantity", "quantity"),
        number("Target", "target"),
        number("t", "t"),
        number("Reached", "reached"),
    ]
    return make_table(frame, columns, "The ends of ranges that did not reach the target.")


# --- at an equal change -----------------------------------------------------------------------------------------


def matched_table(tables: RunTables) -> Table | None:
    """The distances where each method's best direction changes the attribute by the same amount."""
    frame = _both_metrics(tables.matched)
    if frame.empty:
        return None
    fd, kid = views.metric_names(frame)
    columns = [
        *views.generator_column(frame),
        *views.who_columns(frame, set(tables.measured["name"]), labelled=False),
        word("Side", "side"),
        number("t", "t"),
        number("Change reached", "reached"),
        Column("Reached", lambda row: Cell("yes" if row["is_reached"] else "no")),
        number("Effect", "effect"),
        measured(fd, "value"),
        measured(kid, "kid"),
    ]
    goals = [
        f"{attribute} by {with_unit(tables, generator, attribute, target)}"
        + (f" ({generator})" if tables.several_generators else "")
        for (generator, attribute, target), _ in matched_ends(tables)
    ]
    caption = [f"Each set's best direction at a change of {plain(listed(goals))}."]
    return make_table(frame, columns, " ".join([*caption, *views.measured_with(fd, frame)]))


def _both_metrics(matched: pd.DataFrame) -> pd.DataFrame:
    """One row per end with its Fréchet distance as `value`, and its kernel distance as `kid`."""
    key = ["name", "attribute", "t"]
    frechet, kernel = matched[matched["metric"] != "KID"], matched[matched["metric"] == "KID"]
    kernel = kernel[[*key, "value", "stderr"]].rename(columns={"value": "kid", "stderr": "kid_stderr"})
    return frechet.rename(columns={"stderr": "value_stderr"}).merge(kernel, on=key, how="left")


def claims_table(tables: RunTables) -> Table | None:
    """Every comparison behind the claims."""
    frame = tables.claims
    if frame.empty:
        return None
    fd, _ = views.metric_names(frame)
    columns = [
        *views.generator_column(frame),
        word("Claim", "claim"),
        views.place_column(frame),
        word("Method", "method"),
        word("Against", "against"),
        Column("Difference", lambda row: Cell(with_stderr(row["difference"], row["stderr"]), row["difference"])),
        word("Holds", "holds"),
    ]
    changes = frame.drop_duplicates(["generator", "attribute", "change"]).to_dict("records")
    goals = [
        f"{row['attribute']} by {with_unit(tables, row['generator'], row['attribute'], row['change'])}"
        for row in changes
    ]
    caption = (
        f"The paper's claims at a change of {plain(listed(dict.fromkeys(goals)))}: differences of {fd} ± one standard "
        "error, positive where the claim holds; undecided where they are not significant (Student's t, Holm over the "
        "comparisons of a claim, 5 %)."
    )
    return make_table(frame, columns, " ".join([caption, *views.measured_with(fd, frame)]))
