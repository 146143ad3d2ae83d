"""All that a report is made from, as plain arrays: the meeting point of a training and of a disk.

At the end of `train` the model and its rows are in memory; `ml2021 report` reads them again. Where
they come from is in `ml2021.report.collect`, what is drawn of them in the `about_` modules.

Legend: N rows of the part that is looked at, F inputs, T outputs or classes, E epochs, L layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml2021.config.schema import Config
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing, RealTargets
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import Report
from ml2021.inspection.loss_surface import Ground
from ml2021.inspection.rows import Rows
from ml2021.inspection.trajectory import Way
from ml2021.runs.metrics_csv import History
from ml2021.runs.model import Model


@dataclass(frozen=True)
class GradientSizes:
    """The length (n, L) of each layer's gradient at the updates (n,)."""

    updates: NDArray[np.int64]
    norms: NDArray[np.float64]


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
    """What `ml2021.evaluation.intervals` found on so many rows of validation, or of the folds."""

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
