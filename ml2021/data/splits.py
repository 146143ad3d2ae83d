"""Which rows train, validate and test.

A split is drawn from its own seed and from nothing else, so that runs with other seeds, models and
losses are scored on the same rows. Legend: S samples, given by their row numbers in the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data.preprocessing import records as prep
from ml2021.data.preprocessing.transform import encode_classes
from ml2021.data.resolve import Selection
from ml2021.data.series import date_key, sort_keys
from ml2021.data.tables import is_number
from ml2021.errors import DataError
from ml2021.formatting import echo, listed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Split:
    """Disjoint rows of one table, each sorted. `left_out` counts the others, by reason."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def sizes(self) -> dict[str, int]:
        """Return how many rows each part has."""
        return {
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
        }


def split_by_fraction(
    rows: NDArray[np.int64],
    method: Literal["random", "stratified", "sequential"],
    *,
    validation: float,
    test: float,
    seed: int,
    classes: NDArray[np.int64] | None = None,
) -> Split:
    """Give the fractions of `rows` (S,) to validation and test, and the rest to training.

    random: by a permutation. stratified: so that each class of `classes` (S,) has about its share
    of each part, of two classes to within a row. sequential: the last rows test, the ones before
    them validate.
    Raises DataError where a fraction above 0 gives no row, or none is left to train.
    """
    count = len(rows)
    n_test, n_validation = round(count * test), round(count * validation)
    for name, fraction, n in (("test", test, n_test), ("validation", validation, n_validation)):
        if fraction > 0 and n == 0:
            raise DataError(
                f"data.split.{name}: {fraction} of {count} rows is no row; "
                "raise it, or set it to 0.0"
            )
    if count - n_test - n_validation < 1:
        raise DataError(
            f"{count} usable rows leave none to train; lower data.split.validation or "
            "data.split.test"
        )
    match method:
        case "sequential":
            order = np.arange(count)[::-1]
        case "random":
            order = np.random.default_rng(seed).permutation(count)
        case "stratified":
            assert classes is not None
            order = _stratified_order(classes, seed)
    return Split(
        train=np.sort(rows[order[n_test + n_validation :]]),
        validation=np.sort(rows[order[n_test : n_test + n_validation]]),
        test=np.sort(rows[order[:n_test]]),
    )


def _stratified_order(classes: NDArray[np.int64], seed: int | Sequence[int]) -> NDArray[np.int64]:
    """Return an order (S,) in which every stretch holds each class in about its share.

    Row number i of the n of a class, in random order, stands at (i + 1/2) / n of the way. Of a
    class with only a row or two, a small part at the beginning gets none.
    """
    shuffled = np.random.default_rng(seed).permutation(len(classes))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    _, counts = np.unique(classes, return_counts=True)
    place = np.concatenate([(np.arange(n) + 0.5) / n for n in counts])
    return by_class[np.argsort(place, kind="stable")]


def split_in_folds(
    rows: NDArray[np.int64],
    *,
    folds: int,
    validation: float,
    seed: int,
    classes: NDArray[np.int64] | None = None,
) -> list[Split]:
    """Deal `rows` (S,) out to folds; each is the test part of one split, in which the others train.

    The folds differ by at most a row in size, and by at most a row in how many they have of each
    class of `classes` (S,). Of the rows that a fold leaves for training, the fraction `validation`
    is held back, by a draw of its own, so that folds of one size validate on equally many.
    Raises DataError where a fold would have no row, a fraction above 0 gives none to validation, or
    none is left to train.
    """
    count = len(rows)
    if folds > count:
        raise DataError(
            f"data.split.folds: {folds} folds of {count} usable rows leave a fold without a row; "
            "lower it"
        )
    order = np.random.default_rng(seed).permutation(count)
    if classes is not None:  # class after class, each in random order, like cards to the folds
        order = order[np.argsort(classes[order], kind="stable")]
    splits = []
    for fold in range(folds):
        held_out = np.sort(order[fold::folds])
        others = np.delete(np.arange(count), held_out)
        n_validation = round(len(others) * validation)
        if validation > 0 and n_validation == 0:
            raise DataError(
                f"data.split.validation: {validation} of the {len(others)} rows beside a fold is "
                "no row; raise it, or set it to 0.0"
            )
        if n_validation == len(others):
            raise DataError(
                f"data.split.folds: {folds} folds of {count} usable rows leave none to train; "
                "lower data.split.validation, or raise data.split.folds"
            )
        if classes is None:
            drawn = np.random.default_rng([seed, fold]).permutation(len(others))
        else:
            drawn = _stratified_order(classes[others], [seed, fold])
        splits.append(
            Split(
                train=np.sort(rows[others[drawn[n_validation:]]]),
                validation=np.sort(rows[others[drawn[:n_validation]]]),
                test=rows[held_out],
            )
        )
    return splits


