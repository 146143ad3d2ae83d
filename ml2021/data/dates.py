"""The order of a column that sorts or splits rows: numbers, or dates as moments."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ml2021.data.tables import is_number
from ml2021.errors import DataError
from ml2021.formatting import echo

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
