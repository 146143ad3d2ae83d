"""Training: one generator that turns parameters into better ones and reports on the way.

`fit` changes a `TrainingState` in place and yields at the end of every epoch and at least every
half second within one. It touches no file: its caller saves, logs, draws and stops. Whenever it
has yielded, the state is whole: stored then and handed to another `fit`, training goes on to the
bit as if it had not been interrupted, since the order of an epoch and the learning rate of an
update are pure functions and everything else is in the state.

Legend: K members, N rows, B rows of a batch, P parameters.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ml2021.data.datasets import Dataset, epoch_order, generator
from ml2021.engine.losses import Loss, build_loss, mean_loss
from ml2021.engine.networks import Forward, Network, Pass, initial_parameters
from ml2021.engine.optimizers import Optimizer, build_clip, build_update, slot_names
from ml2021.engine.schedules import Schedule, lr_factor
from ml2021.errors import DivergenceError

REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Training:
    """How to train. `batch_size` None: full-batch gradient descent; `patience` None: never stop."""

    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    epochs: int
    batch_size: int | None
    clip_norm: float | None
    patience: int | None
    seeds: tuple[int, ...]

    def batches(self, rows: int) -> int:
        """Return the number of updates that make an epoch; the last batch may be smaller."""
        return 1 if self.batch_size is None else -(-rows // self.batch_size)


@dataclass
class TrainingState:
    """All that changes while training.

    theta, best: (K, P). slots: name -> (K, P), what the optimizer remembers.
    batch_losses: (updates an epoch, K), the totals of the running epoch's batches so far.
    best_loss: (K,) float64, ∞ before the first epoch ends; best_epoch: (K,) int64, 0 before.
    epoch: how many epochs are complete. batch: how many batches of the running one are.
    """

    theta: Tensor
    slots: dict[str, Tensor]
    batch_losses: Tensor
    best: Tensor
    best_loss: Tensor
    best_epoch: Tensor
    epoch: int = 0
    batch: int = 0

    def is_finished(self, training: Training) -> bool:
        """Whether all epochs are done, or every member has run out of patience."""
        return self.epoch >= training.epochs or not bool(self._is_patient(training).any())

    def _is_patient(self, training: Training) -> Tensor:
        """(K,) bool: the members that may still improve."""
        if training.patience is None:
            return torch.ones_like(self.best_epoch, dtype=torch.bool)
        return self.epoch - self.best_epoch < training.patience


@dataclass(frozen=True)
class Progress:
    """Where training stands. Losses are those that are minimised, in standardised units.

    epoch: the epoch that is running, or that has just ended, counted from 1.
    train_loss: (K,) float64, the mean over this epoch's batches so far, each before its update.
    validation_loss: (K,) float64 and validation_outputs: (K, N, T), at the end of an epoch with
    validation rows, else None. improved: (K,) bool, the best so far, at the end of an epoch.
    """

    epoch: int
    batch: int
    batches: int
    updates: int
    lr_factor: float
    train_loss: Tensor
    validation_loss: Tensor | None = None
    validation_outputs: Tensor | None = None
    improved: Tensor | None = None

    @property
    def is_epoch_end(self) -> bool:
        """Whether an epoch has just ended."""
        return self.improved is not None


def start(network: Network, training: Training, rows: int, like: Tensor) -> TrainingState:
    """Return the state before the first update, on the device and with the dtype of `like`."""
    generators = [generator(seed, "weights") for seed in training.seeds]
    theta = initial_parameters(network, generators, like.dtype).to(like.device)
    members = len(theta)
    return TrainingState(
        theta=theta,
        slots={name: torch.zeros_like(theta) for name in slot_names(training.optimizer)},
        batch_losses=theta.new_zeros(training.batches(rows), members),
        best=theta.clone(),
        best_loss=theta.new_full((members,), torch.inf, dtype=torch.float64),
        best_epoch=theta.new_zeros(members, dtype=torch.int64),
    )


@torch.inference_mode()
def fit(
    network: Network,
    training: Training,
    state: TrainingState,
    train: Dataset,
    validation: Dataset | None,
) -> Iterator[Progress]:
    """Train until `state.is_finished`, changing `state` in place.

    The best parameters are those with the lowest validation loss, or without validation rows the
    last. Raises DivergenceError when a loss or a parameter is no longer a finite number.
    """
    batches = training.batches(len(train))
    gradient = torch.empty_like(state.theta)
    update = build_update(training.optimizer, state.theta, gradient, state.slots)
    clip = None if training.clip_norm is None else build_clip(gradient, training.clip_norm)
    visit = _EpochBatches(train, training.batch_size, training.seeds)
    steps = {
        size: BatchStep(network, state.theta, gradient, size, training.loss) for size in visit.sizes
    }
    totals = state.batch_losses.view(batches, -1, 1, 1).unbind()
    forward = None if validation is None else Forward(network, state.theta, len(validation))
    factor = 1.0
    reported = time.perf_counter()

    while not state.is_finished(training):
        done = state.epoch * batches
        for inputs, targets in visit(state.epoch, state.batch):
            step = steps[inputs.shape[1]]
            step(inputs, targets, totals[state.batch])
            if clip is not None:
                clip()
            factor = lr_factor(training.schedule, done + state.batch, batches, training.epochs)
            state.batch += 1
            update(done + state.batch, factor)
            if time.perf_counter() - reported > REPORT_SECONDS and state.batch < batches:
                train_loss = _epoch_loss(state, train, training, state.batch)
                yield Progress(
                    epoch=state.epoch + 1,
                    batch=state.batch,
                    batches=batches,
                    updates=done + state.batch,
                    lr_factor=factor,
                    train_loss=train_loss,
                )
                reported = time.perf_counter()
        yield _end_epoch(forward, training, state, train, validation, factor)
        reported = time.perf_counter()


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


class _EpochBatches:
    """The batches of an epoch as views of the rows, gathered once in that epoch's order."""

    def __init__(self, train: Dataset, batch_size: int | None, seeds: Sequence[int]) -> None:
        self._train = train
        self._seeds = seeds
        rows, members = len(train), len(seeds)
        if batch_size is None:  # the order of the rows of a full batch does not matter
            self._size = rows
            self._inputs = train.inputs.expand(members, *train.inputs.shape)
            self._targets = train.targets.expand(members, *train.targets.shape)
        else:
            self._size = min(batch_size, rows)
            self._inputs = train.inputs.new_empty(members, *train.inputs.shape)
            self._targets = train.targets.new_empty(members, *train.targets.shape)
        self._is_full = batch_size is None
        self.sizes = {self._size, rows % self._size or self._size}

    def __call__(self, epoch: int, first: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (K, B, F + 1) and targets (K, B, T) or (K, B), from batch `first` on."""
        if not self._is_full:
            for member, seed in enumerate(self._seeds):
                order = epoch_order(seed, epoch, len(self._train)).to(self._inputs.device)
                torch.index_select(self._train.inputs, 0, order, out=self._inputs[member])
                torch.index_select(self._train.targets, 0, order, out=self._targets[member])
        inputs = torch.split(self._inputs[:, first * self._size :], self._size, dim=1)
        targets = torch.split(self._targets[:, first * self._size :], self._size, dim=1)
        return zip(inputs, targets, strict=True)


def _end_epoch(
    forward: Forward | None,
    training: Training,
    state: TrainingState,
    train: Dataset,
    validation: Dataset | None,
    factor: float,
) -> Progress:
    """Close the epoch: its losses, the best so far, and the counters."""
    batches = state.batch
    train_loss = _epoch_loss(state, train, training, batches)
    patient = state._is_patient(training)
    validation_loss = validation_outputs = None
    improved = patient
    if validation is not None:
        assert forward is not None
        validation_outputs = forward(validation.inputs)
        validation_loss = mean_loss(training.loss, validation_outputs, validation.targets)
        if not bool(validation_loss.isfinite().all()):
            raise _diverged(state.epoch + 1, (state.epoch + 1) * batches)
        improved = patient & (validation_loss < state.best_loss)
    state.epoch += 1
    state.batch = 0
    state.batch_losses.zero_()
    if bool(improved.any()):
        state.best.copy_(torch.where(improved[:, None], state.theta, state.best))
        loss = train_loss if validation_loss is None else validation_loss
        state.best_loss.copy_(torch.where(improved, loss, state.best_loss))
        state.best_epoch.masked_fill_(improved, state.epoch)
    return Progress(
        epoch=state.epoch,
        batch=batches,
        batches=batches,
        updates=state.epoch * batches,
        lr_factor=factor,
        train_loss=train_loss,
        validation_loss=validation_loss,
        validation_outputs=validation_outputs,
        improved=improved,
    )


def _epoch_loss(state: TrainingState, train: Dataset, training: Training, batches: int) -> Tensor:
    """Return the mean loss (K,) over the first `batches` batches of the running epoch.

    Raises DivergenceError where it, or a parameter, is not finite.
    """
    totals = state.batch_losses[:batches].double()
    size = len(train) if training.batch_size is None else training.batch_size
    rows = min(batches * size, len(train))
    loss = totals.sum(0) / rows
    if not bool((loss + state.theta.sum(1)).isfinite().all()):
        finite = totals.isfinite().all(1)
        first = batches if bool(finite.all()) else int(finite.logical_not().nonzero()[0]) + 1
        update = state.epoch * training.batches(len(train)) + first
        raise _diverged(state.epoch + 1, update)
    return loss


def _diverged(epoch: int, update: int) -> DivergenceError:
    return DivergenceError(
        f"training diverged: the loss is not a finite number in epoch {epoch}, update {update}; "
        "try a smaller optimizer.lr, or train.clip_norm"
    )
