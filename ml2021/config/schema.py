"""The section `data` of a config: the table, what its columns mean, and which rows do what.

Part of `ml2021.config.schema`, which says how to read it.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ml2021.config.types import (
    Character,
    Column,
    ColumnOrColumns,
    Count,
    CountOrFull,
    Device,
    Encoding,
    Fraction,
    Index,
    Momentum,
    NotNegative,
    Positive,
    Scalar,
    Section,
    Text,
    conflict,
    short_for,
)


class FractionSplit(Section):
    """Rows are dealt out by share."""

    method: Literal["auto", "random", "stratified", "sequential"] = "auto"
    """How rows are chosen: `random`; `stratified`, which keeps the share of each class;
    `sequential`, the last rows in the order of the series. `auto` is stratified for classes,
    sequential with lags, else random."""
    validation: Fraction = 0.1
    """Share of the rows that choose the best epoch and stop training early."""
    test: Fraction = 0.2
    """Share of the rows that only the final scores see; 0 for none."""
    seed: Index = 0
    """Seed of the choice of rows; its own, so that runs with other seeds see the same rows."""

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> "FractionSplit":
        if self.validation + self.test >= 1:
            raise conflict(
                f"data.split.validation {self.validation:g} and data.split.test {self.test:g} "
                "leave no rows to train on; make their sum less than 1",
                "validation",
                "test",
            )
        return self


class ColumnSplit(Section):
    """A column says which rows train, validate and test."""

    method: Literal["column"]
    """`column`: the rows are told apart by a column of the table."""
    column: Column
    """Name of that column. Its values are train, validation and test, or with `validation_from`
    and `test_from` something that has an order, such as dates. It is no feature."""
    validation_from: Scalar | None = None
    """Rows with this value or a greater one validate, up to `test_from`."""
    test_from: Scalar | None = None
    """Rows with this value or a greater one test."""


class KFoldSplit(Section):
    """Every row is held out once: as many networks are trained as there are folds."""

    method: Literal["kfold"]
    """`kfold`: cross-validation, stratified for classes. The scores are those of networks that did
    not see the rows that they are scored on; the final model is trained on all rows."""
    folds: Annotated[int, Field(ge=2)] = 10
    """Number of parts of equal size, each held out once."""
    validation: Fraction = 0.1
    """Share of each fold's training rows that choose its best epoch and stop it early."""
    seed: Index = 0
    """Seed of the choice of rows; its own, so that runs with other seeds see the same rows."""


Split = Annotated[
    FractionSplit | ColumnSplit | KFoldSplit,
    Field(discriminator="method"),
    short_for("method", "auto"),
]


class Data(Section):
    """The table, and what its columns mean."""

    path: Text
    """The CSV file (also .gz; Parquet where pyarrow is installed), relative to the working
    directory."""
    test_path: Text | None = None
    """A separate file to test on; null: the test rows come from `path`."""
    separator: Character = ","
    """The character between two fields of a row."""
    decimal: Literal[".", ","] = "."
    """The decimal mark in numbers."""
    encoding: Encoding = "utf-8"
    """The text encoding of the file."""
    header: bool = True
    """Whether the first row names the columns; if false they are named 0, 1, 2, ..."""
    missing: list[Scalar] = ["", "NA", "N/A", "null", "None", "NaN"]
    """Texts and numbers that mean a missing value."""
    target: ColumnOrColumns
    """The column to predict; a list or globs (`pixel_*`) make a structured output."""
    target_shape: Annotated[list[Count], Field(min_length=1)] | None = None
    """Shape of a structured output, such as [4, 8] for an image of 4 rows and 8 columns."""
    features: list[Column] = ["*"]
    """Columns to predict from, as names or globs; targets and excluded columns never count."""
    exclude: list[Column] = []
    """Columns to leave out, as names or globs."""
    lags: Index = 0
    """For a time series: how many previous values of the target become features."""
    horizon: Count = 1
    """With lags: how many values, the next ones, are predicted at once."""
    order_by: Column | None = None
    """The column that sorts the rows of a series; null: the order of the file."""
    split: Split = FractionSplit()
    """Which rows train, validate and test."""

    @model_validator(mode="after")
    def _marks_differ(self) -> "Data":
        if self.separator == self.decimal:
            raise conflict(
                f"data.separator and data.decimal are both '{self.decimal}'; change one of them",
                "decimal" if self.decimal == "," else "separator",
            )
        return self

    @model_validator(mode="after")
    def _series_is_one_column(self) -> "Data":
        if self.horizon > 1 and self.lags == 0:
            raise conflict(
                f"data.horizon {self.horizon} needs data.lags greater than 0; "
                "set data.lags, or data.horizon to 1",
                "horizon",
            )
        if self.lags > 0 and isinstance(self.target, list) and len(self.target) > 1:
            raise conflict(
                "data.lags needs one column as data.target, not "
                f"{len(self.target)}; set data.lags to 0, or choose one target",
                "lags",
            )
        if self.lags > 0 and isinstance(self.split, KFoldSplit):
            raise conflict(
                "data.split kfold deals rows out at random, and with data.lags a network would "
                "train on the days after those that it is scored on; use sequential",
                ("split", "method"),
                "split",
            )
        return self


