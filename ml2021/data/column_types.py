"""Infer the type of each feature column, and the task from the target columns.

All rows of the table count, so that the types do not depend on the split. What may only be learned
from training rows (means, categories, classes) is in `ml2021.data.preprocessing.fit`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml2021.config.schema import Task
from ml2021.data.labels import notes_on_labels, why_identifiers
from ml2021.data.resolve import Selection
from ml2021.data.series import is_date
from ml2021.data.tables import is_number
from ml2021.errors import DataError
from ml2021.formatting import echo, listed

if TYPE_CHECKING:
    import pandas as pd

ColumnType = Literal["number", "category"]
_FEW_CLASSES = 20
_FEWEST_PIXELS = 16
_NUMBERED = re.compile(r"(.*?)\d+")


@dataclass(frozen=True)
class FeatureColumn:
    """A feature and its type. The pixel columns of one `group` are numbers that share a scale."""

    name: str
    type: ColumnType
    group: str | None = None


@dataclass(frozen=True)
class ColumnTypes:
    """The features with a type, the task, and notes for the user."""

    features: tuple[FeatureColumn, ...]
    task: Task
    notes: tuple[str, ...]


def infer_column_types(
    frame: "pd.DataFrame",
    selection: Selection,
    *,
    task: Literal["auto", "regression", "classification", "structured"],
    lags: int,
    max_categories: int,
) -> ColumnTypes:
    """Infer the type of every feature, and the task.

    Raises DataError if no feature is left, or the targets do not fit the task.
    """
    features: list[FeatureColumn] = []
    excluded: dict[str, list[str]] = {}
    pixels = _pixel_groups(frame, selection.features)
    notes = [
        f"{echo(group)}* are treated as pixels: numbers that share one scale"
        for group in dict.fromkeys(pixels.values())
    ]
    for name in selection.features:
        is_pixel = name in pixels
        found = ("number", "") if is_pixel else _feature_type(frame[name], max_categories)
        column_type, reason = found
        if column_type is None:
            excluded.setdefault(reason, []).append(name)
        else:
            features.append(FeatureColumn(name, column_type, pixels.get(name)))
    notes += [f"excluded: {listed(names)} ({reason})" for reason, names in excluded.items()]
    for feature in features:
        if feature.type == "category" and not is_number(column := frame[feature.name]):
            notes += notes_on_labels(feature.name, column.dropna().unique(), "categories")
    if counters := [f.name for f in features if f.type == "number" and _counts(frame[f.name])]:
        looks = "looks like a row number" if len(counters) == 1 else "look like row numbers"
        notes.append(f"{listed(counters)} {looks}; list identifiers in data.exclude")
    if not features and not lags:
        raise DataError(
            f"{echo(selection.targets[0])}: no column is left to predict it from; "
            "see data.features and data.exclude"
        )
    if lags and features:
        come = "comes" if len(features) == 1 else "come"
        notes.append(
            f"{listed([f.name for f in features])} {come} from the predicted row and must be known "
            "at prediction time; exclude what is not with data.exclude"
        )
    return ColumnTypes(tuple(features), _infer_task(frame, selection, task, notes), tuple(notes))


def _feature_type(column: "pd.Series", max_categories: int) -> tuple[ColumnType | None, str]:
    """Return a feature's type, or None and the reason to exclude it."""
    present = column.dropna()
    if is_number(column):
        values = np.unique(present.to_numpy(np.float64))
        if values.size == 0:
            return None, "no values"
        is_category = values.size == 2 and len(present) > 2  # two rows are too few to tell
        return ("category" if is_category else "number"), ""
    if is_date(present.unique()):
        return None, "dates or times"
    if why := why_identifiers(present, max_categories):
        return None, why
    return "category", ""


def _pixel_groups(frame: "pd.DataFrame", names: Sequence[str]) -> dict[str, str]:
    """Return the common stem of the names of each column that looks like a pixel of an image.

    These are at least 16 columns of numbers, named by one stem and a number, all integers from 0 to
    255 or all from 0 to 1, and with more than two values (otherwise they may be one-hot columns).
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        if (match := _NUMBERED.fullmatch(name)) and is_number(frame[name]):
            groups.setdefault(match[1], []).append(name)
    return {
        name: stem
        for stem, members in groups.items()
        if len(members) >= _FEWEST_PIXELS and _are_pixels(frame, members)
        for name in members
    }


def _are_pixels(frame: "pd.DataFrame", members: Sequence[str]) -> bool:
    """Whether the columns hold pixels; stops at the first that does not."""
    are_whole = are_shares = True
    seen: set[float] = set()
    for name in members:
        known = frame[name].dropna().to_numpy(np.float64)
        if known.size == 0:
            continue
        highest = known.max()
        are_shares = are_shares and highest <= 1
        are_whole = are_whole and highest <= 255 and bool((known == np.floor(known)).all())
        if known.min() < 0 or not (are_whole or are_shares):
            return False
        if len(seen) <= 2:
            seen.update(np.unique(known)[:3].tolist())
    return len(seen) > 2


def _counts(column: "pd.Series") -> bool:
    """Whether the column increases by exactly 1 from row to row."""
    values = column.to_numpy(np.float64)
    return len(values) > _FEW_CLASSES and bool((np.diff(values) == 1).all())


def _infer_task(
    frame: "pd.DataFrame",
    selection: Selection,
    task: Literal["auto", "regression", "classification", "structured"],
    notes: list[str],
) -> Task:
    """Return the task. Raises DataError if the targets do not fit the task of the config."""
    texts = [name for name in selection.targets if not is_number(frame[name])]
    if len(selection.targets) > 1:
        if texts:
            raise DataError(
                f"column '{echo(texts[0])}' is text, but a structured output is made of numbers; "
                "remove it from data.target"
            )
        return "structured"
    (name,) = selection.targets
    column = frame[name]
    if texts:
        if task not in ("auto", "classification"):
            raise DataError(
                f"column '{echo(name)}' is text, but task: {task} predicts numbers; "
                "set task: classification, or remove the key"
            )
        labels, count = column.dropna().unique(), column.count()
        if len(labels) > max(_FEW_CLASSES, 0.5 * count):
            raise DataError(
                f"column '{echo(name)}' has {len(labels)} distinct texts in {count} rows, "
                "too many for classes; choose another data.target"
            )
        notes += notes_on_labels(name, labels, "classes")
        return "classification"
    if task != "auto":
        return task
    values = np.unique(column.dropna().to_numpy(np.float64))
    if values.size == 2:
        notes.append(
            f"{echo(name)} has two values, so the task is classification; "
            "set task: regression to predict numbers"
        )
        return "classification"
    if 2 < values.size <= _FEW_CLASSES and bool((values == np.round(values)).all()):
        notes.append(
            f"{echo(name)} has {values.size} distinct integers and is predicted as a number; "
            "set task: classification if they are classes"
        )
    return "regression"
