"""Map the model's inputs back to the table's columns, and name its parameters after them.

| model | names of parameters |
|---|---|
| linear | `w1`, `w2`, ... or `w[age]`, and `b` (one feature: `w` and `b`) |
| sigmoid_sum | `w[3,2]` or `w[3,age]`, `b[3]`, `c[3]`, and `b` |
| any | `W1[3,2]` or `W1[3,age]`, `b1[3]`, ...: layer, unit, input; the last layer is the output's |

Numbers count from 1. A column's own name wins over a number. The lecture's short names are those of
one output; several outputs have the names of the last row, with the output's name for its unit.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import (
    CategoryFeature,
    NumberFeature,
    Preprocessing,
    RealTargets,
    value_text,
)
from ml2021.engine.layout import Layout
from ml2021.errors import ConfigError
from ml2021.formatting import echo, suggest

_FEWEST_PIXELS = 16


@dataclass(frozen=True)
class InspectedColumn:
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


def columns_of(preprocessing: Preprocessing) -> list[InspectedColumn]:
    """Return every column that the function is of; each lag of a series is one."""
    columns: list[InspectedColumn] = []
    start = 0
    for feature in preprocessing.features:
        width = len(feature.inputs)
        match feature:
            case NumberFeature():
                columns.append(
                    InspectedColumn(feature.name, start, width, feature.mean, feature.scale)
                )
            case CategoryFeature():
                texts = tuple(value_text(value) for value in feature.categories)
                columns.append(InspectedColumn(feature.name, start, width, categories=texts))
        start += width
    if (history := preprocessing.history) is not None:
        names = preprocessing.inputs[start:]
        for lag, name in enumerate(names, start=1):
            columns.append(
                InspectedColumn(name, start + lag - 1, 1, history.mean, history.scale, lag=lag)
            )
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


def column_text(column: InspectedColumn, inputs: NDArray[np.float32]) -> str:
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


ModelType = Literal["linear", "sigmoid_sum", "relu_stack"]

_NAME = re.compile(r"\s*([A-Za-z])(\d*)\s*(?:\[(.*)\])?\s*", re.DOTALL)

_FEW = 12

_SEARCHED = 5_000


@dataclass(frozen=True)
class Parameter:
    """One parameter: its place in θ, its layer from 0, its unit, its input (a bias has none)."""

    index: int
    layer: int
    unit: int
    input: int | None
    name: str


class ParameterNames:
    """The names of a network's parameters, given its model type and the names of its columns."""

    def __init__(self, model: ModelType, layout: Layout, preprocessing: Preprocessing) -> None:
        self._model = model
        self._layout = layout
        self._inputs = preprocessing.inputs
        target = preprocessing.target
        self._outputs = tuple(target.labels)
        self._last = len(layout.shapes) - 1
        self._is_short = layout.outputs == 1 and model != "relu_stack"

    def find(self, text: str, option: str) -> Parameter:
        """Return the parameter of that name. Raises ConfigError, which lists the names."""
        match = _NAME.fullmatch(text)
        places = self._read(match[1], match[2], match[3]) if match is not None else None
        if places is None:
            hint = suggest(text, self._searched())
            raise ConfigError(
                f"{option} {echo(text)}: no such parameter{hint}; there are {self._listed()}"
            )
        return self._parameter(*places)

    def at(self, index: int) -> Parameter:
        """Return the parameter at that place in θ."""
        for layer, (units, columns) in enumerate(self._layout.shapes):
            if index < units * columns:
                unit, column = divmod(index, columns)
                return self._parameter(layer, unit, column if column < columns - 1 else None)
            index -= units * columns
        raise IndexError(index)

    def _read(
        self, letter: str, digits: str, inside: str | None
    ) -> tuple[int, int, int | None] | None:
        """Return layer, unit and input, or None where that is no name."""
        if self._is_short:
            if letter in "wbc" and digits and inside is None:  # w1 is w[1]
                short = self._read_short(letter, digits)
                if short is not None:
                    return short
            elif letter in "wbc" and not digits:
                return self._read_short(letter, inside)
        layer = _position(digits, self._last + 1, ())
        if letter not in "Wb" or layer is None:
            return None
        units = self._layout.shapes[layer][0]
        if letter == "b":
            unit = 0 if inside is None and units == 1 else self._unit(layer, inside)
            return None if unit is None else (layer, unit, None)
        return self._read_pair(layer, inside)

    def _read_short(self, letter: str, inside: str | None) -> tuple[int, int, int | None] | None:
        """Return what w, b or c means in a model of one output."""
        if letter == "b" and inside is None:
            return self._last, 0, None
        if self._model == "linear":
            place = 0 if inside is None and len(self._inputs) == 1 else self._input(0, inside)
            return None if letter != "w" or place is None else (0, 0, place)
        if letter == "w":
            return self._read_pair(0, inside)
        unit = self._unit(0, inside)
        if unit is None:
            return None
        return (0, unit, None) if letter == "b" else (1, 0, unit)

    def _read_pair(self, layer: int, inside: str | None) -> tuple[int, int, int] | None:
        """Return layer, unit and input of `unit,input`; what there is one of can be left out."""
        if inside is None:
            return None
        units, columns = self._layout.shapes[layer]
        for comma in (i for i, character in enumerate(inside) if character == ","):
            unit = self._unit(layer, inside[:comma])
            place = self._input(layer, inside[comma + 1 :])
            if unit is not None and place is not None:
                return layer, unit, place
        if columns == 2 and (unit := self._unit(layer, inside)) is not None:
            return layer, unit, 0
        if units == 1 and (place := self._input(layer, inside)) is not None:
            return layer, 0, place
        return None

    def _unit(self, layer: int, text: str | None) -> int | None:
        names = self._outputs if layer == self._last else ()
        return _position(text, self._layout.shapes[layer][0], names)

    def _input(self, layer: int, text: str | None) -> int | None:
        names = self._inputs if layer == 0 else ()
        return _position(text, self._layout.shapes[layer][1] - 1, names)

    def _parameter(self, layer: int, unit: int, place: int | None) -> Parameter:
        before = sum(units * columns for units, columns in self._layout.shapes[:layer])
        columns = self._layout.shapes[layer][1]
        index = before + unit * columns + (columns - 1 if place is None else place)
        return Parameter(index, layer, unit, place, self._name(layer, unit, place))

    def _name(self, layer: int, unit: int, place: int | None) -> str:
        of_unit = str(unit + 1)
        if layer == self._last and self._layout.outputs > 1:
            of_unit = self._outputs[unit]
        of_input = ""
        if place is not None:
            of_input = self._inputs[place] if layer == 0 else str(place + 1)
        if not self._is_short:
            inside = f"{of_unit},{of_input}" if place is not None else of_unit
            return f"{'b' if place is None else 'W'}{layer + 1}[{inside}]"
        if layer == self._last:
            if place is None:
                return "b"
            if self._model == "linear":
                return "w" if len(self._inputs) == 1 else f"w[{of_input}]"
            return f"c[{of_input}]"
        return f"b[{of_unit}]" if place is None else f"w[{of_unit},{of_input}]"

    def _listed(self) -> str:
        """Return all the names where they are few, else the first and last of each kind."""
        if self._layout.parameters <= _FEW:
            return ", ".join(map(echo, self._all()))
        kinds = []
        for layer, (units, columns) in enumerate(self._layout.shapes):
            for places in (range(columns - 1), [None]):
                first = self._name(layer, 0, places[0])
                last = self._name(layer, units - 1, places[-1])
                kinds.append(echo(first) if first == last else f"{echo(first)} to {echo(last)}")
        return ", ".join(kinds)

    def _all(self) -> Iterator[str]:
        return (self.at(index).name for index in range(self._layout.parameters))

    def _searched(self) -> list[str]:
        return list(self._all()) if self._layout.parameters <= _SEARCHED else []


def _position(text: str | None, count: int, names: Sequence[str]) -> int | None:
    """Return which of `count` things a name or a number from 1 means, or None."""
    if text is None:
        return None
    text = text.strip()
    for written in (text, text.replace("-", "−")):  # the history's names have a minus sign
        if written in names:
            return names.index(written)
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= count:
        return int(text) - 1
    return None
