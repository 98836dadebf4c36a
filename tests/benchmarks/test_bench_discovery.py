"""One step of eq. 1 against its naive form, products and features against their older forms, eigenvectors."""

import pytest
import torch
import torch.nn.functional as F

from navbench.basis import SvdBasis, random_basis
from navbench.compute import Compute
from navbench.discovery.hessian import PerceptualHessian, krylov, power
from navbench.discovery.learn import Learner, start_near_axes
from navbench.discovery.linearised import Linearised
from navbench.discovery.pairs import Pairs
from navbench.discovery.settings import LearnSettings
from navbench.generators.stylegan2 import StyleGAN2
from navbench.metrics.perceptual import create_distance
from navbench.spaces import ParameterSpace

DIRECTIONS, BATCH, VECTORS = 64, 32, 8


class NaivePairs(Pairs):
    """The same pairs, by a tensor of size batch x basis x kernel."""

    def shift(self, state, coefficients, k, t):
        unit = F.normalize(coefficients[k], dim=1) * (t * self.limit)[:, None]
        offset = (unit[:, :, None, None, None, None] * self.basis.vectors[None]).sum(1)
        return self.space.render(state, offset)


def released(pairs, compute):
    """A learner whose rows move, of the paper's network."""
    start = start_near_axes(DIRECTIONS, pairs.basis.count, 0)
    learner = Learner(pairs, start, LearnSettings(batch=BATCH, reconstructor="resnet18"), compute)
    learner.coefficients.requires_grad_()
    return learner


@pytest.mark.benchmark(group="a step of eq. 1, K 64, batch 32, 64 basis vectors, main.9")
@pytest.mark.parametrize("pairs", [Pairs, NaivePairs], ids=["navbench", "batch x basis x kernel"])
def test_training_step(measured, faces, pairs):
    space = ParameterSpace(faces, faces.layer("main.9"))
    basis = random_basis(space.shape, DIRECTIONS, 0)
    learner = released(pairs(space, basis, 5.0, 0.1, BATCH, 0), Compute())
    measured(learner.train_step)


@pytest.mark.benchmark(group="8 eigenvectors of main.9, 32 codes")
@pytest.mark.parametrize("solver", ["krylov", "power"])
def test_eigenvectors(measured, benchmark, faces, solver):
    compute = Compute(batch=32)
    space = ParameterSpace(faces, faces.layer("main.9"))
    distance = create_distance("stlpips-alex", compute)
    hessian = PerceptualHessian(space, distance, faces.sample(range(32), 0), compute)
    solve = {
        "krylov": lambda: krylov(hessian, VECTORS, block=8, tolerance=1e-9, products=48),
        "power": lambda: power(hessian, VECTORS, epsilon=0.1, iterations=10),
    }[solver]
    found = measured(solve, rounds=1)
    benchmark.extra_info["products_or_gradients"] = found.products
    benchmark.extra_info["eigenvalues"] = [round(value, 3) for value in found.values.tolist()]
    benchmark.extra_info["residuals"] = [float(f"{value:.1e}") for value in found.residuals.tolist()]


def stylegan2(compute, channels=512):
    """A StyleGAN2 of 64x64 pixels, and the space of its layer convs.3."""
    generator = compute.place(StyleGAN2("bench", "", 64, 512, 512, channel_max=channels))
    return ParameterSpace(generator, generator.layer("convs.3"))


def test_a_push_and_pull_against_forward_and_reverse_mode(faster):
    """The goal is 1.9."""
    compute = Compute()
    space, distance = stylegan2(compute), create_distance("stlpips-alex", compute)
    with torch.no_grad():
        state = space.prepare(space.generator.sample(range(2), 0))

    def response(offset):
        return distance.features(space.render(state, offset))

    zero, vector = torch.zeros(space.shape), torch.randn(space.shape)
    pull, linearised = torch.func.vjp(response, zero)[1], Linearised(response, zero)

    def old():
        return pull(torch.func.jvp(response, (zero,), (vector,))[1])[0]

    def new():
        return linearised.pull(linearised.push(vector))

    assert float((new() - old()).norm() / old().norm()) < 1e-3
    faster(old, new, linearised_mib=linearised.bytes >> 20)


@torch.no_grad()
def test_perceptual_features_channels_last_against_contiguous(faster):
    """The goal is 1.25."""
    distance, contiguous = (create_distance("stlpips-alex", Compute()) for _ in range(2))
    contiguous.to(memory_format=torch.contiguous_format)
    images = torch.rand(32, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    old, new = (lambda network=network: network.features(images) for network in (contiguous, distance))
    torch.testing.assert_close(new(), old(), rtol=1e-4, atol=1e-6)
    faster(old, new)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_floor_of_a_step_of_eq_1(faster, precision):
    """The passes of generator and reconstructor, forward and backward, alone; the goals are 0.8, and 3.6 GiB."""
    compute = Compute(precision=precision)
    space = stylegan2(compute)
    basis = SvdBasis(space.layer, space.generator.kernel(space.layer))
    learner = released(Pairs(space, basis, 5.0, 0.1, BATCH, 0), compute)
    with torch.no_grad(), compute.autocast():
        state = space.prepare(space.generator.sample(range(BATCH), 0))
    offset = torch.zeros(BATCH, *space.shape, requires_grad=True)

    def floor():
        with compute.autocast():
            with torch.no_grad():
                original = space.render(state, offset[0])
            logits, shift = learner.reconstructor(original, space.render(state, offset))
            (logits.float().sum() + shift.float().sum()).backward()

    faster(floor, learner.train_step, rounds=2)
