"""Learning coefficients on a basis: directions that a reconstructor can tell apart (eq. 1-2, section 3.2)."""

import io
import json
import time
import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

from navbench import seeds
from navbench.basis import Basis
from navbench.compute import Compute, out_of_memory
from navbench.costs import Costs, Pass, Rehearsed, Trial, in_batches, preparing, rehearses, rendering, tried_images
from navbench.discovery.settings import LearnSettings
from navbench.errors import Failure, NavbenchError, NavbenchWarning
from navbench.files import sealed, unsealed
from navbench.places import Place
from navbench.progress import Report, silent
from navbench.spaces import Space, describe
from navbench.work import content_of, pure

SIZE = 256  # the reconstructor sees images at most this large (section 3.2, practical details)
CHECKPOINT_EVERY = 250


class Reconstructor(nn.Module):
    """R of eq. 2: a ResNet-18 from a pair of images, stacked along channels, to (k, t / T)."""

    def __init__(self, directions: int) -> None:
        super().__init__()
        self.trunk = resnet18(weights=None, num_classes=directions + 1)
        self.trunk.conv1 = nn.Conv2d(6, 64, kernel_size=7, stride=2, padding=3, bias=False)

    def forward(self, original: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) of the direction and the shift (N,), in units of T, of pairs of (N, 3, H, W) images."""
        pair = torch.cat([original, shifted], dim=1)
        if max(pair.shape[2:]) > SIZE:
            pair = F.interpolate(pair, size=(SIZE, SIZE), mode="area")
        out = self.trunk(pair)
        return out[:, :-1], out[:, -1]


@dataclass(frozen=True)
class Learned:
    """What learning gave.

    Attributes:
        coefficients: (K, B), unit-norm rows.
        accuracy: (K,), the share of held-out pairs of each direction that the reconstructor names rightly.
        shift_error: (), float64, the mean |t - t'| / T on those pairs.
        log: (L, 3), float64, rows of step, loss, accuracy, the latter averaged over the steps since the row before.
        seconds: (), float64, of training, before checkpoints that it went on from, too.
    """

    coefficients: Tensor
    accuracy: Tensor
    shift_error: Tensor
    log: Tensor
    seconds: Tensor

    def rows(self) -> list[dict[str, float]]:
        """The log by column."""
        return [{"step": int(step), "loss": loss, "accuracy": share} for step, loss, share in self.log.tolist()]


@dataclass(frozen=True)
class Checkpoint:
    """Where a training keeps its state, and goes on from; no result depends on it."""

    place: Place
    name: str

    def __str__(self) -> str:
        return self.place.address(self.name)

    @property
    def cache_key(self) -> None:
        """What results depend on: nothing of it."""

    def exists(self) -> bool:
        """Whether a training was interrupted."""
        return self.place.exists(self.name)

    def write(self, state: bytes) -> None:
        """Keep a training's state, with a digest."""
        self.place.write(self.name, sealed(state))

    def read(self) -> bytes:
        """The state that was kept.

        Raises:
            ValueError, OSError: it has changed since, or cannot be read.
        """
        return unsealed(self.place.read(self.name))

    def remove(self) -> None:
        """Forget the state, as the training is done."""
        self.place.delete(self.name)


