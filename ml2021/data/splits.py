"""Split rows into training, validation and test rows.

A split depends on its own seed alone, so that runs with other seeds, models and losses are scored
on the same rows. Legend: S samples, given by their row numbers in the table.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data.groups import Codes, divide_at_random, divide_in_order, group_codes
from ml2021.data.preprocessing.records import ClassTarget, RealTargets, value_text
from ml2021.data.preprocessing.transform import encode_classes
from ml2021.data.resolve import Selection
from ml2021.data.series import fill_gaps, sort_keys, to_moments
from ml2021.data.tables import Rows, is_number
from ml2021.disk import kept
from ml2021.errors import DataError
from ml2021.formatting import echo, listed, plural

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Split:
    """Disjoint rows of one table, each sorted. `left_out` counts the excluded rows by reason."""

    train: Rows
    validation: Rows
    test: Rows
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, Rows]:
        """The rows of each split by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def sizes(self) -> dict[str, int]:
        """Return the number of rows of each split."""
        return {name: len(rows) for name, rows in self.rows.items()}


def split_by_fraction(
    rows: Rows,
    method: Literal["random", "stratified", "sequential"],
    *,
    validation: float,
    test: float,
    seed: int | Sequence[int],
    classes: NDArray[np.int64] | None = None,
    groups: Codes | None = None,
) -> Split:
    """Give the fractions of `rows` (S,) to validation and test, and the rest to training.

    random: by a permutation. stratified: each class of `classes` (S,) has about its share of each
    split; with two classes, to within a row. sequential: the last rows test, those before validate.
    With `groups` (S,) no group is divided; sequential: the groups whose first rows are last test.
    Raises DataError if a fraction above 0 gives no row, or none is left to train.
    """
    count = len(rows)
    if groups is not None:
        found = len(np.unique(groups))
        shares = _shares(validation, test, found, f"data.group_by: {plural(found, 'group')}")
        if method == "sequential":
            parts = divide_in_order(_by_first_row(groups), [*shares.values()])
        else:
            strata = classes if method == "stratified" else None
            parts = divide_at_random(groups, [*shares.values()], seed, strata)
        return _of_parts(rows, parts, shares)
    n_test = share_of("test", test, count, plural(count, "row"), validation)
    n_validation = share_of("validation", validation, count, plural(count, "row"), test)
    if count - n_test - n_validation < 1:
        raise DataError(
            f"data.split: {plural(count, 'usable row')} leave none to train; lower "
            "data.split.validation or data.split.test"
        )
    if method == "sequential":
        order = np.arange(count)[::-1]
    else:
        order = shuffled(count, seed, classes if method == "stratified" else None)
    parts = np.zeros(count, np.int8)  # marks keep the rows in order, without sorting them
    parts[order[:n_test]] = 2
    parts[order[n_test : n_test + n_validation]] = 1
    return Split(*(kept(rows[parts == part]) for part in range(3)))


def split_series(
    rows: Rows, series: Codes, *, validation: float, test: float, order: "pd.Series | None" = None
) -> Split:
    """Give the last rows of each series to test, those before validate.

    series: (S,) the series of each of `rows` (S,), in a row. order: (S,) the column that orders
    them; all series are then cut at the same two values of it, the nearest to the fractions of all
    rows. Without it each series gives its fractions. Raises DataError if a fraction above 0 gives
    no row, or none is left to train.
    """
    if order is not None:
        moments = np.unique(sort_keys(order, "data.order_by"), return_inverse=True)[1]
        found = int(moments.max()) + 1
        shares = _shares(validation, test, found, f"data.order_by: {plural(found, 'value')}")
        return _of_parts(rows, divide_in_order(moments, [*shares.values()]), shares)
    _, first, lengths = np.unique(series, return_index=True, return_counts=True)
    left = np.repeat(first + lengths, lengths) - np.arange(len(rows))  # of its series, with itself
    in_test = np.rint(lengths * test)
    in_validation = np.rint(lengths * validation)
    longest = f"the {plural(int(lengths.max()), 'row')} of the longest series"
    for name, fraction, other in (("test", test, validation), ("validation", validation, test)):
        share_of(name, fraction, int(lengths.max()), longest, other)
    is_test = left <= np.repeat(in_test, lengths)
    is_validation = ~is_test & (left <= np.repeat(in_test + in_validation, lengths))
    if (is_test | is_validation).all():
        raise DataError(
            "data.split: the series are too short to leave rows to train; lower "
            "data.split.validation or data.split.test"
        )
    return Split(rows[~is_test & ~is_validation], rows[is_validation], rows[is_test])


