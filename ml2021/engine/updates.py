"""The updates of an epoch: for each batch its loss and gradient, then a step of the optimizer.

`ml2021.engine.cuda_graph` does the same on a GPU, with fewer kernel launches.

Legend: K members, N rows, B rows of a batch, F features, T outputs, U updates an epoch.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ml2021.engine.dataset import Dataset, EpochOrder
from ml2021.engine.losses import Loss, build_loss
from ml2021.engine.networks import Network, Pass
from ml2021.engine.optimizers import build_clip, build_update
from ml2021.engine.schedules import lr_factor
from ml2021.engine.state import Hyperparameters, TrainingState

if TYPE_CHECKING:
    from ml2021.engine.distributed import Ranks

GATHERED_BYTES = 256 << 20
"""Rows that are gathered at once, for some batches or for all of an epoch."""
_ORDER_BYTES = 32
"""Of the places in the order of an epoch, a row."""
_GATHERED_BATCHES = 16
"""Gathered batches are a multiple of this, so that each one is aligned as in a gathered epoch."""


def batches_at_once(members: int, columns: int, size: int) -> int:
    """Return for how many batches of `size` rows (columns,) float32 are gathered at once."""
    batches = GATHERED_BYTES // (size * (4 * members * columns + _ORDER_BYTES))
    return max(1, batches // _GATHERED_BATCHES) * _GATHERED_BATCHES


class BatchStep:
    """Loss and gradient for batches of one size: forward pass, loss, backward pass.

    of_rows: the rows of the whole batch, of which these may be a rank's share, as in `build_loss`.
    """

    def __init__(
        self,
        network: Network,
        theta: Tensor,
        gradient: Tensor,
        batch_size: int,
        loss: Loss,
        of_rows: int | None = None,
    ) -> None:
        self._pass = Pass(network, theta, batch_size, gradient)
        self._output_gradient = theta.new_empty(len(theta), batch_size, network.layout.outputs)
        self._loss = build_loss(loss, self._output_gradient, of_rows)

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
    weight decay that an optimizer adds. With `ranks`, each gathers and computes its share of every
    batch, and one sum joins their gradients and losses.
    """

    def __init__(
        self,
        network: Network,
        hparams: Hyperparameters,
        state: TrainingState,
        train: Dataset,
        ranks: "Ranks | None" = None,
    ) -> None:
        theta = state.theta
        train = train.with_mean_weight()
        self._train, self._seeds, self._trajectory = train, hparams.seeds, state.trajectory
        self._is_full = hparams.batch_size is None
        members, count = len(theta), len(train)
        # The gradient, and behind it the losses of a share, so that one sum takes both.
        self._joined = theta.new_empty(theta.numel() + members)
        self._theta, self.gradient = theta, self._joined[: theta.numel()].view_as(theta)
        self._share_loss = self._joined[theta.numel() :].view(members, 1, 1)
        self._ranks = ranks
        batches = hparams.batches(count)
        self._size = size = count if hparams.batch_size is None else min(hparams.batch_size, count)
        self._at_once = batches
        if not self._is_full and not theta.is_cuda:  # whose memory holds the rows already
            columns = train.inputs.shape[-1]
            self._at_once = min(batches, batches_at_once(members, columns, size))
        last = count % size or size
        self._shares = {n: share(n, ranks) for n in (size, last)}
        width = len(self._shares[size])
        held = min(width * (batches - 1) + len(self._shares[last]), self._at_once * width)
        self._rows: list[Tensor] = []  # inputs, targets and weights, if any: (K, N or fewer, ...)
        for rows in train.tensors:
            own = rows.shape[0 if train.is_shared else 1 :]
            if self._is_full:  # the order of its rows does not matter
                ours = self._shares[count]
                self._rows.append(rows.expand(members, *own)[:, ours.start : ours.stop])
            else:
                self._rows.append(rows.new_empty(members, held, *own[1:]))
        steps = {
            n: BatchStep(network, theta, self.gradient, len(ours), hparams.loss, n)
            if ours
            else self._do_nothing
            for n, ours in self._shares.items()
        }
        self._batches = []
        for batch, total in enumerate(state.batch_losses.view(batches, members, 1, 1).unbind()):
            n = size if batch < batches - 1 else last
            start = batch % self._at_once * width
            stop = start + len(self._shares[n])
            inputs, targets, *weights = (each[:, start:stop] for each in self._rows)
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
            places = order.rows(start, stop)
            if self._ranks is not None:
                places = places[self._own_places(stop - start)]
            places = places.to(rows.inputs.device)
            for source, gathered in zip(rows.tensors, self._rows, strict=True):
                torch.index_select(source, 0, places, out=gathered[member, : len(places)])
        if self._gathered.stop == len(self._batches):
            self._orders.clear()  # they are as long as the epoch

    def _own_places(self, rows: int) -> Tensor:
        """Return which of the `rows` of consecutive batches are this rank's."""
        whole, rest = divmod(rows, self._size)
        ours = self._shares[self._size]
        places = torch.arange(whole)[:, None] * self._size + torch.arange(ours.start, ours.stop)
        if not rest:
            return places.flatten()
        ours = self._shares[rest]
        return torch.cat([places.flatten(), rows - rest + torch.arange(ours.start, ours.stop)])

    def __call__(self, batch: int) -> None:
        """Do the update for a batch of the epoch, counted from 0."""
        if batch not in self._gathered:
            self._gather(batch)
        step, inputs, targets, total, weights = self._batches[batch]
        if self._ranks is None:
            step(inputs, targets, total, weights)
        else:
            step(inputs, targets, self._share_loss, weights)
            self._ranks.sum(self._joined)
            total.copy_(self._share_loss)
        done = self._done + batch
        if self._trajectory is not None and self._trajectory.is_due(done):
            self._trajectory.record(done, self._theta[0], self.gradient[0])
        if self._clip is not None:
            self._clip()
        self._update(done + 1, self._factor(done))

    def may_pause(self, batch: int) -> bool:
        """Whether training may stop before that batch."""
        return True

    def _do_nothing(
        self, inputs: Tensor, targets: Tensor, total: Tensor, weights: Tensor | None = None
    ) -> None:
        """Take the place of a `BatchStep` without rows."""
        self.gradient.zero_()
        total.zero_()


def share(rows: int, ranks: "Ranks | None") -> range:
    """Return which rows of a batch are this rank's; it may be none of a small one."""
    if ranks is None:
        return range(rows)
    return range(rows * ranks.rank // ranks.size, rows * (ranks.rank + 1) // ranks.size)
