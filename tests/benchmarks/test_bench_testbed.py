"""The testbed's own speed: renderings, and steps of training at the size of the CPU preset."""

import pytest

from navbench.compute import Compute
from navbench.testbed import cars
from navbench.testbed.train import PRESETS, Training

COUNT = 256


@pytest.mark.parametrize("draw", [cars.render, cars.parts])
def test_renderings(benchmark, measured, draw):
    benchmark.group = f"{COUNT} cars"
    factors = cars.sample(range(COUNT), 0)
    assert len(measured(lambda: draw(factors), images=COUNT)) == COUNT
    benchmark.extra_info["images_per_second"] = round(COUNT / benchmark.stats.stats.median)


def test_sampling_factors(benchmark, measured):
    benchmark.group = f"{COUNT} cars"
    assert len(measured(lambda: cars.sample(range(COUNT), 0), images=COUNT)) == COUNT


@pytest.mark.parametrize("precision", ["bf16", "float32"])
def test_a_step_of_training(benchmark, measured, precision, tmp_path):
    settings = PRESETS["cpu"]
    benchmark.group = f"one step of training on {settings.batch} renderings"
    training = Training(settings, Compute("cpu", precision), tmp_path)
    assert measured(training.step, images=settings.batch)["generator_loss"] > 0
    benchmark.extra_info["images_per_second"] = round(settings.batch / benchmark.stats.stats.median, 1)
