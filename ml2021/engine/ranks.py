"""Updates that several ranks share: rank 0 announces them, the others follow.

The leader, rank 0, trains as if it were alone (`LeadingUpdates`), and announces to the others how
many updates come next; `Follower` does the same updates on every other rank, as far as they are its
own (`ml2021.engine.shares`). All have all rows. Where they divide the rows, all have the whole
state, so that parameters need never be sent: the same sum of gradients gives the same step. A
digest of the parameters shows it once an epoch.

Legend: K members, N rows, P parameters.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ml2021.disk import disk_folder, empty, use_disk
from ml2021.engine import losses, optimizers, schedules
from ml2021.engine.dataset import Dataset
from ml2021.engine.distributed import Message, Ranks
from ml2021.engine.networks import Layout, Network
from ml2021.engine.shares import MemberShare, RowShare, are_divided, build_share
from ml2021.engine.state import Hyperparameters, TrainingState, start
from ml2021.engine.updates import Updates
from ml2021.files import followers_here, most_threads
from ml2021.memory import check_fits

WINDOW_SECONDS = 0.2
"""About how long the updates take that are announced at once: the others stop between two."""
MEASURED_SECONDS = 0.1
"""How long updates are measured before training."""
_CLASSES: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        *(losses.Mae, losses.Mse, losses.Huber, losses.CrossEntropy),
        *(optimizers.Sgd, optimizers.Adagrad, optimizers.Rmsprop, optimizers.Adam),
        *(schedules.Constant, schedules.Cosine, schedules.Step),
        Hyperparameters,
    )
}


def _plain(value: Any) -> Any:
    """Return hyperparameters as JSON takes them."""
    if type(value).__name__ in _CLASSES:
        own = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {"class": type(value).__name__, **own}
    return value


def _built(value: Any) -> Any:
    """Return what `_plain` was given."""
    if isinstance(value, dict):
        own = {name: _built(each) for name, each in value.items() if name != "class"}
        return _CLASSES[value["class"]](**own)
    return tuple(value) if isinstance(value, list) else value


class LeadingUpdates:
    """The updates of rank 0, which the other ranks share."""

    def __init__(
        self,
        ranks: Ranks,
        network: Network,
        hparams: Hyperparameters,
        state: TrainingState,
        train: Dataset,
    ) -> None:
        _send_job(ranks, network, hparams, state, train)
        self._share = build_share(ranks, network, hparams, state, train)
        self._batches = len(state.batch_losses)
        self._group, self._epoch = ranks, -1
        self._until = self._window = self._announced = 0
        self._since = 0.0

    def begin_epoch(self, epoch: int) -> None:
        """Gather the rows in the order of the epoch, counted from 0."""
        self._share.begin_epoch(epoch)
        self._epoch, self._until, self._announced = epoch, 0, 0

    @property
    def gradient(self) -> Tensor:
        """(K, P), what the last update used, where training may stop."""
        return self._share.whole_gradient

    def may_pause(self, batch: int) -> bool:
        """Whether the others wait before that batch, too."""
        return batch >= self._until

    def __call__(self, batch: int) -> None:
        """Do the update for a batch of the epoch, counted from 0."""
        if batch >= self._until:
            now = time.perf_counter()
            if self._announced:
                each = (now - self._since) / self._announced
                most = max(1, min(2 * self._window, round(WINDOW_SECONDS / each)))
                self._window = most
            self._window = max(1, self._window)
            self._until = min(self._batches, batch + self._window)
            self._announced, self._since = self._until - batch, now
            self._group.tell(do="go", epoch=self._epoch, first=batch, until=self._until)
        self._share(batch)
        if batch == self._until - 1:
            self._share.join(self._until - self._announced, self._until)


def _send_job(
    ranks: Ranks, network: Network, hparams: Hyperparameters, state: TrainingState, train: Dataset
) -> None:
    """Send everything that the others need to train."""
    rows = hparams.batch_size or len(train)
    work = 6.0 * rows * network.layout.parameters * len(state.theta)
    ranks.connect(work, with_cuda=state.theta.is_cuda)
    if not _is_sent(ranks, train):
        described = [[str(each.dtype)[6:], [*each.shape]] for each in train.tensors]
        folder = disk_folder()
        ranks.tell(
            do="rows",
            tensors=described,
            device=state.theta.device.type,
            folder=None if folder is None else str(folder.absolute()),
        )
        for each in train.tensors:
            ranks.broadcast(each.contiguous())
    ranks.tell(
        do="train",
        sizes=network.layout.sizes,
        activation=network.activation,
        hparams=_plain(hparams),
        dtype=str(state.theta.dtype)[6:],
        threads=torch.get_num_threads(),
    )
    for each in (state.theta, *state.slots.values()):
        ranks.broadcast(each)


_sent: dict[Ranks, Dataset] = {}
"""The rows that the others hold."""


def _is_sent(ranks: Ranks, train: Dataset) -> bool:
    """Whether the others hold these rows; from now on they do."""
    before, _sent[ranks] = _sent.get(ranks), train
    return before is train


class Follower:
    """What a rank other than 0 does in training: its share of what the leader announces."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._rows: Dataset | None = None
        self._share: RowShare | MemberShare | None = None
        self._state: TrainingState | None = None
        self._epoch = -1

    @torch.inference_mode()
    def handle(self, message: Message) -> None:
        """Do what a message of the leader says."""
        match message["do"]:
            case "connect":
                self._ranks.accept(message["seconds"], with_cuda=message["with_cuda"])
            case "rows":
                self._share = self._rows = None  # before the next, so that memory never has two
                self._receive_rows(message)
            case "train":
                self._receive_job(message)
            case "go":
                self._update(message["epoch"], message["first"], message["until"])
            case "sum":
                _time_sums(self._ranks, self._like(message["size"]), message["times"])
            case other:
                raise AssertionError(other)

    def _receive_rows(self, message: Message) -> None:
        device = torch.device(message["device"])
        if device.type == "cuda":
            device = torch.device("cuda", self._ranks.local)
        described = [(getattr(torch, dtype), tuple(shape)) for dtype, shape in message["tensors"]]
        folder = message["folder"]  # that of rank 0, which another machine need not have
        is_usable = folder is not None and os.access(folder, os.W_OK)
        use_disk(Path(folder) if is_usable else None)
        if device.type == "cpu" and not is_usable:
            size = sum(dtype.itemsize * math.prod(shape) for dtype, shape in described)
            check_fits(
                max(1, followers_here()) * size,
                "the training rows, which each rank of this machine holds,",
                "start fewer ranks on it, list columns in data.exclude, or use fewer rows",
            )
        tensors = [_empty(shape, dtype, device) for dtype, shape in described]
        for each in tensors:
            self._ranks.broadcast(each)
        self._rows = Dataset(*tensors)

    def _receive_job(self, message: Message) -> None:
        assert self._rows is not None
        torch.set_num_threads(min(message["threads"], most_threads()))
        network = Network(Layout(tuple(message["sizes"])), message["activation"])
        hparams: Hyperparameters = _built(message["hparams"])
        shape = len(hparams.seeds), network.layout.parameters
        dtype = getattr(torch, message["dtype"])
        theta = torch.zeros(shape, dtype=dtype, device=self._rows.inputs.device)
        self._state = start(network, hparams, len(self._rows), theta, theta=theta)
        for each in (self._state.theta, *self._state.slots.values()):
            self._ranks.broadcast(each)
        self._share, self._epoch = None, -1
        self._share = build_share(self._ranks, network, hparams, self._state, self._rows)

    def _update(self, epoch: int, first: int, until: int) -> None:
        assert self._share is not None
        if epoch != self._epoch:
            self._share.begin_epoch(epoch)
            self._epoch = epoch
        for batch in range(first, until):
            self._share(batch)
        self._share.join(first, until)

    def _like(self, size: int) -> Tensor:
        assert self._state is not None
        return self._state.theta.new_zeros(size)


