"""What cells mean: which are numbers, which are missing, and of what storage kind a column is.

A number is an optional sign, ASCII digits with at most one decimal mark, and an optional exponent;
ASCII white space may stand around it. 1_000, 0x10, 5%, other digits than 0-9, inf and nan are not.
Where a cell stands in its file, and telling the user, is left to `ml2021.data.tables`.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.formatting import echo

StorageType = Literal["number", "text"]

FLOAT32_BOUND = 2.0**128 - 2.0**103
"""The smallest number that float32 rounds to infinity."""

_NOT_FINITE = re.compile(r"\s*[+-]?(?:inf(?:inity)?|nan)\s*", re.ASCII | re.IGNORECASE)


def _number_pattern(mark: str) -> re.Pattern[str]:
    digits = rf"(?:[0-9]+{re.escape(mark)}?[0-9]*|{re.escape(mark)}[0-9]+)"
    return re.compile(rf"\s*[+-]?{digits}(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)


class CellRules:
    """What counts as a number and as missing, for one `decimal` mark and one list of `missing`.

    A text of `missing` means the cells that are exactly this text; a number, or a text that is one,
    means every cell that is equal to it as a number.
    """

    def __init__(self, decimal: str, missing: Sequence[str | int | float]) -> None:
        self.decimal = decimal
        self._number = _number_pattern(decimal)
        patterns = _number_pattern("."), _number_pattern(","), _NOT_FINITE
        either = "|".join(f"(?:{pattern.pattern})" for pattern in patterns)
        self._like_a_number = re.compile(either, re.ASCII | re.IGNORECASE)
        texts = [m for m in missing if isinstance(m, str)]
        numbers = {float(m) for m in missing if not isinstance(m, str) and abs(m) < 10**308}
        numbers |= {self.to_float(t) for t in texts if self.is_number(t)}
        self.missing_numbers = np.array(sorted(numbers), np.float64)
        self.missing_texts = frozenset(t for t in texts if not self.is_number(t))
        # whether there are missing cells that pandas cannot find
        self.searched = bool(numbers) or len(texts_for_parser(self)) < len(self.missing_texts)

    def is_number(self, text: str) -> bool:
        """Return whether a cell is written as a number; it may be too large for float32."""
        return self._number.fullmatch(text) is not None

    def is_like_a_number(self, text: str) -> bool:
        """Return whether a cell is a number with either decimal mark, or is inf or nan."""
        return self._like_a_number.fullmatch(text) is not None

    def to_float(self, text: str) -> float:
        """Return the value of a cell that is written as a number."""
        return float(text.replace(self.decimal, "."))

    def is_missing(self, text: str) -> bool:
        """Return whether a cell means that there is no value."""
        if text in self.missing_texts:
            return True
        return self.is_number(text) and self.to_float(text) in self.missing_numbers

    def explain(self, text: str) -> str:
        """Say why a cell does not serve as a number."""
        if text == "":
            return "an empty cell is not a number"
        if self.is_number(text):
            return f"'{echo(text)}' is too large, the largest number is about 3.4e38"
        if _NOT_FINITE.fullmatch(text):
            return f"'{echo(text)}' is not a finite number"
        return f"'{echo(text)}' is not a number"


@dataclass(frozen=True)
class JudgedColumn:
    """A column's values, and the rows (int64) of the cells that it must not hold.

    `values` is int64, float64 (NaN is missing) or object (str, NaN is missing). `other_decimal`
    says that the odd cells are numbers with the other decimal mark.
    """

    values: NDArray[np.int64] | NDArray[np.float64] | NDArray[np.object_]
    odd: NDArray[np.int64]
    other_decimal: bool = False


_NO_ROWS = np.empty(0, np.int64)


def judge_numbers(values: NDArray[np.generic], rules: CellRules) -> JudgedColumn:
    """Judge a column that was parsed as numbers: signed or unsigned integers, or floats."""
    if values.dtype == np.int64:
        whole = values.astype(np.int64, copy=False)
        if not rules.missing_numbers.size or not np.isin(whole, rules.missing_numbers).any():
            return JudgedColumn(whole, _NO_ROWS)
    floats = values.astype(np.float64, copy=False)
    if rules.missing_numbers.size and (gone := np.isin(floats, rules.missing_numbers)).any():
        floats = np.where(gone, np.nan, floats)
    # fmax and fmin pass over NaN; this is cheaper than an array of absolute values
    top = max(np.fmax.reduce(floats, initial=0.0), -np.fmin.reduce(floats, initial=0.0))
    if top < FLOAT32_BOUND:
        return JudgedColumn(floats, _NO_ROWS)
    return JudgedColumn(floats, np.flatnonzero(np.abs(floats) >= FLOAT32_BOUND))


def judge_texts(
    texts: NDArray[np.object_], rules: CellRules, kind: StorageType | None = None
) -> JudgedColumn:
    """Judge a column of str, NaN where missing: text, or numbers with odd cells among them.

    Without `kind` it is a number column when at least 90 % of its non-empty cells are numbers.
    """
    import pandas as pd

    codes, distinct = pd.factorize(texts)
    gone = _flags(distinct, rules.is_missing) if rules.searched else np.zeros(len(distinct), bool)
    values = np.where(np.append(gone, True)[codes], np.nan, texts) if gone.any() else texts
    if kind == "text":
        return JudgedColumn(values, _NO_ROWS)
    filled = ~gone & (distinct != "")
    counts = np.where(filled, np.bincount(codes[codes >= 0], minlength=len(distinct)), 0)
    if kind is None and _is_text(distinct, counts, rules):
        return JudgedColumn(values, _NO_ROWS)
    number = _flags(distinct, rules.is_number)
    # inf and nan do not serve, but they are meant as numbers
    meant = number | _flags(distinct, lambda text: _NOT_FINITE.fullmatch(text) is not None)
    if kind is None and 10 * int(counts[meant].sum()) < 9 * int(counts.sum()):
        odd = np.append(filled & ~meant & _flags(distinct, rules.is_like_a_number), False)
        return JudgedColumn(values, np.flatnonzero(odd[codes]), other_decimal=True)
    floats = np.full(len(distinct) + 1, np.nan)
    for index in np.flatnonzero(number & ~gone):
        floats[index] = rules.to_float(distinct[index])
    odd = np.append(~gone & ~(np.abs(floats[:-1]) < FLOAT32_BOUND), False)
    return JudgedColumn(floats[codes], np.flatnonzero(odd[codes]))


def _flags(distinct: NDArray[np.object_], test: Callable[[str], bool]) -> NDArray[np.bool_]:
    return np.fromiter(map(test, distinct), bool, len(distinct))


def _is_text(distinct: NDArray[np.object_], counts: NDArray[np.int64], rules: CellRules) -> bool:
    """Return whether less than 90 % of the cells are like numbers; it seldom looks at them all."""
    total = int(counts.sum())
    others = 0
    for text, count in zip(distinct, counts, strict=True):
        if count and not rules.is_like_a_number(text):
            others += int(count)
            if 10 * others > total:
                return True
    return total == 0 and len(distinct) > 0 and "" in distinct


def texts_for_parser(rules: CellRules) -> list[str]:
    """Return the missing texts that pandas may look for while it parses.

    It also takes every text that Python's float() accepts as that number: 1_000 would make 1000
    missing. Such a text never parses as a number, so that `judge_texts` meets it.
    """
    return sorted(t for t in rules.missing_texts if not _is_finite_to_python(t))


def _is_finite_to_python(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
