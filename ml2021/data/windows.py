"""A series as windows: the values before a row, and the values from that row on.

The sample of row t has as its history the values of rows t − lags to t − 1, and as its target those
of rows t to t + horizon − 1. Legend: N rows of the series, L lags, S samples.
"""

import numpy as np
from numpy.typing import NDArray


def complete_windows(series: NDArray[np.float64], lags: int, horizon: int) -> NDArray[np.int64]:
    """Return the rows (S,) whose history and target lie within the series and have no gap."""
    known = np.concatenate([[0], np.cumsum(~np.isnan(series))])
    width = lags + horizon
    if len(series) < width:
        return np.empty(0, np.int64)
    complete = known[width:] - known[:-width] == width
    return np.flatnonzero(complete).astype(np.int64) + lags


def known_histories(series: NDArray[np.float64], lags: int) -> NDArray[np.int64]:
    """Return the rows whose history is complete, whatever their own value."""
    rows = complete_windows(series, lags, 0)
    return rows[rows < len(series)]  # the last history may be that of a row after the end


def histories(
    series: NDArray[np.float64], rows: NDArray[np.int64], lags: int
) -> NDArray[np.float64]:
    """Return the histories (S, L), the latest value first."""
    values: NDArray[np.float64] = series[rows[:, None] - np.arange(1, lags + 1)]
    return values


def futures(
    series: NDArray[np.float64], rows: NDArray[np.int64], horizon: int
) -> NDArray[np.float64]:
    """Return the values (S, horizon) from each row on."""
    values: NDArray[np.float64] = series[rows[:, None] + np.arange(horizon)]
    return values
