"""How to train, and all that changes while training; what it is to begin with.

Training itself is left to `ml2021.engine.fit`.

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

    seeds: K of them. The numbers of `optimizer` are shared, or (K, 1) with one for each member.
    epochs: the length of the schedule, of which no more than `last_epoch` are trained, where that
    is given. batch_size: None for full-batch gradient descent. patience: None to never stop early.
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
        """Return the number of updates that make an epoch; the last batch may be smaller."""
        return 1 if self.batch_size is None else -(-rows // self.batch_size)

    def select(self, members: Tensor) -> "Hyperparameters":
        """Return how to train these members, given by their indices (k,), alone."""
        return replace(
            self,
            optimizer=select_members(self.optimizer, members),
            seeds=tuple(self.seeds[member] for member in members.tolist()),
        )


@dataclass
class TrainingState:
    """All that changes while training.

    theta, best: (K, P). slots: name -> (K, P), what the optimizer remembers.
    batch_losses: (updates an epoch, K), the totals of the running epoch's batches so far.
    best_loss: (K,) float64, ∞ before the first epoch ends; best_epoch: (K,) int64, 0 before.
    diverged: (K,) int64, the update at which a member's loss was no longer a finite number, 0 while
    it is. epoch: how many epochs are complete. batch: how many batches of the running one are.
    path: where member 0 has been, if that is kept.
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
    path: TrajectoryRecorder | None = None

    def is_finished(self, hparams: Hyperparameters) -> bool:
        """Whether all epochs are done, or no member may still improve."""
        last = hparams.epochs if hparams.last_epoch is None else hparams.last_epoch
        return self.epoch >= last or not bool(self.is_patient(hparams).any())

    def is_patient(self, hparams: Hyperparameters) -> Tensor:
        """(K,) bool: the members that may still improve."""
        fine = self.diverged == 0
        if hparams.patience is None:
            return fine
        return fine & (self.epoch - self.best_epoch < hparams.patience)

    def select(self, members: Tensor) -> "TrainingState":
        """Return a state of these members, given by their indices (k,), alone; it has no path."""
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
        """Take over what has become of the members (k,) that were selected."""
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
    """Return the state before the first update, on the device and with the dtype of `like`.

    It begins at `theta` (K, P) where that is given, else where each member's seed says.
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
        path=TrajectoryRecorder.begin(network.layout, theta) if keep_path else None,
    )


def chosen(state: TrainingState) -> Tensor:
    """Return the indices (k,) of the members that make the ensemble: those that have not diverged.

    Where all have, those that had a best epoch before.
    """
    fine = state.diverged == 0
    return (fine if bool(fine.any()) else state.best_epoch > 0).nonzero().flatten()
