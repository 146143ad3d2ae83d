"""Read a CSV or Parquet file strictly: anything invalid is an error that names its line.

One thread reads the file and checks its structure, block by block, while others parse earlier
blocks with pandas' C engine. `ml2021.data.csv.cells` finds cells that pandas should not have
accepted, and a second, slower pass finds their lines. `ml2021.data.resolve` selects the features.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import (
    CellRules,
    CheckedColumn,
    StorageType,
    are_grouped,
    check_numbers,
    check_texts,
    has_large,
    may_be_grouped,
)
from ml2021.data.csv.faults import Cells, reject_invalid, remedy_for
from ml2021.data.csv.missing import MissingTexts
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
from ml2021.data.csv.writings import Writing
from ml2021.errors import DataError
from ml2021.files import DESCRIPTORS
from ml2021.formatting import echo, listed

if TYPE_CHECKING:
    import pandas as pd

_SEARCHED = 1 << 16
_SEARCHED_ROWS = 2_000
"""Bytes and rows at the beginning of a file that are searched for leading zeros."""
_PARQUET = b"PAR1"
_LEADING_ZERO = re.compile(rb"0[0-9]+[^0-9.:]")
LEADING_ZEROS = re.compile(r"\s*0[0-9]+\s*", re.ASCII)
Rows = NDArray[np.int64]
"""Row numbers of a table, from 0."""


@dataclass(frozen=True)
class Table:
    """A file's columns, and the SHA-256 of its bytes on disk.

    `frame` has the selected columns under their unique names, in file order, and a RangeIndex.
    Number columns are int64, or float64 with NaN for missing values; text columns are object,
    holding str exactly as in the file (even true and false) and NaN for missing values.
    leading_zeros: number columns with cells such as 00601 near the beginning, and the first one.
    writings: what each text column whose type was inferred holds. rounded: the numbers by
    row, of the columns that were to be compared, that float64 does not hold. notes: for the user.
    """

    header: Header
    frame: "pd.DataFrame"
    sha256: str
    leading_zeros: Mapping[str, str] = field(default_factory=dict)
    writings: Mapping[str, Writing] = field(default_factory=dict)
    rounded: Mapping[str, Mapping[int, int | Fraction]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet: by its name or, as standard input has none, by its first bytes."""
    if path.parent != DESCRIPTORS:
        return path.suffix == ".parquet"
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET


def read_header(path: Path, format: TableFormat) -> Header:
    """Read the column names of a CSV or Parquet file.

    Raises DataError if the file cannot be read, its header is invalid, or it has no rows.
    """
    if is_parquet(path):
        from ml2021.data.parquet import ParquetSource

        with ParquetSource(path) as parquet:
            return make_header(path, parquet.names)
    with open_scan(path, format) as scan:
        return begin_table(scan, scan.blocks(), format)[0]


def guess_rows(path: Path, format: TableFormat) -> int:
    """Return about how many rows a file has, from its beginning. Raises as `read_header` does."""
    if is_parquet(path):
        from ml2021.data.parquet import ParquetSource

        with ParquetSource(path) as parquet:
            return parquet.rows
    with open_scan(path, format) as scan:
        blocks = scan.blocks()
        begin_table(scan, blocks, format)
        next(blocks, None)
        return scan.expected_rows()


