"""Readings along a direction of a generator whose response is known: all pixels of a channel rise by t / norm."""

from dataclasses import dataclass, field

import pytest
import torch
from analytic import LinearGenerator, edit
from torch import Tensor

from navbench.compute import Compute
from navbench.experiments.attributes import readings
from navbench.experiments.edit import codes_for, unshifted
from navbench.metrics.attributes import Attribute, movement, verdict

SHIFTS = [-2.0, -1.0, 0.0, 1.5, 3.0]
POINTS = len(SHIFTS)
INDICES = range(11)


@dataclass
class Means:
    """Reads the mean of each channel; remembers how many images it was shown at a time."""

    name: str = "means"
    attributes: tuple[Attribute, ...] = tuple(Attribute(name, "", 0.1) for name in ("red", "green", "blue"))
    shown: list[int] = field(default_factory=list)

    def __call__(self, images: Tensor) -> Tensor:
        self.shown.append(len(images))
        return images.mean(dim=(2, 3))


def reddening(batch: int = 32):
    """Red rises by t / 4 in every pixel: an image of unit norm over 16 red pixels."""
    image = torch.zeros(3, 4, 4)
    image[0] = 1
    generator = LinearGenerator()
    return edit(
        generator, generator.row(generator.latent_dim, image), Compute(batch=batch), layer="map", ends=(-2.0, 3.0)
    )


def read(made, indices=INDICES, seed=0, scorer=None):
    """The scores (T, n, A) of one direction."""
    return readings([made], POINTS, indices, seed, scorer or Means()).scores[0]


def test_scores_are_the_generators_own_plus_the_known_response():
    made = reddening()
    found = read(made)
    generator = made.space.generator
    own = unshifted(generator, codes_for(generator, "attributes", INDICES, 0), made.compute).mean(dim=(2, 3))
    response = torch.tensor(SHIFTS).view(-1, 1, 1) / 4 * torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(found, own + response, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 11])
def test_scores_do_not_depend_on_the_batch(batch):
    expected = read(reddening())
    torch.testing.assert_close(read(reddening(batch)), expected)


def test_a_part_of_the_codes_gives_that_part_of_the_scores():
    whole = read(reddening())
    torch.testing.assert_close(read(reddening(), range(4, 9)), whole[:, 4:9])


def test_every_image_is_read_once():
    scorer = Means()
    read(reddening(4), scorer=scorer)
    assert sum(scorer.shown) == len(SHIFTS) * len(INDICES)


@pytest.mark.parametrize(("batch", "batches"), [(11, 1), (4, 3)])
def test_the_work_before_the_layer_is_done_once_per_batch_for_all_shifts(monkeypatch, batch, batches):
    made, prepared, rendered = reddening(batch), [], []
    generator = made.space.generator
    before, after = generator.before, generator.after
    monkeypatch.setattr(generator, "before", lambda codes, *rest: prepared.append(len(codes)) or before(codes, *rest))
    monkeypatch.setattr(generator, "after", lambda *given: rendered.append(given[0]) or after(*given))
    read(made)
    assert (len(prepared), sum(prepared)) == (batches, len(INDICES))
    assert len(rendered) == batches * len(SHIFTS)


def test_another_seed_is_other_codes():
    scores = [read(reddening(), seed=seed) for seed in (0, 1)]
    assert not torch.isclose(*scores).any()


def test_the_direction_is_called_by_what_it_moves():
    scorer = Means()
    moved = movement(read(reddening(), scorer=scorer), SHIFTS, scorer.attributes)
    assert moved.change[0].value == pytest.approx(5 / 4, rel=1e-4)
    assert verdict(moved, scorer.attributes).label == "red +"


def test_directions_of_one_space_share_the_unshifted_images():
    one, other = reddening(4), reddening(4)
    scorer = Means()
    both = readings([one, other], POINTS, INDICES, 0, scorer).scores
    torch.testing.assert_close(both, torch.stack([read(one), read(other)]))
    assert sum(scorer.shown) == (1 + 2 * (POINTS - 1)) * len(INDICES)
