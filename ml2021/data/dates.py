"""The order of a column that sorts or splits rows: numbers, or dates as moments."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ml2021.data.tables import is_number
from ml2021.errors import DataError, echo

if TYPE_CHECKING:
    import pandas as pd

_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"
ISO_DATE = rf"\d{{4}}[-/]\d{{2}}[-/]\d{{2}}(?:[ T]{_CLOCK})?"
"""A date, or a date and time, as ISO 8601 writes it, or with slashes."""

_ISO = re.compile(ISO_DATE, re.ASCII)


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
