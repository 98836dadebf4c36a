"""Methods in latent spaces, on a generator whose latents and response to them are linear and known."""

from collections.abc import Sequence
from dataclasses import replace

import analytic
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import seeds, spaces
from navbench.basis import random_basis
from navbench.compute import Compute
from navbench.directions import write_set
from navbench.discovery import learn as learning
from navbench.discovery.bases import principal_components
from navbench.discovery.calibration import EffectMeter
from navbench.discovery.hessian import PerceptualHessian, krylov
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import (
    DiscoverySettings,
    GanspaceSettings,
    LatentOptimizationSettings,
    SpectrumSettings,
)
from navbench.errors import NavbenchError
from navbench.generators.base import Codes
from navbench.generators.stylegan2 import StyleCodes
from navbench.library import open_set, set_path
from navbench.methods import METHODS, admitted, is_labelled
from navbench.metrics.subspaces import overlap
from navbench.words import LATENTS

DIM = 4
IN_W = admitted([name for name in METHODS if not is_labelled(name)], "w")
SCALES = torch.tensor([3.0, 2.0, 1.0, 0.5])
MEAN = 5.0


def rotation(seed: int) -> Tensor:
    """An orthogonal matrix."""
    return torch.linalg.qr(analytic.noise(seed, DIM, DIM))[0]


class Mapped(analytic.LinearGenerator):
    """w = z times a known matrix, plus a mean; images are linear in w."""

    latents = ("z", "w")

    def __init__(self) -> None:
        super().__init__(latent_dim=DIM)
        self.name = "mapped"
        self.axes = nn.Parameter(rotation(1), requires_grad=False)  # rows: the principal axes of w

    def map_to_w(self, codes: Codes) -> StyleCodes:
        w = getattr(codes, "w", None)
        return StyleCodes(codes.z, (codes.z * SCALES) @ self.axes + MEAN if w is None else w)

    def latent_shape(self, kind: str) -> torch.Size:
        return torch.Size((DIM,)) if kind == "w" else super().latent_shape(kind)

    def latent(self, codes: Codes, kind: str) -> Tensor:
        return codes.z if kind == "z" else self.map_to_w(codes).w

    def shift_latent(self, codes: Codes, kind: str, offset: Tensor) -> Codes:
        if kind == "z":
            return StyleCodes(codes.z + offset)
        codes = self.map_to_w(codes)
        return replace(codes, w=codes.w + offset)

    def latent_weights(self, kind: str) -> Tensor:
        assert kind == "w"
        return self.kernel(self.layers()[0])[:DIM].flatten(1).T

    def forward(self, codes: Codes) -> Tensor:
        return super().forward(Codes(self.map_to_w(codes).w))


