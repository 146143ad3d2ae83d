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
from ml2021.data.load import LoadedProblem
from ml2021.engine.build import build_network, build_training
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import MemberProgress, fit_members
from ml2021.engine.hardware import check_memory, choose_device, choose_threads, member_limit
from ml2021.engine.networks import Network
from ml2021.engine.optimizers import slot_names
from ml2021.engine.state import Training, start
from ml2021.errors import DivergenceError
from ml2021.evaluation.scoring import Answers, learn_answers
from ml2021.sweeps.packing import differing_numbers
from ml2021.training.loop import memory_errors
from ml2021.training.metrics_log import MetricsRow, loss_unit, member_rows
from ml2021.training.trainer import Session, to_dataset


@dataclass(frozen=True)
class PackData:
    """What the members share: the rows as the engine wants them, and the trivial answers."""

    train: Dataset
    validation: Dataset | None
    answers: Answers


@dataclass(frozen=True)
class EndedMember:
    """A member that has ended: its place in the pack, and its run as if it had been alone.

    history: a row of metrics.csv for each epoch. seconds: its share of the time.
    """

    place: int
    session: Session
    history: Sequence[MetricsRow]
    seconds: float


@dataclass(frozen=True)
class PackProgress:
    """How many runs of the pack are done, parts of runs included, and which have just ended."""

    done: float
    ended: Sequence[EndedMember]


def prepare_data(problem: LoadedProblem) -> PackData:
    """Return a problem's rows on its device, and what the trivial answers learn from them."""
    device = choose_device(problem.config.device)
    validation = None
    with memory_errors(problem.config):
        train = to_dataset(problem.preprocessing, problem.train).to(device)
        if len(problem.validation):
            validation = to_dataset(problem.preprocessing, problem.validation).to(device)
        return PackData(train, validation, learn_answers(problem.preprocessing, problem.train))


def pack_training(configs: Sequence[Config], like: Tensor) -> Training:
    """Return how to train runs side by side that differ in the seed and the optimizer's numbers.

    Numbers that differ become tensors (K, 1), on the device and with the dtype of `like`.
    """
    first = build_training(configs[0])
    numbers = [differing_numbers(config.optimizer) for config in configs]
    own: dict[str, Any] = {}
    for name, value in numbers[0].items():
        values = [each[name] for each in numbers]
        if values != [value] * len(values):
            own[name] = like.new_tensor(values)[:, None]
    optimizer = replace(first.optimizer, **own)
    return replace(first, optimizer=optimizer, seeds=tuple(config.seed for config in configs))


def train_pack(
    problems: Sequence[LoadedProblem], data: PackData, threads: int, share: float
) -> Iterator[PackProgress]:
    """Train the members, each given by its problem: they share all of it but the config.

    threads: the most; as many are used as for a run alone. share: of the free memory, that this
    pack may fill; where it is not enough, some members wait.
    Raises ConfigError where not even one of them fits, ResourceError where memory runs out.
    """
    config = problems[0].config
    network = build_network(config.model, *problems[0].preprocessing.sizes)
    training, rows = build_training(config), len(data.train)
    check_memory(network, training, rows, "model")
    limit = member_limit(network, training, rows, share) or len(problems)
    # Members are many small products: threads help only where they help each of them.
    threads = min(threads, choose_threads(network, min(training.batch_size or rows, rows)))
    torch.set_num_threads(threads)
    with memory_errors(config):
        for begin in range(0, len(problems), limit):
            pack = _Pack(network, problems[begin : begin + limit], data, threads)
            for progress in pack.train():
                ended = [replace(member, place=begin + member.place) for member in progress.ended]
                yield PackProgress(begin + progress.done, ended)


class _Pack:
    """Members side by side, their state, and what has been noted of each of them."""

    def __init__(
        self, network: Network, problems: Sequence[LoadedProblem], data: PackData, threads: int
    ) -> None:
        self._network, self._problems = network, problems
        self._data, self._threads = data, threads
        configs = [problem.config for problem in problems]
        self._training = pack_training(configs, data.train.inputs)
        self._state = start(network, self._training, len(data.train), data.train.inputs)
        self._factor = loss_unit(configs[0], problems[0].preprocessing)[1]
        self._histories: list[list[MetricsRow]] = [[] for _ in problems]
        self._seconds = [0.0] * len(problems)
        self._running = list(range(len(problems)))

    def train(self) -> Iterator[PackProgress]:
        """Train until every member has ended."""
        state, training = self._state, self._training
        batches = training.batches(len(self._data.train))
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
                patient = state.is_patient(training).tolist()
                over = state.is_finished(training)
                ended = [member for member in self._running if over or not patient[member]]
            self._running = [member for member in self._running if member not in ended]
            part = (state.epoch + state.batch / batches) / training.epochs
            done = len(self._problems) - len(self._running) * (1 - part)
            yield PackProgress(done, [self._end(member) for member in ended])

    def _steps(self) -> Iterator[MemberProgress | None]:
        """Yield the steps of training; None where all that were left have diverged at once."""
        train, validation = self._data.train, self._data.validation
        try:
            yield from fit_members(self._network, self._training, self._state, train, validation)
        except DivergenceError:
            yield None

    def _note(self, step: MemberProgress) -> None:
        """Add the epoch's row of metrics.csv to the history of each member that is still fine."""
        members = step.members.tolist()
        lrs = [float(self._problems[member].config.optimizer.lr) for member in members]
        rows = member_rows(self._problems[0], step.progress, lrs, self._factor)
        diverged = self._state.diverged.tolist()
        for member, row in zip(members, rows, strict=True):
            if row is not None and not diverged[member]:
                self._histories[member].append(row)

    def _end(self, member: int) -> EndedMember:
        """Return a member as a run of its own."""
        problem = self._problems[member]
        training = build_training(problem.config)
        state = self._state.select(torch.tensor([member]))
        state.slots = {name: state.slots[name] for name in slot_names(training.optimizer)}
        session = Session(
            problem=problem,
            network=self._network,
            training=training,
            state=state,
            answers=self._data.answers,
            train=self._data.train,
            validation=self._data.validation,
            threads=self._threads,
        )
        return EndedMember(member, session, self._histories[member], self._seconds[member])
