"""A session's state as checkpoints, and back: what the engine holds meets what the disk holds."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.config.loading import to_plain
from ml2021.config.schema import Config
from ml2021.engine.path import TrainingPath
from ml2021.engine.state import TrainingState
from ml2021.errors import CheckpointError
from ml2021.problem import LoadedProblem
from ml2021.runs.checkpoints import FORMAT_VERSION, Checkpoint, Description, save_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.scoring import Answers, answer_shapes

Floats = NDArray[np.float64]

_RESIDUALS = "residuals"
# What the names of their tensors begin with.
_ANSWERS = "answers."
_PATH = "path."
_PATH_TENSORS = ("updates", "points", "gradient_norms")


class Saver:
    """Saves a run while it is trained, so that no more than `seconds` of it can ever be lost.

    `residuals` gives those of the best parameters, that calibrate intervals.
    """

    def __init__(
        self,
        run: RunDirectory,
        problem: LoadedProblem,
        answers: Answers,
        residuals: Callable[[], Floats | None],
        seconds: float,
    ) -> None:
        self._run = run
        self._problem = problem
        self._answers = answers
        self._residuals = residuals
        self._seconds = seconds
        self._written: Tensor | None = None  # best_epoch of the best.safetensors that we wrote
        self._captured = self._asked = time.monotonic()
        self._step = self._took = 0.0

    def is_due(self) -> bool:
        """Whether the next time that this is asked would be too late.

        That is after a step as long as those before, and when a save then takes what the last took.
        """
        now = time.monotonic()
        self._step = max(now - self._asked, 0.9 * self._step)  # a slow one is forgotten in time
        self._asked = now
        return now + self._step + self._took >= self._captured + self._seconds

    def save(self, state: TrainingState) -> None:
        """Write best.safetensors, enough to predict, then last.safetensors, enough to go on.

        Raises ResourceError when the disk refuses one of them, which is then as it was.
        """
        self._captured = time.monotonic()
        self.save_best(state)
        last = {
            **_tensors(state),
            **_path_tensors(state.path),
            **_answer_tensors(self._answers),
        }
        description = _describe(self._problem, state.epoch, state.batch)
        save_checkpoint(self._run.last, Checkpoint(description, last))
        self._asked = time.monotonic()
        self._took = self._asked - self._captured

    def save_best(self, state: TrainingState) -> None:
        """Write best.safetensors alone, where there is a best that is not written yet."""
        if not bool(state.best_epoch.any()):
            return
        if self._written is not None and torch.equal(self._written, state.best_epoch):
            return
        write_best(self._run, self._problem, self._answers, self._residuals(), state)
        self._written = state.best_epoch.clone()


def write_best(
    run: RunDirectory,
    problem: LoadedProblem,
    answers: Answers,
    residuals: Floats | None,
    state: TrainingState,
) -> None:
    """Write best.safetensors: the best parameters, and what it takes to predict with them."""
    best = {"theta": state.best, **_answer_tensors(answers)}
    if residuals is not None:
        best[_RESIDUALS] = torch.from_numpy(residuals)
    description = _describe(problem, int(state.best_epoch), 0)
    save_checkpoint(run.best, Checkpoint(description, best))


def _describe(problem: LoadedProblem, epoch: int, batch: int) -> Description:
    return Description(
        format_version=FORMAT_VERSION,
        config=config_without_paths(problem.config),
        preprocessing=problem.preprocessing,
        data_sha256=problem.data_sha256,
        test_sha256=problem.test_sha256,
        epoch=epoch,
        batch=batch,
    )


def _path_tensors(path: TrainingPath | None) -> dict[str, Tensor]:
    if path is None:
        return {}
    return {f"{_PATH}{name}": getattr(path, name) for name in _PATH_TENSORS}


def _answer_tensors(answers: Answers) -> dict[str, Tensor]:
    return {f"{_ANSWERS}{name}": torch.from_numpy(values) for name, values in answers.items()}


def restore_state(state: TrainingState, last: Checkpoint) -> None:
    """Put a checkpoint's tensors and counters into a state of the same shape.

    Raises CheckpointError where a tensor is missing, or of another shape or dtype.
    """
    for name, place in _tensors(state).items():
        tensor = last.tensors.get(name)
        if tensor is None or tensor.shape != place.shape or tensor.dtype != place.dtype:
            raise CheckpointError(
                f"last.safetensors: tensor '{name}' is missing or of another shape"
            )
        place.copy_(tensor)
    state.epoch, state.batch = last.description.epoch, last.description.batch
    if not any(name.startswith(_PATH) for name in last.tensors):
        state.path = None  # it was a member of a pack, whose paths are not kept
    if state.path is not None:
        _restore_path(state.path, last)


def _restore_path(path: TrainingPath, last: Checkpoint) -> None:
    kept = [last.tensors.get(f"{_PATH}{name}") for name in _PATH_TENSORS]
    updates, points, norms = kept
    if updates is None or points is None or norms is None or not path.takes(updates, points, norms):
        raise CheckpointError("last.safetensors: the path of training is missing or damaged")
    path.restore(updates, points, norms)


def saved_answers(checkpoint: Checkpoint, path: Path) -> Answers:
    """Return the trivial answers of a checkpoint, read from `path`.

    Raises CheckpointError where they are not those of its preprocessing.
    """
    answers = {
        name.removeprefix(_ANSWERS): tensor.numpy()
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(_ANSWERS)
    }
    shapes = {name: answer.shape for name, answer in answers.items()}
    if shapes != answer_shapes(checkpoint.description.preprocessing):
        raise CheckpointError(
            f"{path}: its trivial answers are not those of its preprocessing; train the run again"
        )
    return answers


def saved_residuals(checkpoint: Checkpoint, path: Path) -> Floats | None:
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
    residuals: Floats = tensor.numpy()
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
