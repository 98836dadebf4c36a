"""Discovery, one procedure for every method of `navbench.methods`: a basis of a space, and coefficients on it."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench import seeds
from navbench.basis import Basis, DenseBasis, IdentityBasis, SvdBasis, random_basis
from navbench.compute import Compute
from navbench.directions import DirectionSet
from navbench.discovery.calibration import LARGEST, EffectMeter, calibrate
from navbench.discovery.hessian import PerceptualHessian, krylov, power
from navbench.discovery.learn import Pairs, learn
from navbench.discovery.settings import DiscoverySettings, LearnSettings
from navbench.errors import NavbenchError, unknown
from navbench.methods import METHODS, Method
from navbench.metrics.frechet import Moments
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report, silent
from navbench.spaces import Space, describe

Stages = Callable[[str], AbstractContextManager[Report]]


def quiet(title: str) -> AbstractContextManager[Report]:
    """Stages that tell nobody."""
    return nullcontext(silent)


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


@dataclass(frozen=True)
class Discovery:
    """The discovery of directions in one space: what all methods share."""

    space: Space
    distance: PerceptualDistance
    settings: DiscoverySettings
    compute: Compute
    seed: int
    stages: Stages = quiet

    def run(self, method: str, spectrum: DirectionSet | None = None, checkpoint: Path | None = None) -> DirectionSet:
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
        t_min, t_max = self._ranges(found, method)
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
            t_min=t_min,
            t_max=t_max,
            labels=("",) * len(t_min),
            seed=self.seed,
            basis_sha256=found.basis_sha256,
            scores={name: values.cpu() for name, values in found.scores.items()},
            settings=self.settings.model_dump(),
            provenance=found.provenance | ran,
        )

    def offsets(self, method: str) -> Tensor:
        """What one method finds, before calibration: (K, *shape), on the CPU."""
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        found = self._found(METHODS[method], None, None)
        return found.basis.combine(found.coefficients.to("cpu"))

    def _found(self, row: Method, spectrum: DirectionSet | None, checkpoint: Path | None) -> Found:
        found = self._basis(row.basis, spectrum)
        return self._learn(found, row.name, checkpoint) if row.learned else found

    def _basis(self, name: str, spectrum: DirectionSet | None) -> Found:
        """The basis, with its vectors themselves as the directions."""
        if name == "hessian" and spectrum is not None:
            return self._kept(spectrum)
        makers = {"svd": self._svd, "hessian": self._hessian, "pca": self._pca, "sefa": self._sefa}
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
            raise NavbenchError(f"{spectrum.reference} does not belong to {describe(self.space)}; name its own.")
        where = f"set:../{spectrum.method}/{spectrum.place}.safetensors"
        return Found(spectrum.basis, where, torch.eye(spectrum.basis.count), spectrum.basis_sha256)

    def _svd(self) -> Found:
        layer, count = self.space.layer, self.settings.directions
        assert layer is not None  # the table admits parameter spaces only
        svd = SvdBasis(layer, self.space.generator.kernel(layer))
        coefficients = torch.eye(min(count, svd.count), svd.count)
        return Found(svd, "svd", coefficients, scores={"singular_value": svd.singular_values[:count]})

    @torch.no_grad()
    def _pca(self) -> Found:
        """Principal components of w in falling order of variance, streamed in float64."""
        generator, settings = self.space.generator, self.settings.ganspace
        moments = Moments.empty(self.space.shape.numel(), self.compute.device)
        for indices in self.compute.over(range(settings.samples), lambda indices: indices):
            codes = generator.sample(indices, seeds.derived(self.seed, "ganspace"))
            moments.update(generator.latent(codes, self.space.kind).flatten(1))
        values, vectors = torch.linalg.eigh(moments.covariance)
        count = min(self.settings.directions, len(values))
        basis = DenseBasis(vectors.flip(1).T[:count].unflatten(1, self.space.shape).float().cpu())
        shares = (values.flip(0)[:count] / values.sum()).float()
        return Found(basis, "stored", torch.eye(count), scores={"variance": shares})

    def _sefa(self) -> Found:
        """Right singular vectors of the linear maps that a latent enters first."""
        latent_weights = self.space.generator.latent_weights(self.space.kind).detach().double().cpu()
        _, values, rows = torch.linalg.svd(latent_weights, full_matrices=False)
        count = min(self.settings.directions, len(values))
        basis = DenseBasis(rows[:count].unflatten(1, self.space.shape).float())
        return Found(basis, "stored", torch.eye(count), scores={"singular_value": values[:count].float()})

    def _hessian(self) -> Found:
        """Leading eigenvectors of the perceptual Hessian, by the solver of the settings."""
        settings = self.settings.spectrum
        codes = self.space.generator.sample(range(settings.codes), seeds.derived(self.seed, "spectrum"))
        hessian = PerceptualHessian(self.space, self.distance, codes, self.compute)
        with self.stages(f"spectrum of {describe(self.space)}") as report:
            if settings.solver == "krylov":
                found = krylov(
                    hessian,
                    settings.vectors,
                    block=settings.block,
                    tolerance=settings.tolerance,
                    products=settings.products,
                    seed=self.seed,
                    report=report,
                )
            else:
                found = power(
                    hessian,
                    settings.vectors,
                    epsilon=settings.epsilon,
                    iterations=settings.iterations,
                    seed=self.seed,
                    report=report,
                )
        basis = DenseBasis(found.vectors.unflatten(1, self.space.shape).cpu())
        scores = {"rayleigh": found.values, "residual": found.residuals}
        return Found(basis, "stored", torch.eye(basis.count), scores=scores, provenance={"products": found.products})

    def _learn(self, found: Found, method: str, checkpoint: Path | None) -> Found:
        """Coefficients learned on a basis, in falling order of the reconstructor's accuracy."""
        settings: LearnSettings = getattr(self.settings, method.replace("-", "_"))
        basis = found.basis.to(self.compute.device)
        limit = settings.shift or self._typical_shift(basis)
        pairs = Pairs(self.space, basis, limit, settings.shift_floor, self.seed)
        with self.stages(f"{method} in {describe(self.space)}") as report:
            learned = learn(
                pairs, self.settings.directions, settings, self.compute, checkpoint=checkpoint, report=report
            )
        provenance = {
            "shift": limit,
            "accuracy": float(learned.accuracy.nanmean()),
            "shift_error": learned.shift_error,
            "log": learned.log,
        }
        order = learned.accuracy.nan_to_num(-1).argsort(descending=True, stable=True)
        coefficients, scores = learned.coefficients.cpu()[order], {"accuracy": learned.accuracy[order]}
        return replace(found, coefficients=coefficients, scores=scores, provenance=provenance, earlier=learned.earlier)

    def _meter(self) -> EffectMeter:
        codes = self.space.generator.sample(range(self.settings.effect_codes), seeds.derived(self.seed, "effect"))
        return EffectMeter(self.space, self.distance, codes, self.compute)

    def _typical_shift(self, basis: Basis) -> float:
        """T: the median shift at which random unit combinations of the basis reach the effect."""
        coefficients = seeds.normal(seeds.derived(self.seed, "typical"), range(8), (basis.count,))
        offsets = basis.combine(F.normalize(coefficients, dim=1).to(self.compute.device))
        low, high = calibrate(self._meter(), offsets, self.settings.effect)
        return float(torch.cat([-low, high]).median())

    def _ranges(self, found: Found, method: str) -> tuple[Tensor, Tensor]:
        """The t range of every direction, one direction's offset in memory at a time."""
        meter, basis = self._meter(), found.basis.to(self.compute.device)
        rows = found.coefficients.to(self.compute.device).split(1)
        ends = []
        guess = 1.0
        with self.stages(f"calibration of {method} in {describe(self.space)}") as report:
            for index, row in enumerate(rows):
                ends.append(calibrate(meter, basis.combine(row), self.settings.effect, guess))
                guess = float(ends[-1][1]) if float(ends[-1][1]) < LARGEST else guess
                report(index + 1, len(rows))
        t_min, t_max = zip(*ends, strict=True)
        return torch.cat(t_min), torch.cat(t_max)
