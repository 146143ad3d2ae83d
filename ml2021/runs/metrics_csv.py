"""metrics.csv: the writer and the reader of one file."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from ml2021.errors import CheckpointError, ResourceError
from ml2021.formatting import HIGHER_IS_BETTER
from ml2021.runs.content import read_bytes, write_text
from ml2021.runs.directory import RunDirectory
from ml2021.runs.tensorboard import EventWriter


class MetricsWriter:
    """metrics.csv: a row per epoch, in full precision and without a clock."""

    def __init__(self, path: Path, columns: Sequence[str], epochs: int) -> None:
        """Open for appending after the first `epochs` epochs; later rows are cut off."""
        self._path = path
        self._columns = columns
        self._events: EventWriter | None = None
        kept = [",".join(columns)]
        if epochs:
            lacks = (
                f"{path}: lacks the {epochs} epochs of the checkpoint; "
                "restore the file, or start a new run"
            )
            lines = _read_lines(path, lacks)
            if len(lines) <= epochs or lines[0] != kept[0]:
                raise CheckpointError(lacks)
            kept = lines[: epochs + 1]
            _parse(path, kept)
        write_text(path, "\n".join(kept) + "\n")
        try:
            self._file = path.open("a")
        except OSError as error:
            raise ResourceError(f"{path}: cannot be written ({error.strerror})") from None

    def write_events(self, folder: Path) -> None:
        """Write event files for TensorBoard, too: of the epochs so far, and of those to come."""
        table = _parse(self._path, _read_lines(self._path, f"{self._path}: missing"))[1]
        rows = ([None if math.isnan(cell) else cell for cell in row] for row in table.tolist())
        history = (dict(zip(self._columns, row, strict=True)) for row in rows)
        self._events = EventWriter(folder, history)

    def append(self, row: Mapping[str, int | float | None]) -> None:
        """Add an epoch; None is an empty cell."""
        cells = ["" if row[name] is None else repr(row[name]) for name in self._columns]
        try:
            self._file.write(",".join(cells) + "\n")
        except OSError as error:
            raise ResourceError(f"{self._path}: cannot be written ({error.strerror})") from None
        if self._events is not None:
            self._events.append({name: row[name] for name in self._columns})

    def flush(self) -> None:
        """Write appended rows to the disk, before the checkpoint that relies on them."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ResourceError(f"{self._path}: cannot be written ({error.strerror})") from None

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
            self._file.close()
        finally:
            if self._events is not None:
                self._events.close()


@dataclass(frozen=True)
class History:
    """The history of training, epoch by epoch: columns of metrics.csv, each (E,).

    The losses are in the unit that `ml2021.evaluation.scoring.loss_unit` names. criterion: what
    chose the best epoch in place of the validation loss, lower is better; None for that loss.
    kept: the best epoch of each ensemble member, if there are several. Values are then means over
    those still trained, which fall where a member with higher ones stops.
    """

    epochs: NDArray[np.int64]
    training: NDArray[np.float64]
    validation: NDArray[np.float64] | None
    lr: NDArray[np.float64]
    criterion: NDArray[np.float64] | None = None
    kept: tuple[int, ...] = ()

    @property
    def best_epoch(self) -> int:
        """The first epoch with the lowest criterion, else the last; 0 without epochs.

        Of several members the median, rounded down to the best epoch of one.
        """
        if not len(self.epochs):
            return 0
        if self.kept:
            return median_low(self.kept)
        values = self.validation if self.criterion is None else self.criterion
        if values is None:
            return int(self.epochs[-1])
        return int(self.epochs[np.nanargmin(values)])


def read_metrics(run: RunDirectory, metric: str = "loss", kept: tuple[int, ...] = ()) -> History:
    """Read metrics.csv; `metric` is the one that chose the best epoch. kept: as in `History`.

    Raises CheckpointError if it is missing or damaged, or ResourceError.
    """
    lines = _read_lines(run.metrics, f"{run.metrics}: missing; train the run again")
    names, numbers = _parse(run.metrics, lines)
    columns = ["epoch", "train_loss", "validation_loss", "lr"]
    chosen = f"validation_{metric}"
    columns.append(chosen if chosen in names else "validation_loss")
    table = numbers[:, [names.index(name) for name in columns]]
    validation = None if np.isnan(table[:, 2]).all() else table[:, 2]
    criterion = None
    if metric != "loss" and not np.isnan(table[:, 4]).all():
        criterion = -table[:, 4] if metric in HIGHER_IS_BETTER else table[:, 4]
    epochs = table[:, 0].astype(np.int64)
    return History(epochs, table[:, 1], validation, table[:, 3], criterion, kept)


def _read_lines(path: Path, missing: str) -> list[str]:
    """Return the lines of the file, without one that a kill cut off.

    Raises CheckpointError(missing) without any.
    """
    lines = read_bytes(path, missing).decode(errors="replace").split("\n")[:-1]
    if not lines:
        raise CheckpointError(missing)
    return lines


_NEEDED = ("epoch", "lr", "train_loss", "validation_loss")
_CELL = r"(?:-?[0-9]{1,24}(?:\.[0-9]{1,24})?(?:e[-+][0-9]{1,3})?)?"
_ROW = re.compile(rf"{_CELL}(?:,{_CELL})*")


def _parse(path: Path, lines: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the columns and the numbers (E, C) in them, NaN where a cell is empty.

    Raises CheckpointError, with the line, where an epoch is not as `MetricsWriter` writes it.
    """
    names = lines[0].split(",")
    if len(set(names)) < len(names) or not {*_NEEDED} <= {*names}:
        raise CheckpointError(f"{path}:1: damaged, not its columns; train the run again")
    cells = [line.split(",") for line in takewhile(_ROW.fullmatch, lines[1:])]
    rows = [[float(cell or "nan") for cell in r] for r in cells if len(r) == len(names)]
    table = np.array(rows, np.float64).reshape(-1, len(names))
    epoch, lr, train, validation = (table[:, names.index(name)] for name in _NEEDED)
    fine = (epoch == np.arange(1, len(table) + 1)) & (lr >= 0) & (train >= 0)
    fine &= ~(validation < 0) & ~np.isinf(table).any(axis=1)
    fine &= np.isnan(validation) == np.isnan(validation[:1])
    odd = len(fine) if fine.all() else int(fine.argmin())
    if odd < len(lines) - 1:
        raise CheckpointError(
            f"{path}:{odd + 2}: damaged, not epoch {odd + 1}; train the run again"
        )
    return names, table
