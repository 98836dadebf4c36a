from itertools import pairwise

import pytest
import torch
from analytic import Extractor, LinearGenerator, Quadratic, edit, noise, wrapped
from distances import precision_recall

from navbench.compute import Compute
from navbench.experiments.edit import codes_for, unshifted
from navbench.experiments.fid_curve import SHARES, ReferenceStatistics, assemble, curve_shard, unshifted_features
from navbench.experiments.locality import heat
from navbench.experiments.screening import screen
from navbench.experiments.strips import strip
from navbench.generators.dcgan import DCGAN
from navbench.metrics.frechet import FrechetReference, Moments
from navbench.metrics.parts import Parts

SHIFTS = [-4.0, -1.0, 2.0, 5.0]
CODES = 40
EFFECTS = 10


def whole(batch=16, shards=(range(CODES),), seed=0):
    """The curve of one direction of a wrapped network, from shards of codes."""
    generator, compute, extractor = wrapped(), Compute(batch=batch), Extractor()
    made = edit(generator, noise(0, 8, 8, 3, 3), compute, layer="wide")
    images = unshifted_features(generator, "reference", range(60), seed, extractor, compute)
    reference = ReferenceStatistics.of(Parts.of(images.features))
    parts = [curve_shard(made, SHIFTS, indices, seed, extractor, Quadratic(), EFFECTS) for indices in shards]
    features = torch.cat([part.features for part in parts], dim=1)
    effects = torch.cat([part.effects for part in parts], dim=1)
    return assemble(map(Parts.of, features), effects, reference), features


@pytest.fixture(scope="module")
def expected():
    return whole()


@pytest.mark.parametrize("batch", [1, 7, 16, 64])
def test_a_curve_does_not_depend_on_the_batch(expected, batch):
    check_same(whole(batch)[0], expected[0])


@pytest.mark.parametrize(
    "edges", [(0, 10, 40), (0, 1, 2, 40), (0, 3, 9, 10, 11, 39, 40)], ids=["two", "three", "ragged"]
)
def test_a_curve_does_not_depend_on_its_shards(expected, edges):
    shards = [range(low, high) for low, high in pairwise(edges)]
    check_same(whole(4, shards)[0], expected[0])


def check_same(found, expected):
    for name in ("frechet", "kernel", "effects"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-6, msg=name)
    for index in range(len(SHIFTS)):
        for ours, theirs in (
            (found.frechet_at(index), expected.frechet_at(index)),
            (found.kernel_at(index), expected.kernel_at(index)),
        ):
            assert ours.stderr == pytest.approx(theirs.stderr, rel=1e-4)
            assert ours.n == CODES


def test_another_seed_gives_another_curve(expected):
    assert not torch.isclose(whole(seed=1)[0].frechet, expected[0].frechet).any()


def test_features_are_those_of_the_shifted_images_of_the_same_codes(expected):
    generator = wrapped()
    made = edit(generator, noise(0, 8, 8, 3, 3), layer="wide")
    render = made.prepare(codes_for(generator, "curve", range(CODES), 0))
    for index, t in enumerate(SHIFTS):
        torch.testing.assert_close(expected[1][index], Extractor()(render(t)), rtol=1e-4, atol=1e-5)


def test_a_curve_is_the_distance_of_each_shift_from_the_reference(expected):
    generator = wrapped()
    reference = unshifted_features(generator, "reference", range(60), 0, Extractor(), Compute()).features
    direct = FrechetReference.from_moments(Moments.of(reference))
    for index in range(len(SHIFTS)):
        value = direct.distance(Moments.of(expected[1][index]))
        assert float(expected[0].frechet[index]) == pytest.approx(value, rel=1e-6)
        assert expected[0].frechet_at(index).value == float(expected[0].frechet[index])


def test_effects_are_measured_on_the_first_codes_of_the_whole_curve(expected):
    generator = wrapped()
    codes = codes_for(generator, "curve", range(EFFECTS), 0)
    render = edit(generator, noise(0, 8, 8, 3, 3), layer="wide").prepare(codes)
    changes = torch.stack([(render(t) - render(0.0)).square().sum((1, 2, 3)) for t in SHIFTS])
    torch.testing.assert_close(expected[0].effects, changes, rtol=1e-4, atol=1e-6)


def test_a_shift_of_the_mean_is_a_frechet_distance_of_its_square():
    """An edit that adds one image to all moves the features' mean and nothing else."""
    generator, extractor = LinearGenerator(), Extractor()
    made = edit(generator, generator.row(3, noise(4, 3, 4, 4)), layer="map")
    own = unshifted_features(generator, "curve", range(CODES), 0, extractor, Compute()).features
    shard = curve_shard(made, SHIFTS, range(CODES), 0, extractor, Quadratic(), CODES)
    curve = assemble(map(Parts.of, shard.features), shard.effects, ReferenceStatistics.of(Parts.of(own)))
    away = extractor(made.offset[3][None])[0]
    for index, t in enumerate(SHIFTS):
        assert float(curve.frechet[index]) == pytest.approx(t * t * float(away.square().sum()), rel=1e-4)
        torch.testing.assert_close(curve.effects[index], torch.full((CODES,), t * t), rtol=1e-4, atol=0)


