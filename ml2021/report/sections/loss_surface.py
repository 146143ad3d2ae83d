"""Pictures of the loss surface with the trajectory of training, over one or two parameters.

The axes show the parameters as stored, for standardised columns. A linear model of numbers has a
second scale in the units of the data: a weight is the increase of the target per unit of its
column, and the bias the prediction with every column at its mean.

Legend: n points of the trajectory, P parameters, D directions.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.config import schema
from ml2021.data.preprocessing.records import NumberFeature, RealTargets
from ml2021.formatting import number, plural
from ml2021.inspection.features import Parameter, ParameterNames
from ml2021.inspection.loss_surface import (
    LossSurface,
    Plane,
    Trajectory,
    named_plane,
    trajectory_plane,
)
from ml2021.report.contents import LossSurfaceView, ReportContents
from ml2021.report.html import Block, Picture
from ml2021.runs.model import TrainedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ml2021.report.figures.surfaces import Mark, Scale, TangentStep

GRID = 61
"""Grid points along each of two axes."""
CURVE = 401
"""Grid points along a single axis."""
_MARGIN = 0.2
"""By which share of its contents a picture extends beyond them on each side."""
_STEPS = 6


def draw_surface(
    model: TrainedModel,
    trajectory: Trajectory,
    plane: Plane,
    surface: LossSurface,
    resolution: int = GRID,
) -> "Figure":
    """Return the picture of the loss over a plane, with the trajectory of training.

    `resolution` is the number of grid points along each axis.
    """
    from ml2021.report.figures.surfaces import loss_surface

    path = plane.coordinates(trajectory.path)
    ends = [plane.coordinates(end[None]) for end in trajectory.ends.values()]
    shown = np.concatenate([path, *ends])
    extra = _least_squares(model) if plane.parameters and len(plane.centre) == 2 else None
    if extra is not None:
        shown = np.concatenate([shown, plane.coordinates(extra[None])])
    x, y = _axes(shown, plane.least_spans, resolution)
    losses = losses_at(plane, surface, x, y)
    marks = _marks(trajectory, plane, surface)
    if extra is not None:
        (place,) = plane.coordinates(extra[None])
        text = f"least squares: {number(surface.loss_of(extra))}"
        marks.insert(0, _mark("lowest", place, text))
    scales = [_scale(model, parameter) for parameter in plane.parameters]
    both = (scales[0], scales[1]) if scales else (None, None)
    return loss_surface(
        x,
        y,
        losses,
        path,
        marks,
        (plane.labels[0], plane.labels[1]),
        f"training loss: {surface.unit.label}",
        plane.title,
        both,
    )


def losses_at(
    plane: Plane, surface: LossSurface, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the losses (Y, X) on the grid of the coordinates x (X,) and y (Y,)."""
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return surface.losses(plane, grid).reshape(len(y), len(x))


def draw_curve(
    model: TrainedModel, trajectory: Trajectory, plane: Plane, surface: LossSurface
) -> "Figure":
    """Return the picture of the loss over one parameter, with some steps and their tangents."""
    from ml2021.report.figures.surfaces import loss_curve

    path = plane.coordinates(trajectory.path)
    ends = [plane.coordinates(end[None]) for end in trajectory.ends.values()]
    shown = np.concatenate([path, *ends])
    (x,) = _axes(shown, plane.least_spans, CURVE)
    losses = surface.losses(plane, x[:, None])
    marks: list[Mark] = []
    for mark in _marks(trajectory, plane, surface):
        height = float(surface.losses(plane, np.array([mark.place]))[0])
        marks.append(_mark(mark.kind, np.array([*mark.place, height]), mark.kind))
    steps = tangent_steps(path[:, 0], x, plane, surface)
    (parameter,) = plane.parameters
    return loss_curve(
        x,
        losses,
        steps,
        marks,
        plane.labels[0],
        f"training loss: {surface.unit.label}",
        plane.title,
        _scale(model, parameter),
    )


def tangent_steps(
    path: NDArray[np.float64], x: NDArray[np.float64], plane: Plane, surface: LossSurface
) -> list["TangentStep"]:
    """Return up to `_STEPS` steps of the path (n,) that are long enough to see."""
    from ml2021.report.figures.surfaces import TangentStep

    least = 0.04 * (x[-1] - x[0])
    stops: list[float] = list(path[:1])
    for value in path[1:]:
        if len(stops) <= _STEPS and abs(value - stops[-1]) >= least:
            stops.append(float(value))
    if len(stops) < 2:
        return []
    shift = 1e-3 * (x[-1] - x[0])
    below, here, above = (
        surface.losses(plane, (np.array(stops) + offset)[:, None])
        for offset in (-shift, 0.0, shift)
    )
    slopes = (above - below) / (2 * shift)
    return [
        TangentStep(stops[i], stops[i + 1], float(here[i]), float(slopes[i]), float(here[i + 1]))
        for i in range(len(stops) - 1)
    ]