def split_by_label(rows: NDArray[np.int64], labels: NDArray[np.object_], column: str) -> Split:
    """Split by a column that holds train, validation or test for each of `rows` (S,).

    NDArray[np.int64] without a value are left out, counted.
    """
    known = np.array([isinstance(label, str) for label in labels], bool)
    split = Split(
        train=rows[labels == "train"],
        validation=rows[labels == "validation"],
        test=rows[labels == "test"],
        left_out={f"no value in {echo(column)}": int((~known).sum())},
    )
    if sum(split.sizes().values()) < known.sum():
        odd = next(label for label in labels[known] if label not in split.sizes())
        raise DataError(
            f"column '{echo(column)}', used as data.split.column, holds '{echo(odd)}'; it takes "
            "train, validation or test, or set data.split.validation_from and test_from"
        )
    return _checked(split, column)


def split_by_threshold(
    rows: NDArray[np.int64],
    keys: np.ndarray,
    column: str,
    validation_from: str | float | None,
    test_from: str | float | None,
) -> Split:
    """Split by a column's `sort_keys` (S,): from a threshold on, and below it.

    NDArray[np.int64] without a value are left out, counted.
    """
    is_text = keys.dtype.kind == "U"
    known = keys != "" if is_text else ~np.isnan(keys)
    reached = {}
    for name, value in (("validation_from", validation_from), ("test_from", test_from)):
        if value is None:
            reached[name] = np.zeros(len(rows), bool)
            continue
        threshold = date_key(value) if isinstance(value, str) else value
        if threshold is None or isinstance(threshold, str) != is_text:
            kind = "dates like 2021-03-31" if is_text else "numbers"
            raise DataError(
                f"data.split.{name} is '{echo(value)}', and column '{echo(column)}' holds {kind}; "
                "give it in the same form"
            )
        reached[name] = keys >= threshold  # which no missing value is
    in_test = reached["test_from"]
    if validation_from is not None and bool((in_test & ~reached["validation_from"]).any()):
        raise DataError(
            f"data.split.validation_from '{echo(validation_from)}' comes after test_from "
            f"'{echo(test_from)}'; the validation rows stand before the test rows"
        )
    in_validation = reached["validation_from"] & ~in_test
    split = Split(
        train=rows[known & ~in_test & ~in_validation],
        validation=rows[in_validation],
        test=rows[in_test],
        left_out={f"no value in {echo(column)}": int((~known).sum())},
    )
    if validation_from is not None and len(split.validation) == 0:
        raise DataError(f"data.split.validation_from: no row from '{echo(validation_from)}' on")
    if test_from is not None and len(split.test) == 0:
        raise DataError(f"data.split.test_from: no row from '{echo(test_from)}' on")
    return _checked(split, column)


def _checked(split: Split, column: str) -> Split:
    if len(split.train) == 0:
        raise DataError(f"data.split: column '{echo(column)}' gives no row to training")
    return split


def without_overlap(split: Split, horizon: int) -> Split:
    """Leave out the samples whose target shares a row with the target of a later part.

    The target of row t is rows t to t + horizon − 1; without this, a training target would hold
    values that validation or test is scored on. Raises DataError where nothing is left of a part.
    """
    if horizon == 1:
        return split

    def before(rows: NDArray[np.int64], later: NDArray[np.int64]) -> NDArray[np.int64]:
        begun = np.searchsorted(later, rows - horizon, side="right")
        reached = np.searchsorted(later, rows + horizon, side="left")
        kept: NDArray[np.int64] = rows[reached == begun]
        return kept

    later = np.sort(np.concatenate([split.validation, split.test]))
    train, validation = before(split.train, later), before(split.validation, split.test)
    dropped = len(split.train) + len(split.validation) - len(train) - len(validation)
    for name, full, kept in (
        ("training", split.train, train),
        ("validation", split.validation, validation),
    ):
        if len(full) and not len(kept):
            raise DataError(
                f"data.split: the {horizon} values of each {name} row's target reach into the next "
                f"part; give {name} more rows in a row, or lower data.horizon"
            )
    left_out = {**split.left_out, "target reaches into the next part": dropped}
    return Split(train, validation, split.test, left_out)


def split_rows(
    config: schema.Config, frame: "pd.DataFrame", selection: Selection, rows: NDArray[np.int64]
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


def _class_codes(
    frame: "pd.DataFrame", selection: Selection, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return a number (S,) for the class of each of these rows."""
    import pandas as pd

    codes, _ = pd.factorize(frame[selection.targets[0]].iloc[rows], sort=True)
    return codes.astype(np.int64)


def fold_splits(
    config: schema.Config, frame: "pd.DataFrame", selection: Selection, rows: NDArray[np.int64]
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
                f"out: {listed(rare)}"
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
