"""A small StyleGAN2 with a set of directions in each kind of space, and a session that inspects them."""

import pytest
import torch
from analytic import direction_set, noise, styled

from navbench.compute import Compute
from navbench.directions import write_set
from navbench.experiments.edit import codes_for
from navbench.experiments.photo_codes import Projected, codes_file
from navbench.experiments.projection import Projection
from navbench.experiments.real_images import Photo
from navbench.inspect.session import Session, Wanted
from navbench.library import Library, set_path
from navbench.seeds import Role

COUNT = 4
"""Directions of each set."""


@pytest.fixture(scope="session")
def generator():
    return styled()


@pytest.fixture
def sets(tmp_path, generator):
    """A folder of direction sets: of two layers, of w and of z."""
    folder = tmp_path / "sets"
    for layer in ("convs.0", "convs.1"):
        shape = generator.layer(layer).shape
        found = direction_set(generator, layer, noise(len(layer), COUNT, *shape))
        write_set(found, set_path(folder, found.set_id))
    for kind in ("w", "z"):
        vectors = noise(ord(kind), COUNT, *generator.latent_shape(kind))
        found = direction_set(generator, None, vectors, space=kind, method="ganspace")
        write_set(found, set_path(folder, found.set_id))
    return folder


@pytest.fixture
def opened(sets):
    """A function that opens a session of what it is given, by default of all sets."""

    def open_session(*what, **wanted):
        chosen = Wanted(what or ("styled",), "analytic:styled", **wanted)
        return Session(chosen, Library([sets]), Compute())

    return open_session


@pytest.fixture
def session(opened):
    return opened()


def number(session, name):
    """The number of a direction of that name."""
    return session.shelf.names.index(name)


def same(images, others):
    """Whether two batches of images, uint8, are the same, pixel for pixel."""
    return images.dtype == others.dtype == torch.uint8 and torch.equal(images, others)


def photo_file(generator, folder, space, layer=""):
    """A projected photo, as a run writes it."""
    latent = generator.latent(codes_for(generator, Role.CURVE, [0], 0), space)[0]
    size = (3, *generator.size)
    empty = torch.zeros(0)
    projection = Projection(
        torch.zeros(size, dtype=torch.uint8), latent, torch.zeros(0, dtype=torch.int64), empty, empty,
        torch.zeros(size, dtype=torch.uint8), torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64),
        torch.zeros((), dtype=torch.float64),
    )  # fmt: skip
    photo = Photo("ann", torch.zeros(size), "ann.png")
    file = codes_file(generator, Projected(photo, space, layer, "quadratic", 0.0, 1, projection))
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)
    return path
