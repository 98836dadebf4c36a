"""What all tests share: the pretrained face generator, and how hypothesis looks for counterexamples."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch counts the cores: threads times workers must not exceed them
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from navbench.compute import Compute
from navbench.generators import zoo

LONGEST = ("test_docs.py", "test_shipped.py", "test_families.py", "test_notebook.py", "test_plugin.py")


def pytest_collection_modifyitems(items):
    """The longest first, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


settings.register_profile("navbench", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("navbench")


@pytest.fixture(scope="session")
def faces():
    """The pretrained face generator, at float32."""
    return zoo.create("faces", Compute())


@pytest.fixture(scope="session")
def faces_bf16():
    """The same, placed for bf16."""
    return zoo.create("faces", Compute(precision="bf16"))
