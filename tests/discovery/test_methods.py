from dataclasses import replace

import pytest
import torch
from analytic import Curved, LinearGenerator, Quadratic, noise, wrapped
from torch import nn

from navbench import spaces
from navbench.basis import SvdBasis, random_basis, random_combinations
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
from navbench.methods import METHODS, admitted, control_of, effort, is_control, is_determined, is_labelled
from navbench.words import NOT_CONVERGED

LAYER = "wide"
IN_WEIGHTS = admitted([name for name in METHODS if not is_labelled(name)], "parameter")
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
    assert len(directions) == 4
    for index, direction in enumerate(directions):
        assert float(direction.offset.norm()) == pytest.approx(1, abs=1e-5)
        assert direction.name == f"convolutions/{method}/{LAYER}/{index}"
        assert set(direction.scores) == {
            "svd": {"singular_value"},
            **{drawn: set() for drawn in METHODS if is_control(drawn)},
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


IN_A_BASIS = [
    ("optimization", "svd"), ("hybrid", "spectrum"), ("random-in-svd", "svd"), ("random-in-spectrum", "spectrum"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "basis"), IN_A_BASIS)
def test_learned_and_drawn_directions_lie_in_the_span_of_their_basis(found, method, basis):
    made = found[method]
    space = made.basis.combine(torch.eye(made.basis.count)).flatten(1)
    offsets = torch.stack([direction.offset.flatten() for direction in made])
    torch.testing.assert_close(offsets @ space.T @ space, offsets, rtol=0, atol=1e-5)
    torch.testing.assert_close(made.coefficients.norm(dim=1), torch.ones(4))
    if basis == "spectrum":
        torch.testing.assert_close(made.basis.vectors, found["spectrum"].basis.vectors)


@pytest.mark.parametrize("method", ["optimization", "hybrid"])
def test_the_control_of_a_learned_method_has_its_very_basis(found, method):
    learned, control = found[method], found[METHODS[method].control]
    assert control.basis.cache_key == learned.basis.cache_key
    assert control.coefficients.shape == learned.coefficients.shape
    assert not torch.allclose(control.coefficients, learned.coefficients, atol=0.1)


@pytest.mark.parametrize("method", ["random-in-svd", "random-in-spectrum"])
def test_controls_of_two_seeds_are_other_combinations_of_what_does_not_depend_on_the_seed(found, method):
    other = discovery(seed=4).run(method, found["spectrum"])
    assert other.basis.cache_key == found[method].basis.cache_key
    cosines = other.coefficients @ found[method].coefficients.T
    assert float(cosines.abs().max()) < 0.99


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
    assert set(effort("random-in-svd", settings)) == shared
    assert set(effort("random-in-spectrum", settings)) == {*shared, "spectrum"}
    assert set(effort("ganspace", settings)) == {*shared, "ganspace"}
    assert set(effort("latent-optimization", settings)) == {*shared, "latent_optimization"}
    assert effort("theirs", settings) == settings


def test_what_is_drawn_is_not_determined_by_the_weights():
    assert [name for name in METHODS if is_determined(name)] == ["svd", "sefa"]


# --- controls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_control_wherever_it_is_defined_and_controls_have_none(name):
    row = METHODS[name]
    assert is_control(name) == name.startswith("random")
    assert control_of(name) == row.control
    if row.control:
        control = METHODS[row.control]
        assert is_control(control.name)
        assert set(control.spaces) >= set(row.spaces)
        if row.learned and row.basis != "identity":  # whose combinations are all of the space
            assert (control.basis, control.drawn) == (row.basis, True)


def test_a_set_of_an_unknown_method_is_compared_with_offsets_drawn_from_the_space():
    assert control_of("somebody's") == "random"
    assert not is_control("somebody's")


def test_random_combinations_are_unit_and_those_of_their_seed():
    rows = random_combinations(50, 7, seed=1)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(50))
    assert torch.equal(random_combinations(20, 7, seed=1), rows[:20])
    assert not torch.allclose(random_combinations(50, 7, seed=2), rows, atol=0.1)


@pytest.mark.parametrize("axes", [3, 64])
def test_random_combinations_overlap_as_much_as_chance_says(axes):
    rows = random_combinations(400, axes, seed=0).double()
    cosines = (rows @ rows.T)[~torch.eye(400, dtype=torch.bool)]
    assert float(cosines.square().mean()) == pytest.approx(1 / axes, rel=0.05)
    assert float(cosines.mean()) == pytest.approx(0, abs=3 / 400)  # (|sum of rows|^2 / 400 - 1) / 399
