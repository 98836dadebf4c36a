import math

import numpy as np
import pytest
import torch
from analytic import Curved, LinearGenerator, Quadratic, edit, noise, wrapped
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from navbench import spaces
from navbench.compute import Compute
from navbench.experiments.edit import codes_for
from navbench.experiments.imitation import Sizes
from navbench.experiments.imitation import solve as solve_all
from navbench.experiments.least_squares import PATIENCE, PLATEAU, Imitation, _descend, has_stopped_falling
from navbench.experiments.strips import to_bytes
from navbench.progress import silent

LINEAR = LinearGenerator(latent_dim=3, side=4)
IMAGES = LINEAR.map.weight  # (4, 3, 4, 4): what a unit of each input adds
T = 1.7


def solve(offset, kind="z", batch=16, t=T, steps=40, codes=12, held_out=8, rows=3, bound=3):
    """Imitate an edit of the linear generator's kernel in another of its spaces."""
    made = edit(LINEAR, offset, Compute(batch=batch), layer="map")
    problem = Imitation(made, t, spaces.create(LINEAR, kind, None if kind == "z" else "map"), Quadratic(), seed=3)
    return solve_all([problem], Sizes(codes, held_out, steps, bound), rows)[0]


def unexplained_fraction(found):
    return float(found.errors.sum() / found.sizes.sum())


def reachable():
    """An image that a latent shift can add to all images."""
    return torch.einsum("c,cdyx->dyx", torch.tensor([0.5, -1.0, 2.0]), IMAGES[:3])


def unreachable(rows=4):
    """An image that is orthogonal to all that the first `rows` inputs can add."""
    basis = torch.linalg.qr(IMAGES[:rows].flatten(1).T)[0]
    image = noise(8, 3 * 4 * 4)
    return (image - basis @ (basis.T @ image)).view(3, 4, 4)


@pytest.mark.parametrize("kind", ["z", "activation"])
def test_an_edit_that_is_a_latent_shift_is_reproduced(kind):
    found = solve(LINEAR.row(3, reachable()), kind)
    assert unexplained_fraction(found) < 1e-5
    assert float(found.steps[-1]) < 1e-5
    h = T * torch.tensor([0.5, -1.0, 2.0]) / reachable().norm()
    torch.testing.assert_close(found.offset.flatten()[:3], h, rtol=1e-2, atol=1e-2)
    assert float(found.perceptual.max()) < 1e-4
    assert torch.equal(found.panel[:, 1], found.panel[:, 2])


@pytest.mark.parametrize("kind", ["z", "activation"])
def test_an_edit_orthogonal_to_all_that_a_space_can_do_is_not_reproduced_at_all(kind):
    found = solve(LINEAR.row(3, unreachable()), kind)
    assert unexplained_fraction(found) == pytest.approx(1, abs=1e-5)
    assert found.steps.tolist() == pytest.approx([1.0] * len(found.steps))
    assert float(found.offset.norm()) < 1e-3


