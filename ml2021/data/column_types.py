"""Infer the type of each feature column, and the task from the target columns.

All rows of the table count, so that the types do not depend on the split. What may only be learned
from training rows (means, categories, classes) is in `ml2021.data.preprocessing.fit`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml2021.config import schema
from ml2021.config.schema import DatePart, Task
from ml2021.data.dates import date_form, fit_dates
from ml2021.data.labels import notes_on_labels, why_identifiers
from ml2021.data.plausibility import far_codes, is_apart, looks_like_identifier, pixel_groups
from ml2021.data.preprocessing.checks import NUMBER_PARTS
from ml2021.data.preprocessing.records import DateFeature, DateForm
from ml2021.data.resolve import Selection
from ml2021.data.series import is_date
from ml2021.data.tables import Rows, is_number
from ml2021.errors import DataError
from ml2021.formatting import echo, listed, plural

if TYPE_CHECKING:
    import pandas as pd

ColumnType = Literal["number", "category", "date"]
_FEW_CLASSES = 20
_FEW_ROWS = 10
"""Tables so small may have a class in a single row."""
_MOST_LABELS = 100
"""Targets that may be labels; more are the pixels of an image, or a curve."""
_MOST_RANGES = 1_000_000
"""Distances in interquartile ranges that are worth a number to a reader."""


@dataclass(frozen=True)
class FeatureColumn:
    """A feature and its type. The pixel columns of one `group` are numbers that share a scale.

    form: how the dates of a "date" are written.
    """

    name: str
    type: ColumnType
    group: str | None = None
    form: DateForm | None = None


@dataclass(frozen=True)
class ColumnTypes:
    """The features with a type, the task, and notes for the user.

    excluded: the columns that are no features, by the reason.
    """

    features: tuple[FeatureColumn, ...]
    task: Task
    notes: tuple[str, ...]
    dates: tuple[DateFeature, ...] = ()
    excluded: Mapping[str, Sequence[str]] = field(default_factory=dict)


def infer_column_types(
    frame: "pd.DataFrame",
    selection: Selection,
    *,
    task: Literal["auto", "regression", "classification", "structured"],
    lags: int,
    max_categories: int,
    dates: Sequence[DatePart],
) -> ColumnTypes:
    """Infer the type of every feature, and the task.

    Raises DataError if no feature is left, or the targets do not fit the task.
    """
    features: list[FeatureColumn] = []
    excluded: dict[str, list[str]] = {}
    declared = selection.types
    guessed = [name for name in selection.features if name not in declared]
    pixels = pixel_groups(frame, guessed) | _declared_pixels(selection)
    notes = [
        f"{echo(group)}* are treated as pixels: numbers that share one scale"
        for group in dict.fromkeys(pixels.values())
    ]
    for name in selection.features:
        form = None
        column_type, reason = (
            ("number", "")
            if name in pixels
            else _feature_type(frame[name], max_categories, declared.get(name))
        )
        if column_type == "date":
            if dates:
                form, reason = date_form(frame[name].dropna().drop_duplicates())
            column_type = "date" if form is not None else None
        if column_type is None:
            excluded.setdefault(reason, []).append(name)
        else:
            features.append(FeatureColumn(name, column_type, pixels.get(name), form))
    notes += [f"excluded: {listed(names)} ({reason})" for reason, names in excluded.items()]
    for feature in features:
        if feature.type == "category" and not is_number(column := frame[feature.name]):
            notes += notes_on_labels(feature.name, column.dropna().unique(), "categories")
    if counters := [f.name for f in features if f.type == "number" and _counts(frame[f.name])]:
        looks = "looks like a row number" if len(counters) == 1 else "look like row numbers"
        notes.append(f"{listed(counters)} {looks}; list identifiers in data.exclude")
    target = frame[selection.targets[0]]
    shuffled = [
        f.name
        for f in features
        if f.type == "number" and f.group is None and f.name not in declared
        if looks_like_identifier(frame[f.name], target)
    ]
    if shuffled:
        looks = "looks like an identifier" if len(shuffled) == 1 else "look like identifiers"
        notes.append(
            f"{listed(shuffled)} {looks}: nearly a value per row, unrelated to the target; list "
            "identifiers in data.exclude"
        )
    numbers = [f.name for f in features if f.type == "number" and f.group is None]
    notes += _notes_on_codes(frame, dict.fromkeys([*selection.targets, *numbers]))
    if not features and not lags:
        raise DataError(
            f"{echo(selection.targets[0])}: no column is left to predict it from; "
            "see data.features and data.exclude"
        )
    if lags and (present := [f.name for f in features if f.type != "date"]):
        come = "comes" if len(present) == 1 else "come"
        notes.append(
            f"{listed(present)} {come} from the predicted row and must be known "
            "at prediction time; exclude what is not with data.exclude"
        )
    found = _infer_task(frame, selection, task, notes)
    return ColumnTypes(tuple(features), found, tuple(notes), excluded=excluded)


def _feature_type(
    column: "pd.Series", max_categories: int, declared: schema.ColumnType | None
) -> tuple[ColumnType | None, str]:
    """Return a feature's type, or None and the reason to exclude it."""
    if not column.notna().any():
        return None, "no values"
    if is_number(column):
        return "number", ""
    present = column.dropna()
    if declared == "date" or (declared is None and is_date(present.unique())):
        return "date", "dates or times; see data.dates"
    if declared is None and (why := why_identifiers(present, max_categories)):
        return None, why
    return "category", ""


