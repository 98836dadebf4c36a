"""One step of eq. 1 against its naive form, and eight eigenvectors by both solvers."""

import pytest
import torch
import torch.nn.functional as F

from navbench import seeds
from navbench.basis import random_basis
from navbench.compute import Compute
from navbench.discovery.hessian import PerceptualHessian, krylov, power
from navbench.discovery.learn import Learner, Pairs
from navbench.discovery.settings import LearnSettings
from navbench.metrics.perceptual import create_distance
from navbench.spaces import ParameterSpace

DIRECTIONS, BATCH, VECTORS = 64, 32, 8


class NaivePairs(Pairs):
    """The same pairs, by a tensor of size batch x basis x kernel."""

    def render(self, indices, coefficients, k, t):
        codes = self.space.generator.sample(indices, seeds.derived(self.seed, "codes"))
        unit = F.normalize(coefficients[k], dim=1) * (t * self.limit)[:, None]
        offset = (unit[:, :, None, None, None, None] * self.basis.vectors[None]).sum(1)
        original = self.space.render(self.space.prepare(codes), torch.zeros(self.space.shape))
        return original, self.space.render(self.space.prepare(codes), offset)


@pytest.mark.benchmark(group="a step of eq. 1, K 64, batch 32, 64 basis vectors, main.9")
@pytest.mark.parametrize("pairs", [Pairs, NaivePairs], ids=["navbench", "batch x basis x kernel"])
def test_training_step(measured, faces, pairs):
    space = ParameterSpace(faces, faces.layer("main.9"))
    basis = random_basis(space.shape, DIRECTIONS, 0)
    learner = Learner(pairs(space, basis, 5.0, 0.1, 0), DIRECTIONS, LearnSettings(batch=BATCH), Compute())
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
