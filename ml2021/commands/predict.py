"""The command `predict`: apply a trained model to new CSVs, one row out for each row in."""

import mmap
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from ml2021.commands.predict_rows import Request, predict_file
from ml2021.console import write_data
from ml2021.data.new_table import find_columns
from ml2021.data.parts import files_of, find_parts, literal_name, shown_of
from ml2021.data.preprocessing.records import ClassTarget
from ml2021.errors import ConfigError, ResourceError
from ml2021.files import cannot_write, name_file, unnamed_file
from ml2021.runs.directory import chosen_run, open_run, refuse_run
from ml2021.runs.outputs import check_output, check_output_folder, tables_of, write_output

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
    *,
    as_parts: bool = False,
) -> tuple[Path, list[Predicted]]:
    """Predict each CSV, and return the run's path and what was written. Any error writes nothing.

    carried: the columns to copy to the output, names or globs. ahead: the rows to forecast after
    the last one. interval: the level of the prediction intervals, None for none. overrides: how the
    CSVs are written, where not as the training file. threshold: of two classes, from which
    probability on the second of them is the label. as_parts: all CSVs together are one table.
    """
    if threshold is not None and not 0 < threshold < 1:
        raise ConfigError(f"--threshold {threshold:g}: must be between 0 and 1, such as 0.3")
    for source in sources:
        refuse_run(source)
    run = open_run(run_path)
    tables = [find_parts(sources)] if as_parts else [find_parts(source) for source in sources]
    outputs = _output_paths([literal_name(source) for source in sources][: len(tables)], output)
    kept = [*sources, *(file for table in tables for file in files_of(table)), *tables_of(run)]
    for path in outputs:
        if path != STDOUT:
            check_output("" if output is None else "--output", path, kept)

    from ml2021.runs.model import load_model

    carried = tuple(dict.fromkeys(normalize("NFC", name) for name in carried))
    model = load_model(run.best)
    if ahead and model.preprocessing.history is None:
        raise ConfigError("--ahead: needs a run that was trained on a time series, with data.lags")
    half_widths = None if interval is None else model.half_widths(interval, "--interval")
    if threshold is not None:
        _refuse_threshold(model)
    table_format = model.table_format(overrides)
    asked = Request(model, carried, ahead, half_widths, threshold)
    predicted, ends = [], [0]
    with unnamed_file(_spool_folder(outputs[0])) as spool:

        def write(text: str) -> None:
            left = memoryview(text.encode())
            try:
                while left:
                    left = left[spool.write(left) :]
            except OSError as error:
                raise cannot_write(outputs[0].resolve(), error) from None

        with chosen_run(run, run_path):
            for table, path in zip(tables, outputs, strict=True):
                found = find_columns(model.preprocessing, table, table_format, "predicted", carried)
                rows, notes = predict_file(asked, found, write)
                predicted.append(Predicted(shown_of(table), path, rows, tuple(notes)))
                ends.append(spool.tell())
        if output is not None and len(tables) > 1:
            try:
                output.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ResourceError(f"{output}: cannot be made ({error.strerror})") from None
        for file, start, stop in zip(predicted, ends[:-1], ends[1:], strict=True):
            _write(file.output, spool, start, stop)
    return run.path, predicted


def _refuse_threshold(model: "TrainedModel") -> None:
    """Raise ConfigError unless the model has two classes."""
    target = model.preprocessing.target
    if isinstance(target, ClassTarget) and target.width == 2:
        return
    found = f"{target.width} classes" if isinstance(target, ClassTarget) else "numbers"
    raise ConfigError(f"--threshold: only for two classes, but this run predicts {found}; omit it")


def _spool_folder(output: Path) -> Path:
    """Return the folder for predictions that are not yet known to be whole.

    That of the output, or one for temporary files ($TMPDIR) if the output is no file.
    """
    if output == STDOUT or (output.exists() and not output.is_file()):
        return Path(tempfile.gettempdir())
    return next(folder for folder in output.resolve().parents if folder.is_dir())


def _write(path: Path, spool: FileIO, start: int, stop: int) -> None:
    """Replace a file with the predictions; write into anything else, such as /dev/null.

    They are those bytes of the file `spool`.
    """
    text = memoryview(mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ))[start:stop]
    if path == STDOUT:
        write_data(text)
    elif start == 0 and stop == spool.tell() and (path.is_file() or not path.exists()):
        name_file(spool, path.resolve())  # a link stays a link
    else:
        write_output(path, text)


def _output_paths(tables: Sequence[str], output: Path | None) -> list[Path]:
    """Return the path of the predictions of each of these tables, by name.

    Raises ConfigError where that is no answer.
    """
    names = [
        re.sub(r"\.(csv|gz|parquet|tsv|txt)$", "", re.sub(r"\.gz$", "", name)) for name in tables
    ]
    if output is None:
        paths = [Path(f"{name}.predictions.csv") for name in names]
        if existing := [path for path in paths if os.path.lexists(path)]:
            raise ConfigError(
                f"{existing[0].absolute()}: already exists; move it, or overwrite it with --output"
            )
    elif len(tables) == 1 and not output.is_dir():
        paths = [output]
    elif output == STDOUT:
        raise ConfigError("--output -: takes only one CSV; name a folder for several")
    else:
        check_output_folder("--output", output)
        paths = [output / f"{name}.predictions.csv" for name in names]
    if len(set(paths)) < len(paths):
        raise ConfigError("two inputs have the same file name; predict them separately")
    return paths
