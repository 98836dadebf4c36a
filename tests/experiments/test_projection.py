"""Projection where the answer is known: images that the generator can make."""

import pytest
import torch
from analytic import LinearGenerator, Quadratic, noise, styled
from torch import nn

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments import projection
from navbench.experiments.projection import Projector, codes_of, spaces_of, with_activations
from navbench.experiments.strips import to_bytes
from navbench.generators.base import Layer, State, convolve


def quiet(generator, steps=400, batch=32, distance=None):
    return Projector(generator, distance or Quadratic(), Compute(batch=batch), steps, 0)


class Deep(LinearGenerator):
    """A linear map to a tensor of three channels, and a convolution by the identity: any image has an activation."""

    def __init__(self):
        super().__init__(side=6)
        self.map.weight.data *= 0.15
        self.out = nn.Conv2d(3, 3, 1, bias=False)
        self.out.weight.data = torch.eye(3)[:, :, None, None]
        self.requires_grad_(False)

    def forward(self, codes):
        return self.out(super().forward(codes))

    def layers(self):
        return (Layer("out", 0, self.out.weight.shape, transposed=False),)

    def before(self, codes, layer):
        return State(super().forward(codes))

    def after(self, state, layer, weight=None):
        return convolve(self.out, state.input, weight)


@pytest.fixture(scope="module")
def linear():
    made = LinearGenerator(side=6)
    made.map.weight.data *= 0.15  # images within [-1, 1]
    return made


@pytest.fixture(scope="module")
def generator():
    made = styled(strength=0.05)
    made.w_avg.zero_()
    return made


def test_an_image_of_a_linear_generator_is_found_exactly(linear):
    codes = linear.sample(range(3), seed=99)
    found = quiet(linear).project(linear(codes), "z")
    latents = torch.stack([each.latent for each in found])
    assert torch.allclose(latents, codes.z, atol=1e-2)
    assert all(float(each.errors[1]) < 1e-5 for each in found)
    assert all(each.psnr > 50 for each in found)


def test_the_projection_is_the_image_of_its_codes(generator):
    photos = 0.5 * noise(3, 2, 3, 8, 8).tanh()
    found = quiet(generator, steps=30).project(photos, "w+")
    with torch.no_grad():
        images = generator(codes_of(generator, found, "w+"))
    assert torch.equal(to_bytes(images), torch.stack([each.image for each in found]))
    assert torch.equal(to_bytes(photos), torch.stack([each.photo for each in found]))


@pytest.mark.parametrize("kind", ["w", "w+", "z"])
def test_images_come_nearer_in_every_space(generator, kind):
    with torch.no_grad():
        photos = generator(generator.sample(range(2), seed=99))
    for each in quiet(generator, steps=150).project(photos, kind):
        assert each.latent.shape == generator.latent_shape(kind)
        assert float(each.distances[1]) < 0.5 * float(each.distances[0])


def test_noise_maps_stay_noise(generator):
    photos = 0.5 * noise(3, 1, 3, 8, 8).tanh()
    (found,) = quiet(generator, steps=60).project(photos, "w+")
    sides = generator.noise_inputs()
    for flat in found.maps.split([side * side for side in sides]):
        assert float(flat.mean()) == pytest.approx(0.0, abs=1e-5)
        assert float(flat.square().mean()) == pytest.approx(1.0, abs=1e-4)


def test_each_photo_is_projected_on_its_own(generator):
    photos = 0.5 * noise(3, 3, 3, 8, 8).tanh()
    together, alone = (quiet(generator, steps=20, batch=batch).project(photos, "w+") for batch in (3, 1))
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one.latent, other.latent, atol=2e-3)
        assert float(one.distances[1]) == pytest.approx(float(other.distances[1]), rel=1e-2)


def test_activations_make_up_for_what_no_code_can_do(linear):
    wrapped = Deep()
    photos = 0.4 * noise(7, 2, 3, 6, 6).tanh()
    projector = quiet(wrapped, steps=300)
    inner = projector.project(photos, "z")
    layer = wrapped.layer("out")
    outer = projector.into_activations(inner, layer)
    for before, after in zip(inner, outer, strict=True):
        assert float(after.errors[1]) < 1e-4 < float(before.errors[1])
        assert torch.equal(after.distances[:1], before.distances[:1])
        assert float(after.seconds) > float(before.seconds)
    state = with_activations(wrapped.before(codes_of(wrapped, outer, "z"), layer), outer)
    assert torch.allclose(wrapped.after(state, layer), photos, atol=0.02)


def test_regularisation_is_zero_for_uncorrelated_maps_and_large_for_a_constant_one():
    ones = torch.ones(1, 1, 16, 16)
    assert float(projection._correlation(ones)) == pytest.approx(4.0)  # two axes at 16 and at 8 pixels
    checkers = (torch.arange(16)[:, None] + torch.arange(16)).remainder(2).mul(2).sub(1).float()[None, None]
    assert float(projection._correlation(checkers)) == pytest.approx(2.0)  # neighbours are opposite; means are zero


def test_where_photos_go_depends_on_the_generator(generator, linear):
    assert spaces_of(generator, ()) == ("w+",)
    assert spaces_of(linear, ()) == ("z", "z+activation")
    assert spaces_of(generator, ("w",)) == ("w",)
    with pytest.raises(NavbenchError, match=r"latent space of generator linear 'w\+'"):
        spaces_of(linear, ("w+",))


def test_photos_of_another_size_are_refused(linear):
    with pytest.raises(NavbenchError, match=r"\(3, 5, 5\)"):
        quiet(linear).project(torch.zeros(1, 3, 5, 5), "z")
