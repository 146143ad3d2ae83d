"""A trainer's state as checkpoints, and back: what the engine holds meets what the disk holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.config.loading import to_plain
from ml2021.config.schema import Config
from ml2021.data.load import TrainingData
from ml2021.engine.state import TrainingState, ensemble_members
from ml2021.engine.trajectory import TrajectoryRecorder
from ml2021.errors import CheckpointError
from ml2021.evaluation.scoring import FittedBaselines, baseline_shapes
from ml2021.runs.checkpoint_file import FORMAT_VERSION, Checkpoint, Description, save_checkpoint
from ml2021.runs.directory import RunDirectory

_RESIDUALS = "residuals"

# What the names of their tensors begin with.
_ANSWERS = "answers."

_PATH = "path."

_PATH_TENSORS = ("updates", "points", "gradient_norms")


class Checkpoints:
    """The two checkpoints of a run: best.safetensors to predict with, last.safetensors to go on.

    `residuals` gives those of the best parameters, that calibrate intervals.
    """

    def __init__(
        self,
        run: RunDirectory,
        data: TrainingData,
        baselines: FittedBaselines,
        residuals: Callable[[], NDArray[np.float64] | None],
    ) -> None:
        self._run = run
        self._problem = data
        self._answers = baselines
        self._residuals = residuals
        self._written: list[Tensor] | None = None  # what tells one best.safetensors from another

    def write(self, state: TrainingState) -> None:
        """Write both, the best one first. Raises ResourceError when the disk refuses."""
        self.write_best(state)
        write_last(self._run.last, self._problem, state, self._answers)

    def write_best(self, state: TrainingState) -> None:
        """Write best.safetensors alone, where there is a best that is not written yet."""
        marks = [state.best_epoch, state.diverged]
        if not bool(state.best_epoch.any()):
            return
        if self._written is not None and all(map(torch.equal, self._written, marks)):
            return
        write_best(self._run, self._problem, self._answers, self._residuals(), state)
        self._written = [mark.clone() for mark in marks]


def write_last(
    path: Path, data: TrainingData, state: TrainingState, baselines: FittedBaselines
) -> None:
    """Write all that a resume needs. Raises ResourceError when the disk refuses."""
    last = {**_tensors(state), **_path_tensors(state.trajectory), **_answer_tensors(baselines)}
    save_checkpoint(path, Checkpoint(_describe(data, state.epoch, state.batch), last))


def write_best(
    run: RunDirectory,
    data: TrainingData,
    baselines: FittedBaselines,
    residuals: NDArray[np.float64] | None,
    state: TrainingState,
) -> None:
    """Write best.safetensors: the best parameters, and what it takes to predict with them."""
    members = ensemble_members(state)
    best = {"theta": state.best[members], **_answer_tensors(baselines)}
    if residuals is not None:
        best[_RESIDUALS] = torch.from_numpy(residuals)
    description = _describe(data, int(state.best_epoch[members].max()), 0)
    save_checkpoint(run.best, Checkpoint(description, best))


def _describe(data: TrainingData, epoch: int, batch: int) -> Description:
    return Description(
        format_version=FORMAT_VERSION,
        config=config_without_paths(data.config),
        preprocessing=data.preprocessing,
        data_sha256=data.data_sha256,
        test_sha256=data.test_sha256,
        init_sha256=data.init_sha256,
        epoch=epoch,
        batch=batch,
    )


def _path_tensors(path: TrajectoryRecorder | None) -> dict[str, Tensor]:
    if path is None:
        return {}
    return {f"{_PATH}{name}": getattr(path, name) for name in _PATH_TENSORS}


def _answer_tensors(baselines: FittedBaselines) -> dict[str, Tensor]:
    return {f"{_ANSWERS}{name}": torch.from_numpy(values) for name, values in baselines.items()}


def restore_state(state: TrainingState, last: Checkpoint, path: Path) -> None:
    """Put the tensors and counters of a checkpoint at `path` into a state of the same shape.

    Raises CheckpointError where a tensor is missing, or of another shape or dtype.
    """
    for name, place in _tensors(state).items():
        tensor = last.tensors.get(name)
        if tensor is None or tensor.shape != place.shape or tensor.dtype != place.dtype:
            raise CheckpointError(f"{path}: tensor '{name}' is missing or of another shape")
        place.copy_(tensor)
    state.epoch, state.batch = last.description.epoch, last.description.batch
    if not any(name.startswith(_PATH) for name in last.tensors):
        state.trajectory = None  # it was a member of a pack, whose paths are not kept
    if state.trajectory is not None:
        _restore_path(state.trajectory, last, path)


def _restore_path(training_path: TrajectoryRecorder, last: Checkpoint, path: Path) -> None:
    kept = [last.tensors.get(f"{_PATH}{name}") for name in _PATH_TENSORS]
    updates, points, norms = kept
    if (
        updates is None
        or points is None
        or norms is None
        or not training_path.takes(updates, points, norms)
    ):
        raise CheckpointError(f"{path}: the path of training is missing or damaged")
    training_path.restore(updates, points, norms)


def saved_baselines(
    checkpoint: Checkpoint, path: Path, folds: int | None = None
) -> FittedBaselines:
    """Return the trivial answers of a checkpoint, read from `path`; those of `folds` are stacked.

    Raises CheckpointError where they are not those of its preprocessing.
    """
    baselines = {
        name.removeprefix(_ANSWERS): tensor.numpy()
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(_ANSWERS)
    }
    shapes = {name: answer.shape for name, answer in baselines.items()}
    leading = () if folds is None else (folds,)
    expected = baseline_shapes(checkpoint.description.preprocessing)
    if shapes != {name: (*leading, *shape) for name, shape in expected.items()}:
        raise CheckpointError(
            f"{path}: its trivial answers are not those of its preprocessing; train the run again"
        )
    return baselines


def saved_residuals(checkpoint: Checkpoint, path: Path) -> NDArray[np.float64] | None:
    """Return the sorted residuals (N, T) of a checkpoint, None where no rows calibrated it.

    Raises CheckpointError where they are not those of its targets.
    """
    tensor = checkpoint.tensors.get(_RESIDUALS)
    if tensor is None:
        return None
    width = checkpoint.description.preprocessing.target.width
    fits = tensor.ndim == 2 and tensor.shape[1] == width and tensor.dtype == torch.float64
    if not fits or not len(tensor) or not bool((tensor >= 0).all() & tensor.isfinite().all()):
        raise CheckpointError(f"{path}: its residuals are not those of its targets")
    residuals: NDArray[np.float64] = tensor.numpy()
    return residuals


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """Return the tensors of a state under the names that they have in a checkpoint."""
    return {
        "theta": state.theta,
        "best": state.best,
        "best_loss": state.best_loss,
        "best_epoch": state.best_epoch,
        "batch_losses": state.batch_losses,
        "diverged": state.diverged,
        **{f"slots.{name}": slot for name, slot in state.slots.items()},
    }


def config_without_paths(config: Config) -> dict[str, Any]:
    """Return the config as a checkpoint keeps it: the data is named by its SHA-256."""
    plain = to_plain(config)
    return {**plain, "data": {**plain["data"], "path": "", "test_path": None}}
