"""Disturb runs at random moments, go on with them, and compare their tables: `tox -e lost`.

A run is of `nothing_lost.toml`. What has been tried is kept, so that the same command goes on where it was stopped; the
code being another, it begins anew.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import mischief
from mischief import MISCHIEF, WHO, Suite, Trial, Unavailable

from navbench.runner.worker import versions

SUITE = Suite(mischief.HERE / "nothing_lost.toml")
LATEST = 2.0
"""Seconds by which a mischief is at most later than the piece after which it is done."""
WIDTHS = (5, 9, 31, 6, 8, 8, 7)


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        moment: the share of the run's pieces after which the mischief was done.
        restarts: drivers after the first.
        faults: what should not have happened; `None` if this machine does not allow the mischief.
    """

    trial: int
    who: str
    mischief: str
    moment: float
    restarts: int
    seconds: float
    faults: tuple[str, ...] | None
    remark: str = ""

    @property
    def verdict(self) -> str:
        if self.faults is None:
            return "skipped"
        return "no" if self.faults else "yes"

    def __str__(self) -> str:
        cells = (
            self.trial, self.who, self.mischief, f"{self.moment:.0%}", self.restarts, f"{self.seconds:.0f} s",
            self.verdict,
        )  # fmt: skip
        return "  ".join([line(cells), *(self.faults or ()), self.remark]).rstrip()


def line(cells: tuple) -> str:
    return "  ".join(str(cell).ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))


def main() -> int:
    """Try what the command line asks for; 1 if any run was not equal."""
    asked = arguments()
    folder = asked.out / versions()["navbench's code"]
    undisturbed, pieces = without_disturbance(folder)
    record = folder / f"seed-{asked.seed}-{asked.who}.jsonl"
    outcomes = read(record)
    print(line(("trial", "who", "mischief", "moment", "restarts", "took", "equal")))
    for outcome in outcomes[: asked.times]:
        print(outcome)
    begun = time.monotonic()
    for number in range(len(outcomes) + 1, asked.times + 1):
        if time.monotonic() - begun > 60 * asked.minutes:
            print(f"{asked.minutes:g} minutes have passed; the same command goes on with trial {number}.")
            break
        outcome = attempt(number, asked.seed, asked.who, folder, undisturbed, pieces)
        outcomes.append(outcome)
        with record.open("a") as file:
            file.write(f"{json.dumps(asdict(outcome))}\n")
        print(outcome, flush=True)
    return summary(outcomes[: asked.times], folder)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=30, help="trials (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of what is done, to whom, and when (default: 0)")
    parser.add_argument("--who", choices=[*WHO, "all"], default="all", help="who computes (default: all in turn)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no trial begins after so many")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "navbench-lost", help="a folder")
    return parser.parse_args()


def without_disturbance(folder: Path) -> tuple[Path, int]:
    """A run that nothing disturbs, made once, and how many pieces it leaves."""
    trial = Trial(SUITE, folder / "undisturbed", "driver", random.Random())
    if trial.end(trial.start()):
        sys.exit(trial.drivers[-1].sentence)
    return trial.run, len(mischief.pieces_of(trial.run))


def read(record: Path) -> list[Outcome]:
    """The outcomes so far."""
    lines = record.read_text().splitlines() if record.exists() else ()
    outcomes = [json.loads(line) for line in lines]
    return [
        Outcome(**outcome | {"faults": None if outcome["faults"] is None else tuple(outcome["faults"])})
        for outcome in outcomes
    ]


def drawn(number: int, seed: int, who: str) -> tuple[str, str]:
    """Who computes in a trial and what is done: every combination comes once, in a random order, before any again."""
    deck = [(each, name) for name, (_, whom) in MISCHIEF.items() for each in whom if who in (each, "all")]
    times, index = divmod(number - 1, len(deck))
    random.Random(f"{seed} {who} deck {times}").shuffle(deck)
    return deck[index]


def attempt(number: int, seed: int, who: str, folder: Path, undisturbed: Path, pieces: int) -> Outcome:
    """One trial, which depends on its number and the seed alone."""
    chance = random.Random(f"{seed} {who} {number}")
    computing, name = drawn(number, seed, who)
    moment, delay = chance.random(), LATEST * chance.random()
    place = folder / f"seed-{seed}-{who}-{number}"
    shutil.rmtree(place, ignore_errors=True)
    trial = Trial(SUITE, place, computing, chance, moment, delay, pieces)
    begun, remark = time.monotonic(), ""
    try:
        mischief.tried(trial, name, undisturbed)
        faults = tuple(trial.faults)
    except Unavailable as error:
        faults, remark = None, str(error)
    if not faults:
        shutil.rmtree(place, ignore_errors=True)
    seconds = time.monotonic() - begun
    return Outcome(number, computing, name, moment, max(0, len(trial.drivers) - 1), seconds, faults, remark)


def summary(outcomes: list[Outcome], folder: Path) -> int:
    """Say how many were equal; 1 if any was not, or none was tried."""
    tried = [outcome for outcome in outcomes if outcome.faults is not None]
    equal = sum(not outcome.faults for outcome in tried)
    skipped = f", {len(outcomes) - len(tried)} skipped" if len(tried) < len(outcomes) else ""
    print(f"{equal} of {len(tried)} equal{skipped}.")
    if equal < len(tried):
        print(f"Logs of the others are in {folder}.")
    return 0 if tried and equal == len(tried) else 1


if __name__ == "__main__":
    sys.exit(main())