def _shares(validation: float, test: float, found: int, what: str) -> dict[str, float]:
    """Return the fraction of each part that is not empty. Raises DataError if too few are found."""
    shares = {"train": 1 - validation - test, "validation": validation, "test": test}
    shares = {name: share for name, share in shares.items() if share > 0}
    if found < len(shares):
        without = [f"data.split.{name}: 0.0" for name in shares if name != "train"]
        remedy = (" and " if found == 1 else ", or set ").join(without)
        raise DataError(f"{what} cannot be divided into {listed(shares)}; set {remedy}")
    return shares


def _of_parts(rows: Rows, parts: Codes, names: Iterable[str]) -> Split:
    """Return the split by the part (S,) of each row, an index of `names`."""
    taken = {name: rows[parts == part] for part, name in enumerate(names)}
    return Split(taken["train"], taken.get("validation", rows[:0]), taken.get("test", rows[:0]))


def _by_first_row(groups: Codes) -> Codes:
    """Return the groups (S,) with codes by their first rows."""
    import pandas as pd

    return pd.factorize(groups)[0].astype(np.int64)


def share_of(name: str, fraction: float, count: int, counted: str, other: float = 0.0) -> int:
    """Return this fraction of the rows. Raises DataError if it is above 0 but gives no row.

    other: the fraction of the other split, which has a row, too, if there is one. A larger fraction
    is only named where it leaves two rows to train.
    """
    share = round(count * fraction)
    if fraction > 0 and share == 0:
        enough = float(f"{1 / count:.2g}")
        is_left = max(round(count * other), int(other > 0)) + 3 <= count and enough + other < 1
        remedy = f"{enough}, or 0.0 for none" if is_left else "0.0"
        raise DataError(
            f"data.split.{name}: {fraction} of {counted} is less than one row; "
            f"set data.split.{name}: {remedy}"
        )
    return share


