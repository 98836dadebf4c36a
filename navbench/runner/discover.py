"""Direction sets where a suite needs them: found once, written at once, in an order in which each can be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from navbench.compute import Compute
from navbench.directions import write_set
from navbench.discovery.learn import Checkpoint
from navbench.discovery.methods import CONTROL, FRESH, Discovery, Stages, check_scorer, quiet, settings_of
from navbench.discovery.settings import DiscoverySettings
from navbench.errors import NavbenchError
from navbench.files import check_folder
from navbench.generators.base import Generator
from navbench.library import open_set, set_path
from navbench.methods import METHODS, admitted
from navbench.metrics.perceptual import create_distance
from navbench.places import Folder, Place
from navbench.spaces import Space
from navbench.work import Executor, Unstored


@dataclass(frozen=True)
class Discovered:
    """The file of a direction set, and whether it was kept, as the same seed and settings had found it before."""

    path: Path
    kept: bool


def discover(
    generator: Generator,
    places: Sequence[tuple[Space, Sequence[str]]],
    settings: DiscoverySettings,
    compute: Compute,
    seed: int,
    out: Path,
    *,
    overwrite: bool = False,
    stages: Stages = quiet,
    executor: Executor | None = None,
    checkpoints: Place | None = None,
) -> list[Discovered]:
    """Find the sets of some methods in some spaces, one file each under `out`, as 'generator/method/place'.

    Of the methods that come with a space, those that are not defined in it are passed over. `spectrum` comes before
    methods that combine its eigenvectors; all else goes on side by side where many compute. Learning saves
    checkpoints under the names of its files, beside them or at the place of `checkpoints`, goes on from them when it
    is run again, and removes them when it is done. A set that is there already is kept, unless `overwrite`.

    Raises:
        NavbenchError: nothing can be written under `out`, or a set that is there was found otherwise; before any work.
    """
    executor = executor or Unstored()
    check_folder(out)
    for space, methods in places:
        if any(METHODS[method].basis == "sefa" for method in admitted(methods, space.kind)):
            generator.latent_weights(space.kind)  # refused now, not after hours of learning
        for method in admitted(methods, space.kind):
            check_scorer(method, settings)  # likewise
            if (path := _path(out, space, method)).exists() and not overwrite:
                _refuse_others(path, method, space, settings, seed)
    distance = create_distance(settings.distance, compute)
    chains = []
    for space, methods in places:
        discovery = Discovery(space, distance, settings, compute, seed, stages, executor)
        sets = _Sets(discovery, out, checkpoints or Folder(out.resolve()), overwrite)
        chains += [partial(sets.in_turn, chain) for chain in _chains(methods, space.kind)]
    return [each for some in executor.side_by_side(chains) for each in some]


@dataclass(frozen=True)
class _Sets:
    """The sets of one space, and where they and the checkpoints of learning go."""

    discovery: Discovery
    out: Path
    checkpoints: Place
    overwrite: bool

    def in_turn(self, methods: Sequence[str]) -> list[Discovered]:
        """The files of some methods, one after the other."""
        return [self.written(method) for method in methods]

    def written(self, method: str) -> Discovered:
        """The file of a method, which is written if it is not there."""
        space = self.discovery.space
        path = self._path(method)
        name = path.relative_to(self.out).with_suffix(".checkpoint").as_posix()
        checkpoint = Checkpoint(self.checkpoints, name)
        kept = path.exists() and not self.overwrite
        if not kept:
            spectrum = None
            if _combines_spectrum(method) and (other := self._path("spectrum")).exists():
                spectrum = open_set(other).load(space.generator)
            write_set(self.discovery.run(method, spectrum, checkpoint), path, overwrite=self.overwrite)
        for state in (checkpoint, checkpoint.of(CONTROL), checkpoint.of(FRESH)):
            state.remove()
        return Discovered(path, kept)

    def _path(self, method: str) -> Path:
        return _path(self.out, self.discovery.space, method)


def _path(out: Path, space: Space, method: str) -> Path:
    return set_path(out, f"{space.generator.name}/{method}/{space.place}")


def _refuse_others(path: Path, method: str, space: Space, settings: DiscoverySettings, seed: int) -> None:
    """Refuse a set of a method that is there already, and was found on other weights, or by other settings."""
    header, mend = open_set(path).header, "choose another folder, or say --force."
    if header["weights"] != space.generator.fingerprint:
        raise NavbenchError(f"{path} was found on other weights; {mend}")
    if "source" in header["provenance"]:
        raise NavbenchError(f"{path} was imported from {header['provenance']['source']}; {mend}")
    asked = _flat({"seed": seed} | settings_of(METHODS[method], settings))
    known = _flat({"seed": header["seed"]} | header["settings"])
    for name in asked:
        if asked[name] != known.get(name, asked[name]):  # another version may lack it
            raise NavbenchError(f"{path} was found with {name} {known[name]}, not {asked[name]}; {mend}")


def _chains(methods: Sequence[str], kind: str) -> list[list[str]]:
    """The methods that are defined in a kind of space, each alone but for those that wait for `spectrum`."""
    ordered = sorted(admitted(methods, kind), key=_turn)
    waiting = [method for method in ordered if _combines_spectrum(method)]
    if "spectrum" not in ordered:
        return [[method] for method in ordered]
    return [["spectrum", *waiting] if method == "spectrum" else [method] for method in ordered if method not in waiting]


def _combines_spectrum(method: str) -> bool:
    row = METHODS[method]
    return row.basis == "hessian" and (row.learned or row.drawn)


def _turn(method: str) -> tuple[bool, int]:
    return _combines_spectrum(method), list(METHODS).index(method)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names, in their order."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
