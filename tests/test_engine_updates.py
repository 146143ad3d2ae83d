"""The update rules and the training loop against `torch.optim` and autograd."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ml2021.engine import optimizers, schedules
from ml2021.engine.cuda_graph import GraphedUpdates
from ml2021.engine.dataset import Dataset, epoch_order
from ml2021.engine.fit import Progress, fit
from ml2021.engine.losses import CrossEntropy, Huber, Loss, Mae, Mse
from ml2021.engine.networks import Network, linear, relu_stack, sigmoid_sum
from ml2021.engine.optimizers import build_clip
from ml2021.engine.state import Hyperparameters, TrainingState, start
from ml2021.errors import DivergenceError
from tests.oracle import oracle_module, outputs

Parameters = Iterable[torch.nn.Parameter]
BuildOptimizer = Callable[[Parameters], torch.optim.Optimizer]


def both(
    ours: Callable[..., optimizers.Optimizer], reference: Any, **numbers: Any
) -> tuple[optimizers.Optimizer, BuildOptimizer]:
    """Return our optimizer and torch's with the same numbers."""
    return ours(**numbers), partial(reference, **numbers)


Adamw = partial(optimizers.Adam, decoupled=True)
OPTIMIZERS: dict[str, tuple[optimizers.Optimizer, BuildOptimizer]] = {
    "sgd": both(optimizers.Sgd, torch.optim.SGD, lr=0.05),
    "sgd_decay": both(optimizers.Sgd, torch.optim.SGD, lr=0.05, weight_decay=0.01),
    "momentum": both(optimizers.Sgd, torch.optim.SGD, lr=0.02, momentum=0.9),
    "nesterov": both(
        optimizers.Sgd, torch.optim.SGD, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.01
    ),
    "adagrad": both(optimizers.Adagrad, torch.optim.Adagrad, lr=0.05, weight_decay=0.01),
    "rmsprop": both(optimizers.Rmsprop, torch.optim.RMSprop, lr=0.005, weight_decay=0.01),
    "rmsprop_momentum": both(optimizers.Rmsprop, torch.optim.RMSprop, lr=0.005, momentum=0.8),
    "adam": both(optimizers.Adam, torch.optim.Adam, lr=0.01, weight_decay=0.01),
    "adamw": both(Adamw, torch.optim.AdamW, lr=0.01, weight_decay=0.1),
}
NETWORKS: dict[str, Network] = {
    "linear": linear(4, 3),
    "sigmoid_sum": sigmoid_sum(4, 3, 6, "sigmoid"),
    "hard_sigmoid_sum": sigmoid_sum(4, 3, 6, "hard_sigmoid"),
    "relu_stack": relu_stack(4, 3, [6, 5]),
}
LOSSES: dict[str, tuple[Loss, Callable[[Tensor, Tensor], Tensor]]] = {
    "mae": (Mae(), torch.nn.functional.l1_loss),
    "mse": (Mse(), torch.nn.functional.mse_loss),
    "huber": (Huber(1.0), torch.nn.functional.huber_loss),
    "cross_entropy": (CrossEntropy(), torch.nn.functional.cross_entropy),
}
ROWS, BATCH, EPOCHS = 26, 8, 50  # 4 updates per epoch, the last of 2 rows; 200 updates
TRAINING = Hyperparameters(
    loss=Mse(),
    optimizer=optimizers.Adam(0.01),
    schedule=schedules.Cosine(),
    epochs=EPOCHS,
    batch_size=BATCH,
    clip_norm=None,
    patience=None,
    seeds=(3,),
)


