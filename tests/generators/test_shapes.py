"""StyleGAN2 of other shapes: canvases that are not square, one and four channels, from 4x4 to beyond 1024x1024."""

import published
import pytest
import torch
from analytic import noise, styled
from nvidia_networks import Nvidia
from torch.func import jvp

from navbench.errors import NavbenchError, NavbenchWarning
from navbench.generators.channels import to_rgb
from navbench.generators.checkpoints import convert, read_checkpoint
from navbench.generators.files import write_generator
from navbench.generators.options import Options
from navbench.generators.stylegan2 import StyleCodes, StyleGAN2
from navbench.generators.stylegan2_layouts import build

SHAPES = {
    "4x4": {"resolution": 4},
    "8x4, of a constant 4x2": {"resolution": 8, "constant": (4, 2)},
    "8x16, of a constant 4x8": {"resolution": 8, "constant": (4, 8)},
    "20x12, of a constant 5x3": {"resolution": 16, "constant": (5, 3)},
    "2x2, of a constant 2x2": {"resolution": 4, "constant": (2, 2)},
}
WRITERS = {
    "nvidia": lambda path, made: published.write_nvidia(path, published.nvidia_state(made)),
    "rosinality": published.write_rosinality,
    "ours": lambda path, made: write_generator(made, path, {}, torch.float32),
}


def codes_of(made, count=2):
    return StyleCodes(torch.zeros(count, 0), noise(3, count, made.styles_per_image, 8))


def by_nvidia(made, codes):
    """Images of codes by NVIDIA's arithmetic, of as many channels as there are."""
    return Nvidia(published.nvidia_state(made)).images(codes.w)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_canvas_of_any_proportions_is_that_of_its_authors_arithmetic(tmp_path, shape, layout):
    made = styled(**SHAPES[shape])
    WRITERS[layout](tmp_path / "a.file", made)
    read, codes = read_checkpoint(tmp_path / "a.file"), codes_of(made)
    height, width = map(int, shape.split(",")[0].split("x"))
    assert read.size == read.canvas == (height, width)
    images = read(codes)
    assert images.shape == (2, 3, height, width)
    torch.testing.assert_close(images, by_nvidia(made, codes), rtol=1e-4, atol=1e-4)
    assert read.fingerprint == made.fingerprint
    for layer in read.layers():
        torch.testing.assert_close(read.after(read.before(codes, layer), layer), images)


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_of_any_proportions_is_drawn_and_set(shape):
    made = styled(noise="random", **SHAPES[shape])
    codes = made.sample(range(3), seed=0)
    torch.testing.assert_close(made(codes)[1:2], made(codes[1:2]))
    maps = [noise(9, 3, 1, *size) for size in made.noise_inputs()]
    assert maps[0].shape[2:] == made.constant
    assert not torch.equal(made(made.with_noise(codes, maps)), made(codes))


def test_a_part_of_a_canvas_that_is_not_square_is_its_middle():
    whole, part = (styled(8, constant=(4, 8), size=size) for size in (None, (6, 10)))
    codes = codes_of(whole)
    assert torch.equal(part(codes), whole(codes)[:, :, 1:7, 3:13])
    with pytest.raises(NavbenchError, match="Images of 16x8 pixels are no part of the 8x16"):
        styled(8, constant=(4, 8), size=(16, 8))


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize(("channels", "words"), [(1, "grey, repeated to RGB"), (4, "RGB and alpha, composed on white")])
def test_grey_and_alpha_become_rgb_and_that_is_said(tmp_path, channels, words, layout):
    made = styled(8, channels=channels, constant=(4, 2))
    WRITERS[layout](tmp_path / "a.file", made)
    with pytest.warns(NavbenchWarning, match=rf"a\.file: its images are {words}\.$"):
        read = read_checkpoint(tmp_path / "a.file")
    codes = codes_of(made)
    raw = by_nvidia(made, codes)
    assert raw.shape == (2, channels, 8, 4)
    torch.testing.assert_close(read(codes), to_rgb(raw), rtol=1e-4, atol=1e-4)
    assert read(codes).shape == (2, 3, 8, 4)
    assert read.details["images"] == words
    with pytest.raises(NavbenchError, match="has a canvas that is not square, which rosinality's layout has no place"):
        convert(read, tmp_path / "b.pt")


def test_grey_is_repeated_and_alpha_lies_on_white():
    grey = noise(0, 2, 1, 3, 5)
    assert torch.equal(to_rgb(grey), torch.cat([grey] * 3, dim=1))
    colour = noise(1, 1, 3, 1, 4).clamp(-1, 1)
    alpha = torch.tensor([-1.0, 1.0, 0.0, -7.0]).view(1, 1, 1, 4)
    found = to_rgb(torch.cat([colour, alpha], dim=1))[0, :, 0]
    transparent, opaque, half, beyond = found.T
    assert torch.equal(transparent, torch.ones(3))
    assert torch.equal(beyond, torch.ones(3))
    assert torch.equal(opaque, colour[0, :, 0, 1])
    torch.testing.assert_close(half, (colour[0, :, 0, 2] + 1) / 2)
    assert to_rgb(colour) is colour


@pytest.mark.parametrize("channels", [1, 4])
def test_a_derivative_passes_the_conversion(channels):
    made = styled(8, channels=channels)
    layer, codes = made.layer("convs.0"), codes_of(made)
    state, kernel, offset = made.before(codes, layer), made.kernel(layer), noise(4, *made.kernel(layer).shape)
    _, slope = jvp(lambda weight: made.after(state, layer, weight), (kernel,), (offset,))
    double = styled(8, channels=channels).double()
    state = double.before(StyleCodes(codes.z.double(), codes.w.double()), layer)
    ends = [double.after(state, layer, (kernel + step * offset).double()) for step in (1e-4, -1e-4)]
    torch.testing.assert_close(slope, ((ends[0] - ends[1]) / 2e-4).float(), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("channels", "key"), [(2, "to_rgb1.conv.weight"), (5, "to_rgb1.conv.weight")])
def test_other_channels_are_refused_by_name(channels, key):
    state = published.rosinality_state(styled(8))
    state |= {
        key: torch.zeros(1, channels, *value.shape[2:]) for key, value in state.items() if "to_rgb1.conv.w" in key
    }
    with pytest.raises(NavbenchError, match=rf"'{key}' makes images of {channels} channels; only 1, 3 and 4"):
        build(state, "made", Options())


@pytest.mark.parametrize("constant", [(0, 4), (4, 65)])
def test_other_constants_are_refused(constant):
    with pytest.raises(NavbenchError, match=rf"constant of 1 to 64 pixels a side, not of {constant[0]}x{constant[1]}"):
        styled(8, constant=constant)


@pytest.mark.parametrize(("constant", "size"), [((4, 4), (2048, 2048)), ((4, 2), (2048, 1024)), ((5, 3), (2560, 1536))])
def test_large_canvases_are_built(constant, size):
    with torch.device("meta"):
        made = StyleGAN2("large", "", 2048, constant=constant)
    assert made.size == size
    assert made.noises.get_buffer("noise_18").shape == (1, 1, *size)
    assert made.styles_per_image == 20


def test_a_large_canvas_of_a_few_channels_is_read(tmp_path):
    made = styled(512, channel_base=512, channel_max=2, style_dim=2, latent_dim=2)
    WRITERS["nvidia"](tmp_path / "a.pkl", made)
    read = read_checkpoint(tmp_path / "a.pkl")
    assert read.size == (512, 512)
    assert torch.equal(read(read.sample([0], seed=0)), made(made.sample([0], seed=0)))
