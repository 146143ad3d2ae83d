"""Read Parquet columns as `ml2021.data.csv` reads those of a CSV file.

This needs pyarrow, an optional dependency. `ml2021.data.csv.cells` checks the cells.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import closing
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import StorageType
from ml2021.data.csv.source import HashedFile, changed_error, file_error, file_state
from ml2021.errors import DataError
from ml2021.formatting import echo


class ParquetSource:
    """A Parquet file: the `names` of its columns, its number of `rows`, its `sha256`.

    A context manager. Raises DataError if pyarrow is not installed, or the file is not Parquet or
    holds no table.
    """

    def __init__(self, path: Path) -> None:
        try:
            pyarrow = import_module("pyarrow")
            parquet = import_module("pyarrow.parquet")
        except ImportError:
            what = "Parquet needs pyarrow; pip install 'ml2021[parquet]'"
            raise file_error(path, what) from None
        with closing(HashedFile(path)) as file:
            self.sha256 = file.finish()
            self._state = file.state
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
        if not self.rows:
            raise file_error(path, "a header but no rows; add rows")
        if "" in self.names:
            number = self.names.index("") + 1
            raise file_error(path, f"column {number} has no name; give it one")

    def read(
        self,
        names: Sequence[str],
        selected: Set[str],
        types: Mapping[str, StorageType],
        missing: Collection[str],
        is_odd: Callable[[str, NDArray[np.generic]], bool],
    ) -> dict[str, NDArray[np.generic]]:
        """Return the `selected` columns by unique name, of all rows, as `columns` does."""
        return self.columns(self._read(), names, selected, types, missing, is_odd)

    def batches(self, rows: int) -> Iterator[Any]:
        """Yield the rows for `columns`, at most so many at a time. Raises DataError."""
        pa = import_module("pyarrow")
        try:
            for batch in self._file.iter_batches(batch_size=rows):
                yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        self._check_unchanged()

    def _read(self) -> Any:
        pa = import_module("pyarrow")
        try:
            table = self._file.read()
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        self._check_unchanged()
        return table

    def _damaged(self, error: Exception) -> DataError:
        return file_error(self._path, f"damaged Parquet file: {echo(error)}; get a new copy")

    def _check_unchanged(self) -> None:
        if file_state(self._opened.fileno()) != self._state:
            raise changed_error(self._path)

    def columns(
        self,
        table: Any,
        names: Sequence[str],
        selected: Set[str],
        types: Mapping[str, StorageType],
        missing: Collection[str],
        is_odd: Callable[[str, NDArray[np.generic]], bool],
    ) -> dict[str, NDArray[np.generic]]:
        """Return the `selected` columns by unique name: numbers, or object holding str and NaN.

        `names` are the unique names of all columns. Booleans, dates, categories and the columns
        that `types` wants as text become text; the texts in `missing` become NaN, but not those of
        a "verbatim" column. Whole numbers that a column of floats may have rounded become text if
        `is_odd` says so. Raises DataError for a column of other values, such as lists.
        """
        pa = import_module("pyarrow")
        columns: dict[str, NDArray[np.generic]] = {}
        for name, column in zip(names, table.columns, strict=True):
            if name not in selected:
                continue
            try:
                column = _decoded(column)
            except (pa.ArrowException, IndexError) as error:
                raise self._unreadable(name, echo(error)) from None
            kind = column.type
            if _is_neither(kind):
                raise self._unreadable(name, f"{kind}, neither numbers nor text")
            if pa.types.is_null(kind):
                columns[name] = np.full(len(column), np.nan)
            elif types.get(name, "number") == "number" and (
                pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
            ):
                exact = pa.types.is_integer(kind) and not column.null_count
                values = (column if exact else column.cast("float64", False)).to_numpy()
                if values.dtype.kind == "f" and is_odd(name, values):
                    values = _whole_texts(self._cells(name, column), values)
                columns[name] = values
            else:
                absent = missing if types.get(name) != "verbatim" else ()
                texts = [None if cell is None else str(cell) for cell in self._cells(name, column)]
                columns[name] = np.array(
                    [np.nan if text is None or text in absent else text for text in texts],
                    np.object_,
                )
        return columns

    def _cells(self, name: str, column: Any) -> list[Any]:
        """Return a column's cells; DataError for one that Python cannot hold, with its row."""
        try:
            return list(column.to_pylist())
        except (ArithmeticError, LookupError, ValueError):
            pass
        for row, cell in enumerate(column, 1):
            try:
                cell.as_py()
            except UnicodeDecodeError:
                raise self._unreadable(name, f"text that is not UTF-8 in row {row:,}") from None
            except (ArithmeticError, LookupError, ValueError) as error:
                what = f"a {column.type} in row {row:,} that cannot be read ({echo(error)})"
                raise self._unreadable(name, what) from None
        raise AssertionError("a column is unreadable, but none of its cells")

    def _unreadable(self, name: str, what: str) -> DataError:
        what = f"column '{echo(name)}' holds {what}; convert it, or leave it out"
        return file_error(self._path, what)


def _whole_texts(cells: list[Any], values: NDArray[np.float64]) -> NDArray[np.generic]:
    """Return numbers (N,) as the texts of their integers, NaN where missing; else the `values`."""
    if any(cell is not None and (not isfinite(cell) or cell != int(cell)) for cell in cells):
        return values
    return np.array([np.nan if cell is None else str(int(cell)) for cell in cells], np.object_)


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
