"""What the report says of attributes, of equal changes and of latent directions, for a run whose numbers are known."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from navbench.errors import NavbenchError
from navbench.report import methods as answers
from navbench.report.html import write_report
from navbench.report.matched import claim_sentences, unreached_sentences
from navbench.report.numbers import place, setting, short_place
from navbench.report.tables import RunTables, load_run

QUICK = Path(__file__).parents[2] / "reports" / "quick"


@pytest.fixture(scope="session")
def run(make_builder: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_builder().add_cars().write(tmp_path_factory.mktemp("cars") / "run")
    path = folder / "tables" / "directions.csv"
    directions = pd.read_csv(path)
    directions["label"] = directions["label"].astype(object)
    directions.loc[directions["name"] == "cars/svd/convs.3/0", "label"] = "bigger wheels"
    directions.to_csv(path, index=False)
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def tables(run: Path) -> RunTables:
    return load_run(run)


@pytest.fixture(scope="session")
def page(run: Path) -> str:
    return (run / "index.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")


def text(html: str) -> str:
    """The words of a piece of the page."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def section(page: str, name: str) -> str:
    start = page.index(f'<section id="{name}"')
    return page[start : page.index("</section>", start)]


def record(data: dict, name: str) -> dict:
    """What the explorer knows of a direction."""
    (only,) = [row for row in data["rows"] if row["name"] == name]
    return only


def spaced(words: str) -> str:
    return words.replace("\N{NO-BREAK SPACE}", " ")


def test_the_claim_against_svd_is_counted_and_its_contradictions_are_named(tables: RunTables) -> None:
    told = spaced(next(claim_sentences(tables)))
    assert "At the same change of wheel radius of cars (1 px), measured by FD (efficientnet-lite0)" in told
    assert "holds in 1 of 4 comparisons, is contradicted in 2, undecided in 1 (Holm, 5 %)." in told
    assert "It loses realism faster than hybrid in layer convs.3 (by 12.1 ± 1.0)." in told
    assert (
        "Against the paper, svd loses it more slowly than optimization in layer convs.3 (by 7.5 ± 1.0) "
        "and spectrum in layer convs.3 (by 3.4 ± 1.0)." in told
    )


def test_the_claim_that_less_costs_more_is_counted_over_sets(tables: RunTables) -> None:
    told = spaced(list(claim_sentences(tables))[1])
    assert "the best direction of 2 of 3 sets; against the paper, it costs less in 1, and none is undecided." in told
    assert told.endswith("It costs less with ganspace in latent space w (by 4.2 ± 1.0).")


def test_claims_that_hold_nowhere_are_said_to(tables: RunTables) -> None:
    changed = tables.with_tables(claims=tables.claims.assign(holds="no"))
    first, second = claim_sentences(changed)
    assert "holds in none of 4 comparisons, is contradicted in 4" in first
    assert "to name the 3 clearest of 4" in first
    assert (
        "as the paper claims, by the best direction of none of 3 sets; against the paper, it costs less in 3" in second
    )


def test_claims_stand_beside_the_comparison_of_methods_and_in_their_section(page: str) -> None:
    for name in ("methods", "matched"):
        assert "holds in 1 of 4 comparisons" in text(section(page, name))


def test_ends_that_did_not_reach_the_change_are_said_and_drawn(run: Path, tables: RunTables, page: str) -> None:
    (told,) = unreached_sentences(tables)
    assert "1 of 8 ends did not reach the change of wheel radius of cars by 1 px" in told
    assert spaced(told).endswith("random 0, w space (less, \N{MINUS SIGN}0.41).")
    assert "Hollow marks: ends that did not reach it (1)" in text(section(page, "matched"))
    plot = (run / "figures" / "matched-cars-wheel-radius.svg").read_text(encoding="utf-8")
    assert "target not reached" in plot


def test_calibration_counts_the_ends_that_reached_their_target(page: str) -> None:
    told = text(section(page, "directions"))
    assert "14 of 16 ends of the ranges of cars reached an effect of 0.12, to within 5 %." in told
    assert "Ends that did not reach it (2)" in told


def test_a_label_by_hand_comes_first_and_the_automatic_one_is_marked(page: str, explorer_data: Callable) -> None:
    known = record(explorer_data(page), "cars/svd/convs.3/0")
    assert (known["label"], known["auto"]) == ("bigger wheels", "wheel radius +")
    assert "label" not in record(explorer_data(page), "cars/hybrid/convs.3/0")
    assert text(section(page, "directions")).count("bigger wheels wheel radius + (auto)") == 1
    assert "opens the mouth (auto)" not in text(page)


