"""From a run's loss and the way of its training to a picture of both, over a plane or a line.

The axes are in the parameters' own units, as they are stored: those of standardised columns. A
linear model of numbers has a second scale beside them, in units of the data: there a weight says by
how much the target rises for each unit of its feature, and the bias what is predicted where every
feature is at its mean.

Legend: n points of the path, P parameters, D directions.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.config import schema
from ml2021.console import number
from ml2021.data.preprocessing import ClassTarget, NumberFeature, RealTargets
from ml2021.model import Model
from ml2021.parameters import Parameter
from ml2021.surfaces.losses import Ground
from ml2021.surfaces.planes import Plane
from ml2021.surfaces.ways import Way

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ml2021.figures.surfaces import Mark, Scale, TangentStep

Floats = NDArray[np.float64]

GRID = 61
"""Settings along each of two axes."""
CURVE = 401
"""Settings along one."""
_MARGIN = 0.2
"""How far the picture reaches beyond what it has to show, as a share of that."""
_STEPS = 6


def draw_surface(
    model: Model, way: Way, plane: Plane, ground: Ground, settings: int = GRID
) -> "Figure":
    """Return the picture of the loss over a plane, with the way that training took.

    `settings` are those along each axis.
    """
    from ml2021.figures.surfaces import loss_surface

    path = plane.coordinates(way.path)
    shown = np.concatenate([path, *(plane.coordinates(end[None]) for end in way.ends.values())])
    extra = _least_squares(model) if plane.parameters and len(plane.centre) == 2 else None
    if extra is not None:
        shown = np.concatenate([shown, plane.coordinates(extra[None])])
    x, y = _axes(shown, plane.least, settings)
    losses = losses_at(plane, ground, x, y)
    marks = _marks(way, plane, ground)
    if extra is not None:
        (at,) = plane.coordinates(extra[None])
        text = f"least squares: {number(ground.loss_of(extra))}"
        marks.insert(0, _mark("lowest", at, text))
    scales = [_scale(model, parameter) for parameter in plane.parameters]
    both = (scales[0], scales[1]) if scales else (None, None)
    return loss_surface(
        x,
        y,
        losses,
        path,
        marks,
        (plane.labels[0], plane.labels[1]),
        _loss_label(model, ground),
        plane.title,
        both,
    )


def losses_at(plane: Plane, ground: Ground, x: Floats, y: Floats) -> Floats:
    """Return the losses (Y, X): a line for each place (Y,) along y, along it those along x (X,)."""
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return ground.losses(plane, grid).reshape(len(y), len(x))


def draw_curve(model: Model, way: Way, plane: Plane, ground: Ground) -> "Figure":
    """Return the picture of the loss over one parameter, with steps along its tangents."""
    from ml2021.figures.surfaces import loss_curve

    path = plane.coordinates(way.path)
    shown = np.concatenate([path, *(plane.coordinates(end[None]) for end in way.ends.values())])
    (x,) = _axes(shown, plane.least, CURVE)
    losses = ground.losses(plane, x[:, None])
    marks: list[Mark] = []
    for mark in _marks(way, plane, ground):
        height = float(ground.losses(plane, np.array([mark.place]))[0])
        marks.append(_mark(mark.kind, np.array([*mark.place, height]), mark.kind))
    steps = tangent_steps(path[:, 0], x, plane, ground)
    (parameter,) = plane.parameters
    return loss_curve(
        x,
        losses,
        steps,
        marks,
        plane.labels[0],
        _loss_label(model, ground),
        plane.title,
        _scale(model, parameter),
    )


def tangent_steps(path: Floats, x: Floats, plane: Plane, ground: Ground) -> list["TangentStep"]:
    """Return up to `_STEPS` steps of the path (n,) that are long enough to be seen."""
    from ml2021.figures.surfaces import TangentStep

    least = 0.04 * (x[-1] - x[0])
    stops: list[float] = list(path[:1])
    for value in path[1:]:
        if len(stops) <= _STEPS and abs(value - stops[-1]) >= least:
            stops.append(float(value))
    if len(stops) < 2:
        return []
    near = 1e-3 * (x[-1] - x[0])
    at = np.array(stops)
    below, here, above = (
        ground.losses(plane, (at + shift)[:, None]) for shift in (-near, 0.0, near)
    )
    slopes = (above - below) / (2 * near)
    return [
        TangentStep(stops[i], stops[i + 1], float(here[i]), float(slopes[i]), float(here[i + 1]))
        for i in range(len(stops) - 1)
    ]


def _axes(shown: Floats, least: Floats, count: int) -> list[Floats]:
    """Return places (count,) along each axis of (n, D), from below what is shown to above it.

    Both axes are of one length where that leaves enough to see, so that the steepest way down is at
    right angles to the contours.
    """
    low, high = shown.min(axis=0), shown.max(axis=0)
    widths = np.maximum(high - low, least)
    longest = float(widths.max()) or 1.0
    widths = np.where(widths > longest / 4, longest, np.maximum(widths, longest / 20))
    middles, halves = (low + high) / 2, widths * (0.5 + _MARGIN)
    return [
        np.linspace(middle - half, middle + half, count)
        for middle, half in zip(middles, halves, strict=True)
    ]


def _marks(way: Way, plane: Plane, ground: Ground) -> list["Mark"]:
    """Return start, end and best, as far as they are known, with the loss that each has."""
    marks = []
    for kind, theta in way.ends.items():
        (place,) = plane.coordinates(theta[None])
        marks.append(_mark(kind, place, f"{kind}: {number(ground.loss_of(theta))}"))
    return marks


def _mark(kind: str, place: Floats, text: str) -> "Mark":
    from ml2021.figures.surfaces import Mark

    return Mark(kind, tuple(float(value) for value in place), text)


def _least_squares(model: Model) -> Tensor | None:
    """Return the parameters of a linear model that least squares gives, the lowest of an mse."""
    if model.config.model.type != "linear" or not isinstance(model.config.loss, schema.Mse):
        return None
    return torch.from_numpy(model.answers["least_squares"].T).flatten().double()


def _scale(model: Model, parameter: Parameter) -> "Scale | None":
    """Return the axis of a linear model's parameter in units of the data, where it has some."""
    from ml2021.figures.surfaces import Scale

    preprocessing, target = model.preprocessing, model.preprocessing.target
    if model.config.model.type != "linear" or not isinstance(target, RealTargets):
        return None
    label, rise = target.labels[parameter.unit], target.scales[parameter.unit]
    if parameter.input is None:
        mean = target.means[parameter.unit]
        return Scale(f"{label} where every feature is at its mean", rise, mean)
    name = preprocessing.inputs[parameter.input]
    for feature in preprocessing.features:
        if isinstance(feature, NumberFeature) and feature.name == name:
            return Scale(f"{label} per {name}", rise / feature.scale, 0.0)
    history = preprocessing.history
    if history is not None and parameter.input >= len(preprocessing.inputs) - history.lags:
        return Scale(f"{label} per {name}", rise / history.scale, 0.0)
    return None


def _loss_label(model: Model, ground: Ground) -> str:
    """Return the loss with its unit, and the rows."""
    preprocessing, target = model.preprocessing, model.preprocessing.target
    unit = ""
    if isinstance(target, ClassTarget):
        unit = " (nats)"
    elif target.common_scale is not None:
        (name, *others) = target.labels
        squared = "" if ground.name == "mae" else "²"
        if preprocessing.history is not None:  # all of one column, however many steps ahead
            name, others = preprocessing.target_columns[0], []
        unit = f" ({name}{squared})" if not others else ""
    return f"training loss: {ground.name}{unit}"


def rows_text(ground: Ground) -> str:
    """Say which rows the loss is over."""
    if len(ground.rows) == ground.total:
        return f"{ground.total:,} training rows"
    return f"{len(ground.rows):,} of {ground.total:,} training rows, chosen at random"
