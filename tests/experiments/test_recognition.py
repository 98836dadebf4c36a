"""Recognition of directions that are plainly different, and of ones that are the same."""

import pytest
import torch
from analytic import LinearGenerator, edit

from navbench.errors import NavbenchError
from navbench.experiments.recognition import Recogniser, Recognition


@pytest.fixture(scope="module")
def generator():
    made = LinearGenerator(side=8)
    made.map.weight.data *= 0.05
    return made


def colour(generator, channel):
    """The edit that adds to one colour."""
    image = torch.zeros(3, 8, 8)
    image[channel] = 1.0
    return edit(generator, generator.row(3, image), layer="map")


def test_directions_of_different_colours_are_told_apart(generator):
    edits = [colour(generator, channel) for channel in range(3)]
    found = Recogniser(edits, 0, 1e-3).run(steps=60, batch=16, pairs=96)
    assert found.accuracy.value > 0.9
    assert torch.allclose(found.confusion(3).sum(1), torch.ones(3).double())
    assert float(found.confusion(3).diagonal().min()) > 0.8
    assert found.accuracy.n == 96


def test_one_direction_under_two_numbers_is_confused_with_itself(generator):
    edits = [colour(generator, 0), colour(generator, 0), colour(generator, 2)]
    found = Recogniser(edits, 0, 1e-3).run(steps=60, batch=16, pairs=300)
    confusion = found.confusion(3)
    assert float(confusion[:2, 2].max()) < 0.2
    assert 0.5 < float(confusion[0, 0] + confusion[1, 1]) < 1.5  # as good as chance between the two
    assert float(confusion[2, 2]) > 0.8


def test_accuracies_and_confusions_count_what_was_named():
    found = Recognition(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 0, 1]))
    assert found.accuracy.value == 0.75
    assert found.accuracy_of(0).value == pytest.approx(2 / 3)
    assert torch.allclose(found.confusion(2), torch.tensor([[2 / 3, 1 / 3], [0, 1]]).double())


def test_the_same_seed_gives_the_same_numbers(generator):
    edits = [colour(generator, channel) for channel in range(2)]
    one, other = (Recogniser(edits, 3, 1e-3).run(steps=3, batch=8, pairs=20) for _ in range(2))
    assert torch.equal(one.named, other.named)
    assert torch.equal(one.shown, other.shown)


def test_a_single_direction_has_nothing_to_be_told_from(generator):
    with pytest.raises(NavbenchError, match="among others"):
        Recogniser([colour(generator, 0)], 0, 1e-3)
