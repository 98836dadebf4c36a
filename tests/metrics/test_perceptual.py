import warnings

import lpips
import pytest
import torch
from torch.func import jvp, vjp, vmap

from navbench import weights
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.metrics.perceptual import PerceptualDistance, create_distance

NAMES = ["lpips-alex", "lpips-vgg", "stlpips-alex", "stlpips-vgg"]


def sines(pitch: float) -> torch.Tensor:
    """An image (1, 3, 64, 48) in [-1, 1] that any machine makes alike."""
    v, u = torch.meshgrid(torch.arange(64) / 64, torch.arange(48) / 48, indexing="ij")
    u, v = u.double(), v.double()
    planes = [torch.sin(pitch * (k + 1) * u * 6 + k) * torch.cos(pitch * v * (4 - k)) for k in range(3)]
    return torch.stack(planes)[None].float()


def noise(seed: int, n: int = 2, side: int = 40) -> torch.Tensor:
    return 2 * torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) - 1


def random_lpips(net: str) -> lpips.LPIPS:
    """LPIPS with its own heads on a random trunk, which needs no download."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False)


def on_random_trunk(theirs: lpips.LPIPS, name: str) -> PerceptualDistance:
    trunk = {key.partition(".")[2]: value for key, value in theirs.net.state_dict().items()}
    return PerceptualDistance(name, trunk, [lin.model[1].weight for lin in theirs.lins]).requires_grad_(False)


@pytest.fixture(scope="module")
def distances():
    """All four, with a random trunk where the real one is not on the package index."""
    made = {name: create_distance(name, Compute()) for name in NAMES if name.startswith("stlpips")}
    return made | {name: on_random_trunk(random_lpips(name[6:]), name) for name in NAMES if name not in made}


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_the_value_of_the_lpips_package(net):
    theirs = random_lpips(net)
    ours = on_random_trunk(theirs, f"lpips-{net}")
    x, y = noise(0), noise(1)
    torch.testing.assert_close(ours.distance(x, y), theirs(x, y).flatten(), rtol=1e-5, atol=0)


def test_lpips_takes_its_trunk_from_torchvision_and_its_heads_from_the_package(monkeypatch):
    theirs = random_lpips("alex")
    state = {f"features.{key.partition('.')[2]}": value for key, value in theirs.net.state_dict().items()}
    state["classifier.1.weight"] = torch.zeros(2, 2)
    monkeypatch.setattr(weights, "fetch", lambda name: name)
    load_file = weights.load_file
    monkeypatch.setattr(weights, "load_file", lambda path: state if path == "lpips-alex" else load_file(path))
    x, y = noise(0), noise(1)
    found = create_distance("lpips-alex", Compute()).distance(x, y)
    torch.testing.assert_close(found, theirs(x, y).flatten(), rtol=1e-5, atol=0)


# What stlpips_pytorch 0.0.2 gives for these images, LPIPS(net=..., variant='shift_tolerant'), in float64.
@pytest.mark.parametrize(("name", "value"), [("stlpips-alex", 0.13902857), ("stlpips-vgg", 0.22418824)])
def test_shift_tolerant_lpips_is_the_value_of_its_authors(distances, name, value):
    assert float(distances[name].distance(sines(2.0), sines(2.2))) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_distance_is_the_squared_norm_of_a_difference_of_features(distances, name):
    x, y = noise(0), noise(1)
    fx, fy = distances[name].features(x), distances[name].features(y)
    assert fx.ndim == 2
    torch.testing.assert_close(distances[name].distance(x, y), (fx - fy).square().sum(1))
    assert (distances[name].distance(x, x) == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_products_with_the_jacobian_and_its_transpose_are_finite_and_adjoint(distances, name):
    features = distances[name].features
    x = noise(0)
    x[0] = -1.0  # a flat image leaves whole columns of ReLUs at zero
    v = noise(2)
    _, forward = jvp(features, (x,), (v,))
    _, pull = vjp(features, x)
    (back,) = pull(forward)
    assert torch.isfinite(forward).all()
    assert torch.isfinite(back).all()
    assert float((back * v).sum()) == pytest.approx(float(forward.square().sum()), rel=1e-4)


def test_activations_that_are_all_zero_have_finite_derivatives(distances):
    state = distances["stlpips-alex"].layers.state_dict()
    trunk = {key: value if "filt" in key else torch.full_like(value, -1e-3) for key, value in state.items()}
    heads = [torch.ones(channels) for channels in (64, 192, 384, 256, 256)]
    dark = PerceptualDistance("stlpips-alex", trunk, heads)
    x = torch.ones(1, 3, 32, 32)
    out, forward = jvp(dark.features, (x,), (noise(0, 1, 32),))
    assert (out == 0).all()
    assert torch.isfinite(forward).all()


@pytest.mark.parametrize("name", ["lpips-alex", "stlpips-alex"])
def test_vmap_over_images_and_over_tangents_is_a_loop(distances, name):
    features = distances[name].features
    x, v = noise(0), noise(2)
    each = vmap(lambda image: features(image[None])[0])(x)
    torch.testing.assert_close(each, features(x), rtol=1e-5, atol=1e-7)
    both = vmap(lambda tangent: jvp(features, (x,), (tangent,))[1])(torch.stack([v, 2 * v]))
    torch.testing.assert_close(both[1], 2 * both[0], rtol=1e-4, atol=1e-7)


def test_double_precision_is_kept_and_autocast_is_not_followed(distances):
    distance = distances["stlpips-alex"]
    x, y = noise(0), noise(1)
    single = distance.distance(x, y)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(distance.distance(x, y), single)
    try:
        double = distance.double().distance(x.double(), y.double())
    finally:
        distance.float()
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_image_is_the_smallest_that_the_network_can_take(distances, name):
    distance = distances[name]
    side = distance._trunk.smallest
    assert torch.isfinite(distance.features(noise(0, 1, side))).all()
    with pytest.raises(RuntimeError):
        distance.layers(noise(0, 1, side - 1))
    with pytest.raises(NavbenchError, match=f"at least {side}"):
        distance.features(noise(0, 1, side - 1))


def test_a_negative_channel_weight_is_refused(distances):
    heads = [torch.ones(channels) for channels in (64, 192, 384, 256, 256)]
    heads[2][5] = -0.1
    with pytest.raises(NavbenchError, match="depth 2"):
        PerceptualDistance("stlpips-alex", distances["stlpips-alex"].layers.state_dict(), heads)


def test_an_unknown_distance_is_answered_with_the_nearest_one():
    with pytest.raises(NavbenchError, match="did you mean 'stlpips-alex'"):
        create_distance("stlpips-alexnet", Compute())
