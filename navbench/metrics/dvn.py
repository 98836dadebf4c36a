"""Direction variation naturalness: whether what a direction changes varies among real images, too."""

import math
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate

MOST = 5000
"""Samples of each kind that are used, the first ones: more make classifiers slow and hardly better."""


def dvn(low: Tensor, high: Tensor, real: Tensor) -> Estimate:
    """DVN (Voynov & Babenko, ICML 2020, section 4.1): near 1 if real images vary in the same way, 0.5 if they do not.

    A classifier learns to tell both ends of a direction apart; it labels real images; another one learns from these,
    and what it then makes of the ends is the number: the share that it names rightly. The original's classifiers are
    convolutional networks; these are logistic regressions on an extractor's features. The original's ends are G(z - h)
    and G(z + h) for one length of h, and it evaluates on those that the first classifier saw; these are the ends of the
    direction's own range, of other codes. With few images both classifiers are poor, and so is the number: compare
    equal n and m only.

    Args:
        low: (n, D), features of codes at t_min.
        high: (n, D), of the same codes at t_max.
        real: (m, D), of the reference's images.

    Returns:
        The mean over codes of the second half, both classifiers held fixed; NaN where all real images are taken for one
        end, so that there is nothing to learn from.
    """
    ends = [features[:MOST].detach().cpu().double().numpy() for features in (low, high)]
    images = real[:MOST].detach().cpu().double().numpy()
    half = len(ends[0]) // 2
    first = _fitted(np.concatenate([features[:half] for features in ends]), np.repeat([0, 1], half))
    labels = first.predict(images)
    tested = [features[half:] for features in ends]
    if len(set(labels)) < 2:
        return Estimate(math.nan, torch.full((len(tested[0]),), math.nan, dtype=torch.float64))
    second = _fitted(images, labels)
    right = [(second.predict(features) == end).astype(float) for end, features in enumerate(tested)]
    return estimate.mean(torch.from_numpy(np.mean(right, axis=0)))


def _fitted(features: np.ndarray, labels: np.ndarray) -> Pipeline:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # separable classes have no finite optimum to converge to
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200)).fit(features, labels)
