"""What docs/paper.md says of the paper's claims, beside the tables of reports/full."""

import re

import pandas as pd
from test_readme import FULL, PAGES, converged

from navbench import suite, tables
from navbench.methods import competes, is_control
from navbench.words import CONVERGED, NOT_CONVERGED

CLAIMS = PAGES["paper.md"].partition("\n## What becomes of its claims\n")[2]
WORDS = ("none", "one", "two", "three", "four", "five", "six")


def claim(number: int) -> str:
    return re.search(rf"(?m)^{number}\. .*$", CLAIMS)[0]


def signed(row: pd.Series, digits: int) -> str:
    return f"{abs(row['difference']):.{digits}f} ± {row['stderr']:.{digits}f}"


def test_the_page_says_on_how_much_the_numbers_rest():
    ranking = tables.read(FULL, "ranking")
    kid = ranking[ranking["metric"] == "KID"]
    assert set(kid["extractor"]) == {"stlpips-alex-pooled"}
    assert (set(kid["n"]), set(kid["n_reference"])) == ({64.0}, {2000.0})
    assert "`stlpips-alex-pooled`" in CLAIMS
    assert "64 codes at one effect against 2,000 images" in CLAIMS


def test_realism_at_equal_effect():
    ranking = tables.read(FULL, "ranking")
    kid = ranking[ranking["metric"] == "KID"].set_index(["generator", "layer", "method", "against"])
    decided = kid[kid["lower"] != ""]
    for layer in ("convs.1", "convs.3"):
        for against in ("spectrum", "hybrid"):
            row = decided.loc["cars", layer, "svd", against]
            assert row["lower"] == against
            assert row["p"] < 0.001
            assert signed(row, 4) in claim(1)
        assert ("cars", layer, "svd", "optimization") not in decided.index
        assert ("cars", layer, "hybrid", "random-in-spectrum") not in decided.index
    assert {key[:2] for key in decided.index} == {("cars", "convs.1"), ("cars", "convs.3"), ("faces", "main.6")}
    assert all(decided.loc["faces", "main.6", each, "random"]["lower"] == "random" for each in ("svd", "optimization"))


def test_realism_at_an_equal_change_of_an_attribute():
    claims = tables.read(FULL, "claims")
    rows = claims[claims["claim"] == "svd loses realism faster"].set_index(["generator", "against"])
    assert {(*key, row["layer"]) for key, row in rows.iterrows() if key[1] == "hybrid"} == {
        ("cars", "hybrid", "convs.5"),
        ("faces", "hybrid", "main.9"),
    }
    controls = ("random-in-svd", "random-in-spectrum")
    for generator, holds in (("cars", "yes"), ("faces", "no")):
        assert rows.loc[generator, "hybrid"]["holds"] == "yes"
        assert {rows.loc[generator, control]["holds"] for control in controls} == {holds}
        assert all(signed(rows.loc[generator, against], 2) in claim(1) for against in ("hybrid", *controls))


def test_what_each_method_finds():
    found = tables.read(FULL, "found")
    for generator, attributes in (("cars", 4), ("faces", 2)):
        rows = found[found["generator"] == generator]
        own, by_chance = (rows[rows["method"].map(belongs)] for belongs in (competes, is_control))
        assert own["attribute"].nunique() == attributes
        told = next(each for each in claim(2).split(". ") if each.startswith("Of 13 ") and f"of `{generator}`" in each)
        assert f" {WORDS[attributes]}" in told
        counts = own.groupby("method")["attribute"].nunique()
        for method, count in counts.items():
            assert re.search(rf"`{method}`(?:(?:, | and )`[\w-]+`)* of {WORDS[count]}\b", told), method
        assert set(re.findall(r"`([\w-]+)`", told)) == {*counts.index, generator}
        drawn = WORDS[by_chance["attribute"].nunique()]
        assert re.search(rf"at random .*\bof {drawn} (attributes )?of `{generator}`", claim(2))