def test_the_unshifted_generator_is_at_distance_zero_from_its_own_codes():
    generator, extractor = wrapped(), Extractor()
    own = unshifted_features(generator, "curve", range(CODES), 0, extractor, Compute()).features
    codes = codes_for(generator, "curve", range(CODES), 0)
    torch.testing.assert_close(own, extractor(unshifted(generator, codes, Compute())), rtol=1e-4, atol=1e-5)
    curve = assemble([Parts.of(own)], torch.empty(1, 0), ReferenceStatistics.of(Parts.of(own)))
    assert float(curve.frechet[0]) == pytest.approx(0, abs=1e-9)
    other = unshifted_features(generator, "reference", range(CODES), 0, extractor, Compute()).features
    assert not torch.isclose(own, other).any()


def test_every_image_is_shown_to_the_extractor_once():
    generator, extractor = wrapped(), Extractor()
    made = edit(generator, noise(0, 8, 8, 3, 3), Compute(batch=16), layer="wide")
    curve_shard(made, SHIFTS, range(CODES), 0, extractor, Quadratic(), EFFECTS)
    assert sorted(extractor.shown) == [8] * 4 + [16] * 8


# --- work before the layer -----------------------------------------------------------------------------------


@pytest.fixture
def counted():
    """An edit of the third layer of a small DCGAN, batches of 4, and the images that its first layer made."""
    generator = Compute().place(DCGAN("small", "a small DCGAN", latent_dim=8, channels=2, resolution=16))
    made = edit(generator, noise(0, *generator.layer("main.6").shape), Compute(batch=4), layer="main.6")
    seen = []
    generator.main[0].register_forward_hook(lambda _, inputs, output: seen.append(len(output)))
    return made, seen


EXPERIMENTS = {
    "curve": lambda made: curve_shard(made, SHIFTS, range(8), 0, Extractor(), Quadratic(), 8),
    "heatmap": lambda made: heat(made, SHIFTS, range(8), 0),
    "strip": lambda made: strip(made, SHIFTS, 8, 0),
    "screening": lambda made: screen([made], Quadratic(), range(8), 0),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_work_before_the_layer_is_done_once_for_all_shifts(counted, name):
    made, seen = counted
    EXPERIMENTS[name](made)
    assert seen == [4, 4]


# --- the direction table -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [3, 64])
def test_a_screening_is_the_distance_of_each_code_at_both_ends(batch):
    generator = LinearGenerator()
    offset = noise(0, *generator.map.weight.shape)
    made = edit(generator, offset, Compute(batch=batch), layer="map", ends=(-1.0, 3.0))
    found = screen([made], Quadratic(), range(8), seed=0).effects[0]
    inputs = generator.inputs(codes_for(generator, "screening", range(8), 0))
    change = torch.einsum("nc,cdyx->ndyx", inputs, made.offset).square().sum((1, 2, 3))
    torch.testing.assert_close(found, torch.stack([change, 9 * change]), rtol=1e-4, atol=1e-5)


def test_the_shares_of_each_shift_are_precision_recall_density_and_coverage():
    reference, along = noise(0, 60, 5), [0.7 * noise(1, 40, 5), noise(2, 40, 5) + 0.5]
    found = assemble(map(Parts.of, along), torch.zeros(2, 1), ReferenceStatistics.of(Parts.of(reference)))
    for shares, stderr, features in zip(found.shares, found.shares_stderr, along, strict=True):
        expected = precision_recall(features, reference)
        assert shares.tolist() == pytest.approx([getattr(expected, name).value for name in SHARES])
        assert stderr.tolist() == pytest.approx([getattr(expected, name).stderr for name in SHARES])


def test_what_is_not_known_of_a_reference_is_nan_and_the_rest_is_as_ever():
    reference, features = noise(0, 60, 5).double(), noise(1, 40, 5)
    whole = assemble([Parts.of(features)], torch.zeros(1, 1), ReferenceStatistics.of(Parts.of(reference)))
    bare = assemble(
        [Parts.of(features)], torch.zeros(1, 1), ReferenceStatistics.of_gaussian(reference.mean(0), reference.T.cov())
    )
    torch.testing.assert_close(bare.frechet, whole.frechet)
    assert torch.isnan(bare.kernel).all()
    assert torch.isnan(bare.shares).all()
    few = assemble([Parts.of(features[:3])], torch.zeros(1, 1), ReferenceStatistics.of(Parts.of(reference)))
    assert torch.isnan(few.shares).all()
    assert torch.isfinite(few.frechet).all()


def test_numbers_of_pairs_are_those_of_the_first_codes_and_images():
    reference, features = noise(0, 60, 5), noise(1, 40, 5)
    few = ReferenceStatistics.of(Parts.of(reference), pairwise_samples=25)
    capped = assemble([Parts.of(features)], torch.zeros(1, 1), few)
    whole = assemble([Parts.of(features)], torch.zeros(1, 1), ReferenceStatistics.of(Parts.of(reference)))
    first = assemble([Parts.of(features[:25])], torch.zeros(1, 1), ReferenceStatistics.of(Parts.of(reference[:25])))
    for name in ("kernel", "kernel_influence", "shares", "shares_stderr"):
        torch.testing.assert_close(getattr(capped, name), getattr(first, name), equal_nan=True)
    assert torch.equal(capped.frechet, whole.frechet)
    assert (capped.frechet_at(0).n, capped.kernel_at(0).n) == (40, 25)
