"""BigGAN and BigGAN-deep, against the published arithmetic written out in float64 on the published tensors."""

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from analytic import noise
from hypothesis import given
from hypothesis import strategies as st
from published_biggan import Published, Textbook
from scipy.stats import chisquare, kstest, truncnorm

from navbench.errors import NavbenchError
from navbench.generators.base import Codes
from navbench.generators.biggan import BigGAN, ClassCodes, Sizes, standing_statistics, truncated
from navbench.generators.biggan_layers import StoredStatistics
from navbench.generators.biggan_layouts import WIDTHS, assembled, build, recognised
from navbench.generators.checkpoints import read_checkpoint
from navbench.generators.options import Options
from navbench.spaces import LatentSpace, ParameterSpace

PLAIN = Published()
DEEP = Published(table=(16, 16, 8, 4, 2), ch=4, dim_z=6, depth=2, attn=(8,), bottom=2)
VARIANTS = {
    "hierarchical": PLAIN,
    "no attention": replace(PLAIN, attn=()),
    "attention twice": replace(PLAIN, attn=(8, 32)),
    "tapering": replace(PLAIN, table=(16, 16, 8, 4, 2), ch=2, dim_z=15, attn=(32,)),
    "not hierarchical": replace(PLAIN, hier=False),
    "no shared embedding": replace(PLAIN, hier=False, shared=False),
    "no spectral normalisation": replace(PLAIN, spectral=False),
    "own batch norm": replace(PLAIN, norm="mybn"),
    "cross-replica": replace(PLAIN, norm="sync"),
    "wider bottom": replace(PLAIN, bottom=6, attn=(24,)),
    "deep": DEEP,
    "deep, three blocks": replace(DEEP, depth=3, attn=()),
    "deep, own batch norm": replace(DEEP, norm="mybn", spectral=False, attn=()),
    "deep, all of one width": replace(DEEP, table=(4, 4, 4, 4), bottom=4, attn=(16,)),
}


of_each_structure = pytest.mark.parametrize(
    "settings", [VARIANTS[name] for name in ("hierarchical", "not hierarchical", "no shared embedding", "deep")]
)


@pytest.fixture(params=VARIANTS)
def settings(request):
    return VARIANTS[request.param]


def made(settings=PLAIN, **options):
    return build(settings.state(), "made", Options(**options))


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def refusal(state, **options):
    with pytest.raises(NavbenchError) as refused:
        build(state, "made", Options(**options), source="here.pth")
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_images_are_those_of_the_published_arithmetic(settings):
    generator = made(settings)
    codes = generator.sample(range(4), seed=0)
    images = generator(codes)
    assert images.dtype == torch.float32
    assert 0.1 < images.abs().mean() < 0.9  # the comparison would say little of images that are saturated
    expected = Textbook(settings).images(codes.z, codes.label)
    close(images, expected.float(), 1e-3)
    close(generator.double()(ClassCodes(codes.z.double(), codes.label)), expected)


@pytest.mark.parametrize("settings", [PLAIN, DEEP], ids=["plain", "deep"])
def test_a_published_file_is_read_as_what_it_is(settings, tmp_path):
    path = tmp_path / "G_ema.pth"
    torch.save(settings.state(), path)
    generator = read_checkpoint(path, Options(truncation=0.5, classes=(2, 3)))
    assert isinstance(generator, BigGAN)
    assert generator.name == "G_ema"
    assert generator.fingerprint == made(settings, truncation=0.5, classes=(2, 3)).fingerprint
    torch.save(without(settings.state(), "linear.bias"), path)
    with pytest.raises(NavbenchError, match=re.escape(f"{path}: the BigGAN in it lacks the tensor 'linear.bias'")):
        read_checkpoint(path)


def test_a_class_and_every_number_of_z_change_images(settings):
    generator = made(settings)
    codes = generator.sample([0], seed=0)
    images = generator(codes)
    for other in range(1, settings.n_classes):
        moved = generator(replace(codes, label=(codes.label + other) % settings.n_classes))
        assert (moved - images).abs().max() > 1e-4
    moved = generator(ClassCodes(codes.z + torch.eye(generator.latent_dim), codes.label.expand(generator.latent_dim)))
    assert ((moved - images).abs().amax(dim=(1, 2, 3)) > 1e-4).all()