def test_what_latent_codes_imitate():
    rows = tables.read(FULL, "reproduction")
    edits = converged(rows[rows["method"].map(competes) & (rows["space"] == "parameter")])
    edits = edits[edits["target"].isin(["z", "w", "w+"])]
    told = claim(3)
    for generator, target in (("cars", "w"), ("cars", "w+"), ("faces", "z"), ("eyes", "z")):
        left = edits[(edits["generator"] == generator) & (edits["target"] == target)]["unexplained_fraction"]
        assert f"{left.min():.2f} to {left.max():.2f} in {target} of `{generator}`" in told
    short = edits[(edits["generator"] == "cars") & (edits["target"] == "z")]["status"].str.contains("more codes")
    assert f"{short.sum()} of {len(short)} need more codes" in told
    assert "more" not in set(edits["than_control"])
    easier = edits[edits["than_control"] == "less"]
    assert set(easier["layer"]) == {"convs.3"}
    assert f"{WORDS[easier['name'].nunique()]} in `convs.3`" in told
    by_chance = rows[rows["method"].map(is_control) & (rows["than_control"] == "less")]
    assert set(by_chance["name"]) == {"cars/random-in-spectrum/convs.3/12"}
    assert set(edits["n"]) == {96.0}


def test_which_ends_cost_more():
    ends, claims = tables.read(FULL, "asymmetry"), tables.read(FULL, "claims")
    for generator, rows in ends.groupby("generator"):
        assert f"{(rows['costlier_end'] != '').sum()} of {len(rows)} directions of `{generator}`" in claim(4)
    holds = claims[(claims["claim"] == "less costs more than more") & (claims["generator"] == "cars")]["holds"]
    assert set(claims[claims["generator"] == "cars"]["attribute"]) == {"body length"}
    yes, no = (int((holds == each).sum()) for each in ("yes", "no"))
    assert f"for {WORDS[yes]} sets of {len(holds)}, less for {WORDS[no]}" in claim(4)


def test_where_edits_lie():
    locality = tables.read(FULL, "locality")
    area = locality[locality["metric"] == "area50"]
    assert set(area["n"]) == {128.0}
    free, random = (area[area["method"].map(belongs)]["value"] for belongs in (competes, is_control))
    assert f"{100 * free.min():.0f} to {100 * free.max():.0f} % of the image" in claim(5)
    assert f"{100 * random.min():.0f} to {100 * random.max():.0f} % for random" in claim(5)


def test_what_depth_orders():
    layers = tables.read(FULL, "layers").dropna(subset="geometry")
    assert list(layers[layers["generator"] == "faces"]["layer"]) == ["main.6", "main.9", "main.12"]
    for generator in ("cars", "faces"):
        shares = layers[layers["generator"] == generator]["geometry"]
        assert ", ".join(f"{share:.2f}" for share in shares) in claim(6)
    assert layers["geometry_stderr"].max() < 0.01
    assert set(layers["n_survey"]) == {64.0}


def test_which_learned_sets_have_converged():
    status = tables.read(FULL, "methods")["status"]
    learned = status[status.isin([CONVERGED, NOT_CONVERGED])]
    assert f"Of {len(learned)} sets {(learned == CONVERGED).sum()} have converged" in claim(8)


def test_who_can_be_told_apart():
    quality = tables.read(FULL, "quality")
    named = quality[quality["metric"] == "rca"].groupby(["generator", "method", "layer"])["value"]
    rates, counts, told = named.mean(), named.count(), CLAIMS.rpartition("\n\n")[2]
    for method in ("optimization", "svd", "random-in-svd"):
        places = [("faces", method, layer) for layer in ("main.6", "main.9")]
        assert [counts[place] for place in places] == [32, 32]
        shares = [f"{100 * rates[place]:.0f} %" for place in places]
        assert re.search(rf"in {shares[0]} (of pairs in `main.6` )?and {shares[1]}", told)
    assert f"{100 * rates['cars'].min():.0f} to {100 * rates['cars'].max():.0f} % of any method" in told
    recognition = suite.read("full").recognition
    assert f"after {recognition.steps} steps" in told
    assert f"({recognition.pairs:,} pairs, standard errors below 2 points)" in told
    assert max((rate * (1 - rate) / recognition.pairs) ** 0.5 for rate in rates) < 0.02


def test_limits_from_the_end_alone():
    limits, curves = (tables.read(FULL, name) for name in ("limits", "curves"))
    crossed = limits[(limits["status"] == "within") & limits["name"].isin(curves["name"])]
    by_end = crossed["t_end"] * (crossed["amount"] / crossed["rise"]) ** 0.5 / crossed["limit"]
    told = f"a limit from the end point alone is {by_end.min():.2f} to {by_end.max():.2f} times that of the curve"
    most = f"{by_end.quantile(0.05):.2f} to {by_end.quantile(0.95):.2f} times for nine of ten"
    assert (
        f"On the {len(by_end)} ends of `reports/full` that have a curve and a crossing, {told}, and {most}"
        in PAGES["numbers.md"]
    )
