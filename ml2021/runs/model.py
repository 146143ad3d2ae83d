"""A trained model, read from a checkpoint, ready to predict."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021.config.loading import LoadedConfig, load_saved_config, set_format
from ml2021.config.messages import differences
from ml2021.config.schema import Config, each_path
from ml2021.config.yaml_reader import KeyPath
from ml2021.data.csv.parser import Column
from ml2021.data.csv.scan import TableFormat
from ml2021.data.load import TrainingData, load_training_data
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing
from ml2021.data.preprocessing.transform import LISTED, OddValues, encode_inputs
from ml2021.data.resolve import table_format_of
from ml2021.data.table_source import refuse_frame
from ml2021.engine.build import build_network
from ml2021.engine.hardware import choose_device
from ml2021.engine.inference import are_finite, member_outputs
from ml2021.engine.networks import Network
from ml2021.errors import CheckpointError, ConfigError, DataError
from ml2021.evaluation import intervals as conformal
from ml2021.evaluation.ensembles import combine
from ml2021.evaluation.fitted_baselines import FittedBaselines
from ml2021.evaluation.scoring import to_predictions
from ml2021.files import is_there
from ml2021.formatting import listed
from ml2021.runs.checkpoints import (
    Checkpoint,
    config_without_paths,
    load_checkpoint,
    saved_baselines,
    saved_config,
    saved_parameters,
    saved_residuals,
)
from ml2021.runs.directory import RunDirectory
from ml2021.runs.summary import Environment, read_environment

if TYPE_CHECKING:
    import pandas as pd

_CELLS = 4_000_000
"""The inputs and outputs of the rows that are predicted at once."""


class Block(NamedTuple):
    """The predictions (N, T) of some rows of a table, as `TrainedModel.predict_with_spread`."""

    rows: NDArray[np.int64]
    values: NDArray[np.float64]
    spread: NDArray[np.float64] | None
    odd: OddValues


@dataclass(frozen=True)
class TrainedModel:
    """A fitted function from inputs to predictions, and the baselines on its table.

    theta: (K, P), a row for each member. selected: (K, P), the parameters that validation rows
    chose and that had not seen them, see `ml2021.training.final_model`. residuals: (N, T) of the
    rows that calibrate intervals, see `ml2021.evaluation.intervals`; None for classes and without
    such rows. remedy: how a value of a new table becomes a missing one.
    """

    config: Config
    preprocessing: Preprocessing
    network: Network
    theta: torch.Tensor
    selected: torch.Tensor
    baselines: FittedBaselines
    residuals: NDArray[np.float64] | None
    data_sha256: str
    test_sha256: str | None
    remedy: str = LISTED

    def of_split(self, split: str) -> "TrainedModel":
        """Return the model that scores a split: for training and validation rows, `selected`.

        The final model may have been trained on validation rows.
        """
        return self if split == "test" else replace(self, theta=self.selected)

    def table_format(self, overrides: Sequence[str]) -> TableFormat:
        """Return how a new file is written: as the training file, but for these overrides.

        Raises ConfigError for an override of anything else.
        """
        return table_format_of(set_format(self.config.data, overrides), by_option=True)

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return predictions (N, T) in the units of the data, or probabilities (N, C).

        With several members, the mean of theirs. Raises DataError where an output is not finite.
        """
        return self.predict_with_spread(inputs)[0]

    def predict_with_spread(
        self, inputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return `predict`, and of several members the standard deviation (N, T) of theirs."""
        return combine(self.member_predictions(inputs))

    def predict_blocks(
        self, frame: "pd.DataFrame | Mapping[str, Column]", count: int, beside: int = 0
    ) -> Iterator[Block]:
        """Yield the predictions of the N = count rows of a table, for a model without a history.

        frame: the table, or its columns by name. beside: how many cells a row has beside its inputs
        and outputs. Raises DataError.
        """
        inputs, outputs = self.preprocessing.sizes
        width = inputs + 8 * outputs
        at_once = max(1, _CELLS // (width + beside))
        for start in range(0, count, at_once):
            rows = np.arange(start, min(start + at_once, count))
            encoded = encode_inputs(self.preprocessing, frame, rows, remedy=self.remedy)
            yield Block(rows, *self.predict_with_spread(encoded.inputs), encoded.odd)

    def half_widths(self, level: float, where: str) -> NDArray[np.float64]:
        """Return half the width (T,) of each target's interval at a level.

        Raises ConfigError where there is none; `where` is what asked for it.
        """
        if not 0 < level < 1:
            raise ConfigError(f"{where} {level:g}: must be between 0 and 1, such as 0.9")
        if isinstance(self.preprocessing.target, ClassTarget):
            raise ConfigError(f"{where}: only for regression; classes come with probabilities")
        if self.residuals is None and len(self.theta) < self.config.train.members:
            raise ConfigError(
                f"{where}: a member of an ensemble has no intervals; use the whole ensemble"
            )
        if self.residuals is None:
            raise ConfigError(
                f"{where}: needs a run with validation rows, which determine the width; "
                "train with data.split.validation above 0"
            )
        half_widths = conformal.half_widths(self.residuals, level)
        if half_widths is None:
            rows = len(self.residuals)
            most = math.floor(1000 * rows / (rows + 1)) / 1000
            raise ConfigError(
                f"{where} {level:g}: needs {conformal.fewest_rows(level):,} validation rows; the "
                f"{rows:,} of this run allow {most:g} at most; "
                "choose a lower level, or hold out more validation rows"
            )
        return half_widths

    def member_predictions(self, inputs: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield the predictions of each member, as `predict` does."""
        for raw in member_outputs(self.network, self.theta, inputs):
            if not are_finite(raw):  # not their number, since more blocks may follow
                raise DataError(
                    "the network's output is not a finite number in some rows, whose values are "
                    "too far from those of the training rows; correct them, or "
                    f"{self.remedy.format('them')}"
                )
            yield to_predictions(self.preprocessing, raw)


def load_model(path: Path) -> TrainedModel:
    """Read a model from its checkpoint alone. Raises CheckpointError where it does not fit."""
    return build_model(load_checkpoint(path))


def build_model(checkpoint: Checkpoint) -> TrainedModel:
    """Return the model of a checkpoint. Raises as `load_model` does."""
    described, config = checkpoint.description, saved_config(checkpoint)
    network = build_network(config.model, *described.preprocessing.sizes)
    theta, selected = saved_parameters(checkpoint, config.train.members, network.layout.parameters)
    # A model trained on a GPU also predicts without one.
    device = choose_device("cpu" if config.device == "cpu" else "auto")
    return TrainedModel(
        config=config,
        preprocessing=described.preprocessing,
        network=network,
        theta=theta.to(device),
        selected=selected.to(device),
        baselines=saved_baselines(checkpoint),
        residuals=saved_residuals(checkpoint),
        data_sha256=described.data_sha256,
        test_sha256=described.test_sha256,
    )


def reload_training_data(
    run: RunDirectory, model: TrainedModel, alternative: str | None = None
) -> TrainingData:
    """Read the data that a run was trained and scored on again.

    Raises DataError where a file has changed since, CheckpointError where the run's config has.
    alternative: what the user can do without these rows, for the messages.
    """
    otherwise = "" if alternative is None else f", or {alternative}"
    loaded = load_saved_config(run.resolved_config)
    refuse_frame(loaded, alternative or "train on a file of it for this")
    check_same_config(loaded, config_without_paths(model.config), f"restore it{otherwise}", of_data)
    data = load_training_data(loaded, reuse=model.preprocessing, beside=run.path)
    recorded = read_environment(run) if is_there(run.environment) else None
    changed = changed_file(data, model.data_sha256, model.test_sha256, recorded)
    if changed is not None:
        raise DataError(
            f"{changed.path}: {changed.what} since the run was trained, so its rows are no longer "
            f"known; {changed.remedy}{otherwise}"
        )
    return data


def check_same_config(
    loaded: LoadedConfig,
    trained: Mapping[str, Any],
    remedy: str,
    matters: Callable[[KeyPath], bool],
) -> None:
    """Raise CheckpointError, with a line for each key, where a saved config is not as trained.

    trained: of the checkpoint, plain and without paths. matters: whether a key has to be the same.
    """
    if lines := [
        f"{loaded.locate(*keys)}: {what}; {remedy}"
        for keys, what in differences(config_without_paths(loaded.config), trained)
        if matters(keys)
    ]:
        raise CheckpointError(*lines)


def of_data(keys: KeyPath) -> bool:
    """Whether a key of the config determines the rows and their targets."""
    return keys[0] in ("data", "task")


def of_training(keys: KeyPath) -> bool:
    """Whether a key of the config stays as it is in a run: the number of epochs may be raised."""
    return keys != ("train", "epochs")


class ChangedFile(NamedTuple):
    """A data file, its SHA-256 now and the one that was recorded, and what became of it."""

    path: Path | str
    now: str | None
    then: str | None
    what: str = "has changed"
    remedy: str = "restore it"


def changed_file(
    data: TrainingData,
    data_sha256: str,
    test_sha256: str | None,
    recorded: Environment | None = None,
) -> ChangedFile | None:
    """Return the data file that has changed since these were recorded, None if neither has.

    recorded: knows the parts of a table in several files, so that the one that changed is named.
    """
    if data.data_sha256 != data_sha256:
        part = None if recorded is None else _changed_part(data.parts, recorded.parts)
        return part or ChangedFile(data.data_path, data.data_sha256, data_sha256)
    if data.test_sha256 != test_sha256:
        part = None if recorded is None else _changed_part(data.test_parts, recorded.test_parts)
        path = listed(each_path(data.config.data.test_path)) or "data.test_path"
        return part or ChangedFile(path, data.test_sha256, test_sha256)
    return None


def _changed_part(now: Mapping[Path, str], then: Mapping[str, str]) -> ChangedFile | None:
    """Return the first part that is not as it was; None where no parts are known."""
    if not now or not then:
        return None
    found = {str(path.absolute()): sha256 for path, sha256 in now.items()}
    for path in sorted(found.keys() | then.keys()):
        if path not in then:
            return ChangedFile(path, found[path], None, "is new", "remove it")
        if path not in found:
            return ChangedFile(path, None, then[path], "is gone")
        if found[path] != then[path]:
            return ChangedFile(path, found[path], then[path])
    return None
