"""Parse blocks of CSV text into columns with pandas' C engine, in several threads.

`ml2021.data.csv.scan` has checked the blocks; `ml2021.data.csv.cells` checks the parsed cells.
"""

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.scan import Block, TableFormat
from ml2021.disk import empty, uses_disk

if TYPE_CHECKING:
    import pandas as pd

_PIECE_BYTES, _PIECE_ROWS = 4 << 20, 1000
"""The minimum size of a piece, so that pandas' fixed cost per piece, 2 ms, does not matter: on two
cores, 104 MB with 29 columns took 0.37, 0.33 and 0.33 s in pieces of 2, 4 and 8 MB."""
_LARGE_PIECE_BYTES = 32 << 20  # enough even with fewer rows
_STREAMED_BYTES = 1 << 20
"""The size of a piece where the table is not kept: text takes ten times as much once parsed."""
Values = NDArray[np.generic]
Column: TypeAlias = "NDArray[Any] | pd.Categorical"
"""Cells (N,); texts may be a Categorical of those that are not missing."""
Piece = TypeVar("Piece")
Parsed = TypeVar("Parsed")


def parse_text(
    blocks: list[bytes],
    names: Sequence[str],
    columns: Sequence[str],
    texts: Sequence[str],
    format: TableFormat,
    verbatim: Collection[str] = (),
) -> "Mapping[str, pd.Series]":
    """Parse these `columns` of some records, whose fields are called `names`.

    The columns in `texts` are parsed as text, of which those in `verbatim` have no missing values;
    pandas infers the type of the others.
    """
    import pandas as pd

    missing = format.rules.parser_texts
    missing_of = {name: missing for name in columns if name not in verbatim}
    frame = pd.read_csv(
        _Utf8Reader(blocks),
        engine="c",
        sep=format.separator,
        decimal=format.decimal,
        header=None,
        names=list(names),
        usecols=list(columns),
        dtype=dict.fromkeys(texts, object),
        na_values=missing_of if verbatim else missing,
        keep_default_na=False,
        index_col=False,
        skip_blank_lines=False,
        skiprows=1 if _has_mark(blocks) else None,  # the line of _Utf8Reader; it costs 5 %
        low_memory=False,
    )
    return {name: frame[name] for name in columns}


def join_pieces(
    pieces: "Iterable[Mapping[str, pd.Series | Values]]",
    columns: Sequence[str],
    expected_rows: Callable[[], int],
) -> dict[str, Values | None]:
    """Return whole columns, of which the `pieces` hold some rows at a time.

    expected_rows: a guess of all rows, which may change. Returns columns (rows,) of int64, uint64
    or float64, NaN if missing, or of object, holding str, or NaN if missing. A column with both, or
    with true and false, is None: pandas does not keep how its cells were written, so it must be
    parsed as text. Raises what `pieces` raises.
    """
    parsed = {name: _Column(expected_rows) for name in columns}
    rows = 0
    for piece in pieces:
        for name, column in parsed.items():
            column.append(rows, piece[name])
        rows += len(piece[columns[0]]) if columns else 0
    return {name: column.take(rows) for name, column in parsed.items()}


def settle(
    piece: "Mapping[str, pd.Series | Values]", columns: Sequence[str]
) -> dict[str, Values | None]:
    """Return the columns of one piece, as `join_pieces` does those of a table."""
    return join_pieces([piece], columns, lambda: 0)


def text_pieces(
    blocks: Iterable[Block], format: TableFormat, *, is_streamed: bool = False
) -> Iterator[list[bytes]]:
    """Yield the text of the records after the header, in pieces to be parsed.

    is_streamed: the table is not kept, so that memory should hold little of it.
    """
    blocks = islice(blocks, int(format.header), None)  # the first block is the first record alone
    return _pieces(blocks, _STREAMED_BYTES if is_streamed else None)


def _pieces(blocks: Iterable[Block], least_bytes: int | None = None) -> Iterator[list[bytes]]:
    """Yield the text of the blocks in larger pieces, of about `least_bytes` if that is given."""
    piece: list[bytes] = []
    size = rows = 0
    for block in blocks:
        piece.append(block.clean)
        size += len(block.clean)
        rows += block.rows
        least = _PIECE_BYTES if rows >= _PIECE_ROWS else _LARGE_PIECE_BYTES
        if size >= (least if least_bytes is None else least_bytes):
            yield piece
            piece, size, rows = [], 0, 0
    if piece:
        yield piece


