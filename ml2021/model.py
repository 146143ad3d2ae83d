"""The Python interface to a trained run: `ml2021.load` and `ml2021.Model`.

What is predicted here and by the command `predict` has the same digits, as both share all but the
reading and the writing of the table.
Legend: K members, N rows, F inputs, T outputs, C classes.
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml2021.commands.forecast import forecast
from ml2021.commands.prediction_csv import Predictions
from ml2021.data.frames import FRAME_NAME, FrameReader
from ml2021.data.new_table import needed_columns
from ml2021.data.preprocessing.records import ClassTarget, RealTargets, value_text
from ml2021.data.preprocessing.transform import UNSEEN, encode_inputs
from ml2021.data.samples import FittedTable
from ml2021.data.series import known_histories
from ml2021.engine.networks import to_module
from ml2021.errors import ConfigError, DataWarning, RunInUseError
from ml2021.formatting import echo
from ml2021.runs.checkpoints import (
    Checkpoint,
    config_without_paths,
    load_checkpoint,
    save_checkpoint,
)
from ml2021.runs.content import read_bytes, write_text
from ml2021.runs.directory import create_run, open_run, refuse_inside
from ml2021.runs.model import TrainedModel, build_model
from ml2021.runs.summary import RunSummary, read_summary_if_ended, write_record

if TYPE_CHECKING:
    import pandas as pd


_PATHS = ("path", "test_path", "cache")
_TRUTH = {
    **dict.fromkeys(("True", "TRUE", "true"), True),
    **dict.fromkeys(("False", "FALSE", "false"), False),
}
"""The texts that pandas reads as truth values."""


def load(run: str | os.PathLike[str]) -> "Model":
    """Return the model of a run: the path of its directory, or its name under runs/.

    A sweep stands for its best run. Raises CheckpointError for what is no run, or a damaged one.
    """
    directory = open_run(Path(run))
    checkpoint = load_checkpoint(directory.best)
    config = read_bytes(directory.resolved_config, f"{directory.resolved_config}: missing")
    summary = read_summary_if_ended(directory)
    return Model(checkpoint, config.decode("utf-8", "replace"), summary)


def refuse_other_tables(frame: object) -> None:
    """Raise TypeError for what is no data frame of pandas."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        kind = type(frame)
        name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}".removeprefix("builtins.")
        remedy = "; call its to_pandas()" if hasattr(frame, "to_pandas") else ""
        raise TypeError(f"a pandas DataFrame is needed, not {name}{remedy}")


