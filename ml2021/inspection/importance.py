"""What each column does to the output: which matter, and how the output moves with them.

Many rows go through the engine's forward at once. Drawing is left to `ml2021.figures`.

Legend: N rows, F inputs, T outputs or classes, G places of a grid.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import ClassTarget
from ml2021.inspection.features import InspectedColumn, columns_of
from ml2021.inspection.rows import InspectedRows
from ml2021.runs.model import TrainedModel

GRID = 30

SHOWN_ROWS = 30

_MOST_COLUMNS = 100

_MOST_PRODUCTS = 2_000_000_000
"""Multiplications of all the forwards: some tenths of a second."""

_MOST_VALUES = 4_000_000
"""Values of the inputs of one forward: 16 MB."""


@dataclass(frozen=True)
class Importance:
    """How much worse the predictions become when a column's values are shuffled among rows.

    columns: the most important first. rises: (n,) of the mean absolute error in units of the data,
    or in deviations where targets have different units, or of the log loss. looked_at: how many
    columns were shuffled, of how many. rows: how many rows it is taken from.
    """

    columns: list[InspectedColumn]
    rises: NDArray[np.float64]
    looked_at: int
    of: int
    rows: int


def importance(model: TrainedModel, rows: InspectedRows) -> Importance:
    """Return the columns by what shuffling them costs (Breiman 2001, permutation importance)."""
    columns = columns_of(model.preprocessing)
    looked_at = _heaviest(model, columns)
    parameters = model.network.layout.parameters
    count = min(len(rows), max(16, min(500, _MOST_PRODUCTS // (len(looked_at) * parameters))))
    kept = np.linspace(0, len(rows) - 1, count).round().astype(np.int64)
    inputs, truth = rows.inputs[kept], rows.truth[kept]
    plain = _mean_error(model, truth[None], rows.predictions[kept][None])[0]
    order = np.random.default_rng(0).permutation(count)
    rises = np.empty(len(looked_at))
    step = max(1, _MOST_VALUES // inputs.size)
    for start in range(0, len(looked_at), step):
        some = looked_at[start : start + step]
        batch = np.repeat(inputs[None], len(some), axis=0)
        for each, column in zip(batch, some, strict=True):
            each[:, column.places] = inputs[order][:, column.places]
        predictions = model.predict(batch.reshape(-1, batch.shape[2]))
        errors = _mean_error(model, truth[None], predictions.reshape(len(some), count, -1))
        rises[start : start + step] = errors - plain
    best = np.argsort(-rises, kind="stable")
    chosen = [looked_at[place] for place in best]
    return Importance(chosen, rises[best], len(looked_at), len(columns), count)


def _heaviest(model: TrainedModel, columns: list[InspectedColumn]) -> list[InspectedColumn]:
    """Return the columns with the longest weights in the first layer, where there are many."""
    if len(columns) <= _MOST_COLUMNS:
        return columns
    first = model.network.layout.views(model.theta)[0]
    lengths = first[:, :, :-1].square().sum((0, 1)).cpu().numpy()
    weights = [float(lengths[column.places].sum()) for column in columns]
    return [columns[place] for place in np.argsort(weights, kind="stable")[::-1][:_MOST_COLUMNS]]


def _mean_error(
    model: TrainedModel,
    truth: NDArray[np.float64] | NDArray[np.int64],
    predictions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the mean error (n,) of predictions (n, N, T) against truth (1, N, T) or (1, N)."""
    target = model.preprocessing.target
    if isinstance(target, ClassTarget):
        known = np.asarray(truth[0], np.int64)
        seen = known >= 0
        chosen = predictions[:, seen, known[seen]]
        return np.asarray(-np.log(np.maximum(chosen, 1e-15)).mean(axis=1), np.float64)
    scales = np.ones(target.width) if target.common_scale else np.array(target.scales)
    errors = np.abs(predictions - np.asarray(truth, np.float64)) / scales
    return np.asarray(errors.mean(axis=(1, 2)), np.float64)


@dataclass(frozen=True)
class Dependence:
    """The mean output when every row is given the same value of one column (Friedman 2001).

    grid: (G,) in the units of the column, or the categories' places. mean: (G,). rows: (r, G), some
    rows' own. output: the name of the output that is drawn.
    """

    column: InspectedColumn
    grid: NDArray[np.float64]
    mean: NDArray[np.float64]
    rows: NDArray[np.float64]
    seen: NDArray[np.float64]
    output: str


def dependence(
    model: TrainedModel, rows: InspectedRows, column: InspectedColumn
) -> Dependence | None:
    """Return the partial dependence on a column, of the output that it moves most."""
    kept = np.linspace(0, len(rows) - 1, min(len(rows), 120)).round().astype(np.int64)
    inputs = rows.inputs[kept]
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
        settings = np.zeros((GRID, column.width))
        settings[:, 0] = np.linspace(low, high, GRID)
        grid = column.mean + column.scale * settings[:, 0]
        some = values[np.linspace(0, len(values) - 1, min(len(values), 80)).astype(int)]
        seen = column.mean + column.scale * some[(some >= low) & (some <= high)]
    batch = np.repeat(inputs[None], len(settings), axis=0)
    batch[:, :, column.places] = settings[:, None]
    predictions = model.predict(batch.reshape(-1, batch.shape[2]))
    predictions = predictions.reshape(len(settings), len(kept), -1)
    output, name = _most_moved(model, predictions.mean(axis=1))
    curve = predictions[:, :, output]
    shown = np.linspace(0, len(kept) - 1, min(len(kept), SHOWN_ROWS)).round().astype(int)
    return Dependence(column, grid, curve.mean(axis=1), curve[:, shown].T, seen, name)


def _most_moved(model: TrainedModel, means: NDArray[np.float64]) -> tuple[int, str]:
    """Return which output (G, T) varies most along the grid, and its name."""
    target = model.preprocessing.target
    if isinstance(target, ClassTarget):
        place = 1 if target.width == 2 else int(np.ptp(means, axis=0).argmax())
        return place, f"probability of {target.labels[place]}"
    place = int((np.ptp(means, axis=0) / np.array(target.scales)).argmax())
    return place, target.labels[place]