def read_table(
    path: Path,
    format: TableFormat,
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, StorageType] = {},
    compared: Collection[str] = (),
) -> Table:
    """Read columns of a CSV (plain or gzip) or Parquet file, selected by their unique names.

    `types` sets the type of a column: in a "number" column every other cell is an error, a "text"
    column is never parsed, a "verbatim" one has every cell as it stands, even a missing one. Other
    columns are numbers if at least 90 % of their cells are, or if `recognise` finds that they were
    meant to be, and text otherwise. The structure is checked in the whole file, cells only in the
    selected columns. Of the columns in `compared`, whose numbers tell things apart, `Table.rounded`
    is complete.

    Raises DataError, with a line for each fault, if the file is not a table, lacks a column, or has
    invalid cells.
    """
    rules = format.rules

    is_odd = partial(may_be_rounded, rules, compared)
    if is_parquet(path):
        from ml2021.data.parquet import ParquetSource

        with ParquetSource(path) as parquet:
            header = make_header(path, parquet.names)
            selected = select_columns(header, columns)
            cells = parquet.read(header.names, set(selected), types, rules.missing_texts, is_odd)
        checked = check_columns(dict(cells), rules, types)
        reject_invalid(format, checked, partial(_parquet_cells, path, cells))
        return make_table(header, selected, checked, parquet.rows, parquet.sha256, format)
    sought = MissingTexts(format)
    with open_scan(path, format) as scan:
        blocks = scan.blocks()
        header, first = begin_table(scan, blocks, format)
        selected = select_columns(header, columns)
        texts = [name for name in selected if types.get(name) in ("text", "verbatim")]
        verbatim = {name for name in texts if types[name] == "verbatim"}
        zeros = _leading_zeros(scan, first, header, format)
        blocks = sought.search(chain(first, blocks))
        rows, values = parse_blocks(scan, blocks, header.names, selected, texts, format, verbatim)
    again = [
        name
        for name, column in values.items()
        if column is None
        or (column.dtype.kind == "f" and (scan.spaced_exponent or is_odd(name, column)))
    ]
    grouped = []
    if format.thousands is None:
        floats = {n: c for n, c in values.items() if c is not None and c.dtype == np.float64}
        grouped = may_be_grouped(floats)
    notes: list[str] = []
    if reread := list(dict.fromkeys([*again, *grouped])):
        with open_scan(path, format, scan.state) as second:
            blocks = second.blocks()
            _, texts_of = parse_blocks(second, blocks, header.names, reread, reread, format)
        values |= {name: texts_of[name] for name in again}
        names = [name for name in grouped if are_grouped(texts_of[name], format.decimal)]
        notes = notes_on_marks(names, format)
    checked = check_columns(values, rules, types)
    reject_invalid(format, checked, partial(csv_cells, path, format, header, scan.state))
    met = frozenset[float | Fraction]().union(*(column.met for column in checked.values()))
    table = make_table(header, selected, checked, rows, scan.sha256, format)
    numbers = {n: zeros[n] for n in selected if n in zeros and is_number(table.frame[n])}
    return replace(table, leading_zeros=numbers, notes=(*notes, *sought.notes(path, met)))


def is_number(column: "pd.Series") -> bool:
    """Whether the column is stored as numbers."""
    return column.dtype.kind in "iuf"


def refuse_rounded(rounded: Collection[str], names: Iterable[str]) -> None:
    """Raise DataError if one of these columns, whose values tell things apart, was rounded."""
    for name in names:
        if name in rounded:
            raise indistinct_error(name)


def indistinct_error(name: str) -> DataError:
    """Return the error for a column of integers that are not the same number as floats."""
    return DataError(
        f"column '{echo(name)}': integers above 2^53 cannot be distinguished as categories; prefix "
        "them with a letter to make them text"
    )


def find_lines(path: Path, format: TableFormat, rows: Iterable[int]) -> dict[int, int]:
    """Return the line of a CSV file on which each of these rows begins."""
    return {row: line for row, line, _ in _find_rows(path, format, set(rows), None)}


def place_of(path: Path, format: TableFormat, row: int) -> str:
    """Return the place of a row, for the start of a message: its line, in Parquet its number."""
    if is_parquet(path):
        return f"{path}: row {row + 1}"
    return f"{path}:{find_lines(path, format, [row])[row]}"


