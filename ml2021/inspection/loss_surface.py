"""The training loss of a run as a function of its parameters, in the unit that `train` shows.

Many parameter vectors are evaluated side by side, see `ml2021.engine.loss_surface`.

Legend: K grid points, N rows, P parameters, D directions.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.data.samples import Samples
from ml2021.engine.build import build_loss
from ml2021.engine.dataset import Dataset, generator
from ml2021.engine.loss_surface import losses_over, steepest_descent
from ml2021.evaluation.scoring import loss_unit
from ml2021.files import cores
from ml2021.inspection.trajectory import Plane
from ml2021.runs.model import TrainedModel
from ml2021.training.trainer import to_dataset

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
        if most < self.total:
            chosen = torch.randperm(self.total, generator=generator(0, "surface"))[:most].numpy()
            train = replace(train, inputs=train.inputs[chosen], targets=train.targets[chosen])
        self.rows = to_dataset(model.preprocessing, train).to(device)
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
        sample = Dataset(self.rows.inputs[:1000], self.rows.targets[:1000])
        slope = steepest_descent(self._model.network, self._loss, sample, theta.to(sample.inputs))
        return slope.cpu().double()
