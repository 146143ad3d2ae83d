"""Predict the rows of time series, and forecast those after the last known value.

Legend: N rows of the table, M rows with those ahead, G series, T outputs.
"""

import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.commands.prediction_csv import Predictions
from ml2021.data.dates import next_dates, with_next_rows
from ml2021.data.preprocessing.records import Preprocessing
from ml2021.data.preprocessing.transform import encode_inputs
from ml2021.data.samples import FittedTable
from ml2021.data.series import fill_gaps, known_histories, note_on_filled
from ml2021.errors import DataError
from ml2021.formatting import echo

if TYPE_CHECKING:
    import pandas as pd

    from ml2021.runs.model import TrainedModel

_SPACED_DATES = 8  # the last dates, whose spacing is continued


def forecast(
    model: "TrainedModel",
    table: FittedTable,
    ahead: int,
    source: Path,
    half_widths: NDArray[np.float64] | None,
) -> tuple[Predictions, list[str]]:
    """Return predictions for every row, NaN where the history has a gap, and notes.

    First those of the file's rows, in file order, then those of `ahead` more rows of each series.
    The rows after a series' last known value are forecast recursively: each from the forecasts
    before it.
    """
    preprocessing, history = model.preprocessing, model.preprocessing.history
    assert history is not None
    assert table.series is not None
    groups = np.zeros(len(table.series), np.int64) if table.groups is None else table.groups
    count = int(groups.max(initial=-1)) + 1
    lengths = np.bincount(groups[groups >= 0], minlength=count) + ahead
    stops = np.cumsum(lengths)
    starts = stops - lengths
    # Each series with the rows ahead at its end; rows that belong to none are last.
    places = np.arange(len(groups)) + ahead * np.where(groups < 0, count, groups)
    series = np.full(len(groups) + ahead * count, np.nan)
    series[places] = table.series
    numbers = np.full(len(series), -1)
    numbers[: lengths.sum()] = np.repeat(np.arange(count), lengths)
    frame = table.frame
    if ahead and preprocessing.features:
        rows_of = np.zeros(len(series), np.int64)
        rows_of[places] = np.arange(len(groups))
        frame = frame.take(np.maximum.accumulate(rows_of)).reset_index(drop=True)
        _continue_features(preprocessing, frame, source, starts, stops, ahead)
    filled = fill_gaps(series, history.gap_limit, numbers)
    known = np.flatnonzero(~np.isnan(series) & (numbers >= 0))
    ends = starts.copy()  # the row after the last known value of each series
    np.maximum.at(ends, numbers[known], known + 1)
    is_after = np.arange(len(series)) >= np.append(ends, len(series))[numbers]

    predictions = np.full((len(series), preprocessing.target.width), np.nan)
    spread = None if len(model.theta) == 1 else np.full_like(predictions, np.nan)

    def predict_rows(rows: NDArray[np.int64]) -> list[str]:
        encoded = encode_inputs(preprocessing, frame, rows, filled, model.remedy)
        if len(rows):
            predictions[rows], spread_of_rows = model.predict_with_spread(encoded.inputs)
            if spread is not None:
                spread[rows] = spread_of_rows
        return encoded.odd.notes(preprocessing)

    rows = known_histories(series, history.lags, numbers, filled)
    rows = rows[~is_after[rows]]
    notes = predict_rows(rows)
    name = preprocessing.target_columns[0]
    notes += note_on_filled(name, series, filled, rows, history.lags)
    lags = np.arange(1, min(history.lags, len(series)) + 1)  # with more, no row has a history
    for step in range(int((stops - ends).max(initial=0))):
        rows = (ends + step)[(ends + step < stops) & (ends + step - history.lags >= starts)]
        rows = rows[~np.isnan(filled[rows[:, None] - lags]).any(axis=1)]
        predict_rows(rows)
        filled[rows] = predictions[rows, 0]
    if empty := int(np.isnan(predictions[:, 0]).sum()):
        notes.append(f"rows without a complete history of {history.lags}, left empty: {empty}")
    if found := int((~np.isnan(predictions[is_after, 0])).sum()):
        notes.append(f"rows forecast, each from the ones before it: {found}")
    half = None
    if half_widths is not None:
        # The intervals were calibrated for one step ahead of known values, not for more.
        half = np.tile(half_widths, (len(predictions), 1))
        is_after[ends[ends < stops]] = False
        half[is_after] = np.nan
        if far := int(is_after.sum()):
            notes.append(f"rows more than one step ahead, without an interval: {far}")
    added = np.setdiff1d(np.arange(len(series)), places)
    in_file = np.concatenate([places[table.file_order], added])
    return Predictions(predictions, spread, half).take(in_file), notes


