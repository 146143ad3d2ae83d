"""The rows of explore.html: a few of a split, as the table has them.

The samples of a run are encoded already; what a person moves are the values of the columns, so the
table is read once more.
Legend: N rows of the table, S rows of a block, C columns of the page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.source import changed_error
from ml2021.data.load import TrainingData
from ml2021.data.new_table import read_new_table
from ml2021.data.parts import find_parts, shown_of
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    NumberFeature,
    Preprocessing,
    value_text,
)
from ml2021.data.preprocessing.transform import positions_of
from ml2021.data.resolve import table_format_of
from ml2021.data.samples import FittedTable, Samples, evenly_spaced
from ml2021.data.series import histories
from ml2021.data.tables import Rows

if TYPE_CHECKING:
    import pandas as pd

Values = list[NDArray[np.float64]]
"""Of each column of the page (N,): numbers, NaN if missing; or places of categories, −1 for none"""


@dataclass(frozen=True)
class Source:
    """A table of the run, in the order of its series, with the values of the page's columns."""

    table: FittedTable
    values: Values

    def rows_of(self, places: Rows) -> Rows:
        """Return the rows of the table that stand at these positions of its file."""
        return self.table.file_order[places]

    def of_rows(self, places: Rows) -> Values:
        """Return the values (S,) of each column in the rows at these positions of the file.

        Of a series, lags reach back from each row; rows without a whole history must not be asked.
        """
        preprocessing, rows = self.table.preprocessing, self.rows_of(places)
        found = [values[rows] for values in self.values]
        if (history := preprocessing.history) is not None:
            assert self.table.filled is not None
            found += [*histories(self.table.filled, rows, history.used).T]
        return found


def read_source(data: TrainingData, path: str | list[str], sha256: str | None) -> Source:
    """Read the training table, or that of data.test_path, again. Raises DataError."""
    table = find_parts(path)
    new = read_new_table(data.preprocessing, table, table_format_of(data.config.data), "scored")
    if new.sha256 != sha256:
        raise changed_error(shown_of(table))
    return Source(new.table, values_of(data.preprocessing, new.table.frame.__getitem__))


def values_of(preprocessing: Preprocessing, column_of: "Callable[[str], pd.Series]") -> Values:
    """Return the values (N,) of each feature."""
    return [
        column_of(feature.name).to_numpy(np.float64)
        if isinstance(feature, NumberFeature)
        else places_of(feature, column_of(feature.name)).astype(np.float64)
        for feature in preprocessing.features
    ]


def places_of(feature: CategoryFeature, column: "pd.Series") -> NDArray[np.int64]:
    """Return which input each value (N,) of a category sets, −1 for none of them."""
    places = positions_of(feature.categories, feature.storage, column)
    if feature.rarer:
        places[(places < 0) & ~column.isna().to_numpy()] = len(feature.categories)
    return places


def plain(value: float) -> int | float | None:
    """Return a number as JSON has it in the fewest characters; None if it is missing."""
    value = float(value)
    if np.isnan(value):
        return None
    return int(value) if value == int(value) and abs(value) < 1e15 else value


def block(
    part: str, samples: Samples, source: Source, most: int, *, seen: bool, is_series: bool
) -> dict[str, Any]:
    """Return at most `most` rows of a split: evenly spaced, or the last ones of a series."""
    kept = np.arange(max(0, len(samples) - most), len(samples))
    if not is_series:
        kept = evenly_spaced(len(samples), most) if most else kept[:0]
    places, truth = samples.places[kept], samples.targets[kept]
    columns = [[*map(plain, values)] for values in source.of_rows(places)]
    truths = truth[:, None] if truth.ndim == 1 else truth
    return {
        "part": part,
        "seen": seen,
        "total": len(samples),
        "places": places.tolist(),
        "values": [list(row) for row in zip(*columns, strict=True)],
        "truth": [[*map(plain, row)] for row in truths.tolist()],
        "weights": None if samples.weights is None else samples.weights[kept].tolist(),
        "order": _texts(samples.order, kept),
        "group": _texts(samples.groups, kept),
    }


def _texts(column: "pd.Series | None", kept: Rows) -> Sequence[str] | None:
    """Return the values of a column that tells rows apart as text, None without such a column."""
    if column is None:
        return None
    return [
        value if isinstance(value, str) else "" if value != value else value_text(value)
        for value in column.iloc[kept]
    ]
