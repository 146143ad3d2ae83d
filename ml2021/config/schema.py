"""The schema of a config: every key with its type, default and meaning.

The string under each field is its description in the JSON Schema. `Config`, at the end, contains
the sections above it; a member of a union is selected by its `type` or `method`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from ml2021.config.types import (
    Character,
    ClassWeight,
    Column,
    ColumnOrColumns,
    Count,
    CountOrFull,
    CountOrLines,
    Device,
    Encoding,
    Fraction,
    Index,
    Members,
    Momentum,
    NotNegative,
    PathOrPaths,
    Positive,
    Scalar,
    Section,
    ShortFor,
    Text,
    conflict,
)


def each_path(written: str | list[str] | None) -> list[str]:
    """Return the paths that a key names, which takes one or a list."""
    return [written] if isinstance(written, str) else written or []


def absolute_paths(written: str | list[str]) -> str | list[str]:
    """Return what a key names as absolute paths, one or a list as it is written."""
    paths = [str(Path(path).absolute()) for path in each_path(written)]
    return paths[0] if isinstance(written, str) else paths


class FractionSplit(Section):
    """Split rows by fractions."""

    method: Literal["auto", "random", "stratified", "sequential"] = "auto"
    """How rows are assigned: `random`; `stratified`, which keeps the class proportions;
    `sequential`, with the last rows of the series for validation and test. `auto` is stratified
    for classification, sequential with lags, otherwise random."""
    validation: Fraction = 0.1
    """Fraction of rows for validation: they select the best epoch and stop training early."""
    test: Fraction = 0.2
    """Fraction of rows for testing: only the final scores use them; 0 for none."""
    seed: Index = 0
    """Seed of the split; separate from `seed`, so that runs with other seeds use the same rows."""

    @model_validator(mode="after")
    def _check_training_rows(self) -> "FractionSplit":
        if self.validation + self.test >= 1:
            raise conflict(
                f"data.split.validation {self.validation:g} and data.split.test {self.test:g} "
                "leave no rows to train on; make their sum less than 1",
                "validation",
                "test",
            )
        return self


class ColumnSplit(Section):
    """Split rows by the values of a column."""

    method: Literal["column"]
    """`column`: a column of the table defines the split."""
    column: Column
    """Name of that column. Its values are train, validation and test, or with `validation_from`
    and `test_from` anything ordered, such as dates. It is not a feature."""
    validation_from: Scalar | None = None
    """Rows with this value or a greater one are for validation, up to `test_from`."""
    test_from: Scalar | None = None
    """Rows with this value or a greater one are for testing."""


class KFoldSplit(Section):
    """Cross-validation: one network per fold, so that each row is held out once."""

    method: Literal["kfold"]
    """`kfold`: cross-validation, stratified for classification. Each network is scored on its
    held-out fold; the final model is trained on all rows."""
    folds: Annotated[int, Field(ge=2)] = 10
    """Number of folds."""
    validation: Fraction = 0.1
    """Fraction of each fold's training rows that select its best epoch and stop it early."""
    seed: Index = 0
    """Seed of the split; separate from `seed`, so that runs with other seeds use the same rows."""


Split = Annotated[
    FractionSplit | ColumnSplit | KFoldSplit,
    Field(discriminator="method"),
    ShortFor("method", "auto"),
]


class Standardise(Section):
    """Numbers less their mean, divided by their standard deviation."""

    type: Literal["standardise"] = "standardise"
    """`standardise`: one input, the number in standard deviations from its mean."""


class Piecewise(Section):
    """Numbers in pieces between quantiles, beside the standardised value."""

    type: Literal["piecewise"] = "piecewise"
    """`piecewise`: also the position within each of some bins, from 0 to 1, so that the function
    can bend at their edges."""
    pieces: Annotated[int, Field(ge=2, le=512)] = 16
    """Maximum number of pieces of a column, each with an equal share of the training rows. Columns
    of few values have one piece less than values; pixels and the history of a series have none,
    and wide tables fewer: all columns together at most 512."""


class Auto(Section):
    """Standardised numbers or pieces as well, whichever is better on held-out rows."""

    type: Literal["auto"] = "auto"
    """`auto`: `standardise` or `piecewise`, by a short trial on held-out training rows; of fewer
    than 40 training rows `standardise`, without a trial."""


Numbers = Annotated[
    Standardise | Piecewise | Auto, Field(discriminator="type"), ShortFor("type", "piecewise")
]


