"""Which rows of a table are samples, and which of them train, validate and test.

The config says so; how rows are dealt out is in `ml2021.data.splits`. Making numbers of them is
left to `ml2021.problem`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data import preprocessing as prep
from ml2021.data.columns import Selection
from ml2021.data.dates import series_notes, sort_keys
from ml2021.data.encoding import encode_classes
from ml2021.data.kinds import is_date, some
from ml2021.data.splits import (
    Split,
    split_by_fraction,
    split_by_label,
    split_by_threshold,
    split_in_folds,
    without_overlap,
)
from ml2021.data.tables import is_number
from ml2021.data.windows import complete_windows
from ml2021.errors import DataError, echo

if TYPE_CHECKING:
    import pandas as pd

Rows = NDArray[np.int64]


def usable_rows(
    frame: "pd.DataFrame", selection: Selection, data: schema.Data
) -> tuple[Rows, dict[str, int]]:
    """Return the rows that can be samples, and how many are left out, by reason."""
    if data.lags:
        series = frame[selection.targets[0]].to_numpy(np.float64)
        rows = complete_windows(series, data.lags, data.horizon)
        ends = min(data.lags + data.horizon - 1, len(series))
        reasons = {
            f"too near the ends for {data.lags} lags": ends,
            "a gap in the history or the target": len(series) - ends - len(rows),
        }
    else:
        present = frame[list(selection.targets)].notna().all(axis=1).to_numpy()
        rows = np.flatnonzero(present)
        reasons = {"no target": len(frame) - len(rows)}
    if len(rows) < 2:
        counted = ", ".join(f"{reason}: {n}" for reason, n in reasons.items() if n)
        raise DataError(
            f"{len(rows)} of {len(frame)} rows can be used ({counted or 'there are no more'}); "
            "training needs at least 2"
        )
    return rows, reasons


def split_rows(
    config: schema.Config, frame: "pd.DataFrame", selection: Selection, rows: Rows
) -> Split:
    """Deal the samples `rows` (S,) out to the parts, by the method of the resolved config."""
    data, method = config.data, config.data.split
    if isinstance(method, schema.KFoldSplit):
        none = np.empty(0, np.int64)
        split = Split(train=rows, validation=none, test=none)  # the folds are beside it
    elif isinstance(method, schema.FractionSplit):
        assert method.method != "auto"
        is_stratified = method.method == "stratified"
        split = split_by_fraction(
            rows,
            method.method,
            validation=method.validation,
            test=method.test,
            seed=method.seed,
            classes=_class_codes(frame, selection, rows) if is_stratified else None,
        )
    else:
        column = frame[method.column].iloc[rows]
        if method.validation_from is None and method.test_from is None:
            if is_number(column):
                raise DataError(
                    f"column '{echo(method.column)}', used as data.split.column, holds numbers; "
                    "set data.split.validation_from and test_from"
                )
            split = split_by_label(rows, column.to_numpy(object), method.column)
        else:
            keys = sort_keys(column, "data.split.column")
            split = split_by_threshold(
                rows, keys, method.column, method.validation_from, method.test_from
            )
    return without_overlap(split, data.horizon)


def _class_codes(frame: "pd.DataFrame", selection: Selection, rows: Rows) -> Rows:
    """Return a number (S,) for the class of each of these rows."""
    import pandas as pd

    codes, _ = pd.factorize(frame[selection.targets[0]].iloc[rows], sort=True)
    return codes.astype(np.int64)


def fold_splits(
    config: schema.Config, frame: "pd.DataFrame", selection: Selection, rows: Rows
) -> tuple[list[Split], list[str]]:
    """Deal the samples `rows` (S,) out to the folds of the resolved config, stratified for classes.

    Without folds there are none. Also return notes.
    """
    method = config.data.split
    if not isinstance(method, schema.KFoldSplit):
        return [], []
    classes, notes = None, []
    if config.task == "classification":
        classes = _class_codes(frame, selection, rows)
        values, counts = np.unique(
            frame[selection.targets[0]].iloc[rows].to_numpy(object), return_counts=True
        )
        rare = [prep.value_text(v) for v, n in zip(values, counts, strict=True) if n < method.folds]
        if rare:
            notes.append(
                f"classes with fewer rows than the {method.folds} folds, so that some hold none "
                f"out: {some(rare)}"
            )
    splits = split_in_folds(
        rows, folds=method.folds, validation=method.validation, seed=method.seed, classes=classes
    )
    return splits, notes


def without_unseen(split: Split, target: prep.ClassTarget, frame: "pd.DataFrame") -> Split:
    """Leave out validation rows of a class that no training row has: they have no loss."""
    seen = encode_classes(target, frame[target.name].iloc[split.validation]) >= 0
    reason = "validation rows of a class that no training row has"
    left_out = {**split.left_out, reason: int((~seen).sum())}
    return replace(split, validation=split.validation[seen], left_out=left_out)


def notes_on_order(frame: "pd.DataFrame", selection: Selection, data: schema.Data) -> list[str]:
    """Say where the rows are not one step apart, or not in the order of a date column."""
    if not data.lags:
        return []
    if data.order_by is not None:
        keys = sort_keys(frame[data.order_by], "data.order_by")
        return series_notes(keys, data.order_by, is_sorted_by=True)
    notes = []
    for name in (*selection.features, *selection.extra):
        if not is_number(frame[name]) and is_date(frame[name].dropna().unique()):
            try:
                keys = sort_keys(frame[name], "a date")
            except DataError:
                continue
            notes += series_notes(keys, name, is_sorted_by=False)
    return notes
