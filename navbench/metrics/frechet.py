"""The Fréchet distance between Gaussians fitted to features.

    d² = ||μ - μr||² + tr S + tr Sr - 2 tr (S Sr)^½            (Dowson & Landau 1982; Heusel et al. 2017)

With any factor Sr = F Fᵀ, the eigenvalues of S Sr are those of the symmetric Fᵀ S F, so the reference is
factored once, and every distance to it takes one symmetric eigenvalue problem, of the rank of the reference
or of the number of samples, whichever is smaller.  Everything is float64.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.metrics.estimate import Estimate, ReferenceDraw, variance
from navbench.metrics.parts import Parts

SAMPLES = 512
"""Samples of a reference whose influence is computed; its spread is then known to 3 %."""


@dataclass(eq=False)
class Moments:
    """The count, sum and sum of outer products of features, streamed in float64.

    Attributes:
        n: number of samples.
        sum: (D,), Σx.
        outer: (D, D), Σxxᵀ.
    """

    n: int
    sum: Tensor
    outer: Tensor

    @classmethod
    def empty(cls, dimensions: int, device: torch.device | str = "cpu") -> "Moments":
        """The moments of no samples."""
        zeros = torch.zeros(dimensions, dimensions + 1, dtype=torch.float64, device=device)
        return cls(0, zeros[:, 0].clone(), zeros[:, 1:].clone())

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """The moments of features (N, D), on their device."""
        return cls.empty(features.shape[1], features.device).update(features)

    def update(self, features: Tensor) -> "Moments":
        """Add features (N, D) of any float type, in place."""
        x = features.detach().to(self.sum)
        self.n += len(x)
        self.sum += x.sum(dim=0)
        self.outer.addmm_(x.T, x)
        return self

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of samples together."""
        total, outer = other.sum.to(self.sum), other.outer.to(self.outer)
        return Moments(self.n + other.n, self.sum + total, self.outer + outer)

    @property
    def mean(self) -> Tensor:
        """μ, (D,)."""
        _enough(self.n)
        return self.sum / self.n

    @property
    def covariance(self) -> Tensor:
        """S, (D, D), with the divisor n - 1 of np.cov, as in torch-fidelity."""
        mean = self.mean
        return (self.outer - self.n * torch.outer(mean, mean)) / (self.n - 1)


