"""Warm start: load another run's best parameters and check that they fit the new config.

They come with the preprocessing that gives them meaning (`ml2021.data.preprocessing.reuse`). The
new run keeps a copy of the checkpoint, so that it no longer needs the other run.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ml2021.config.loading import LoadedConfig, to_plain
from ml2021.config.messages import differences
from ml2021.config.schema import Auto, Config, KFoldSplit
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.reuse import incompatibilities
from ml2021.errors import ConfigError
from ml2021.runs.checkpoints import parse_checkpoint, read_content
from ml2021.runs.model import TrainedModel, build_model


@dataclass(frozen=True)
class InitialModel:
    """The model that training starts from, its run as the user names it, its checkpoint's bytes.

    option: what messages call the argument that names it.
    """

    name: str
    model: TrainedModel
    content: bytes
    option: str = "--init-from"

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()

    def check_columns(self, data: TrainingData) -> None:
        """Raise ConfigError if the data could not reuse this model's preprocessing."""
        self._refuse(incompatibilities(data.preprocessing, self.model.preprocessing))

    def completed(self, loaded: LoadedConfig) -> LoadedConfig:
        """Return the config with this model's members and encoding of numbers, if it sets none."""
        config, own = loaded.config, self.model.config
        members, numbers = {}, {}
        if "members" not in config.train.model_fields_set:
            members = {"members": len(self.model.theta), "spread": own.train.spread}
        if "numbers" not in config.data.model_fields_set or isinstance(config.data.numbers, Auto):
            numbers = {"numbers": own.data.numbers}
        sections = {
            "train": config.train.model_copy(update=members),
            "data": config.data.model_copy(update=numbers),
        }
        return replace(loaded, config=config.model_copy(update=sections))

    def check_config(self, config: Config) -> None:
        """Raise ConfigError where the model or the number of ensemble members differs."""
        if isinstance(config.data.split, KFoldSplit):
            raise ConfigError(
                f"{self.option} {self.name}: not with kfold, since these parameters may have been "
                "trained on the rows that a fold holds out; choose another data.split.method"
            )
        now, then = ({"model": to_plain(each)["model"]} for each in (config, self.model.config))
        found = [what for _, what in differences(now, then)]
        if (members := len(self.model.theta)) != config.train.members:
            found.append(f"train.members is {config.train.members}, but that run has {members}")
        self._refuse(found)

    def has_seen(self, data: TrainingData) -> bool:
        """Whether the model may have been trained on rows that are held out now."""
        now, then = (to_plain(each)["data"]["split"] for each in (data.config, self.model.config))
        return data.data_sha256 == self.model.data_sha256 and now != then

    def _refuse(self, found: Sequence[str]) -> None:
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise ConfigError(
                f"{self.option} {self.name}: {found[0]}{more}; make them agree, "
                f"or train without {self.option}"
            )


def load_initial_model(path: Path, name: str, option: str = "--init-from") -> InitialModel:
    """Read the checkpoint of best parameters at `path`. Raises CheckpointError, ResourceError."""
    content = read_content(path)
    return InitialModel(name, build_model(parse_checkpoint(content, path)), content, option)
