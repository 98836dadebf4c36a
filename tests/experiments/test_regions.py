"""Shares of a change on regions: on edits that change nothing outside a known mask, and on cars."""

from types import SimpleNamespace

import pytest
import torch
from analytic import LinearGenerator, edit, noise
from torch import nn

from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.experiments.locality import Heatmaps, Heats, groups, heat
from navbench.metrics import estimate
from navbench.metrics.segmentation import Segmenter, create_segmenter
from navbench.testbed import cars
from navbench.testbed.segmenter import parts

SIDE, SHIFTS = 4, [-2.0, 1.0, 3.0]


class Halves(nn.Module):
    """The left quarter, and the rest, whatever the image."""

    regions = ("left", "rest")

    def forward(self, images):
        masks = torch.zeros(len(images), 2, *images.shape[2:])
        masks[:, 0, :, :1] = 1
        masks[:, 1, :, 1:] = 1
        return masks


def heats(image, network=None, segmented=True):
    """The heat of the edit that adds `image` to all images."""
    generator = LinearGenerator(side=SIDE)
    offset = generator.row(generator.latent_dim, image)
    segmenter = Segmenter("halves", network or Halves(), Compute()) if segmented else None
    made = edit(generator, offset, Compute(), layer="map")
    found = [heat(made, SHIFTS, indices, 0, segmenter) for indices in groups(20)]
    return found, segmenter


def shares(image, network=None):
    found, segmenter = heats(image, network)
    direction = SimpleNamespace(
        generator="g", method="m", place="p", space="parameter", index=0, name="g/m/p/0", label=""
    )
    on = SimpleNamespace(segmenter=segmenter, plan=SimpleNamespace(by_name=lambda: {direction.name: direction}))
    return {row["region"]: row for row in Heatmaps().rows(on, Heats({direction.name: found}))["regions"]}


def only(*columns):
    image = torch.zeros(3, SIDE, SIDE)
    image[..., list(columns)] = 1
    return image


@pytest.mark.parametrize(("columns", "left"), [((0,), 1), ((1, 2), 0), ((0, 1, 2, 3), 1 / 4), ((0, 3), 1 / 2)])
def test_a_change_inside_a_known_mask_is_found_there(columns, left):
    rows = shares(only(*columns))
    assert rows["left"]["share"] == pytest.approx(left, abs=1e-6)
    assert rows["rest"]["share"] == pytest.approx(1 - left, abs=1e-6)
    assert rows["left"]["area"] == pytest.approx(1 / 4)
    assert rows["left"]["n"] == 20


def test_a_region_counts_where_it_was_and_where_it_is():
    class Bright(nn.Module):
        """What is brighter than usual."""

        regions = ("bright",)

        def forward(self, images):
            return (images.mean(1, keepdim=True) > 0.9).float()

    generator, image = LinearGenerator(side=SIDE), 50 * only(0)
    segmenter = Segmenter("bright", Bright(), Compute())
    generator.map.weight.data.zero_()
    made = edit(generator, generator.row(generator.latent_dim, image), Compute(), layer="map")
    found = heat(made, [10.0], range(5), 0, segmenter)
    assert (found.regions[:, 0] / found.totals).tolist() == pytest.approx([0.5] * 5)  # bright after, not before
    assert found.areas.tolist() == [[0.0]] * 5


def test_heat_is_the_same_with_and_without_a_segmentation():
    image = noise(0, 3, SIDE, SIDE)
    for ours, theirs in zip(heats(image)[0], heats(image, segmented=False)[0], strict=True):
        assert torch.equal(ours.change, theirs.change)
        torch.testing.assert_close(ours.totals.sum(), ours.change.sum())
        assert theirs.regions.shape[1] == 0


def test_the_parts_of_renderings_are_the_renderers_own():
    factors = cars.sample(range(30), seed=5)
    segmenter = create_segmenter("cars", Compute())
    found, true = segmenter(cars.render(factors) * 1.0), cars.parts(factors)
    assert segmenter.regions == cars.PARTS
    overlap = torch.minimum(found, true).sum((0, 2, 3)) / torch.maximum(found, true).sum((0, 2, 3))
    assert (overlap > 0.85).all()


def test_larger_wheels_change_wheels_more_than_another_hue_does():
    """The same cars with one factor changed: what share of the change lies on wheels, as the segmentation sees it."""
    before, network = cars.sample(range(40), seed=6), parts()
    share = {}
    for name, change in (("wheel radius", 0.8), ("body hue", 90.0)):
        after = before.clone()
        after[:, cars.NAMES.index(name)] += change
        images = [cars.render(factors) for factors in (before, after)]
        squared = (images[1] - images[0]).square().sum(1, keepdim=True)
        masks = (network(images[0]) + network(images[1])) / 2
        on_wheels = (masks * squared).sum((2, 3))[:, cars.PARTS.index("wheels")]
        share[name] = estimate.ratio(on_wheels, squared.sum((1, 2, 3)))
    assert share["wheel radius"].value > 0.4
    assert share["body hue"].value < 0.05


# --- segmentations that cannot be used


@pytest.mark.parametrize(
    ("regions", "masks", "error", "sentence"),
    [
        (None, None, NavbenchError, "names no regions"),
        (("a", "a"), None, NavbenchError, "has a region twice"),
        (("a",), lambda x: torch.zeros(len(x), 2, *x.shape[2:]), NavbenchError, "gave .* where it must give"),
        (("a",), lambda x: 2 * torch.ones(len(x), 1, *x.shape[2:]), Failure, "outside"),
        (("a",), lambda x: torch.full((len(x), 1, *x.shape[2:]), torch.nan), Failure, "NaN"),
    ],
)
def test_what_is_no_segmentation_is_refused(regions, masks, error, sentence):
    network = nn.Identity()
    if regions is not None:
        network.regions = regions
    network.forward = masks
    with pytest.raises(error, match=sentence):
        Segmenter("mine", network, Compute())(torch.zeros(2, 3, 8, 8))
