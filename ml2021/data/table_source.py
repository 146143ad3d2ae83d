"""The table to train on: a file, or what else offers a header and typed columns.

`ml2021.data.load` makes training data of it. Other tables are read by `ml2021.data.new_table`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ml2021.config import schema
from ml2021.data.csv.cells import INTEGERS_END, StorageType
from ml2021.data.csv.scan import Header, TableFormat
from ml2021.data.labels import notes_on_numbers
from ml2021.data.parts import TablePath, files_of, find_parts
from ml2021.data.resolve import LocatedConfig, Selection, table_format_of
from ml2021.data.series import in_series_order, is_date
from ml2021.data.tables import (
    Rows,
    Table,
    guess_rows,
    place_of,
    read_header,
    read_table,
    refuse_rounded,
)
from ml2021.data.weights import check_weights
from ml2021.errors import DataError
from ml2021.files import missing_file
from ml2021.formatting import echo

if TYPE_CHECKING:
    import pandas as pd


class TableSource(Protocol):
    """A table to train on."""

    def header(self) -> Header:
        """Return its columns; their `path` is what messages call the table. Raises DataError."""

    def read(
        self,
        columns: Sequence[str],
        types: Mapping[str, StorageType],
        compared: Collection[str] = (),
        looked_at: Sequence[str] = (),
    ) -> Table:
        """Read columns as `ml2021.data.tables.read_table` does, and raise what it raises.

        looked_at: columns to read as well that are not in use.
        """

    def size(self) -> int:
        """Return about how many bytes it has."""

    def rows(self) -> int:
        """Return about how many rows it has."""

    def place(self, row: int) -> str:
        """Return where a row stands, for the start of a message."""


@dataclass(frozen=True)
class FileSource:
    """The CSV or Parquet file at a path, or several that are one table."""

    path: TablePath
    format: TableFormat

    def header(self) -> Header:
        """Return its columns. Raises as `read_header` does."""
        return read_header(self.path, self.format)

    def read(
        self,
        columns: Sequence[str],
        types: Mapping[str, StorageType],
        compared: Collection[str] = (),
        looked_at: Sequence[str] = (),
    ) -> Table:
        """Read columns of the file."""
        names = [*columns, *looked_at]
        return read_table(self.path, self.format, columns=names, types=types, compared=compared)

    def size(self) -> int:
        """Return how many bytes it has on the disk. Raises DataError where there is no file."""
        try:
            return sum(file.stat().st_size for file in files_of(self.path))
        except FileNotFoundError as error:
            raise DataError(missing_file(Path(error.filename))) from None

    def rows(self) -> int:
        """Return about how many rows it has, from its beginning."""
        return guess_rows(self.path, self.format)

    def place(self, row: int) -> str:
        """Return the line of a row."""
        return place_of(self.path, self.format, row)


def source_of(loaded: LocatedConfig) -> TableSource:
    """Return the table of a config, unread. Raises DataError as `refuse_frame` does."""
    data = loaded.config.data
    refuse_frame(loaded, "set data.path to a file that holds it")
    return FileSource(find_parts(data.path), table_format_of(data))


def refuse_frame(loaded: LocatedConfig, remedy: str) -> None:
    """Raise DataError for the config of a run whose table was a data frame."""
    if loaded.config.data.path == schema.FRAME:
        raise DataError(
            f"{loaded.locate('data', 'path')}: the table of this run was a DataFrame, which it "
            f"does not keep; {remedy}"
        )


def read_in_order(
    source: TableSource, data: schema.Data, selection: Selection, excluded: Sequence[str]
) -> tuple["pd.DataFrame", Rows, Table]:
    """Return the rows in series order, the file order (`in_series_order`), and the table as read.

    Its rows are released here, which order_by would otherwise keep beside the sorted ones.
    """
    types = selection.storage
    types |= dict.fromkeys(excluded, "text")  # so that no cell of them is refused
    if data.weight is not None:
        types[data.weight] = "number"
    apart = _telling_apart(data)
    table = source.read(selection.used, types, {*apart, *selection.targets}, excluded)
    refuse_rounded(table.rounded, apart)
    if data.weight is not None:
        check_weights(table.frame, data.weight, source.place)
    group_by = data.group_by if data.lags else None
    read = replace(table, frame=table.frame[:0].copy())
    return *in_series_order(table.frame, data.order_by, group_by), read


def _telling_apart(data: schema.Data) -> list[str]:
    """Return the columns whose numbers are told apart: of groups, and beside large thresholds."""
    split, names = data.split, [] if data.group_by is None else [data.group_by]
    if isinstance(split, schema.ColumnSplit):
        thresholds = (split.validation_from, split.test_from)
        if any(isinstance(t, int | float) and abs(t) >= INTEGERS_END for t in thresholds):
            names.append(split.column)
    return names


def notes_on_reading(
    table: Table, frame: "pd.DataFrame", selection: Selection, task: str
) -> list[str]:
    """Return notes on what the cells may mean. Raises as `notes_on_numbers` does."""
    odd = {name for name, found in table.writings.items() if found.oddities}
    features = [
        name
        for name in selection.features
        if name not in odd or not is_date(frame[name].dropna().unique())  # 18:00 is a time
    ]
    zeros = [
        f"{echo(name)} has numbers with leading zeros, such as {echo(text)}; codes are kept as "
        f"written with data.types: {{{echo(name)}: category}}"
        for name, text in table.leading_zeros.items()
        if name not in selection.types
    ]
    numbers = notes_on_numbers(table.writings, features, selection.targets, task)
    return [*table.notes, *zeros, *numbers]
