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
from navbench.discovery.learn import Checkpoint, Learner, Pairs, Reconstructor, learn
from navbench.discovery.settings import LearnSettings
from navbench.errors import Failure, NavbenchError, NavbenchWarning
from navbench.places import Folder

SIDE = 16


class Small(nn.Module):
    """A reconstructor of a few hundred parameters, batch norm and all."""

    def __init__(self, directions):
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


def problem(basis=None, limit=20.0, seed=0):
    generator, vectors = halves()
    space = spaces.create(generator, "parameter", "map")
    return Pairs(space, DenseBasis(vectors if basis is None else basis), limit, 0.1, seed)


def settings(**changes):
    return LearnSettings(**({"steps": 10, "batch": 8, "learning_rate": 1e-3, "evaluation": 16} | changes))


# --- pairs ---------------------------------------------------------------------------------------------------


def test_pairs_depend_on_the_seed_and_step_only():
    pairs = problem()
    indices, k, t = pairs.draw(7, 8, 5)
    again = replace(pairs).draw(7, 8, 5)
    assert indices == again[0] == range(56, 64)
    assert torch.equal(k, again[1])
    assert torch.equal(t, again[2])
    assert not torch.equal(t, pairs.draw(8, 8, 5)[2])
    assert not torch.equal(t, replace(pairs, seed=1).draw(7, 8, 5)[2])


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
    original, shifted = pairs.render(indices, coefficients, k, t)
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
    original, shifted = pairs.render(*pairs.draw(0, 4, 2)[:1], coefficients, *pairs.draw(0, 4, 2)[1:])
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


def test_the_reconstructor_takes_a_pair_of_images_to_direction_and_shift():
    torch.manual_seed(0)
    network = Reconstructor(5).eval()
    first, second = noise(0, 2, 3, 32, 32), noise(1, 2, 3, 32, 32)
    logits, shift = network(first, second)
    assert (logits.shape, shift.shape) == ((2, 5), (2,))
    assert not torch.allclose(logits, network(second, first)[0])
    torch.testing.assert_close(network(first[:1], second[:1])[0], logits[:1], rtol=1e-3, atol=1e-4)


