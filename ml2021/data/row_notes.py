"""Notes on the rows: gaps in a series, and signs that rows belong together without a key for it.

Legend: N rows.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ml2021.config import schema
from ml2021.data.csv.scan import Header
from ml2021.data.dates import months_of, steps_between
from ml2021.data.groups import Codes
from ml2021.data.resolve import Selection
from ml2021.data.series import is_date, series_of, sort_keys
from ml2021.data.tables import is_number
from ml2021.errors import DataError
from ml2021.formatting import echo, plural

if TYPE_CHECKING:
    import pandas as pd

_MOST_BYTES = 20_000_000
_MOST_ROWS = 10_000_000
"""Rows of a larger table that are looked at for signs of groups and of an order, the first ones."""
_MOST_EXCLUDED = 3
_FEWEST_GROUPS = 20
_SAMPLE = 1000
_ALIKE = 0.95
_FEWEST_PAIRS = 30
_NEIGHBOURS_ALIKE = 0.5  # the correlation of targets of neighbouring rows
_YEARS = (1600, 2200)
_CLOCK_OR_CALENDAR = re.compile(
    r"(?:hours?|hrs?|h|min(?:ute)?s?|sec(?:ond)?s?|time|(?:week)?day|dow|week|month|quarter|year)",
    re.IGNORECASE,
)


def excluded_names(data: schema.Data, header: Header, used: Sequence[str], size: int) -> list[str]:
    """Return excluded columns that may tell groups apart, to be read for a look at them.

    Those that `data.exclude` names, a few, and only of tables whose size in bytes is read quickly.
    """
    if data.group_by is not None or size > _MOST_BYTES:
        return []
    named = [name for name in data.exclude if name in header.names and name not in used]
    return named[:_MOST_EXCLUDED]


def notes_on_rows(
    frame: "pd.DataFrame", selection: Selection, data: schema.Data, excluded: Sequence[str]
) -> list[str]:
    """Return notes on the order of a series' rows, and on signs of groups without a key for them.

    excluded: columns of the frame that are not in use.
    """
    names = [*selection.features, *selection.extra, *excluded]
    dates = [data.order_by] if data.order_by is not None else []
    for name in names:
        is_text = name not in dates and not is_number(frame[name])
        if is_text and is_date(frame[name].dropna().unique()):
            dates.append(name)
    if not data.lags:
        frame = frame.iloc[:_MOST_ROWS] if len(frame) > _MOST_ROWS else frame
        if data.group_by is not None or len(selection.targets) > 1:
            return []
        notes = notes_on_entities(frame, names, selection.targets[0])
        if not notes and data.split.method in ("random", "kfold"):
            notes = notes_on_time(frame, dates, selection.targets[0])
        return notes
    notes = []
    if data.group_by is None:
        others = [name for name in names if name not in dates]
        notes = notes_on_repeats(frame, dates, others)
        if not notes and data.order_by is None:
            notes = notes_on_runs(frame, others, data.lags + data.horizon)
    if data.order_by is not None:
        keys = sort_keys(frame[data.order_by], "data.order_by")
        return notes + notes_on_steps(keys, data.order_by, series_of(frame, data.group_by))
    for name in dates:
        try:
            steps = _steps(sort_keys(frame[name], "a date"))
        except DataError:
            continue
        if data.group_by is None and not notes and (steps < 0).any():
            notes.append(f"rows are not sorted by {echo(name)}; set data.order_by")
    return notes


def notes_on_steps(keys: np.ndarray, name: str, groups: Codes | None) -> list[str]:
    """Return notes on repeated and irregular steps of each series.

    keys: (N,) `sort_keys`, sorted in each of the groups (N,).
    """
    notes = []
    steps = _steps(keys)
    if groups is not None:
        steps = steps[(groups[1:] == groups[:-1]) & (groups[1:] >= 0)]
        if repeated := int((steps == 0).sum()):
            values = plural(repeated, "value")
            notes.append(f"{echo(name)} repeats {values} within a series; lags count rows")
    forward = steps[steps > 0]
    if len(forward):
        usual = int(np.unique(forward, return_counts=True)[1].max())
        if 0.5 * len(forward) <= usual < len(forward):
            irregular = plural(len(forward) - usual, "irregular step")
            notes.append(
                f"{echo(name)} has {irregular} of {len(forward)}; lags count rows, so fill gaps "
                "with rows that have an empty target"
            )
    return notes


def notes_on_time(frame: "pd.DataFrame", dates: Iterable[str], target: str) -> list[str]:
    """Return a note on rows in the order of a date, whose targets are like those next to them.

    Of rows that are divided at random, those held out then lie between rows of training.
    """
    dates = [*dates]
    if not dates or not is_number(frame[target]):
        return []
    values = frame[target].to_numpy(np.float64)
    pairs = np.stack([values[:-1], values[1:]])
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    if pairs.shape[1] < _FEWEST_PAIRS or (pairs.std(axis=1) == 0).any():
        return []
    if np.corrcoef(pairs)[0, 1] < _NEIGHBOURS_ALIKE:
        return []
    for name in dates:
        try:
            steps = _steps(sort_keys(frame[name], "a date"))
        except DataError:
            continue
        if len(steps) and ((steps >= 0).all() or (steps <= 0).all()) and (steps != 0).any():
            return [
                f"rows are in the order of {echo(name)}, and {echo(target)} is like that of the "
                "row before; to score predictions of later rows, set data.split: sequential, or "
                "data.lags for a time series"
            ]
    return []


def _steps(keys: np.ndarray) -> np.ndarray:
    """Return the differences (N − 1,) between neighbours: of numbers, or of dates.

    Numbers such as 202103 are taken as months.
    """
    known = keys[~np.isnan(keys)]
    if known.dtype.kind == "M":
        return steps_between(known)
    months = months_of(known)
    return np.diff(known) if months is None else steps_between(months.astype("datetime64[us]"))


def notes_on_repeats(
    frame: "pd.DataFrame", dates: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Return a note on several series in one table, whose dates repeat; none without repeats.

    dates: columns that order the rows. names: those that may tell the series apart.
    """
    if len(dates) > 1 and not frame[[*dates]].duplicated().any():  # a date and a time of day
        return []
    for date in dates:
        column = frame[date].dropna()
        repeated = len(column) - column.nunique()
        if not repeated:
            continue
        counts = {n: frame[n].nunique() for n in names if not _CLOCK_OR_CALENDAR.fullmatch(n)}
        counts = {name: n for name, n in counts.items() if 2 <= n <= len(frame) // 2}
        for name in sorted(counts, key=lambda name: counts[name]):
            known = frame[[date, name]].dropna()
            if len(known) and not known.duplicated().any():
                return [
                    f"{echo(date)} repeats for {counts[name]:,} values of {echo(name)}, and lags "
                    "reach from one series into another; if each value is a series of its own, "
                    f"set data.group_by: {echo(name)}"
                ]
        values = plural(repeated, "repeated value")
        return [
            f"{echo(date)} has {values}; lags count rows, so if several series are in one file, "
            "set data.group_by to the column that tells them apart"
        ]
    return []


def notes_on_runs(frame: "pd.DataFrame", names: Iterable[str], width: int) -> list[str]:
    """Return a note on a column whose values each stand in one long run, such as stacked series.

    width: the rows of a window. Years are no series, nor are the two values of a flag.
    """
    for name in names:
        if _CLOCK_OR_CALENDAR.fullmatch(name):
            continue
        column = frame[name]
        values = column.to_numpy()
        starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
        if len(starts) < 2 or len(starts) * width > len(values) or column.isna().any():
            continue
        first = column.iloc[starts]
        if first.nunique() < len(starts):
            continue
        if is_number(column) and (len(starts) == 2 or first.between(*_YEARS).all()):
            continue
        return [
            f"{echo(name)} has its {len(starts):,} values in one run of rows each; if they are "
            f"series of their own, set data.group_by: {echo(name)}, or lags reach over their ends"
        ]
    return []


def notes_on_entities(frame: "pd.DataFrame", names: Iterable[str], target: str) -> list[str]:
    """Return a note on a column whose values repeat and have one target each, such as patients."""
    for name in names:
        column = frame[name]
        if is_number(column) and (column.to_numpy()[:_SAMPLE] % 1 > 0).any():
            continue
        sample = column.iloc[:_SAMPLE].dropna()
        if sample.nunique() * 4 > 3 * len(sample):
            continue
        known = frame[[name, target]].dropna()
        distinct, targets = known[name].nunique(), known[target].nunique()
        if not max(_FEWEST_GROUPS, targets) <= distinct <= len(known) // 2 or targets < 2:
            continue
        if is_number(column) and (known[name] % 1 != 0).any():  # the sample was too short to show
            continue
        if 2 * known[name].value_counts().iloc[0] > len(known):  # such as a count that is mostly 0
            continue
        pairs = len(known.drop_duplicates())
        if distinct >= _ALIKE * pairs:
            return [
                f"{echo(name)} repeats: {distinct:,} values in {len(known):,} rows, nearly each "
                f"with one {echo(target)}; if their rows belong together, set data.group_by: "
                f"{echo(name)}"
            ]
    return []
