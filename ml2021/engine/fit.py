"""Training as a generator that updates the parameters and yields its progress.

`fit` changes a `TrainingState` in place and yields at the end of every epoch and about every half
second within one. It touches no file: its caller saves, logs, draws and stops. Whenever it yields,
the state is complete. Saved at that point and passed to another `fit`, training resumes
bit-identically, because the order of an epoch and the learning rate of an update are pure functions
and everything else is in the state.

Legend: K members, N rows, T outputs.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ml2021.engine.dataset import Dataset
from ml2021.engine.losses import mean_loss
from ml2021.engine.networks import Forward, Network
from ml2021.engine.schedules import lr_factor
from ml2021.engine.state import Hyperparameters, TrainingState
from ml2021.engine.updates import Updates
from ml2021.errors import DivergenceError

if TYPE_CHECKING:
    from ml2021.engine.distributed import Ranks
    from ml2021.engine.ranks import LeadingUpdates

Score = Callable[[Tensor, Tensor], Tensor]
"""(k,), the indices of members, and (k, N, T), their outputs for their validation rows -> (k,)
float64, what is minimised in place of the validation loss; not finite where it is undefined."""
PROGRESS_SECONDS = 0.5
LARGEST_PARAMETER = 1e12
"""A larger parameter has diverged, whatever the loss: inputs are about 1, and in float32 the
difference of two such terms has no correct digit. At 1e24 the absolute error is still finite."""


@dataclass(frozen=True)
class Progress:
    """The progress of training. Losses are the minimised ones, in standardised units.

    epoch: the current epoch, or the one that has just ended, counted from 1.
    train_loss: (K,) float64, the mean over this epoch's batches so far, each before its update.
    validation_loss: (K,) float64 and validation_outputs: (K, N, T), at the end of an epoch if there
    are validation rows, else None. improved: (K,) bool, whether this epoch is the member's best so
    far; None within an epoch. gradient: (K, P), what the epoch's last update used, at its end: a
    buffer, which the next update overwrites.
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
    gradient: Tensor | None = None

    @property
    def is_epoch_end(self) -> bool:
        """Whether an epoch has just ended."""
        return self.improved is not None


@torch.inference_mode()
def fit(
    network: Network,
    hparams: Hyperparameters,
    state: TrainingState,
    train: Dataset,
    validation: Dataset | None,
    score: Score | None = None,
    members: Tensor | None = None,
    pause: float | None = None,
    ranks: "Ranks | None" = None,
) -> Iterator[Progress]:
    """Train until `state.is_finished`, changing `state` in place.

    The best parameters are those with the lowest validation loss, or value of `score` for
    `members` (K,) int64, all by default; or the last ones if there are no validation rows. A member
    whose loss or parameters are no longer finite has diverged, and its best parameters stay as they
    are. pause: the seconds between two yields within an epoch, `PROGRESS_SECONDS` by default.
    ranks: those that share the updates, led by this one. Raises DivergenceError when all members
    have diverged, and ResourceError where a rank is lost.
    """
    pause = PROGRESS_SECONDS if pause is None else pause
    batches = hparams.batches(len(train))
    update = build_updates(network, hparams, state, train, ranks)
    forward = None if validation is None else Forward(network, state.theta, len(validation))
    members = torch.arange(len(state.theta)) if members is None else members
    of_outputs = None if score is None else partial(score, members)
    yielded = time.perf_counter()

    while not state.is_finished(hparams):
        update.begin_epoch(state.epoch)
        while state.batch < batches:
            update(state.batch)
            state.batch += 1
            is_due = time.perf_counter() - yielded > pause and state.batch < batches
            if is_due and update.may_pause(state.batch):
                yield _within_epoch(hparams, state, train)
                yielded = time.perf_counter()
        ended = _end_epoch(forward, hparams, state, train, validation, of_outputs)
        yield replace(ended, gradient=update.gradient)
        yielded = time.perf_counter()


def build_updates(
    network: Network,
    hparams: Hyperparameters,
    state: TrainingState,
    train: Dataset,
    ranks: "Ranks | None" = None,
) -> "Updates | LeadingUpdates":
    """Return the updates in the form that is fastest on the device of the state."""
    if ranks is not None:
        from ml2021.engine.ranks import LeadingUpdates

        return LeadingUpdates(ranks, network, hparams, state, train)
    if state.theta.is_cuda:
        from ml2021.engine.cuda_graph import GraphedUpdates

        return GraphedUpdates(network, hparams, state, train)
    return Updates(network, hparams, state, train)


def _within_epoch(hparams: Hyperparameters, state: TrainingState, train: Dataset) -> Progress:
    """Return the progress within an epoch."""
    batches = hparams.batches(len(train))
    updates = state.epoch * batches + state.batch
    return Progress(
        epoch=state.epoch + 1,
        batch=state.batch,
        batches=batches,
        updates=updates,
        lr_factor=lr_factor(hparams.schedule, updates - 1, batches, hparams.epochs),
        train_loss=_epoch_loss(state, train, hparams),
    )


