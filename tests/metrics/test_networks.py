"""Networks that packages add: placed for measuring, fed within range, and known by weights, name and meaning."""

import pytest
import torch
from torch import nn

from navbench.compute import Compute
from navbench.metrics.attributes import Attribute, Scorer
from navbench.metrics.embedding import Embedder
from navbench.metrics.extractors import create_extractor
from navbench.metrics.perceptual import create_distance
from navbench.metrics.segmentation import Segmenter


class Reader(nn.Module):
    """Reads the mean of an image times a weight, through dropout and at double precision."""

    def __init__(self, unit="lx", weight=2.0):
        super().__init__()
        self.attributes = (Attribute("brightness", unit, 1.0),)
        self.weight = nn.Parameter(torch.tensor([[weight]], dtype=torch.float64))
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        return self.dropout(images.mean(dim=(1, 2, 3), keepdim=True)[:, :, 0, 0] @ self.weight)


class Masks(nn.Module):
    def __init__(self, *regions):
        super().__init__()
        self.regions = regions


def scorer(name="reader", **values):
    return Scorer(name, Reader(**values), Compute())


def test_a_network_is_in_evaluation_mode_at_float32_and_frozen():
    network = Reader()
    made = Scorer("reader", network, Compute())
    assert torch.equal(made(torch.full((64, 3, 4, 4), 0.5)), torch.ones(64, 1))
    assert not network.training
    assert network.weight.dtype == torch.float32
    assert not network.weight.requires_grad


def test_images_are_cut_to_their_range():
    assert torch.equal(scorer()(torch.full((1, 3, 4, 4), 9.0)), torch.full((1, 1), 2.0))


def test_weights_name_meaning_and_probe_are_part_of_the_key():
    probed = scorer()
    probed.probe = ("0.5",)
    others = [scorer(name="other"), scorer(unit="px"), scorer(weight=3.0), probed]
    assert len({str(each.cache_key) for each in (scorer(), *others)}) == 5
    assert scorer().cache_key == scorer().cache_key


def test_regions_and_names_are_part_of_the_key():
    keys = [Segmenter("masks", Masks(*regions), Compute()).cache_key for regions in (("a", "b"), ("b", "a"))]
    keys += [Embedder(name, nn.Flatten(), Compute()).cache_key for name in ("one", "two")]
    assert len({str(key) for key in keys}) == 4


@pytest.mark.parametrize("make", [create_distance, create_extractor])
def test_other_weights_of_a_network_that_compares_are_another_key(make):
    name = "stlpips-alex" if make is create_distance else "efficientnet-lite0"
    made, same, other = (make(name, Compute()) for _ in range(3))
    network = other if make is create_distance else other._network
    tensor = next(value for value in network.state_dict().values() if value.is_floating_point())
    tensor[(0,) * tensor.ndim] += 1
    assert made.cache_key == same.cache_key != other.cache_key


@pytest.mark.parametrize("make", [create_distance, create_extractor])
def test_another_name_of_a_network_that_compares_is_another_key(make):
    name = "stlpips-alex" if make is create_distance else "efficientnet-lite0"
    made, renamed = make(name, Compute()), make(name, Compute())
    renamed.name = "other"
    assert made.cache_key != renamed.cache_key


def test_features_at_another_precision_have_another_key():
    keys = [create_extractor("efficientnet-lite0", Compute(precision=name)).cache_key for name in ("float32", "bf16")]
    assert keys[0] != keys[1]
