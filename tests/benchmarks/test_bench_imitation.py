"""The search for an offset: threads of OpenBLAS, that spin after each of its calls, against one."""

from contextlib import nullcontext

import pytest

from navbench.compute import Compute
from navbench.experiments import least_squares
from navbench.experiments.edit import Edit
from navbench.experiments.least_squares import Edited, Imitation, LeastSquares
from navbench.face import load_direction
from navbench.metrics.perceptual import create_distance
from navbench.progress import silent
from navbench.spaces import create

GROUP = "20 steps towards an offset of w, cars, 16 codes"


class Free:
    """In the place of threadpoolctl's, and limits nothing."""

    def select(self, **kinds):
        return self

    def limit(self, **limits):
        return nullcontext()


@pytest.fixture(scope="module")
def search():
    compute = Compute()
    direction = load_direction("cars/svd/convs.1/0")
    generator = direction.space.generator
    edit = Edit(generator, direction.direction, compute)
    problem = Imitation(edit, direction.direction.t_max, create(generator, "w"), create_distance("alex", compute), 0)
    edited = Edited(problem, compute, range(16))
    return lambda: LeastSquares(problem.space, edited).minimise(20, silent)


@pytest.mark.benchmark(group=GROUP)
def test_one_thread_of_openblas(measured, search):
    assert measured(search).curve[-1] < 1


@pytest.mark.benchmark(group=GROUP)
def test_all_threads_of_openblas(measured, search, monkeypatch):
    monkeypatch.setattr(least_squares, "ThreadpoolController", Free)
    assert measured(search).curve[-1] < 1
