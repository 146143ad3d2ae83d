"""Members of a pack against the same networks trained alone, in float64, 200 updates, to 1e-9."""

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ml2021.engine import optimizers
from ml2021.engine.dataset import Dataset
from ml2021.engine.fit import fit, fit_members
from ml2021.engine.state import Hyperparameters, TrainingState, start
from ml2021.errors import DivergenceError
from tests.oracle import outputs
from tests.test_engine_updates import LOSSES, NETWORKS, OPTIMIZERS, TRAINING, rows_for, train

SEEDS = (3, 5, 8)
NETWORK = NETWORKS["relu_stack"]


def assert_same(mine: Tensor, alone: Tensor) -> None:
    torch.testing.assert_close(mine, alone, rtol=1e-9, atol=1e-9)


def spread(optimizer: optimizers.Optimizer, names: set[str]) -> optimizers.Optimizer:
    """Return the optimizer with these numbers, if it has them, different for each member."""
    scale = torch.tensor([[1.0], [0.5], [0.9]], dtype=torch.float64)
    values: dict[str, Any] = {
        f.name: getattr(optimizer, f.name) * scale
        for f in fields(optimizer)
        if f.name in names and type(getattr(optimizer, f.name)) is float
    }
    return replace(optimizer, **values)


def alone(hparams: Hyperparameters, member: int) -> Hyperparameters:
    """Return the hyperparameters of one member, with numbers instead of tensors."""
    chosen = hparams.select(torch.tensor([member]))
    rule = chosen.optimizer
    numbers: dict[str, Any] = {
        f.name: float(getattr(rule, f.name))
        for f in fields(rule)
        if isinstance(getattr(rule, f.name), Tensor)
    }
    return replace(chosen, optimizer=replace(rule, **numbers))


@pytest.mark.parametrize(
    "names",
    [set(), {"lr", "weight_decay"}, {"lr", "weight_decay", "momentum", "alpha", "beta1", "beta2"}],
    ids=["shared", "lr and decay", "all"],
)
@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_member_becomes_what_it_becomes_alone(
    name: str, clip_norm: float | None, names: set[str]
) -> None:
    optimizer = spread(OPTIMIZERS[name][0], names)
    hparams = replace(TRAINING, optimizer=optimizer, seeds=SEEDS, clip_norm=clip_norm)
    data = rows_for(hparams.loss)
    together = train(NETWORK, hparams, data)
    for member in range(len(SEEDS)):
        single = train(NETWORK, alone(hparams, member), data)
        assert_same(together.theta[member], single.theta[0])


def own_rows(dataset: Dataset) -> Dataset:
    """Return 19 of the 26 rows for each of three members, each with a scale of its own."""
    inputs, targets = [], []
    for member in range(len(SEEDS)):
        kept = torch.arange(len(dataset)) % 4 != member
        scale = torch.ones(dataset.inputs.shape[1], dtype=torch.float64)
        scale[:-1] += member
        inputs.append((dataset.inputs[kept] * scale)[:19])
        targets.append(dataset.targets[kept][:19])
    return Dataset(torch.stack(inputs), torch.stack(targets))


@pytest.mark.parametrize("batch_size", [8, None])
@pytest.mark.parametrize("loss_name", LOSSES)
def test_members_with_rows_of_their_own(loss_name: str, batch_size: int | None) -> None:
    loss = LOSSES[loss_name][0]
    hparams = replace(TRAINING, loss=loss, seeds=SEEDS, batch_size=batch_size)
    data, held_out = own_rows(rows_for(loss)), own_rows(rows_for(loss))
    together = train(NETWORK, hparams, data, held_out)
    for member in range(len(SEEDS)):
        single = train(
            NETWORK, alone(hparams, member), data.of_member(member), held_out.of_member(member)
        )
        assert_same(together.best[member], single.best[0])
        assert_same(together.best_loss[member], single.best_loss[0])
        mine = outputs(NETWORK, together.best, data.inputs)[member]
        theirs = outputs(NETWORK, single.best, data.of_member(member).inputs)[0]
        assert_same(mine, theirs)


def finish(
    hparams: Hyperparameters, data: Dataset, held_out: Dataset
) -> tuple[TrainingState, list[int]]:
    """Train the members; return the state, and how many were training at the end of each epoch."""
    state = start(NETWORK, hparams, len(data), data.inputs)
    sizes = [
        len(step.members)
        for step in fit_members(NETWORK, hparams, state, data, held_out)
        if step.progress.is_epoch_end
    ]
    return state, sizes


