"""A data frame as the table to train on: what a CSV of it would hold, cell by cell.

`ml2021.data.frames` reads frames for a model that is trained already.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ml2021.data.csv.cells import (
    CellRules,
    CheckedColumn,
    StorageType,
    are_grouped,
    check_numbers,
    has_large,
    may_be_grouped,
)
from ml2021.data.csv.faults import Cells, reject_invalid
from ml2021.data.csv.parser import Values
from ml2021.data.csv.scan import Header, TableFormat, make_header
from ml2021.data.frames import FRAME_NAME, cells_of, without_missing
from ml2021.data.tables import (
    LEADING_ZEROS,
    Table,
    check_columns,
    is_number,
    make_table,
    notes_on_marks,
)
from ml2021.errors import DataError
from ml2021.formatting import echo

if TYPE_CHECKING:
    import pandas as pd

_SEARCHED_ROWS = 2_000
"""Rows at the beginning that are searched for leading zeros."""


class FrameSource:
    """A data frame to train on; its index does not matter.

    Texts are read by the rules of the format. Raises DataError for a frame without rows.
    """

    def __init__(self, frame: "pd.DataFrame", table_format: TableFormat) -> None:
        if not len(frame):
            raise DataError(f"{FRAME_NAME}: no rows; give at least one")
        self._frame = frame
        self._format = replace(table_format, in_memory=True)
        names = [str(name) for name in frame.columns]
        if not table_format.header:
            positions = [str(position) for position in range(len(names))]
            if names != positions:
                named = next(n for n, place in zip(names, positions, strict=True) if n != place)
                raise DataError(
                    f"{FRAME_NAME}: data.header is false, but the columns have names, such as "
                    f"'{echo(named)}'; remove data.header"
                )
            names = positions
        if "" in names:
            where = f"{FRAME_NAME}: column {names.index('') + 1}"
            raise DataError(f"{where} has no name; give it one")
        header = make_header(FRAME_NAME, names)
        self._header = replace(header, path=FRAME_NAME, numbered=not table_format.header)

    def header(self) -> Header:
        """Return the columns: their names as text, repeated ones numbered."""
        return self._header

    def size(self) -> int:
        """Return how many bytes its columns take, texts only as references."""
        return int(self._frame.memory_usage(index=False).sum())

    def rows(self) -> int:
        """Return how many rows it has."""
        return len(self._frame)

    def place(self, row: int) -> str:
        """Return the number of a row, from 1."""
        return f"{FRAME_NAME}: row {row + 1}"

    def read(
        self,
        columns: Sequence[str],
        types: Mapping[str, StorageType],
        compared: Collection[str] = (),
        looked_at: Sequence[str] = (),
    ) -> Table:
        """Read columns as `ml2021.data.tables.read_table` reads those of a CSV of the frame."""
        wanted, rules = {*columns, *looked_at}, self._format.rules
        values: dict[str, Values] = {}
        for place, name in enumerate(self._header.names):
            if name in wanted:
                values[name] = self._values(place, name, types.get(name), name in compared)
        checked = check_columns({**values}, rules, types)
        for name, column in checked.items():
            if column.rounded and values[name].dtype == object:
                checked[name] = _as_integers(values[name], column, rules)
        checked = {n: checked[n] if n in types else _without_text(checked[n]) for n in checked}
        reject_invalid(self._format, checked, partial(self._cells, values))
        names, rows = [*values], len(self._frame)
        table = make_table(self._header, names, checked, rows, "", self._format)
        texts = {
            name: values[name]
            for name in names
            if values[name].dtype == object and is_number(table.frame[name])
        }
        return replace(
            table,
            sha256=_digest(table.frame[[name for name in names if name in {*columns}]]),
            leading_zeros=_leading_zeros(texts),
            notes=tuple(notes_on_marks(self._grouped(table.frame, texts), self._format)),
        )

    def _values(self, place: int, name: str, kind: StorageType | None, is_compared: bool) -> Values:
        """Return the cells (N,) as a file's parser does: numbers, or str and NaN where missing."""
        values = cells_of(
            self._frame.iloc[:, place],
            name,
            kind,
            "year first",
            is_told_apart=is_compared,
            decimal=self._format.decimal,
        )
        return without_missing(values, self._format.rules.missing_texts)

    def _cells(self, values: Mapping[str, Values], rows: set[int]) -> Cells:
        return {
            row: (self.place(row), {name: str(values[name][row]) for name in values})
            for row in rows
        }

    def _grouped(self, frame: "pd.DataFrame", texts: Mapping[str, Values]) -> list[str]:
        """Return the columns of text that may be numbers whose thousands mark is the decimal."""
        if self._format.thousands is not None:
            return []
        floats = {n: c for n in texts if (c := frame[n].to_numpy()).dtype == np.float64}
        decimal = self._format.decimal
        return [name for name in may_be_grouped(floats) if are_grouped(texts[name], decimal)]


def _as_integers(texts: Values, column: CheckedColumn, rules: CellRules) -> CheckedColumn:
    """Return numbers that float64 rounds as integers, where all of them are, as a file has them."""
    with suppress(ValueError, OverflowError, TypeError):
        return check_numbers(texts.astype(np.int64), rules)
    return column


def _without_text(column: CheckedColumn) -> CheckedColumn:
    """Return a column whose cells are all missing as numbers, which a file's parser makes of it."""
    values = column.values
    if values.dtype != object or any(isinstance(cell, str) for cell in values):
        return column
    return CheckedColumn(values.astype(np.float64))


def _leading_zeros(texts: Mapping[str, Values]) -> dict[str, str]:
    """Return the columns of numbers with cells such as 00601 near the beginning, and the first."""
    found = {}
    for name, cells in texts.items():
        first = islice((c for c in cells if isinstance(c, str)), _SEARCHED_ROWS)
        zeros = (cell.strip() for cell in first if LEADING_ZEROS.fullmatch(cell))
        if (zero := next(zeros, None)) is not None:
            found[name] = zero
    return found


def _digest(frame: "pd.DataFrame") -> str:
    """Return the SHA-256 of the columns, which depends on their names and cells alone.

    Over each column in turn: its name and kind as a line of JSON; of numbers the cells as float64,
    little-endian, one pattern for missing ones, or as int64 where float64 would round them; of
    text the distinct cells as a line of JSON, in order of their first row, then the place there of
    each cell as int64, -1 for a missing one.
    """
    import pandas as pd

    digest = hashlib.sha256()
    for name, column in frame.items():
        values = column.to_numpy()
        if values.dtype == object:
            codes, distinct = pd.factorize(values)
            lines, cells = [[name, "text"], [*distinct]], codes.astype("<i8")
        elif values.dtype.kind == "f" or not has_large(values):
            lines, cells = [[name, "number"]], np.where(values != values, np.nan, values)
            cells = cells.astype("<f8")
        else:
            lines, cells = [[name, "integer"]], values.astype(f"<{values.dtype.kind}8")
        for line in lines:
            digest.update(json.dumps(line).encode() + b"\n")
        digest.update(cells.data)
    return digest.hexdigest()
