"""Time series: dates, the order of the rows, their histories and futures, and notes on gaps.

The history of row t holds the values of rows t − lags to t − 1, its target those of rows t to
t + horizon − 1. Legend: N rows of the series, L lags, S samples.
"""

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data.csv.cells import has_large
from ml2021.data.groups import Codes, group_codes
from ml2021.data.resolve import Selection
from ml2021.data.tables import Rows, is_number
from ml2021.disk import kept, taken, uses_disk
from ml2021.errors import DataError
from ml2021.formatting import echo, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"
_ISO_DATE = rf"\d{{4}}[-/]\d{{2}}[-/]\d{{2}}(?:[ T]{_CLOCK})?"
"""A date, or a date and time, in ISO 8601, or with slashes; pandas alone would accept `2021`."""

_DATE_OR_TIME = re.compile(
    rf"{_ISO_DATE}"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d{1,2}[:.]\d{2}(?:[:.]\d{2})?)?"
    r"|\d{1,2}[:.]\d{2}[:.]\d{2}|\d{1,2}:\d{2}"
)

_SAMPLE = 1000  # how many distinct values decide whether a text column holds dates


def is_date(values: "Iterable[object]") -> bool:
    """Whether at least 90 % of the distinct values of a text column are dates or times."""
    sample = [str(value) for value, _ in zip(values, range(_SAMPLE), strict=False)]
    matching = sum(_DATE_OR_TIME.fullmatch(value) is not None for value in sample)
    return bool(sample) and matching >= 0.9 * len(sample)


def sort_keys(column: "pd.Series", what: str) -> np.ndarray:
    """Return the column as values (N,) to sort by: numbers, NaN where missing, or `to_moments`.

    They are float64, or int64 or uint64 if there are integers that float64 would round.

    Raises DataError for text that is not an ISO date; `what` names the config key.
    """
    if is_number(column):
        values = column.to_numpy()
        is_exact = values.dtype.kind in "iu" and has_large(values)
        return values if is_exact else values.astype(np.float64, copy=False)
    keys = to_moments(column)
    odd = np.isnan(keys) & (column.fillna("") != "").to_numpy()
    if odd.any():
        text = column.iloc[int(odd.argmax())]
        raise DataError(
            f"column '{echo(column.name)}', used as {what}, holds '{echo(text)}', which is neither "
            "a number nor a date like 2021-03-31; rewrite the column in one of these forms"
        )
    return keys


def to_moments(texts: "pd.Series") -> np.ndarray:
    """Return ISO dates, or dates and times, as datetime64[us] (N,); NaT for any other text.

    A time with an offset is converted to UTC, one without is taken as UTC.
    """
    import pandas as pd

    dates = texts.where(texts.str.fullmatch(_ISO_DATE, flags=re.ASCII, na=False))
    dates = dates.str.replace("/", "-").str.replace(",", ".")
    try:  # not to_datetime, which in pandas 2 knows only the years 1678 to 2261
        moments = dates.astype("datetime64[us, UTC]")
    except (ValueError, OverflowError):  # no such day, such as 2021-02-30, or none in UTC
        moments = pd.to_datetime(dates, format="ISO8601", utc=True, errors="coerce")
    keys = moments.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    keys[(keys < np.datetime64("0001")) | (keys >= np.datetime64("10000"))] = np.datetime64("NaT")
    return keys


def complete_windows(
    series: NDArray[np.float64],
    lags: int,
    horizon: int,
    groups: Codes | None = None,
    filled: NDArray[np.float64] | None = None,
) -> Rows:
    """Return the rows (S,) whose history and target are complete, and within one of the groups.

    groups: (N,) the number of each row's series, those of one series in a row; −1 for none.
    filled: (N,) the series as `fill_gaps` returns it. Only the history may be filled, and only
    where the value before the row is known, so that the gap has ended.
    """
    past = np.concatenate([[0], np.cumsum(~np.isnan(series if filled is None else filled))])
    known = past if filled is None else np.concatenate([[0], np.cumsum(~np.isnan(series))])
    width, count = lags + horizon, len(series)
    if count < width:
        return np.empty(0, np.int64)
    complete = past[lags : count - horizon + 1] - past[: count - width + 1] == lags
    complete &= known[width:] - known[lags - 1 : count - horizon] == horizon + 1
    if groups is not None:
        ends = groups[width - 1 :]
        complete &= (groups[: len(ends)] == ends) & (ends >= 0)
    return np.flatnonzero(complete).astype(np.int64) + lags


def known_histories(
    series: NDArray[np.float64],
    lags: int,
    groups: Codes | None = None,
    filled: NDArray[np.float64] | None = None,
) -> Rows:
    """Return the rows whose history is complete; their own value may be missing."""
    rows = complete_windows(series, lags, 0, groups, filled)
    rows = rows[rows < len(series)]  # the last history may belong to the row after the end
    return rows if groups is None else rows[groups[rows] == groups[rows - 1]]


def fill_gaps(
    series: NDArray[np.float64], limit: int, groups: Codes | None = None
) -> NDArray[np.float64]:
    """Return the series with gaps of at most `limit` rows interpolated from both sides' values."""
    known, missing = np.flatnonzero(~np.isnan(series)), np.flatnonzero(np.isnan(series))
    after = np.searchsorted(known, missing)
    is_inside = (after > 0) & (after < len(known))
    missing, after = missing[is_inside], after[is_inside]
    left, right = known[after - 1], known[after]
    is_short = right - left <= limit + 1
    if groups is not None:
        is_short &= (groups[left] == groups[right]) & (groups[left] >= 0)
    missing, left, right = missing[is_short], left[is_short], right[is_short]
    filled = series.copy()
    filled[missing] = series[left] + (series[right] - series[left]) * (
        (missing - left) / (right - left)
    )
    return filled


