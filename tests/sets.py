"""Direction sets and their files, as the tests of them make, read and damage them."""

import json
from dataclasses import replace

import torch
from analytic import direction_set, noise
from safetensors.torch import load_file, save_file

from navbench.basis import SvdBasis, random_basis
from navbench.library import open_set

LAYER = "wide"


def made(generator, basis_name="stored", count=3, **changes):
    """A set of that kind of basis, as its method would make it."""
    shape = generator.layer(LAYER).shape
    found = direction_set(generator, LAYER, noise(0, count, *shape), **changes)
    if basis_name == "svd":
        basis = SvdBasis(generator.layer(LAYER), generator.kernel(generator.layer(LAYER)))
        return replace(found, method="svd", basis_name="svd", basis=basis, coefficients=torch.eye(count, basis.count))
    if basis_name == "random":
        return replace(found, method="random", basis_name="random", basis=random_basis(shape, count, found.seed))
    return found


def header_of(path):
    return open_set(path).header


def rewrite(path, header=None, drop=(), **tensors):
    """Damage a set: other entries of the header, or other tensors, or fewer."""
    kept = {name: value for name, value in (load_file(path) | tensors).items() if name not in drop}
    kept_header = {name: value for name, value in (header_of(path) | (header or {})).items() if value is not ...}
    save_file(kept, path, {"navbench": json.dumps(kept_header)})
