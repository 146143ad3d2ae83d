"""The rows that a report inspects, with what the network predicts for them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import RealTargets, value_text
from ml2021.data.samples import Samples, evenly_spaced
from ml2021.data.series import sort_keys
from ml2021.engine.build import build_hyperparameters
from ml2021.errors import CheckpointError
from ml2021.evaluation.ensembles import combine, trained_predictions
from ml2021.files import is_there
from ml2021.runs.checkpoints import load_checkpoint
from ml2021.runs.directory import RunDirectory
from ml2021.runs.model import TrainedModel
from ml2021.training.cross_validation import pack_folds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class InspectedRows:
    """Rows of one split and their predictions.

    split: test, validation, train or held-out. total: how many rows the split has; N of them are
    here. inputs: (N, F + 1) float32. truth: (N, T) float64, or (N,) int64 for classes, −1 for a
    class that training never saw. predictions: (N, T) in the units of the data, or probabilities
    (N, C). places: (N,) each row's position in its file, from 0. when: (N,) float64 or
    datetime64[s], the values of the column `when_name` that orders the rows. is_series: whether
    the rows are consecutive. groups: (N,) the series of each row as text, None if all are one.
    weights: (N,), None if all rows weigh the same.
    """

    split: str
    total: int
    inputs: NDArray[np.float32]
    truth: NDArray[np.float64] | NDArray[np.int64]
    predictions: NDArray[np.float64]
    places: NDArray[np.int64]
    when: NDArray[Any] | None
    when_name: str | None
    is_series: bool
    groups: NDArray[np.object_] | None = None
    weights: NDArray[np.float64] | None = None

    @property
    def values(self) -> NDArray[np.float64]:
        """The truth (N, T) of a regression."""
        assert self.truth.ndim == 2
        return np.asarray(self.truth, np.float64)

    @property
    def classes(self) -> NDArray[np.int64]:
        """The truth (N,) of a classification."""
        assert self.truth.ndim == 1
        return np.asarray(self.truth, np.int64)

    def errors(self, target: RealTargets) -> NDArray[np.float64]:
        """Return each row's RMSE (N,), in standard deviations of the targets."""
        errors = (self.values - self.predictions) / np.array(target.scales)
        return np.asarray(np.sqrt(np.square(errors).mean(axis=1)), np.float64)

    def time_text(self, index: int) -> str:
        """Return a row's value in the column that orders the rows; empty without one."""
        if self.when is None:
            return ""
        if self.when.dtype.kind == "f":
            return f"{self.when[index]:.12g}"
        return str(np.datetime_as_string(self.when[index], unit=self._unit)).replace("T", " ")

    @cached_property
    def _unit(self) -> Literal["D", "m", "s"]:
        """The coarsest unit that no moment in `when` has a fraction of."""
        assert self.when is not None
        units: tuple[Literal["D", "m"], ...] = ("D", "m")
        for unit in units:
            if (self.when.astype(f"datetime64[{unit}]") == self.when).all():
                return unit
        return "s"

    def series(self) -> dict[str, "InspectedRows"]:
        """Return the rows of each series by its name, in order."""
        assert self.groups is not None
        names = list(dict.fromkeys(self.groups.tolist()))
        return {name: self._take(np.flatnonzero(self.groups == name)) for name in names}

    def _take(self, rows: NDArray[np.int64]) -> "InspectedRows":
        return replace(
            self,
            inputs=self.inputs[rows],
            truth=self.truth[rows],
            predictions=self.predictions[rows],
            places=self.places[rows],
            when=None if self.when is None else self.when[rows],
            groups=None if self.groups is None else self.groups[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    @property
    def description(self) -> str:
        """How many rows of which split these are."""
        if len(self) == self.total:
            return f"{self.total:,} {self.split} rows"
        which = "the last " if self.is_series else ""
        return f"{which}{len(self):,} of {self.total:,} {self.split} rows"

    def __len__(self) -> int:
        return len(self.inputs)


MOST_ROWS = 20_000
_MOST_CELLS = 4_000_000
"""Inputs and targets of all inspected rows."""
_MOST_PRODUCTS = 4_000_000_000
"""Multiplications of a forward pass over all inspected rows: some tenths of a second."""


def select_rows(model: TrainedModel, data: TrainingData) -> InspectedRows:
    """Return the test rows, or the validation rows if there are none, or the training rows."""
    split, samples = data.scored_split
    order, groups, section = samples.order, samples.groups, data.config.data
    is_series = bool(section.lags) or order is not None or section.split.method == "sequential"
    kept = _select(model, samples, is_series)
    inputs = samples.inputs[kept]
    return InspectedRows(
        split=split,
        total=len(samples),
        inputs=inputs,
        truth=samples.targets[kept],
        predictions=model.of_split(split).predict(inputs),
        places=samples.places[kept],
        when=None if order is None else _times(order.iloc[kept]),
        when_name=None if order is None else str(order.name),
        is_series=is_series,
        groups=None if groups is None else np.array([*map(value_text, groups.iloc[kept])], object),
        weights=None if samples.weights is None else samples.weights[kept],
    )


def most_rows(model: TrainedModel) -> int:
    """Return how many rows a report inspects at most."""
    inputs, outputs = model.preprocessing.sizes
    return min(
        MOST_ROWS,
        max(500, _MOST_CELLS // (inputs + 1 + outputs)),
        max(500, _MOST_PRODUCTS // model.network.layout.parameters),
    )


def _select(model: TrainedModel, samples: Samples, is_series: bool) -> NDArray[np.int64]:
    """Return the indices of the rows to inspect: all, evenly spaced, or the last of a series."""
    most = most_rows(model)
    if is_series:
        return np.arange(max(0, len(samples) - most), len(samples))
    return evenly_spaced(len(samples), most)


def _times(order: "pd.Series") -> NDArray[Any] | None:
    """Return the values (N,) that order the rows, numbers or dates; None if one is missing."""
    keys = sort_keys(order, "data.order_by")
    if np.isnan(keys).any():
        return None
    return keys.astype("datetime64[s]") if keys.dtype.kind == "M" else keys.astype(np.float64)


_MOST_HELD_OUT_CELLS = 20_000_000
"""Inputs of all folds' training rows, whose statistics are computed again: a second."""


def held_out_rows(
    run: RunDirectory, model: TrainedModel, data: TrainingData, rows: InspectedRows
) -> InspectedRows | None:
    """Return training rows `rows` with the predictions of the folds that held them out.

    None without folds, or if their parameters are gone, or if it would take long. Raises
    CheckpointError for damaged ones.
    """
    folds = data.folds
    if folds is None or len(folds) * data.train.inputs.size > _MOST_HELD_OUT_CELLS:
        return None
    hparams = build_hyperparameters(data.config)
    members = len(hparams.seeds)
    predictions = np.full((len(data.train), model.preprocessing.target.width), np.nan)
    order = np.argsort(data.train.places)
    for number, indices in enumerate(pack_folds(model.network, hparams, folds), 1):
        path = run.fold_pack(number)
        if not is_there(path):
            return None
        theta = load_checkpoint(path).tensors.get("best")
        expected = (members * len(indices), model.network.layout.parameters)
        fits = theta is not None and theta.shape == expected and theta.dtype == torch.float32
        if theta is None or not fits or not bool(theta.isfinite().all()):
            raise CheckpointError(f"{path}: its parameters do not match its folds")
        for place, index in enumerate(indices):
            own: Tensor = theta[place * members : (place + 1) * members]
            preprocessing, held_out = folds.held_out(index)
            mean, _ = combine(
                trained_predictions(model.network, own, preprocessing, held_out.inputs)
            )
            where = np.searchsorted(data.train.places, held_out.places, sorter=order)
            predictions[order[where]] = mean
    assert not np.isnan(predictions).any()
    kept = order[np.searchsorted(data.train.places, rows.places, sorter=order)]
    return replace(rows, split="held-out", predictions=predictions[kept])
