"""Rows of a table as numbers: the inputs of a fitted model, and the targets to score it by.

A file that is not the training file is read here too: columns by name, kinds as training had them.

Legend: N rows of the table, S samples, F inputs, T outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.data import preprocessing as prep
from ml2021.data.columns import explain_missing
from ml2021.data.dates import sort_keys
from ml2021.data.encoding import Encoded, encode_classes, encode_inputs, encode_parts
from ml2021.data.files.source import changed_error
from ml2021.data.tables import Header, StorageKind, TableFormat, read_header, read_table
from ml2021.data.windows import complete_windows, futures
from ml2021.errors import ConfigError, DataError, echo
from ml2021.suggestions import suggest

if TYPE_CHECKING:
    import pandas as pd

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

_MOST_ABSENT = 5  # with more columns missing, it is another table, and one line says so


@dataclass(frozen=True)
class Samples:
    """Rows of a table, ready for the engine and for scoring.

    inputs: (S, F + 1) float32. targets: (S, T) float64, in the units of the data; for classes
    (S,) int64, the index of the class, −1 for one that training never saw. previous: (S,) float64,
    the value before each row of a series. notes: what was odd about the inputs. places: (S,) int64,
    where each row stands in its file, counted from 0. order: (S,) the values of the column that the
    rows are ordered or split by, as they stand in the file.
    """

    inputs: NDArray[np.float32]
    targets: Floats | NDArray[np.int64]
    previous: Floats | None
    notes: tuple[str, ...]
    places: Rows
    order: "pd.Series | None" = None

    @property
    def values(self) -> Floats:
        """The targets (S, T), where they are numbers."""
        assert self.targets.ndim == 2
        return np.asarray(self.targets, np.float64)

    @property
    def classes(self) -> NDArray[np.int64]:
        """The targets (S,), where they are classes."""
        assert self.targets.ndim == 1
        return np.asarray(self.targets, np.int64)

    def __len__(self) -> int:
        return len(self.inputs)


class FittedTable:
    """A table under the names of the training file, its rows in the order of the series.

    file_order: (N,) int64, where each row of the file has come to stand.
    """

    def __init__(
        self, frame: "pd.DataFrame", file_order: Rows, preprocessing: prep.Preprocessing
    ) -> None:
        self.frame = frame
        self.file_order = file_order
        self._preprocessing = preprocessing

    @cached_property
    def series(self) -> Floats | None:
        """The target's values (N,) where the model has a history."""
        if self._preprocessing.history is None:
            return None
        (name,) = set(self._preprocessing.target_columns)
        values: Floats = self.frame[name].to_numpy(np.float64)
        return values

    def scorable_rows(self) -> Rows:
        """Return the rows with a target, and with a history where the model has one."""
        history = self._preprocessing.history
        if history is not None:
            assert self.series is not None
            return complete_windows(self.series, history.lags, history.horizon)
        present = self.frame[list(self._preprocessing.target_columns)].notna().all(axis=1)
        return np.flatnonzero(present.to_numpy())

    def _places(self, rows: Rows) -> Rows:
        """Return where in the file these rows of the table stand."""
        if self._is_in_file_order:
            return rows  # for a large table, as much memory again as two of its columns
        places = np.empty_like(self.file_order)
        places[self.file_order] = np.arange(len(self.file_order))
        return places[rows]

    @cached_property
    def _is_in_file_order(self) -> bool:
        return bool((self.file_order[1:] > self.file_order[:-1]).all())

    def samples(self, rows: Rows, order: str | None = None) -> Samples:
        """Return those rows, each of them scorable; the column `order` goes along as it stands."""
        encoded = encode_inputs(self._preprocessing, self.frame, rows, self.series)
        return self._samples(rows, encoded, order)

    def take_samples(self, parts: Sequence[Rows], order: str | None = None) -> list[Samples]:
        """Return each part's rows as `samples` does; the features leave the table on the way."""
        kept = {*self._preprocessing.target_columns, order}

        def take(name: str) -> "pd.Series":
            column: pd.Series = self.frame[name] if name in kept else self.frame.pop(name)
            return column

        encoded = encode_parts(self._preprocessing, take, parts, self.series)
        return [self._samples(*part, order) for part in zip(parts, encoded, strict=True)]

    def _samples(self, rows: Rows, encoded: Encoded, order: str | None) -> Samples:
        target = self._preprocessing.target
        previous = None if self.series is None else self.series[rows - 1]
        targets: Floats | NDArray[np.int64]
        if isinstance(target, prep.ClassTarget):
            targets = encode_classes(target, self.frame[target.name].iloc[rows])
        elif self.series is not None:
            targets = futures(self.series, rows, target.width)
        else:
            targets = np.empty((len(rows), target.width))
            for index, name in enumerate(target.names):
                targets[:, index] = self.frame[name].to_numpy(np.float64)[rows]
        return Samples(
            inputs=encoded.inputs,
            targets=targets,
            previous=previous,
            notes=tuple(encoded.notes()),
            places=self._places(rows),
            order=self.frame[order].iloc[rows] if order in self.frame else None,
        )


