"""One shifted kernel for a batch: scaled activations and a shared kernel, against a kernel per image."""

import pytest
import torch

from navbench.compute import Compute
from navbench.generators.stylegan2 import StyleGAN2

IMAGES = 16


@pytest.fixture(scope="module")
def work():
    """A StyleGAN2 of 64x64 pixels with a quarter of config f's channels, a layer's state, and a shifted kernel."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = StyleGAN2("bench", "", 64, 512, 512, channel_base=8192, channel_max=128)
    generator = Compute().place(generator)
    layer = generator.layer("convs.3")
    state = generator.before(generator.sample(range(IMAGES), 0), layer)
    return generator, layer, state, generator.kernel(layer) * 1.01


@pytest.mark.benchmark(group="StyleGAN2 64x64 after convs.3, 16 images, one shifted kernel")
def test_a_shared_kernel(measured, work):
    generator, layer, state, kernel = work
    assert measured(lambda: generator.after(state, layer, kernel), rounds=5).shape == (IMAGES, 3, 64, 64)


@pytest.mark.benchmark(group="StyleGAN2 64x64 after convs.3, 16 images, one shifted kernel")
def test_a_kernel_per_image(measured, work):
    generator, layer, state, kernel = work
    each = kernel.expand(IMAGES, *kernel.shape)
    assert measured(lambda: generator.after(state, layer, each), rounds=5).shape == (IMAGES, 3, 64, 64)
