"""Rows of a table as the inputs of a network, by a preprocessing that was fitted before.

Legend: N rows, F inputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    History,
    NumberFeature,
    Preprocessing,
)
from ml2021.data.series import histories
from ml2021.errors import DataError
from ml2021.formatting import echo

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_ONCE = 1 << 14  # whose numbers stay in the cache from one step to the next

_FARTHEST = 1e18  # deviations from the mean, whose square float32 still holds


@dataclass
class Encoded:
    """Inputs (N, F + 1) float32, the last column 1, and what was odd about them, by column."""

    inputs: NDArray[np.float32]
    missing: dict[str, int] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """Say it in a line for each kind of oddity."""
        texts = {
            "missing values filled (a category: none of them)": self.missing,
            "categories never seen in training, encoded as none": self.unseen,
            "values outside the range of the training rows": self.outside,
        }
        return [
            f"{what}: {', '.join(f'{echo(name)} {count}' for name, count in counts.items())}"
            for what, counts in texts.items()
            if counts
        ]


def encode_inputs(
    preprocessing: Preprocessing,
    frame: "pd.DataFrame",
    rows: NDArray[np.int64],
    series: NDArray[np.float64] | None = None,
) -> Encoded:
    """Return the inputs of those rows of the table.

    With a history, `series` holds the target's values in order, and each row's history is complete.
    """
    (encoded,) = encode_parts(preprocessing, frame.__getitem__, [rows], series)
    return encoded


def encode_parts(
    preprocessing: Preprocessing,
    column_of: "Callable[[str], pd.Series]",
    parts: Sequence[NDArray[np.int64]],
    series: NDArray[np.float64] | None = None,
) -> list[Encoded]:
    """Return the inputs of several sets of rows, as `encode_inputs` does of one.

    Each column is asked for once, in the order of the features, and not kept, so that `column_of`
    may let go of it: it and its inputs need not find room beside all the others. Inputs are made
    column by column for the same reason: a column written into rows takes up the memory of them
    all. Turning them takes a fifth of the time, too.
    """
    width = len(preprocessing.inputs) + 1
    by_column = [np.zeros((width, len(rows)), np.float32) for rows in parts]
    found = [Encoded(inputs.T) for inputs in by_column]
    start = 0
    for feature in preprocessing.features:
        column = column_of(feature.name)
        stop = start + len(feature.inputs)
        for rows, inputs, encoded in zip(parts, by_column, found, strict=True):
            if isinstance(feature, NumberFeature):
                _encode_numbers(feature, column, rows, inputs[start:stop], encoded)
            else:
                _encode_categories(feature, column.iloc[rows], inputs[start:stop], encoded)
        start = stop
    for rows, inputs in zip(parts, by_column, strict=True):
        if (history := preprocessing.history) is not None:
            assert series is not None
            values_before = histories(series, rows, history.lags)
            standardised = (values_before - history.mean) / history.scale
            (name,) = set(preprocessing.target_columns)
            _refuse_far(name, values_before, standardised, history)
            inputs[start:-1] = standardised.T
        inputs[-1] = 1
    by_column.clear()
    for encoded in found:
        encoded.inputs = np.ascontiguousarray(encoded.inputs)
    return found


def encode_classes(target: ClassTarget, values: "pd.Series") -> NDArray[np.int64]:
    """Return the index (N,) of each row's class, −1 for one that training never saw."""
    return _positions(target.classes, target.storage, values)


def _encode_numbers(
    feature: NumberFeature,
    column: "pd.Series",
    rows: NDArray[np.int64],
    inputs: NDArray[np.float32],
    encoded: Encoded,
) -> None:
    numbers = column.to_numpy(np.float64)
    count_missing = count_outside = 0
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, len(rows))
        values = numbers[rows[start:stop]]
        missing = np.isnan(values)
        if missing.any():
            count_missing += int(missing.sum())
            values[missing] = feature.fill
        if values.min() < feature.minimum or values.max() > feature.maximum:
            outside = (values < feature.minimum) | (values > feature.maximum)
            count_outside += int(outside.sum())
        standardised = (values - feature.mean) / feature.scale
        _refuse_far(feature.name, values, standardised, feature)
        inputs[0, start:stop] = standardised
        if feature.has_indicator:
            inputs[1, start:stop] = missing
    if count_missing:
        encoded.missing[feature.name] = count_missing
    if count_outside:
        encoded.outside[feature.name] = count_outside


def _refuse_far(
    name: str,
    values: NDArray[np.float64],
    standardised: NDArray[np.float64],
    fitted: NumberFeature | History,
) -> None:
    """Raise DataError for a value that is so far off that float32 does not hold its square."""
    if standardised.size and max(standardised.max(), -standardised.min()) > _FARTHEST:
        odd = values.flat[np.abs(standardised).argmax()]
        raise DataError(
            f"column '{echo(name)}': {odd:g} is too far from the training rows, whose mean is "
            f"{fitted.mean:g} and deviation {fitted.scale:g}; correct it, or add it to data.missing"
        )


def _encode_categories(
    feature: CategoryFeature, column: "pd.Series", inputs: NDArray[np.float32], encoded: Encoded
) -> None:
    positions = _positions(feature.categories, feature.storage, column)
    known = np.flatnonzero(positions >= 0)
    inputs[positions[known], known] = 1
    missing = int(column.isna().sum())
    if missing:
        encoded.missing[feature.name] = missing
    unseen = len(column) - len(known) - missing
    if unseen:
        encoded.unseen[feature.name] = unseen


def _positions(
    known: tuple[str, ...] | tuple[float, ...],
    storage: Literal["number", "text"],
    column: "pd.Series",
) -> NDArray[np.int64]:
    """Return the index (N,) of each value among `known`, −1 for any other."""
    import pandas as pd

    if storage == "number":
        index, values = pd.Index(known, dtype="float64"), pd.Index(column, dtype="float64")
    else:
        index, values = pd.Index(known, dtype="object"), pd.Index(column, dtype="object")
    return index.get_indexer(values).astype(np.int64)
