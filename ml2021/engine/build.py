"""Build the engine's objects from the config: one `match` for each union of the schema.

This is the only engine module that imports the config. The others take plain arguments.
"""

from collections.abc import Mapping
from typing import Any, assert_never

from ml2021.config import schema
from ml2021.engine import losses, networks, optimizers, schedules
from ml2021.engine.state import Hyperparameters


def build_network(model: schema.Model, inputs: int, outputs: int) -> networks.Network:
    """Return the network of the config, with that number of inputs and outputs."""
    match model:
        case schema.Linear():
            return networks.linear(inputs, outputs)
        case schema.SigmoidSum():
            return networks.sigmoid_sum(inputs, outputs, model.units, model.activation)
        case schema.ReluStack():
            return networks.relu_stack(inputs, outputs, model.widths)
        case _:
            assert_never(model)


def build_loss(loss: schema.Loss) -> losses.Loss:
    """Return the loss of the config."""
    match loss:
        case schema.Mae():
            return losses.Mae()
        case schema.Mse():
            return losses.Mse()
        case schema.Huber():
            return losses.Huber(loss.delta)
        case schema.CrossEntropy():
            return losses.CrossEntropy(loss.label_smoothing)
        case _:
            assert_never(loss)


def build_optimizer(optimizer: schema.Optimizer) -> optimizers.Optimizer:
    """Return the optimizer of the config, whose fields have the names of its parameters."""
    values: Mapping[str, Any] = optimizer.model_dump(exclude={"type"})
    match optimizer:
        case schema.Sgd():
            return optimizers.Sgd(**values)
        case schema.Adagrad():
            return optimizers.Adagrad(**values)
        case schema.Rmsprop():
            return optimizers.Rmsprop(**values)
        case schema.Adam():
            return optimizers.Adam(**values)
        case schema.Adamw():
            return optimizers.Adam(**values, decoupled=True)
        case _:
            assert_never(optimizer)


def build_schedule(schedule: schema.Schedule) -> schedules.Schedule:
    """Return the learning-rate schedule of the config."""
    match schedule:
        case schema.Constant():
            return schedules.Constant()
        case schema.Cosine():
            return schedules.Cosine()
        case schema.Step():
            return schedules.Step(schedule.every, schedule.factor)
        case _:
            assert_never(schedule)


def build_hyperparameters(config: schema.Config) -> Hyperparameters:
    """Return the hyperparameters of a resolved config, in which the loss is set."""
    assert config.loss is not None
    train = config.train
    return Hyperparameters(
        loss=build_loss(config.loss),
        optimizer=build_optimizer(config.optimizer),
        schedule=build_schedule(train.schedule),
        epochs=train.epochs,
        batch_size=None if train.batch_size == "full" else train.batch_size,
        clip_norm=train.clip_norm,
        patience=None if train.early_stopping is None else train.early_stopping.patience,
        seeds=tuple(range(config.seed, config.seed + train.members)),
    )
