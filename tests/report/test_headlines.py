"""Sentences of the answer that have no test elsewhere: each appears where the tables hold it, and vanishes."""

import numpy as np
import pandas as pd
import pytest

from navbench.report import methods as answer
from navbench.report.attributes import found_sentences
from navbench.report.blocks import Details, Words
from navbench.report.controls import control_sentences
from navbench.report.matched import claim_sentences
from navbench.report.methods import reproduction_sentences
from navbench.report.page import Page
from navbench.report.tables import load_run


@pytest.fixture(scope="module")
def tables(make_builder, tmp_path_factory):
    return load_run(make_builder().add_cars().write(tmp_path_factory.mktemp("told") / "run", without=("images",)))


def lead(tables):
    """The first words of the answer."""
    return next(block.text for block in answer.blocks(Page(tables)) if isinstance(block, Words))


def told(tables):
    """All words of the comparison of methods, folded or not."""
    blocks = list(answer.blocks(Page(tables)))
    folded = [block for outer in blocks if isinstance(outer, Details) for block in outer.blocks]
    return " ".join(block.text for block in [*blocks, *folded] if isinstance(block, Words))


def realism(tables):
    return " ".join(answer.realism_sentences(tables))


def without(tables, name, **columns):
    """The run without the rows of a table that have these values."""
    frame = tables.frames[name]
    chosen = np.logical_and.reduce([frame[column] == value for column, value in columns.items()])
    return tables.with_tables(**{name: frame[~chosen]})


def test_a_method_stands_alone_where_no_other_may_be_told_of(tables):
    assert "stands alone" not in realism(tables)
    methods = tables.methods
    alone = methods[(methods["generator"] != "faces") | (methods["method"] == "svd")]
    assert (
        "In layer main.6 of faces, svd stands alone, as others were not measured, are controls, see labels or have"
        in realism(tables.with_tables(methods=alone))
    )


def test_methods_that_are_not_compared_are_told_with_the_reason(tables):
    assert "are not compared, as they are" not in realism(tables)
    other = tables.with_tables(ranking=tables.ranking.assign(status="on different footings", lower=""))
    assert "the methods are not compared, as they are on different footings." in realism(other)
    none = tables.with_tables(ranking=tables.ranking.iloc[:0])
    assert "the methods are not compared, as they are of runs without comparisons." in realism(none)


def test_a_method_that_takes_no_part_is_named(tables):
    assert "is not compared" not in realism(tables)
    ranking = tables.ranking
    rows = ranking[(ranking["method"] != "hybrid") & (ranking["against"] != "hybrid")]
    assert "; hybrid is not compared." in realism(tables.with_tables(ranking=rows))


def test_unshifted_images_of_several_generators_are_told_for_each(tables):
    assert "each against the reference of its generator." in realism(tables)
    assert "against the reference of its generator" not in realism(without(tables, "methods", generator="cars"))
    nothing = tables.with_tables(methods=tables.methods.assign(kid_floor=np.nan))
    assert "Unshifted images" not in realism(nothing)


@pytest.fixture
def many(tables):
    """The run with the methods of faces in five layers, and in w."""
    places = {f"main.{index}": f"layer main.{index}" for index in range(5)} | {"w": "latent space w"}

    def spread(frame):
        own = frame[frame["generator"] == "faces"]
        return pd.concat([own.assign(layer=layer, place=place) for layer, place in places.items()])

    return tables.with_tables(methods=spread(tables.methods), ranking=spread(tables.ranking))


def test_many_places_are_summed_up_with_the_best_of_each(many):
    words = realism(many)
    assert "in 6 layers and latent spaces" in words
    ranking = many.ranking
    hybrid = {"hybrid": "hybrid"}
    lower = [hybrid.get(row["method"], hybrid.get(row["against"], row["method"])) for row in ranking.to_dict("records")]
    assert "in 6 of them (hybrid in 6)" in realism(many.with_tables(ranking=ranking.assign(lower=lower, status="")))
    assert "in 0 of them;" in realism(many.with_tables(ranking=ranking.assign(lower="", status="")))
    layers = without(many, "methods", place="latent space w")
    assert "in 5 layers of" in realism(layers) or "in 5 layers." in realism(layers)


def test_many_places_that_cannot_be_compared_are_told_so(many):
    assert "cannot be compared in any layer" not in realism(many)
    other = many.with_tables(ranking=many.ranking.assign(status="on different footings"))
    assert "The methods cannot be compared in any layer" in realism(other)


