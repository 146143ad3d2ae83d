"""The columns of a table as the inputs of a network, in ONNX nodes.

Columns of one type are computed side by side, in one chain of nodes: a chain for each of 64 columns
takes many times as long for a row. The values that the nodes leave, the codes, are therefore in
another order than the inputs of the network, and some of them have no input of their own, such as a
second spelling of a category. Each input is a sum of codes, which the first layer takes in:
`Encoding.first_layer`.

Legend: N rows, F inputs of the network, G codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import CellRules
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    History,
    NumberFeature,
    Preprocessing,
    value_text,
)
from ml2021.data.preprocessing.transform import FARTHEST
from ml2021.export.dates import parts_of_dates
from ml2021.export.graph import DOUBLE, FLOAT, INT64, STRING, Graph

_FEW = 1024  # comparisons for a row
_NO_TEXT = "\0"  # fills up lists of texts; what is equal to it is not used


@dataclass
class Encoding:
    """The codes of rows: their name in the graph, and which inputs each is part of.

    parts: (code, input, factor), an input being the sum of factor · code over its parts, plus its
    offset. sound: the name of (N, 1) bool, whether a row is one that `predict` accepts.
    """

    codes: str = ""
    sound: str = ""
    count: int = 0
    parts: list[tuple[int, int, float]] = field(default_factory=list)
    offsets: dict[int, float] = field(default_factory=dict)

    def take(self, codes: int) -> int:
        """Reserve so many codes; return the first."""
        self.count += codes
        return self.count - codes

    def first_layer(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights (K, G + 1, H) for the codes and the constant 1, of (K, H, F + 1)."""
        found = np.zeros((len(weights), self.count + 1, weights.shape[1]))
        found[:, -1] = weights[:, :, -1]
        for code, place, factor in self.parts:
            found[:, code] += factor * weights[:, :, place]
        for place, offset in self.offsets.items():
            found[:, -1] += offset * weights[:, :, place]
        return found


@dataclass(frozen=True)
class _Placed:
    """A feature, and its first input."""

    feature: NumberFeature | CategoryFeature
    start: int


def encode(
    graph: Graph, preprocessing: Preprocessing, rules: CellRules, matrix: str = ""
) -> Encoding:
    """Add the inputs of the graph, and the nodes from them to the codes.

    rules: what counts as missing, as in the files of the run. matrix: the name of one input for all
    columns, which are numbers; "" for an input each.
    """
    encoding = Encoding()
    placed, start = [], 0
    for feature in preprocessing.features:
        placed.append(_Placed(feature, start))
        start += len(feature.inputs)
    numbers = [p for p in placed if isinstance(p.feature, NumberFeature)]
    of_numbers = [
        p
        for p in placed
        if isinstance(p.feature, CategoryFeature) and p.feature.storage == "number"
    ]
    of_texts = [
        p for p in placed if isinstance(p.feature, CategoryFeature) and p.feature.storage == "text"
    ]
    floats: list[str] = []  # all that is cast to float32, as in training
    flags: list[str] = []  # bool
    sound: list[str] = []
    doubles = [*numbers, *of_numbers]
    missing = ""
    if matrix:
        names = [*input_columns(preprocessing)]
        whole = graph.input(matrix, DOUBLE, len(names))
        places = [names.index(p.feature.name) for p in doubles]
        values = graph.columns(whole, places, len(names))
    else:
        columns = _add_inputs(graph, preprocessing, sound)
        if doubles:
            values = graph.concat([columns[p.feature.name] for p in doubles])
    if doubles:
        missing = _is_missing(graph, values, rules)
    if numbers:
        mask = graph.columns(missing, range(len(numbers)), len(doubles))
        own = graph.columns(values, range(len(numbers)), len(doubles))
        floats += _encode_numbers(graph, encoding, numbers, own, mask, sound)
    if preprocessing.history is not None:
        floats.append(_encode_history(graph, encoding, preprocessing.history, start, rules, sound))
    if any(map(_depends_on_missing, doubles)):
        _flag_missing(encoding, doubles)
        flags.append(missing)
    if of_numbers:
        of_categories = range(len(numbers), len(doubles))
        own = graph.columns(values, of_categories, len(doubles))
        known_numbers = [[*map(float, _categories(p))] for p in of_numbers]
        flags += _one_hot(graph, encoding, of_numbers, own, known_numbers)
    if of_texts:
        own = graph.concat([columns[p.feature.name] for p in of_texts])
        flags += _one_hot_texts(graph, encoding, of_texts, own, rules)
    codes = []
    if floats:
        codes.append(graph.cast(graph.cast(graph.concat(floats), FLOAT), DOUBLE))
    if flags:
        codes.append(graph.cast(graph.concat(flags), DOUBLE))
    encoding.codes = graph.concat(codes)
    for each in sound:
        smallest = graph.add(
            "ReduceMin", graph.cast(each, FLOAT), np.array([1], np.int64), keepdims=1
        )
        one = graph.add("Greater", smallest, np.zeros((1, 1), np.float32))
        encoding.sound = graph.add("And", encoding.sound, one) if encoding.sound else one
    return encoding


