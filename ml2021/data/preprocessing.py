"""From columns to the numbers that a network sees, and from its outputs back to what people read.

Everything is fitted on training rows only, in float64, and is a plain record that a checkpoint
keeps as JSON. Which columns there are, and of what kind, comes from `ml2021.data.kinds`.

Legend: N rows, F inputs, T outputs, L lags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ml2021.data.kinds import Task
from ml2021.data.windows import histories
from ml2021.errors import DataError, echo

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Positive = Annotated[float, Field(gt=0)]

_FARTHEST = 1e18  # deviations from the mean, whose square float32 still holds


class Record(BaseModel):
    """A frozen record, checked when it is read back from a checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NumberFeature(Record):
    """x -> (x − mean) / scale; a missing x is first filled, and flagged where training had any."""

    kind: Literal["number"] = "number"
    name: str
    mean: float
    scale: Positive
    fill: float
    has_indicator: bool
    minimum: float
    maximum: float

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the columns that the network sees."""
        return (self.name, f"{self.name} is missing") if self.has_indicator else (self.name,)


class CategoryFeature(Record):
    """One column of 0 and 1 for each category of the training rows; any other value is all 0."""

    kind: Literal["category"] = "category"
    name: str
    storage: Literal["number", "text"]
    categories: tuple[str, ...] | tuple[float, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the columns that the network sees."""
        return tuple(f"{self.name}={value_text(value)}" for value in self.categories)


Feature = Annotated[NumberFeature | CategoryFeature, Field(discriminator="kind")]


class History(Record):
    """The previous values of the target as inputs, standardised like the target itself."""

    lags: Annotated[int, Field(ge=1)]
    horizon: Annotated[int, Field(ge=1)]
    mean: float
    scale: Positive
    order_by: str | None


class RealTargets(Record):
    """y -> (y − mean) / scale, for each of T columns, or each step of the horizon.

    `labels` are the names as the file's header has them. `shape` is that of the structured output.
    """

    kind: Literal["real"] = "real"
    names: tuple[str, ...]
    labels: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[Positive, ...]
    shape: tuple[Annotated[int, Field(ge=1)], ...] | None = None

    @property
    def width(self) -> int:
        """T, the number of outputs."""
        return len(self.means)

    @property
    def common_scale(self) -> float | None:
        """The scale that all outputs share, or None where they differ."""
        return self.scales[0] if len(set(self.scales)) == 1 else None

    def standardise(self, values: Floats) -> Floats:
        """Return the standardised (N, T) of values in the units of the data."""
        standardised: Floats = (values - np.array(self.means)) / np.array(self.scales)
        return standardised

    def restore(self, standardised: Floats) -> Floats:
        """Return (N, T) in the units of the data: the inverse of `standardise`."""
        values: Floats = standardised * np.array(self.scales) + np.array(self.means)
        return values


class ClassTarget(Record):
    """A class -> its index. `classes` are as stored in the table; as text they are the labels."""

    kind: Literal["classes"] = "classes"
    name: str
    label: str
    storage: Literal["number", "text"]
    classes: tuple[str, ...] | tuple[float, ...]

    @property
    def width(self) -> int:
        """C, the number of classes."""
        return len(self.classes)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes as people read them."""
        return tuple(value_text(value) for value in self.classes)


class Source(Record):
    """A column as the training file's header has it: its name there, and which of that name."""

    raw: str
    occurrence: Annotated[int, Field(ge=0)]


class Preprocessing(Record):
    """All that turns a table into inputs, and outputs into predictions."""

    task: Task
    features: tuple[Feature, ...]
    history: History | None
    target: Annotated[RealTargets | ClassTarget, Field(discriminator="kind")]
    sources: dict[str, Source]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names (F,) of the columns that the network sees."""
        named = tuple(name for feature in self.features for name in feature.inputs)
        if self.history is None:
            return named
        (series,) = set(self.target_columns)
        return (*named, *(f"{series}−{lag}" for lag in range(1, self.history.lags + 1)))

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The target's columns in the table."""
        target = self.target
        return target.names if isinstance(target, RealTargets) else (target.name,)


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


