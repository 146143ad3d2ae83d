"""Which columns matter, and how the output changes: permutation importance, partial dependence.

Legend: N rows, F inputs, T outputs or classes, G grid points.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget
from ml2021.data.samples import evenly_spaced
from ml2021.evaluation.fitted_baselines import linear_predictions
from ml2021.inspection.features import InspectedColumn, columns_of, image_shape
from ml2021.inspection.rows import InspectedRows
from ml2021.runs.model import TrainedModel

_GRID = 30
_SHOWN_ROWS = 30
_MOST_COLUMNS = 100
_MOST_PIXELS = 1_024
"""Of images all pixels are shown, side by side."""
_MOST_PRODUCTS = 2_000_000_000
"""Multiplications of all forward passes: some tenths of a second."""
_MOST_VALUES = 4_000_000
"""Cells of one forward pass: 16 MB."""


@dataclass(frozen=True)
class Importance:
    """How much the error increases when a column's values are shuffled among the rows.

    columns: the most important first. increases: (n,) of the mean absolute error, in units of the
    data or in standard deviations if targets have different units, or of the log loss. linear: (n,)
    those of the linear baseline; None without one. total: how many columns there are, of which n
    were shuffled. rows: how many rows were used.
    """

    columns: list[InspectedColumn]
    increases: NDArray[np.float64]
    linear: NDArray[np.float64] | None
    total: int
    rows: int


def importance(model: TrainedModel, rows: InspectedRows) -> Importance:
    """Return the columns by permutation importance (Breiman 2001)."""
    columns = columns_of(model.preprocessing)
    shuffled = _heaviest_columns(model, columns)
    parameters = model.network.layout.parameters
    count = min(len(rows), max(16, min(500, _MOST_PRODUCTS // (len(shuffled) * parameters))))
    kept = evenly_spaced(len(rows), count)
    inputs, truth = rows.inputs[kept], rows.truth[kept]
    plain = _mean_error(model, truth, rows.predictions[kept][None])
    linear = _predict_linearly(model, inputs[None])
    plain_linear = None if linear is None else _mean_error(model, truth, linear)
    order = np.random.default_rng(0).permutation(count)
    increases, of_linear = np.empty((2, len(shuffled)))
    step = max(1, _MOST_VALUES // (count * _cells_of_a_row(model)))
    for start in range(0, len(shuffled), step):
        some = shuffled[start : start + step]
        batch = np.repeat(inputs[None], len(some), axis=0)
        for each, column in zip(batch, some, strict=True):
            each[:, column.places] = inputs[order][:, column.places]
        errors = _mean_error(model, truth, _predict(model, batch))
        increases[start : start + step] = errors - plain
        linear = _predict_linearly(model, batch)
        if linear is not None and plain_linear is not None:
            of_linear[start : start + step] = _mean_error(model, truth, linear) - plain_linear
    best = np.argsort(-increases, kind="stable")
    return Importance(
        [shuffled[place] for place in best],
        increases[best],
        None if plain_linear is None else of_linear[best],
        len(columns),
        count,
    )


def _heaviest_columns(model: TrainedModel, columns: list[InspectedColumn]) -> list[InspectedColumn]:
    """Return all columns, or of many those with the largest weights in the first layer."""
    most = _MOST_COLUMNS if image_shape(model.preprocessing) is None else _MOST_PIXELS
    if len(columns) <= most:
        return columns
    first = model.network.layout.views(model.theta)[0]
    lengths = first[:, :, :-1].square().sum((0, 1)).cpu().numpy()
    weights = [float(lengths[column.places].sum()) for column in columns]
    return [columns[place] for place in np.argsort(weights, kind="stable")[::-1][:most]]


def _cells_of_a_row(model: TrainedModel) -> int:
    """Return the numbers of a row in memory: its inputs, or the outputs in a few float64 arrays."""
    inputs, outputs = model.preprocessing.sizes
    return max(inputs + 1, 8 * outputs)


def _predict(model: TrainedModel, batch: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the predictions (n, N, T) of several tables of rows (n, N, F + 1)."""
    return model.predict(batch.reshape(-1, batch.shape[2])).reshape(*batch.shape[:2], -1)


