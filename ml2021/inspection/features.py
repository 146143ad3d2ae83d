"""The columns that a function is of, as people know them, and where their inputs stand."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import (
    CategoryFeature,
    NumberFeature,
    Preprocessing,
    RealTargets,
    value_text,
)

_FEWEST_PIXELS = 16


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


def image_shape(preprocessing: Preprocessing) -> tuple[int, int] | None:
    """Return height and width of the image that all inputs are the pixels of; None for others.

    Pixels share one scale. The shape is that of the targets where these are as many, else a square.
    """
    columns, target = columns_of(preprocessing), preprocessing.target
    count = len(columns)
    is_image = preprocessing.history is None and len({c.scale for c in columns}) == 1
    if count < _FEWEST_PIXELS or not is_image or any(c.width != 1 for c in columns):
        return None
    if isinstance(target, RealTargets) and target.shape is not None and len(target.shape) == 2:
        height, width = target.shape
        if height * width == count:
            return height, width
    side = math.isqrt(count)
    return (side, side) if side * side == count else None


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
