"""Time series: dates as moments, the order of the rows, histories, and notes on gaps.

The sample of row t has as its history the values of rows t − lags to t − 1, and as its target those
of rows t to t + horizon − 1. Legend: N rows of the series, L lags, S samples.
"""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data.resolve import Selection
from ml2021.data.tables import is_number
from ml2021.errors import DataError
from ml2021.formatting import echo

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"

ISO_DATE = rf"\d{{4}}[-/]\d{{2}}[-/]\d{{2}}(?:[ T]{_CLOCK})?"
"""A date, or a date and time, as ISO 8601 writes it, or with slashes."""

_ISO = re.compile(ISO_DATE, re.ASCII)

_DATE_OR_TIME = re.compile(
    rf"{ISO_DATE}"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d{1,2}[:.]\d{2}(?:[:.]\d{2})?)?"
    r"|\d{1,2}[:.]\d{2}[:.]\d{2}|\d{1,2}:\d{2}"
)

_SAMPLE = 1000  # how many different values of a text column are looked at to call it dates


def is_date(values: "Iterable[object]") -> bool:
    """Whether different values of a text column are nearly all dates or times."""
    sample = [str(value) for value, _ in zip(values, range(_SAMPLE), strict=False)]
    matching = sum(_DATE_OR_TIME.fullmatch(value) is not None for value in sample)
    return bool(sample) and matching >= 0.9 * len(sample)


def sort_keys(column: "pd.Series", what: str) -> np.ndarray:
    """Return values (N,) whose order is the order of the column: float64, or `date_key` of dates.

    A missing value is NaN, or "". Raises DataError for text that is no ISO date.
    """
    if is_number(column):
        return column.to_numpy(np.float64)
    texts = column.fillna("").to_numpy(object)
    keys = [date_key(text) if text else "" for text in texts]
    if None in keys:
        raise DataError(
            f"column '{echo(column.name)}', used as {what}, holds "
            f"'{echo(texts[keys.index(None)])}', which is neither a number nor a date like "
            "2021-03-31; rewrite the column so"
        )
    return np.array(keys, dtype=str)


def date_key(text: str) -> str | None:
    """Return an ISO date, or date and time, as text in whose order the dates stand; else None.

    With an offset it is turned into UTC; without one it is taken for UTC.
    """
    if not _ISO.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("/", "-"))
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None  # no such day, or none in UTC
    return moment.isoformat(" ")


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


def usable_rows(
    frame: "pd.DataFrame", selection: Selection, data: schema.Data
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return the rows that can be samples, and how many are left out, by reason."""
    if data.lags:
        series = frame[selection.targets[0]].to_numpy(np.float64)
        rows = complete_windows(series, data.lags, data.horizon)
        ends = min(data.lags + data.horizon - 1, len(series))
        reasons = {
            f"too near the ends for {data.lags} lags": ends,
            "a gap in the history or the target": len(series) - ends - len(rows),
        }
    else:
        present = frame[list(selection.targets)].notna().all(axis=1).to_numpy()
        rows = np.flatnonzero(present)
        reasons = {"no target": len(frame) - len(rows)}
    if len(rows) < 2:
        counted = ", ".join(f"{reason}: {n}" for reason, n in reasons.items() if n)
        raise DataError(
            f"{len(rows)} of {len(frame)} rows can be used ({counted or 'there are no more'}); "
            "training needs at least 2"
        )
    return rows, reasons


def notes_on_order(frame: "pd.DataFrame", selection: Selection, data: schema.Data) -> list[str]:
    """Say where the rows are not one step apart, or not in the order of a date column."""
    if not data.lags:
        return []
    if data.order_by is not None:
        keys = sort_keys(frame[data.order_by], "data.order_by")
        return series_notes(keys, data.order_by, is_sorted_by=True)
    notes = []
    for name in (*selection.features, *selection.extra):
        if not is_number(frame[name]) and is_date(frame[name].dropna().unique()):
            try:
                keys = sort_keys(frame[name], "a date")
            except DataError:
                continue
            notes += series_notes(keys, name, is_sorted_by=False)
    return notes


def series_notes(keys: np.ndarray, name: str, *, is_sorted_by: bool) -> list[str]:
    """Say where the rows of a series are not one step apart; `keys` (N,) are `sort_keys`, in order.

    Lags count rows: the value of the previous row is taken for that of the previous step. Without
    `is_sorted_by` the rows stand as in the file, and only their order is looked at.
    """
    steps = _steps(keys)
    if len(steps) == 0:
        return []
    if not is_sorted_by:
        back = int((steps < 0).sum())
        return [f"rows are not in the order of {echo(name)}; set data.order_by"] if back else []
    notes = []
    if repeated := int((steps == 0).sum()):
        notes.append(
            f"{echo(name)} repeats the value of the row before {repeated} times: lags count rows, "
            "and several series in one file are read as one"
        )
    forward = steps[steps > 0]
    if len(forward):
        counts = np.unique(forward, return_counts=True)[1]
        usual = int(counts.max())
        if usual >= 0.5 * len(forward) and usual < len(forward):
            notes.append(
                f"{echo(name)} has gaps: {len(forward) - usual} of {len(forward)} steps are not as "
                "long as the others, and lags count rows; add rows with an empty target"
            )
    return notes


def _steps(keys: np.ndarray) -> np.ndarray:
    """Return how far apart neighbours are (N − 1,): numbers, or seconds."""
    if keys.dtype.kind == "U":
        known = keys[keys != ""]
        return np.diff(known.astype("datetime64[s]").astype(np.int64))
    return np.diff(keys[~np.isnan(keys)])


def in_series_order(
    frame: "pd.DataFrame", order_by: str | None
) -> tuple["pd.DataFrame", NDArray[np.int64]]:
    """Return the rows ordered by that column, equal ones as they stand, and the file order.

    The second is (N,) int64: where each row of the file has come to stand. Raises DataError where
    the column is missing in a row, or has no order.
    """
    if order_by is None:
        return frame, np.arange(len(frame))
    keys = sort_keys(frame[order_by], "data.order_by")
    missing = keys == "" if keys.dtype.kind == "U" else np.isnan(keys)
    if missing.any():
        raise DataError(
            f"column '{echo(order_by)}', used as data.order_by, is missing in {missing.sum()} "
            "rows; fill it in, or order the file itself"
        )
    order = np.argsort(keys, kind="stable")
    return frame.take(order).reset_index(drop=True), np.argsort(order)
