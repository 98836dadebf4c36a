"""The paper's claims as paired differences, on made-up curves whose distances are known."""

from types import SimpleNamespace

import made_up
import pytest
import torch
import toy
from analytic import noise, ranged
from made_up import CODES, measurement, realism

from navbench.experiments.calibration import Target
from navbench.experiments.matched import Match, Matched, Matches, _most_found, cost_of
from navbench.metrics import estimate
from navbench.metrics.attributes import Attribute
from navbench.metrics.estimate import Estimate

FLOOR = 2.0


def curve(shrunk, grown, noise=0.0, seed=0):
    """Distances that go with t² up to those at both ends, with influences of mean zero that curves of a seed share."""
    halves = [FLOOR + (distance - FLOOR) / 4 for distance in (shrunk, grown)]
    shared = torch.randn(2, CODES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    own = torch.randn(2, CODES, generator=torch.Generator().manual_seed(int(100 * grown)), dtype=torch.float64)
    influence = shared * 30 + own * noise
    influence -= influence.mean(1, keepdim=True)
    return made_up.curve(shrunk, *halves, grown, influence=influence[[0, 0, 1, 1]])


def match(method, shrunk, grown, *, place="convs.3", reached=(-1.0, 1.0), noise=0.0, solved=0.0):
    """A method's direction whose attribute goes down at t_min and up at t_max."""
    direction = SimpleNamespace(
        place=place, method=method, name=f"cars/{method}/{place}/0", generator="cars", space="parameter", index=0,
        label="",
    )  # fmt: skip
    solving = {"stderr": solved, "slope": reached[1], "seed": sum(map(ord, method)) % 20}  # the ends are at -1 and 1
    return Match(direction, ranged(*reached, **solving), curve(shrunk, grown, noise))


def rows(table, *matches):
    suite = toy.tiny(experiments=[], matched={"attribute": "wheel radius", "change": 1.0})
    outcome = Matches(Target("wheel radius", 1.0), False, matches)
    on = measurement({Matched: outcome}, along=realism(FLOOR), suite=suite)
    return made_up.rows(Matched(), on, outcome, table)


def claims(*matches):
    return {(row["claim"], row["method"], row["against"]): row for row in rows("claims", *matches)}


def test_the_baseline_is_compared_with_each_method_of_its_layer():
    other = match("spectrum", 50, 40, place="convs.5")
    told = claims(match("svd", 50, 40, noise=1.0), match("hybrid", 20, 10, noise=1.0), other)
    row = told["svd loses realism faster", "svd", "hybrid"]
    assert row["difference"] == pytest.approx(30)
    assert row["holds"] == "yes"
    assert ("svd loses realism faster", "svd", "spectrum") not in told


def test_a_claim_that_is_contradicted_is_said_to_be():
    told = claims(match("svd", 5, 5, noise=1.0), match("hybrid", 20, 20, noise=1.0))
    assert told["svd loses realism faster", "svd", "hybrid"]["holds"] == "no"


def test_a_difference_within_its_uncertainty_is_undecided():
    row = claims(match("svd", 20.4, 20.2, noise=9.0), match("hybrid", 20, 20.1, noise=9.0))
    assert row["svd loses realism faster", "svd", "hybrid"]["holds"] == "undecided"


def test_how_well_the_change_is_known_is_part_of_the_uncertainty():
    # FD - floor = a c^2 with c the change, known to 10 %: FD is known to 20 % of its excess over the floor
    svd, other = 2 + 30.0, 2 + 5.0
    told = claims(match("svd", svd, svd, solved=0.1), match("hybrid", other, other, solved=0.1))
    row = told["svd loses realism faster", "svd", "hybrid"]
    both_sides = (6.0**2 + 1.0**2) * 2
    assert row["stderr_of_change"] == pytest.approx(both_sides**0.5 / 2)
    assert row["stderr"] == pytest.approx(row["stderr_of_change"])
    assert row["holds"] == "yes"
    assert (
        claims(match("svd", 9, 9, solved=0.3), match("hybrid", 7, 7, solved=0.3))[
            "svd loses realism faster", "svd", "hybrid"
        ]["holds"]
        == "undecided"
    )


def test_what_both_share_cancels_from_the_uncertainty():
    told = claims(match("svd", 21, 21, noise=0.1), match("hybrid", 20, 20, noise=0.1))
    row = told["svd loses realism faster", "svd", "hybrid"]
    assert 0 < row["stderr"] < 0.05
    assert row["holds"] == "yes"


def test_all_comparisons_are_one_family():
    """A difference of 2.9 errors is decided among three, and not among fifteen."""

    def holds(*others):
        pairs = [match("svd", 3.05, 3.05, solved=0.1), match("hybrid", 2.62, 2.62, solved=0.0)]
        return claims(*pairs, *others)["svd loses realism faster", "svd", "hybrid"]["holds"]

    same = [match(f"other {index}", 2.92, 2.92, solved=0.1) for index in range(6)]
    assert (holds(), holds(*same)) == ("yes", "undecided")


def test_shrinking_is_compared_with_growing_whichever_way_t_goes():
    forward = claims(match("svd", 50, 40))["less costs more than more", "svd", ""]
    backward = claims(match("svd", 40, 50, reached=(1.0, -1.0)))["less costs more than more", "svd", ""]
    assert forward["difference"] == backward["difference"] == pytest.approx(10)


def test_an_end_that_does_not_reach_the_change_takes_part_in_no_claim():
    told = claims(match("svd", 50, 40, reached=(-0.5, 1.0)), match("hybrid", 20, 10))
    assert told["svd loses realism faster", "svd", "hybrid"]["difference"] == pytest.approx(30)
    assert ("less costs more than more", "svd", "") not in told
    assert not claims(match("svd", 50, 40, reached=(-0.5, 0.5)), match("hybrid", 20, 10)).keys() & {
        ("svd loses realism faster", "svd", "hybrid")
    }


def test_both_sides_of_a_match_stand_in_the_table_with_what_was_reached():
    found = match("svd", 50, 40, reached=(-0.98, 0.4))
    table = {(row["metric"], row["side"]): row for row in rows("matched", found)}
    assert len(table) == 4
    assert table["FD", "-"]["value"] == 50
    assert table["FD", "+"]["value"] == 40
    assert (table["FD", "-"]["is_reached"], table["FD", "+"]["is_reached"]) == (True, False)


@pytest.mark.parametrize("power", [1.5, 2.0, 2.5])
def test_the_error_of_the_solved_change_is_that_of_replications(power):
    """A change of a_i t for code i, solved for 1 on 40 codes; a distance of 2 + 5 t^power there."""
    draws = torch.Generator().manual_seed(0)
    rates = 1 + 0.6 * torch.randn(600, 40, generator=draws, dtype=torch.float64)
    shifts = 1 / rates.mean(1)

    def distance(t):
        return 2 + 5 * float(t) ** power

    def cost(t, own):
        there = Estimate(distance(t), torch.zeros(8))
        return cost_of(t, 2.0, distance(t / 2), there, estimate.mean(t * own), own.mean())

    costs = [cost(float(t), own) for t, own in zip(shifts, rates, strict=True)]
    reported = torch.tensor([cost.solving.stderr for cost in costs]).square().mean().sqrt()
    spread = torch.tensor([cost.estimate.value for cost in costs], dtype=torch.float64).std()
    assert 0.9 < float(reported / spread) < 1.15


def test_what_the_change_of_both_directions_shares_cancels():
    """Two directions whose changes differ by nothing: the same codes err alike."""
    change = estimate.mean(1 + noise(0, 40).double())
    one, other = (cost_of(1.0, 2.0, 3.0, Estimate(6.0, torch.zeros(8)), change, 1.0) for _ in range(2))
    assert one.solving.stderr > 0
    assert one.less(other).stderr == 0


def test_a_change_that_does_not_go_with_the_shift_tells_nothing():
    cost = cost_of(1.0, 2.0, 3.0, Estimate(6.0, torch.zeros(8)), estimate.mean(noise(0, 40)), 0.0)
    assert not cost.stderr < 1e9


def test_the_error_of_the_change_is_part_of_every_number_of_the_table():
    for metric in ("FD", "KID"):
        exact, rough = (
            next(row for row in rows("matched", match("svd", 50, 40, solved=solved)) if row["metric"] == metric)
            for solved in (0.0, 0.1)
        )
        assert exact["stderr_of_change"] == 0
        assert rough["stderr"] ** 2 == pytest.approx(exact["stderr"] ** 2 + rough["stderr_of_change"] ** 2)
        assert rough["n_change"] == 50


def test_an_end_where_the_attribute_moves_as_at_the_other_is_called_an_artefact_and_compared_with_nothing():
    odd = match("svd", 50, 40, reached=(1.0, 1.0))
    assert {row["status"] for row in rows("matched", odd)} == {"same way"}
    assert not rows("claims", odd, match("hybrid", 20, 10))[1:]
    assert {row["status"] for row in rows("matched", match("svd", 50, 40))} == {""}


class Sole(list):
    """A set of one direction, of the method that its name is."""

    @property
    def method(self):
        return self[0].name


def test_the_attribute_is_the_one_of_most_methods_that_compete():
    """Though another is that of more, which see labels or are drawn at random."""
    found = {"svd": "hue", "spectrum": "hue", "supervised": "size", "interfacegan": "size", "random": "size"}

    class Movements:
        scorer = SimpleNamespace(attributes=(Attribute("size", "", 1.0), Attribute("hue", "", 1.0)))

        def verdict_of(self, name):
            return SimpleNamespace(kind="interpretable", attribute=found[name])

    sets = [Sole([SimpleNamespace(name=name)]) for name in found]
    assert _most_found(sets, Movements()).name == "hue"
    assert _most_found(sets[2:], Movements()).name == "size"