class Gaps(Section):
    """Fill short gaps in the history of a series."""

    type: Literal["interpolate"] = "interpolate"
    """`interpolate`: on a straight line between the values before and after the gap."""
    limit: Count = 6
    """The longest gap that is filled, in rows."""


ColumnType = Literal["number", "category", "pixel", "date"]
DatePart = Literal["year", "month", "day", "weekday", "hour", "elapsed"]


class Data(Section):
    """The table and what its columns mean."""

    path: PathOrPaths
    """The CSV file (also .gz; Parquet where pyarrow is installed), relative to the working
    directory. A list, a glob (`sales/*.csv`) or a folder names the parts of one table: they have
    the same columns in any order, and follow each other in the plain order of their names."""
    test_path: PathOrPaths | None = None
    """A separate table for testing, named as `path` is; null: the test rows come from `path`."""
    separator: Character = ","
    """The field separator of the file."""
    decimal: Literal[".", ","] = "."
    """The decimal mark in numbers."""
    thousands: Literal[",", ".", " ", "'", "_"] | None = None
    """The mark between groups of three digits, as in 4,158,985; a blank also reads no-break and
    narrow ones. null: numbers have none."""
    encoding: Encoding = "utf-8"
    """The text encoding of the file."""
    header: bool = True
    """Whether the first row has the column names; if false they are 0, 1, 2, ..."""
    skip_rows: CountOrLines = 0
    """Lines of the file that are no part of the table: how many before the header, or the numbers
    of the lines as an editor counts them, such as [2, 7]."""
    missing: list[Scalar] = ["", "NA", "N/A", "null", "None", "NaN"]
    """Texts and numbers that mean a missing value."""
    target: ColumnOrColumns
    """The column to predict; a list or a glob (`pixel_*`) for a structured output."""
    target_shape: Annotated[list[Count], Field(min_length=1)] | None = None
    """Shape of a structured output, such as [4, 8] for an image of 4 rows and 8 columns."""
    features: list[Column] = ["*"]
    """Columns to predict from, as names or globs; never targets or excluded columns."""
    exclude: list[Column] = []
    """Columns not to use as features, as names or globs."""
    max_categories: Annotated[int, Field(ge=2)] = 100
    """Most inputs of a column of categories. If the training rows have more categories, the rarer
    ones share one input, "other". Columns that are all but identifiers are not used at all."""
    types: dict[Column, ColumnType] = {}
    """What columns hold, by name or glob, where the guess is wrong: `number`, `category` (texts as
    they are written), `pixel` (numbers that share one scale) or `date`. A target can be a number or
    a category, which makes the task regression or classification."""
    dates: list[DatePart] | None = None
    """Parts of date columns to predict from: `year`, `day` (of the month) and `elapsed` (days since
    the first training row) as numbers; `month`, `weekday` (1 is Monday) and `hour` as categories.
    An empty list leaves date columns out; null is year, month, weekday and hour, or nothing with
    lags."""
    numbers: Numbers = Standardise()
    """How numbers become inputs."""
    lags: Index = 0
    """Time series: number of previous values of the target used as features."""
    horizon: Count = 1
    """With lags: number of next values predicted at once."""
    order_by: Column | None = None
    """Column that orders the rows of a series, equal values as in the file; null: the order of the
    file."""
    group_by: Column | None = None
    """Column of rows that belong together, such as a patient or a store; null: none. No group is
    divided between training, validation, test or folds. With lags each group is a series of its
    own, divided in time: at one value of `order_by` for all, or without it each before its own last
    rows. It is a feature only if `features` names it."""
    gaps: Annotated[Gaps, ShortFor("type")] | None = None
    """With lags: how missing values of the target are filled in the history of later rows; null:
    rows with a gap in their history are left out. No target is ever filled."""
    weight: Column | None = None
    """Column of the weights of the rows, numbers of at least 0; null: all rows weigh the same. A
    row of weight 2 counts as two rows in the objective, the preprocessing, the scores, the
    baselines and the intervals; one of weight 0, or without a weight, is left out. Never a
    feature."""
    split: Split = FractionSplit()
    """Which rows are for training, validation and testing."""
    memory: Literal["auto", "ram", "disk"] = "auto"
    """Where the rows lie while the command runs: `ram`; or `disk`, in files that the system reads
    and drops as it needs memory, for tables that do not fit. The results are the same, bit for bit.
    `auto` is disk where the rows are estimated not to fit into the memory that is free."""
    cache: Text | None = None
    """A folder for the rows that are on the disk, on a fast disk with space; null: beside the run.
    The encoded rows are kept there, and used again by a run on the same data."""

    @model_validator(mode="after")
    def _check_memory(self) -> "Data":
        if self.memory == "ram" and self.cache is not None:
            raise conflict(
                "data.memory ram needs no data.cache; set data.memory to auto or disk, or "
                "data.cache to null",
                "cache",
            )
        if self.memory == "disk" and isinstance(self.split, KFoldSplit):
            raise conflict(
                "data.memory disk does not go with data.split kfold, whose folds are trained side "
                "by side in memory; use another split, or set data.memory to auto",
                "memory",
            )
        return self

    @model_validator(mode="after")
    def _check(self) -> "Data":
        if self.separator == self.decimal:
            raise conflict(
                f"data.separator and data.decimal are both '{self.decimal}'; change one of them",
                "decimal" if self.decimal == "," else "separator",
            )
        if self.thousands == self.decimal:
            raise conflict(
                f"data.thousands and data.decimal are both '{self.decimal}'; change one of them",
                "thousands",
                "decimal",
            )
        if self.horizon > 1 and self.lags == 0:
            raise conflict(
                f"data.horizon {self.horizon} needs data.lags greater than 0; "
                "set data.lags, or data.horizon to 1",
                "horizon",
            )
        if self.lags > 0 and isinstance(self.target, list) and len(self.target) > 1:
            raise conflict(
                f"data.lags needs a single target, not {len(self.target)}; "
                "set data.lags to 0, or choose one target",
                "lags",
            )
        if self.group_by is not None and self.group_by == self.order_by:
            raise conflict(
                f"data.group_by and data.order_by are both '{self.group_by}'; change one of them",
                "group_by",
            )
        if self.lags == 0 and self.gaps is not None:
            raise conflict(
                "data.gaps needs data.lags greater than 0; set data.lags, or data.gaps to null",
                "gaps",
            )
        is_random = isinstance(self.split, FractionSplit) and self.split.method == "random"
        if self.lags > 0 and self.group_by is not None and is_random:
            raise conflict(
                "data.split random does not divide each series of data.group_by in time; "
                "use sequential",
                ("split", "method"),
                "split",
            )
        if self.lags > 0 and isinstance(self.split, KFoldSplit):
            raise conflict(
                "data.split kfold splits at random, so with data.lags it would train on the "
                "future; use sequential",
                ("split", "method"),
                "split",
            )
        return self


