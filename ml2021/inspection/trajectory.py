"""The trajectory of training through the parameters, and the planes in which to look at it.

Two named parameters are varied with all others as they are at the best; the trajectory is then
projected, and its actual losses differ from the surface below it unless there are only these two
parameters. Without names the axes are the two directions in which the trajectory varies most (Li et
al. 2018, arXiv:1712.09913), through the best. Where no trajectory was kept, they are those from the
start to the best, and straight down the slope at the start; of a network that was built and not
trained, any two.

Legend: n points of the trajectory, P parameters, M points in all, D directions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.engine.dataset import generator
from ml2021.engine.layout import Layout
from ml2021.engine.loss_surface import principal_directions
from ml2021.engine.networks import initial_parameters
from ml2021.errors import CheckpointError
from ml2021.files import is_there
from ml2021.inspection.features import Parameter
from ml2021.runs.checkpoint_file import load_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import TrainedModel, load_model


@dataclass(frozen=True)
class Trajectory:
    """Where training was: start, path (n, P), end and best, each θ (P,) float64; what is known."""

    start: Tensor | None
    path: Tensor
    end: Tensor | None
    best: Tensor

    @property
    def ends(self) -> dict[str, Tensor]:
        """The points (P,) that have a name, and are known: start, end, best."""
        named = {"start": self.start, "end": self.end, "best": self.best}
        return {name: point for name, point in named.items() if point is not None}


def load_trajectory(run: RunDirectory, model: TrainedModel, most: int | None = None) -> Trajectory:
    """Return where training was, of the first member that predicts, which it ends at.

    Its path is known only where it is the first of all: none before it has diverged. Of more than
    `most` points every so many-th is taken, and the last. Raises CheckpointError for a damaged
    path.
    """
    best = model.theta[0].cpu().double()
    empty = best.new_empty(0, len(best))
    if not is_there(run.last):  # not trained
        return Trajectory(None, empty, None, best)
    last = load_checkpoint(run.last)
    points, end = last.tensors.get("trajectory.points"), last.tensors.get("theta")
    diverged = last.tensors.get("diverged", torch.zeros(1)) != 0
    member = 0 if bool(diverged.all()) else int((~diverged).nonzero()[0])
    for kept in (points, end):
        if kept is not None and (kept.ndim != 2 or kept.shape[1] != len(best)):
            raise CheckpointError(f"{run.last}: its parameters are not those of its config")
    if points is not None and len(points) and member == 0:
        path = points if most is None else points[:: -(-len(points) // most)]
        path = path.double()
        start = path[0]
    else:
        path = empty
        if last.description.init_sha256 is None:
            seed = generator(model.config.seed + member, "weights")
            start = initial_parameters(model.network, [seed], torch.float32)[0].double()
        else:
            start = load_model(run.init).theta[0].cpu().double()
    ended = None if end is None or member >= len(end) else end[member].double()
    if ended is not None and len(path):
        path = torch.cat([path, ended[None]])
    finite = path.isfinite().all(dim=1)
    is_finite = ended is not None and bool(ended.isfinite().all())
    if not bool(finite.all()):
        path = path[finite]
    return Trajectory(start, path, ended if is_finite else None, best)


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
    least: NDArray[np.float64]
    title: str

    def coordinates(self, points: Tensor) -> NDArray[np.float64]:
        """Return where points (n, P), or their shadows, lie: (n, D)."""
        # Not of the differences, which for many points of a large network are much to write.
        found: NDArray[np.float64] = (
            points @ self.directions.mT - self.directions @ self.centre
        ).numpy()
        return found


def named_plane(way: Trajectory, named: list[Parameter], layout: Layout) -> Plane:
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


def trajectory_plane(way: Trajectory, downhill: Callable[[Tensor], Tensor]) -> Plane:
    """Return the plane in which the path is seen best, through the best parameters.

    Where no path was kept it also lies along `downhill`, which gives the steepest way (P,) at θ.
    """
    if len(way.path) > 2:
        directions, shares = principal_directions(way.path, 2)
        labels = [
            f"direction {i}: {100 * float(share):.{1 if share > 0.01 else 3}f} % of the variance"
            for i, share in enumerate(shares, start=1)
        ]
        title = "Loss over the path's two principal directions"
    elif way.start is None:
        directions = torch.zeros(2, len(way.best), dtype=torch.float64)
        labels = ["a direction at random", "another at random, across the first"]
        title = "Loss around the network that was built"
    else:
        start = way.start
        directions = torch.stack([way.best - start, downhill(start)])
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
