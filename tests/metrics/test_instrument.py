"""Which instruments may be read, of made-up distances."""

import pytest
import torch

from navbench.metrics.estimate import Estimate
from navbench.metrics.instrument import (
    LEAST,
    ROOM,
    WELL_ABOVE,
    floor_of,
    judge_damages,
    judge_floor,
    judge_losses,
    judge_share,
)

N = 200


def estimate(value, error=0.1, seed=0):
    """A number with this standard error; estimates of one seed have the same influences."""
    influence = torch.randn(N, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    influence = influence - influence.mean()
    return Estimate(value, influence * error / Estimate(0, influence).stderr)


def verdict(*values, floor=1.0, error=0.1):
    """Of one damage whose distances are these, from no strength on, with independent errors."""
    along = {float(step): estimate(value, error, step) for step, value in enumerate(values)}
    return judge_damages({("blur", "FD"): along}, {"FD": floor})["blur", "FD"]


def test_a_distance_that_rises_steadily_and_far_passes():
    assert verdict(1.0, 2.0, 4.0, 8.0).passed


def test_a_distance_that_falls_on_the_way_fails():
    assert verdict(1.0, 5.0, 3.0, 8.0).reason == "FD falls under more blur (from 5 to 3)"
    assert verdict(5.0, 3.0, 8.0, 4.0).reason == "FD falls under more blur (from 5 to 3 and from 8 to 4)"


def test_a_fall_within_errors_is_none():
    assert verdict(1.0, 3.05, 3.0, 8.0).passed
    assert verdict(1.0, 5.0, 3.0, 28.0, error=2.0).passed


def test_a_rise_within_errors_fails():
    assert verdict(1.0, 1.1, 1.2, 4.0, error=3.0).reason == (
        "the strongest blur raises FD by 3, which is not significant"
    )
    assert verdict(1.0, 1.0, 1.0, 1.0).reason.endswith("raises FD by 0, which is not significant")


def test_the_strongest_damage_must_rise_by_so_many_floors():
    assert verdict(1.0, 2.0, 3.0, 1.0 + WELL_ABOVE * 2.01, floor=2.0).passed
    told = verdict(1.0, 2.0, 3.0, 1.0 + WELL_ABOVE * 1.99, floor=2.0).reason
    assert told == "the strongest blur raises FD by 3.98, less than 2 floors of 2"


def test_differences_are_paired_on_the_codes():
    """Errors that all steps share are none of their differences."""
    along = {float(step): estimate(value, error=50.0) for step, value in enumerate((1.0, 2.0, 3.0))}
    along[2.0] = Estimate(3.0, along[0.0].influence + 0.01 * estimate(0, 1, seed=3).influence)
    along[1.0] = Estimate(2.0, along[0.0].influence + 0.01 * estimate(0, 1, seed=4).influence)
    assert judge_damages({("blur", "FD"): along}, {"FD": 0.5})["blur", "FD"].passed


def test_every_damage_and_metric_has_its_own_verdict():
    good, bad = ({0.0: estimate(1.0), 1.0: estimate(value, seed=1)} for value in (9.0, 0.1))
    verdicts = judge_damages({("blur", "FD"): good, ("grain", "FD"): bad}, {"FD": 1.0})
    assert [each.passed for each in verdicts.values()] == [True, False]
    assert "grain" in verdicts["grain", "FD"].reason


def test_the_floor_is_the_greatest_with_its_error():
    assert floor_of([estimate(2.0, 0.5), estimate(2.2, 0.1)]) == pytest.approx(2.5)


def test_a_floor_of_0_is_an_extractor_that_ignores_images():
    assert judge_floor("FD", [estimate(0.1), estimate(0.0)]).passed
    assert judge_floor("FD", [estimate(0.0), estimate(-1e-15)]).reason.startswith("the FD of different images is 0")


@pytest.mark.parametrize("name", ["precision", "recall", "density", "coverage"])
def test_a_share_near_0_fails(name):
    assert judge_share(name, LEAST, {}).passed
    assert judge_share(name, 0.0, {}).reason == f"{name} of unshifted images is 0, below 0.05"


def test_precision_that_damage_does_not_lower_fails():
    assert judge_share("precision", 1.0, {"blur": 0.0, "grain": 1.0 - ROOM}).passed
    told = judge_share("precision", 1.0, {"blur": 1.0, "grain": 0.0, "blank images": 0.9}).reason
    assert told == "precision falls by less than 0.25 under the strongest blur and blank images"
    assert judge_share("recall", 1.0, {"blur": 1.0}).passed


# --- what is lost


def losses(*counts, n=24):
    """Of n codes, so many first ones that lose the subject at each step."""
    return (torch.arange(n) < torch.tensor(counts)[:, None]).double()


def told(**lost):
    return {damage: verdict.reason for damage, verdict in judge_losses(lost).items()}


def test_what_is_lost_passes_where_the_strongest_of_each_damage_raises_it():
    assert told(blur=losses(0, 0, 3, 14), cover=losses(0, 24, 24, 24)) == {"blur": "", "cover": ""}


def test_a_rise_of_the_share_lost_that_may_be_chance_fails():
    assert told(blur=losses(0, 0, 0, 2), cover=losses(0, 3, 9, 24)) == {
        "blur": "the strongest blur does not raise the share lost significantly",
        "cover": "",
    }
    assert told(blur=losses(1, 1, 1, 1))["blur"].startswith("the strongest blur does not raise")


def test_a_share_lost_that_falls_from_any_earlier_step_fails_and_one_within_errors_does_not():
    assert told(blur=losses(0, 24, 21, 18, 15)) == {"blur": "the share lost falls under more blur"}
    assert told(blur=losses(0, 14, 13, 14)) == {"blur": ""}