def _encode_history(
    graph: Graph,
    encoding: Encoding,
    history: History,
    start: int,
    rules: CellRules,
    sound: list[str],
) -> str:
    """Add the input `history`; return its values in use, standardised, from input `start` on."""
    name = graph.input(graph.free("history"), DOUBLE, history.lags)
    lost = graph.cast(_is_missing(graph, name, rules), FLOAT)
    sound.append(graph.add("Equal", lost, np.zeros((1, 1), np.float32)))
    places = [history.lags - lag for lag in history.used]
    known = graph.columns(name, places, history.lags)
    standardised = _standardise(graph, known, [history.mean], [history.scale])
    sound.append(_is_near(graph, standardised))
    first = encoding.take(len(places))
    encoding.parts += [(first + k, start + k, 1.0) for k in range(len(places))]
    return standardised


def _categories(placed: _Placed) -> tuple[str | float, ...]:
    assert isinstance(placed.feature, CategoryFeature)
    return placed.feature.categories


def input_columns(preprocessing: Preprocessing) -> dict[str, str]:
    """Return the columns that are inputs of their own, in the order of the training file.

    Each with its type: number, text or date.
    """
    dates = {date.name for date in preprocessing.dates}
    kinds = {
        f.name: "number" if isinstance(f, NumberFeature) or f.storage == "number" else "text"
        for f in preprocessing.features
        if f.name not in preprocessing.parts_of_dates
    }
    kinds |= dict.fromkeys(dates, "date")
    return dict(sorted(kinds.items(), key=lambda each: preprocessing.sources[each[0]].position))


def _add_inputs(graph: Graph, preprocessing: Preprocessing, sound: list[str]) -> dict[str, str]:
    """Add an input for each column; return the values (N, 1) of each feature by name."""
    types = {"number": DOUBLE, "text": STRING, "date": INT64}
    columns = {
        name: graph.input(name, types[kind], 1)
        for name, kind in input_columns(preprocessing).items()
    }
    if preprocessing.dates:
        parts, are_dates = parts_of_dates(graph, preprocessing.dates)
        columns |= parts
        sound += are_dates
    return columns


def _is_missing(graph: Graph, values: str, rules: CellRules) -> str:
    """Return which values are NaN, or a number that means missing."""
    missing = graph.add("IsNaN", values)
    for number in rules.missing_floats.tolist():
        missing = graph.add("Or", missing, graph.add("Equal", values, float(number)))
    return missing


def _standardise(graph: Graph, values: str, means: Sequence[float], scales: Sequence[float]) -> str:
    centred = graph.add("Sub", values, np.array([means]))
    return graph.add("Div", centred, np.array([scales]))


def _is_near(graph: Graph, standardised: str) -> str:
    """Return whether values are as near the mean as `predict` demands; NaN is not."""
    return graph.add("LessOrEqual", graph.add("Abs", standardised), float(FARTHEST))


def _encode_numbers(
    graph: Graph,
    encoding: Encoding,
    numbers: Sequence[_Placed],
    values: str,
    missing: str,
    sound: list[str],
) -> list[str]:
    """Return the standardised values and the pieces of numbers."""
    features = [p.feature for p in numbers if isinstance(p.feature, NumberFeature)]
    filled = graph.add("Where", missing, np.array([[f.fill for f in features]]), values)
    used = [k for k, feature in enumerate(features) if feature.has_value]
    found = []
    if used:
        own = graph.columns(filled, used, len(features))
        z = _standardise(
            graph, own, [features[k].mean for k in used], [features[k].scale for k in used]
        )
        sound.append(_is_near(graph, z))
        found.append(z)
        first = encoding.take(len(used))
        encoding.parts += [(first + n, numbers[k].start, 1.0) for n, k in enumerate(used)]
    lower: list[float] = []
    widths: list[float] = []
    centres: list[float] = []
    of: list[int] = []
    for k, (feature, placed) in enumerate(zip(features, numbers, strict=True)):
        edges = np.array(feature.edges)
        if not edges.size:
            continue
        lower += edges[:-1].tolist()
        widths += np.where(edges[:-1] < edges[1:], np.diff(edges), np.inf).tolist()
        centres += feature.centres
        pieces = len(feature.centres)
        of += [k] * pieces
        first, stop = encoding.take(pieces), placed.start + len(feature.inputs)
        encoding.parts += [(first + n, stop - pieces + n, 1.0) for n in range(pieces)]
    if of:
        repeated = graph.add("Gather", filled, np.array(of, np.int64), axis=1)
        inside = graph.add("Sub", repeated, np.array([lower]))
        inside = graph.add("Div", inside, np.array([widths]))
        inside = graph.add("Clip", inside, 0.0, 1.0)
        found.append(graph.add("Sub", inside, np.array([centres])))
    return found


