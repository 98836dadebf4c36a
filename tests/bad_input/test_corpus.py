"""No file of the corpus runs anything, takes gigabytes or minutes, or ends in more than one sentence."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import corpus
import pytest
from opened import MOST_MEMORY, MOST_SECONDS

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """How every case ended, by its name, of one process for all."""
    folder = tmp_path_factory.mktemp("corpus")
    cases = corpus.written(folder)
    (folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases]), encoding="utf-8")
    paths = [str(TESTS.parent), str(TESTS), str(TESTS / "runner"), str(TESTS / "bad_input")]
    program = [sys.executable, str(TESTS / "bad_input" / "opened.py"), str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(program, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not done.stdout
    found = json.loads((folder / "outcomes.json").read_text(encoding="utf-8"))
    assert list(found) == [case.name for case in cases]
    assert not (folder / corpus.RAN).exists(), "something of a file was executed"
    return found


def told(outcomes, is_fault):
    """The cases with a fault, readable."""
    return {name: outcome for name, outcome in outcomes.items() if is_fault(outcome)}


def test_the_corpus_is_large(outcomes):
    assert len(outcomes) >= 150


def test_each_is_read_or_refused_in_one_sentence(outcomes):
    def is_fault(outcome):
        if outcome["code"] == 0:
            return False
        _, error, sentence = outcome["said"].rpartition("Error: ")
        sentence = sentence.removesuffix("\n")
        is_sentence = sentence.isprintable() and sentence[-1:] in (".", "?") and len(sentence) < 2200
        return outcome["code"] not in (1, 2) or not error or not is_sentence or "Traceback" in outcome["said"]

    assert not told(outcomes, is_fault)


def test_none_is_an_error_that_nobody_foresaw(outcomes):
    assert not told(outcomes, lambda outcome: "--debug shows where" in outcome["said"])


def test_none_takes_gigabytes_or_half_a_minute(outcomes):
    assert not told(outcomes, lambda outcome: outcome["taken"] > MOST_MEMORY or outcome["seconds"] > MOST_SECONDS)


@pytest.mark.parametrize("kind", ["cut at", "after words", ".pkl", "bomb", "huge", "for codes"])
def test_most_of_each_kind_are_refused(outcomes, kind):
    codes = [outcome["code"] for name, outcome in outcomes.items() if kind in name]
    assert len(codes) > 2
    assert sum(code in (1, 2) for code in codes) > len(codes) / 2