def test_stored_sums_over_batches_are_their_means():
    plain = made()
    state = replace(PLAIN, norm="mybn").state()
    for key in state:
        if "stored_" in key:
            state[key] *= 16
        elif key.endswith("counter"):
            state[key] += 16
    close(build(state, "made", Options())(plain.sample([1], 0)), plain(plain.sample([1], 0)))


def test_what_only_training_uses_changes_nothing():
    state = PLAIN.state()
    more = {f"{key[:-1]}1": noise(3, *value.shape) for key, value in state.items() if key.endswith(("u0", "sv0"))}
    less = {key: value for key, value in state.items() if not key.endswith("sv0")}
    assert more
    assert build(state | more, "made", Options()).fingerprint == made().fingerprint
    assert build(less, "made", Options()).fingerprint == made().fingerprint


def test_generators_are_frozen_float32_on_the_cpu_and_the_same_from_a_file_at_half_precision():
    state = {key: value.half() if value.is_floating_point() else value for key, value in PLAIN.state().items()}
    generator = build(state, "made", Options())
    assert not generator.training
    assert {(each.dtype, each.device.type, each.requires_grad) for each in generator.parameters()} == {
        (torch.float32, "cpu", False)
    }
    codes = generator.sample(range(2), 0)
    close(generator(codes), made()(codes), 0.05)


def test_bf16_images_are_near_those_at_float32():
    for settings in (PLAIN, DEEP):
        generator = made(settings)
        codes = generator.sample(range(2), 0)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = generator(codes)
        assert (rounded.float() - generator(codes)).abs().mean() < 0.02


# --- layers


def test_layers_are_the_convolutions_of_the_blocks_in_forward_order():
    names = ["conv1", "conv2", "conv_sc"]
    expected = [f"blocks.{row}.0.{name}" for row in (0, 1) for name in names]
    expected += [f"blocks.1.1.{name}" for name in ("theta", "phi", "g", "o")]
    expected += [f"blocks.2.0.{name}" for name in names]
    generator = made()
    assert [layer.name for layer in generator.layers()] == expected
    assert [layer.index for layer in generator.layers()] == list(range(len(expected)))
    assert [tuple(layer.shape) for layer in generator.layers()] == [
        tuple(PLAIN.shapes()[0][f"{name}.weight"]) for name in expected
    ]


def test_a_layers_name_is_refused_with_the_nearest_known():
    with pytest.raises(NavbenchError, match=r"did you mean 'blocks\.1\.1\.theta'"):
        made().layer("blocks.1.1.thet")


@of_each_structure
def test_what_enters_a_layer_is_what_its_convolution_gets(settings):
    generator = made(settings)
    codes = generator.sample(range(2), seed=0)
    for layer in generator.layers():
        seen = []
        hook = generator.convolution(layer).register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs))
        generator(codes)
        hook.remove()
        assert torch.equal(generator.before(codes, layer).input, seen[0][0])


@of_each_structure
def test_before_and_after_every_layer_are_the_generator_itself(settings):
    generator = made(settings)
    codes = generator.sample(range(2), seed=0)
    images = generator(codes)
    for layer in generator.layers():
        state = generator.before(codes, layer)
        assert torch.equal(generator.after(state, layer), images)
        assert torch.equal(generator.after(state, layer, generator.kernel(layer)), images)
        assert torch.equal(generator.after(state, layer, generator.kernel(layer)), images)  # and leaves no trace


@of_each_structure
def test_a_shifted_kernel_gives_the_images_of_a_generator_that_has_it(settings):
    generator = made(settings)
    codes = generator.sample(range(2), seed=0)
    images = generator(codes)
    for layer in generator.layers():
        offset = 0.3 * noise(layer.index, *layer.shape)
        space = ParameterSpace(generator, layer)
        shifted = space.render(space.prepare(codes), offset)
        weight = generator.convolution(layer).weight
        own = weight.clone()
        weight += offset
        close(shifted, generator(codes))
        weight.copy_(own)
        assert (shifted - images).abs().max() > 1e-4


