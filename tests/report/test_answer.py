"""The sentences of the answer, from a run whose numbers are known."""

import re

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

from navbench.report import answer
from navbench.report.blocks import Chips, Details, Picks, Words
from navbench.report.page import Page
from navbench.report.tables import load_run


@pytest.fixture(scope="module")
def tables(make_builder, tmp_path_factory):
    return load_run(make_builder().add_cars().add_limits().write(tmp_path_factory.mktemp("answer") / "run"))


def lead(tables, generator="faces"):
    """What is said of a generator, without its tags."""
    names = tables.directions["generator"].unique().tolist()
    leads = [block.text for block in answer.blocks(Page(tables)) if isinstance(block, Words) and block.look == "lead"]
    return re.sub(r"<[^>]*>", "", leads[names.index(generator)]).replace("\N{NO-BREAK SPACE}", " ")


def alone(tables, name):
    """The run with one direction of its generator alone."""
    generator = name.partition("/")[0]
    directions = tables.directions
    return tables.with_tables(
        directions=directions[(directions["generator"] != generator) | (directions["name"] == name)]
    )


def imitated(tables, **columns):
    """The run whose imitations in z have other columns."""
    rows = tables.reproduction
    return tables.with_tables(reproduction=rows[rows["target"] == "z"].assign(**columns))


def test_the_answer_names_the_direction_links_it_and_says_how_far(tables):
    told = lead(tables)
    assert told.startswith("For faces, use faces/hybrid/main.6/0 (opens the mouth).")
    assert "Realism holds up to t = 9.80 ± 0.49; down to \N{MINUS SIGN}12.1, the end of its range, no break" in told
    source = next(block.text for block in answer.blocks(Page(tables)) if isinstance(block, Words))
    assert isinstance(source, Markup)
    assert '<a href="#faces/hybrid/main.6/0">' in source


def test_beyond_its_range_no_break_is_shown_and_nothing_more_is_said(tables):
    beyond = tables.directions.assign(limit_min_status="beyond", limit_max_status="beyond")
    told = lead(tables.with_tables(directions=beyond))
    assert re.search(r"No break of realism is shown within its range, t = \N{MINUS SIGN}[\d.]+ to [\d.]+\.", told)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ("undecided", "undecided", "Whether realism breaks within its range, t = −12.1 to 10.9, is undecided."),
        ("undecided", "within", "Realism holds up to t = 9.80 ± 0.49; whether it breaks down to −12.1, the "
         "end of its range, is undecided."),
        ("undecided", "beyond", "Up to 10.9, the end of its range, no break is shown; whether it breaks down to "
         "−12.1, the end of its range, is undecided."),
    ],
)  # fmt: skip
def test_what_is_undecided_is_said_to_be(tables, low, high, words):
    one = alone(tables, "faces/hybrid/main.6/0")
    rows = one.directions.assign(limit_min_status=low, limit_max_status=high)
    assert words in lead(one.with_tables(directions=rows))


def test_a_run_of_one_generator_does_not_name_it(make_builder, tmp_path):
    one = load_run(make_builder().add_limits().write(tmp_path / "run", without=("images",)))
    assert lead(one).startswith("Use faces/hybrid/main.6/0 (opens the mouth).")


def test_an_interpretable_direction_is_said_to_change_its_attribute(tables):
    assert "Of its change in all scored attributes, 81 % is the wheel radius." in lead(tables, "cars")


def test_one_that_is_of_no_attribute_is_said_to_change_none_alone(tables):
    assert "It changes no attribute alone." in lead(alone(tables, "cars/svd/convs.3/1"), "cars")


def test_without_a_scorer_a_label_is_a_person_s(tables):
    assert "A person named it." in lead(tables)


def test_an_unlabelled_direction_is_to_be_looked_at(tables):
    told = lead(alone(tables, "faces/svd/main.6/0"))
    words = "nothing names what directions do; of those with a curve, the one that goes furthest is faces/svd/main.6/0."
    assert words in told


def test_an_automatic_label_is_marked_as_such(tables):
    """On the page a network's label never passes for a person's."""
    assert "cars/hybrid/convs.3/0 (wheel radius +" in lead(tables, "cars")
    assert "auto" in lead(tables, "cars")
    cards = [pick for block in answer.blocks(Page(tables)) if isinstance(block, Picks) for pick in block.picks]
    (automatic,) = [pick.label for pick in cards if pick.name == "cars/hybrid/convs.3/0"]
    assert "auto" in automatic


