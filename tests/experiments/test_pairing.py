"""Which direction is closest to another, where that is known: a latent shift of a linear map is a constant one."""

import pytest
import torch
from analytic import LinearGenerator, direction, noise, unit

from navbench.compute import Compute
from navbench.experiments import pairing as experiment
from navbench.experiments.edit import Edit
from navbench.experiments.pairing import Pairing


def pairing(references, candidates, codes, batch=32):
    """The comparison of directions of one linear generator."""
    compute, made = Compute(batch=batch), LinearGenerator(side=6)
    edits = [[Edit(made, one, compute) for one in group] for group in (references, candidates)]
    return experiment.pairing(*edits, codes, 0)


@pytest.fixture(scope="module")
def generator():
    return LinearGenerator(side=6)


def axis(generator, number, sign=1.0):
    """A shift of one coordinate of z, either way."""
    return direction(generator, sign * torch.eye(generator.latent_dim)[number], space="z")


def twin(generator, number):
    """The shift of the kernel that adds the same image as that coordinate does."""
    image = generator.map.weight[number]
    return direction(generator, generator.row(generator.latent_dim, image), layer="map")


def test_a_latent_shift_is_found_for_the_kernel_shift_that_does_the_same(generator):
    found = pairing([twin(generator, 1)], [axis(generator, number) for number in range(3)], 8)
    assert found.closest(0, [0, 1, 2]) == (1, 1, pytest.approx(1.0))
    assert found.measured(0, 1, 1).value == pytest.approx(1.0)
    assert found.measured(0, 1, 1).n == 4


def test_the_end_that_does_the_same_is_told(generator):
    found = pairing([twin(generator, 1)], [axis(generator, 1, sign=-1.0)], 8)
    assert found.closest(0, [0]) == (0, 0, pytest.approx(1.0))
    assert found.measured(0, 0, 0).value == pytest.approx(1.0)
    assert found.measured(0, 0, 1).value == pytest.approx(-1.0)


def test_the_cosine_of_two_latent_axes_is_that_of_their_images(generator):
    found = pairing([twin(generator, 0)], [axis(generator, 2)], 6)
    one, other = (unit(generator.map.weight[number].flatten()) for number in (0, 2))
    assert found.cosine(0, 0, 1).value == pytest.approx(float(one @ other), abs=1e-6)


def test_only_those_that_are_asked_for_are_chosen_among(generator):
    found = pairing([twin(generator, 1)], [axis(generator, number) for number in range(3)], 8)
    assert found.closest(0, [0, 2])[0] in (0, 2)


def of_products(products):
    """A pairing whose changes all have the norm 1."""
    codes, references, candidates, _ = products.shape
    return Pairing(products.double(), torch.ones(codes, references).double(), torch.ones(codes, candidates, 2).double())


def test_one_half_of_the_codes_chooses_and_the_other_measures():
    products = torch.zeros(7, 1, 2, 2)  # of codes, a reference, candidates and their ends
    products[:3, 0, 0, 1] = 0.3  # most alike on the first three codes
    products[:3, 0, 1, 0] = 0.2
    products[3:, 0, 0, 1] = 0.1
    products[3:, 0, 1, 0] = 0.9  # and on all codes
    found = of_products(products)
    assert found.closest(0, [0, 1]) == (0, 1, pytest.approx(0.3))
    assert found.closest(0, [1]) == (1, 0, pytest.approx(0.2))
    measured = found.measured(0, 0, 1)
    assert (measured.value, measured.n) == (pytest.approx(0.1), 4)


def test_candidates_like_none_are_alike_by_choice_and_not_when_measured():
    found = of_products(noise(1, 20, 200, 10, 2))  # cosines on ten codes are normal, with a spread of 0.32
    chosen = [found.closest(reference, range(10)) for reference in range(200)]
    measured = [found.measured(reference, *which).value for reference, (*which, _) in enumerate(chosen)]
    assert sum(cosine for *_, cosine in chosen) / 200 == pytest.approx(0.59, abs=0.04)  # the largest of 20 in the mean
    assert sum(measured) / 200 == pytest.approx(0.0, abs=0.07)  # chance, give or take three standard errors


def test_a_change_that_depends_on_the_code_has_an_uncertainty(generator):
    moving = direction(generator, generator.row(0, noise(4, 3, 6, 6)), layer="map")  # z_0 times an image
    found = pairing([twin(generator, 0)], [moving], 40)
    cosine = found.cosine(0, 0, 1)
    assert 0 < cosine.stderr < 0.3
    assert abs(cosine.value) < 4 * cosine.stderr + 0.05  # z_0 is of either sign


def test_batches_change_nothing(generator):
    one = direction(generator, noise(1, *generator.layer("map").shape), layer="map")
    made = [pairing([one], [axis(generator, 0), twin(generator, 1)], 7, batch) for batch in (2, 64)]
    for name in ("products", "references", "candidates"):
        assert torch.allclose(getattr(made[0], name), getattr(made[1], name), rtol=1e-5), name
