"""A finished run of the toy suite, and the direction sets that it measured."""

import itertools

import pytest
import s3_server
import toy

from navbench.places import Folder, place_at

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def sets(tmp_path_factory):
    """A folder of direction sets of the toy generator."""
    return toy.write_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="session")
def judged_sets(tmp_path_factory):
    """The same, with directions in z."""
    root = toy.write_sets(tmp_path_factory.mktemp("judged") / "sets")
    toy.write_latent_set(root)
    return root


@pytest.fixture(scope="session")
def finished(tmp_path_factory, sets):
    """A run that nothing interrupted; tests do not change its folder."""
    return toy.execute(tmp_path_factory.mktemp("runs") / "finished", toy.tiny(), sets)


@pytest.fixture(scope="session")
def s3():
    """A real S3 server on loopback."""
    with s3_server.serving() as server:
        yield server


@pytest.fixture(params=["folder", "memory", "s3"])
def place(request, tmp_path):
    """Every kind of place."""
    if request.param == "folder":
        return Folder(tmp_path / "run")
    if request.param == "s3":
        return place_at(f"{request.getfixturevalue('s3').bucket()}/some/prefix")
    pytest.importorskip("obstore", reason="obstore is not installed; `pip install 'navbench[cloud]'` does it.")
    return place_at(f"memory:///{next(_NUMBERS)}")
