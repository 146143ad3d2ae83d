"""A trained function in the units of the data: its coefficients, its terms, and a typical unit.

Legend: N rows, F inputs, T outputs, H units, G grid points.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import RealTargets
from ml2021.engine.inference import member_outputs
from ml2021.engine.networks import Layout, Network
from ml2021.inspection.features import InspectedColumn, columns_of
from ml2021.runs.model import TrainedModel


@dataclass(frozen=True)
class ColumnCurve:
    """What a number in K pieces adds to a linear function, in the units of the data; 0 at its mean.

    x: (G,), every bend and some room at both ends. line: (G, T), the share of the standardised
    value. ramps: (K, G, T), that of each piece: a hard sigmoid, 0 at the mean too.
    """

    column: InspectedColumn
    x: NDArray[np.float64]
    line: NDArray[np.float64]
    ramps: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """The curve (G, T)."""
        return np.asarray(self.line + self.ramps.sum(axis=0), np.float64)


@dataclass(frozen=True)
class Coefficients:
    """A linear function in the units of the data: y = constant + Σⱼ weightⱼ·xⱼ + Σᵢ curveᵢ(xᵢ).

    names: of the inputs (F,) without those of a number in pieces, which has a curve. weights:
    (F, T) per unit of the input. effects: (F, T) of one standard deviation of a number, or of a
    category. constants: (T,). outputs: their names (T,).
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    effects: NDArray[np.float64]
    constants: NDArray[np.float64]
    outputs: tuple[str, ...]
    curves: tuple[ColumnCurve, ...]


def coefficients(model: TrainedModel) -> Coefficients | None:
    """Return the coefficients of a linear model, None for any other.

    For classes they are log-odds: of the second of two classes, else of each class.
    """
    if model.network.layout.hidden:
        return None
    # An ensemble of linear functions is linear too.
    layer = model.theta.double().mean(0).view(model.network.layout.shapes[0]).cpu().numpy()
    target = model.preprocessing.target
    names = target.labels
    if isinstance(target, RealTargets):
        scales, means = np.array(target.scales), np.array(target.means)
    else:
        if target.width == 2:
            layer, names = layer[1:] - layer[:1], names[1:]
        scales, means = np.ones(len(layer)), np.zeros(len(layer))
    effects = layer[:, :-1].T * scales
    spread, centre = np.ones(len(effects)), np.zeros(len(effects))
    constants = layer[:, -1] * scales + means
    curves: list[ColumnCurve] = []
    is_listed = np.ones(len(effects), bool)
    for column in columns_of(model.preprocessing):
        if column.edges:
            curve, at_mean = _column_curve(column, effects[column.places])
            curves.append(curve)
            constants += at_mean
            is_listed[column.places] = False
            is_listed[column.start + 1] = column.is_flagged
        else:
            spread[column.start], centre[column.start] = column.scale, column.mean
    kept = np.flatnonzero(is_listed)
    effects = effects[kept]
    weights = effects / spread[kept, None]
    constants -= centre[kept] @ weights
    inputs = tuple(model.preprocessing.inputs[place] for place in kept)
    return Coefficients(inputs, weights, effects, constants, names, tuple(curves))


def _column_curve(
    column: InspectedColumn, effects: NDArray[np.float64]
) -> tuple[ColumnCurve, NDArray[np.float64]]:
    """Return the curve of a column with the effects (width, T), and what is added at its mean."""
    edges = np.array(column.edges)
    room = 0.05 * (edges[-1] - edges[0])
    x = np.array([edges[0] - room, *edges, edges[-1] + room])
    parts = column.encode(x).T[:, :, None] * effects[:, None]
    at_mean = column.encode(np.array([column.mean])).T[:, :, None] * effects[:, None]
    pieces = slice(1 - len(edges), None)
    curve = ColumnCurve(column, x, parts[0], parts[pieces] - at_mean[pieces])
    return curve, at_mean[pieces, 0].sum(axis=0)


@dataclass(frozen=True)
class Terms:
    """A function of one column as a sum: constant + Σᵢ curvesᵢ(x), in the units of the target.

    x: (G,) in the units of the column. curves: (H, G), one per unit of the last hidden layer.
    """

    x: NDArray[np.float64]
    constant: float
    curves: NDArray[np.float64]


