"""Samples: rows of a table as inputs of a fitted model, and the targets to score it by.

Legend: N rows of the table, S samples, F inputs, T outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.data.column_types import FeatureColumn
from ml2021.data.groups import Codes
from ml2021.data.preprocessing.fit import refit
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing
from ml2021.data.preprocessing.transform import (
    Encoded,
    encode_classes,
    encode_inputs,
    encode_on_disk,
    encode_splits,
)
from ml2021.data.series import complete_windows, fill_gaps, futures, note_on_filled, series_of
from ml2021.data.splits import Split
from ml2021.data.tables import Rows
from ml2021.data.weights import Weights, weights_of
from ml2021.disk import empty, kept, uses_disk
from ml2021.formatting import listed, plural
from ml2021.memory import check_fits

if TYPE_CHECKING:
    import pandas as pd


def evenly_spaced(length: int, most: int) -> Rows:
    """Return at most `most` of the indices 0 to length − 1, evenly spaced, including both ends."""
    if length <= most:
        return np.arange(length)
    return np.linspace(0, length - 1, most).round().astype(np.int64)


def one_of_each(length: int, most: int) -> Rows:
    """Return at most `most` of the indices 0 to length − 1, one drawn from each part of as many.

    The same ones each time. No period of the rows can hide, as it can from evenly spaced ones.
    """
    if length <= most:
        return np.arange(length)
    edges = np.arange(most + 1) * length // most
    return edges[:-1] + (np.random.default_rng(0).random(most) * np.diff(edges)).astype(np.int64)


@dataclass(frozen=True)
class Samples:
    """Rows of a table, ready for the engine and for scoring.

    inputs: (S, F + 1) float32. targets: (S, T) float64 in the units of the data, or (S,) int64
    class indices, −1 for a class without training rows. previous: (S,) float64, the value before
    each row of a series. notes: on odd inputs. places: (S,) int64, the position of each row in its
    file, from 0. outside, unseen: how many rows have a value outside the training range, or a
    category not seen in training, by column. order: (S,) the column that orders or splits the rows,
    as in the file. groups: (S,) the column that tells several series apart. weights: (S,) float64,
    above 0; None: all rows weigh the same. clusters: (S,) a number that rows of one group share, if
    rows belong together.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.float64] | NDArray[np.int64]
    previous: NDArray[np.float64] | None
    notes: tuple[str, ...]
    places: Rows
    outside: Mapping[str, int] = field(default_factory=dict)
    unseen: Mapping[str, int] = field(default_factory=dict)
    order: "pd.Series | None" = None
    groups: "pd.Series | None" = None
    weights: Weights = None
    clusters: Codes | None = None

    @property
    def values(self) -> NDArray[np.float64]:
        """The targets (S, T) of a regression or structured output."""
        assert self.targets.ndim == 2
        return np.asarray(self.targets, np.float64)

    @property
    def classes(self) -> NDArray[np.int64]:
        """The class indices (S,)."""
        assert self.targets.ndim == 1
        return np.asarray(self.targets, np.int64)

    def __len__(self) -> int:
        return len(self.inputs)

    def at(self, rows: Rows) -> "Samples":
        """Return the samples of these positions, without counts or notes of odd inputs."""
        return replace(
            self,
            inputs=self.inputs[rows],
            targets=self.targets[rows],
            previous=None if self.previous is None else self.previous[rows],
            places=self.places[rows],
            order=None if self.order is None else self.order.iloc[rows],
            groups=None if self.groups is None else self.groups.iloc[rows],
            weights=None if self.weights is None else self.weights[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
            notes=(),
            outside={},
            unseen={},
        )


def notes_on_unfamiliar(split: str, samples: Samples) -> list[str]:
    """Return notes on values of validation or test rows that training has not seen, as predict."""
    notes = []
    for counts, what in (
        (samples.outside, "values outside the training range"),
        (samples.unseen, "categories not seen in training"),
    ):
        if counts:
            most = sorted(counts.items(), key=lambda pair: -pair[1])
            columns = listed((f"{name} {count:,}" for name, count in most), 3)
            notes.append(f"{split} rows with {what}: {columns} (of {len(samples):,})")
    return notes


@dataclass(frozen=True)
class FittedTable:
    """A table with the column names of the training file, in series order.

    file_order: (N,) int64, the position in the table of each row of the file. clusters: (N,) the
    group of each row, if rows that are no series belong together.
    """

    frame: "pd.DataFrame"
    file_order: Rows
    preprocessing: Preprocessing
    clusters: Codes | None = None

    @cached_property
    def series(self) -> NDArray[np.float64] | None:
        """The target's values (N,) if the model has a history, else None."""
        if self.preprocessing.history is None:
            return None
        return self.frame[self.preprocessing.target_columns[0]].to_numpy(np.float64)

    @cached_property
    def groups(self) -> Codes | None:
        """The number of each row's series (N,), −1 for none; None if all are one series."""
        return series_of(self.frame, self._group_by)

    @property
    def _group_by(self) -> str | None:
        """The column that tells several series apart, if any."""
        history = self.preprocessing.history
        return None if history is None else history.group_by

    @cached_property
    def filled(self) -> NDArray[np.float64] | None:
        """The `series` (N,) with short gaps filled, for the history of other rows."""
        if self.series is None:
            return None
        assert self.preprocessing.history is not None
        return fill_gaps(self.series, self.preprocessing.history.gap_limit, self.groups)

    def notes_on_filled(self, rows: Rows) -> list[str]:
        """Return a note on the values that were filled in the histories of these rows."""
        history = self.preprocessing.history
        if history is None or not history.gap_limit:
            return []
        assert self.series is not None
        assert self.filled is not None
        name = self.preprocessing.target_columns[0]
        return note_on_filled(name, self.series, self.filled, rows, history.lags)

    def scorable_rows(self) -> Rows:
        """Return the rows with a target and, if the model has one, a complete history.

        Rows without a weight, or with weight 0, are not among them.
        """
        if (history := self.preprocessing.history) is not None:
            assert self.series is not None
            lags, horizon = history.lags, history.horizon
            rows = complete_windows(self.series, lags, horizon, self.groups, self.filled)
        else:
            columns = list(self.preprocessing.target_columns)
            rows = np.flatnonzero(self.frame[columns].notna().all(axis=1))
        weights = weights_of(self.frame, self.preprocessing.weight, rows)
        return rows if weights is None else rows[weights > 0]

    @property
    def needed_to_score(self) -> str:
        """What the rows of `scorable_rows` have, in words."""
        history = " or history" if self.preprocessing.history is not None else ""
        is_weighted = weights_of(self.frame, self.preprocessing.weight, np.arange(0)) is not None
        return f"target{history}{' or weight' if is_weighted else ''}"

    def _places(self, rows: Rows) -> Rows:
        """Return the positions in the file of these rows of the table."""
        if (self.file_order[1:] > self.file_order[:-1]).all():
            return rows  # saves the memory of two columns
        places = np.empty_like(self.file_order)
        places[self.file_order] = np.arange(len(self.file_order))
        return kept(places[rows])

    def samples(self, rows: Rows, order: str | None = None) -> Samples:
        """Return these rows, all of them scorable, with the column `order` as in the file.

        Raises ResourceError if their inputs do not fit into memory.
        """
        if uses_disk():
            take = self.frame.__getitem__
            (encoded,) = encode_on_disk(self.preprocessing, take, [rows], self.filled)
        else:
            _check_fits(self.preprocessing, [rows])
            encoded = encode_inputs(self.preprocessing, self.frame, rows, self.filled)
        samples = self._samples(rows, encoded, order)
        return replace(samples, notes=(*samples.notes, *self.notes_on_filled(rows)))

    def apart(self, order: str | None = None) -> tuple["FittedTable", "dict[str, pd.Series]"]:
        """Return the table without the features that only the inputs need, and these by name.

        All at once: removing one by one takes time that grows with the square of their number.
        """
        fitted = self.preprocessing
        kept = [*fitted.target_columns, fitted.weight, self._group_by, order]
        kept = [name for name in dict.fromkeys(kept) if name in self.frame]
        names = {feature.name for feature in fitted.features}.difference(kept)
        features = {name: self.frame[name] for name in self.frame if name in names}
        return replace(self, frame=self.frame[kept]), features

    def take_samples(
        self, features: "dict[str, pd.Series]", splits: Sequence[Rows], order: str | None = None
    ) -> list[Samples]:
        """Return `samples` of each of the splits of a table whose `features` are `apart`.

        They are removed from the dictionary one by one, to free their memory early. Raises
        ResourceError if the inputs do not fit into memory.
        """

        def take(name: str) -> "pd.Series":
            return features.pop(name) if name in features else self.frame[name]

        if uses_disk():
            encoded = encode_on_disk(self.preprocessing, take, splits, self.filled)
        else:
            _check_fits(self.preprocessing, splits)
            encoded = encode_splits(self.preprocessing, take, splits, self.filled)
        return [self._samples(*split, order) for split in zip(splits, encoded, strict=True)]

    def _samples(self, rows: Rows, encoded: Encoded, order: str | None) -> Samples:
        target = self.preprocessing.target
        targets: NDArray[np.float64] | NDArray[np.int64]
        if isinstance(target, ClassTarget):
            targets = kept(encode_classes(target, self.frame[target.name].iloc[rows]))
        elif self.series is not None:
            targets = kept(futures(self.series, rows, target.width))
        else:
            targets = empty((len(rows), target.width), np.float64)
            for index, name in enumerate(target.names):
                targets[:, index] = self.frame[name].to_numpy(np.float64)[rows]
        weights = weights_of(self.frame, self.preprocessing.weight, rows)
        return Samples(
            inputs=encoded.inputs,
            targets=targets,
            previous=None if self.series is None else self.series[rows - 1],
            notes=tuple(encoded.odd.notes(self.preprocessing)),
            outside=encoded.odd.outside,
            unseen=encoded.odd.unseen,
            places=self._places(rows),
            order=self.frame[order].iloc[rows] if order in self.frame else None,
            groups=None if self._group_by is None else self.frame[self._group_by].iloc[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
            weights=None if weights is None else kept(weights),
        )


_CERTAIN_TO_FIT = 1 << 20
"""Bytes of inputs for which the system is not asked, as that takes a millisecond."""


def _check_fits(preprocessing: Preprocessing, splits: Sequence[Rows]) -> None:
    """Raise ResourceError if the inputs of these rows do not fit, and one split's once more."""
    width, rows = len(preprocessing.inputs), [*map(len, splits)]
    needed = 4 * (width + 1) * (sum(rows) + max(rows))
    if needed > _CERTAIN_TO_FIT:
        what = f"{plural(sum(rows), 'row')} of {plural(width, 'input')}"
        check_fits(needed, what, "end other programs, or use fewer rows")


@dataclass(frozen=True)
class Fold:
    """One fold: the samples that train and validate its network, and those held out."""

    preprocessing: Preprocessing
    train: Samples
    validation: Samples
    held_out: Samples


@dataclass(frozen=True)
class Folds:
    """The folds of a table that is fitted on all its rows; a fold's samples are made on demand.

    Each fold has the statistics of its own training rows, but the columns, categories and classes
    of all rows, so that the networks of all folds have one shape and can be trained together. An
    input that is constant in a fold's training rows is 0 in all of its rows.
    """

    table: FittedTable
    columns: Sequence[FeatureColumn]
    splits: Sequence[Split]

    def __len__(self) -> int:
        return len(self.splits)

    def load(self, index: int) -> Fold:
        """Return a fold by its index."""
        table = self._fitted(index)
        train, validation, held_out = map(table.samples, self.splits[index].rows.values())
        constant = np.flatnonzero(np.ptp(train.inputs[:, :-1], axis=0) == 0)
        for samples in (train, validation, held_out):
            samples.inputs[:, constant] = 0
        return Fold(table.preprocessing, train, validation, held_out)

    def held_out(self, index: int) -> tuple[Preprocessing, Samples]:
        """Return the preprocessing and the held-out samples of a fold by its index."""
        fold = self.load(index)
        return fold.preprocessing, fold.held_out

    def _fitted(self, index: int) -> FittedTable:
        table, rows = self.table, self.splits[index].train
        fitted = refit(table.preprocessing, table.frame, self.columns, rows)
        return replace(table, preprocessing=fitted)
