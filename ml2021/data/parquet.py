"""Read Parquet columns as `ml2021.data.csv` reads those of a CSV file.

This needs pyarrow, an optional dependency. `ml2021.data.csv.cells` checks the cells.
"""

from collections.abc import Collection, Iterator, Sequence, Set
from contextlib import closing
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import INTEGERS_END
from ml2021.data.csv.source import HashedFile, changed_error, file_error, file_state
from ml2021.errors import DataError
from ml2021.formatting import echo


class ParquetSource:
    """A Parquet file: the `names` of its columns, its number of `rows`, its `sha256` if `hashed`.

    A context manager. `state` is the `state` of an earlier time, since which it must not have
    changed. Raises DataError if pyarrow is not installed, or the file is not Parquet or has no
    columns.
    """

    def __init__(
        self, path: Path, state: tuple[int, ...] | None = None, *, hashed: bool = False
    ) -> None:
        try:
            pyarrow = import_module("pyarrow")
            parquet = import_module("pyarrow.parquet")
        except ImportError:
            what = "Parquet needs pyarrow; pip install 'ml2021[parquet]'"
            raise file_error(path, what) from None
        with closing(HashedFile(path)) as file:
            self.sha256 = file.finish() if hashed else ""
            self.state = file.state
        if state is not None and state != self.state:
            raise changed_error(path)
        self._path = path
        self._opened = path.open("rb")
        try:
            self._open(pyarrow, parquet)
        except BaseException:
            self._opened.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _open(self, pyarrow: Any, parquet: Any) -> None:
        path = self._path
        self._check_unchanged()
        try:
            self._file = parquet.ParquetFile(self._opened)
        except (pyarrow.ArrowException, OSError) as error:
            raise file_error(path, f"not a Parquet file: {echo(error)}; check the file") from None
        try:
            self.names = tuple(self._file.schema_arrow.names)
        except UnicodeDecodeError:
            raise file_error(path, "a column's name is not UTF-8; write the file anew") from None
        if not self.names:
            raise file_error(path, "the table has no columns; add some")
        self.rows = int(self._file.metadata.num_rows)
        if "" in self.names:
            number = self.names.index("") + 1
            raise file_error(path, f"column {number} has no name; give it one")

    def batches(self, rows: int) -> Iterator[Any]:
        """Yield the rows for `columns`, at most so many at a time. Raises DataError."""
        pa = import_module("pyarrow")
        try:
            for batch in self._file.iter_batches(batch_size=rows):
                yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        self._check_unchanged()

    def texts_of(self, rows: Set[int], most: int) -> Iterator[tuple[int, list[str]]]:
        """Yield the cells of these rows as text, of at most `most` rows in memory."""
        first = 0
        for batch in self.batches(most):
            for row in sorted(rows & {*range(first, first + batch.num_rows)}):
                yield row, [_cell_text(column[row - first]) for column in batch.columns]
            first += batch.num_rows

    def _damaged(self, error: Exception) -> DataError:
        return file_error(self._path, f"damaged Parquet file: {echo(error)}; get a new copy")

    def _check_unchanged(self) -> None:
        if file_state(self._opened.fileno()) != self.state:
            raise changed_error(self._path)

    def columns(
        self,
        batch: Any,
        names: Sequence[str],
        columns: Collection[str],
        texts: Collection[str],
        verbatim: Collection[str],
        missing: Collection[str],
        first: int,
        *,
        again: bool = False,
    ) -> dict[str, NDArray[np.generic]]:
        """Return `columns` of a batch by unique name: numbers, or object holding str and NaN.

        `names` are the unique names of all columns; `first` is the number of rows before the batch.
        Booleans, dates, categories and the columns in `texts` become text; the texts in `missing`
        become NaN, but not those of the columns in `verbatim`. again: the texts are of numbers that
        float64 may have rounded, or that are text elsewhere. Raises DataError for a column of other
        values, such as lists.
        """
        pa = import_module("pyarrow")
        found: dict[str, NDArray[np.generic]] = {}
        for name, column in zip(names, batch.columns, strict=True):
            if name not in columns:
                continue
            try:
                column = _decoded(column)
            except (pa.ArrowException, IndexError) as error:
                raise self._unreadable(name, echo(error)) from None
            kind = column.type
            if _is_neither(kind):
                raise self._unreadable(name, f"{kind}, neither numbers nor text")
            is_integer = pa.types.is_integer(kind)
            is_number = is_integer or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
            if pa.types.is_null(kind):
                found[name] = np.full(len(column), np.nan)
            elif is_number and name not in texts:
                exact = is_integer and not column.null_count
                found[name] = (column if exact else column.cast("float64", False)).to_numpy()
            else:
                absent = missing if name not in verbatim else ()
                written = _number_text if is_number and again else _text
                cells = [written(cell) for cell in self._cells(name, column, first)]
                found[name] = np.array(
                    [np.nan if cell is None or cell in absent else cell for cell in cells],
                    np.object_,
                )
        return found

    def _cells(self, name: str, column: Any, first: int) -> list[Any]:
        """Return a column's cells; DataError for one that Python cannot hold, with its row."""
        try:
            return list(column.to_pylist())
        except (ArithmeticError, LookupError, ValueError):
            pass
        pa = import_module("pyarrow")
        for row, cell in enumerate(column, first + 1):
            try:
                cell.as_py()
            except UnicodeDecodeError:
                raise self._unreadable(name, f"text that is not UTF-8 in row {row:,}") from None
            except (ArithmeticError, LookupError, ValueError) as error:
                what = f"a {column.type} in row {row:,} that cannot be read ({echo(error)})"
                is_odd = isinstance(error, LookupError | pa.ArrowException)  # the time zone
                if _is_date(column.type) and not is_odd:
                    what = f"a date in row {row:,} that is not within the years 1 to 9999"
                raise self._unreadable(name, what) from None
        raise AssertionError("a column is unreadable, but none of its cells")

    def _unreadable(self, name: str, what: str) -> DataError:
        what = f"column '{echo(name)}' holds {what}; convert it, or leave it out"
        return file_error(self._path, what)


def _text(cell: Any) -> str | None:
    return None if cell is None else str(cell)


def _cell_text(cell: Any) -> str:
    try:
        return str(cell.as_py())
    except (ArithmeticError, LookupError, ValueError):  # of a column that is not read
        return ""


def _number_text(cell: Any) -> str | None:
    """Return a number as text, whole ones that float64 may have rounded with all their digits."""
    if cell is None or cell != cell:
        return None
    is_large = isfinite(cell) and abs(cell) >= INTEGERS_END
    return str(int(cell) if is_large and cell == int(cell) else cell)


def _decoded(column: Any) -> Any:
    """Return a column without the dictionaries and extensions around its type."""
    pa = import_module("pyarrow")
    while True:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
            continue
        if not isinstance(kind := column.type, pa.BaseExtensionType):
            return column
        if kind.extension_name == "arrow.uuid":  # bytes that are a text to people
            return column
        chunks = [chunk.storage for chunk in column.chunks]
        column = pa.chunked_array(chunks, kind.storage_type)


def _is_date(kind: Any) -> bool:
    types = import_module("pyarrow").types
    return bool(types.is_date(kind) or types.is_timestamp(kind))


def _is_neither(kind: Any) -> bool:
    """Whether a column of this type holds neither numbers nor text."""
    types = import_module("pyarrow").types
    return bool(
        types.is_nested(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )
