"""Cross-validation: deal rows out to folds.

Legend: S samples, given by their row numbers in the table.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data.groups import Codes, divide_at_random, group_codes
from ml2021.data.preprocessing.records import value_text
from ml2021.data.resolve import Selection
from ml2021.data.splits import Split, class_codes, share_of, shuffled, split_by_fraction
from ml2021.data.tables import Rows
from ml2021.errors import DataError
from ml2021.formatting import listed, plural

if TYPE_CHECKING:
    import pandas as pd


def split_rows_in_folds(
    config: schema.Config, frame: "pd.DataFrame", selection: Selection, rows: Rows
) -> tuple[list[Split], list[str]]:
    """Deal the samples `rows` (S,) out to the config's folds, stratified for classes.

    Returns a split for each fold, none if the config has no folds, and notes.
    """
    method = config.data.split
    if not isinstance(method, schema.KFoldSplit):
        return [], []
    classes, notes = None, []
    if config.task == "classification":
        classes = class_codes(frame, selection, rows)
        counts = frame[selection.targets[0]].iloc[rows].value_counts().sort_index()
        if rare := counts.index[counts < method.folds].tolist():
            notes.append(
                f"classes with fewer than {method.folds} rows, so some folds hold none out: "
                f"{listed(map(value_text, rare))}"
            )
    group_by = config.data.group_by
    splits = split_in_folds(
        rows,
        folds=method.folds,
        validation=method.validation,
        seed=method.seed,
        classes=classes,
        groups=None if group_by is None else group_codes(frame[group_by].iloc[rows]),
    )
    return splits, notes


def split_in_folds(
    rows: Rows,
    *,
    folds: int,
    validation: float,
    seed: int,
    classes: NDArray[np.int64] | None = None,
    groups: Codes | None = None,
) -> list[Split]:
    """Deal `rows` (S,) out to folds. Each fold tests in one split, in which the others train.

    The folds differ by at most one row in size, and in their rows of each class of `classes` (S,);
    with `groups` (S,), as little as whole groups allow.
    The fraction `validation` of each split's other rows validates, drawn for each fold on its own.
    Raises DataError if a fold has no row, a fraction above 0 gives no validation row, or no row is
    left to train.
    """
    if groups is not None:
        return _split_groups_in_folds(rows, folds, validation, seed, classes, groups)
    count = len(rows)
    if folds > count:
        what = f"{folds} folds need at least {folds} usable rows, not {count}"
        raise DataError(f"data.split.folds: {what}; lower it")
    order = np.random.default_rng(seed).permutation(count)
    if classes is not None:  # deal class after class, each shuffled, like cards
        order = order[np.argsort(classes[order], kind="stable")]
    splits = []
    for fold in range(folds):
        others = np.delete(np.arange(count), order[fold::folds])
        outside = f"the {plural(len(others), 'row')} outside a fold"
        n_validation = share_of("validation", validation, len(others), outside)
        if n_validation == len(others):
            raise DataError(
                f"data.split.folds: {folds} folds of {plural(count, 'usable row')} leave none to "
                "train; lower data.split.validation, or raise data.split.folds"
            )
        drawn = shuffled(len(others), [seed, fold], None if classes is None else classes[others])
        validation_rows, train_rows = np.split(rows[others[drawn]], [n_validation])
        held_out = rows[order[fold::folds]]
        splits.append(Split(np.sort(train_rows), np.sort(validation_rows), np.sort(held_out)))
    return splits


def _split_groups_in_folds(
    rows: Rows,
    folds: int,
    validation: float,
    seed: int,
    classes: NDArray[np.int64] | None,
    groups: Codes,
) -> list[Split]:
    """Deal whole groups out to folds, as `split_in_folds`."""
    if (found := len(np.unique(groups))) < folds:
        what = f"{folds} folds need at least {folds} groups of data.group_by, not {found}"
        raise DataError(f"data.split.folds: {what}; lower it, or remove data.group_by")
    fold_of = divide_at_random(groups, [1.0] * folds, seed, classes)
    splits = []
    for fold in range(folds):
        is_outside = fold_of != fold
        if validation > 0 and len(np.unique(groups[is_outside])) == 1:
            raise DataError(
                f"data.split.folds: with {folds} folds of {plural(found, 'group')} one fold leaves "
                "a single group to train and validate; raise it, or set data.split.validation to "
                "0.0"
            )
        outside = split_by_fraction(
            rows[is_outside],
            "random" if classes is None else "stratified",
            validation=validation,
            test=0.0,
            seed=[seed, fold],
            classes=None if classes is None else classes[is_outside],
            groups=groups[is_outside],
        )
        splits.append(replace(outside, test=rows[~is_outside]))
    return splits