def _predict_linearly(
    model: TrainedModel, batch: NDArray[np.float32]
) -> NDArray[np.float64] | None:
    """Return the linear baseline's predictions, as `_predict` does; None without such a baseline.

    That of a series is its least squares on the same lags.
    """
    flat = batch.reshape(-1, batch.shape[2])
    found = linear_predictions(model.preprocessing, model.baselines, flat)
    return None if found is None else found.reshape(*batch.shape[:2], -1)


def _mean_error(
    model: TrainedModel,
    truth: NDArray[np.float64] | NDArray[np.int64],
    predictions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the mean error (n,) of predictions (n, N, T) against truth (N, T) or (N,)."""
    target = model.preprocessing.target
    if isinstance(target, ClassTarget):
        known = np.asarray(truth, np.int64)
        seen = known >= 0
        chosen = predictions[:, seen, known[seen]]
        return np.asarray(-np.log(np.maximum(chosen, 1e-15)).mean(axis=1), np.float64)
    scales = np.ones(target.width) if target.common_scale else np.array(target.scales)
    errors = np.abs(predictions - np.asarray(truth, np.float64)) / scales
    return np.asarray(errors.mean(axis=(1, 2)), np.float64)


@dataclass(frozen=True)
class Dependence:
    """The mean output when every row is given the same value of one column (Friedman 2001).

    grid: (G,) in the units of the column, or the indices of its categories. mean: (G,). rows:
    (r, G), the outputs of some rows. seen: some values of the column that occur. output: its name.
    linear: (G,), the mean of the linear baseline; None without one.
    """

    column: InspectedColumn
    grid: NDArray[np.float64]
    mean: NDArray[np.float64]
    rows: NDArray[np.float64]
    seen: NDArray[np.float64]
    output: str
    linear: NDArray[np.float64] | None


def dependence(
    model: TrainedModel, rows: InspectedRows, column: InspectedColumn
) -> Dependence | None:
    """Return that of the output which the column changes most; None for a single value."""
    if column.categories is not None:
        settings = np.eye(column.width)
        grid = np.arange(float(column.width))
        seen = np.empty(0)
    else:
        values = rows.inputs[:, column.start].astype(np.float64)
        low, high = np.quantile(values, [0.01, 0.99])
        if not low < high:
            low, high = values.min(), values.max()
        if not low < high:
            return None
        grid = column.mean + column.scale * np.linspace(low, high, _GRID)
        if column.edges:  # the function bends there
            inner = np.array(column.edges)
            grid = np.union1d(grid, inner[(inner > grid[0]) & (inner < grid[-1])])
        settings = column.encode(grid)
        some = values[evenly_spaced(len(values), 80)]
        seen = column.mean + column.scale * some[(some >= low) & (some <= high)]
    most = _MOST_VALUES // (len(settings) * _cells_of_a_row(model))
    kept = evenly_spaced(len(rows), max(16, min(120, most)))
    batch = np.repeat(rows.inputs[kept][None], len(settings), axis=0)
    batch[:, :, column.places] = settings[:, None]
    predictions = _predict(model, batch)
    output, name = _most_changed(model, predictions.mean(axis=1))
    curve = predictions[:, :, output]
    some_rows = curve[:, evenly_spaced(len(kept), _SHOWN_ROWS)].T
    linear = _predict_linearly(model, batch)
    line = None if linear is None else linear[:, :, output].mean(axis=1)
    return Dependence(column, grid, curve.mean(axis=1), some_rows, seen, name, line)


def _most_changed(model: TrainedModel, means: NDArray[np.float64]) -> tuple[int, str]:
    """Return the index and the name of the output (G, T) that varies most along the grid."""
    target = model.preprocessing.target
    if isinstance(target, ClassTarget):
        place = 1 if target.width == 2 else int(np.ptp(means, axis=0).argmax())
        return place, f"probability of {target.labels[place]}"
    place = int((np.ptp(means, axis=0) / np.array(target.scales)).argmax())
    return place, target.labels[place]
