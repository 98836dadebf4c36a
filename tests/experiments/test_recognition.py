"""Recognition of directions that are plainly different, and of ones that are the same."""

import pytest
import torch
from analytic import LinearGenerator, edit
from torch import nn

from navbench.errors import NavbenchError
from navbench.experiments import recognition
from navbench.experiments.recognition import Recogniser, Recognition

SIDE = 10


class Small(nn.Module):
    """A reconstructor that is linear in an image and in its squared change; it remembers what it was shown."""

    def __init__(self, directions, trunk="small"):
        super().__init__()
        self.name = nn.Linear(6 * SIDE**2, directions)
        nn.init.zeros_(self.name.weight)
        self.learned, self.tested = [], []

    def forward(self, original, shifted):
        (self.learned if self.training else self.tested).append((original, shifted - original))
        return self.name(torch.cat([original, (shifted - original).square()], dim=1).flatten(1)), None


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(recognition, "Reconstructor", Small)


@pytest.fixture(scope="module")
def generator():
    made = LinearGenerator(side=SIDE)
    made.map.weight.data *= 0.05
    return made


def colour(generator, channel, ends=(-2.0, 2.0)):
    """The edit that adds to one colour, made of unit norm."""
    image = torch.zeros(3, SIDE, SIDE)
    image[channel] = 1.0 / SIDE
    return edit(generator, generator.row(generator.latent_dim, image), layer="map", ends=ends)


@pytest.mark.usefixtures("small")
def test_directions_of_different_colours_are_told_apart(generator):
    edits = [colour(generator, channel) for channel in range(3)]
    found = Recogniser(edits, 0, 1e-1).run(steps=60, batch=16, pairs=100)
    assert found.accuracy.value > 0.95
    assert torch.allclose(found.confusion(3).sum(1), torch.ones(3).double())
    assert float(found.confusion(3).diagonal().min()) > 0.9
    assert found.accuracy.n == 100


@pytest.mark.usefixtures("small")
def test_one_direction_under_two_numbers_is_confused_with_itself(generator):
    edits = [colour(generator, 0), colour(generator, 0), colour(generator, 2)]
    found = Recogniser(edits, 0, 1e-1).run(steps=60, batch=16, pairs=600)
    confusion = found.confusion(3)
    assert float(confusion[:2, 2].max()) < 0.1
    assert float(confusion[0, 0] + confusion[1, 1]) == pytest.approx(1.0, abs=0.2)  # chance between the two
    assert float(confusion[2, 2]) > 0.9


@pytest.mark.usefixtures("small")
def test_what_cannot_be_told_apart_is_named_by_chance_however_well_its_pairs_were_learned():
    wide = LinearGenerator(latent_dim=128, side=SIDE)  # more dimensions than pairs, so these are learned by heart
    edits = [colour(wide, 0), colour(wide, 0)]
    found = [Recogniser(edits, seed, 1e-3).run(steps=1, batch=64, pairs=64) for seed in range(8)]
    right = sum(each.accuracy.value for each in found) / len(found)
    assert right == pytest.approx(0.5, abs=0.07)  # three standard errors


@pytest.mark.usefixtures("small")
def test_it_is_tested_on_other_codes_than_it_learned_from(generator):
    recogniser = Recogniser([colour(generator, channel) for channel in range(2)], 0, 1e-3)
    recogniser.run(steps=3, batch=8, pairs=20)
    learned, tested = (
        [torch.cat(both).flatten(1) for both in zip(*pairs, strict=True)]
        for pairs in (recogniser.network.learned, recogniser.network.tested)
    )
    assert (len(learned[0]), len(tested[0])) == (24, 24)
    assert len(torch.cat([learned[0], tested[0]]).unique(dim=0)) == 48  # all are of codes of their own
    assert not torch.allclose(learned[1], tested[1], atol=1e-3)  # nor are these the same changes in the same order


@pytest.mark.usefixtures("small")
def test_a_shift_is_a_share_of_its_direction_s_own_range_at_least_a_quarter(generator):
    ends = [(-4.0, 1.0), (-2.0, 12.0)]
    recogniser = Recogniser([colour(generator, number, ends[number]) for number in range(2)], 0, 1e-3)
    found = recogniser.run(steps=1, batch=200, pairs=200)
    ((_, changes),) = recogniser.network.tested
    shifts = changes.sum(dim=(2, 3)) / SIDE  # (200, 3), in units of t
    for number, (low, high) in enumerate(ends):
        own = shifts[found.shown == number]
        assert torch.allclose(own[:, 1 - number], torch.zeros(len(own)), atol=1e-4)
        negative, positive = own[own[:, number] < 0, number], own[own[:, number] > 0, number]
        for shares in (negative / low, positive / high):
            assert 0.249 < float(shares.min()) < 0.35
            assert 0.9 < float(shares.max()) < 1.001
            assert 30 < len(shares) < 70  # of 50 expected


def test_accuracies_and_confusions_count_what_was_named():
    found = Recognition(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 0, 1]))
    assert found.accuracy.value == 0.75
    assert found.accuracy_of(0).value == pytest.approx(2 / 3)
    assert torch.allclose(found.confusion(2), torch.tensor([[2 / 3, 1 / 3], [0, 1]]).double())


def test_the_same_seed_gives_the_same_network_and_the_same_numbers(generator):
    edits = [colour(generator, channel) for channel in range(2)]
    one = Recogniser(edits, 3, 1e-3)
    torch.rand(1)  # which must not matter
    other = Recogniser(edits, 3, 1e-3)
    results = [each.run(steps=1, batch=4, pairs=8) for each in (one, other)]
    assert torch.equal(results[0].named, results[1].named)
    assert torch.equal(results[0].shown, results[1].shown)
    for (name, first), second in zip(one.network.named_parameters(), other.network.parameters(), strict=True):
        assert torch.equal(first, second), name


def test_a_single_direction_has_nothing_to_be_told_from(generator):
    with pytest.raises(NavbenchError, match="among others"):
        Recogniser([colour(generator, 0)], 0, 1e-3)
