"""Settings that no tensor shows: a file of NVIDIA's gives the images of its authors' arithmetic, or is refused."""

import json
from types import SimpleNamespace

import published
import pytest
import torch
from analytic import noise, styled
from click.testing import CliRunner
from nvidia_networks import FUNCTIONS, Nvidia

from navbench.cli import main
from navbench.errors import NavbenchError
from navbench.generators.checkpoints import convert, read_checkpoint
from navbench.generators.options import Options
from navbench.generators.stylegan2 import StyleCodes
from navbench.generators.stylegan2_layers import ACTIVATIONS
from navbench.runner.run import _described

GENERATOR = styled(8)
STATE = published.nvidia_state(GENERATOR)
PUBLISHED = published.nvidia_settings(STATE)


def changed(pattern, **settings):
    """The published settings, but for modules whose names end like that."""
    return {name: held | (settings if name.endswith(pattern) else {}) for name, held in PUBLISHED.items()}


CONVOLUTIONS, MAPPING = ("conv0", "conv1"), ("fc0", "fc1")
OTHERS = {
    **{
        f"convolutions {name}": changed(CONVOLUTIONS, activation=name, act_gain=gain)
        for name, (_, gain) in FUNCTIONS.items()
    },
    **{f"mapping {name}": changed(MAPPING, activation=name) for name in FUNCTIONS},
    "another learning rate": changed(MAPPING, weight_gain=0.02 / 8**0.5, bias_gain=0.02),
    "a bias gain of its own": changed(("fc1",), bias_gain=0.3),
    "gains of affine layers": changed((".affine",), weight_gain=0.2, bias_gain=0.5),
    "a gain of what makes RGB": changed((".torgb",), weight_gain=0.7),
    "a clamp": changed((*CONVOLUTIONS, ".torgb"), conv_clamp=0.5),
    "a clamp as a whole number": changed((*CONVOLUTIONS, ".torgb"), conv_clamp=1),
    "no clamp": changed((*CONVOLUTIONS, ".torgb"), conv_clamp=None),
    "no noise": changed(CONVOLUTIONS, use_noise=False),
    "no noise in one layer": changed(("b8.conv1",), use_noise=False),
}  # fmt: skip


def written(path, settings, state=STATE):
    return published.write_nvidia(path, state, settings=settings)


def expected(settings, codes):
    """Images of codes by NVIDIA's arithmetic."""
    reference = Nvidia(STATE, settings)
    styles = torch.stack([torch.from_numpy(reference.mapping(z)).float() for z in codes.z.double().numpy()])
    return reference.images(styles[:, None].expand(-1, GENERATOR.styles_per_image, -1))


@pytest.mark.parametrize("name", OTHERS)
def test_images_are_those_of_its_authors_arithmetic_in_their_file_and_in_ours(tmp_path, name):
    codes, settings = GENERATOR.sample(range(2), seed=0), OTHERS[name]
    images = expected(settings, codes)
    read = read_checkpoint(written(tmp_path / "a.pkl", settings))
    torch.testing.assert_close(read(codes), images, rtol=1e-5, atol=1e-5)
    convert(read, tmp_path / "a.safetensors")
    ours = read_checkpoint(tmp_path / "a.safetensors")
    assert torch.equal(ours(codes), read(codes))
    assert (ours.fingerprint, ours.cache_key, ours.details) == (read.fingerprint, read.cache_key, read.details)
    if "lrelu" not in name and name not in ("no clamp", "a clamp as a whole number"):
        published_images = GENERATOR(codes)
        assert (published_images - images).abs().max() > 1e-3 * published_images.abs().max()
        assert read.fingerprint != GENERATOR.fingerprint


@pytest.mark.parametrize("name", ["convolutions swish", "a clamp", "another learning rate"])
def test_an_edit_of_a_kernel_is_that_of_its_authors_network(tmp_path, name):
    settings, shift = OTHERS[name], 0.4 * noise(1, *STATE["synthesis.b8.conv0.weight"].shape)
    read = read_checkpoint(written(tmp_path / "a.pkl", settings))
    codes = StyleCodes(torch.zeros(2, 0), noise(2, 2, GENERATOR.styles_per_image, 8))
    key = "synthesis.b8.conv0.weight"
    layer = read.layer("convs.0")
    edited = read.after(read.before(codes, layer), layer, read.kernel(layer) + shift)
    reference = Nvidia(STATE | {key: STATE[key] + shift}, settings).images(codes.w)
    torch.testing.assert_close(edited, reference, rtol=1e-5, atol=1e-5)


def test_the_published_settings_give_the_generator_itself(tmp_path):
    codes = GENERATOR.sample(range(2), seed=0)
    for clamp in (None, 256, 512.0):
        read = read_checkpoint(written(tmp_path / "a.pkl", changed((*CONVOLUTIONS, ".torgb"), conv_clamp=clamp)))
        assert torch.equal(read(codes), GENERATOR(codes))
        assert read.fingerprint == GENERATOR.fingerprint
        assert ("clamp" in read.cache_key) == (clamp is not None)