class Mae(Section):
    """Mean absolute error."""

    type: Literal["mae"] = "mae"
    """`mae`: mean absolute error; outliers count little."""


class Mse(Section):
    """Mean squared error."""

    type: Literal["mse"] = "mse"
    """`mse`: mean squared error; outliers count much."""


class Huber(Section):
    """Squared where the error is small, absolute where it is large."""

    type: Literal["huber"] = "huber"
    """`huber`: squared error up to `delta`, absolute error beyond it."""
    delta: Positive = 1.0
    """Where squared becomes absolute, in standard deviations of the target."""


class CrossEntropy(Section):
    """Cross-entropy of the predicted probabilities."""

    type: Literal["cross_entropy"] = "cross_entropy"
    """`cross_entropy`: minus the logarithm of the true class's probability."""


Loss = Annotated[Mae | Mse | Huber | CrossEntropy, Field(discriminator="type"), short_for("type")]


class Sgd(Section):
    """Steps against the gradient."""

    type: Literal["sgd"] = "sgd"
    """`sgd`: stochastic gradient descent."""
    lr: Positive = 0.01
    """Learning rate: the length of a step per unit of gradient."""
    momentum: Momentum = 0.0
    """Share of the last step that carries over into the next; 0 for none."""
    nesterov: bool = False
    """Whether the gradient is taken as if the carried-over step were already done."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "Sgd":
        if self.nesterov and self.momentum == 0:
            raise conflict(
                "optimizer.nesterov needs optimizer.momentum greater than 0; "
                "set optimizer.momentum, such as 0.9",
                "nesterov",
            )
        return self


class Adagrad(Section):
    """Steps shrink with all the gradients seen so far."""

    type: Literal["adagrad"] = "adagrad"
    """`adagrad`: each parameter's steps are divided by its gradients' root of summed squares."""
    lr: Positive = 0.01
    """Learning rate: the length of the first step."""
    eps: Positive = 1e-10
    """Added to the divisor, so that it is never 0."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""


class Rmsprop(Section):
    """Steps are divided by the recent size of the gradients."""

    type: Literal["rmsprop"] = "rmsprop"
    """`rmsprop`: each parameter's steps are divided by its gradients' recent root mean square."""
    lr: Positive = 0.01
    """Learning rate: about the length of a step."""
    alpha: Momentum = 0.99
    """Share of the mean square that stays at each update; nearer 1 remembers longer."""
    eps: Positive = 1e-8
    """Added to the divisor, so that it is never 0."""
    momentum: Momentum = 0.0
    """Share of the last step that carries over into the next; 0 for none."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""


class Adam(Section):
    """Momentum, divided by the recent size of the gradients."""

    type: Literal["adam"] = "adam"
    """`adam`: running means of the gradient and of its square make the step."""
    lr: Positive = 0.001
    """Learning rate: about the length of a step."""
    beta1: Momentum = 0.9
    """Share of the mean gradient that stays at each update."""
    beta2: Momentum = 0.999
    """Share of the mean squared gradient that stays at each update."""
    eps: Positive = 1e-8
    """Added to the divisor, so that it is never 0."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""


class Adamw(Section):
    """Adam whose weight decay does not pass through the gradient."""

    type: Literal["adamw"] = "adamw"
    """`adamw`: adam with weight decay applied to the weights directly."""
    lr: Positive = 0.002
    """Learning rate: about the length of a step."""
    beta1: Momentum = 0.9
    """Share of the mean gradient that stays at each update."""
    beta2: Momentum = 0.999
    """Share of the mean squared gradient that stays at each update."""
    eps: Positive = 1e-8
    """Added to the divisor, so that it is never 0."""
    weight_decay: NotNegative = 0.1
    """Share by which the weights shrink at each update, times the learning rate."""


Optimizer = Annotated[
    Sgd | Adagrad | Rmsprop | Adam | Adamw,
    Field(discriminator="type"),
    short_for("type", "adamw"),
]


class Constant(Section):
    """The learning rate stays."""

    type: Literal["constant"] = "constant"
    """`constant`: the learning rate stays as it is."""


class Cosine(Section):
    """The learning rate falls to 0 along half a cosine."""

    type: Literal["cosine"] = "cosine"
    """`cosine`: the learning rate falls to 0 over all epochs, along half a cosine."""


class Step(Section):
    """The learning rate falls in steps."""

    type: Literal["step"] = "step"
    """`step`: the learning rate is multiplied by `factor` every so many epochs."""
    every: Count = 30
    """Epochs between two steps."""
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What the learning rate is multiplied by at each step."""


Schedule = Annotated[
    Constant | Cosine | Step, Field(discriminator="type"), short_for("type", "cosine")
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


Task = Literal["regression", "classification", "structured"]


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
