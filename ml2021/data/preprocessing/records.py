"""Fitted preprocessing: how columns become inputs, and outputs become predictions.

These records are fitted on training rows in float64 and kept in checkpoints as JSON;
`preprocessing.fit` makes them, and `preprocessing.transform` applies them.
Legend: N rows, F inputs, T outputs, C classes.
"""

import math
from collections import Counter
from itertools import pairwise, takewhile
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml2021.config.schema import DatePart, Task
from ml2021.data.csv.scan import Header
from ml2021.data.preprocessing.checks import (
    Microseconds,
    Scale,
    Steps,
    Value,
    check_distinct,
    check_sources,
    check_target,
)
from ml2021.formatting import echo, listed, visible

DateForm = Literal["year first", "day first", "month first"]


class Record(BaseModel):
    """A frozen record, validated when read from a checkpoint."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True
    )


class NumberFeature(Record):
    """x -> (x − mean) / scale. A missing x is filled first, and flagged if training had any.

    Without `has_value` its known values are constant in the training rows: only the flag is used.
    missing: the number of training rows without it. edges: of the pieces beside it
    (`preprocessing.pieces`), none if there are no pieces. centres: the mean of each piece on the
    training rows.
    """

    kind: Literal["number"] = "number"
    name: str
    mean: Value
    scale: Scale
    fill: Value
    has_value: bool = True
    has_indicator: bool
    minimum: Value
    maximum: Value
    missing: Annotated[int, Field(ge=0)] = 0
    edges: tuple[Value, ...] = ()
    centres: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.centres) != max(0, len(self.edges) - 1):
            raise ValueError("each piece must have a centre")
        if len(self.edges) in (1, 2) or any(low > high for low, high in pairwise(self.edges)):
            raise ValueError("edges must be none, or at least three, in ascending order")
        if not self.has_value and not self.has_indicator:
            raise ValueError("a number without an input")
        return self

    @property
    def width(self) -> int:
        """The number of the network's inputs."""
        return self.has_value + self.has_indicator + max(0, len(self.edges) - 1)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the network's inputs: the value, whether it is missing, and each piece."""
        names = (self.name, f"{self.name} is missing")
        ends = pairwise(map(value_text, self.edges))
        return (
            *names[not self.has_value : 1 + self.has_indicator],
            *(f"{self.name} {low} to {high}" for low, high in ends),
        )


