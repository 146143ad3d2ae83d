"""The command `surface`: the loss over two parameters, or one, and the way that training took.

What is drawn is the training loss that the config names, over the rows that the run was trained on,
in the unit that `train` shows; an L2 penalty is no part of it. The axes are in the parameters' own
units, as they are stored: those of standardised columns. A linear model of numbers has a second
scale beside them, in units of the data: there a weight says by how much the target rises for each
unit of its feature, and the bias what is predicted where every feature is at its mean.

Two named parameters are varied with all others as they are at the best; the path is then its
shadow on them, and the loss that it had is not the one below it unless there are no others. Without
names the axes are the two parameters that a linear model of one feature has, or else the two
directions in which the path varies most (Li et al. 2018, arXiv:1712.09913), through the best.
Where no path was kept, they are those from the start to the best, and straight down the slope at
the start.

Legend: K settings, N rows, n points of the path, P parameters, D directions.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021 import assembly
from ml2021.config import schema
from ml2021.console import Console, number
from ml2021.data.datasets import Dataset, generator
from ml2021.data.preprocessing import NumberFeature, RealTargets
from ml2021.engine.landscape import losses_over, principal_directions, steepest_descent
from ml2021.engine.layout import Layout
from ml2021.engine.networks import initial_parameters
from ml2021.epochs import loss_unit
from ml2021.errors import CheckpointError, ConfigError
from ml2021.model import Model, load_model, load_own_problem
from ml2021.parameters import Parameter, ParameterNames
from ml2021.runs.checkpoints import load_checkpoint
from ml2021.runs.directory import RunDirectory, chosen_run, open_run
from ml2021.runs.files import is_there, replace_file
from ml2021.session import to_dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ml2021.figures.surfaces import Mark, Scale, TangentStep

Floats = NDArray[np.float64]

PICTURE = "surface.png"
GRID = 61
"""Settings along each of two axes."""
CURVE = 401
"""Settings along one."""
MARGIN = 0.2
"""How far the picture reaches beyond what it has to show, as a share of that."""
WORK = {"cpu": 8e10, "cuda": 1e13}
"""Floating-point operations after which rows are left out: a second or two."""
LEAST_ROWS = 64
STEPS = 6


@dataclass(frozen=True)
class Way:
    """Where training was: start, path (n, P), end and best, each θ (P,) float64; what is known."""

    start: Tensor | None
    path: Tensor
    end: Tensor | None
    best: Tensor

    def known(self) -> Tensor:
        """Return every point (M, P) that there is."""
        ends = [point[None] for point in (self.start, self.end, self.best) if point is not None]
        return torch.cat([self.path, *ends])


@dataclass(frozen=True)
class Plane:
    """The settings that are drawn: centre (P,) + coordinates · directions (D, P), float64.

    labels: of the axes. parameters: those that the axes are, where they are some. least: the least
    that each axis is to span, (D,). title: what the picture is of.
    """

    centre: Tensor
    directions: Tensor
    labels: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    least: Floats
    title: str

    def coordinates(self, points: Tensor) -> Floats:
        """Return where points (n, P), or their shadows, lie: (n, D)."""
        found: Floats = ((points - self.centre) @ self.directions.mT).numpy()
        return found


class Ground:
    """The loss over the training rows, in the unit that `train` shows."""

    def __init__(self, model: Model, rows: Dataset, settings: int) -> None:
        assert model.config.loss is not None
        self._model = model
        self._loss = assembly.build_loss(model.config.loss)
        self.name, self._factor = loss_unit(model.config, model.preprocessing)
        self.total = len(rows)
        device = model.theta.device
        work = 2 * settings * model.network.layout.parameters
        most = max(LEAST_ROWS, int(WORK[device.type] / work))
        if most < self.total:
            chosen = torch.randperm(self.total, generator=generator(0, "surface"))[:most]
            rows = Dataset(rows.inputs[chosen], rows.targets[chosen])
        self.rows = rows.to(device)
        self._workers = 1
        if device.type == "cpu":
            self._workers = assembly.cores()
            torch.set_num_threads(1)

    def losses(self, plane: Plane, coordinates: Floats) -> Floats:
        """Return the loss (K,) at coordinates (K, D); not finite where float32 overflows."""
        like = self.rows.inputs
        where = torch.from_numpy(coordinates)
        losses = losses_over(
            self._model.network,
            self._loss,
            self.rows,
            plane.centre.to(like),
            plane.directions.to(like),
            where.to(like),
            self._workers if len(where) > self._workers else 1,
        )
        found: Floats = losses.cpu().numpy() * self._factor
        return found

    def loss_of(self, theta: Tensor) -> float:
        """Return the loss of parameters (P,), wherever they are."""
        here = Plane(theta, torch.zeros_like(theta[None]), (), (), np.zeros(1), "")
        return float(self.losses(here, np.zeros((1, 1)))[0])

    def downhill(self, theta: Tensor) -> Tensor:
        """Return minus the gradient (P,) at θ (P,), of at most 1,000 rows."""
        few = Dataset(self.rows.inputs[:1000], self.rows.targets[:1000])
        slope = steepest_descent(self._model.network, self._loss, few, theta.to(few.inputs))
        return slope.cpu().double()


def surface(
    run_path: Path | None, x: str | None, y: str | None, output: Path | None, console: Console
) -> Path:
    """Draw the loss of a run over parameters `x` and `y`, or `x` alone; return the picture's path.

    Raises ConfigError for a name that no parameter has, which lists the names.
    """
    if y is not None and x is None:
        raise ConfigError("--y: goes with --x; name that parameter first")
    run = open_run(run_path)
    model = load_model(run.best)
    names = ParameterNames(model.config.model.type, model.network.layout, model.preprocessing)
    named = [names.find(text, f"--{axis}") for axis, text in (("x", x), ("y", y)) if text]
    if len({parameter.index for parameter in named}) < len(named):
        raise ConfigError(f"--y {y}: is the parameter of --x too; name another")
    if not named and model.network.layout.parameters == 2:
        named = [names.at(0), names.at(1)]
    place = _output_place(run, output)
    with chosen_run(run, run_path):
        problem = load_own_problem(run, model)
    _refuse_input(place, [problem.data_path, run.best, run.last])
    way = read_way(run, model)
    console.say(f"run {run.path}")
    begun = time.perf_counter()
    settings = CURVE if len(named) == 1 else GRID * GRID
    ground = Ground(model, to_dataset(problem.preprocessing, problem.train), settings)
    plane = (
        named_plane(way, named, model.network.layout) if named else _plane_of_the_way(way, ground)
    )
    figure = (_draw_curve if len(named) == 1 else _draw_surface)(model, way, plane, ground)
    seconds = time.perf_counter() - begun
    size = f"{CURVE} settings" if len(named) == 1 else f"{GRID} x {GRID} settings"
    console.say(f"{plane.title}: {size} on {_rows_text(ground)}, {seconds:.1f} s")
    if len(plane.centre) > 2 and len(named) != 1:
        console.say("the losses of start, end and best are their own, not those of their shadows")
    if not len(way.path):
        console.say("no path was kept: train.keep_path was false, or the network is too large")

    from ml2021.figures.style import to_png

    replace_file(place.resolve(), to_png(figure))  # a link stays one
    return place


def _output_place(run: RunDirectory, output: Path | None) -> Path:
    if output is None:
        return run.path / PICTURE
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a directory; name a file, such as {PICTURE}")
    return output


def _refuse_input(place: Path, inputs: list[Path]) -> None:
    if any(place.exists() and path.exists() and place.samefile(path) for path in inputs):
        raise ConfigError(f"--output {place}: is an input; name another file")


def read_way(run: RunDirectory, model: Model) -> Way:
    """Return where training was, of the first member; raise CheckpointError for a damaged path."""
    best = model.theta[0].cpu().double()
    empty = best.new_empty(0, len(best))
    if not is_there(run.last):  # not trained
        return Way(None, empty, None, best)
    tensors = load_checkpoint(run.last).tensors
    points, end = tensors.get("path.points"), tensors.get("theta")
    for kept in (points, end):
        if kept is not None and (kept.ndim != 2 or kept.shape[1] != len(best)):
            raise CheckpointError(f"{run.last}: its parameters are not those of its config")
    if points is not None and len(points):
        path = points.double()
        start = path[0]
    else:
        path = empty
        seed = generator(model.config.seed, "weights")
        start = initial_parameters(model.network, [seed], torch.float32)[0].double()
    last = None if end is None else end[0].double()
    if last is not None and len(path):
        path = torch.cat([path, last[None]])
    finite = path.isfinite().all(dim=1)
    is_finite = last is not None and bool(last.isfinite().all())
    return Way(start, path[finite], last if is_finite else None, best)


def named_plane(way: Way, named: list[Parameter], layout: Layout) -> Plane:
    """Return the plane of these parameters, the others as they are at the best.

    One weight of many may have moved by little: then as much is shown as its layer's are large.
    """
    chosen = [parameter.index for parameter in named]
    centre = way.best.clone()
    centre[chosen] = 0
    directions = torch.zeros(len(named), len(centre), dtype=torch.float64)
    directions[range(len(named)), chosen] = 1
    titles = tuple(parameter.name for parameter in named)
    others = len(centre) - len(named)
    layers = layout.views(way.best[None])
    sizes = [float(layers[parameter.layer].square().mean().sqrt()) for parameter in named]
    least = np.array(sizes) if others else np.zeros(len(named))
    title = f"Loss over {' and '.join(titles)}"
    if others:
        title += ", the others as at the best"
    return Plane(centre, directions, titles, tuple(named), least, title)


def _plane_of_the_way(way: Way, ground: Ground) -> Plane:
    """Return the plane in which the path is seen best, through the best parameters."""
    if len(way.path) > 2:
        directions, shares = principal_directions(way.path, 2)
        labels = [
            f"principal direction {i} ({100 * float(share):.{1 if share > 0.01 else 3}f} % of the "
            "path's variance)"
            for i, share in enumerate(shares, start=1)
        ]
        title = "Loss over the path's two principal directions"
    else:
        start = way.best if way.start is None else way.start
        directions = torch.stack([way.best - start, ground.downhill(start)])
        labels = ["from the start to the best", "down the slope at the start, across the first"]
        title = "Loss around the start and the best"
    drawn = _orthonormal(directions)
    # From left to right, from the start to the best.
    if way.start is not None:
        forward = ((way.best - way.start) @ drawn.mT) < 0
        drawn[forward] *= -1
    return Plane(way.best, drawn, tuple(labels), (), np.zeros(2), title)


def _orthonormal(directions: Tensor) -> Tensor:
    """Return orthogonal directions (D, P) of length 1; where one says nothing new, any other."""
    drawn: list[Tensor] = []
    anything = torch.randn(
        directions.shape, generator=generator(0, "directions"), dtype=torch.float64
    )
    for direction, other in zip(directions, anything, strict=True):
        for candidate in (direction, other):
            rest = candidate.clone()
            for before in drawn:
                rest -= (rest @ before) * before
            if float(rest.norm()) > 1e-9 * float(candidate.norm()):
                drawn.append(rest / rest.norm())
                break
    return torch.stack(drawn)


def _draw_surface(model: Model, way: Way, plane: Plane, ground: Ground) -> "Figure":
    from ml2021.figures.surfaces import loss_surface

    shown = plane.coordinates(way.known())
    extra = _least_squares(model) if plane.parameters and len(plane.centre) == 2 else None
    if extra is not None:
        shown = np.concatenate([shown, plane.coordinates(extra[None])])
    x, y = _axes(shown, plane.least, GRID)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    losses = ground.losses(plane, grid).reshape(GRID, GRID)
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
        plane.coordinates(way.path),
        marks,
        (plane.labels[0], plane.labels[1]),
        _loss_label(model, ground),
        plane.title,
        both,
    )


def _draw_curve(model: Model, way: Way, plane: Plane, ground: Ground) -> "Figure":
    from ml2021.figures.surfaces import loss_curve

    (x,) = _axes(plane.coordinates(way.known()), plane.least, CURVE)
    losses = ground.losses(plane, x[:, None])
    marks: list[Mark] = []
    for mark in _marks(way, plane, ground):
        height = float(ground.losses(plane, np.array([mark.place]))[0])
        marks.append(_mark(mark.kind, np.array([*mark.place, height]), mark.kind))
    steps = tangent_steps(plane.coordinates(way.path)[:, 0], x, plane, ground)
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
    """Return up to `STEPS` steps of the path (n,) that are long enough to be seen."""
    from ml2021.figures.surfaces import TangentStep

    least = 0.04 * (x[-1] - x[0])
    stops: list[float] = list(path[:1])
    for value in path[1:]:
        if len(stops) <= STEPS and abs(value - stops[-1]) >= least:
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
    middles, halves = (low + high) / 2, widths * (0.5 + MARGIN)
    return [
        np.linspace(middle - half, middle + half, count)
        for middle, half in zip(middles, halves, strict=True)
    ]


def _marks(way: Way, plane: Plane, ground: Ground) -> list["Mark"]:
    """Return start, end and best, as far as they are known, with the loss that each has."""
    kinds = {"start": way.start, "end": way.end, "best": way.best}
    marks = []
    for kind, theta in kinds.items():
        if theta is not None:
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
    target = model.preprocessing.target
    unit = ""
    if isinstance(target, RealTargets) and target.common_scale is not None:
        (name, *others) = target.labels
        squared = "" if ground.name == "mae" else "²"
        unit = f" ({name}{squared})" if not others else ""
    return f"training loss: {ground.name}{unit}"


def _rows_text(ground: Ground) -> str:
    if len(ground.rows) == ground.total:
        return f"{ground.total:,} training rows"
    return f"{len(ground.rows):,} of {ground.total:,} training rows, chosen at random"
