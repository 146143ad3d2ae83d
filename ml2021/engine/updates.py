"""The updates of an epoch, each one a call: a batch's loss and gradient, then better parameters.

On a GPU an update is a few dozen kernels of a few microseconds, and launching them takes longer
than they do. Updates that are alike are therefore captured once as a CUDA graph, in which even the
batch is found by a counter on the device, and replayed by a single launch.

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

_WARM_UPS = 3  # before a capture, so that cuBLAS and its workspaces are there


def build_updates(
    network: Network, hparams: Hyperparameters, state: TrainingState, train: Dataset
) -> "Updates":
    """Return the updates as they are fastest on the device of the state."""
    kind = GraphedUpdates if state.theta.is_cuda else Updates
    return kind(network, hparams, state, train)


class BatchStep:
    """Loss and gradient of one batch size: forward, the loss, and back."""

    def __init__(
        self, network: Network, theta: Tensor, gradient: Tensor, batch_size: int, loss: Loss
    ) -> None:
        self._pass = Pass(network, theta, batch_size, gradient)
        self._output_gradient = theta.new_empty(len(theta), batch_size, network.layout.outputs)
        self._loss = build_loss(loss, self._output_gradient)

    def __call__(self, inputs: Tensor, targets: Tensor, total: Tensor) -> None:
        """Write the gradient of the batch's mean loss to the buffer, and B · mean to `total`."""
        outputs = self._pass.forward(inputs)
        self._loss(outputs, targets, total)
        self._pass.backward(inputs, self._output_gradient)


class Updates:
    """The updates bound to a state, with every buffer and view made once.

    An epoch's rows are gathered once in that epoch's order; its batches are views of them.
    """

    def __init__(
        self, network: Network, hparams: Hyperparameters, state: TrainingState, train: Dataset
    ) -> None:
        theta = state.theta
        self._train, self._seeds, self._path = train, hparams.seeds, state.path
        self._is_full = hparams.batch_size is None
        self._theta, self._gradient = theta, torch.empty_like(theta)
        members, rows = len(theta), len(train)
        batches = hparams.batches(rows)
        self._size = size = rows if hparams.batch_size is None else min(hparams.batch_size, rows)
        if self._is_full:  # the order of the rows of a full batch does not matter
            self._inputs = train.inputs.expand(members, *train.inputs.shape[-2:])
            own = train.targets[None] if train.is_shared else train.targets
            self._targets = own.expand(members, *own.shape[1:])
        else:
            self._inputs, self._targets = (
                rows_of.new_empty(members, *rows_of.shape[0 if train.is_shared else 1 :])
                for rows_of in (train.inputs, train.targets)
            )
        sizes = {size, rows % size or size}
        steps = {n: BatchStep(network, theta, self._gradient, n, hparams.loss) for n in sizes}
        self._batches = [
            (steps[inputs.shape[1]], inputs, targets, total)
            for inputs, targets, total in zip(
                torch.split(self._inputs, size, dim=1),
                torch.split(self._targets, size, dim=1),
                state.batch_losses.view(batches, members, 1, 1).unbind(),
                strict=True,
            )
        ]
        self._update = build_update(hparams.optimizer, theta, self._gradient, state.slots)
        clip = hparams.clip_norm
        self._clip = None if clip is None else build_clip(self._gradient, clip)
        self._factor: Callable[[int], float] = partial(
            lr_factor,
            hparams.schedule,
            updates_per_epoch=batches,
            epochs=hparams.epochs,
        )
        self._done = 0

    def begin_epoch(self, epoch: int) -> None:
        """Gather the rows in the order of that epoch, counted from 0."""
        self._done = epoch * len(self._batches)
        if self._is_full:
            return
        for member, seed in enumerate(self._seeds):
            rows = self._train.of_member(member)
            order = epoch_order(seed, epoch, len(rows)).to(rows.inputs.device)
            torch.index_select(rows.inputs, 0, order, out=self._inputs[member])
            torch.index_select(rows.targets, 0, order, out=self._targets[member])

    def __call__(self, batch: int) -> None:
        """Do the update of that batch of the epoch, counted from 0."""
        step, inputs, targets, total = self._batches[batch]
        step(inputs, targets, total)
        done = self._done + batch
        if self._path is not None and self._path.is_due(done):
            self._path.record(done, self._theta[0], self._gradient[0])
        if self._clip is not None:
            self._clip()
        self._update(done + 1, self._factor(done))


