"""Direction sets where a suite needs them: found once, written at once, in an order in which each can be used."""

from collections.abc import Sequence
from pathlib import Path

from navbench.compute import Compute
from navbench.directions import open_set, place_of, write_set
from navbench.discovery.methods import METHODS, Discovery, Stages, quiet
from navbench.discovery.settings import DiscoverySettings
from navbench.errors import NavbenchError, unknown
from navbench.generators.base import Generator
from navbench.metrics.perceptual import create_distance
from navbench.spaces import ParameterSpace


def discover(
    generator: Generator,
    layers: Sequence[str],
    methods: Sequence[str],
    settings: DiscoverySettings,
    compute: Compute,
    seed: int,
    out: Path,
    *,
    overwrite: bool = False,
    stages: Stages = quiet,
) -> list[Path]:
    """Find the sets of some methods on some layers, one file each under `out`, as 'generator/method/layer'.

    `spectrum` comes before `hybrid`, which learns on its eigenvectors. Learning saves checkpoints beside its
    file, goes on from them when it is run again, and removes them when it is done. A set that is there already
    is kept, unless `overwrite`.
    """
    for method in methods:
        if method not in METHODS:
            raise unknown("method", method, METHODS)
    order = sorted(methods, key=lambda method: (method == "hybrid", list(METHODS).index(method)))
    distance = create_distance(settings.distance, compute)
    written = []
    for name in layers:
        space = ParameterSpace(generator, generator.layer(name))
        discovery = Discovery(space, distance, settings, compute, seed, stages)
        for method in order:
            path = place_of(out, f"{generator.name}/{method}/{space.layer.name}")
            written.append(path)
            if path.exists() and not overwrite:
                if open_set(path).header["weights"] != generator.fingerprint:
                    raise NavbenchError(f"{path} was found on other weights; choose another folder, or say --force.")
                continue
            spectrum = None
            other = place_of(out, f"{generator.name}/spectrum/{space.layer.name}")
            if method == "hybrid" and other.exists():
                spectrum = open_set(other).load(generator)
            checkpoint = path.with_suffix(".checkpoint")
            write_set(discovery.run(method, spectrum, checkpoint), path, overwrite=overwrite)
            checkpoint.unlink(missing_ok=True)
    return written