def _notes_on_codes(frame: "pd.DataFrame", names: Iterable[str]) -> list[str]:
    """Return a note on each value that looks like a code for "missing", and where it occurs."""
    numbers = {name: column for name in names if is_number(column := frame[name])}
    found: dict[float, dict[str, str]] = {}
    for name, column in numbers.items():
        for value, count, ranges in far_codes(column):
            side = "below" if ranges < 0 else "above"
            is_countable = abs(ranges) < _MOST_RANGES
            far = f"{abs(ranges):,.0f} interquartile ranges" if is_countable else "far"
            text = f"{value:.12g} occurs {plural(count, 'time')}, {far} {side} the rest"
            found.setdefault(value, {})[name] = text
    notes = []
    for value, texts in found.items():
        (first, text), *_ = texts.items()
        counts = {name: is_apart(numbers[name], value) for name in numbers if name != first}
        others = [f"{name} ({count:,})" for name, count in counts.items() if count]
        also = f", and in {listed(others)}" if others else ""
        remedy = f"list {value:.12g} in data.missing if it means missing"
        notes.append(f"{echo(first)}: {text}{also}; {remedy}")
    return notes


def with_date_parts(
    types: ColumnTypes, frame: "pd.DataFrame", parts: Sequence[DatePart], rows: Rows
) -> ColumnTypes:
    """Return the types with the parts of dates as features of their own, after their column.

    `rows` are those that train. A part whose name is already that of a column is left out.
    """
    features, dates, notes = [], [], list(types.notes)
    for feature in types.features:
        if feature.form is None:
            features.append(feature)
            continue
        date = fit_dates(feature.name, feature.form, frame[feature.name], parts, rows)
        taken = [name for name in date.features if name in frame]
        if taken:
            notes.append(f"{listed(taken)}: already a column, so that part of the date is not made")
            kept = (
                part
                for part, name in zip(date.parts, date.features, strict=True)
                if name not in taken
            )
            date = date.model_copy(update={"parts": tuple(kept)})
        dates.append(date)
        features += [
            FeatureColumn(name, "number" if part in NUMBER_PARTS else "category")
            for part, name in zip(date.parts, date.features, strict=True)
        ]
    return replace(types, features=tuple(features), notes=tuple(notes), dates=tuple(dates))


def _declared_pixels(selection: Selection) -> dict[str, str]:
    """Return the common start of the names of all features that are pixels by data.types."""
    names = [name for name in selection.features if selection.types.get(name) == "pixel"]
    if not names:
        return {}
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    return dict.fromkeys(names, "".join(letter for letter, _ in alike))


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
            remedy = "remove it from data.target"
            if frame[texts[0]].nunique() == 2:
                remedy = "write its values as 1 and 0, or train a run for each target"
            raise DataError(
                f"column '{echo(texts[0])}' is text, but a structured output is made of numbers; "
                f"{remedy}"
            )
        _note_labels(frame, selection.targets, notes)
        return "structured"
    (name,) = selection.targets
    column = frame[name]
    if texts:
        if task not in ("auto", "classification"):
            raise DataError(
                f"column '{echo(name)}' is text, but task: {task} predicts numbers; "
                "set task: classification, or remove the key"
            )
        _refuse_many_classes(column, "texts")
        notes += notes_on_labels(name, column.dropna().unique(), "classes")
        return "classification"
    if task == "classification":
        _refuse_many_classes(column, "numbers")
    if task != "auto":
        return task
    if selection.types.get(name) == "number":
        return "regression"
    if column.iloc[: 50 * _FEW_CLASSES].nunique() > _FEW_CLASSES:
        return "regression"  # the usual case, without sorting a large column
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


def _refuse_many_classes(column: "pd.Series", what: str) -> None:
    """Raise DataError if the classes have fewer than two rows each on average."""
    distinct, count = column.nunique(), column.count()
    if distinct > max(_FEW_ROWS, 0.5 * count):
        remedy = ", or set task: regression" if what == "numbers" else ""
        raise DataError(
            f"column '{echo(column.name)}' has {distinct} distinct {what} in {count} rows, "
            f"too many for classes; choose another data.target{remedy}"
        )


def _note_labels(frame: "pd.DataFrame", targets: Sequence[str], notes: list[str]) -> None:
    """Note the targets of a structured output that have two values, as labels have."""
    if len(targets) > _MOST_LABELS:
        return
    labels = [name for name in targets if frame[name].nunique() == 2]
    if labels:
        have = "has two values and is" if len(labels) == 1 else "have two values and are"
        notes.append(
            f"{listed(labels, 8)} {have} predicted as numbers, not classes; for classes and their "
            "probabilities, train a run for each with task: classification"
        )