class _Column:
    """A column that grows piece by piece: an array of numbers, or a list of arrays of str.

    The array of numbers is allocated once for all expected rows; memory that has not been written
    to costs nothing. Where numbers are on the disk, equal texts are one object, of 8 bytes a row.
    """

    def __init__(self, expected_rows: Callable[[], int]) -> None:
        self._is_garbled = False
        self._expected_rows = expected_rows
        self._numbers: Values | None = None
        self._texts: list[NDArray[np.object_]] = []
        self._known: dict[object, object] | None = {} if uses_disk() else None

    def append(self, rows: int, piece: "pd.Series | Values") -> None:
        """Append a piece after the first `rows` rows."""
        if self._is_garbled:
            return
        if piece.dtype.kind in "iuf" and not self._texts:
            self._append_numbers(rows, np.asarray(piece))
            return
        parts = [_as_texts(piece)]
        if self._numbers is not None:
            parts.insert(0, _as_texts(self._numbers[:rows]))
        self._numbers = None
        if (known := self._known) is not None:
            parts = [None if part is None else _shared(part, known) for part in parts]
        self._texts += [part for part in parts if part is not None]
        if any(part is None for part in parts):
            self._is_garbled = True
            self._texts.clear()

    def _append_numbers(self, rows: int, values: Values) -> None:
        stop = rows + len(values)
        dtype = values.dtype if self._numbers is None else np.result_type(self._numbers, values)
        if self._numbers is None or self._numbers.dtype != dtype or len(self._numbers) < stop:
            grown = len(self._numbers) * 3 // 2 if self._numbers is not None else 0
            larger = empty(max(stop, self._expected_rows(), grown), dtype)
            if self._numbers is not None:
                larger[:rows] = self._numbers[:rows]
            self._numbers = larger
        self._numbers[rows:stop] = values

    def take(self, rows: int) -> Values | None:
        """Return the values and forget them; None if the column is garbled."""
        numbers, texts = self._numbers, self._texts
        self._numbers, self._texts = None, []
        if self._is_garbled:
            return None
        return np.concatenate(texts) if numbers is None else numbers[:rows]


def _as_texts(values: "pd.Series | Values") -> NDArray[np.object_] | None:
    """Return an array of str, NaN if missing; None if any value is neither."""
    import pandas as pd

    if values.dtype.kind in "iuf":
        missing = values.dtype.kind == "f" and bool(np.isnan(values).all())
        return np.full(len(values), np.nan, object) if missing else None
    if pd.api.types.infer_dtype(values, skipna=True) not in ("string", "empty"):
        return None
    return pd.Series(values).to_numpy(dtype=object, na_value=np.nan)


def _shared(texts: NDArray[np.object_], known: dict[object, object]) -> NDArray[np.object_]:
    """Return the same texts, equal ones as the one object that is known."""
    return np.array([known.setdefault(text, text) for text in texts.tolist()], object)


def _has_mark(piece: list[bytes]) -> bool:
    return any(block.startswith(b"\xef\xbb\xbf") for block in piece)


class _Utf8Reader(io.IOBase):
    """A file of UTF-8 for pandas.

    With mode "r" and outside Python's binary stream classes, pandas' C parser takes the bytes as
    they are, rather than decoding and encoding them again. Where U+FEFF begins a block, a line of
    its own is first: until
    the first line has ended, pandas takes U+FEFF for a byte order mark, not for part of a cell.
    """

    mode = "r"

    def __init__(self, piece: list[bytes]) -> None:
        super().__init__()
        self._blocks = iter(piece)
        self._data = b"-\n" if _has_mark(piece) else next(self._blocks)
        self._position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` more bytes, empty at the end."""
        if self._position == len(self._data):
            self._data, self._position = next(self._blocks, b""), 0
        stop = len(self._data) if size < 0 else self._position + size
        data = self._data[self._position : stop]
        self._position += len(data)
        return data
