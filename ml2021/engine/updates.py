"""The updates of an epoch: for each batch its loss and gradient, then a step of the optimizer.

`ml2021.engine.cuda_graph` does the same on a GPU, with fewer kernel launches.

Legend: K members, N rows, B rows of a batch, F features, T outputs, U updates an epoch.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ml2021.engine.dataset import Dataset, EpochOrder
from ml2021.engine.losses import Loss, build_loss
from ml2021.engine.networks import Network, Pass
from ml2021.engine.optimizers import build_clip, build_update
from ml2021.engine.schedules import lr_factor
from ml2021.engine.state import Hyperparameters, TrainingState

GATHERED_BYTES = 256 << 20
"""Rows that are gathered at once, for some batches or for all of an epoch."""
_GATHERED_BATCHES = 16
"""Gathered batches are a multiple of this, so that each one is aligned as in a gathered epoch."""


def batches_at_once(members: int, columns: int, size: int) -> int:
    """Return for how many batches of `size` rows (columns,) float32 are gathered at once."""
    batches = GATHERED_BYTES // (4 * members * columns * size)
    return max(1, batches // _GATHERED_BATCHES) * _GATHERED_BATCHES


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

    Each epoch gathers its rows in its own order, large ones the rows of some batches at a time; the
    batches are views of them. gradient: (K, P), what the last update used: clipped, and with the
    weight decay that an optimizer adds.
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
        self._at_once = batches
        if not self._is_full and not theta.is_cuda:  # whose memory holds the rows already
            columns = train.inputs.shape[-1]
            self._at_once = min(batches, batches_at_once(members, columns, size))
        self._rows: list[Tensor] = []  # inputs, targets and weights, if any: (K, N or fewer, ...)
        for rows in train.tensors:
            own = rows.shape[0 if train.is_shared else 1 :]
            held = min(count, self._at_once * size)
            # the order of the rows of a full batch does not matter
            self._rows.append(
                rows.expand(members, *own)
                if self._is_full
                else rows.new_empty(members, held, *own[1:])
            )
        last = count % size or size
        steps = {n: BatchStep(network, theta, self.gradient, n, hparams.loss) for n in {size, last}}
        views = [*zip(*(torch.split(rows, size, dim=1) for rows in self._rows), strict=True)]
        self._batches = []
        for batch, total in enumerate(state.batch_losses.view(batches, members, 1, 1).unbind()):
            n = size if batch < batches - 1 else last
            inputs, targets, *weights = (each[:, :n] for each in views[batch % self._at_once])
            own_weights = weights[0] if weights else None
            self._batches.append((steps[n], inputs, targets, total, own_weights))
        self._update = build_update(hparams.optimizer, theta, self.gradient, state.slots)
        clip = hparams.clip_norm
        self._clip = None if clip is None else build_clip(self.gradient, clip)
        self._factor: Callable[[int], float] = partial(
            lr_factor, hparams.schedule, updates_per_epoch=batches, epochs=hparams.epochs
        )
        self._done = 0
        self._gathered = range(batches)  # the batches whose rows are there
        self._orders: list[EpochOrder] = []

    def begin_epoch(self, epoch: int) -> None:
        """Gather the rows in the order of the epoch, counted from 0; or later, batch by batch."""
        self._done = epoch * len(self._batches)
        if self._is_full:
            return
        self._orders = [EpochOrder(seed, epoch, len(self._train)) for seed in self._seeds]
        self._gathered = range(0)
        if self._at_once == len(self._batches):
            self._gather(0)

    def _gather(self, batch: int) -> None:
        """Gather the rows of a batch, and of those around it."""
        assert self._orders, "the epoch has not begun, or was gathered to its end"
        first = batch // self._at_once * self._at_once
        self._gathered = range(first, min(len(self._batches), first + self._at_once))
        start, stop = first * self._size, min(len(self._train), self._gathered.stop * self._size)
        for member, order in enumerate(self._orders):
            rows = self._train.of_member(member)
            places = order.rows(start, stop).to(rows.inputs.device)
            for source, gathered in zip(rows.tensors, self._rows, strict=True):
                torch.index_select(source, 0, places, out=gathered[member, : stop - start])
        if self._gathered.stop == len(self._batches):
            self._orders.clear()  # they are as long as the epoch

    def __call__(self, batch: int) -> None:
        """Do the update for a batch of the epoch, counted from 0."""
        if batch not in self._gathered:
            self._gather(batch)
        step, inputs, targets, total, weights = self._batches[batch]
        step(inputs, targets, total, weights)
        done = self._done + batch
        if self._trajectory is not None and self._trajectory.is_due(done):
            self._trajectory.record(done, self._theta[0], self.gradient[0])
        if self._clip is not None:
            self._clip()
        self._update(done + 1, self._factor(done))
