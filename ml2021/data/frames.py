"""Columns of a data frame for a fitted model, as `ml2021.data.new_table` reads those of a file.

A cell means what it would mean in a file of the format that the run was trained on: texts are read
by the same rules, and "" or NA is missing, as are None, NaN and what else pandas takes for missing.
Numbers are themselves, of any type, and those of float32 what they are as text; a moment is written
as its column's dates were in training. A period is the moment at which it begins, a timedelta its
seconds.
Legend: N rows.
"""

import datetime
from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import StorageType
from ml2021.data.csv.parser import Column, Values
from ml2021.data.csv.scan import TableFormat, make_header
from ml2021.data.dates import write_dates
from ml2021.data.matching import match_columns
from ml2021.data.new_table import NewColumns, choose_columns
from ml2021.data.preprocessing.records import DateForm, Preprocessing, value_text
from ml2021.data.samples import FittedTable
from ml2021.data.shortest import shortest
from ml2021.data.spellings import Spellings
from ml2021.data.tables import check_columns, refuse_rounded
from ml2021.errors import DataError
from ml2021.formatting import echo

if TYPE_CHECKING:
    import pandas as pd

FRAME_NAME = Path("frame")
"""What messages call the table."""
_SHOWN = 5
_FEW = 100  # rows for which pandas takes longer to begin than Python to end
_CELLS = (
    *(str, bool, int, float, Decimal, datetime.date, datetime.time),
    *(np.bool_, np.integer, np.floating),
)
_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")
_MOMENTS = ("date", "datetime", "datetime64")
_TIMES = ("timedelta", "timedelta64")


class FrameReader:
    """Reads data frames for a model that was trained on a table of this format."""

    def __init__(self, preprocessing: Preprocessing, table_format: TableFormat) -> None:
        self._preprocessing = preprocessing
        self._format = replace(table_format, in_memory=True)
        self._forms = {date.name: date.form for date in preprocessing.dates}
        self._last: tuple[tuple[str, ...], NewColumns, dict[str, int]] | None = None

    def read(self, frame: "pd.DataFrame") -> FittedTable:
        """Return the columns that the model needs as a table. Raises as `columns` does."""
        read, found = self._read(frame)
        return found.fitted(_frame_of({name: np.asarray(each) for name, each in read.items()}))

    def columns(self, frame: "pd.DataFrame") -> Mapping[str, Column]:
        """Return the columns (N,) that the model needs, by their names in training.

        They are found by name; other columns are not looked at. With the parts of dates, and in the
        order of the frame, as if it were no series: a frame of a few rows would take most of the
        time. Raises DataError for a frame without rows, a column that is missing, a cell that is no
        number or date where training had them, and categories all spelled otherwise.
        """
        read, found = self._read(frame)
        return read | found.parts_of_dates(read)

    def notes(self, frame: "pd.DataFrame") -> list[str]:
        """Return notes on the columns that are not used. Raises as `columns` does."""
        return self._find(tuple(map(str, frame.columns.tolist())))[0].notes()

    def _read(self, frame: "pd.DataFrame") -> tuple[dict[str, Column], NewColumns]:
        """Return the columns by their names in training, checked, and what was found in the frame.

        Raises as `columns` does.
        """
        if not len(frame):
            raise DataError(f"{FRAME_NAME}: no rows; give at least one")
        columns, places = self._find(tuple(map(str, frame.columns.tolist())))
        # Words where training had numbers as categories may be another spelling of them.
        loose = {n: kind for n, kind in columns.types.items() if n not in columns.numbers}
        series = [] if columns.group is None else [columns.group]
        # one by one takes four times as long, and with labels of text a fifth longer
        given = [each for _, each in frame.set_axis(range(frame.shape[1]), axis=1).items()]
        read: dict[str, Column] = {}
        values: dict[str, Values] = {}
        for name, trained in columns.names.items():
            kind = columns.types.get(name)
            if (texts := self._texts(given[places[name]], name, columns, kind)) is not None:
                read[trained] = texts
            else:
                values[name] = self._values(given[places[name]], name, columns, kind)
        checked = check_columns({**values}, self._format.rules, loose)
        rounded = {name: column.rounded for name, column in checked.items() if column.rounded}
        refuse_rounded(rounded, series)
        read |= {columns.names[name]: each.values for name, each in checked.items()}
        spellings = Spellings(FRAME_NAME, self._preprocessing, scored=False)
        spellings.add(read)
        spellings.refuse_others()
        if any(checked[name].values.dtype == object for name in columns.numbers):  # as this reports
            checked = check_columns({**values}, self._format.rules, columns.types)
        if lines := [
            line
            for name, column in checked.items()
            for line in _invalid_cells(name, values[name], column.invalid)
        ]:
            raise DataError(*lines[:_SHOWN])
        for name in columns.numbers:
            if exact := rounded.get(name):
                numbers = np.array(read[columns.names[name]], object)
                numbers[[*exact]] = [*exact.values()]
                read[columns.names[name]] = numbers
        return read, columns

    def _find(self, names: tuple[str, ...]) -> tuple[NewColumns, dict[str, int]]:
        """Return the columns of a frame with these names, and the place of each."""
        if self._last is None or self._last[0] != names:
            header = replace(make_header(FRAME_NAME, names), path=FRAME_NAME)
            others = _other_names(self._preprocessing, header.names)
            found = match_columns(FRAME_NAME, self._preprocessing, header, others)
            columns = choose_columns(
                self._preprocessing, header, found, FRAME_NAME, self._format, "predicted"
            )
            places = {name: place for place, name in enumerate(header.names)}
            self._last = names, columns, places
        return self._last[1:]

    def _texts(
        self, column: "pd.Series", name: str, columns: NewColumns, kind: StorageType | None
    ) -> "pd.Categorical | None":
        """Return the cells (N,) of a column that is read as text, of which each is read once.

        None for a few rows, and where cells that are equal may not be the same text: 1 and True.
        """
        if kind != "text" or self._format.rules.needs_search or len(column) <= _FEW:
            return None
        import pandas as pd

        try:
            places, found = pd.factorize(column)
        except TypeError:  # a list, which `cells_of` reports
            return None
        if found.dtype == object and pd.api.types.infer_dtype(found, skipna=False) != "string":
            return None
        distinct = self._values(pd.Series(found, dtype=found.dtype), name, columns, kind)
        codes, texts = pd.factorize(distinct)
        return pd.Categorical.from_codes(
            np.append(codes, -1)[places], pd.Index(texts, dtype=object)
        )

    def _values(
        self, column: "pd.Series", name: str, columns: NewColumns, kind: StorageType | None
    ) -> Values:
        """Return the cells (N,) as a file's parser does: numbers, or str and NaN where missing."""
        trained = columns.names[name]
        form = self._forms.get(trained, "year first")
        is_told_apart = name in columns.numbers or name == columns.group
        values = cells_of(
            column, name, kind, form, is_told_apart=is_told_apart, decimal=self._format.decimal
        )
        return without_missing(values, self._format.rules.missing_texts)


