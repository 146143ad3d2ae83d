"""Read a CSV or Parquet file strictly: anything invalid is an error that names its line.

One thread reads the file and checks its structure, block by block, while others parse earlier
blocks with pandas' C engine. `ml2021.data.csv.cells` finds cells that pandas should not have
accepted, and a second, slower pass finds their lines. `ml2021.data.resolve` selects the features.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import CellRules, CheckedColumn, StorageType, check_numbers, check_texts
from ml2021.data.csv.parser import Values, parse_blocks
from ml2021.data.csv.scan import (
    Block,
    Header,
    TableFormat,
    TextScan,
    begin_table,
    make_header,
    open_scan,
)
from ml2021.data.csv.source import show_path
from ml2021.errors import DataError
from ml2021.formatting import echo, plural

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_CELLS = 3
_SHOWN_COLUMNS = 5
_SEARCHED = 1 << 18
_SEARCHED_ROWS = 2_000
"""Bytes and rows at the beginning of a file that are searched for leading zeros."""
_ZERO_FIRST = re.compile(r"\s*0[0-9]+\s*", re.ASCII)
Rows = NDArray[np.int64]
"""Row numbers of a table, from 0."""

# for each row its place, as text for messages, and its cells by column name
_Cells = dict[int, tuple[str, dict[str, str]]]


@dataclass(frozen=True)
class Table:
    """A file's columns, and the SHA-256 of its bytes on disk.

    `frame` has the selected columns under their unique names, in file order, and a RangeIndex.
    Number columns are int64, or float64 with NaN for missing values; text columns are object,
    holding str exactly as in the file (even true and false) and NaN for missing values.
    leading_zeros: number columns with cells such as 00601 near the beginning, and the first one.
    """

    header: Header
    frame: "pd.DataFrame"
    sha256: str
    leading_zeros: Mapping[str, str] = field(default_factory=dict)


def read_header(path: Path, format: TableFormat) -> Header:
    """Read the column names of a CSV or Parquet file.

    Raises DataError if the file cannot be read, its header is invalid, or it has no rows.
    """
    if path.suffix == ".parquet":
        from ml2021.data.parquet import ParquetSource

        return make_header(path, ParquetSource(path).names)
    with open_scan(path, format) as scan:
        return begin_table(scan, scan.blocks(), format)[0]


def read_table(
    path: Path,
    format: TableFormat,
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, StorageType] = {},
) -> Table:
    """Read columns of a CSV (plain or gzip) or Parquet file, selected by their unique names.

    `types` sets the type of a column: in a "number" column every other cell is an error, a "text"
    column is never parsed. Other columns are numbers if at least 90 % of their cells are, and text
    otherwise. The structure is checked in the whole file, cells only in the selected columns.

    Raises DataError, with a line for each fault, if the file is not a table, lacks a column, or has
    invalid cells.
    """
    rules = format.rules
    if path.suffix == ".parquet":
        from ml2021.data.parquet import ParquetSource

        parquet = ParquetSource(path)
        header = make_header(path, parquet.names)
        selected = _selected(header, columns)
        texts = [name for name in selected if types.get(name) == "text"]
        cells = parquet.read(header.names, set(selected), texts=texts, missing=rules.missing_texts)
        checked = _check(dict(cells), rules, types)
        _reject_invalid(format, checked, partial(_parquet_cells, path, cells))
        return Table(header, _assemble(selected, checked, parquet.rows), parquet.sha256)
    with open_scan(path, format) as scan:
        blocks = scan.blocks()
        header, first = begin_table(scan, blocks, format)
        selected = _selected(header, columns)
        texts = [name for name in selected if types.get(name) == "text"]
        zeros = _leading_zeros(scan, first, header, format)
        blocks = chain(first, blocks)
        rows, values = parse_blocks(scan, blocks, header.names, selected, texts, format)
    again = [
        name
        for name, column in values.items()
        if column is None or (scan.spaced_exponent and column.dtype.kind == "f")
    ]
    if again:
        with open_scan(path, format, scan.state) as second:
            values |= parse_blocks(second, second.blocks(), header.names, again, again, format)[1]
    checked = _check(values, rules, types)
    _reject_invalid(format, checked, partial(_csv_cells, path, format, header, scan.state))
    frame = _assemble(selected, checked, rows)
    numbers = {name: zeros[name] for name in selected if name in zeros and is_number(frame[name])}
    return Table(header, frame, scan.sha256, numbers)


def is_number(column: "pd.Series") -> bool:
    """Whether the column is stored as numbers."""
    return column.dtype.kind in "iuf"


def find_lines(path: Path, format: TableFormat, rows: Iterable[int]) -> dict[int, int]:
    """Return the line of a CSV file on which each of these rows begins."""
    return {row: line for row, line, _ in _find_rows(path, format, set(rows), None)}


def _leading_zeros(
    scan: TextScan, blocks: Sequence[Block], header: Header, format: TableFormat
) -> dict[str, str]:
    """Return the columns with digits after a leading zero in the first rows, and the first cell."""
    starts = (format.separator.encode(), b"\n", b'"', b" ")
    start = b"".join(block.data for block in blocks)[:_SEARCHED]
    # each pattern begins with a literal, which makes the search fast
    if not any(re.search(re.escape(before) + rb"0[0-9]+[^0-9.:]", start) for before in starts):
        return {}
    found: dict[str, str] = {}
    records = (record for block in blocks for record in scan.split(block.data, block.line))
    for record in islice(records, int(format.header), _SEARCHED_ROWS):
        for name, cell in zip(header.names, record.texts(), strict=False):
            if name not in found and _ZERO_FIRST.fullmatch(cell):
                found[name] = cell.strip()
    return found


def _selected(header: Header, columns: Sequence[str] | None) -> list[str]:
    """Return the selected columns in file order."""
    if columns is None:
        return list(header.names)
    known = set(header.names)
    if missing := [name for name in columns if name not in known]:
        path = show_path(header.path)
        raise DataError(*(f"{path}: no column '{echo(name)}'; add it" for name in missing))
    chosen = set(columns)
    return [name for name in header.names if name in chosen]


def _check(
    columns: dict[str, Values | None], rules: CellRules, types: Mapping[str, StorageType]
) -> dict[str, CheckedColumn]:
    """Check the columns; remove each from `columns` to free its memory early."""
    checked = {}
    for name in list(columns):
        values = columns.pop(name)
        assert values is not None
        if values.dtype == np.object_:
            checked[name] = check_texts(values.astype(object, copy=False), rules, types.get(name))
        else:
            checked[name] = check_numbers(values, rules)
    return checked


def _assemble(
    names: Sequence[str], checked: Mapping[str, CheckedColumn], rows: int
) -> "pd.DataFrame":
    """Return the columns as a DataFrame without copying them."""
    import pandas as pd

    index = pd.RangeIndex(rows)
    columns = {
        name: pd.Series(values := checked[name].values, index, dtype=values.dtype, copy=False)
        for name in names
    }
    return pd.DataFrame(columns, index, copy=False)


def _reject_invalid(
    format: TableFormat, checked: Mapping[str, CheckedColumn], find: Callable[[set[int]], _Cells]
) -> None:
    """Raise a DataError that lists the invalid cells, if there are any."""
    invalid = {name: column for name, column in checked.items() if column.invalid.size}
    if not invalid:
        return
    # the other decimal mark is one mistake, however many cells have it
    shown = {
        name: [int(row) for row in column.invalid[: 1 if column.other_decimal else _SHOWN_CELLS]]
        for name, column in islice(invalid.items(), _SHOWN_COLUMNS)
    }
    found = find({row for rows in shown.values() for row in rows})
    lines = []
    for name, rows in shown.items():
        remedy = f"correct it, or {format.listing('it')}"
        if invalid[name].other_decimal:
            other = "," if format.decimal == "." else "."
            remedy = f'use "{format.decimal}" as decimal mark and no thousands separators'
            if format.separator != other:
                remedy += ", or " + format.setting(decimal=f'"{other}"')
        for row in rows:
            where, cells = found[row]
            what = format.rules.explain(cells[name])
            lines.append(f"{where}: column '{echo(name)}': {what}; {remedy}")
        if (more := invalid[name].invalid.size - len(rows)) > 0:
            lines[-1] += f" (and {more:,} more in this column)"
    if (more := len(invalid) - len(shown)) > 0:
        lines[-1] += f" (and {plural(more, 'more column')} with invalid cells)"
    raise DataError(*lines)


def _find_rows(
    path: Path, format: TableFormat, rows: set[int], state: tuple[int, ...] | None
) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the row, line and cells of these rows of a CSV file, splitting only their blocks."""
    wanted = sorted(row + format.header for row in rows)
    with open_scan(path, format, state) as scan:
        blocks = scan.blocks()
        while wanted and (block := next(blocks, None)):
            if wanted[0] >= block.row + block.rows:
                continue
            records = (r for r in scan.split(block.data, block.line) if not r.blank)
            for row, record in enumerate(records, block.row):
                if wanted and row == wanted[0]:
                    yield wanted.pop(0) - format.header, record.line, record.texts()


def _csv_cells(
    path: Path, format: TableFormat, header: Header, state: tuple[int, ...], rows: set[int]
) -> _Cells:
    return {
        row: (f"{show_path(path)}:{line}", dict(zip(header.names, cells, strict=True)))
        for row, line, cells in _find_rows(path, format, rows, state)
    }


def _parquet_cells(path: Path, columns: Mapping[str, Values], rows: set[int]) -> _Cells:
    found = {}
    for row in rows:
        cells = {name: str(values[row]) for name, values in columns.items()}
        found[row] = (f"{show_path(path)}: row {row + 1}", cells)
    return found