def _continue_features(
    preprocessing: Preprocessing,
    frame: "pd.DataFrame",
    source: Path,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    ahead: int,
) -> None:
    """Write the features of the rows ahead of each series, which repeat its last row, into a table.

    The column that tells the series apart stays, and dates go on. Raises DataError for any other
    feature, and for dates that are not evenly spaced.
    """
    history, dates = preprocessing.history, preprocessing.dates
    assert history is not None
    known = {*preprocessing.parts_of_dates, history.group_by}
    unknown = [f.name for f in preprocessing.features if f.name not in known]
    names = [name for date in dates for name in date.features]
    for start, stop in zip(starts, stops, strict=True):
        if unknown:
            break
        longer = (
            with_next_rows(frame.iloc[start : stop - ahead].tail(_SPACED_DATES), dates, ahead)
            if dates
            else frame
        )
        if longer is None:
            unknown = [date.name for date in dates]
        elif dates:
            rows = np.arange(stop - ahead, stop)
            frame.loc[rows, names] = longer[names].iloc[-ahead:].to_numpy()
    if unknown:
        raise DataError(
            f"{source}: --ahead cannot know {echo(unknown[-1])} in future rows; "
            "append those rows to the CSV with an empty target"
        )


def carried_column(
    column: "pd.Series", table: FittedTable, ahead: int, *, is_group: bool
) -> list[str]:
    """Return a copied column as text, and its texts in the rows that are ahead of each series.

    There the column that tells the series apart is repeated, and evenly spaced dates are continued,
    and integers that order the rows; other columns are empty.
    """
    texts = ["" if value is None or value != value else str(value) for value in column]
    if not ahead:
        return texts
    in_order = np.argsort(table.file_order)  # the rows of the file, in the order of the series
    lengths = [len(in_order)]
    if table.groups is not None:
        lengths = np.bincount(table.groups[table.groups >= 0]).tolist()
    history = table.preprocessing.history
    is_order = history is not None and column.name == history.order_by
    following = _next_in_order if is_order else _next_dates
    start = 0
    added: list[str] = []
    for length in lengths:
        rows = in_order[start : start + length]
        last = [texts[row] for row in rows[-_SPACED_DATES:]]
        added += last[-1:] * ahead if is_group else following(last, ahead)
        start += length
    return texts + added


_WRITINGS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%Y%m%d", "%Y%m", "%Y-%m"),
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"),
    *("%Y-%m-%d %H:%M:%SZ", "%Y-%m-%dT%H:%M:%SZ"),
)
_YEARS = range(1600, 2200)  # others are rather numbers
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def _next_dates(last: list[str], ahead: int) -> list[str]:
    """Return the `ahead` next dates, written alike, empty unless `last` are evenly spaced dates."""
    for writing in _WRITINGS:
        try:
            moments = [datetime.strptime(text, writing) for text in last]
        except ValueError:
            continue
        are_alike = [moment.strftime(writing) for moment in moments] == last
        if are_alike and all(moment.year in _YEARS for moment in moments):
            following = next_dates(np.array(moments, "datetime64[us]"), ahead)
            if following is not None:
                return [moment.strftime(writing) for moment in following.tolist()]
    return [""] * ahead


def _next_in_order(last: list[str], ahead: int) -> list[str]:
    """Return the `ahead` next dates or integers, such as years; empty unless evenly spaced."""
    dates = _next_dates(last, ahead)
    if any(dates) or not all(_INTEGER.fullmatch(text) for text in last):
        return dates
    numbers = [int(text) for text in last]
    steps = {after - before for before, after in pairwise(numbers)}
    if len(steps) != 1 or min(steps) <= 0:
        return dates
    return [str(numbers[-1] + min(steps) * (row + 1)) for row in range(ahead)]
