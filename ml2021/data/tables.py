"""A file -> a table of columns, strictly: whatever is not clearly a table is refused by its line.

The file is read and its structure checked a block at a time, while threads parse the blocks before
with pandas' C engine. Where pandas takes what is no number, or lets pass what is wrong,
`ml2021.data.csv.cells` says no, and a second, careful pass says where. Which columns are features
is left to `ml2021.data.resolve`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml2021.data.csv.cells import (
    CellRules,
    JudgedColumn,
    StorageType,
    judge_numbers,
    judge_texts,
    texts_for_parser,
)
from ml2021.data.csv.headers import Header, TableFormat, begin_table, make_header, open_scan
from ml2021.data.csv.parser import Parsed, Values, parse_blocks
from ml2021.data.csv.scan import Block, TextScan
from ml2021.data.csv.source import show_path
from ml2021.errors import DataError
from ml2021.formatting import echo

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_CELLS = 3

_SHOWN_COLUMNS = 5

# where the cells of a row are: a name of the place for messages, and the cells by column name
_Finder = Callable[[set[int]], dict[int, tuple[str, dict[str, str]]]]


@dataclass(frozen=True)
class Table:
    """A file's columns, and the SHA-256 of its bytes as they lie on disk.

    `frame` has the columns asked for, under their unique names, in file order, and a RangeIndex.
    Number columns are int64 or float64, NaN where missing; text columns are object, holding str as
    it stands in the file (true and false too) and NaN where missing.
    """

    header: Header
    frame: "pd.DataFrame"
    sha256: str


def read_header(path: Path, format: TableFormat) -> Header:
    """Read the column names of a CSV or Parquet file.

    Raises:
        DataError: the file cannot be read, its header cannot serve, or it has no rows.
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
    kinds: Mapping[str, StorageType] = {},
) -> Table:
    """Read the columns of a CSV (also packed with gzip) or Parquet file, by their unique names.

    `kinds` says what a column must be: "number" makes every other cell an error, "text" is never
    parsed. Other columns are numbers where at least 90 % of their cells are, and text otherwise.
    The structure of the whole file is checked, the cells only of the columns asked for.

    Raises:
        DataError: the file is not a table, lacks a column, or holds odd cells; a line for each.
    """
    rules = CellRules(format.decimal, format.missing)
    if path.suffix == ".parquet":
        from ml2021.data.parquet import ParquetSource

        parquet = ParquetSource(path)
        header = make_header(path, parquet.names)
        wanted = _wanted(header, columns)
        texts = [name for name in wanted if kinds.get(name) == "text"]
        indices = [header.names.index(name) for name in wanted]
        cells = parquet.read(indices, wanted, texts=texts, missing=rules.missing_texts)
        judged = _judge(dict(cells), rules, kinds)
        _refuse_odd(path, format, rules, judged, _row_finder(path, cells))
        return Table(header, _assemble(wanted, judged, parquet.rows), parquet.sha256)
    with open_scan(path, format) as scan:
        blocks = scan.blocks()
        header, first = begin_table(scan, blocks, format)
        wanted = _wanted(header, columns)
        texts = [name for name in wanted if kinds.get(name) == "text"]
        parsed = _parse(scan, chain(first, blocks), header, format, rules, wanted, texts)
    values = parsed.columns
    again = list(parsed.garbled)
    if scan.spaced_exponent:
        again += [name for name, column in values.items() if column.dtype.kind == "f"]
    if again:
        with open_scan(path, format, scan.state) as second:
            blocks = second.blocks()
            values |= _parse(second, blocks, header, format, rules, again, again).columns
    judged = _judge(values, rules, kinds)
    _refuse_odd(path, format, rules, judged, _line_finder(path, format, header, scan.state))
    return Table(header, _assemble(wanted, judged, parsed.rows), scan.sha256)


def is_number(column: "pd.Series") -> bool:
    """Whether the table stores the column as numbers."""
    return column.dtype.kind in "iuf"


def find_lines(path: Path, format: TableFormat, rows: Iterable[int]) -> dict[int, int]:
    """Return the line of a text file on which each of these rows of its table begins."""
    return {row: line for row, line, _ in _find_rows(path, format, set(rows), None)}


