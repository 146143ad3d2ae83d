"""Recognise values of a new file that are another spelling of those of the training file.

A file whose categories or classes were all written otherwise would be predicted as if it had none.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal
from unicodedata import normalize

from ml2021.data.csv.parser import Column
from ml2021.data.parts import TablePath
from ml2021.data.preprocessing.records import (
    ClassTarget,
    NumberFeature,
    Preprocessing,
    shown_value,
    value_text,
)
from ml2021.data.preprocessing.transform import (
    Counts,
    add_counts,
    as_column,
    positions_of,
    value_counts,
)
from ml2021.errors import DataError
from ml2021.formatting import echo, listed

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_FIRST = 1000  # nearly always one of them has a known value, and no other need be looked at
_TOO_MANY = 20  # rows without a known value that are no coincidence
_MOST_COMPARED = 1000  # distinct values
_SHOWN = 4
_TRUTH = dict.fromkeys(("yes", "y", "true", "t", "on", "1.0"), True)
_TRUTH |= dict.fromkeys(("no", "n", "false", "f", "off", "0.0"), False)


class Spellings:
    """Columns of categories, and classes to score, of which no value has been known so far."""

    def __init__(self, path: TablePath, preprocessing: Preprocessing, *, scored: bool) -> None:
        self._path = path
        self._known: dict[str, tuple[str | float, ...]] = {
            feature.name: (*feature.categories, *feature.rarer)
            for feature in preprocessing.features
            if not isinstance(feature, NumberFeature)
            and feature.name not in preprocessing.parts_of_dates
        }
        target = preprocessing.target
        self._target = target.name if scored and isinstance(target, ClassTarget) else None
        if scored and isinstance(target, ClassTarget):
            self._known[target.name] = target.classes
        self._counts: dict[str, Counts] = {name: Counter() for name in self._known}

    def add(self, frame: "pd.DataFrame | Mapping[str, Column]") -> None:
        """Look at the columns of some rows of the file."""
        for name, counts in list(self._counts.items()):
            column = as_column(frame[name])
            if _has_known(column, self._known[name]):
                del self._counts[name]
            else:
                add_counts(counts, value_counts(column))

    def refuse_others(self) -> None:
        """Raise DataError for columns of which no value is known.

        Only if they are another spelling of the known ones, or there are at least 20 such rows: a
        new category or class as such is a fair question, and counted.
        """
        lines = []
        for name, counts in self._counts.items():
            if (texts := _spelled_otherwise(counts, self._known[name])) is None:
                continue
            what = f"{self._path}: column '{echo(name)}'"
            if name == self._target:
                lines.append(f"{what}: classes {texts}")
            else:
                lines.append(f"{what}: categories {texts}, or train without this column")
        if lines:
            raise DataError(*lines)


def _has_known(column: "Column", known: "tuple[str | float, ...]") -> bool:
    """Whether any of the values is known."""
    storage: Literal["number", "text"] = "number" if column.dtype.kind in "iuf" else "text"
    values = known if storage == "number" else tuple(map(value_text, known))
    parts = [column]
    if len(column) > _ROWS_AT_FIRST:
        parts.insert(0, column[:_ROWS_AT_FIRST])
    return any((positions_of(values, storage, part) >= 0).any() for part in parts)


def _spelled_otherwise(counts: Counts, known: "tuple[str | float, ...]") -> str | None:
    """Return the two spellings and what to do; None if there are no values, or all may be new."""
    if not counts:
        return None
    most = [value for value, _ in counts.most_common()]
    here, there = ([value_text(value) for value in each] for each in (most, known))
    alike = _is_another_spelling(here[:_MOST_COMPARED], there)
    if not alike and counts.total() < _TOO_MANY:
        return None
    ours, theirs = (listed(map(shown_value, each), _SHOWN) for each in (here, there))
    remedy = "write them as in training" if alike else "check that this is the right file"
    return f"here {ours}; in training {theirs}; {remedy}"


def _is_another_spelling(values: Iterable[str], known: Iterable[str]) -> bool:
    """Whether one of the values is a known one but for its spelling, or all mean yes and no."""
    plain, others = {*map(_plain, values)}, {*map(_plain, known)}
    return bool(plain & others) or (plain | others) <= _TRUTH.keys()


def _plain(text: str) -> str:
    """Return what spellings of one value share: no case, blanks or full stop; a number's value."""
    folded = "".join(normalize("NFKC", text).casefold().split()).strip(".\"'")
    try:
        value = float(folded)
    except ValueError:
        return folded
    return repr(value) if math.isfinite(value) else folded
