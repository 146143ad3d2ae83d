"""Train a pack of runs side by side; each that ends becomes a `Trainer` of its own.

`ml2021.sweeps.worker` decides what is kept of it.

Legend: K members, the runs of the pack.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ml2021.config.schema import Config
from ml2021.data.load import TrainingData
from ml2021.engine.build import build_hyperparameters, build_network
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import MemberProgress, fit_members
from ml2021.engine.hardware import choose_device, choose_threads, member_limit
from ml2021.engine.networks import Network
from ml2021.engine.optimizers import slot_names
from ml2021.engine.state import Hyperparameters, start
from ml2021.errors import DivergenceError
from ml2021.evaluation.fitted_baselines import FittedBaselines, fit_baselines
from ml2021.evaluation.scoring import loss_unit
from ml2021.sweeps.packing import differing_numbers
from ml2021.training.loop import MetricsRow, member_rows, memory_errors
from ml2021.training.memory import check_job, job_of
from ml2021.training.scores import build_score
from ml2021.training.trainer import Trainer, to_datasets


@dataclass(frozen=True)
class PackTensors:
    """What the members share: the rows as tensors, and the fitted baselines."""

    train: Dataset
    validation: Dataset | None
    baselines: FittedBaselines


@dataclass(frozen=True)
class FinishedRun:
    """A member that has ended, as if it had trained alone.

    place: in the pack. history: a row of metrics.csv per epoch. seconds: its share of the time.
    """

    place: int
    trainer: Trainer
    history: Sequence[MetricsRow]
    seconds: float


class PackProgress(NamedTuple):
    """How many runs of the pack are done (half-way counts as 0.5), and which have just ended."""

    done: float
    ended: Sequence[FinishedRun]


def prepare_tensors(data: TrainingData) -> PackTensors:
    """Return the rows on the config's device, and the baselines fitted to them."""
    device = choose_device(data.config.device)
    with memory_errors(data.config):
        parameters = build_network(data.config.model, *data.preprocessing.sizes).layout.parameters
        baselines = fit_baselines(data.config, data.preprocessing, data.train, parameters)
        return PackTensors(*to_datasets(data, device), baselines)


def pack_hyperparameters(configs: Sequence[Config], like: Tensor) -> Hyperparameters:
    """Return the hyperparameters of runs that differ in the seed and the optimizer's numbers.

    Numbers that differ become tensors (K, 1), with the device and dtype of `like`.
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
    """Train the members; their training data differ in the config alone.

    threads: the most to use; no more than a run alone would. share: of the free memory that this
    pack may fill; if that is not enough, some members wait.
    Raises ResourceError if not even one member fits, or memory runs out.
    """
    config = training_data[0].config
    network = build_network(config.model, *training_data[0].preprocessing.sizes)
    hparams, rows = build_hyperparameters(config), len(tensors.train)
    check_job(job_of(training_data[0]), "model", is_encoded=True)
    limit = member_limit(network, hparams, rows, share) or len(training_data)
    # Members are many small matrix products: threads help only if they help each of them.
    threads = min(threads, choose_threads(network, min(hparams.batch_size or rows, rows)))
    torch.set_num_threads(threads)
    with memory_errors(config):
        for begin in range(0, len(training_data), limit):
            members = training_data[begin : begin + limit]
            yield from _Pack(network, members, tensors, threads, begin).train()


class _Pack:
    """Members side by side, their state, and the history of each; `first` is a place."""

    def __init__(
        self,
        network: Network,
        training_data: Sequence[TrainingData],
        tensors: PackTensors,
        threads: int,
        first: int,
    ) -> None:
        self._network, self._training_data = network, training_data
        self._tensors, self._threads, self._first = tensors, threads, first
        configs = [data.config for data in training_data]
        self._hparams = pack_hyperparameters(configs, tensors.train.inputs)
        self._state = start(network, self._hparams, len(tensors.train), tensors.train.inputs)
        one = training_data[0]
        self._factor = loss_unit(configs[0], one.preprocessing).factor
        self._score = build_score(configs[0], [(one.preprocessing, one.validation)])
        self._histories: list[list[MetricsRow]] = [[] for _ in training_data]
        self._seconds = [0.0] * len(training_data)
        self._running = list(range(len(training_data)))

    def train(self) -> Iterator[PackProgress]:
        """Train until every member has ended."""
        state, hparams = self._state, self._hparams
        batches = hparams.batches(len(self._tensors.train))
        before = time.perf_counter()
        for step in self._steps():
            now = time.perf_counter()
            for member in self._running:
                self._seconds[member] += (now - before) / len(self._running)
            before = now
            ended: list[int] = []
            if step is None:
                ended = self._running
            elif step.progress.is_epoch_end:
                self._record_epoch(step)
                active = state.is_active(hparams).tolist()
                over = state.is_finished(hparams)
                ended = [member for member in self._running if over or not active[member]]
            self._running = [member for member in self._running if member not in ended]
            fraction = (state.epoch + state.batch / batches) / hparams.epochs
            done = len(self._training_data) - len(self._running) * (1 - fraction)
            yield PackProgress(self._first + done, [self._finished(member) for member in ended])

    def _steps(self) -> Iterator[MemberProgress | None]:
        """Yield the steps of training; None if all remaining members diverged at once."""
        rows = self._tensors.train, self._tensors.validation
        try:
            yield from fit_members(self._network, self._hparams, self._state, *rows, self._score)
        except DivergenceError:
            yield None

    def _record_epoch(self, step: MemberProgress) -> None:
        """Add the epoch's row of metrics.csv to the history of each healthy member."""
        members = step.members.tolist()
        lrs = [float(self._training_data[member].config.optimizer.lr) for member in members]
        rows = member_rows(self._training_data[0], step.progress, lrs, self._factor)
        diverged = self._state.diverged.tolist()
        for member, row in zip(members, rows, strict=True):
            if row is not None and not diverged[member]:
                self._histories[member].append(row)

    def _finished(self, member: int) -> FinishedRun:
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
        place, seconds = self._first + member, self._seconds[member]
        return FinishedRun(place, trainer, self._histories[member], seconds)
