"""All that a report is made from, as plain arrays: the meeting point of a training and of a disk.

At the end of `train` the model and its rows are in memory; `ml2021 report` reads them again. Where
they come from is in `ml2021.report.gathering`, what is drawn of them in the `about_` modules.

Legend: N rows of the part that is looked at, F inputs, T outputs or classes, E epochs, L layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml2021.config.schema import Config
from ml2021.data.preprocessing import ClassTarget, Preprocessing, RealTargets
from ml2021.metrics import Scores
from ml2021.model import Model
from ml2021.scoring import Floats, Report
from ml2021.surfaces.losses import Ground
from ml2021.surfaces.ways import Way

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """The rows that are looked at, with what the network says of them.

    part: test, validation or train. total: how many rows that part has; of many, N are here.
    inputs: (N, F + 1) float32. truth: (N, T) float64, or (N,) int64 for classes, −1 for an unknown
    one. predictions: (N, T) in the units of the data, or probabilities (N, C).
    places: (N,) where each row stands in its file, from 0. when: (N,) float64 or datetime64[s],
    where the column `when_name` orders the rows. is_series: whether the rows follow each other.
    """

    part: str
    total: int
    inputs: NDArray[np.float32]
    truth: Floats | Integers
    predictions: Floats
    places: Integers
    when: NDArray[Any] | None
    when_name: str | None
    is_series: bool

    @property
    def values(self) -> Floats:
        """The truth (N, T), where it is numbers."""
        assert self.truth.ndim == 2
        return np.asarray(self.truth, np.float64)

    @property
    def classes(self) -> Integers:
        """The truth (N,), where it is classes."""
        assert self.truth.ndim == 1
        return np.asarray(self.truth, np.int64)

    def errors(self, target: RealTargets) -> Floats:
        """Return the root mean square error (N,) of each row, in deviations of the targets."""
        errors = (self.values - self.predictions) / np.array(target.scales)
        return np.asarray(np.sqrt(np.square(errors).mean(axis=1)), np.float64)

    def moment(self, place: int) -> str:
        """Return where a row stands along the column that orders the rows; empty without one."""
        if self.when is None:
            return ""
        if self.when.dtype.kind == "f":
            return f"{self.when[place]:.12g}"
        return str(self.when[place]).replace("T00:00:00", "").replace("T", " ")

    @property
    def described(self) -> str:
        """How many rows of which part these are."""
        if len(self) == self.total:
            return f"{self.total:,} {self.part} rows"
        which = "the last " if self.is_series else ""
        return f"{which}{len(self):,} of {self.total:,} {self.part} rows"

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class History:
    """How training went, epoch by epoch: columns of metrics.csv, each (E,).

    The losses are in the unit that `ml2021.session.loss_unit` names.
    """

    epochs: Integers
    training: Floats
    validation: Floats | None
    lr: Floats

    @property
    def best_epoch(self) -> int:
        """The first epoch with the lowest validation loss, or without one the last; 0 for none."""
        if not len(self.epochs):
            return 0
        if self.validation is None:
            return int(self.epochs[-1])
        return int(self.epochs[np.nanargmin(self.validation)])


@dataclass(frozen=True)
class GradientSizes:
    """The length (n, L) of each layer's gradient at the updates (n,)."""

    updates: Integers
    norms: Floats


@dataclass(frozen=True)
class Terrain:
    """The training loss over the parameters, the way that training took, and how finely to look.

    settings: along each of two axes.
    """

    ground: Ground
    way: Way
    settings: int


@dataclass(frozen=True)
class FoldScores:
    """Means over the folds of a cross-validation, the network's first, and standard errors."""

    folds: int
    rows: int
    means: Mapping[str, Scores]
    errors: Mapping[str, Scores]


@dataclass(frozen=True)
class Level:
    """An interval's level, half its width by target, and the share of test values inside, if any.

    In the units of the data.
    """

    level: float
    half_widths: Mapping[str, float]
    coverage: float | None


@dataclass(frozen=True)
class Intervals:
    """What `ml2021.conformal` found on so many rows of validation, or of the folds."""

    calibrated_on: str
    rows: int
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Material:
    """A run, ready to be looked at.

    name: of the run. config: with every default; config_text: as the user wrote it.
    reports: the scores by part; none where a run was stopped and its data is gone.
    folds: the scores of a cross-validation. intervals: None for classes, and where no rows
    calibrate them or they are too few. best_epochs: of each member that predicts, where there
    are several.
    notes: what was odd about the data; unused: columns of the file that serve nothing.
    rows: None where the data is gone or has changed, and `no_rows` says so.
    held_out: of a cross-validation the same rows, as the folds that had not seen them predict them.
    gradients, terrain: None where they were not kept, or would take long to look at.
    built: what `ml2021 piecewise` says of the curve that it built the network of, without training.
    """

    name: str
    config: Config
    config_text: str
    resolved_text: str
    model: Model
    reports: Mapping[str, Report]
    folds: FoldScores | None
    intervals: Intervals | None
    best_epochs: tuple[int, ...]
    history: History
    notes: tuple[str, ...]
    unused: tuple[str, ...]
    rows: Rows | None
    held_out: Rows | None
    no_rows: str
    gradients: GradientSizes | None
    terrain: Terrain | None
    built: Mapping[str, Any] | None

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done with the columns."""
        return self.model.preprocessing

    @property
    def target_name(self) -> str:
        """What is predicted, in a few words."""
        target = self.preprocessing.target
        if isinstance(target, ClassTarget):
            return target.label
        if target.width == 1:
            return target.labels[0]
        return f"{target.labels[0]} to {target.labels[-1]}"

    @property
    def target_column(self) -> str:
        """What is predicted, as one unit: of a horizon the column that all steps are of.

        Of other targets what their names begin with: pixel_*.
        """
        labels = self.preprocessing.target.labels
        if len(labels) == 1:
            return labels[0]
        if self.preprocessing.history is not None:
            return str(self.preprocessing.target_columns[0])
        first, last = min(labels), max(labels)
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
        start = "".join(letter for letter, _ in alike)
        return f"{start}*" if start else self.target_name

    @property
    def unit(self) -> str:
        """The unit of what is drawn for all targets together."""
        target = self.preprocessing.target
        assert isinstance(target, RealTargets)
        if target.width == 1 or target.common_scale is not None:
            return self.target_column
        return f"{self.target_name}, in deviations"
