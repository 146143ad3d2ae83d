"""A pack of runs trained side by side, and each of them as a session of its own when it has ended.

What is kept of a run that has ended is left to `ml2021.sweeps.worker`.

Legend: K members.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ml2021.config.schema import Config
from ml2021.data.load import TrainingData
from ml2021.engine.build import build_hyperparameters, build_network
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import MemberProgress, fit_members
from ml2021.engine.hardware import check_memory, choose_device, choose_threads, member_limit
from ml2021.engine.networks import Network
from ml2021.engine.optimizers import slot_names
from ml2021.engine.state import Hyperparameters, start
from ml2021.errors import DivergenceError
from ml2021.evaluation.scoring import FittedBaselines, fit_baselines, loss_unit
from ml2021.sweeps.packing import differing_numbers
from ml2021.training.loop import MetricsRow, member_rows, memory_errors
from ml2021.training.trainer import Trainer, to_dataset


@dataclass(frozen=True)
class PackTensors:
    """What the members share: the rows as the engine wants them, and the trivial answers."""

    train: Dataset
    validation: Dataset | None
    baselines: FittedBaselines


@dataclass(frozen=True)
class FinishedRun:
    """A member that has ended: its place in the pack, and its run as if it had been alone.

    history: a row of metrics.csv for each epoch. seconds: its share of the time.
    """

    place: int
    trainer: Trainer
    history: Sequence[MetricsRow]
    seconds: float


@dataclass(frozen=True)
class PackProgress:
    """How many runs of the pack are done, parts of runs included, and which have just ended."""

    done: float
    ended: Sequence[FinishedRun]


def prepare_tensors(data: TrainingData) -> PackTensors:
    """Return a problem's rows on its device, and what the trivial answers learn from them."""
    device = choose_device(data.config.device)
    validation = None
    with memory_errors(data.config):
        train = to_dataset(data.preprocessing, data.train).to(device)
        if len(data.validation):
            validation = to_dataset(data.preprocessing, data.validation).to(device)
        return PackTensors(train, validation, fit_baselines(data.preprocessing, data.train))


def pack_hyperparameters(configs: Sequence[Config], like: Tensor) -> Hyperparameters:
    """Return how to train runs side by side that differ in the seed and the optimizer's numbers.

    Numbers that differ become tensors (K, 1), on the device and with the dtype of `like`.
    """
    first = build_hyperparameters(configs[0])
    numbers = [differing_numbers(config.optimizer) for config in configs]
    own: dict[str, Any] = {}
    for name, value in numbers[0].items():
        values = [each[name] for each in numbers]
        if values != [value] * len(values):
            own[name] = like.new_tensor(values)[:, None]
    optimizer = replace(first.optimizer, **own)
    return replace(first, optimizer=optimizer, seeds=tuple(config.seed for config in configs))


def train_pack(
    training_data: Sequence[TrainingData], tensors: PackTensors, threads: int, share: float
) -> Iterator[PackProgress]:
    """Train the members, each given by its problem: they share all of it but the config.

    threads: the most; as many are used as for a run alone. share: of the free memory, that this
    pack may fill; where it is not enough, some members wait.
    Raises ConfigError where not even one of them fits, ResourceError where memory runs out.
    """
    config = training_data[0].config
    network = build_network(config.model, *training_data[0].preprocessing.sizes)
    hparams, rows = build_hyperparameters(config), len(tensors.train)
    check_memory(network, hparams, rows, "model")
    limit = member_limit(network, hparams, rows, share) or len(training_data)
    # Members are many small products: threads help only where they help each of them.
    threads = min(threads, choose_threads(network, min(hparams.batch_size or rows, rows)))
    torch.set_num_threads(threads)
    with memory_errors(config):
        for begin in range(0, len(training_data), limit):
            pack = _Pack(network, training_data[begin : begin + limit], tensors, threads)
            for progress in pack.train():
                ended = [replace(member, place=begin + member.place) for member in progress.ended]
                yield PackProgress(begin + progress.done, ended)


class _Pack:
    """Members side by side, their state, and what has been noted of each of them."""

    def __init__(
        self,
        network: Network,
        training_data: Sequence[TrainingData],
        tensors: PackTensors,
        threads: int,
    ) -> None:
        self._network, self._training_data = network, training_data
        self._tensors, self._threads = tensors, threads
        configs = [data.config for data in training_data]
        self._training = pack_hyperparameters(configs, tensors.train.inputs)
        self._state = start(network, self._training, len(tensors.train), tensors.train.inputs)
        self._factor = loss_unit(configs[0], training_data[0].preprocessing).factor
        self._histories: list[list[MetricsRow]] = [[] for _ in training_data]
        self._seconds = [0.0] * len(training_data)
        self._running = list(range(len(training_data)))

    def train(self) -> Iterator[PackProgress]:
        """Train until every member has ended."""
        state, hparams = self._state, self._training
        batches = hparams.batches(len(self._tensors.train))
        begun = time.perf_counter()
        for step in self._steps():
            now = time.perf_counter()
            for member in self._running:
                self._seconds[member] += (now - begun) / len(self._running)
            begun = now
            ended: list[int] = []
            if step is None:
                ended = self._running
            elif step.progress.is_epoch_end:
                self._note(step)
                active = state.is_active(hparams).tolist()
                over = state.is_finished(hparams)
                ended = [member for member in self._running if over or not active[member]]
            self._running = [member for member in self._running if member not in ended]
            part = (state.epoch + state.batch / batches) / hparams.epochs
            done = len(self._training_data) - len(self._running) * (1 - part)
            yield PackProgress(done, [self._end(member) for member in ended])

    def _steps(self) -> Iterator[MemberProgress | None]:
        """Yield the steps of training; None where all that were left have diverged at once."""
        train, validation = self._tensors.train, self._tensors.validation
        try:
            yield from fit_members(self._network, self._training, self._state, train, validation)
        except DivergenceError:
            yield None

    def _note(self, step: MemberProgress) -> None:
        """Add the epoch's row of metrics.csv to the history of each member that is still fine."""
        members = step.members.tolist()
        lrs = [float(self._training_data[member].config.optimizer.lr) for member in members]
        rows = member_rows(self._training_data[0], step.progress, lrs, self._factor)
        diverged = self._state.diverged.tolist()
        for member, row in zip(members, rows, strict=True):
            if row is not None and not diverged[member]:
                self._histories[member].append(row)

    def _end(self, member: int) -> FinishedRun:
        """Return a member as a run of its own."""
        data = self._training_data[member]
        hparams = build_hyperparameters(data.config)
        state = self._state.select(torch.tensor([member]))
        state.slots = {name: state.slots[name] for name in slot_names(hparams.optimizer)}
        trainer = Trainer(
            data=data,
            network=self._network,
            hparams=hparams,
            state=state,
            baselines=self._tensors.baselines,
            train=self._tensors.train,
            validation=self._tensors.validation,
            threads=self._threads,
        )
        return FinishedRun(member, trainer, self._histories[member], self._seconds[member])