class CategoryFeature(Record):
    """One-hot: an input for each category of the training rows; other values are all 0.

    Where there are too many, the `rarer` ones share a last input, which is also that of any other
    value; only a missing one is all 0.
    """

    kind: Literal["category"] = "category"
    name: str
    storage: Literal["number", "text"]
    categories: tuple[str, ...] | tuple[float, ...]
    rarer: tuple[str, ...] | tuple[float, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_distinct((*self.categories, *self.rarer), self.storage)
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """What each input stands for, as text."""
        named = tuple(value_text(value) for value in self.categories)
        return (*named, "(other)") if self.rarer else named

    @property
    def width(self) -> int:
        """The number of the network's inputs."""
        return len(self.categories) + bool(self.rarer)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the network's inputs."""
        return tuple(f"{self.name}={label}" for label in self.labels)


class DateFeature(Record):
    """A column of dates, of which each of `parts` is a feature: see `ml2021.data.dates`.

    form: how its dates are written. origin: the first moment of the training rows in microseconds
    since 1970.
    """

    name: str
    form: DateForm
    parts: tuple[DatePart, ...]
    origin: Microseconds

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(f"{self.name} {part}" for part in self.parts)


Feature = Annotated[NumberFeature | CategoryFeature, Field(discriminator="kind")]


class LeftOut(Record):
    """A feature of the config without an input: it is constant, or empty, in the training rows.

    value: that constant, None without any. before: how many features precede it in the table.
    pixel: whether it is one of the pixels of an image.
    """

    name: str
    value: float | str | None
    before: Annotated[int, Field(ge=0)]
    pixel: bool = False


class History(Record):
    """The previous values of the target as inputs, standardised like the target.

    lags: how many previous values a row needs. used: those that are inputs, as steps back; the
    others are constant in the training rows. Rows are sorted by `order_by`, and each group of
    `group_by` is a series of its own; null: as the file has them, one series. gap_limit: the
    longest gap, in rows, that is filled; 0 for none.
    """

    lags: Steps
    used: tuple[Steps, ...]
    horizon: Steps
    mean: Value
    scale: Scale
    order_by: str | None
    group_by: str | None
    gap_limit: Annotated[int, Field(ge=0, lt=2**31)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        steps = (0, *self.used, self.lags + 1)
        if any(near >= far for near, far in pairwise(steps)):
            raise ValueError("steps back that are not ascending, from 1 to the lags")
        return self


class RealTargets(Record):
    """y -> (y − mean) / scale for each of T columns, or each step of the horizon.

    `labels` are the names in the file's header, `shape` is that of the structured output.
    """

    kind: Literal["real"] = "real"
    names: tuple[str, ...]
    labels: tuple[str, ...]
    means: tuple[Value, ...]
    scales: tuple[Scale, ...]
    shape: tuple[Annotated[int, Field(ge=1)], ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        lengths = {len(each) for each in (self.names, self.labels, self.means, self.scales)}
        if len(lengths) > 1 or 0 in lengths:
            raise ValueError("names, labels, means and scales must have one value per output")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("outputs of one label")
        if self.shape is not None and math.prod(self.shape) != len(self.means):
            raise ValueError("a shape that is not that of the outputs")
        return self

    @property
    def width(self) -> int:
        """T, the number of outputs."""
        return len(self.means)

    @property
    def common_scale(self) -> float | None:
        """The scale that all outputs share, or None if they differ."""
        return self.scales[0] if len(set(self.scales)) == 1 else None

    def standardise(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return standardised values (N, T) of values in the units of the data."""
        standardised: NDArray[np.float64] = (values - np.array(self.means)) / np.array(self.scales)
        return standardised

    def restore(self, standardised: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values (N, T) in the units of the data, the inverse of `standardise`."""
        values: NDArray[np.float64] = standardised * np.array(self.scales) + np.array(self.means)
        return values


class ClassTarget(Record):
    """A class -> its index in `classes`, which are stored as in the table."""

    kind: Literal["classes"] = "classes"
    name: str
    label: str
    storage: Literal["number", "text"]
    classes: tuple[str, ...] | tuple[float, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_distinct(self.classes, self.storage)
        if len(self.classes) < 2:
            raise ValueError("fewer than two classes")
        return self

    @property
    def width(self) -> int:
        """C, the number of classes."""
        return len(self.classes)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes as text."""
        return tuple(value_text(value) for value in self.classes)


class Source(Record):
    """A column in a file: its name in the header, which occurrence of that name, its position."""

    raw: str
    occurrence: Annotated[int, Field(ge=0)]
    position: Annotated[int, Field(ge=0)]


class Preprocessing(Record):
    """How a table becomes inputs, and outputs become predictions.

    sources: of the columns that are used. width: the number of columns of the training file.
    numbered: that has no header, so that only their positions tell them apart. weight: the column
    of the weights of the rows.
    """

    task: Task
    features: tuple[Feature, ...]
    left_out: tuple[LeftOut, ...] = ()
    history: History | None
    target: Annotated[RealTargets | ClassTarget, Field(discriminator="kind")]
    sources: dict[str, Source]
    dates: tuple[DateFeature, ...] = ()
    width: Annotated[int, Field(ge=0)]
    numbered: bool
    weight: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.inputs:
            raise ValueError("no inputs")
        check_target(self)
        check_sources(self)
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names (F,) of the network's inputs."""
        named = tuple(name for feature in self.features for name in feature.inputs)
        if self.history is None:
            return named
        return (*named, *(f"{self.target_columns[0]}−{lag}" for lag in self.history.used))

    @property
    def plain_inputs(self) -> list[int]:
        """The positions of the inputs that are not pieces of a number."""
        kept: list[int] = []
        start = 0
        for feature in self.features:
            stop = start + len(feature.inputs)
            pieces = len(feature.edges) - 1 if isinstance(feature, NumberFeature) else 0
            kept += range(start, stop - max(0, pieces))
            start = stop
        return [*kept, *range(start, len(self.inputs))]

    def without_pieces(self) -> Self:
        """Return the same preprocessing with numbers standardised only."""
        features = tuple(
            f.model_copy(update={"edges": (), "centres": ()}) if isinstance(f, NumberFeature) else f
            for f in self.features
        )
        return self.model_copy(update={"features": features})

    @property
    def parts_of_dates(self) -> frozenset[str]:
        """The names of the features that are parts of a date, and no columns of a file."""
        return frozenset(name for date in self.dates for name in date.features)

    @property
    def sizes(self) -> tuple[int, int]:
        """F and T: a network's numbers of inputs and outputs."""
        lags = 0 if self.history is None else len(self.history.used)
        return sum(feature.width for feature in self.features) + lags, self.target.width

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The target's columns in the table."""
        target = self.target
        return target.names if isinstance(target, RealTargets) else (target.name,)

    @property
    def target_name(self) -> str:
        """A short name of what is predicted."""
        target = self.target
        if isinstance(target, ClassTarget):
            return target.label
        if target.width == 1:
            return target.labels[0]
        return f"{target.labels[0]} to {target.labels[-1]}"

    @property
    def target_column(self) -> str:
        """What is predicted as one name: a column, or the common start of several, as pixel_*."""
        labels = self.target.labels
        if len(labels) == 1:
            return labels[0]
        if self.history is not None:
            return str(self.target_columns[0])
        first, last = min(labels), max(labels)
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
        start = "".join(letter for letter, _ in alike)
        return f"{start}*" if start else self.target_name


def value_text(value: str | float) -> str:
    """Return a category or class as text: 3.0 is 3."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else repr(value)


def shown_value(value: object) -> str:
    """Return a category or class for a message, quoted where its ends would not be seen."""
    text = value_text(value) if isinstance(value, str | float) else str(value)
    return f"'{text}'" if text != text.strip() or "," in text or not text else text


def describe_columns(preprocessing: Preprocessing) -> list[str]:
    """Return lines on how the columns are encoded."""
    numbers = [f for f in preprocessing.features if isinstance(f, NumberFeature)]
    categories = [f for f in preprocessing.features if isinstance(f, CategoryFeature)]
    columns = {
        "standardised": [f.name for f in numbers if f.has_value],
        "missing values filled with the median and flagged": [
            f"{visible(f.name)} ({f.missing:,})" for f in numbers if f.has_value and f.has_indicator
        ],
        "only whether it is missing": [f.name for f in numbers if not f.has_value],
        "in pieces as well": [
            f"{visible(f.name)} ({len(f.edges) - 1})" for f in numbers if f.edges
        ],
        "rows weighted by": [] if preprocessing.weight is None else [preprocessing.weight],
        "one-hot": [f"{visible(f.name)} ({len(f.categories)})" for f in categories if not f.rarer],
        "one-hot, the rarer categories as one": [
            f"{visible(f.name)} ({len(f.categories)} of {len(f.categories) + len(f.rarer):,})"
            for f in categories
            if f.rarer
        ],
    }
    columns["dates, as parts of their own"] = [
        f"{visible(date.name)} ({', '.join(date.parts)})" for date in preprocessing.dates
    ]
    lines = [f"{how}: {listed(names, 8)}" for how, names in columns.items() if names]
    if (history := preprocessing.history) is not None:
        series = echo(preprocessing.target_columns[0])
        each = f" in each {echo(history.group_by)}" if history.group_by is not None else ""
        values = "value" if history.lags == 1 else f"{history.lags} values"
        lines.append(f"history: the previous {values} of {series}{each}")
    return lines


def sources_of(header: Header) -> list[Source]:
    """Return the columns of a header, repeated names told apart by their occurrence."""
    seen: Counter[str] = Counter()
    sources = []
    for position, raw in enumerate(header.raw):
        sources.append(Source(raw=raw, occurrence=seen[raw], position=position))
        seen[raw] += 1
    return sources