FRAME = "<DataFrame>"
"""What `data.path`, which is absolute there, is in a run whose table was a data frame."""
FORMAT_KEYS = ("separator", "decimal", "thousands", "encoding", "header", "skip_rows", "missing")
"""The keys of `data` that say how a file is written: commands that read a CSV take them, too."""


class Mae(Section):
    """Mean absolute error."""

    type: Literal["mae"] = "mae"
    """`mae`: mean absolute error; robust to outliers."""


class Mse(Section):
    """Mean squared error."""

    type: Literal["mse"] = "mse"
    """`mse`: mean squared error; sensitive to outliers."""


class Huber(Section):
    """Huber loss: squared for small errors, absolute for large ones."""

    type: Literal["huber"] = "huber"
    """`huber`: squared error up to `delta`, absolute error beyond it."""
    delta: Positive = 1.0
    """Error at which squared becomes absolute, in standard deviations of the target."""


class CrossEntropy(Section):
    """Cross-entropy of the predicted probabilities."""

    type: Literal["cross_entropy"] = "cross_entropy"
    """`cross_entropy`: negative log-likelihood of the true class."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a row's target that is given to all classes alike, in training alone: outputs then
    stay moderate, and training overfits later. Losses are shown without it."""


RegressionLoss = Mae | Mse | Huber
Loss = Annotated[RegressionLoss | CrossEntropy, Field(discriminator="type"), ShortFor("type")]


def fitting_losses(task: str) -> str:
    """Return the losses that fit a task, for a message."""
    if task == "classification":
        return "cross_entropy"
    return f"one of {', '.join(loss().type for loss in get_args(RegressionLoss))}"


