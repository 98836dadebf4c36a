"""How a command line ends that is refused, and what these tests work with."""

import shlex

import torch
import toy
from click.testing import CliRunner

from navbench.cli import main


def gray(mode="RGB", side=24, level=0):
    """A picture of one shade."""
    return toy.picture(torch.full((side, side, 3), 128 + level, dtype=torch.uint8)).convert(mode)


def complaint(line, code):
    """The one sentence on stderr with which a command line ends, and its exit code."""
    result = CliRunner().invoke(main, shlex.split(line))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    _, error, sentence = result.stderr.strip().partition("Error: ")  # what comes before is progress
    assert error, result.stderr
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    return sentence


RUN = "run-all tiny.toml --directions sets --out run"
FACES = "--preset tiny.toml --directions sets --out run"
