"""One pass over the files of a table, in order: their rows in pieces, to be parsed in threads.

`ml2021.data.tables` joins the pieces, `ml2021.data.table_stream` gives them away one by one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ml2021.data.csv.faults import Cells
from ml2021.data.csv.parser import Values, parse_text, text_pieces
from ml2021.data.csv.scan import Block, Header, TableFormat, begin_table, make_header, open_scan
from ml2021.data.csv.source import file_error, show_path
from ml2021.data.parts import TablePath, digest_of, files_of, shown_of
from ml2021.errors import DataError
from ml2021.files import DESCRIPTORS
from ml2021.formatting import listed, plural

if TYPE_CHECKING:
    import pandas as pd

_PARQUET = b"PAR1"
_PARQUET_ROWS = 1 << 16
State = tuple[int, ...]
"""What changes when a file does."""


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet: by its name or, as standard input has none, by its first bytes."""
    if path.parent != DESCRIPTORS:
        return path.suffix == ".parquet"
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET


class FileRead(NamedTuple):
    """A file of a table as a pass has read it: `rows` rows, from row `first` of the table on."""

    path: Path
    header: Header
    first: int
    rows: int
    state: State
    sha256: str


class TextFile:
    """A CSV file of a table, being read. start: its blocks up to its first row."""

    def __init__(
        self, path: Path, format: TableFormat, state: State | None, *, is_part: bool
    ) -> None:
        self.format = format
        self.scan = open_scan(path, format, state)
        try:
            self._blocks = self.scan.blocks()
            self.header, self.start = begin_table(self.scan, self._blocks, format, is_part=is_part)
        except BaseException:
            self.close()
            raise
        self.state = self.scan.state

    @property
    def rows(self) -> int:
        """How many rows have been read."""
        return self.scan.records - int(self.format.header)

    @property
    def sha256(self) -> str:
        """The hash of its bytes on disk, once they have been read."""
        return self.scan.sha256

    @property
    def spaced_exponent(self) -> bool:
        """As of `TextScan`."""
        return self.scan.spaced_exponent

    def blocks(self) -> Iterator[Block]:
        """Return all of its blocks, the header first."""
        return chain(self.start, self._blocks)

    def pieces(self, blocks: Iterable[Block], *, is_streamed: bool) -> "Iterator[TextPiece]":
        """Yield the rows of its blocks."""
        for text in text_pieces(blocks, self.format, is_streamed=is_streamed):
            yield TextPiece(self, text)

    def expected_rows(self) -> int:
        """Guess how many rows it has."""
        return self.scan.expected_rows()

    def close(self) -> None:
        """Close the file."""
        self.scan.close()


class ParquetFile:
    """A Parquet file of a table, being read by its row groups."""

    spaced_exponent = False

    def __init__(
        self, path: Path, format: TableFormat, state: State | None, *, is_part: bool, hashed: bool
    ) -> None:
        from ml2021.data.parquet import ParquetSource

        self.format = format
        self.source = ParquetSource(path, state, hashed=hashed)
        try:
            self.header = make_header(path, self.source.names)
            if not self.source.rows and not is_part:
                raise file_error(path, "a header but no rows; add rows")
        except BaseException:
            self.close()
            raise
        self.state, self.sha256 = self.source.state, self.source.sha256
        self.rows = self.source.rows

    def pieces(self) -> "Iterator[ParquetPiece]":
        """Yield its rows."""
        first = 0
        for batch in self.source.batches(_PARQUET_ROWS):
            yield ParquetPiece(self, batch, first)
            first += batch.num_rows

    def expected_rows(self) -> int:
        """Return how many rows it has."""
        return self.rows

    def close(self) -> None:
        """Close the file."""
        self.source.close()


@dataclass(frozen=True)
class TextPiece:
    """Some rows of a CSV file."""

    file: TextFile
    blocks: list[bytes]

    def parse(
        self,
        columns: Sequence[str],
        texts: Sequence[str],
        verbatim: Collection[str] = (),
        *,
        again: bool = False,
    ) -> "Mapping[str, pd.Series | Values]":
        """Parse columns, those in `texts` as text: in `verbatim`, without missing values.

        again: as text because the column turned out not to be one of numbers alone. Raises
        DataError.
        """
        names = self.file.header.names
        return parse_text(self.blocks, names, columns, texts, self.file.format, verbatim)


@dataclass(frozen=True)
class ParquetPiece:
    """Some rows of a Parquet file, from row `first` on, as a table of pyarrow."""

    file: ParquetFile
    batch: Any
    first: int

    def parse(
        self,
        columns: Sequence[str],
        texts: Sequence[str],
        verbatim: Collection[str] = (),
        *,
        again: bool = False,
    ) -> "Mapping[str, pd.Series | Values]":
        """Parse columns, as `TextPiece.parse` does."""
        missing = self.file.format.rules.missing_texts
        names, source = self.file.header.names, self.file.source
        return source.columns(
            self.batch, names, columns, texts, verbatim, missing, self.first, again=again
        )


Piece = TextPiece | ParquetPiece


