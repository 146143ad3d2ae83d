"""Dates: their parts as features, and the dates that come next.

Moments are datetime64[us], NaT where a date is missing.
Legend: N rows.
"""

import numpy as np
from numpy.typing import NDArray

Moments = NDArray[np.datetime64]

_DAY = np.timedelta64(1, "D")


def next_dates(last: Moments, count: int) -> Moments | None:
    """Return the `count` dates after increasing dates (N,) that are evenly spaced, else None.

    Even steps are months, and so quarters and years, on the same day (where a month is too short,
    its last day), or equal times: hours, days, weeks. Dates that are all the last of their month
    go on so.
    """
    if len(last) < 2 or np.isnat(last).any():
        return None
    ahead = np.arange(1, count + 1)
    months = last.astype("datetime64[M]")
    steps, days = np.diff(months.astype(np.int64)), _days_into_month(last)
    clock = last - last.astype("datetime64[D]")
    if steps[0] > 0 and (steps == steps[0]).all() and (clock == clock[0]).all():
        lengths = _lengths(months)
        is_month_end = steps[0] % 12 > 0 and (days == lengths - 1).all()
        day = 30 if is_month_end else int(days.max())
        if (days == np.minimum(day, lengths - 1)).all():
            following = months[-1] + steps[0] * ahead
            dates: Moments = _on_day(following, np.minimum(day, _lengths(following) - 1)) + clock[0]
            return dates
    times = np.diff(last)
    if times[0] <= np.timedelta64(0) or (times != times[0]).any():
        return None
    moments: Moments = last[-1] + times[0] * ahead
    return moments


def _days_into_month(moments: Moments) -> NDArray[np.int64]:
    first = moments.astype("datetime64[M]").astype("datetime64[D]")
    days: NDArray[np.int64] = (moments.astype("datetime64[D]") - first) // _DAY
    return days


def _lengths(months: Moments) -> NDArray[np.int64]:
    """Return how many days these months have."""
    lengths: NDArray[np.int64] = (_on_day(months + 1, 0) - _on_day(months, 0)) // _DAY
    return lengths


def _on_day(months: Moments, days: NDArray[np.int64] | int) -> Moments:
    """Return the moments so many days after the beginning of these months."""
    moments: Moments = (months.astype("datetime64[D]") + days * _DAY).astype("datetime64[us]")
    return moments
