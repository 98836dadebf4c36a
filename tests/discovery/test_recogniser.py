import pytest
import torch
from analytic import LinearGenerator, noise, unit

from navbench import spaces
from navbench.basis import DenseBasis
from navbench.compute import Compute
from navbench.discovery.recogniser import name_edits

SIDE = 16
GENERATOR = LinearGenerator(latent_dim=3, side=SIDE)
SPACE = spaces.create(GENERATOR, "parameter", "map")
ENDS = -torch.ones(2), torch.ones(2)


def named(images, coefficients=None, ends=ENDS, compute=None, channel=3, codes=16):
    """The shares of rightly named edits of offsets that add images, as they are or times z of a channel."""
    basis = DenseBasis(torch.stack([GENERATOR.row(channel, unit(image)) for image in images]))
    rows = torch.eye(len(images)) if coefficients is None else coefficients
    return name_edits(SPACE, basis, rows, *ends, codes, compute or Compute(), 0).shares


def halves():
    upper = torch.zeros(3, SIDE, SIDE)
    upper[:, : SIDE // 2] = 1
    return [upper, 1 - upper]


def test_edits_of_different_places_are_all_named_rightly():
    shares = named(halves())
    assert shares.shape == (16,)
    assert shares.tolist() == 16 * [1]


def test_edits_of_different_colours_are_all_named_rightly():
    red, blue = torch.zeros(2, 3, SIDE, SIDE)
    red[0], blue[2] = 1, 1
    assert float(named([red, blue]).mean()) == 1


def test_equal_edits_are_named_by_chance():
    upper, _ = halves()
    shares = named([upper, upper], channel=0, codes=200)  # the edit is the same, and its size varies with the code
    assert float(shares.mean()) == 0.5


def test_edits_that_add_and_take_by_chance_of_the_code_are_told_by_their_place_alone():
    assert 0.6 < float(named(halves(), channel=0, codes=100).mean()) <= 1


def test_an_edit_is_named_rightly_by_either_end_of_its_direction():
    both = torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0])  # both ends the same: each is taken for either
    assert float(named(halves(), ends=both).mean()) == 1


def test_what_pooling_cannot_see_is_named_by_chance():
    checks = torch.ones(3, SIDE, SIDE)
    checks[:, ::2, 1::2], checks[:, 1::2, ::2] = -1, -1
    shifted = checks.roll(1, dims=2)
    shares = named([checks, shifted], channel=0, codes=100)
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.15)


def test_batches_change_nothing():
    rows = unit(noise(3, 2, 2))
    shares = [named(halves(), rows, channel=0, compute=Compute(batch=batch)) for batch in (3, 64)]
    assert torch.equal(*shares)
