"""Read a new table for a fitted model: columns by name, with the column types of training."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import StorageType
from ml2021.data.csv.parser import Column
from ml2021.data.csv.scan import Header, TableFormat
from ml2021.data.csv.source import changed_error
from ml2021.data.dates import parts_of, with_parts
from ml2021.data.matching import explain_absent, match_columns
from ml2021.data.parts import Parts, TablePath, shown_of
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    NumberFeature,
    Preprocessing,
)
from ml2021.data.resolve import explain_missing, match_names
from ml2021.data.samples import FittedTable
from ml2021.data.series import in_series_order
from ml2021.data.spellings import Spellings
from ml2021.data.table_stream import TableStream
from ml2021.data.tables import is_number, place_of, read_header, read_table, refuse_rounded
from ml2021.data.weights import check_weights
from ml2021.errors import ConfigError, DataError
from ml2021.formatting import echo, listed

if TYPE_CHECKING:
    import pandas as pd

_MOST_ABSENT = 5  # if more columns are missing, it is probably the wrong table: report one line


@dataclass(frozen=True)
class NewColumns:
    """The columns of a file other than the training file, found for a fitted model.

    names: the columns that the model needs, in the file and in training. types: how they are read.
    numbers: those in the file that hold categories or classes as numbers. carried: the columns to
    copy to the output, every cell as it stands in the file; those asked for, and the one that tells
    several series apart. ignored: the columns that the model does not use. weight: the column of
    weights, if it is to be read. group: the column that tells several series apart. unweighted: the
    column of weights, if the file has none.
    """

    path: TablePath
    table_format: TableFormat
    preprocessing: Preprocessing
    is_scored: bool
    names: dict[str, str]
    types: dict[str, StorageType]
    numbers: list[str]
    carried: tuple[str, ...]
    ignored: tuple[str, ...]
    weight: str | None
    group: str | None
    unweighted: str | None

    def notes(self) -> list[str]:
        """Return notes on the ignored columns, and on a column of weights that is missing."""
        notes = [*self.path.notes] if isinstance(self.path, Parts) else []
        if self.ignored:
            notes.append(f"ignoring columns that the model does not use: {listed(self.ignored, 8)}")
        if self.unweighted is not None:
            notes.append(f"no column {echo(self.unweighted)}, the weight: every row weighs 1")
        return notes

    def renamed(
        self, read: "pd.DataFrame", rounded: Mapping[str, Mapping[int, int | Fraction]]
    ) -> "pd.DataFrame":
        """Return the columns under their names in training, integers of categories exact."""
        frame = read[[*self.names]].rename(columns=self.names)
        for name in self.numbers:
            if exact := rounded.get(name):
                values = frame[self.names[name]].to_numpy(object, copy=True)
                values[[*exact]] = [*exact.values()]
                frame[self.names[name]] = values
        return frame

    def with_dates(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the table with the parts of its dates. Raises DataError for what is no date."""
        listing = self.table_format.listing
        return with_parts(frame, self.preprocessing.dates, f"{self.path}: ", listing)

    def parts_of_dates(self, columns: Mapping[str, Column]) -> dict[str, NDArray[np.float64]]:
        """Return the parts of the dates alone. Raises as `with_dates` does."""
        listing = self.table_format.listing
        return parts_of(columns, self.preprocessing.dates, f"{self.path}: ", listing)

    def fitted(self, frame: "pd.DataFrame") -> FittedTable:
        """Return all rows, under the names in training, as a table of the model, in series order.

        Raises DataError for what is no date, or cannot be sorted.
        """
        history = self.preprocessing.history
        order_by, group_by = (history.order_by, history.group_by) if history else (None, None)
        ordered, file_order = in_series_order(self.with_dates(frame), order_by, group_by)
        return FittedTable(ordered, file_order, self.preprocessing)


@dataclass(frozen=True)
class NewTable:
    """A file read for a fitted model, whole.

    carried: the columns to copy. sha256: of the file's bytes. parts: as of `Table`.
    """

    columns: NewColumns
    table: FittedTable
    carried: "pd.DataFrame"
    sha256: str
    parts: Mapping[Path, str]


