"""The updates of an epoch: for each batch its loss and gradient, then a step of the optimizer.

`ml2021.engine.cuda_graph` does the same on a GPU, with fewer kernel launches.

Legend: K members, N rows, B rows of a batch, F features, T outputs, U updates an epoch.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ml2021.engine.dataset import Dataset, epoch_order
from ml2021.engine.losses import Loss, build_loss
from ml2021.engine.networks import Network, Pass
from ml2021.engine.optimizers import build_clip, build_update
from ml2021.engine.schedules import lr_factor
from ml2021.engine.state import Hyperparameters, TrainingState

if TYPE_CHECKING:
    from ml2021.engine.distributed import Ranks


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

    Each epoch gathers its rows once, in its own order; the batches are views of them. With `ranks`,
    each does its share of every batch, and one sum joins their gradients and losses.
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
        self._theta, self._gradient = theta, self._joined[: theta.numel()].view_as(theta)
        self._share_loss = self._joined[theta.numel() :].view(members, 1, 1)
        self._ranks = ranks
        batches = hparams.batches(count)
        self._size = size = count if hparams.batch_size is None else min(hparams.batch_size, count)
        sizes = [size] * (batches - 1) + [count - size * (batches - 1)]
        shares = {n: share(n, ranks) for n in sizes}
        self._own: Tensor | None = None  # the places of our rows in an epoch, if not all are
        if ranks is not None:
            places = [torch.arange(shares[n].start, shares[n].stop) for n in sizes]
            self._own = torch.cat([size * batch + own for batch, own in enumerate(places)])
        held = sum(len(shares[n]) for n in sizes)
        self._rows: list[Tensor] = []  # inputs, targets and weights, if any: (K, our N, ...)
        for rows in train.tensors:
            if self._is_full:  # the order of its rows does not matter
                every = rows.expand(members, *rows.shape[0 if train.is_shared else 1 :])
                self._rows.append(every[:, shares[count].start : shares[count].stop])
            else:
                shape = members, held, *rows.shape[1 if train.is_shared else 2 :]
                self._rows.append(rows.new_empty(shape))
        steps = {
            n: BatchStep(network, theta, self._gradient, len(own), hparams.loss, n)
            if own
            else self._do_nothing
            for n, own in shares.items()
        }
        self._batches = [
            (steps[n], inputs, targets, total, weights[0] if weights else None)
            for n, total, inputs, targets, *weights in zip(
                sizes,
                state.batch_losses.view(batches, members, 1, 1).unbind(),
                *(torch.split(rows, [len(shares[n]) for n in sizes], 1) for rows in self._rows),
                strict=True,
            )
        ]
        self._update = build_update(hparams.optimizer, theta, self._gradient, state.slots)
        clip = hparams.clip_norm
        self._clip = None if clip is None else build_clip(self._gradient, clip)
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
            order = epoch_order(seed, epoch, len(rows))
            if self._own is not None:
                order = order[self._own]
            order = order.to(rows.inputs.device)
            for source, place in zip(rows.tensors, self._rows, strict=True):
                torch.index_select(source, 0, order, out=place[member])

    def __call__(self, batch: int) -> None:
        """Do the update for a batch of the epoch, counted from 0."""
        step, inputs, targets, total, weights = self._batches[batch]
        if self._ranks is None:
            step(inputs, targets, total, weights)
        else:
            step(inputs, targets, self._share_loss, weights)
            self._ranks.sum(self._joined)
            total.copy_(self._share_loss)
        done = self._done + batch
        if self._trajectory is not None and self._trajectory.is_due(done):
            self._trajectory.record(done, self._theta[0], self._gradient[0])
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
        self._gradient.zero_()
        total.zero_()


def share(rows: int, ranks: "Ranks | None") -> range:
    """Return which rows of a batch are this rank's; it may be none of a small one."""
    if ranks is None:
        return range(rows)
    return range(rows * ranks.rank // ranks.size, rows * (ranks.rank + 1) // ranks.size)
