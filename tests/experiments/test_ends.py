"""Both ends of many directions, held against the curve of each on the same codes."""

from types import SimpleNamespace

import pytest
import torch
from analytic import Extractor, LinearGenerator, Quadratic, edit, noise, wrapped

from navbench.compute import Compute
from navbench.experiments.edit import codes_for
from navbench.experiments.ends import Ended, EndPoints, end_floor, end_points
from navbench.experiments.fid_curve import Features, ReferenceStatistics, assemble, curve_shard, unshifted_features
from navbench.metrics.by_code import METRICS
from navbench.metrics.interpolation import at_both_sides, reach
from navbench.metrics.parts import Parts

CODES, POINTS = 12, 5


class Held:
    """A stored result that is in memory."""

    def __init__(self, result):
        self.result = result

    def load(self):
        return self.result

    def read(self, name):
        return getattr(self.result, name)


@pytest.fixture(scope="module")
def reference():
    generator = wrapped()
    images = unshifted_features(generator, "reference", range(40), 0, Extractor(), Compute())
    return Held(ReferenceStatistics.of(Parts.of(images.features)))


def edits(batch=16, order=(0, 1, 2)):
    generator = wrapped()
    return [edit(generator, noise(seed, 8, 8, 3, 3), Compute(batch=batch), layer="wide") for seed in order]


def measured(reference, **how):
    return end_points(edits(**how), POINTS, range(CODES), 0, Extractor(), Quadratic(), reference)


def test_the_numbers_of_a_direction_are_those_of_its_curve_on_the_same_codes(reference):
    made, found = edits(), measured(reference)
    assert found.effects.shape == (3, POINTS - 1, CODES)
    for k, one in enumerate(made):
        shifts = [t for t in one.direction.shifts(POINTS).tolist() if t != 0]
        shard = curve_shard(one, shifts, range(CODES), 0, Extractor(), Quadratic(), CODES)
        curve = assemble(map(Parts.of, shard.features), shard.effects, reference.load())
        torch.testing.assert_close(found.effects[k], shard.effects, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.values[k, :, 0], curve.kernel, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.influence[k, :, 0], curve.kernel_influence, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(found.values[k, :, 1:], curve.shares, rtol=1e-6, atol=1e-6)


def test_neither_the_batch_nor_the_other_directions_change_a_number(reference):
    whole, other = measured(reference), measured(reference, batch=5, order=(2, 0))
    for name in ("values", "influence", "effects"):
        ours, theirs = getattr(whole, name)[[2, 0]], getattr(other, name)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=name)


def test_the_effect_is_the_distance_of_each_code(reference):
    generator = LinearGenerator()
    one = edit(generator, noise(0, *generator.map.weight.shape), Compute(), layer="map", ends=(-1.0, 3.0))
    known = Held(ReferenceStatistics.of(Parts.of(noise(1, 20, Extractor.dimensions))))
    extractor = SimpleNamespace(cache_key="", dimensions=Extractor.dimensions)
    see = lambda images: noise(2, len(images), extractor.dimensions)  # noqa: E731
    found = end_points([one], 3, range(8), 0, see, Quadratic(), known).effects[0]
    inputs = generator.inputs(codes_for(generator, "curve", range(8), 0))
    change = torch.einsum("nc,cdyx->ndyx", inputs, one.offset).square().sum((1, 2, 3))
    torch.testing.assert_close(found, torch.stack([change, 9 * change]), rtol=1e-4, atol=1e-5)


def test_t_0_is_measured_as_a_shift_is(reference):
    generator = wrapped()
    features = unshifted_features(generator, "curve", range(CODES), 0, Extractor(), Compute())
    floor = end_floor((Held(Features(features.features)),), reference)
    kernel, shares = reference.load().pairwise.measure(features.features)
    assert floor.at(0, 0, "KID").value == pytest.approx(kernel.value)
    assert floor.at(0, 0, "recall").value == pytest.approx(shares.recall.value)


def test_both_sides_are_read_from_t_0_outward():
    """KID 1 at t = 0; 3 and 2 on the way to t_min, 4 and 9 to t_max, at effects that are known."""
    values = torch.full((1, 4, len(METRICS)), 0.0).double()
    values[0, :, 0] = torch.tensor([3.0, 2.0, 4.0, 9.0])
    effects = torch.tensor([0.4, 0.2, 0.1, 0.3])[None, :, None].expand(1, 4, 6)
    floor = EndPoints(torch.ones(1, 1, len(METRICS)).double(), torch.zeros(1, 1, len(METRICS), 6).double(), effects)
    ended = Ended(EndPoints(values, torch.zeros(1, 4, len(METRICS), 6).double(), effects), 0, floor)
    assert reach(ended.sides("KID")) == pytest.approx(0.3)
    assert at_both_sides(ended.sides("KID"), 0.2).value == pytest.approx((2.0 + 6.5) / 2)
    assert ended.increase(0.2) == pytest.approx((2.0 + 6.5) / 2 - 1)
    assert ended.increase(0.35) == float("inf")
    torch.testing.assert_close(ended.effects, effects[0, [0, -1]])
