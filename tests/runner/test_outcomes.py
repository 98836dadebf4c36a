"""What experiments make of their outcomes, by numbers that are made up and known."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy
from analytic import LinearGenerator, direction_set, noise, ranged
from made_up import curve, measurement, rows
from PIL import Image

from navbench.experiments import pairs
from navbench.experiments.attributes import Attributes, Movements, Readings, movements_of
from navbench.experiments.calibration import Target
from navbench.experiments.curves import Curves, CurvesFound
from navbench.experiments.imitation import Reproduction
from navbench.experiments.layers import Layers
from navbench.experiments.locality import Heat, Heatmaps, Heats
from navbench.experiments.matched import _best, _target
from navbench.experiments.measurement import Measurement, Plan
from navbench.experiments.ranking import Ranking
from navbench.experiments.reproduction import Imitations, Reproductions
from navbench.experiments.screening import Screened, Screening
from navbench.experiments.survey import Changes, Survey, Surveyed, SurveyedLayer, SurveyedLayers
from navbench.metrics.attributes import Attribute, movement

CODES, SHIFTS = 50, [-1.0, 0.0, 1.0]
ATTRIBUTES = (Attribute("wheel radius", "px", 1.0), Attribute("height", "px", 1.0))
SPREADS = {attribute.name: attribute.spread for attribute in ATTRIBUTES}


@pytest.fixture(scope="module")
def generator():
    return LinearGenerator(side=4)


def made(generator, method, seed=0, count=1):
    """A set of directions of weights."""
    return direction_set(generator, "map", noise(seed, count, *generator.layer("map").shape), method=method)


def scores(radius, height, signs=1.0):
    """Readings (T, n, A) that grow by these amounts per unit of t, for some codes the other way."""
    shifts = torch.tensor(SHIFTS)[:, None]
    along = shifts * signs * torch.ones(8)
    return torch.stack([radius * along, height * along], dim=2)


def moved(*amounts, **more):
    return movement(scores(*amounts, **more), SHIFTS, ATTRIBUTES)


def read_as(moves):
    """What the attributes' experiment tells of directions that move so."""
    every = torch.ones(len(SHIFTS), 8, dtype=torch.bool)
    return Movements(SimpleNamespace(name="reader", attributes=ATTRIBUTES), dict.fromkeys(moves, every), moves)


# --- effects and attributes --------------------------------------------------------------------------------------


def test_the_effects_of_a_direction_stand_at_their_ends(generator):
    (one,) = made(generator, "svd")
    outcome = Screened({one.name: torch.tensor([[1.0, 3.0], [5.0, 7.0]])})
    row = Screening().direction_columns(measurement(generator=generator), outcome, one)
    assert (row["effect_min"], row["effect_max"], row["n_effect"]) == (2.0, 6.0, 2)


def test_the_purest_direction_of_an_attribute_is_the_best_among_methods(generator):
    sets = [made(generator, method, seed) for seed, method in enumerate(("svd", "spectrum"))]
    found = {sets[0][0].name: moved(1.0, 0.3), sets[1][0].name: moved(1.0, 0.1)}
    outcome = read_as(found)
    on = measurement({Screening: Screened({name: torch.ones(2, 4) for name in found})}, sets=sets, generator=generator)
    rows = {row["method"]: row for row in Attributes().rows(on, outcome)["found"]}
    assert {method: row["best"] for method, row in rows.items()} == {"svd": False, "spectrum": True}
    assert rows["spectrum"]["share"] == pytest.approx(1 / 1.01)


def test_a_control_is_never_the_best_however_pure(generator):
    sets = [made(generator, method, seed) for seed, method in enumerate(("svd", "random"))]
    found = {sets[0][0].name: moved(1.0, 0.3), sets[1][0].name: moved(1.0, 0.1)}
    outcome = read_as(found)
    on = measurement({Screening: Screened({name: torch.ones(2, 4) for name in found})}, sets=sets, generator=generator)
    rows = {row["method"]: row for row in Attributes().rows(on, outcome)["found"]}
    assert {method: row["best"] for method, row in rows.items()} == {"svd": True, "random": False}


