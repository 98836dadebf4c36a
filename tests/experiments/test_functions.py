"""Generators and networks are functions, or are refused with the reason, or are measured and their noise is told."""

import re
import sys
from types import ModuleType

import misbehaving
import pytest
import torch
from analytic import Quadratic, styled, wrapped
from misbehaving import GOOD, NO_FUNCTIONS, NO_IMAGES, Faulty
from torch import nn

from navbench.compute import Compute
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments.guards import check_extractor, check_generator, check_network, noise_of
from navbench.generators import zoo
from navbench.metrics.attributes import Attribute, Scorer
from navbench.metrics.embedding import Embedder
from navbench.metrics.extractors import create_extractor
from navbench.metrics.repeatability import difference
from navbench.metrics.segmentation import Segmenter
from navbench.user_code import running


@pytest.fixture
def opened(monkeypatch):
    """Opens what a maker makes as 'mine:make', for measuring."""

    def create(make, *, compute=None, **allowed):
        module = ModuleType("mine")
        module.make = make
        monkeypatch.setitem(sys.modules, "mine", module)
        generator = zoo.create("mine:make", compute or Compute())
        check_generator(generator, compute or Compute(), **allowed)
        return generator

    return create


@pytest.mark.parametrize(("make", "words"), NO_FUNCTIONS.values(), ids=NO_FUNCTIONS)
def test_a_generator_that_is_no_function_of_its_codes_is_refused_with_the_reason(opened, make, words):
    sentence = r"^Generator \S+ is not a function of its codes: .*" + words + ".* by --allow-stochastic"
    with pytest.raises(NavbenchError, match=sentence):
        opened(make)


@pytest.mark.parametrize(("make", "words"), NO_FUNCTIONS.values(), ids=NO_FUNCTIONS)
def test_it_is_measured_where_that_is_allowed(opened, make, words):
    with pytest.warns(NavbenchWarning, match=words):
        assert opened(make, allow_stochastic=True)


