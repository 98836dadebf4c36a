"""StyleSpace: what a shift of a style channel is, and what a shift of w is in it; it runs as other codes do."""

import pytest
import torch
from analytic import noise, styled

from navbench.errors import NavbenchError
from navbench.generators.stylegan2 import StyleGAN2
from navbench.spaces import LatentSpace

GENERATOR = styled(16)
NAMES = GENERATOR.latent_names("s")
SIZE = GENERATOR.latent_shape("s").numel()


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def axis(name, t=1.0):
    offset = torch.zeros(SIZE)
    offset[NAMES.index(name)] = t
    return offset


def test_there_is_a_channel_for_every_input_channel_of_every_modulated_convolution():
    counts = {"conv1": 16, "to_rgb1": 16, "convs.0": 16, "convs.1": 8, "to_rgbs.0": 8, "convs.2": 8, "convs.3": 4}
    expected = [
        f"{layer}:{channel}" for layer, count in (counts | {"to_rgbs.1": 4}).items() for channel in range(count)
    ]
    assert list(NAMES) == expected
    assert len(expected) == SIZE
    for layer, count in counts.items():
        assert GENERATOR.get_submodule(f"{layer}.conv").weight.shape[1] == count
    assert GENERATOR.latent_names("w") == ()


@pytest.mark.parametrize("name", ["conv1:3", "to_rgb1:0", "convs.0:15", "convs.1:7", "convs.3:2", "to_rgbs.1:1"])
def test_a_shift_of_a_channel_scales_the_input_channel_of_the_kernel(name):
    """Modulation multiplies kernel[:, c] by s_c, so s_c + d is the same as kernel[:, c] times (s_c + d) / s_c."""
    layer, channel = name.split(":")
    codes = GENERATOR.map_to_w(GENERATOR.sample([0], seed=1))
    conv, t = GENERATOR.get_submodule(f"{layer}.conv"), 1.7
    places = {"conv1": 0, "to_rgb1": 1, "convs.0": 1, "convs.1": 2, "to_rgbs.0": 3, "convs.3": 4, "to_rgbs.1": 5}
    own = conv.modulation(codes.w[:, places[layer]])[0, int(channel)]
    moved = own + t * GENERATOR.style_deviations[NAMES.index(name)]
    kernel = conv.weight.clone()
    kernel[:, int(channel)] *= moved / own
    expected = torch.func.functional_call(GENERATOR, {f"{layer}.conv.weight": kernel}, (codes,))
    found = GENERATOR(GENERATOR.shift_latent(codes, "s", axis(name, t)))
    close(found, expected)
    assert (found - GENERATOR(codes)).abs().max() > 1e-3


def in_s(styles):
    """What differences of styles (L, style_dim) are in s: each affine map's linear part, in deviations."""
    rows, places = [], [0, 1, 1, 2, 3, 3, 4, 5]
    for layer, place in zip(dict.fromkeys(name.split(":")[0] for name in NAMES), places, strict=True):
        affine = GENERATOR.get_submodule(f"{layer}.conv.modulation")
        rows.append(affine(styles[place, None])[0] - affine(torch.zeros(1, 8))[0])
    return torch.cat(rows) / GENERATOR.style_deviations


@pytest.mark.parametrize("kind", ["w", "w+"])
def test_an_offset_of_styles_is_its_affine_image_in_s(kind):
    offset = noise(3, *GENERATOR.latent_shape(kind))
    image = in_s(offset.expand(6, -1))
    codes = GENERATOR.sample(range(3), seed=0)
    moved = GENERATOR.shift_latent(codes, kind, offset)
    close(GENERATOR.latent(moved, "s") - GENERATOR.latent(codes, "s"), image.expand(3, -1), 1e-4)
    close(GENERATOR(GENERATOR.shift_latent(codes, "s", image)), GENERATOR(moved), 1e-4)


def test_a_step_is_one_standard_deviation_over_codes_whatever_the_truncation():
    codes = GENERATOR.sample(range(20_000), seed=5)
    deviations = (GENERATOR.latent(codes, "s") * GENERATOR.style_deviations).std(dim=0)
    torch.testing.assert_close(GENERATOR.style_deviations, deviations, rtol=0.05, atol=0)
    assert deviations.max() > 2 * deviations.min()
    assert torch.equal(styled(16, truncation=0.5).style_deviations, GENERATOR.style_deviations)
    conditional = styled(8, class_count=3)
    assert torch.isfinite(conditional.style_deviations).all()


def test_a_channel_that_is_the_same_for_all_codes_has_the_unit_one():
    made = styled(8)
    made.conv1.conv.modulation.weight[2] = 0
    assert made.style_deviations[2] == 1
    assert made.style_deviations[3] != 1


def test_shifts_of_all_latents_add_up_and_codes_are_told_apart():
    codes, first, second = GENERATOR.sample(range(3), seed=0), noise(1, SIZE), noise(2, 3, SIZE)
    both = GENERATOR.shift_latent(GENERATOR.shift_latent(codes, "s", first), "s", second)
    close(GENERATOR(both), GENERATOR(GENERATOR.shift_latent(codes, "s", first + second)))
    close(GENERATOR(both[1:2]), GENERATOR(both)[1:2])
    style, latent = noise(4, 8), noise(5, 8)
    one = GENERATOR.shift_latent(GENERATOR.shift_latent(codes, "w", style), "s", first)
    other = GENERATOR.shift_latent(GENERATOR.shift_latent(codes, "s", first), "w", style)
    close(GENERATOR(one), GENERATOR(other))
    one = GENERATOR.shift_latent(GENERATOR.shift_latent(codes, "z", latent), "s", first)
    other = GENERATOR.shift_latent(GENERATOR.shift_latent(codes, "s", first), "z", latent)
    close(GENERATOR(one), GENERATOR(other))
    wanted = noise(6, 3, SIZE)
    close(GENERATOR.latent(GENERATOR.with_latent(codes, "s", wanted), "s"), wanted, 1e-4)


@pytest.mark.parametrize("layer", [layer.name for layer in GENERATOR.layers()])
def test_shifted_codes_run_up_to_a_layer_and_on_from_it(layer):
    codes = GENERATOR.shift_latent(GENERATOR.sample(range(2), seed=0), "s", noise(1, SIZE))
    found = GENERATOR.layer(layer)
    close(GENERATOR.after(GENERATOR.before(codes, found), found), GENERATOR(codes))


def test_the_space_renders_one_offset_for_all_and_one_per_image():
    space, codes = LatentSpace(GENERATOR, "s"), GENERATOR.sample(range(2), seed=0)
    state, offset = space.prepare(codes), noise(1, SIZE)
    assert torch.equal(space.render(state, torch.zeros(SIZE)), GENERATOR(codes))
    close(space.render(state, offset), space.render(state, offset.expand(2, -1)))
    with pytest.raises(NavbenchError, match="does not say which linear maps read s"):
        GENERATOR.latent_weights("s")
    assert StyleGAN2.latents == ("z", "w", "w+", "s")
