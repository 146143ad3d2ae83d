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
from ml2021.data.preprocessing.records import NumberFeature, RealTargets
from ml2021.formatting import number
from ml2021.inspection.features import Parameter, ParameterNames
from ml2021.inspection.loss_surface import LossSurface
from ml2021.inspection.trajectory import Plane, Trajectory, named_plane, trajectory_plane
from ml2021.report.contents import LossSurfaceView, ReportContents
from ml2021.report.html import Block, Picture
from ml2021.runs.model import TrainedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ml2021.report.figures.surfaces import Mark, Scale, TangentStep

GRID = 61
"""Settings along each of two axes."""

CURVE = 401
"""Settings along one."""

_MARGIN = 0.2
"""How far the picture reaches beyond what it has to show, as a share of that."""

_STEPS = 6


def draw_surface(
    model: TrainedModel, way: Trajectory, plane: Plane, ground: LossSurface, settings: int = GRID
) -> "Figure":
    """Return the picture of the loss over a plane, with the way that training took.

    `settings` are those along each axis.
    """
    from ml2021.report.figures.surfaces import loss_surface

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
        f"training loss: {ground.unit.label}",
        plane.title,
        both,
    )


def losses_at(
    plane: Plane, ground: LossSurface, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the losses (Y, X): a line for each place (Y,) along y, along it those along x (X,)."""
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return ground.losses(plane, grid).reshape(len(y), len(x))


def draw_curve(model: TrainedModel, way: Trajectory, plane: Plane, ground: LossSurface) -> "Figure":
    """Return the picture of the loss over one parameter, with steps along its tangents."""
    from ml2021.report.figures.surfaces import loss_curve

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
        f"training loss: {ground.unit.label}",
        plane.title,
        _scale(model, parameter),
    )


def tangent_steps(
    path: NDArray[np.float64], x: NDArray[np.float64], plane: Plane, ground: LossSurface
) -> list["TangentStep"]:
    """Return up to `_STEPS` steps of the path (n,) that are long enough to be seen."""
    from ml2021.report.figures.surfaces import TangentStep

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


def _axes(
    shown: NDArray[np.float64], least: NDArray[np.float64], count: int
) -> list[NDArray[np.float64]]:
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


def _marks(way: Trajectory, plane: Plane, ground: LossSurface) -> list["Mark"]:
    """Return start, end and best, as far as they are known, with the loss that each has."""
    marks = []
    for kind, theta in way.ends.items():
        (place,) = plane.coordinates(theta[None])
        marks.append(_mark(kind, place, f"{kind}: {number(ground.loss_of(theta))}"))
    return marks


def _mark(kind: str, place: NDArray[np.float64], text: str) -> "Mark":
    from ml2021.report.figures.surfaces import Mark

    return Mark(kind, tuple(float(value) for value in place), text)


def _least_squares(model: TrainedModel) -> Tensor | None:
    """Return the parameters of a linear model that least squares gives, the lowest of an mse."""
    if model.config.model.type != "linear" or not isinstance(model.config.loss, schema.Mse):
        return None
    return torch.from_numpy(model.baselines["least_squares"].T).flatten().double()


def _scale(model: TrainedModel, parameter: Parameter) -> "Scale | None":
    """Return the axis of a linear model's parameter in units of the data, where it has some."""
    from ml2021.report.figures.surfaces import Scale

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


def rows_text(ground: LossSurface) -> str:
    """Say which rows the loss is over."""
    if len(ground.rows) == ground.total:
        return f"{ground.total:,} training rows"
    return f"{len(ground.rows):,} of {ground.total:,} training rows, chosen at random"


def loss_pictures(contents: ReportContents) -> list[Block]:
    """Return the loss around the path of training, and of a line's two parameters over its slope.

    None where no path was kept, or where it would take long.
    """
    terrain = contents.terrain
    if terrain is None:
        return []
    blocks: list[Block] = [_surface(contents, terrain)]
    named = _weight_and_constant(contents)
    if named:
        plane = named_plane(terrain.way, named[:1], contents.model.network.layout)
        figure = draw_curve(contents.model, terrain.way, plane, terrain.ground)
        caption = "The same over w alone. A step goes along the slope at its start; where it ends, "
        caption += "the curve may have turned."
        blocks.append(Picture("loss_curve", figure, caption))
    return blocks


def _surface(contents: ReportContents, terrain: LossSurfaceView) -> Picture:
    model, way, ground = contents.model, terrain.way, terrain.ground
    named = _weight_and_constant(contents)
    if named:
        plane = named_plane(way, named, model.network.layout)
        what = "over its two parameters"
    else:
        plane = trajectory_plane(way, ground.downhill)
        what = f"in the plane in which the {model.network.layout.parameters:,} parameters moved "
        what += "most; start, end and best lie near it, and their losses are their own"
    caption = f"The loss on {rows_text(ground)}, {what}. The line is the way of training: from "
    caption += "the circle to the square; the star is kept."
    if len(model.theta) > 1:
        caption += " It is that of the first member."
    figure = draw_surface(model, way, plane, ground, terrain.settings)
    return Picture("loss_surface", figure, caption)


def _weight_and_constant(contents: ReportContents) -> list[Parameter]:
    """Return the parameters of a function that has no more than these two; none of another."""
    model = contents.model
    layout = model.network.layout
    if layout.parameters != 2:
        return []
    names = ParameterNames(contents.config.model.type, layout, model.preprocessing)
    return [names.at(0), names.at(1)]
