"""A run to which something was done at some moment ends with the tables, and the cache, of one that was left alone.

One small trial of each mischief; `tox -e lost` does many, to runs that are like the presets'. Killed drivers and
workers, and nodes that are lost, have their tests in test_executors.py and test_ray.py.
"""

import random
import shutil

import pytest
import toy
from mischief import Suite, Trial, Unavailable, pieces_of, tried


@pytest.fixture(scope="module")
def toy_suite(tmp_path_factory):
    """The toy suite, as a file, and its directions."""
    folder = tmp_path_factory.mktemp("suite")
    file, sets = folder / "judged.toml", folder / "sets"
    file.write_text(toy.judged().toml())
    toy.write_sets(sets)
    toy.write_latent_set(sets)
    return Suite(file, ("--directions", str(sets)))


@pytest.fixture(scope="module")
def undisturbed(toy_suite, tmp_path_factory):
    trial = Trial(toy_suite, tmp_path_factory.mktemp("undisturbed"), "driver", random.Random())
    assert trial.end(trial.start()) == 0, trial.drivers[0].output
    return trial.run


@pytest.mark.parametrize(
    ("mischief", "who"),
    [
        ("damage a piece of a stopped run", "driver"),
        ("damage a piece of a going run", "processes"),
        ("fill the disk", "processes"),
        ("suspend the driver", "processes"),
    ],
)
def test_a_run_that_was_disturbed_ends_as_if_nothing_had_been(mischief, who, toy_suite, undisturbed, tmp_path):
    trial = Trial(toy_suite, tmp_path, who, random.Random(mischief), 0.3, pieces=len(pieces_of(undisturbed)))
    try:
        tried(trial, mischief, undisturbed)
    except Unavailable as reason:
        pytest.skip(f"{reason}.")
    assert not trial.faults, trial.drivers[-1].output


def test_a_trial_tells_of_a_changed_cell_and_of_what_is_left_over_or_missing(toy_suite, finished, tmp_path):
    trial = Trial(toy_suite, tmp_path, "driver", random.Random())
    shutil.copytree(finished.folder, trial.run)
    trial.check(finished.folder)
    assert not trial.faults
    table, piece = trial.run / "tables" / "curves.csv", pieces_of(trial.run)[0]
    table.write_text(table.read_text().replace("svd", "random", 1))
    piece.rename(piece.with_suffix(".half"))
    trial.check(finished.folder)
    name = f"{piece.parent.name}/{piece.stem}"
    assert trial.faults == [
        "other tables: curves.csv",
        f"cache: ['{name}.half'] left over, ['{name}.safetensors'] missing",
    ]
