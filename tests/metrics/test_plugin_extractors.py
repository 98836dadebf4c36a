"""Extractors that other packages add: a known answer, no FID, a key by what they compute, and answers refused."""

import math
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest
import torch
from torch import nn

from navbench import plugins
from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.metrics import extractors
from navbench.metrics.extractors import create_extractor
from navbench.metrics.frechet import FrechetReference, Moments

LEVEL = 191 / 127.5 - 1  # the grey level of 0.5, once it is rounded to 8 bits


class Colours(nn.Module):
    """The mean of each channel, times a weight and a constant of the code."""

    def __init__(self, weight=2.0, gain=1.0):
        super().__init__()
        self.weight, self.gain = nn.Parameter(torch.full((3,), weight, dtype=torch.float64)), gain

    def forward(self, images):
        return images.mean(dim=(2, 3)) * self.weight * self.gain


class OtherColours(Colours):
    pass


class Answer(nn.Module):
    """Whatever `answer` makes of the images."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        return self.answer(images)


@pytest.fixture
def colours(monkeypatch):
    """Makes an extractor of a network, as 'package.module:callable'."""

    def made(network, name="network"):
        module = ModuleType("their_package")
        setattr(module, name, lambda: network)
        monkeypatch.setitem(sys.modules, "their_package", module)
        return create_extractor(f"their_package:{name}", Compute())

    return made


def test_features_are_of_images_rounded_to_8_bits(colours):
    made = colours(Colours())
    features = made(torch.tensor([0.5, 9.0, -1.0])[None, :, None, None].expand(4, 3, 8, 8))
    torch.testing.assert_close(features, torch.tensor([[2 * LEVEL, 2.0, -2.0]]).expand(4, 3))
    assert (made.name, made.metric, made.dimensions) == ("their_package:network", "FD", 3)
    assert features.dtype == torch.float32


def test_the_distance_of_shifted_colours_is_the_square_of_the_shift(colours):
    made = colours(Colours(weight=1.0))
    images = torch.randint(50, 100, (64, 3, 4, 4), generator=torch.Generator().manual_seed(0)) / 127.5 - 1
    shifted = images + 30 / 127.5  # 30 grey levels in each of 3 channels; covariances are equal
    distance = FrechetReference.from_moments(Moments.of(made(images))).distance(Moments.of(made(shifted)))
    assert distance == pytest.approx(3 * (30 / 127.5) ** 2, rel=1e-4)


def test_the_key_follows_from_the_name_the_weights_and_what_is_computed(colours):
    def key(*arguments, **values):
        return str(colours(*arguments, **values).cache_key)

    assert key(Colours()) == key(Colours())
    others = {key(Colours(weight=3.0)), key(Colours(gain=3.0)), key(OtherColours()), key(Colours(), name="other")}
    assert len(others | {key(Colours())}) == 5


def test_the_key_changes_with_the_size_of_features_whose_mean_stays(colours):
    def balanced(gain):
        return colours(Answer(lambda images: gain * images.mean(dim=(2, 3)) @ torch.tensor([[1.0, -1.0]] * 3)))

    assert str(balanced(1.0).cache_key) != str(balanced(2.0).cache_key)


def test_an_entry_point_is_an_extractor_and_never_takes_the_place_of_the_fid(monkeypatch):
    names = ("colours", "inception-v3-compat")
    points = {name: EntryPoint(name, f"{__name__}:Colours", extractors.GROUP) for name in names}
    monkeypatch.setattr(plugins, "known", lambda group: points if group == "navbench.extractors" else {})
    assert create_extractor("colours", Compute()).metric == "FD"
    monkeypatch.setattr(extractors, "_registered", lambda name, *_: f"of torch-fidelity: {name}")
    assert create_extractor("inception-v3-compat", Compute()) == "of torch-fidelity: inception-v3-compat"
    with pytest.raises(NavbenchError, match="did you mean 'colours'"):
        create_extractor("colour", Compute())
    with pytest.raises(NavbenchError, match=r"'colours' brings its own weights; leave out extractor_weights \('a.pt'"):
        create_extractor("colours", Compute(), "a.pt")


def later(first, then):
    """Answers that change once the extractor has been tried."""
    answers = iter([first])
    return lambda images: next(answers, then)(images)


def means(images):
    return images.mean(dim=(2, 3))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda images: images, r"gave \(2, 3, 64, 64\) for 2 images; it must give \(2, D\)\.$"),
        (lambda images: means(images)[:1], r"gave \(1, 3\) for 2 images; it must give \(2, D\)\.$"),
        (lambda images: means(images)[:, :0], r"gave \(2, 0\) for 2 images; it must give \(2, D\)\.$"),
        (lambda images: [means(images)], r"gave list for 2 images; it must give \(2, D\)\.$"),
        (later(means, lambda images: means(images)[:, :2]), r"gave \(5, 2\) for 5 images; it must give \(5, 3\)\.$"),
        (
            lambda images: images[:, :, 99],
            r"\(Answer\) failed when it was given images \(2, 3, 64, 64\) of float32 on cpu: IndexError: index 99 is "
            r"out.*; it must take images of any size",
        ),
    ],
)
def test_what_are_no_features_is_refused_in_a_sentence(colours, answer, sentence):
    with pytest.raises(NavbenchError, match=r"^Extractor 'their_package:network' " + sentence):
        colours(Answer(answer))(torch.zeros(5, 3, 8, 8))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("first", [means, None])
def test_features_that_are_no_numbers_are_refused(colours, first, value):
    def broken(images):
        return means(images).where(torch.arange(3) < 2, value)

    with pytest.raises(Failure, match=r"^Extractor 'their_package:network' gave NaN or infinity; check its weights"):
        colours(Answer(later(first or broken, broken)))(torch.zeros(5, 3, 8, 8))


def test_what_is_no_module_is_refused(colours):
    with pytest.raises(NavbenchError, match=r"^Extractor 'their_package:network' is a dict; it must be an nn.Module"):
        colours({})