@of_each_structure
def test_kernels_per_image_are_those_kernels_one_by_one(settings):
    generator = made(settings)
    codes = generator.sample(range(3), seed=0)
    for layer in generator.layers():
        kernels = generator.kernel(layer) + 0.3 * noise(layer.index, 3, *layer.shape)
        images = generator.after(generator.before(codes, layer), layer, kernels)
        for row, kernel in enumerate(kernels):
            state = generator.before(codes[row : row + 1], layer)
            close(images[row : row + 1], generator.after(state, layer, kernel), 1e-4)


def test_kernels_are_the_stored_ones_over_their_singular_values():
    state = PLAIN.state()
    converged = {}
    for layer in made().layers():
        matrix = state[f"{layer.name}.weight"].flatten(1).double()
        converged[f"{layer.name}.u0"] = torch.linalg.svd(matrix)[0][:, :1].T.float()
    generator = build(state | converged, "made", Options())
    for layer in generator.layers():
        kernel, stored = generator.kernel(layer), state[f"{layer.name}.weight"]
        assert torch.linalg.matrix_norm(kernel.flatten(1), 2).item() == pytest.approx(1, rel=1e-5)
        close(kernel * torch.linalg.matrix_norm(stored.flatten(1), 2), stored)


# --- codes


def test_code_i_depends_on_the_seed_and_i_only():
    for options in ({}, {"truncation": 0.5, "classes": (1, 3)}):
        generator = made(**options)
        codes, some = generator.sample(range(50), seed=4), generator.sample([7, 31], seed=4)
        assert torch.equal(codes.z[[7, 31]], some.z)
        assert torch.equal(codes.label[[7, 31]], some.label)
        assert len(codes) == 50
        other = generator.sample(range(50), seed=5)
        assert not torch.equal(codes.z, other.z)
        assert not torch.equal(codes.label, other.label)


@pytest.mark.parametrize("classes", [(), (4, 1)])
def test_classes_are_uniform_over_those_that_are_asked_for(classes):
    label = made(classes=classes).sample(range(4000), seed=0).label
    among = sorted(classes or range(PLAIN.n_classes))
    found, counts = label.unique(return_counts=True)
    assert label.dtype == torch.int64
    assert found.tolist() == among
    assert chisquare(counts.numpy()).pvalue > 0.001


def test_classes_do_not_follow_from_z():
    codes = made().sample(range(4000), seed=0)
    correlations = torch.corrcoef(torch.cat([codes.z, codes.label[:, None]], dim=1).T)[-1, :-1]
    assert correlations.abs().max() < 4 / 4000**0.5


def test_truncated_codes_are_a_normal_distribution_cut_off_at_2_times_the_truncation():
    z = made(truncation=0.5).sample(range(4000), seed=0).z.double() / 0.5
    assert z.abs().max() <= 2
    assert kstest(z.flatten().numpy(), truncnorm(-2, 2).cdf).pvalue > 0.001
    count = z.numel()
    for power, known in ((1, 0.0), (2, 0.77374), (4, 1.38834)):  # 1 - 4 phi(2) / p; 3 times that - 16 phi(2) / p
        expected = pytest.approx(known, abs=4 * (z**power).std().item() / count**0.5)
        assert (z**power).mean().item() == expected


@given(st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=20))
def test_truncation_keeps_the_order_and_the_sign(numbers):
    normal = torch.tensor(numbers).sort().values
    cut = truncated(normal)
    assert (cut.diff() >= 0).all()
    assert (cut.abs() <= normal.abs() + 1e-6).all()
    assert (cut * normal >= 0).all()


def test_truncation_to_0_leaves_one_code_per_class():
    codes = made(truncation=0.0).sample(range(10), seed=0)
    assert (codes.z == 0).all()


def test_truncation_and_classes_are_part_of_the_fingerprint():
    variants = [{}, {"truncation": 0.5}, {"truncation": 0.7}, {"classes": (1,)}, {"classes": (1,), "truncation": 0.5}]
    generators = [made(**options) for options in variants]
    assert len({generator.fingerprint for generator in generators}) == len(variants)
    assert [generator.variant for generator in generators] == [
        "", "truncation 0.5", "truncation 0.7", "classes 1", "truncation 0.5, classes 1",
    ]  # fmt: skip


