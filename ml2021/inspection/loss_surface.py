"""The training loss of a run at any of its parameters, in the unit that `train` shows.

Many settings are members side by side (`ml2021.engine.loss_surface`). Where that would take long,
rows are left out.

Legend: K settings, N rows, P parameters, D directions.
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
"""Floating-point operations after which rows are left out: a second or two."""

LEAST_ROWS = 64


def least_work(model: TrainedModel, settings: int) -> float:
    """Return the floating-point operations that so many settings take over `LEAST_ROWS` rows."""
    return 2.0 * settings * LEAST_ROWS * model.network.layout.parameters


class LossSurface:
    """The loss over the training rows, in the unit that `train` shows.

    `work` is how many floating-point operations so many settings may take, `WORK` unless given.
    """

    def __init__(
        self, model: TrainedModel, train: Samples, settings: int, work: float | None = None
    ) -> None:
        assert model.config.loss is not None
        self._model = model
        self._loss = build_loss(model.config.loss)
        self.unit = loss_unit(model.config, model.preprocessing)
        self.total = len(train)
        device = model.theta.device
        if work is None:
            work = WORK[device.type]
        each = least_work(model, settings) / LEAST_ROWS
        most = max(LEAST_ROWS, int(work / each))
        if most < self.total:
            chosen = torch.randperm(self.total, generator=generator(0, "surface"))[:most].numpy()
            train = replace(train, inputs=train.inputs[chosen], targets=train.targets[chosen])
        self.rows = to_dataset(model.preprocessing, train).to(device)
        self._workers = cores() if device.type == "cpu" else 1

    def losses(self, plane: Plane, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the loss (K,) at coordinates (K, D); not finite where float32 overflows."""
        like = self.rows.inputs
        where = torch.from_numpy(coordinates)
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if self._workers > 1 else threads)
        try:
            losses = losses_over(
                self._model.network,
                self._loss,
                self.rows,
                plane.centre.to(like),
                plane.directions.to(like),
                where.to(like),
                self._workers if len(where) > self._workers else 1,
            )
        finally:
            torch.set_num_threads(threads)
        found: NDArray[np.float64] = losses.cpu().numpy() * self.unit.factor
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
