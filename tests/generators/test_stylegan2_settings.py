"""Settings that no tensor shows: a file of NVIDIA's with others than the published ones is refused by their name."""

import published
import pytest
import torch
from analytic import styled

from navbench.errors import NavbenchError
from navbench.generators.checkpoints import read_checkpoint

GENERATOR = styled(16)
STATE = published.nvidia_state(GENERATOR)
PUBLISHED = published.nvidia_settings(STATE)


def test_the_published_settings_give_the_generator_itself(tmp_path):
    codes = GENERATOR.sample(range(2), seed=0)
    read = read_checkpoint(published.write_nvidia(tmp_path / "a.pkl", STATE))
    assert torch.equal(read(codes), GENERATOR(codes))


@pytest.mark.parametrize(
    ("module", "setting", "value"),
    [
        ("mapping.fc0", "activation", "relu"),
        ("mapping.fc1", "weight_gain", 1 / 8),
        ("mapping.fc0", "bias_gain", 1.0),
        ("synthesis.b4.conv1", "activation", "swish"),
        ("synthesis.b8.conv0", "act_gain", 1.0),
        ("synthesis.b8.conv1", "use_noise", False),
        ("synthesis.b8.conv1", "conv_clamp", 0.5),
        ("synthesis.b16.torgb", "conv_clamp", 255),
        ("synthesis.b16.torgb", "weight_gain", 1.0),
        ("synthesis.b8.conv0.affine", "bias_gain", 0.5),
        ("synthesis.b8", "architecture", "resnet"),
        ("synthesis.b8", "architecture", ["skip"]),
        ("synthesis.b8.conv0", "conv_clamp", "256"),
        ("mapping.fc0", "bias_gain", float("nan")),
    ],
)
def test_another_setting_is_refused_with_its_module(tmp_path, module, setting, value):
    settings = PUBLISHED | {module: PUBLISHED[module] | {setting: value}}
    path = published.write_nvidia(tmp_path / "a.pkl", STATE, settings=settings)
    with pytest.raises(NavbenchError, match=rf"a\.pkl: .* setting {setting} of {module} is .*; only .* is supported"):
        read_checkpoint(path)


@pytest.mark.parametrize("clamp", [None, 256, 512.0])
def test_a_clamp_beyond_what_networks_reach_or_none_is_read(tmp_path, clamp):
    settings = {name: held | {"conv_clamp": clamp} for name, held in PUBLISHED.items()}
    read_checkpoint(published.write_nvidia(tmp_path / "a.pkl", STATE, settings=settings))


def test_settings_that_a_file_does_not_hold_are_not_asked(tmp_path):
    read_checkpoint(published.write_nvidia(tmp_path / "a.pkl", STATE, settings={}))
