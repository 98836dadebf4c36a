"""The catalogue: what a run does with experiments whatever they are, and with those of other packages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pandas as pd
import pytest
import toy
from made_up import measurement

from navbench import plugins, suite, tables
from navbench.columns import Table, number, text
from navbench.errors import NavbenchError
from navbench.experiments import catalogue as catalogue_module
from navbench.experiments.attributes import Attributes
from navbench.experiments.catalogue import EXPERIMENTS, catalogue
from navbench.experiments.curves import Curves
from navbench.experiments.experiment import Experiment, File, NoSettings
from navbench.experiments.matched import Matched
from navbench.experiments.overlap import Overlaps
from navbench.experiments.screening import Screening
from navbench.runner import run as runner
from navbench.runner.plan import left_out
from navbench.runner.run import _join
from navbench.settings import Settings


@dataclass(frozen=True)
class Norms:
    """The norm of the kernel that each direction moves, by the direction's name."""

    of: Mapping[str, float]


class KernelNorms(Experiment[NoSettings, Norms]):
    """An experiment of another package: how large the kernel is that a direction moves."""

    name = "norms"
    always = True

    def run(self, on):
        return Norms(
            {one.name: float(one.space_of(on.generator).layer.shape.numel()) for one in on.plan.all_directions()}
        )

    def rows(self, on, outcome) -> Mapping[str, Iterable[dict]]:
        return {"norms": [{"name": name, "norm": norm} for name, norm in outcome.of.items()]}

    def files(self, on, outcome):
        yield File("figures/norms.txt", b"norms")

    def facts(self, on, outcome):
        return {"norms": {"directions": len(outcome.of)}}


TABLE = Table("norms", "a direction", (text("name", "its full name"), number("norm", "entries of its kernel")))


def test_names_are_those_of_one_experiment_each():
    names = [experiment.name for experiment in EXPERIMENTS]
    assert len(set(names)) == len(names)
    assert all(issubclass(experiment.settings, Settings) for experiment in EXPERIMENTS)


def test_an_experiment_that_is_added_is_run_and_its_rows_files_and_facts_are_written(tmp_path, sets, monkeypatch):
    monkeypatch.setattr(runner, "catalogue", lambda: (*EXPERIMENTS, KernelNorms()))
    monkeypatch.setitem(tables.TABLES.declared, "norms", TABLE)
    run = toy.execute(tmp_path, toy.tiny(experiments=[]), sets)
    frame = pd.read_csv(tmp_path / "tables" / "norms.csv")
    assert frame["name"].tolist() == [
        f"toy.make/{method}/up/{index}" for method in ("svd", "random") for index in (0, 1)
    ]
    assert (frame["norm"] == 6 * 8 * 3 * 3).all()
    assert (tmp_path / "figures" / "norms.txt").read_bytes() == b"norms"
    assert run.manifest.facts["norms"] == {"directions": 4}
    assert not pd.read_csv(tmp_path / "tables" / "directions.csv")["measured"].any()


def entry_points(monkeypatch, **objects):
    """Entry points of experiments, by name, and what they give."""
    points = {name: SimpleNamespace(load=lambda given=given: given, value=name) for name, given in objects.items()}
    monkeypatch.setattr(plugins, "known", lambda group: points if group == catalogue_module.GROUP else {})
    return catalogue.__wrapped__()


def test_experiments_of_other_packages_come_last(monkeypatch):
    assert [one.name for one in entry_points(monkeypatch, mine=KernelNorms)][-2:] == ["ranking", "norms"]


class Needy(Settings):
    """Settings of which one has no default."""

    size: int


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (dict, "gives <class 'dict'>, which is no subclass of Experiment"),
        (KernelNorms(), "which is no subclass of Experiment"),
        (Curves, "two experiments 'curves'"),
        (type("Other", (KernelNorms,), {"name": "seed"}), "is called 'seed', which cannot be a section of a suite"),
        (type("Other", (KernelNorms,), {"name": "toml"}), "is called 'toml'"),
        (type("Other", (KernelNorms,), {"name": "My-Norms"}), "is called 'My-Norms'"),
        (type("Other", (KernelNorms,), {"settings": Needy}), "settings without a default"),
    ],
)
def test_what_no_suite_can_hold_is_refused_by_the_name_of_its_entry_point(monkeypatch, given, sentence):
    with pytest.raises(NavbenchError, match=sentence) as caught:
        entry_points(monkeypatch, mine=given)
    assert "ntry point 'mine' of navbench.experiments" in str(caught.value)