def rows_for(loss: Loss, rows: int = ROWS, dtype: torch.dtype = torch.float64) -> Dataset:
    """Return learnable data with 4 features and 3 targets, or 3 classes."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    signal = torch.sin(features @ torch.randn(4, 3, generator=generator, dtype=torch.float64))
    inputs = torch.cat([features, torch.ones(rows, 1, dtype=torch.float64)], 1).to(dtype)
    if isinstance(loss, CrossEntropy):
        return Dataset(inputs, signal.argmax(1))
    return Dataset(inputs, signal.to(dtype))


def train(
    network: Network,
    hparams: Hyperparameters,
    data: Dataset,
    validation: Dataset | None = None,
    *,
    keep_path: bool = False,
) -> TrainingState:
    """Train to the end and return the state."""
    state = start(network, hparams, len(data), data.inputs, keep_path=keep_path)
    for _ in fit(network, hparams, state, data, validation):
        pass
    return state


def train_with_torch(
    network: Network,
    hparams: Hyperparameters,
    data: Dataset,
    loss: Callable[[Tensor, Tensor], Tensor],
    build: BuildOptimizer,
) -> Tensor:
    """Return the parameters (P,) after the same training with autograd and torch.optim."""
    theta = start(network, hparams, len(data), data.inputs).theta[0]
    module = oracle_module(network, theta)
    optimizer = build(module.parameters())
    lr, update = optimizer.param_groups[0]["lr"], 0
    size = hparams.batch_size or len(data)
    for epoch in range(hparams.epochs):
        for rows in torch.split(epoch_order(hparams.seeds[0], epoch, len(data)), size):
            factor = schedules.lr_factor(
                hparams.schedule, update, hparams.batches(len(data)), hparams.epochs
            )
            optimizer.param_groups[0]["lr"] = lr * factor
            optimizer.zero_grad()
            torch.autograd.backward(loss(module(data.inputs[rows, :-1]), data.targets[rows]))
            if hparams.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(module.parameters(), hparams.clip_norm)
            optimizer.step()
            update += 1
    layers = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    flat = [torch.cat([layer.weight, layer.bias[:, None]], 1).flatten() for layer in layers]
    return torch.cat(flat).detach()


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("network_name", NETWORKS)
def test_200_updates_are_those_of_torch_optim(
    network_name: str, loss_name: str, optimizer_name: str
) -> None:
    network, (loss, reference) = NETWORKS[network_name], LOSSES[loss_name]
    optimizer, build = OPTIMIZERS[optimizer_name]
    hparams = replace(TRAINING, loss=loss, optimizer=optimizer)
    data = rows_for(loss)
    expected = train_with_torch(network, hparams, data, reference, build)
    theta = train(network, hparams, data).theta[0]
    torch.testing.assert_close(theta, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
def test_one_float32_update_is_that_of_torch_optim(optimizer_name: str) -> None:
    optimizer, build = OPTIMIZERS[optimizer_name]
    network = NETWORKS["relu_stack"]
    hparams = replace(TRAINING, optimizer=optimizer, epochs=1, batch_size=None)
    data = rows_for(Mse(), dtype=torch.float32)
    expected = train_with_torch(network, hparams, data, torch.nn.functional.mse_loss, build)
    theta = train(network, hparams, data).theta[0]
    torch.testing.assert_close(theta, expected, rtol=1e-5, atol=1e-6)


def test_clipping_takes_gradients_whose_squares_float32_does_not_hold() -> None:
    gradient = torch.full((2, 100), 1e25)
    gradient[1] = 1e-3
    build_clip(gradient, 0.5)()
    assert gradient.norm(dim=1).tolist() == pytest.approx([0.5, 0.01], rel=1e-5)


@pytest.mark.parametrize("batch_size", [None, 1, ROWS, 100])
def test_clipping_and_batch_sizes_are_those_of_torch(batch_size: int | None) -> None:
    optimizer, build = OPTIMIZERS["momentum"]
    hparams = replace(TRAINING, optimizer=optimizer, batch_size=batch_size, clip_norm=0.1, epochs=8)
    network, data = NETWORKS["relu_stack"], rows_for(Mse())
    expected = train_with_torch(network, hparams, data, torch.nn.functional.mse_loss, build)
    theta = train(network, hparams, data).theta[0]
    torch.testing.assert_close(theta, expected, rtol=1e-9, atol=1e-9)


def test_full_batch_gradient_descent_finds_least_squares() -> None:
    data = rows_for(Mse())
    hparams = replace(
        TRAINING,
        optimizer=optimizers.Sgd(0.3),
        schedule=schedules.Constant(),
        batch_size=None,
        epochs=2000,
    )
    network = NETWORKS["linear"]
    state = train(network, hparams, data)
    solution = torch.linalg.lstsq(data.inputs, data.targets).solution
    result = outputs(network, state.theta, data.inputs)[0]
    torch.testing.assert_close(result, data.inputs @ solution, rtol=1e-8, atol=1e-8)


def test_train_loss_is_the_mean_over_all_rows_of_the_epoch() -> None:
    """With a learning rate of almost 0 that is the loss of the initial parameters."""
    data = rows_for(Mse())
    hparams = replace(TRAINING, optimizer=optimizers.Sgd(1e-30), epochs=1)
    network = NETWORKS["relu_stack"]
    state = start(network, hparams, ROWS, data.inputs)
    initial = outputs(network, state.theta, data.inputs)[0]
    (progress,) = fit(network, hparams, state, data, None)
    expected = (initial - data.targets).square().mean()
    torch.testing.assert_close(progress.train_loss[0], expected)


def test_early_stopping_keeps_the_best_by_validation_loss() -> None:
    data, validation = rows_for(Mse()), rows_for(Mse(), rows=12)
    noise = torch.randn(12, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    validation = Dataset(validation.inputs, validation.targets + noise)
    hparams = replace(TRAINING, patience=3, epochs=500, schedule=schedules.Constant())
    network = NETWORKS["relu_stack"]
    state = start(network, hparams, ROWS, data.inputs)
    seen: list[tuple[float, Tensor]] = []
    for progress in fit(network, hparams, state, data, validation):
        if progress.is_epoch_end:
            assert progress.validation_loss is not None
            seen.append((float(progress.validation_loss), state.theta.clone()))
    losses = [loss for loss, _ in seen]
    best = min(range(len(seen)), key=losses.__getitem__)
    assert len(seen) == best + 1 + 3 < 500
    assert int(state.best_epoch) == best + 1
    assert float(state.best_loss) == losses[best]
    assert torch.equal(state.best, seen[best][1])


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
def test_resuming_after_any_update_is_bit_identical(
    optimizer_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml2021.engine.fit.PROGRESS_SECONDS", -1.0)
    hparams = replace(TRAINING, optimizer=OPTIMIZERS[optimizer_name][0], epochs=3)
    data, validation = rows_for(Mse()), rows_for(Mse(), rows=9)
    network = NETWORKS["relu_stack"]
    state = start(network, hparams, ROWS, data.inputs)
    saved, steps = [copy.deepcopy(state)], []
    for progress in fit(network, hparams, state, data, validation):
        saved.append(copy.deepcopy(state))  # shares no memory, like a checkpoint
        steps.append(progress)
    assert [progress.updates for progress in steps] == list(range(1, 13))
    for number, again in enumerate(saved):
        rest = list(fit(network, hparams, again, data, validation))
        assert [key(progress) for progress in rest] == [key(p) for p in steps[number:]]
        assert torch.equal(again.theta, state.theta)
        assert torch.equal(again.best, state.best)
        assert torch.equal(again.best_loss, state.best_loss)


def key(progress: Progress) -> tuple[object, ...]:
    """Return what must be exactly the same of a step's progress."""
    loss = progress.validation_loss
    return progress.updates, float(progress.train_loss), None if loss is None else float(loss)


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    data = rows_for(Mse(), dtype=torch.float32)
    network = NETWORKS["relu_stack"]
    first, second = train(network, TRAINING, data), train(network, TRAINING, data)
    other = train(network, replace(TRAINING, seeds=(4,)), data)
    assert torch.equal(first.theta, second.theta)
    assert not torch.equal(first.theta, other.theta)


