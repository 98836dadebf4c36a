"""Discovery, one procedure for every method of `navbench.methods`: a basis of a space, and coefficients on it."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench import seeds
from navbench.basis import Basis, DenseBasis, IdentityBasis, SvdBasis, random_basis, random_combinations
from navbench.compute import Compute
from navbench.directions import DirectionSet
from navbench.discovery.bases import Eigenvectors, hessian_eigenvectors, principal_components
from navbench.discovery.calibration import LARGEST, EffectMeter, Ends, calibrate
from navbench.discovery.channels import channel_changes, channel_sensitivities, most_specific
from navbench.discovery.convergence import failed_criteria, recognition_of, training_of
from navbench.discovery.labelled import LabelledSearch, by_boundaries, by_gradients
from navbench.discovery.learn import Checkpoint, Learned, learn, start_anywhere, start_near_axes
from navbench.discovery.pairs import Pairs
from navbench.discovery.recogniser import name_edits
from navbench.discovery.settings import DiscoverySettings, LearnSettings
from navbench.errors import NavbenchError, unknown
from navbench.methods import METHODS, SECTIONS, Maker, Method
from navbench.metrics.attributes import Scorer, create_scorer
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report, silent
from navbench.spaces import Space, describe
from navbench.words import CONVERGED, NOT_CONVERGED
from navbench.work import Executor, Piece, Unstored

Stages = Callable[[str], AbstractContextManager[Report]]
Timed = TypeVar("Timed", Eigenvectors, Learned)

CONTROL, FRESH = "control", "fresh reconstructor"
"""The trainings of a reconstructor alone, beside that of coefficients: on their start, and on what they became."""


def quiet(title: str) -> AbstractContextManager[Report]:
    """No-op stages."""
    return nullcontext(silent)


_SCORED = {
    "attribute channels": "stylespace",
    "attribute offsets": "supervised",
    "attribute boundaries": "interfacegan",
}
"""Of each basis that follows from what a scorer reads, the section of the settings that names the scorer."""


def check_scorer(method: str, settings: DiscoverySettings) -> str:
    """The name of the attribute scorer that a method asks; '' of one that asks none.

    Raises:
        NavbenchError: it asks one, and none is named.
    """
    section = _SCORED.get(METHODS[method].basis, "")
    if not section or (name := getattr(settings, section).scorer):
        return name if section else ""
    raise NavbenchError(
        f"Method {method} asks an attribute scorer; name one, as scorer of the generator or of [discovery.{section}] "
        "in a suite."
    )


def settings_of(row: Method, settings: DiscoverySettings) -> dict[str, Any]:
    """What the directions of a method depend on, of the settings of discovery; all of them for another package's."""
    content = settings.model_dump(mode="json")
    if row.make is not None:
        return content
    sections = [SECTIONS.get(row.basis, ""), row.section if row.learned else ""]
    return {name: value for name, value in content.items() if name in sections or not isinstance(value, dict)}


@dataclass(frozen=True)
class Learning:
    """A training of coefficients from `start`, and what it needs to be judged.

    Attributes:
        title: of its stages.
        result: its coefficients in the order of `start`.
    """

    title: str
    pairs: Pairs
    start: Tensor
    settings: LearnSettings
    checkpoint: Checkpoint | None
    result: Learned


@dataclass(frozen=True)
class Found:
    """Directions before calibration: coefficients (K, B) on a basis, and what their method knows of them."""

    basis: Basis
    basis_name: str
    coefficients: Tensor
    basis_sha256: str = ""
    earlier: float = 0.0  # seconds spent before this process
    scores: dict[str, Tensor] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    learning: Learning | None = None  # of coefficients that were learned


