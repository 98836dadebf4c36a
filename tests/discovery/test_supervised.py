"""Directions of attributes by a scorer's gradients, on images that are linear in the offset and a scorer likewise."""

import sys
from dataclasses import replace

import analytic
import pytest
import torch
from torch import nn

from navbench import seeds
from navbench.compute import Compute
from navbench.costs import rehearse
from navbench.discovery import supervised
from navbench.discovery.calibration import EffectMeter
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings, SupervisedSettings
from navbench.discovery.supervised import attribute_gradients, dual, steered_offset
from navbench.errors import NavbenchError
from navbench.metrics.attributes import Attribute, create_scorer, movement, seen
from navbench.spaces import LatentSpace, ParameterSpace

SIDE, SPREADS = 4, (0.5, 2.0, 1.0)


class Linear(nn.Module):
    """Three attributes: linear maps of the pixels, the first two alike."""

    attributes = tuple(Attribute(f"a{index}", "", spread) for index, spread in enumerate(SPREADS))

    def __init__(self):
        super().__init__()
        rows = analytic.noise(7, 3, 3 * SIDE * SIDE)
        rows[1] += 1.5 * rows[0]
        self.rows = nn.Parameter(rows)

    def forward(self, images):
        return images.flatten(1) @ self.rows.T


class Sometimes(Linear):
    """The same, which sees nothing in some images, and would give others' gradients no number."""

    subject = "something"

    def forward(self, images):
        hidden = (images.flatten(1)[:, :1] > 0.02).float()
        return super().forward(images) * torch.where(hidden > 0, torch.nan, 1.0)


class Rounded(Linear):
    def forward(self, images):
        return super().forward(images.detach())


class Blind(Linear):
    """An attribute whose gradient is zero everywhere."""

    def forward(self, images):
        return super().forward(images) * torch.tensor([1.0, 0.0, 1.0])


class Turning(Linear):
    """An angle that passes from one end of its period to the other within any range."""

    attributes = (Attribute("angle", "deg", 30.0, 360.0), *Linear.attributes[1:])

    def forward(self, images):
        scores = super().forward(images)
        return torch.cat([(359 + 3 * scores[:, :1]) % 360, scores[:, 1:]], dim=1)


@pytest.fixture(autouse=True)
def scorers(monkeypatch):
    monkeypatch.setitem(sys.modules, "test_supervised", sys.modules[__name__])


def small(seed=0):
    """Images that are linear in the kernel, and so small that none is clipped."""
    made = analytic.LinearGenerator(latent_dim=3, side=SIDE, seed=seed)
    made.map.weight.data *= 0.02
    return made


SPACE = ParameterSpace(small(), small().layers()[0])
TARGET = 1e-3
HOW = SupervisedSettings(codes=32, held_out=16, steps=150, batch=32, check=50, learning_rate=0.05, change=100.0)


def scorer(kind="Linear", batch=16):
    return create_scorer(f"test_supervised:{kind}", Compute(batch=batch))


def searched(kind="Linear", attribute=0, space=SPACE, batch=16, **changes):
    compute, read = Compute(batch=batch), scorer(kind, batch)
    meter = EffectMeter(space, analytic.Quadratic(), space.generator.sample(range(8), 5), compute)
    start = dual(attribute_gradients(space, read, 32, compute, 1).means)[attribute]
    return meter, read, start, steered_offset(meter, read, start, attribute, TARGET, HOW.model_copy(update=changes), 1)


def jacobians(read, space=SPACE, count=32):
    """By code the gradients of the attributes in sigmas, (n, A, P)."""
    inputs = space.generator.inputs(space.generator.sample(range(count), seeds.derived(1, "supervised")))
    rows = read.module.rows.detach() / torch.tensor(SPREADS)[:, None]
    return torch.einsum("nc,ap->nacp", inputs, rows).flatten(2).double()


