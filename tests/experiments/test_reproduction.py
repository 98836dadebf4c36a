import math

import pytest
import torch
from analytic import Curved, LinearGenerator, Quadratic, edit, noise, wrapped

from navbench import spaces
from navbench.compute import Compute
from navbench.experiments.edit import codes_for
from navbench.experiments.imitation import Imitation, Sizes
from navbench.experiments.imitation import solve as solve_all
from navbench.experiments.strips import to_bytes

LINEAR = LinearGenerator(latent_dim=3, side=4)
IMAGES = LINEAR.map.weight  # (4, 3, 4, 4): what a unit of each input adds
T = 1.7


def solve(offset, kind="z", batch=16, t=T, steps=40, codes=12, held_out=8, rows=3, bound=3):
    """Imitate an edit of the linear generator's kernel in another of its spaces."""
    made = edit(LINEAR, offset, Compute(batch=batch), layer="map")
    problem = Imitation(made, t, spaces.create(LINEAR, kind, None if kind == "z" else "map"), Quadratic(), seed=3)
    return problem.solve(Sizes(codes, held_out, steps, bound), rows)


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
        alone = problem.solve(Sizes(12, 8, 5, 3))
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
        kind: Imitation(made, 3.0, spaces.create(generator, kind, "wide"), Curved(), seed=0).solve(Sizes(10, 4, 25, 2))
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
    again = Imitation(made, 3.0, spaces.create(generator, "z"), Curved(), seed=0).solve(Sizes(10, 4, 25, 2))
    assert torch.equal(again.offset, curved["z"].offset)
    assert torch.equal(again.steps, curved["z"].steps)


def test_the_imitation_of_no_edit_is_no_edit():
    found = solve(LINEAR.row(3, reachable()), t=0.0)
    assert (found.offset == 0).all()
    assert (found.sizes == 0).all()
    assert (found.errors == 0).all()
    assert found.steps.tolist() == [1.0]
