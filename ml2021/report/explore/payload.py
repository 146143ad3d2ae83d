"""The payload of explore.html: everything that the page knows of a run, as one JSON object.

The same run gives the same payload: it has no clock, no path and no name of a machine. Its keys, in
this order, with every list of numbers as JSON and parameters as base64 of little-endian floats:

    format, version, run, task, data_sha256    version: of ml2021
    absent      why there are no rows, in words; null where there are
    table       how the CSV is written: separator, decimal, thousands, encoding, header, missing,
                skip_rows; width: its columns; numbered: without names; sources: of all its columns
                that are known by name, {raw, occurrence, position}; left_out: those without input
    network     sizes, activation, members, type; spread: whether `predict` writes the members'
    theta       float32 (K, P): for each layer the rows of (weights..., bias), as `engine.networks`
    columns     what is moved on the page, see `ml2021.report.explore.columns`
    target      {kind: real, name, labels, means, scales, shape, low, high,
                histograms}, the last three by output; or {kind: classes,
                label, storage, classes, labels, histogram}; sources: names of the target's columns
    series      null, or lags, used, horizon, order_by, group_by, gap_limit, name of the series
    dates       [{name, form, parts, origin}], whose parts are columns
    image       [height, width] where the columns are pixels, else null; blank: the pixels without
                an input, [[place among all pixels, value]]; halves: where they stand in one image
                with the targets, "above" or "below", else null
    widths      [[level, half the width of the interval of each output]], none without intervals
    threshold   of two classes: {positive, threshold}, else null
    weight      the column of weights, else null
    piecewise   whether the network was built, not trained
    rows        {part, seen, total, places, values, truth, weights, order, group, held_out}: the
                rows to begin with. seen: whether θ was trained on them. values: for each column a
                number, null if missing, or the place of a category, −1 for none
    background  the same of training rows: neighbours, Shapley values, lessons
    scores      by split
    training    best_epochs, final_epochs, batch_size
    path        {updates, theta: float16 (n, P)}: θ of a single network in training, or null
    history     {epoch, train, validation}: its losses at some of the epochs; null without a path
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml2021 import __version__
from ml2021.data.load import TrainingData
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing
from ml2021.engine.trajectory import TrajectoryRecorder
from ml2021.errors import CheckpointError, ConfigError, DataError
from ml2021.evaluation.intervals import LEVELS, half_widths
from ml2021.files import is_there
from ml2021.inspection.features import halves, image_shape
from ml2021.inspection.rows import InspectedRows, held_out_rows
from ml2021.report.explore.columns import describe_columns, histogram
from ml2021.report.explore.rows import Values, block, plain, read_source
from ml2021.runs.checkpoints import load_checkpoint, saved_trajectory
from ml2021.runs.directory import RunDirectory
from ml2021.runs.metrics_csv import read_metrics
from ml2021.runs.model import TrainedModel, load_model, reload_training_data
from ml2021.runs.summary import RunSummary, read_summary_if_ended

FORMAT = 1
MOST_PARAMETERS = 2_000_000
"""Of all members: 11 MB of the page."""
MOST_ROWS = 500
_FEWEST_ROWS = 50
_MOST_CELLS = 40_000
"""Values of the rows of one split."""
_PATH_BYTES = 400_000
_FEWEST_POINTS = 8
_MOST_EPOCHS = 400
_LOSS_DIGITS = 6
_TARGET_BINS = 40
_UNKNOWN_RANGE = 3.0  # deviations to each side, of targets whose values are not at hand


@dataclass(frozen=True)
class Payload:
    """What the page holds. absent: why it has no rows, which may name a path; "" if it may."""

    data: Mapping[str, Any]
    absent: str

    @property
    def parts(self) -> list[tuple[str, int, int]]:
        """Of each split with rows: its name, how many rows are here, and how many it has."""
        blocks = (self.data["rows"], self.data["background"])
        known = [each for each in blocks if each is not None]
        found = {each["part"]: (len(each["places"]), each["total"]) for each in known}
        return [(part, *counts) for part, counts in found.items()]


@dataclass(frozen=True)
class _Table:
    """The rows of a run. values: of each column of the page, in all training rows."""

    data: TrainingData
    values: Values
    rows: Mapping[str, Any]
    background: Mapping[str, Any]


def collect(run: RunDirectory, most: int | None = None) -> Payload:
    """Collect the payload of a run, with at most `most` rows of a split, as many as fit by default.

    Raises ConfigError for a network that is too large for a page; CheckpointError, ResourceError.
    """
    model, summary = load_model(run.best), read_summary_if_ended(run)
    if (count := model.theta.numel()) > MOST_PARAMETERS:
        raise ConfigError(
            f"{run.path}: {count:,} parameters are more than the {MOST_PARAMETERS:,} that a page "
            "can hold; choose a run of a smaller network"
        )
    table, absent = None, ""
    try:
        table = _read_table(run, model, summary, most)
    except (ConfigError, DataError, CheckpointError) as error:
        absent = error.lines[0]
    config, preprocessing = model.config, model.preprocessing
    path = _path(run, model)
    data = {
        "format": FORMAT,
        "version": __version__,
        "run": run.path.absolute().name,
        "task": preprocessing.task,
        "data_sha256": model.data_sha256,
        "absent": "its table is gone or has changed since" if absent else None,
        "table": _table_format(model),
        "network": {
            "sizes": list(model.network.layout.sizes),
            "activation": model.network.activation,
            "members": len(model.theta),
            "type": config.model.type,
            "spread": bool(config.train.spread),
        },
        "theta": _base64(model.theta.cpu().numpy(), "<f4"),
        "columns": describe_columns(preprocessing, None if table is None else table.values),
        "target": _target(preprocessing, None if table is None else table.data),
        "series": _series(preprocessing),
        "dates": [date.model_dump() for date in preprocessing.dates],
        **_image(preprocessing),
        "widths": _widths(model),
        "threshold": _threshold(summary),
        "weight": preprocessing.weight,
        "piecewise": summary is not None and summary.piecewise is not None,
        "rows": None if table is None else table.rows,
        "background": None if table is None else table.background,
        "scores": _scores(summary),
        "training": {
            "best_epochs": [] if summary is None else _best_epochs(summary),
            "final_epochs": None if summary is None else summary.final_epochs,
            "batch_size": config.train.batch_size,
        },
        "path": path,
        "history": None if path is None else _history(run),
    }
    return Payload(data, absent)


def _read_table(
    run: RunDirectory, model: TrainedModel, summary: RunSummary | None, most: int | None
) -> _Table:
    """Read the rows of a run again. Raises as `reload_training_data` does."""
    data = reload_training_data(run, model)
    train = read_source(data, data.config.data.path, data.data_sha256)
    part, samples = data.scored_split
    source, test_path = train, data.config.data.test_path
    if part == "test" and test_path is not None:
        source = read_source(data, test_path, data.test_sha256)
    if most is None:
        width = len(train.values) + model.preprocessing.target.width
        most = min(MOST_ROWS, max(_FEWEST_ROWS, _MOST_CELLS // width))
    is_series = model.preprocessing.history is not None
    is_refitted = summary is not None and summary.final_epochs is not None
    seen = part == "train" or (part == "validation" and is_refitted)
    rows = block(part, samples, source, most, seen=seen, is_series=is_series)
    rows["held_out"] = _held_out(run, model, data, rows) if part == "train" else None
    background = block("train", data.train, train, most, seen=True, is_series=is_series)
    return _Table(data, train.of_rows(data.train.places), rows, background)


def _held_out(
    run: RunDirectory, model: TrainedModel, data: TrainingData, rows: Mapping[str, Any]
) -> list[list[float]] | None:
    """Return what the folds predict for the rows that they held out; None without folds."""
    places = np.array(rows["places"], np.int64)
    if not len(places):
        return None
    empty = np.empty((len(places), model.preprocessing.target.width))
    asked = InspectedRows(
        split="train",
        total=len(data.train),
        inputs=data.train.inputs[:0],
        truth=empty,
        predictions=empty,
        places=places,
        when=None,
        when_name=None,
        is_series=False,
    )
    found = held_out_rows(run, model, data, asked)
    return None if found is None else found.predictions.tolist()


def _base64(values: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values.astype(dtype)).tobytes()).decode()


def _table_format(model: TrainedModel) -> dict[str, Any]:
    """Return how a new CSV is read, and the columns of the file that the model knows."""
    found, preprocessing = model.table_format([]), model.preprocessing
    skip_rows = found.skip_rows
    return {
        "separator": found.separator,
        "decimal": found.decimal,
        "thousands": found.thousands,
        "encoding": found.encoding,
        "header": found.header,
        "missing": list(found.missing),
        "skip_rows": skip_rows if isinstance(skip_rows, int) else list(skip_rows),
        "width": preprocessing.width,
        "numbered": preprocessing.numbered,
        "sources": {name: source.model_dump() for name, source in preprocessing.sources.items()},
        "left_out": [each.name for each in preprocessing.left_out],
    }


def _target(preprocessing: Preprocessing, data: TrainingData | None) -> dict[str, Any]:
    target = preprocessing.target
    sources = list(preprocessing.target_columns)
    if isinstance(target, ClassTarget):
        counts = None
        if data is not None:
            counts = np.bincount(data.train.classes, minlength=target.width).tolist()
        fields = target.model_dump(include={"kind", "label", "storage", "classes"})
        return {**fields, "labels": list(target.labels), "sources": sources, "histogram": counts}
    means, scales = np.array(target.means), np.array(target.scales)
    low, high = means - _UNKNOWN_RANGE * scales, means + _UNKNOWN_RANGE * scales
    bars = None
    if data is not None:
        values = data.train.values
        low, high = values.min(axis=0), values.max(axis=0)
        each = zip(values.T, low.tolist(), high.tolist(), strict=True)
        bars = [histogram(column, start, end, _TARGET_BINS) for column, start, end in each]
    return {
        **target.model_dump(include={"kind", "labels", "means", "scales", "shape"}),
        "name": preprocessing.target_column,
        "sources": sources,
        "low": [*map(plain, low.tolist())],
        "high": [*map(plain, high.tolist())],
        "histograms": bars,
    }


def _series(preprocessing: Preprocessing) -> dict[str, Any] | None:
    history = preprocessing.history
    if history is None:
        return None
    return {"name": preprocessing.target_columns[0], **history.model_dump()}


def _image(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the shape of the image whose pixels are the columns, and its constant pixels."""
    shape = image_shape(preprocessing)
    if shape is None:
        return {"image": None, "blank": [], "halves": None}
    left_out = [each for each in preprocessing.left_out if each.pixel]
    values = [each.value if isinstance(each.value, float) else 0.0 for each in left_out]
    # `before` counts the features before a pixel, and the blank ones before it come on top
    places = [each.before + index for index, each in enumerate(left_out)]
    return {
        "image": list(shape),
        "blank": [list(p) for p in zip(places, values, strict=True)],
        "halves": halves(preprocessing),
    }


