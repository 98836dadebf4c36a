"""Which end of a direction costs more, and whether the reference has fewer images there, on cases that are known."""

from types import SimpleNamespace

import pytest
import torch
from made_up import CODES, measurement, realism, rows
from made_up import curve as made_up_curve
from scipy.stats import norm

from navbench.experiments.asymmetry import Asymmetry, beyond, difference_of, share_of
from navbench.experiments.attributes import Attributes, Movements
from navbench.experiments.curves import Curves, CurvesFound
from navbench.metrics.attributes import Attribute, movement

ATTRIBUTES = (Attribute("wheel radius", "px", 1.0), Attribute("hue", "degrees", 100.0, period=360.0))
SHIFTS = [-1.0, 0.0, 1.0]
NAME = "cars/svd/convs.3/0"
DIRECTION = SimpleNamespace(
    generator="cars", method="svd", place="convs.3", space="parameter", index=0, name=NAME, label=""
)


def curve(low, high, noise=0.0):
    shared = 30 * torch.randn(2, CODES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[:1]
    own = noise * torch.randn(2, CODES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    influence = shared + own
    influence -= influence.mean(1, keepdim=True)
    return made_up_curve(low, high, influence=influence, effects=(0.1, 0.2))


def row(low, high, noise=0.0, slope=1.0, reference=None, moves=0):
    """The one row of a direction whose attribute number `moves` goes up by `slope` per unit of t, from 0."""
    scores = torch.zeros(3, 8, 2)
    scores[..., moves] = slope * torch.tensor(SHIFTS)[:, None]
    moved = {NAME: movement(scores, SHIFTS, ATTRIBUTES)}
    outcomes = {
        Curves: CurvesFound({NAME: curve(low, high, noise)}, {}),
        Attributes: Movements(SimpleNamespace(attributes=ATTRIBUTES), {NAME: ~scores[..., 0].isnan()}, moved),
    }
    on = measurement(outcomes, along=realism(scores=reference), sets=[[DIRECTION]])
    (found,) = rows(Asymmetry(), on, Asymmetry().run(on), "asymmetry")
    return found


def readings(values):
    return torch.stack([torch.as_tensor(values), torch.zeros(len(values))], dim=1)


def test_the_difference_of_the_ends_is_paired_on_the_codes():
    found = row(20, 26)
    assert found["difference"] == pytest.approx(6)
    assert found["stderr"] == pytest.approx(0, abs=1e-12)  # all of the error is shared
    assert (found["value_min"], found["value_max"]) == (20, 26)
    assert (found["effect_min"], found["effect_max"]) == pytest.approx((0.1, 0.2))


@pytest.mark.parametrize(("ends", "costlier"), [((20, 26), "t_max"), ((26, 20), "t_min"), ((23, 23.5), "")])
def test_the_end_that_costs_more_is_named_if_the_difference_is_beyond_its_uncertainty(ends, costlier):
    assert row(*ends, noise=3.0)["costlier_end"] == costlier


@pytest.mark.parametrize(("slope", "rarer"), [(1.0, "t_min"), (-1.0, "t_max")])
def test_the_end_beyond_which_the_reference_has_fewer_images_is_named(slope, rarer):
    """Radii from -0.5 to 3: none is below -1, which the edit reaches; more than half are above +1."""
    reference = readings(torch.linspace(-0.5, 3, 701))
    found = row(20, 26, slope=slope, reference=reference)
    near, far = (
        ("fraction_beyond_min", "fraction_beyond_max") if slope > 0 else ("fraction_beyond_max", "fraction_beyond_min")
    )
    assert found[near] == 0
    assert found[far] == pytest.approx(2 / 3.5, abs=2e-3)
    assert found["rarer_end"] == rarer
    assert (found["attribute"], found["n_reference"]) == ("wheel radius", 701)
    assert (found["level_min"], found["level_zero"], found["level_max"]) == (-slope, 0, slope)


def test_a_symmetric_reference_has_no_rarer_end():
    assert row(20, 26, reference=readings(torch.linspace(-3, 3, 600)))["rarer_end"] == ""


def test_a_few_images_decide_nothing():
    assert row(20, 26, reference=readings([-0.5, 0.0, 1.5]))["rarer_end"] == ""


def test_around_a_circle_and_without_readings_nothing_is_explained():
    assert "attribute" not in row(20, 26, reference=readings(torch.zeros(9)), moves=1, slope=100.0)
    assert "attribute" not in row(20, 26)


def test_the_error_of_a_share_covers_it_as_often_as_it_should():
    share, n = float(norm.sf(1.0)), 200
    generator = torch.Generator().manual_seed(0)
    drawn = [share_of(beyond(torch.randn(n, generator=generator), 0.0, 1.0)) for _ in range(400)]
    assert sum(found for found, _ in drawn) / 400 == pytest.approx(
        share, abs=4 * (share * (1 - share) / n / 400) ** 0.5
    )
    covered = sum(abs(found - share) <= 1.96 * stderr for found, stderr in drawn) / 400
    assert 0.92 < covered <= 1
    assert share_of(beyond(torch.zeros(n), 0.0, 1.0))[1] > 0


@pytest.mark.parametrize("end", [0.2, 0.5, 1.0])
def test_of_a_symmetric_reference_an_end_is_called_rarer_no_more_often_than_chance_allows(end):
    """Both shares are of the same images, so they are correlated: as if independent, up to 13 % were called so."""
    generator = torch.Generator().manual_seed(0)
    calls = 0
    for _ in range(1000):
        scores = torch.randn(200, generator=generator)
        difference, stderr = difference_of(beyond(scores, 0.0, -end), beyond(scores, 0.0, end))
        calls += abs(difference) > 2 * stderr
    assert calls / 1000 < 0.046 + 4 * (0.046 * 0.954 / 1000) ** 0.5