def value_text(value: str | float) -> str:
    """Return a category or class as people read it: 3.0 is 3."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else repr(value)


def encode_inputs(
    preprocessing: Preprocessing,
    frame: "pd.DataFrame",
    rows: NDArray[np.int64],
    series: Floats | None = None,
) -> Encoded:
    """Return the inputs of those rows of the table.

    With a history, `series` holds the target's values in order, and each row's history is complete.
    """
    width = len(preprocessing.inputs)
    encoded = Encoded(np.zeros((len(rows), width + 1), np.float32))
    encoded.inputs[:, -1] = 1
    start = 0
    for feature in preprocessing.features:
        block = encoded.inputs[:, start : start + len(feature.inputs)]
        column = frame[feature.name].iloc[rows]
        if isinstance(feature, NumberFeature):
            _encode_numbers(feature, column, block, encoded)
        else:
            _encode_categories(feature, column, block, encoded)
        start += len(feature.inputs)
    if (history := preprocessing.history) is not None:
        assert series is not None
        values = histories(series, rows, history.lags)
        encoded.inputs[:, start:-1] = (values - history.mean) / history.scale
    return encoded


def encode_classes(target: ClassTarget, values: "pd.Series") -> NDArray[np.int64]:
    """Return the index (N,) of each row's class, −1 for one that training never saw."""
    return _positions(target.classes, target.storage, values)


def match_columns(preprocessing: Preprocessing, header: Sequence[Source]) -> Mapping[str, int]:
    """Return the position in another file's header of each training column that it has."""
    positions = {(column.raw, column.occurrence): i for i, column in enumerate(header)}
    return {
        name: positions[source.raw, source.occurrence]
        for name, source in preprocessing.sources.items()
        if (source.raw, source.occurrence) in positions
    }


def _encode_numbers(
    feature: NumberFeature, column: "pd.Series", block: NDArray[np.float32], encoded: Encoded
) -> None:
    values = column.to_numpy(np.float64)
    missing = np.isnan(values)
    if missing.any():
        encoded.missing[feature.name] = int(missing.sum())
        values = np.where(missing, feature.fill, values)
    outside = int(((values < feature.minimum) | (values > feature.maximum)).sum())
    if outside:
        encoded.outside[feature.name] = outside
    standardised = (values - feature.mean) / feature.scale
    if len(values) and np.abs(standardised).max() > _FARTHEST:
        odd = values[np.abs(standardised).argmax()]
        raise DataError(
            f"column '{echo(feature.name)}': {odd:g} is too far from the training rows, whose mean "
            f"is {feature.mean:g} and deviation {feature.scale:g}; correct it, or add it to "
            "data.missing"
        )
    block[:, 0] = standardised
    if feature.has_indicator:
        block[:, 1] = missing


def _encode_categories(
    feature: CategoryFeature, column: "pd.Series", block: NDArray[np.float32], encoded: Encoded
) -> None:
    positions = _positions(feature.categories, feature.storage, column)
    known = np.flatnonzero(positions >= 0)
    block[known, positions[known]] = 1
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


def describe_columns(preprocessing: Preprocessing) -> list[str]:
    """Say in a few lines what happens to the columns."""
    numbers = [f for f in preprocessing.features if isinstance(f, NumberFeature)]
    categories = [f for f in preprocessing.features if isinstance(f, CategoryFeature)]
    lines = []
    if numbers:
        lines.append(f"standardised: {_listed([f.name for f in numbers])}")
    if filled := [f.name for f in numbers if f.has_indicator]:
        lines.append(f"missing values filled with the median, and flagged: {_listed(filled)}")
    if categories:
        sizes = [f"{f.name} ({len(f.categories)})" for f in categories]
        lines.append(f"one-hot: {_listed(sizes)}")
    if (history := preprocessing.history) is not None:
        (series,) = set(preprocessing.target_columns)
        lines.append(f"history: the previous {history.lags} values of {echo(series)}")
    return lines


def _listed(names: list[str], limit: int = 8) -> str:
    shown = ", ".join(map(echo, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
