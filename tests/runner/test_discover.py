"""Discovery as a suite asks for it, and the plan that takes what was found."""

import pytest
import torch
from analytic import direction_set, noise, styled
from made_up import measurement
from safetensors.torch import load_file

from navbench import suite
from navbench.compute import Compute
from navbench.directions import write_set
from navbench.discovery import bases, learn
from navbench.discovery.calibration import EffectMeter
from navbench.discovery.settings import DiscoverySettings, GanspaceSettings, HybridSettings, SpectrumSettings
from navbench.errors import NavbenchError
from navbench.experiments.ranking import Numbers, Ranking
from navbench.library import Library, open_set, set_path
from navbench.methods import METHODS
from navbench.runner.discover import discover
from navbench.runner.executor import InProcess
from navbench.runner.plan import left_out as sentences_of
from navbench.runner.plan import places_of, plan
from navbench.runner.store import Store
from navbench.spaces import LatentSpace, ParameterSpace
from navbench.suite import Subject

GENERATOR = styled(32)
QUICK = ("svd", "spectrum", "random", "ganspace", "sefa", "latent-spectrum")
"""The methods that learn nothing."""
SETTINGS = DiscoverySettings(
    directions=1,
    effect=0.01,
    effect_codes=2,
    spectrum=SpectrumSettings(vectors=1, codes=2, products=2, block=1),
    ganspace=GanspaceSettings(samples=64),
    hybrid=HybridSettings(steps=1, batch=2, evaluation=2, recognition_codes=2, shift=1.0),
)


def found(places, out, seed=0, **options):
    return [each.path for each in discover(GENERATOR, places, SETTINGS, Compute(), seed, out, **options)]


def layer(name):
    return ParameterSpace(GENERATOR, GENERATOR.layer(name))


