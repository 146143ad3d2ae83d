"""Read a table of any length in pieces: its typed columns, in order, in bounded memory.

`ml2021.data.tables` reads whole tables, with the same scan, parser and checks.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ml2021.data.csv.cells import CheckedColumn, StorageType
from ml2021.data.csv.faults import InvalidCells, reject_invalid
from ml2021.data.csv.parser import Values, map_pieces, parse_piece
from ml2021.data.csv.scan import TableFormat, begin_table, make_header, open_scan
from ml2021.data.tables import (
    check_columns,
    csv_cells,
    frame_of,
    is_parquet,
    may_be_rounded,
    select_columns,
)

if TYPE_CHECKING:
    import pandas as pd

_PARQUET_ROWS = 1 << 16


class Piece(NamedTuple):
    """Some rows of a table in a row: for each of the reads the columns, as in `tables.Table`.

    rounded: of the first read, the numbers that float64 does not hold, by column and row.
    """

    frames: "list[pd.DataFrame]"
    rounded: Mapping[str, Mapping[int, int | Fraction]]


class _Parsed(NamedTuple):
    """The columns of each read, checked, and the cells of invalid ones before that."""

    checked: list[dict[str, CheckedColumn]]
    cells: dict[str, Values]


class TableStream:
    """The rows of a CSV or Parquet file in pieces.

    reads: the columns to read, by their unique names, each with its type; a column that is needed
    as two types stands in two reads. compared: columns whose numbers tell things apart. After the
    last piece, `sha256` is the hash of the bytes on disk.
    """

    def __init__(
        self,
        path: Path,
        format: TableFormat,
        reads: Sequence[Mapping[str, StorageType]],
        compared: Collection[str] = (),
    ) -> None:
        self.sha256 = ""
        self.invalid = InvalidCells()
        self._path, self._format, self._reads = path, format, reads
        self._is_odd = partial(may_be_rounded, format.rules, compared)

    def pieces(self) -> "Iterator[Piece]":
        """Yield the pieces in order, none after one with an invalid cell.

        Raises what `read_table` does: an invalid cell is an error after the last row.
        """
        for parsed in self._parquet() if is_parquet(self._path) else self._csv():
            rows = len(next(iter(parsed.checked[0].values())).values)
            self.invalid.add(parsed.checked[0], parsed.cells, rows)
            if not self.invalid:
                yield _piece(parsed.checked, rows)

    def _csv(self) -> Iterator[_Parsed]:
        with open_scan(self._path, self._format) as scan:
            blocks = scan.blocks()
            header, first = begin_table(scan, blocks, self._format)
            selected = [select_columns(header, [*types]) for types in self._reads]

            def parse(piece: list[bytes]) -> _Parsed:
                values = []
                for types, columns in zip(self._reads, selected, strict=True):
                    texts = [name for name in columns if types[name] != "number"]
                    verbatim = {name for name in texts if types[name] == "verbatim"}
                    of = partial(parse_piece, piece, header.names)
                    found = of(columns, texts, self._format, verbatim)
                    again = [
                        name
                        for name, column in found.items()
                        if column is None
                        or (
                            column.dtype.kind == "f"
                            and (scan.spaced_exponent or self._is_odd(name, column))
                        )
                    ]
                    values.append(found | (of(again, again, self._format) if again else {}))
                return self._checked([dict(_known(found)) for found in values])

            yield from map_pieces(parse, chain(first, blocks), self._format)
        self.sha256 = scan.sha256
        find = partial(csv_cells, self._path, self._format, header, scan.state)
        reject_invalid(self._format, self.invalid.columns(), find)

    def _parquet(self) -> Iterator[_Parsed]:
        from ml2021.data.parquet import ParquetSource

        with ParquetSource(self._path) as parquet:
            header = make_header(self._path, parquet.names)
            for batch in parquet.batches(_PARQUET_ROWS):
                yield self._checked(
                    [
                        parquet.columns(
                            batch,
                            header.names,
                            {*select_columns(header, [*types])},
                            types,
                            self._format.rules.missing_texts,
                            self._is_odd,
                        )
                        for types in self._reads
                    ]
                )
            self.sha256 = parquet.sha256
        reject_invalid(
            self._format, self.invalid.columns(), partial(self.invalid.cells, self._path)
        )

    def _checked(self, values: list[dict[str, Values]]) -> _Parsed:
        rules = self._format.rules
        checked = [
            check_columns(dict(found), rules, types)
            for found, types in zip(values, self._reads, strict=True)
        ]
        odd = {name: values[0][name] for name, column in checked[0].items() if column.invalid.size}
        return _Parsed(checked, odd)


def _known(columns: Mapping[str, Values | None]) -> Iterator[tuple[str, Values]]:
    for name, column in columns.items():
        assert column is not None
        yield name, column


def _piece(checked: list[dict[str, CheckedColumn]], rows: int) -> Piece:
    return Piece(
        [frame_of(columns, rows) for columns in checked],
        {name: column.rounded for name, column in checked[0].items() if column.rounded},
    )
