"""Which images stand for all of them."""

import pytest
import torch

from navbench.metrics.typical import typical


def on_a_line(n):
    """Features along one axis, with a little of others; the brightness grows with the place."""
    place = torch.linspace(0, 1, n)
    features = torch.stack([place * 10, (place * 37).sin() * 0.1, (place * 51).cos() * 0.1], dim=1)
    return features, 0.5 + place


def test_three_of_ninety_on_a_line_are_in_the_middles_of_its_thirds():
    features, brightness = on_a_line(90)
    brightness = torch.where(torch.arange(90) < 9, -1.0, brightness)  # the darkest tenth is left out
    assert typical(features, brightness, 3).tolist() == pytest.approx([9 + 13, 9 + 40, 9 + 67], abs=1)


def test_the_darkest_are_never_shown():
    features, brightness = on_a_line(50)
    dark = torch.tensor([7, 19, 24, 31, 40])  # a tenth
    brightness[dark] = -2.0
    shown = typical(features, brightness, 45)
    assert sorted(shown.tolist()) == sorted(set(range(50)) - set(dark.tolist()))


def test_the_choice_does_not_depend_on_the_order_of_the_images():
    features, brightness = on_a_line(40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    assert order[typical(features[order], brightness[order], 4)].tolist() == typical(features, brightness, 4).tolist()


def test_as_many_as_there_are_may_be_shown():
    features, brightness = on_a_line(3)
    assert sorted(typical(features, brightness, 3).tolist()) == [0, 1, 2]
