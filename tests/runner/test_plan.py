"""A plan counts what a run makes, before it makes any of it."""

import contextlib
import json
from types import SimpleNamespace

import pytest
import torch
import toy
from click.testing import CliRunner
from safetensors import safe_open

from navbench.cli import main
from navbench.compute import Compute
from navbench.costs import REHEARSALS, Pass, Rehearsed, UnrehearsedError, rehearse
from navbench.discovery import learn
from navbench.experiments.distances import distances_costs
from navbench.experiments.strips import samples
from navbench.experiments.survey import changes
from navbench.generators import zoo
from navbench.library import Library
from navbench.places import place_at
from navbench.runner import rehearsal
from navbench.runner.forecast import priced
from navbench.runner.probe import Price, Probed, probe, storing
from navbench.runner.rehearsal import Planned, rehearsed
from navbench.runner.store import Store
from navbench.work import FUNCTIONS

MANY = [
    *("attributes", "curves", "locality", "strips", "pairs", "recognition", "stability"),
    *("disentanglement", "composition"),
]
"""Experiments whose number of images does not depend on results."""


def rehearsal_of(chosen, sets, folder=None):
    run = None if folder is None else place_at(folder)
    return rehearsed(chosen, Compute("cpu", chosen.precision, chosen.batch), Library([sets]), run)


@contextlib.contextmanager
def counted_images(monkeypatch):
    """A list of the numbers of images that whole passes of the toy generator make meanwhile."""
    images, forward = [], toy.Toy.forward

    def counting(self, z):
        made = forward(self, z)
        images.append(len(made))
        return made

    with monkeypatch.context() as patch:
        patch.setattr(toy.Toy, "forward", counting)
        yield images


def stored_bytes(folder):
    """The bytes of all tensors in a run's store."""
    total = 0
    for path in (folder / "cache").rglob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
            total += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return total


def images_of(pieces):
    return sum(each.images * amount for piece in pieces for each, amount in piece.costs.items())


# --- counted is made -------------------------------------------------------------------------------------------


def test_every_pure_function_can_be_rehearsed_or_is_part_of_one_that_leads():
    functions = {name for name, each in FUNCTIONS.items() if each.function.__module__.startswith("navbench.")}
    assert functions - set(REHEARSALS) == {"hessian_products"}  # priced as a whole, by `hessian_eigenvectors`


def test_counted_images_and_pieces_and_bytes_are_those_of_the_run(tmp_path, monkeypatch):
    sets = toy.write_sets(tmp_path / "sets")
    toy.write_latent_set(tmp_path / "sets")
    chosen = toy.judged(
        experiments=MANY,
        batch=5,
        recognition={"steps": 3, "batch": 4, "pairs": 6},
        stability={"methods": ["random"]},
        disentanglement={"samples": 50},
        composition={"samples": 3},
        pairs={"codes": 4, "shown": 1, "curves": 1},
        curves={"directions": 2},
    )
    with counted_images(monkeypatch) as beside:  # what checks and cache keys make, which the run makes as well
        planned = rehearsal_of(chosen, sets)
    with counted_images(monkeypatch) as every:
        run = toy.execute(tmp_path / "run", chosen, sets)
    assert images_of(planned.pieces) == sum(every) - sum(beside)
    assert len(planned.pieces) == run.store.made
    assert sum(piece.size for piece in planned.pieces if not piece.transient) == stored_bytes(tmp_path / "run")
    assert not planned.left_out


def test_pieces_of_a_discovery_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(learn, "RELEASE", -1.0)  # rows that have not moved have ranges that are known
    subject = {"name": "toy:make", "layers": ["up"], "methods": ["svd", "spectrum", "optimization"]}
    learning = {"steps": 2, "batch": 2, "evaluation": 2, "recognition_codes": 2}
    discovery = {"spectrum": {"vectors": 3, "codes": 4, "products": 6, "block": 2}, "optimization": learning}
    asked = {"rediscover": True, "calibrate": "effect=0.01", "experiments": ["curves"]}
    chosen = toy.tiny(generators=[subject], discovery=discovery, **asked)
    planned = rehearsal_of(chosen, tmp_path)
    made, put = [], Store.put

    def noted(self, piece, result):
        made.append(piece.function.name)
        put(self, piece, result)

    monkeypatch.setattr(Store, "put", noted)
    toy.execute(tmp_path / "run", chosen, tmp_path)
    kept = [name for name in made if name != "hessian_products"]
    assert sorted(piece.function for piece in planned.pieces) == sorted(kept)
    assert {"discovery", "calibration", "curves"} <= {piece.experiment for piece in planned.pieces}


