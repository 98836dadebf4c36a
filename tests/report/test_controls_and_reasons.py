"""What the report says of controls, bounds, chosen attributes and ends that fell short: each appears, and vanishes."""

import pytest

from navbench.report.directions import calibration_sentences, saturation_sentences
from navbench.report.matched import choice_sentences, seen_sentences, unreached_sentences
from navbench.report.reproduction import bound_sentences, chance_sentences
from navbench.report.tables import load_run


@pytest.fixture(scope="module")
def tables(make_builder, tmp_path_factory):
    return load_run(make_builder().add_cars().write(tmp_path_factory.mktemp("told") / "run", without=("images",)))


def imitations(tables, verdicts, **columns):
    """The run with imitations in z alone that have these verdicts, and other columns."""
    rows = tables.reproduction[tables.reproduction["target"] == "z"].head(len(verdicts)).reset_index(drop=True)
    rows = rows.assign(**{"than_control": verdicts, "control": 0.64, "status": "", "control_status": "", **columns})
    return tables.with_tables(reproduction=rows)


def told(sentences):
    return " ".join(sentences).replace("\N{NO-BREAK SPACE}", " ")


def test_edits_that_are_harder_to_imitate_than_a_random_one_are_counted(tables):
    words = told(chance_sentences(imitations(tables, ["more", "more", "less", "undecided"])))
    assert "One offset of z leaves more of 2 of 4 edits of faces than of random directions" in words
    assert (
        "at an effect within a quarter (0.64), and less of 1 (Holm, 5 %), so against this control 2 are harder" in words
    )


def test_without_a_decided_one_no_edit_is_said_to_be_beyond_the_space(tables):
    words = told(chance_sentences(imitations(tables, ["undecided", "less"])))
    assert "leaves more of none of 2 edits" in words
    assert "none is shown to be beyond it" in words
    assert "harder" not in words


def test_without_a_control_nothing_is_said_of_it(tables):
    assert told(chance_sentences(tables)) == ""


def test_what_limits_a_comparison_stands_in_its_sentence(tables):
    statuses = {"status": ["", "more codes needed", "not converged"], "control_status": ["", "", ""]}
    words = told(chance_sentences(imitations(tables, ["more", "more", ""], **statuses)))
    assert words.count(".") - words.count("0.64") == 1
    assert "leaves more of 2 of 2 edits" in words
    assert "searches that had not converged: 1; in 1 of those compared the held-out codes" in words
    clean = told(chance_sentences(imitations(tables, ["more", "more"])))
    assert "converged" not in clean
    assert "more codes" not in clean


def test_where_no_search_had_converged_nothing_is_compared(tables):
    words = told(chance_sentences(imitations(tables, ["", ""], status="not converged", control_status="")))
    assert words == "One offset of z is not compared with a control of faces (searches that had not converged: 2)."


def test_searches_of_the_control_that_had_not_converged_and_other_effects_are_reasons_of_their_own(tables):
    statuses = {"control_status": ["not converged", ""]}
    words = told(chance_sentences(imitations(tables, ["", ""], **statuses)))
    assert words.endswith(
        " (edits beside whose random directions the searches had not: 1; edits of another effect than the random "
        "directions: 1)."
    )


def test_controls_are_no_edits_that_are_counted(tables):
    controls = tables.with_tables(
        methods=tables.methods.assign(is_control=tables.methods["method"] == tables.reproduction["method"].iloc[0])
    )
    counted = told(chance_sentences(imitations(controls, ["more", "more", "more", "more"])))
    left = imitations(controls, ["more", "more", "more", "more"]).contenders.reproduction
    assert 0 < len(left) < 4
    assert f"more of {len(left)} of {len(left)} edits" in counted


def test_the_bound_per_image_is_told_where_it_is_known(tables):
    words = told(bound_sentences(imitations(tables, ["more", "more"], bound=[0.1, 0.3], n_bound=2)))
    assert "An offset of z for each image of faces, sought on 2 codes, leaves 0.10 to 0.30" in words
    assert told(bound_sentences(tables)) == ""


def test_the_attribute_that_picks_itself_is_told_with_the_sets_that_have_it(tables):
    def words(**choice):
        object.__setattr__(tables, "manifest", {"matched": {"cars": choice}} if choice else {})
        return told(choice_sentences(tables))

    picked = words(attribute="body length", picked=True, matched=6, sets=13)
    assert "The attribute of cars is body length, as most methods have an interpretable direction of it." in picked
    assert "In 6 of 13 sets the verdict of a direction names it; the others have none" in picked
    named = words(attribute="wheel radius", picked=False, matched=2, sets=2)
    assert "as most methods" not in named
    assert "the others" not in named
    assert "No direction of cars has a verdict that names an attribute" in words(
        attribute="", picked=True, matched=0, sets=2
    )
    assert words() == ""


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("same way", "1 where the attribute moves the same way at both ends, which is an artefact of the scorer"),
        ("no change", "1 where the scorer reads no significant change"),
        ("saturated", "1 where it stops growing before"),
        ("too far", "1 where it still grows at the largest shift that was tried"),
        ("subject lost", "1 where too many images lose what the scorer reads before"),
    ],
)
def test_an_end_that_fell_short_is_told_with_its_reason(tables, status, words):
    def changed(frame):
        return frame.assign(status=[("" if reached else status) for reached in frame["is_reached"]])

    other = tables.with_tables(matched=changed(tables.matched), calibration=changed(tables.calibration))
    assert f"left out of the claims: {words}: random 0" in told(unreached_sentences(other))
    assert words.replace("1 where", "2 where") in told(calibration_sentences(other))
    reached = tables.matched.assign(is_reached=True), tables.calibration.assign(is_reached=True)
    other = tables.with_tables(matched=reached[0], calibration=reached[1])
    assert told(unreached_sentences(other)) == ""
    assert "The others" not in told(calibration_sentences(other))


def test_over_how_many_codes_a_change_is_a_mean_is_told_where_some_lose_the_subject(tables):
    def words(counts):
        return told(seen_sentences(tables.with_tables(matched=tables.matched.assign(n_change=counts))))

    assert words(500.0) == ""
    assert "from 41 to 48 codes." in words([48.0, *[41.0] * (len(tables.matched) - 1)])


def test_ranges_that_discovery_cut_are_told(tables):
    def words(ends):
        entry = {"set_id": "cars/svd/convs.3", "provenance": {"saturated_ends": ends}}
        object.__setattr__(tables, "manifest", {"direction_sets": [entry]})
        return told(saturation_sentences(tables))

    assert "their ranges are cut where it did: cars/svd/convs.3 (3)." in words(3)
    assert words(0) == ""