@pytest.mark.parametrize(("make", "words"), NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_makes_no_images_is_refused_in_a_sentence(opened, make, words):
    with pytest.raises(NavbenchError, match=words) as caught:
        opened(make, allow_stochastic=True)
    assert re.match(r"Generator \S+ ", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_images_are_found_in_what_is_returned_and_weights_may_be_of_any_type(opened, make):
    found, plain = opened(make), wrapped()
    codes = plain.sample(range(3), seed=0)
    torch.testing.assert_close(found(codes), plain(codes), rtol=0, atol=2e-2, check_dtype=False)
    layer = found.layers()[0]
    assert found.kernel(layer).dtype == torch.float32
    kernel = found.kernel(layer) + 0.1
    assert found.after(found.before(codes, layer), layer, kernel).shape == (3, 3, 8, 8)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("make", [wrapped, styled, misbehaving.Own], ids=["wrapped", "styled", "own"])
def test_generators_are_functions_at_every_precision(make, precision):
    compute = Compute(precision=precision)
    generator = compute.place(make())
    key = make().cache_key
    check_generator(generator, compute)
    assert generator.cache_key == key


def test_ctrl_c_within_a_module_is_the_users(opened):
    def interrupted(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(misbehaving.made(interrupted))


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, MemoryError])
def test_memory_that_ran_out_is_left_to_smaller_batches(kind):
    with pytest.raises(kind), running("Generator"):
        raise kind


def test_a_module_that_handles_all_errors_is_still_stopped_at_a_layer(opened):
    class Careful(Faulty):
        def forward(self, z):
            try:
                return super().forward(z)
            except Exception:
                return torch.zeros(len(z), 3, 8, 8)

    found = opened(Careful)
    codes = found.sample(range(2), seed=0)
    assert found.before(codes, found.layer("wide")).input.shape == (2, 8, 8, 8)


# --- how noisy


def test_noise_of_each_call_has_the_size_that_was_added(opened):
    with pytest.warns(NavbenchWarning):
        generator = opened(misbehaving.made(misbehaving.noisy), allow_stochastic=True)
    found = noise_of(generator, Quadratic(), Compute(batch=4))
    assert (found.codes, found.batch) == (8, 4)
    assert found.squared_difference == pytest.approx(2 * 0.1**2, rel=0.15)
    assert found.effect == pytest.approx(3 * 8 * 8 * found.squared_difference, rel=1e-5)
    assert "two images of the same code differ by an effect of" in str(found)


def test_the_noise_of_a_batchs_mean_is_that_of_other_neighbours(opened):
    with pytest.warns(NavbenchWarning):
        generator = opened(misbehaving.made(misbehaving.less_its_mean), allow_stochastic=True)
    images = wrapped()(wrapped().sample(range(8), seed=0))
    means = [images[start:stop:step].mean(0) for start, stop, step in ((0, 4, 1), (4, 8, 1), (0, 8, 2), (1, 8, 2))]
    expected = sum(float((means[a] - means[b]).square().mean()) for a in (0, 1) for b in (2, 3)) / 4
    found = noise_of(generator, Quadratic(), Compute(batch=4))
    assert found.squared_difference == pytest.approx(expected, rel=1e-4)


def test_a_function_has_no_noise():
    assert noise_of(wrapped(), Quadratic(), Compute(batch=3)).squared_difference < 1e-12


@pytest.mark.parametrize(
    ("one", "other", "unit", "expected"),
    [
        ([1.0, 1.0], [1.0, 1.0], None, 0.0),
        ([0.0, 0.0], [0.0, 0.0], None, 0.0),
        ([3.0, 3.0], [3.6, 3.6], None, 0.1),  # of the root mean square and the number itself
        ([0.0, 0.0], [0.1, -0.1], 1.0, 0.1),
        ([1990.0], [1990.1], torch.tensor([10.0]), 5e-5),
    ],
)
def test_a_difference_is_relative_to_the_answer_and_its_unit(one, other, unit, expected):
    assert difference(torch.tensor(one), torch.tensor(other), unit) == pytest.approx(expected, rel=1e-3)


# --- networks of images


class Answers(nn.Module):
    """Whatever a function makes of images, as every kind of network."""

    attributes, regions = (Attribute("size", "px", 5.0), Attribute("yaw", "", 1.0)), ("sky",)

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        return self.answer(images)


def two(images):
    return torch.stack([1000 + images.mean(dim=(1, 2, 3)), images[:, 0].mean(dim=(1, 2))], dim=1)


def colours(images):
    return images.mean(dim=(2, 3)) + 0.1


def mask(images):
    return images.mean(dim=1, keepdim=True).sigmoid()


KINDS = {
    "Scorer": (Scorer, lambda images: colours(images)[:, :2]),
    "Embedding": (Embedder, colours),
    "Segmentation": (Segmenter, mask),
}


@pytest.fixture(params=KINDS)
def network(request):
    """Makes a network of a kind of what its answers go through."""
    kind, plain = KINDS[request.param]
    return lambda fault: kind("theirs", Answers(lambda images: fault(plain, images)), Compute())


IMAGES = torch.linspace(-1, 1, 384).sin().reshape(2, 3, 8, 8)


def test_a_network_that_answers_alike_is_taken_without_a_word(network):
    made = network(lambda plain, images: plain(images))
    check_network(made, IMAGES)
    assert made.noise == ""


def noisy(plain, images):
    answer = plain(images)
    return answer * torch.rand_like(answer)


def of_a_batch(plain, images):
    return plain(images - images.mean(dim=0, keepdim=True))


@pytest.mark.parametrize(("fault", "words"), [(noisy, "two passes"), (of_a_batch, "an input alone differs")])
def test_a_network_that_is_no_function_of_its_images_is_refused_or_told(network, fault, words):
    made = network(fault)
    with pytest.raises(NavbenchError, match=rf"^{made} is not a function of its images: {words}.*--allow-stochastic"):
        check_network(made, IMAGES)
    with pytest.warns(NavbenchWarning, match=words):
        check_network(made, IMAGES, allow_stochastic=True)
    assert made.noise.startswith(f"{made} is not a function of its images")


def test_an_error_of_a_network_is_told_with_what_it_was_given(network):
    made = network(lambda plain, images: misbehaving.failing(images))
    words = rf"^{made} \(Answers\) failed when it was given images \(2, 3, 8, 8\) of float32 on cpu: ValueError: eleven"
    with pytest.raises(NavbenchError, match=words):
        made(IMAGES)


def test_an_exit_of_a_network_is_an_error(network):
    made = network(lambda plain, images: misbehaving.leaving(images))
    with pytest.raises(NavbenchError, match=r"tried to end the program \(sys\.exit\(0\)\) when it was given images"):
        made(IMAGES)


def test_one_noisy_attribute_of_a_scorer_does_not_hide_behind_a_large_one():
    def answer(images):
        return two(images) + torch.tensor([0.0, 0.01]) * torch.randn(len(images), 2)

    with pytest.raises(NavbenchError, match="two passes"):
        check_network(Scorer("theirs", Answers(answer), Compute()), IMAGES)


def test_an_extractor_with_noise_is_refused(monkeypatch):
    module = ModuleType("their_package")
    module.features = lambda: Answers(lambda images: noisy(two, images))
    monkeypatch.setitem(sys.modules, "their_package", module)
    extractor = create_extractor("their_package:features", Compute())
    with pytest.raises(NavbenchError, match=r"^Extractor 'their_package:features' is not a function of its images"):
        check_extractor(extractor)
