"""Predict the rows of one file as CSV text: block by block, or those of a time series at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.commands.forecast import carried_column, forecast
from ml2021.commands.prediction_csv import Predictions, notes_on_escapes, prediction_columns, to_csv
from ml2021.data.new_table import NewColumns, NewTableStream, read_columns
from ml2021.data.parts import shown_of
from ml2021.data.preprocessing.transform import OddValues
from ml2021.data.tables import guess_rows
from ml2021.errors import DataError
from ml2021.evaluation.thresholds import POSITIVE
from ml2021.formatting import echo, listed
from ml2021.memory import check_fits

if TYPE_CHECKING:
    from ml2021.runs.model import TrainedModel


@dataclass(frozen=True)
class Request:
    """A model, and what is to be predicted with it.

    carried: the columns to copy to the output, names or globs. ahead: the rows to forecast after
    the last one. half_widths: (T,), half the width of each target's interval, None for none.
    threshold: of two classes, from which probability on the second of them is the label.
    """

    model: "TrainedModel"
    carried: tuple[str, ...]
    ahead: int
    half_widths: NDArray[np.float64] | None
    threshold: float | None


def predict_file(
    asked: Request, columns: NewColumns, write: Callable[[str], object]
) -> tuple[int, list[str]]:
    """Write the predictions of a file; return the number of rows, and notes.

    Rows that do not need each other are read, predicted and written block by block, in memory that
    does not grow with their number: an error may come after a part of them has been written. A
    time series is held in memory, since its rows may be sorted, filled and forecast.
    """
    if asked.model.preprocessing.history is None:
        rows, sha256, notes = _predict_stream(asked, columns, write)
    else:
        rows, sha256, notes = _predict_series(asked, columns, write)
    notes = [*columns.notes(), *notes, *notes_on_escapes(asked.model.preprocessing.target)]
    if sha256 == asked.model.data_sha256:
        notes.append("this is the training file, whose rows are predicted too well")
    return rows, notes


def _predict_stream(
    asked: Request, columns: NewColumns, write: Callable[[str], object]
) -> tuple[int, str, list[str]]:
    """Return the number of rows, the SHA-256 of the file, and notes."""
    model, done, odd = asked.model, 0, OddValues()
    given: list[str] = []
    wrong: DataError | None = None
    stream = NewTableStream(columns)
    for frame, carried in stream.pieces():
        if wrong is not None:
            continue
        try:
            for block in model.predict_blocks(frame, len(frame), beside=8 * len(columns.carried)):
                odd.add(block.odd)
                count = len(block.rows)
                half = None if asked.half_widths is None else np.tile(asked.half_widths, (count, 1))
                predictions = Predictions(block.values, block.spread, half, asked.threshold)
                texts = {
                    str(name): [
                        "" if cell != cell else str(cell) for cell in column.iloc[block.rows]
                    ]
                    for name, column in carried.items()
                }
                text, given = _text(asked, predictions, texts, with_header=not done)
                write(text)
                done += count
        except DataError as error:  # an error of the file itself, which may follow, says more
            wrong = error
    if wrong is not None:
        raise wrong
    notes = odd.notes(model.preprocessing)
    if asked.threshold is not None:
        label = echo(model.preprocessing.target.labels[POSITIVE])
        notes.append(f"{label} is predicted where its probability is at least {asked.threshold:g}")
    return done, stream.sha256, [*notes, *_notes_on_given(given)]


def _predict_series(
    asked: Request, columns: NewColumns, write: Callable[[str], object]
) -> tuple[int, str, list[str]]:
    _check_memory(asked, columns)
    read = read_columns(columns)
    predictions, notes = forecast(
        asked.model, read.table, asked.ahead, shown_of(columns.path), asked.half_widths
    )
    texts = {
        str(name): carried_column(column, read.table, asked.ahead, is_group=name == columns.group)
        for name, column in read.carried.items()
    }
    text, given = _text(asked, predictions, texts, with_header=True)
    write(text)
    return len(predictions.values), read.sha256, [*notes, *_notes_on_given(given)]


def _check_memory(asked: Request, columns: NewColumns) -> None:
    """Raise ResourceError for a time series that does not fit into memory."""
    fitted = asked.model.preprocessing
    # As measured: a cell as text, or a number and its text, takes about 100 bytes, an input 16.
    texts = len(columns.names) + 2 * len(columns.carried) + 2 * fitted.target.width
    a_row = 100 * texts + 16 * len(fitted.inputs)
    rows = guess_rows(columns.path, columns.table_format)
    what = f"{columns.path}: about {rows:,} rows of a time series, held in memory together,"
    check_fits(a_row * rows, what, "predict the last of them alone")


def _text(
    asked: Request, predictions: Predictions, carried: Mapping[str, list[str]], *, with_header: bool
) -> tuple[str, list[str]]:
    """Return rows as CSV text, and the columns that are not copied: a glob named them, too."""
    if not asked.model.config.train.spread:
        predictions = replace(predictions, spread=None)
    named = {name: carried[name] for name in asked.carried if name in carried}
    predicted = prediction_columns(asked.model.preprocessing.target, predictions, named)
    given = [name for name in carried if name in predicted]
    kept = {name: cells for name, cells in carried.items() if name not in given}
    return to_csv(kept | predicted, with_header=with_header), given


def _notes_on_given(given: list[str]) -> list[str]:
    return [f"not copied, as predictions have these names: {listed(given)}"] if given else []
