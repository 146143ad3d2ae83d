"""Rows of a table as numbers: the inputs of a fitted model, and the targets to score it by.

The folds of a cross-validation are rows too, each fold with the statistics of its own training
rows; columns, categories and classes are those of all rows, so that the networks of all folds have
one shape and can be trained side by side.

Legend: N rows of the table, S samples, F inputs, T outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.data.column_types import FeatureColumn
from ml2021.data.preprocessing import records as prep
from ml2021.data.preprocessing.fit import refit
from ml2021.data.preprocessing.transform import Encoded, encode_classes, encode_inputs, encode_parts
from ml2021.data.series import complete_windows, futures
from ml2021.data.splits import Split

if TYPE_CHECKING:
    import pandas as pd


def evenly_spaced(length: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of the places 0 to length − 1, spread evenly, both ends among them."""
    if length <= most:
        return np.arange(length)
    return np.linspace(0, length - 1, most).round().astype(np.int64)


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
    targets: NDArray[np.float64] | NDArray[np.int64]
    previous: NDArray[np.float64] | None
    notes: tuple[str, ...]
    places: NDArray[np.int64]
    order: "pd.Series | None" = None

    @property
    def values(self) -> NDArray[np.float64]:
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
        self,
        frame: "pd.DataFrame",
        file_order: NDArray[np.int64],
        preprocessing: prep.Preprocessing,
    ) -> None:
        self.frame = frame
        self.file_order = file_order
        self._preprocessing = preprocessing

    @cached_property
    def series(self) -> NDArray[np.float64] | None:
        """The target's values (N,) where the model has a history."""
        if self._preprocessing.history is None:
            return None
        (name,) = set(self._preprocessing.target_columns)
        values: NDArray[np.float64] = self.frame[name].to_numpy(np.float64)
        return values

    def scorable_rows(self) -> NDArray[np.int64]:
        """Return the rows with a target, and with a history where the model has one."""
        history = self._preprocessing.history
        if history is not None:
            assert self.series is not None
            return complete_windows(self.series, history.lags, history.horizon)
        present = self.frame[list(self._preprocessing.target_columns)].notna().all(axis=1)
        return np.flatnonzero(present.to_numpy())

    def _places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where in the file these rows of the table stand."""
        if self._is_in_file_order:
            return rows  # for a large table, as much memory again as two of its columns
        places = np.empty_like(self.file_order)
        places[self.file_order] = np.arange(len(self.file_order))
        return places[rows]

    @cached_property
    def _is_in_file_order(self) -> bool:
        return bool((self.file_order[1:] > self.file_order[:-1]).all())

    def samples(self, rows: NDArray[np.int64], order: str | None = None) -> Samples:
        """Return those rows, each of them scorable; the column `order` goes along as it stands."""
        encoded = encode_inputs(self._preprocessing, self.frame, rows, self.series)
        return self._samples(rows, encoded, order)

    def take_samples(
        self, parts: Sequence[NDArray[np.int64]], order: str | None = None
    ) -> list[Samples]:
        """Return each part's rows as `samples` does; the features leave the table on the way."""
        kept = {*self._preprocessing.target_columns, order}

        def take(name: str) -> "pd.Series":
            column: pd.Series = self.frame[name] if name in kept else self.frame.pop(name)
            return column

        encoded = encode_parts(self._preprocessing, take, parts, self.series)
        return [self._samples(*part, order) for part in zip(parts, encoded, strict=True)]

    def _samples(self, rows: NDArray[np.int64], encoded: Encoded, order: str | None) -> Samples:
        target = self._preprocessing.target
        previous = None if self.series is None else self.series[rows - 1]
        targets: NDArray[np.float64] | NDArray[np.int64]
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
class Fold:
    """One fold: the rows that train and validate its network, and those that are held out."""

    preprocessing: prep.Preprocessing
    train: Samples
    validation: Samples
    held_out: Samples


class Folds:
    """All folds of a table; the numbers of each are made when they are asked for."""

    def __init__(
        self,
        frame: "pd.DataFrame",
        file_order: NDArray[np.int64],
        preprocessing: prep.Preprocessing,
        columns: Sequence[FeatureColumn],
        splits: Sequence[Split],
    ) -> None:
        """Take a table, what was fitted on all of its rows, and the rows of each fold."""
        self._frame = frame
        self._file_order = file_order
        self._preprocessing = preprocessing
        self._columns = columns
        self.splits = tuple(splits)

    def __len__(self) -> int:
        return len(self.splits)

    def load(self, index: int) -> Fold:
        """Return the fold of that number, counted from 0."""
        split = self.splits[index]
        preprocessing, table = self._fitted(split)
        return Fold(
            preprocessing,
            train=table.samples(split.train),
            validation=table.samples(split.validation),
            held_out=table.samples(split.test),
        )

    def held_out(self, index: int) -> tuple[prep.Preprocessing, Samples]:
        """Return the rows alone that the fold of that number holds out, and how it reads them."""
        split = self.splits[index]
        preprocessing, table = self._fitted(split)
        return preprocessing, table.samples(split.test)

    def _fitted(self, split: Split) -> tuple[prep.Preprocessing, FittedTable]:
        preprocessing = refit(self._preprocessing, self._frame, self._columns, split.train)
        return preprocessing, FittedTable(self._frame, self._file_order, preprocessing)
