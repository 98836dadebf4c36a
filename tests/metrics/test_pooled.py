"""The pooled features of the perceptual distance's trunk."""

import pytest
import torch
import torch.nn.functional as F
from analytic import noise

from navbench import weights
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.metrics.extractors import create_extractor
from navbench.metrics.perceptual import create_distance

NAME = "stlpips-alex-pooled"
IMAGES = F.interpolate(noise(0, 5, 3, 8, 8), 32, mode="bilinear").clamp(-1, 1)


@pytest.fixture(scope="module")
def pooled():
    return create_extractor(NAME, Compute())


def test_features_are_the_mean_activations_of_the_trunk_at_five_depths(pooled):
    distance = create_distance("stlpips-alex", Compute())
    rounded = ((IMAGES * 127.5 + 128).clamp(0, 255).to(torch.uint8).float()) / 127.5 - 1
    x, expected = (rounded - distance.shift) / distance.scale, []
    for index, layer in enumerate(distance.layers):
        x = layer(x)
        if index in (2, 6, 10, 12, 14):
            expected.append(x.mean((2, 3)))
    torch.testing.assert_close(pooled(IMAGES), torch.cat(expected, 1), rtol=1e-4, atol=1e-5)
    assert (pooled.dimensions, pooled.metric, pooled.name) == (1152, "FD", NAME)


def test_images_larger_than_224_pixels_are_reduced_to_it(pooled):
    large = F.interpolate(IMAGES[:1], (448, 224), mode="bilinear")
    small = F.interpolate(large, (224, 112), mode="bilinear", antialias=True)
    difference = (pooled(large) - pooled(small)).norm() / pooled(small).norm()
    assert float(difference) < 0.01  # of rounding to 8 bits before and after


def test_its_weights_are_those_of_the_distance_and_may_be_named_as_a_file(pooled):
    named = create_extractor(NAME, Compute(), weights.fetch("stlpips-alex"))
    assert named.cache_key == pooled.cache_key
    with pytest.raises(NavbenchError, match=f"are not those of {NAME!r}"):
        create_extractor(NAME, Compute(), weights.fetch("efficientnet-lite0"))


def test_bf16_is_near_float32(pooled):
    rough = create_extractor(NAME, Compute(precision="bf16"))(IMAGES)
    assert float((rough - pooled(IMAGES)).norm() / pooled(IMAGES).norm()) < 0.01