def _frame_of(columns: Mapping[str, Values]) -> "pd.DataFrame":
    import pandas as pd

    each = {name: pd.Series(v, dtype=v.dtype, copy=False) for name, v in columns.items()}
    return pd.DataFrame(each, copy=False)


def _other_names(
    preprocessing: Preprocessing, names: tuple[str, ...]
) -> Mapping[tuple[str, int], str]:
    """Return names for repeated columns of the training file, which in a frame are mostly unique.

    The second `x` is x.1, as in pandas and in a config; the first is x.0 there.
    """
    given, others = {*names}, {}
    for name, source in preprocessing.sources.items():
        for other in (name, f"{source.raw}.{source.occurrence}"):
            if other != source.raw and other in given:
                others[source.raw, source.occurrence] = other
    return others


def without_missing(values: Values, texts: Collection[str]) -> Values:
    """Return cells (N,) with NaN in place of the texts that mean a missing value."""
    if values.dtype.kind != "O":
        return values
    if len(values) <= _FEW:
        return np.array([np.nan if cell in texts else cell for cell in values], object)
    import pandas as pd

    is_missing = pd.Series(values, dtype=object).isin(texts).to_numpy()
    return np.where(is_missing, np.nan, values) if is_missing.any() else values


def cells_of(
    column: "pd.Series",
    name: str,
    kind: StorageType | None,
    form: DateForm,
    *,
    is_told_apart: bool,
    decimal: str,
) -> Values:
    """Return the cells (N,) of a column of any dtype: numbers, or str and NaN where missing.

    kind: how the column is read; None: by its cells. is_told_apart: its values are compared, so
    that integers among objects keep all their digits.
    """
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.StringDtype):
        if len(column) <= _FEW:
            return np.array([cell if isinstance(cell, str) else np.nan for cell in column], object)
        places, texts_met = pd.factorize(column)  # so that each text is made once, not once a row
        return np.array([*texts_met, np.nan], object)[places]
    if isinstance(dtype, pd.CategoricalDtype):
        distinct = pd.Series(column.cat.categories)
        values = cells_of(distinct, name, kind, form, is_told_apart=is_told_apart, decimal=decimal)
        codes = column.cat.codes.to_numpy()
        if (codes >= 0).all():
            return values[codes]
        missing = np.array([np.nan], object if values.dtype == object else np.float64)
        return np.concatenate([values, missing])[codes]
    letter, is_plain = dtype.kind, isinstance(dtype, np.dtype)
    if letter == "M":
        is_day = dtype.type is datetime.date  # of Arrow, without a time of day
        return write_dates(pd.to_datetime(column) if is_day else column, form)
    if letter == "m":
        seconds: Values = column.dt.total_seconds().to_numpy(np.float64, na_value=np.nan)
        return _as_text(seconds) if kind == "text" else seconds
    if isinstance(dtype, pd.PeriodDtype):
        return write_dates(_beginnings(column, name), form)
    if letter in "iuf" and (is_plain or letter == "f" or not column.hasnans):
        numbers: Values
        if letter == "f":
            numbers = column.to_numpy() if is_plain else column.to_numpy(na_value=np.nan)
            numbers = numbers.astype(np.float64, copy=False)
            if getattr(dtype, "itemsize", 8) == 4:
                numbers = shortest(column.to_numpy(np.float32, na_value=np.nan))
            elif getattr(dtype, "itemsize", 8) == 2:
                short = column.to_numpy(np.float16, na_value=np.nan)
                numbers = short.astype("U32").astype(np.float64)
        else:
            numbers = column.to_numpy(np.uint64 if dtype == np.uint64 else np.int64)
        return _as_text(numbers) if kind == "text" else numbers
    cells = column.to_numpy(object)
    known = np.flatnonzero(~pd.isna(cells))
    found = pd.api.types.infer_dtype(cells[known], skipna=False)
    if found in _MOMENTS:
        moments = pd.to_datetime(column, errors="coerce")
        # some are lost where offsets from UTC differ: their texts are not
        if moments.dtype.kind == "M" and not moments.isna().to_numpy()[known].any():
            return write_dates(moments, form)
    if found in _TIMES or found == "period":
        each = pd.to_timedelta(column) if found in _TIMES else _beginnings(column, name)
        return cells_of(each, name, kind, form, is_told_apart=is_told_apart, decimal=decimal)
    texts = np.full(len(cells), np.nan, object)
    if found == "boolean" and kind == "number":
        numbers = np.full(len(cells), np.nan)
        numbers[known] = cells[known].astype(np.float64)
        return numbers
    if found in _NUMBERS and kind != "text" and not is_told_apart:
        numbers = np.full(len(cells), np.nan)
        try:
            numbers[known] = cells[known].astype(np.float64)
        except OverflowError:  # the text of the integer will be refused
            pass
        else:
            return numbers
    if found == "string":
        texts[known] = cells[known]
        return texts
    for place in known:
        if not isinstance(cell := cells[place], (*_CELLS, pd.Interval)):
            what = type(cell).__name__
            raise DataError(
                f"{FRAME_NAME}: row {place + 1}: column '{echo(name)}' holds a {what}, neither a "
                "number, a date nor text; convert it"
            )
        texts[place] = _text(cell, decimal)
    return texts