class Model:
    """A trained function of data frames, from `ml2021.load`.

    A frame has the columns of `features` by name, in any order and of any dtype; other columns are
    not looked at. Texts are read as those of a CSV: "1.5" is a number, "" and NA are missing, and
    so are None and NaN. Of a run of a file without a header the columns count by position.

    With lags, the frame is the series: the target's column holds what is known of it, and each row
    is predicted from those before it; what follows the last known value is forecast row by row.

    Every method that takes a frame raises DataError, whose lines say what is wrong with it, and
    TypeError for what is no data frame. Those that predict warn (`DataWarning`) of categories that
    training has not seen; `notes_on` tells what else is odd in a frame.
    """

    def __init__(self, checkpoint: Checkpoint, config: str, summary: RunSummary | None) -> None:
        self._checkpoint, self._config, self._summary = checkpoint, config, summary
        self._model: TrainedModel = replace(build_model(checkpoint), remedy="set {} to NaN")
        self._target = self._model.preprocessing.target
        self._reader = FrameReader(self._model.preprocessing, self._model.table_format(()))

    def __reduce__(self) -> tuple[Any, ...]:
        tensors = {name: tensor.cpu() for name, tensor in self._checkpoint.tensors.items()}
        return Model, (replace(self._checkpoint, tensors=tensors), self._config, self._summary)

    def __repr__(self) -> str:
        config = self._model.config
        return f"<ml2021.Model {config.model.type} of {self._model.preprocessing.target_name}>"

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a frame must have, in their order in the training file.

        With lags the target is one of them. Names that repeat there end in .0, .1, ...
        """
        preprocessing = self._model.preprocessing
        names = needed_columns(preprocessing, "predicted")
        return tuple(sorted(names, key=lambda name: preprocessing.sources[name].position))

    @property
    def config(self) -> dict[str, Any]:
        """The config with every default, as plain values by section, without paths.

        `ml2021.train` takes it with a frame.
        """
        plain = config_without_paths(self._model.config)
        data = {key: value for key, value in plain["data"].items() if key not in _PATHS}
        return {**plain, "data": data}

    @property
    def scores(self) -> dict[str, dict[str, float | None]]:
        """The scores of each split, by metric, as in the run's summary.json.

        The splits are test, validation and train, and held-out of a cross-validation. None for a
        score that is not defined; empty if training has not ended, and for a single member.
        """
        if self._summary is None:
            return {}
        return {name: {**each.scores} for name, each in self._summary.evaluations.items()}

    @property
    def epochs(self) -> int | None:
        """How many epochs training lasted; None if it has not ended, and for a single member."""
        return None if self._summary is None else self._summary.epochs

    @property
    def notes(self) -> tuple[str, ...]:
        """What the command `train` notes about the table and the baselines, a sentence each.

        Such as columns that are left out, rows that look alike, and what cells may mean. Empty if
        training has not ended, and for a single member.
        """
        return () if self._summary is None else self._summary.notes

    @cached_property
    def members(self) -> tuple["Model", ...]:
        """The K members of an ensemble as models of their own, which predict alone.

        They have no intervals and no scores. The only member of a single network is the model.
        """
        if len(self._model.theta) == 1:
            return (self,)
        return tuple(self._member(index) for index in range(len(self._model.theta)))

    def _member(self, index: int) -> "Model":
        tensors = {
            name: tensor[index : index + 1] if name in ("theta", "selected") else tensor
            for name, tensor in self._checkpoint.tensors.items()
            if name != "residuals"
        }
        return Model(replace(self._checkpoint, tensors=tensors), self._config, None)

    def predict(self, frame: "pd.DataFrame") -> "pd.Series | pd.DataFrame":
        """Return the prediction for each row, under the index of the frame.

        A Series (N,) of float64 in the units of the data, or of the most probable class, as pandas
        reads it from the training file; of several targets a DataFrame (N, T) with a column for
        each. NaN where a row has no complete history.
        """
        import pandas as pd

        values = self._predict(frame)[0].values
        if isinstance(target := self._target, ClassTarget):
            classes = self._classes.array.take(values.argmax(axis=1))
            return pd.Series(classes, frame.index, name=target.label)
        if target.width == 1:
            return pd.Series(values[:, 0], frame.index, name=target.labels[0])
        return pd.DataFrame(values, frame.index, [*target.labels])

    def predict_proba(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the probability of each class (N, C), float64, a column for each class.

        Raises ConfigError for a model of numbers.
        """
        import pandas as pd

        if not isinstance(self._target, ClassTarget):
            raise ConfigError("predict_proba: only for classes; use predict")
        return pd.DataFrame(self._predict(frame)[0].values, frame.index, self._classes)

    def predict_interval(self, frame: "pd.DataFrame", level: float = 0.9) -> "pd.DataFrame":
        """Return an interval around each prediction, (N, 2 T): target_low, target_high, ...

        Its width is such that a share of `level` of the rows that calibrated it are covered. NaN
        for rows more than one step ahead. Raises ConfigError for classes, a run without validation
        rows, a single member, or a level for which they are too few or that is no share.
        """
        import pandas as pd

        if isinstance(level, bool) or not isinstance(level, Real):
            what = f"the level must be a number between 0 and 1, such as 0.9, not {level!r}"
            raise ConfigError(f"predict_interval: {what}")
        level = float(str(level)) if isinstance(level, np.floating) else float(level)
        found, _ = self._predict(frame, self._model.half_widths(level, "predict_interval"))
        assert found.half_widths is not None
        ends = np.stack([found.values - found.half_widths, found.values + found.half_widths], -1)
        names = [f"{label}{end}" for label in self._target.labels for end in ("_low", "_high")]
        return pd.DataFrame(ends.reshape(len(ends), -1), frame.index, names)

    def notes_on(self, frame: "pd.DataFrame") -> tuple[str, ...]:
        """Return what the command `predict` notes about a table, a sentence each.

        Such as missing values, values outside the training range, and columns that are not used.
        """
        _, notes = self._predict(frame, warn=False)
        return (*self._reader.notes(frame), *notes)

    def encode(self, frame: "pd.DataFrame") -> NDArray[np.float64]:
        """Return the network's inputs (N, F) for the rows, as `to_torch` takes them.

        Each is a value that float32 holds. NaN in rows without a complete history.
        """
        table = self._read(frame)
        groups, fitted = table.groups, self._model.preprocessing
        rows = np.arange(len(frame))
        if (history := fitted.history) is not None:
            assert table.series is not None
            rows = known_histories(table.series, history.lags, groups, table.filled)
        inputs = np.full((len(frame), len(fitted.inputs)), np.nan)
        if rows.size:
            remedy = self._model.remedy
            found = encode_inputs(fitted, table.frame, rows, table.filled, remedy)
            inputs[rows] = found.inputs[:, :-1]
        return inputs[table.file_order]

    def to_torch(self) -> nn.Module:
        """Return the function as a torch module of its own, float64 on the CPU.

        From inputs (N, F), such as torch.from_numpy(model.encode(frame)), to predictions (N, T) in
        the units of the data, or probabilities (N, C). It can be trained further, moved and saved;
        its outputs are those of `predict` but for the rounding of float64.
        """
        return _Function(self._model)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as a run of its own: a new directory that holds what predicting needs.

        `ml2021.load` and `ml2021 predict --run` take it. Raises RunInUseError if `path` exists and
        is not an empty directory, ConfigError if it is in a run, ResourceError.
        """
        path = Path(path)
        refuse_inside("save", path, path.absolute().parent)
        if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir())):
            raise RunInUseError(f"save {echo(path)}: already exists; choose another place")
        run = create_run(path, "")
        save_checkpoint(replace(self._checkpoint, path=run.best))
        if self._summary is not None:
            write_record(run.summary, self._summary)
        write_text(run.resolved_config, self._config)  # with it the run has begun

    @cached_property
    def _classes(self) -> "pd.Index":
        """The classes (C,) as pandas reads them from a file: texts, numbers, or truth values."""
        import pandas as pd

        texts: pd.Index[Any] = pd.Index(np.array(self._target.labels, object))
        truth = [_TRUTH.get(text) for text in self._target.labels]
        if sorted(map(str, truth)) == ["False", "True"]:
            return pd.Index(truth)
        try:
            numbers = np.array(self._target.labels, np.float64)
        except ValueError:
            return texts
        known = np.isfinite(numbers).all()
        if not known or tuple(map(value_text, numbers.tolist())) != self._target.labels:  # 007
            return texts
        are_whole = (numbers == np.floor(numbers)).all()
        return pd.Index(numbers.astype(np.int64)) if are_whole else pd.Index(numbers)

    def _read(self, frame: "pd.DataFrame") -> FittedTable:
        refuse_other_tables(frame)
        return self._reader.read(frame)

    def _predict(
        self,
        frame: "pd.DataFrame",
        half_widths: NDArray[np.float64] | None = None,
        *,
        warn: bool = True,
    ) -> tuple[Predictions, list[str]]:
        """Return the predictions for the rows of a frame, in their order, and notes on them.

        Called by what the user calls, so that a warning names the user's line.
        """
        fitted = self._model.preprocessing
        if fitted.history is not None:
            table = self._read(frame)
            found, notes = forecast(self._model, table, 0, FRAME_NAME, half_widths)
        else:
            refuse_other_tables(frame)
            columns = self._reader.columns(frame)
            blocks = [*self._model.predict_blocks(columns, len(frame))]
            odd = blocks[0].odd
            for block in blocks[1:]:
                odd.add(block.odd)
            each = [block.values for block in blocks]
            values = each[0] if len(each) == 1 else np.concatenate(each)
            half = None if half_widths is None else np.tile(half_widths, (len(values), 1))
            found, notes = Predictions(values, None, half), odd.notes(fitted)
        for note in notes:
            if warn and note.startswith(UNSEEN):
                warnings.warn(note, DataWarning, stacklevel=3)
        return found, notes


class _Function(nn.Module):
    """The mean of the members' predictions, from inputs (N, F)."""

    scale: Tensor
    mean: Tensor

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        theta = model.theta.cpu().double()
        self.members = nn.ModuleList(to_module(model.network, member) for member in theta)
        target = model.preprocessing.target
        self.is_real = isinstance(target, RealTargets)
        scales: Mapping[str, tuple[float, ...]] = {"scale": (1.0,), "mean": (0.0,)}
        if isinstance(target, RealTargets):
            scales = {"scale": target.scales, "mean": target.means}
        for name, values in scales.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return predictions (N, T), or probabilities (N, C)."""
        outputs = torch.stack([member(inputs) for member in self.members])
        if not self.is_real:
            return outputs.softmax(dim=-1).mean(dim=0)
        return outputs.mean(dim=0) * self.scale + self.mean
