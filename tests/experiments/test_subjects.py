"""Scorers that look for a subject: what damage hides is lost, and what is lost is left out."""

import math
from functools import cache
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from analytic import LinearGenerator, noise
from test_composition import code, weights
from torch import nn

from navbench.compute import Compute
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments.calibration import LOST, REACHED, SATURATED, Range, Target
from navbench.experiments.composition import _row, interaction
from navbench.experiments.edit import codes_for, unshifted
from navbench.experiments.guards import check_network
from navbench.experiments.lost import LADDER, STEPS, Losses, lost_by_damage
from navbench.experiments.photos import _attribute_rows, _unread
from navbench.metrics.attributes import Attribute, Scorer, movement
from navbench.metrics.composition import interaction_parts, relative_interaction
from navbench.metrics.damage import occluded
from navbench.testbed.evaluate import factors

NAN = math.nan
CODES = range(60)


SIDE = 48


def ring(squares):
    """A bright ring around a dark core, from the squared distances from its centre."""
    return (-squares / 18).exp() - 1.5 * (-squares / 3).exp()


class Rings(LinearGenerator):
    """A ring anywhere in a frame of 48 pixels, of one contrast or another, on faint grain."""

    def __init__(self):
        super().__init__(latent_dim=4, side=SIDE)

    def forward(self, codes):
        grid = torch.stack(torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij"))
        places = 24 + 16 * torch.tanh(codes.z[:, :2])
        image = ring((grid - places[:, :, None, None]).square().sum(1))
        contrast = 0.3 + 0.7 * torch.sigmoid(codes.z[:, 2])[:, None, None]
        return (contrast * image - 0.3 + 0.02 * noise(3, SIDE, SIDE))[:, None].expand(-1, 3, -1, -1)


class RingScorer(nn.Module):
    """Sees a ring where a part of an image is one in form and contrast; reads in which row, and that contrast."""

    subject = "ring"
    attributes = (Attribute("row", "px", 10.0), Attribute("contrast", "", 0.3))

    def forward(self, images):
        y, x = torch.meshgrid(torch.arange(-7.0, 8), torch.arange(-7.0, 8), indexing="ij")
        shape = ring(y.square() + x.square())
        shape = (shape - shape.mean()) / (shape - shape.mean()).norm()
        grey = F.pad(images.mean(1, keepdim=True), (7,) * 4, mode="replicate")
        even = torch.ones(1, 1, 15, 15) / 225
        spread = (F.conv2d(grey.square(), even) - F.conv2d(grey, even).square()).clamp_min(1e-3).sqrt()
        contrast = F.conv2d(grey, shape[None, None])
        alike, place = (contrast / (15 * spread)).flatten(1).max(1)
        found = contrast.flatten(1).gather(1, place[:, None])[:, 0]
        is_seen = (alike > 0.8) & (found > 0.95)
        return torch.where(is_seen[:, None], torch.stack([place // SIDE, found], dim=1), torch.nan)


@cache
def lost(batch=32):
    scorer = Scorer("rings", RingScorer(), Compute())
    return lost_by_damage(Rings(), scorer, STEPS, CODES, 0, Compute(batch=batch)).lost


@pytest.mark.parametrize("damage", LADDER, ids=lambda damage: damage.name)
def test_the_share_lost_rises_with_every_strength_of_known_damage(damage):
    shares = dict(zip([("", 0.0), *STEPS], lost().mean(1).tolist(), strict=True))
    along = [shares["", 0.0], *(shares[damage.name, strength] for strength in damage.strengths)]
    assert along[0] < 0.2
    assert along == sorted(along)
    assert along[-1] > along[0] + 0.15


def test_the_check_is_by_all_damage_but_blank_images_and_fails_where_one_is_not_noticed():
    found = Losses({}, lost())
    assert set(found.verdicts) == {damage.name for damage in LADDER} - {"blank images"}
    assert found.is_trusted
    blind = lost().clone()
    for place, (damage, _) in enumerate(STEPS, start=1):
        if damage == "grain":
            blind[place] = blind[0]
    failed = Losses({}, blind)
    assert not failed.is_trusted
    assert [damage for damage, verdict in failed.verdicts.items() if not verdict.passed] == ["grain"]


def test_what_is_lost_by_damage_does_not_depend_on_the_batch():
    assert torch.equal(lost(batch=7), lost())


def test_what_an_occlusion_hides_stays_hidden_and_has_the_share():
    images, before = noise(0, 20, 3, 48, 32), torch.zeros(20, 48, 32, dtype=torch.bool)
    for share in (0.0, 0.1, 0.2, 0.4, 1.0):
        covered = (occluded(images, share, range(20), 3) != images).any(1)
        torch.testing.assert_close(covered.double().mean((1, 2)), torch.full((20,), share).double(), atol=0.02, rtol=0)
        assert (covered | ~before).all()
        before = covered
    parts = [occluded(images[list(part)], 0.3, part, 3) for part in (range(5), range(5, 20))]
    torch.testing.assert_close(torch.cat(parts), occluded(images, 0.3, range(20), 3))
    assert len({tuple(where.flatten().nonzero()[0].tolist()) for where in covered}) == 1
    places = (occluded(images, 0.1, range(20), 3) != images).any(1).flatten(1).int().argmax(1)
    assert len(set(places.tolist())) > 10


# --- shares


def test_a_share_that_rises_is_told_by_the_codes_that_change():
    zero = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    end = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])
    losses = Losses({"one": torch.stack([end, zero, zero])}, zero[None])
    assert losses.at("one", 0).value == pytest.approx(0.6)
    assert losses.at_ends("one").value == pytest.approx(0.4)
    raised = losses.raised("one", 0)
    assert raised.value == pytest.approx(0.4)
    assert raised.stderr == pytest.approx(float((end - zero).std()) / 5**0.5)
    assert losses.raised("one", 1).stderr == 0


def test_the_order_of_codes_does_not_matter():
    scores = noise(0, 3, 12, 2)
    scores[2, :5] = NAN
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    one, other = (movement(part, [-1.0, 0.0, 2.0], RingScorer.attributes) for part in (scores, scores[:, order]))
    torch.testing.assert_close(one.standardised, other.standardised)
    torch.testing.assert_close(one.monotonicity, other.monotonicity)
    assert one.coherence.value == pytest.approx(other.coherence.value)
    assert one.change[0].stderr == pytest.approx(other.change[0].stderr)


# --- who uses scores


class Bright:
    """The mean of each channel, of images whose red is not above a bound."""

    name, attributes = "bright", tuple(Attribute(name, "", 0.1) for name in ("red", "green", "blue"))

    def __init__(self, bound):
        self.bound = bound

    def __call__(self, images):
        means = images.mean(dim=(2, 3))
        return torch.where(means[:, :1] > self.bound, torch.nan, means)


def test_edits_add_up_over_the_codes_all_of_whose_images_show_the_subject():
    one, other, indices = weights(), code(), range(40)
    whole = interaction(one, other, indices, 0, Bright(9.0))
    generator, compute = one.space.generator, one.compute
    codes = codes_for(generator, "composition", indices, 0)
    seen = torch.stack(
        [unshifted(generator, codes, compute).mean((2, 3))]
        + [each.prepare(codes)(each.direction.t_max).mean((2, 3)) for each in (one, other)]
    )[..., 0]
    bound = float(seen.max(0).values.quantile(0.7))  # of some codes, an image is lost that another one is not
    holed = interaction(one, other, indices, 0, Bright(bound))
    is_lost = holed.attributes[:, 0].isnan()
    assert is_lost[(seen > bound).any(0)].all()
    assert bool((is_lost & ~holed.attributes[:, 1].isnan()).any()), "of some, the image of both edits is seen"
    told = _row(one.direction, other.direction, holed)
    assert told["n"] == 40
    assert told["n_attributes"] == int((~is_lost).sum())
    expected = relative_interaction(whole.attributes[~is_lost])
    assert told["interaction_attributes"] == pytest.approx(expected.value)
    nothing = interaction(one, other, indices, 0, Bright(-9.0))
    assert "interaction_attributes" not in _row(one.direction, other.direction, nothing)


def test_a_change_is_relative_to_all_three_images_that_are_compared():
    changes = [torch.tensor([[1.0], [NAN], [1.0]]), torch.ones(3, 1), torch.ones(3, 1)]
    assert interaction_parts(*changes)[:, 0].isnan().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("lost_codes", "amount", "is_lost", "status"),
    [
        (0, 1.0, False, REACHED),
        (3, 1.0, False, REACHED),
        (3, 1.0, True, REACHED),
        (3, 0.8, True, LOST),
        (3, 0.8, False, SATURATED),
        (6, 1.0, False, LOST),
        (10, 1.0, False, LOST),
    ],
)
def test_an_end_at_which_too_few_images_show_the_subject_is_not_reached(lost_codes, amount, is_lost, status):
    changes = torch.stack([-torch.ones(10), amount * torch.ones(10)]).double() + 1e-3 * noise(0, 2, 10)
    changes[1, :lost_codes] = NAN
    t, lost = torch.tensor([-1.0, 1.0]), torch.tensor([False, is_lost])
    found = Range(t, changes, torch.ones(2), 4 * t, lost)
    assert found.statuses(Target("red", 1.0)) == (REACHED, status)
    assert found.counts == (10, 10 - lost_codes)


def test_a_scorer_is_known_by_the_first_image_that_it_can_read():
    class First(nn.Module):
        subject, attributes = "toy", (Attribute("red", "", 1.0), Attribute("green", "", 1.0))

        def forward(self, images):
            means = images.mean(dim=(2, 3))[:, :2]
            return torch.where(means[:, :1] > 0.5, torch.nan, means)

    images = torch.tensor([0.75, 0.25])[:, None, None, None].expand(-1, 3, 4, 4)
    scorer = Scorer("first", First(), Compute())
    scorer.look(images)
    assert scorer.probe == ("0.25", "0.25")
    scorer.look(images.flip(0))
    assert scorer.probe == ("0.25", "0.25")


class Noisy(nn.Module):
    """Sees images whose red is positive, and reads noise from them; or its absence, with no noise."""

    subject, attributes = "toy", (Attribute("red", "", 1.0),)

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def forward(self, images):
        red = images.mean(dim=(2, 3))[:, :1]
        return torch.where(red > 0, red + self.noise * torch.randn_like(red), torch.nan)


def shades(seen):
    """Images by their number, which alone are red enough to be seen if they are among some numbers."""
    return lambda indices: torch.stack(
        [torch.full((3, 4, 4), (n + 1) / 64 * (1 if n in seen else -1)) for n in indices]
    )


@pytest.mark.parametrize(
    ("seen", "shown"), [((0, 1), (0, 1)), ((1, 2), (1, 2)), ((5, 20, 30), (5, 20)), ((31,), (None, 31))]
)
def test_a_scorer_is_checked_on_images_that_show_its_subject(seen, shown):
    scorer = Scorer("noisy", Noisy(0.5), Compute())
    images = scorer.shown("a generator", shades(seen))
    for image, number in zip(images, shown, strict=True):
        assert number is None or torch.equal(image, shades(seen)([number])[0])
    assert (images[-1] > 0).all()
    with pytest.raises(NavbenchError, match="two passes"):
        check_network(scorer, images)
    quiet = Scorer("quiet", Noisy(0.0), Compute())
    quiet.look(quiet.shown("a generator", shades(seen)))
    assert quiet.probe == (f"{(seen[0] + 1) / 64:.3g}",)


def test_a_generator_that_never_shows_the_subject_is_told():
    with pytest.warns(NavbenchWarning, match="sees no toy in any of 32 images of mine"):
        assert len(Scorer("noisy", Noisy(0.0), Compute()).shown("mine", shades(()))) == 2


def test_factors_are_of_the_images_that_show_the_subject():
    readings = [noise(seed, 30, 2) for seed in range(3)]
    holed = [torch.cat([part, torch.full((5, 2), NAN)]) for part in readings]
    assert factors(RingScorer.attributes, *holed) == factors(RingScorer.attributes, *readings)


def test_an_edit_of_a_photo_is_read_where_it_and_the_unedited_photo_show_the_subject():
    scores = noise(0, 4, 4, 2)  # photos; the photo itself and three shifts; attributes
    scores[0, 1], scores[1, 0], scores[2, 2] = NAN, NAN, NAN
    photos = [SimpleNamespace(name=name, truth={}) for name in ("at t min", "itself", "at t = 0", "seen")]
    edited = SimpleNamespace(
        direction=code().direction, space="z", shifts=(-1.0, 0.0, 1.0), photos=photos, scores=scores
    )
    album = SimpleNamespace(edited=[edited])
    on = SimpleNamespace(scorer=SimpleNamespace(attributes=RingScorer.attributes))
    rows = list(_attribute_rows(on, album))
    read = {"at t min": (0.0, 1.0), "itself": edited.shifts, "seen": edited.shifts}
    assert [(row["photo"], row["attribute"], row["t"]) for row in rows] == [
        (photo, attribute.name, t)
        for photo, shifts in read.items()
        for attribute in RingScorer.attributes
        for t in shifts
    ]
    assert rows[0]["change"] == 0
    assert rows[1]["change"] == pytest.approx(float(scores[0, 3, 0] - scores[0, 2, 0]))
    assert {row["photo"] for row in rows if row["photo_value"] is None} == {"itself"}
    (words,) = _unread("ring", "rings", album)
    assert (
        words == "2 of 4 photos of rings do not show the ring in some edits, or at t = 0: 4 of 12 images are left out."
    )
    edited.scores = scores[3:].expand(4, -1, -1)
    assert list(_unread("ring", "rings", album)) == []