@dataclass(frozen=True, eq=False)
class FrechetReference:
    """What Fréchet distances are measured against, factored once.

    Attributes:
        n: number of samples; `None` if unknown.
        mean: μr, (D,), float64.
        trace: tr Sr.
        factor: F, (D, r), with F Fᵀ = Sr; r is the numerical rank of Sr.
        samples: (s, D), some of its samples, whose influence tells what another draw of it would change; `None` if
            there are none.
    """

    n: int | None
    mean: Tensor
    trace: float
    factor: Tensor
    samples: Tensor | None = None

    @classmethod
    def from_moments(cls, moments: Moments) -> "FrechetReference":
        """Factor the covariance of some moments."""
        return cls.from_gaussian(moments.mean, moments.covariance, moments.n)

    def drawn(self, samples: Tensor) -> "FrechetReference":
        """The same with its samples (m, D), of which the first few are enough for what their draw changes."""
        return replace(self, samples=samples[:SAMPLES].to(self.mean))

    @classmethod
    def from_gaussian(cls, mean: Tensor, covariance: Tensor, n: int | None = None) -> "FrechetReference":
        """Factor a covariance, (D, D), float64; what is negative of its spectrum, by rounding, is left out."""
        values, vectors = torch.linalg.eigh(covariance)
        kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
        factor = vectors[:, kept] * values[kept].sqrt()
        return cls(n, mean, float(covariance.trace()), factor)

    def distance(self, moments: Moments) -> float:
        """The squared Fréchet distance of the Gaussian with these moments, of the same D."""
        self._check(len(moments.sum))
        covariance = moments.covariance.to(self.factor)
        roots = _roots(torch.linalg.eigvalsh(self.factor.T @ covariance @ self.factor))
        away = self._away(moments.mean)
        return float(away.square().sum() + covariance.trace() + self.trace - 2 * roots.sum())

    def distance_from_features(self, features: Tensor) -> float:
        """The same, from features (n, D): cheaper where n is less than D, for no D×D matrix is made.

        With C the centred features over sqrt(n-1), so that S = CᵀC, the trace is the nuclear norm of C F.
        """
        mean, centred = self._centre(features)
        cross = centred @ self.factor  # (n, r)
        gram = cross @ cross.T if len(cross) < cross.shape[1] else cross.T @ cross
        roots = _roots(torch.linalg.eigvalsh(gram))
        return float(self._away(mean).square().sum() + centred.square().sum() + self.trace - 2 * roots.sum())

    def estimate(self, features: Tensor) -> Estimate:
        """The distance of features (n, D) and the influence of each, see `estimate_of`."""
        return self.estimate_of(Parts.of(features))

    def estimate_of(self, features: Parts) -> Estimate:
        """The distance of features (n, D) and the influence of each: its exact derivative by their weights.

        With weights w, the value is a function of μ = Σ wᵢxᵢ and S = n/(n-1) Σ wᵢ(xᵢ-μ)(xᵢ-μ)ᵀ, and with
        c = xᵢ - μ and A = F (Fᵀ S F)^-½ Fᵀ (on its support, in which all reweighted samples stay),

            influenceᵢ = 2 (μ-μr)·c + n/(n-1) cᵀ(I - A)c - tr (I - A)S.

        The features are read twice, for their moments and for their influences; no more than D of them are in
        memory at once, or one part.

        That of a sample of the reference is the same with both sides exchanged, where A becomes its pseudoinverse.

        The standard errors are upper bounds: exact for n far above D, and where n is near D, or below, too large,
        by 10 to 40 % when the variances of the features decay as they do in practice.  Where both distributions are
        one, the value is of second order, which a jackknife holds twice: `stderr_both` is then too large by √2.
        """
        self._check(features.dimensions)
        n = len(features)
        _enough(n)
        if n <= self.factor.shape[1]:
            return self._estimate_of_few(features.whole())
        moments = Moments.empty(len(self.mean), self.mean.device)
        for part in features:
            moments.update(part.to(self.mean) - self.mean)  # near the reference's mean, so that no digits cancel
        away, covariance = moments.mean, moments.covariance
        roots, form, inverse = _root_of_product(self.factor, covariance)
        value = away.square().sum() + covariance.trace() + self.trace - 2 * roots
        influence = self.mean.new_empty(n)
        for part, of_part in zip(features, influence.split(features.sizes), strict=True):
            centred = part.to(self.mean) - self.mean - away
            quadratic = centred.square().sum(dim=1) - (centred @ form).square().sum(dim=1)
            of_part.copy_(2 * (centred @ away) + n / (n - 1) * quadratic)
        return Estimate(float(value), (influence - influence.mean()).cpu(), reference=self._draw(away, inverse))

    def _estimate_of_few(self, features: Tensor) -> Estimate:
        """The same for no more features than the reference has dimensions, by their products with each other."""
        mean, centred = self._centre(features)
        away = self._away(mean)
        # With C the centred features, C F = P Σ Qᵀ: row i of P gives the form cᵀAc as Σ_k σ_k P_ik².
        cross = centred @ self.factor
        values, left = torch.linalg.eigh(cross @ cross.T)
        roots, inverse = _roots(values), centred.T @ (left * _powers(values, -0.25))
        value = away.square().sum() + centred.square().sum() + self.trace - 2 * roots.sum()
        # Centred features carry 1/sqrt(n-1) already, which leaves a factor n of the quadratic terms.
        n = len(features)
        quadratic = centred.square().sum(dim=1) - left.square() @ roots
        influence = 2 * (n - 1) ** 0.5 * (centred @ away) + n * quadratic
        return Estimate(float(value), (influence - influence.mean()).cpu(), reference=self._draw(away, inverse))

    def _draw(self, away: Tensor, inverse: Tensor) -> ReferenceDraw | None:
        """The influence of the reference's samples, with A⁺ as `inverse` times its transpose; `None` without samples.

        Some samples stand for all m, so that their influence is scaled to have the variance of all.
        """
        if self.samples is None or self.n is None:
            return None
        centred = self.samples - self.mean
        quadratic = centred.square().sum(dim=1) - (centred @ inverse).square().sum(dim=1)
        influence = self.n / (self.n - 1) * quadratic - 2 * (centred @ away)
        share = len(influence) / self.n
        return ReferenceDraw((share**0.5 * (influence - influence.mean())).cpu())

    def _check(self, dimensions: int) -> None:
        if dimensions != len(self.mean):
            raise NavbenchError(
                f"Features of {dimensions} dimensions cannot be compared with a reference of "
                f"{len(self.mean)}; use one extractor for both."
            )

    def _away(self, mean: Tensor) -> Tensor:
        return mean.to(self.mean) - self.mean

    def _centre(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean (D,) and the centred features over sqrt(n-1), (n, D), where the reference is."""
        self._check(features.shape[1])
        _enough(len(features))
        x = features.detach().to(self.factor)
        mean = x.mean(dim=0)
        return mean, (x - mean) / (len(x) - 1) ** 0.5


def of_one_distribution(distance: Estimate, m: int) -> Estimate:
    """A distance of n samples from m of a reference that is known to be of the same distribution.

    It then has terms of the second order alone, of pairs of any two of n + m alike, which influences hold twice: of the
    variance of both that is a half.  Those of the samples hold their own pairs twice, and those with the reference,
    n : m as many, once for every sample, which is right while that is held fixed.
    """
    if distance.reference is None:
        return distance
    alone, other = variance(distance.influence), variance(distance.reference.influence)
    draw = replace(distance.reference, excess=(alone + other) / 2)
    return replace(distance, excess=alone / (1 + distance.n / m) / 2, reference=draw)


def _root_of_product(factor: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return tr (FᵀSF)^½, and W and W' (D, r) with F (FᵀSF)^-½ Fᵀ = WWᵀ on the support of FᵀSF, and (WWᵀ)⁺ = W'W'ᵀ.

    As S F = A⁺ F (FᵀSF)^½, what is the inverse of A on the span of S is S F (FᵀSF)^-3/2 FᵀS.
    """
    values, vectors = torch.linalg.eigh(factor.T @ covariance @ factor)
    across = factor @ vectors
    inverse = covariance @ (across * _powers(values, -0.75))
    return _roots(values).sum(), across * _powers(values, -0.25), inverse


def _powers(eigenvalues: Tensor, power: float) -> Tensor:
    """Powers of eigenvalues, ascending, and 0 for those that are 0 but for rounding."""
    kept = eigenvalues > eigenvalues[-1:] * len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps
    return torch.where(kept, eigenvalues, 1.0) ** power * kept


def _roots(eigenvalues: Tensor) -> Tensor:
    """Square roots of eigenvalues that are non-negative but for rounding."""
    return eigenvalues.clamp_min(0).sqrt()


def _enough(n: int) -> None:
    if n < 2:
        raise NavbenchError(f"A covariance needs at least two samples, and there are {n}; use more codes.")