def test_large_images_are_seen_at_256_pixels():
    network = Reconstructor(2).eval()
    large = noise(0, 2, 1, 3, 512, 512)
    halved = [F.avg_pool2d(images, 2) for images in large]
    for found, expected in zip(network(*large), network(*halved), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


# --- learning ------------------------------------------------------------------------------------------------


def test_only_coefficients_and_reconstructor_receive_gradients(small):
    pairs = problem()
    learner = Learner(pairs, 2, settings(), Compute())
    before = pairs.space.generator.fingerprint
    start = learner.coefficients.detach().clone()
    learner.train_step()
    assert learner.coefficients.grad.abs().min() > 0
    assert all(parameter.grad is not None for parameter in learner.reconstructor.parameters())
    assert not any(parameter.requires_grad for parameter in pairs.space.generator.parameters())
    assert all(parameter.grad is None for parameter in pairs.space.generator.parameters())
    del pairs.space.generator.__dict__["fingerprint"]
    assert pairs.space.generator.fingerprint == before
    assert not torch.equal(learner.coefficients, start)


def test_the_loss_is_cross_entropy_and_lambda_times_the_mean_absolute_error(small):
    learner = Learner(problem(), 2, settings(regression=0.7), Compute())
    indices, k, t = learner.pairs.draw(0, 8, 2)
    with torch.no_grad():
        logits, shift = learner.reconstructor(*learner.pairs.render(indices, learner.coefficients, k, t))
    chosen = logits.log_softmax(1)[torch.arange(8), k]
    fresh = Learner(problem(), 2, settings(regression=0.7), Compute())
    loss, accuracy = fresh.train_step().tolist()
    assert loss == pytest.approx(float(-chosen.mean() + 0.7 * (shift - t).abs().mean()), rel=1e-5)
    assert accuracy == float((logits.argmax(1) == k).float().mean())


def test_learning_starts_from_the_seed_whatever_the_global_state(small):
    pairs = problem()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = Learner(pairs, 2, settings(), Compute())
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    second = Learner(problem(), 2, settings(), Compute())
    for ours, theirs in zip(first.reconstructor.parameters(), second.reconstructor.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(first.coefficients, second.coefficients)
    assert not torch.equal(first.coefficients, Learner(problem(seed=1), 2, settings(), Compute()).coefficients)


def test_two_directions_that_differ_are_learned(monkeypatch):
    """The whole of eq. 1 with the paper's ResNet-18: mixtures of two halves are driven apart."""
    monkeypatch.setattr(module, "READ_EVERY", 1)
    losses = []
    made = settings(steps=30, batch=32, evaluation=64)
    found = learn(
        problem(limit=100.0), 2, made, Compute(), report=lambda done, total, note="": losses.append(note.split()[1])
    )
    first, last = (sum(float(loss.rstrip(",")) for loss in part) for part in (losses[:5], losses[-5:]))
    assert last < 0.5 * first
    assert float(found.accuracy.min()) > 0.8
    torch.testing.assert_close(found.coefficients.norm(dim=1), torch.ones(2))


def same(found, expected):
    assert torch.equal(found.coefficients, expected.coefficients)
    assert torch.equal(found.accuracy, expected.accuracy)
    assert found.shift_error == expected.shift_error
    assert torch.equal(found.log, expected.log)


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [1, 3, 5, 9])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(small, tmp_path, at):
    expected = learn(problem(), 2, settings(), Compute())

    def kill(done, total, note=""):
        if done == at:
            raise Killed

    path = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        learn(problem(), 2, settings(), Compute(), checkpoint=kept_at(path), report=kill)
    steps = []
    found = learn(
        problem(),
        2,
        settings(),
        Compute(),
        checkpoint=kept_at(path),
        report=lambda done, total, note="": steps.append(done),
    )
    same(found, expected)
    # It went on from the last checkpoint, which is at most three steps and never one step short of the interruption.
    assert steps == list(range((at - 1) // 3 * 3 + 1, 11))


def test_a_finished_training_can_be_made_longer(small, tmp_path):
    path = tmp_path / "checkpoint"
    learn(problem(), 2, settings(steps=6), Compute(), checkpoint=kept_at(path))
    found = learn(problem(), 2, settings(steps=10), Compute(), checkpoint=kept_at(path))
    same(found, learn(problem(), 2, settings(steps=10), Compute()))


def test_a_finished_training_is_not_repeated(small, tmp_path):
    path = tmp_path / "checkpoint"
    expected = learn(problem(), 2, settings(), Compute(), checkpoint=kept_at(path))

    def never(*_):
        raise AssertionError("a step was taken")

    same(
        learn(problem(), 2, settings(), Compute(), checkpoint=kept_at(path), report=never),
        expected,
    )


OTHERS = {
    "seed": lambda: (problem(seed=1), settings()),
    "shift": lambda: (problem(limit=21.0), settings()),
    "basis": lambda: (problem(basis=halves()[1].flip(0)), settings()),
    "rate": lambda: (problem(), settings(learning_rate=2e-3)),
    "batch": lambda: (problem(), settings(batch=4)),
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
    learn(problem(), 2, settings(steps=1), Compute(), checkpoint=kept_at(path))
    pairs, other = OTHERS[what]()
    with pytest.raises(NavbenchError, match="belongs to another training"):
        learn(pairs, 2, other, Compute(), checkpoint=kept_at(path))


def test_a_checkpoint_of_another_precision_is_refused(small, tmp_path):
    path = tmp_path / "checkpoint"
    learn(problem(), 2, settings(steps=1), Compute(), checkpoint=kept_at(path))
    with pytest.raises(NavbenchError, match="belongs to another training"):
        learn(
            problem(),
            2,
            settings(steps=1),
            Compute(precision="bf16"),
            checkpoint=kept_at(path),
        )


@pytest.mark.parametrize("damage", ["empty", "short", "half", "one byte less", "a bit", "the seal", "something else"])
def test_a_damaged_checkpoint_is_told_and_training_starts_over(small, tmp_path, damage):
    path = tmp_path / "checkpoint"
    expected = learn(problem(), 2, settings(), Compute())
    learn(problem(), 2, settings(steps=1), Compute(), checkpoint=kept_at(path))
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
        found = learn(problem(), 2, settings(), Compute(), checkpoint=kept_at(path))
    same(found, expected)


def test_a_loss_that_is_not_finite_is_a_failure(small):
    with pytest.raises(Failure, match=r"training loss is .* at step 1; lower the shift or the rate"):
        learn(problem(limit=1e39), 2, settings(), Compute())


def test_a_loss_that_is_not_finite_is_told_by_its_step_before_a_checkpoint_of_it(small, tmp_path, monkeypatch):
    step = Learner.train_step

    def broken(learner):
        return step(learner) / (learner.step != 5)

    monkeypatch.setattr(Learner, "train_step", broken)
    checkpoint = kept_at(tmp_path / "checkpoint")
    with pytest.raises(Failure, match="training loss is inf at step 5"):
        learn(problem(), 2, settings(), Compute(), checkpoint=checkpoint)
    monkeypatch.setattr(Learner, "train_step", step)
    steps = []
    learn(problem(), 2, settings(), Compute(), checkpoint=checkpoint, report=lambda done, *_, **__: steps.append(done))
    assert steps[0] == 4


def test_the_accuracy_is_that_of_each_direction_on_pairs_not_seen_in_training(small):
    learner = Learner(problem(), 3, settings(evaluation=64), Compute())

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
