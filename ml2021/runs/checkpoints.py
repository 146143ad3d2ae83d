"""Checkpoints: the training state and the model as one checked file each.

Its metadata has one key, whose value is one canonical JSON string with a SHA-256 over that JSON,
the tensors' names, dtypes and shapes, and their bytes. It holds no clock, path, host, run name or
thread count, so two runs of one config write the same bytes. Nothing in it is ever executed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from ml2021.config.loading import to_plain
from ml2021.config.schema import Config
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.checks import LARGEST
from ml2021.data.preprocessing.records import Preprocessing
from ml2021.engine.state import TrainingState, ensemble_members
from ml2021.engine.trajectory import TrajectoryRecorder
from ml2021.errors import CheckpointError
from ml2021.evaluation.fitted_baselines import (
    OPTIONAL,
    FittedBaselines,
    baseline_shapes,
    impossible_baseline,
)
from ml2021.files import FORMAT_VERSION, replace_file
from ml2021.formatting import echo
from ml2021.memory import free_memory
from ml2021.runs.content import read_bytes
from ml2021.runs.directory import RunDirectory

_METADATA_KEY = "ml2021"
_LARGEST_HEADER = 100 << 20
_MOST_TENSORS = 1000


class Description(BaseModel):
    """The description of a checkpoint.

    config: the resolved config as plain values, without the paths of the data. data_sha256: of the
    training file. test_sha256: of the file at data.test_path, if any. init_sha256: of the
    checkpoint file that training started from, if any. epoch, batch: how far training had come.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    format_version: int
    config: dict[str, Any]
    preprocessing: Preprocessing
    data_sha256: str
    test_sha256: str | None = None
    init_sha256: str | None = None
    epoch: Annotated[int, Field(ge=0)]
    batch: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Checkpoint:
    """The description and the tensors, by name; `path` is the file that holds them."""

    description: Description
    tensors: Mapping[str, Tensor]
    path: Path


