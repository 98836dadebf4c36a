"""The perceptual Hessian over a space, exactly, and its leading eigenvectors by two solvers (section 3.3)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute, doubled, exact
from navbench.discovery.linearised import Linearised
from navbench.errors import Failure, NavbenchError
from navbench.generators.base import Codes
from navbench.memory import Allocations
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report, silent
from navbench.spaces import Space, describe
from navbench.work import SentOnce

ROUNDING = 1e-6  # what is smaller than this share of the largest eigenvalue is zero, at float32
KEPT = 2**30
"""Bytes of linearisations that are kept between products, and as many of the states before the layer."""


class PerceptualHessian(SentOnce):
    """H = d^2/da^2 E_z d(G(z), G_a(z)) at a = 0, for offsets a of a space (eq. 3).

    The distance is |f(x) - f(y)|^2 with features f, so that H = 2 E_z J^T J, J the Jacobian of f(G_a(z)) in a:
    a product is one push and one pull of a linearisation, without a step size. Offsets are flat here, (P,), with P
    the number of elements of `space.shape`.

    A batch is linearised once for all vectors of a product, and once for all products while `KEPT` bytes hold it: a
    linearisation costs about a product, and holds the activations of its batch.
    """

    def __init__(self, space: Space, distance: PerceptualDistance, codes: Codes, compute: Compute) -> None:
        self.space, self.distance, self.codes, self.compute = space, distance, codes, compute
        self.size = space.shape.numel()
        self.gradients = 0  # evaluations of `gradient`, in passes over all codes
        self.products = 0  # Hessian-vector products, likewise
        self._states: dict[tuple[int, int], Any] = {}
        self._state_bytes = 0
        self._originals: dict[tuple[int, int], Tensor] = {}
        self._linearised: dict[tuple[int, int], Linearised] = {}
        self._batch = compute.batch

    def product(self, vectors: Tensor) -> Tensor:
        """H times each row of `vectors`, (m, P)."""
        self.products += len(vectors)
        products = 2 / len(self.codes) * sum(self._parts(vectors), torch.zeros_like(vectors))
        if not torch.isfinite(products).all():
            where = "" if self.space.layer is None else f" of layer {self.space.layer.name}"
            raise Failure(f"The perceptual Hessian{where} has NaN or infinite values; check the generator's weights.")
        return products

    def gradient(self, offset: Tensor) -> Tensor:
        """The gradient of E_z d(G(z), G_a(z)) at a = `offset`, (P,): g of eq. 4."""
        self.gradients += 1
        parts = self.compute.over(range(len(self.codes)), lambda indices: self._gradient(indices, offset))
        return sum(parts, torch.zeros_like(offset)) / len(self.codes)

    @property
    def cache_key(self) -> list[Any]:
        """What products depend on: everything."""
        codes = [getattr(self.codes, field.name) for field in fields(self.codes)]
        return [self.space, self.distance, self.compute, codes]

    def part(self, indices: Sequence[int], vectors: Tensor) -> Tensor:
        """Of `product` what codes number `indices` give, (m, P), without the factor; what they share is kept."""
        return sum(self.compute.over(indices, lambda chunk: self._product(chunk, vectors)), torch.zeros_like(vectors))

    def _parts(self, vectors: Tensor) -> Iterable[Tensor]:
        """The parts of all codes."""
        return self.compute.over(range(len(self.codes)), lambda indices: self._product(indices, vectors))

    def _response(self, indices: Sequence[int]) -> Callable[[Tensor], Tensor]:
        if self._batch != self.compute.batch:  # memory ran out, and the old states are in it
            self._states, self._originals, self._linearised, self._batch = {}, {}, {}, self.compute.batch
            self._state_bytes = 0
        state = self._state(indices)
        return lambda offset: self.distance.features(self.space.render(state, offset.view(self.space.shape)))

    def _state(self, indices: Sequence[int]) -> Any:
        """All work before the layer, of a batch; those of the first batches are kept, as many as fit."""
        key = (indices[0], len(indices))
        if key in self._states:
            return self._states[key]
        with torch.no_grad(), Allocations() as made:
            state = self.space.prepare(self.codes[indices[0] : indices[0] + len(indices)])
        if self._state_bytes + made.alive <= KEPT:
            self._states[key], self._state_bytes = state, self._state_bytes + made.alive
        return state

    def _product(self, indices: Sequence[int], vectors: Tensor) -> Tensor:
        jacobian = self._jacobian(indices, torch.zeros_like(vectors[0]))
        return torch.stack([jacobian.pull(jacobian.push(vector)) for vector in vectors])

    def _jacobian(self, indices: Sequence[int], point: Tensor) -> Linearised:
        """J of a batch at a point, zero; those of the first batches are kept, as many as fit."""
        response, key = self._response(indices), (indices[0], len(indices))
        if key in self._linearised:
            return self._linearised[key]
        jacobian = Linearised(response, point)
        if jacobian.bytes + sum(kept.bytes for kept in self._linearised.values()) <= KEPT:
            self._linearised[key] = jacobian
        return jacobian

    def _gradient(self, indices: Sequence[int], offset: Tensor) -> Tensor:
        response, key = self._response(indices), (indices[0], len(indices))
        if key not in self._originals:
            with torch.no_grad():
                self._originals[key] = response(torch.zeros_like(offset))
        original = self._originals[key]
        return torch.func.grad(lambda a: (response(a) - original).square().sum())(offset)


@dataclass(frozen=True)
class Spectrum:
    """Leading eigenpairs, in falling order of the eigenvalue; those of eigenvalue zero are left out.

    Attributes:
        values: (k,), Rayleigh quotients, positive.
        vectors: (k, P), orthonormal rows.
        residuals: (k,), |Hv - lv| / l.
        products: Hessian-vector products spent on finding them, a gradient of eq. 4 counted as one.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    products: int


