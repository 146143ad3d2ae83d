"""Recognise values of a new file that are another spelling of those of the training file.

A file whose categories or classes were all written otherwise would be predicted as if it had none.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from unicodedata import normalize

from ml2021.data.preprocessing.records import (
    ClassTarget,
    NumberFeature,
    Preprocessing,
    shown_value,
    value_text,
)
from ml2021.data.preprocessing.transform import positions_of
from ml2021.data.tables import is_number
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


def refuse_other_spellings(
    path: Path, preprocessing: Preprocessing, frame: "pd.DataFrame", *, scored: bool
) -> None:
    """Raise DataError for columns of categories, or classes to score, of which none is known.

    Only if they are another spelling of the known ones, or there are at least 20 such rows: a new
    category or class as such is a fair question, and counted.
    """
    lines = []
    for feature in preprocessing.features:
        if isinstance(feature, NumberFeature) or feature.name in preprocessing.parts_of_dates:
            continue
        texts = _spelled_otherwise(frame[feature.name], (*feature.categories, *feature.rarer))
        if texts is not None:
            what = f"column '{echo(feature.name)}': categories"
            lines.append(f"{path}: {what} {texts}, or train without this column")
    target = preprocessing.target
    if scored and isinstance(target, ClassTarget):
        texts = _spelled_otherwise(frame[target.name], target.classes)
        if texts is not None:
            lines.append(f"{path}: column '{echo(target.name)}': classes {texts}")
    if lines:
        raise DataError(*lines)


def _spelled_otherwise(column: "pd.Series", known: "tuple[str | float, ...]") -> str | None:
    """Return the two spellings and what to do; None if a value is known, or all may be new."""
    storage: Literal["number", "text"] = "number" if is_number(column) else "text"
    values = known if storage == "number" else tuple(map(value_text, known))
    for part in (column.iloc[:_ROWS_AT_FIRST], column):
        if (positions_of(values, storage, part) >= 0).any():
            return None
    counts = column.value_counts()
    if counts.empty:
        return None
    here, there = ([value_text(value) for value in each] for each in (counts.index, known))
    alike = _is_another_spelling(here[:_MOST_COMPARED], there)
    if not alike and counts.sum() < _TOO_MANY:
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