def test_a_set_counts_its_directions_by_what_they_were_found_to_be(generator):
    sets = made(generator, "svd", count=3)
    found = [moved(1.0, 0.1), moved(1.0, 0.9), moved(1e-4, 0.0)]
    outcome = read_as(dict(zip((one.name for one in sets), found, strict=True)))
    assert Attributes().set_columns(measurement(), outcome, sets) == {
        "interpretable": 1,
        "entangled": 1,
        "attributes_found": 1,
        "dependency_mean": pytest.approx((0.1 + 0.9) / 2),
    }


def test_levels_are_those_at_both_ends_and_at_zero(generator):
    (one,) = made(generator, "svd")
    read = Readings(5 + scores(2.0, 1.0)[None])
    on = measurement(generator=generator, suite=toy.tiny(experiments=[], attributes={"samples": 8, "shifts": 3}))
    ((_, found),) = movements_of(on, SimpleNamespace(attributes=ATTRIBUTES), [one], read)
    assert found.levels.tolist() == [[3.0, 4.0], [5.0, 5.0], [7.0, 6.0]]


def test_a_direction_that_moves_codes_either_way_or_another_attribute_more_is_none_of_the_attribute(generator):
    steady, either, other = made(generator, "svd", count=3)
    signs = torch.tensor([1.0, -1.0] * 4)
    found = {steady.name: moved(1.0, 0.0), either.name: moved(1.0, 0.0, signs=signs), other.name: moved(1.0, 5.0)}
    outcome, radius = read_as(found), Target("wheel radius", 1.0)
    assert _best([other, steady, either], outcome, radius) is steady
    assert _best([either], outcome, radius) is None
    assert _best([other], outcome, radius) is None


def test_of_two_directions_of_the_attribute_that_with_the_larger_share_is_matched(generator):
    mixed, pure, entangled = made(generator, "svd", count=3)
    found = {mixed.name: moved(1.0, 0.4), pure.name: moved(0.5, 0.1), entangled.name: moved(9.0, 8.0)}
    assert _best([mixed, pure, entangled], read_as(found), Target("wheel radius", 1.0)) is pure


@pytest.mark.parametrize(
    ("amounts", "attribute"),
    [
        ({"svd": [(1, 0)], "spectrum": [(0, 1)], "hybrid": [(0, 1)]}, "height"),
        ({"svd": [(1, 0)], "spectrum": [(0, 1), (0, 2)]}, "wheel radius"),  # a tie: the scorer's first
        ({"svd": [(1, 0), (0, 1)], "spectrum": [(0.9, 1), (0, 1)]}, "height"),  # what is entangled is of none
        ({"svd": [(1, 0.9)], "spectrum": [(0, 0)]}, None),
    ],
)
def test_the_attribute_that_most_methods_have_a_direction_of_picks_itself(generator, amounts, attribute):
    sets = [made(generator, method, seed, len(every)) for seed, (method, every) in enumerate(amounts.items())]
    found = {
        one.name: moved(*each)
        for group, every in zip(sets, amounts.values(), strict=True)
        for one, each in zip(group, every, strict=True)
    }
    on = measurement(sets=sets, suite=toy.tiny(experiments=[], matched={"change": 2.0}))
    assert _target(on, read_as(found)) == (attribute and Target(attribute, 2.0 * SPREADS[attribute]))


def test_an_attribute_that_the_suite_names_is_taken_in_its_unit(generator):
    on = measurement(suite=toy.tiny(experiments=[], matched={"attribute": "height", "change": 3.0}))
    assert _target(on, read_as({})) == Target("height", 3.0)


# --- heatmaps and imitations -------------------------------------------------------------------------------------


def heats(hot):
    """Ten groups whose change lies on `hot` of 16 pixels alone, over 6 shifted and 2 unshifted images each."""
    change = torch.zeros(16).double()
    change[:hot] = 6.0
    image = torch.full((3, 4, 4), 1.0).double()
    examples = [torch.zeros(0, 2, 3, 4, 4).byte(), torch.zeros(0, 4, 4)]
    return [Heat(change.view(4, 4), image, torch.tensor([6, 2]), *[torch.zeros(0)] * 3, *examples)] * 10


