"""Direction sets where a suite needs them: found once, written at once, in an order in which each can be used."""

from collections.abc import Sequence
from pathlib import Path

from navbench.compute import Compute
from navbench.directions import write_set
from navbench.discovery.learn import Checkpoint
from navbench.discovery.methods import Discovery, Stages, quiet
from navbench.discovery.settings import DiscoverySettings
from navbench.errors import NavbenchError
from navbench.generators.base import Generator
from navbench.library import open_set, set_path
from navbench.methods import METHODS, admitted
from navbench.metrics.perceptual import create_distance
from navbench.places import Folder, Place
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
    checkpoints: Place | None = None,
) -> list[Path]:
    """Find the sets of some methods in some spaces, one file each under `out`, as 'generator/method/place'.

    Of the methods that come with a space, those that are not defined in it are passed over. `spectrum` comes before
    methods that learn on its eigenvectors. Learning saves checkpoints under the names of its files, beside them or
    at the place of `checkpoints`, goes on from them when it is run again, and removes them when it is done. A set
    that is there already is kept, unless `overwrite`.
    """
    for space, methods in places:
        if any(METHODS[method].basis == "sefa" for method in admitted(methods, space.kind)):
            generator.latent_weights(space.kind)  # refused now, not after hours of learning
    distance = create_distance(settings.distance, compute)
    written = []
    for space, methods in places:
        discovery = Discovery(space, distance, settings, compute, seed, stages, executor or Unstored())
        for method in sorted(admitted(methods, space.kind), key=_turn):
            path = set_path(out, f"{generator.name}/{method}/{space.place}")
            name = path.relative_to(out).with_suffix(".checkpoint").as_posix()
            checkpoint = Checkpoint(checkpoints or Folder(out), name)
            written.append(path)
            if path.exists() and not overwrite:
                if open_set(path).header["weights"] != generator.fingerprint:
                    raise NavbenchError(f"{path} was found on other weights; choose another folder, or say --force.")
                checkpoint.remove()
                continue
            spectrum = None
            other = set_path(out, f"{generator.name}/spectrum/{space.place}")
            if _learns_on_spectrum(method) and other.exists():
                spectrum = open_set(other).load(generator)
            write_set(discovery.run(method, spectrum, checkpoint), path, overwrite=overwrite)
            checkpoint.remove()
    return written


def _learns_on_spectrum(method: str) -> bool:
    return METHODS[method].basis == "hessian" and METHODS[method].learned


def _turn(method: str) -> tuple[bool, int]:
    return _learns_on_spectrum(method), list(METHODS).index(method)