def _axes(
    points: NDArray[np.float64], least_spans: NDArray[np.float64], count: int
) -> list[NDArray[np.float64]]:
    """Return `count` coordinates along each axis that span the points (n, D) with a margin.

    Both axes have the same length if that does not hide one of them, so that the gradient is
    perpendicular to the contours.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    widths = np.maximum(high - low, least_spans)
    longest = float(widths.max()) or 1.0
    widths = np.where(widths > longest / 4, longest, np.maximum(widths, longest / 20))
    middles, halves = (low + high) / 2, widths * (0.5 + _MARGIN)
    return [
        np.linspace(middle - half, middle + half, count)
        for middle, half in zip(middles, halves, strict=True)
    ]


def _marks(trajectory: Trajectory, plane: Plane, surface: LossSurface) -> list["Mark"]:
    """Return those of start, end and best that are known, with their losses."""
    marks = []
    for kind, theta in trajectory.ends.items():
        (place,) = plane.coordinates(theta[None])
        marks.append(_mark(kind, place, f"{kind}: {number(surface.loss_of(theta))}"))
    return marks


def _mark(kind: str, place: NDArray[np.float64], text: str) -> "Mark":
    from ml2021.report.figures.surfaces import Mark

    return Mark(kind, tuple(float(value) for value in place), text)


def _least_squares(model: TrainedModel) -> Tensor | None:
    """Return a linear model's least-squares parameters, the minimum of the MSE; None for others."""
    if model.config.model.type != "linear" or not isinstance(model.config.loss, schema.Mse):
        return None
    return torch.from_numpy(model.baselines["least_squares"].T).flatten().double()


def _scale(model: TrainedModel, parameter: Parameter) -> "Scale | None":
    """Return a second scale, in units of the data, for a parameter of a linear model of numbers."""
    from ml2021.report.figures.surfaces import Scale

    preprocessing, target = model.preprocessing, model.preprocessing.target
    if model.config.model.type != "linear" or not isinstance(target, RealTargets):
        return None
    label, rise = target.labels[parameter.unit], target.scales[parameter.unit]
    if parameter.input is None:
        mean = target.means[parameter.unit]
        return Scale(f"{label} with every column at its mean", rise, mean)
    name = preprocessing.inputs[parameter.input]
    for feature in preprocessing.features:
        if not isinstance(feature, NumberFeature) or feature.edges or not feature.has_value:
            continue
        if feature.name == name:
            return Scale(f"{label} per {name}", rise / feature.scale, 0.0)
    history = preprocessing.history
    if history is not None and parameter.input >= len(preprocessing.inputs) - len(history.used):
        return Scale(f"{label} per {name}", rise / history.scale, 0.0)
    return None


def rows_text(surface: LossSurface) -> str:
    """Return which rows the loss is computed on."""
    if len(surface.rows) == surface.total:
        return plural(surface.total, "training row")
    return f"{len(surface.rows):,} of {surface.total:,} training rows, chosen at random"


def loss_pictures(contents: ReportContents) -> list[Block]:
    """Return the loss around the trajectory, and for a line with two parameters over its slope.

    Empty if no trajectory was kept, or if it would take long.
    """
    view = contents.loss_surface
    if view is None:
        return []
    blocks: list[Block] = [_surface_picture(contents, view)]
    named = _weight_and_constant(contents)
    if named:
        plane = named_plane(view.trajectory, named[:1], contents.model.network.layout)
        figure = draw_curve(contents.model, view.trajectory, plane, view.surface)
        caption = "The loss over w alone, with some steps of training. Each follows the tangent at "
        caption += "its start, from which the curve may have bent away by its end."
        blocks.append(Picture("loss_curve", figure, caption))
    return blocks


def _surface_picture(contents: ReportContents, view: LossSurfaceView) -> Picture:
    model, trajectory, surface = contents.model, view.trajectory, view.surface
    named = _weight_and_constant(contents)
    if named:
        plane = named_plane(trajectory, named, model.network.layout)
        what, projected = "over the two parameters", ""
    else:
        plane = trajectory_plane(trajectory, surface.downhill)
        what = f"in the plane in which the {model.network.layout.parameters:,} parameters moved "
        what += "most"
        projected = " projected onto it"
    caption = f"The loss on {rows_text(surface)}, {what}. Line: the trajectory of training"
    caption += f"{projected}, from circle to square; star: the saved parameters."
    caption += " The legend has the actual losses." if projected else ""
    if len(model.theta) > 1:
        caption += " It shows the first ensemble member."
    figure = draw_surface(model, trajectory, plane, surface, view.resolution)
    return Picture("loss_surface", figure, caption)


def _weight_and_constant(contents: ReportContents) -> list[Parameter]:
    """Return the parameters of a function with only these two; none for other functions."""
    model = contents.model
    layout = model.network.layout
    if layout.parameters != 2:
        return []
    names = ParameterNames(contents.config.model.type, layout, model.preprocessing)
    return [names.at(0), names.at(1)]
