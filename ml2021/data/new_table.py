"""Read a new table for a fitted model: columns by name, with the column types of training."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml2021.data.csv.cells import StorageType
from ml2021.data.csv.scan import TableFormat
from ml2021.data.csv.source import changed_error
from ml2021.data.matching import explain_absent, match_columns
from ml2021.data.preprocessing.records import ClassTarget, NumberFeature, Preprocessing
from ml2021.data.resolve import explain_missing
from ml2021.data.samples import FittedTable
from ml2021.data.series import in_series_order
from ml2021.data.tables import read_header, read_table
from ml2021.errors import ConfigError, DataError
from ml2021.formatting import listed

if TYPE_CHECKING:
    import pandas as pd

_MOST_ABSENT = 5  # if more columns are missing, it is probably the wrong table: report one line


@dataclass(frozen=True)
class NewTable:
    """A file read for a fitted model.

    carried: the columns to copy to the output, as text as in the file, in file order. ignored: the
    columns that the model does not use. sha256: of the file's bytes.
    """

    table: FittedTable
    carried: "pd.DataFrame"
    ignored: tuple[str, ...]
    sha256: str

    def notes(self) -> list[str]:
        """Return a note on the ignored columns."""
        if not self.ignored:
            return []
        return [f"ignoring columns that the model does not use: {listed(self.ignored, 8)}"]


def read_new_table(
    preprocessing: Preprocessing,
    path: Path,
    table_format: TableFormat,
    purpose: Literal["scored", "predicted"],
    carried: tuple[str, ...] = (),
) -> NewTable:
    """Read a file other than the training file: columns by name, with the types of training.

    The target is needed to score, and to predict only if it is the model's history.
    Raises DataError, or ConfigError for a name in `carried` that the file does not have.
    """
    header = read_header(path, table_format)
    found = match_columns(path, preprocessing, header)
    kinds: dict[str, StorageType] = {
        f.name: "number" if isinstance(f, NumberFeature) else f.storage
        for f in preprocessing.features
    }
    history, target = preprocessing.history, preprocessing.target
    if history is not None or purpose == "scored":
        storage = target.storage if isinstance(target, ClassTarget) else "number"
        kinds |= dict.fromkeys(preprocessing.target_columns, storage)
    needed = dict.fromkeys(kinds)
    if (order_by := history.order_by if history else None) is not None:
        needed[order_by] = None
    absent = [name for name in needed if name not in found]
    if len(absent) > _MOST_ABSENT:
        raise DataError(
            f"{path}: {len(absent)} of the {len(needed)} columns that the model needs are missing: "
            f"{listed(absent, _MOST_ABSENT)}; check that this is the right run"
        )
    if absent:
        raise DataError(*(explain_absent(path, preprocessing, header, name) for name in absent))
    if unknown := [name for name in carried if name not in header.names]:
        raise ConfigError(*(f"--id: {explain_missing(header, name)}" for name in unknown))
    names = {found[name]: name for name in needed}
    storage_of = {found[name]: kind for name, kind in kinds.items()}
    # A carried column is read as text, so that it is written unchanged; if one is also an input,
    # the file is read twice.
    texts: dict[str, StorageType] = dict.fromkeys(carried, "text")
    twice = bool(names.keys() & texts.keys())
    columns, together = ([*names], storage_of) if twice else ([*names, *texts], texts | storage_of)
    read = read_table(path, table_format, columns=columns, types=together)
    again = read_table(path, table_format, columns=carried, types=texts) if twice else read
    if again.sha256 != read.sha256:
        raise changed_error(path)
    left_out = {column.name for column in preprocessing.left_out}
    known = {*carried, *(found[name] for name in found if name not in left_out)}
    renamed = read.frame[list(names)].rename(columns=names)
    ordered, file_order = in_series_order(renamed, order_by)
    return NewTable(
        table=FittedTable(ordered, file_order, preprocessing),
        carried=again.frame[list(carried)],
        ignored=tuple(name for name in header.names if name not in known),
        sha256=read.sha256,
    )
