"""Direction sets where a suite needs them: found once, written at once, in an order in which each can be used."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from navbench.compute import Compute
from navbench.directions import write_set
from navbench.discovery.methods import Discovery, Stages, quiet
from navbench.discovery.settings import DiscoverySettings
from navbench.errors import NavbenchError
from navbench.generators.base import Generator
from navbench.library import open_set, set_path
from navbench.methods import METHODS, admitted
from navbench.metrics.perceptual import create_distance
from navbench.spaces import Space
from navbench.work import Executor, Unstored


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
) -> list[Path]:
    """Find the sets of some methods in some spaces, one file each under `out`, as 'generator/method/place'.

    Of the methods that come with a space, those that are not defined in it are passed over. `spectrum` comes before
    methods that learn on its eigenvectors; all else goes on side by side where many compute. Learning saves
    checkpoints beside its file, goes on from them when it is run again, and removes them when it is done. A set that is
    there already is kept, unless `overwrite`.
    """
    executor = executor or Unstored()
    for space, methods in places:
        if any(METHODS[method].basis == "sefa" for method in admitted(methods, space.kind)):
            generator.latent_weights(space.kind)  # refused now, not after hours of learning
    distance = create_distance(settings.distance, compute)
    chains = []
    for space, methods in places:
        discovery = Discovery(space, distance, settings, compute, seed, stages, executor)
        chains += [partial(_in_turn, discovery, chain, out, overwrite) for chain in _chains(methods, space.kind)]
    return [path for paths in executor.side_by_side(chains) for path in paths]


def _in_turn(discovery: Discovery, methods: Sequence[str], out: Path, overwrite: bool) -> list[Path]:
    """The sets of some methods in one space, one after the other."""
    return [_written(discovery, method, out, overwrite) for method in methods]


def _written(discovery: Discovery, method: str, out: Path, overwrite: bool) -> Path:
    """The file of a set, which is written if it is not there."""
    generator, place = discovery.space.generator, discovery.space.place
    path = set_path(out, f"{generator.name}/{method}/{place}")
    checkpoint = path.with_suffix(".checkpoint").resolve()
    if path.exists() and not overwrite:
        if open_set(path).header["weights"] != generator.fingerprint:
            raise NavbenchError(f"{path} was found on other weights; choose another folder, or say --force.")
    else:
        spectrum = None
        other = set_path(out, f"{generator.name}/spectrum/{place}")
        if _learns_on_spectrum(method) and other.exists():
            spectrum = open_set(other).load(generator)
        write_set(discovery.run(method, spectrum, checkpoint), path, overwrite=overwrite)
    checkpoint.unlink(missing_ok=True)
    return path


def _chains(methods: Sequence[str], kind: str) -> list[list[str]]:
    """The methods that are defined in a kind of space, each alone but for those that wait for `spectrum`."""
    ordered = sorted(admitted(methods, kind), key=_turn)
    waiting = [method for method in ordered if _learns_on_spectrum(method)]
    if "spectrum" not in ordered:
        return [[method] for method in ordered]
    return [["spectrum", *waiting] if method == "spectrum" else [method] for method in ordered if method not in waiting]


def _learns_on_spectrum(method: str) -> bool:
    return METHODS[method].basis == "hessian" and METHODS[method].learned


def _turn(method: str) -> tuple[bool, int]:
    return _learns_on_spectrum(method), list(METHODS).index(method)
