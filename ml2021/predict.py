"""The command `predict`: a trained model applied to new CSVs, a row out for each row in."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021 import conformal
from ml2021.console import write_result
from ml2021.data.encoding import encode_inputs
from ml2021.data.preprocessing import ClassTarget, RealTargets
from ml2021.data.samples import FittedTable, read_matching
from ml2021.data.windows import known_histories
from ml2021.errors import ConfigError, DataError, ResourceError, echo
from ml2021.runs.directory import chosen_run, open_run
from ml2021.runs.files import replace_file

if TYPE_CHECKING:
    import pandas as pd

    from ml2021.model import Model

Floats = NDArray[np.float64]
STDOUT = Path("-")
_FLOAT32_DIGITS = 9
_NUMBERS_AT_ONCE = 1000
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
    if inside := [p for p in places if p.resolve().is_relative_to(run.path.resolve())]:
        raise ConfigError(f"--output {inside[0]}: is in the run's directory; name a file elsewhere")

    from ml2021.model import load_model

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


def _half_widths(model: "Model", level: float) -> Floats:
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
    model: "Model",
    source: Path,
    carried: tuple[str, ...],
    ahead: int,
    half_widths: Floats | None,
) -> tuple[str, int, list[str]]:
    """Return the predictions as CSV text, the number of rows, and notes."""
    matched = read_matching(model.preprocessing, source, model.table_format, "predicted", carried)
    table = matched.table
    if model.preprocessing.history is None:
        rows = np.arange(len(table.frame))
        encoded = encode_inputs(model.preprocessing, table.frame, rows)
        predictions, notes = model.predict(encoded.inputs), encoded.notes()
        half = None if half_widths is None else np.tile(half_widths, (len(rows), 1))
    else:
        predictions, end, notes = _forecast(model, table, ahead, source)
        half = None
        if half_widths is not None:
            # What was calibrated is one step from known values, and not a forecast from forecasts.
            half = np.tile(half_widths, (len(predictions), 1))
            half[end + 1 :] = np.nan
            if end + 1 < len(half):
                notes.append(
                    f"rows forecast from forecasts, without an interval: {len(half) - end - 1}"
                )
        added = np.arange(len(table.frame), len(predictions))
        order = np.concatenate([table.file_order, added])
        predictions, half = predictions[order], None if half is None else half[order]
    latest = np.argsort(table.file_order)  # the rows of the file, in the order of the series
    columns = {name: _carried_column(matched.carried[name], latest, ahead) for name in carried}
    columns |= _prediction_columns(model, predictions, half, columns)
    if shielded := [text for text in _texts(model.preprocessing.target) if _shield(text) != text]:
        named = ", ".join(map(echo, shielded))
        notes.append(f"texts that a spreadsheet would run, written with ' before them: {named}")
    return _to_csv(columns), len(predictions), [*matched.notes(), *notes]


def _forecast(
    model: "Model", table: FittedTable, ahead: int, source: Path
) -> tuple[Floats, int, list[str]]:
    """Return predictions for every row of a series, NaN where the history has a gap.

    The second is the first row after the last known value. From there on, and for `ahead` rows
    more, rows are predicted one after the other, each from the predictions before it.
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
    rows = known_histories(series[:end], history.lags)
    encoded = encode_inputs(preprocessing, table.frame, rows, series)
    if len(rows):
        predictions[rows] = model.predict(encoded.inputs)
    notes = encoded.notes()
    for row in range(end, len(series)):
        if row < history.lags or np.isnan(series[row - history.lags : row]).any():
            continue
        one = encode_inputs(preprocessing, table.frame, np.array([row]), series)
        predictions[row] = model.predict(one.inputs)[0]
        series[row] = predictions[row, 0]
    if without := int(np.isnan(predictions[:, 0]).sum()):
        notes.append(f"rows without a complete history of {history.lags}, left empty: {without}")
    if forecast := int((~np.isnan(predictions[end:, 0])).sum()):
        notes.append(f"rows forecast, each from the ones before it: {forecast}")
    return predictions, end, notes


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


def _prediction_columns(
    model: "Model",
    predictions: Floats,
    half_widths: Floats | None,
    carried: dict[str, list[str]],
) -> dict[str, list[str]]:
    """Return the predictions under the names that the file's header gives the target.

    half_widths: (N, T), half the width of each row's interval, NaN where it has none.
    """
    target = model.preprocessing.target
    named: list[tuple[str, list[str]]] = []
    if isinstance(target, ClassTarget):
        classes = [_shield(label) for label in target.labels]
        named.append((target.label, [classes[index] for index in predictions.argmax(axis=1)]))
        for index, label in enumerate(target.labels):
            named.append((f"{target.label}_probability_{label}", _numbers(predictions[:, index])))
    else:
        for index, label in enumerate(target.labels):
            middle = predictions[:, index]
            digits = _digits(target.means[index], target.scales[index])
            named.append((label, _numbers(middle, digits)))
            if half_widths is not None:
                low, high = middle - half_widths[:, index], middle + half_widths[:, index]
                named.append((f"{label}_low", _numbers(low, digits)))
                named.append((f"{label}_high", _numbers(high, digits)))
    named = [(_shield(name), texts) for name, texts in named]
    columns = dict(named)
    if len(columns) < len(named):
        names = [name for name, _ in named]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(
            f"'{echo(twice)}' is a target, and would be the bound of another one's interval too; "
            "leave --interval out"
        )
    if clash := set(columns) & set(carried):
        raise ConfigError(
            f"--id {echo(min(clash))}: is also the name of a prediction; leave it out"
        )
    return columns


def _texts(target: RealTargets | ClassTarget) -> tuple[str, ...]:
    """Return what a prediction file holds that is no number: names of columns, and classes."""
    return (target.label, *target.labels) if isinstance(target, ClassTarget) else target.labels


def _shield(text: str) -> str:
    """Return a text as no spreadsheet runs it, with ' before it where one would."""
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _digits(mean: float, scale: float) -> int:
    """Return how many digits show what float32 holds of a standardised value, once restored.

    Nine, or more where the mean is large beside the scale and the first digits are always the same.
    """
    alike = math.log10(max(1.0, abs(mean) / scale))
    return min(17, max(_FLOAT32_DIGITS, math.ceil(7.5 + alike)))


def _numbers(values: Floats, digits: int = _FLOAT32_DIGITS) -> list[str]:
    """Return numbers in so many digits, missing ones empty."""
    texts: list[str] = []
    for start in range(0, len(values), _NUMBERS_AT_ONCE):
        some = values[start : start + _NUMBERS_AT_ONCE].tolist()
        # one long template takes two thirds of the time of a short one for each of them
        texts += (f"%.{digits}g " * len(some) % tuple(some)).split()
    for row in np.flatnonzero(np.isnan(values)):
        texts[row] = ""
    return texts


def _to_csv(columns: dict[str, list[str]]) -> str:
    """Return the columns as a CSV, with quotes where a cell needs them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    rows: Iterable[tuple[str, ...]] = zip(*columns.values(), strict=True)
    if all(map(_is_plain, columns.values())):  # as are numbers: a quarter of the time
        text.write("\n".join(map(",".join, rows)) + "\n")
    else:
        writer.writerows(rows)
    return text.getvalue()


def _is_plain(cells: list[str]) -> bool:
    """Whether no cell is empty or has anything in it that calls for quotes."""
    together = "\n".join(cells)
    special = together.count("\n") >= len(cells) or any(mark in together for mark in '",\r')
    return not special and all(cells)
