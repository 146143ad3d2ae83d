"""Where a config meets a table: the rows to train on, to validate and to test, as numbers.

`load_training_data` serves training, and the scoring of a run's own rows; any other file is read by
`ml2021.data.samples`. What is done with the rows is left to the commands.

Legend: N rows of the table, S samples, T outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import numpy as np

from ml2021.config import schema
from ml2021.data.column_types import infer_column_types
from ml2021.data.csv.headers import Header
from ml2021.data.new_table import read_new_table
from ml2021.data.preprocessing import records as prep
from ml2021.data.preprocessing.fit import fit_preprocessing
from ml2021.data.preprocessing.records import ClassTarget, describe_columns
from ml2021.data.resolve import Locate, Selection, check_columns, resolve_config, table_format_of
from ml2021.data.samples import FittedTable, Folds, Samples
from ml2021.data.series import in_series_order, notes_on_order, usable_rows
from ml2021.data.splits import Split, fold_splits, split_rows, without_unseen
from ml2021.data.tables import read_table
from ml2021.errors import DataError
from ml2021.formatting import bulleted, echo

if TYPE_CHECKING:
    pass

Choose = Callable[[prep.Preprocessing], prep.Preprocessing]


@dataclass(frozen=True)
class TrainingData:
    """All that training needs from the data. `config` has no default left to resolve.

    data_sha256: of the bytes of `data.path`; test_sha256: of `data.test_path`, where there is one.
    unused: the columns of the file that are neither features nor targets, nor order or split rows.
    folds: of a cross-validation; the rows and the preprocessing are then those of the final model.
    init_sha256: of the checkpoint whose parameters training begins with, where there is one.
    """

    config: schema.Config
    preprocessing: prep.Preprocessing
    split: Split
    data_path: Path
    data_sha256: str
    test_sha256: str | None
    notes: tuple[str, ...]
    unused: tuple[str, ...]
    train: Samples
    validation: Samples
    test: Samples
    folds: Folds | None
    init_sha256: str | None = None

    @property
    def splits(self) -> dict[str, Samples]:
        """The samples of each split that has rows: train, validation, test."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {split: samples for split, samples in splits.items() if len(samples)}

    @property
    def scored_part(self) -> tuple[str, Samples]:
        """The test rows, validation rows where there are none, else training rows."""
        parts = {"test": self.test, "validation": self.validation, "train": self.train}
        return next((name, samples) for name, samples in parts.items() if len(samples))