def _beginnings(column: "pd.Series", name: str) -> "pd.Series":
    """Return the moments (N,) at which periods begin. Raises DataError if pandas holds no such."""
    import pandas as pd

    try:
        if isinstance(column.dtype, pd.PeriodDtype):
            return pd.Series(column.dt.to_timestamp())
        begun = [pd.NaT if pd.isna(cell) else cell.start_time for cell in column]
        return pd.Series(begun, column.index)
    except pd.errors.OutOfBoundsDatetime as error:
        what = f"column '{echo(name)}' holds a period that is no Timestamp ({echo(error)})"
        raise DataError(f"{FRAME_NAME}: {what}; write it as text") from None


def _as_text(numbers: Values) -> Values:
    """Return numbers (N,) as text, 3.0 as 3, and NaN where missing."""
    texts = [value if value != value else value_text(value) for value in numbers.tolist()]
    return np.array(texts, object)


def _text(cell: object, decimal: str) -> str:
    """Return a cell as a file of this format would hold it."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float) and np.isfinite(cell):
        return value_text(cell).replace(".", decimal)
    return str(cell).replace(".", decimal) if isinstance(cell, Decimal) else str(cell)


def _invalid_cells(name: str, values: Values, rows: NDArray[np.int64]) -> list[str]:
    """Return a line for each different cell that is no number, though the column holds numbers."""
    return [
        f"{FRAME_NAME}: row {row + 1}: column '{echo(name)}': '{echo(values[row])}' is not a "
        "number up to 3.4e38; correct it, or set it to NaN"
        for row in rows[:_SHOWN].tolist()
    ]
