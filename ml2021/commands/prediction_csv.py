"""Predictions as the columns of a CSV, named after the targets in the table's header."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from ml2021.data.output_names import escape_formula, output_names
from ml2021.data.preprocessing.records import ClassTarget, RealTargets
from ml2021.errors import ConfigError
from ml2021.evaluation.thresholds import POSITIVE
from ml2021.formatting import echo, listed

_FLOAT32_DIGITS = 9
_NUMBERS_AT_ONCE = 1000


@dataclass(frozen=True)
class Predictions:
    """The predictions for N rows: values of T targets, or the probabilities of T classes.

    values, spread, half_widths: (N, T), NaN where a row has none. spread: the standard deviation
    over the ensemble members, None without an ensemble. half_widths: half the width of each
    interval, None without intervals. threshold: of two classes, from which probability on the
    second is the label; None: the more probable one is.
    """

    values: NDArray[np.float64]
    spread: NDArray[np.float64] | None
    half_widths: NDArray[np.float64] | None
    threshold: float | None = None

    def take(self, rows: NDArray[np.int64]) -> "Predictions":
        """Return these rows."""
        return Predictions(
            self.values[rows],
            None if self.spread is None else self.spread[rows],
            None if self.half_widths is None else self.half_widths[rows],
            self.threshold,
        )


def prediction_columns(
    target: RealTargets | ClassTarget, predictions: Predictions, carried: Mapping[str, object]
) -> dict[str, list[str]]:
    """Return the columns by name. Raises ConfigError for a name that two columns would have."""
    if isinstance(target, ClassTarget):
        texts = _class_columns(target, predictions)
    else:
        texts = _real_columns(target, predictions)
    has_spread, has_ends = predictions.spread is not None, predictions.half_widths is not None
    names = output_names(target, spread=has_spread, interval=has_ends)
    columns = dict(zip(names, texts, strict=True))
    if len(columns) < len(names):
        ambiguous = next(name for name in names if names.count(name) > 1)
        raise ConfigError(
            f"output column name '{echo(ambiguous)}' would be ambiguous; rename the target"
        )
    if clash := set(columns) & set(carried):
        raise ConfigError(
            f"--id {echo(min(clash))}: is also the name of a predicted column; leave it out"
        )
    return columns


def notes_on_escapes(target: RealTargets | ClassTarget) -> list[str]:
    """Return a note that lists the names and classes that are escaped, if any."""
    texts = (target.label, *target.labels) if isinstance(target, ClassTarget) else target.labels
    if not (escaped := [text for text in texts if escape_formula(text) != text]):
        return []
    return [f"texts that a spreadsheet would run as formulas, prefixed with ': {listed(escaped)}"]


def _class_columns(target: ClassTarget, predictions: Predictions) -> list[list[str]]:
    probabilities = predictions.values
    classes = [escape_formula(label) for label in target.labels]
    chosen = probabilities.argmax(axis=1)
    if predictions.threshold is not None:
        chosen = (probabilities[:, POSITIVE] >= predictions.threshold).astype(np.int64)
    columns = [[classes[index] for index in chosen], *map(_numbers, probabilities.T)]
    if predictions.spread is not None:  # of the probability of the predicted class
        columns.append(_numbers(predictions.spread[np.arange(len(chosen)), chosen]))
    return columns


def _real_columns(target: RealTargets, predictions: Predictions) -> list[list[str]]:
    columns = []
    for index in range(target.width):
        middle = predictions.values[:, index]
        digits = _digits(target.means[index], target.scales[index])
        columns.append(_numbers(middle, digits))
        if predictions.spread is not None:
            columns.append(_numbers(predictions.spread[:, index]))
        if predictions.half_widths is not None:
            half = predictions.half_widths[:, index]
            columns += [_numbers(middle - half, digits), _numbers(middle + half, digits)]
    return columns


def _digits(mean: float, scale: float) -> int:
    """Return the significant digits that keep a standardised float32 value when it is restored.

    Nine, or more if the mean is large relative to the scale, so that the leading digits are alike.
    """
    alike = math.log10(max(1.0, abs(mean) / scale))
    return min(17, max(_FLOAT32_DIGITS, math.ceil(7.5 + alike)))


def _numbers(values: NDArray[np.float64], digits: int = _FLOAT32_DIGITS) -> list[str]:
    """Return numbers as text with that many significant digits, empty where missing."""
    texts: list[str] = []
    for start in range(0, len(values), _NUMBERS_AT_ONCE):
        some = values[start : start + _NUMBERS_AT_ONCE].tolist()
        # one template for many numbers takes 0.75 of the time of one for each
        texts += (f"%.{digits}g " * len(some) % tuple(some)).split()
    for row in np.flatnonzero(np.isnan(values)):
        texts[row] = ""
    return texts


def to_csv(columns: Mapping[str, list[str]], *, with_header: bool = True) -> str:
    """Return the columns as a CSV, with quotes where a cell needs them."""
    text = io.StringIO()
    # A writer quotes the characters of its own line terminator, and \r ends a line for readers.
    lines = SimpleNamespace(write=lambda line: text.write(f"{line[:-2]}\n"))
    writer = csv.writer(lines, lineterminator="\r\n")
    if with_header:
        writer.writerow(columns)
    rows = zip(*columns.values(), strict=True)
    if all(map(_is_plain, columns.values())):  # as full numbers are: 0.4 of the writer's time
        text.write("\n".join(map(",".join, rows)) + "\n")
    else:
        writer.writerows(rows)
    return text.getvalue()


def _is_plain(cells: list[str]) -> bool:
    """Whether no cell is empty or needs quotes."""
    joined = "\n".join(cells)
    needs_quotes = joined.count("\n") >= len(cells) or any(mark in joined for mark in '",\r')
    return not needs_quotes and all(cells)
