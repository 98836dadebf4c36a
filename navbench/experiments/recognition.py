"""Whether the directions of a set can be told apart: reconstructor accuracy (RCA) and its confusion matrix.

RCA is Voynov & Babenko's (ICML 2020, section 4.1), who take it from the reconstructor that learned with the directions,
and for random directions from one that learned on them as they are. Here a new one learns on the directions of every
method as they are, so that all are judged alike; a shift is a share of each direction's own range, so that no one is
known by its size, and it is not predicted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from navbench import seeds
from navbench.costs import Pass, Rehearsed, Trial, in_batches, rehearses, tried_images
from navbench.directions import DirectionSet
from navbench.discovery.learn import evaluation_costs
from navbench.discovery.reconstructor import Reconstructor
from navbench.errors import NavbenchError
from navbench.experiments.common import Common, check_methods
from navbench.experiments.edit import Edit
from navbench.experiments.experiment import Experiment
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row, quality_row, who
from navbench.methods import METHODS
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.progress import Report, silent
from navbench.settings import Settings
from navbench.spaces import describe
from navbench.work import pure

_LEAST = 0.25
"""The smallest share of a range that is shown: what hardly changes anything cannot be named."""


@dataclass(frozen=True)
class Recognition:
    """What a reconstructor made of pairs that it did not learn from.

    Attributes:
        shown, named: (n,), int64, which direction each pair was of, and which it was taken for.
    """

    shown: Tensor
    named: Tensor

    @property
    def accuracy(self) -> Estimate:
        """The share of pairs that were named rightly."""
        return estimate.mean((self.shown == self.named).double())

    def accuracy_of(self, direction: int) -> Estimate:
        """The same of the pairs of one direction."""
        own = self.shown == direction
        return estimate.mean((self.named[own] == direction).double())

    def confusion(self, directions: int) -> Tensor:
        """(K, K), float64, of the pairs of each direction (a row) the shares that were taken for each."""
        counts = torch.bincount(self.shown * directions + self.named, minlength=directions**2)
        table = counts.view(directions, directions).double()
        return table / table.sum(1, keepdim=True)


class Recogniser:
    """A reconstructor that learns the directions of one set, as they are."""

    def __init__(self, edits: Sequence[Edit], seed: int, learning_rate: float) -> None:
        if len(edits) < 2:
            raise NavbenchError("Directions are recognised among others, and there is one; take a set of more.")
        self.edits, self.seed, self.compute = edits, seed, edits[0].compute
        self._offsets = [edit.offset for edit in edits]
        with torch.random.fork_rng():  # torchvision initialises from the global state
            torch.manual_seed(seeds.derived(seed, "recogniser"))
            network = Reconstructor(len(edits))
        self.network = network.to(self.compute.device).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate)

    def run(self, steps: int, batch: int, pairs: int, report: Report = silent) -> Recognition:
        """Learn for some steps, then name `pairs` pairs of other codes."""
        for step in range(steps):
            report(step + 1, steps, f"loss {self.train_step(step, batch):.2f}")
        return self._named(batch, pairs)

    def train_step(self, step: int, batch: int) -> float:
        """Learn from one batch of pairs; its loss."""
        original, shifted, shown = self._pairs("recognition", step, batch)
        with self.compute.autocast():
            logits, _ = self.network(original, shifted)
        loss = F.cross_entropy(logits.float(), shown)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def _named(self, batch: int, pairs: int) -> Recognition:
        self.network.eval()
        shown, named = [], []
        for step in range(-(-pairs // batch)):
            original, shifted, own = self._pairs("recognition, held out", step, batch)
            with self.compute.autocast():
                logits, _ = self.network(original, shifted)
            shown.append(own.cpu())
            named.append(logits.argmax(1).cpu())
        return Recognition(torch.cat(shown)[:pairs], torch.cat(named)[:pairs])

    @torch.no_grad()
    def _pairs(self, role: str, step: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Unshifted and shifted images, and the directions (n,); pair i of a step depends on (seed, role, i) only."""
        drawn = seeds.stream(seeds.derived(self.seed, role), step)
        which = drawn.integers(len(self.edits), size=batch)
        shares = drawn.uniform(_LEAST, 1, size=batch) * drawn.choice([-1.0, 1.0], size=batch)
        space = self.edits[0].space
        indices = range(step * batch, (step + 1) * batch)
        codes = space.generator.sample(indices, seeds.derived(self.seed, role, "codes"))
        offsets = torch.stack([self._offset(int(k), float(share)) for k, share in zip(which, shares, strict=True)])
        with self.compute.autocast():
            state = space.prepare(codes)
            original = space.render(state, torch.zeros_like(offsets[0]))
            shifted = space.render(state, offsets)
        return original.float(), shifted.float(), torch.from_numpy(which).to(self.compute.device)

    def _offset(self, which: int, share: float) -> Tensor:
        edit = self.edits[which]
        t = share * (edit.direction.t_max if share > 0 else -edit.direction.t_min)
        return t * self._offsets[which]