def find_columns(
    preprocessing: Preprocessing,
    path: TablePath,
    table_format: TableFormat,
    purpose: Literal["scored", "predicted"],
    carried: tuple[str, ...] = (),
) -> NewColumns:
    """Find the columns of a file other than the training file, by name.

    The target is needed to score, and to predict only if it is the model's history. Raises
    DataError for a column that is missing, or ConfigError for a name or glob in `carried` that the
    file does not have.
    """
    header = read_header(path, table_format)
    found = match_columns(path, preprocessing, header)
    return choose_columns(preprocessing, header, found, path, table_format, purpose, carried)


def needed_columns(
    preprocessing: Preprocessing, purpose: Literal["scored", "predicted"]
) -> dict[str, StorageType | None]:
    """Return the training columns that a new table must have, and how each is read.

    None for a column of which only equality or order matters.
    """
    kinds: dict[str, StorageType | None] = {
        f.name: "number" if isinstance(f, NumberFeature) else f.storage
        for f in preprocessing.features
        if f.name not in preprocessing.parts_of_dates
    }
    kinds |= dict.fromkeys((date.name for date in preprocessing.dates), "text")
    history, target = preprocessing.history, preprocessing.target
    if history is not None or purpose == "scored":
        storage = target.storage if isinstance(target, ClassTarget) else "number"
        kinds |= dict.fromkeys(preprocessing.target_columns, storage)
    order_by, group_by = (history.order_by, history.group_by) if history else (None, None)
    for name in (order_by, group_by):
        if name is not None:
            kinds.setdefault(name, None)
    return kinds


def choose_columns(
    preprocessing: Preprocessing,
    header: Header,
    found: dict[str, str],
    path: TablePath,
    table_format: TableFormat,
    purpose: Literal["scored", "predicted"],
    carried: tuple[str, ...] = (),
) -> NewColumns:
    """Return the columns of a table with this header, given those that were `found` in it.

    Raises as `find_columns` does.
    """
    needed = needed_columns(preprocessing, purpose)
    kinds = {name: kind for name, kind in needed.items() if kind is not None}
    history, target = preprocessing.history, preprocessing.target
    weight = preprocessing.weight
    unweighted = weight if weight is not None and weight not in found else None
    own_weight = found[weight] if purpose == "scored" and weight in found else None
    if weight is not None and own_weight is not None:
        needed[weight] = kinds[weight] = "number"
    group_by = None if history is None else history.group_by
    absent = [name for name in needed if name not in found]
    if len(absent) > _MOST_ABSENT:
        raise DataError(
            f"{path}: {len(absent)} of the {len(needed)} columns that the model needs are missing: "
            f"{listed(absent, _MOST_ABSENT)}; check that this is the right run"
        )
    if absent:
        raise DataError(*(explain_absent(path, preprocessing, header, name) for name in absent))
    if unknown := [name for name in carried if not match_names(header, name)]:
        raise ConfigError(*(f"--id: {explain_missing(header, name, '--id')}" for name in unknown))
    carried = tuple(dict.fromkeys(n for pattern in carried for n in match_names(header, pattern)))
    if purpose == "predicted" and group_by is not None and found[group_by] not in carried:
        carried = (found[group_by], *carried)
    names = {found[name]: name for name in needed}
    # Words where training had numbers as categories or classes may be another spelling of them.
    coded = {f.name for f in preprocessing.features if isinstance(f, CategoryFeature)}
    coded |= {target.name} if isinstance(target, ClassTarget) else set()
    left_out = {column.name for column in preprocessing.left_out}
    known = {*carried, *(found[name] for name in found if name not in left_out)}
    return NewColumns(
        path=path,
        table_format=table_format,
        preprocessing=preprocessing,
        is_scored=purpose == "scored",
        names=names,
        types={found[name]: kind for name, kind in kinds.items()},
        numbers=[found[name] for name in coded & kinds.keys() if kinds[name] == "number"],
        carried=carried,
        ignored=tuple(name for name in header.names if name not in known),
        weight=own_weight,
        group=None if group_by is None else found[group_by],
        unweighted=unweighted,
    )


