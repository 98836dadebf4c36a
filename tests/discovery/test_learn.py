from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from analytic import LinearGenerator, noise, unit
from torch import nn

from navbench import spaces
from navbench.basis import DenseBasis
from navbench.compute import Compute
from navbench.discovery import learn as module
from navbench.discovery.learn import (
    Checkpoint,
    Learned,
    Learner,
    learn,
    retracted,
    start_anywhere,
    start_near_axes,
)
from navbench.discovery.pairs import Pairs
from navbench.discovery.reconstructor import GAIN, Reconstructor
from navbench.discovery.settings import LearnSettings
from navbench.errors import Failure, NavbenchError, NavbenchWarning
from navbench.places import Folder

SIDE = 16


class Small(nn.Module):
    """A reconstructor of a few hundred parameters, batch norm and all."""

    def __init__(self, directions, trunk="small"):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(6, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, directions + 1)
        )

    def forward(self, original, shifted):
        out = self.net(torch.cat([original, shifted], dim=1))
        return out[:, :-1], out[:, -1]


def kept_at(path):
    """A checkpoint in a file."""
    return Checkpoint(Folder(path.parent), path.name)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "Reconstructor", Small)
    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 3)


def halves():
    """Two offsets, of the upper and the lower half of all images."""
    generator = LinearGenerator(latent_dim=3, side=SIDE)
    upper = torch.zeros(3, SIDE, SIDE)
    upper[:, : SIDE // 2] = 1
    return generator, torch.stack([generator.row(3, unit(upper)), generator.row(3, unit(1 - upper))])


def problem(basis=None, limit=20.0, codes=24, seed=0):
    generator, vectors = halves()
    space = spaces.create(generator, "parameter", "map")
    return Pairs(space, DenseBasis(vectors if basis is None else basis), limit, 0.1, codes, seed)


def start(directions=2, seed=0):
    return F.normalize(noise(seed, directions, 2), dim=1)


def settings(**changes):
    return LearnSettings(**({"steps": 10, "batch": 8, "learning_rate": 1e-3, "evaluation": 16} | changes))


def released(*args, **changes):
    """A learner whose rows move from its first step."""
    learner = Learner(problem(), start(), settings(**changes), Compute())
    learner.coefficients.requires_grad_()
    return learner


# --- pairs ---------------------------------------------------------------------------------------------------


def test_pairs_depend_on_the_seed_and_step_only():
    pairs = problem()
    indices, k, t = pairs.draw(7, 8, 5)
    again = replace(pairs).draw(7, 8, 5)
    assert indices == again[0] == range(8, 16)  # the second of three batches of codes
    assert replace(pairs, codes=0).draw(7, 8, 5)[0] == range(56, 64)
    assert torch.equal(k, again[1])
    assert torch.equal(t, again[2])
    assert not torch.equal(t, pairs.draw(8, 8, 5)[2])
    assert not torch.equal(t, replace(pairs, seed=1).draw(7, 8, 5)[2])


def test_codes_come_again_with_other_directions_and_shifts():
    pairs = problem(codes=24)
    drawn = [pairs.draw(step, 8, 5) for step in range(6)]
    assert [indices for indices, *_ in drawn] == 2 * [range(8), range(8, 16), range(16, 24)]
    assert not torch.equal(drawn[0][1], drawn[3][1])
    assert not torch.equal(drawn[0][2], drawn[3][2])


def test_directions_and_shifts_are_uniform_with_a_gap_around_zero():
    _, k, t = problem().draw(0, 20_000, 5)
    shares = torch.bincount(k, minlength=5) / 20_000
    assert float((shares - 0.2).abs().max()) < 0.02
    assert float(t.abs().min()) >= 0.1
    assert float(t.abs().max()) <= 1
    assert float((t > 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(t.abs().mean()) == pytest.approx(0.55, abs=0.01)
    assert float(t.abs().var()) == pytest.approx(0.9**2 / 12, rel=0.05)


def test_a_pair_is_an_image_and_its_edit_of_unit_norm_times_t():
    pairs = problem(limit=3.0)
    indices, k, t = pairs.draw(0, 6, 2)
    coefficients = torch.tensor([[5.0, 0.0], [3.0, 4.0]])  # their norms must not matter
    state, original = pairs.prepare(indices)
    shifted = pairs.shift(state, coefficients, k, t)
    vectors = pairs.basis.vectors
    offsets = torch.stack([vectors[0], 0.6 * vectors[0] + 0.8 * vectors[1]])
    generator = pairs.space.generator
    for image, moved, which, shift in zip(original, shifted, k, t, strict=True):
        expected = 3.0 * shift * offsets[which][3]  # the row of the constant
        torch.testing.assert_close(moved - image, expected, rtol=1e-4, atol=1e-5)
        assert float((moved - image).norm()) == pytest.approx(3.0 * abs(float(shift)), rel=1e-4)
    assert original.shape == (6, 3, SIDE, SIDE)
    assert generator.map.weight.grad is None


def test_unshifted_images_carry_no_graph_and_edits_one_to_the_coefficients_alone():
    pairs = problem()
    coefficients = noise(0, 2, 2).requires_grad_()
    indices, k, t = pairs.draw(0, 4, 2)
    state, original = pairs.prepare(indices)
    shifted = pairs.shift(state, coefficients, k, t)
    assert not original.requires_grad
    assert shifted.requires_grad
    leaves, seen, nodes = set(), set(), [shifted.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(node.variable)
        nodes += [following for following, _ in node.next_functions]
    assert leaves == {coefficients}


# --- the reconstructor ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("trunk", ["small", "resnet18"])
def test_the_reconstructor_takes_a_pair_of_images_to_direction_and_shift(trunk):
    torch.manual_seed(0)
    network = Reconstructor(5, trunk).eval()
    first, second = noise(0, 2, 3, 32, 32), noise(1, 2, 3, 32, 32)
    logits, shift = network(first, second)
    assert (logits.shape, shift.shape) == ((2, 5), (2,))
    assert not torch.allclose(logits, network(second, first)[0])
    torch.testing.assert_close(network(first[:1], second[:1])[0], logits[:1], rtol=1e-3, atol=1e-4)


def test_the_reconstructor_sees_the_image_and_its_amplified_difference():
    network, first, second = Reconstructor(2, "small"), noise(0, 2, 3, 8, 8), noise(1, 2, 3, 8, 8)
    seen = []
    network.trunk = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    network.trunk.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    network(first, second)
    torch.testing.assert_close(seen[0], torch.cat([first, GAIN * (second - first)], dim=1))


def test_large_images_are_seen_at_256_pixels():
    network = Reconstructor(2)
    large = noise(0, 2, 1, 3, 512, 512)
    halved = [F.avg_pool2d(images, 2) for images in large]
    network.eval()
    for found, expected in zip(network(*large), network(*halved), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


# --- rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [start_near_axes, start_anywhere])
def test_rows_start_orthonormal_by_the_seed(begin):
    rows = begin(5, 9, 3)
    torch.testing.assert_close(rows @ rows.T, torch.eye(5))
    assert torch.equal(rows, begin(5, 9, 3))
    assert not torch.equal(rows, begin(5, 9, 4))


def test_rows_near_the_axes_are_near_the_axes():
    assert float(start_near_axes(8, 32, 0).diagonal().min()) > 0.9
    assert float(start_anywhere(8, 32, 0).diagonal().max()) < 0.9


def test_a_retraction_gives_the_nearest_orthonormal_rows():
    rows = noise(0, 3, 7)
    nearest = retracted(rows)
    torch.testing.assert_close(nearest @ nearest.T, torch.eye(3))
    others = [retracted(nearest + 0.1 * noise(seed, 3, 7)) for seed in range(1, 9)]
    assert all((rows - nearest).norm() < (rows - other).norm() for other in others)
    torch.testing.assert_close(retracted(nearest), nearest)


def test_more_rows_than_axes_are_of_unit_norm_alone():
    torch.testing.assert_close(retracted(noise(0, 5, 3)).norm(dim=1), torch.ones(5))


# --- learning ------------------------------------------------------------------------------------------------


def test_only_coefficients_and_reconstructor_receive_gradients(small):
    learner = released()
    generator = learner.pairs.space.generator
    before, begun = generator.fingerprint, learner.coefficients.detach().clone()
    learner.train_step()
    assert learner.coefficients.grad.abs().min() > 0
    assert all(parameter.grad is not None for parameter in learner.reconstructor.parameters())
    assert not any(parameter.requires_grad for parameter in generator.parameters())
    assert all(parameter.grad is None for parameter in generator.parameters())
    del generator.__dict__["fingerprint"]
    assert generator.fingerprint == before
    assert not torch.equal(learner.coefficients, begun)


def test_the_loss_is_cross_entropy_and_lambda_times_the_mean_absolute_error(small):
    learner = Learner(problem(), start(), settings(regression=0.7), Compute())
    indices, k, t = learner.pairs.draw(0, 8, 2)
    with torch.no_grad():
        state, original = learner.pairs.prepare(indices)
        logits, shift = learner.reconstructor(original, learner.pairs.shift(state, learner.coefficients, k, t))
    chosen = logits.log_softmax(1)[torch.arange(8), k]
    fresh = Learner(problem(), start(), settings(regression=0.7), Compute())
    loss, accuracy = fresh.train_step().tolist()
    assert loss == pytest.approx(float(-chosen.mean() + 0.7 * (shift - t).abs().mean()), rel=1e-5)
    assert accuracy == float((logits.argmax(1) == k).float().mean())


def test_learning_starts_from_the_seed_whatever_the_global_state(small):
    pairs = problem()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = Learner(pairs, start(), settings(), Compute())
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    second = Learner(problem(), start(), settings(), Compute())
    other = Learner(problem(seed=1), start(), settings(), Compute())
    parameters = [[*learner.reconstructor.parameters()] for learner in (first, second, other)]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*parameters[:2], strict=True))
    assert not torch.equal(parameters[0][0], parameters[2][0])


def test_rows_stay_orthonormal(small):
    learner = released(row_learning_rate=0.1)
    begun = learner.coefficients.detach().clone()
    for _ in range(5):
        learner.train_step()
        rows = learner.coefficients.detach()
        torch.testing.assert_close(rows @ rows.T, torch.eye(2))
    assert float((rows - begun).abs().max()) > 0.05


def accuracies(monkeypatch, shares):
    """Learning in which the reconstructor names these shares of pairs rightly, step by step; the rows after each."""
    rows = []

    def release(learner, _, measured=Learner._release):
        measured(learner, shares[learner.step - 1])

    def report(done, total, note=""):
        rows.append(learners[0].coefficients.detach().clone())

    learners = []
    begin = Learner.__init__
    monkeypatch.setattr(Learner, "_release", release)
    monkeypatch.setattr(Learner, "__init__", lambda self, *args: (learners.append(self), begin(self, *args))[1])
    found = learn(problem(), start(), settings(steps=len(shares)), Compute(), report=report)
    return found, rows


def test_rows_do_not_move_while_the_running_accuracy_is_below_one_half(small, monkeypatch):
    found, rows = accuracies(monkeypatch, 13 * [1.0] + 2 * [0.0] + 7 * [1.0])  # after 13 steps it is 0.487
    first = next(step for step, now in enumerate(rows, start=1) if not torch.equal(now, start()))
    assert all(torch.equal(now, start()) for now in rows[: first - 1])
    assert int(found.released) == first - 1 > 14


def test_rows_that_are_never_recognised_never_move(small, monkeypatch):
    found, _ = accuracies(monkeypatch, 20 * [0.4])
    torch.testing.assert_close(found.coefficients, start(), rtol=0, atol=1e-6)
    assert int(found.released) == 20


def test_the_rows_of_a_control_are_its_start_and_it_learns_all_the_same(monkeypatch):
    made = settings(steps=40, batch=32, row_learning_rate=0.0, evaluation=64)
    control = learn(problem(limit=100.0), start_near_axes(2, 2, 0), made, Compute())
    assert torch.equal(control.coefficients, F.normalize(start_near_axes(2, 2, 0), dim=1))
    assert int(control.released) == 40
    assert control.eighths[-1] < 0.7 * control.eighths[0]


def test_a_control_sees_the_same_pairs_and_begins_as_the_training_that_it_controls(small):
    both = [learn(problem(), start(), settings(row_learning_rate=rate), Compute()) for rate in (1e-2, 0.0)]
    step = int(both[0].released)
    assert torch.equal(both[0].curve[: step + 1], both[1].curve[: step + 1])


def test_rates_fall_as_half_a_cosine_to_a_twentieth_for_the_last_quarter(small):
    learner, rates = released(row_learning_rate=0.1, steps=8), []
    for _ in range(8):
        learner.train_step()
        rates.append([group["lr"] for group in learner.optimizer.param_groups])
    shares = torch.tensor(rates) / torch.tensor([0.1, 1e-3])
    torch.testing.assert_close(shares[:, 0], shares[:, 1])
    assert shares[:, 0].tolist() == pytest.approx([1, 0.9364, 0.7625, 0.525, 0.2875, 0.1136, 0.05, 0.05], abs=1e-4)


def test_what_is_prepared_of_a_code_is_prepared_once(small, monkeypatch):
    prepare, prepared = Pairs.prepare, []
    monkeypatch.setattr(Pairs, "prepare", lambda pairs, indices: (prepared.append(indices), prepare(pairs, indices))[1])
    learn(problem(codes=16), start(), settings(steps=8, evaluation=8), Compute())
    assert prepared[:-1] == [range(8), range(8, 16)]  # and the last, held out


def test_eighths_are_means_of_the_loss_over_an_eighth_of_the_steps():
    curve = torch.arange(16, dtype=torch.float64)[:, None].expand(-1, 2)
    nothing = torch.zeros(())
    assert Learned(nothing, nothing, nothing, curve, nothing, nothing).eighths == [0.5 + 2 * i for i in range(8)]


class Cubic(LinearGenerator):
    """The last row of the kernel adds its cube, so an offset of one region changes images more than a mixture does."""

    def after(self, state, layer, weight=None):
        row = weight[..., -1, :, :, :]
        return super().after(state, layer) + row**3


def regions(count):
    """Offsets of as many bands of the images of `Cubic`, of unit norm."""
    generator = Cubic(latent_dim=3, side=SIDE)
    generator.map.weight.data[-1] = 0
    bands = torch.zeros(count, 3, SIDE, SIDE)
    for index, rows in enumerate(torch.arange(SIDE).chunk(count)):
        bands[index, :, rows] = 1
    return generator, torch.stack([generator.row(3, unit(band)) for band in bands])


def test_learning_recovers_the_directions_that_there_are_from_a_random_start():
    seed = 1
    generator, vectors = regions(4)
    space = spaces.create(generator, "parameter", "map")
    recipe = LearnSettings(steps=400, start="random", evaluation=128)
    pairs = Pairs(space, DenseBasis(vectors), 12.0, recipe.shift_floor, recipe.codes, seed)
    begun = start_anywhere(4, 4, seed)
    learned = learn(pairs, begun, recipe, Compute())
    nearest = learned.coefficients.abs().max(1)  # up to sign and order
    assert float(begun.abs().max(1).values.min()) < 0.75
    assert float(nearest.values.min()) > 0.9
    assert nearest.indices.unique().numel() == 4
    assert float(learned.accuracy.min()) == 1


def same(found, expected):
    assert torch.equal(found.coefficients, expected.coefficients)
    assert torch.equal(found.accuracy, expected.accuracy)
    assert found.shift_error == expected.shift_error
    assert torch.equal(found.curve, expected.curve)
    assert found.released == expected.released


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [1, 3, 5, 9])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(small, tmp_path, monkeypatch, at):
    monkeypatch.setattr(module, "RELEASE", 0.1)
    expected = learn(problem(), start(), settings(), Compute())
    assert 3 < int(expected.released) < 9
    assert not torch.allclose(expected.coefficients, start(), atol=1e-3)

    def kill(done, total, note=""):
        if done == at:
            raise Killed

    path = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        learn(problem(), start(), settings(), Compute(), checkpoint=kept_at(path), report=kill)
    steps = []
    found = learn(
        problem(),
        start(),
        settings(),
        Compute(),
        checkpoint=kept_at(path),
        report=lambda done, total, note="": steps.append(done),
    )
    same(found, expected)
    # It went on from the last checkpoint, which is at most three steps and never one step short of the interruption.
    assert steps == list(range((at - 1) // 3 * 3 + 1, 11))


def test_a_finished_training_is_not_repeated(small, tmp_path):
    path = tmp_path / "checkpoint"
    expected = learn(problem(), start(), settings(), Compute(), checkpoint=kept_at(path))

    def never(*_):
        raise AssertionError("a step was taken")

    same(
        learn(problem(), start(), settings(), Compute(), checkpoint=kept_at(path), report=never),
        expected,
    )


OTHERS = {
    "seed": lambda: (problem(seed=1), settings()),
    "shift": lambda: (problem(limit=21.0), settings()),
    "basis": lambda: (problem(basis=halves()[1].flip(0)), settings()),
    "rate": lambda: (problem(), settings(learning_rate=2e-3)),
    "batch": lambda: (problem(), settings(batch=4)),
    "steps": lambda: (problem(), settings(steps=11)),  # on which the rates depend
    "control": lambda: (problem(), settings(row_learning_rate=0.0)),
    "weights": lambda: (replace(problem(), space=other_weights()), settings()),
    "space": lambda: (latent(), settings()),
}


def other_weights():
    return spaces.create(LinearGenerator(latent_dim=3, side=SIDE, seed=1), "parameter", "map")


def latent():
    space = spaces.create(halves()[0], "z")
    return replace(problem(), space=space, basis=DenseBasis(torch.eye(3)[:2]))


@pytest.mark.parametrize("what", OTHERS)
def test_a_checkpoint_of_another_training_is_refused(small, tmp_path, what):
    path = tmp_path / "checkpoint"
    learn(problem(), start(), settings(), Compute(), checkpoint=kept_at(path))
    pairs, other = OTHERS[what]()
    with pytest.raises(NavbenchError, match="belongs to another training"):
        learn(pairs, start(), other, Compute(), checkpoint=kept_at(path))


def test_a_checkpoint_of_another_precision_is_refused(small, tmp_path):
    path = tmp_path / "checkpoint"
    learn(problem(), start(), settings(), Compute(), checkpoint=kept_at(path))
    with pytest.raises(NavbenchError, match="belongs to another training"):
        learn(problem(), start(), settings(), Compute(precision="bf16"), checkpoint=kept_at(path))


@pytest.mark.parametrize("damage", ["empty", "short", "half", "one byte less", "a bit", "the seal", "something else"])
def test_a_damaged_checkpoint_is_told_and_training_starts_over(small, tmp_path, damage):
    path = tmp_path / "checkpoint"
    expected = learn(problem(), start(), settings(), Compute())
    learn(problem(), start(), settings(steps=1), Compute(), checkpoint=kept_at(path))
    whole = path.read_bytes()
    if damage == "something else":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        half = len(whole) // 2
        changed = bytes([whole[half] ^ 1])
        path.write_bytes(
            {
                "empty": b"",
                "short": whole[:10],
                "half": whole[:half],
                "one byte less": whole[:-1],
                "a bit": whole[:half] + changed + whole[half + 1 :],
                "the seal": b"0" + whole[1:] if whole[:1] != b"0" else b"1" + whole[1:],
            }[damage]
        )
    with pytest.warns(NavbenchWarning, match=r"is damaged \(its content has changed\); the training starts over"):
        found = learn(problem(), start(), settings(), Compute(), checkpoint=kept_at(path))
    same(found, expected)


def test_a_loss_that_is_not_finite_is_a_failure(small):
    with pytest.raises(Failure, match=r"training loss is .* at step 1; lower the shift or the rate"):
        learn(problem(limit=1e39), start(), settings(), Compute())


def test_rows_that_are_not_finite_once_they_move_are_a_failure_of_the_loss(small, monkeypatch):
    shift = Pairs.shift

    def broken(pairs, state, coefficients, k, t):
        images = shift(pairs, state, coefficients, k, t)
        return images * float("nan") if coefficients.requires_grad else images

    monkeypatch.setattr(Pairs, "shift", broken)
    monkeypatch.setattr(module, "RELEASE", 0.0)
    with pytest.raises(Failure, match="training loss is nan at step 2; lower the shift or the rate"):
        learn(problem(), start(), settings(), Compute())


def test_a_loss_that_is_not_finite_is_told_by_its_step_before_a_checkpoint_of_it(small, tmp_path, monkeypatch):
    step = Learner.train_step

    def broken(learner):
        return step(learner) / (learner.step != 5)

    monkeypatch.setattr(Learner, "train_step", broken)
    checkpoint = kept_at(tmp_path / "checkpoint")
    with pytest.raises(Failure, match="training loss is inf at step 5"):
        learn(problem(), start(), settings(), Compute(), checkpoint=checkpoint)
    monkeypatch.setattr(Learner, "train_step", step)
    steps = []
    learn(
        problem(),
        start(),
        settings(),
        Compute(),
        checkpoint=checkpoint,
        report=lambda done, *_, **__: steps.append(done),
    )
    assert steps[0] == 4


def test_the_accuracy_is_that_of_each_direction_on_pairs_not_seen_in_training(small):
    learner = Learner(problem(), start(3), settings(evaluation=64), Compute())

    class Always(nn.Module):
        """Says direction 1 and shift 0 of everything."""

        def forward(self, original, shifted):
            assert not self.training
            return F.one_hot(torch.ones(len(original), dtype=torch.long), 3).float(), torch.zeros(len(original))

    learner.reconstructor = Always()
    seen = []
    draw, pairs = Pairs.draw, learner.pairs
    trained = {tuple(draw(pairs, step, 8, 3)[2].tolist()) for step in range(8)}
    accuracy, error = learner.evaluate()
    held_out = replace(pairs, seed=module.seeds.derived(pairs.seed, "held out"))
    for step in range(8):
        seen.append(draw(held_out, step, 8, 3)[2])
    assert accuracy.tolist() == [0, 1, 0]
    assert learner.reconstructor.training
    assert error == pytest.approx(float(torch.cat(seen).abs().mean()), rel=1e-5)
    assert not trained & {tuple(t.tolist()) for t in seen}
