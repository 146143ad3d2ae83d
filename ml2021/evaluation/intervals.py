"""Conformal intervals: how far the predictions were from rows that training did not see.

Arrays in, arrays out. Which rows calibrate, and what the file of an interval looks like, is left to
the commands.

    N  calibration rows        T  targets        q  (T,) half the width of an interval

The interval ŷ ± q of a new row holds its truth with a probability of at least the level, whatever
the model and the distribution, where the new row and the calibration rows are exchangeable: split
conformal prediction with absolute residuals (Vovk, Gammerman and Shafer 2005, Algorithmic Learning
in a Random World; Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018, arXiv:1604.04173). With
continuous residuals it is exactly rank / (N + 1), see `rank`. Each target has an interval of its
own: that all of them hold at once is less probable.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 2048
"""As many calibration rows are kept: the coverage that they give varies by 0.7 % at a level of 0.9,
the standard deviation of the beta distribution B(rank, N + 1 − rank)."""

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""The levels that a run's summary looks at."""


def residuals(truth: NDArray[np.float64], prediction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the absolute residuals (N, T) of calibration rows, each column sorted.

    Of more than `MOST_ROWS` rows, that many at even distances are taken: chosen without a look at
    them, they calibrate as well.
    """
    assert truth.ndim == 2, truth.shape
    assert truth.shape == prediction.shape, (truth.shape, prediction.shape)
    rows = np.arange(len(truth))
    if len(rows) > MOST_ROWS:
        rows = np.arange(MOST_ROWS) * len(truth) // MOST_ROWS
    ordered: NDArray[np.float64] = np.sort(np.abs(truth[rows] - prediction[rows]), axis=0)
    return ordered


def rank(rows: int, level: float) -> int:
    """Return which of the sorted residuals, from 1 on, is q: ⌈(rows + 1) · level⌉.

    Above `rows` there is none: they are too few for that level. The level counts as the decimal
    number that it is written as, since 10 · 0.7 is above 7 in binary.
    """
    assert 0 < level < 1, level
    return math.ceil((rows + 1) * Fraction(repr(level)))


def fewest_rows(level: float) -> int:
    """Return how many calibration rows an interval of that level needs at least."""
    share = Fraction(repr(level))
    return math.ceil(share / (1 - share))


def half_widths(sorted_residuals: NDArray[np.float64], level: float) -> NDArray[np.float64] | None:
    """Return q (T,), in the units of the data, or None where the rows are too few."""
    place = rank(len(sorted_residuals), level)
    if place > len(sorted_residuals):
        return None
    widths: NDArray[np.float64] = sorted_residuals[place - 1]
    return widths


def coverage(
    truth: NDArray[np.float64], prediction: NDArray[np.float64], widths: NDArray[np.float64]
) -> float:
    """Return the share of the values (N, T) that lie within their intervals, ends included."""
    assert truth.shape == prediction.shape, (truth.shape, prediction.shape)
    return float((np.abs(truth - prediction) <= widths).mean())


def describe(
    sorted_residuals: NDArray[np.float64],
    labels: Sequence[str],
    test: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
) -> list[dict[str, Any]]:
    """Return for each of `LEVELS` that the rows allow q by target, and the coverage on test rows.

    `test` is their truth and prediction, (N, T) each; None without such rows, and so the coverage.
    """
    levels: list[dict[str, Any]] = []
    for level in LEVELS:
        widths = half_widths(sorted_residuals, level)
        if widths is not None:
            by_target: Mapping[str, float] = dict(zip(labels, widths.tolist(), strict=True))
            covered = None if test is None else coverage(*test, widths)
            levels.append({"level": level, "half_width": by_target, "coverage": covered})
    return levels
