"""The hyperparameters and the state of training. Training itself is `ml2021.engine.fit`.

Legend: K members, N rows, P parameters, L layers.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ml2021.engine.dataset import generator
from ml2021.engine.losses import Loss
from ml2021.engine.networks import Network, initial_parameters
from ml2021.engine.optimizers import Optimizer, select_members, slot_names
from ml2021.engine.schedules import Schedule
from ml2021.engine.trajectory import TrajectoryRecorder


@dataclass(frozen=True)
class Hyperparameters:
    """How to train K members side by side.

    seeds: one for each member. The numbers of `optimizer` are shared, or (K, 1) with one for each
    member. epochs: the length of the schedule; training ends after `last_epoch` of them, if given.
    batch_size: None for full-batch gradient descent. patience: None for no early stopping.
    """

    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    epochs: int
    batch_size: int | None
    clip_norm: float | None
    patience: int | None
    seeds: tuple[int, ...]
    last_epoch: int | None = None

    def batches(self, rows: int) -> int:
        """Return the number of batches in an epoch; the last one may be smaller."""
        return 1 if self.batch_size is None else -(-rows // self.batch_size)

    def select(self, members: Tensor) -> "Hyperparameters":
        """Return the hyperparameters of a subset of the members, given by their indices (k,)."""
        return replace(
            self,
            optimizer=select_members(self.optimizer, members),
            seeds=tuple(self.seeds[member] for member in members.tolist()),
        )


@dataclass
class TrainingState:
    """All that changes during training.

    theta, best: (K, P), the parameters now and at the best epoch. slots: name -> (K, P), what the
    optimizer keeps. batch_losses: (batches per epoch, K), the totals of the current epoch's batches
    so far. best_loss: (K,) float64, the lowest validation loss, or the lowest value of the `Score`
    that chooses the best epoch, ∞ until the first epoch ends; best_epoch: (K,) int64, 0 until then.
    diverged: (K,) int64, the update in which a member diverged, 0 if it has not.
    epoch: the number of completed epochs. batch: the number of completed batches of the current
    one. trajectory: that of member 0, or None if it is not recorded.
    """

    theta: Tensor
    slots: dict[str, Tensor]
    batch_losses: Tensor
    best: Tensor
    best_loss: Tensor
    best_epoch: Tensor
    diverged: Tensor
    epoch: int = 0
    batch: int = 0
    trajectory: TrajectoryRecorder | None = None

    def is_finished(self, hparams: Hyperparameters) -> bool:
        """Whether all epochs are done, or no member is active."""
        last = hparams.epochs if hparams.last_epoch is None else hparams.last_epoch
        return self.epoch >= last or not bool(self.is_active(hparams).any())

    def is_active(self, hparams: Hyperparameters) -> Tensor:
        """(K,) bool: the members that have neither diverged nor run out of patience."""
        is_finite = self.diverged == 0
        if hparams.patience is None:
            return is_finite
        return is_finite & (self.epoch - self.best_epoch < hparams.patience)

    def select(self, members: Tensor) -> "TrainingState":
        """Return a copy for a subset of the members (k,), without the trajectory."""
        return TrainingState(
            theta=self.theta[members],
            slots={name: slot[members] for name, slot in self.slots.items()},
            batch_losses=self.batch_losses[:, members],
            best=self.best[members],
            best_loss=self.best_loss[members],
            best_epoch=self.best_epoch[members],
            diverged=self.diverged[members],
            epoch=self.epoch,
            batch=self.batch,
        )

    def put_back(self, members: Tensor, selected: "TrainingState") -> None:
        """Copy the state of members (k,) back from what `select` returned for them."""
        self.theta[members] = selected.theta
        for name, slot in self.slots.items():
            slot[members] = selected.slots[name]
        self.batch_losses[:, members] = selected.batch_losses
        self.best[members] = selected.best
        self.best_loss[members] = selected.best_loss
        self.best_epoch[members] = selected.best_epoch
        self.diverged[members] = selected.diverged
        self.epoch, self.batch = selected.epoch, selected.batch


def start(
    network: Network,
    hparams: Hyperparameters,
    rows: int,
    like: Tensor,
    *,
    theta: Tensor | None = None,
    keep_path: bool = False,
) -> TrainingState:
    """Return the state before the first update, with the device and dtype of `like`.

    The parameters are a copy of `theta` (K, P) if given, otherwise drawn from each member's seed.
    """
    if theta is None:
        generators = [generator(seed, "weights") for seed in hparams.seeds]
        theta = initial_parameters(network, generators, like.dtype)
    theta = theta.to(like.device, like.dtype, copy=True)
    members = len(theta)
    assert members == len(hparams.seeds)
    return TrainingState(
        theta=theta,
        slots={name: torch.zeros_like(theta) for name in slot_names(hparams.optimizer)},
        batch_losses=theta.new_zeros(hparams.batches(rows), members),
        best=theta.clone(),
        best_loss=theta.new_full((members,), torch.inf, dtype=torch.float64),
        best_epoch=theta.new_zeros(members, dtype=torch.int64),
        diverged=theta.new_zeros(members, dtype=torch.int64),
        trajectory=TrajectoryRecorder.begin(network.layout, theta) if keep_path else None,
    )


def ensemble_members(state: TrainingState) -> Tensor:
    """Return the indices (k,) of the members of the ensemble: those that have not diverged.

    If all have diverged, those that had completed a best epoch before.
    """
    is_finite = state.diverged == 0
    return (is_finite if bool(is_finite.any()) else state.best_epoch > 0).nonzero().flatten()