def test_codes_without_a_class_are_refused():
    with pytest.raises(NavbenchError, match="need classes"):
        made()(Codes(torch.zeros(1, 8)))


def test_a_latent_shift_moves_z_and_keeps_the_class():
    generator = made()
    space, codes = LatentSpace(generator, "z"), generator.sample(range(3), seed=0)
    offset = noise(0, 8)
    assert generator.latents == ("z",)
    expected = generator(ClassCodes(codes.z + offset, codes.label))
    assert torch.equal(space.render(space.prepare(codes), offset), expected)


def test_readers_are_what_makes_the_first_layer_and_all_gains_and_biases_of_z(settings):
    generator = made(settings)
    codes = ClassCodes(noise(0, 6, generator.latent_dim), torch.zeros(6, dtype=torch.int64))
    origin = ClassCodes(torch.zeros(6, generator.latent_dim), codes.label)
    read, maps = [], [generator.linear]
    for name, module in generator.named_modules():
        if name.endswith((".gain", ".bias")) and settings.hier:
            maps.append(module)
    hooks = [each.register_forward_hook(lambda _, __, output: read.append(output)) for each in maps]
    generator(codes)
    moved = torch.cat(read, dim=1)
    read.clear()
    generator(origin)
    moved = moved - torch.cat(read, dim=1)
    for hook in hooks:
        hook.remove()
    close(codes.z @ generator.latent_weights("z").T, moved, 1e-4)


def test_readers_of_other_spaces_are_refused():
    with pytest.raises(NavbenchError, match="latent space"):
        made().latent_weights("w")


# --- statistics


def norms(generator):
    return {name: module for name, module in generator.named_modules() if isinstance(module, StoredStatistics)}


def entering(generator, seen):
    """Put what enters each normalisation into `seen`; copies of the generator do so too."""
    for name, norm in norms(generator).items():
        norm.register_forward_pre_hook(lambda _, inputs, name=name: seen.setdefault(name, []).append(inputs[0].clone()))


@pytest.mark.parametrize("settings", [PLAIN, DEEP])
def test_standing_statistics_of_one_batch_normalise_that_batch(settings):
    generator, codes, seen = made(settings), [], {}
    generator.register_forward_pre_hook(lambda _, inputs: codes.append(inputs[0]))
    standing = standing_statistics(generator, batches=1, batch_size=8)
    assert len(codes[0]) == 8
    entering(standing, seen)
    standing(codes[0])
    for name, norm in norms(standing).items():
        close(norm.stored_mean, seen[name][0].mean(dim=(0, 2, 3)), 1e-4)
        close(norm.stored_var, seen[name][0].var(dim=(0, 2, 3), correction=0), 1e-4)


def test_standing_statistics_are_means_over_batches():
    generator, seen = made(), {}
    entering(generator, seen)
    standing = standing_statistics(generator, batches=3, batch_size=4)
    for name, norm in norms(standing).items():
        assert len(seen[name]) == 3
        close(norm.stored_mean, torch.stack([x.mean(dim=(0, 2, 3)) for x in seen[name]]).mean(dim=0))
        close(norm.stored_var, torch.stack([x.var(dim=(0, 2, 3), correction=0) for x in seen[name]]).mean(dim=0))


def test_standing_statistics_depend_on_the_seed_alone_and_leave_the_generator_as_it_is():
    generator, plain = made(truncation=0.5, classes=(1,)), made()
    before = generator.fingerprint
    sizes = {"batches": 2, "batch_size": 4}
    first, again = (
        standing_statistics(each, seed=1, **sizes).output_layer[0].stored_var for each in (generator, plain)
    )
    assert torch.equal(first, again)  # neither truncation nor classes change them
    assert not torch.equal(first, standing_statistics(plain, seed=2, **sizes).output_layer[0].stored_var)
    del generator.fingerprint
    assert generator.fingerprint == before
    assert standing_statistics(generator, seed=1, **sizes).fingerprint != before