class Sgd(Section):
    """Stochastic gradient descent."""

    type: Literal["sgd"] = "sgd"
    """`sgd`: stochastic gradient descent."""
    lr: Positive = 0.01
    """Learning rate: length of a step per unit of gradient."""
    momentum: Momentum = 0.0
    """Fraction of the last step added to the next; 0 for none."""
    nesterov: bool = False
    """Whether to use Nesterov momentum: the gradient is taken after the momentum step."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""

    @model_validator(mode="after")
    def _check_nesterov(self) -> "Sgd":
        if self.nesterov and self.momentum == 0:
            raise conflict(
                "optimizer.nesterov needs optimizer.momentum greater than 0; "
                "set optimizer.momentum, such as 0.9",
                "nesterov",
            )
        return self


class Adagrad(Section):
    """Adagrad: steps shrink with the sum of past squared gradients."""

    type: Literal["adagrad"] = "adagrad"
    """`adagrad`: steps are divided by the root of the sum of past squared gradients."""
    lr: Positive = 0.01
    """Learning rate: length of the first step."""
    eps: Positive = 1e-10
    """Added to the divisor for numerical stability."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""


class Rmsprop(Section):
    """RMSprop: steps are divided by the recent size of the gradients."""

    type: Literal["rmsprop"] = "rmsprop"
    """`rmsprop`: steps are divided by the root of the running mean of squared gradients."""
    lr: Positive = 0.01
    """Learning rate: approximate length of a step."""
    alpha: Momentum = 0.99
    """Decay rate of the running mean of squared gradients."""
    eps: Positive = 1e-8
    """Added to the divisor for numerical stability."""
    momentum: Momentum = 0.0
    """Fraction of the last step added to the next; 0 for none."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""


class Adam(Section):
    """Adam: momentum, divided by the recent size of the gradients."""

    type: Literal["adam"] = "adam"
    """`adam`: running mean of the gradient, divided by the root of that of its square."""
    lr: Positive = 0.001
    """Learning rate: approximate length of a step."""
    beta1: Momentum = 0.9
    """Decay rate of the running mean of the gradient."""
    beta2: Momentum = 0.999
    """Decay rate of the running mean of the squared gradient."""
    eps: Positive = 1e-8
    """Added to the divisor for numerical stability."""
    weight_decay: NotNegative = 0.0
    """Weight of the L2 penalty, added to the gradient."""


class Adamw(Section):
    """AdamW: Adam with decoupled weight decay."""

    type: Literal["adamw"] = "adamw"
    """`adamw`: Adam with weight decay applied directly to the weights."""
    lr: Positive = 0.002
    """Learning rate: approximate length of a step."""
    beta1: Momentum = 0.9
    """Decay rate of the running mean of the gradient."""
    beta2: Momentum = 0.999
    """Decay rate of the running mean of the squared gradient."""
    eps: Positive = 1e-8
    """Added to the divisor for numerical stability."""
    weight_decay: NotNegative = 0.1
    """Fraction by which the weights shrink at each update, times the learning rate."""


Optimizer = Annotated[
    Sgd | Adagrad | Rmsprop | Adam | Adamw, Field(discriminator="type"), ShortFor("type", "adamw")
]


class Constant(Section):
    """Constant learning rate."""

    type: Literal["constant"] = "constant"
    """`constant`: the learning rate does not change."""


class Cosine(Section):
    """Cosine decay of the learning rate."""

    type: Literal["cosine"] = "cosine"
    """`cosine`: the learning rate falls to 0 over all epochs, along half a cosine."""


class Step(Section):
    """Step decay of the learning rate."""

    type: Literal["step"] = "step"
    """`step`: the learning rate is multiplied by `factor` every `every` epochs."""
    every: Count = 30
    """Number of epochs between two steps."""
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Factor of the learning rate at each step."""


