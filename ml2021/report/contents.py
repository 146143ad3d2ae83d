"""The contents of a report, collected from a run.

At the end of `train` the training data is still in memory; `ml2021 report` loads it again.

Legend: n updates, L layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021.config.loading import SIZE_LIMIT, dump_yaml, load_saved_config
from ml2021.config.schema import Config
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import Preprocessing, RealTargets
from ml2021.engine.trajectory import TrajectoryRecorder
from ml2021.errors import CheckpointError, Ml2021Error
from ml2021.evaluation.ensembles import evaluate_members
from ml2021.evaluation.scoring import Evaluation
from ml2021.files import is_there
from ml2021.inspection.loss_surface import LossSurface, Trajectory, least_work, load_trajectory
from ml2021.inspection.rows import InspectedRows, held_out_rows, most_rows, select_rows
from ml2021.memory import check_fits
from ml2021.runs.checkpoints import (
    Checkpoint,
    config_without_paths,
    load_checkpoint,
    saved_trajectory,
)
from ml2021.runs.content import read_bytes
from ml2021.runs.directory import RunDirectory
from ml2021.runs.metrics_csv import History, read_metrics
from ml2021.runs.model import (
    TrainedModel,
    check_same_config,
    load_model,
    of_training,
    reload_training_data,
)
from ml2021.runs.summary import (
    FoldScores,
    Intervals,
    PiecewiseFacts,
    RunSummary,
    read_summary_if_ended,
)


@dataclass(frozen=True)
class GradientSizes:
    """The gradient norm (n, L) of each layer at the updates (n,)."""

    updates: NDArray[np.int64]
    norms: NDArray[np.float64]


@dataclass(frozen=True)
class LossSurfaceView:
    """The training loss over the parameters, and the trajectory of training.

    resolution: grid points along each of two axes.
    """

    surface: LossSurface
    trajectory: Trajectory
    resolution: int


@dataclass(frozen=True)
class ReportContents:
    """Everything that the report of a run shows.

    name: of the run. config: with all defaults, as text in `resolved_text`; config_text: as the
    user wrote it. evaluations: the scores by split, empty if the run has not finished and its data
    is not available. summary: None if the run has not finished. notes: what is unusual about the
    data. unused: columns of the file that are neither features nor targets. rows: None if the data
    is missing or has changed, for the reason `no_rows`. held_out: the same rows, each predicted by
    the network of the fold that held it out; None without cross-validation. gradients: None if
    they were not kept. loss_surface: None if no trajectory was kept or it would take too long.
    """

    name: str
    config: Config
    config_text: str
    resolved_text: str
    model: TrainedModel
    evaluations: Mapping[str, Evaluation]
    summary: RunSummary | None
    history: History
    notes: tuple[str, ...]
    unused: tuple[str, ...]
    rows: InspectedRows | None
    held_out: InspectedRows | None
    no_rows: str
    gradients: GradientSizes | None
    loss_surface: LossSurfaceView | None

    @property
    def preprocessing(self) -> Preprocessing:
        """The fitted preprocessing of the columns."""
        return self.model.preprocessing

    @property
    def folds(self) -> FoldScores | None:
        """The scores of a cross-validation."""
        return None if self.summary is None else self.summary.cross_validation

    @property
    def intervals(self) -> Intervals | None:
        """Prediction intervals; None for classes, or with too few rows to calibrate them."""
        found = None if self.summary is None else self.summary.interval
        return found if found is not None and found.levels else None

    @property
    def best_epochs(self) -> tuple[int, ...]:
        """The best epoch of each ensemble member that predicts; empty for a single network."""
        return self.history.kept

    @property
    def piecewise(self) -> PiecewiseFacts | None:
        """Facts about the curve, if `ml2021 piecewise` built the network."""
        return None if self.summary is None else self.summary.piecewise

    @property
    def unit(self) -> str:
        """The unit of figures that show all targets together."""
        target = self.preprocessing.target
        assert isinstance(target, RealTargets)
        if target.width == 1 or target.common_scale is not None:
            return self.preprocessing.target_column
        return f"{self.preprocessing.target_name} (standardised)"


_RESOLUTIONS = (41, 25)
"""Grid points of the loss surface along each of two axes; the lower for larger networks."""
_MOST_LOSS_WORK = {"cpu": 1.5e10, "cuda": 1.5e12}
"""The most floating-point operations for the loss surface: some tenths of a second."""

_DRAWING = 150 << 20
"""Bytes that a report takes beside its rows, as measured: 70 to 165 MB."""
_COPIES = 8
"""How often the predictions of the rows are in memory."""
_FEWEST_POINTS = 3
_PATH_NUMBERS = 3_000_000
"""The most numbers in the trajectory, over all of its points."""


def from_training(run: RunDirectory, data: TrainingData) -> ReportContents:
    """Collect the contents of a run that has just been trained on `data` and saved."""
    return _collect(run, data.config, load_model(run.best), data, "")


def from_disk(run: RunDirectory) -> ReportContents:
    """Load a run, and its data if that is still there and unchanged.

    Raises CheckpointError if the run has no parameters yet or is damaged.
    """
    model = load_model(run.best)
    loaded = load_saved_config(run.resolved_config)
    check_same_config(loaded, config_without_paths(model.config), "restore it", of_training)
    config = loaded.config
    data, missing = None, ""
    try:
        data = reload_training_data(run, model)
    except Ml2021Error as error:
        missing = error.lines[0]
    return _collect(run, config, model, data, missing)


def _collect(
    run: RunDirectory, config: Config, model: TrainedModel, data: TrainingData | None, no_rows: str
) -> ReportContents:
    _check_memory(model, data)
    summary = read_summary_if_ended(run)
    if summary is None:  # the run has not finished
        evaluations = {} if data is None else _score_splits(model, data)
    elif summary.fits(model.preprocessing):
        evaluations = summary.evaluations
    else:
        raise CheckpointError(
            f"{run.summary}: its scores are not those of {run.best.name}; train the run again"
        )
    last = load_checkpoint(run.last) if is_there(run.last) else None
    rows = held_out = None
    if data is not None:
        rows = select_rows(model, data)
        if rows.split == "train":
            held_out = held_out_rows(run, model, data, rows)
    kept = () if summary is None else summary.best_epochs
    return ReportContents(
        name=run.path.absolute().name,
        config=config,
        config_text=_text(run.config),
        resolved_text=dump_yaml(config),
        model=model,
        evaluations=evaluations,
        summary=summary,
        history=read_metrics(run, config.train.metric, kept),
        notes=summary.notes if summary is not None else () if data is None else data.notes,
        unused=() if data is None else data.unused,
        rows=rows,
        held_out=held_out,
        no_rows=no_rows,
        gradients=None if last is None else _gradient_sizes(last, model),
        loss_surface=None if data is None else _loss_surface(run, model, data, last),
    )


def _check_memory(model: TrainedModel, data: TrainingData | None) -> None:
    """Raise ResourceError if the report does not fit into memory."""
    cells = 0
    if data is not None:
        rows = min(len(data.scored_split[1]), most_rows(model))
        cells = rows * model.preprocessing.target.width
    needed = _DRAWING + 8 * _COPIES * cells
    check_fits(needed, "the pictures of the report", "end other programs")


def _gradient_sizes(last: Checkpoint, model: TrainedModel) -> GradientSizes | None:
    kept = saved_trajectory(last, TrajectoryRecorder.begin(model.network.layout, torch.empty(0)))
    if kept is None:
        return None
    updates, _, norms = kept
    return GradientSizes(updates.numpy(), norms.double().numpy())


def _loss_surface(
    run: RunDirectory, model: TrainedModel, data: TrainingData, last: Checkpoint | None
) -> LossSurfaceView | None:
    """Return the loss surface and the trajectory; None if none was kept, or it would take long."""
    work = _MOST_LOSS_WORK[model.theta.device.type]
    affordable = (n for n in _RESOLUTIONS if least_work(model, n**2) <= work)
    resolution = next(affordable, None)
    if resolution is None or last is None:
        return None
    most = max(_FEWEST_POINTS, _PATH_NUMBERS // model.theta.shape[1])
    trajectory = load_trajectory(run, model, most, last)
    if len(trajectory.path) < _FEWEST_POINTS:
        return None
    surface = LossSurface(model, data.train, resolution**2, work)
    return LossSurfaceView(surface, trajectory, resolution)


def _text(path: Path) -> str:
    try:
        return read_bytes(path, "", SIZE_LIMIT).decode(errors="replace")
    except Ml2021Error:
        return ""


def _score_splits(model: TrainedModel, data: TrainingData) -> dict[str, Evaluation]:
    """Score the model on every split that has rows."""
    return {
        split: evaluate_members(
            model.of_split(split).member_predictions,
            model.config,
            model.preprocessing,
            model.baselines,
            samples,
        )[0]
        for split, samples in data.splits.items()
    }