@pytest.mark.parametrize("norm", ["plain", "mybn", "sync"])
@pytest.mark.parametrize("variance", [0.0, 1.0])
def test_a_file_without_statistics_is_refused_and_standing_ones_can_be_made(norm, variance):
    state = replace(PLAIN, norm=norm).state()
    for key, value in state.items():
        if key.endswith("_mean"):
            value.zero_()
        elif key.endswith("_var"):
            value.fill_(variance)
    assert refusal(state).startswith("here.pth: 'blocks.0.0.bn1' stores no statistics of batches")
    standing = standing_statistics(assembled(state, "made", Options()), batches=2, batch_size=4)
    expected = standing_statistics(made(), batches=2, batch_size=4)  # whatever statistics it had
    codes = standing.sample(range(2), 0)
    close(standing(codes), expected(codes))


# --- sizes


@st.composite
def published(draw):
    deep = draw(st.booleans())
    table = draw(st.sampled_from([WIDTHS[32], WIDTHS[64], WIDTHS[128]]))
    ch = draw(st.sampled_from([2, 4] if deep or len(table) < 5 else [1, 2, 3]))
    shared = deep or draw(st.booleans())
    hier = deep or (shared and draw(st.booleans()))
    chunk = draw(st.integers(1, 4))
    bottom = draw(st.sampled_from([2, 4]))
    wide = [bottom * 2**stage for stage, each in enumerate(table[1:], start=1) if ch * each >= 8]
    return Published(
        ch, table, chunk * (len(table) if hier and not deep else 1), draw(st.integers(1, 6)), draw(st.integers(1, 5)),
        shared, hier, tuple(sorted(draw(st.sets(st.sampled_from(wide), max_size=2)))), draw(st.integers(2, 3)) * deep,
        bottom, draw(st.booleans()), draw(st.sampled_from(["plain", "mybn", "sync"])),
    )  # fmt: skip


@given(published())
def test_sizes_are_found_in_the_state_dict(settings):
    state = settings.state()
    assert recognised(state)
    generator = made(settings)
    assert generator.sizes == Sizes(
        tuple(settings.widths), settings.dim_z, settings.n_classes, settings.shared_dim * settings.shared,
        settings.hier, settings.attn, settings.depth, settings.bottom,
    )  # fmt: skip
    assert generator.latent_dim == settings.dim_z
    assert generator.size == (settings.bottom * 2**settings.stages,) * 2
    assert sum(each.numel() for each in generator.parameters()) == sum(
        math.prod(shape) for shape in settings.shapes()[0].values()
    )
    assert generator(generator.sample([0], 0)).shape == (1, 3, *generator.size)


@pytest.mark.parametrize("resolution", WIDTHS)
def test_every_published_resolution_is_found_of_both_kinds(resolution):
    shapes = Published(table=WIDTHS[resolution], dim_z=len(WIDTHS[resolution]), attn=(32,))
    for settings in (shapes, replace(shapes, depth=2), replace(shapes, depth=4)):
        generator = made(settings)
        assert generator.resolution == resolution
        assert generator.sizes.depth == settings.depth
        assert generator.sizes.attention == (32,)


def test_the_published_128x128_network_has_70_million_parameters():
    widths = tuple(96 * each for each in WIDTHS[128])
    assert widths == (1536, 1536, 768, 384, 192, 96)
    with torch.device("meta"):  # no memory
        generator = BigGAN("biggan", "the published one", Sizes(widths, 120, 1000, 128, True, (64,)))
    chunk = 120 // 6
    count = 1000 * 128  # the shared embedding
    count += chunk * 16 * 1536 + 16 * 1536  # the first layer
    for inputs, outputs in pairwise(widths):
        count += 9 * inputs * outputs + 9 * outputs**2 + inputs * outputs + 3 * outputs  # conv1, conv2, conv_sc, biases
        count += 2 * (128 + chunk) * (inputs + outputs)  # gains and biases
    count += 2 * 192 * 192 // 8 + 2 * 192 * 192 // 2 + 1  # attention behind 64x64, where there are 192 channels
    count += 2 * 96 + 9 * 96 * 3 + 3  # the output
    assert count == 70_433_988
    assert sum(each.numel() for each in generator.parameters()) == count
    assert generator.resolution == 128
    assert generator.layer("blocks.3.1.theta").shape == (24, 192, 1, 1)