def test_members_out_of_patience_are_dropped() -> None:
    lr = torch.tensor([[0.2], [0.01], [1e-7]], dtype=torch.float64)
    hparams = replace(TRAINING, optimizer=optimizers.Adam(lr), seeds=SEEDS, patience=4, epochs=200)
    data, held_out = rows_for(hparams.loss), rows_for(hparams.loss, rows=12)
    state, sizes = finish(hparams, data, held_out)
    assert sizes == sorted(sizes, reverse=True)
    assert set(sizes) > {1}
    for member in range(len(SEEDS)):
        single = train(NETWORK, alone(hparams, member), data, held_out)
        assert state.best_epoch[member] == single.best_epoch[0]
        assert_same(state.best[member], single.best[0])
        assert_same(state.theta[member], single.theta[0])


def test_a_diverged_member_does_not_affect_others() -> None:
    lr = torch.tensor([[0.01], [1e200], [0.02]], dtype=torch.float64)
    hparams = replace(TRAINING, optimizer=optimizers.Sgd(lr), seeds=SEEDS, epochs=20)
    data, held_out = rows_for(hparams.loss), rows_for(hparams.loss, rows=12)
    state, sizes = finish(hparams, data, held_out)
    assert sizes[0] == 3
    assert sizes[1:] == [2] * 19
    assert state.diverged.tolist() == [0, 2, 0]  # the second update is the first to see it
    for member in (0, 2):
        single = train(NETWORK, alone(hparams, member), data, held_out)
        assert_same(state.best[member], single.best[0])


@pytest.mark.parametrize("has_validation", [True, False])
def test_training_diverges_when_all_members_have(has_validation: bool) -> None:
    lr = torch.tensor([[1e200], [1e150]], dtype=torch.float64)
    hparams = replace(TRAINING, optimizer=optimizers.Sgd(lr), seeds=(0, 1), epochs=20)
    data = rows_for(hparams.loss)
    state = start(NETWORK, hparams, len(data), data.inputs)
    with pytest.raises(DivergenceError, match=r"epoch 1, update \d;"):
        for _ in fit_members(NETWORK, hparams, state, data, data if has_validation else None):
            pass
    assert bool((state.diverged > 0).all())


def test_the_state_is_complete_at_every_yield() -> None:
    """Copied at any epoch and trained further, it ends with the same bits."""
    lr = torch.tensor([[0.2], [0.01], [1e-7]], dtype=torch.float64)
    hparams = replace(TRAINING, optimizer=optimizers.Adam(lr), seeds=SEEDS, patience=4, epochs=60)
    data, held_out = rows_for(hparams.loss), rows_for(hparams.loss, rows=12)
    whole, sizes = finish(hparams, data, held_out)
    for stop in (1, sizes.index(2) + 2, len(sizes) - 1):
        state = start(NETWORK, hparams, len(data), data.inputs)
        steps = fit_members(NETWORK, hparams, state, data, held_out)
        while state.epoch < stop:
            next(steps)
        copy = state.select(torch.arange(3))
        for _ in fit_members(NETWORK, hparams, copy, data, held_out):
            pass
        assert torch.equal(copy.theta, whole.theta)
        assert torch.equal(copy.best, whole.best)
        assert torch.equal(copy.best_epoch, whole.best_epoch)


def test_training_can_begin_anywhere_and_end_early() -> None:
    data = rows_for(TRAINING.loss)
    begun = train(NETWORK, replace(TRAINING, last_epoch=7), data)
    assert begun.epoch == 7
    state = start(NETWORK, TRAINING, len(data), data.inputs, theta=begun.theta)
    assert torch.equal(state.theta, begun.theta)
    assert torch.equal(state.best, begun.theta)
    next(fit(NETWORK, TRAINING, state, data, None))
    assert not torch.equal(state.theta, begun.theta)  # a copy of its own
    whole = start(NETWORK, TRAINING, len(data), data.inputs)
    steps = fit(NETWORK, TRAINING, whole, data, None)
    while whole.epoch < 7:
        next(steps)
    assert torch.equal(whole.theta, begun.theta)  # the schedule spans all epochs