def _end_epoch(
    forward: Forward | None,
    hparams: Hyperparameters,
    state: TrainingState,
    train: Dataset,
    validation: Dataset | None,
    score: Callable[[Tensor], Tensor] | None,
) -> Progress:
    """Finish the epoch: compute its losses, keep the best parameters, advance the counters."""
    batches = state.batch
    chosen = train_loss = _epoch_loss(state, train, hparams)
    validation_loss = validation_outputs = None
    if validation is not None:
        assert forward is not None
        validation_outputs = forward(validation.inputs)
        validation_loss = mean_loss(
            hparams.loss, validation_outputs, validation.targets, validation.weights
        )
        ended = torch.full_like(state.diverged, (state.epoch + 1) * batches)
        _mark_diverged(state, batches, validation_loss, ended)
        chosen = validation_loss if score is None else score(validation_outputs)
        improved = state.is_active(hparams) & (chosen < state.best_loss)
    else:
        improved = state.is_active(hparams)
    state.epoch += 1
    state.batch = 0
    state.batch_losses.zero_()
    if bool(improved.any()):
        state.best.copy_(torch.where(improved[:, None], state.theta, state.best))
        state.best_loss.copy_(torch.where(improved, chosen, state.best_loss))
        state.best_epoch.masked_fill_(improved, state.epoch)
    updates = state.epoch * batches
    return Progress(
        epoch=state.epoch,
        batch=batches,
        batches=batches,
        updates=updates,
        lr_factor=lr_factor(hparams.schedule, updates - 1, batches, hparams.epochs),
        train_loss=train_loss,
        validation_loss=validation_loss,
        validation_outputs=validation_outputs,
        improved=improved,
    )


def _epoch_loss(state: TrainingState, train: Dataset, hparams: Hyperparameters) -> Tensor:
    """Return the mean loss (K,) over the batches of the current epoch so far.

    Also marks the members whose loss or parameters have diverged.
    """
    totals = state.batch_losses[: state.batch].double()
    size = len(train) if hparams.batch_size is None else hparams.batch_size
    loss = totals.sum(0) / min(state.batch * size, len(train))
    batches = hparams.batches(len(train))
    first = totals.isfinite().logical_not().int().argmax(0) + 1  # 1 where none is infinite
    odd = state.epoch * batches + torch.where(loss.isfinite(), state.batch, first)
    _mark_diverged(state, batches, loss + state.theta.sum(1), odd)
    largest = torch.maximum(state.theta.amax(1), -state.theta.amin(1))
    grown = torch.where(largest <= LARGEST_PARAMETER, 0.0, torch.inf)
    last = torch.full_like(odd, state.epoch * batches + state.batch)
    _mark_diverged(state, batches, grown, last, f"a parameter exceeds {LARGEST_PARAMETER:g}")
    return loss


def _mark_diverged(
    state: TrainingState,
    batches: int,
    value: Tensor,
    update: Tensor,
    what: str = "the loss is not a finite number",
) -> None:
    """Mark the members whose `value` (K,) is not finite as diverged in `update` (K,) int64.

    Raises DivergenceError, with the epoch and update of the last one, if no member is left.
    """
    if bool(value.isfinite().all()):
        return
    new = value.isfinite().logical_not() & (state.diverged == 0)
    state.diverged.copy_(torch.where(new, update, state.diverged))
    if bool((state.diverged > 0).all()):
        raise divergence_error(what, int(state.diverged.max()), batches)


def divergence_error(what: str, update: int, batches: int) -> DivergenceError:
    """Build the DivergenceError for an update; `batches` are per epoch."""
    return DivergenceError(
        f"training diverged: {what} in epoch "
        f"{(update - 1) // batches + 1}, update {update}; "
        "try a smaller optimizer.lr, or train.clip_norm"
    )


@dataclass(frozen=True)
class MemberProgress:
    """The progress of the members that are still training.

    members: (k,) int64, their indices. The tensors of `progress` have k entries.
    """

    members: Tensor
    progress: Progress


def fit_members(
    network: Network,
    hparams: Hyperparameters,
    state: TrainingState,
    train: Dataset,
    validation: Dataset | None,
    score: Score | None = None,
    ranks: "Ranks | None" = None,
) -> Iterator[MemberProgress]:
    """Train until every member is done, changing `state` in place.

    Like `fit`, but a member that has run out of patience or has diverged is dropped after that
    epoch. The state is complete at every yield. Raises DivergenceError when all members have
    diverged.
    """
    while not state.is_finished(hparams):
        members = state.is_active(hparams).nonzero().flatten()
        is_subset = len(members) < len(state.theta)
        running, own_hparams, own_train, own_validation = state, hparams, train, validation
        if is_subset:
            running = state.select(members)
            own_hparams = hparams.select(members)
            own_train = train.select(members)
            own_validation = None if validation is None else validation.select(members)
        try:
            rows = own_train, own_validation
            for progress in fit(network, own_hparams, running, *rows, score, members, ranks=ranks):
                if is_subset:
                    state.put_back(members, running)
                yield MemberProgress(members, progress)
                if progress.is_epoch_end and not bool(running.is_active(own_hparams).all()):
                    break
        except DivergenceError:  # all members that were still training have diverged
            if is_subset:
                state.put_back(members, running)
            if bool((state.diverged > 0).all()):
                raise