class GraphedUpdates(Updates):
    """The same updates, those of full batches replayed from one CUDA graph.

    The ragged last batch, and updates before which a point of the path is kept, run as above.
    """

    def __init__(
        self, network: Network, hparams: Hyperparameters, state: TrainingState, train: Dataset
    ) -> None:
        super().__init__(network, hparams, state, train)
        members, size = len(state.theta), self._size
        self._full = len(train) // size
        self._changed = (state.theta, state.batch_losses, *state.slots.values())
        self._losses = state.batch_losses
        self._total = state.theta.new_empty(members, 1, 1)
        self._t = state.theta.new_zeros((), dtype=torch.float64)
        self._batch = state.best_epoch.new_zeros(1)
        self._factors = self._t.new_empty(len(self._batches))
        self._expected = -1  # the batch that the counters on the device stand at
        self._replay: Callable[[], None] | None = None
        whole = self._full * size
        self._all_inputs, self._all_targets = (
            rows[:, :whole].view(members, self._full, size, *rows.shape[2:])
            for rows in (self._inputs, self._targets)
        )
        if self._full == 1:  # nothing to choose from, so nothing to copy
            self._one_inputs, self._one_targets = self._all_inputs, self._all_targets
        else:
            self._one_inputs = torch.empty_like(self._all_inputs[:, :1])
            self._one_targets = torch.empty_like(self._all_targets[:, :1])

    def begin_epoch(self, epoch: int) -> None:
        """Gather the rows, and put the epoch's learning rates where the graph finds them."""
        super().begin_epoch(epoch)
        factors = [self._factor(self._done + batch) for batch in range(len(self._batches))]
        self._factors.copy_(torch.tensor(factors, dtype=torch.float64))
        self._expected = -1

    def __call__(self, batch: int) -> None:
        """Do the update of that batch of the epoch, counted from 0."""
        done = self._done + batch
        if batch >= self._full or (self._path is not None and self._path.is_due(done)):
            super().__call__(batch)
            return
        if self._replay is None:
            self._replay = self._capture()
        if batch != self._expected:
            self._t.fill_(done)
            self._batch.fill_(batch)
        self._replay()
        self._expected = batch + 1

    def _one_update(self) -> None:
        """Do the update of the batch that the counter on the device says, and count on."""
        if self._full > 1:
            for rows, one in (
                (self._all_inputs, self._one_inputs),
                (self._all_targets, self._one_targets),
            ):
                torch.index_select(rows, 1, self._batch, out=one)
        self._t.add_(1)
        step = self._batches[0][0]
        step(self._one_inputs[:, 0], self._one_targets[:, 0], self._total)
        self._losses.index_copy_(0, self._batch, self._total.view(1, -1))
        if self._clip is not None:
            self._clip()
        self._update(self._t, self._factors.index_select(0, self._batch).view(()))
        self._batch.add_(1)

    def _capture(self) -> Callable[[], None]:
        """Return an update as one launch; what the warming up has changed is put back."""
        before = [tensor.clone() for tensor in self._changed]
        side = torch.cuda.Stream(self._theta.device)
        side.wait_stream(torch.cuda.current_stream(self._theta.device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self._t.zero_()
                self._batch.zero_()
                self._one_update()
        torch.cuda.current_stream(self._theta.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._one_update()
        for tensor, value in zip(self._changed, before, strict=True):
            tensor.copy_(value)
        replay: Callable[[], None] = graph.replay
        return replay
