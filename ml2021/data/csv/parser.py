"""Blocks of text -> columns of numbers and texts, by pandas' C engine, pieces side by side.

The blocks are checked by `ml2021.data.csv.scan`; what pandas made of the cells is judged by
`ml2021.data.csv.cells`.
"""

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.scan import Block

if TYPE_CHECKING:
    import pandas as pd

_PIECE_BYTES, _PIECE_ROWS = 4 << 20, 1000
"""What a piece holds at least, so that pandas' cost of beginning one, 2 ms, does not count: on two
cores, 104 MB with 29 columns took 0.37, 0.33 and 0.33 s in pieces of 2, 4 and 8 MB."""

_LARGE_PIECE_BYTES = 32 << 20  # enough, whatever the number of its rows

_MOST_THREADS = 4  # one feeds them, and it is a quarter as fast as their work

Values = NDArray[np.generic]


@dataclass(frozen=True)
class Parsed:
    """What pandas made of `rows` records.

    columns: (rows,) each, int64, uint64 or float64, NaN where missing; or object, holding str, and
    NaN where missing. garbled: columns that are both, or true and false: how their cells were
    written is lost, and they have to be read again as texts.
    """

    rows: int
    columns: dict[str, Values]
    garbled: list[str]


def parse_blocks(
    blocks: Iterable[Block],
    names: Sequence[str],
    columns: Sequence[str],
    *,
    separator: str,
    decimal: str,
    header: bool,
    missing: Sequence[str],
    texts: Sequence[str],
    expected_rows: Callable[[], int],
) -> Parsed:
    """Parse the `columns` of records that have the fields `names`.

    The columns in `texts` are object, holding str and NaN for the texts in `missing`; the others
    are what pandas takes them for. `expected_rows` guesses their number, ever better. Raises what
    `blocks` raises.
    """
    if not columns:
        return Parsed(sum(block.rows for block in blocks) - header, {}, [])
    parse = partial(
        _parse_piece,
        sep=separator,
        decimal=decimal,
        names=list(names),
        usecols=list(columns),
        dtype=dict.fromkeys(texts, object),
        na_values=list(missing),
    )
    gathered = {name: _Column(expected_rows) for name in columns}
    threads = min(_MOST_THREADS, _cores())
    running: deque[Future[pd.DataFrame]] = deque()
    rows = 0

    def gather() -> None:
        nonlocal rows
        piece = running.popleft().result()
        for name, column in gathered.items():
            column.append(rows, piece[name])
        rows += len(piece)

    with ThreadPoolExecutor(threads) as pool:
        for number, piece in enumerate(_pieces(blocks)):
            running.append(pool.submit(parse, piece, header=0 if header and not number else None))
            if len(running) > 2 * threads:
                gather()
        while running:
            gather()
    return Parsed(
        rows,
        {name: values for name, c in gathered.items() if (values := c.take(rows)) is not None},
        [name for name, column in gathered.items() if column.is_garbled],
    )


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _pieces(blocks: Iterable[Block]) -> Iterator[list[bytes]]:
    """Yield the text of the blocks, several of them together."""
    piece: list[bytes] = []
    size = rows = 0
    for block in blocks:
        piece.append(block.clean)
        size += len(block.clean)
        rows += block.rows
        if size >= (_PIECE_BYTES if rows >= _PIECE_ROWS else _LARGE_PIECE_BYTES):
            yield piece
            piece, size, rows = [], 0, 0
    if piece:
        yield piece


def _parse_piece(piece: list[bytes], **arguments: Any) -> "pd.DataFrame":
    import pandas as pd

    frame: pd.DataFrame = pd.read_csv(
        _Feed(piece),
        engine="c",
        index_col=False,
        keep_default_na=False,
        skip_blank_lines=False,
        low_memory=False,
        **arguments,
    )
    return frame


class _Column:
    """A column that grows by pieces: an array of numbers, or the texts of each piece.

    Its numbers have one place from the beginning, which costs no memory before it is written to.
    """

    def __init__(self, expected_rows: Callable[[], int]) -> None:
        self.is_garbled = False
        self._expected_rows = expected_rows
        self._numbers: Values | None = None
        self._texts: list[NDArray[np.object_]] = []

    def append(self, rows: int, piece: "pd.Series") -> None:
        """Add a piece, where there are `rows` already."""
        if self.is_garbled:
            return
        if piece.dtype.kind in "iuf" and not self._texts:
            self._append_numbers(rows, piece.to_numpy())
            return
        parts = [_as_texts(piece)]
        if self._numbers is not None:
            parts.insert(0, _as_texts(self._numbers[:rows]))
        self._numbers = None
        self._texts += [part for part in parts if part is not None]
        if any(part is None for part in parts):
            self.is_garbled = True
            self._texts.clear()

    def _append_numbers(self, rows: int, values: Values) -> None:
        stop = rows + len(values)
        dtype = values.dtype if self._numbers is None else np.result_type(self._numbers, values)
        if self._numbers is None or self._numbers.dtype != dtype or len(self._numbers) < stop:
            place = np.empty(max(stop, self._expected_rows()), dtype)
            if self._numbers is not None:
                place[:rows] = self._numbers[:rows]
            self._numbers = place
        self._numbers[rows:stop] = values

    def take(self, rows: int) -> Values | None:
        """Return the `rows` values, None where they are garbled; the column is empty then."""
        numbers, texts = self._numbers, self._texts
        self._numbers, self._texts = None, []
        if self.is_garbled:
            return None
        return np.concatenate(texts) if numbers is None else numbers[:rows]


def _as_texts(values: "pd.Series | Values") -> NDArray[np.object_] | None:
    """Return str, and NaN where missing; None where there is anything else among them."""
    import pandas as pd

    if values.dtype.kind in "iuf":
        missing = values.dtype.kind == "f" and bool(np.isnan(values).all())
        return np.full(len(values), np.nan, object) if missing else None
    if pd.api.types.infer_dtype(values, skipna=True) not in ("string", "empty"):
        return None
    texts: NDArray[np.object_] = pd.Series(values).to_numpy(dtype=object, na_value=np.nan)
    return texts


class _Feed(io.IOBase):
    """What pandas reads from.

    It has the mode "r", and is none of Python's binary streams, so that pandas' C parser takes the
    bytes as they are, UTF-8, and puts no decoder and encoder of its own between.
    """

    mode = "r"

    def __init__(self, piece: list[bytes]) -> None:
        super().__init__()
        self._coming = iter(piece)
        self._data = b""
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        if self._at == len(self._data):
            self._data, self._at = next(self._coming, b""), 0
        stop = len(self._data) if size < 0 else self._at + size
        part = self._data[self._at : stop]
        self._at += len(part)
        return part