class Tiny(nn.Module):
    """A reconstructor of one layer."""

    def __init__(self, directions: int, trunk: str = "small") -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(96, directions + 1))

    def forward(self, original: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        out = self.net(torch.cat([original, shifted], dim=1))
        return out[:, :-1], out[:, -1]


SETTINGS = DiscoverySettings(
    directions=3,
    effect=0.3,
    effect_codes=6,
    ganspace=GanspaceSettings(samples=4000),
    latent_optimization=LatentOptimizationSettings(
        steps=4, batch=4, evaluation=8, recognition_codes=4, learning_rate=1e-2
    ),
)


def found(method: str, kind: str = "w", **changes: object):
    space = spaces.create(Mapped(), kind)
    settings = SETTINGS.model_copy(update=changes)
    return Discovery(space, analytic.Quadratic(), settings, Compute(batch=500), 3).run(method)


def offsets(directions) -> Tensor:
    return torch.stack([direction.offset for direction in directions])


def assert_same_lines(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    """The rows of both are the same up to their signs."""
    torch.testing.assert_close((ours * theirs).sum(1).abs(), torch.ones(len(ours)), atol=tolerance, rtol=0)


def test_ganspace_finds_the_principal_axes_of_w_in_falling_order():
    directions = found("ganspace")
    assert_same_lines(offsets(directions), Mapped().axes[:3], 5e-3)
    shares = SCALES.square() / SCALES.square().sum()
    torch.testing.assert_close(directions.scores["variance"], shares[:3], atol=0.02, rtol=0)


def test_no_more_directions_are_found_than_the_space_has_dimensions():
    for method in ("ganspace", "sefa"):
        assert len(found(method, directions=64)) == DIM
    assert len(found("random", directions=64)) == 64


def test_random_directions_are_those_of_the_seed():
    assert torch.equal(offsets(found("random")), random_basis(torch.Size((DIM,)), 3, seed=3).vectors)


def test_ganspace_does_not_depend_on_the_batch_size():
    space = spaces.create(Mapped(), "w")
    runs = [
        Discovery(space, analytic.Quadratic(), SETTINGS, Compute(batch=size), 3).run("ganspace") for size in (7, 1900)
    ]
    torch.testing.assert_close(*[offsets(run) for run in runs], atol=1e-5, rtol=0)


def test_the_angle_between_ganspace_and_the_true_axes_falls_with_the_samples():
    """As the root of their number: a hundred times the samples leave about a tenth of the angle."""
    angles = [
        float(overlap(offsets(found("ganspace", ganspace=GanspaceSettings(samples=samples)))[:2], Mapped().axes[:2])
              .angles[-1])
        for samples in (30, 3000)
    ]  # fmt: skip
    assert angles[1] < min(angles[0] / 3, 1.5)


def test_principal_components_are_of_streamed_codes_and_make_no_image():
    """No more codes are held at once than the batch of the mapping, whatever their number."""
    held = []

    class Watched(Mapped):
        def sample(self, indices, seed):
            held.append(len(indices))
            return super().sample(indices, seed)

        def forward(self, codes):
            raise AssertionError("an image was made")

    components = principal_components(spaces.create(Watched(), "w"), 3, 5000, Compute(batch=32), 0)
    assert components.vectors.shape == (3, DIM)
    assert max(held) <= 1024
    assert sum(held) == 5000


def test_sefa_finds_what_the_first_linear_map_amplifies_most_with_all_its_outputs_on_one_scale():
    generator = Mapped()
    kernel = F.normalize(generator.kernel(generator.layers()[0])[:DIM].flatten(1), dim=0)
    values, vectors = torch.linalg.eigh(kernel @ kernel.T)
    directions = found("sefa")
    assert_same_lines(offsets(directions), vectors.flip(1).T[:3], 1e-3)
    torch.testing.assert_close(directions.scores["singular_value"], values.flip(0)[:3].sqrt(), rtol=1e-4, atol=0)


def closed_form(weights: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, the largest first, and eigenvectors (rows) of Shen & Zhou: modulation weights (outputs, w) each."""
    a = np.concatenate([weight.T for weight in weights], axis=1)
    a = a / np.linalg.norm(a, axis=0, keepdims=True)
    values, vectors = np.linalg.eigh(a @ a.T)
    return values[::-1], vectors.T[::-1]


def test_sefa_of_a_stylegan2_is_the_closed_form_of_shen_and_zhou():
    generator = analytic.styled(16)
    layers = ("conv1", "convs.0", "convs.1", "convs.2", "convs.3", "to_rgbs.1")
    state = generator.state_dict()
    values, vectors = closed_form([state[f"{layer}.conv.modulation.weight"].double().numpy() for layer in layers])
    space = spaces.create(generator, "w")
    directions = Discovery(space, analytic.Curved(), SETTINGS, Compute(), 3).run("sefa")
    assert_same_lines(offsets(directions), torch.from_numpy(vectors[:3].copy()).float(), 1e-5)
    found_values = directions.scores["singular_value"].square().double()
    torch.testing.assert_close(found_values, torch.from_numpy(values[:3].copy()), rtol=1e-5, atol=0)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 50.0])
def test_the_scale_of_an_output_does_not_move_what_sefa_finds(scale, monkeypatch):
    """An output that reads nothing does not count at all."""
    weights = Mapped().latent_weights("w").clone()
    monkeypatch.setattr(Mapped, "latent_weights", lambda self, kind: weights[1:] if scale == 0 else weights)
    expected = offsets(found("sefa"))
    scaled = torch.cat([scale * weights[:1], weights[1:]])
    monkeypatch.setattr(Mapped, "latent_weights", lambda self, kind: scaled)
    assert_same_lines(offsets(found("sefa")), expected, 1e-5)


@pytest.mark.parametrize("kind", ["z", "w"])
def test_the_latent_spectrum_is_that_of_the_linear_response(kind):
    generator = Mapped()
    jacobian = generator.kernel(generator.layers()[0])[:DIM].flatten(1)
    if kind == "z":
        jacobian = torch.diag(SCALES) @ generator.axes @ jacobian
    values, vectors = torch.linalg.eigh(2 * jacobian @ jacobian.T)
    directions = found("latent-spectrum", kind)
    assert_same_lines(offsets(directions)[:3], vectors.flip(1).T[:3], 1e-3)
    torch.testing.assert_close(directions.scores["rayleigh"][:3], values.flip(0)[:3], rtol=1e-3, atol=0)


@pytest.mark.parametrize("products", [16, 200])
def test_the_spectrum_of_a_small_space_is_found_with_as_many_vectors_as_it_nearly_has(products):
    generator = analytic.LinearGenerator(latent_dim=20, side=4)
    space = spaces.create(generator, "z")
    codes = generator.sample(range(3), seed=0)
    jacobian = generator.kernel(generator.layers()[0])[:20].flatten(1)
    exact, vectors = torch.linalg.eigh(2 * jacobian @ jacobian.T)
    result = krylov(
        PerceptualHessian(space, analytic.Quadratic(), codes, Compute()), 16, products=products, tolerance=1e-4
    )
    assert result.products <= min(products, 20)
    torch.testing.assert_close(result.vectors @ result.vectors.T, torch.eye(16), rtol=0, atol=1e-5)
    if products > 20:
        torch.testing.assert_close(result.values, exact.flip(0)[:16], rtol=1e-4, atol=0)
        assert_same_lines(result.vectors, vectors.flip(1).T[:16], 1e-3)


@pytest.mark.parametrize("kind", ["z", "w", "w+"])
def test_the_latent_spectrum_of_a_stylegan2_holds_what_changes_its_images_most(kind):
    """Its first direction does more than any random one, as 2 d / t^2 = v H v for small t."""
    generator = analytic.styled()
    settings = SETTINGS.model_copy(update={"spectrum": SpectrumSettings(vectors=3, codes=6, tolerance=1e-4)})
    space = spaces.create(generator, kind)
    made = Discovery(space, analytic.Curved(), settings, Compute(), 3).run("latent-spectrum")
    codes = generator.sample(range(6), seeds.derived(3, "spectrum"))
    meter = EffectMeter(space, analytic.Curved(), codes, Compute())
    small = 1e-2
    effects = [meter.effect(small * direction.offset) for direction in made]
    rayleigh = made.scores["rayleigh"].tolist()
    assert [2 * effect / small**2 for effect in effects] == pytest.approx(rayleigh, rel=0.05)
    for other in random_basis(space.shape, 8, seed=0).vectors:
        assert meter.effect(small * other) < effects[0]


def test_latent_optimization_learns_unit_offsets_of_the_space(monkeypatch):
    monkeypatch.setattr(learning, "Reconstructor", Tiny)
    monkeypatch.setattr(learning, "RELEASE", -1.0)
    directions = found("latent-optimization")
    assert directions.basis_name == "identity"
    torch.testing.assert_close(offsets(directions).norm(dim=1), torch.ones(3))
    torch.testing.assert_close(offsets(directions), directions.coefficients)
    start = learning.start_near_axes(3, DIM, 3)
    distances = torch.cdist(directions.coefficients, start).amin(1)  # three steps from where each started
    assert (distances > 1e-3).all()
    assert (distances < 0.2).all()
    assert (directions.scores["accuracy"].diff() <= 0).all()


@pytest.mark.parametrize("method", IN_W)
def test_a_set_in_w_reads_back_as_it_was_written(method, tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "Reconstructor", Tiny)
    written = found(method)
    path = set_path(tmp_path, written.set_id)
    write_set(written, path)
    assert path == tmp_path / "mapped" / method / "w.safetensors"
    read = open_set(path).load(Mapped())
    assert (read.set_id, read.place, read.layer) == (f"mapped/{method}/w", "w", None)
    torch.testing.assert_close(offsets(read), offsets(written), atol=1e-3, rtol=0)
    assert read[1].name == f"mapped/{method}/w/1"


@pytest.mark.parametrize("method", IN_W)
def test_both_ends_of_a_latent_direction_reach_the_effect(method, monkeypatch):
    monkeypatch.setattr(learning, "Reconstructor", Tiny)
    generator = Mapped()
    kernel = generator.kernel(generator.layers()[0])[:DIM].flatten(1)
    for direction in found(method):
        effect = (direction.offset @ kernel).square().sum()
        for t in (direction.t_min, direction.t_max):
            assert t * t * float(effect) == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize(("method", "kind"), [("ganspace", "z"), ("svd", "w"), ("hybrid", "z"), ("spectrum", "w")])
def test_a_method_is_refused_where_it_is_not_defined(method, kind):
    with pytest.raises(NavbenchError, match=rf"Method {method} is not defined in {kind} spaces"):
        found(method, kind)


def test_a_latent_space_that_a_generator_lacks_is_refused():
    with pytest.raises(NavbenchError, match="Unknown latent space of generator mapped 'w\\+'"):
        spaces.create(Mapped(), "w+")


def test_a_generator_that_names_no_linear_maps_cannot_be_decomposed():
    space = spaces.create(analytic.wrapped(), "z")
    with pytest.raises(NavbenchError, match="override `latent_weights`"):
        Discovery(space, analytic.Curved(), SETTINGS, Compute(), 0).run("sefa")


def test_the_table_admits_every_method_somewhere_and_passes_over_the_rest():
    assert admitted(["svd", "ganspace", "random"], "z") == ("random",)
    assert admitted(["svd", "ganspace", "random"], "w") == ("ganspace", "random")
    assert all(any(admitted([name], kind) for kind in ("parameter", *LATENTS)) for name in METHODS)
    with pytest.raises(NavbenchError, match="Unknown method 'ganspce'"):
        admitted(["ganspce"], "w")