@dataclass(frozen=True)
class MatchedTable:
    """A file read for a fitted model.

    carried: the columns to carry over, as text as it stands, in the order of the file. ignored: the
    columns that the model has no use for. sha256: of the file's bytes.
    """

    table: FittedTable
    carried: "pd.DataFrame"
    ignored: tuple[str, ...]
    sha256: str

    def notes(self) -> list[str]:
        """Say what was ignored."""
        if not self.ignored:
            return []
        shown = ", ".join(echo(name) for name in self.ignored[:8])
        more = f" and {len(self.ignored) - 8} more" if len(self.ignored) > 8 else ""
        return [f"columns ignored, the model has no use for them: {shown}{more}"]


def read_matching(
    preprocessing: prep.Preprocessing,
    path: Path,
    table_format: TableFormat,
    purpose: Literal["scored", "predicted"],
    carried: tuple[str, ...] = (),
) -> MatchedTable:
    """Read a file that is not the training file: columns by name, kinds as training had them.

    To be scored it needs the target, to be predicted only where that is the model's history.
    Raises DataError, or ConfigError for a name in `carried` that the file does not have.
    """
    header = read_header(path, table_format)
    positions = prep.match_columns(preprocessing, sources_of(header))
    kinds: dict[str, StorageKind] = {
        f.name: "number" if isinstance(f, prep.NumberFeature) else f.storage
        for f in preprocessing.features
    }
    history, target = preprocessing.history, preprocessing.target
    if history is not None or purpose == "scored":
        storage = target.storage if isinstance(target, prep.ClassTarget) else "number"
        kinds |= dict.fromkeys(preprocessing.target_columns, storage)
    needed = dict.fromkeys(kinds)
    if history is not None and history.order_by is not None:
        needed[history.order_by] = None
    absent = [name for name in needed if name not in positions]
    if len(absent) > _MOST_ABSENT:
        raise DataError(
            f"{path}: {len(absent)} of the {len(needed)} columns that the model needs are missing: "
            f"{', '.join(map(echo, absent[:_MOST_ABSENT]))}, ...; is this the right run?"
        )
    if absent:
        raise DataError(*(_explain_absent(path, header, preprocessing, name) for name in absent))
    if unknown := [name for name in carried if name not in header.names]:
        raise ConfigError(*(f"--id: {explain_missing(header, name)}" for name in unknown))
    names = {header.names[positions[name]]: name for name in needed}
    storage_of = {header.names[positions[name]]: kind for name, kind in kinds.items()}
    # A carried column is read as text, so that it is written as it stands; where it is an input
    # too, the file is read twice.
    texts: dict[str, StorageKind] = dict.fromkeys(carried, "text")
    twice = bool(names.keys() & texts.keys())
    columns, together = ([*names], storage_of) if twice else ([*names, *texts], texts | storage_of)
    read = read_table(path, table_format, columns=columns, kinds=together)
    again = read_table(path, table_format, columns=carried, kinds=texts) if twice else read
    if again.sha256 != read.sha256:
        raise changed_error(path)
    known = {header.names[position] for position in positions.values()} | set(carried)
    ordered, file_order = in_series_order(
        read.frame[list(names)].rename(columns=names), history.order_by if history else None
    )
    return MatchedTable(
        table=FittedTable(ordered, file_order, preprocessing),
        carried=again.frame[list(carried)],
        ignored=tuple(name for name in header.names if name not in known),
        sha256=read.sha256,
    )


def sources_of(header: Header) -> list[prep.Source]:
    """Return each column of a header as its name there and which of that name it is."""
    seen: dict[str, int] = {}
    sources = []
    for raw in header.raw:
        sources.append(prep.Source(raw=raw, occurrence=seen.get(raw, 0)))
        seen[raw] = seen.get(raw, 0) + 1
    return sources


def _explain_absent(
    path: Path, header: Header, preprocessing: prep.Preprocessing, name: str
) -> str:
    raw = preprocessing.sources[name].raw
    if raw in header.repeated or raw in header.raw:
        count = header.raw.count(raw)
        return f"{path}: column '{echo(name)}' is missing; '{echo(raw)}' occurs {count} times there"
    return f"{path}: column '{echo(name)}' is missing{suggest(raw, header.raw)}"


def in_series_order(frame: "pd.DataFrame", order_by: str | None) -> tuple["pd.DataFrame", Rows]:
    """Return the rows ordered by that column, equal ones as they stand, and the file order.

    The second is (N,) int64: where each row of the file has come to stand. Raises DataError where
    the column is missing in a row, or has no order.
    """
    if order_by is None:
        return frame, np.arange(len(frame))
    keys = sort_keys(frame[order_by], "data.order_by")
    missing = keys == "" if keys.dtype.kind == "U" else np.isnan(keys)
    if missing.any():
        raise DataError(
            f"column '{echo(order_by)}', used as data.order_by, is missing in {missing.sum()} "
            "rows; fill it in, or order the file itself"
        )
    order = np.argsort(keys, kind="stable")
    return frame.take(order).reset_index(drop=True), np.argsort(order)