def test_images_of_searches_are_about_those_of_the_run(tmp_path, sets, monkeypatch):
    chosen = toy.tiny(experiments=["reproduction"], reproduction={"steps": 12, "codes": 5, "held_out": 4})
    with counted_images(monkeypatch) as beside:
        planned = rehearsal_of(chosen, sets).pieces
    with counted_images(monkeypatch) as every:
        toy.execute(tmp_path, chosen, sets)
    assert any(piece.about for piece in planned)
    assert images_of(planned) == pytest.approx(sum(every) - sum(beside), rel=0.5)


def test_what_a_folder_has_is_not_counted(finished, sets):
    assert not rehearsal_of(toy.tiny(), sets, finished.folder).pieces
    more = rehearsal_of(toy.tiny(curves={"directions": 2}), sets, finished.folder).pieces
    assert {piece.function for piece in more} == {"curve_shard", "curve", "curve_quality"}


def test_a_plan_writes_nothing_into_the_folder(tmp_path, sets):
    rehearsal_of(toy.tiny(), sets, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_experiment_that_does_not_say_what_it_costs_is_left_out_by_name(sets, monkeypatch):
    monkeypatch.delitem(REHEARSALS, samples.name)
    planned = rehearsal_of(toy.tiny(), sets)
    assert len(planned.left_out) == 1
    assert planned.left_out[0].startswith("strips: samples does not say what it costs")
    assert {piece.experiment for piece in planned.pieces} >= {"curves", "reproduction"}


def test_the_command_prints_a_row_per_experiment_and_writes_all_of_it_as_json(tmp_path, sets):
    (tmp_path / "tiny.toml").write_text(toy.TINY)
    words = ["plan", str(tmp_path / "tiny.toml"), "--directions", str(sets), "--workers", "2"]
    done = CliRunner().invoke(main, [*words, "--json", str(tmp_path / "plan.json")])
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "plan.json").read_text())
    names = [row["experiment"] for row in content["experiments"]]
    assert {"ends", "curves", "reproduction"} <= set(names)
    assert all(name in done.output for name in (*names, "in all", "on 2 workers"))
    assert content["total"]["pieces"] == len(rehearsal_of(toy.tiny(), sets).pieces)


def test_a_race_is_compared_with_every_direction_at_full_n(tmp_path, sets):
    (tmp_path / "tiny.toml").write_text(toy.TINY + "[racing]\nstages = [{ codes = 4, keep = 1 }]\n")
    words = ["plan", str(tmp_path / "tiny.toml"), "--directions", str(sets), "--racing"]
    done = CliRunner().invoke(main, [*words, "--json", str(tmp_path / "plan.json")])
    assert done.exit_code == 0, done.output
    every, race = json.loads((tmp_path / "plan.json").read_text()).items()
    assert (every[0], race[0]) == ("Every direction at full n", "By a race (the best 1 of each set by 4 codes)")
    rows = [{row["experiment"]: row for row in each["experiments"]} for _, each in (every, race)]
    shared = 2 * 20  # of the reference, and of the curves' codes at t = 0: with a race, it is the first to need them
    assert rows[0]["ends"]["images"] - shared == rows[1]["ends"]["images"]
    assert rows[0]["curves"]["images"] == 2 * rows[1]["curves"]["images"]
    assert rows[1]["racing"]["images"] == shared + 4 * (1 + 4 * 3)


# --- adding up -------------------------------------------------------------------------------------------------

SECOND = Pass("network", ("a second",), lambda: lambda: 1.0, images=2)


def piece(batch, seconds, *parts, after=(), size=0, transient=False):
    return Planned("it", "toy", "function", batch, tuple(after), parts, {SECOND: seconds}, False, size, transient)


def effort(pieces, workers=2):
    prices = Probed({SECOND: Price(1.0, 10.0), storing(): Price(0.0, 0.0)}, 100.0)
    return priced(rehearsal.PlannedRun(pieces, ()), prices, prices, workers)


def test_seconds_and_images_and_operations_are_sums():
    total = effort([piece(0, 3), piece(0, 1), piece(1, 2)]).total
    assert (total.seconds, total.images, total.flops, total.pieces) == (6, 12, 60, 3)


def test_workers_share_a_request_and_wait_for_its_end():
    first = [piece(0, 3), piece(0, 1), piece(0, 1)]
    later = [piece(1, 2, after=first), piece(1, 2, after=first)]
    assert effort([*first, *later]).total.seconds_of_workers == 3 + 2


