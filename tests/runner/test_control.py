"""Imitations beside random directions, on a generator whose images are linear in kernel and code."""

import made_up
import pytest
import torch
import toy
from analytic import LinearGenerator, Quadratic, direction_set, noise
from made_up import measurement

from navbench.experiments.reproduction import Reproductions
from navbench.experiments.screening import Screened, Screening
from navbench.work import Unstored


class Known(Quadratic):
    """A distance that pieces may be given."""

    cache_key = "quadratic"


LINEAR = LinearGenerator(latent_dim=3, side=4)
IMAGES = LINEAR.map.weight
LATENT = torch.einsum("c,cdyx->dyx", torch.tensor([0.5, -1.0, 2.0]), IMAGES[:3])
SIZES = {"directions": 2, "targets": ["z"], "codes": 24, "held_out": 24, "steps": 60, "bound": 2, "controls": 4}


def beyond_latents():
    """An image that is orthogonal to all that a latent shift can add."""
    basis, image = torch.linalg.qr(IMAGES[:3].flatten(1).T)[0], noise(8, 48)
    return (image - basis @ (basis.T @ image)).view(3, 4, 4)


def rows(effects=(1.0, 1.0), method="svd", count=2, **sizes):
    """Of a latent shift and of what no latent does, both by the kernel, the rows of their imitations in z."""
    vectors = torch.stack([LINEAR.row(3, LATENT), LINEAR.row(3, beyond_latents())])[:count]
    ends = {"t_min": -torch.ones(count), "t_max": torch.ones(count)}
    sets = [direction_set(LINEAR, "map", vectors, method=method, **ends)]
    screened = {one.name: torch.full((2, 4), effect) for one, effect in zip(sets[0], effects, strict=False)}
    suite = toy.tiny(experiments=[], reproduction=SIZES | sizes)
    on = measurement({Screening: Screened(screened)}, generator=LINEAR, sets=sets, suite=suite)
    for name, value in (("executor", Unstored()), ("distance", Known())):
        object.__setattr__(on.bench, name, value)
    return made_up.rows(Reproductions(), on, Reproductions().run(on), "reproduction")


def test_a_latent_shift_is_imitated_better_than_chance_and_what_no_latent_does_is_not():
    latent, beyond = rows()
    assert latent["unexplained_fraction"] < 1e-4
    assert latent["than_control"] == "less"
    assert (latent["control_effect"], latent["n_control"]) == (pytest.approx(1.0, rel=0.01), 4)
    assert beyond["unexplained_fraction"] == pytest.approx(1, abs=1e-3)
    assert beyond["control"] == pytest.approx(1, abs=0.1)
    assert beyond["than_control"] == "undecided"
    assert latent["bound"] <= latent["unexplained_fraction"]


def test_edits_whose_effects_differ_are_not_compared():
    verdicts = [row["than_control"] for row in rows(effects=(1.0, 2.0))]
    assert verdicts == ["", ""]
    assert "control_p" not in rows(effects=(1.0, 2.0))[0]


def test_searches_that_have_not_converged_are_not_compared():
    latent, _ = rows(steps=1)
    assert "not converged" in latent["status"]
    assert latent["than_control"] == ""


def test_the_random_directions_of_the_suite_are_the_control_and_not_compared_with_themselves():
    for row in rows(method="random"):
        assert row["n_control"] == 2
        assert row["than_control"] == ""


def test_a_single_random_direction_is_imitated_itself_beside_drawn_ones():
    """Drawn ones are others than the plan's, whatever they are called."""
    assert rows(method="random", count=1)[0]["unexplained_fraction"] < 1e-4