def read_new_table(
    preprocessing: Preprocessing,
    path: TablePath,
    table_format: TableFormat,
    purpose: Literal["scored", "predicted"],
    carried: tuple[str, ...] = (),
) -> NewTable:
    """Read a file other than the training file: columns by name, with the types of training.

    Raises what `find_columns` and `read_columns` do.
    """
    return read_columns(find_columns(preprocessing, path, table_format, purpose, carried))


def read_columns(columns: NewColumns) -> NewTable:
    """Read the columns that were found in a file, all of its rows at once.

    Raises DataError, also where categories or classes are all spelled otherwise than in training.
    """
    path, table_format, preprocessing = columns.path, columns.table_format, columns.preprocessing
    # A carried column is read verbatim, so that it is written unchanged; if one is also an input,
    # the file is read twice.
    texts: dict[str, StorageType] = dict.fromkeys(columns.carried, "verbatim")
    twice = bool(columns.names.keys() & texts.keys())
    wanted = [*columns.names] if twice else [*columns.names, *texts]
    types = columns.types | ({} if twice else texts)
    loose = {name: kind for name, kind in types.items() if name not in columns.numbers}
    series = [] if columns.group is None else [columns.group]
    compared = {*columns.numbers, *series}
    read = read_table(path, table_format, columns=wanted, types=loose, compared=compared)
    refuse_rounded(read.rounded, series)
    again = read_table(path, table_format, columns=columns.carried, types=texts) if twice else read
    spellings = Spellings(path, preprocessing, scored=columns.is_scored)
    spellings.add(read.frame[[*columns.names]].rename(columns=columns.names))
    spellings.refuse_others()
    if not all(is_number(read.frame[name]) for name in columns.numbers):  # which this reports
        read = read_table(path, table_format, columns=wanted, types=types, compared=compared)
    frame = columns.renamed(read.frame, read.rounded)
    if again.sha256 != read.sha256:
        raise changed_error(shown_of(path))
    if columns.weight is not None:
        check_weights(read.frame, columns.weight, partial(place_of, path, table_format))
    return NewTable(
        columns=columns,
        table=columns.fitted(frame),
        carried=again.frame[list(columns.carried)],
        sha256=read.sha256,
        parts=read.parts,
    )


class NewTableStream:
    """The rows of a file to predict, in pieces, for a model whose rows do not need each other.

    After the last piece, `sha256` is the hash of the file's bytes.
    """

    def __init__(self, columns: NewColumns) -> None:
        assert columns.preprocessing.history is None
        assert not columns.is_scored
        self.sha256 = ""
        self._columns = columns

    def pieces(self) -> "Iterator[tuple[pd.DataFrame, pd.DataFrame]]":
        """Yield the table's columns and those to copy, some rows at a time.

        Raises what `read_columns` does, at the latest after the last row.
        """
        columns = self._columns
        texts: dict[str, StorageType] = dict.fromkeys(columns.carried, "verbatim")
        twice = bool(columns.names.keys() & texts.keys())
        reads = [columns.types, texts] if twice else [columns.types | texts]
        stream = TableStream(columns.path, columns.table_format, reads, columns.numbers)
        spellings = Spellings(columns.path, columns.preprocessing, scored=False)
        wrong: DataError | None = None
        try:
            for piece in stream.pieces():
                spellings.add(piece.frames[0].rename(columns=columns.names))
                if wrong is not None:
                    continue
                try:
                    frame = columns.with_dates(columns.renamed(piece.frames[0], piece.rounded))
                except DataError as error:  # what follows may say more
                    wrong = error
                else:
                    yield frame, piece.frames[-1][[*columns.carried]]
        except DataError:
            if not {*columns.numbers}.isdisjoint(stream.invalid.names()):
                read_columns(columns)  # which sees whether they are words
            raise
        spellings.refuse_others()
        if wrong is not None:
            raise wrong
        self.sha256 = stream.sha256
