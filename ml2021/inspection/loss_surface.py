"""The training loss of a run over its parameters, the trajectory, and the plane to show both in.

A plane varies two named parameters with all others fixed at their best values, or shows the first
two principal directions of the trajectory (Li et al. 2018, arXiv:1712.09913). The trajectory is
projected, so its losses differ from the surface below it unless there are no other parameters.

Legend: n points of the trajectory, P parameters, D directions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.data.samples import Samples
from ml2021.engine.build import build_loss
from ml2021.engine.dataset import Dataset, generator
from ml2021.engine.loss_surface import losses_over, principal_directions, steepest_descent
from ml2021.engine.networks import Layout, initial_parameters
from ml2021.engine.trajectory import TrajectoryRecorder
from ml2021.errors import CheckpointError
from ml2021.evaluation.scoring import loss_unit
from ml2021.files import cores, is_there
from ml2021.inspection.features import Parameter
from ml2021.runs.checkpoints import Checkpoint, load_checkpoint, saved_trajectory
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import TrainedModel, load_model
from ml2021.training.trainer import objective_factors, to_dataset


@dataclass(frozen=True)
class Trajectory:
    """The parameters that training visited: start, end, best (P,) and path (n, P), float64.

    start and end are None and path is empty if they are not known.
    """

    start: Tensor | None
    path: Tensor
    end: Tensor | None
    best: Tensor

    @property
    def ends(self) -> dict[str, Tensor]:
        """Those of start, end and best (P,) that are known."""
        named = {"start": self.start, "end": self.end, "best": self.best}
        return {name: point for name, point in named.items() if point is not None}


def load_trajectory(
    run: RunDirectory, model: TrainedModel, most: int | None = None, last: Checkpoint | None = None
) -> Trajectory:
    """Return the trajectory of the first ensemble member that has not diverged.

    Only the first member's path is kept, so it is empty if that one has diverged. A path of more
    than `most` points is thinned. `last` is the run's last checkpoint, if it is loaded already.
    Raises CheckpointError for a damaged path.
    """
    best = model.selected[0].cpu().double()
    path = best.new_empty(0, len(best))
    if last is None:
        if not is_there(run.last):  # not trained
            return Trajectory(None, path, None, best)
        last = load_checkpoint(run.last)
    kept = saved_trajectory(last, TrajectoryRecorder.begin(model.network.layout, torch.empty(0)))
    points, end = None if kept is None else kept[1], last.tensors.get("theta")
    diverged = last.tensors.get("diverged", torch.zeros(1, dtype=torch.int64))
    fits = end is None or (end.dtype == torch.float32 and end.shape == (len(diverged), len(best)))
    if not fits or diverged.dtype != torch.int64 or diverged.ndim != 1 or not len(diverged):
        raise CheckpointError(f"{run.last}: its parameters do not match its config")
    healthy = (diverged == 0).nonzero().flatten()
    member = int(healthy[0]) if len(healthy) else 0
    if points is not None and len(points) and member == 0:
        path = (points if most is None else points[:: -(-len(points) // most)]).double()
        start = path[0]
    elif last.description.init_sha256 is None:
        seed = generator(model.config.seed + member, "weights")
        start = initial_parameters(model.network, [seed], torch.float32)[0].double()
    else:
        start = load_model(run.init).theta[0].cpu().double()
    ended = None if end is None or member >= len(end) else end[member].double()
    if ended is not None and len(path):
        path = torch.cat([path, ended[None]])
    finite = path.isfinite().all(dim=1)
    if not bool(finite.all()):
        path = path[finite]
    if ended is not None and not bool(ended.isfinite().all()):
        ended = None
    return Trajectory(start, path, ended, best)


@dataclass(frozen=True)
class Plane:
    """The parameters that a picture shows: centre (P,) + coordinates · directions (D, P), float64.

    labels: of the axes. parameters: those along the axes, none for general directions. least_spans:
    (D,) how much each axis has to span. title: of the picture.
    """

    centre: Tensor
    directions: Tensor
    labels: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    least_spans: NDArray[np.float64]
    title: str

    def coordinates(self, points: Tensor) -> NDArray[np.float64]:
        """Return the coordinates (n, D) of the projections of points (n, P)."""
        # The differences points − centre would take as much memory as the points.
        found: NDArray[np.float64] = (
            points @ self.directions.mT - self.directions @ self.centre
        ).numpy()
        return found


def named_plane(trajectory: Trajectory, named: list[Parameter], layout: Layout) -> Plane:
    """Return the plane of these parameters, with the others at their best values.

    A single weight of many may hardly have moved, so each axis spans at least the root mean square
    of its layer's weights.
    """
    chosen = [parameter.index for parameter in named]
    centre = trajectory.best.clone()
    centre[chosen] = 0
    directions = torch.zeros(len(named), len(centre), dtype=torch.float64)
    directions[range(len(named)), chosen] = 1
    titles = tuple(parameter.name for parameter in named)
    title, least = f"Loss over {' and '.join(titles)}", np.zeros(len(named))
    if len(named) < len(centre):
        title += ", others at their best values"
        layers = layout.views(trajectory.best[None])
        least[:] = [float(layers[each.layer].square().mean().sqrt()) for each in named]
    return Plane(centre, directions, titles, tuple(named), least, title)


def trajectory_plane(trajectory: Trajectory, downhill: Callable[[Tensor], Tensor]) -> Plane:
    """Return the plane that shows most of the trajectory, through the best parameters.

    Without a path it holds the start and the best, and `downhill`, the negative gradient (P,) at
    the start. Of a network that was built and not trained, or saved from Python, it is random.
    """
    if len(trajectory.path) > 2:
        directions, shares = principal_directions(trajectory.path, 2)
        labels = [
            f"direction {i}: {100 * float(share):.{1 if share > 0.01 else 3}f} % of the variance"
            for i, share in enumerate(shares, start=1)
        ]
        title = "Loss over the trajectory's two principal directions"
    elif trajectory.start is None:
        directions = torch.zeros(2, len(trajectory.best), dtype=torch.float64)
        labels = ["a random direction", "another, orthogonal to it"]
        title = "Loss around the network's parameters"
    else:
        start = trajectory.start
        directions = torch.stack([trajectory.best - start, downhill(start)])
        labels = ["from start to best", "down the gradient at the start, orthogonal to it"]
        title = "Loss around start and best"
    axes = _orthonormal(directions)
    # The best lies to the right of the start, and above it.
    if trajectory.start is not None:
        backward = ((trajectory.best - trajectory.start) @ axes.mT) < 0
        axes[backward] *= -1
    return Plane(trajectory.best, axes, tuple(labels), (), np.zeros(2), title)


def _orthonormal(directions: Tensor) -> Tensor:
    """Return orthonormal directions (D, P), a random one for each that depends on the others."""
    found: list[Tensor] = []
    seed = generator(0, "directions")
    random = torch.randn(directions.shape, generator=seed, dtype=torch.float64)
    for direction, other in zip(directions, random, strict=True):
        for candidate in (direction, other):
            rest = candidate.clone()
            for before in found:
                rest -= (rest @ before) * before
            if float(rest.norm()) > 1e-9 * float(candidate.norm()):
                found.append(rest / rest.norm())
                break
    return torch.stack(found)


WORK = {"cpu": 8e10, "cuda": 1e13}
"""Floating-point operations, a second or two, above which rows are sampled."""
LEAST_ROWS = 64


def least_work(model: TrainedModel, points: int) -> float:
    """Return the floating-point operations of that many grid points on `LEAST_ROWS` rows."""
    return 2.0 * points * LEAST_ROWS * model.network.layout.parameters


class LossSurface:
    """The loss on the training rows, in the unit that `train` shows.

    Rows are sampled so that `points` grid points take at most `work` operations, see `WORK`.
    """

    def __init__(
        self, model: TrainedModel, train: Samples, points: int, work: float | None = None
    ) -> None:
        assert model.config.loss is not None
        self._model = model
        self._loss = build_loss(model.config.loss)
        self.unit = loss_unit(model.config, model.preprocessing)
        self.total = len(train)
        device = model.theta.device
        work = WORK[device.type] if work is None else work
        most = max(LEAST_ROWS, int(work / (least_work(model, points) / LEAST_ROWS)))
        factors = objective_factors(model.config, model.preprocessing, train)
        if most < self.total:
            chosen = torch.randperm(self.total, generator=generator(0, "surface"))[:most].numpy()
            weights = None if train.weights is None else train.weights[chosen]
            inputs, targets = train.inputs[chosen], train.targets[chosen]
            train = replace(train, inputs=inputs, targets=targets, weights=weights)
        self.rows = to_dataset(model.preprocessing, train, factors).to(device)
        self._workers = cores() if device.type == "cpu" else 1

    def losses(self, plane: Plane, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the loss (K,) at coordinates (K, D), not finite where float32 overflows."""
        like, grid = self.rows.inputs, torch.from_numpy(coordinates)
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if self._workers > 1 else threads)
        try:
            losses = losses_over(
                self._model.network,
                self._loss,
                self.rows,
                plane.centre.to(like),
                plane.directions.to(like),
                grid.to(like),
                self._workers if len(grid) > self._workers else 1,
            )
        finally:
            torch.set_num_threads(threads)
        found: NDArray[np.float64] = losses.cpu().numpy() * self.unit.factor
        return found

    def loss_of(self, theta: Tensor) -> float:
        """Return the loss at parameters (P,), in the plane or not."""
        point = Plane(theta, torch.zeros_like(theta[None]), (), (), np.zeros(1), "")
        return float(self.losses(point, np.zeros((1, 1)))[0])

    def downhill(self, theta: Tensor) -> Tensor:
        """Return the negative gradient (P,) at θ (P,) on at most 1,000 rows."""
        sample = Dataset(*(each[:1000] for each in self.rows.tensors))
        slope = steepest_descent(self._model.network, self._loss, sample, theta.to(sample.inputs))
        return slope.cpu().double()
