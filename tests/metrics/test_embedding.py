"""Embeddings, and what is refused of them."""

import pytest
import torch
from analytic import noise
from torch import nn

from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.metrics.embedding import Embedder, create_embedder


class Flat(nn.Module):
    def __init__(self, change=lambda found: found):
        super().__init__()
        self.change = change

    def forward(self, images):
        return self.change(images.flatten(1))


def test_embeddings_have_unit_norm():
    found = Embedder("flat", Flat(), Compute())(noise(0, 4, 3, 5, 5).clamp(-1, 1))
    assert torch.allclose(found.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda found: found[:2], NavbenchError, "must give"),
        (lambda found: found[None], NavbenchError, "must give"),
        (lambda found: found * float("nan"), Failure, "NaN"),
    ],
)
def test_other_answers_are_refused(change, kind, words):
    with pytest.raises(kind, match=words):
        Embedder("flat", Flat(change), Compute())(noise(0, 4, 3, 5, 5))


def test_an_unknown_one_is_refused():
    with pytest.raises(NavbenchError, match="embedding"):
        create_embedder("no-such", Compute())