class TablePass:
    """One pass over the rows of a table, as a context manager.

    `header` has the columns of the table, as in its first file; the other files have the same
    columns in any order, or without a header as many. earlier: what an earlier pass has read; no
    file may have changed since. watch: takes each CSV file as it begins, and returns its blocks.
    After the last piece, `sha256` is the digest of the table, and `read` says where its rows are.

    Raises DataError if a file cannot be read, or its header is invalid or that of another table.
    """

    def __init__(
        self,
        table: TablePath,
        format: TableFormat,
        earlier: Sequence[FileRead] = (),
        watch: Callable[[TextFile], Iterable[Block]] = TextFile.blocks,
        *,
        hashed: bool = True,
    ) -> None:
        self.read: list[FileRead] = []
        self._spaced = False
        self._table, self._format, self._watch, self._hashed = table, format, watch, hashed
        self._files = files_of(table)
        self._states = {each.path: each.state for each in earlier}
        self._open = self._begin(self._files[0])
        self.header = self._open.header
        if len(self._files) > 1:
            self.header = replace(self.header, path=shown_of(table).absolute())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def spaced_exponent(self) -> bool:
        """Whether a file may contain cells like `+3e 2`, which pandas reads as 300."""
        return self._spaced or self._open.spaced_exponent

    @property
    def rows(self) -> int:
        """How many rows the files have that were read to the end."""
        return sum(each.rows for each in self.read)

    @property
    def sha256(self) -> str:
        """The digest of the table."""
        return digest_of([each.sha256 for each in self.read])

    def check_headers(self) -> None:
        """Read the headers of all files, of which there may be many, before any row."""
        for path in self._files[1:]:
            self._begin(path).close()

    def guess_rows(self) -> int:
        """Return about how many rows there are, from the beginnings of the files."""
        rows = 0
        for path in self._files:
            file = self._open if path == self._files[0] else self._begin(path)
            if isinstance(file, TextFile):
                next(file.pieces(file.blocks(), is_streamed=True), None)
            rows += file.expected_rows()
            file.close()
        return rows

    def pieces(self, *, is_streamed: bool = False) -> Iterator[Piece]:
        """Yield the rows in pieces, small ones if they are not kept."""
        for path in self._files:
            if path != self._files[0]:
                self._open = self._begin(path)
            file = self._open
            if isinstance(file, TextFile):
                yield from file.pieces(self._watch(file), is_streamed=is_streamed)
            else:
                yield from file.pieces()
            file.close()
            self._spaced |= file.spaced_exponent
            self.read.append(
                FileRead(path, file.header, self.rows, file.rows, file.state, file.sha256)
            )
        if not self.rows:
            raise file_error(shown_of(self._table), "headers but no rows in any part; add rows")

    def expected_rows(self) -> int:
        """Guess how many rows there are up to the end of the file that is being read."""
        is_done = len(self.read) == len(self._files)
        return self.rows if is_done else self.rows + self._open.expected_rows()

    def _begin(self, path: Path) -> TextFile | ParquetFile:
        state, is_part = self._states.get(path), len(self._files) > 1
        if is_parquet(path):
            hashed = self._hashed and state is None
            file: TextFile | ParquetFile = ParquetFile(
                path, self._format, state, is_part=is_part, hashed=hashed
            )
        else:
            file = TextFile(path, self._format, state, is_part=is_part)
        if path != self._files[0]:
            try:
                _check_same_columns(self._files[0], self.header, path, file.header)
            except DataError:
                file.close()
                raise
        return file


def _check_same_columns(first: Path, header: Header, path: Path, other: Header) -> None:
    """Raise DataError unless a part has the columns of the first one, in any order."""
    names, found = {*header.names}, {*other.names}
    if names == found:
        return
    lacking, extra = (
        [name for name in header.names if name not in found],
        [name for name in other.names if name not in names],
    )
    what = " and ".join(
        f"{verb} {listed(columns, 3)}"
        for verb, columns in (("lacks", lacking), ("has", extra))
        if columns
    )
    if header.numbered and other.numbered:
        what = f"has {plural(len(found), 'column')}"
    elif not names & found:
        what = "has none of the columns"
    raise file_error(
        path, f"{what}, unlike {show_path(first)}; all parts of a table have the same columns"
    )


def lines_of(
    path: Path, format: TableFormat, rows: set[int], state: State | None = None
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


def find_cells(format: TableFormat, read: Sequence[FileRead], rows: set[int]) -> Cells:
    """Return the place and the cells of these rows of a table that a pass has read."""
    cells: Cells = {}
    for file in read:
        own = {row - file.first for row in rows if 0 <= row - file.first < file.rows}
        if own:
            find = _parquet_cells if is_parquet(file.path) else csv_cells
            found = find(file.path, format, file.header, file.state, own)
            cells |= {row + file.first: cell for row, cell in found.items()}
    return cells


def csv_cells(
    path: Path, format: TableFormat, header: Header, state: State, rows: set[int]
) -> Cells:
    """Return the place and the cells of these rows of a CSV file."""
    return {
        row: (f"{show_path(path)}:{line}", dict(zip(header.names, cells, strict=True)))
        for row, line, cells in lines_of(path, format, rows, state)
    }


def _parquet_cells(
    path: Path, format: TableFormat, header: Header, state: State, rows: set[int]
) -> Cells:
    """Return the number and the cells of these rows of a Parquet file."""
    from ml2021.data.parquet import ParquetSource

    with ParquetSource(path, state) as source:
        return {
            row: (f"{show_path(path)}: row {row + 1}", dict(zip(header.names, cells, strict=True)))
            for row, cells in source.texts_of(rows, _PARQUET_ROWS)
        }
