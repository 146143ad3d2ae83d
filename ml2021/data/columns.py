"""Which columns are features and targets, and of what kind each is.

Names are matched against the header before the table is read; kinds are inferred from all its
rows, so that they do not depend on the split. What is learned from training rows alone, means,
categories, classes, is left to `ml2021.data.preprocessing`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ml2021.data.tables import Header
from ml2021.errors import DataError, echo
from ml2021.suggestions import suggest

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "category"]
Task = Literal["regression", "classification", "structured"]

_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"
_ISO_DATE = rf"\d{{4}}[-/]\d{{2}}[-/]\d{{2}}(?:[ T]{_CLOCK})?"
_DATE_OR_TIME = re.compile(
    rf"{_ISO_DATE}"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d{1,2}[:.]\d{2}(?:[:.]\d{2})?)?"
    r"|\d{1,2}[:.]\d{2}[:.]\d{2}|\d{1,2}:\d{2}"
)
_ISO = re.compile(_ISO_DATE, re.ASCII)
_SAMPLE = 1000  # how many different values of a text column are looked at to call it dates
_FEW_CLASSES = 20
_FEWEST_PIXELS = 16
_NUMBERED = re.compile(r"(.*?)\d+")


class Problem(NamedTuple):
    """What is wrong with a name that the config gives: at which of its keys, and what."""

    keys: tuple[str | int, ...]
    text: str


@dataclass(frozen=True)
class Selection:
    """The columns in use, by their unique names, in file order; `extra` orders or splits rows."""

    targets: tuple[str, ...]
    features: tuple[str, ...]
    extra: tuple[str, ...]
    excluded: tuple[str, ...]

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that has to be read."""
        return (*self.features, *self.targets, *self.extra)


@dataclass(frozen=True)
class FeatureColumn:
    """A feature and its kind. Categories are compared as they are stored, as number or as text.

    The pixel-like columns of one `group` are numbers that share a scale.
    """

    name: str
    kind: Kind
    group: str | None = None


@dataclass(frozen=True)
class ColumnPlan:
    """What the table holds for this model: the kept features, the task, and notes for the user."""

    features: tuple[FeatureColumn, ...]
    task: Task
    notes: tuple[str, ...]


def select_columns(
    header: Header,
    *,
    target: str | Sequence[str],
    features: Sequence[str],
    exclude: Sequence[str],
    extra: Mapping[tuple[str, ...], str],
) -> tuple[Selection, list[Problem]]:
    """Match the config's names and globs against the header.

    An exact name wins over a glob; only * and ? are special. `extra` maps the config's keys to the
    names of columns that order or split the rows. Returns the selection and what is wrong with it.
    """
    problems: list[Problem] = []

    def resolve(key: str, patterns: str | Sequence[str]) -> list[str]:
        found: list[str] = []
        listed = [patterns] if isinstance(patterns, str) else patterns
        for index, pattern in enumerate(listed):
            keys = ("data", key) if isinstance(patterns, str) else ("data", key, index)
            matches = match_names(header, pattern)
            if not matches and not (key == "features" and pattern == "*"):
                problems.append(Problem(keys, explain_missing(header, pattern)))
            found.extend(name for name in matches if name not in found)
        return found

    targets = resolve("target", target)
    excluded = resolve("exclude", exclude)
    named = set(resolve("features", features))
    extras = []
    for keys, name in extra.items():
        if name in header.names:
            extras.append(name)
        else:
            problems.append(Problem(keys, explain_missing(header, name)))
    if clash := [name for name in targets if name in excluded]:
        text = f"column '{echo(clash[0])}' is excluded and a target; leave it out of one of them"
        problems.append(Problem(("data", "exclude"), text))
    left_out = {*targets, *excluded}
    # A column that sorts or splits rows is not a feature, unless the config names it as one.
    left_out |= set(extras) - set(features)
    chosen = tuple(name for name in header.names if name in named and name not in left_out)
    selection = Selection(
        targets=tuple(targets),
        features=chosen,
        extra=tuple(dict.fromkeys(e for e in extras if e not in targets and e not in chosen)),
        excluded=tuple(excluded),
    )
    return selection, problems


def match_names(header: Header, pattern: str) -> list[str]:
    """Return the unique names that an exact name or a glob stands for, in file order."""
    if pattern in header.names:
        return [pattern]
    if pattern in header.repeated or not set("*?") & set(pattern):
        return []
    glob = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
    return [name for name in header.names if glob.fullmatch(name)]


