"""Read Parquet columns as `ml2021.data.csv` reads those of a CSV file.

This needs pyarrow, an optional dependency. `ml2021.data.csv.cells` checks the cells.
"""

from collections.abc import Collection, Sequence, Set
from contextlib import closing
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.source import HashedFile, file_error
from ml2021.formatting import echo


class ParquetSource:
    """A Parquet file: the `names` of its columns, its number of `rows`, its `sha256`.

    Raises DataError if pyarrow is not installed, or the file is not Parquet or holds no table.
    """

    def __init__(self, path: Path) -> None:
        try:
            pyarrow = import_module("pyarrow")
            parquet = import_module("pyarrow.parquet")
        except ImportError:
            what = "Parquet needs pyarrow; pip install 'ml2021[parquet]'"
            raise file_error(path, what) from None
        with closing(HashedFile(path)) as file:
            data = file.read()
            self.sha256 = file.finish()
        try:
            self._file = parquet.ParquetFile(pyarrow.BufferReader(pyarrow.py_buffer(data)))
        except (pyarrow.ArrowException, OSError) as error:
            raise file_error(path, f"not a Parquet file: {echo(error)}; check the file") from None
        self._path = path
        self.names = tuple(self._file.schema_arrow.names)
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
        *,
        texts: Collection[str],
        missing: Collection[str],
    ) -> dict[str, NDArray[np.generic]]:
        """Return the `selected` columns by unique name: numbers, or object holding str and NaN.

        `names` are the unique names of all columns. Booleans, dates, categories and every column in
        `texts` become text; the texts in `missing` become NaN. Raises DataError for a column of
        other values, such as lists.
        """
        pa = import_module("pyarrow")
        try:
            table = self._file.read()
        except (pa.ArrowException, OSError) as error:
            what = f"damaged Parquet file: {echo(error)}; get a new copy"
            raise file_error(self._path, what) from None
        columns: dict[str, NDArray[np.generic]] = {}
        for name, column in zip(names, table.columns, strict=True):
            if name not in selected:
                continue
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            kind = column.type
            if pa.types.is_nested(kind) or pa.types.is_binary(kind):
                what = f"column '{echo(name)}' holds {kind}, neither numbers nor text"
                raise file_error(self._path, f"{what}; exclude it")
            if pa.types.is_null(kind):
                columns[name] = np.full(len(column), np.nan)
            elif name not in texts and (
                pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
            ):
                exact = pa.types.is_integer(kind) and not column.null_count
                columns[name] = (column if exact else column.cast("float64", False)).to_numpy()
            else:
                cells = [
                    np.nan if cell is None or str(cell) in missing else str(cell)
                    for cell in column.to_pylist()
                ]
                columns[name] = np.array(cells, np.object_)
        return columns
