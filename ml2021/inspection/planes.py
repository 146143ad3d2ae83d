"""Planes and lines through the parameters, in which the loss is looked at.

Two named parameters are varied with all others as they are at the best; the path is then its
shadow on them, and the loss that it had is not the one below it unless there are no others. Without
names the axes are the two directions in which the path varies most (Li et al. 2018,
arXiv:1712.09913), through the best. Where no path was kept, they are those from the start to the
best, and straight down the slope at the start; of a network that was built and not trained, any
two.

Legend: n points of the path, P parameters, D directions.
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
from ml2021.inspection.parameter_names import Parameter
from ml2021.inspection.trajectory import Way


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


def plane_of_the_way(way: Way, downhill: Callable[[Tensor], Tensor]) -> Plane:
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