def test_sizes_that_do_not_go_together_are_refused():
    for sizes, reason in (
        (Sizes((8, 8), 7, 3, 2, True), "not 2 chunks"),
        (Sizes((8, 8), 8, 3, 0, True), "shared embedding"),
        (Sizes((8, 8), 8, 3, 2, False, depth=2), "BigGAN-deep"),
    ):
        with pytest.raises(NavbenchError, match=reason):
            BigGAN("odd", "one that cannot be", sizes)


# --- what is refused


def test_only_biggan_is_recognised():
    assert recognised(PLAIN.state())
    assert recognised(DEEP.state())
    assert not recognised({})
    assert not recognised({"linear.weight": torch.zeros(2, 2), "blocks.0.0.conv1.weight": torch.zeros(2, 2, 3, 3)})
    assert not recognised({"blocks.0.0.conv2.weight": torch.zeros(1), "blocks.0.0.conv_sc.weight": torch.zeros(1)})


def without(state, key):
    assert key in state
    return {each: value for each, value in state.items() if each != key}


SMALL_DEEP = replace(DEEP, table=(4, 4, 4, 4), depth=1)


@pytest.mark.parametrize("settings", [PLAIN, SMALL_DEEP], ids=["plain", "deep"])
def test_a_missing_tensor_is_named(settings):
    state = settings.state()
    for key in state:
        if not key.endswith("sv0") and (settings.depth or key != "shared.weight"):
            assert refusal(without(state, key)).startswith(f"here.pth lacks the tensor {key!r}")
    assert "'blocks.0.0.bn1.gain.u0'" in refusal(without(PLAIN.state(), "shared.weight"))  # as if it had none


@pytest.mark.parametrize("settings", [PLAIN, SMALL_DEEP], ids=["plain", "deep"])
def test_a_tensor_of_another_shape_is_refused(settings):
    state = settings.state()
    for place, (key, value) in enumerate(state.items()):
        if not key.endswith("sv0"):
            broken = value.reshape(-1)[:0] if place % 2 else torch.cat([value.reshape(-1)] * 2)
            assert refusal(state | {key: broken}).startswith("here.pth: 'blocks" if "blocks" in key else "here.pth")


def test_refusals_say_what_is_wrong():
    state = PLAIN.state()
    small = torch.zeros(16, 16, 3, 2)
    nan = state["output_layer.2.bias"].clone().fill_(torch.nan)
    mixed = replace(PLAIN, norm="mybn").state() | {"blocks.0.0.bn1.bn.accumulation_counter": torch.tensor([15.9])}
    deep = {key: value for key, value in DEEP.state().items() if not key.startswith("blocks.7.")}
    for broken, words in (
        (without(state, "blocks.1.0.conv2.bias"), "lacks the tensor 'blocks.1.0.conv2.bias', which is to be 16"),
        (state | {"blocks.9.0.conv2.bias": torch.zeros(1)}, "lacks the tensor 'blocks.3.0.conv1.weight'"),
        (state | {"odd": torch.zeros(1)}, "'odd'"),
        (state | {"blocks.1.0.conv2.weight": small}, "'blocks.1.0.conv2.weight' is 16x16x3x2"),
        (state | {"output_layer.2.bias": nan}, "'output_layer.2.bias' has NaN"),
        (state | {"blocks.1.0.conv2.u0": torch.zeros(1, 16)}, "'blocks.1.0.conv2.weight' has NaN"),
        (state | {"blocks.1.0.bn1.stored_var": -torch.ones(16)}, "'blocks.1.0.bn1' stores negative variances"),
        (mixed, "15.9"),
        (deep, "7 blocks have widths 64, 64, 64, 64, 32, 32, 16, 8, which are those of no published resolution"),
    ):
        assert words in refusal(broken)


def test_unknown_classes_are_refused_with_the_range():
    for classes in ((5,), (1, -1)):
        assert "has the classes 0 to 4, not" in refusal(PLAIN.state(), classes=classes)


@pytest.mark.parametrize("option", [{"noise": "none"}, {"labels": "maps"}, {"instances": "maps"}, {"size": (4, 4)}])
def test_options_of_other_families_are_refused(option):
    assert f"BigGAN has no option {next(iter(option))!r}" in refusal(PLAIN.state(), **option)
