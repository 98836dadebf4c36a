"""One shifted kernel for a batch against a kernel per image, and generation against its convolutions alone."""

import pytest
import torch
import torch.nn.functional as F

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


def convolutions(generator, images, dtype):
    """The 3x3 convolutions of a generator, on tensors of their shapes: what no generation can do without."""
    work, side = [], 4
    for part in (generator.conv1, *generator.convs):
        conv = part.conv
        x = torch.randn(images, conv.weight.shape[1], side, side, dtype=dtype)
        weight = (conv.weight.transpose(0, 1) if conv.up else conv.weight).to(dtype)
        x, weight = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, weight))
        work.append(
            (F.conv_transpose2d, x, weight, {"stride": 2}) if conv.up else (F.conv2d, x, weight, {"padding": 1})
        )
        side *= 2 if conv.up else 1
    return lambda: [function(x, weight, **options) for function, x, weight, options in work]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("channels", [512, 128])
def test_the_floor_of_generation(faster, channels, precision):
    """The goal is 0.85 at 512 channels."""
    compute = Compute(precision=precision)
    generator = compute.place(StyleGAN2("bench", "", 64, 512, 512, channel_max=channels))
    codes = generator.sample(range(4), 0)

    def generation():
        with compute.autocast():
            return generator(codes)

    floor = convolutions(generator, 4, torch.bfloat16 if precision == "bf16" else torch.float32)
    with torch.no_grad():
        assert faster(floor, generation) > 0
