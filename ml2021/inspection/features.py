"""Map a model's inputs back to the columns of the table, and name its parameters after them.

| model | names of parameters |
|---|---|
| linear | `w1`, `w2`, ... or `w[age]`, and `b` (one feature: `w` and `b`) |
| sigmoid_sum | `w[3,2]` or `w[3,age]`, `b[3]`, `c[3]`, and `b` |
| any | `W1[3,2]` or `W1[3,age]`, `b1[3]`, ...: layer, unit, input; the last layer is the output's |

Numbers count from 1, and a column's name takes precedence over a number. The short names of the
first two rows are for one output; networks with several have the names of the last row, with the
output's name for its unit.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, zip_longest
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.pieces import encode_pieces
from ml2021.data.preprocessing.records import NumberFeature, Preprocessing, RealTargets
from ml2021.engine.networks import Layout
from ml2021.errors import ConfigError
from ml2021.formatting import echo, suggest

_FEWEST_PIXELS = 16


@dataclass(frozen=True)
class InspectedColumn:
    """A column of the table, or a lag of the target, and the inputs that encode it.

    start, width: the range of its inputs. mean, scale: of a number, x = mean + scale · input.
    categories: the values of a one-hot column. edges, centres: of a number's
    pieces, its last inputs.
    """

    name: str
    start: int
    width: int
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] | None = None
    edges: tuple[float, ...] = ()
    centres: tuple[float, ...] = ()

    @property
    def places(self) -> slice:
        """The inputs of this column."""
        return slice(self.start, self.start + self.width)

    @property
    def is_flagged(self) -> bool:
        """Whether a number's second input says that it is missing."""
        return self.width > max(1, len(self.edges))

    def encode(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the inputs (N, width) of numbers (N,) in the units of the data, none missing."""
        inputs = np.zeros((len(values), self.width))
        inputs[:, 0] = (values - self.mean) / self.scale
        if self.edges:
            inputs[:, 1 - len(self.edges) :] = encode_pieces(self.edges, self.centres, values).T
        return inputs


def columns_of(preprocessing: Preprocessing) -> list[InspectedColumn]:
    """Return all columns of the function's input; each lag of a series is one."""
    columns: list[InspectedColumn] = []
    start = 0
    for feature in preprocessing.features:
        name, width = feature.name, len(feature.inputs)
        if isinstance(feature, NumberFeature) and not feature.has_value:
            columns.append(InspectedColumn(feature.inputs[0], start, width))
        elif isinstance(feature, NumberFeature):
            numbers = feature.model_dump(include={"mean", "scale", "edges", "centres"})
            columns.append(InspectedColumn(name, start, width, **numbers))
        else:
            columns.append(InspectedColumn(name, start, width, categories=feature.labels))
        start += width
    if (history := preprocessing.history) is not None:
        columns += [
            InspectedColumn(name, index, 1, history.mean, history.scale)
            for index, name in enumerate(preprocessing.inputs[start:], start)
        ]
    return columns


def image_shape(preprocessing: Preprocessing) -> tuple[int, int] | None:
    """Return the height and width of the image whose pixels are the inputs, or None.

    Pixels share one scale; those without an input count, too. An image has the targets' shape if
    these are as many, else it is square.
    """
    columns, target = columns_of(preprocessing), preprocessing.target
    count = len(columns) + len(_blank_pixels(preprocessing))
    is_image = preprocessing.history is None and len({c.scale for c in columns}) == 1
    if count < _FEWEST_PIXELS or not is_image or any(c.width != 1 for c in columns):
        return None
    shape = target.shape if isinstance(target, RealTargets) else None
    if shape is not None and len(shape) == 2 and math.prod(shape) == count:
        return shape[0], shape[1]
    side = math.isqrt(count)
    return (side, side) if side * side == count else None


def images(preprocessing: Preprocessing, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the pixels (N, height, width) of rows of inputs (N, F + 1), as in the data."""
    columns = columns_of(preprocessing)
    scales, means = np.array([c.scale for c in columns]), np.array([c.mean for c in columns])
    values = inputs[:, : len(columns)].astype(np.float64) * scales + means
    constants = [value for _, value in _blank_pixels(preprocessing)]
    return _as_images(preprocessing, values, np.array(constants))


def pixel_map(preprocessing: Preprocessing, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a value of each column (F,) as an image (height, width); NaN for constant pixels."""
    blank = np.full(len(_blank_pixels(preprocessing)), np.nan)
    return np.asarray(_as_images(preprocessing, values[None], blank)[0], np.float64)


def _as_images(
    preprocessing: Preprocessing, values: NDArray[np.float64], constants: NDArray[np.float64]
) -> NDArray[np.float64]:
    shape = image_shape(preprocessing)
    assert shape is not None
    places = [before for before, _ in _blank_pixels(preprocessing)]
    filled = np.insert(values, places, constants, axis=1)
    return np.asarray(filled.reshape(-1, *shape), np.float64)


def halves(preprocessing: Preprocessing) -> Literal["above", "below"] | None:
    """Return where the inputs stand in the image that they make with the targets.

    None unless both are images of one width, and the columns' numbers say which comes first.
    """
    shape, target = image_shape(preprocessing), preprocessing.target
    if shape is None or not isinstance(target, RealTargets) or target.shape is None:
        return None
    if len(target.shape) != 2 or target.shape[1] != shape[1]:
        return None
    given = _numbers(column.name for column in columns_of(preprocessing))
    asked = _numbers(target.labels)
    if not given or not asked:
        return None
    if max(given) < min(asked):
        return "above"
    return "below" if max(asked) < min(given) else None


def _numbers(names: Iterable[str]) -> list[int]:
    """Return the number in each name, as 12 in pixel_12; none if a name has another form."""
    found = [re.fullmatch(r"\D*(\d{1,9})", name) for name in names]
    return [int(match[1]) for match in found if match] if all(found) else []


def _blank_pixels(preprocessing: Preprocessing) -> list[tuple[int, float]]:
    """Return the pixels without an input: how many inputs precede each, and its value."""
    return [
        (each.before, each.value if isinstance(each.value, float) else 0.0)
        for each in preprocessing.left_out
        if each.pixel
    ]


def column_text(column: InspectedColumn, inputs: NDArray[np.float32]) -> str:
    """Return a column's value in a row of inputs (F + 1,), as in the data."""
    values = inputs[column.places]
    if column.categories is not None:
        return column.categories[int(values.argmax())] if values.any() else "(none)"
    if column.is_flagged and values[1]:
        return "(missing)"
    value = column.mean + column.scale * float(values[0])
    # An input is a float32, so further digits are noise.
    digits = 5 - math.floor(math.log10(max(column.scale, abs(value))))
    return f"{round(value, digits) + 0.0:.12g}"  # + 0.0: −0 is 0


ModelType = Literal["linear", "sigmoid_sum", "relu_stack"]
_MOST_NAMED = 100_000
"""Larger networks have numbered names only, since a dict of all spellings would fill the memory."""
_FEW = 12
"""Up to this many names are listed in full."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: its index in θ, its layer from 0, its unit, its input (None for a bias)."""

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
        self._outputs = preprocessing.target.labels
        self._is_large = layout.parameters > _MOST_NAMED
        sizes = (units * columns for units, columns in layout.shapes)
        self._starts = [0, *accumulate(sizes)]  # of each layer in θ, and its end

    def find(self, text: str, option: str) -> Parameter:
        """Return the parameter of that name. Raises ConfigError, which lists the names."""
        plain = _without_spaces(text)
        if self._is_large:
            index = self._numbered(plain)
        else:
            bracketed = re.sub(r"^([wbc])(\d+)$", r"\1[\2]", plain)  # w1 is w[1]
            # The lags of a series have a minus sign in their names, which no keyboard has.
            written = [bracketed, plain, bracketed.replace("-", "−"), plain.replace("-", "−")]
            index = next((self._indices[name] for name in written if name in self._indices), None)
        if index is None:
            hint = "" if self._is_large else suggest(text, self._names())
            raise ConfigError(
                f"{option} {echo(text)}: no such parameter{hint}; there are {self._summary()}"
            )
        return self.at(index)

    def at(self, index: int) -> Parameter:
        """Return the parameter at that index of θ."""
        place = self._place(index)
        return Parameter(index, *place, self._spellings(*place)[0])

    def _place(self, index: int) -> tuple[int, int, int | None]:
        """Return the layer, the unit and the input (None for a bias) of a parameter."""
        layer = bisect_right(self._starts, index) - 1
        columns = self._layout.shapes[layer][1]
        unit, column = divmod(index - self._starts[layer], columns)
        return layer, unit, column if column < columns - 1 else None

    @cached_property
    def _indices(self) -> dict[str, int]:
        """Every spelling -> index. Of parameters that share one, that with the better rank."""
        places = map(self._place, range(self._layout.parameters))
        spellings = (self._spellings(*place) for place in places)
        indices: dict[str, int] = {}
        for of_one_rank in zip_longest(*spellings):
            for index, name in enumerate(of_one_rank):
                if name is not None:
                    indices.setdefault(_without_spaces(name), index)
        return indices

    def _spellings(self, layer: int, unit: int, place: int | None) -> list[str]:
        """Return all spellings of a parameter: its name first, column names before numbers."""
        units, columns = self._layout.shapes[layer]
        is_last = layer == len(self._layout.shapes) - 1
        of_unit, of_input = [str(unit + 1)], [] if place is None else [str(place + 1)]
        if is_last and not self._is_large:
            of_unit.insert(0 if units > 1 else 1, self._outputs[unit])  # a single one has no name
        if layer == 0 and place is not None and not self._is_large:
            of_input.insert(0, self._inputs[place])
        letter, insides = "b", of_unit
        if place is not None:
            letter, insides = "W", [f"{one},{other}" for one in of_unit for other in of_input]
            insides += of_unit if columns == 2 else []
            insides += of_input if units == 1 else []
        long = [f"{letter}{layer + 1}[{inside}]" for inside in insides]
        long += [f"b{layer + 1}"] if place is None and units == 1 else []
        if self._is_large or self._layout.outputs > 1 or self._model == "relu_stack":
            return long
        if is_last and place is None:
            return ["b", *long]
        if self._model == "linear":
            only = ["w"] if len(self._inputs) == 1 else []
            return [*only, *(f"w[{name}]" for name in of_input), *long]
        if is_last:
            return [f"c[{of_input[0]}]", *long]
        return [*(f"{letter.lower()}[{inside}]" for inside in insides), *long]

    def _numbered(self, text: str) -> int | None:
        """Return the index of a name such as W1[3,2] or b1[3], or None if it has none."""
        numbers = [int(digits) - 1 for digits in re.findall(r"\d{1,9}", text)]
        shapes = self._layout.shapes
        if len(numbers) not in (2, 3) or not 0 <= numbers[0] < len(shapes):
            return None
        layer, unit, *place = numbers
        columns = shapes[layer][1]
        index = self._starts[layer] + unit * columns + (place[0] if place else columns - 1)
        is_own = 0 <= index < self._layout.parameters and self.at(index).name == text
        return index if is_own else None

    def _names(self) -> list[str]:
        return [self.at(index).name for index in range(self._layout.parameters)]

    def _summary(self) -> str:
        """Return all names if they are few, else the first and the last of each kind."""
        if self._layout.parameters <= _FEW:
            return ", ".join(map(echo, self._names()))
        spans = []
        for layer, (_, columns) in enumerate(self._layout.shapes):
            start, end = self._starts[layer : layer + 2]
            for first, last in ((start, end - 2), (start + columns - 1, end - 1)):
                names = dict.fromkeys(map(echo, (self.at(first).name, self.at(last).name)))
                spans.append(" to ".join(names))
        return ", ".join(spans)


def _without_spaces(text: str) -> str:
    """Drop the spaces around brackets and commas."""
    return re.sub(r"\s*([\[\],])\s*", r"\1", text.strip())