def _depends_on_missing(placed: _Placed) -> bool:
    feature = placed.feature
    return feature.has_indicator if isinstance(feature, NumberFeature) else bool(feature.rarer)


def _flag_missing(encoding: Encoding, doubles: Sequence[_Placed]) -> None:
    """Note which inputs depend on whether a number is missing, a code for each."""
    first = encoding.take(len(doubles))
    for k, placed in enumerate(doubles):
        feature = placed.feature
        if isinstance(feature, NumberFeature):
            if feature.has_indicator:
                place = placed.start + int(feature.has_value)
                encoding.parts.append((first + k, place, 1.0))
        elif feature.rarer:  # "other" is what is neither known nor missing
            encoding.parts.append((first + k, placed.start + len(feature.categories), -1.0))


def _one_hot_texts(
    graph: Graph, encoding: Encoding, placed: Sequence[_Placed], values: str, rules: CellRules
) -> list[str]:
    """Return the codes of categories that are texts, known in either form of Unicode."""
    spellings: list[list[str]] = []
    for each in placed:
        known = [*map(str, _categories(each))]
        spellings.append([*known, *_other_forms(known)])
    own = [{*map(str, _categories(each))} for each in placed]
    numbers = map(value_text, rules.missing_floats.tolist())
    means_missing = {*rules.missing_texts, *numbers, ""}
    unknown = [
        sorted(means_missing - {*forms, *names})
        for forms, names in zip(spellings, own, strict=True)
    ]
    return _one_hot(graph, encoding, placed, values, spellings, unknown)


def _other_forms(texts: Sequence[str]) -> list[str]:
    """Return the composed and decomposed forms of texts that are not among them, in order."""
    forms = (normalize(form, text) for text in texts for form in ("NFC", "NFD"))
    return [*dict.fromkeys(form for form in forms if form not in texts)]


def _one_hot(
    graph: Graph,
    encoding: Encoding,
    placed: Sequence[_Placed],
    values: str,
    known: Sequence[Sequence[str | float]],
    missing: Sequence[Sequence[str]] | None = None,
) -> list[str]:
    """Return the codes (N, ...) of columns of categories, `values` (N, C), C of them.

    known: the values of each column that are a category, in the order of its inputs; texts may be
    followed by other forms of them. missing: those that mean a missing one.
    Columns with about as many values, or with few, are compared at once, each with as many as the
    longest; a node takes longer than some more comparisons.
    """
    found = []
    listed: list[list[str | float]] = [
        [*own, *(missing[k] if missing is not None and _has_other(placed[k]) else ())]
        for k, own in enumerate(known)
    ]
    sizes = [len(own) for own in listed]
    is_small = len(sizes) * max(sizes) <= _FEW
    buckets: dict[int, list[int]] = {}
    for k, size in enumerate(sizes):
        buckets.setdefault(0 if is_small else max(1, size - 1).bit_length(), []).append(k)
    for _, members in sorted(buckets.items()):
        longest = max(len(listed[k]) for k in members)
        is_text = missing is not None
        table = np.full((1, len(members), longest), _NO_TEXT if is_text else np.nan, object)
        first = encoding.take(len(members) * longest)
        for row, k in enumerate(members):
            table[0, row, : len(listed[k])] = listed[k]
            _place(encoding, placed[k], listed[k], len(known[k]), first + row * longest)
        column = graph.columns(values, members, len(placed))
        column = graph.add("Unsqueeze", column, np.array([2], np.int64))
        equal = graph.add("Equal", column, table if is_text else table.astype(np.float64))
        width = np.array([-1, len(members) * longest], np.int64)
        found.append(graph.add("Reshape", equal, width))
    return found


def _has_other(placed: _Placed) -> bool:
    return isinstance(placed.feature, CategoryFeature) and bool(placed.feature.rarer)


def _place(
    encoding: Encoding, placed: _Placed, values: Sequence[str | float], known: int, first: int
) -> None:
    """Note the input of each of a column's values, of which the first so many are categories.

    "Other" is 1 less all of them, and less the missing ones.
    """
    categories = _categories(placed)
    if known > len(categories):
        composed = {normalize("NFC", str(text)): k for k, text in enumerate(categories)}
        places = [*range(len(categories))]
        places += [composed[normalize("NFC", str(v))] for v in values[len(categories) : known]]
    else:
        places = [*range(known)]
    encoding.parts += [(first + n, placed.start + k, 1.0) for n, k in enumerate(places)]
    if _has_other(placed):
        other = placed.start + len(categories)
        encoding.parts += [(first + n, other, -1.0) for n in range(len(values))]
        encoding.offsets[other] = 1.0
