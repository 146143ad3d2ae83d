"""Check cells: which are numbers, which are missing, and whether a column is numbers or text.

A number is an optional sign, ASCII digits with at most one decimal mark, and an optional exponent;
it may have ASCII white space around it. 1_000, 0x10, 5%, non-ASCII digits, inf and nan are not
numbers. `ml2021.data.tables` reports invalid cells and where they are.
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
"""The smallest number that rounds to infinity in float32."""
_NOT_FINITE = re.compile(r"\s*[+-]?(?:inf(?:inity)?|nan)\s*", re.ASCII | re.IGNORECASE)


def _number_pattern(mark: str) -> re.Pattern[str]:
    digits = rf"(?:[0-9]+{re.escape(mark)}?[0-9]*|{re.escape(mark)}[0-9]+)"
    return re.compile(rf"\s*[+-]?{digits}(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)


class CellRules:
    """What counts as a number and as missing, given `decimal` and `missing` from the config.

    A text in `missing` matches cells with exactly this text; a number, or a text that is a number,
    matches every cell with the same numeric value.
    """

    def __init__(self, decimal: str, missing: Sequence[str | int | float]) -> None:
        self.decimal = decimal
        self._number = _number_pattern(decimal)
        patterns = _number_pattern("."), _number_pattern(","), _NOT_FINITE
        either = "|".join(f"(?:{pattern.pattern})" for pattern in patterns)
        self._looks_numeric = re.compile(either, re.ASCII | re.IGNORECASE)
        texts = [m for m in missing if isinstance(m, str)]
        numbers = {float(m) for m in missing if not isinstance(m, str) and abs(m) < 10**308}
        numbers |= {self.to_float(t) for t in texts if self.is_number(t)}
        self.missing_numbers = np.array(sorted(numbers), np.float64)
        self.missing_texts = frozenset(t for t in texts if not self.is_number(t))
        # The missing texts for pandas. It would match those that float() accepts by value: 1_000
        # would make 1000 missing. It parses none of them as a number, so `check_texts` finds them.
        self.parser_texts = sorted(t for t in self.missing_texts if not _is_finite_to_python(t))
        # whether pandas alone cannot find every missing cell
        self.needs_search = bool(numbers) or len(self.parser_texts) < len(self.missing_texts)

    def is_number(self, text: str) -> bool:
        """Whether a cell is written as a number, even one too large for float32."""
        return self._number.fullmatch(text) is not None

    def looks_numeric(self, text: str) -> bool:
        """Whether a cell is a number with either decimal mark, or inf or nan."""
        return self._looks_numeric.fullmatch(text) is not None

    def to_float(self, text: str) -> float:
        """Return the value of a cell for which `is_number` holds."""
        return float(text.replace(self.decimal, "."))

    def is_missing(self, text: str) -> bool:
        """Whether a cell stands for a missing value."""
        if text in self.missing_texts:
            return True
        return self.is_number(text) and self.to_float(text) in self.missing_numbers

    def explain(self, text: str) -> str:
        """Say why a cell is not a valid number."""
        if text == "":
            return "an empty cell is not a number"
        if self.is_number(text):
            return f"'{echo(text)}' is too large (the limit is about 3.4e38)"
        if _NOT_FINITE.fullmatch(text):
            return f"'{echo(text)}' is not a finite number"
        return f"'{echo(text)}' is not a number"


@dataclass(frozen=True)
class CheckedColumn:
    """A column's values, and the rows (int64) of its invalid cells.

    `values` is int64, float64 (NaN if missing) or object (str, or NaN if missing). `other_decimal`:
    the invalid cells are numbers written with the other decimal mark.
    """

    values: NDArray[np.int64] | NDArray[np.float64] | NDArray[np.object_]
    invalid: NDArray[np.int64]
    other_decimal: bool = False


_NO_ROWS = np.empty(0, np.int64)


def check_numbers(values: NDArray[np.generic], rules: CellRules) -> CheckedColumn:
    """Check a column that was parsed as numbers: signed or unsigned integers, or floats."""
    if values.dtype == np.int64:
        whole = values.astype(np.int64, copy=False)
        if not rules.missing_numbers.size or not np.isin(whole, rules.missing_numbers).any():
            return CheckedColumn(whole, _NO_ROWS)
    floats = values.astype(np.float64, copy=False)
    if rules.missing_numbers.size and (missing := np.isin(floats, rules.missing_numbers)).any():
        floats = np.where(missing, np.nan, floats)
    # fmax and fmin ignore NaN; this is cheaper than an array of absolute values
    top = max(np.fmax.reduce(floats, initial=0.0), -np.fmin.reduce(floats, initial=0.0))
    if top < FLOAT32_BOUND:
        return CheckedColumn(floats, _NO_ROWS)
    return CheckedColumn(floats, np.flatnonzero(np.abs(floats) >= FLOAT32_BOUND))


def check_texts(
    texts: NDArray[np.object_], rules: CellRules, storage: StorageType | None = None
) -> CheckedColumn:
    """Check a column of str, NaN if missing: it is text, or numbers with some invalid cells.

    Unless `storage` says which, it is numbers if at least 90 % of its non-empty cells are.
    """
    import pandas as pd

    codes, distinct = pd.factorize(texts)
    missing = (
        _flags(distinct, rules.is_missing) if rules.needs_search else np.zeros(len(distinct), bool)
    )
    values = np.where(np.append(missing, True)[codes], np.nan, texts) if missing.any() else texts
    if storage == "text":
        return CheckedColumn(values, _NO_ROWS)
    filled = ~missing & (distinct != "")
    counts = np.where(filled, np.bincount(codes[codes >= 0], minlength=len(distinct)), 0)
    if storage is None and _is_text(distinct, counts, rules):
        return CheckedColumn(values, _NO_ROWS)
    number = _flags(distinct, rules.is_number)
    # inf and nan are invalid, but they were meant as numbers
    meant = number | _flags(distinct, lambda text: _NOT_FINITE.fullmatch(text) is not None)
    if storage is None and 10 * int(counts[meant].sum()) < 9 * int(counts.sum()):
        invalid = np.append(filled & ~meant & _flags(distinct, rules.looks_numeric), False)
        return CheckedColumn(values, np.flatnonzero(invalid[codes]), other_decimal=True)
    floats = np.full(len(distinct) + 1, np.nan)
    for index in np.flatnonzero(number & ~missing):
        floats[index] = rules.to_float(distinct[index])
    invalid = np.append(~missing & ~(np.abs(floats[:-1]) < FLOAT32_BOUND), False)
    return CheckedColumn(floats[codes], np.flatnonzero(invalid[codes]))


def _flags(distinct: NDArray[np.object_], test: Callable[[str], bool]) -> NDArray[np.bool_]:
    return np.fromiter(map(test, distinct), bool, len(distinct))


def _is_text(distinct: NDArray[np.object_], counts: NDArray[np.int64], rules: CellRules) -> bool:
    """Whether under 90 % of the cells are like numbers; stops as soon as the answer is known."""
    total = int(counts.sum())
    others = 0
    for text, count in zip(distinct, counts, strict=True):
        if count and not rules.looks_numeric(text):
            others += int(count)
            if 10 * others > total:
                return True
    return total == 0 and len(distinct) > 0 and "" in distinct


def _is_finite_to_python(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