def test_divergence_is_an_error_that_names_the_update() -> None:
    data = rows_for(Mse())
    hparams = replace(TRAINING, optimizer=optimizers.Sgd(1e200))
    with pytest.raises(DivergenceError, match=r"epoch 1, update [23];"):
        train(NETWORKS["linear"], hparams, data)


def test_every_row_is_visited_once_an_epoch() -> None:
    orders = [epoch_order(7, epoch, 1000) for epoch in range(3)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(1000))
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[1], epoch_order(7, 1, 1000))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (schedules.Constant(), [1, 1, 1, 1]),
        (schedules.Cosine(), [1, 0.5 + 0.5 * 0.5**0.5, 0.5, 0.5 - 0.5 * 0.5**0.5]),
        (schedules.Step(every=1, factor=0.1), [1, 1, 0.1, 0.1]),
    ],
)
def test_schedules(schedule: schedules.Schedule, expected: list[float]) -> None:
    factors = [schedules.lr_factor(schedule, u, updates_per_epoch=2, epochs=2) for u in range(4)]
    assert factors == pytest.approx(expected)


@pytest.mark.parametrize(
    ("loss_name", "optimizer_name", "batch_size"),
    [
        *(("mse", optimizer_name, 8) for optimizer_name in OPTIMIZERS),
        *((loss_name, "adamw", 8) for loss_name in LOSSES),
        *(("mse", "adamw", batch_size) for batch_size in (ROWS, None, 100)),
    ],
)
def test_updates_that_count_on_the_device_are_the_plain_ones(
    loss_name: str, optimizer_name: str, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a CUDA graph would replay, run without a capture: its counters and its batches.

    Adam's kernel takes a learning rate that is a tensor in float32.
    """
    hparams = replace(
        TRAINING,
        loss=LOSSES[loss_name][0],
        optimizer=OPTIMIZERS[optimizer_name][0],
        batch_size=batch_size,
        clip_norm=0.1,
        seeds=(3, 4),
    )
    data, network = rows_for(hparams.loss), NETWORKS["relu_stack"]
    plain = train(network, hparams, data, keep_path=True)
    monkeypatch.setattr("ml2021.engine.fit.build_updates", lambda *job: GraphedUpdates(*job[:4]))
    monkeypatch.setattr(GraphedUpdates, "_capture", lambda self: self._one_update)
    monkeypatch.setattr("ml2021.engine.trajectory.MOST_POINTS", 12)
    counted = train(network, hparams, data, keep_path=True)
    torch.testing.assert_close(counted.theta, plain.theta, rtol=1e-6, atol=1e-6)
    assert counted.trajectory is not None
    assert counted.trajectory.stride > 1  # most updates were not run one by one
