"""Learning coefficients on a basis: directions that a reconstructor can tell apart (eq. 1-2, section 3.2)."""

import io
import json
import math
import time
import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import seeds
from navbench.compute import Compute, doubled, out_of_memory
from navbench.costs import Costs, Pass, Rehearsed, Trial, in_batches, preparing, rehearses, rendering, tried_images
from navbench.discovery.pairs import Pairs
from navbench.discovery.reconstructor import Reconstructor
from navbench.discovery.settings import LearnSettings, Trunk
from navbench.errors import Failure, NavbenchError, NavbenchWarning
from navbench.files import sealed, unsealed
from navbench.pickles import read_torch_bytes
from navbench.places import Place
from navbench.progress import Report, silent
from navbench.spaces import Space, describe
from navbench.work import content_of, pure

CHECKPOINT_EVERY = 250
READ_EVERY = 25  # steps; reading a loss makes the host wait for the device
NOISE = 0.05  # of coefficients that start near the axes of a basis
ROW_BETAS = (0.9, 0.99)  # of Adam; gradients of coefficients grow by orders while the reconstructor learns
RELEASE = 0.5
"""The running accuracy from which coefficients move: before, their gradient is noise, and Adam follows it."""
PLATEAU, LEAST = 0.25, 0.05
"""The last quarter of the steps goes at a constant twentieth of the rates: if the loss still falls there, that is not
because the rates do."""
RUNNING = 0.95  # of the running accuracy, what a step keeps


@dataclass(frozen=True)
class Learned:
    """What learning gave.

    Attributes:
        coefficients: (K, B), unit-norm rows.
        accuracy: (K,), the share of held-out pairs of each direction that the reconstructor names rightly.
        shift_error: (), float64, the mean |t - t'| / T on those pairs.
        curve: (S, 2), float64, loss and accuracy of every step, on its own batch.
        released: (), int64, the step from which coefficients moved; the number of steps if they never did.
        seconds: (), float64, of training, before checkpoints that it went on from, too.
    """

    coefficients: Tensor
    accuracy: Tensor
    shift_error: Tensor
    curve: Tensor
    released: Tensor
    seconds: Tensor

    @property
    def eighths(self) -> list[float]:
        """The mean loss of each eighth of the steps; of fewer than eight steps, of each."""
        return [float(part.mean()) for part in self.curve[:, 0].tensor_split(8) if len(part)]


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

    def of(self, part: str) -> "Checkpoint":
        """The checkpoint of another training of the same set."""
        return replace(self, name=f"{self.name}-{part.replace(' ', '-')}")

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


def start_near_axes(directions: int, count: int, seed: int) -> Tensor:
    """Rows (K, B) near the first K axes of a basis; beyond its B axes, anywhere."""
    noise = seeds.normal(seeds.derived(seed, "coefficients"), range(directions), (count,))
    return retracted(torch.eye(directions, count) + NOISE * noise)


def start_anywhere(directions: int, count: int, seed: int) -> Tensor:
    """Rows (K, B) of any orientation."""
    return retracted(seeds.normal(seeds.derived(seed, "coefficients"), range(directions), (count,)))


def retracted(rows: Tensor) -> Tensor:
    """The nearest orthonormal rows, by the polar decomposition; of more rows than columns, only of unit norm."""
    if len(rows) > rows.shape[1]:
        return F.normalize(rows, dim=1)
    left, _, right = torch.linalg.svd(doubled(rows), full_matrices=False)
    return (left @ right).to(rows.device, rows.dtype)


def rate_share(done: float) -> float:
    """What share of the learning rates a step takes after a share of the steps: half a cosine, and then its least."""
    falling = min(done / (1 - PLATEAU), 1.0)
    return LEAST + (1 - LEAST) * 0.5 * (1 + math.cos(math.pi * falling))


