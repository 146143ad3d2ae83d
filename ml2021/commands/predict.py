"""The command `predict`: apply a trained model to new CSVs, one row out for each row in."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from ml2021.commands.forecast import carried_column, forecast
from ml2021.commands.prediction_csv import Predictions, notes_on_escapes, prediction_columns, to_csv
from ml2021.console import write_data
from ml2021.data.new_table import NewTable, read_new_table
from ml2021.data.preprocessing.records import ClassTarget
from ml2021.data.preprocessing.transform import encode_inputs
from ml2021.errors import ConfigError, ResourceError
from ml2021.evaluation import intervals as conformal
from ml2021.evaluation.thresholds import POSITIVE
from ml2021.files import replace_file
from ml2021.formatting import echo, listed
from ml2021.runs.directory import chosen_run, open_run, refuse_run
from ml2021.runs.outputs import check_output, check_output_folder, tables_of

if TYPE_CHECKING:
    from ml2021.runs.model import TrainedModel

STDOUT = Path("-")


@dataclass(frozen=True)
class Predicted:
    """Where the predictions of one file were written, how many rows, and notes on its values."""

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
    overrides: Sequence[str],
    threshold: float | None = None,
) -> tuple[Path, list[Predicted]]:
    """Predict each CSV, and return the run's path and what was written. Any error writes nothing.

    carried: the columns to copy to the output, names or globs. ahead: the rows to forecast after
    the last one. interval: the level of the prediction intervals, None for none. overrides: how the
    CSVs are written, where not as the training file. threshold: of two classes, from which
    probability on the second of them is the label.
    """
    if interval is not None and not 0 < interval < 1:
        raise ConfigError(f"--interval {interval:g}: must be between 0 and 1, such as 0.9")
    if threshold is not None and not 0 < threshold < 1:
        raise ConfigError(f"--threshold {threshold:g}: must be between 0 and 1, such as 0.3")
    for source in sources:
        refuse_run(source)
    run = open_run(run_path)
    outputs = _output_paths(sources, output)
    kept = [*sources, *tables_of(run)]
    for path in outputs:
        if path != STDOUT:
            check_output("" if output is None else "--output", path, kept)

    from ml2021.runs.model import load_model

    carried = tuple(dict.fromkeys(normalize("NFC", name) for name in carried))
    model = load_model(run.best)
    if ahead and model.preprocessing.history is None:
        raise ConfigError("--ahead: needs a run that was trained on a time series, with data.lags")
    half_widths = None if interval is None else _half_widths(model, interval)
    if threshold is not None:
        _refuse_threshold(model)
    table_format = model.table_format(overrides)
    predicted, texts = [], []
    with chosen_run(run, run_path):
        for source, path in zip(sources, outputs, strict=True):
            matched = read_new_table(
                model.preprocessing, source, table_format, "predicted", carried
            )
            text, rows, notes = _predict_table(
                model, matched, source, ahead, half_widths, threshold, carried
            )
            if matched.sha256 == model.data_sha256:
                notes.append("this is the training file, whose rows are predicted too well")
            texts.append(text)
            predicted.append(Predicted(source, path, rows, tuple(notes)))
    if output is not None and len(sources) > 1:
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{output}: cannot be made ({error.strerror})") from None
    for file, text in zip(predicted, texts, strict=True):
        _write(file.output, text)
    return run.path, predicted


def _refuse_threshold(model: "TrainedModel") -> None:
    """Raise ConfigError unless the model has two classes."""
    target = model.preprocessing.target
    if isinstance(target, ClassTarget) and target.width == 2:
        return
    found = f"{target.width} classes" if isinstance(target, ClassTarget) else "numbers"
    raise ConfigError(f"--threshold: only for two classes, but this run predicts {found}; omit it")


def _half_widths(model: "TrainedModel", level: float) -> NDArray[np.float64]:
    """Return half the width (T,) of each target's interval. Raises ConfigError if there is none."""
    if isinstance(model.preprocessing.target, ClassTarget):
        raise ConfigError(
            "--interval: only for regression; class probabilities are written already"
        )
    if model.residuals is None:
        raise ConfigError(
            "--interval: needs a run with validation rows, which determine the width; "
            "train with data.split.validation above 0"
        )
    half_widths = conformal.half_widths(model.residuals, level)
    if half_widths is None:
        rows = len(model.residuals)
        raise ConfigError(
            f"--interval {level:g}: needs {conformal.fewest_rows(level):,} validation rows; the "
            f"{rows:,} of this run allow {math.floor(1000 * rows / (rows + 1)) / 1000:g} at most; "
            "choose a lower level, or hold out more validation rows"
        )
    return half_widths


