"""The folds of a cross-validation as numbers: each with the statistics of its own training rows.

Columns, categories and classes are those of all rows, so that the networks of all folds have one
shape and can be trained side by side. Which rows are in which fold is `ml2021.partition`'s to say,
and training them is left to `ml2021.crossvalidation`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml2021.data import preprocessing as prep
from ml2021.data.fitting import refit
from ml2021.data.kinds import FeatureColumn
from ml2021.data.samples import FittedTable, Rows, Samples
from ml2021.data.splits import Split

if TYPE_CHECKING:
    import pandas as pd


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
        file_order: Rows,
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
