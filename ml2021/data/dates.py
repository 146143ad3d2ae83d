"""Dates: how they are written, their parts as features, and the dates that come next.

Moments are datetime64[us] as the clock shows them, whatever their offset from UTC, and NaT where a
date is missing.
Legend: N rows.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.config.schema import DatePart
from ml2021.data.csv.parser import Column
from ml2021.data.csv.writings import writing_of
from ml2021.data.preprocessing.records import DateFeature, DateForm
from ml2021.data.tables import Rows
from ml2021.errors import DataError
from ml2021.formatting import echo

if TYPE_CHECKING:
    import pandas as pd

Moments = NDArray[np.datetime64]

_SPACED = 8  # the last dates, whose spacing is continued
_DAY = np.timedelta64(1, "D")
_FIELDS = (
    r"\A(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})"
    r"(?:[ T](\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?(?: ?(?:Z|[+-]\d{2}:?\d{2}))?)?\Z"
)
"""Three numbers, of which one is a year, and perhaps a time of day and its offset from UTC."""
_DATE = re.compile(_FIELDS, re.ASCII)

_LIKE = "write them like 2021-03-31"
_TIME = r"\d{1,4}(?::[0-5]\d){1,2}(?:[.,]\d+)?"
_DOTTED_TIME = r"\d{1,2}(?:\.[0-5]\d){2}"


def date_form(distinct: "pd.Series") -> tuple[DateForm | None, str]:
    """Return how the dates of a column are written, given its distinct texts, none missing.

    None, and what is wrong, for texts that cannot all be read, or that may mean two dates.
    """
    fields = distinct.str.extract(_FIELDS, flags=re.ASCII)
    first, last = fields[0].str.len(), fields[3].str.len()
    dates = fields[first.notna()]
    if not ((first == 4) | (last == 4)).any():
        has_dots = distinct.str.fullmatch(_DOTTED_TIME, flags=re.ASCII).all()
        has_dots = has_dots and distinct.str.contains(".00.", regex=False).any()  # no day or month
        if has_dots or distinct.str.fullmatch(_TIME, flags=re.ASCII).all():
            time = str(distinct.max())
            number = writing_of(time.replace(".", ":") if has_dots else time, ".")
            plain = f"plain numbers, such as {number.plain}, or " if number else ""
            return None, f"times without a date; write {plain}dates like 2021-03-31 {echo(time)}"
        return None, "times without a date, or years of two digits; write dates like 2021-03-31"
    form: DateForm = "year first"
    if not (first.dropna() == 4).all():
        if not (last.dropna() == 4).all() or (first > 2).any():
            return None, f"dates in several forms; {_LIKE}"
        has_day_first = bool((dates[0].astype(int) > 12).any())
        has_month_first = bool((dates[2].astype(int) > 12).any())
        with_dots = bool((dates[1] == ".").all())
        if has_day_first and has_month_first:
            return None, f"dates with the day first and with the month first; {_LIKE}"
        if not (has_day_first or has_month_first or with_dots):
            example = echo(distinct[dates.index[0]])
            return None, f"dates such as {example}, whose day and month cannot be told; {_LIKE}"
        form = "month first" if has_month_first else "day first"
    odd = np.isnat(_moments(distinct, form))
    if odd.any():
        return None, f"dates, but '{echo(distinct[odd].iloc[0])}' is none; {_LIKE}"
    return form, ""


def read_dates(texts: "pd.Series", form: DateForm) -> Moments:
    """Return the moments (N,) of dates in this form; NaT for any other text."""
    import pandas as pd

    places, distinct = pd.factorize(texts)  # −1 for a missing value
    return np.append(_moments(distinct, form), np.datetime64("NaT"))[places]


def write_dates(moments: "pd.Series", form: DateForm) -> NDArray[np.object_]:
    """Return moments (N,), with a time zone or without, in a form that `read_dates` reads.

    With the time of day if one of them has any, and NaN where a moment is missing.
    """
    has_zone = not isinstance(moments.dtype, np.dtype) and moments.dt.tz is not None
    clock = moments.dt.tz_localize(None) if has_zone else moments
    values = clock.to_numpy("datetime64[us]")
    known = ~np.isnat(values)
    fits = (unit for unit in ("D", "s") if (values == values.astype(f"M8[{unit}]"))[known].all())
    unit = next(fits, "us")
    if has_zone:  # its offset matters where it orders the rows
        texts = moments.astype(str).to_numpy(object)
    else:
        written = np.datetime_as_string(values.astype(f"M8[{unit}]")).tolist()
        texts = np.array([text.replace("T", " ") for text in written], object)
    if form != "year first":
        day, month = slice(8, 10), slice(5, 7)
        first, second = (day, month) if form == "day first" else (month, day)
        parts = ((t[first], t[second], t[:4] + t[10:]) for t in texts[known])
        texts[known] = ["-".join(each) for each in parts]
    return np.where(known, texts, np.nan)


def _moments(texts: "pd.Series | pd.Index | Column", form: DateForm) -> Moments:
    """Return the moments (N,) of texts in this form; NaT where one is no such date."""
    order = {"year first": (1, 3, 4), "day first": (4, 3, 1), "month first": (4, 1, 3)}[form]
    fields = np.zeros((len(texts), 6), np.int64)
    for row, text in enumerate(texts):
        match = _DATE.match(text)
        if match is not None and len(match[order[0]]) == 4:
            fields[row] = [int(field or 0) for field in match.group(*order, 5, 6, 7)]
    year, month, day, hour, minute, second = fields.T
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    exists = (year >= 1) & (month >= 1) & (month <= 12)
    exists &= (day >= 1) & (day <= _lengths(months)) & (hour < 24) & (minute < 60) & (second < 60)
    seconds = ((hour * 60 + minute) * 60 + second).astype("timedelta64[s]")
    moments: Moments = _on_day(months, day - 1) + seconds
    moments[~exists] = np.datetime64("NaT")
    return moments


def fit_dates(
    name: str, form: DateForm, texts: "pd.Series", parts: Sequence[DatePart], rows: Rows
) -> DateFeature:
    """Return the parts of a column of dates (N,), without the hour if no date has a time of day."""
    moments = read_dates(texts, form)
    known = moments[~np.isnat(moments)]
    has_time = bool((known != known.astype("datetime64[D]")).any())
    of_training = moments[rows]
    known = of_training[~np.isnat(of_training)]
    origin = known.min() if known.size else np.datetime64(0, "us")
    return DateFeature(
        name=name,
        form=form,
        parts=tuple(part for part in parts if part != "hour" or has_time),
        origin=int(origin.astype(np.int64)),
    )


def with_parts(
    frame: "pd.DataFrame",
    dates: Sequence[DateFeature],
    where: str = "",
    listing: Callable[[str], str] = lambda text: "list it in data.missing",
) -> "pd.DataFrame":
    """Return the table with a column for each part of each column of dates.

    Raises DataError for a text that is no date in the form of its column.
    """
    import pandas as pd

    columns = parts_of(frame, dates, where, listing)
    if not columns:
        return frame
    return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)


def parts_of(
    columns: "pd.DataFrame | Mapping[str, Column]",
    dates: Sequence[DateFeature],
    where: str = "",
    listing: Callable[[str], str] = lambda text: "list it in data.missing",
) -> dict[str, NDArray[np.float64]]:
    """Return each part (N,) of each column of dates by its name. Raises as `with_parts` does."""
    import pandas as pd

    found: dict[str, NDArray[np.float64]] = {}
    for date in dates:
        places, distinct = pd.factorize(columns[date.name])  # −1 for a missing value
        moments = _moments(distinct, date.form)
        if (odd := np.isnat(moments)).any():
            text = str(distinct[int(odd.argmax())])
            raise DataError(
                f"{where}column '{echo(date.name)}': '{echo(text)}' is not a date with the "
                f"{date.form}, as in training; correct it, or {listing(text)}"
            )
        values = _values(np.append(moments, np.datetime64("NaT")), date)
        found |= {name: each[places] for name, each in zip(date.features, values, strict=True)}
    return found


def _values(moments: Moments, date: DateFeature) -> Iterator[NDArray[np.float64]]:
    """Yield the values (N,) of each part, NaN where the date is missing."""
    known = ~np.isnat(moments)
    moments = np.where(known, moments, np.datetime64(0, "us"))
    days, months = moments.astype("datetime64[D]"), moments.astype("datetime64[M]")
    for part in date.parts:
        values: NDArray[np.int64] | NDArray[np.float64]
        match part:
            case "year":
                values = moments.astype("datetime64[Y]").astype(np.int64) + 1970
            case "month":
                values = months.astype(np.int64) % 12 + 1
            case "day":
                values = _days_into_month(moments) + 1
            case "weekday":
                values = (days.astype(np.int64) + 3) % 7 + 1  # 1970 began on a Thursday
            case "hour":
                values = (moments - days) // np.timedelta64(1, "h")
            case "elapsed":
                values = (moments - np.datetime64(date.origin, "us")) / _DAY
        yield np.where(known, values, np.nan)


def with_next_rows(
    frame: "pd.DataFrame", dates: Sequence[DateFeature], count: int
) -> "pd.DataFrame | None":
    """Return the table with `count` more rows that have only the parts of the dates that come next.

    None if the last dates of a column are not evenly spaced.
    """
    import pandas as pd

    columns: dict[str, NDArray[np.float64]] = {}
    for date in dates:
        following = next_dates(read_dates(frame[date.name].iloc[-_SPACED:], date.form), count)
        if following is None:
            return None
        columns |= dict(zip(date.features, _values(following, date), strict=True))
    return pd.concat([frame, pd.DataFrame(columns)], ignore_index=True)


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


def steps_between(dates: Moments) -> NDArray[np.int64]:
    """Return the steps (N − 1,) between dates, none missing.

    In months where all dates are on one day of the month, or all on its last; else in seconds.
    """
    months = dates.astype("datetime64[M]")
    days, last = _days_into_month(dates), _lengths(months) - 1
    clock = dates - dates.astype("datetime64[D]")
    day = 30 if (days == last).all() else days.max(initial=0)
    if (days == np.minimum(day, last)).all() and (clock == clock[:1]).all():
        whole = months.astype(np.int64)
    else:
        whole = dates.astype("datetime64[s]").astype(np.int64)
    return whole[1:] - whole[:-1]


def months_of(numbers: NDArray[np.float64]) -> Moments | None:
    """Return the months (N,) that numbers such as 202103 mean, None unless all can mean one."""
    years, months = numbers // 100, numbers % 100
    can_mean = (years >= 1600) & (years < 2200) & (months >= 1) & (months <= 12)
    if not (can_mean & (months == np.floor(months))).all():
        return None
    return ((years - 1970) * 12 + months - 1).astype(np.int64).astype("datetime64[M]")


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
