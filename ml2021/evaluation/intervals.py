"""Conformal prediction intervals, calibrated on rows that training did not see.

Legend: N calibration rows, T targets, q (T,) half the width of an interval.

The interval ŷ ± q of a new row contains its truth with a probability of at least the level,
whatever the model and the distribution, if the new row and the calibration rows are exchangeable:
split conformal prediction with absolute residuals (Vovk, Gammerman and Shafer 2005, Algorithmic
Learning in a Random World; Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018, arXiv:1604.04173).
With continuous residuals the probability is exactly rank / (N + 1), see `rank`. Each target has its
own interval; that all of them hold at once is less probable.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml2021.data.weights import Weights

MOST_ROWS = 2048
"""The most calibration rows that are kept. Coverage then varies by 0.7 % at a level of 0.9, the
standard deviation of the beta distribution B(rank, N + 1 − rank)."""
LEVELS = (0.5, 0.8, 0.9, 0.95)
"""The levels in a run's summary."""


def calibration_rows(rows: int) -> NDArray[np.int64]:
    """Return the rows that calibrate: at most `MOST_ROWS`, evenly spaced.

    A choice that does not depend on the residuals keeps them exchangeable.
    """
    return np.arange(min(rows, MOST_ROWS)) * rows // min(rows, MOST_ROWS)


def residuals(
    truth: NDArray[np.float64], prediction: NDArray[np.float64], weights: Weights = None
) -> NDArray[np.float64]:
    """Return the absolute residuals (N, T) of the `calibration_rows`, each column sorted.

    With weights (N,) of the rows, the distribution of the residuals is the weighted one, in which
    a new row has the mean weight (weighted conformal prediction: Tibshirani, Foygel Barber, Candès
    and Ramdas 2019, arXiv:1904.06019); it is represented by as many residuals of equal weight, its
    quantiles at 1/N, 2/N, ..., 1.
    """
    assert truth.ndim == 2, truth.shape
    assert truth.shape == prediction.shape, (truth.shape, prediction.shape)
    rows = calibration_rows(len(truth))
    found = np.abs(truth[rows] - prediction[rows])
    if weights is None:
        return np.sort(found, axis=0)
    order = np.argsort(found, axis=0, kind="stable")
    below = np.cumsum(weights[rows][order], axis=0)
    steps = np.arange(1, len(rows) + 1) / len(rows) * (1 - 1e-12)  # sums of weights are not exact
    return np.stack(
        [
            values[places][np.searchsorted(sums / sums[-1], steps)]
            for values, places, sums in zip(found.T, order.T, below.T, strict=True)
        ],
        axis=1,
    )


def rank(rows: int, level: float) -> int:
    """Return the 1-based index of q among the sorted residuals: ⌈(rows + 1) · level⌉.

    Above `rows`, there are too few rows for the level. The level is taken as the decimal number
    that is written, since 10 · 0.7 is above 7 in binary.
    """
    assert 0 < level < 1, level
    return math.ceil((rows + 1) * Fraction(repr(level)))


def fewest_rows(level: float) -> int:
    """Return the least number of calibration rows that an interval of that level needs."""
    share = Fraction(repr(level))
    return math.ceil(share / (1 - share))


def half_widths(sorted_residuals: NDArray[np.float64], level: float) -> NDArray[np.float64] | None:
    """Return q (T,), in the units of the data, or None if there are too few rows."""
    place = rank(len(sorted_residuals), level)
    return None if place > len(sorted_residuals) else np.asarray(sorted_residuals[place - 1])


def coverage(
    truth: NDArray[np.float64],
    prediction: NDArray[np.float64],
    widths: NDArray[np.float64],
    weights: Weights = None,
) -> float:
    """Return the share of the values (N, T) that lie within their intervals, ends included.

    With weights (N,) of the rows, it is the share of their weight.
    """
    assert truth.shape == prediction.shape, (truth.shape, prediction.shape)
    within = np.abs(truth - prediction) <= widths
    of_values = None if weights is None else np.repeat(weights, truth.shape[1])
    return float(np.average(within.ravel(), weights=of_values))


def describe(
    sorted_residuals: NDArray[np.float64],
    labels: Sequence[str],
    test: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    weights: Weights = None,
) -> list[dict[str, Any]]:
    """Return q by target and the test coverage for each of `LEVELS` that has enough rows.

    `test` is the truth and the prediction of test rows, (N, T) each, and `weights` (N,) are theirs;
    coverage is None without them.
    """
    levels: list[dict[str, Any]] = []
    for level in LEVELS:
        if (widths := half_widths(sorted_residuals, level)) is not None:
            by_target = dict(zip(labels, widths.tolist(), strict=True))
            covered = None if test is None else coverage(*test, widths, weights)
            levels.append({"level": level, "half_width": by_target, "coverage": covered})
    return levels
