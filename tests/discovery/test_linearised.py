import pytest
import torch
import torch.nn.functional as F
from analytic import Curved, noise, styled, wrapped
from torch import nn

from navbench import spaces
from navbench.compute import peak_memory, reset_peak_memory
from navbench.discovery.linearised import Linearised
from navbench.generators.base import Codes

X = noise(0, 2, 4, 9, 7).double()
CONVOLUTIONS = [
    nn.Conv2d(4, 6, 3, stride=2, padding=1),
    nn.Conv2d(4, 6, 3, padding="same", dilation=2, bias=False),
    nn.Conv2d(4, 8, (3, 1), padding=(0, 2), groups=2, padding_mode="circular"),
    nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
    nn.ConvTranspose2d(4, 6, 4, stride=3, dilation=2, bias=False),
]


def check(function, point, value):
    """J v by both sides against forward mode, and the adjoint by reverse mode."""
    linearised = Linearised(function, point)
    for seed in (1, 2):  # more than once, as graphs are kept
        v, u = noise(seed, *point.shape).to(point), noise(seed + 2, *value.shape).to(point)
        expected, (transposed,) = torch.func.jvp(function, (point,), (v,))[1], torch.func.vjp(function, point)[1](u)
        torch.testing.assert_close(linearised.push(v), expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(linearised.pull(u), transposed, rtol=1e-9, atol=1e-12)
    return linearised


@pytest.mark.parametrize("module", CONVOLUTIONS, ids=str)
def test_a_convolution_is_linearised_by_its_input_and_by_its_kernel(module):
    module = module.double().requires_grad_(False)
    check(lambda x: module(x).sin(), X, module(X))

    def by_kernel(weight):
        return torch.func.functional_call(module, {"weight": weight}, (X,)).sin()

    check(by_kernel, module.weight.detach(), module(X))


@pytest.mark.parametrize("layer", ["conv1", "convs.0", "convs.1"])
def test_a_shifted_stylegan2_is_linearised_as_by_forward_and_reverse_mode(layer):
    generator = styled(16)
    space = spaces.create(generator, "parameter", layer)
    codes = generator.sample(range(3), 0)
    generator.double()
    state = space.prepare(Codes(codes.z.double()))

    def response(offset):
        return Curved().features(space.render(state, offset))

    zero = torch.zeros(space.shape, dtype=torch.float64)
    check(response, zero, response(zero))


def test_pooling_padding_and_rectifiers_are_linearised_where_they_are_smooth():
    def function(x):
        x = F.max_pool2d(F.relu(F.pad(x, (2, 2, 2, 2), mode="reflect")), 3, 1)
        return F.leaky_relu(F.interpolate(x, scale_factor=2), 0.2) * x.sum()

    check(function, X, function(X))


def test_a_linearisation_computes_the_function_once():
    generator, calls = wrapped().double(), []
    state = generator.before(Codes(noise(0, 2, 6).double()), generator.layer("wide"))

    def function(weight):
        calls.append(1)
        return generator.after(state, generator.layer("wide"), weight)

    weight = generator.kernel(generator.layer("wide"))
    linearised = Linearised(function, weight)
    for seed in range(3):
        linearised.pull(linearised.push(noise(seed, *weight.shape).double()))
    assert calls == [1]


def test_what_the_point_does_not_change_has_no_derivative():
    constant, unread = Linearised(lambda x: X, X[0]), Linearised(lambda x: 0 * x.sum() + X, X[0])
    for linearised in (constant, unread):
        assert (linearised.push(X[1]) == 0).all()
        assert (linearised.pull(X) == 0).all()


def test_the_bytes_of_a_linearisation_are_those_that_it_saves():
    small, large = (Linearised(torch.tanh, noise(0, n)).bytes for n in (1000, 10_000))
    assert large == 10 * small
    assert small >= 4000


def test_a_linearisation_that_is_dropped_leaves_no_memory():
    """A result that its own node saves, as that of a rectifier, would keep itself alive."""
    point, cpu = torch.ones(8, 3, 64, 64), torch.device("cpu")

    def peak_of(count):
        reset_peak_memory(cpu)
        for _ in range(count):
            Linearised(lambda x: F.relu(2 * x), point)
        return peak_memory(cpu)

    before = peak_of(3)
    assert peak_of(60) - before < 20 * point.nbytes / 2**20
