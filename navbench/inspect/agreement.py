"""How far people agree who named directions from a blind sheet, and what they agree on."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from navbench import seeds
from navbench.errors import NavbenchError
from navbench.naming import NO, YES, clean_label, read_names, verdict_of, write_names

RESAMPLES = 1000
_TAIL = 2.5
"""Percent beyond either end of an interval."""
INTERPRETABLE, NAME = "interpretable", "name"


@dataclass(frozen=True)
class Rating:
    """What one person said of the strips of a sheet, by their ids; of those that were left empty, nothing.

    Attributes:
        rater: the name of the file, without its ending.
        verdicts: whether a strip is interpretable.
        labels: the names of those that are.
    """

    rater: str
    verdicts: dict[str, bool]
    labels: dict[str, str]


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of two people on one question.

    Attributes:
        question: 'interpretable', or 'name', on what both call interpretable and have named.
        n: strips that both said something of.
        agreed: the share on which they said the same.
        value: kappa; NaN if it is undefined, as where both gave all the same answer.
        low, high: 95 % interval of the bootstrap over strips; stderr: their standard deviation there.
    """

    first: str
    second: str
    question: str
    n: int
    agreed: float
    value: float
    low: float
    high: float
    stderr: float


@dataclass(frozen=True)
class Consensus:
    """What most people say of a strip.

    Attributes:
        interpretable: `None` where they are undecided.
        label: '' where no name has a majority.
        said: what each said, for those who have to settle it.
    """

    interpretable: bool | None
    label: str
    said: tuple[str, ...]


def read_rating(path: Path) -> Rating:
    """A table that somebody filled in.

    Raises:
        NavbenchError: it is no such table, or a strip has a name and is not interpretable.
    """
    rows = read_names(path, "id")
    verdicts: dict[str, bool] = {}
    labels: dict[str, str] = {}
    for row in rows:
        verdict, label = verdict_of(row.get("interpretable", ""), path), clean_label(row.get("label", ""))
        if label and verdict is False:
            raise NavbenchError(f"{path}: strip {row['id']} is not interpretable and has the name {label!r}; keep one.")
        if label or verdict is not None:
            verdicts[row["id"]] = bool(label) or bool(verdict)
        if label:
            labels[row["id"]] = label
    if not verdicts:
        raise NavbenchError(f"{path} says nothing of any strip; fill in its column 'interpretable' or 'label'.")
    return Rating(path.stem, verdicts, labels)


def read_ratings(paths: Sequence[Path]) -> list[Rating]:
    """The tables of two or more people.

    Raises:
        NavbenchError: there are fewer, or two have no strip in common.
    """
    if len(paths) < 2:
        raise NavbenchError("Agreement is of two or more tables: --agreement A.csv B.csv.")
    ratings = [read_rating(path) for path in paths]
    names = [rating.rater for rating in ratings]
    if len(set(names)) < len(names):  # files of one name in several folders
        ratings = [
            Rating(str(path), rating.verdicts, rating.labels) for path, rating in zip(paths, ratings, strict=True)
        ]
    for first, second in combinations(ratings, 2):
        if not first.verdicts.keys() & second.verdicts.keys():
            raise NavbenchError(f"{first.rater} and {second.rater} have no strip in common; are they of one sheet?")
    return ratings


# --- kappa -----------------------------------------------------------------------------------------------------


def kappas(ratings: Sequence[Rating], seed: int) -> Iterator[Kappa]:
    """Cohen's kappa of every two people, on whether strips are interpretable and on their names."""
    for first, second in combinations(ratings, 2):
        verdicts = (first.verdicts, second.verdicts)
        yield kappa(first.rater, second.rater, INTERPRETABLE, *verdicts, seed)
        labels, others = (
            {each: label.casefold() for each, label in rating.labels.items()} for rating in (first, second)
        )
        yield kappa(first.rater, second.rater, NAME, labels, others, seed)


