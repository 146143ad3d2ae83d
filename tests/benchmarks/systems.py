"""What is timed of ml2021: the floor under it, its update, its `fit`, and many members at once.

Legend: K members, N rows, B rows of a batch, F features, T outputs, P parameters.
A system is a function that trains for so many epochs; its blocks are timed by `measure`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ml2021.engine.dataset import Dataset, epoch_order
from ml2021.engine.fit import fit
from ml2021.engine.optimizers import Adam, build_update
from ml2021.engine.schedules import Cosine
from ml2021.engine.state import Hyperparameters, start
from ml2021.engine.updates import BatchStep
from tests.benchmarks.workloads import LR, Workload

NEVER = 10**9
"""A number of epochs that no benchmark reaches."""


@dataclass(frozen=True)
class System:
    """One way to train: `work` does `updates` updates of `members` networks, on so many rows.

    threads: None for the machine's default. compile_seconds: what was spent before the first epoch.
    """

    name: str
    work: Callable[[], object]
    updates: int
    rows: int
    threads: int | None = None
    members: int = 1
    compile_seconds: float | None = None


def repeated(work: Callable[[], object], times: int) -> Callable[[], None]:
    """Return the work as done so many times."""

    def repeat() -> None:
        for _ in range(times):
            work()

    return repeat


def build_floor(workload: Workload, train: Dataset, batches: int) -> Callable[[], None]:
    """Return an epoch's matrix products for the first `batches` batches, and nothing else.

    They are those that cannot be left out: for each layer forward and the gradient of its weights,
    and for all but the first the gradient of its inputs; laid out as in `Pass`.
    """
    inputs = torch.split(train.inputs[None], workload.batch_size, dim=1)[:batches]
    layout = workload.network.layout
    theta = train.inputs.new_empty(1, layout.parameters).uniform_(-0.1, 0.1)
    gradient = torch.empty_like(theta)
    sizes = {batch.shape[1] for batch in inputs}
    buffers = {size: _FloorBuffers(workload, theta, gradient, size) for size in sizes}
    products = [product for batch in inputs for product in buffers[batch.shape[1]].products(batch)]

    @torch.inference_mode()
    def epoch() -> None:
        bmm = torch.bmm
        for left, right, out in products:
            bmm(left, right, out=out)

    return epoch


class _FloorBuffers:
    """The operands for one batch size: activations, their gradients, weights and theirs."""

    def __init__(self, workload: Workload, theta: Tensor, gradient: Tensor, size: int) -> None:
        layout = workload.network.layout
        self._weights, self._gradients = layout.views(theta), layout.views(gradient)
        self._hidden = [theta.new_ones(1, width + 1, size) for width in layout.hidden]
        self._deltas = [theta.new_empty(1, width, size) for width in layout.hidden]
        self._outputs = theta.new_empty(1, size, layout.outputs)
        self._output_gradient = torch.ones_like(self._outputs)

    def products(self, inputs: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return (left, right, out) of each product of one update."""
        found, columns = [], inputs.mT
        for weight, hidden in zip(self._weights, self._hidden, strict=False):
            found.append((weight, columns, hidden[:, :-1]))
            columns = hidden
        found.append((columns.mT, self._weights[-1].mT, self._outputs))
        delta = self._output_gradient.mT
        for layer in reversed(range(len(self._hidden))):
            found.append((delta, self._hidden[layer].mT, self._gradients[layer + 1]))
            back = self._weights[layer + 1][:, :, :-1].mT
            found.append((back, delta, self._deltas[layer]))
            delta = self._deltas[layer]
        found.append((delta, inputs, self._gradients[0]))
        return found


def build_engine(
    workload: Workload, train: Dataset, seeds: Sequence[int] = (0,)
) -> Callable[[], None]:
    """Return an epoch of ml2021's updates: gather, forward, loss recorded, backward, Adam.

    The pieces are the engine's own, as `ml2021.engine.fit` puts them together; what `fit` adds to
    them (schedule, validation, early stopping, reports) is the difference between the two systems.
    """
    hparams = build_training(workload, tuple(seeds))
    state = start(workload.network, hparams, len(train), train.inputs)
    gradient = torch.empty_like(state.theta)
    update = build_update(hparams.optimizer, state.theta, gradient, state.slots)
    inputs = train.inputs.new_empty(len(seeds), *train.inputs.shape)
    targets = train.targets.new_empty(len(seeds), *train.targets.shape)
    batches = list(
        zip(
            torch.split(inputs, workload.batch_size, dim=1),
            torch.split(targets, workload.batch_size, dim=1),
            state.batch_losses.view(-1, len(seeds), 1, 1).unbind(),
            strict=True,
        )
    )
    steps = {
        size: BatchStep(workload.network, state.theta, gradient, size, workload.loss)
        for size in {batch.shape[1] for batch, _, _ in batches}
    }

    @torch.inference_mode()
    def epoch() -> None:
        for member, seed in enumerate(seeds):
            order = epoch_order(seed, state.epoch, len(train)).to(inputs.device)
            torch.index_select(train.inputs, 0, order, out=inputs[member])
            torch.index_select(train.targets, 0, order, out=targets[member])
        done = state.epoch * len(batches)
        for number, (rows, baselines, total) in enumerate(batches, 1):
            steps[rows.shape[1]](rows, baselines, total)
            update(done + number, 1.0)
        state.epoch += 1

    return epoch


def build_fit(workload: Workload, train: Dataset, validation: Dataset) -> Callable[[], None]:
    """Return an epoch of ml2021's `fit` with validation and early stopping, which never stops."""
    hparams = build_training(workload, (0,))
    state = start(workload.network, hparams, len(train), train.inputs)
    progress = fit(workload.network, hparams, state, train, validation)

    def epoch() -> None:
        while not next(progress).is_epoch_end:
            pass

    return epoch


def build_training(workload: Workload, seeds: tuple[int, ...]) -> Hyperparameters:
    """Return how ml2021 trains: Adam, a cosine and a patience that do not end."""
    return Hyperparameters(
        loss=workload.loss,
        optimizer=Adam(LR),
        schedule=Cosine(),
        epochs=NEVER,
        batch_size=workload.batch_size,
        clip_norm=None,
        patience=NEVER,
        seeds=seeds,
    )