class Learner:
    """Coefficients and reconstructor in training, with their optimiser, as one thing that can be saved."""

    def __init__(self, pairs: Pairs, start: Tensor, settings: LearnSettings, compute: Compute) -> None:
        self.pairs, self.start, self.settings, self.compute = pairs, start, settings, compute
        device = compute.device
        self.coefficients = nn.Parameter(start.detach().clone().to(device), requires_grad=False)
        with torch.random.fork_rng():  # torch initialises from the global state
            torch.manual_seed(seeds.derived(pairs.seed, "reconstructor"))
            self.reconstructor = Reconstructor(len(start), settings.reconstructor)
        if compute.precision == "bf16":
            self.reconstructor = self.reconstructor.to(memory_format=torch.channels_last)
        self.reconstructor.to(device).train()
        rows = {"params": [self.coefficients], "lr": settings.row_learning_rate, "betas": ROW_BETAS}
        self.optimizer = torch.optim.Adam(
            [rows, {"params": [*self.reconstructor.parameters()], "lr": settings.learning_rate}]
        )
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._prepared: dict[int, tuple[Any, Tensor]] = {}
        self.step, self.released, self.running = 0, settings.steps, 0.0
        self.curve: list[tuple[float, float]] = []
        self.earlier, self.begun = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Of training so far, before the checkpoint that it went on from, too."""
        return self.earlier + time.monotonic() - self.begun

    def train_step(self) -> Tensor:
        """One step of eq. 1; its loss and the reconstructor's accuracy on its batch, (2,), on the device."""
        indices, k, t = self.pairs.draw(self.step, self.settings.batch, len(self.coefficients))
        k, t = k.to(self.compute.device), t.to(self.compute.device)
        with self.compute.autocast():
            state, original = self._prepare(indices)
            logits, shift = self.reconstructor(original, self.pairs.shift(state, self.coefficients, k, t))
        loss = F.cross_entropy(logits.float(), k) + self.settings.regression * (shift.float() - t).abs().mean()
        accuracy = (logits.argmax(1) == k).float().mean()
        self._descend(loss)
        self.step += 1
        if not self.coefficients.requires_grad:
            self._release(float(accuracy))
        return torch.stack([loss.detach(), accuracy])

    def _prepare(self, indices: range) -> tuple[Any, Tensor]:
        """The states and images of some codes, kept where they come again."""
        if not self.pairs.codes:
            return self.pairs.prepare(indices)
        if indices.start not in self._prepared:
            self._prepared[indices.start] = self.pairs.prepare(indices)
        return self._prepared[indices.start]

    def _descend(self, loss: Tensor) -> None:
        """One step of Adam, and the retraction of the rows."""
        share = rate_share(self.step / self.settings.steps)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = share * rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if self.coefficients.requires_grad:
            if not self.coefficients.isfinite().all():  # the retraction reads them, too
                raise _diverged(float(loss), self.step + 1)
            with torch.no_grad():
                self.coefficients.copy_(retracted(self.coefficients))

    def _release(self, accuracy: float) -> None:
        """Let the coefficients move from the next step on, once the running accuracy suffices."""
        self.running = RUNNING * self.running + (1 - RUNNING) * accuracy
        if self.running > RELEASE and self.settings.row_learning_rate > 0:
            self.released = self.step
            self.coefficients.requires_grad_()

    @torch.no_grad()
    def evaluate(self) -> tuple[Tensor, float]:
        """Accuracy per direction (K,) and the mean |t - t'| / T, on pairs that training does not see."""
        self.reconstructor.eval()
        held_out, count = self.pairs.held_out, len(self.coefficients)
        right, total, error = torch.zeros(count), torch.zeros(count), 0.0
        batches = -(-self.settings.evaluation // self.settings.batch)
        for step in range(batches):
            indices, k, t = held_out.draw(step, self.settings.batch, count)
            device = self.compute.device
            with self.compute.autocast():
                state, original = held_out.prepare(indices)
                shifted = held_out.shift(state, self.coefficients, k.to(device), t.to(device))
                logits, shift = self.reconstructor(original, shifted)
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
                "released": self.released,
                "running": self.running,
                "curve": torch.tensor(self.curve, dtype=torch.float64).view(-1, 2),
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
        saved = read_torch_bytes(content, f"Checkpoint {checkpoint}")
        if not isinstance(saved, dict) or saved.get("cache_key") != self.cache_key:
            raise NavbenchError(
                f"Checkpoint {checkpoint} belongs to another training; delete it, or choose another --out."
            )
        self.step, self.released, self.running = saved["step"], saved["released"], saved["running"]
        self.coefficients.requires_grad_(self.released < self.settings.steps)
        with torch.no_grad():
            self.coefficients.copy_(saved["coefficients"])
        self.reconstructor.load_state_dict(saved["reconstructor"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.curve = [(loss, accuracy) for loss, accuracy in saved["curve"].tolist()]
        self.earlier = saved["seconds"]

    @property
    def cache_key(self) -> str:
        """What a checkpoint must share with this training, as JSON."""
        settings = self.settings.model_dump(exclude={"evaluation", "recognition_codes"})
        return json.dumps(content_of([self.pairs, self.start, settings, self.compute]), sort_keys=True)


@pure(revision=3)
def learn(
    pairs: Pairs,
    start: Tensor,
    settings: LearnSettings,
    compute: Compute,
    *,
    checkpoint: Checkpoint | None = None,
    report: Report = silent,
) -> Learned:
    """Solve eq. 1 on the basis of `pairs` for unit-norm rows of coefficients, from `start`, (K, B).

    With a `row_learning_rate` of 0 the reconstructor learns alone: the control of a training from the same start.
    """
    learner = Learner(pairs, start, settings, compute)
    if checkpoint is not None and checkpoint.exists():
        learner.resume(checkpoint)
    unread: list[Tensor] = []
    note = ""
    while learner.step < settings.steps:
        try:
            unread.append(learner.train_step())
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            hint = "use a smaller batch, or fewer codes, in the suite's [discovery], which changes the training"
            raise Failure(f"Out of memory in training with batches of {settings.batch}; {hint}.") from None
        due = learner.step % CHECKPOINT_EVERY == 0 or learner.step == settings.steps
        if due or learner.step % READ_EVERY == 0:
            learner.curve += _read(unread, learner.step)
            unread = []
            loss, accuracy = learner.curve[-1]
            note = f"loss {loss:.2f}, accuracy {accuracy:.0%}"
        report(learner.step, settings.steps, note)
        if due and checkpoint is not None:
            learner.save(checkpoint)
    accuracy_of, shift_error = learner.evaluate()
    return Learned(
        F.normalize(learner.coefficients.detach(), dim=1).cpu(),
        accuracy_of.cpu(),
        torch.tensor(shift_error, dtype=torch.float64),
        torch.tensor(learner.curve, dtype=torch.float64).view(-1, 2),
        torch.tensor(learner.released),
        torch.tensor(learner.seconds, dtype=torch.float64),
    )


def _read(losses: list[Tensor], last: int) -> list[tuple[float, float]]:
    """Loss and accuracy of the steps up to step `last`, by one transfer; fails at a loss that is not finite."""
    values = [(loss, accuracy) for loss, accuracy in torch.stack(losses).tolist()]
    for step, (loss, _) in enumerate(values, start=last - len(values) + 1):
        if not loss < float("inf"):
            raise _diverged(loss, step)
    return values


def _diverged(loss: float, step: int) -> Failure:
    return Failure(f"The training loss is {loss} at step {step}; lower the shift or the rate.")


@rehearses(learn)
def _learn_rehearsed(
    pairs: Pairs, start: Tensor, settings: LearnSettings, compute: Compute, *, checkpoint: Checkpoint | None = None
) -> Rehearsed[Learned]:
    """Rows at random, which nobody recognises."""
    directions, zero = len(start), torch.zeros((), dtype=torch.float64)
    rows = start_anywhere(directions, start.shape[1], 0)
    curve = torch.zeros(settings.steps, 2, dtype=torch.float64)
    result = Learned(rows, torch.zeros(directions), zero, curve, torch.tensor(settings.steps), zero)
    training = _training(pairs, start, settings, compute)
    pairs_named = in_batches(settings.evaluation, settings.batch)
    evaluated = evaluation_costs(pairs.space, directions, pairs_named, compute, settings.reconstructor)
    return Rehearsed(result, {training: settings.steps * settings.batch, **evaluated})


def evaluation_costs(space: Space, directions: int, pairs: int, compute: Compute, trunk: Trunk = "resnet18") -> Costs:
    """Of naming pairs without learning from them."""

    def trial() -> Trial:
        network = compute.place(Reconstructor(directions, trunk))
        images = torch.zeros(tried_images(compute), 3, *space.generator.size, device=compute.device)

        def once() -> float:
            with torch.no_grad(), compute.autocast():
                network(images, images)
            return len(images)

        return once

    named = Pass("reconstructor", (trunk, directions, *space.generator.size), trial)
    return {preparing(space, compute): pairs, rendering(space, compute): 2 * pairs, named: pairs}


def _training(pairs: Pairs, start: Tensor, settings: LearnSettings, compute: Compute) -> Pass:
    """One pair of a step of eq. 1."""
    learns = settings.row_learning_rate > 0

    def trial() -> Trial:
        batch = min(settings.batch, tried_images(compute))
        learner = Learner(pairs, start, settings.model_copy(update={"batch": batch, "codes": batch}), compute)
        learner.coefficients.requires_grad_(learns)

        def once() -> float:
            learner.step = 0  # so that a trial may take more steps than the training
            learner.train_step()
            return batch

        return once

    space = pairs.space
    key = (space.generator.name, describe(space), len(start), settings.batch, settings.reconstructor, learns)
    return Pass("training", key, trial, images=1)