def explain_missing(header: Header, name: str) -> str:
    """Say why a name or glob stands for no column, and what may have been meant."""
    if name in header.repeated:
        choices = ", ".join(header.repeated[name])
        return f"column name '{echo(name)}' occurs more than once; choose one of {choices}"
    if set("*?") & set(name):
        return f"no column matches '{echo(name)}'"
    hint = suggest(name, header.names)
    if not hint:
        shown = ", ".join(echo(column) for column in header.names[:8])
        more = len(header.names) - 8
        hint = f"; the columns are {shown}" + (f" and {more} more" if more > 0 else "")
    return f"no column '{echo(name)}' in {header.path.name}{hint}"


def plan_columns(
    frame: "pd.DataFrame",
    selection: Selection,
    *,
    task: Literal["auto", "regression", "classification", "structured"],
    lags: int,
) -> ColumnPlan:
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
        kind, reason = _feature_kind(frame[name])
        if kind is None:
            dropped.setdefault(reason, []).append(name)
        else:
            features.append(FeatureColumn(name, kind))
    for reason, names in dropped.items():
        notes.append(f"left out: {_some(names)} ({reason})")
    if identifiers := [f.name for f in features if f.kind == "number" and _counts(frame[f.name])]:
        notes.append(
            f"{_some(identifiers)} counts the rows; if it only names them, add it to data.exclude"
        )
    if not features and not lags:
        raise DataError(
            f"{selection.targets[0]}: no column is left to predict it from; "
            "see data.features and data.exclude"
        )
    if lags and features:
        notes.append(
            f"{_some([f.name for f in features])} of the predicted row itself must be known when "
            "predicting, beside the history; data.exclude leaves columns out"
        )
    return ColumnPlan(tuple(features), _infer_task(frame, selection, task, notes), tuple(notes))


def _feature_kind(column: "pd.Series") -> tuple[Kind | None, str]:
    """Return a feature's kind, or None and the reason to leave it out."""
    present = column.dropna()
    if is_number(column):
        values = np.unique(present.to_numpy(np.float64))
        if values.size == 0:
            return None, "no value at all"
        return ("category", "") if values.size == 2 else ("number", "")
    values = present.unique()
    if is_date(values):
        return None, "dates or times"
    if len(values) > _FEW_CLASSES and len(values) > 0.5 * len(present):
        return None, "text with nearly a value per row"
    return "category", ""


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


def is_number(column: "pd.Series") -> bool:
    """Whether the table stores the column as numbers."""
    return column.dtype.kind in "iuf"


def is_date(values: "Iterable[object]") -> bool:
    """Whether different values of a text column are nearly all dates or times."""
    sample = [str(value) for value, _ in zip(values, range(_SAMPLE), strict=False)]
    matching = sum(_DATE_OR_TIME.fullmatch(value) is not None for value in sample)
    return bool(sample) and matching >= 0.9 * len(sample)


def _counts(column: "pd.Series") -> bool:
    """Whether the column goes up by exactly 1 from row to row."""
    values = column.to_numpy(np.float64)
    return len(values) > _FEW_CLASSES and bool((np.diff(values) == 1).all())


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


def sort_keys(column: "pd.Series", what: str) -> np.ndarray:
    """Return values (N,) whose order is the order of the column: float64, or `date_key` of dates.

    A missing value is NaN, or "". Raises DataError for text that is no ISO date.
    """
    if is_number(column):
        return column.to_numpy(np.float64)
    texts = column.fillna("").to_numpy(object)
    keys = [date_key(text) if text else "" for text in texts]
    if None in keys:
        raise DataError(
            f"column '{echo(column.name)}', used as {what}, holds "
            f"'{echo(texts[keys.index(None)])}', which is neither a number nor a date like "
            "2021-03-31; rewrite the column so"
        )
    return np.array(keys, dtype=str)


def date_key(text: str) -> str | None:
    """Return an ISO date, or date and time, as text in whose order the dates stand; else None.

    With an offset it is turned into UTC; without one it is taken for UTC.
    """
    if not _ISO.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("/", "-"))
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None  # no such day, or none in UTC
    return moment.isoformat(" ")


def _some(names: Sequence[str], limit: int = 6) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(echo(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
