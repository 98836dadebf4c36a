"""Disentanglement of a code: of which factor is each of its coordinates, and of which coordinates each factor."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.linear_model import Lasso, LassoCV
from sklearn.model_selection import KFold
from torch import Tensor

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate

FOLDS = 5
"""Of the cross-validation that chooses the penalty and gives the predictions."""
_PENALTIES = 30
"""Penalties that are tried, down to a thousandth of the smallest that leaves no coefficient."""
GROUPS = 10
"""Groups of samples of which each is left out in turn, for standard errors."""
MEASURES = ("disentanglement", "completeness", "informativeness", "mig")


@dataclass(frozen=True)
class Disentanglement:
    """DCI (Eastwood & Williams, ICLR 2018) and MIG (Chen et al., NeurIPS 2018) of a code, 1 for the best.

    Attributes:
        disentanglement: whether each coordinate is of one factor: one minus the entropy of its importances, to the base
            of the number of factors; a mean over coordinates by their importance.
        completeness: whether each factor is of one coordinate, likewise; a mean over factors by the importance of all
            coordinates for them, as in disentanglement_lib, since one that none predicts has no completeness.
        informativeness: the share of a factor's variance that held-out samples' coordinates predict; a mean over
            factors. (Eastwood & Williams give the error, which is one minus it.)
        mig: of each factor the mutual information with the most informative coordinate less that with the next, over
            the factor's entropy; a mean over factors.
        importance: (K, A), of each coordinate for each factor: sizes of the lasso's coefficients, in units of factors.
    """

    disentanglement: Estimate
    completeness: Estimate
    informativeness: Estimate
    mig: Estimate
    importance: Tensor


def disentanglement(code: Tensor, factors: Tensor, bins: int = 10) -> Disentanglement:
    """The DCI by lasso, its penalty by cross-validation, and the MIG of a code.

    Factors that are constant have no part. Standard errors are of the grouped jackknife, with the penalties held fixed.

    Args:
        code: (n, K), the coordinates.
        factors: (n, A), in units in which their changes are comparable, as these weigh a coordinate's importances.
        bins: of equal counts, in which mutual information is counted.
    """
    x, y = (values.detach().cpu().double().numpy() for values in (code, factors))
    varies = y.std(axis=0) > 0
    fitted = _Lassos.chosen(x, y[:, varies])
    importance = np.zeros((x.shape[1], y.shape[1]))
    importance[:, varies] = fitted.importance(x, y[:, varies])

    def measured(measure: Callable[[np.ndarray, np.ndarray], float]) -> Estimate:
        group = np.arange(len(x)) % GROUPS
        without = [measure(x[group != left], y[group != left][:, varies]) for left in range(GROUPS)]
        return estimate.jackknife(measure(x, y[:, varies]), torch.tensor(without))

    return Disentanglement(
        measured(lambda x, y: one_each(fitted.importance(x, y))),
        measured(lambda x, y: one_each(fitted.importance(x, y).T)),
        measured(fitted.predicted_share),
        measured(lambda x, y: mutual_information_gap(x, y, bins)),
        torch.from_numpy(importance),
    )


@dataclass(frozen=True)
class _Lassos:
    """A lasso of each factor, with its penalty: (A,), in the factor's standard deviations."""

    penalties: np.ndarray

    @classmethod
    def chosen(cls, x: np.ndarray, y: np.ndarray) -> "_Lassos":
        """The penalties that predict best."""
        x, y = _standardised(x), _standardised(y)
        penalties = []
        for column in y.T:
            smallest = np.abs(x.T @ column).max() / len(x)  # of those that leave no coefficient
            tried = smallest * np.logspace(0, -3, _PENALTIES)
            penalties.append(LassoCV(alphas=tried, cv=KFold(FOLDS)).fit(x, column).alpha_)
        return cls(np.array(penalties))

    def importance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Sizes of coefficients (K, A), of coordinates in standard deviations and factors in their own units."""
        spread = y.std(axis=0)
        return np.abs(self._coefficients(_standardised(x), _standardised(y))) * spread

    def predicted_share(self, x: np.ndarray, y: np.ndarray) -> float:
        """The mean over factors of the share of variance that is predicted in folds left out of the fit."""
        x, y = _standardised(x), _standardised(y)
        errors = np.empty_like(y)
        for train, test in KFold(FOLDS).split(x):
            mean = y[train].mean(axis=0)
            errors[test] = y[test] - mean - (x[test] - x[train].mean(axis=0)) @ self._coefficients(x[train], y[train])
        return float(np.mean(1 - (errors**2).mean(axis=0))) if y.shape[1] else float("nan")

    def _coefficients(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        fits = [Lasso(alpha=penalty).fit(x, column).coef_ for penalty, column in zip(self.penalties, y.T, strict=True)]
        return np.array(fits).reshape(-1, x.shape[1]).T


def _standardised(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)


def one_each(importance: np.ndarray) -> float:
    """The concentration of each row (K, A), a mean by the rows' sums; NaN where nothing is important."""
    weights = importance.sum(axis=1)
    rows = [weight * _concentration(row) for row, weight in zip(importance, weights, strict=True) if weight > 0]
    return float(sum(rows) / weights.sum()) if rows else float("nan")


def _concentration(shares: np.ndarray) -> float:
    """One minus the entropy of shares (A,), to the base of their number: 1 if all is in one, 0 if spread evenly."""
    if len(shares) < 2:
        return float("nan")
    p = shares / shares.sum()
    p = p[p > 0]
    return 1 + float((p * np.log(p)).sum()) / np.log(len(shares))


def mutual_information_gap(code: np.ndarray, factors: np.ndarray, bins: int) -> float:
    """MIG of coordinates (n, K) and factors (n, A), each in bins of equal counts.

    A factor whose values share a bin has nothing to be known of, and is left out; NaN if all are.
    """
    if code.shape[1] < 2 or not factors.shape[1]:
        return float("nan")
    x, y = (_binned(values, bins) for values in (code, factors))
    gaps = []
    for factor in y.T[y.min(0) < y.max(0)]:
        shared = sorted(_mutual_information(coordinate, factor, bins) for coordinate in x.T)
        gaps.append((shared[-1] - shared[-2]) / _mutual_information(factor, factor, bins))
    return float(np.mean(gaps)) if gaps else float("nan")


def _binned(values: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each value among those of its column; equal values share a bin."""
    ranks = rankdata(values, axis=0, method="min") - 1
    return (ranks * bins // len(values)).astype(int)


def _mutual_information(a: np.ndarray, b: np.ndarray, bins: int) -> float:
    """In nats, from counts; of a variable and itself its entropy."""
    joint = np.bincount(a * bins + b, minlength=bins * bins).reshape(bins, bins) / len(a)
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())