def test_the_lead_says_why_it_names_no_method(tables):
    assert "names" not in lead(tables)
    failed = tables.with_tables(methods=tables.methods.assign(status="not converged"))
    assert lead(failed).startswith("Realism was measured of controls, methods that see labels and sets that have not")
    frechet = tables.with_tables(methods=tables.methods.assign(kid_mean=np.nan))
    assert lead(frechet).startswith("KID is not known of this reference")
    nothing = tables.with_tables(methods=tables.methods.assign(kid_mean=np.nan, fd_mean=np.nan))
    assert lead(nothing).startswith("This run has not measured realism")


def test_a_failing_instrument_takes_the_sentences_on_controls_with_it(tables):
    control = np.where(tables.methods["method"] == "svd", "hybrid", "")
    methods = tables.methods.assign(control=control, is_control=tables.methods["method"] == "hybrid")
    row = {"generator": "cars", "extractor": "efficientnet-lite0", "reference": "renderings", "n": 64, "value": 0.1}
    failing = pd.DataFrame([{**row, "check": "blur", "metric": "KID", "passed": False, "reason": "it falls"}])
    rows = tables.ranking[tables.ranking["metric"] == "KID"].assign(status="", lower="")
    both = tables.with_tables(methods=methods, ranking=rows.assign(extractor="efficientnet-lite0"))
    assert "In KID (efficientnet-lite0) of cars, where lower is better" in told(both)
    doubting = told(both.with_tables(instrument=failing))
    assert "No headline is written of the realism of its edits." in doubting
    assert "In KID (efficientnet-lite0) of cars" not in doubting
    assert "In KID (efficientnet-lite0) of faces, where lower is better" in doubting


def test_a_method_whose_control_was_not_compared_is_named_beside_those_that_were(tables):
    rows = tables.ranking[tables.ranking["metric"] == "KID"]
    pairs = {("svd", "optimization"), ("optimization", "svd"), ("spectrum", "hybrid"), ("hybrid", "spectrum")}
    rows = rows[[(row["method"], row["against"]) in pairs for row in rows.to_dict("records")]]
    control = tables.methods["method"].map({"svd": "optimization", "spectrum": "hybrid"}).fillna("")
    run = tables.with_tables(methods=tables.methods.assign(control=control))
    is_first = rows["method"].isin(("svd", "optimization"))
    mixed = rows.assign(lower="", status=np.where(is_first, "", "on different footings"))
    assert "not compared with its control hybrid" in " ".join(control_sentences(run.with_tables(ranking=mixed)))
    compared = rows.assign(lower="", status="")
    assert "not compared with" not in " ".join(control_sentences(run.with_tables(ranking=compared)))


def test_claims_are_told_by_their_outcome_alone(tables):
    def told(holds, claim=None):
        claims = tables.claims.assign(holds=holds)
        if claim is not None:
            claims = claims.assign(claim=claim)
        return " ".join(claim_sentences(tables.with_tables(claims=claims)))

    assert "It loses realism faster than" in told("yes")
    assert "Against the paper, svd loses it more slowly" not in told("yes")
    assert "It costs less with" not in told("yes")
    assert "Against the paper, svd loses it more slowly" in told("no")
    assert "It costs less with" in told("no")
    assert "It loses realism faster than" not in told("no")
    assert "the claim 'another one' holds in" in told("yes", "another one")
    assert "the claim '" not in told("yes")
    assert list(claim_sentences(tables.with_tables(claims=tables.claims.iloc[:0]))) == []


def test_attributes_are_told_as_found_or_not(tables):
    words = " ".join(found_sentences(tables))
    assert "were found, without a human, for" in words
    assert "No method found one for" in words
    attributes = tables.attributes
    every = pd.concat(
        [tables.found.iloc[:1].assign(attribute=name) for name in attributes["attribute"].unique()], ignore_index=True
    )
    assert "No method found one" not in " ".join(found_sentences(tables.with_tables(found=every)))
    nothing = tables.with_tables(attributes=attributes.iloc[:0], found=tables.found.iloc[:0])
    assert list(found_sentences(nothing)) == []


def test_how_local_edits_are_is_told_where_it_was_measured(tables):
    assert "Half of the squared change of an edit falls on" in told(tables)
    assert "Half of the squared change" not in told(
        tables.with_tables(directions=tables.directions.assign(area50=np.nan))
    )


def test_imitations_are_told_for_the_spaces_that_were_imitated(tables):
    def told(rows):
        return " ".join(reproduction_sentences(tables.with_tables(reproduction=rows)))

    rows = tables.reproduction
    latent = rows["space"].isin(("z", "w", "w+"))
    assert "Imitating the edits from a latent space left" in told(rows[~latent])
    assert "Imitating latent edits" not in told(rows[~latent])
    turned = rows[~latent].assign(space="w", target="parameter convs.3")
    assert "Imitating latent edits left" in told(turned)
    assert "Imitating the edits from" not in told(turned)
    assert told(rows.iloc[:0]) == ""
