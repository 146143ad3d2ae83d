"""Of what kind each column is, and which task that makes.

Inferred from all rows of the table, so that it does not depend on the split. What is learned from
training rows alone, means, categories, classes, is left to `ml2021.data.preprocessing.fit`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml2021.config.schema import Task
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

_NUMBER = r"\s*[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?\s*"


@dataclass(frozen=True)
class FeatureColumn:
    """A feature and its kind. Categories are compared as they are stored, as number or as text.

    The pixel-like columns of one `group` are numbers that share a scale.
    """

    name: str
    kind: ColumnType
    group: str | None = None


@dataclass(frozen=True)
class ColumnTypes:
    """What the table holds for this model: the kept features, the task, and notes for the user."""

    features: tuple[FeatureColumn, ...]
    task: Task
    notes: tuple[str, ...]


def infer_column_types(
    frame: "pd.DataFrame",
    selection: Selection,
    *,
    task: Literal["auto", "regression", "classification", "structured"],
    lags: int,
) -> ColumnTypes:
    """Infer the kind of every feature, and the task. Raises DataError where they do not fit."""
    notes: list[str] = []
    features: list[FeatureColumn] = []
    dropped: dict[str, list[str]] = {}
    pixels = _pixel_groups(frame, selection.features)
    for group in dict.fromkeys(pixels.values()):
        notes.append(f"{echo(group)}* are taken for pixels: numbers that share one scale")
    for name in selection.features:
        if name in pixels:
            features.append(FeatureColumn(name, "number", pixels[name]))
            continue
        kind, reason = _feature_type(frame[name])
        if kind is None:
            dropped.setdefault(reason, []).append(name)
        else:
            features.append(FeatureColumn(name, kind))
    for reason, names in dropped.items():
        notes.append(f"left out: {listed(names)} ({reason})")
    for name in selection.features:
        if (count := _numbers_in_text(frame[name])) > 0:
            notes.append(
                f"{count} of {frame[name].count()} values of {echo(name)} are numbers, and it is "
                "taken for text; list the others in data.missing if they mean missing"
            )
    if identifiers := [f.name for f in features if f.kind == "number" and _counts(frame[f.name])]:
        notes.append(
            f"{listed(identifiers)} counts the rows; if it only names them, add it to data.exclude"
        )
    if not features and not lags:
        raise DataError(
            f"{selection.targets[0]}: no column is left to predict it from; "
            "see data.features and data.exclude"
        )
    if lags and features:
        notes.append(
            f"{listed([f.name for f in features])} of the predicted row itself must be known when "
            "predicting, beside the history; data.exclude leaves columns out"
        )
    return ColumnTypes(tuple(features), _infer_task(frame, selection, task, notes), tuple(notes))


def _feature_type(column: "pd.Series") -> tuple[ColumnType | None, str]:
    """Return a feature's kind, or None and the reason to leave it out."""
    present = column.dropna()
    if is_number(column):
        values = np.unique(present.to_numpy(np.float64))
        if values.size == 0:
            return None, "no value at all"
        is_category = values.size == 2 and len(present) > 2  # of two rows, nothing tells
        return ("category", "") if is_category else ("number", "")
    values = present.unique()
    if is_date(values):
        return None, "dates or times"
    if len(values) > _FEW_CLASSES and len(values) > 0.5 * len(present):
        return None, "text with nearly a value per row"
    return "category", ""


def _numbers_in_text(column: "pd.Series") -> int:
    """Return how many cells of a text column are numbers, 0 where it is fewer than half."""
    if is_number(column):
        return 0
    present = column.dropna()
    count = int(present.str.fullmatch(_NUMBER).sum())
    return count if count >= 0.5 * len(present) else 0


def _pixel_groups(frame: "pd.DataFrame", names: Sequence[str]) -> dict[str, str]:
    """Return name -> stem for columns that look like the pixels of one image.

    At least 16 columns of numbers whose names are one stem and a number, all whole from 0 to 255 or
    all from 0 to 1, not all of them two-valued (those may be one-hot columns).
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        if (match := _NUMBERED.fullmatch(name)) and is_number(frame[name]):
            groups.setdefault(match[1], []).append(name)
    found = {}
    for stem, members in groups.items():
        if len(members) >= _FEWEST_PIXELS and _are_pixels(frame, members):
            found.update(dict.fromkeys(members, stem))
    return found


def _are_pixels(frame: "pd.DataFrame", members: Sequence[str]) -> bool:
    """Whether the columns hold pixels, looked at one by one until one of them does not."""
    are_whole = are_shares = True
    seen: set[float] = set()
    for name in members:
        values = frame[name].to_numpy(np.float64)
        known = values[~np.isnan(values)]
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
    """Whether the column goes up by exactly 1 from row to row."""
    values = column.to_numpy(np.float64)
    return len(values) > _FEW_CLASSES and bool((np.diff(values) == 1).all())


def _check_classes(column: "pd.Series") -> None:
    """Refuse a text target with nearly a class per row. Raises DataError."""
    present = column.dropna()
    classes = present.nunique()
    if classes > _FEW_CLASSES and classes > 0.5 * len(present):
        raise DataError(
            f"column '{echo(column.name)}' has {classes} different texts in {len(present)} rows, "
            "too many to be classes; choose another data.target"
        )


def _infer_task(
    frame: "pd.DataFrame",
    selection: Selection,
    task: Literal["auto", "regression", "classification", "structured"],
    notes: list[str],
) -> Task:
    """Return the task; DataError where the targets cannot serve the one that is asked for."""
    texts = [name for name in selection.targets if not is_number(frame[name])]
    if len(selection.targets) > 1:
        if texts:
            raise DataError(
                f"column '{echo(texts[0])}' is text, and a structured output is made of numbers; "
                "leave it out of data.target"
            )
        return "structured"
    (name,) = selection.targets
    column = frame[name]
    if texts:
        if task in ("regression", "structured"):
            raise DataError(
                f"column '{echo(name)}' is text and task: {task} predicts numbers; "
                "set task: classification, or leave the key out"
            )
        _check_classes(column)
        return "classification"
    if task in ("regression", "classification", "structured"):
        return task
    values = np.unique(column.dropna().to_numpy(np.float64))
    if values.size == 2:
        notes.append(f"{echo(name)} has two values: classification; task: regression overrides it")
        return "classification"
    if 2 < values.size <= _FEW_CLASSES and bool((values == np.round(values)).all()):
        notes.append(
            f"{echo(name)} has {values.size} different whole numbers and is predicted as a number; "
            "set task: classification if they are classes"
        )
    return "regression"