@dataclass(frozen=True)
class Discovery:
    """The discovery of directions in one space: what all methods share.

    Attributes:
        executor: gives the results of costly pieces: bases, trainings and calibrations.
    """

    space: Space
    distance: PerceptualDistance
    settings: DiscoverySettings
    compute: Compute
    seed: int
    stages: Stages = quiet
    executor: Executor = field(default_factory=Unstored)

    def run(
        self, method: str, spectrum: DirectionSet | None = None, checkpoint: Checkpoint | None = None
    ) -> DirectionSet:
        """Directions of one method, each calibrated to the effect of the settings.

        Args:
            method: a name in `METHODS`.
            spectrum: a set of the same layer whose eigenvectors are taken instead of finding them anew.
            checkpoint: where learning saves its state, and goes on from.
        """
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        row, begun = METHODS[method], time.monotonic()
        if self.space.kind not in row.spaces:
            raise NavbenchError(
                f"Method {method} is not defined in {self.space.kind} spaces ({row.source}); "
                f"it is in {', '.join(row.spaces)}."
            )
        found = self._found(row, spectrum, checkpoint)
        ranges = self._ranges(found, method)
        if row.learned:
            found = self._judged(found, ranges)
        generator = self.space.generator
        ran = {
            "seconds": round(time.monotonic() - begun + found.earlier, 1),
            "device": str(self.compute.device),
            "precision": self.compute.precision,
            "versions": {package: version(package) for package in ("navbench", "torch", "torchvision")},
        }
        return DirectionSet(
            generator=generator.name,
            weights=generator.fingerprint,
            space=self.space.kind,
            layer=None if self.space.layer is None else self.space.layer.name,
            method=method,
            basis_name=found.basis_name,
            basis=found.basis,
            coefficients=found.coefficients.cpu(),
            t_min=ranges.t_min,
            t_max=ranges.t_max,
            labels=("",) * len(ranges.t_min),
            seed=self.seed,
            basis_sha256=found.basis_sha256,
            scores={name: values.cpu() for name, values in found.scores.items()},
            settings=self.settings.model_dump(),
            provenance=found.provenance | {"saturated_ends": ranges.saturated(self.settings.effect)} | ran,
        )

    def offsets(self, method: str) -> Tensor:
        """What one method finds, before calibration: (K, *shape), on the CPU."""
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        found = self._found(METHODS[method], None, None)
        return found.basis.combine(found.coefficients.to("cpu"))

    def _found(self, row: Method, spectrum: DirectionSet | None, checkpoint: Checkpoint | None) -> Found:
        found = self._basis(row, spectrum)
        if row.learned:
            return self._learn(found, row, checkpoint)
        return self._draw(found) if row.drawn else found

    def _basis(self, row: Method, spectrum: DirectionSet | None) -> Found:
        """The basis, with its vectors themselves as the directions."""
        name = row.basis
        if row.make is not None:
            return self._made(row.name, row.make)
        if name == "hessian" and spectrum is not None:
            return self._kept(spectrum)
        makers: dict[str, Callable[[], Found]] = {
            "svd": self._svd, "hessian": self._hessian, "pca": self._pca, "sefa": self._sefa,
            "style channels": self._channels, "attribute channels": self._attribute_channels,
            "attribute offsets": partial(self._labelled, by_gradients, "supervised"),
            "attribute boundaries": partial(self._labelled, by_boundaries, "interfacegan"),
        }  # fmt: skip
        if name in makers:
            return makers[name]()
        count = self.settings.directions
        if name == "random":
            return Found(random_basis(self.space.shape, count, self.seed), "random", torch.eye(count))
        axes = IdentityBasis(self.space.shape)
        return Found(axes, "identity", torch.eye(min(count, axes.count), axes.count))

    def _kept(self, spectrum: DirectionSet) -> Found:
        """The eigenvectors of another set of the same layer."""
        if (spectrum.place, spectrum.weights) != (self.space.place, self.space.generator.fingerprint):
            raise NavbenchError(f"{spectrum.set_id} does not belong to {describe(self.space)}; name its own.")
        where = f"set:../{spectrum.method}/{spectrum.place}.safetensors"
        return Found(spectrum.basis, where, torch.eye(spectrum.basis.count), spectrum.basis_sha256)

    def _made(self, name: str, make: Maker) -> Found:
        """A basis that another package makes."""
        offsets = make(self.space, self.distance, self.settings, self.compute, self.seed)
        if not isinstance(offsets, Tensor) and not hasattr(offsets, "combine"):
            raise NavbenchError(f"Method {name} gives {type(offsets).__name__}, neither offsets nor a basis.")
        if not isinstance(offsets, Tensor):
            offsets = offsets.to(torch.device("cpu")).combine(torch.eye(offsets.count))
        offsets = offsets.detach().cpu().float()
        if offsets.shape[1:] != self.space.shape:
            raise NavbenchError(
                f"Method {name} gives offsets of shape {tuple(offsets.shape[1:])}, but {describe(self.space)} of "
                f"generator {self.space.generator.name} has {tuple(self.space.shape)}."
            )
        norms = offsets.flatten(1).norm(dim=1)
        if not len(norms) or not (torch.isfinite(norms) & (norms > 0)).all():
            raise NavbenchError(f"Method {name} gives no offsets, or some that are zero or not finite.")
        basis = DenseBasis(offsets)
        return Found(basis, "stored", torch.eye(min(self.settings.directions, basis.count), basis.count))

    def _svd(self) -> Found:
        layer, count = self.space.layer, self.settings.directions
        assert layer is not None  # the table admits parameter spaces only
        svd = SvdBasis(layer, self.space.generator.kernel(layer))
        coefficients = torch.eye(min(count, svd.count), svd.count)
        return Found(svd, "svd", coefficients, scores={"singular_value": svd.singular_values[:count]})

    def _pca(self) -> Found:
        """Principal components of w."""
        count, samples = self.settings.directions, self.settings.ganspace.samples
        piece = principal_components.piece(self.space, count, samples, self.compute, self.seed)
        (components,) = self.executor.results([piece])
        basis = DenseBasis(components.vectors)
        return Found(basis, "stored", torch.eye(basis.count), scores={"variance": components.shares})

    def _sefa(self) -> Found:
        """Right singular vectors of the linear maps that a latent enters first, each row of them scaled to unit norm.

        Shen & Zhou's closed form (CVPR 2021, section 3.2) with the scaling of their code, genforce/sefa at 69467f2
        (`factorize_weight`). A row of zeros stays one.
        """
        latent_weights = self.space.generator.latent_weights(self.space.kind).detach().cpu().double()
        _, values, rows = torch.linalg.svd(F.normalize(latent_weights, dim=1), full_matrices=False)
        count = min(self.settings.directions, len(values))
        basis = DenseBasis(rows[:count].unflatten(1, self.space.shape).float())
        return Found(basis, "stored", torch.eye(count), scores={"singular_value": values[:count].float()})

    def _sensitivities(self) -> Tensor:
        """How much each style channel changes images, (S,)."""
        how = self.settings.stylespace
        piece = channel_sensitivities.piece(self.space, self.distance, how.codes, how.probes, self.compute, self.seed)
        with self.stages(f"channels of {describe(self.space)}") as report:
            (found,) = self.executor.results([piece], report=report)
        return found.values

    def _single(self, channels: Sequence[int], scores: dict[str, Tensor], **told: Any) -> Found:
        """Single channels as directions."""
        axes, names = IdentityBasis(self.space.shape), self.space.generator.latent_names(self.space.kind)
        rows = F.one_hot(torch.tensor(channels), axes.count).float()
        provenance = {"channels": [names[channel] for channel in channels], **told}
        return Found(axes, "identity", rows, scores=scores, provenance=provenance)

    def _channels(self) -> Found:
        """The channels that change images most for a small step."""
        values, channels = self._sensitivities().topk(min(self.settings.directions, self.space.shape.numel()))
        return self._single(channels.tolist(), {"sensitivity": values})

    def _attribute_channels(self) -> Found:
        """The channels that move one attribute most, and others least."""
        how = self.settings.stylespace
        scorer = self._scorer("stylespace-attributes")
        sensitivities = self._sensitivities()
        candidates = sensitivities.topk(min(how.candidates, len(sensitivities))).indices.tolist()
        piece = channel_changes.piece(self.space, scorer, candidates, how.codes, self.compute, self.seed)
        (changes,) = self.executor.results([piece])
        chosen = most_specific(changes.means, self.settings.directions)
        if not chosen:
            raise NavbenchError(f"No style channel moves anything that scorer {scorer.name} reads; take another.")
        channels = [candidates[each.place] for each in chosen]
        scores = {"sensitivity": sensitivities[channels], "specificity": torch.tensor([each.share for each in chosen])}
        names = [scorer.attributes[each.attribute].name for each in chosen]
        return self._single(channels, scores, attributes=names)

    def _scorer(self, method: str) -> Scorer:
        """The attribute scorer that a method asks, by what it reads of the generator's images."""
        scorer = create_scorer(check_scorer(method, self.settings), self.compute)
        generator = self.space.generator

        def images_of(indices: Sequence[int]) -> Tensor:
            state = self.space.prepare(generator.sample(indices, seed=0))
            return self.space.render(state, torch.zeros(self.space.shape, device=self.compute.device))

        with torch.no_grad():
            scorer.look(scorer.shown(generator.name, images_of))
        return scorer

    def _labelled(self, search: LabelledSearch, method: str) -> Found:
        """Per attribute a direction that a search finds by what a scorer reads."""
        scorer = self._scorer(method)
        with self.stages(f"{method} in {describe(self.space)}") as report:
            told = search(self._meter(), scorer, self.settings, self.seed, self.executor, report)
        basis = DenseBasis(told.offsets)
        return Found(basis, "stored", torch.eye(basis.count), "", told.earlier, told.scores, told.provenance)

    def _hessian(self) -> Found:
        """Leading eigenvectors of the perceptual Hessian."""
        settings = self.settings.spectrum
        settings = settings.model_copy(update={"vectors": settings.vectors_of(self.space.shape.numel())})
        common = (self.space, self.distance, settings, self.compute, self.seed)
        spectrum, earlier = self._timed(hessian_eigenvectors.piece(*common), f"spectrum of {describe(self.space)}")
        basis = DenseBasis(spectrum.vectors)
        count = min(self.settings.directions, basis.count)
        scores = {"rayleigh": spectrum.values[:count], "residual": spectrum.residuals[:count]}
        provenance = {"products": int(spectrum.products)}
        return Found(basis, "stored", torch.eye(count, basis.count), "", earlier, scores, provenance)

    def _timed(self, piece: Piece[Timed], title: str) -> tuple[Timed, float]:
        """The result of a piece that takes long, and how many of its seconds were spent before now."""
        begun = time.monotonic()
        with self.stages(title) as report:
            (result,) = self.executor.results([piece], report=report)
        return result, max(0.0, float(result.seconds) - (time.monotonic() - begun))

    def _learn(self, found: Found, row: Method, checkpoint: Checkpoint | None) -> Found:
        """Coefficients learned on a basis, in falling order of the reconstructor's accuracy."""
        settings: LearnSettings = self._section(row)
        basis = found.basis.to(self.compute.device)
        limit = settings.shift or self._typical_shift(basis)
        pairs = Pairs(self.space, basis, limit, settings.shift_floor, settings.codes, self.seed)
        begin = {"axes": start_near_axes, "random": start_anywhere}[settings.start]
        count = min(settings.directions or self.settings.directions, basis.count)
        start = begin(count, basis.count, self.seed)
        title = f"{row.name} in {describe(self.space)}"
        learned, earlier = self._timed(learn.piece(pairs, start, settings, self.compute, checkpoint=checkpoint), title)
        provenance: dict[str, Any] = {"reconstructor": settings.reconstructor, "shift": limit}
        if len(start) == found.basis.count:
            provenance["span"] = f"a rotation of the {row.basis} basis, whose span is that of the directions"
        order = learned.accuracy.nan_to_num(-1).argsort(descending=True, stable=True)
        return replace(
            found,
            coefficients=learned.coefficients[order],
            scores={"accuracy": learned.accuracy[order]},
            provenance=provenance,
            earlier=found.earlier + earlier,
            learning=Learning(title, pairs, start, settings, checkpoint, learned),
        )

    def _judged(self, found: Found, own: Ends) -> Found:
        """Learned directions with what shows whether they converged.

        That is how reconstructors learn alone, on their start and on what they became, and what a plain recogniser
        makes of them at equal effect.
        """
        learning, earlier = found.learning, found.earlier
        assert learning is not None
        alone = {}
        frozen = learning.settings.model_copy(update={"row_learning_rate": 0.0})
        for part, rows in ((CONTROL, learning.start), (FRESH, learning.result.coefficients)):
            kept = learning.checkpoint and learning.checkpoint.of(part)
            piece = learn.piece(learning.pairs, rows, frozen, self.compute, checkpoint=kept)
            alone[part], before = self._timed(piece, f"{learning.title}, the {part}")
            earlier += before
        told = training_of(learning.result, alone[FRESH], alone[CONTROL], learning.start, found.basis)
        provenance = found.provenance | told | recognition_of(self._recognised(found, learning, own))
        failed = failed_criteria(provenance, len(learning.start))
        provenance |= {"status": NOT_CONVERGED if failed else CONVERGED, "failed": failed}
        return replace(found, provenance=provenance, earlier=earlier)

    def _recognised(self, found: Found, learning: Learning, own: Ends) -> dict[str, Tensor]:
        """By code the shares of edits that are named rightly: of learned directions and what they are held against."""
        count, axes = len(learning.start), found.basis.count
        others = {
            "start": learning.start,
            "basis": torch.eye(min(count, axes), axes),
            "random in basis": random_combinations(count, axes, self.seed),
        }
        basis = found.basis.to(self.compute.device)
        with self.stages(f"recognition in {describe(self.space)}") as report:
            ranges = {name: self._calibrated(basis, rows, report) for name, rows in others.items()}
        compared = {"learned": (found.coefficients, own.t_min, own.t_max)}
        compared |= {name: (rows, ranges[name].t_min, ranges[name].t_max) for name, rows in others.items()}
        common = (learning.settings.recognition_codes, self.compute, self.seed)
        pieces = [name_edits.piece(self.space, basis, *rows, *common) for rows in compared.values()]
        named = self.executor.results(pieces)
        return {name: result.shares for name, result in zip(compared, named, strict=True)}

    def _draw(self, found: Found) -> Found:
        """Coefficients drawn at random on a basis: the control of what is learned on it."""
        drawn = random_combinations(self.settings.directions, found.basis.count, self.seed)
        return replace(found, coefficients=drawn, scores={})

    def _section(self, row: Method) -> LearnSettings:
        """How the coefficients of a method are learned."""
        settings = getattr(self.settings, row.section, None)
        if not isinstance(settings, LearnSettings):
            raise NavbenchError(
                f"Method {row.name} learns by {row.section!r}, which is no part of discovery's settings."
            )
        return settings

    def _meter(self) -> EffectMeter:
        codes = self.space.generator.sample(range(self.settings.effect_codes), seeds.derived(self.seed, "effect"))
        return EffectMeter(self.space, self.distance, codes, self.compute)

    def _typical_shift(self, basis: Basis) -> float:
        """T: the median shift at which random unit combinations of the basis reach the effect."""
        coefficients = seeds.normal(seeds.derived(self.seed, "typical"), range(8), (basis.count,))
        ranges = self._calibrated(basis, F.normalize(coefficients, dim=1))
        return float(torch.cat([-ranges.t_min, ranges.t_max]).median())

    def _ranges(self, found: Found, method: str) -> Ends:
        """The t range of every direction."""
        with self.stages(f"calibration of {method} in {describe(self.space)}") as report:
            return self._calibrated(found.basis.to(self.compute.device), found.coefficients, report)

    def _calibrated(self, basis: Basis, coefficients: Tensor, report: Report = silent) -> Ends:
        """Ranges, (K,) each; the searches for all but the first start where the first one ended."""
        meter, target, done = self._meter(), self.settings.effect, 0

        def tick(note: str) -> None:
            nonlocal done
            done += 1
            report(done, len(coefficients))

        def ends(rows: Tensor, *start: float) -> list[Ends]:
            pieces = [calibrate.piece(meter, basis, row, target, *start) for row in rows.to(self.compute.device)]
            return self.executor.results(pieces, tick)

        (first,) = ends(coefficients[:1])
        guess = float(first.t_max) if float(first.t_max) < LARGEST else 1.0
        every = [first, *ends(coefficients[1:], guess, float(first.power))]
        return Ends.stacked(every)