def objective(offset, by_code, attribute):
    """(E c_a)^2 / E sum_b c_b^2 of an offset, which is linear here."""
    changes = by_code @ offset.double().flatten()
    return float(changes[:, attribute].mean() ** 2 / changes.square().sum(1).mean())


def test_gradients_are_the_mean_over_codes_in_sigmas():
    read = scorer()
    means = attribute_gradients(SPACE, read, 32, Compute(batch=5), 1).means
    torch.testing.assert_close(means.flatten(1).double(), jacobians(read).mean(0), rtol=1e-4, atol=1e-5)


def test_the_start_moves_its_own_attribute_alone_in_the_mean():
    read = scorer()
    moved = dual(jacobians(read).mean(0).float()).double() @ jacobians(read).mean(0).T
    alone = moved.square() / moved.square().sum(1, keepdim=True)
    assert alone.diagonal().min() > 0.99
    assert moved.diagonal().min() > 0


@pytest.mark.parametrize("attribute", [0, 2])
def test_the_search_finds_the_optimum_of_the_penalised_problem(attribute):
    _, read, start, found = searched(attribute=attribute)
    by_code = jacobians(read)
    second = torch.einsum("nap,naq->pq", by_code, by_code) / len(by_code)
    mean = by_code.mean(0)[attribute]
    best = torch.linalg.pinv(second, rtol=1e-9) @ mean  # maximises (m v)^2 / v M v
    reached, bound, begun = (objective(each, by_code, attribute) for each in (found.offset, best, start))
    assert begun < 0.9 * bound
    assert reached > 0.985 * bound
    assert reached <= bound * (1 + 1e-6)


def test_what_is_told_of_held_out_codes_is_what_they_show():
    meter, read, _, found = searched(attribute=1, steps=20, check=10)
    codes = SPACE.generator.sample(range(HOW.held_out), seeds.derived(1, "supervised held out"))
    shifts = (float(found.t_min), 0.0, float(found.t_max))
    state = SPACE.prepare(codes)
    moved = movement(
        torch.stack([read(SPACE.render(state, t * found.offset)) for t in shifts]), shifts, read.attributes
    )
    assert float(found.share) == pytest.approx(float(moved.share[1]), rel=1e-5)
    assert float(found.consistency) == pytest.approx(float(moved.consistency[1]), rel=1e-5)
    assert len(found.shares) == 3
    assert float(found.share) in found.shares.tolist()
    assert float(found.offset.norm()) == pytest.approx(1, rel=1e-5)
    for t in (shifts[0], shifts[2]):
        assert meter.effect(t * found.offset) == pytest.approx(TARGET, rel=0.02)


def test_batches_change_nothing_but_speed():
    whole, parts = (searched(batch=batch, steps=10, check=10)[3] for batch in (32, 5))
    torch.testing.assert_close(whole.offset, parts.offset, rtol=1e-3, atol=1e-4)
    assert float(whole.share) == pytest.approx(float(parts.share), rel=1e-3)


def test_images_without_the_subject_are_left_out():
    _, read, _, found = searched("Sometimes", steps=40, check=20)
    codes = SPACE.generator.sample(range(32), seeds.derived(1, "supervised"))
    lost = ~seen(read(SPACE.generator(codes)))
    assert 2 < int(lost.sum()) < 30
    assert torch.isfinite(found.offset).all()
    assert float(found.share) > 0.5
    kept = jacobians(read)[~lost].mean(0)
    means = attribute_gradients(SPACE, read, 32, Compute(batch=7), 1).means.flatten(1).double()
    cosines = nn.functional.cosine_similarity(means, kept, dim=1)
    assert cosines.min() > 0.9999