def terms(model: TrainedModel, low: float, high: float) -> Terms | None:
    """Return the terms of a function of one number between two values; None for other functions.

    One forward pass evaluates them all: of the network whose output i is cᵢ times hidden unit i.
    """
    target, network = model.preprocessing.target, model.network
    columns = columns_of(model.preprocessing)
    if len(columns) != 1 or columns[0].categories is not None or columns[0].is_flagged:
        return None
    if not isinstance(target, RealTargets) or target.width != 1 or len(model.theta) != 1:
        return None
    (column,), scale = columns, target.scales[0]
    x = np.linspace(low, high, 400)
    inputs = _with_ones(column.encode(x))
    *_, last = network.layout.views(model.theta)
    constant = target.means[0] + scale * float(last[0, 0, -1])
    weights = last[0, 0, :-1]
    units = len(weights)
    diagonal = torch.cat([weights.diag(), weights.new_zeros(units, 1)], dim=1)
    each = Network(Layout((*network.layout.sizes[:-1], units)), network.activation)
    theta = torch.cat([model.theta[:, : -last.numel()], diagonal.flatten()[None]], dim=1)
    (curves,) = member_outputs(each, theta, inputs)
    return Terms(x, constant, scale * curves.T)


@dataclass(frozen=True)
class Unit:
    """One unit c·a(b + w·x), and the same unit with other values of w, b or c.

    x: (G,) in the units of the column. curves: w, b or c -> three of its values in the units of the
    data, the middle one as trained, and the curves (3, G) that they give.
    """

    column: str
    activation: str
    x: NDArray[np.float64]
    curves: dict[str, tuple[tuple[float, ...], NDArray[np.float64]]]


def typical_unit(model: TrainedModel) -> Unit | None:
    """Return the unit that changes the output most; None without exactly one hidden layer.

    It is taken along the column with its largest weight, with the other inputs at their means.
    """
    network, target = model.network, model.preprocessing.target
    if len(network.layout.hidden) != 1 or not isinstance(target, RealTargets):
        return None
    first, last = network.layout.views(model.theta[:1])
    # In pieces, a unit is not a function of w·x alone.
    numbers = [c for c in columns_of(model.preprocessing) if c.categories is None and not c.edges]
    if not numbers:
        return None
    weights = first[0, :, [c.start for c in numbers]].cpu().double()  # (H, numbers)
    heights = last[0, 0, :-1].cpu().double()
    unit = int((heights.abs() * weights.abs().max(dim=1).values).argmax())
    place = int(weights[unit].abs().argmax())
    column = numbers[place]
    w, b, c = float(weights[unit, place]), float(first[0, unit, -1]), float(heights[unit])
    if w == 0 or c == 0:
        return None
    # Far enough to both sides of the bend at −b / w to show it.
    reach = 6 / abs(w)
    z = np.linspace(-b / w - reach, -b / w + reach, 200)
    inputs = _with_ones(z[:, None])
    single = Network(Layout((1, 1, 1)), network.activation)
    tried = {
        "w": ((w / 2, b / 2, c), (w, b, c), (2 * w, 2 * b, c)),
        "b": ((w, b - 2, c), (w, b, c), (w, b + 2, c)),
        "c": ((w, b, c / 2), (w, b, c), (w, b, 2 * c)),
    }
    theta = torch.tensor([[*wbc, 0.0] for three in tried.values() for wbc in three])
    # θ of one unit is w and b of the hidden layer, then c and the bias of the output.
    scale, curves = target.scales[0], {}
    heights_of = np.hstack([*member_outputs(single, theta, inputs)]).T * scale
    for index, (name, three) in enumerate(tried.items()):
        in_units = [
            {"w": w / column.scale, "b": b - w * column.mean / column.scale, "c": c * scale}
            for w, b, c in three
        ]
        values = tuple(each[name] for each in in_units)
        curves[name] = (values, heights_of[3 * index : 3 * index + 3])
    return Unit(column.name, network.activation, column.mean + column.scale * z, curves)


def _with_ones(columns: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return inputs (N, F + 1) with the column of ones that the engine expects."""
    return np.hstack([columns, np.ones((len(columns), 1))]).astype(np.float32)