Schedule = Annotated[
    Constant | Cosine | Step, Field(discriminator="type"), ShortFor("type", "cosine")
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
    """Number of sigmoids."""
    activation: Literal["sigmoid", "hard_sigmoid"] = "sigmoid"
    """The smooth sigmoid, or its piecewise-linear version."""


class ReluStack(Section):
    """Layers of max(0, b + Wx), then a linear output."""

    type: Literal["relu_stack"] = "relu_stack"
    """`relu_stack`: layers of rectified linear units."""
    widths: Annotated[list[Count], Field(min_length=1)] = [100, 100]
    """Number of units of each hidden layer, from input to output."""


Model = Annotated[
    Linear | SigmoidSum | ReluStack, Field(discriminator="type"), ShortFor("type", "relu_stack")
]


class EarlyStopping(Section):
    """Early stopping."""

    patience: Count = 20
    """Number of epochs without a better validation loss before training stops."""


RealMetric = Literal["mae", "rmse", "r2"]
ClassMetric = Literal["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auroc"]


class Train(Section):
    """The training loop."""

    epochs: Count = 100
    """Maximum number of passes over the training rows."""
    batch_size: CountOrFull = 32
    """Rows per update; `full`: all training rows, which is plain gradient descent."""
    schedule: Schedule = Cosine()
    """How the learning rate changes over the epochs."""
    clip_norm: Positive | None = None
    """Maximum Euclidean norm of the gradient; longer ones are rescaled. null: no limit."""
    early_stopping: EarlyStopping | None = EarlyStopping()
    """When to stop early; null: never."""
    metric: Literal["loss", RealMetric, ClassMetric] = "loss"
    """What chooses the best epoch and stops training early, on the validation rows: `loss`; or for
    numbers mae, rmse or r2, for classes accuracy, balanced_accuracy, macro_f1, log_loss or auroc.
    Of equal epochs the first is the best."""
    class_weight: ClassWeight | None = None
    """Weights of the classes in the objective, in training and validation: `balanced`, inversely
    proportional to their training rows, or a mapping such as {yes: 4, no: 1}, in which other
    classes weigh 1. Scores and baselines do not use them. null: all classes weigh the same."""
    members: Members = 1
    """Number of ensemble members, trained together with seeds `seed`, `seed` + 1, ...; predictions
    are their mean."""
    spread: bool | None = None
    """Whether `predict` writes the standard deviation over the members beside each prediction;
    null: if `members` is set, and not where a preset chose them."""
    refit: bool = False
    """Whether the final model is trained again, on training and validation rows together, for the
    number of epochs that validation chose. Scores on validation rows, intervals and the diagnosis
    stay those of the networks that had not seen them. With k-fold it always is."""
    calibrate: bool = False
    """Classification: whether the outputs are divided by the temperature that gives the lowest log
    loss on held-out rows."""
    save_seconds: Positive = 30.0
    """Seconds between two checkpoints."""
    keep_path: bool = True
    """Whether to save the training trajectory for plots: at most 200 points and 64 MB."""
    tensorboard: bool = False
    """Whether to write event files for TensorBoard, which needs the package tensorboard: what
    metrics.csv has, the norm of the gradient too, and the settings of the runs of a sweep."""


class Sweep(Section):
    """A sweep: settings that differ between its runs, by dotted keys such as optimizer.lr."""

    runs: list[dict[str, Any]] = []
    """Settings of each run, as mappings from key to value; combined with `grid` and `random`."""
    grid: dict[str, Any] = {}
    """Keys with lists of values; every combination is run."""
    random: dict[str, Any] = {}
    """Keys with a list to choose from, or `{low, high, scale}` with scale `linear` or `log`. Drawn
    for each combination of `runs` and `grid`; combinations that differ only in the seed share a
    draw."""
    samples: Count = 1
    """Number of draws for each combination."""
    seed: Index = 0
    """Seed of the draws."""


Task = Literal["regression", "classification", "structured"]


class Config(Section):
    """The config of a run or a sweep."""

    data: Data
    """The table, its columns and its split."""
    task: Literal["auto", "regression", "classification", "structured"] = "auto"
    """Whether to predict a number, a class or several numbers; `auto` infers it from the target."""
    preset: Literal["fast", "default", "best"] = "default"
    """What the keys that are not set default to, for stacks of ReLUs without lags: `fast`, one
    network as the other defaults here say; `default`, a few members, the number of epochs by the
    number of rows, and `data.numbers: auto`; `best`, more of all, as accurate as it gets."""
    model: Model = ReluStack()
    """The network."""
    loss: Loss | None = None
    """The loss to minimise; null: mse, or cross_entropy for classification."""
    optimizer: Optimizer = Adamw()
    """The optimizer."""
    train: Train = Train()
    """How to train."""
    seed: Index = 0
    """Seed of the initial weights and of the order of the rows."""
    device: Device = "auto"
    """Where to compute: cpu, cuda or cuda:N; `auto`: cuda if available, otherwise cpu."""
    sweep: Sweep | None = None
    """The sweep for `ml2021 sweep`; null: a single run."""

    @model_validator(mode="after")
    def _check_task(self) -> "Config":
        if self.task == "auto":
            return self
        is_classification = self.task == "classification"
        if self.loss is not None and isinstance(self.loss, CrossEntropy) != is_classification:
            raise conflict(
                f"loss {self.loss.type} does not work with task {self.task}; "
                f"choose {fitting_losses(self.task)}, or another task",
                ("loss", "type"),
                "loss",
            )
        if is_classification and self.data.lags > 0:
            raise conflict(
                "task classification does not work with data.lags; "
                "set data.lags to 0, or choose another task",
                "task",
            )
        return self