def test_a_step_that_loses_the_subject_is_not_the_best_however_pure_it_is(monkeypatch):
    """The first check, before any step, is the only one whose images are read."""
    check, tried = supervised._Search.check, []

    def losing(self, target):
        made = check(self, target)
        tried.append(made)
        pure = torch.tensor([1.0, 1.0])
        return made if len(tried) == 1 else replace(made, means=pure, is_read=False)

    monkeypatch.setattr(supervised._Search, "check", losing)
    _, _, start, found = searched(steps=4, check=2)
    assert torch.allclose(found.offset, start / start.norm(), atol=1e-6)
    assert float(found.share) == pytest.approx(tried[0].share) != 0


def test_circular_attributes_change_by_the_shortest_way():
    _, _, _, found = searched("Turning", steps=1, check=1)
    changes = float(found.share), float(found.consistency)
    assert changes[0] > 0.5
    assert changes[1] > 0.99


def test_what_an_attribute_changes_beyond_the_limit_is_no_gain():
    def reached(**changes):
        _, read, _, found = searched(attribute=0, steps=60, check=60, **changes)
        state = SPACE.prepare(SPACE.generator.sample(range(8), 9))
        high, low = (read(SPACE.render(state, float(t) * found.offset)) for t in (found.t_max, found.t_min))
        return float((high - low)[:, 0].mean() / SPREADS[0] / 2)

    free = reached()
    assert reached(change=free / 4) < 0.9 * free


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Rounded", "is not differentiable: no gradient of what it reads reaches the images; take method interfacegan"),
        ("Blind", "has no gradient of 'a1' in parameter map; take method interfacegan"),
    ],
)
def test_a_scorer_without_gradients_is_refused(kind, words):
    with pytest.raises(NavbenchError, match=words):
        found(kind)


def found(kind="Linear", space=SPACE, **changes):
    how = HOW.model_copy(update={"scorer": kind and f"test_supervised:{kind}", "steps": 10, "check": 5} | changes)
    settings = DiscoverySettings(effect=TARGET, effect_codes=8, supervised=how)
    return Discovery(space, analytic.Quadratic(), settings, Compute(batch=16), 1).run("supervised")


def test_a_set_has_a_direction_per_attribute_and_says_whose():
    one = found()
    assert one.provenance["attributes"] == ["a0", "a1", "a2"]
    assert one.provenance["scorer"] == "test_supervised:Linear"
    assert len(one) == 3
    assert {*one.scores} == {"held_out_share", "held_out_consistency"}
    read = scorer()
    state = SPACE.prepare(SPACE.generator.sample(range(16), 33))
    for index, direction in enumerate(one):
        scores = torch.stack([read(SPACE.render(state, t * direction.offset)) for t in direction.shifts(3)])
        moved = movement(scores, direction.shifts(3).tolist(), read.attributes)
        assert moved.dominant == index
        assert moved.standardised[index] > 0


def test_it_is_found_in_latent_spaces_too_and_refused_without_a_scorer():
    space = LatentSpace(SPACE.generator)
    one = found(space=space)
    assert (one.space, one.layer) == ("z", None)
    rows = torch.stack([read_rows(direction.offset) for direction in one])
    assert (rows.abs().argmax(dim=1) == torch.arange(3)).all()
    with pytest.raises(NavbenchError, match="Method supervised asks an attribute scorer; name one"):
        found("")


def read_rows(shift):
    """What a shift of z does to the attributes, in sigmas."""
    image = torch.einsum("c,cp->p", shift, SPACE.generator.map.weight.flatten(1)[:3])
    return Linear().rows.detach() @ image / torch.tensor(SPREADS)


def test_the_rehearsal_has_the_shapes_of_the_result():
    meter, read, start, made = searched(steps=10, check=4)
    piece = steered_offset.piece(meter, read, start, 0, TARGET, HOW.model_copy(update={"steps": 10, "check": 4}), 1)
    sketch = rehearse(piece, lambda part: part)
    assert all(getattr(sketch.result, name).shape == getattr(made, name).shape for name in vars(made))
    assert all(trial.trial()() > 0 for trial in sketch.costs)
