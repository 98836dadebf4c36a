"""The generator `cars` is the file in the package, and its absence says how to make one."""

import re

import pytest

from navbench.errors import NavbenchError
from navbench.generators.files import write_generator
from navbench.testbed import shipped
from navbench.testbed.train import TrainSettings


def test_cars_is_the_generator_in_the_packages_file(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "GENERATOR", tmp_path / "cars.safetensors")
    made = TrainSettings(latent_dim=8, style_dim=8, mapping_layers=2, channel_base=64, channel_max=8).generator()
    write_generator(made, shipped.GENERATOR, {})
    read = shipped.cars()
    assert (read.name, read.resolution, read.latent_dim) == ("cars", 64, 8)
    assert read.latents == ("z", "w", "w+", "s")


def test_missing_weights_are_refused_with_the_commands_that_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "GENERATOR", tmp_path / "cars.safetensors")
    command = f"navbench testbed export runs/testbed --out {shipped.GENERATOR}"
    with pytest.raises(NavbenchError, match=f"navbench testbed train.*{re.escape(command)}"):
        shipped.cars()