@dataclass(frozen=True)
class Pairs:
    """Training pairs: pair i of step s depends on (seed, s, i) only, so a resumed training sees the same ones."""

    space: Space
    basis: Basis
    limit: float  # T
    floor: float  # the smallest |t| / T
    seed: int

    @property
    def cache_key(self) -> list[Any]:
        """What results depend on: everything."""
        return [self.space, self.basis, self.limit, self.floor, self.seed]

    def draw(self, step: int, batch: int, directions: int) -> tuple[range, Tensor, Tensor]:
        """Code indices, direction indices (N,) and shifts t / T (N,) of one step."""
        rng = seeds.stream(seeds.derived(self.seed, "pairs"), step)
        k = torch.from_numpy(rng.integers(directions, size=batch))
        size = torch.from_numpy(rng.uniform(self.floor, 1, size=batch)).float()
        sign = torch.from_numpy(rng.choice([-1.0, 1.0], size=batch)).float()
        return range(step * batch, (step + 1) * batch), k, size * sign

    def render(self, indices: range, coefficients: Tensor, k: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The pair of images (G(z), G_t(z)); only the second has a graph, and only from the coefficients on."""
        with torch.no_grad():
            codes = self.space.generator.sample(indices, seeds.derived(self.seed, "codes"))
            state = self.space.prepare(codes)
            original = self.space.render(state, torch.zeros(self.space.shape, device=codes.z.device))
        unit = F.normalize(coefficients[k], dim=1)
        offset = self.basis.combine(unit * (t * self.limit)[:, None])
        return original, self.space.render(state, offset)


class Learner:
    """Coefficients and reconstructor in training, with their optimiser, as one thing that can be saved."""

    def __init__(self, pairs: Pairs, directions: int, settings: LearnSettings, compute: Compute) -> None:
        self.pairs, self.settings, self.compute = pairs, settings, compute
        device = compute.device
        shape = (pairs.basis.count,)
        start = seeds.normal(seeds.derived(pairs.seed, "coefficients"), range(directions), shape)
        self.coefficients = nn.Parameter(F.normalize(start, dim=1).to(device))
        with torch.random.fork_rng():  # torchvision initialises from the global state
            torch.manual_seed(seeds.derived(pairs.seed, "reconstructor"))
            self.reconstructor = Reconstructor(directions)
        if compute.precision == "bf16":
            self.reconstructor = self.reconstructor.to(memory_format=torch.channels_last)
        self.reconstructor.to(device).train()
        parameters = [self.coefficients, *self.reconstructor.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate)
        self.step = 0
        self.log: list[dict[str, float]] = []
        self.earlier, self.begun = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Of training so far, before the checkpoint that it went on from, too."""
        return self.earlier + time.monotonic() - self.begun

    def train_step(self) -> tuple[float, float]:
        """One step of eq. 1; its loss and the reconstructor's accuracy on its batch."""
        indices, k, t = self.pairs.draw(self.step, self.settings.batch, len(self.coefficients))
        k, t = k.to(self.compute.device), t.to(self.compute.device)
        with self.compute.autocast():
            logits, shift = self.reconstructor(*self.pairs.render(indices, self.coefficients, k, t))
        loss = F.cross_entropy(logits.float(), k) + self.settings.regression * (shift.float() - t).abs().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return float(loss.detach()), float((logits.argmax(1) == k).float().mean())

    @torch.no_grad()
    def evaluate(self) -> tuple[Tensor, float]:
        """Accuracy per direction (K,) and the mean |t - t'| / T, on pairs that training does not see."""
        self.reconstructor.eval()
        held_out = replace(self.pairs, seed=seeds.derived(self.pairs.seed, "held out"))
        count = len(self.coefficients)
        right, total, error = torch.zeros(count), torch.zeros(count), 0.0
        batches = -(-self.settings.evaluation // self.settings.batch)
        for step in range(batches):
            indices, k, t = held_out.draw(step, self.settings.batch, count)
            device = self.compute.device
            with self.compute.autocast():
                logits, shift = self.reconstructor(
                    *held_out.render(indices, self.coefficients, k.to(device), t.to(device))
                )
            total += torch.bincount(k, minlength=count)
            right += torch.bincount(k[logits.argmax(1).cpu() == k], minlength=count)
            error += float((shift.float().cpu() - t).abs().mean()) / batches
        self.reconstructor.train()
        return right / total, error

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, atomically."""
        buffer = io.BytesIO()
        torch.save(
            {
                "step": self.step,
                "log": self.log,
                "seconds": self.seconds,
                "cache_key": self.cache_key,
                "coefficients": self.coefficients.detach(),
                "reconstructor": self.reconstructor.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            },
            buffer,
        )
        checkpoint.write(buffer.getvalue())

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same training; a damaged one is told and left out, another's is refused."""
        try:
            content = checkpoint.read()
        except (OSError, ValueError) as error:
            sentence = f"Checkpoint {checkpoint} is damaged ({error}); the training starts over."
            warnings.warn(sentence, NavbenchWarning, stacklevel=2)
            return
        saved: Any = torch.load(io.BytesIO(content), map_location=self.compute.device, weights_only=True)
        if not isinstance(saved, dict) or saved.get("cache_key") != self.cache_key:
            raise NavbenchError(
                f"Checkpoint {checkpoint} belongs to another training; delete it, or choose another --out."
            )
        if saved["step"] > self.settings.steps:
            sentence = (
                f"Checkpoint {checkpoint} is of {saved['step']} steps, more than are asked for; the training starts "
                "over."
            )
            warnings.warn(sentence, NavbenchWarning, stacklevel=2)
            return
        with torch.no_grad():
            self.coefficients.copy_(saved["coefficients"])
        self.reconstructor.load_state_dict(saved["reconstructor"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.log, self.earlier = saved["step"], saved["log"], saved["seconds"]

    @property
    def cache_key(self) -> str:
        """What a checkpoint must share with this training, as JSON: everything but the number of steps."""
        settings = self.settings.model_dump(exclude={"steps", "evaluation"})
        return json.dumps(content_of([self.pairs, self.coefficients.shape, settings, self.compute]), sort_keys=True)


@pure()
def learn(
    pairs: Pairs,
    directions: int,
    settings: LearnSettings,
    compute: Compute,
    *,
    checkpoint: Checkpoint | None = None,
    report: Report = silent,
) -> Learned:
    """Solve eq. 1 on the basis of `pairs` for K = `directions` unit-norm rows of coefficients."""
    learner = Learner(pairs, directions, settings, compute)
    if checkpoint is not None and checkpoint.exists():
        learner.resume(checkpoint)
    losses: list[tuple[float, float]] = []
    while learner.step < settings.steps:
        try:
            losses.append(learner.train_step())
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            hint = "use a smaller batch in the suite's [discovery], which changes the training"
            raise Failure(f"Out of memory in training with batches of {settings.batch}; {hint}.") from None
        if not losses[-1][0] < float("inf"):
            raise Failure(f"The training loss is {losses[-1][0]} at step {learner.step}; lower the shift or the rate.")
        report(learner.step, settings.steps, f"loss {losses[-1][0]:.2f}, accuracy {losses[-1][1]:.0%}")
        if learner.step % CHECKPOINT_EVERY == 0 or learner.step == settings.steps:
            loss, accuracy = (sum(column) / len(losses) for column in zip(*losses, strict=True))
            learner.log.append({"step": learner.step, "loss": loss, "accuracy": accuracy})
            losses = []
            if checkpoint is not None:
                learner.save(checkpoint)
    accuracy_of, shift_error = learner.evaluate()
    return Learned(
        F.normalize(learner.coefficients.detach(), dim=1).cpu(),
        accuracy_of.cpu(),
        torch.tensor(shift_error, dtype=torch.float64),
        torch.tensor([list(row.values()) for row in learner.log], dtype=torch.float64).view(-1, 3),
        torch.tensor(learner.seconds, dtype=torch.float64),
    )


@rehearses(learn)
def _learn_rehearsed(
    pairs: Pairs, directions: int, settings: LearnSettings, compute: Compute, *, checkpoint: Checkpoint | None = None
) -> Rehearsed[Learned]:
    """Rows at random, which nobody recognises."""
    rows = seeds.normal(0, range(directions), (pairs.basis.count,))
    zero = torch.zeros((), dtype=torch.float64)
    entries = -(-settings.steps // CHECKPOINT_EVERY)
    result = Learned(
        F.normalize(rows, dim=1), torch.zeros(directions), zero, torch.zeros(entries, 3, dtype=torch.float64), zero
    )
    learner = _training(pairs, directions, settings, compute)
    evaluated = evaluation_costs(pairs.space, directions, in_batches(settings.evaluation, settings.batch), compute)
    return Rehearsed(result, {learner: settings.steps * settings.batch, **evaluated})


def evaluation_costs(space: Space, directions: int, pairs: int, compute: Compute) -> Costs:
    """Of naming pairs without learning from them."""

    def trial() -> Trial:
        network = compute.place(Reconstructor(directions))
        images = torch.zeros(tried_images(compute), 3, *space.generator.size, device=compute.device)

        def once() -> float:
            with torch.no_grad(), compute.autocast():
                network(images, images)
            return len(images)

        return once

    named = Pass("reconstructor", (directions, *space.generator.size), trial)
    return {preparing(space, compute): pairs, rendering(space, compute): 2 * pairs, named: pairs}


def _training(pairs: Pairs, directions: int, settings: LearnSettings, compute: Compute) -> Pass:
    """One pair of a step of eq. 1."""

    def trial() -> Trial:
        batch = min(settings.batch, tried_images(compute))
        learner = Learner(pairs, directions, settings.model_copy(update={"batch": batch}), compute)

        def once() -> float:
            learner.train_step()
            return batch

        return once

    space = pairs.space
    key = (space.generator.name, describe(space), directions, settings.batch)
    return Pass("training", key, trial, images=2)
