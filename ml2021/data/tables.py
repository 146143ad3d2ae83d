"""Read a CSV or Parquet file strictly: anything invalid is an error that names its line.

One thread reads the file and checks its structure, block by block, while others parse earlier
blocks with pandas' C engine. `ml2021.data.csv.cells` finds cells that pandas should not have
accepted, and a second, slower pass finds their lines. `ml2021.data.resolve` selects the features.
"""

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import islice
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
from ml2021.data.csv.faults import reject_invalid, remedy_for
from ml2021.data.csv.missing import MissingTexts
from ml2021.data.csv.parser import Values, join_pieces
from ml2021.data.csv.scan import Block, Header, TableFormat
from ml2021.data.csv.source import show_path
from ml2021.data.csv.writings import Writing
from ml2021.data.parts import Parts, TablePath, shown_of
from ml2021.data.passes import Piece, TablePass, TextFile, find_cells, is_parquet, lines_of
from ml2021.disk import kept, uses_disk
from ml2021.errors import DataError
from ml2021.files import map_in_threads
from ml2021.formatting import echo, listed

if TYPE_CHECKING:
    import pandas as pd

_SEARCHED = 1 << 16
_SEARCHED_ROWS = 2_000
"""Bytes and rows at the beginning of a file that are searched for leading zeros."""
_LEADING_ZERO = re.compile(rb"0[0-9]+[^0-9.:]")
LEADING_ZEROS = re.compile(r"\s*0[0-9]+\s*", re.ASCII)
Rows = NDArray[np.int64]
"""Row numbers of a table, from 0."""


@dataclass(frozen=True)
class Table:
    """The columns of a table, and the SHA-256 of its bytes on disk, see `parts.digest_of`.

    `frame` has the selected columns under their unique names, in file order, and a RangeIndex.
    Number columns are int64, or float64 with NaN for missing values; text columns are object,
    holding str exactly as in the file (even true and false) and NaN for missing values.
    parts: the files of a table that is named by a list, a glob or a folder, in order, each with
    its SHA-256.
    leading_zeros: number columns with cells such as 00601 near the beginning, and the first one.
    writings: what each text column whose type was inferred holds. rounded: the numbers by
    row, of the columns that were to be compared, that float64 does not hold. notes: for the user.
    """

    header: Header
    frame: "pd.DataFrame"
    sha256: str
    parts: Mapping[Path, str] = field(default_factory=dict)
    leading_zeros: Mapping[str, str] = field(default_factory=dict)
    writings: Mapping[str, Writing] = field(default_factory=dict)
    rounded: Mapping[str, Mapping[int, int | Fraction]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_header(table: TablePath, format: TableFormat) -> Header:
    """Read the column names of a CSV or Parquet file, and see that all parts of a table have them.

    Raises DataError if a file cannot be read, its header is invalid, or it has no rows.
    """
    with TablePass(table, format, hashed=False) as begun:
        begun.check_headers()
        return begun.header


def guess_rows(table: TablePath, format: TableFormat) -> int:
    """Return about how many rows a table has, from the beginnings of its files.

    Raises as `read_header` does.
    """
    with TablePass(table, format, hashed=False) as begun:
        return begun.guess_rows()


def read_table(
    table: TablePath,
    format: TableFormat,
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, StorageType] = {},
    compared: Collection[str] = (),
) -> Table:
    """Read columns of a CSV (plain or gzip) or Parquet file, selected by their unique names.

    Of several files, the parts of one table, the rows follow each other; a type is that of the
    whole column. `types` sets the type of a column: in a "number" column every other cell is an
    error, a "text" column is never parsed, a "verbatim" one has every cell as it stands, even a
    missing one. Other columns are numbers if at least 90 % of their cells are, or if `recognise`
    finds that they were meant to be, and text otherwise. The structure is checked in the whole
    file, cells only in the selected columns. Of the columns in `compared`, whose numbers tell
    things apart, `Table.rounded` is complete.

    Raises DataError, with a line for each fault, if the file is not a table, lacks a column, or has
    invalid cells.
    """
    rules = format.rules
    is_odd = partial(may_be_rounded, rules, compared)
    sought = MissingTexts(format)
    zeros: dict[str, str] = {}

    def watch(file: TextFile) -> Iterable[Block]:
        for name, cell in _leading_zeros(file, format).items():
            zeros.setdefault(name, cell)
        return sought.search(file.blocks())

    with TablePass(table, format, watch=watch) as first:
        header = first.header
        selected = select_columns(header, columns)
        texts = [name for name in selected if types.get(name) in ("text", "verbatim")]
        verbatim = {name for name in texts if types[name] == "verbatim"}

        def parse(piece: Piece) -> "Mapping[str, pd.Series | Values]":
            return piece.parse(selected, texts, verbatim)

        values = _join(first, parse, selected)
    has_text = not all(is_parquet(file.path) for file in first.read)
    again = [
        name
        for name, column in values.items()
        if column is None
        or (column.dtype.kind == "f" and (first.spaced_exponent or is_odd(name, column)))
    ]
    grouped = []
    if format.thousands is None and has_text:
        floats = {n: c for n, c in values.items() if c is not None and c.dtype == np.float64}
        grouped = may_be_grouped(floats)
    notes: list[str] = []
    if reread := list(dict.fromkeys([*again, *grouped])):
        with TablePass(table, format, first.read) as second:
            texts_of = _join(second, lambda p: p.parse(reread, reread, again=True), reread)
        values |= {name: texts_of[name] for name in again}
        names = [name for name in grouped if are_grouped(texts_of[name], format.decimal)]
        notes = notes_on_marks(names, format)
    checked = check_columns(values, rules, types)
    reject_invalid(format, checked, partial(find_cells, format, first.read), len(first.read))
    met = frozenset[float | Fraction]().union(*(column.met for column in checked.values()))
    found = make_table(header, selected, checked, first.rows, first.sha256, format)
    numbers = {n: zeros[n] for n in selected if n in zeros and is_number(found.frame[n])}
    if all(not is_parquet(file.path) for file in first.read):  # whose texts are not looked at
        notes += sought.notes(shown_of(table), met)
    found = replace(found, leading_zeros=numbers, notes=tuple(notes))
    if isinstance(table, Parts):
        parts = {file.path: file.sha256 for file in first.read}
        found = replace(found, parts=parts, notes=(*table.notes, *notes))
    return found