def test_a_module_that_cannot_be_imported_is_told_in_one_sentence(monkeypatch):
    point = EntryPoint("mine", "no_such_module:Mine", catalogue_module.GROUP)
    monkeypatch.setattr(plugins, "known", lambda group: {"mine": point})
    with pytest.raises(NavbenchError, match="Experiment 'mine': no_such_module:Mine cannot be loaded"):
        catalogue.__wrapped__()


def test_a_real_entry_point_is_loaded_by_its_group():
    point = EntryPoint("mine", "navbench.experiments.curves:Curves", catalogue_module.GROUP)
    assert point.load() is Curves


# --- what runs -------------------------------------------------------------------------------------------------


def on(**values):
    """A measurement with a scorer, of a suite with these values."""
    return measurement(suite=toy.judged(**values), scorer=object())


def test_an_experiment_runs_where_it_is_asked_for_or_needed():
    assert on(experiments=["attributes"]).wants(Attributes)
    assert on(experiments=["matched"]).wants(Attributes)  # which chooses its directions by them
    assert not on(experiments=["locality"]).wants(Attributes)
    assert not on(experiments=["matched"], matched={"attribute": "none"}).wants(Attributes)
    assert on(experiments=[]).wants(Screening)


def test_what_is_of_whole_sets_is_left_out_for_single_directions():
    single = on(experiments=["matched"])
    object.__setattr__(single.plan, "only", ("toy.make/svd/up/0",))
    assert [single.wants(kind) for kind in (Matched, Overlaps, Screening)] == [False, False, True]


def test_without_a_scorer_nothing_is_matched():
    assert not measurement(suite=toy.judged(experiments=["matched"])).wants(Matched)


def test_an_outcome_is_found_once_and_given_to_all(monkeypatch):
    runs = []
    monkeypatch.setattr(Screening, "run", lambda self, on: runs.append(on) or "effects")
    one = on(experiments=[])
    assert [one.outcome(Screening), one.outcome(Screening)] == ["effects", "effects"]
    assert runs == [one]
    assert one.outcome(Curves) is None


def test_facts_of_several_generators_are_joined():
    facts = {"samples": {"curve": 3}, "left_out": ["a", "b"]}
    _join(facts, {"samples": {"curve": 3, "effect": 2}, "left_out": ["b", "c"], "extractor": "pixels"})
    assert facts == {"samples": {"curve": 3, "effect": 2}, "left_out": ["a", "b", "c"], "extractor": "pixels"}


def test_what_is_not_asked_for_is_told_in_the_experiments_own_sentence():
    generator = SimpleNamespace(name="cars", layers=lambda: ())
    bare = measurement(suite=toy.tiny(experiments=["pairs"], pairs={"method": "random"}), generator=generator)
    told = list(left_out(bare))
    assert "Directions were not found again, from other seeds or codes (experiment 'stability')." in told
    assert "cars has no random directions here, so none was set beside others'." in told
    assert not any("were not set beside" in sentence for sentence in told)


def test_the_suites_of_navbench_stay_the_same_where_another_package_is_installed(monkeypatch):
    one = toy.tiny()
    before = one.cache_key, one.toml()
    monkeypatch.setattr(suite, "EXPERIMENTS", tuple(each for each in EXPERIMENTS if each.name != "stability"))
    after = one.cache_key, one.toml()
    assert "[stability]" in before[1]
    assert "[stability]" not in after[1]
    assert before[0] != after[0]
    asked = toy.tiny(experiments=["stability"])
    assert "[stability]" in asked.toml()


def test_how_many_directions_an_experiment_takes_is_told_if_it_is_not_all():
    two_sets = measurement(sets=[["a", "b"], ["c", "d"]])
    told = {count: list(two_sets.of_each_set("Curves were", count)) for count in (0, 1, 2, 3)}
    assert told == {
        0: ["Curves were measured for no direction: 0 of 4."],
        1: ["Curves were measured for the first direction of each set: 2 of 4."],
        2: [],
        3: [],
    }