def krylov(
    hessian: PerceptualHessian,
    count: int,
    *,
    block: int = 8,
    tolerance: float = 1e-2,
    products: int = 192,
    seed: int = 0,
    report: Report = silent,
) -> Spectrum:
    """The `count` leading eigenpairs by a block Krylov method: full reorthogonalisation, then Rayleigh-Ritz.

    Each round multiplies the newest block by H and appends what is new of the result to the basis Q. Since HQ is
    kept beside Q, the Ritz values and their true residuals cost no further product. Needs memory for
    2 x products x P numbers. Of equal eigenvalues, a Krylov space holds no more vectors than a block.
    """
    count, products = min(count, hessian.size), min(products, hessian.size)
    if products < count:
        raise NavbenchError(f"{products} Hessian products cannot give {count} eigenvectors; allow more products.")
    device = hessian.codes.z.device

    def fresh(vectors: range) -> Tensor:
        return seeds.normal(seeds.derived(seed, "krylov"), vectors, (hessian.size,)).to(device)

    newest = _orthonormal(fresh(range(min(block, products))))
    q = newest.new_empty(0, hessian.size)
    hq = newest.new_empty(0, hessian.size)
    while True:
        q, hq = torch.cat([q, newest]), torch.cat([hq, hessian.product(newest)])
        values, combination, residuals = _rayleigh_ritz(q, hq, count)
        worst = float(residuals.max()) if len(residuals) == count else float("inf")
        report(min(len(q), products), products, f"worst residual {worst:.1e}")
        room = min(len(newest), products - len(q))
        scale = float(hq.norm(dim=1).max())
        newest = _orthonormal(hq[-len(newest) :], against=q, floor=ROUNDING * scale)[:room]
        if not len(newest) and len(q) < count:  # H leaves Q where it is: what it does elsewhere is still unseen
            newest = _orthonormal(fresh(range(len(q), min(len(q) + block, count))), against=q)
        if worst <= tolerance or not len(newest):
            report(products, products, f"worst residual {worst:.1e}")
            return _positive(hessian, Spectrum(values, combination @ q, residuals, len(q)))


