"""Every key of the config: its type, its default, its meaning.

The sections on the table and on the rules of training are in `table` and `rules`; all of them are
to be had from here. The text under a field becomes its description in the JSON Schema. In a union
(`model`, `loss`, `optimizer`, `train.schedule`, `data.split`) the first field of each member is the
tag that tells the members apart. The validators check and never change what the user wrote, but for
spelling: `adam` is `{type: adam}`, and the column `3` is the column "3". What needs the data (do
these columns exist?) or the machine (is there such a device?) is left to later stages; reading YAML
is left to `documents`, the words of the errors to `messages`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ml2021.config.rules import (
    Adagrad,
    Adam,
    Adamw,
    Constant,
    Cosine,
    CrossEntropy,
    Huber,
    Loss,
    Mae,
    Mse,
    Optimizer,
    Rmsprop,
    Schedule,
    Sgd,
    Step,
)
from ml2021.config.table import ColumnSplit, Data, FractionSplit, KFoldSplit, Split
from ml2021.config.values import (
    Count,
    CountOrFull,
    Device,
    Index,
    Positive,
    Section,
    conflict,
    short_for,
)

__all__ = [
    "Adagrad",
    "Adam",
    "Adamw",
    "ColumnSplit",
    "Config",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "Data",
    "EarlyStopping",
    "FractionSplit",
    "Huber",
    "KFoldSplit",
    "Linear",
    "Loss",
    "Mae",
    "Model",
    "Mse",
    "Optimizer",
    "ReluStack",
    "Rmsprop",
    "Schedule",
    "Sgd",
    "SigmoidSum",
    "Split",
    "Step",
    "Sweep",
    "Train",
]


class Linear(Section):
    """y = b + Σⱼ wⱼxⱼ; for classes, softmax regression."""

    type: Literal["linear"] = "linear"
    """`linear`: a weighted sum of the features."""


class SigmoidSum(Section):
    """y = b + Σᵢ cᵢ·sigmoid(bᵢ + Σⱼ wᵢⱼxⱼ)."""

    type: Literal["sigmoid_sum"] = "sigmoid_sum"
    """`sigmoid_sum`: one layer of sigmoids, then a weighted sum."""
    units: Count = 100
    """Number of sigmoids; more of them bend the function in more places."""
    activation: Literal["sigmoid", "hard_sigmoid"] = "sigmoid"
    """The smooth sigmoid, or the piecewise-linear one."""


class ReluStack(Section):
    """Layers of max(0, b + Wx), then a linear output."""

    type: Literal["relu_stack"] = "relu_stack"
    """`relu_stack`: layers of rectified linear units."""
    widths: Annotated[list[Count], Field(min_length=1)] = [100, 100]
    """Number of units in each layer, from the features to the output."""


Model = Annotated[
    Linear | SigmoidSum | ReluStack,
    Field(discriminator="type"),
    short_for("type", "relu_stack"),
]


class EarlyStopping(Section):
    """When to stop before the last epoch."""

    patience: Count = 20
    """Epochs without a better validation loss after which training stops."""


class Train(Section):
    """How long and in what portions to train."""

    epochs: Count = 100
    """Number of passes over the training rows, at most."""
    batch_size: CountOrFull = 32
    """Rows per update; `full`: all of them, which is plain gradient descent."""
    schedule: Schedule = Cosine()
    """How the learning rate changes over the epochs."""
    clip_norm: Positive | None = None
    """Longer gradients are cut to this Euclidean length; null: never."""
    early_stopping: EarlyStopping | None = EarlyStopping()
    """When to stop before the last epoch; null: never."""
    members: Count = 1
    """Number of networks trained side by side, with seeds `seed`, `seed` + 1, ...; their mean
    predicts."""
    save_seconds: Positive = 30.0
    """Seconds between two saves of the run."""
    keep_path: bool = True
    """Whether the way that the parameters took is kept, for pictures: at most 200 points and
    64 MB."""


class Sweep(Section):
    """Many runs of one config: what differs between them, by dotted keys such as optimizer.lr."""

    runs: list[dict[str, Any]] = []
    """Settings run by run, each a mapping of keys to values; crossed with `grid` and `random`."""
    grid: dict[str, Any] = {}
    """Keys with lists of values: every combination of them is run."""
    random: dict[str, Any] = {}
    """Keys with a list to choose from, or `{low, high, scale}`, `scale` being linear or log. Drawn
    for each combination of `runs` and `grid`; those that differ in the seed alone share a draw."""
    samples: Count = 1
    """Draws for each combination."""
    seed: Index = 0
    """Seed of the draws, and of nothing else."""


class Config(Section):
    """All that the user asks for."""

    data: Data
    """The table to learn from, and what its columns mean."""
    task: Literal["auto", "regression", "classification", "structured"] = "auto"
    """What is predicted: a number, a class, or several numbers; `auto` sees it from the target."""
    model: Model = ReluStack()
    """The family of functions to search."""
    loss: Loss | None = None
    """What training makes small; null: mse, or cross_entropy for classes."""
    optimizer: Optimizer = Adamw()
    """The rule that turns gradients into better parameters."""
    train: Train = Train()
    """How long to train, and in what portions of the rows."""
    seed: Index = 0
    """Seed of the initial weights and of the order of the batches."""
    device: Device = "auto"
    """Where to compute: cpu, cuda or cuda:N; `auto` is cuda where there is one."""
    sweep: Sweep | None = None
    """Many runs at once, for `ml2021 sweep`; null: one run."""

    @model_validator(mode="after")
    def _loss_suits_task(self) -> "Config":
        if self.loss is None or self.task == "auto":
            return self
        if isinstance(self.loss, CrossEntropy) != (self.task == "classification"):
            better = "cross_entropy" if self.task == "classification" else "one of mae, mse, huber"
            raise conflict(
                f"loss {self.loss.type} does not suit task {self.task}; "
                f"choose {better} as loss, or another task",
                ("loss", "type"),
                "loss",
            )
        return self

    @model_validator(mode="after")
    def _series_is_numbers(self) -> "Config":
        if self.task == "classification" and self.data.lags > 0:
            raise conflict(
                "task classification does not work with data.lags; "
                "set data.lags to 0, or choose another task",
                "task",
            )
        return self
