import torch
from analytic import noise

from navbench.metrics.recognition import nearest_mean


def test_each_feature_is_named_by_the_class_of_the_nearest_mean():
    known = torch.tensor([[[0.0, 0.0], [2.0, 0.0]], [[5.0, 0.0], [5.0, 2.0]]])  # of means (1, 0) and (5, 1)
    unknown = torch.tensor([[[0.0, 0.0], [4.0, 0.0]], [[2.0, 1.0], [9.0, 9.0]]])
    assert nearest_mean(known, unknown).tolist() == [[0, 1], [0, 1]]


def test_what_is_known_is_recognised_if_the_classes_are_far_apart():
    centres = 10 * torch.eye(4)[:, None]
    named = nearest_mean(centres + 0.5 * noise(0, 4, 9, 4), centres + 0.5 * noise(1, 4, 7, 4))
    assert torch.equal(named, torch.arange(4)[:, None].expand(4, 7))


def test_equal_classes_are_named_by_chance():
    named = nearest_mean(noise(0, 4, 500, 3), noise(1, 4, 2000, 3))
    right = (named == torch.arange(4)[:, None]).double()
    assert abs(float(right.mean()) - 0.25) < 0.03