def test_spaces_that_imitate_one_edit_together_find_what_each_finds_alone():
    made = edit(LINEAR, LINEAR.row(3, reachable() + unreachable()), Compute(batch=5), layer="map")
    targets = [spaces.create(LINEAR, "z"), spaces.create(LINEAR, "activation", "map")]
    problems = [Imitation(made, T, space, Quadratic(), seed=3) for space in targets]
    for together, problem in zip(solve_all(problems, Sizes(12, 8, 5, 3)), problems, strict=True):
        (alone,) = solve_all([problem], Sizes(12, 8, 5, 3))
        for name in ("offset", "steps", "errors", "sizes", "perceptual", "perceptual_sizes", "best_errors", "panel"):
            torch.testing.assert_close(getattr(together, name), getattr(alone, name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("angle", [0.3, 0.8, 1.3])
def test_an_edit_that_is_partly_reachable_leaves_the_rest(angle):
    image = math.cos(angle) * reachable() / reachable().norm()
    image = image + math.sin(angle) * unreachable() / unreachable().norm()
    found = solve(LINEAR.row(3, image))
    assert unexplained_fraction(found) == pytest.approx(math.sin(angle) ** 2, abs=1e-4)
    assert float(found.steps[-1]) == pytest.approx(math.sin(angle) ** 2, abs=1e-4)
    ratio = float(found.perceptual.sum() / found.perceptual_sizes.sum())
    assert ratio == pytest.approx(math.sin(angle) ** 2, abs=1e-4)


def test_an_edit_that_the_constant_can_do_is_for_activations_alone():
    image, own = LINEAR.row(3, IMAGES[3]), IMAGES[3].flatten()
    basis = torch.linalg.qr(IMAGES[:3].flatten(1).T)[0]
    exact = float((own - basis @ (basis.T @ own)).square().sum() / own.square().sum())
    assert unexplained_fraction(solve(image, "activation")) < 1e-5
    assert unexplained_fraction(solve(image, "z")) == pytest.approx(exact, abs=1e-4)


def test_an_edit_that_depends_on_the_code_is_reproduced_on_average_only():
    """z_0 times an image: one h for all codes can only add the mean of z_0, on the codes that it was found on."""
    found = solve(LINEAR.row(0, reachable()))
    z = codes_for(LINEAR, "reproduction", range(12), 3).z[:, 0]
    assert float(found.steps[-1]) == pytest.approx(1 - float(z.mean() ** 2 / z.square().mean()), abs=1e-4)
    held = codes_for(LINEAR, "held out", range(8), 3).z[:, 0]
    expected = float((held - z.mean()).square().sum() / held.square().sum())
    assert unexplained_fraction(found) == pytest.approx(expected, abs=1e-3)


def test_errors_and_sizes_are_per_held_out_code():
    offset = LINEAR.row(0, reachable())
    found = solve(offset, steps=2)
    codes = codes_for(LINEAR, "held out", range(8), 3)
    edited = T * torch.einsum("nc,cdyx->ndyx", LINEAR.inputs(codes), offset / offset.norm())
    imitated = torch.einsum("c,cdyx->dyx", found.offset, IMAGES[:3])
    torch.testing.assert_close(found.sizes, edited.square().mean((1, 2, 3)).double(), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(
        found.errors, (edited - imitated).square().mean((1, 2, 3)).double(), rtol=1e-3, atol=1e-6
    )
    torch.testing.assert_close(found.perceptual_sizes.double(), 48 * found.sizes, rtol=1e-4, atol=1e-6)


def test_the_panel_shows_unshifted_edit_and_imitation_of_the_first_held_out_codes():
    found = solve(LINEAR.row(3, unreachable()), batch=2, rows=3)
    images = LINEAR(codes_for(LINEAR, "held out", range(3), 3))
    assert found.panel.shape == (3, 3, 3, 4, 4)
    assert torch.equal(found.panel[:, 0], to_bytes(images))
    edited = images + T * unreachable() / unreachable().norm()
    assert int((found.panel[:, 1].int() - to_bytes(edited).int()).abs().max()) <= 1
    assert int((found.panel[:, 2].int() - found.panel[:, 0].int()).abs().max()) <= 1


@pytest.fixture(scope="module")
def curved():
    """A kernel edit of a smooth network, imitated in z and in the activations before the layer."""
    generator = wrapped()
    made = edit(generator, noise(0, 8, 8, 3, 3), Compute(batch=4), layer="wide")
    return {
        kind: solve_all(
            [Imitation(made, 3.0, spaces.create(generator, kind, "wide"), Curved(), seed=0)], Sizes(10, 4, 25, 2)
        )[0]
        for kind in ("z", "activation")
    }


@pytest.mark.parametrize("kind", ["z", "activation"])
def test_the_residual_never_rises_and_starts_at_one(curved, kind):
    steps = curved[kind].steps
    assert steps[0] == 1
    assert (steps.diff() <= 1e-9).all()
    assert 0 < float(steps[-1]) < 0.99
    assert len(steps) <= 26


def test_reproduction_does_not_depend_on_the_batch():
    offset = LINEAR.row(0, reachable())
    expected = solve(offset, batch=64)
    for batch in (1, 5):
        found = solve(offset, batch=batch)
        assert unexplained_fraction(found) == pytest.approx(unexplained_fraction(expected), rel=1e-4)
        torch.testing.assert_close(found.offset, expected.offset, rtol=1e-3, atol=1e-4)


def test_equal_seeds_give_equal_reproductions(curved):
    generator = wrapped()
    made = edit(generator, noise(0, 8, 8, 3, 3), Compute(batch=4), layer="wide")
    (again,) = solve_all([Imitation(made, 3.0, spaces.create(generator, "z"), Curved(), seed=0)], Sizes(10, 4, 25, 2))
    assert torch.equal(again.offset, curved["z"].offset)
    assert torch.equal(again.steps, curved["z"].steps)


def test_the_imitation_of_no_edit_is_no_edit():
    found = solve(LINEAR.row(3, reachable()), t=0.0)
    assert (found.offset == 0).all()
    assert (found.sizes == 0).all()
    assert (found.errors == 0).all()
    assert found.steps.tolist() == [1.0]


# --- the bound ---------------------------------------------------------------------------------------------------


def test_an_edit_that_depends_on_the_code_is_reproduced_by_an_offset_for_each():
    found = solve(LINEAR.row(0, reachable()), bound=8)
    assert unexplained_fraction(found) > 0.5
    assert found.bound.value < 1e-4
    assert (found.best_errors <= found.errors).all()


@pytest.mark.parametrize("kind", ["z", "activation"])
def test_an_edit_that_no_offset_makes_is_bounded_by_itself(kind):
    found = solve(LINEAR.row(3, unreachable()), kind)
    assert found.bound.value == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", ["z", "activation"])
@pytest.mark.parametrize("steps", [1, 2, 25])
def test_the_bound_is_never_above_the_residual(kind, steps):
    generator = wrapped()
    made = edit(generator, noise(0, 8, 8, 3, 3), Compute(batch=3), layer="wide")
    problem = Imitation(made, 3.0, spaces.create(generator, kind, "wide"), Curved(), seed=0)
    (found,) = solve_all([problem], Sizes(6, 5, steps, 4))
    assert (found.best_errors <= found.errors[:4]).all()
    assert 0 <= found.bound.value <= found.unexplained_fraction.value


def test_the_bound_does_not_depend_on_the_batch():
    offset = LINEAR.row(0, reachable()) + LINEAR.row(3, unreachable())
    values = [solve(offset, batch=batch, bound=5, steps=6).best_errors for batch in (1, 2, 8)]
    for other in values[1:]:
        torch.testing.assert_close(other, values[0], rtol=1e-4, atol=1e-7)


def test_without_codes_for_it_there_is_no_bound():
    assert solve(LINEAR.row(3, reachable()), bound=0).bound is None


# --- the plateau -------------------------------------------------------------------------------------------------


@given(st.floats(0.01, 1), st.integers(PATIENCE, 30))
def test_a_residual_that_falls_by_more_than_a_share_in_each_step_has_not_stopped(share, steps):
    assert not has_stopped_falling([(1 - share) ** step + 1e-300 for step in range(steps + 1)])


@given(st.floats(0, 0.9 * PLATEAU / PATIENCE), st.integers(PATIENCE, 30))
def test_a_residual_that_falls_by_less_over_the_last_steps_has(share, steps):
    assert has_stopped_falling([(1 - share) ** step for step in range(steps + 1)])


def test_before_there_are_enough_steps_nothing_has_stopped():
    assert not has_stopped_falling([1.0] * PATIENCE)
    assert has_stopped_falling([1.0] * (PATIENCE + 1))


def test_only_the_last_steps_count():
    assert has_stopped_falling([1.0, 0.5, *[0.4] * (PATIENCE + 1)])
    assert not has_stopped_falling([*[0.4] * 9, 0.39])


def test_a_search_that_the_maximum_of_steps_ended_has_not_converged():
    generator = wrapped()
    made = edit(generator, noise(0, 8, 8, 3, 3), Compute(batch=4), layer="wide")
    problem = Imitation(made, 3.0, spaces.create(generator, "z"), Curved(), seed=0)
    (short,) = solve_all([problem], Sizes(10, 4, 2))
    (long,) = solve_all([problem], Sizes(10, 4, 500))
    assert (bool(short.converged), len(short.steps)) == (False, 3)
    assert bool(long.converged)
    assert has_stopped_falling(long.steps.tolist())
    assert not has_stopped_falling(long.steps[:-1].tolist())
    assert short.status.startswith("not converged")


def test_codes_of_the_fit_that_are_too_few_are_told():
    """Two codes: the mean of z_0 over them is not that of the others."""
    found = solve(LINEAR.row(0, reachable()), codes=2)
    assert not found.agrees
    assert found.status == "more codes needed"
    assert solve(LINEAR.row(3, reachable())).status == ""


def test_openblas_has_one_thread_while_an_offset_is_sought_and_its_own_afterwards():
    """Its idle threads spin on the cores that torch needs: a search took 2.4 times as long."""

    def threads():
        pools = ThreadpoolController().select(internal_api="openblas").lib_controllers
        return {pool.num_threads for pool in pools}

    seen = []

    def objective(x):
        seen.append(threads())
        return float(x @ x), 2 * x

    with ThreadpoolController().select(internal_api="openblas").limit(limits=2):
        _descend(objective, np.ones(3), 3.0, 5, 5, silent)
        assert threads() == {2}
    assert seen
    assert all(each == {1} for each in seen)
