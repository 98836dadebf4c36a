"""Reports of runs that hold one experiment, as the commands for one direction make them."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from navbench.report.html import write_report
from navbench.report.tables import load_run

COLUMNS = {
    "locality": ("area50", "area90", "participation", "entropy_area", "mean_change"),
    "reproduction": ("unexplained_fraction_z", "unexplained_fraction_activation", "n_reproduction"),
    "strips": (),
}
TABLES = {"locality": ("locality",), "reproduction": ("reproduction", "reproduction_steps"), "strips": ()}
PICTURES = {"locality": (), "reproduction": ("reproduction",), "strips": ("strip", "animation")}
FOUND = ("generator", "method", "layer", "direction", "name", "label", "t_min", "t_max", "measured")
EFFECTS = ("effect_min", "effect_max", "distance", "n_effect", "rayleigh", "solver_residual")


@pytest.fixture(scope="session")
def make_page(make_builder: Callable, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, str]]:
    """Runs that hold one experiment alone, by its name, each with the HTML of its report."""
    made: dict[str, tuple[Path, str]] = {}

    def make(experiment: str) -> tuple[Path, str]:
        if experiment not in made:
            folder = only(experiment, make_builder().write(tmp_path_factory.mktemp("only") / "run"))
            made[experiment] = folder, write_report(folder).read_text(encoding="utf-8")
        return made[experiment]

    return make


def only(experiment: str, folder: Path) -> Path:
    """Take from a run all that the other experiments made."""
    for name in ("curves", "equal", *(name for names in TABLES.values() for name in names)):
        if name not in TABLES[experiment]:
            (folder / "tables" / f"{name}.csv").unlink()
    images = pd.read_csv(folder / "tables" / "images.csv", keep_default_na=False)
    images[images["kind"].isin(PICTURES[experiment])].to_csv(folder / "tables" / "images.csv", index=False)
    if experiment != "locality":
        for path in folder.glob("figures/*.npz"):
            path.unlink()
    kept = {*FOUND, *EFFECTS, *(end for name in COLUMNS[experiment] for end in (name, f"{name}_stderr"))}
    directions = pd.read_csv(folder / "tables" / "directions.csv")
    directions[[column for column in directions if column in kept]].to_csv(
        folder / "tables" / "directions.csv", index=False
    )
    methods = pd.read_csv(folder / "tables" / "methods.csv").assign(curves=0)
    methods[["generator", "layer", "method", "directions", "curves", "effect_target"]].to_csv(
        folder / "tables" / "methods.csv", index=False
    )
    return folder


@pytest.mark.parametrize("experiment", COLUMNS)
def test_every_direction_has_a_record_and_a_row_that_links_there(
    make_page: Callable, explorer_data: Callable, experiment: str
) -> None:
    folder, page = make_page(experiment)
    assert "No direction of this run has been measured" not in page
    names = load_run(folder).directions["name"].tolist()
    assert [record["name"] for record in explorer_data(page)["rows"]] == names
    assert [name for name in names if f'href="#{name}"' not in page] == []


@pytest.mark.parametrize(
    ("experiment", "shown", "absent"),
    [
        ("locality", ("Where images change", 'class="gallery"'), "and its imitations"),
        ("reproduction", ("and its imitations, 3 codes", "Imitating the edits"), 'class="gallery"'),
        ("strips", ("The locality experiment is not part of this run",), "and its imitations"),
    ],
)
def test_a_page_shows_what_its_experiment_made(
    make_page: Callable, without_scripts: Callable, experiment: str, shown: tuple[str, ...], absent: str
) -> None:
    page = without_scripts(make_page(experiment)[1])
    assert [words for words in shown if words not in page] == []
    assert absent not in page


@pytest.mark.parametrize(
    ("experiment", "keys", "terms"),
    [
        ("locality", {"heat"}, {"area50"}),
        ("reproduction", {"imitations"}, {"Left by the best z", "Left by the best activation"}),
        ("strips", {"strip"}, set()),
    ],
)
def test_a_record_holds_what_its_direction_has(
    make_page: Callable, explorer_data: Callable, experiment: str, keys: set[str], terms: set[str]
) -> None:
    record = explorer_data(make_page(experiment)[1])["rows"][0]
    assert {*record} & {"heat", "imitations", "strip", "curve", "moves"} == keys
    always = {"Range of t", "Effect at the ends"}
    assert {term for term, _ in record["facts"]} == terms | always


@pytest.mark.parametrize("experiment", COLUMNS)
def test_nothing_is_said_of_curves_where_there_are_none(make_page: Callable, experiment: str) -> None:
    _, page = make_page(experiment)
    assert "This run has no curves" in page
    assert "does not say which method keeps it best" in page
    for words in ("have curves,", "miss the chosen effect", "Fréchet", "keeps realism best", "± one standard error;"):
        assert words not in page


def test_a_direction_with_a_strip_alone_stands_beside_those_with_curves(
    make_builder: Callable, tmp_path: Path, explorer_data: Callable
) -> None:
    folder = make_builder(measured=2).write(tmp_path / "run")
    path = folder / "tables" / "directions.csv"
    directions = pd.read_csv(path)
    bare = directions["direction"] == 1
    for column in directions.columns.difference([*FOUND, *EFFECTS]):
        directions.loc[bare, column] = None
    directions.to_csv(path, index=False)
    curves = pd.read_csv(folder / "tables" / "curves.csv")
    curves[curves["direction"] == 0].to_csv(folder / "tables" / "curves.csv", index=False)
    page = write_report(folder).read_text(encoding="utf-8")
    records = {record["name"]: record for record in explorer_data(page)["rows"]}
    assert {"strip", "curve"} <= {*records["faces/svd/main.6/0"]}
    assert "strip" in records["faces/svd/main.6/1"]
    assert "curve" not in records["faces/svd/main.6/1"]
    assert "Unshifted images score" in page
    assert "ends of the ranges with curves miss" not in page


def test_what_the_solver_knows_of_a_direction_is_in_its_record_and_in_the_table_of_the_rest(
    make_page: Callable, explorer_data: Callable
) -> None:
    _, page = make_page("strips")
    (first,) = [row for row in explorer_data(page)["rows"] if row["name"] == "faces/spectrum/main.6/0"]
    facts = dict(first["facts"])
    assert facts["Solver residual"] == "0.0713"
    assert "Rayleigh quotient" in facts
    assert ">0.143</td>" in page


def test_the_seconds_of_discovery_come_from_the_manifest(make_page: Callable) -> None:
    _, page = make_page("strips")
    assert ">6 min</td>" in page
    assert ">41 s</td>" in page
