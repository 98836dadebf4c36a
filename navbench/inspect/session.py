"""What is inspected: a generator, direction sets of it, projected photos, and who keeps the names."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from navbench.compute import Compute
from navbench.errors import NavbenchError, unknown
from navbench.experiments.photo_codes import CODES, Projected, read_codes
from navbench.generators import zoo
from navbench.generators.base import Generator
from navbench.generators.options import Options
from navbench.inspect.bench import Bench, Shelf
from navbench.inspect.journal import Journal
from navbench.library import Library, SetFile, open_set
from navbench.naming import is_own, keeper_of


@dataclass(frozen=True)
class Wanted:
    """What a user asks to inspect.

    Attributes:
        what: a generator; or sets of one generator, by file, by id or by the beginning of an id; or nothing, where
            there are sets of one generator only.
        generator: the file or 'package.module:callable' of a generator that is not installed by its name.
        options: of a generator from a checkpoint.
        names: the file of names; `None` for the sets' own files.
        codes: projected photos: files, folders of them, or run folders.
        seed: of the codes that are shown first.
    """

    what: tuple[str, ...]
    generator: str | None = None
    options: Options = field(default_factory=Options)
    names: Path | None = None
    codes: tuple[Path, ...] = ()
    seed: int = 0


class Session:
    """Everything that a page or a naming sheet is made of."""

    def __init__(self, wanted: Wanted, found: Library, compute: Compute) -> None:
        """Load the generator and read the headers of its sets.

        Raises:
            NavbenchError: something of what is wanted is not there, or does not belong together.
        """
        files, generator = _opened(wanted, found, compute)
        _check_sets(files, generator)
        self.seed = wanted.seed
        self.generator: Generator = generator
        self.shelf = Shelf(generator, files)
        self.album = open_album(wanted.codes, generator)
        self.bench = Bench(self.shelf, self.album, compute)
        keepers = [keeper_of(file, wanted.names or default_names(file)) for file in files]
        self.journal = Journal(files, keepers)
        self.journal.namings()  # so that a file of names that is broken is told before anything is shown

    @property
    def files(self) -> tuple[SetFile, ...]:
        """The sets, in the order of their directions' numbers."""
        return self.shelf.files


def default_names(file: SetFile) -> Path | None:
    """Where names go if no file is given: into a set that is the user's, else into a file here."""
    return None if is_own(file) else Path("navbench-names.csv")


def _opened(wanted: Wanted, found: Library, compute: Compute) -> tuple[list[SetFile], Generator]:
    """The sets and the generator of what was asked for."""
    what = wanted.what or _only_generator(found)
    named = [files for each in what if (files := sets_named(each, found))]
    if len(named) == len(what):
        files = list({file.path.resolve(): file for group in named for file in group}.values())
        generators = sorted({file.header["generator"] for file in files})
        if len(generators) > 1:
            raise NavbenchError(f"These are sets of {' and '.join(generators)}; inspect one generator at a time.")
        return files, zoo.create(wanted.generator or _installed(files[0]), compute, wanted.options)
    if len(what) > 1 or wanted.generator is not None:
        missing = next(each for each in what if not sets_named(each, found))
        raise unknown("direction set", missing, found.sets)
    if not zoo.is_file(what[0]) and ":" not in what[0] and what[0] not in zoo.known():
        raise unknown("generator or direction set", what[0], [*found.sets, *zoo.known()])
    generator = zoo.create(what[0], compute, wanted.options)
    files = [file for file in found.of(generator.name) if file.header["weights"] == generator.fingerprint]
    if not files:
        raise NavbenchError(
            f"There are no directions of generator {generator.name} with these weights; find some by "
            "navbench discover, or name their folder by --directions."
        )
    return files, generator


def _check_sets(files: Sequence[SetFile], generator: Generator) -> None:
    """Refuse sets of other weights, and two of one id."""
    ids = [file.set_id for file in files]
    for file in files:
        if ids.count(file.set_id) > 1:
            raise NavbenchError(f"Two of these files hold a set {file.set_id}; inspect one of them at a time.")
        if file.header["weights"] != generator.fingerprint:
            raise NavbenchError(
                f"{file.path} was found on weights {file.header['weights'][:12]}, but generator {generator.name} has "
                f"{generator.fingerprint[:12]}; name the right one by --generator."
            )


def _only_generator(found: Library) -> tuple[str, ...]:
    generators = sorted({file.header["generator"] for file in found.sets.values()})
    if len(generators) != 1:
        raise NavbenchError(f"Say which generator or sets to inspect: {', '.join(generators) or 'there are none'}.")
    return tuple(generators)


def sets_named(name: str, found: Library) -> list[SetFile]:
    """The sets that a word stands for: a file, the id of one, or what the ids of several begin with; or none."""
    path = Path(name)
    if path.suffix == ".safetensors" and path.is_file():
        return [open_set(path)] if _is_set(path) else []
    return [file for set_id, file in sorted(found.sets.items()) if f"{set_id}/".startswith(f"{name.rstrip('/')}/")]


def _installed(file: SetFile) -> str:
    """The generator of a set by its name; files do not get to name code to import."""
    name = file.header["generator"]
    if name not in zoo.known():
        raise NavbenchError(
            f"{file.path} was found on generator {name!r}, which is not installed; name it by --generator."
        )
    return name


def _is_set(path: Path) -> bool:
    """Whether a safetensors file holds directions, not a generator."""
    try:
        with safe_open(path, framework="numpy") as opened:
            return "coefficients" in set(opened.keys())
    except (OSError, SafetensorError):
        return False


def open_album(sources: Sequence[Path], generator: Generator) -> list[Projected]:
    """Projected photos from files, folders of them, and run folders; in folders, those of this generator alone.

    Raises:
        NavbenchError: there is no such file or folder, a file holds none of this generator's, or a folder none at all.
    """
    album = []
    for source in sources:
        if not source.is_dir():
            album.append(read_codes(source, generator))
            continue
        folder = source / "codes" if (source / "codes").is_dir() else source
        files = [path for path in sorted(folder.glob(f"*{CODES}")) if _weights(path) == generator.fingerprint]
        if not files:
            raise NavbenchError(f"{folder} holds no photo that was projected into {generator.name}; see navbench edit.")
        album.extend(read_codes(path, generator) for path in files)
    return album


def _weights(path: Path) -> Any:
    """Of which weights a file holds projected codes; `None` if it holds none."""
    try:
        with safe_open(path, framework="numpy") as opened:
            return json.loads((opened.metadata() or {})["navbench codes"])["weights"]
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None