def test_workers_do_not_wait_for_requests_that_stand_side_by_side():
    first = piece(0, 3)
    others = [other := piece(1, 1), piece(2, 2, after=[other])]
    assert effort([first, *others]).total.seconds_of_workers == 3


def test_a_piece_waits_for_its_parts():
    first, second = piece(0, 3), piece(0, 1)
    assert effort([first, second, piece(0, 1, first, second)]).total.seconds_of_workers == 4


def test_whoever_is_free_does_not_wait_for_a_part_while_there_is_other_work():
    chains = [(part := piece(0, 1), piece(0, 1, part)) for _ in range(4)]
    assert effort([one for chain in chains for one in chain]).total.seconds_of_workers == 4


def test_one_worker_takes_the_sum():
    part = piece(0, 3)
    first = [part, piece(0, 1, part), piece(0, 2)]
    total = effort([*first, piece(1, 2, after=first)], workers=1).total
    assert total.seconds_of_workers == total.seconds == 8


def test_transient_pieces_are_on_disk_until_all_that_is_made_of_them_is_there():
    parts = [piece(0, 1, size=100, transient=True) for _ in range(2)]
    users = [piece(0, 1, *parts, size=1), piece(0, 1, *parts, size=2)]
    again = piece(0, 1, size=50, transient=True)
    total = effort([*parts, *users, again, piece(0, 1, again, size=3)]).total
    assert (total.kept, total.disk) == (6, 203 + 200 + 200)  # with what two workers begin before that
    assert total.memory == 100


def test_one_process_has_the_parts_of_one_result_on_disk():
    groups = [(part := piece(0, 1, size=size, transient=True), piece(0, 1, part, size=1)) for size in (10, 30, 20)]
    pieces = [one for group in groups for one in group]
    assert [effort(pieces, workers).total.disk for workers in (1, 2)] == [31 + 1, 31 + 1 + 30 + 20]


@pytest.mark.parametrize(("codes", "further"), [(5, 0), (9, 0), (50, 41)])
def test_a_frechet_distance_costs_a_fixed_amount_and_that_of_its_further_codes(codes, further):
    no_features = SimpleNamespace(features=())
    passes = distances_costs(codes, no_features, 8, Compute())
    costs = {each.network: (each.key, amount) for each, amount in passes.items()}
    assert costs == {"Fréchet distance": ((min(codes, 9), 8), 1), "Fréchet sums": ((8,), further)}


def test_experiments_are_rows_of_the_total():
    expected = effort([piece(0, 3), piece(0, 1)])
    assert [row.experiment for row in expected.rows] == ["it"]
    assert expected.content()["total"]["seconds"] == 4
    assert expected.memory == 100


# --- the probe -------------------------------------------------------------------------------------------------


def test_the_probe_counts_the_arithmetic_of_one_image():
    compute, generator = Compute(batch=3), zoo.create("toy:make", Compute())
    planned = REHEARSALS[samples.name](generator, 1, 2, 0, compute)
    (each,) = planned.costs
    price = probe([each], compute, 1).prices[each]
    convolutions = 4 * 8 * 6 * 6 + 8 * 6 * 9 * 6 * 6 + 6 * 3 * 9 * 24 * 24
    assert price.flops == pytest.approx(2 * convolutions)
    assert price.seconds > 0


def test_every_pass_of_a_suite_can_be_tried(sets):
    subject = {"name": "toy:make", "layers": ["up"], "methods": ["spectrum", "hybrid"]}
    chosen = toy.tiny(generators=[subject], rediscover=True, experiments=[*MANY, "reproduction", "survey"])
    passes = {each for piece in rehearsal_of(chosen, sets).pieces for each in piece.costs}
    assert {each.network for each in passes} >= {"Hessian product", "training", "imitation", "extractor", "distance"}
    assert all(each.trial()() > 0 for each in passes)


def test_threads_are_as_before_the_probe():
    before = torch.get_num_threads()
    probe([SECOND], Compute(), 1)
    assert torch.get_num_threads() == before


def test_an_unknown_function_is_refused_by_name(monkeypatch):
    monkeypatch.delitem(REHEARSALS, changes.name)
    with pytest.raises(UnrehearsedError, match="changes does not say"):
        rehearse(changes.piece(None, 1, 0), lambda part: part)


def test_a_rehearsal_is_exact_unless_it_says_so():
    assert not Rehearsed(None, {}).about