def test_settings_that_a_file_does_not_hold_are_the_published_ones(tmp_path):
    codes = GENERATOR.sample(range(2), seed=0)
    assert torch.equal(read_checkpoint(written(tmp_path / "a.pkl", {}))(codes), GENERATOR(codes))


def test_what_was_read_is_told(tmp_path):
    read = read_checkpoint(written(tmp_path / "a.pkl", PUBLISHED))
    assert read.details == {
        "noise maps": "the file's", "w_avg": "the file's", "precision": "float16 as published in b4, b8; float32 here",
        "clamp": "256",
    }  # fmt: skip
    bare = {key: value for key, value in STATE.items() if "w_avg" not in key and "noise_" not in key}
    settings = {name: held | {"conv_clamp": None, "use_fp16": False} for name, held in PUBLISHED.items()}
    for name, held in settings.items():
        if name.endswith(CONVOLUTIONS):
            held |= {"activation": "elu", "act_gain": 1.0, "use_noise": False}
        elif name.endswith(MAPPING):
            held |= {"weight_gain": 0.2, "bias_gain": 1.0}
    told = read_checkpoint(written(tmp_path / "b.pkl", settings, bare)).details
    assert told == {
        "noise maps": "none, as it was trained without", "w_avg": "not in the file, estimated from 4,096 codes",
        "gains": "of another learning rate, multiplied into mapping.fc0, mapping.fc1", "clamp": "none",
        "activation": "elu; of the mapping network lrelu",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("module", "setting", "value"),
    [
        ("mapping.fc0", "activation", "gelu"),
        ("mapping.fc0", "activation", "relu"),
        ("mapping.fc1", "weight_gain", "1"),
        ("mapping.fc0", "bias_gain", float("nan")),
        ("mapping.fc0", "bias_gain", 10**400),
        ("synthesis.b4.conv1", "activation", "swish"),
        ("synthesis.b8.conv0", "act_gain", 1.0),
        ("synthesis.b8.conv1", "use_noise", 0),
        ("synthesis.b8.conv1", "conv_clamp", 0.5),
        ("synthesis.b8.torgb", "conv_clamp", None),
        ("synthesis.b8.conv0", "conv_clamp", "256"),
        ("synthesis.b4.conv1", "conv_clamp", -1),
        ("synthesis.b8.conv0.affine", "activation", "lrelu"),
        ("synthesis.b8", "architecture", "resnet"),
        ("synthesis.b8", "architecture", ["skip"]),
    ],
)
def test_what_is_not_built_or_not_the_same_everywhere_is_refused_with_its_module(tmp_path, module, setting, value):
    path = written(tmp_path / "a.pkl", PUBLISHED | {module: PUBLISHED[module] | {setting: value}})
    with pytest.raises(
        NavbenchError, match=rf"a\.pkl: .* setting {setting} of .* is .*; only .* is supported\.$"
    ) as told:
        read_checkpoint(path)
    assert module.rpartition(".")[0] in str(told.value)


def test_noise_that_a_layer_uses_and_does_not_hold_is_refused(tmp_path):
    bare = {key: value for key, value in STATE.items() if "noise_" not in key}
    with pytest.raises(NavbenchError, match=r"use_noise of synthesis\.b4\.conv1 is True; only False is supported"):
        read_checkpoint(written(tmp_path / "a.pkl", PUBLISHED, bare))


@pytest.mark.parametrize("name", ["convolutions relu", "mapping selu", "a clamp"])
def test_what_rosinalitys_layout_has_no_place_for_is_refused(tmp_path, name):
    read = read_checkpoint(written(tmp_path / "a.pkl", OTHERS[name]))
    with pytest.raises(
        NavbenchError, match=r"has (another activation|a clamp at 0\.5), which rosinality's layout has no"
    ):
        convert(read, tmp_path / "a.pt")


def test_every_activation_of_its_authors_is_built():
    assert ACTIVATIONS.keys() == FUNCTIONS.keys()


def test_the_command_line_and_the_manifest_say_what_was_read(tmp_path):
    path = written(tmp_path / "a.pkl", OTHERS["a clamp"])
    shown = CliRunner().invoke(main, ["generators", "show", str(path)]).stdout
    details = read_checkpoint(path).details
    assert details["clamp"] == "0.5"
    assert all(f"\n{name}: {words}\n" in shown for name, words in details.items())
    told = CliRunner().invoke(main, ["generators", "show", str(path), "--json"]).stdout
    assert json.loads(told)["details"] == details
    on = SimpleNamespace(generator=read_checkpoint(path), subject=SimpleNamespace(options=Options()), noise=None)
    assert _described(on)["details"] == details