def load_training_data(
    config: schema.Config, locate: Locate, choose: Choose = lambda fitted: fitted
) -> TrainingData:
    """Read the table, choose columns and rows, and fit the preprocessing on training rows.

    `choose` returns the preprocessing to use, given the one that was fitted.

    Raises ConfigError for column names that the file does not have, DataError for what it holds.
    """
    data, table_format = config.data, table_format_of(config.data)
    path = Path(data.path)
    header, selection = check_columns(config, locate)
    table = read_table(path, table_format, columns=selection.used)
    frame, file_order = in_series_order(table.frame, data.order_by)
    plan = infer_column_types(frame, selection, task=config.task, lags=data.lags)
    resolved = resolve_config(config, plan.task, locate)
    rows, left_out = usable_rows(frame, selection, data)
    split = split_rows(resolved, frame, selection, rows)
    preprocessing, notes = fit_preprocessing(resolved, header, frame, selection, plan, split)
    preprocessing = choose(preprocessing)
    fold_rows, more = fold_splits(resolved, frame, selection, rows)
    notes += more
    folds = None
    if fold_rows:
        # A frame of its own, since the columns leave the other one below.
        own = frame.copy(deep=False)
        folds = Folds(own, file_order, preprocessing, plan.features, fold_rows)
    fitted = FittedTable(frame, file_order, preprocessing)
    if isinstance(preprocessing.target, prep.ClassTarget):
        split = without_unseen(split, preprocessing.target, frame)
    notes = [*_name_notes(header), *plan.notes, *notes_on_order(frame, selection, data), *notes]
    data_sha256, order = table.sha256, _order_column(data)
    del table, frame
    own_test = split.test if data.test_path is None else split.test[:0]
    parts = [split.train, split.validation, own_test]
    train, validation, test = fitted.take_samples(parts, order)
    test_sha256 = None
    if data.test_path is not None:
        matched = read_new_table(preprocessing, Path(data.test_path), table_format, "scored")
        other, test_sha256 = matched.table, matched.sha256
        test_rows = other.scorable_rows()
        needed = "target or history" if data.lags else "target"
        if len(test_rows) == 0:
            raise DataError(f"{data.test_path}: every row lacks its {needed}; add rows to score")
        test = other.samples(test_rows, order)
        left_out["marked as test, where data.test_path is given"] = len(split.test)
        split = replace(split, test=np.arange(len(test)))
        left_out[f"no {needed} in data.test_path"] = len(other.frame) - len(test)
    is_class = isinstance(preprocessing.target, prep.ClassTarget)
    if is_class and (unseen := int((test.classes < 0).sum())):
        notes.append(f"test rows of a class that no training row has, counted wrong: {unseen}")
    counted = {**left_out, **split.left_out}
    counts = [f"rows left out, {reason}: {count}" for reason, count in counted.items() if count]
    return TrainingData(
        config=resolved,
        preprocessing=preprocessing,
        split=split,
        data_path=path.absolute(),
        data_sha256=data_sha256,
        test_sha256=test_sha256,
        notes=(*notes, *counts),
        unused=_unused(header, selection, preprocessing),
        train=train,
        validation=validation,
        test=test,
        folds=folds,
    )


def _order_column(data: schema.Data) -> str | None:
    """Return the column that says which rows come after which, if there is one."""
    if data.order_by is not None:
        return data.order_by
    match data.split:
        case (
            schema.ColumnSplit(validation_from=None, test_from=None)
            | schema.FractionSplit()
            | schema.KFoldSplit()
        ):
            return None
        case schema.ColumnSplit(column=column):
            return column
        case _:
            assert_never(data.split)


def _unused(
    header: Header, selection: Selection, preprocessing: prep.Preprocessing
) -> tuple[str, ...]:
    used = {feature.name for feature in preprocessing.features}
    used |= {*selection.targets, *selection.extra}
    return tuple(name for name in header.names if name not in used)


def with_config(problem: TrainingData, config: schema.Config, locate: Locate) -> TrainingData:
    """Return the problem with another config, of the same data and the same task.

    Raises ConfigError where that does not fit the data.
    """
    assert problem.config.task != "auto"
    return replace(problem, config=resolve_config(config, problem.config.task, locate))


def _name_notes(header: Header) -> list[str]:
    """Say how names that occur several times are told apart."""
    if not header.repeated:
        return []
    names = next(iter(header.repeated.values()))
    more = f", and {len(header.repeated) - 1} more" if len(header.repeated) > 1 else ""
    return [f"repeated column names are told apart: {', '.join(map(echo, names))}{more}"]


_SHOWN_LABELS = 8


def describe(problem: TrainingData) -> list[str]:
    """Say what is predicted, on how many rows, and what happens to the columns."""
    sizes = problem.split.sizes()
    target = problem.preprocessing.target
    rows = ", ".join(f"{count:,} {part}" for part, count in sizes.items())
    if problem.folds is not None:
        rows = f"{sizes['train']:,} in {len(problem.folds)} folds"
        rows += f", {sizes['test']:,} test" if sizes["test"] else ""
    names = ", ".join(map(echo, target.labels[:_SHOWN_LABELS]))
    if (more := len(target.labels) - _SHOWN_LABELS) > 0:
        names += f" and {more:,} more"
    if isinstance(target, ClassTarget):
        names = f"{echo(target.label)} ({names})"
    first = f"{problem.config.task} of {names}: rows {rows}"
    return [first, *bulleted([*describe_columns(problem.preprocessing), *problem.notes])]