def kappa(
    first: str, second: str, question: str, answers: Mapping[str, Any], others: Mapping[str, Any], seed: int
) -> Kappa:
    """Cohen's kappa of two people on the strips that both answered, with its bootstrap over these strips.

    Args:
        first: who answered.
        second: who gave the others.
        question: what was asked.
        answers: by strip, of the first.
        others: of the second.
        seed: of the bootstrap, which is the same for all pairs and questions.
    """
    ids = sorted(answers.keys() & others.keys())
    pairs = np.array([[str(answers[each]), str(others[each])] for each in ids], dtype=str).reshape(-1, 2)
    drawn = seeds.stream(seeds.derived(seed, "agreement"), 0)
    resampled = np.array(
        [_kappa(pairs[drawn.integers(len(ids), size=len(ids))]) for _ in range(RESAMPLES)] if ids else []
    )
    defined = resampled[np.isfinite(resampled)]
    low, high = np.percentile(defined, [_TAIL, 100 - _TAIL]) if len(defined) else (np.nan, np.nan)
    stderr = float(defined.std(ddof=1)) if len(defined) > 1 else np.nan
    agreed = float((pairs[:, 0] == pairs[:, 1]).mean()) if ids else np.nan
    return Kappa(first, second, question, len(ids), agreed, _kappa(pairs), float(low), float(high), stderr)


def _kappa(pairs: np.ndarray) -> float:
    """Of answers (n, 2); undefined, NaN, where there is one answer only."""
    if len(np.unique(pairs)) < 2:
        return float("nan")
    return float(cohen_kappa_score(pairs[:, 0], pairs[:, 1]))


# --- what is agreed --------------------------------------------------------------------------------------------


def consensus_of(ratings: Sequence[Rating]) -> dict[str, Consensus]:
    """What more than half of those say who said something, strip by strip; two people must say the same.

    A name is agreed if more than half of those who call the strip interpretable give it, in whatever case.
    """
    ids = sorted({each for rating in ratings for each in rating.verdicts})
    return {each: _consensus([rating for rating in ratings if each in rating.verdicts], each) for each in ids}


def _consensus(ratings: Sequence[Rating], each: str) -> Consensus:
    answers = [rating.verdicts[each] for rating in ratings]
    said = tuple(
        f"{rating.rater}: {rating.labels.get(each) or (YES if rating.verdicts[each] else NO)}" for rating in ratings
    )
    if len(ratings) < 2 or (interpretable := _majority(answers, str)) is None:
        return Consensus(None, "", said)
    labels = [rating.labels.get(each, "") for rating in ratings if rating.verdicts[each]]
    label = _majority(labels, str.casefold) if interpretable and len(labels) > 1 else None
    return Consensus(interpretable, label or "", said)


def _majority(answers: Sequence[Any], key: Callable[[Any], str]) -> Any:
    """The answer of more than half, in its commonest spelling; `None` if there is none."""
    word, count = Counter(map(key, answers)).most_common(1)[0]
    if 2 * count <= len(answers):
        return None
    return Counter(answer for answer in answers if key(answer) == word).most_common(1)[0][0]


def read_key(path: Path) -> dict[str, dict[str, str]]:
    """The key of a sheet, by id."""
    rows = read_names(path, "id")
    if not rows or "direction" not in rows[0]:
        raise NavbenchError(f"{path} is no key of a naming sheet; it is written beside the sheet's folder.")
    return {row["id"]: row for row in rows}


def write_agreed(path: Path, verdicts: Mapping[str, Consensus], key: Mapping[str, Mapping[str, str]]) -> int:
    """Write the agreed names, and what is agreed to be no interpretable change, as a file of names; how many.

    Raises:
        NavbenchError: a strip is not in the key, or the file is there already.
    """
    if path.exists():
        raise NavbenchError(f"{path} is there already; choose another file by --names.")
    if missing := sorted(verdicts.keys() - key.keys()):
        raise NavbenchError(f"The key does not know strip {missing[0]}; it is that of another sheet.")
    rows = [
        {**{name: value for name, value in key[each].items() if name != "id"}, **_agreed(verdict)}
        for each, verdict in verdicts.items()
        if verdict.label or verdict.interpretable is False
    ]
    write_names(path, rows)
    return len(rows)


def _agreed(verdict: Consensus) -> dict[str, str]:
    return {"interpretable": YES if verdict.label else NO, "label": verdict.label}


def by_method(verdicts: Mapping[str, Consensus], key: Mapping[str, Mapping[str, str]]) -> dict[str, Counter[str]]:
    """Per method and place how many directions were shown, are interpretable, and the distinct names of them."""
    groups: dict[str, list[Consensus]] = {}
    for each, row in key.items():
        group = row["direction"].rpartition("/")[0]
        groups.setdefault(group, []).append(verdicts.get(each, Consensus(None, "", ())))
    return {
        group: Counter(
            directions=len(members),
            interpretable=sum(verdict.interpretable is True for verdict in members),
            names=len({verdict.label.casefold() for verdict in members if verdict.label}),
        )
        for group, members in sorted(groups.items())
    }
