"""Read a new table for a fitted model: columns by name, with the column types of training."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml2021.data.csv.cells import StorageType
from ml2021.data.csv.scan import TableFormat
from ml2021.data.csv.source import changed_error
from ml2021.data.dates import with_parts
from ml2021.data.matching import explain_absent, match_columns
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    NumberFeature,
    Preprocessing,
)
from ml2021.data.resolve import explain_missing, match_names
from ml2021.data.samples import FittedTable
from ml2021.data.series import in_series_order
from ml2021.data.spellings import refuse_other_spellings
from ml2021.data.tables import is_number, read_header, read_table, refuse_rounded
from ml2021.data.weights import check_weights
from ml2021.errors import ConfigError, DataError
from ml2021.formatting import echo, listed

if TYPE_CHECKING:
    import pandas as pd

_MOST_ABSENT = 5  # if more columns are missing, it is probably the wrong table: report one line


@dataclass(frozen=True)
class NewTable:
    """A file read for a fitted model.

    carried: the columns to copy to the output, every cell as it stands in the file; those asked
    for, and the one that tells several series apart. ignored: the columns that the model does not
    use. sha256: of the file's bytes. group: the column that tells several series apart.
    unweighted: the column of weights, if the file has none.
    """

    table: FittedTable
    carried: "pd.DataFrame"
    ignored: tuple[str, ...]
    sha256: str
    group: str | None
    unweighted: str | None = None

    def notes(self) -> list[str]:
        """Return notes on the ignored columns, and on a column of weights that is missing."""
        notes = []
        if self.ignored:
            notes.append(f"ignoring columns that the model does not use: {listed(self.ignored, 8)}")
        if self.unweighted is not None:
            notes.append(f"no column {echo(self.unweighted)}, the weight: every row weighs 1")
        return notes


def read_new_table(
    preprocessing: Preprocessing,
    path: Path,
    table_format: TableFormat,
    purpose: Literal["scored", "predicted"],
    carried: tuple[str, ...] = (),
) -> NewTable:
    """Read a file other than the training file: columns by name, with the types of training.

    The target is needed to score, and to predict only if it is the model's history. Raises
    DataError, also where categories or classes are all spelled otherwise than in training, or
    ConfigError for a name or glob in `carried` that the file does not have.
    """
    header = read_header(path, table_format)
    found = match_columns(path, preprocessing, header)
    kinds: dict[str, StorageType] = {
        f.name: "number" if isinstance(f, NumberFeature) else f.storage
        for f in preprocessing.features
        if f.name not in preprocessing.parts_of_dates
    }
    kinds |= dict.fromkeys((date.name for date in preprocessing.dates), "text")
    history, target = preprocessing.history, preprocessing.target
    if history is not None or purpose == "scored":
        storage = target.storage if isinstance(target, ClassTarget) else "number"
        kinds |= dict.fromkeys(preprocessing.target_columns, storage)
    weight = preprocessing.weight
    unweighted = weight if weight is not None and weight not in found else None
    if purpose == "scored" and weight in found:
        kinds[weight] = "number"
    needed = dict.fromkeys(kinds)
    order_by, group_by = (history.order_by, history.group_by) if history else (None, None)
    needed |= dict.fromkeys(name for name in (order_by, group_by) if name is not None)
    absent = [name for name in needed if name not in found]
    if len(absent) > _MOST_ABSENT:
        raise DataError(
            f"{path}: {len(absent)} of the {len(needed)} columns that the model needs are missing: "
            f"{listed(absent, _MOST_ABSENT)}; check that this is the right run"
        )
    if absent:
        raise DataError(*(explain_absent(path, preprocessing, header, name) for name in absent))
    if unknown := [name for name in carried if not match_names(header, name)]:
        raise ConfigError(*(f"--id: {explain_missing(header, name)}" for name in unknown))
    carried = tuple(dict.fromkeys(n for pattern in carried for n in match_names(header, pattern)))
    if purpose == "predicted" and group_by is not None and found[group_by] not in carried:
        carried = (found[group_by], *carried)
    names = {found[name]: name for name in needed}
    # A carried column is read verbatim, so that it is written unchanged; if one is also an input,
    # the file is read twice.
    texts: dict[str, StorageType] = dict.fromkeys(carried, "verbatim")
    twice = bool(names.keys() & texts.keys())
    columns = [*names] if twice else [*names, *texts]
    types = {found[name]: kind for name, kind in kinds.items()} | ({} if twice else texts)
    # Words where training had numbers as categories or classes may be another spelling of them.
    coded = {f.name for f in preprocessing.features if isinstance(f, CategoryFeature)}
    coded |= {target.name} if isinstance(target, ClassTarget) else set()
    numbers = [found[name] for name in coded & kinds.keys() if kinds[name] == "number"]
    loose = {name: kind for name, kind in types.items() if name not in numbers}
    series = [] if group_by is None else [found[group_by]]
    compared = {*numbers, *series}
    read = read_table(path, table_format, columns=columns, types=loose, compared=compared)
    refuse_rounded(read, series)
    again = read_table(path, table_format, columns=carried, types=texts) if twice else read
    frame = read.frame[[*names]].rename(columns=names)
    refuse_other_spellings(path, preprocessing, frame, scored=purpose == "scored")
    if not all(is_number(read.frame[name]) for name in numbers):  # which this reports
        read = read_table(path, table_format, columns=columns, types=types, compared=compared)
        frame = read.frame[[*names]].rename(columns=names)
    for name in numbers:
        if exact := read.rounded.get(name):
            values = frame[names[name]].to_numpy(object, copy=True)
            values[[*exact]] = [*exact.values()]
            frame[names[name]] = values
    if again.sha256 != read.sha256:
        raise changed_error(path)
    if purpose == "scored" and weight in found:
        check_weights(read.frame, found[weight], path, table_format)
    left_out = {column.name for column in preprocessing.left_out}
    known = {*carried, *(found[name] for name in found if name not in left_out)}
    frame = with_parts(frame, preprocessing.dates, f"{path}: ", table_format.listing("it"))
    ordered, file_order = in_series_order(frame, order_by, group_by)
    return NewTable(
        table=FittedTable(ordered, file_order, preprocessing),
        carried=again.frame[list(carried)],
        ignored=tuple(name for name in header.names if name not in known),
        sha256=read.sha256,
        group=None if group_by is None else found[group_by],
        unweighted=unweighted,
    )
