"""Apply a fitted preprocessing: from rows of a table to the inputs of a network.

Legend: N rows, F inputs.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import has_large
from ml2021.data.csv.parser import Column
from ml2021.data.preprocessing.pieces import encode_pieces
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    History,
    NumberFeature,
    Preprocessing,
    shown_value,
)
from ml2021.data.series import histories
from ml2021.data.tables import Rows
from ml2021.disk import empty
from ml2021.errors import DataError
from ml2021.files import map_in_threads
from ml2021.formatting import echo, listed, plural, visible

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_ONCE = 1 << 14  # few enough to stay in the CPU cache
Counts = Counter[str | float]
"""How often each value of a column occurs."""
_BLOCK = 1 << 16
"""Rows of a table that are encoded at a time where the inputs are on the disk."""
_FEW = 50  # rows for which pandas takes longer to begin than Python to end
LISTED = "list {} in data.missing"
"""How a value of a file becomes a missing one."""
FARTHEST = 1e18  # standard deviations from the mean; float32 can still hold the square


@dataclass
class Encoded:
    """Inputs (N, F + 1) float32, the last column 1, and what is odd in them."""

    inputs: NDArray[np.float32]
    odd: "OddValues" = field(default_factory=lambda: OddValues())


@dataclass
class OddValues:
    """How many odd values the rows of a table have, by column.

    examples: how often a column has each of its unseen values, of very many the most frequent.
    """

    missing: dict[str, int] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    unseen_as_other: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    examples: dict[str, Counts] = field(default_factory=dict)

    def sort(self, preprocessing: Preprocessing) -> None:
        """Put the columns in the order in which they are encoded."""
        names = [f.name for f in preprocessing.features] + [d.name for d in preprocessing.dates]
        for key, own in vars(self).items():
            setattr(self, key, {name: own[name] for name in names if name in own})

    def add(self, other: "OddValues") -> None:
        """Count those of further rows, too."""
        for name in ("missing", "unseen", "unseen_as_other", "outside"):
            counts: dict[str, int] = getattr(self, name)
            for column, count in getattr(other, name).items():
                counts[column] = counts.get(column, 0) + count
        for column, found in other.examples.items():
            add_counts(self.examples.setdefault(column, Counter()), found)

    def notes(self, preprocessing: Preprocessing) -> list[str]:
        """Return a note on each type of odd value, columns in the order of the features.

        Of very many columns, those with the most odd values come first.
        """
        categories = {f.name for f in preprocessing.features if isinstance(f, CategoryFeature)}
        encoded = categories | {d.name for d in preprocessing.dates if categories & {*d.features}}
        as_none = " (categories: encoded as none)" if encoded & self.missing.keys() else ""
        texts = {
            f"missing values filled{as_none}": self.missing,
            f"{UNSEEN}, encoded as none": self.unseen,
            f"{UNSEEN}, encoded as other": self.unseen_as_other,
            "values outside the training range": self.outside,
        }
        columns = [each.name for each in (*preprocessing.features, *preprocessing.dates)]
        notes = []
        for what, counts in texts.items():
            are_unseen = counts is self.unseen or counts is self.unseen_as_other
            odd = [name for name in columns if name in counts]
            if more := max(0, len(odd) - _MOST_LISTED):
                odd = sorted(odd, key=lambda name: -counts[name])[:_MOST_LISTED]
            shown = [
                f"{visible(name)} {counts[name]:,}"
                + (f" ({shown_counts(self.examples[name])})" if are_unseen else "")
                for name in odd
            ]
            shown += [f"and {plural(more, 'more column')}"] if more else []
            notes += [f"{what}: {', '.join(shown)}"] if shown else []
        return notes


UNSEEN = "categories not seen in training"
_MOST_LISTED = 12
"""Of more columns with odd values, those with most of them are listed."""
_MOST_DISTINCT = 100_000


def add_counts(counts: Counts, more: Counts) -> None:
    """Add counts in place; of very many distinct values keep the most frequent ones."""
    counts.update(more)
    if len(counts) > _MOST_DISTINCT:
        kept = counts.most_common(_MOST_DISTINCT // 2)
        counts.clear()
        counts.update(dict(kept))


def as_column(values: "pd.Series | Column") -> "Column":
    """Return the values (N,) of a column without an index."""
    import pandas as pd

    return values if isinstance(values, pd.Categorical) else np.asarray(values)


def encode_inputs(
    preprocessing: Preprocessing,
    frame: "pd.DataFrame | Mapping[str, Column]",
    rows: Rows,
    series: NDArray[np.float64] | None = None,
    remedy: str = LISTED,
) -> Encoded:
    """Return the inputs of these rows of the table, a frame or its columns by name.

    Texts may also be a Categorical of them, so that each is looked up once, not once a row.
    With a history, `series` holds the target's values in order; each row's history is complete.
    remedy: how a value becomes a missing one. Raises DataError for a value that is too large.
    """
    (encoded,) = encode_splits(preprocessing, frame.__getitem__, [rows], series, remedy)
    return encoded


def encode_splits(
    preprocessing: Preprocessing,
    column_of: "Callable[[str], pd.Series | Column]",
    splits: Sequence[Rows],
    series: NDArray[np.float64] | None = None,
    remedy: str = LISTED,
) -> list[Encoded]:
    """Return the inputs of several sets of rows, as `encode_inputs` does for one.

    `column_of` is called once per feature, in order, and its result is not kept, so that it may
    remove the column from the table: columns and inputs then never fill the memory together.
    For the same reason the inputs are column-major until the end: writing a column into rows would
    allocate all rows at once. Transposing at the end takes a fifth of the time, too.
    """
    width = preprocessing.sizes[0] + 1
    by_column = [np.zeros((width, len(rows)), np.float32) for rows in splits]
    found = [Encoded(inputs.T) for inputs in by_column]
    start = 0
    for feature in preprocessing.features:
        column = as_column(column_of(feature.name))
        stop = start + feature.width
        for rows, inputs, encoded in zip(splits, by_column, found, strict=True):
            if isinstance(feature, NumberFeature):
                numbers = np.asarray(column)
                _encode_numbers(feature, numbers, rows, inputs[start:stop], encoded, remedy)
            else:
                _encode_categories(feature, column[rows], inputs[start:stop], encoded)
        start = stop
    for rows, inputs in zip(splits, by_column, strict=True):
        if (history := preprocessing.history) is not None:
            assert series is not None
            values = histories(series, rows, history.used)
            if values.size:
                low, high = float(values.min()), float(values.max())
                name = preprocessing.target_columns[0]
                _refuse_far(name, low, high, history, remedy)
            inputs[start:-1] = _standardise(values, history).T
        inputs[-1] = 1
    by_column.clear()
    for encoded in found:
        for date in preprocessing.dates:  # a missing date is one missing value, not one a part
            counts = [encoded.odd.missing.pop(name, 0) for name in date.features]
            encoded.odd.missing |= {date.name: max(counts)} if any(counts) else {}
        encoded.inputs = np.ascontiguousarray(encoded.inputs)
    return found


def encode_on_disk(
    preprocessing: Preprocessing,
    column_of: "Callable[[str], pd.Series]",
    splits: Sequence[Rows],
    series: NDArray[np.float64] | None = None,
) -> list[Encoded]:
    """Return what `encode_splits` does, for sorted rows, with the inputs in files: row by row.

    The table is gone through once, some rows at a time; memory holds these alone.
    """
    width = len(preprocessing.inputs) + 1
    found = [Encoded(empty((len(rows), width), np.float32)) for rows in splits]
    columns = {feature.name: column_of(feature.name) for feature in preprocessing.features}
    back = 0 if preprocessing.history is None else preprocessing.history.lags
    assert all((rows[1:] > rows[:-1]).all() for rows in splits)

    def encode(start: int) -> list[OddValues]:
        first = max(0, start - back)
        block = slice(first, start + _BLOCK)
        places = [slice(*np.searchsorted(rows, [start, start + _BLOCK])) for rows in splits]
        blocks = {name: column.iloc[block] for name, column in columns.items()}
        encoded = encode_splits(
            preprocessing,
            blocks.__getitem__,
            [rows[place] - first for rows, place in zip(splits, places, strict=True)],
            None if series is None else series[block],
        )
        for whole, place, part in zip(found, places, encoded, strict=True):
            whole.inputs[place] = part.inputs
        return [part.odd for part in encoded]

    stop = max((int(rows[-1]) + 1 for rows in splits if len(rows)), default=0)
    for odds in map_in_threads(encode, range(0, stop, _BLOCK)):
        for whole, odd in zip(found, odds, strict=True):
            whole.odd.add(odd)
    for whole in found:
        whole.odd.sort(preprocessing)
    return found


def encode_classes(target: ClassTarget, values: "pd.Series") -> NDArray[np.int64]:
    """Return the class index (N,) of each row, −1 for a class not seen in training."""
    return positions_of(target.classes, target.storage, values)


def _encode_numbers(
    feature: NumberFeature,
    column: NDArray[Any],
    rows: Rows,
    inputs: NDArray[np.float32],
    encoded: Encoded,
    remedy: str,
) -> None:
    numbers = column.astype(np.float64, copy=False)
    count_missing = count_outside = 0
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, len(rows))
        values = numbers[rows[start:stop]]
        low, high = float(values.min()), float(values.max())
        if low != low:
            missing = np.isnan(values)
            count_missing += int(missing.sum())
            values[missing] = feature.fill
            low, high = float(values.min()), float(values.max())
            if feature.has_indicator:
                inputs[int(feature.has_value), start:stop] = missing
        if low < feature.minimum or high > feature.maximum:
            outside = (values < feature.minimum) | (values > feature.maximum)
            count_outside += int(outside.sum())
        if feature.has_value:
            _refuse_far(feature.name, low, high, feature, remedy)
            inputs[0, start:stop] = _standardise(values, feature)
        if feature.edges:
            pieces = len(feature.edges) - 1
            inputs[-pieces:, start:stop] = encode_pieces(feature.edges, feature.centres, values)
    if count_missing:
        encoded.odd.missing[feature.name] = count_missing
    if count_outside:
        encoded.odd.outside[feature.name] = count_outside


def _standardise(
    values: NDArray[np.float64], fitted: NumberFeature | History
) -> NDArray[np.float64]:
    """Return values that `_refuse_far` has let pass, in deviations from the mean."""
    standardised: NDArray[np.float64] = (values - fitted.mean) / fitted.scale
    return standardised


def _refuse_far(
    name: str, low: float, high: float, fitted: NumberFeature | History, remedy: str
) -> None:
    """Raise DataError for a value so far from the mean that its square overflows float32.

    low, high: the smallest and the largest of the values, one of which is farthest.
    """
    if max(high - fitted.mean, fitted.mean - low) / fitted.scale > FARTHEST:
        odd = high if high - fitted.mean > fitted.mean - low else low
        raise DataError(
            f"column '{echo(name)}': {odd:g} is out of range (training mean {fitted.mean:g}, "
            f"standard deviation {fitted.scale:g}); correct it, or {remedy.format('it')}"
        )


def _encode_categories(
    feature: CategoryFeature, values: "Column", inputs: NDArray[np.float32], encoded: Encoded
) -> None:
    positions = positions_of(feature.categories, feature.storage, values)
    is_known = positions >= 0
    is_missing = values != values if isinstance(values, np.ndarray) else values.codes < 0
    if feature.rarer:
        is_known |= positions_of(feature.rarer, feature.storage, values) >= 0
        positions[(positions < 0) & ~is_missing] = len(feature.categories)
    encoded_rows = np.flatnonzero(positions >= 0)
    inputs[positions[encoded_rows], encoded_rows] = 1
    if missing := int(is_missing.sum()):
        encoded.odd.missing[feature.name] = missing
    is_unseen = ~is_known & ~is_missing
    if unseen := int(is_unseen.sum()):
        counts = encoded.odd.unseen_as_other if feature.rarer else encoded.odd.unseen
        counts[feature.name] = unseen
        encoded.odd.examples[feature.name] = value_counts(values[is_unseen])


def value_counts(values: "pd.Series | Column") -> Counts:
    """Return how often each value occurs that is not missing."""
    import pandas as pd

    values = np.asarray(values)
    counts = pd.Series(values, dtype=values.dtype).value_counts()
    return Counter(dict(zip(counts.index.tolist(), counts.tolist(), strict=True)))


def shown_counts(counts: Counts) -> str:
    """Return the three most frequent values and their counts, as `red × 3, blue × 1`."""
    return listed((f"{shown_value(value)} × {count:,}" for value, count in counts.most_common()), 3)


def positions_of(
    known: tuple[str, ...] | tuple[float, ...] | tuple[str | float, ...],
    storage: Literal["number", "text"],
    column: "pd.Series | pd.Index | Column",
) -> NDArray[np.int64]:
    """Return the index (N,) of each value in `known`, −1 for any other value.

    Composed and decomposed forms of a text are the same; integers are compared exactly.
    """
    import pandas as pd

    if isinstance(column, pd.Categorical):
        each = np.append(positions_of(known, storage, column.categories), -1)
        return np.asarray(each[column.codes])
    if len(column) <= _FEW:
        return _positions_of_few(known, storage, column.tolist())
    kind = column.dtype.kind
    if storage == "number" and (kind == "O" or (kind == "i" and has_large(np.asarray(column)))):
        exact = {number: index for index, number in enumerate(known)}
        codes, distinct = pd.factorize(column)
        found = [exact.get(value, -1) for value in distinct.tolist()]
        return np.array([*found, -1], np.int64)[codes]
    dtype = np.float64 if storage == "number" else object
    index, values = pd.Index(known, dtype=dtype), pd.Index(column, dtype=dtype)
    positions: NDArray[np.int64] = index.get_indexer(values).astype(np.int64)
    if storage == "text" and (others := np.flatnonzero(positions < 0)).size:
        codes, distinct = pd.factorize(values[others])
        composed = {normalize("NFC", str(text)): i for i, text in enumerate(known)}
        found = [composed.get(normalize("NFC", text), -1) for text in distinct]
        positions[others] = np.array([*found, -1])[codes]
    return positions


@lru_cache(maxsize=1024)
def _places_of(known: tuple[str | float, ...]) -> dict[object, int]:
    return {value: index for index, value in enumerate(known)}


def _positions_of_few(
    known: tuple[str | float, ...], storage: Literal["number", "text"], values: list[object]
) -> NDArray[np.int64]:
    """Return `positions_of` a few values, in a tenth of the time that an index takes."""
    found = _places_of(known)
    places = [found.get(value, -1) if value == value else -1 for value in values]
    if storage == "text" and -1 in places:
        composed = {normalize("NFC", str(text)): i for i, text in enumerate(known)}
        for row, value in enumerate(values):
            if places[row] < 0 and value == value:
                places[row] = composed.get(normalize("NFC", str(value)), -1)
    return np.array(places, np.int64)
