"""Projection where the answer is known: images that the generator can make."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from analytic import LinearGenerator, Quadratic, noise, styled
from torch import nn

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments import projection
from navbench.experiments.projection import Projector, codes_of, spaces_of, with_activations
from navbench.experiments.strips import to_bytes, to_float
from navbench.generators.base import Codes, Layer, State, convolve


def quiet(generator, steps=400, batch=100, distance=None):
    """A projector; the codes among which z begins, 256, take it several batches."""
    return Projector(generator, distance or Quadratic(), Compute(batch=batch), steps, 0)


def blind(generator):
    """A distance to which all images are alike."""
    return Quadratic(torch.zeros(1, 3 * generator.resolution**2))


def scaled(scale, **options):
    """A linear generator whose images are smaller, so that they lie within [-1, 1]."""
    made = LinearGenerator(**({"side": 6} | options))
    made.map.weight.data *= scale
    return made


def on_sphere(codes):
    """Codes with the norm that codes have in the mean, where projections lie."""
    return Codes(nn.functional.normalize(codes.z) * codes.z.shape[1] ** 0.5)


def latents(found):
    return torch.stack([each.latent for each in found])


def maps_of(generator, found):
    """The noise maps of projections, (N, 1, h, w) of each layer."""
    sizes = generator.noise_inputs()
    flat = torch.stack([each.maps for each in found]).split([math.prod(size) for size in sizes], dim=1)
    return [each.unflatten(1, (1, *size)) for each, size in zip(flat, sizes, strict=True)]


class Watched(LinearGenerator):
    """Images that are the same for all codes; remembers the codes that it was shown during a search."""

    def __init__(self):
        super().__init__(latent_dim=400, side=2)
        self.map.weight.data[:-1] = 0.0
        self.shown = []

    def forward(self, codes):
        if torch.is_grad_enabled():
            self.shown.append(codes.z.detach().clone())
        return super().forward(codes)


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
    return scaled(0.15)


@pytest.fixture(scope="module")
def generator():
    made = styled(strength=0.05)
    made.w_avg.zero_()
    return made


@pytest.mark.parametrize("seen", [True, False], ids=["by its distance", "by its pixels alone"])
def test_an_image_of_a_linear_generator_is_found_exactly(seen):
    wide = scaled(0.08, latent_dim=12)
    codes = on_sphere(wide.sample(range(3), seed=99))
    distance = Quadratic() if seen else blind(wide)
    found = quiet(wide, steps=200, distance=distance).project(wide(codes), "z")
    assert torch.allclose(latents(found), codes.z, atol=2e-2)
    assert all(float(each.errors[1]) < 1e-5 for each in found)
    assert all(each.psnr > 50 for each in found)


def test_a_projection_into_z_has_the_norm_of_codes():
    wide = scaled(0.08, latent_dim=12)
    photos = torch.stack([torch.zeros(3, 6, 6), torch.ones(3, 6, 6)])  # by least squares alone they are at 0.9 and 7.8
    norms = latents(quiet(wide, steps=30).project(photos, "z")).norm(dim=1)
    assert norms.tolist() == pytest.approx([12**0.5] * 2, rel=0.01)


def test_the_search_in_z_begins_at_the_nearest_of_some_codes():
    line = scaled(0.15, latent_dim=1)  # whose sphere is two points, between which no search can cross
    where = torch.tensor([-1.8, -1.2, -1.0, -0.5, 0.4, 0.9, 1.1, 1.7])
    found = quiet(line, steps=5).project(line(Codes(where[:, None])), "z")
    assert latents(found)[:, 0].tolist() == pytest.approx(where.sign().tolist(), abs=0.03)


def test_noise_on_the_latent_fades_to_none_in_three_quarters_of_the_steps():
    watched, steps = Watched(), 16
    (found,) = quiet(watched, steps).project(torch.zeros(1, 3, 2, 2), "z")
    sizes = [float((shown - found.latent).square().mean().sqrt()) for shown in watched.shown[1:]]  # 0 is off the sphere
    wanted = [20 * 0.05 * max(0.0, 1 - step / 12) ** 2 for step in range(1, steps)]  # 20 is the root of 400 dimensions
    assert sizes == pytest.approx(wanted, rel=0.15, abs=1e-5)


def test_the_learning_rate_rises_and_falls(linear):
    where, at = torch.zeros(1, requires_grad=True), [0.0]
    quiet(linear, steps=40)._minimise([where], lambda _: -where.sum(), lambda: at.append(float(where.detach())))
    steps = [after - before for before, after in pairwise(at)]  # Adam's are the rate, if the gradient is constant
    half = 0.05
    assert steps[:3] == pytest.approx([0.0, half, 0.1], rel=1e-3)
    assert steps[3:30] == pytest.approx([0.1] * 27, rel=1e-3)
    assert steps[35] == pytest.approx(half, rel=1e-3)
    assert steps[39] == pytest.approx(0.05 * (1 - math.cos(0.1 * math.pi)), rel=1e-3)


def test_the_projection_is_the_image_of_its_codes(generator):
    photos = 0.5 * noise(3, 2, 3, 8, 8).tanh()
    found = quiet(generator, steps=10).project(photos, "w+")
    with torch.no_grad():
        images = generator(codes_of(generator, found, "w+"))
    assert torch.equal(to_bytes(images), torch.stack([each.image for each in found]))
    assert torch.equal(to_bytes(photos), torch.stack([each.photo for each in found]))


@pytest.mark.parametrize(("kind", "left"), [("w", 0.2), ("w+", 0.3), ("z", 0.6)])
def test_images_come_nearer_in_every_space(generator, kind, left):
    with torch.no_grad():
        photos = generator(generator.sample(range(2), seed=99))
    for each in quiet(generator, steps=60).project(photos, kind):
        assert each.latent.shape == generator.latent_shape(kind)
        assert float(each.distances[1]) < left * float(each.distances[0])


@pytest.mark.parametrize("kind", ["w", "w+"])
def test_in_w_nothing_counts_but_the_distance(generator, kind):
    photos = 0.5 * noise(3, 2, 3, 8, 8).tanh()
    found = quiet(generator, steps=5, distance=blind(generator)).project(photos, kind)
    codes = generator.sample(range(4000), seed=7)
    mean = generator.latent(codes, kind).mean(0)
    assert torch.equal(found[0].latent, found[1].latent)
    assert torch.allclose(found[0].latent, mean, atol=0.1)  # where it began


def test_noise_maps_stay_noise_for_a_photo_that_they_could_carry():
    noisy = styled(strength=0.5)
    photo = torch.linspace(-0.8, 0.8, 8).expand(1, 3, 8, 8)
    found = quiet(noisy, steps=40).project(photo, "w+")
    for maps in maps_of(noisy, found):
        assert float(maps.mean()) == pytest.approx(0.0, abs=1e-5)
        assert float(maps.square().mean()) == pytest.approx(1.0, abs=1e-4)
        assert float(projection._correlation(maps)) < 0.01  # a drawn one has up to 0.07, one that is a ramp 1


@pytest.mark.parametrize("space", ["w+", "z", "z+activation"])
def test_each_photo_is_projected_on_its_own(generator, space):
    made = generator if space == "w+" else Deep()
    photos = torch.tensor([0.1, 0.5, 0.9])[:, None, None, None] * noise(3, 3, 3, *made.size).tanh()
    projector = quiet(made, steps=20)

    def project(some):
        found = projector.project(some, space.removesuffix("+activation"))
        return projector.into_activations(found, made.layer("out")) if space == "z+activation" else found

    together, alone = project(photos), [project(photo[None])[0] for photo in photos]
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one.latent, other.latent, atol=2e-3)
        assert torch.allclose(one.activation, other.activation, atol=2e-3)
        assert float(one.distances[1]) == pytest.approx(float(other.distances[1]), rel=1e-2)


def test_activations_make_up_for_what_no_code_can_do():
    deep = Deep()
    photos = 0.4 * noise(7, 2, 3, 6, 6).tanh()
    projector = quiet(deep, steps=150)
    inner = projector.project(photos, "z")
    layer = deep.layer("out")
    outer = projector.into_activations(inner, layer)
    for before, after in zip(inner, outer, strict=True):
        assert float(after.errors[1]) < 1e-4 < float(before.errors[1])
        assert torch.equal(after.distances[:1], before.distances[:1])
        assert float(after.seconds) > float(before.seconds)
    state = with_activations(deep.before(codes_of(deep, outer, "z"), layer), outer)
    assert torch.allclose(deep.after(state, layer), photos, atol=0.02)


def test_an_activation_changes_by_what_the_pixels_lack_less_its_restraint():
    """Of (x + s m - y)^2 + 0.01 m^2 the least is at s m = (y - x) s^2 / (s^2 + 0.01), s being each photo's scale."""
    deep = Deep()
    layer, projector = deep.layer("out"), quiet(deep, steps=150, distance=blind(deep))
    found = projector.project(0.8 * noise(7, 3, 3, 6, 6).tanh(), "z")
    inner = [replace(each, latent=size * each.latent) for size, each in zip((0.1, 1.0, 3.0), found, strict=True)]
    outer = projector.into_activations(inner, layer)
    inputs = deep.before(codes_of(deep, inner, "z"), layer).input
    lacking = to_float(torch.stack([each.photo for each in inner])) - inputs
    power = inputs.square().mean(dim=(1, 2, 3), keepdim=True)
    activations = torch.stack([each.activation for each in outer])
    assert float(power.max()) > 10 * float(power.min())
    assert torch.allclose(activations, lacking * power / (power + 0.01), atol=5e-3)


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
