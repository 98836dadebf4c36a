"""What the tables say of photos, pairs, quality, layers and rankings, from results whose numbers are made up."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import toy
from analytic import LinearGenerator, direction, direction_set, noise
from made_up import CODES, curve, measurement, realism, rows

from navbench.experiments.curves import Curves, CurvesFound
from navbench.experiments.imitation import Reproduction
from navbench.experiments.layers import Layers
from navbench.experiments.locality import Heat, Heatmaps, Heats
from navbench.experiments.pairs import Pair, Pairs, PairsFound, closest_latent
from navbench.experiments.photos import Album, EditedPhotos, Photos
from navbench.experiments.quality import Quality
from navbench.experiments.ranking import Ranking
from navbench.experiments.real_images import Photo
from navbench.experiments.reproduction import Imitations, Reproductions
from navbench.experiments.rows import Tested, settled
from navbench.experiments.screening import Screened, Screening
from navbench.experiments.survey import Changes, Survey, Surveyed, SurveyedLayer, SurveyedLayers
from navbench.metrics import estimate
from navbench.metrics.attributes import Attribute
from navbench.metrics.significance import Test
from navbench.tables import TABLES

SUITE = toy.tiny(experiments=[], curves={"shifts": 3, "samples": CODES})
EFFECTS = (0.1, 0.2)


@pytest.fixture(scope="module")
def generator():
    return LinearGenerator(side=4)


def made(generator, method, seed=0):
    """A set of one direction of weights."""
    return direction_set(generator, "map", noise(seed, 1, *generator.layer("map").shape), method=method)


# --- photos ------------------------------------------------------------------------------------------------------


def test_the_edit_of_a_photo_is_held_against_what_is_true_of_it(generator):
    attributes = (Attribute("wheel radius", "px", 1.0), Attribute("hue", "degrees", 100.0, period=360.0))
    photo = Photo("a", torch.zeros(3, 4, 4), "renderings, number 0", truth={"wheel radius": 5.0, "hue": 350.0})
    #              the photo itself, t = -1, t = 0, t = 1
    scores = torch.tensor([[[5.1, 351.0], [4.0, 340.0], [5.5, 355.0], [7.0, 30.0]]])
    one = direction(generator, noise(0, 4, 3, 4, 4), layer="map")
    album = Album([], [], [EditedPhotos(one, "z", (photo,), (-1.0, 0.0, 1.0), torch.zeros(0), scores)])
    on = measurement(generator=generator, scorer=SimpleNamespace(attributes=attributes))
    rows = {(row["attribute"], row["t"]): row for row in Photos().rows(on, album)["photo_attributes"]}
    assert [rows["wheel radius", t]["value"] for t in (-1.0, 0.0, 1.0)] == pytest.approx([4.0, 5.5, 7.0])
    assert [rows["wheel radius", t]["change"] for t in (-1.0, 0.0, 1.0)] == pytest.approx([-1.5, 0.0, 1.5])
    assert [rows["wheel radius", t]["error"] for t in (-1.0, 0.0, 1.0)] == pytest.approx([-1.0, 0.5, 2.0])
    assert [rows["hue", t]["change"] for t in (-1.0, 0.0, 1.0)] == pytest.approx([-15.0, 0.0, 35.0])  # past 360
    assert [rows["hue", t]["error"] for t in (-1.0, 0.0, 1.0)] == pytest.approx([-10.0, 5.0, 40.0])
    assert (rows["wheel radius", 1.0]["photo_value"], rows["hue", 1.0]["photo_value"]) == pytest.approx((5.1, 351.0))
    assert (rows["wheel radius", 1.0]["true_value"], rows["hue", 1.0]["true_value"]) == (5.0, 350.0)


# --- pairs -------------------------------------------------------------------------------------------------------


def pair(one, other, end, cosine, choice):
    curves = (curve(20, 30, effects=EFFECTS), curve(40, 50, effects=EFFECTS))
    return Pair(one, other, end, estimate.mean(torch.full((6,), cosine)), choice, False, curves)


def test_the_effect_of_a_partner_is_signed_as_the_edit_that_it_does(generator):
    one, other = (next(iter(made(generator, method))) for method in ("svd", "spectrum"))
    on, found = measurement(along=realism(10), suite=SUITE), PairsFound([pair(one, other, 0, 0.5, 0.6)], [])
    rows = {(row["member"], row["t"]): row for row in Pairs().rows(on, found)["pair_curves"]}
    ends = (one.t_min, 0.0, one.t_max)
    assert [rows[one.name, t]["value"] for t in ends] == [20, 10, 30]
    assert [rows[other.name, t]["value"] for t in ends] == [40, 10, 50]
    assert [rows[one.name, t]["signed_effect"] for t in ends] == pytest.approx([-0.1, 0.0, 0.2])
    assert [rows[other.name, t]["signed_effect"] for t in ends] == pytest.approx(
        [0.1, 0.0, -0.2]
    )  # t_min does the same


def test_among_latent_sets_the_closest_is_chosen_on_the_codes_that_measure_nothing(generator):
    one = next(iter(made(generator, "svd")))
    latent = [direction(generator, noise(seed, 3), space="z") for seed in (1, 2)]
    found = PairsFound([pair(one, latent[0], 1, 0.9, 0.3), pair(one, latent[1], 1, 0.4, 0.6)], [])
    rows = list(Pairs().rows(measurement(), found)["pairs"])
    assert [row["closest"] for row in rows] == [False, True]
    assert [row["cosine"] for row in rows] == pytest.approx([0.9, 0.4])


def test_the_closest_latent_direction_is_none_of_a_control_where_there_is_another(generator):
    one = next(iter(made(generator, "svd")))
    latent = direction(generator, noise(1, 3), space="z")
    drawn = replace(direction(generator, noise(2, 3), space="z"), method="random")
    found = PairsFound([pair(one, latent, 1, 0.4, 0.3), pair(one, drawn, 1, 0.9, 0.6)], [])
    assert [row["closest"] for row in Pairs().rows(measurement(), found)["pairs"]] == [True, False]


def test_a_latent_direction_of_labels_is_closest_only_where_there_is_no_other_and_before_controls(generator):
    one = next(iter(made(generator, "svd")))
    methods = {"sefa": 0.1, "supervised": 0.5, "random": 0.9}
    pairs = {
        method: pair(one, replace(direction(generator, noise(2, 3), space="z"), method=method), 1, 0.4, choice)
        for method, choice in methods.items()
    }
    chosen = [closest_latent(list(pairs.values()))[one.name].other.method]
    chosen.append(closest_latent([pairs["random"], pairs["supervised"]])[one.name].other.method)
    assert chosen == ["sefa", "supervised"]


# --- quality -----------------------------------------------------------------------------------------------------


def test_quality_keeps_the_ends_and_numbers_apart(generator):
    found = made(generator, "svd")
    kept = torch.tensor([[0.9, 0.7], [1.0, 1.0], [0.2, 0.4]]).double()
    quality = Quality(
        torch.tensor([0.1, 0.3, float("nan")]).double(), torch.tensor([[0.5, 0.01], [0.6, 0.02]]).double(),
        torch.tensor([0.7, 0.03]).double(), torch.tensor(10), kept,
    )  # fmt: skip
    outcome = CurvesFound({found[0].name: curve(20, 30)}, {found[0].name: quality})
    on = measurement(sets=[found], suite=SUITE, generator=generator, embedder=SimpleNamespace(name="faces"))
    rows = {(row["metric"], row["end"]): row for row in Curves().rows(on, outcome)["quality"]}
    numbers = {place: (row["value"], row["n"]) for place, row in rows.items()}
    assert numbers == {
        ("path_speed_cv", ""): (pytest.approx(0.2), 2),  # a code that does not change has no path
        ("feature coherence", "t_min"): (pytest.approx(0.5), CODES),
        ("feature coherence", "t_max"): (pytest.approx(0.6), CODES),
        ("dvn", ""): (pytest.approx(0.7), 10),
        ("id_similarity", "t_min"): (pytest.approx(0.8), 2),
        ("id_similarity", "t_max"): (pytest.approx(0.3), 2),
    }
    assert (rows["dvn", ""]["reference"], rows["dvn", ""]["n_reference"]) == ("renderings", 300)
    assert rows["id_similarity", "t_min"]["by"] == "faces"


# --- layers ------------------------------------------------------------------------------------------------------


def test_a_layer_has_the_means_of_its_directions(generator):
    found = made(generator, "svd")
    ends = [(20.0, 30.0), (50.0, 60.0)]
    shares = [(1.0, 2.0, 1.0), (2.0, 1.0, 1.0)]
    surveyed = []
    for (low, high), scales in zip(ends, shares, strict=True):
        heat = torch.ones(10, 4, 4).double()
        changes = Changes(
            torch.tensor([scales]).double().expand(CODES, 3), torch.tensor([[3.0, 1.0]]).double().expand(CODES, 2),
            heat, torch.full((10,), 4.0).double(),
        )  # fmt: skip
        surveyed.append(Surveyed(found[0], changes, None, curve(low, high, effects=EFFECTS)))
    outcome = SurveyedLayers({"map": SurveyedLayer(found, surveyed, None)})
    on = measurement({Survey: outcome}, generator=generator)
    (row,) = Layers().rows(on, Layers().run(on))["layers"]
    assert (row["coarse"], row["middle"], row["fine"]) == pytest.approx((0.375, 0.375, 0.25))
    assert row["geometry"] == pytest.approx(0.75)
    assert row["area50"] == pytest.approx(0.5)
    assert row["fd"] == pytest.approx(40.0)
    assert row["effect"] == pytest.approx(0.15)
    assert (row["fd_directions"], row["n"], row["n_reference"], row["n_survey"]) == (2, CODES, 300, CODES)


# --- rankings ----------------------------------------------------------------------------------------------------


def heats(hot):
    """Ten groups whose change lies on `hot` of 16 pixels alone, evenly."""
    change = torch.zeros(16).double()
    change[:hot] = 1.0
    empty = torch.zeros(0)
    group = Heat(change.view(4, 4), torch.zeros(3, 4, 4).double(), torch.tensor([2, 2]), *[empty] * 5)
    return [group] * 10


def reproduction(unexplained):
    errors = torch.full((CODES,), unexplained)
    nothing = torch.zeros(0)
    return Reproduction(nothing, nothing, torch.tensor(True), errors, torch.ones(CODES), *[nothing] * 4)


def ranked(generator, first, second):
    """The rows of two methods, whose directions each have a curve, a heatmap and an imitation."""
    curves, hot_pixels, imitations = {}, {}, {}
    for found, cost, hot, unexplained in ((first, 20.0, 8, 0.2), (second, 40.0, 4, 0.7)):
        for one in found:
            curves[one.name], hot_pixels[one.name] = curve(cost, cost), heats(hot)
            imitations[one.name, "z"] = reproduction(unexplained)
    outcomes = {Curves: CurvesFound(curves, {}), Heatmaps: Heats(hot_pixels), Reproductions: Imitations(imitations)}
    outcomes[Screening] = Screened({name: torch.full((2, CODES), 0.1) for name in curves})
    on = measurement(outcomes, generator=generator, sets=(first, second))
    return {row["metric"]: row for row in rows(Ranking(), on, Ranking().run(on), "ranking")}


def three(generator, method, seed, **settings):
    return direction_set(generator, "map", noise(seed, 3, 4, 3, 4, 4), method=method, settings=settings)


def test_a_ranking_has_each_number_of_both_methods(generator):
    table = ranked(generator, three(generator, "svd", 0), three(generator, "spectrum", 1))
    numbers = {metric: (row["value"], row["value_against"], row["difference"]) for metric, row in table.items()}
    assert numbers == {
        "FD": pytest.approx((20.0, 40.0, -20.0)),
        "KID": pytest.approx((0.2, 0.4, -0.2)),
        "area50": pytest.approx((0.25, 0.125, 0.125)),  # half of the pixels that change
        "unexplained fraction in z": pytest.approx((0.2, 0.7, -0.5)),
    }
    assert all(row["status"] == "" for row in table.values())
    assert all((row["directions"], row["directions_against"]) == (3, 3) for row in table.values())


def test_sets_that_were_calibrated_to_different_effects_are_compared_only_at_one_effect(generator):
    near, far = three(generator, "svd", 0, effect=0.1), three(generator, "spectrum", 1, effect=0.2)
    table = ranked(generator, near, far)
    assert {metric for metric, row in table.items() if row["status"] == ""} == {"FD", "KID"}
    others = [row for row in table.values() if row["status"]]
    assert {row["status"] for row in others} == {"on different footings"}
    assert {(row["lower"], row["difference"], row["p"]) for row in others} == {("", None, None)}
    needed = set(TABLES["ranking"].names)  # of a table that has no other rows, too
    assert all(needed <= row.keys() for row in others)


@pytest.mark.parametrize(("ratio", "compared"), [(1.05, True), (1.2, False)])
def test_heatmaps_of_sets_whose_effects_turned_out_unequal_are_not_compared(generator, ratio, compared):
    """Both were calibrated to one effect, on other codes than it was measured on."""
    first, second = (three(generator, method, seed, effect=0.1) for seed, method in enumerate(("svd", "spectrum")))
    effects = {one.name: torch.full((2, 4), 0.1) for one in first}
    effects |= {one.name: torch.full((2, 4), 0.1 * ratio) for one in second}
    outcomes = {Heatmaps: Heats({one.name: heats(8) for found in (first, second) for one in found})}
    on = measurement(outcomes | {Screening: Screened(effects)}, generator=generator, sets=(first, second))
    (row,) = rows(Ranking(), on, Ranking().run(on), "ranking")
    assert (row["metric"], row["status"] == "") == ("area50", compared)


def test_numbers_of_a_method_are_at_the_effect_of_the_comparison(generator):
    """Of 0.1 and 0.2 at 20 and 30 over unshifted images at 10, an effect of 0.1 is at 20 and at 20."""
    found = three(generator, "svd", 0, effect=0.1)
    curves = {one.name: curve(20.0, 30.0, effects=EFFECTS) for one in found}
    on = measurement({Curves: CurvesFound(curves, {})}, along=realism(10.0), generator=generator, sets=[found])
    outcome = Ranking().run(on)
    row = Ranking().set_columns(on, outcome, found)
    assert (row["effect"], row["fd_mean"], row["kid_mean"]) == pytest.approx((0.1, 20.0, 0.2))
    assert (row["fd_directions"], row["kid_directions"]) == (3, 3)
    (first, *_) = rows(Ranking(), on, outcome, "equal")
    assert (first["effect"], first["value"], first["reached"]) == (pytest.approx(0.1), pytest.approx(20.0), True)


def test_a_direction_that_does_not_reach_the_effect_is_not_compared_and_is_told(generator):
    found = direction_set(generator, "map", noise(0, 10, 4, 3, 4, 4), method="svd", settings={"effect": 0.2})
    effects = [(0.2, 0.2)] * 9 + [(0.2, 0.15)]
    curves = {one.name: curve(20.0, 20.0, effects=pair) for one, pair in zip(found, effects, strict=True)}
    on = measurement({Curves: CurvesFound(curves, {})}, generator=generator, sets=[found])
    outcome = Ranking().run(on)
    on._outcomes.values[Ranking] = outcome
    assert Ranking().set_columns(on, outcome, found)["kid_directions"] == 9
    told = " ".join(Ranking().gaps(on))
    assert "1 of 10 directions of linear do not reach an effect of 0.2" in told
    assert [row["reached"] for row in rows(Ranking(), on, outcome, "equal")][9::10] == [False, False]


def test_the_tests_of_all_tables_are_one_family():
    """The p of each of a family of three is three times its own, whichever table it stands in."""

    def tested(value):
        return Tested({"value": value}, (Test(value, 1.0, 30),), lambda decision: {"p": decision.p})

    alone = settled({"a": [tested(3.0)]})["a"][0]["p"]
    family = settled({"a": [{"plain": 1}, tested(3.0)], "b": [tested(0.1)], "c": [tested(0.2)]})
    assert family["a"][0] == {"plain": 1}
    assert family["a"][1] == {"value": 3.0, "p": pytest.approx(3 * alone)}