def note_on_filled(
    name: str, series: NDArray[np.float64], filled: NDArray[np.float64], rows: Rows, lags: int
) -> list[str]:
    """Return a note on how many filled values are in the histories of these rows, if any."""
    begun = np.zeros(len(series) + 1, np.int64)
    np.add.at(begun, rows - lags, 1)
    np.add.at(begun, rows, -1)
    count = int((np.isnan(series) & ~np.isnan(filled) & (np.cumsum(begun)[:-1] > 0)).sum())
    values = plural(count, "missing value")
    return [f"{values} of {echo(name)} interpolated in the history of other rows"] if count else []


def histories(
    series: NDArray[np.float64], rows: Rows, lags: "Sequence[int]"
) -> NDArray[np.float64]:
    """Return the values (S, L) of the rows that many steps back."""
    return series.take(rows[:, None] - np.array(lags, np.int64))


def futures(series: NDArray[np.float64], rows: Rows, horizon: int) -> NDArray[np.float64]:
    """Return the targets (S, horizon): the value of each row and of those after it."""
    return series.take(rows[:, None] + np.arange(horizon))


def usable_rows(
    frame: "pd.DataFrame", selection: Selection, data: schema.Data
) -> tuple[Rows, dict[str, int]]:
    """Return the rows that can be samples, and the number of excluded rows by reason.

    Raises DataError if fewer than 2 rows can be used.
    """
    if data.lags:
        series = frame[selection.targets[0]].to_numpy(np.float64)
        groups = series_of(frame, data.group_by)
        filled = fill_gaps(series, data.gaps.limit, groups) if data.gaps is not None else series
        rows = complete_windows(series, data.lags, data.horizon, groups, filled)
        lengths = np.array([len(series)]) if groups is None else np.bincount(groups[groups >= 0])
        ends = int(np.minimum(data.lags + data.horizon - 1, lengths).sum())
        excluded = {
            f"too close to the ends for {plural(data.lags, 'lag')}": ends,
            "a gap in the history or target": int(lengths.sum()) - ends - len(rows),
        }
        if groups is not None:
            excluded[f"no value in {echo(data.group_by)}"] = int((groups < 0).sum())
    else:
        has_target = frame[list(selection.targets)].notna().all(axis=1).to_numpy()
        excluded = {"no target": len(frame) - int(has_target.sum())}
        if data.group_by is not None:
            is_grouped = frame[data.group_by].notna().to_numpy()
            excluded[f"no value in {echo(data.group_by)}"] = int((has_target & ~is_grouped).sum())
            has_target = has_target & is_grouped
        rows = np.flatnonzero(has_target)
    if data.weight is not None:
        weights = frame[data.weight].to_numpy(np.float64)[rows]
        excluded[f"no value in {echo(data.weight)}, the weight"] = int(np.isnan(weights).sum())
        excluded["weight 0"] = int((weights == 0).sum())
        rows = rows[weights > 0]
    if len(rows) < 2:
        counts = ", ".join(f"{reason}: {count}" for reason, count in excluded.items() if count)
        why = f" ({counts})" if counts else ""
        used = f"{len(rows)} of {plural(len(frame), 'row')} can be used{why}"
        raise DataError(f"{used}; training needs at least 2")
    return kept(rows), excluded


def in_series_order(
    frame: "pd.DataFrame", order_by: str | None, group_by: str | None = None
) -> tuple["pd.DataFrame", Rows]:
    """Return the rows sorted by the groups, then by that column, and the file order.

    Ties are in file order, rows without a group are last. The file order is (N,) int64: the new
    position of each row of the file. Raises DataError if the column has missing values or cannot
    be sorted.
    """
    if order_by is None and group_by is None:
        return frame, kept(np.arange(len(frame)))
    order = np.arange(len(frame))
    if order_by is not None:
        keys = sort_keys(frame[order_by], "data.order_by")
        if missing := int(np.isnan(keys).sum()):
            raise DataError(
                f"column '{echo(order_by)}', used as data.order_by, is missing in "
                f"{plural(missing, 'row')}; fill it in, or sort the file and drop data.order_by"
            )
        order = np.argsort(keys, kind="stable")
    if group_by is not None:
        groups = group_codes(frame[group_by])[order]
        order = order[np.argsort(groups.astype(np.uint64), kind="stable")]  # −1 is the greatest
    return _in_order(frame, order), kept(np.argsort(order))


def _in_order(frame: "pd.DataFrame", order: Rows) -> "pd.DataFrame":
    if not uses_disk():
        return frame.take(order).reset_index(drop=True)
    import pandas as pd

    columns = {
        name: pd.Series(taken(frame[name].to_numpy(), order), frame.index, copy=False)
        for name in frame
    }
    return pd.DataFrame(columns, frame.index, copy=False)


def series_of(frame: "pd.DataFrame", group_by: str | None) -> Codes | None:
    """Return the number of each row's series (N,) in series order, −1 for none; None if all one."""
    return None if group_by is None else group_codes(frame[group_by])
