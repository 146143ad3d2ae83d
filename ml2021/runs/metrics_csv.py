"""metrics.csv: the writer and the reader of one file."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml2021.errors import CheckpointError, ResourceError
from ml2021.formatting import HIGHER_IS_BETTER
from ml2021.runs.directory import RunDirectory, read_bytes, write_text


class MetricsWriter:
    """metrics.csv: a row per epoch, in full precision and without a clock."""

    def __init__(self, path: Path, columns: Sequence[str], epochs: int) -> None:
        """Open for appending after the first `epochs` epochs; later rows are cut off."""
        self._path = path
        self._columns = columns
        kept = [",".join(columns)]
        if epochs:
            try:
                lines = path.read_text().splitlines()
            except (FileNotFoundError, UnicodeDecodeError):
                lines = []
            except OSError as error:
                raise ResourceError(f"{path}: cannot be read ({error.strerror})") from None
            if len(lines) <= epochs or lines[0] != kept[0]:
                raise CheckpointError(
                    f"{path}: lacks the {epochs} epochs of the checkpoint; "
                    "restore the file, or start a new run"
                )
            kept = lines[: epochs + 1]
        write_text(path, "\n".join(kept) + "\n")
        try:
            self._file = path.open("a")
        except OSError as error:
            raise ResourceError(f"{path}: cannot be written ({error.strerror})") from None

    def append(self, row: Mapping[str, int | float | None]) -> None:
        """Add an epoch; None is an empty cell."""
        cells = ["" if row[name] is None else repr(row[name]) for name in self._columns]
        try:
            self._file.write(",".join(cells) + "\n")
        except OSError as error:
            raise ResourceError(f"{self._path}: cannot be written ({error.strerror})") from None

    def flush(self) -> None:
        """Write appended rows to the disk, before the checkpoint that relies on them."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ResourceError(f"{self._path}: cannot be written ({error.strerror})") from None

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()


@dataclass(frozen=True)
class History:
    """The history of training, epoch by epoch: columns of metrics.csv, each (E,).

    The losses are in the unit that `ml2021.evaluation.scoring.loss_unit` names. criterion: what
    chose the best epoch in place of the validation loss, lower is better; None for that loss.
    """

    epochs: NDArray[np.int64]
    training: NDArray[np.float64]
    validation: NDArray[np.float64] | None
    lr: NDArray[np.float64]
    criterion: NDArray[np.float64] | None = None

    @property
    def best_epoch(self) -> int:
        """The first epoch with the lowest criterion, else the last; 0 without epochs."""
        if not len(self.epochs):
            return 0
        values = self.validation if self.criterion is None else self.criterion
        if values is None:
            return int(self.epochs[-1])
        return int(self.epochs[np.nanargmin(values)])


def read_metrics(run: RunDirectory, metric: str = "loss") -> History:
    """Read metrics.csv; `metric` is the one that chose the best epoch.

    Raises CheckpointError if it is missing or damaged, or ResourceError.
    """
    content = read_bytes(run.metrics, f"{run.metrics}: missing; train the run again")
    try:
        reader = csv.reader(io.StringIO(content.decode(), newline=""))
        names = next(reader, [])
        columns = ["epoch", "train_loss", "validation_loss", "lr"]
        chosen = f"validation_{metric}"
        columns.append(chosen if chosen in names else "validation_loss")
        cells = [names.index(name) for name in columns]
        lines = [[float(line[cell] or "nan") for cell in cells] for line in reader]
    except (ValueError, IndexError, csv.Error):
        raise CheckpointError(f"{run.metrics}: damaged; train the run again") from None
    table = np.array(lines, np.float64).reshape(-1, 5)
    validation = None if np.isnan(table[:, 2]).all() else table[:, 2]
    criterion = None
    if metric != "loss" and not np.isnan(table[:, 4]).all():
        criterion = -table[:, 4] if metric in HIGHER_IS_BETTER else table[:, 4]
    return History(table[:, 0].astype(np.int64), table[:, 1], validation, table[:, 3], criterion)