def _write(path: Path, text: str) -> None:
    """Replace a file with the predictions; write into anything else, such as /dev/null."""
    if path == STDOUT:
        write_data(text)
    elif path.is_file() or not path.exists():
        replace_file(path.resolve(), text.encode())  # a link stays a link
    else:
        try:
            path.write_text(text)
        except OSError as error:
            raise ResourceError(f"{path}: cannot be written ({error.strerror})") from None


def _output_paths(sources: Sequence[Path], output: Path | None) -> list[Path]:
    """Return the path of each file's predictions. Raises ConfigError where that is no answer."""
    names = [
        re.sub(r"\.(csv|gz|parquet|tsv|txt)$", "", re.sub(r"\.gz$", "", s.name)) for s in sources
    ]
    if output is None:
        paths = [Path(f"{name}.predictions.csv") for name in names]
        if existing := [path for path in paths if os.path.lexists(path)]:
            raise ConfigError(
                f"{existing[0].absolute()}: already exists; move it, or overwrite it with --output"
            )
    elif len(sources) == 1 and not output.is_dir():
        paths = [output]
    elif output == STDOUT:
        raise ConfigError("--output -: takes only one CSV; name a folder for several")
    else:
        check_output_folder("--output", output)
        paths = [output / f"{name}.predictions.csv" for name in names]
    if len(set(paths)) < len(paths):
        raise ConfigError("two inputs have the same file name; predict them separately")
    return paths


def _predict_table(
    model: "TrainedModel",
    matched: NewTable,
    source: Path,
    ahead: int,
    half_widths: NDArray[np.float64] | None,
    threshold: float | None,
    carried: Sequence[str],
) -> tuple[str, int, list[str]]:
    """Return the predictions as CSV text, the number of rows, and notes."""
    table = matched.table
    if model.preprocessing.history is None:
        rows = np.arange(len(table.frame))
        encoded = encode_inputs(model.preprocessing, table.frame, rows)
        values, spread = model.predict_with_spread(encoded.inputs)
        half = None if half_widths is None else np.tile(half_widths, (len(rows), 1))
        predictions, notes = Predictions(values, spread, half, threshold), encoded.notes()
        if threshold is not None:
            label = echo(model.preprocessing.target.labels[POSITIVE])
            notes.append(f"{label} is predicted where its probability is at least {threshold:g}")
    else:
        predictions, notes = forecast(model, table, ahead, source, half_widths)
    columns = {
        str(name): carried_column(column, table, ahead, is_group=name == matched.group)
        for name, column in matched.carried.items()
    }
    if not model.config.train.spread:
        predictions = replace(predictions, spread=None)
    named = {name: columns[name] for name in carried if name in columns}
    predicted = prediction_columns(model.preprocessing.target, predictions, named)
    if given := [name for name in columns if name in predicted]:  # by a glob
        notes.append(f"not copied, as predictions have these names: {listed(given)}")
    columns = {name: cells for name, cells in columns.items() if name not in given} | predicted
    notes += notes_on_escapes(model.preprocessing.target)
    return to_csv(columns), len(predictions.values), [*matched.notes(), *notes]
