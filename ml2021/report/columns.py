"""The columns that a function is of, as people know them, and where their inputs stand."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing import CategoryFeature, NumberFeature, Preprocessing, value_text


@dataclass(frozen=True)
class Column:
    """A column as people know it, and where its inputs stand.

    start, width: which inputs are its. mean, scale: x = mean + scale · input, for numbers.
    categories: the texts of a column that is one-hot.
    """

    name: str
    start: int
    width: int
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] | None = None
    lag: int = 0

    @property
    def places(self) -> slice:
        """The inputs of this column."""
        return slice(self.start, self.start + self.width)


def columns_of(preprocessing: Preprocessing) -> list[Column]:
    """Return every column that the function is of; each lag of a series is one."""
    columns: list[Column] = []
    start = 0
    for feature in preprocessing.features:
        width = len(feature.inputs)
        match feature:
            case NumberFeature():
                columns.append(Column(feature.name, start, width, feature.mean, feature.scale))
            case CategoryFeature():
                texts = tuple(value_text(value) for value in feature.categories)
                columns.append(Column(feature.name, start, width, categories=texts))
        start += width
    if (history := preprocessing.history) is not None:
        names = preprocessing.inputs[start:]
        for lag, name in enumerate(names, start=1):
            columns.append(Column(name, start + lag - 1, 1, history.mean, history.scale, lag=lag))
    return columns


def column_text(column: Column, inputs: NDArray[np.float32]) -> str:
    """Return a column's value in a row of inputs (F + 1,), as it stands in the data."""
    values = inputs[column.places]
    if column.categories is not None:
        return column.categories[int(values.argmax())] if values.any() else "(another)"
    if column.width == 2 and values[1]:
        return "(missing)"
    value = column.mean + column.scale * float(values[0])
    # An input is a float32: what it cannot tell from a rounder number is written as that.
    digits = 5 - math.floor(math.log10(max(column.scale, abs(value))))
    return f"{round(value, digits) + 0.0:.12g}"  # + 0.0: −0 is 0
