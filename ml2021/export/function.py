"""A trained model as an ONNX model: from raw columns by name to predictions in their units.

All is computed in float64 but for the inputs of the network, which are rounded to float32 as in
training. A row that `predict` would refuse, since a value is too far from those of training or its
history has a gap, is NaN here, or "" where it is a label.

Legend: N rows, K members, F inputs, G codes, H units, T outputs, C classes.
"""

from typing import assert_never

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from ml2021 import __version__
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing, RealTargets
from ml2021.errors import ConfigError, ResourceError
from ml2021.export.dates import MISSING_DATE
from ml2021.export.encoding import encode, input_columns
from ml2021.export.graph import DOUBLE, FLOAT, STRING, Graph
from ml2021.formatting import echo
from ml2021.runs.model import TrainedModel

_LARGEST = float(np.finfo(np.float32).max)
_MOST_BYTES = 2**31 - (1 << 20)
"""Of the constants of a model in one file: a message of protobuf has at most 2 GiB."""


_MATRIX = "input"
"""What the only input is called that has all columns."""


def build(model: TrainedModel, level: float | None, *, is_matrix: bool = False) -> ModelProto:
    """Return the ONNX model; `level` is that of its intervals, None for none.

    Inputs of shape (N, 1), doubles, strings, or int64 seconds for dates, under the names of the
    columns; and `history` (N, L), the target's last values, oldest first, of a time series.
    is_matrix: one input of doubles, `input` (N, D), for all D columns in the order of the training
    file, which `refuse_matrix` allows.
    Outputs: `prediction` (N, T), or `label` (N, 1) and `probabilities` (N, C); `std` (N, T or C) of
    several members; `low` and `high` (N, T). A name that a column has gets an underscore.

    Raises ResourceError if it would not fit into one file, ConfigError as `half_widths` does.
    """
    widths = None if level is None else model.half_widths(level, "--interval")
    _refuse_large(8 * model.theta.numel())
    preprocessing = model.preprocessing
    columns = input_columns(preprocessing)
    graph = Graph([_MATRIX] if is_matrix else columns)
    rules = model.table_format(()).rules
    encoding = encode(graph, preprocessing, rules, _MATRIX if is_matrix else "")
    layers = [view.double().cpu().numpy() for view in model.network.layout.views(model.theta)]
    outputs = _network(graph, model, encoding.codes, encoding.first_layer(layers[0]), layers[1:])
    sound = _are_finite(graph, outputs)
    if encoding.sound:
        sound = graph.add("And", sound, encoding.sound)
    members = len(model.theta)
    target = preprocessing.target
    if isinstance(target, RealTargets):
        each = graph.add("Mul", outputs, np.array(target.scales))
        each = graph.add("Add", each, np.array(target.means))
    else:
        each = graph.add("Softmax", outputs, axis=-1)
    mean = graph.add("ReduceMean", each, np.array([0], np.int64), keepdims=0)
    shown = graph.add("Where", sound, mean, float("nan"))
    names = {}
    if isinstance(target, ClassTarget):
        best = graph.add("ArgMax", mean, axis=1, keepdims=1)
        label = graph.add("Gather", np.array(target.labels, object), best, axis=0)
        label = graph.add("Where", sound, label, np.array("", object))
        names["label"] = graph.output("label", label, STRING, 1)
        names["probabilities"] = graph.output("probabilities", shown, DOUBLE, target.width)
    else:
        names["prediction"] = graph.output("prediction", shown, DOUBLE, target.width)
    if members > 1 and model.config.train.spread:
        off = graph.add("Sub", each, mean)
        squares = graph.add(
            "ReduceSum", graph.add("Mul", off, off), np.array([0], np.int64), keepdims=0
        )
        std = graph.add("Sqrt", graph.add("Div", squares, float(members - 1)))
        std = graph.add("Where", sound, std, float("nan"))
        names["std"] = graph.output("std", std, DOUBLE, target.width)
    if widths is not None:
        for name, operator in (("low", "Sub"), ("high", "Add")):
            end = graph.add(operator, shown, widths)
            names[name] = graph.output(name, end, DOUBLE, target.width)
    history = preprocessing.history
    facts = {
        "ml2021_version": __version__,
        "task": preprocessing.task,
        "target": preprocessing.target_column,
        "labels": target.labels,
        "columns": columns,
        "outputs": names,
        "members": members,
        "data_sha256": model.data_sha256,
    }
    if is_matrix:
        facts["matrix"] = _MATRIX
    if preprocessing.dates:
        facts["missing_date"] = MISSING_DATE
    if level is not None:
        facts["interval"] = level
    if history is not None:
        facts |= {"lags": history.lags, "horizon": history.horizon}
    _refuse_large(graph.size())
    return graph.model(__version__, facts)


def refuse_matrix(preprocessing: Preprocessing) -> None:
    """Raise ConfigError unless all that a model takes are the numbers of a row."""
    what = "a time series also takes its history" if preprocessing.history is not None else ""
    for name, kind in input_columns(preprocessing).items():
        if kind != "number" and not what:
            what = f"column '{echo(name)}' is taken as {'a date' if kind == 'date' else 'text'}"
    if what:
        raise ConfigError(f"--matrix: {what}; leave it out, for an input each")


def _refuse_large(size: int) -> None:
    """Raise ResourceError for constants of more bytes than a file of ONNX holds."""
    if size > _MOST_BYTES:
        raise ResourceError(
            f"an ONNX file holds at most {_MOST_BYTES / 1e9:.1f} GB, and the parameters take "
            f"{size / 1e9:.1f} GB; export a smaller model"
        )


def _network(
    graph: Graph,
    model: TrainedModel,
    codes: str,
    first: NDArray[np.float64],
    others: list[NDArray[np.float64]],
) -> str:
    """Return the outputs (K, N, T) for the codes (N, G).

    first: (K, G + 1, H), the weights of the first layer, the bias last; others: (K, out, in + 1).
    """
    values = codes
    layers = [first, *(np.moveaxis(weights, 1, 2) for weights in others)]
    for number, weights in enumerate(layers):
        product = graph.add("MatMul", values, np.ascontiguousarray(weights[:, :-1]))
        values = graph.add("Add", product, np.ascontiguousarray(weights[:, -1:]))
        if number == len(layers) - 1:
            break
        match model.network.activation:
            case "relu":
                values = graph.add("Relu", values)
            case "sigmoid":
                values = graph.add("Sigmoid", values)
            case "hard_sigmoid":
                values = graph.add("Add", graph.add("Div", values, 6.0), 0.5)
                values = graph.add("Clip", values, 0.0, 1.0)
            case _:
                assert_never(model.network.activation)
    return values


def _are_finite(graph: Graph, outputs: str) -> str:
    """Return whether float32 holds all outputs of a row, (N, 1) bool; it is what it trains in."""
    fine = graph.add("LessOrEqual", graph.add("Abs", outputs), _LARGEST)
    smallest = graph.add(
        "ReduceMin", graph.cast(fine, FLOAT), np.array([0, 2], np.int64), keepdims=0
    )
    each = graph.add("Unsqueeze", smallest, np.array([1], np.int64))
    return graph.add("Greater", each, np.zeros((1, 1), np.float32))
