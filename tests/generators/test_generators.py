"""What every generator promises, held against DCGANs and against a wrapped module."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from analytic import LAYERS, Convolutions, LinearGenerator, noise, wrapped
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from navbench.compute import Compute
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.generators.base import Codes
from navbench.generators.dcgan import DCGAN, ConditionalDCGAN
from navbench.generators.wrapped import Wrapped

LINEAR = LinearGenerator(latent_dim=5)


@pytest.fixture(scope="module")
def dcgan():
    """A small DCGAN whose batch norms are not the identity."""
    return Compute().place(_filled(DCGAN("small", "a small DCGAN", latent_dim=8, channels=2, resolution=16)))


def _filled(generator):
    for index, (name, value) in enumerate(generator.state_dict().items()):
        if value.is_floating_point():
            value.copy_(noise(index, *value.shape).abs() + 0.5 if "var" in name else 0.3 * noise(index, *value.shape))
    return generator


@pytest.fixture(scope="module")
def conditional():
    """A small DCGAN with classes."""
    generator = ConditionalDCGAN("small", "a small DCGAN with classes", 3, latent_dim=8, channels=2, resolution=16)
    return Compute().place(_filled(generator))


@pytest.fixture(params=["dcgan", "conditional", "wrapped"])
def generator(request):
    return wrapped() if request.param == "wrapped" else request.getfixturevalue(request.param)


def with_kernel(generator, layer, kernel):
    """A generator whose layer has that kernel for good."""
    other = deepcopy(generator)
    other.convolution(layer).weight.data = kernel
    return other


@given(st.lists(st.integers(0, 10**9), max_size=6), st.integers(0, 2**62))
def test_a_code_depends_on_the_seed_and_its_number_only(indices, seed):
    together = LINEAR.sample(indices, seed).z
    assert together.shape == (len(indices), 5)
    assert together.dtype == torch.float32
    for row, index in zip(together, indices, strict=True):
        assert torch.equal(row, LINEAR.sample([index], seed).z[0])
        assert not torch.equal(row, LINEAR.sample([index], seed + 1).z[0])


def test_codes_are_cut_by_rows():
    codes = LINEAR.sample(range(6), seed=0)
    assert len(codes[2:5]) == 3
    assert torch.equal(codes[2:5].z, LINEAR.sample([2, 3, 4], seed=0).z)


def test_before_and_after_make_the_forward_pass_bit_for_bit(generator):
    codes = generator.sample(range(3), seed=0)
    images = generator(codes)
    assert images.shape == (3, 3, generator.resolution, generator.resolution)
    for layer in generator.layers():
        state = generator.before(codes, layer)
        assert torch.equal(generator.after(state, layer), images)
        assert torch.equal(generator.after(state, layer, generator.kernel(layer) + 0), images)


def test_after_with_another_kernel_is_the_generator_with_that_kernel(generator):
    codes = generator.sample(range(3), seed=0)
    for layer in generator.layers():
        kernel = generator.kernel(layer) + 0.1 * noise(layer.index, *layer.shape)
        shifted = generator.after(generator.before(codes, layer), layer, kernel)
        expected = with_kernel(generator, layer, kernel)(codes)
        assert torch.equal(shifted, expected)
        assert float((expected - generator(codes)).abs().max()) > 1e-3


def test_one_kernel_per_image_is_a_loop_over_images(generator):
    codes = generator.sample(range(3), seed=0)
    for layer in generator.layers():
        kernels = generator.kernel(layer) + 0.1 * noise(layer.index, 3, *layer.shape)
        together = generator.after(generator.before(codes, layer), layer, kernels)
        each = [with_kernel(generator, layer, kernel)(codes[i : i + 1]) for i, kernel in enumerate(kernels)]
        torch.testing.assert_close(together, torch.cat(each), rtol=1e-4, atol=1e-5)


def test_a_forward_pass_leaves_the_generator_as_it_was(generator):
    codes = generator.sample(range(2), seed=0)
    before, images = generator.fingerprint, generator(codes)
    for layer in generator.layers():
        generator.after(generator.before(codes, layer), layer, generator.kernel(layer) + 1)
    del generator.__dict__["fingerprint"]
    assert generator.fingerprint == before
    assert torch.equal(generator(codes), images)


def test_an_image_does_not_depend_on_the_others_of_its_batch(generator):
    codes = generator.sample(range(4), seed=0)
    each = torch.cat([generator(codes[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(generator(codes), each, rtol=1e-5, atol=1e-6)


def test_layers_have_the_names_shapes_and_order_of_the_module(dcgan):
    found = wrapped().layers()
    assert tuple(layer.name for layer in found) == LAYERS
    assert [layer.index for layer in found] == list(range(5))
    assert [layer.transposed for layer in found] == [True, True, False, False, False]
    for layer in (*found, *dcgan.layers()):
        owner = dcgan if layer.name.startswith("main") else wrapped()
        assert layer.shape == owner.kernel(layer).shape
        assert owner.layer(layer.name) == owner.layer(str(layer.index)) == layer
    assert [layer.name for layer in dcgan.layers()] == ["main.0", "main.3", "main.6"]


def test_an_unknown_layer_is_answered_with_the_nearest(dcgan):
    with pytest.raises(NavbenchError, match=r"layer of generator small 'main\.8'; did you mean 'main\.\d'"):
        dcgan.layer("main.8")


def test_a_fingerprint_knows_every_weight_and_its_name(dcgan):
    def fresh(change):
        other = deepcopy(dcgan)
        other.__dict__.pop("fingerprint", None)
        change(other)
        return other.fingerprint

    seen = {dcgan.fingerprint}
    for name, value in dcgan.state_dict().items():
        if value.is_floating_point():
            seen.add(fresh(lambda other, name=name: other.state_dict()[name].view(-1)[-1].add_(1e-3)))
    floats = sum(value.is_floating_point() for value in dcgan.state_dict().values())
    assert len(seen) == 1 + floats
    assert fresh(lambda other: None) == dcgan.fingerprint
    assert fresh(lambda other: Compute(precision="bf16").place(other)) == dcgan.fingerprint


# --- latent spaces


def test_a_generator_has_one_latent_space_unless_it_says_more(generator):
    codes = generator.sample(range(3), seed=0)
    assert generator.latents == ("z",)
    assert generator.latent_shape("z") == (generator.latent_dim,)
    assert generator.map_to_w(codes) is codes
    assert torch.equal(generator.latent(codes, "z"), codes.z)
    for offset in (noise(0, generator.latent_dim), noise(0, 3, generator.latent_dim)):  # one for all, one per code
        assert torch.equal(generator.shift_latent(codes, "z", offset).z, codes.z + offset)


def test_a_latent_space_that_is_not_there_is_refused(generator):
    codes, offset = generator.sample([0], seed=0), torch.zeros(generator.latent_dim)
    for ask in (
        lambda: generator.latent_shape("w"),
        lambda: generator.latent(codes, "w"),
        lambda: generator.shift_latent(codes, "w", offset),
    ):
        with pytest.raises(NavbenchError, match=rf"^Unknown latent space of generator {generator.name} 'w'; "):
            ask()


def test_the_reader_of_a_dcgan_is_its_first_layer(dcgan):
    codes = dcgan.sample(range(3), seed=0)
    expected = dcgan.main[0](codes.z[:, :, None, None]).flatten(1)
    torch.testing.assert_close(codes.z @ dcgan.latent_weights("z").T, expected)


def test_a_generator_that_names_no_reader_says_how_to():
    with pytest.raises(NavbenchError, match=r"^Generator convolutions does not say .* read z, .* `latent_weights`\.$"):
        wrapped().latent_weights("z")


# --- faces ---------------------------------------------------------------------------------------------------


def test_faces_are_faces_64_pixels_wide_within_range(faces):
    assert (faces.latent_dim, faces.resolution) == (100, 64)
    assert [tuple(layer.shape) for layer in faces.layers()] == [
        (100, 512, 4, 4),
        (512, 256, 4, 4),
        (256, 128, 4, 4),
        (128, 64, 4, 4),
        (64, 3, 4, 4),
    ]
    images = faces(faces.sample(range(8), seed=0))
    assert float(images.abs().max()) <= 1
    mean = images.mean(0)
    # A mean face: skin is red before blue, and symmetric in the main.
    assert float(mean[0, 24:40, 24:40].mean()) > float(mean[2, 24:40, 24:40].mean()) + 0.1
    assert float((mean - mean.flip(2)).abs().mean()) < float(images.std(0).mean()) / 2


def test_a_shifted_kernel_of_faces_is_the_weight_file_with_that_kernel(faces):
    codes = faces.sample(range(2), seed=0)
    for layer in faces.layers():
        kernel = faces.kernel(layer) * 1.1
        shifted = faces.after(faces.before(codes, layer), layer, kernel)
        assert torch.equal(shifted, with_kernel(faces, layer, kernel)(codes))


# --- wrapped -------------------------------------------------------------------------------------------------


def test_a_wrapped_dcgan_does_what_the_dcgan_does_itself(dcgan):
    around = Wrapped(dcgan.main, (dcgan.latent_dim, 1, 1))
    codes = dcgan.sample(range(3), seed=0)
    assert torch.equal(around.sample(range(3), seed=0).z, codes.z)
    for own, theirs in zip(dcgan.layers(), around.layers(), strict=True):
        assert f"main.{theirs.name}" == own.name
        state, other = dcgan.before(codes, own), around.before(codes, theirs)
        assert torch.equal(state.input, other.input)
        kernel = dcgan.kernel(own) + 0.1 * noise(0, *own.shape)
        assert torch.equal(dcgan.after(state, own, kernel), around.after(other, theirs, kernel))
        moved = replace(state, input=state.input + 0.1), replace(other, input=other.input + 0.1)
        assert torch.equal(dcgan.after(moved[0], own), around.after(moved[1], theirs))


def test_a_convolution_that_runs_twice_or_never_is_no_layer():
    class Twice(Convolutions):
        def __init__(self):
            super().__init__()
            self.unused = nn.Conv2d(3, 3, 1)

        def forward(self, z):
            x = torch.tanh(self.reflect(self.reflect(self.first(z[:, :, None, None]))))
            return self.last(x)

    assert [layer.name for layer in Wrapped(Twice(), (6,)).layers()] == ["first", "last"]


def test_layers_come_in_the_order_in_which_they_run():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.late, self.early = nn.Conv2d(2, 3, 1), nn.ConvTranspose2d(4, 2, 5)

        def forward(self, z):
            return torch.tanh(self.late(self.early(z)))

    assert [layer.name for layer in Wrapped(Backwards(), (4, 1, 1)).layers()] == ["early", "late"]


def test_a_failed_pass_leaves_the_wrapped_module_working():
    generator = wrapped()
    codes, layer = generator.sample(range(2), seed=0), generator.layer("wide")
    images, state = generator(codes), generator.before(codes, layer)
    with pytest.raises(NavbenchError):
        generator.after(state, layer, torch.zeros(8, 7, 3, 3))
    with pytest.raises(RuntimeError):
        generator.before(Codes(codes.z[:, :5]), layer)
    assert torch.equal(generator(codes), images)


def test_a_module_that_makes_no_images_is_refused():
    with pytest.raises(NavbenchError, match=r"shape \(4, 5, 3, 3\)"):
        Wrapped(nn.ConvTranspose2d(2, 5, 3), (2, 1, 1))


class Scaled(nn.Module):
    """Images of tanh, scaled and moved; the kernel sets their height and width."""

    def __init__(self, scale=1.0, offset=0.0, kernel=(4, 4)):
        super().__init__()
        self.scale, self.offset, self.map = scale, offset, nn.ConvTranspose2d(2, 3, kernel)
        self.map.weight.data = noise(0, *self.map.weight.shape)

    def forward(self, z):
        return self.scale * torch.tanh(self.map(z)) + self.offset


@pytest.mark.parametrize("scale", [1.0, 1.4])
def test_images_about_minus_one_to_one_are_taken_without_a_word(scale):
    assert Wrapped(Scaled(scale), (2, 1, 1)).resolution == 4


@pytest.mark.parametrize(("scale", "offset"), [(127.5, 127.5), (2.0, 0.0), (1.0, -1.0)])
def test_images_on_another_scale_are_refused_with_their_range(scale, offset):
    with pytest.raises(NavbenchError, match=r"mine makes images in \[-?\d.*\]; scale its images to \[-1, 1\]"):
        Wrapped(Scaled(scale, offset), (2, 1, 1), "mine")


def test_images_from_zero_to_one_are_a_warning():
    with pytest.warns(NavbenchWarning, match=r"looks like \[0, 1\]"):
        Wrapped(Scaled(0.5, 0.5), (2, 1, 1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_that_are_no_numbers_are_left_to_the_measurements(value):
    assert Wrapped(Scaled(offset=value), (2, 1, 1)).resolution == 4


def test_images_need_not_be_square():
    assert Wrapped(Scaled(kernel=(4, 6)), (2, 1, 1)).size == (4, 6)


@pytest.mark.parametrize(("channels", "words"), [(1, "grey, repeated to RGB"), (4, "RGB and alpha, composed on white")])
def test_images_of_other_channels_become_rgb_aloud(channels, words):
    module = nn.Sequential(nn.ConvTranspose2d(2, channels, 4), nn.Tanh())
    with pytest.warns(NavbenchWarning, match=words):
        made = Wrapped(module, (2, 1, 1), "mine")
    codes = made.sample(range(5), seed=0)
    with torch.no_grad():
        own = module(codes.z.reshape(-1, 2, 1, 1))
        images = made(codes)
        layer = made.layers()[0]
        torch.testing.assert_close(made.after(made.before(codes, layer), layer), images)
    opacity = (own[:, 3:] + 1) / 2
    expected = own.repeat(1, 3, 1, 1) if channels == 1 else own[:, :3] * opacity + 1 - opacity
    torch.testing.assert_close(images, expected)
    assert made.details == {"images": words}


def test_images_of_two_channels_are_refused():
    with pytest.raises(NavbenchError, match=r"\(4, 2, 4, 4\); they must be \(N, 3, H, W\), or have 1 or 4 channels"):
        Wrapped(nn.Sequential(nn.ConvTranspose2d(2, 2, 4), nn.Tanh()), (2, 1, 1))


def test_a_module_without_convolutions_is_refused():
    module = nn.Sequential(nn.Linear(4, 48), nn.Unflatten(1, (3, 4, 4)))
    with pytest.raises(NavbenchError, match="no Conv2d or ConvTranspose2d"):
        Wrapped(module, (4,))


def test_a_spectrally_normalised_layer_is_refused_by_name():
    module = Convolutions()
    module.wide = nn.utils.parametrizations.spectral_norm(module.wide)
    with pytest.raises(NavbenchError, match="Layer wide computes its kernel"):
        Wrapped(module, (6,))
