"""Blocks of text -> a DataFrame, by pandas' C engine, while a thread prepares the next block.

The blocks are checked by `ml2021.data.files.scan`; what pandas made of the cells is judged by
`ml2021.data.files.cells`.
"""

import io
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from ml2021.data.files.scan import Block

if TYPE_CHECKING:
    import pandas as pd


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
) -> "pd.DataFrame":
    """Return the `columns` of records that have the fields `names`.

    The columns in `texts` are object, holding str and NaN for the texts in `missing`; the others
    are what pandas takes them for. Raises what `blocks` raises.
    """
    import pandas as pd

    with closing(_ahead(iter(blocks))) as prepared, warnings.catch_warnings():
        if not columns:
            rows = sum(block.rows for block in prepared) - header
            return pd.DataFrame(index=pd.RangeIndex(rows))
        feed = _Feed(prepared)
        try:
            # In pieces (low_memory), for half the memory: 145 MB where 272 were, for 40 MB of
            # float32. A column that pandas takes for other things in other pieces has lost its
            # text, as `tables` sees.
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            return pd.read_csv(
                feed,
                engine="c",
                sep=separator,
                decimal=decimal,
                header=0 if header else None,
                names=list(names),
                usecols=list(columns),
                dtype=dict.fromkeys(texts, object),
                index_col=False,
                na_values=list(missing),
                keep_default_na=False,
                skip_blank_lines=False,
                low_memory=True,
            )
        except pd.errors.ParserError:
            # some versions of pandas hide what read() raised behind their own error
            if feed.failure is not None:
                raise feed.failure from None
            raise


def _ahead(blocks: Iterator[Block]) -> Generator[Block]:
    """Yield the blocks, each prepared by a thread while the one before it is in use."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = thread.submit(next, blocks, None)
            yield block


class _Feed(io.IOBase):
    """What pandas reads from.

    It has the mode "r", and is none of Python's binary streams, so that pandas' C parser takes the
    bytes as they are, UTF-8, and puts no decoder and encoder of its own between.
    """

    mode = "r"

    def __init__(self, blocks: Iterator[Block]) -> None:
        super().__init__()
        self.failure: BaseException | None = None
        self._blocks = blocks
        self._data = b""
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        if self._at == len(self._data):
            try:
                block = next(self._blocks, None)
            except BaseException as error:
                self.failure = error
                raise
            self._data, self._at = (b"" if block is None else block.clean), 0
        stop = len(self._data) if size < 0 else self._at + size
        piece = self._data[self._at : stop]
        self._at += len(piece)
        return piece
