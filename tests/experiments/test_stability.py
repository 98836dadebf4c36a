"""What is found again: directions by their counterparts, and labels by what counterparts do."""

import math

import pytest
import torch
from analytic import LinearGenerator, Quadratic, direction_set
from test_readings import Means

from navbench.compute import Compute
from navbench.discovery import methods
from navbench.discovery.settings import DiscoverySettings
from navbench.experiments.stability import labels_kept, read_again
from navbench.metrics.attributes import Verdict, movement, verdict
from navbench.metrics.subspaces import counterparts

SIDE = 4
RED, GREEN = (Verdict("interpretable", name, f"{name} +") for name in ("red", "green"))
NONE, UNREAD = Verdict("none", "", ""), Verdict("unread", "", "")
LESS_RED = Verdict("interpretable", "red", "red -")


def test_counterparts_are_found_in_any_order_and_with_any_sign():
    rows = torch.linalg.qr(torch.randn(12, 12, generator=torch.manual_seed(0)))[0][:5].reshape(5, 3, 4)
    order, signs = [3, 0, 4, 1, 2], torch.tensor([1.0, -1, 1, -1, 1])[:, None, None]
    number, cosine = counterparts(rows, 7 * (signs * rows[order]))
    assert number.tolist() == [order.index(place) for place in range(5)]
    assert cosine.tolist() == pytest.approx([float(signs[place]) for place in number], abs=1e-6)


def test_a_direction_without_a_counterpart_has_none():
    number, cosine = counterparts(torch.eye(3), torch.eye(3)[1:])
    assert number.tolist() == [-1, 0, 1]
    assert math.isnan(cosine[0])


def test_labels_are_kept_where_the_counterpart_moves_the_same_attribute_to_the_same_side():
    labels = labels_kept([RED, RED, GREEN, NONE], [RED, LESS_RED, None, RED])
    assert labels.labelled == 3
    assert labels.kept.value == pytest.approx(1 / 3)
    assert labels.kept.n == 3
    assert labels.chance == pytest.approx((3 / 8 + 3 / 8 + 0) / 3)


def test_a_counterpart_that_could_not_be_read_neither_keeps_a_label_nor_loses_it():
    labels = labels_kept([RED, RED, GREEN, NONE], [RED, UNREAD, None, RED])
    assert (labels.labelled, labels.kept.value) == (2, 0.5)
    assert labels.chance == labels_kept([RED, GREEN, NONE], [RED, None, RED]).chance


def test_nothing_is_said_of_labels_where_there_are_none():
    labels = labels_kept([NONE], [RED])
    assert (labels.labelled, labels.kept) == (0, None)
    assert math.isnan(labels.chance)


@pytest.mark.parametrize("turned", [1.0, -1.0])
def test_a_search_that_finds_the_same_in_another_order_keeps_all_labels(turned, monkeypatch):
    generator = LinearGenerator(side=SIDE)
    images = torch.zeros(3, 3, SIDE, SIDE)
    images[range(3), range(3)] = 1.0
    rows = torch.stack([generator.row(generator.latent_dim, image) for image in images])
    found = direction_set(generator, "map", rows, method="spectrum")
    monkeypatch.setattr(methods.Discovery, "offsets", lambda self, method: turned * rows[[2, 0, 1]])
    scorer, points = Means(), 3
    again = read_again(found, generator, DiscoverySettings(), Quadratic(), 1, Compute(), points, 6, 0, scorer)
    assert again.counterpart.tolist() == [1, 2, 0]
    assert again.cosines.tolist() == pytest.approx([1, 1, 1])
    judged = [
        verdict(movement(scores, direction.shifts(points).tolist(), scorer.attributes), scorer.attributes)
        for scores, direction in zip(again.scores, found, strict=True)
    ]
    assert [one.label for one in judged] == ["red +", "green +", "blue +"]
