"""NVIDIA's and rosinality's layouts, against NVIDIA's arithmetic written out in float64 on its own tensors."""

import math

import numpy as np
import published
import pytest
import torch
from analytic import noise, styled
from hypothesis import given
from hypothesis import strategies as st
from nvidia_networks import Nvidia
from torch import nn

from navbench.errors import NavbenchError
from navbench.generators.options import Options
from navbench.generators.stylegan2 import StyleCodes, StyleGAN2
from navbench.generators.stylegan2_layouts import (
    build,
    from_nvidia,
    from_rosinality,
    mean_style,
    recognised,
    to_rosinality,
)

GENERATOR = styled(16)


def close(found, expected, tolerance=1e-4):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def built(state, **options):
    return build(state, "made", Options(**options))


def refusal(state, **options):
    with pytest.raises(NavbenchError) as refused:
        built(state, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# --- NVIDIA's networks


@pytest.mark.parametrize("resolution", [8, 32])
def test_images_are_those_of_nvidias_arithmetic(resolution):
    state = published.nvidia_state(styled(resolution))
    made, reference = built(state), Nvidia(state)
    codes = made.sample(range(2), seed=0)
    codes = StyleCodes(codes.z, made.map_to_w(codes).w + 0.5 * noise(0, 2, made.styles_per_image, 8))
    close(made(codes), reference.images(codes.w))


def test_styles_are_those_of_nvidias_arithmetic_with_and_without_classes():
    plain, conditional = styled(8), styled(8, class_count=5)
    for generator in (plain, conditional):
        state = published.nvidia_state(generator)
        made, reference = built(state), Nvidia(state)
        codes = made.sample(range(6), seed=3)
        labels = [None] * 6 if codes.label is None else codes.label.tolist()
        expected = [reference.mapping(z, label) for z, label in zip(codes.z.double().numpy(), labels, strict=True)]
        close(made.map_to_w(codes).w[:, 0], torch.from_numpy(np.stack(expected)).float())


def test_networks_trained_without_noise_have_none():
    state = {key: value for key, value in published.nvidia_state(GENERATOR).items() if "noise_" not in key}
    made = built(state)
    codes = made.sample([0], seed=0)
    close(made(codes)[0], Nvidia(state).synthesis(made.map_to_w(codes).w[0].double().numpy()))


# --- one layout and the other


LAYOUTS = {
    "nvidia": published.nvidia_state,
    "rosinality": lambda made: published.rosinality_state(made) | {"latent_avg": made.w_avg},
    "ours to rosinality": lambda made: to_rosinality(made)["g_ema"] | {"latent_avg": to_rosinality(made)["latent_avg"]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_generator(layout):
    made = built(LAYOUTS[layout](GENERATOR))
    assert recognised(LAYOUTS[layout](GENERATOR))
    assert made.fingerprint == GENERATOR.fingerprint
    codes = GENERATOR.sample(range(2), seed=1)
    assert torch.equal(made(codes), GENERATOR(codes))


@pytest.mark.parametrize("layer", [layer.name for layer in GENERATOR.layers()])
def test_a_shift_of_the_raw_kernel_is_the_same_edit_in_every_layout(layer):
    found = GENERATOR.layer(layer)
    offset = 0.5 * noise(found.index + 2, *found.shape)
    images = []
    for layout in LAYOUTS:
        state = LAYOUTS[layout](GENERATOR)
        block, which = (4, 1) if layer == "conv1" else (2 ** (found.index // 2 + 3), found.index % 2)
        key = f"synthesis.b{block}.conv{which}.weight" if layout == "nvidia" else f"{layer}.conv.weight"
        shifted = state | {key: state[key] + offset}  # in the file
        made = built(state)
        codes = made.sample(range(2), seed=1)
        images.append(built(shifted)(codes))
        close(made.after(made.before(codes, found), found, made.kernel(found) + offset), images[-1])
        if layout == "nvidia":
            ws = made.map_to_w(codes).w[0].double().numpy()
            close(images[-1][0], Nvidia(shifted).synthesis(ws))
    close(images[1], images[0])
    close(images[2], images[0])
    assert float((images[0] - GENERATOR(codes)).abs().max()) > 1e-2


class Rosinality(nn.Module):
    """The tensors of rosinality's Generator(size, style_dim, n_mlp, channel_multiplier), to be loaded strictly."""

    def __init__(self, size, style_dim, n_mlp, channels):
        super().__init__()
        self.put("input.input", 1, channels[4], 4, 4)
        for index in range(1, n_mlp + 1):
            self.dense(f"style.{index}", style_dim, style_dim)
        self.styled("conv1", channels[4], channels[4], style_dim)
        self.colour("to_rgb1", channels[4], style_dim)
        self.put("noises.noise_0", 1, 1, 4, 4)
        for index in range(int(math.log2(size)) - 2):
            side, inputs = 2 ** (index + 3), channels[2 ** (index + 2)]
            outputs = channels[side]
            self.styled(f"convs.{2 * index}", inputs, outputs, style_dim)
            self.put(f"convs.{2 * index}.conv.blur.kernel", 4, 4)
            self.styled(f"convs.{2 * index + 1}", outputs, outputs, style_dim)
            self.colour(f"to_rgbs.{index}", outputs, style_dim)
            self.put(f"to_rgbs.{index}.upsample.kernel", 4, 4)
            for each in (1, 2):
                self.put(f"noises.noise_{2 * index + each}", 1, 1, side, side)

    def put(self, name, *shape):
        *path, last = name.split(".")
        module = self
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.register_buffer(last, torch.zeros(shape))

    def dense(self, name, inputs, outputs):
        self.put(f"{name}.weight", outputs, inputs)
        self.put(f"{name}.bias", outputs)

    def styled(self, name, inputs, outputs, style_dim):
        self.put(f"{name}.conv.weight", 1, outputs, inputs, 3, 3)
        self.dense(f"{name}.conv.modulation", style_dim, inputs)
        self.put(f"{name}.noise.weight", 1)
        self.put(f"{name}.activate.bias", outputs)

    def colour(self, name, inputs, style_dim):
        self.put(f"{name}.conv.weight", 1, 3, inputs, 1, 1)
        self.dense(f"{name}.conv.modulation", style_dim, inputs)
        self.put(f"{name}.bias", 1, 3, 1, 1)


def test_what_is_written_for_rosinality_is_loaded_strictly():
    made = styled(16, channel_max=12)
    written = to_rosinality(made)
    theirs = Rosinality(16, 8, 2, {4: 12, 8: 8, 16: 4})
    theirs.load_state_dict(written["g_ema"], strict=True)
    assert written.keys() == {"g_ema", "latent_avg"}
    assert torch.equal(written["latent_avg"], made.w_avg)
    assert torch.equal(theirs.get_buffer("convs.0.conv.blur.kernel"), 4 * published.FILTER)
    for key, value in published.rosinality_state(made).items():
        assert torch.equal(theirs.get_buffer(key), value), key


def test_classes_have_no_place_in_rosinalitys_layout():
    with pytest.raises(NavbenchError, match=r"^Generator styled has classes, which rosinality's layout"):
        to_rosinality(styled(8, class_count=3))


def test_tensors_are_renamed_without_a_copy_of_the_kernels():
    state = published.nvidia_state(GENERATOR)
    ours = from_nvidia(state)
    assert ours["convs.0.conv.weight"].data_ptr() == state["synthesis.b8.conv0.weight"].data_ptr()
    assert ours.keys() == GENERATOR.state_dict().keys()


# --- sizes


@given(
    st.sampled_from([8, 16, 64]), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(16, 300),
    st.integers(1, 9), st.integers(0, 3),
)  # fmt: skip
def test_any_size_is_found_in_the_tensors(resolution, latent, style, depth, base, most, classes):
    base = max(base, resolution)
    with torch.device("meta"):
        made = StyleGAN2("a", "b", resolution, latent, style, depth, base, most, class_count=classes)
    made = made.to_empty(device="cpu").requires_grad_(False)
    for value in made.state_dict().values():
        value.zero_()
    states = [published.nvidia_state(made)]
    if not classes:
        states.append(published.rosinality_state(made) | {"latent_avg": made.w_avg})
    for state in states:
        found = built(state)
        shapes = {key: value.shape for key, value in found.state_dict().items()}
        assert shapes == {key: value.shape for key, value in made.state_dict().items()}
        sizes = (found.resolution, found.latent_dim, found.style_dim, found.mapping_layers, found.class_count)
        assert sizes == (resolution, latent, style, depth, classes)


def test_half_precision_is_read_as_whole():
    state = {key: value.half() for key, value in published.nvidia_state(GENERATOR).items()}
    made = built(state)
    assert {value.dtype for value in made.state_dict().values()} == {torch.float32}
    assert torch.equal(made.convs[0].conv.weight, GENERATOR.convs[0].conv.weight.half().float())


# --- what a file may lack


def test_a_mean_style_that_is_not_stored_is_that_of_codes_of_its_own():
    state = published.rosinality_state(GENERATOR)
    made = built(state, truncation=0.5)
    styles = GENERATOR.map_to_w(GENERATOR.sample(range(20_000), seed=5)).w[:, 0]
    error = styles.std(0) * math.sqrt(1 / 4096 + 1 / 20_000)
    assert ((made.w_avg - styles.mean(0)).abs() < 4 * error).all()
    assert torch.equal(made.w_avg, mean_style(GENERATOR))
    assert torch.equal(made.w_avg, made.w_avg.half().float())  # so rounding on another machine does not show
    stored = built(state | {"latent_avg": GENERATOR.w_avg[None]})
    assert torch.equal(stored.w_avg, GENERATOR.w_avg)


def test_a_mean_style_that_a_network_of_classes_lacks_is_that_over_all_classes():
    made = styled(8, class_count=3)
    state = {key: value for key, value in published.nvidia_state(made).items() if "w_avg" not in key}
    read = built(state, truncation=0.5, classes=(1,))
    styles = made.map_to_w(made.sample(range(20_000), seed=5)).w[:, 0]
    error = styles.std(0) * math.sqrt(1 / 4096 + 1 / 20_000)
    assert ((read.w_avg - styles.mean(0)).abs() < 4 * error).all()
    of_one = made.map_to_w(built(state, classes=(1,)).sample(range(20_000), seed=5)).w[:, 0]
    assert ((read.w_avg - of_one.mean(0)).abs() > 4 * error).any()


def test_a_file_without_noise_wants_another_kind_of_noise():
    state = {key: value for key, value in published.rosinality_state(GENERATOR).items() if "noises" not in key}
    state["latent_avg"] = GENERATOR.w_avg
    assert "stores no noise; choose the option noise, 'random' or 'none'" in refusal(state)
    assert "stores no noise" in refusal(state, noise="const")
    codes = GENERATOR.sample([0], 0)
    made = built(state, noise="none")
    close(made(codes), built(published.nvidia_state(GENERATOR), noise="none")(codes))
    assert built(state, noise="random").sample([0], 0).noise_seeds is not None


# --- what is refused


def states():
    return {"nvidia": published.nvidia_state(GENERATOR), "rosinality": LAYOUTS["rosinality"](GENERATOR)}


@pytest.mark.parametrize("layout", ["nvidia", "rosinality"])
def test_every_missing_tensor_is_named(layout):
    whole = states()[layout]
    optional = ("filter", "kernel", "latent_avg", "w_avg")
    for key in whole:
        if key.endswith(optional):
            continue
        message = refusal({name: value for name, value in whole.items() if name != key})
        assert f"lacks the tensor {key!r}" in message, key


@pytest.mark.parametrize("layout", ["nvidia", "rosinality"])
def test_every_tensor_of_another_shape_is_named_or_disagrees_with_another(layout):
    whole = states()[layout]
    for key, value in whole.items():
        message = refusal(whole | {key: torch.zeros(*value.shape, 2)})
        assert repr(key) in message or "but a generator of its kind and size has" in message, key


def test_a_tensor_of_another_shape_is_named_with_both():
    state = states()["nvidia"] | {"synthesis.b8.conv0.affine.bias": torch.zeros(3)}
    assert "'synthesis.b8.conv0.affine.bias' is 3, but a generator of its kind and size has 16" in refusal(state)
    state = states()["rosinality"] | {"convs.1.conv.weight": torch.zeros(8, 8, 3, 3)}
    assert "'convs.1.conv.weight' is 8x8x3x3, but a generator of its kind and size has 1x8x8x3x3" in refusal(state)


@pytest.mark.parametrize("layout", ["nvidia", "rosinality"])
def test_a_tensor_too_many_is_named(layout):
    assert "'more.weight'" in refusal(states()[layout] | {"more.weight": torch.zeros(1)})


def test_values_that_are_not_finite_are_named():
    state = states()["nvidia"]
    state["synthesis.b8.conv0.bias"][0] = math.inf
    assert "'synthesis.b8.conv0.bias' has NaN or infinite values" in refusal(state)


def test_channels_that_follow_no_rule_are_named():
    state = states()["nvidia"]
    state["synthesis.b8.conv1.weight"] = torch.zeros(3, 8, 3, 3)
    message = refusal(state)
    assert "'synthesis.b8.conv1.weight' has 3 output channels, but 8 would follow" in message


def test_other_architectures_are_refused_by_name():
    state = states()["nvidia"]
    assert "'resnet'" in refusal(state | {"synthesis.b8.skip.weight": torch.zeros(8, 16, 1, 1)})
    last = {key: value for key, value in state.items() if ".torgb." not in key or ".b16." in key}
    assert "'orig'" in refusal(last)


def test_another_filter_is_refused_by_name():
    state = states()["nvidia"] | {"synthesis.b8.conv0.resample_filter": torch.ones(4, 4) / 16}
    assert "'synthesis.b8.conv0.resample_filter' is not the filter [1, 3, 3, 1]" in refusal(state)
    state = states()["rosinality"] | {"convs.0.conv.blur.kernel": torch.ones(2, 2)}
    assert "'convs.0.conv.blur.kernel' is not the filter" in refusal(state)


def test_an_enormous_or_empty_network_is_refused_before_it_is_made():
    state = states()["nvidia"]
    blocks = {f"synthesis.b{2**k}.conv1.weight": torch.zeros(1, 1, 3, 3) for k in range(5, 40)}
    assert "4096 are possible" in refusal(state | blocks)
    assert "'synthesis.b4.conv1.weight' is 0x16x3x3, which no generator" in refusal(
        state | {"synthesis.b4.conv1.weight": torch.zeros(0, 16, 3, 3)}
    )
    conditional = published.nvidia_state(styled(8, class_count=3))
    conditional["mapping.fc0.weight"] = conditional["mapping.fc0.weight"][:, :8]
    assert "leaves no room for z" in refusal(conditional)


@pytest.mark.parametrize("option", [{"labels": "."}, {"instances": "."}])
def test_options_of_other_families_are_refused(option):
    assert f"StyleGAN2 has no option {next(iter(option))!r}" in refusal(states()["nvidia"], **option)


def test_other_state_dicts_are_not_recognised():
    assert not recognised({})
    assert not recognised({"shared.weight": noise(0, 2), "blocks.0.0.conv1.weight": noise(0, 2)})
    assert not recognised({"convs.0.0.weight": noise(0, 2), "final_linear.0.weight": noise(0, 2)})


def test_rosinalitys_tensors_without_a_mean_style_get_none():
    assert torch.equal(from_rosinality(published.rosinality_state(GENERATOR))["w_avg"], torch.zeros(8))


def test_layers_answer_to_nvidias_names_too():
    generator = styled(32)
    theirs = ["b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1", "b32.conv0", "b32.conv1"]
    assert [generator.layer(f"synthesis.{name}") for name in theirs] == list(generator.layers())
    assert generator.layer("b16.conv1").name == "convs.3"
    for name in ("b4.conv0", "b64.conv0", "b12.conv1", "b2.conv1"):
        with pytest.raises(NavbenchError, match="Unknown layer of generator styled"):
            generator.layer(name)
