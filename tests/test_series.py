"""Windows of a series, held to a loop over its rows."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml2021.data.series import complete_windows, futures, histories, known_histories

cells = st.one_of(st.just(math.nan), st.integers(0, 9).map(float), st.integers(0, 9).map(float))
series = st.lists(cells, max_size=30).map(lambda values: np.array(values, np.float64))


def is_known(values: list[float], first: int, last: int) -> bool:
    """Return whether the values of rows first to last − 1 are there, all of them."""
    return all(0 <= i < len(values) and not math.isnan(values[i]) for i in range(first, last))


@given(series, st.integers(1, 5), st.integers(1, 4))
def test_windows_are_those_of_a_loop(values: NDArray[np.float64], lags: int, horizon: int) -> None:
    listed = values.tolist()
    rows = complete_windows(values, lags, horizon)
    expected = [t for t in range(len(listed)) if is_known(listed, t - lags, t + horizon)]
    assert rows.tolist() == expected
    assert rows.dtype == np.int64
    assert histories(values, rows, range(1, lags + 1)).shape == (len(rows), lags)
    assert histories(values, rows, range(1, lags + 1)).tolist() == [
        [listed[t - step] for step in range(1, lags + 1)] for t in expected
    ]
    assert futures(values, rows, horizon).shape == (len(rows), horizon)
    assert futures(values, rows, horizon).tolist() == [
        [listed[t + step] for step in range(horizon)] for t in expected
    ]


@given(series, st.integers(1, 5))
def test_a_history_is_known_whatever_the_row_itself(values: NDArray[np.float64], lags: int) -> None:
    listed = values.tolist()
    expected = [t for t in range(len(listed)) if is_known(listed, t - lags, t)]
    assert known_histories(values, lags).tolist() == expected


def test_the_latest_value_comes_first() -> None:
    values = np.array([10.0, 11.0, 12.0, 13.0, 14.0])
    rows = complete_windows(values, 2, 2)
    assert rows.tolist() == [2, 3]
    assert histories(values, rows, (1, 2)).tolist() == [[11.0, 10.0], [12.0, 11.0]]
    assert futures(values, rows, 2).tolist() == [[12.0, 13.0], [13.0, 14.0]]


def test_what_is_handed_out_is_no_view_of_the_series() -> None:
    values = np.array([10.0, 11.0, 12.0])
    rows = np.array([1, 2])
    histories(values, rows, (1,))[:] = 0
    futures(values, rows, 1)[:] = 0
    assert values.tolist() == [10.0, 11.0, 12.0]