def _wanted(header: Header, columns: Sequence[str] | None) -> list[str]:
    """Return the columns asked for in file order."""
    if columns is None:
        return list(header.names)
    known = set(header.names)
    if lacking := [name for name in columns if name not in known]:
        path = show_path(header.path)
        raise DataError(*(f"{path}: no column '{echo(name)}'; add it" for name in lacking))
    chosen = set(columns)
    return [name for name in header.names if name in chosen]


def _parse(
    scan: TextScan,
    blocks: Iterable[Block],
    header: Header,
    format: TableFormat,
    rules: CellRules,
    columns: Sequence[str],
    texts: Sequence[str],
) -> Parsed:
    return parse_blocks(
        blocks,
        header.names,
        columns,
        separator=format.separator,
        decimal=format.decimal,
        header=format.header,
        missing=texts_for_parser(rules),
        texts=texts,
        expected_rows=scan.expected_rows,
    )


def _judge(
    columns: dict[str, Values], rules: CellRules, kinds: Mapping[str, StorageType]
) -> dict[str, JudgedColumn]:
    """Judge the columns; what they were parsed as is let go of on the way."""
    judged = {}
    for name in list(columns):
        values = columns.pop(name)
        if values.dtype == np.object_:
            judged[name] = judge_texts(values.astype(object, copy=False), rules, kinds.get(name))
        else:
            judged[name] = judge_numbers(values, rules)
    return judged


def _assemble(
    names: Sequence[str], judged: Mapping[str, JudgedColumn], rows: int
) -> "pd.DataFrame":
    """Return the columns as a table, without a copy of any."""
    import pandas as pd

    index = pd.RangeIndex(rows)
    columns = {
        name: pd.Series(values := judged[name].values, index, dtype=values.dtype, copy=False)
        for name in names
    }
    return pd.DataFrame(columns, index, copy=False)


def _refuse_odd(
    path: Path,
    format: TableFormat,
    rules: CellRules,
    judged: Mapping[str, JudgedColumn],
    find: _Finder,
) -> None:
    """Raise a DataError that names the odd cells, where there are any."""
    odd = {name: column for name, column in judged.items() if column.odd.size}
    if not odd:
        return
    # a column with the other decimal mark is one mistake, whatever the number of its cells
    shown = {
        name: [int(row) for row in column.odd[: 1 if column.other_decimal else _SHOWN_CELLS]]
        for name, column in islice(odd.items(), _SHOWN_COLUMNS)
    }
    found = find({row for rows in shown.values() for row in rows})
    lines = []
    for name, rows in shown.items():
        remedy = "correct it, or list it in data.missing"
        if odd[name].other_decimal:
            other = "," if format.decimal == "." else "."
            remedy = f'write it with "{format.decimal}" and without marks for thousands'
            if format.separator != other:
                remedy += f', or set data.decimal: "{other}"'
        for row in rows:
            where, cells = found[row]
            what = rules.explain(cells[name])
            lines.append(f"{where}: column '{echo(name)}': {what}; {remedy}")
        if (more := odd[name].odd.size - len(rows)) > 0:
            lines[-1] += f" (and {more:,} more in this column)"
    if (more := len(odd) - len(shown)) > 0:
        lines[-1] += f" (and {more:,} more columns with such cells)"
    raise DataError(*lines)


def _find_rows(
    path: Path, format: TableFormat, rows: set[int], state: tuple[int, ...] | None
) -> Iterator[tuple[int, int, list[str]]]:
    """Yield row, line and cells of these rows of a text file; only their blocks are split."""
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


def _line_finder(
    path: Path, format: TableFormat, header: Header, state: tuple[int, ...]
) -> _Finder:
    def find(rows: set[int]) -> dict[int, tuple[str, dict[str, str]]]:
        return {
            row: (f"{show_path(path)}:{line}", dict(zip(header.names, cells, strict=True)))
            for row, line, cells in _find_rows(path, format, rows, state)
        }

    return find


def _row_finder(path: Path, columns: Mapping[str, Values]) -> _Finder:
    def find(rows: set[int]) -> dict[int, tuple[str, dict[str, str]]]:
        return {
            row: (
                f"{show_path(path)}: row {row + 1}",
                {name: str(values[row]) for name, values in columns.items()},
            )
            for row in rows
        }

    return find
