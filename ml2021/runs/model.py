"""A trained model as it is applied: a checkpoint, its network, and the format of its files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from ml2021.config.loading import load_config
from ml2021.config.messages import differences
from ml2021.config.schema import Config
from ml2021.data.csv.headers import TableFormat
from ml2021.data.load import TrainingData, load_training_data
from ml2021.data.preprocessing.records import Preprocessing
from ml2021.data.resolve import table_format_of
from ml2021.engine.build import build_network
from ml2021.engine.hardware import choose_device
from ml2021.engine.networks import Network, member_outputs
from ml2021.errors import CheckpointError, DataError
from ml2021.evaluation.ensembles import combine
from ml2021.evaluation.scoring import FittedBaselines, to_predictions
from ml2021.runs.checkpoint_file import Checkpoint, load_checkpoint
from ml2021.runs.checkpoints import config_without_paths, saved_baselines, saved_residuals
from ml2021.runs.directory import RunDirectory


@dataclass(frozen=True)
class TrainedModel:
    """A fitted function from inputs to predictions, and what the trivial answers were.

    theta: (K, P), a row for each member. residuals: (N, T) of the rows that calibrate intervals,
    see `ml2021.evaluation.intervals`; None for classes and without such rows.
    """

    config: Config
    preprocessing: Preprocessing
    network: Network
    theta: torch.Tensor
    baselines: FittedBaselines
    residuals: NDArray[np.float64] | None
    data_sha256: str
    test_sha256: str | None

    @property
    def table_format(self) -> TableFormat:
        """How the training file was written, and so how others are read."""
        return table_format_of(self.config.data)

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return predictions (N, T) in the units of the data, or probabilities (N, C).

        With several members, the mean of theirs. Raises DataError where an output is not a finite
        number.
        """
        return self.predict_with_spread(inputs)[0]

    def predict_with_spread(
        self, inputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return `predict`, and of several members the standard deviation (N, T) of theirs."""
        return combine(self.member_predictions(inputs))

    def member_predictions(self, inputs: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield what each member predicts, as `predict` does."""
        for raw in member_outputs(self.network, self.theta, inputs):
            if odd := int((~np.isfinite(raw)).any(axis=1).sum()):
                raise DataError(
                    f"the network's output is not a finite number in {odd:,} of {len(raw):,} rows, "
                    "whose values are too far from those of the training rows; correct them, or "
                    "list them in data.missing"
                )
            yield to_predictions(self.preprocessing, raw)


def load_model(path: Path) -> TrainedModel:
    """Read a model from its checkpoint alone. Raises CheckpointError where it does not fit."""
    return build_model(load_checkpoint(path), path)


def build_model(checkpoint: Checkpoint, path: Path) -> TrainedModel:
    """Return the model of a checkpoint that was read from `path`. Raises as `load_model` does."""
    described = checkpoint.description
    try:
        plain = {**described.config, "data": {**described.config["data"], "path": "-"}}
        config = Config.model_validate(plain)
    except (ValidationError, KeyError, TypeError):
        raise CheckpointError(f"{path}: holds no config that this ml2021 reads") from None
    network = build_network(config.model, *described.preprocessing.sizes)
    theta = checkpoint.tensors.get("theta")
    # Members that diverged have left, but never all of them.
    expected = [(k, network.layout.parameters) for k in range(1, config.train.members + 1)]
    if theta is None or theta.shape not in expected or theta.dtype != torch.float32:
        raise CheckpointError(f"{path}: its parameters are not those of its config")
    if not bool(theta.isfinite().all()):
        raise CheckpointError(f"{path}: its parameters are not finite numbers")
    baselines = saved_baselines(checkpoint, path)
    # What was trained on a GPU is applied without one too.
    device = choose_device("cpu" if config.device == "cpu" else "auto")
    return TrainedModel(
        config,
        described.preprocessing,
        network,
        theta.to(device),
        baselines,
        saved_residuals(checkpoint, path),
        described.data_sha256,
        described.test_sha256,
    )


def reload_training_data(
    run: RunDirectory, model: TrainedModel, alternative: str | None = None
) -> TrainingData:
    """Read again the rows that a run was trained and is scored on.

    Raises DataError where a file has changed since, CheckpointError where the run's config has;
    `alternative` is what the command can do without these rows, for the messages.
    """
    otherwise = "" if alternative is None else f", or {alternative}"
    loaded = load_config(run.resolved_config)
    data = load_training_data(loaded, reuse=model.preprocessing)
    for path, now, then in (
        (data.data_path, data.data_sha256, model.data_sha256),
        (data.config.data.test_path, data.test_sha256, model.test_sha256),
    ):
        if now != then:
            raise DataError(
                f"{path}: has changed since the run was trained, so its rows are no longer "
                f"known; put it back as it was{otherwise}"
            )
    own, kept = config_without_paths(data.config), config_without_paths(model.config)
    if changed := [
        f"{loaded.locate(*keys)}: {what}; put it back{otherwise}"
        for keys, what in differences(own, kept)
        if keys[0] in ("data", "task")
    ]:
        raise CheckpointError(*changed)
    return data
