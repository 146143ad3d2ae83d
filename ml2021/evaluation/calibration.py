"""Calibration: the temperature that makes held-out probabilities as likely as possible.

Legend: K members, N rows, C classes.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml2021.data.samples import evenly_spaced
from ml2021.data.weights import Weights

_BOUND = 3.0
"""The most that the logarithm of a temperature differs from 0."""
_MOST_PROBABILITIES = 1 << 22
_FEWEST_ROWS = 500
_PRIOR_DEVIATION = 0.3
"""The standard deviation of the logarithm of temperatures, before any row is looked at."""


def rows_to_calibrate(rows: int, classes: int, members: int) -> NDArray[np.int64]:
    """Return which of so many rows calibrate: all, or some of them where the classes are many.

    One number is fitted, for which a thousand rows are enough.
    """
    return evenly_spaced(rows, max(_FEWEST_ROWS, _MOST_PROBABILITIES // (classes * members)))


def fit_temperature(
    probabilities: Sequence[NDArray[np.float64]],
    classes: NDArray[np.int64],
    weights: Weights = None,
) -> float:
    """Return the temperature T that minimises the log loss of held-out rows.

    probabilities: of each member, (N, C). classes: (N,), the true ones. weights: (N,) of the rows,
    divided by their mean here. Each member's outputs are
    divided by T before the softmax (Guo et al. 2017, arXiv:1706.04599), and the mean of their
    probabilities is scored. A normal prior on log T keeps a handful of rows from choosing an
    extreme. The minimum is found by golden-section search.
    """
    rows = np.arange(len(classes))
    own = 1.0 if weights is None else weights / weights.mean()
    logs = [np.log(np.maximum(each, np.finfo(np.float64).tiny)) for each in probabilities]

    def loss(log_temperature: float) -> float:
        mean = np.zeros(len(rows))
        for each in logs:
            powers = each * math.exp(-log_temperature)
            powers -= powers.max(axis=1, keepdims=True)
            np.exp(powers, out=powers)
            mean += powers[rows, classes] / powers.sum(axis=1)
        true = np.maximum(mean / len(logs), np.finfo(np.float64).tiny)
        return float(-(own * np.log(true)).sum() + (log_temperature / _PRIOR_DEVIATION) ** 2 / 2)

    ratio = (math.sqrt(5) - 1) / 2
    low, high = -_BOUND, _BOUND
    while high - low > 1e-3:
        step = ratio * (high - low)
        if loss(high - step) < loss(low + step):
            high = low + step
        else:
            low = high - step
    return math.exp((low + high) / 2)