def test_an_automatic_label_equal_to_the_one_by_hand_is_shown_once(
    run: Path, tmp_path: Path, explorer_data: Callable, without_scripts: Callable
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    path = folder / "tables" / "directions.csv"
    directions = pd.read_csv(path)
    directions["label"] = directions["auto_label"]
    directions.to_csv(path, index=False)
    page = write_report(folder).read_text(encoding="utf-8")
    assert "(auto)" not in without_scripts(page)
    assert not any("auto" in row for row in explorer_data(page)["rows"])
    assert record(explorer_data(page), "cars/hybrid/convs.3/0")["label"] == "wheel radius +"


def test_the_found_matrix_marks_the_best_links_directions_and_counts(page: str) -> None:
    found = section(page, "attributes")
    best = re.findall(r'<strong class="best">(.*?)</strong>', found, flags=re.DOTALL)
    assert [text(words) for words in best] == ["convs.3, no. 0 (0.81)"]
    assert 'href="#cars/hybrid/convs.3/0"' in best[0]
    assert "Found, of 3 1 1 1 0" in text(found)
    assert "for 1 of 3 attributes (svd 1, hybrid 1, ganspace 1, random 0)." in text(found)
    assert "No method found one for body hue and horizon." in text(found)


def test_the_matrix_of_changes_writes_large_ones_and_frames_the_direction_s_own(run: Path) -> None:
    plot = (run / "figures" / "attributes-cars.svg").read_text(encoding="utf-8")
    assert plot.count(">+2.1<") == 3
    assert plot.count(">\N{MINUS SIGN}0.7<") == 4
    assert "hybrid 0, convs.3" in plot


def test_latent_places_are_called_latent_everywhere(
    run: Path, page: str, explorer_data: Callable, without_scripts: Callable
) -> None:
    assert (place("w", "w"), short_place("w", "w")) == ("latent space w", "w\N{NO-BREAK SPACE}space")
    assert (place("convs.3", "parameter"), short_place("convs.3", "")) == ("layer convs.3", "convs.3")
    known = record(explorer_data(page), "cars/ganspace/w/0")
    assert (known["place"], known["space"]) == ("w space", "w")
    assert "In latent space w of cars, ganspace keeps realism best" in text(section(page, "methods"))
    figures = [path.read_text(encoding="utf-8") for path in (run / "figures").glob("*cars*.svg")]
    assert any(">latent space w<" in plot for plot in figures)
    assert not any(re.search(r"layer w\b", words) for words in [without_scripts(page), *figures])


def test_both_directions_of_imitation_are_told(tables: RunTables, page: str) -> None:
    rest = " ".join(answers.reproduction_sentences(tables))
    kernel = tables.reproduction[tables.reproduction["target"] == "parameter convs.3"]["unexplained_fraction"]
    assert f"Imitating latent edits left an unexplained fraction of {kernel.min():.2f}" in rest
    assert "with one offset of one layer's kernel" in rest
    told = text(section(page, "reproduction"))
    assert "For each edit of a kernel, one offset of z" in told
    assert "The other way round: for each edit of a latent code" in told
    assert "Where several layers were tried, the bar is of the best." in told


def test_what_numbers_were_measured_against_is_told_for_each_generator(tables: RunTables) -> None:
    told = spaced(setting(tables.curved))
    assert told.startswith("faces: reference: generator at t = 0, n = 2,000")
    assert "; cars: reference: renderings, n = 4,000" in told
    assert "renderings" not in setting(tables.curved[tables.curved["generator"] == "faces"])


def test_many_layers_of_one_generator_are_summed_up_and_the_other_s_are_told(
    make_builder: Callable, tmp_path: Path
) -> None:
    layers = ("main.3", "main.6", "main.9", "main.12")
    tables = load_run(make_builder(layers).add_cars().write(tmp_path / "run", without=("images",)))
    told = " ".join(answers.realism_sentences(tables))
    assert "Methods were compared by KID, lower being better, at an effect of 0.12 in 4 layers of faces." in told
    assert "In layer convs.3 of cars, hybrid keeps realism best" in told


def test_a_run_without_a_scorer_has_no_such_sections(
    make_builder: Callable, tmp_path: Path, explorer_data: Callable, without_scripts: Callable
) -> None:
    source = write_report(make_builder().write(tmp_path / "run")).read_text(encoding="utf-8")
    page, data = without_scripts(source), explorer_data(source)
    assert "share" not in [key for key, *_ in data["numbers"]]
    assert not any({"auto", "verdict", "attribute", "moves"} & {*row} for row in data["rows"])
    for words in ("What the directions do", "same change of an attribute", 'href="#attributes"', "Attributes</dt>"):
        assert words not in page
    for words in ("(auto)", "Layer or space", "Attribute share", "did not reach", "read by a network"):
        assert words not in page


def test_a_run_whose_tables_name_no_space_gives_the_same_page(make_builder: Callable, tmp_path: Path) -> None:
    folder = make_builder().write(tmp_path / "run")
    page = write_report(folder).read_bytes()
    for path in (folder / "tables").glob("*.csv"):
        pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns="space", errors="ignore").to_csv(
            path, index=False
        )
    assert write_report(folder).read_bytes() == page


def test_the_report_that_the_project_shows_can_be_rebuilt_from_its_folder(
    tmp_path: Path, explorer_data: Callable
) -> None:
    folder = Path(shutil.copytree(QUICK, tmp_path / "quick"))
    page = write_report(folder).read_text(encoding="utf-8")
    assert [row["name"] for row in explorer_data(page)["rows"]] == load_run(folder).directions["name"].tolist()


def test_a_flag_that_is_neither_true_nor_false_is_told(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    path = folder / "tables" / "matched.csv"
    pd.read_csv(path, dtype=str).assign(is_reached="perhaps").to_csv(path, index=False)
    with pytest.raises(NavbenchError, match=r"matched\.csv, line 2: column 'is_reached' holds 'perhaps'"):
        load_run(folder)