@pure(revision=2)
def recognise(
    edits: Sequence[Edit], seed: int, learning_rate: float, steps: int, batch: int, pairs: int, report: Report = silent
) -> Recognition:
    """Learn the directions of a set for some steps of Adam, then name `pairs` pairs of other codes."""
    return Recogniser(edits, seed, learning_rate).run(steps, batch, pairs, report)


@rehearses(recognise)
def _recognise_rehearsed(
    edits: Sequence[Edit], seed: int, learning_rate: float, steps: int, batch: int, pairs: int
) -> Rehearsed[Recognition]:
    """Every pair is taken for the next direction."""

    def trial() -> Trial:
        recogniser, tried = Recogniser(edits, seed, learning_rate), min(batch, tried_images(edits[0].compute))

        def once() -> float:
            recogniser.train_step(0, tried)
            return tried

        return once

    space = edits[0].space
    learned = Pass("recogniser", (space.generator.name, describe(space), len(edits), batch), trial, images=2)
    shown = torch.arange(pairs) % len(edits)
    evaluated = evaluation_costs(space, len(edits), in_batches(pairs, batch), edits[0].compute)
    return Rehearsed(Recognition(shown, (shown + 1) % len(edits)), {learned: steps * batch, **evaluated})


# --- the experiment ----------------------------------------------------------------------------------------------


class RecognitionSettings(Settings):
    """Whether a network tells the directions of a set apart: the reconstructor's accuracy (RCA) and its confusions.

    Attributes:
        methods: whose sets; empty for all.
        steps, batch, learning_rate: of Adam.
        pairs: on which it is measured afterwards.
    """

    methods: tuple[str, ...] = ()
    steps: int = Field(2000, ge=1)
    batch: int = Field(32, ge=1)
    learning_rate: float = Field(3e-4, gt=0)
    pairs: int = Field(1024, ge=2)


@dataclass(frozen=True)
class Confusions:
    """Each set that a reconstructor learned, and what it made of other pairs."""

    sets: Sequence[tuple[DirectionSet, Recognition]]


class Recognitions(Experiment[RecognitionSettings, Confusions]):
    """Whether directions can be told apart; a set of one direction has no others."""

    name = "recognition"
    settings = RecognitionSettings
    on_request = True
    whole = True
    absent = "No reconstructor was trained to tell directions apart"

    def check_suite(self, suite: Common) -> None:
        """The methods' names."""
        methods = suite.section(Recognitions).methods
        check_methods(methods, (*METHODS, *suite.measured_methods()), "recognition.methods")

    def gaps(self, on: Measurement) -> Iterator[str]:
        """Methods without sets."""
        present = {found.method for found in on.plan.sets}
        if missing := [method for method in on.settings(Recognitions).methods if method not in present]:
            yield f"{on.generator.name} has no {', '.join(missing)} directions here for experiment {self.name!r}."

    def run(self, on: Measurement) -> Confusions:
        """One piece per set, each in a stage of its own that shows the steps."""
        methods = on.settings(Recognitions).methods
        sets = [one for one in on.plan.sets if len(one) > 1 and (not methods or one.method in methods)]
        recognitions = on.bench.executor.side_by_side([partial(_recognised, on, directions) for directions in sets])
        return Confusions(list(zip(sets, recognitions, strict=True)))

    def rows(self, on: Measurement, outcome: Confusions) -> Mapping[str, Iterable[Row]]:
        """Per direction the accuracy; per direction shown and direction named the share that was taken for it."""
        quality = (
            quality_row(direction, "rca", "resnet18", recognition.accuracy_of(direction.index))
            for found, recognition in outcome.sets
            for direction in found
        )
        return {"quality": quality, "confusion": _confusion_rows(outcome)}


def _recognised(on: Measurement, directions: DirectionSet) -> Recognition:
    """Whether the directions of a set can be told apart."""
    settings = on.settings(Recognitions)
    how = (on.bench.suite.seed, settings.learning_rate, settings.steps, settings.batch, settings.pairs)
    piece = recognise.piece([on.edit(direction) for direction in directions], *how)
    with on.bench.stage(f"recognition of {directions.set_id}") as report:
        (recognition,) = on.bench.executor.results([piece], report=report)
        report(settings.steps, settings.steps)
    return recognition


def _confusion_rows(outcome: Confusions) -> Iterator[Row]:
    for found, recognition in outcome.sets:
        confusion = recognition.confusion(len(found))
        for direction in found:
            shown = int((recognition.shown == direction.index).sum())
            for named, share in enumerate(confusion[direction.index].tolist()):
                yield {**who(direction), "named": named, "share": share, "n": shown}
