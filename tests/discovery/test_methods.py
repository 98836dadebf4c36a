from dataclasses import replace

import pytest
import torch
from analytic import Curved, LinearGenerator, Quadratic, noise, wrapped
from torch import nn

from navbench import spaces
from navbench.basis import SvdBasis, random_basis
from navbench.compute import Compute
from navbench.directions import write_set
from navbench.discovery import learn as learning
from navbench.discovery.calibration import EffectMeter
from navbench.discovery.convergence import failed_criteria
from navbench.discovery.hessian import PerceptualHessian
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings, HybridSettings, OptimizationSettings, SpectrumSettings
from navbench.errors import NavbenchError
from navbench.library import open_set, set_path
from navbench.methods import METHODS, admitted, effort
from navbench.words import NOT_CONVERGED

LAYER = "wide"
IN_WEIGHTS = admitted(list(METHODS), "parameter")
SETTINGS = DiscoverySettings(
    directions=4,
    effect=0.3,
    effect_codes=6,
    spectrum=SpectrumSettings(vectors=5, codes=6, tolerance=1e-4),
    optimization=OptimizationSettings(steps=3, batch=4, evaluation=8, recognition_codes=4),
    hybrid=HybridSettings(steps=3, batch=4, evaluation=8, recognition_codes=4, shift=2.0),
)


class Tiny(nn.Module):
    """A reconstructor of one layer."""

    def __init__(self, directions, trunk="small"):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(384, directions + 1))

    def forward(self, original, shifted):
        out = self.net(torch.cat([original, shifted], dim=1))
        return out[:, :-1], out[:, -1]


