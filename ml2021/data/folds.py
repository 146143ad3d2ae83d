"""The folds of a cross-validation as numbers: each with the statistics of its own training rows.

Columns, categories and classes are those of all rows, so that the networks of all folds have one
shape and can be trained side by side. `ml2021.data.splits` deals the rows out to the folds,
`ml2021.training.cross_validation` trains them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.data.column_types import FeatureColumn
from ml2021.data.preprocessing import records as prep
from ml2021.data.preprocessing.fit import refit
from ml2021.data.samples import FittedTable, Samples
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
