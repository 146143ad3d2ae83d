"""The command `predict`: a trained model applied to new CSVs, a row out for each row in."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.commands.prediction_csv import Predictions, notes_on_texts, prediction_columns, to_csv
from ml2021.console import write_result
from ml2021.data.new_table import read_new_table
from ml2021.data.preprocessing.records import ClassTarget
from ml2021.data.preprocessing.transform import encode_inputs
from ml2021.data.samples import FittedTable
from ml2021.data.series import known_histories
from ml2021.errors import ConfigError, DataError, ResourceError
from ml2021.evaluation import intervals as conformal
from ml2021.files import is_there, replace_file
from ml2021.formatting import echo
from ml2021.runs.directory import RunDirectory, chosen_run, open_run, read_json

if TYPE_CHECKING:
    import pandas as pd

    from ml2021.runs.model import TrainedModel

STDOUT = Path("-")

_SPACED_DATES = 8  # as many of the last dates are looked at to tell how they go on


@dataclass(frozen=True)
class Predicted:
    """Where one file's predictions went, how many, and what was odd."""

    source: Path
    output: Path
    rows: int
    notes: tuple[str, ...]


def predict(
    sources: Sequence[Path],
    run_path: Path | None,
    output: Path | None,
    carried: Sequence[str],
    ahead: int,
    interval: float | None,
) -> tuple[Path, list[Predicted]]:
    """Predict each CSV. Returns the run and what was written; nothing is, when any file is off.

    `interval` is the level of the intervals beside the predictions, None for none.
    """
    if interval is not None and not 0 < interval < 1:
        raise ConfigError(f"--interval {interval:g}: name a share between 0 and 1, such as 0.9")
    run = open_run(run_path)
    places = _output_places(sources, output)
    _refuse_kept(run, places)

    from ml2021.runs.model import load_model

    model = load_model(run.best)
    if ahead and model.preprocessing.history is None:
        raise ConfigError("--ahead: this run has no data.lags, so there is nothing to go on from")
    half_widths = None if interval is None else _half_widths(model, interval)
    done, texts = [], []
    with chosen_run(run, run_path):
        for source, place in zip(sources, places, strict=True):
            text, rows, notes = _predict_file(model, source, tuple(carried), ahead, half_widths)
            texts.append(text)
            done.append(Predicted(source, place, rows, tuple(notes)))
    if output is not None and len(sources) > 1:
        _make_folder(output)
    for item, text in zip(done, texts, strict=True):
        _write(item.output, text)
    return run.path, done


def _refuse_kept(run: RunDirectory, places: Sequence[Path]) -> None:
    """Refuse to write over what a run left, or over the table that this one was trained on."""
    data = read_json(run.environment).get("data") if is_there(run.environment) else None
    for place in places:
        if any(is_there(RunDirectory(parent).best) for parent in place.resolve().parents):
            raise ConfigError(f"--output {place}: is in a run's directory; name a file elsewhere")
        table = Path(data) if isinstance(data, str) else place
        if table != place and table.exists() and place.exists() and table.samefile(place):
            raise ConfigError(
                f"--output {place}: is the table that the run was trained on; name another file"
            )


def _half_widths(model: "TrainedModel", level: float) -> NDArray[np.float64]:
    """Return half the width (T,) of each target's interval; ConfigError where there is none."""
    if isinstance(model.preprocessing.target, ClassTarget):
        raise ConfigError(
            "--interval: is for numbers, and this run predicts classes, which have probabilities; "
            "leave it out"
        )
    if model.residuals is None:
        raise ConfigError(
            "--interval: this run had no validation rows to learn the width from; "
            "train with data.split.validation above 0"
        )
    half_widths = conformal.half_widths(model.residuals, level)
    if half_widths is None:
        rows = len(model.residuals)
        raise ConfigError(
            f"--interval {level:g}: needs {conformal.fewest_rows(level):,} validation rows, and "
            f"this run keeps {rows:,}, enough for {math.floor(1000 * rows / (rows + 1)) / 1000:g}; "
            "ask for less, or train with more"
        )
    return half_widths


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"{path}: cannot be made ({error.strerror})") from None


def _write(place: Path, text: str) -> None:
    """Put the predictions at their place; what is no file, such as /dev/null, is written into."""
    if place == STDOUT:
        write_result(text)
        return
    if place.is_file() or not place.exists():
        replace_file(place.resolve(), text.encode())  # a link stays one
        return
    try:
        place.write_text(text)
    except OSError as error:
        raise ResourceError(f"{place}: cannot be written ({error.strerror})") from None


def _output_places(sources: Sequence[Path], output: Path | None) -> list[Path]:
    """Return where each file's predictions go; refuse to overwrite what was not asked for."""
    names = [
        re.sub(r"\.(csv|gz|parquet|tsv|txt)$", "", re.sub(r"\.gz$", "", s.name)) for s in sources
    ]
    if output is None:
        places = [Path(f"{name}.predictions.csv") for name in names]
        if taken := [place for place in places if place.exists()]:
            raise ConfigError(
                f"{taken[0].absolute()}: is there already; move it, or name it with --output"
            )
    elif len(sources) == 1 and not output.is_dir():
        places = [output]
    elif output == STDOUT:
        raise ConfigError("--output -: takes one CSV; name a folder for several")
    else:
        if output.exists() and not output.is_dir():
            raise ConfigError(f"--output {output}: is a file; name a folder for several CSVs")
        places = [output / f"{name}.predictions.csv" for name in names]
    if len(set(places)) < len(places):
        raise ConfigError("two of the CSVs have one name; predict them one after the other")
    for place in places:
        if any(place.exists() and place.samefile(source) for source in sources if source.exists()):
            raise ConfigError(f"--output {place}: is an input; name another file")
    return places


