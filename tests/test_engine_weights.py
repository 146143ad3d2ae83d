"""Weights of rows: the weighted loss and its gradient against autograd, and rows against copies."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ml2021.engine import losses
from ml2021.engine.dataset import Dataset
from ml2021.engine.losses import CrossEntropy, Huber, Loss, Mae, Mse
from ml2021.engine.updates import BatchStep
from tests.oracle import gradient_of, oracle_module
from tests.test_engine_gradients import LOSSES, MEMBERS, NETWORKS, ROWS, TARGETS, draw
from tests.test_engine_updates import NETWORKS as SMALL_NETWORKS
from tests.test_engine_updates import TRAINING, rows_for, train

FULL = replace(TRAINING, batch_size=None, epochs=20)
ALL = [Mse(), Mae(), Huber(0.5), CrossEntropy()]


def each_loss(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each row (N,), by torch alone."""
    functional = torch.nn.functional
    match loss:
        case Mse():
            return functional.mse_loss(outputs, targets, reduction="none").mean(1)
        case Mae():
            return functional.l1_loss(outputs, targets, reduction="none").mean(1)
        case Huber(delta):
            return functional.huber_loss(outputs, targets, reduction="none", delta=delta).mean(1)
        case CrossEntropy():
            return functional.cross_entropy(outputs, targets, reduction="none")


@pytest.mark.parametrize("loss_name", LOSSES)
def test_weighted_value_and_gradient_are_those_of_autograd(loss_name: str) -> None:
    network, loss = NETWORKS["relu_stack_2"], LOSSES[loss_name][0]
    theta, rows, targets = draw(network, loss)
    weights = torch.rand(MEMBERS, ROWS, 1, generator=torch.Generator().manual_seed(4)).double()
    weights[:, 3] = 0
    gradient, total = torch.full_like(theta, torch.nan), theta.new_empty(MEMBERS, 1, 1)
    with torch.inference_mode():
        BatchStep(network, theta, gradient, ROWS, loss)(rows, targets, total, weights)
    for member in range(MEMBERS):
        module = oracle_module(network, theta[member])
        own = each_loss(loss, module(rows[member, :, :-1]), targets[member])
        expected = (weights[member, :, 0] * own).sum() / ROWS
        torch.autograd.backward(expected)
        torch.testing.assert_close(total[member, 0, 0] / ROWS, expected.detach())
        torch.testing.assert_close(gradient[member], gradient_of(module), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
def test_the_mean_loss_is_divided_by_the_sum_of_the_weights(loss: Loss) -> None:
    _, rows, targets = draw(NETWORKS["linear"], loss)
    outputs, weights = rows[:, :, :TARGETS].clone(), torch.arange(float(ROWS))[:, None]
    found = losses.mean_loss(loss, outputs, targets[0], weights)
    for member in range(MEMBERS):
        own = each_loss(loss, outputs[member], targets[0])
        expected = (weights[:, 0] * own).sum() / weights.sum()
        torch.testing.assert_close(found[member], expected.double())


def weighed(data: Dataset, weights: list[float]) -> Dataset:
    """Return the rows with these weights, repeated to their number and divided by their mean."""
    column = data.inputs.new_tensor(weights).repeat(len(data))[: len(data), None]
    return replace(data, weights=column / column.mean())


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
def test_weight_two_is_the_row_twice_and_weight_zero_no_row(loss: Loss) -> None:
    hparams = replace(FULL, loss=loss)
    data = rows_for(loss)
    weights = [2.0, 1.0, 0.0]
    times = torch.tensor(weights).repeat(len(data))[: len(data)].long()
    copies = Dataset(*(each.repeat_interleave(times, dim=0) for each in data.tensors))
    one = train(
        SMALL_NETWORKS["relu_stack"], hparams, weighed(data, weights), weighed(data, weights)
    )
    other = train(SMALL_NETWORKS["relu_stack"], hparams, copies, copies)
    torch.testing.assert_close(one.theta, other.theta, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(one.best_loss, other.best_loss, rtol=1e-6, atol=1e-6)
    unweighted = train(SMALL_NETWORKS["relu_stack"], hparams, data, data)
    assert not torch.allclose(one.theta, unweighted.theta, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batch_size", [8, None])
def test_members_with_rows_and_weights_of_their_own_are_as_alone(batch_size: int | None) -> None:
    loss = Mse()
    parts = [weighed(rows_for(loss), weights) for weights in ([1.0, 3.0], [0.5, 2.0, 0.0])]
    together = Dataset(*map(torch.stack, zip(*(part.tensors for part in parts), strict=True)))
    hparams = replace(TRAINING, epochs=3, batch_size=batch_size, seeds=(3, 4))
    pack = train(SMALL_NETWORKS["relu_stack"], hparams, together, together)
    for member, part in enumerate(parts):
        own = replace(hparams, seeds=(hparams.seeds[member],))
        alone = train(SMALL_NETWORKS["relu_stack"], own, part, part)
        torch.testing.assert_close(pack.theta[member], alone.theta[0], rtol=1e-9, atol=1e-9)


def test_equal_weights_change_nothing() -> None:
    data = rows_for(Mse())
    with_weights = train(
        SMALL_NETWORKS["linear"], replace(TRAINING, epochs=3), weighed(data, [3.0])
    )
    without = train(SMALL_NETWORKS["linear"], replace(TRAINING, epochs=3), data)
    torch.testing.assert_close(with_weights.theta, without.theta, rtol=1e-12, atol=1e-12)