def _leading_zeros(
    scan: TextScan, blocks: Sequence[Block], header: Header, format: TableFormat
) -> dict[str, str]:
    """Return the columns with digits after a leading zero in the first rows, and the first cell."""
    start = b"".join(block.data[:_SEARCHED] for block in blocks)[:_SEARCHED]
    chars = np.frombuffer(start, np.uint8)
    # unsigned, so that what comes before 0 lies above 9
    at = np.flatnonzero((chars[1:-1] == ord("0")) & (chars[2:] - np.uint8(ord("0")) < 10)) + 1
    before = np.frombuffer(format.separator.encode() + b'\n" ', np.uint8)
    at = at[np.isin(chars[at - 1], before)]
    if not any(_LEADING_ZERO.match(start, place) for place in at.tolist()):
        return {}
    found: dict[str, str] = {}
    every = (record for block in blocks for record in scan.split(block.data, block.line))
    records = (record for record in every if not record.blank)
    for record in islice(records, int(format.header), _SEARCHED_ROWS):
        for name, cell in zip(header.names, record.texts(), strict=False):
            if name not in found and LEADING_ZEROS.fullmatch(cell):
                found[name] = cell.strip()
    return found


def may_be_rounded(rules: CellRules, compared: Collection[str], name: str, column: Values) -> bool:
    """Whether integers of a column of floats may have been rounded where that matters."""
    return (name in compared or rules.has_large_missing) and has_large(column)


def select_columns(header: Header, columns: Sequence[str] | None) -> list[str]:
    """Return the selected columns in file order."""
    if columns is None:
        return list(header.names)
    known = set(header.names)
    if missing := [name for name in columns if name not in known]:
        path = show_path(header.path)
        raise DataError(*(f"{path}: no column '{echo(name)}'; add it" for name in missing))
    chosen = set(columns)
    return [name for name in header.names if name in chosen]


def notes_on_marks(names: Sequence[str], format: TableFormat) -> list[str]:
    """Return a note on columns in which the decimal mark may mark thousands."""
    if not names:
        return []
    mark = format.decimal
    keys = Writing("marks", thousands=mark).keys(format.separator, mark)
    remedy = format.setting(**keys) if keys else "write the numbers without it"
    return [
        f"{listed(names, 8)}: every number with '{mark}' has exactly three digits after it, and "
        f"whole numbers end at 999; if '{mark}' marks thousands, {remedy}"
    ]


def check_columns(
    columns: dict[str, Values | None], rules: CellRules, types: Mapping[str, StorageType]
) -> dict[str, CheckedColumn]:
    """Check the columns; remove each from `columns` to free its memory early.

    Where `types` has no type for a column, its cells decide.
    """
    checked = {}
    for name in list(columns):
        values = columns.pop(name)
        assert values is not None
        if values.dtype == np.object_:
            checked[name] = check_texts(values.astype(object, copy=False), rules, types.get(name))
        else:
            checked[name] = check_numbers(values, rules)
    return checked


def frame_of(checked: Mapping[str, CheckedColumn], rows: int) -> "pd.DataFrame":
    """Return the values of the columns as a frame without copying them."""
    import pandas as pd

    index = pd.RangeIndex(rows)
    columns = {
        name: pd.Series(column.values, index, dtype=column.values.dtype, copy=False)
        for name, column in checked.items()
    }
    return pd.DataFrame(columns, index, copy=False)


def make_table(
    header: Header,
    names: Sequence[str],
    checked: Mapping[str, CheckedColumn],
    rows: int,
    sha256: str,
    format: TableFormat,
) -> Table:
    """Return the checked columns of these names as a table without notes."""
    frame = frame_of({name: checked[name] for name in names}, rows)
    writings = {
        name: replace(found, remedy=remedy_for(found, format))
        for name in names
        if (found := checked[name].writing) is not None
    }
    rounded = {name: checked[name].rounded for name in names if checked[name].rounded}
    return Table(header, frame, sha256, writings=writings, rounded=rounded)


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


def csv_cells(
    path: Path, format: TableFormat, header: Header, state: tuple[int, ...], rows: set[int]
) -> Cells:
    """Return the place and the cells of these rows of a CSV file."""
    return {
        row: (f"{show_path(path)}:{line}", dict(zip(header.names, cells, strict=True)))
        for row, line, cells in _find_rows(path, format, rows, state)
    }


def _parquet_cells(path: Path, columns: Mapping[str, Values], rows: set[int]) -> Cells:
    found = {}
    for row in rows:
        cells = {name: str(values[row]) for name, values in columns.items()}
        found[row] = (f"{show_path(path)}: row {row + 1}", cells)
    return found