def test_the_cost_at_equal_effect_stands_beside_that_of_unshifted_images(tables):
    assert "At equal effect its KID is" in lead(tables)
    assert re.search(r"that of unshifted images \(\N{MINUS SIGN}1\.0 ± 9\.0\) \S 10⁻⁵\.", lead(tables))


def test_a_direction_that_was_not_compared_has_no_cost(tables):
    assert "At equal effect" not in lead(tables.with_tables(equal=tables.equal.iloc[:0]))


def test_a_latent_direction_is_an_offset_of_its_code(tables):
    told = lead(alone(tables, "cars/ganspace/w/0"), "cars")
    assert told.endswith("It is an offset of the code w, so no weight changes.")


def test_a_parameter_direction_is_said_to_be_imitated_so_far(tables):
    row = tables.reproduction.query("name == 'faces/hybrid/main.6/0' and target == 'z'").iloc[0]
    told = lead(imitated(tables, control=np.nan, than_control=""))
    left = f"{100 * row['unexplained_fraction']:.0f} %"
    assert told.endswith(f"A latent code (one offset of z) leaves {left} of the edit.")


@pytest.mark.parametrize(
    ("than", "words"),
    [
        ("less", "(of a random edit 64 %, significantly more)."),
        ("more", "(of a random edit 64 %, significantly less)."),
        ("undecided", "(of a random edit 64 %, no significant difference)."),
        ("", "(of a random edit 64 %, not compared)."),
    ],
)
def test_beside_a_control_the_imitation_is_judged(tables, than, words):
    told = lead(imitated(tables, control=0.64, than_control=than, status="", bound=np.nan))
    assert told.endswith(words)


def test_what_limits_the_imitation_stands_beside_it(tables):
    told = lead(imitated(tables, control=0.64, than_control="", status="more codes needed", bound=0.12, n_bound=3))
    words = "(more codes needed; an offset per image 12 %, of 3 codes; of a random edit 64 %, not compared)."
    assert told.endswith(words)


def test_the_best_of_several_latent_codes_is_told(tables):
    rows = tables.reproduction[tables.reproduction["target"] == "z"]
    better = rows.assign(target="w", unexplained_fraction=0.25)
    worse = rows.assign(target="activation main.6", unexplained_fraction=0.01)
    both = tables.with_tables(reproduction=pd.concat([rows, better, worse], ignore_index=True))
    assert "A latent code (one offset of w) leaves 25 % of the edit." in lead(both)


def test_an_imitation_that_was_not_tried_is_said_not_to_have_been(tables):
    none = tables.with_tables(reproduction=tables.reproduction.iloc[:0])
    assert lead(none).endswith("Whether a latent code could do it was not tried.")


def test_each_generator_has_a_sentence_doubts_and_cards_in_this_order(tables):
    kinds = [type(block) for block in answer.blocks(Page(tables)) if block]
    assert kinds == [Words, Chips, Picks, Words, Chips, Picks, Details]


def test_the_first_card_is_of_the_direction_that_the_sentence_names(tables):
    first = next(block for block in answer.blocks(Page(tables)) if isinstance(block, Picks)).picks[0]
    assert (first.name, first.link) == ("faces/hybrid/main.6/0", "#faces/hybrid/main.6/0")
    facts = {term: value.replace("\N{NO-BREAK SPACE}", " ") for term, value in first.facts}
    assert facts["Realism holds"] == "≤ \N{MINUS SIGN}12.1 to 9.80 ± 0.49"
    assert facts["Effect within limits"] == "0.097"
    assert (first.frames.rows, len(first.frames.shifts)) == (4, 7)


def test_the_rule_is_told_and_which_codes_are_shown(tables):
    *_, rule = answer.blocks(Page(tables))
    words = " ".join(block.text for block in rule.blocks)
    assert "Chosen by rule" in words
    assert "as grain of 12" in words
    assert "The codes of strips were chosen to be seen" in words
    assert "faces: 3, 17, 40, 58" in words