def _rayleigh_ritz(q: Tensor, hq: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ritz values, their combinations of the rows of q, and relative residuals, for the `count` leading pairs."""
    small = doubled(q @ hq.T)
    values, vectors = torch.linalg.eigh((small + small.T) / 2)
    values, combination = values.flip(0)[:count].float().to(q.device), vectors.flip(1)[:, :count].T.float().to(q.device)
    errors = (combination @ hq - values[:, None] * (combination @ q)).norm(dim=1)
    return values, combination, errors / values.abs().clamp_min(torch.finfo(torch.float32).tiny)


def _orthonormal(rows: Tensor, against: Tensor | None = None, floor: float = 0.0) -> Tensor:
    """An orthonormal basis of what is new in the rows beside those of `against`; less than `floor` is dropped."""
    for smallest in (floor, 1e-5):  # once is not enough in floating point
        if against is not None:
            rows = rows - (rows @ against.T) @ against
        q, r = torch.linalg.qr(exact(rows.T))
        rows = q.T[r.diagonal().abs() > smallest].to(rows.device)
    return rows


def _positive(hessian: PerceptualHessian, found: Spectrum) -> Spectrum:
    """The pairs whose eigenvalue is more than rounding."""
    kept = found.values > ROUNDING * max(found.values.tolist(), default=0.0)
    if not kept.any():
        raise Failure(
            f"No offset of {describe(hessian.space)} of generator {hessian.space.generator.name} changes its images, "
            f"as {hessian.distance.name} sees them; take another layer."
        )
    return replace(found, values=found.values[kept], vectors=found.vectors[kept], residuals=found.residuals[kept])


def power(
    hessian: PerceptualHessian,
    count: int,
    *,
    epsilon: float = 0.1,
    iterations: int = 10,
    seed: int = 0,
    report: Report = silent,
) -> Spectrum:
    """The paper's own procedure: eq. 4 for one vector after the other, those found projected out.

    v is normalised before it is scaled by epsilon. The vectors are sorted by their Rayleigh quotients, which,
    with the residuals, are measured afterwards by exact products that do not count as spent.
    """
    count, before = min(count, hessian.size), hessian.gradients
    device = hessian.codes.z.device
    found = torch.empty(0, hessian.size, device=device)
    largest = 0.0
    for index in range(count):
        v = seeds.normal(seeds.derived(seed, "power"), [index], (hessian.size,))[0].to(device)
        v, norm = _unit_outside(v, found)
        for step in range(iterations):
            v = (hessian.gradient(epsilon * v) - hessian.gradient(-epsilon * v)) / (2 * epsilon)
            v, norm = _unit_outside(v, found)
            largest = max(largest, norm)
            report(index * iterations + step + 1, count * iterations)
            if norm <= ROUNDING * largest:
                break
        if norm <= ROUNDING * largest:  # nothing is left outside those found
            report(count * iterations, count * iterations)
            break
        found = torch.cat([found, v[None]])
    spent = hessian.gradients - before
    pushed = hessian.product(found) if len(found) else found
    values = (found * pushed).sum(dim=1)
    residuals = (pushed - values[:, None] * found).norm(dim=1) / values.abs()
    order = values.argsort(descending=True)
    return _positive(hessian, Spectrum(values[order], found[order], residuals[order], spent))


def _unit_outside(vector: Tensor, found: Tensor) -> tuple[Tensor, float]:
    """The part of a vector that is orthogonal to those found, scaled to unit norm, and its norm before."""
    for _ in range(2):  # once is not enough in floating point
        vector = vector - (found @ vector) @ found
    norm = float(vector.norm())
    return vector / max(norm, torch.finfo(vector.dtype).tiny), norm