def _predict_file(
    model: "TrainedModel",
    source: Path,
    carried: tuple[str, ...],
    ahead: int,
    half_widths: NDArray[np.float64] | None,
) -> tuple[str, int, list[str]]:
    """Return the predictions as CSV text, the number of rows, and notes."""
    matched = read_new_table(model.preprocessing, source, model.table_format, "predicted", carried)
    table = matched.table
    if model.preprocessing.history is None:
        rows = np.arange(len(table.frame))
        encoded = encode_inputs(model.preprocessing, table.frame, rows)
        values, spread = model.predict_with_spread(encoded.inputs)
        half = None if half_widths is None else np.tile(half_widths, (len(rows), 1))
        predictions, notes = Predictions(values, spread, half), encoded.notes()
    else:
        predictions, notes = _forecast(model, table, ahead, source, half_widths)
        added = np.arange(len(table.frame), len(predictions.values))
        predictions = predictions.take(np.concatenate([table.file_order, added]))
    latest = np.argsort(table.file_order)  # the rows of the file, in the order of the series
    columns = {name: _carried_column(matched.carried[name], latest, ahead) for name in carried}
    columns |= prediction_columns(model.preprocessing.target, predictions, columns)
    notes += notes_on_texts(model.preprocessing.target)
    return to_csv(columns), len(predictions.values), [*matched.notes(), *notes]


def _forecast(
    model: "TrainedModel",
    table: FittedTable,
    ahead: int,
    source: Path,
    half_widths: NDArray[np.float64] | None,
) -> tuple[Predictions, list[str]]:
    """Return predictions for every row of a series, NaN where the history has a gap, and notes.

    Rows after the last known value, and `ahead` rows more, are predicted one after the other, each
    from the predictions before it.
    """
    preprocessing = model.preprocessing
    history = preprocessing.history
    assert history is not None
    assert table.series is not None
    if ahead and preprocessing.features:
        raise DataError(
            f"{source}: --ahead needs the values of {echo(preprocessing.features[0].name)} in rows "
            "that are not there; add the rows, with an empty target, instead"
        )
    series = np.append(table.series, np.full(ahead, np.nan))
    known = np.flatnonzero(~np.isnan(series))
    end = int(known[-1]) + 1 if known.size else 0
    predictions = np.full((len(series), preprocessing.target.width), np.nan)
    spread = None if len(model.theta) == 1 else np.full_like(predictions, np.nan)
    rows = known_histories(series[:end], history.lags)
    encoded = encode_inputs(preprocessing, table.frame, rows, series)

    def predict_rows(rows: NDArray[np.int64], inputs: NDArray[np.float32]) -> None:
        predictions[rows], apart = model.predict_with_spread(inputs)
        if spread is not None:
            spread[rows] = apart

    if len(rows):
        predict_rows(rows, encoded.inputs)
    notes = encoded.notes()
    for row in range(end, len(series)):
        if row < history.lags or np.isnan(series[row - history.lags : row]).any():
            continue
        one = np.array([row])
        predict_rows(one, encode_inputs(preprocessing, table.frame, one, series).inputs)
        series[row] = predictions[row, 0]
    if without := int(np.isnan(predictions[:, 0]).sum()):
        notes.append(f"rows without a complete history of {history.lags}, left empty: {without}")
    if forecast := int((~np.isnan(predictions[end:, 0])).sum()):
        notes.append(f"rows forecast, each from the ones before it: {forecast}")
    half = None
    if half_widths is not None:
        # What was calibrated is one step from known values, and not a forecast from forecasts.
        half = np.tile(half_widths, (len(predictions), 1))
        half[end + 1 :] = np.nan
        if end + 1 < len(half):
            without = len(half) - end - 1
            notes.append(f"rows forecast from forecasts, without an interval: {without}")
    return Predictions(predictions, spread, half), notes


def _carried_column(column: "pd.Series", order: NDArray[np.int64], ahead: int) -> list[str]:
    """Return a carried-over column as text; evenly spaced dates go on for rows that are added."""
    texts = ["" if value is None or value != value else str(value) for value in column]
    return texts + _next_dates([texts[row] for row in order[-_SPACED_DATES:]], ahead)


def _next_dates(last: list[str], ahead: int) -> list[str]:
    """Return the dates after the last ones, empty where those are no dates or unevenly spaced."""
    try:
        days = [date.fromisoformat(text) for text in last]
    except ValueError:
        return [""] * ahead
    steps = {later - earlier for earlier, later in pairwise(days)}
    if len(steps) != 1:
        return [""] * ahead
    (step,) = steps
    return [(days[-1] + step * (i + 1)).isoformat() for i in range(ahead)]