def shuffled(
    count: int, seed: int | Sequence[int], classes: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Return 0 to count − 1 in random order; each slice has about its share of each class, if any.

    Row i of the n rows of a class, shuffled, is placed at the fraction (i + 1/2) / n of the order.
    A small slice at the beginning holds none of a class with one or two rows.
    """
    shuffled = np.random.default_rng(seed).permutation(count)
    if classes is None:
        return shuffled
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    _, counts = np.unique(classes, return_counts=True)
    place = np.concatenate([(np.arange(n) + 0.5) / n for n in counts])
    return by_class[np.argsort(place, kind="stable")]


def split_by_label(rows: Rows, labels: NDArray[np.object_], column: str) -> Split:
    """Split `rows` (S,) by their labels train, validation or test. Rows without one are excluded.

    Raises DataError for any other label, and if no row is left to train.
    """
    known = np.array([isinstance(label, str) for label in labels], bool)
    train, validation, test = (labels == name for name in ("train", "validation", "test"))
    if (odd := known & ~(train | validation | test)).any():
        raise DataError(
            f"column '{echo(column)}', used as data.split.column, holds '{echo(labels[odd][0])}'; "
            "use train, validation and test, or set data.split.validation_from and test_from"
        )
    return _split_by_column(rows, column, known, validation, test)


def split_by_threshold(
    rows: Rows,
    keys: np.ndarray,
    column: str,
    validation_from: str | float | None,
    test_from: str | float | None,
) -> Split:
    """Split `rows` (S,) by their `sort_keys` (S,): from each threshold on, rows validate or test.

    Rows without a value are excluded. Raises DataError for a threshold that is not of the column's
    type, or that leaves a split without rows.
    """
    import pandas as pd

    holds_dates = keys.dtype.kind == "M"
    reached = {}
    for name, value in (("validation_from", validation_from), ("test_from", test_from)):
        if value is None:
            reached[name] = np.zeros(len(rows), bool)
            continue
        is_text = isinstance(value, str)
        threshold: Any = value
        if isinstance(value, str):
            threshold = to_moments(pd.Series([value], dtype=object))[0]
        if is_text != holds_dates or (holds_dates and np.isnat(threshold)):
            held = "dates like 2021-03-31" if holds_dates else "numbers"
            raise DataError(
                f"data.split.{name} is '{echo(value)}', but column '{echo(column)}' holds {held}; "
                "give a value of that type"
            )
        if keys.dtype.kind in "iu":  # not as floats, which would round both
            threshold = math.ceil(threshold)
        reached[name] = keys >= threshold  # false for missing values
    in_test = reached["test_from"]
    if validation_from is not None and (in_test & ~reached["validation_from"]).any():
        raise DataError(
            f"data.split.validation_from '{echo(validation_from)}' is after test_from "
            f"'{echo(test_from)}'; validation must come before test"
        )
    in_validation = reached["validation_from"] & ~in_test
    if validation_from is not None and not in_validation.any():
        what = f"no validation row from '{echo(validation_from)}' on"
        raise DataError(f"data.split.validation_from: {what}; lower it")
    if test_from is not None and not in_test.any():
        raise DataError(f"data.split.test_from: no row from '{echo(test_from)}' on; lower it")
    return _split_by_column(rows, column, ~np.isnan(keys), in_validation, in_test)


def _split_by_column(
    rows: Rows,
    column: str,
    known: NDArray[np.bool_],
    validation: NDArray[np.bool_],
    test: NDArray[np.bool_],
) -> Split:
    """Return the split by masks (S,). Raises DataError if no row is left to train."""
    train = rows[known & ~validation & ~test]
    if len(train) == 0:
        raise DataError(
            f"data.split: column '{echo(column)}' leaves no row to train; change the column or its "
            "thresholds"
        )
    left_out = {f"no value in {echo(column)}": int((~known).sum())}
    return Split(train, rows[validation], rows[test], left_out)


def _refuse_divided(split: Split, groups: Codes, frame: "pd.DataFrame", data: schema.Data) -> None:
    """Raise DataError if a group has rows in two parts; `groups` (N,) are those of all rows."""
    assert data.group_by is not None
    assert isinstance(data.split, schema.ColumnSplit)
    part_of: dict[int, str] = {}
    for name, rows in split.rows.items():
        for code in np.unique(groups[rows]).tolist():
            if (other := part_of.setdefault(code, name)) != name:
                group = value_text(frame[data.group_by].iloc[int((groups == code).argmax())])
                raise DataError(
                    f"column '{echo(data.split.column)}', used as data.split.column, divides group "
                    f"'{echo(group)}' of data.group_by between {other} and {name}; give all its "
                    "rows one part, or remove data.group_by"
                )


def without_overlap(split: Split, horizon: int) -> Split:
    """Exclude the samples whose target overlaps the target of a later split.

    The target of row t is rows t to t + horizon − 1; otherwise a training target would contain
    values that validation or test is scored on. Raises DataError if nothing is left of a split.
    """
    if horizon == 1:
        return split

    def before(name: str, rows: Rows, later: Rows) -> Rows:
        begun = np.searchsorted(later, rows - horizon, side="right")
        reached = np.searchsorted(later, rows + horizon, side="left")
        kept: Rows = rows[reached == begun]
        if len(rows) and not len(kept):
            raise DataError(
                f"data.split: a horizon of {horizon} makes every {name} target overlap the next "
                "split; use larger splits, or lower data.horizon"
            )
        return kept

    later = np.sort(np.concatenate([split.validation, split.test]))
    train = before("training", split.train, later)
    validation = before("validation", split.validation, split.test)
    dropped = len(split.train) + len(split.validation) - len(train) - len(validation)
    left_out = {**split.left_out, "target overlaps the next split": dropped}
    return Split(train, validation, split.test, left_out)


def without_gaps_across(
    split: Split,
    series: NDArray[np.float64],
    filled: NDArray[np.float64],
    lags: int,
    groups: Codes | None,
) -> Split:
    """Exclude the samples with a filled gap in their history that lies between two parts.

    series, filled, groups: (N,) as in `complete_windows`. Raises DataError if nothing is left of a
    part.
    """
    parts = np.full(len(series), -1)
    for part, rows in enumerate(split.rows.values()):
        parts[rows] = part
    samples = np.flatnonzero(parts >= 0)
    cells = np.flatnonzero(np.isnan(series) & ~np.isnan(filled))
    cells = cells[(cells > samples[0]) & (cells < samples[-1])]
    after = np.searchsorted(samples, cells)
    before, behind = samples[after - 1], samples[after]
    is_across = parts[before] != parts[behind]
    if groups is not None:
        is_across &= (groups[before] == groups[cells]) & (groups[behind] == groups[cells])
    across = np.bincount(cells[is_across], minlength=len(series))
    begun = np.concatenate([[0], np.cumsum(across)])
    kept = {name: rows[begun[rows] == begun[rows - lags]] for name, rows in split.rows.items()}
    for name, rows in split.rows.items():
        if len(rows) and not len(kept[name]):
            raise DataError(
                f"data.gaps: every {name} row has a gap across two splits in its history; use "
                "larger splits, or set data.gaps to null"
            )
    dropped = len(samples) - sum(map(len, kept.values()))
    left_out = {**split.left_out, "a filled gap in the history lies between two splits": dropped}
    return Split(**kept, left_out=left_out)


def split_rows(
    config: schema.Config, frame: "pd.DataFrame", selection: Selection, rows: Rows
) -> Split:
    """Split the samples `rows` (S,) by the method of the resolved config."""
    data, method = config.data, config.data.split
    groups = None if data.group_by is None else group_codes(frame[data.group_by])
    if isinstance(method, schema.KFoldSplit):
        split = Split(rows, rows[:0], rows[:0])  # for the final model
    elif isinstance(method, schema.FractionSplit) and data.lags and groups is not None:
        order = None if data.order_by is None else frame[data.order_by].iloc[rows]
        split = split_series(
            rows, groups[rows], validation=method.validation, test=method.test, order=order
        )
    elif isinstance(method, schema.FractionSplit):
        assert method.method != "auto"
        is_stratified = method.method == "stratified"
        split = split_by_fraction(
            rows,
            method.method,
            validation=method.validation,
            test=method.test,
            seed=method.seed,
            classes=class_codes(frame, selection, rows) if is_stratified else None,
            groups=None if groups is None else groups[rows],
        )
    else:
        column = frame[method.column].iloc[rows]
        if method.validation_from is None and method.test_from is None:
            if is_number(column):
                raise DataError(
                    f"column '{echo(method.column)}', used as data.split.column, holds numbers; "
                    "set data.split.validation_from or test_from"
                )
            split = split_by_label(rows, column.to_numpy(object), method.column)
        else:
            keys = sort_keys(column, "data.split.column")
            split = split_by_threshold(
                rows, keys, method.column, method.validation_from, method.test_from
            )
        if groups is not None and not data.lags:
            _refuse_divided(split, groups, frame, data)
    split = without_overlap(split, data.horizon)
    if data.gaps is not None:
        series = frame[selection.targets[0]].to_numpy(np.float64)
        filled = fill_gaps(series, data.gaps.limit, groups)
        split = without_gaps_across(split, series, filled, data.lags, groups)
    return split


def class_codes(frame: "pd.DataFrame", selection: Selection, rows: Rows) -> NDArray[np.int64]:
    """Return the class of each of these rows as a number (S,)."""
    import pandas as pd

    codes, _ = pd.factorize(frame[selection.targets[0]].iloc[rows], sort=True)
    return codes.astype(np.int64)


def without_unseen(split: Split, target: RealTargets | ClassTarget, frame: "pd.DataFrame") -> Split:
    """Exclude validation rows whose class no training row has: they have no loss."""
    if isinstance(target, RealTargets):
        return split
    seen = encode_classes(target, frame[target.name].iloc[split.validation]) >= 0
    reason = "validation rows of a class without training rows"
    left_out = {**split.left_out, reason: int((~seen).sum())}
    return replace(split, validation=split.validation[seen], left_out=left_out)
