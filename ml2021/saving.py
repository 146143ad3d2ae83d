"""A session's state as checkpoints, and back: what the engine holds meets what the disk holds."""

from typing import Any

import torch
from torch import Tensor

from ml2021.config.loading import to_plain
from ml2021.config.schema import Config
from ml2021.engine.fit import TrainingState
from ml2021.errors import CheckpointError
from ml2021.problem import LoadedProblem
from ml2021.runs.checkpoints import FORMAT_VERSION, Checkpoint, Description, save_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.scoring import Answers


def save_state(
    run: RunDirectory, problem: LoadedProblem, state: TrainingState, answers: Answers
) -> None:
    """Write best.safetensors, enough to predict, then last.safetensors, enough to go on."""
    learned = {f"answers.{name}": torch.from_numpy(values) for name, values in answers.items()}

    def describe(epoch: int, batch: int) -> Description:
        return Description(
            format_version=FORMAT_VERSION,
            config=config_without_paths(problem.config),
            preprocessing=problem.preprocessing,
            data_sha256=problem.data_sha256,
            epoch=epoch,
            batch=batch,
        )

    best = Checkpoint(describe(int(state.best_epoch), 0), {"theta": state.best, **learned})
    save_checkpoint(run.best, best)
    last = Checkpoint(describe(state.epoch, state.batch), {**_tensors(state), **learned})
    save_checkpoint(run.last, last)


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


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """Return the tensors of a state under the names that they have in a checkpoint."""
    return {
        "theta": state.theta,
        "best": state.best,
        "best_loss": state.best_loss,
        "best_epoch": state.best_epoch,
        "batch_losses": state.batch_losses,
        **{f"slots.{name}": slot for name, slot in state.slots.items()},
    }


def config_without_paths(config: Config) -> dict[str, Any]:
    """Return the config as a checkpoint keeps it: the data is named by its SHA-256."""
    plain = to_plain(config)
    return {**plain, "data": {**plain["data"], "path": "", "test_path": None}}