@pytest.fixture(scope="module")
def found():
    """The sets of all methods on one layer of a wrapped network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "Reconstructor", Tiny)
        made = discovery()
        return {name: made.run(name) for name in IN_WEIGHTS}


def discovery(settings=SETTINGS, layer=LAYER, seed=3):
    space = spaces.create(wrapped(), "parameter", layer)
    return Discovery(space, Curved(), settings, Compute(batch=4), seed)


@pytest.mark.parametrize("method", IN_WEIGHTS)
def test_every_direction_of_every_method_has_unit_norm_and_its_place(found, method):
    directions = list(found[method])
    assert len(directions) == (5 if method == "spectrum" else 4)
    for index, direction in enumerate(directions):
        assert float(direction.offset.norm()) == pytest.approx(1, abs=1e-5)
        assert direction.name == f"convolutions/{method}/{LAYER}/{index}"
        assert set(direction.scores) == {
            "svd": {"singular_value"},
            "random": set(),
            "spectrum": {"rayleigh", "residual"},
        }.get(method, {"accuracy"})


@pytest.mark.parametrize("method", IN_WEIGHTS)
def test_every_direction_reaches_the_same_effect_at_both_ends(found, method):
    generator = wrapped()
    codes = generator.sample(range(6), learning.seeds.derived(3, "effect"))
    meter = EffectMeter(spaces.create(generator, "parameter", LAYER), Curved(), codes, Compute())
    for direction in found[method]:
        for t in (direction.t_min, direction.t_max):
            assert meter.effect(t * direction.offset) == pytest.approx(0.3, rel=0.011)
        assert direction.t_min < 0 < direction.t_max


def test_svd_directions_are_the_leading_terms_of_the_kernel(found):
    generator = wrapped()
    layer = generator.layer(LAYER)
    basis = SvdBasis(layer, generator.kernel(layer))
    expected = basis.combine(torch.eye(4, basis.count))
    torch.testing.assert_close(torch.stack([direction.offset for direction in found["svd"]]), expected)
    assert [direction.scores["singular_value"] for direction in found["svd"]] == pytest.approx(
        basis.singular_values[:4].tolist()
    )


def test_spectrum_directions_are_eigenvectors_of_the_hessian(found):
    generator = wrapped()
    codes = generator.sample(range(6), learning.seeds.derived(3, "spectrum"))
    hessian = PerceptualHessian(spaces.create(generator, "parameter", LAYER), Curved(), codes, Compute())
    vectors = torch.stack([direction.offset.flatten() for direction in found["spectrum"]])
    values = torch.tensor([direction.scores["rayleigh"] for direction in found["spectrum"]])
    torch.testing.assert_close(
        hessian.product(vectors), values[:, None] * vectors, rtol=0, atol=1e-3 * float(values[0])
    )
    assert (values.diff() <= 0).all()
    assert found["spectrum"].provenance["products"] > 5


def test_random_directions_are_those_of_the_seed(found):
    basis = random_basis(wrapped().layer(LAYER).shape, 4, seed=3)
    torch.testing.assert_close(torch.stack([direction.offset for direction in found["random"]]), basis.vectors)


@pytest.mark.parametrize(("method", "basis"), [("optimization", "svd"), ("hybrid", "spectrum")])
def test_learned_directions_lie_in_the_span_of_their_basis(found, method, basis):
    made = found[method]
    space = made.basis.combine(torch.eye(made.basis.count)).flatten(1)
    offsets = torch.stack([direction.offset.flatten() for direction in made])
    torch.testing.assert_close(offsets @ space.T @ space, offsets, rtol=0, atol=1e-5)
    torch.testing.assert_close(made.coefficients.norm(dim=1), torch.ones(4))
    if basis == "spectrum":
        torch.testing.assert_close(made.basis.vectors, found["spectrum"].basis.vectors)


def test_the_shift_of_training_is_the_settings_or_chosen_by_the_effect(found):
    assert found["hybrid"].provenance["shift"] == 2.0
    chosen = found["optimization"].provenance["shift"]
    ends = torch.cat([found["svd"].t_max, -found["svd"].t_min])
    assert float(ends.min()) / 3 < chosen < float(ends.max()) * 3


@pytest.mark.parametrize("method", ["optimization", "hybrid"])
def test_a_learned_set_tells_whether_its_learning_converged(found, method):
    provenance = found[method].provenance
    assert provenance["reconstructor"] == "small"
    assert provenance["failed"] == failed_criteria(provenance, 4) != []  # in three steps
    assert provenance["status"] == NOT_CONVERGED
    assert set(provenance["recognition"]) == {"learned", "start", "basis", "random in basis"}
    assert set(provenance["advantage"]) == {"start", "basis", "random in basis"}


def test_other_sets_have_no_status(found):
    assert [name for name, directions in found.items() if "status" in directions.provenance] == [
        name for name in found if METHODS[name].learned
    ]


def test_a_set_of_as_many_directions_as_vectors_says_that_it_is_a_rotation(found, monkeypatch):
    monkeypatch.setattr(learning, "Reconstructor", Tiny)
    assert "span" not in found["hybrid"].provenance  # 4 directions of 5 vectors
    hybrid = SETTINGS.hybrid.model_copy(update={"directions": 7})
    rotated = discovery(SETTINGS.model_copy(update={"hybrid": hybrid})).run("hybrid")
    assert len(rotated) == 5
    assert rotated.provenance["span"].startswith("a rotation of the hessian basis")


def test_fewer_vectors_are_found_where_they_would_take_too_many_megabytes():
    assert SpectrumSettings(vectors=64).vectors_of(10**9) == 64
    limited = SpectrumSettings(vectors=64, megabytes=9.5)
    assert (limited.vectors_of(9216), limited.vectors_of(147_456), limited.vectors_of(10**8)) == (64, 32, 1)


def test_a_hybrid_takes_the_vectors_of_a_spectrum_on_disk(found, tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "Reconstructor", Tiny)
    monkeypatch.setattr(Discovery, "_hessian", lambda _: pytest.fail("eigenvectors were found anew"))
    path = set_path(tmp_path, found["spectrum"].set_id)
    write_set(found["spectrum"], path)
    hybrid = discovery().run("hybrid", open_set(path).load(wrapped()))
    write_set(hybrid, set_path(tmp_path, hybrid.set_id))
    read = open_set(set_path(tmp_path, hybrid.set_id)).load(wrapped())
    for ours, theirs in zip(read, hybrid, strict=True):
        torch.testing.assert_close(ours.offset, theirs.offset)


@pytest.mark.parametrize("other", [{"layer": "last"}, {"weights": "0" * 64}])
def test_a_spectrum_of_another_layer_or_other_weights_is_refused(found, other):
    with pytest.raises(NavbenchError, match=r"does not belong to parameter wide"):
        discovery().run("hybrid", replace(found["spectrum"], **other))


def test_more_directions_than_the_kernel_has_terms_are_cut_to_those():
    made = discovery(SETTINGS.model_copy(update={"directions": 64}), layer="last").run("svd")
    assert len(made) == 3


def test_a_hessian_of_low_rank_gives_as_many_directions_as_it_has():
    generator = LinearGenerator(latent_dim=1, side=2)
    space = spaces.create(generator, "parameter", "map")
    distance = Quadratic(noise(0, 1, 12))
    made = Discovery(space, distance, SETTINGS, Compute(), 0).run("spectrum")
    assert len(made) == 2
    assert torch.isfinite(torch.cat([made.t_min, made.t_max])).all()


def test_equal_seeds_give_equal_sets(found):
    again = discovery().run("spectrum")
    assert torch.equal(again.basis.vectors, found["spectrum"].basis.vectors)
    assert torch.equal(again.t_max, found["spectrum"].t_max)


def test_an_unknown_method_is_answered_with_the_nearest():
    with pytest.raises(NavbenchError, match="Unknown method 'spectral'; did you mean 'spectrum'"):
        discovery().run("spectral")


def test_both_solvers_find_the_same_first_direction(found):
    power = SETTINGS.spectrum.model_copy(update={"solver": "power", "vectors": 1, "iterations": 60, "epsilon": 1e-2})
    made = discovery(SETTINGS.model_copy(update={"spectrum": power})).run("spectrum")
    assert abs(float((made[0].offset * found["spectrum"][0].offset).sum())) > 0.99
    assert made.provenance["products"] == 120


def test_the_effort_of_a_method_is_what_it_reads_of_the_settings():
    settings = DiscoverySettings().model_dump()
    shared = {"directions", "distance", "effect", "effect_codes"}
    assert set(effort("svd", settings)) == set(effort("random", settings)) == shared
    assert set(effort("spectrum", settings)) == {*shared, "spectrum"}
    assert set(effort("hybrid", settings)) == {*shared, "spectrum", "hybrid"}
    assert set(effort("ganspace", settings)) == {*shared, "ganspace"}
    assert set(effort("latent-optimization", settings)) == {*shared, "latent_optimization"}
    assert effort("theirs", settings) == settings