def _empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a tensor to be filled; on the CPU it is in a file if `use_disk` says so."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(empty(shape, str(dtype)[6:]))


@dataclass(frozen=True)
class Costs:
    """The seconds of an update on one rank and on all of them, and of the sum in it.

    members: how many are divided among the ranks, which need no sum; None where the rows are.
    """

    ranks: int
    alone: float
    shared: float
    summing: float
    members: int | None = None

    def describe(self) -> str:
        """Say what the ranks cost and give."""
        if self.members is not None:
            return (
                f"{self.ranks} ranks, each of which trains some of the {self.members} members: an "
                f"update takes {_milliseconds(self.shared)}; on one rank "
                f"{_milliseconds(self.alone)}"
            )
        measured = (
            f"{self.ranks} ranks: an update takes {_milliseconds(self.shared)}, of which the "
            f"all-reduce {_milliseconds(self.summing)}; on one rank {_milliseconds(self.alone)}"
        )
        if self.shared >= self.alone:
            return (
                f"{measured}. More ranks cost more than they give here: train without torchrun, or "
                "with a larger train.batch_size or model"
            )
        most = max(self.ranks, int(self.alone / self.summing))
        return f"{measured}. More than about {most:,} would gain little"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2g} ms" if seconds < 0.0995 else f"{seconds * 1e3:,.0f} ms"


@torch.inference_mode()
def measure(
    ranks: Ranks,
    network: Network,
    hparams: Hyperparameters,
    state: TrainingState,
    train: Dataset,
    threads: int,
    seconds: float = MEASURED_SECONDS,
) -> Costs:
    """Measure a few updates on a copy of the state; the leader calls it.

    threads: those that a process alone would use. seconds: how long to measure each.
    """

    def copy() -> TrainingState:
        return start(network, hparams, len(train), state.theta, theta=state.theta)

    batches = hparams.batches(len(train))
    of_rank = torch.get_num_threads()
    torch.set_num_threads(threads)
    alone = _time_updates(Updates(network, hparams, copy(), train), batches, seconds)
    torch.set_num_threads(of_rank)
    together = LeadingUpdates(ranks, network, hparams, copy(), train)
    shared = _time_updates(together, batches, seconds)
    if are_divided(ranks, len(state.theta)):
        return Costs(ranks.size, alone, shared, 0.0, members=len(state.theta))
    size, times = state.theta.numel() + len(state.theta), 20
    ranks.tell(do="sum", size=size, times=times)
    summing = _time_sums(ranks, state.theta.new_zeros(size), times)
    return Costs(ranks.size, alone, shared, min(summing, shared))


def _time_updates(updates: Updates | LeadingUpdates, batches: int, seconds: float) -> float:
    """Return the seconds of an update; the first ones, which make the buffers, are not timed."""
    taken: list[float] = []
    begun = time.perf_counter()
    for epoch in range(1000):
        updates.begin_epoch(epoch)
        for batch in range(batches):
            before = time.perf_counter()
            updates(batch)
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - before)
            is_long = time.perf_counter() - begun > seconds and len(taken) > 1
            if is_long and updates.may_pause(batch + 1):
                return median(taken[1:])
    return median(taken[1:])


def _time_sums(ranks: Ranks, tensor: Tensor, times: int) -> float:
    """Return the seconds of a sum over all ranks."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        ranks.sum(tensor)
        taken.append(time.perf_counter() - before)
    return median(taken)