def test_a_set_has_the_mean_area_of_its_directions(generator):
    sets = made(generator, "svd", count=2)
    outcome = Heats({one.name: heats(hot) for one, hot in zip(sets, (8, 4), strict=True)})
    assert Heatmaps().set_columns(measurement(), outcome, sets) == {"area50_mean": pytest.approx((0.25 + 0.125) / 2)}


def test_arrays_are_means_over_shifted_and_over_unshifted_images(generator):
    sets = made(generator, "svd")
    (file,) = Heatmaps().files(measurement(sets=[sets]), Heats({sets[0].name: heats(4)}))
    arrays = np.load(io.BytesIO(file.content))
    assert arrays["heatmap"].flatten().tolist() == [1.0] * 4 + [0.0] * 12
    assert (arrays["mean_image"] == 0.5).all()


def imitation(unexplained, panel=None):
    panel = torch.zeros(1, 3, 3, 16, 16).byte() if panel is None else panel
    errors, nothing = torch.full((CODES,), unexplained), torch.zeros(1)
    told = {"offset": nothing, "steps": nothing, "converged": torch.tensor(True), "best_errors": nothing[:0]}
    perceptual = {"perceptual": nothing, "perceptual_sizes": nothing}
    return Reproduction(errors=errors, sizes=torch.ones(CODES), panel=panel, **told, **perceptual)


def test_of_several_layers_the_one_that_explains_most_counts(generator):
    (one,) = sets = made(generator, "svd")
    found = {(one.name, f"parameter {layer}"): imitation(left) for layer, left in (("a", 0.3), ("b", 0.6))}
    outcome = Imitations(found)
    row = Reproductions().direction_columns(measurement(), outcome, one)
    assert row["unexplained_fraction_parameter"] == pytest.approx(0.3)
    columns = Reproductions().set_columns(measurement(), outcome, sets)
    assert columns["unexplained_fraction_parameter_mean"] == pytest.approx(0.3)
    assert columns["unexplained_fraction_z_mean"] is None


def test_a_panel_shows_the_image_the_edit_and_every_imitation(generator):
    (one,) = sets = made(generator, "svd")

    def panel(best):
        levels = torch.tensor([0, 100, best]).byte().view(1, 3, 1, 1, 1)
        return levels.expand(1, 3, 3, 16, 16)

    found = {(one.name, target): imitation(0.1, panel(best)) for target, best in (("z", 150), ("w", 250))}
    (file,) = Reproductions().files(measurement(sets=[sets]), Imitations(found))
    picture = Image.open(io.BytesIO(file.content)).convert("L")
    assert [picture.getpixel((8 + 16 * column, 8)) for column in range(4)] == pytest.approx([0, 100, 150, 250], abs=4)


# --- rankings ----------------------------------------------------------------------------------------------------


COUNT = 4
EFFECTS = (0.2, 0.2)


