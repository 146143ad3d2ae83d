"""CUDA graphs: an update replayed by a single launch.

On a GPU an update is a few dozen kernels of a few microseconds each, and launching them takes
longer than running them. Updates of full batches are therefore captured once as a CUDA graph, in
which even the batch is found by a counter on the device, and replayed by a single launch. Imported
only if training runs on a GPU.
"""

from collections.abc import Callable

import torch

from ml2021.engine.dataset import Dataset
from ml2021.engine.networks import Network
from ml2021.engine.state import Hyperparameters, TrainingState
from ml2021.engine.updates import Updates

_WARM_UPS = 3  # before the capture, so that cuBLAS has its workspaces


class GraphedUpdates(Updates):
    """`Updates`, with those of full batches replayed from one CUDA graph.

    A smaller last batch, and updates before which the trajectory is recorded, run one kernel at a
    time, as in `Updates`.
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
        self._expected = -1  # the batch that the counters on the device point to
        self._replay: Callable[[], None] | None = None
        whole = self._full * size  # rows in full batches
        self._all = [
            rows[:, :whole].view(members, self._full, size, *rows.shape[2:]) for rows in self._rows
        ]
        # with only one batch, there is nothing to copy
        is_one = self._full == 1
        self._one = self._all if is_one else [torch.empty_like(rows[:, :1]) for rows in self._all]

    def begin_epoch(self, epoch: int) -> None:
        """Gather the rows, and write the epoch's learning-rate factors to where the graph reads."""
        super().begin_epoch(epoch)
        factors = [self._factor(self._done + batch) for batch in range(len(self._batches))]
        self._factors.copy_(torch.tensor(factors, dtype=torch.float64))
        self._expected = -1

    def __call__(self, batch: int) -> None:
        """Do the update for a batch of the epoch, counted from 0."""
        done = self._done + batch
        is_recorded = self._trajectory is not None and self._trajectory.is_due(done)
        if batch >= self._full or is_recorded:
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
        """Do the update for the batch that the device's counter points to, and advance it."""
        if self._full > 1:
            for rows, one in zip(self._all, self._one, strict=True):
                torch.index_select(rows, 1, self._batch, out=one)
        self._t.add_(1)
        step = self._batches[0][0]
        inputs, targets, *weights = (one[:, 0] for one in self._one)
        step(inputs, targets, self._total, *weights)
        self._losses.index_copy_(0, self._batch, self._total.view(1, -1))
        if self._clip is not None:
            self._clip()
        self._update(self._t, self._factors.index_select(0, self._batch).view(()))
        self._batch.add_(1)

    def _capture(self) -> Callable[[], None]:
        """Return an update as one launch; all that the warm-up has changed is restored."""
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
