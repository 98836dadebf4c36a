"""A finished run of the toy suite, and the direction sets that it measured."""

import pytest
import s3_server
import toy


@pytest.fixture(scope="session")
def sets(tmp_path_factory):
    """A folder of direction sets of the toy generator."""
    return toy.write_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, sets):
    """A run that nothing interrupted; tests do not change its folder."""
    return toy.execute(tmp_path_factory.mktemp("runs") / "finished", toy.tiny(), sets)


@pytest.fixture(scope="session")
def s3():
    """A real S3 server on loopback."""
    with s3_server.serving() as server:
        yield server
