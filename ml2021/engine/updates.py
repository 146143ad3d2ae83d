"""The updates of an epoch: for each batch its loss and gradient, then a step of the optimizer.

`ml2021.engine.cuda_graph` does the same on a GPU, with fewer kernel launches.

Legend: K members, N rows, B rows of a batch, F features, T outputs, U updates an epoch.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ml2021.engine.dataset import Dataset, epoch_order
from ml2021.engine.losses import Loss, build_loss
from ml2021.engine.networks import Network, Pass
from ml2021.engine.optimizers import build_clip, build_update
from ml2021.engine.schedules import lr_factor
from ml2021.engine.state import Hyperparameters, TrainingState


class BatchStep:
    """Loss and gradient for batches of one size: forward pass, loss, backward pass."""

    def __init__(
        self, network: Network, theta: Tensor, gradient: Tensor, batch_size: int, loss: Loss
    ) -> None:
        self._pass = Pass(network, theta, batch_size, gradient)
        self._output_gradient = theta.new_empty(len(theta), batch_size, network.layout.outputs)
        self._loss = build_loss(loss, self._output_gradient)

    def __call__(
        self, inputs: Tensor, targets: Tensor, total: Tensor, weights: Tensor | None = None
    ) -> None:
        """Write the gradient of the batch's mean loss to the buffer, and B · mean to `total`."""
        outputs = self._pass.forward(inputs)
        self._loss(outputs, targets, total, weights)
        self._pass.backward(inputs, self._output_gradient)


class Updates:
    """The updates of a training state, with every buffer and view made once.

    Each epoch gathers its rows once, in its own order; the batches are views of them. gradient:
    (K, P), what the last update used: clipped, and with the weight decay that an optimizer adds.
    """

    def __init__(
        self, network: Network, hparams: Hyperparameters, state: TrainingState, train: Dataset
    ) -> None:
        theta = state.theta
        train = train.with_mean_weight()
        self._train, self._seeds, self._trajectory = train, hparams.seeds, state.trajectory
        self._is_full = hparams.batch_size is None
        self._theta, self.gradient = theta, torch.empty_like(theta)
        members, count = len(theta), len(train)
        batches = hparams.batches(count)
        self._size = size = count if hparams.batch_size is None else min(hparams.batch_size, count)
        self._rows: list[Tensor] = []  # inputs, targets and weights, if any: (K, N, ...)
        for rows in train.tensors:
            own = rows.shape[0 if train.is_shared else 1 :]
            # the order of the rows of a full batch does not matter
            self._rows.append(
                rows.expand(members, *own) if self._is_full else rows.new_empty(members, *own)
            )
        sizes = {size, count % size or size}
        steps = {n: BatchStep(network, theta, self.gradient, n, hparams.loss) for n in sizes}
        self._batches = [
            (steps[inputs.shape[1]], inputs, targets, total, weights[0] if weights else None)
            for total, inputs, targets, *weights in zip(
                state.batch_losses.view(batches, members, 1, 1).unbind(),
                *(torch.split(rows, size, dim=1) for rows in self._rows),
                strict=True,
            )
        ]
        self._update = build_update(hparams.optimizer, theta, self.gradient, state.slots)
        clip = hparams.clip_norm
        self._clip = None if clip is None else build_clip(self.gradient, clip)
        self._factor: Callable[[int], float] = partial(
            lr_factor, hparams.schedule, updates_per_epoch=batches, epochs=hparams.epochs
        )
        self._done = 0

    def begin_epoch(self, epoch: int) -> None:
        """Gather the rows in the order of the epoch, counted from 0."""
        self._done = epoch * len(self._batches)
        if self._is_full:
            return
        for member, seed in enumerate(self._seeds):
            rows = self._train.of_member(member)
            order = epoch_order(seed, epoch, len(rows)).to(rows.inputs.device)
            for source, place in zip(rows.tensors, self._rows, strict=True):
                torch.index_select(source, 0, order, out=place[member])

    def __call__(self, batch: int) -> None:
        """Do the update for a batch of the epoch, counted from 0."""
        step, inputs, targets, total, weights = self._batches[batch]
        step(inputs, targets, total, weights)
        done = self._done + batch
        if self._trajectory is not None and self._trajectory.is_due(done):
            self._trajectory.record(done, self._theta[0], self.gradient[0])
        if self._clip is not None:
            self._clip()
        self._update(done + 1, self._factor(done))
