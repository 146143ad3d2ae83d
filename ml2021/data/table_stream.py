"""Read a table of any length in pieces: its typed columns, in order, in bounded memory.

`ml2021.data.tables` reads whole tables, with the same scan, parser and checks.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ml2021.data.csv.cells import CheckedColumn, StorageType
from ml2021.data.csv.faults import InvalidCells, reject_invalid
from ml2021.data.csv.parser import Values, settle
from ml2021.data.csv.scan import TableFormat
from ml2021.data.parts import TablePath
from ml2021.data.passes import Piece as RawPiece
from ml2021.data.passes import TablePass, find_cells
from ml2021.data.tables import check_columns, frame_of, may_be_rounded, select_columns
from ml2021.files import map_in_threads

if TYPE_CHECKING:
    import pandas as pd


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
    """The rows of a table in pieces.

    reads: the columns to read, by their unique names, each with its type; a column that is needed
    as two types stands in two reads. compared: columns whose numbers tell things apart. After the
    last piece, `sha256` is the hash of the bytes on disk.
    """

    def __init__(
        self,
        table: TablePath,
        format: TableFormat,
        reads: Sequence[Mapping[str, StorageType]],
        compared: Collection[str] = (),
    ) -> None:
        self.sha256 = ""
        self.invalid = InvalidCells()
        self._table, self._format, self._reads = table, format, reads
        self._is_odd = partial(may_be_rounded, format.rules, compared)

    def pieces(self) -> "Iterator[Piece]":
        """Yield the pieces in order, none after one with an invalid cell.

        Raises what `read_table` does: an invalid cell is an error after the last row.
        """
        with TablePass(self._table, self._format) as begun:
            selected = [select_columns(begun.header, [*types]) for types in self._reads]
            parse = partial(self._parsed, selected)
            rows = begun.pieces(is_streamed=True)
            for parsed in map_in_threads(parse, rows, waiting=1):
                count = len(next(iter(parsed.checked[0].values())).values)
                self.invalid.add(parsed.checked[0], parsed.cells, count)
                if not self.invalid:
                    yield _piece(parsed.checked, count)
        self.sha256 = begun.sha256
        find = partial(find_cells, self._format, begun.read)
        reject_invalid(self._format, self.invalid.columns(), find, len(begun.read))

    def _parsed(self, selected: Sequence[Sequence[str]], piece: RawPiece) -> _Parsed:
        """Return the columns of each read in some rows."""
        values = []
        for types, columns in zip(self._reads, selected, strict=True):
            texts = [name for name in columns if types[name] != "number"]
            verbatim = {name for name in texts if types[name] == "verbatim"}
            found = settle(piece.parse(columns, texts, verbatim), columns)
            again = [
                name
                for name, column in found.items()
                if column is None
                or (
                    column.dtype.kind == "f"
                    and (piece.file.spaced_exponent or self._is_odd(name, column))
                )
            ]
            if again:
                found |= settle(piece.parse(again, again, again=True), again)
            values.append(dict(_known(found)))
        return self._checked(values)

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
