"""Scales of a change, and geometry against colour, where both are known."""

import math

import pytest
import torch
from analytic import noise
from hypothesis import given
from hypothesis import strategies as st

from navbench.metrics.change import geometry_and_colour, recoloured, scale_energies


def wave(cycles, side=64, down=False):
    """One image of a grey cosine with that many cycles along one side."""
    line = torch.cos(2 * math.pi * cycles * torch.arange(side) / side)
    plane = line[:, None].expand(side, side) if down else line[None].expand(side, side)
    return plane.expand(1, 3, side, side)


@pytest.mark.parametrize(("cycles", "scale"), [(0, 0), (1, 0), (4, 0), (5, 1), (16, 1), (17, 2), (32, 2)])
@pytest.mark.parametrize("down", [False, True])
def test_a_wave_is_of_the_scale_of_its_length(cycles, scale, down):
    before = noise(0, 1, 3, 64, 64)
    energies = scale_energies(before, before + 0.1 * wave(cycles, down=down))
    assert int(energies.argmax()) == scale
    assert float(energies[0, scale] / energies.sum()) == pytest.approx(1.0, abs=1e-6)


def test_the_resolution_changes_no_scale():
    shares = []
    for side in (64, 128, 256):
        energies = scale_energies(torch.zeros(1, 3, side, side), wave(3, side) + 2 * wave(10, side))
        shares.append(energies / energies.sum())
    assert torch.allclose(shares[0], torch.tensor([[0.2, 0.8, 0.0]]).double(), atol=1e-9)
    assert torch.allclose(shares[1], shares[0])
    assert torch.allclose(shares[2], shares[0])


@given(seed=st.integers(0, 99), height=st.integers(4, 19), width=st.integers(4, 19))
def test_the_energies_sum_to_the_change_of_the_pixels(seed, height, width):
    before, after = noise(seed, 2, 3, height, width), noise(seed + 100, 2, 3, height, width)
    change = (after - before).double().square().sum(dim=(1, 2, 3))
    assert torch.allclose(scale_energies(before, after).sum(1), change)


@given(seed=st.integers(0, 99), down=st.integers(-5, 5), across=st.integers(-5, 5))
def test_a_translation_is_all_geometry(seed, down, across):
    before = noise(seed, 2, 3, 9, 12)
    survived, removed = geometry_and_colour(before, before.roll((down, across), dims=(2, 3))).unbind(1)
    change = (before.roll((down, across), dims=(2, 3)) - before).double().square().sum(dim=(1, 2, 3))
    assert torch.equal(removed, torch.zeros(2).double())
    assert torch.allclose(survived, change)


@given(seed=st.integers(0, 99), gain=st.floats(0.2, 3), offset=st.floats(-0.5, 0.5))
def test_a_recolouring_is_all_colour(seed, gain, offset):
    before = noise(seed, 2, 3, 8, 8)
    after = gain * torch.tanh(before) + offset * torch.tensor([1.0, -1.0, 2.0]).view(1, 3, 1, 1)
    survived, removed = geometry_and_colour(before, after).unbind(1)
    assert torch.equal(survived, torch.zeros(2).double())
    assert torch.allclose(removed, (after - before).double().square().sum(dim=(1, 2, 3)))


def test_matching_gives_the_very_values_of_the_other_image():
    images, like = noise(0, 3, 3, 7, 5), noise(1, 3, 3, 7, 5)
    matched = recoloured(images, like)
    assert torch.equal(matched.flatten(2).sort(dim=2).values, like.flatten(2).sort(dim=2).values)
    assert torch.equal(matched.flatten(2).argsort(dim=2), images.flatten(2).argsort(dim=2))