def save_checkpoint(checkpoint: Checkpoint) -> None:
    """Write the file whole or not at all. Raises ResourceError when the disk refuses it."""
    from safetensors.torch import save

    tensors = {name: tensor.cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    description = checkpoint.description.model_dump(mode="json")
    signed = {**description, "sha256": _digest(description, tensors)}
    replace_file(checkpoint.path, save(tensors, {_METADATA_KEY: _canonical(signed)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint, onto the CPU. Raises CheckpointError, ResourceError."""
    return parse_checkpoint(read_content(path), path)


def read_content(path: Path) -> bytes:
    """Return the bytes of a checkpoint, unchecked. Raises as `load_checkpoint` does."""
    remedy = "resume the run if it was stopped, else train again"
    return read_bytes(path, f"{path.absolute()}: no such checkpoint; {remedy}", free_memory())


def parse_checkpoint(content: bytes, path: Path) -> Checkpoint:
    """Check the bytes read from `path`. Raises CheckpointError where anything is wrong."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    damaged = CheckpointError(f"{path}: damaged or not a checkpoint of ml2021; train the run again")
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, _LARGEST_HEADER):
        raise damaged
    if content.count(b'"data_offsets"', 8, 8 + length) > _MOST_TENSORS:
        raise damaged  # before a million of them fill the memory
    try:
        header = json.loads(content[8 : 8 + length])
        signed = json.loads(header["__metadata__"][_METADATA_KEY])
        version, digest = signed["format_version"], signed.pop("sha256")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged from None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {echo(repr(version))}, but this ml2021 reads "
            f"{FORMAT_VERSION}; use the version that wrote it, or train again"
        )
    try:
        tensors = load(content)
        description = Description.model_validate_json(json.dumps(signed))
        own = _digest(signed, tensors)
    except (SafetensorError, ValidationError, ValueError, KeyError, TypeError):
        raise damaged from None
    if digest != own:
        raise damaged
    return Checkpoint(description, tensors, path)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over the description and all tensors, in the order of their names."""
    digest = hashlib.sha256(_canonical(description).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(_canonical([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


_RESIDUALS = "residuals"
_SELECTED = "selected"

# What the names of their tensors begin with.
_BASELINES = "baselines."
_TRAJECTORY = "trajectory."
_TRAJECTORY_TENSORS = ("updates", "points", "gradient_norms")


class Checkpoints:
    """The two checkpoints of a run: best.safetensors to predict, last.safetensors to resume.

    residuals: returns those of the best parameters, which calibrate intervals.
    """

    def __init__(
        self,
        run: RunDirectory,
        data: TrainingData,
        baselines: FittedBaselines,
        residuals: Callable[[], NDArray[np.float64] | None],
    ) -> None:
        self._run, self._data = run, data
        self._baselines, self._residuals = baselines, residuals
        self._written: list[Tensor] | None = None  # identifies the best.safetensors on disk

    def write(self, state: TrainingState) -> None:
        """Write both, the best one first. Raises ResourceError when the disk refuses."""
        self.write_best(state)
        write_last(self._run.last, self._data, state, self._baselines)

    def write_best(self, state: TrainingState) -> None:
        """Write best.safetensors alone, unless it is written already."""
        marks = [state.best_epoch, state.diverged]
        is_written = self._written is not None and all(map(torch.equal, self._written, marks))
        if is_written or not bool(state.best_epoch.any()):
            return
        best = self._run.best
        residuals = self._residuals()
        save_checkpoint(best_checkpoint(best, self._data, self._baselines, residuals, state))
        self._written = [mark.clone() for mark in marks]


def write_last(
    path: Path, data: TrainingData, state: TrainingState, baselines: FittedBaselines
) -> None:
    """Write what a resume needs. Raises ResourceError when the disk refuses."""
    last = {**_tensors(state), **_baseline_tensors(baselines)}
    if state.trajectory is not None:
        for name in _TRAJECTORY_TENSORS:
            last[f"{_TRAJECTORY}{name}"] = getattr(state.trajectory, name)
    save_checkpoint(Checkpoint(_describe(data, state.epoch, state.batch), last, path))


def best_checkpoint(
    path: Path,
    data: TrainingData,
    baselines: FittedBaselines,
    residuals: NDArray[np.float64] | None,
    state: TrainingState,
    final: Tensor | None = None,
) -> Checkpoint:
    """Return best.safetensors: the best parameters, and what predicting needs beside them.

    final: (K, P), the parameters that predict in their place, see `ml2021.training.refit`.
    """
    members = ensemble_members(state)
    best = {"theta": state.best[members], **_baseline_tensors(baselines)}
    if final is not None:
        best |= {"theta": final, _SELECTED: state.best[members]}
    if residuals is not None:
        best[_RESIDUALS] = torch.from_numpy(residuals)
    description = _describe(data, int(state.best_epoch[members].max()), 0)
    return Checkpoint(description, best, path)


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


def _baseline_tensors(baselines: FittedBaselines) -> dict[str, Tensor]:
    return {f"{_BASELINES}{name}": torch.from_numpy(values) for name, values in baselines.items()}


def saved_config(checkpoint: Checkpoint) -> Config:
    """Return the config of a checkpoint, whose paths are `-`.

    Raises CheckpointError where it is none, or not that of the checkpoint's preprocessing.
    """
    described, path = checkpoint.description, checkpoint.path
    try:
        plain = {**described.config, "data": {**described.config["data"], "path": "-"}}
        config = Config.model_validate(plain)
    except (ValidationError, KeyError, TypeError):
        raise CheckpointError(f"{path}: its config cannot be read by this ml2021") from None
    preprocessing = described.preprocessing
    history = preprocessing.history
    lags, horizon = (0, 1) if history is None else (history.lags, history.horizon)
    task = preprocessing.task if horizon == 1 else "regression"
    fits = config.task in (task, preprocessing.task) and config.loss is not None
    if not fits or (config.data.lags, config.data.horizon) != (lags, horizon):
        raise CheckpointError(f"{path}: its config does not fit its preprocessing")
    return config


def restore_state(state: TrainingState, last: Checkpoint) -> None:
    """Copy a checkpoint into a state. Raises CheckpointError where a tensor does not fit it."""
    for name, place in _tensors(state).items():
        tensor = last.tensors.get(name)
        if tensor is None or tensor.shape != place.shape or tensor.dtype != place.dtype:
            raise CheckpointError(f"{last.path}: tensor '{name}' is missing or has another shape")
        place.copy_(tensor)
    state.epoch, state.batch = last.description.epoch, last.description.batch
    if fault := _fault_of(state, saved_config(last).train.epochs):
        raise CheckpointError(f"{last.path}: {fault}; start a new run")
    if not any(name.startswith(_TRAJECTORY) for name in last.tensors):
        state.trajectory = None  # a packed run, which keeps no trajectory
    if state.trajectory is not None:
        kept = saved_trajectory(last, state.trajectory)
        assert kept is not None
        state.trajectory.restore(*kept)


def _fault_of(state: TrainingState, epochs: int) -> str:
    """Return what no training leaves behind, "" for nothing; it ends after `epochs`."""
    if state.epoch > epochs or state.batch >= max(1, len(state.batch_losses)):
        return "its epoch or batch is beyond the end of training"
    for name, limit in (("best_epoch", state.epoch), ("diverged", None)):
        values = getattr(state, name)
        if bool((values < 0).any()) or (limit is not None and bool((values > limit).any())):
            return f"tensor '{name}' holds an impossible number"
    healthy = state.diverged == 0
    for name, tensor in _tensors(state).items():
        own = tensor[:, healthy] if name == "batch_losses" else tensor[healthy]
        if name != "best_loss" and not bool(own.isfinite().all()):
            return f"tensor '{name}' holds a value that is not a finite number"
        if name.startswith("slots.squares") and bool((own < 0).any()):
            return f"tensor '{name}' holds a negative square"
    kept = state.best_epoch > 0
    if bool(state.best_loss.isnan().any() or not state.best[kept].isfinite().all()):
        return "the best parameters or their loss are not finite numbers"
    return ""


def saved_trajectory(
    last: Checkpoint, recorder: TrajectoryRecorder | None
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the updates (n,), points (n, P) and gradient norms (n, L) that were recorded, if any.

    Raises CheckpointError unless they fit the recorder of the network.
    """
    names = [f"{_TRAJECTORY}{name}" for name in _TRAJECTORY_TENSORS]
    if last.tensors.keys().isdisjoint(names):
        return None
    damaged = CheckpointError(f"{last.path}: the trajectory of training is missing or damaged")
    if recorder is None or not last.tensors.keys() >= {*names}:
        raise damaged
    updates, points, norms = (last.tensors[name] for name in names)
    if not recorder.takes(updates, points, norms):
        raise damaged
    return updates, points, norms


def saved_baselines(checkpoint: Checkpoint, folds: int | None = None) -> FittedBaselines:
    """Return the baselines of a checkpoint; those of `folds` are stacked.

    Raises CheckpointError where they do not fit its preprocessing, or could not have been fitted.
    """
    baselines = {}
    for name, tensor in checkpoint.tensors.items():
        if name.startswith(_BASELINES):
            if tensor.dtype != torch.float64:
                raise CheckpointError(f"{checkpoint.path}: tensor '{echo(name)}' is not of float64")
            baselines[name.removeprefix(_BASELINES)] = tensor.numpy()
    shapes = {name: values.shape for name, values in baselines.items()}
    leading = () if folds is None else (folds,)
    expected = baseline_shapes(checkpoint.description.preprocessing)
    lacking = OPTIONAL if shapes.keys().isdisjoint(OPTIONAL) else ()
    if shapes != {name: (*leading, *s) for name, s in expected.items() if name not in lacking}:
        raise CheckpointError(
            f"{checkpoint.path}: its baselines do not fit its preprocessing; train the run again"
        )
    if (odd := impossible_baseline(baselines)) is not None:
        raise CheckpointError(
            f"{checkpoint.path}: tensor '{_BASELINES}{odd}' holds values that no baseline has; "
            "train the run again"
        )
    return baselines


def saved_residuals(checkpoint: Checkpoint) -> NDArray[np.float64] | None:
    """Return the sorted residuals (N, T) of a checkpoint, None where no rows calibrated it.

    Raises CheckpointError where they do not fit its targets.
    """
    tensor = checkpoint.tensors.get(_RESIDUALS)
    if tensor is None:
        return None
    width = checkpoint.description.preprocessing.target.width
    fits = tensor.ndim == 2 and tensor.shape[1] == width and tensor.dtype == torch.float64
    fits = fits and len(tensor) > 0 and bool((tensor >= 0).all() & (tensor < LARGEST**2).all())
    if not fits or not bool((tensor[1:] >= tensor[:-1]).all()):
        raise CheckpointError(f"{checkpoint.path}: its residuals do not fit its targets")
    residuals: NDArray[np.float64] = tensor.numpy()
    return residuals


def saved_parameters(checkpoint: Checkpoint, members: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the parameters (K, P) that predict, and those that had not seen validation rows.

    Members that diverged are left out, but never all of them. Raises CheckpointError where they do
    not fit a network of `size` parameters.
    """
    theta = checkpoint.tensors.get("theta")
    selected = checkpoint.tensors.get(_SELECTED, theta)
    for each in (theta, selected):
        if (
            each is None
            or each.dtype != torch.float32
            or each.ndim != 2
            or each.shape[1] != size
            or not 1 <= len(each) <= members
        ):
            raise CheckpointError(f"{checkpoint.path}: its parameters do not fit its config")
        if not bool(each.isfinite().all()):
            raise CheckpointError(f"{checkpoint.path}: its parameters are not finite numbers")
    assert theta is not None
    assert selected is not None
    if len(theta) != len(selected):
        raise CheckpointError(f"{checkpoint.path}: its parameters do not fit its config")
    return theta, selected


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """Return the tensors of a state by their names in a checkpoint."""
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
    """Return the config as a checkpoint keeps it: wherever the data lay; it has its SHA-256."""
    plain, nowhere = to_plain(config), {"path": "", "test_path": None, "cache": None}
    return {**plain, "data": {**plain["data"], **nowhere, "memory": "auto"}}