def _join(
    begun: TablePass,
    parse: "Callable[[Piece], Mapping[str, pd.Series | Values]]",
    columns: Sequence[str],
) -> dict[str, Values | None]:
    """Return the columns of a whole table, parsed in threads."""
    pieces = begun.pieces()
    if not columns:
        deque(pieces, maxlen=0)  # so that all of its structure is checked
        return {}
    return join_pieces(map_in_threads(parse, pieces, waiting=2), columns, begun.expected_rows)


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
    return {row: line for row, line, _ in lines_of(path, format, set(rows))}


def place_of(table: TablePath, format: TableFormat, row: int) -> str:
    """Return the place of a row, for the start of a message: its line, in Parquet its number."""
    with TablePass(table, format, hashed=False) as whole:
        deque(whole.pieces(is_streamed=True), maxlen=0)
    return find_cells(format, whole.read, {row})[row][0]


def _leading_zeros(file: TextFile, format: TableFormat) -> dict[str, str]:
    """Return the columns with digits after a leading zero in the first rows, and the first cell."""
    blocks, scan, header = file.start, file.scan, file.header
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
            found = check_texts(values.astype(object, copy=False), rules, types.get(name))
        else:
            found = check_numbers(values, rules)
        checked[name] = replace(found, values=kept(found.values)) if uses_disk() else found
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
        name: replace(found, remedy=remedy_for(found, format), listing=format.listing(*found.words))
        for name in names
        if (found := checked[name].writing) is not None
    }
    rounded = {name: checked[name].rounded for name in names if checked[name].rounded}
    return Table(header, frame, sha256, writings=writings, rounded=rounded)