def _widths(model: TrainedModel) -> list[tuple[float, list[float]]]:
    if model.residuals is None:
        return []
    found = ((level, half_widths(model.residuals, level)) for level in LEVELS)
    return [(level, widths.tolist()) for level, widths in found if widths is not None]


def _threshold(summary: RunSummary | None) -> dict[str, Any] | None:
    if summary is None or summary.threshold is None:
        return None
    return summary.threshold.model_dump(include={"positive", "threshold"})


def _scores(summary: RunSummary | None) -> dict[str, Any]:
    if summary is None:
        return {}
    return {split: dict(each.scores) for split, each in summary.evaluations.items()}


def _best_epochs(summary: RunSummary) -> list[int]:
    return list(summary.best_epochs) or [summary.best_epoch]


def _history(run: RunDirectory) -> dict[str, Any] | None:
    """Return the losses by epoch, of many epochs some; None for a network that was not trained."""
    if not is_there(run.metrics) or not len((found := read_metrics(run)).epochs):
        return None
    kept = _denser_first(len(found.epochs), _MOST_EPOCHS)

    def losses(of: NDArray[np.float64]) -> list[float | None]:
        return [plain(float(f"{loss:.{_LOSS_DIGITS}g}")) for loss in of[kept]]

    validation = found.validation
    return {
        "epoch": found.epochs[kept].tolist(),
        "train": losses(found.training),
        "validation": None if validation is None else losses(validation),
    }


def _denser_first(count: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` places of 0 ... count − 1: all, or denser at first, with both ends."""
    if count <= most:
        return np.arange(count)
    share = np.linspace(0, 1, most)
    return np.unique(((count - 1) * share**2).round().astype(np.int64))


def _path(run: RunDirectory, model: TrainedModel) -> dict[str, Any] | None:
    """Return θ of a single network while it was trained: denser at first, where most happens."""
    if len(model.theta) > 1 or not is_there(run.last):
        return None
    recorder = TrajectoryRecorder.begin(model.network.layout, torch.empty(0))
    kept = saved_trajectory(load_checkpoint(run.last), recorder)
    if kept is None:
        return None
    updates, points, _ = kept
    count = min(len(points), _PATH_BYTES // (2 * model.network.layout.parameters))
    if count < _FEWEST_POINTS:
        return None
    chosen = _denser_first(len(points), count)
    theta = points.numpy()[chosen]
    if not np.isfinite(theta.astype("<f2")).all():
        return None
    return {"updates": updates.numpy()[chosen].tolist(), "theta": _base64(theta, "<f2")}