def written(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_each_space_gets_the_methods_that_are_defined_in_it(tmp_path):
    places = [(layer("convs.0"), QUICK), *((LatentSpace(GENERATOR, kind), QUICK) for kind in ("z", "w", "w+"))]
    paths = found(places, tmp_path)
    expected = {
        "convs.0": ("svd", "spectrum", "random"),
        "z": ("sefa", "latent-spectrum", "random"),
        "w": ("ganspace", "sefa", "latent-spectrum", "random"),
        "w+": ("latent-spectrum", "random"),
    }
    names = {f"styled/{method}/{place}.safetensors" for place, methods in expected.items() for method in methods}
    assert written(tmp_path) == names == {str(path.relative_to(tmp_path)) for path in paths}
    for path in paths:
        assert len(open_set(path).load(GENERATOR)) == 1


def test_hybrid_learns_on_the_spectrum_that_is_found_before_it(tmp_path):
    found([(layer("convs.0"), ("hybrid", "spectrum"))], tmp_path)
    spectrum, hybrid = (open_set(tmp_path / f"styled/{name}/convs.0.safetensors") for name in ("spectrum", "hybrid"))
    assert hybrid.header["basis"] == "set:../spectrum/convs.0.safetensors"
    assert hybrid.header["basis_sha256"] == spectrum.header["basis_sha256"]
    assert abs(float((hybrid.load(GENERATOR)[0].offset * spectrum.load(GENERATOR)[0].offset).sum())) > 0.999


def test_the_controls_of_hybrid_and_optimization_are_of_the_bases_that_these_take(tmp_path):
    found([(layer("convs.0"), ("random-in-spectrum", "random-in-svd", "spectrum"))], tmp_path)
    spectrum, in_spectrum, in_svd = (
        open_set(tmp_path / f"styled/{name}/convs.0.safetensors")
        for name in ("spectrum", "random-in-spectrum", "random-in-svd")
    )
    assert in_spectrum.header["basis"] == "set:../spectrum/convs.0.safetensors"
    assert in_spectrum.header["basis_sha256"] == spectrum.header["basis_sha256"]
    assert (in_svd.header["basis"], in_svd.header["basis_sha256"]) == ("svd", "")
    for file in (in_spectrum, in_svd):
        assert "basis" not in load_file(file.path)
        assert float(file.load(GENERATOR)[0].offset.norm()) == pytest.approx(1, abs=1e-5)


def test_sets_that_are_there_are_kept_and_that_is_told(tmp_path):
    places = [(LatentSpace(GENERATOR, "w"), ("random",))]
    before = discover(GENERATOR, places, SETTINGS, Compute(), 1, tmp_path)
    content = before[0].path.read_bytes()
    again = discover(GENERATOR, places, SETTINGS, Compute(), 1, tmp_path)
    assert [(each.path, each.kept) for each in before + again] == [(before[0].path, False), (before[0].path, True)]
    assert again[0].path.read_bytes() == content


@pytest.mark.parametrize(
    ("seed", "changed", "complaint"),
    [
        (2, {}, "with seed 1, not 2"),
        (1, {"effect_codes": 3}, "with effect_codes 2, not 3"),
        (1, {"ganspace": GanspaceSettings(samples=65)}, "with ganspace.samples 64, not 65"),
    ],
)
def test_sets_that_were_found_otherwise_are_refused_before_any_work_unless_they_may_be_replaced(
    tmp_path, monkeypatch, seed, changed, complaint
):
    place = LatentSpace(GENERATOR, "w")
    (kept,) = found([(place, ("ganspace",))], tmp_path, seed=1)
    other = SETTINGS.model_copy(update=changed)
    with monkeypatch.context() as patch:
        patch.setattr("navbench.runner.discover.create_distance", lambda *_: pytest.fail("worked"))
        with pytest.raises(NavbenchError, match=rf"w\.safetensors was found {complaint}; .*"):
            discover(GENERATOR, [(place, ("sefa", "ganspace"))], other, Compute(), seed, tmp_path)
    assert written(tmp_path) == {str(kept.relative_to(tmp_path))}
    discover(GENERATOR, [(place, ("ganspace",))], other, Compute(), seed, tmp_path, overwrite=True)
    assert open_set(kept).header["seed"] == seed


def test_settings_of_other_methods_do_not_matter_to_a_set_that_is_there(tmp_path):
    places = [(LatentSpace(GENERATOR, "w"), ("random",))]
    (path,) = found(places, tmp_path)
    other = SETTINGS.model_copy(update={"ganspace": GanspaceSettings(samples=65)})
    assert [each.path for each in discover(GENERATOR, places, other, Compute(), 0, tmp_path) if each.kept] == [path]


def test_a_scorer_that_is_not_named_is_refused_before_any_work(tmp_path):
    with pytest.raises(NavbenchError, match="Method supervised asks an attribute scorer"):
        found([(layer("convs.0"), ["svd"]), (layer("convs.1"), ["svd", "supervised"])], tmp_path)
    assert written(tmp_path) == set()


def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("navbench.runner.discover.create_distance", lambda *_: pytest.fail("worked"))
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(NavbenchError, match="a file stands where a folder is needed"):
        found([(LatentSpace(GENERATOR, "w"), ("random",))], tmp_path / "file" / "sets")


def test_a_set_of_other_weights_in_the_way_is_refused(tmp_path):
    other = styled(32, strength=0.5)
    assert other.fingerprint != GENERATOR.fingerprint
    discover(other, [(LatentSpace(other, "w"), ("random",))], SETTINGS, Compute(), 0, tmp_path)
    with pytest.raises(NavbenchError, match=r"random.w\.safetensors was found on other weights; .* --force\.$"):
        found([(LatentSpace(GENERATOR, "w"), ("random",))], tmp_path)


# --- with a store ----------------------------------------------------------------------------------------------


class Killed(Exception):
    pass


def calls(monkeypatch, holder, name, allowed):
    """Count the calls of a function; those beyond `allowed` end the process."""
    function, made = getattr(holder, name), []

    def counted(*args, **kwargs):
        if len(made) == allowed:
            raise Killed
        made.append(name)
        return function(*args, **kwargs)

    monkeypatch.setattr(holder, name, counted)
    return made


PLACES = [(layer("convs.0"), ("spectrum", "hybrid")), (LatentSpace(GENERATOR, "w"), ("ganspace",))]
MORE = SETTINGS.model_copy(
    update={"directions": 2, "spectrum": SpectrumSettings(vectors=2, codes=2, products=2, block=2)}
)


def sets(folder):
    """All tensors of all sets in a folder."""
    files = sorted(folder.rglob("*.safetensors"))
    made = [open_set(path).load(GENERATOR) for path in files]
    return [each for found in made for each in (found.coefficients, found.t_min, found.t_max, *found.scores.values())]


@pytest.mark.parametrize("killed", [0, 3, 6, 11])
def test_a_killed_discovery_goes_on_where_it_was_and_finds_the_same(tmp_path, monkeypatch, killed):
    common = (GENERATOR, PLACES, MORE, Compute(), 0)
    with monkeypatch.context() as patch:
        every = calls(patch, EffectMeter, "reach_by", 100)
        discover(*common, tmp_path / "whole", executor=InProcess(Store(tmp_path / "other")))
    with monkeypatch.context() as patch:
        calls(patch, EffectMeter, "reach_by", killed)
        with pytest.raises(Killed):
            discover(*common, tmp_path / "sets", executor=InProcess(Store(tmp_path / "cache")))
    store = Store(tmp_path / "cache")
    eigenvectors = calls(monkeypatch, bases, "krylov", 1)
    ends = calls(monkeypatch, EffectMeter, "reach_by", 100)
    steps = calls(
        monkeypatch, learn.Learner, "train_step", 3
    )  # of the training, its control, and a fresh reconstructor
    discover(*common, tmp_path / "sets", executor=InProcess(store))
    assert eigenvectors == [], "they were found before the first range was"
    assert len(ends) == len(every) - killed // 2 * 2
    assert len(steps) == {0: 3, 3: 3, 6: 2, 11: 0}[killed]
    for ours, theirs in zip(sets(tmp_path / "sets"), sets(tmp_path / "whole"), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_equal_work_on_other_codes_or_another_space_is_not_taken_from_the_store(tmp_path):
    store = Store(tmp_path / "cache")
    methods = ("spectrum", "random")  # what is learned asks for some ranges twice
    for seed, name in ((0, "convs.0"), (1, "convs.0"), (0, "convs.1")):
        made = store.made
        places = [(layer(name), methods)]
        discover(GENERATOR, places, MORE, Compute(), seed, tmp_path / f"{made}", executor=InProcess(store))
        assert store.made >= made + 3
    assert store.found == 0


# --- the plan --------------------------------------------------------------------------------------------------


def library(folder, *sets):
    """A library of sets with two directions each, named as 'method/place'."""
    for name in sets:
        method, place = name.split("/")
        kind = place if place in GENERATOR.latents else "parameter"
        name = None if kind == place else place
        shape = GENERATOR.latent_shape(kind) if name is None else GENERATOR.layer(name).shape
        made = direction_set(GENERATOR, name, noise(0, 2, *shape), space=kind, method=method)
        write_set(made, set_path(folder, made.set_id))
    return Library([folder])


def left_out(made):
    """What a suite with heatmaps of one direction and with strips of two leaves out of a plan."""
    chosen = suite.read("quick").with_values(experiments=["locality", "strips"], strips={"directions": 2})
    outcomes = {Ranking: Numbers({}, None)}
    return list(sentences_of(measurement(outcomes, plan=made, generator=GENERATOR, suite=chosen)))


def planned(folder, *sets, only=(), **subject):
    chosen = suite.read("quick").with_values(only=list(only))
    return plan(chosen, Subject(name="styled", **subject), GENERATOR, library(folder, *sets))


def test_a_plan_has_the_sets_of_layers_then_those_of_latent_spaces(tmp_path):
    sets = ("svd/conv1", "svd/convs.1", "random/conv1", "random/convs.1", "random/z", "random/w", "ganspace/w")
    made = planned(
        tmp_path, *sets, layers=("convs.1", "conv1"), methods=("svd", "random"), latents=("w", "z"),
        latent_methods=("random", "ganspace"),
    )  # fmt: skip
    assert [f"{each.method}/{each.place}" for each in made.sets] == [
        "svd/convs.1", "random/convs.1", "svd/conv1", "random/conv1", "random/w", "ganspace/w", "random/z",
    ]  # fmt: skip
    assert [file.set_id for file in made.files] == [each.set_id for each in made.sets]
    assert made.layers == ("convs.1", "conv1")
    assert len(made.all_directions()) == 14
    assert [each.name for each in made.first(1)] == [f"{each.set_id}/0" for each in made.sets]
    assert "Strips were" not in " ".join(left_out(made))
    assert "Heatmaps were measured for the first direction of each set of styled: 7 of 14." in left_out(made)
    assert (
        "Layers of styled of which no directions are measured: convs.0, convs.2, convs.3, convs.4, convs.5."
        in left_out(made)
    )


def test_a_set_that_is_named_twice_is_planned_once(tmp_path):
    made = planned(
        tmp_path, "svd/convs.1", "random/w", layers=("convs.1", "1"), methods=("svd", "svd"), latents=("w", "w"),
        latent_methods=("random", "random"),
    )  # fmt: skip
    assert [each.set_id for each in made.sets] == ["styled/svd/convs.1", "styled/random/w"]
    assert made.layers == ("convs.1",)


def test_a_plan_of_latent_spaces_alone_needs_no_layer(tmp_path):
    made = planned(tmp_path, "random/w", methods=(), latents=("w",), latent_methods=("random",))
    assert [each.set_id for each in made.sets] == ["styled/random/w"]
    assert made.layers == ()
    assert any(
        "Layers of styled of which no directions are measured: conv1, convs.0, convs.1, " in s for s in left_out(made)
    )


def test_a_set_that_a_space_can_have_and_the_library_lacks_is_named(tmp_path):
    with pytest.raises(NavbenchError, match=r"^There are no directions 'styled/sefa/z'; find it with navbench disc"):
        planned(tmp_path, "random/z", methods=(), latents=("z",), latent_methods=("ganspace", "random", "sefa"))


def test_only_the_named_directions_are_planned(tmp_path):
    made = planned(
        tmp_path, "random/w", "random/z", only=["random/w/1"], latents=("w", "z"), latent_methods=("random",)
    )
    assert [each.name for each in made.all_directions()] == ["styled/random/w/1"]
    assert [each.name for each in made.first(1)] == ["styled/random/w/1"]


def test_a_latent_space_that_the_generator_lacks_is_refused():
    class OneLatent(type(GENERATOR)):
        latents = ("z",)

    plain = OneLatent("plain", "without w", 8, 8, 8, 2, 64)
    with pytest.raises(NavbenchError, match=r"^Unknown latent space of generator plain 'w'; known: z\.$"):
        places_of(Subject(name="plain", layers=("conv1",), latents=("w",)), plain, Library([]))


def test_every_default_method_is_in_the_table():
    subject = Subject(name="styled", latents=("w",))
    assert set(subject.all_methods) <= set(METHODS)