def influence(seed):
    values = torch.randn(2, CODES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values - values.mean(1, keepdim=True)


def ranked(generator, *costs, reproduced=(), ranges=None, count=COUNT, spread=1.0, **more):
    """The rows of two methods whose directions cost so much in the mean, with a spread."""
    sets = [made(generator, method, seed, count) for seed, method in enumerate(("svd", "spectrum"))]
    curves = {
        one.name: curve(*[cost + spread * (k - (count - 1) / 2)] * 2, influence=influence(10 * m + k), effects=EFFECTS)
        for m, (found, cost) in enumerate(zip(sets, costs, strict=True))
        for k, one in enumerate(found)
    }
    imitations = {
        (one.name, "z"): imitation(left) for found, left in zip(sets, reproduced, strict=False) for one in found
    }
    outcomes = {Curves: CurvesFound(curves, {}), Reproductions: Imitations(imitations)}
    outcomes[Screening] = Screened({name: torch.full((2, 4), 0.2) for name in curves})
    reached = {one.name: ranges for one in sets[0]} if ranges is not None else {}
    suite = toy.tiny(experiments=[], calibrate="effect=0.2")
    on = measurement(outcomes, generator=generator, sets=sets, ranges=reached, suite=suite, **more)
    return {row["metric"]: row for row in rows(Ranking(), on, Ranking().run(on), "ranking")}


@pytest.mark.parametrize(("costs", "lower"), [((20.0, 40.0), "svd"), ((40.0, 20.0), "spectrum"), ((20.0, 20.1), "")])
def test_the_method_whose_distance_is_significantly_lower_is_named(generator, costs, lower):
    assert ranked(generator, *costs)["FD"]["lower"] == lower


def test_directions_that_differ_among_themselves_decide_nothing_however_many_codes(generator):
    near, far = (ranked(generator, 20.0, 25.0, spread=spread)["FD"] for spread in (0.5, 10.0))
    assert (near["lower"], far["lower"]) == ("svd", "")
    assert far["stderr_codes"] == pytest.approx(near["stderr_codes"])
    assert far["stderr"] > far["stderr_directions"] / 1.01 > 5 * near["stderr_directions"]


@pytest.mark.parametrize("count", [1, 2])
def test_few_directions_of_each_method_are_not_compared(generator, count):
    row = ranked(generator, 20.0, 40.0, count=count)["FD"]
    assert (row["status"], row["lower"], row["p"]) == ("measured of fewer than three directions", "", None)


def test_an_imitation_of_an_end_that_was_not_reached_is_not_ranked(generator):
    only_low = ranged(0.2, 0.1)
    assert "unexplained fraction in z" in ranked(generator, 20.0, 40.0, reproduced=(0.2, 0.3))
    assert "unexplained fraction in z" not in ranked(generator, 20.0, 40.0, reproduced=(0.2, 0.3), ranges=only_low)


def test_a_race_orders_the_directions(generator):
    found = made(generator, "svd", count=3)
    plan = Plan((), (), (found,), {}, leaders={found.set_id: [found[2].name, found[0].name]})
    on = measurement(generator=generator, plan=plan, laps=("a lap",))
    assert [[one.index for one in on.leading(count)] for count in (1, 2)] == [[2], [0, 2]]


@pytest.mark.parametrize("laps", [(), ("a lap",)])
def test_some_directions_stand_for_no_method(generator, laps):
    sets = [made(generator, method, seed, 5) for seed, method in enumerate(("svd", "spectrum"))]
    suite = toy.tiny(experiments=[], calibrate="effect=0.2")
    for count, status in ((5, ""), (3, "measured of some of their directions, which stand for no method")):
        curves = {
            one.name: curve(20.0 + k, 20.0 + k, influence=influence(k), effects=EFFECTS)
            for found in sets
            for k, one in enumerate(list(found)[:count])
        }
        on = measurement({Curves: CurvesFound(curves, {})}, generator=generator, sets=sets, suite=suite, laps=laps)
        assert {row["status"] for row in rows(Ranking(), on, Ranking().run(on), "ranking")} == {status}


# --- layers and pairs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reached", "effect"), [((0.2, 0.2), 0.2), ((0.2, 0.1), None)])
def test_a_layer_has_an_effect_only_if_every_end_reached_it(generator, reached, effect):
    found = made(generator, "svd")
    ones = torch.ones(CODES, 3).double()
    changes = Changes(ones, ones[:, :2], torch.ones(10, 4, 4).double(), torch.full((10,), 4.0).double())
    outcome = SurveyedLayers({"map": SurveyedLayer(found, [Surveyed(found[0], changes)], None)})
    ranges = {found[0].name: ranged(*reached)}
    suite = toy.tiny(experiments=[], calibrate="effect=0.2")
    on = measurement({Survey: outcome}, generator=generator, ranges=ranges, suite=suite)
    (row,) = Layers().rows(on, Layers().run(on))["layers"]
    assert row["survey_effect"] == effect


def test_a_partner_that_does_the_same_at_its_other_end_is_shown_mirrored(generator, monkeypatch):
    one, other = made(generator, "svd", count=2)
    monkeypatch.setattr(
        pairs, "strip_of", lambda on, direction, shifts, codes: torch.tensor(shifts).view(1, -1, 1, 1, 1)
    )
    monkeypatch.setattr(Measurement, "pieces", lambda self, asked: [SimpleNamespace(images=each) for each in asked])
    sheet = pairs._sheet(measurement(), "paired", [(one, 1), (other, 0)])
    assert sheet.members == [one, other]
    first, second = sheet.images[0, :, :, 0, 0, 0].tolist()
    assert first == sorted(first)
    assert second == sorted(second, reverse=True)
