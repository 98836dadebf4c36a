"""StyleGAN2 against the formulas of its paper, written out one image and one channel at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import noise as normal
from analytic import styled
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d, correlate2d

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.generators.base import Codes
from navbench.generators.stylegan2 import StyleCodes, StyleGAN2

GENERATOR = styled(16)
LAYERS = pytest.mark.parametrize("layer", GENERATOR.layers(), ids=lambda layer: layer.name)


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def differ(found, other):
    return float((found - other).abs().flatten(1).amax(1).min()) > 1e-2  # every image


def shifted(generator, codes, layer, weight=None):
    return generator.after(generator.before(codes, layer), layer, weight)


# --- the paper's formulas, in float64 -------------------------------------------------------------------------

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
"""Of sum 4, as it follows an insertion of three zeros for every pixel."""


def rectified(x):
    return math.sqrt(2) * np.where(x > 0, x, 0.2 * x)


def zeros_inserted(plane):
    spread = np.zeros((2 * len(plane) - 1, 2 * len(plane) - 1))
    spread[::2, ::2] = plane
    return spread


def filtered(plane):
    """The filter on 2 h + 1 pixels, centred on the 2 h that are the image."""
    return convolve2d(plane, FILTER)[2:-2, 2:-2]


def enlarged(plane):
    """Zeros between pixels, then the filter, centred."""
    return convolve2d(zeros_inserted(plane), FILTER)[1:-1, 1:-1]


def style_of(modulation, w):
    weight, bias = (each.double().numpy() for each in (modulation.weight, modulation.bias))
    return weight @ w / math.sqrt(weight.shape[1]) + bias


def modulated(conv, x, w):
    """Equations 1 and 3 of StyleGAN2: the kernel of one image, made and used; (in, h, h) to (out, ...)."""
    raw = conv.weight.double().numpy()
    kernel = raw / math.sqrt(raw[0].size) * style_of(conv.modulation, w)[None, :, None, None]
    if conv.demodulate:
        kernel = kernel / np.sqrt((kernel**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
    if conv.up:
        spread = [zeros_inserted(plane) for plane in x]
        return np.array([
            filtered(sum(convolve2d(plane, window) for plane, window in zip(spread, windows, strict=True)))
            for windows in kernel
        ])  # fmt: skip
    return np.array([
        sum(correlate2d(plane, window, "same") for plane, window in zip(x, windows, strict=True)) for windows in kernel
    ])  # fmt: skip


def textbook(generator, w):
    """The image of one style per layer, (L, style_dim)."""
    x, image = generator.input.input[0].double().numpy(), 0
    for place, conv in enumerate([generator.conv1, *generator.convs]):
        noise_map = generator.noises.get_buffer(f"noise_{place}")[0, 0].double().numpy()
        x = modulated(conv.conv, x, w[place]) + float(conv.noise.weight) * noise_map
        x = rectified(x + conv.activate.bias.double().numpy()[:, None, None])
        if place % 2 == 0:
            to_rgb = generator.to_rgbs[place // 2 - 1] if place else generator.to_rgb1
            colour = modulated(to_rgb.conv, x, w[place + 1]) + to_rgb.bias[0].double().numpy()
            image = colour + np.array([enlarged(plane) for plane in image]) if place else colour
    return image


def test_images_are_those_of_the_papers_formulas():
    codes = GENERATOR.map_to_w(GENERATOR.sample(range(2), seed=0))
    offset = 0.5 * normal(0, 2, *codes.w.shape[1:])  # another style for every layer
    codes = replace(codes, w=codes.w + offset)
    expected = np.stack([textbook(GENERATOR, w) for w in codes.w.double().numpy()])
    assert expected.shape == (2, 3, 16, 16)
    close(GENERATOR(codes), torch.from_numpy(expected).float())


@pytest.mark.parametrize("conv", [GENERATOR.conv1, *GENERATOR.convs], ids=[each.name for each in GENERATOR.layers()])
def test_demodulation_is_the_normalisation_of_each_images_kernel(conv):
    side = 5
    x, w = normal(0, 3, conv.conv.weight.shape[1], side, side), normal(1, 3, 8)
    expected = [modulated(conv.conv, *pair) for pair in zip(x.double().numpy(), w.double().numpy(), strict=True)]
    found = conv.conv(x, w)
    assert found.shape[-1] == (2 * side if conv.conv.up else side)
    close(found, torch.from_numpy(np.stack(expected)).float())


def test_the_mapping_network_is_the_papers():
    z = normal(0, 4, 8)
    w = (z / z.square().mean(1, keepdim=True).sqrt()).double().numpy()
    for layer in GENERATOR.style[1:]:
        weight, bias = 0.01 * layer.weight.double().numpy(), 0.01 * layer.bias.double().numpy()
        w = rectified(w @ weight.T / math.sqrt(8) + bias)
    found = GENERATOR.map_to_w(StyleCodes(z)).w
    assert found.shape == (4, GENERATOR.styles_per_image, 8)
    close(found, torch.from_numpy(w).float()[:, None].expand_as(found))


def test_the_published_networks_have_the_published_count_of_parameters():
    """Exactly 30,370,060 of config F at 1024 pixels, quoted as 30.37 million.

    The mapping network has 8 (512² + 512) = 2,101,248 of them, the synthesis network the other 28,268,812.
    Stored noise and w_avg are no parameters.  Config E halves the channels from 64 pixels on.
    """
    with torch.device("meta"):
        large = StyleGAN2("large", "config f", 1024)
        half = StyleGAN2("half", "config e", 1024, channel_base=16384)
    assert sum(each.numel() for each in large.parameters()) == 30_370_060
    assert sum(each.numel() for each in large.style.parameters()) == 2_101_248
    assert [layer.shape[0] for layer in large.layers()] == [512] * 9 + [256] * 2 + [128] * 2 + [64] * 2 + [32] * 2
    assert [layer.shape[0] for layer in half.layers()][7:9] == [256, 256]
    assert large.styles_per_image == 18
    assert large.noise_sizes() == [(4, 4)] + [(2**k, 2**k) for k in range(3, 11) for _ in range(2)]


# --- one layer at a time


def test_layers_are_counted_as_in_the_paper():
    names = [layer.name for layer in GENERATOR.layers()]
    assert names == ["conv1", "convs.0", "convs.1", "convs.2", "convs.3"]
    assert [layer.index for layer in GENERATOR.layers()] == [-1, 0, 1, 2, 3]
    for layer in GENERATOR.layers():
        assert layer.shape == GENERATOR.kernel(layer).shape
        assert GENERATOR.kernel(layer) is GENERATOR.get_parameter(f"{layer.name}.conv.weight")
        assert GENERATOR.layer(layer.name) == GENERATOR.layer(str(layer.index)) == layer
    assert GENERATOR.layer("3").name == "convs.3"
    with pytest.raises(
        NavbenchError, match=r"^Unknown layer of generator styled 'convs\.4'; did you mean 'convs\.\d'\?$"
    ):
        GENERATOR.layer("convs.4")


@LAYERS
def test_flattening_puts_each_output_in_a_column_and_is_undone(layer):
    kernels = normal(0, 3, *layer.shape)
    matrices = torch.stack([layer.flatten(kernel) for kernel in kernels])
    outputs, inputs, *_ = layer.shape
    assert matrices.shape == (3, 9 * inputs, outputs)
    assert torch.equal(matrices[1, :, 2].sort().values, kernels[1, 2].flatten().sort().values)
    assert torch.equal(layer.unflatten(matrices), kernels)
    assert torch.equal(layer.unflatten(matrices[0]), kernels[0])


@LAYERS
def test_before_and_after_are_the_forward_pass_bit_for_bit(layer):
    codes = GENERATOR.sample(range(3), seed=0)
    images = GENERATOR(codes)
    assert torch.equal(shifted(GENERATOR, codes, layer), images)
    assert torch.equal(shifted(GENERATOR, codes, layer, GENERATOR.kernel(layer).clone()), images)


@LAYERS
def test_one_kernel_a_kernel_per_image_and_replaced_weights_make_the_same_images(layer):
    codes = GENERATOR.sample(range(3), seed=0)
    kernel = GENERATOR.kernel(layer) + 0.5 * normal(layer.index + 1, *layer.shape)
    expected = torch.func.functional_call(GENERATOR, {f"{layer.name}.conv.weight": kernel}, (codes,))
    assert differ(expected, GENERATOR(codes))
    assert torch.equal(shifted(GENERATOR, codes, layer, kernel), expected)
    close(shifted(GENERATOR, codes, layer, kernel.expand(3, *layer.shape)), expected)


@LAYERS
def test_each_image_has_its_own_kernel_whatever_the_others_have(layer):
    codes = GENERATOR.sample(range(3), seed=0)
    kernels = GENERATOR.kernel(layer) + 0.5 * normal(0, 3, *layer.shape)
    together = shifted(GENERATOR, codes, layer, kernels)
    each = [shifted(GENERATOR, codes[i : i + 1], layer, kernels[i]) for i in range(3)]
    close(together, torch.cat(each))


@LAYERS
def test_demodulation_takes_the_size_of_a_kernel_away(layer):
    codes = GENERATOR.sample(range(2), seed=0)
    close(shifted(GENERATOR, codes, layer, 2 * GENERATOR.kernel(layer)), GENERATOR(codes), 1e-4)


@LAYERS
@pytest.mark.parametrize("per_image", [False, True])
def test_the_derivative_by_the_kernel_is_that_of_finite_differences(layer, per_image):
    generator = styled(16).double()
    codes = Codes(normal(0, 2, 8).double())
    state = generator.before(codes, layer)
    kernel = generator.kernel(layer)
    kernel = torch.stack([kernel, kernel]) if per_image else kernel
    offset = normal(1, *kernel.shape).double()

    def images(weight):
        return generator.after(state, layer, weight)

    _, derivative = torch.func.jvp(images, (kernel,), (offset,))
    step = 1e-6
    close(derivative, (images(kernel + step * offset) - images(kernel - step * offset)) / (2 * step), 1e-5)


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    codes = GENERATOR.sample(range(4), seed=0)
    close(GENERATOR(codes), torch.cat([GENERATOR(codes[i : i + 1]) for i in range(4)]))


# --- codes and latent spaces


@given(st.lists(st.integers(0, 10**9), max_size=4), st.integers(0, 2**62))
def test_a_code_and_its_style_depend_on_the_seed_and_its_number_only(indices, seed):
    codes = GENERATOR.sample(indices, seed)
    assert codes.z.shape == (len(indices), 8)
    styles = GENERATOR.map_to_w(codes).w
    for row, index in enumerate(indices):
        alone = GENERATOR.sample([index], seed)
        assert torch.equal(codes.z[row], alone.z[0])
        close(styles[row], GENERATOR.map_to_w(alone).w[0])
        assert not torch.equal(codes.z[row], GENERATOR.sample([index], seed + 1).z[0])


def test_codes_are_cut_by_rows_with_and_without_styles():
    codes = GENERATOR.sample(range(5), seed=0)
    assert codes[1:3].w is None
    resolved = GENERATOR.map_to_w(codes)
    part = resolved[1:3]
    assert (len(part), type(part)) == (2, StyleCodes)
    assert torch.equal(part.z, codes.z[1:3])
    assert torch.equal(part.w, resolved.w[1:3])
    assert torch.equal(GENERATOR(part), GENERATOR(codes[1:3]))


@pytest.mark.parametrize("truncation", [1.0, 0.7])
def test_styles_are_not_rounded_at_bf16(truncation):
    generator = styled(16, truncation=truncation)
    codes, conv = generator.sample(range(3), seed=0), generator.convs[0].conv
    expected = generator.map_to_w(codes).w
    with Compute(precision="bf16").autocast():
        found = generator.map_to_w(codes).w
        style = conv.modulation(found[:, 1])
    assert torch.equal(found, expected)
    assert torch.equal(style, conv.modulation(expected[:, 1]))


def test_resolved_codes_are_resolved_once():
    generator = styled(16, truncation=0.5)
    resolved = generator.map_to_w(generator.sample(range(2), seed=0))
    assert generator.map_to_w(resolved) is resolved
    assert torch.equal(generator(resolved), generator(generator.sample(range(2), seed=0)))


def test_the_same_offset_of_every_layers_style_is_an_offset_in_w():
    codes = GENERATOR.sample(range(3), seed=0)
    for offset in (normal(0, 8), normal(0, 3, 8)):  # one for all, and one per code
        rows = offset[..., None, :].expand(*offset.shape[:-1], GENERATOR.styles_per_image, 8)
        images = GENERATOR(GENERATOR.shift_latent(codes, "w", offset))
        assert torch.equal(images, GENERATOR(GENERATOR.shift_latent(codes, "w+", rows)))
        assert differ(images, GENERATOR(codes))


def test_an_offset_in_z_is_another_code():
    codes, offset = GENERATOR.sample(range(3), seed=0), normal(0, 8)
    expected = GENERATOR(StyleCodes(codes.z + offset))
    for each in (codes, GENERATOR.map_to_w(codes)):  # styles that are there already go with the old code
        assert torch.equal(GENERATOR(GENERATOR.shift_latent(each, "z", offset)), expected)


def test_an_offset_of_one_row_of_w_plus_leaves_what_runs_before_it():
    codes = GENERATOR.sample(range(2), seed=0)
    for place, layer in enumerate(GENERATOR.layers()):
        offset = torch.zeros(GENERATOR.latent_shape("w+"))
        offset[place + 1] = 1.0  # the style that is next after this layer's
        moved = GENERATOR.shift_latent(codes, "w+", offset)
        assert torch.equal(GENERATOR.before(moved, layer).input, GENERATOR.before(codes, layer).input)
        assert differ(GENERATOR(moved), GENERATOR(codes))


def test_latents_are_what_their_offsets_are_added_to():
    codes, zero = GENERATOR.sample(range(3), seed=0), GENERATOR.map_to_w(GENERATOR.sample(range(3), seed=0))
    for kind in GENERATOR.latents:
        offset = normal(1, *GENERATOR.latent_shape(kind))
        latent = GENERATOR.latent(codes, kind)
        assert latent.shape == (3, *offset.shape)
        close(GENERATOR.latent(GENERATOR.shift_latent(codes, kind, offset), kind), latent + offset)
        close(GENERATOR.latent(zero, kind), latent)


def modulated_layers(generator):
    """All that style modulates."""
    return [generator.conv1, generator.to_rgb1, *generator.convs, *generator.to_rgbs]


def test_what_no_modulation_reads_changes_no_image():
    generator = styled(16, channel_base=16, style_dim=32)  # fewer channels in all than dimensions of w
    latent_weights = torch.cat([each.conv.modulation.weight for each in modulated_layers(generator)])
    unseen = torch.linalg.svd(latent_weights, full_matrices=True).Vh[len(latent_weights) :]
    assert len(unseen) > 0
    codes = generator.sample(range(2), seed=0)
    close(generator(generator.shift_latent(codes, "w", unseen.sum(0))), generator(codes))
    assert differ(generator(generator.shift_latent(codes, "w", latent_weights[0])), generator(codes))


def test_sefa_reads_the_styles_of_all_convolutions_and_of_the_last_to_rgb_as_they_run():
    w, other = normal(0, 8), normal(1, 8)
    read = [each for each in modulated_layers(GENERATOR) if each not in (GENERATOR.to_rgb1, *GENERATOR.to_rgbs[:-1])]
    assert len(read) == len(GENERATOR.layers()) + 1
    styles = [torch.cat([each.conv.modulation(row[None])[0] for each in read]) for row in (w, other)]
    close(GENERATOR.latent_weights("w") @ (w - other), styles[0] - styles[1])


def before_activation(layer, z):
    """What the layer computes, its activation undone."""
    y = layer(z[None])[0] / math.sqrt(2)
    return torch.where(y > 0, y, 5 * y)


def test_the_reader_of_z_is_the_first_map_of_the_mapping_network():
    first = GENERATOR.style[1]
    z, other = normal(0, 8), normal(1, 8)
    linear = before_activation(first, z) - before_activation(first, other)
    close(linear, GENERATOR.latent_weights("z") @ (z - other))


def test_an_unknown_latent_space_is_refused():
    codes, offset = GENERATOR.sample([0], seed=0), torch.zeros(8)
    for ask in (
        lambda: GENERATOR.latent_shape("v"),
        lambda: GENERATOR.latent(codes, "v"),
        lambda: GENERATOR.shift_latent(codes, "v", offset),
    ):
        with pytest.raises(NavbenchError, match=r"^Unknown latent space of generator styled 'v'; known: w, w\+, z\.$"):
            ask()


def test_the_styles_of_all_layers_together_are_read_by_no_one_map():
    with pytest.raises(NavbenchError, match=r"^Generator styled does not say which linear maps read w\+, "):
        GENERATOR.latent_weights("w+")


# --- truncation and noise


def test_truncation_goes_from_the_code_to_the_mean_style():
    codes = GENERATOR.sample(range(3), seed=0)
    full, half, none = (styled(16, truncation=psi) for psi in (1.0, 0.5, 0.0))
    other = styled(16)
    other.w_avg.add_(1)
    assert torch.equal(full(codes), other(codes))  # without truncation the mean has no say
    mean = none.w_avg.expand(3, none.styles_per_image, -1)
    close(none(codes), none.synthesise(mean))
    assert float((none(codes) - none(codes)[:1]).abs().max()) < 1e-5
    close(half.map_to_w(codes).w, (full.map_to_w(codes).w + mean) / 2)


def test_noise_matters_by_its_strengths():
    codes = GENERATOR.sample(range(2), seed=0)
    assert torch.equal(styled(16, strength=0.0)(codes), styled(16, strength=0.0, noise="none")(codes))
    assert differ(GENERATOR(codes), styled(16, noise="none")(codes))
    assert torch.equal(styled(16, noise="none")(codes), styled(16, strength=0.0)(codes))


def test_the_stored_noise_is_the_default_and_other_noise_is_used_per_image():
    w = GENERATOR.map_to_w(GENERATOR.sample(range(2), seed=0)).w
    stored = [GENERATOR.noises.get_buffer(f"noise_{place}") for place in range(5)]
    assert [tuple(each.shape[2:]) for each in stored] == GENERATOR.noise_sizes()
    assert GENERATOR.noise_sizes() == [(4, 4), (8, 8), (8, 8), (16, 16), (16, 16)]
    assert torch.equal(GENERATOR.synthesise(w, stored), GENERATOR.synthesise(w))
    other = [torch.cat([noise_map, normal(9, *noise_map.shape)]) for noise_map in stored]
    images = GENERATOR.synthesise(w, other)
    close(images[:1], GENERATOR.synthesise(w[:1]))
    assert differ(images[1:], GENERATOR.synthesise(w[1:]))


@pytest.mark.parametrize("size", [0, 2, 12, 100])
def test_a_size_that_is_no_power_of_two_is_refused(size):
    with pytest.raises(NavbenchError, match=rf"^StyleGAN2 makes images of 4, 8, 16, \.\.\. pixels, not {size}\.$"):
        styled(size)


def test_an_unknown_noise_is_refused():
    with pytest.raises(NavbenchError, match=r"^Unknown noise of StyleGAN2 'rand'; did you mean 'random'\?$"):
        styled(16, noise="rand")


@pytest.mark.parametrize("resolution", [8, 32])
def test_images_have_the_resolution_asked_for(resolution):
    generator = styled(resolution)
    images = generator(generator.sample(range(2), seed=0))
    assert images.shape == (2, 3, resolution, resolution)
    assert torch.isfinite(images).all()
    w = generator.map_to_w(generator.sample([0], seed=0)).w[0].double().numpy()
    close(images[0], torch.from_numpy(textbook(generator, w)).float())


# --- noise by code


RANDOM = styled(16, noise="random")


def test_random_noise_depends_on_the_code_only():
    images = RANDOM(RANDOM.sample(range(4), seed=1))
    close(RANDOM(RANDOM.sample([2, 0], seed=1)), images[[2, 0]])
    assert torch.equal(RANDOM(RANDOM.sample(range(4), seed=1)), images)
    other = RANDOM.sample(range(4), seed=2)
    assert differ(RANDOM(replace(other, z=RANDOM.sample(range(4), seed=1).z)), images)
    same_code = replace(RANDOM.sample(range(4), seed=1), z=RANDOM.sample([0], seed=1).z.expand(4, -1))
    assert differ(RANDOM(same_code)[1:], RANDOM(same_code)[:1])


def test_random_noise_is_normal_and_another_for_every_layer_and_code():
    flat = styled(32, strength=0.0, noise="random")
    for layer in [flat.conv1, *flat.convs]:
        layer.noise.weight.fill_(1.0)
    codes = flat.sample(range(40), seed=0)
    layers = flat.layers()
    noise_maps = []
    for layer in layers[1:]:
        through = flat.before(codes, layer).rest.noise[layer.index + 1]
        assert through.shape == (40, 1, *flat.noise_sizes()[layer.index + 1])
        noise_maps.append(through.flatten(1))
    for noise_map in noise_maps:
        assert abs(float(noise_map.mean())) < 5 / math.sqrt(noise_map.numel())
        assert abs(float(noise_map.std()) - 1) < 5 / math.sqrt(2 * noise_map.numel())
        correlation = torch.corrcoef(noise_map)
        assert float((correlation - torch.eye(40)).abs().max()) < 6 / math.sqrt(noise_map.shape[1])
    assert not torch.equal(noise_maps[0], noise_maps[1])


@pytest.mark.parametrize("layer", RANDOM.layers(), ids=lambda layer: layer.name)
def test_random_noise_is_the_same_under_every_edit(layer):
    codes = RANDOM.sample(range(3), seed=0)
    images = RANDOM(codes)
    state = RANDOM.before(codes, layer)
    assert torch.equal(RANDOM.after(state, layer), images)
    kernel = RANDOM.kernel(layer) + 0.5 * normal(1, *layer.shape)
    expected = torch.func.functional_call(RANDOM, {f"{layer.name}.conv.weight": kernel}, (codes,))
    assert torch.equal(RANDOM.after(state, layer, kernel), expected)
    for kind in RANDOM.latents:
        still = RANDOM.shift_latent(codes, kind, torch.zeros(RANDOM.latent_shape(kind)))
        assert torch.equal(RANDOM(still), images)


def test_codes_that_do_not_say_their_noise_are_refused():
    with pytest.raises(NavbenchError, match=r"^Generator styled draws noise by code"):
        RANDOM(Codes(normal(0, 2, 8)))


def test_codes_keep_their_noise_when_they_are_cut():
    codes = RANDOM.map_to_w(RANDOM.sample(range(5), seed=0))
    assert torch.equal(RANDOM(codes[1:3]), RANDOM(RANDOM.sample([1, 2], seed=0)))


# --- classes


CONDITIONAL = styled(16, class_count=5)


def test_the_class_enters_beside_z_as_a_normalised_embedding():
    z, label = normal(0, 4, 8), torch.tensor([0, 3, 4, 3])
    weight, bias = (each.double().numpy() for each in (CONDITIONAL.embed.weight, CONDITIONAL.embed.bias))
    embedded = weight.T[label.numpy()] / math.sqrt(5) + bias
    halves = [rows / np.sqrt((rows**2).mean(1, keepdims=True) + 1e-8) for rows in (z.double().numpy(), embedded)]
    w = np.concatenate(halves, axis=1)
    for layer in CONDITIONAL.style[1:]:
        w = rectified(w @ layer.weight.double().numpy().T * 0.01 / math.sqrt(w.shape[1])
                      + 0.01 * layer.bias.double().numpy())  # fmt: skip
    found = CONDITIONAL.map_to_w(StyleCodes(z, label=label)).w[:, 0]
    close(found, torch.from_numpy(w).float())


def test_classes_are_drawn_uniformly_by_seed_and_number_apart_from_z():
    labels = CONDITIONAL.sample(range(5000), seed=3).label
    counts = torch.bincount(labels, minlength=5)
    assert len(counts) == 5
    assert float(((counts - 1000).square() / 1000).sum()) < 25  # chi square of 4 degrees of freedom, p of 5e-5
    assert torch.equal(CONDITIONAL.sample([17, 4], seed=3).label, labels[[17, 4]])
    assert not torch.equal(CONDITIONAL.sample(range(100), seed=4).label, labels[:100])
    plain = styled(16).sample(range(3), seed=3)
    assert torch.equal(CONDITIONAL.sample(range(3), seed=3).z, plain.z)
    assert plain.label is None


def test_classes_are_drawn_from_those_asked_for():
    some = styled(16, class_count=5, classes=(4, 1))
    labels = some.sample(range(400), seed=3).label
    assert set(labels.tolist()) == {1, 4}
    assert 150 < int((labels == 1).sum()) < 250


def test_a_code_keeps_its_class_when_it_is_moved_or_cut():
    codes = CONDITIONAL.sample(range(4), seed=0)
    for kind in CONDITIONAL.latents:
        moved = CONDITIONAL.shift_latent(codes, kind, 0.1 * normal(0, *CONDITIONAL.latent_shape(kind)))
        assert torch.equal(moved.label, codes.label)
        assert differ(CONDITIONAL(moved), CONDITIONAL(codes))
    assert torch.equal(codes[1:3].label, codes.label[1:3])


def test_other_classes_make_other_images():
    codes = CONDITIONAL.sample(range(4), seed=0)
    assert differ(CONDITIONAL(replace(codes, label=(codes.label + 1) % 5)), CONDITIONAL(codes))


def test_the_reader_of_z_leaves_out_what_reads_the_class():
    latent_weights = CONDITIONAL.latent_weights("z")
    assert latent_weights.shape == (8, 8)
    assert torch.equal(latent_weights, CONDITIONAL.style[1].weight[:, :8] * CONDITIONAL.style[1].gain)


def test_classes_that_are_not_there_are_refused():
    with pytest.raises(NavbenchError, match=r"^Generator styled has the classes 0 to 4, not 5\.$"):
        styled(16, class_count=5, classes=(0, 5))
    with pytest.raises(NavbenchError, match=r"^Generator styled has no classes; leave out the option 'classes'\.$"):
        styled(16, classes=(0,))
    with pytest.raises(NavbenchError, match=r"^Generator styled is class-conditional, so its codes need classes"):
        CONDITIONAL(Codes(normal(0, 2, 8)))


# --- sizes of images


@pytest.mark.parametrize(("size", "rows", "columns"), [((12, 16), (2, 14), (0, 16)), ((16, 9), (0, 16), (3, 12))])
def test_images_are_the_middle_of_the_canvas(size, rows, columns):
    made = styled(16, size=size)
    codes = made.sample(range(2), seed=0)
    canvas = GENERATOR(codes)
    expected = canvas[:, :, slice(*rows), slice(*columns)]
    assert made.size == size
    assert torch.equal(made(codes), expected)
    assert torch.equal(made.synthesise(made.map_to_w(codes).w), expected)
    for layer in made.layers():
        assert torch.equal(shifted(made, codes, layer), expected)


def test_lsun_cars_are_rows_64_to_448_of_512():
    with torch.device("meta"):
        made = StyleGAN2("cars", "", 512, 4, 4, 1, 512, 1, size=(384, 512))
    canvas = torch.arange(512.0)[:, None].expand(1, 1, 512, 512)
    rows = made._finished(canvas)[0, 0, :, 0]
    assert (rows[0], rows[-1], len(rows)) == (64, 447, 384)


@pytest.mark.parametrize("size", [(0, 16), (16, 17), (-1, 4)])
def test_sizes_beyond_the_canvas_are_refused(size):
    with pytest.raises(NavbenchError, match=rf"^Images of {size[0]}x{size[1]} pixels are no part of the 16x16"):
        styled(16, size=size)


# --- what results are tied to


def test_whatever_changes_images_changes_the_fingerprint():
    options = [
        {}, {"noise": "none"}, {"noise": "random"}, {"truncation": 0.7}, {"size": (12, 16)}, {"class_count": 5},
        {"class_count": 5, "classes": (1,)}, {"class_count": 5, "classes": (1, 2)},
    ]  # fmt: skip
    fingerprints = [styled(16, **each).fingerprint for each in options]
    assert len(set(fingerprints)) == len(options)
    assert styled(16, size=(16, 16)).fingerprint == fingerprints[0]
    assert styled(16).variant == ""
    assert styled(16, truncation=0.7).variant == "truncation 0.7, noise const"


# --- codes of photos ---------------------------------------------------------------------------------------------


def test_given_noise_maps_stand_in_for_the_stored_ones():
    made = styled()
    codes = made.sample(range(2), 0)
    stored = [made.noises.get_buffer(f"noise_{place}") for place in range(len(made.noise_inputs()))]
    same = made.with_noise(codes, [each.expand(2, -1, -1, -1) for each in stored])
    torch.testing.assert_close(made(same), made(codes))
    other = made.with_noise(codes, [normal(9, 2, 1, *size) for size in made.noise_inputs()])
    assert not torch.allclose(made(other), made(codes), atol=1e-2)
    layer = made.layers()[1]
    torch.testing.assert_close(made.after(made.before(other, layer), layer), made(other))


def test_each_code_has_its_own_noise_maps():
    made = styled()
    codes = made.sample([0, 0], 0)
    maps = [normal(9, 2, 1, *size) for size in made.noise_inputs()]
    one, two = made(made.with_noise(codes, maps))
    assert not torch.allclose(one, two, atol=1e-2)
    swapped = made(made.with_noise(codes, [each.flip(0) for each in maps]))
    torch.testing.assert_close(swapped, torch.stack([two, one]))


def test_a_generator_without_noise_takes_no_maps():
    assert styled(noise="none").noise_inputs() == ()


@pytest.mark.parametrize("kind", ["z", "w", "w+"])
def test_codes_are_placed_where_a_latent_says(kind):
    made = styled()
    wanted = normal(4, 3, *made.latent_shape(kind))
    placed = made.with_latent(made.sample(range(3), 0), kind, wanted)
    torch.testing.assert_close(made.latent(placed, kind), wanted)
