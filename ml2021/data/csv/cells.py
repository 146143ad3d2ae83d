"""Check cells: which are numbers, which are missing, and whether a column is numbers or text.

A number is an optional sign, ASCII digits with at most one decimal mark, and an optional exponent;
it may have ASCII white space around it. With `data.thousands`, its whole part may be in groups of
three digits. 1_000, 0x10, 5%, non-ASCII digits, inf and nan are not numbers;
`ml2021.data.csv.writings` recognises some of these. `ml2021.data.tables` reports invalid cells and
where they are.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.writings import KEYED, MARKS, NOT_FINITE, Writing, decorated, recognise

StorageType = Literal["number", "text", "verbatim"]
"""How a column is read; the cells of a "verbatim" one are text, and none of them is missing."""
INTEGERS_END = 2.0**53
"""Integers up to here differ in float64; of those beyond, neighbours may be one float."""
FLOAT32_BOUND = 2.0**128 - 2.0**103
"""The smallest number that rounds to infinity in float32."""
_HEAD = 64  # rows that rule out nearly every column of floats
_LEAST_GROUPED = 3  # different numbers with a mark; fewer may have three decimals by chance
_MOST_RECOGNISED = 10_000
"""Distinct cells of a column that are looked at closely, those that occur most often among them."""


def _number_pattern(mark: str, thousands: str | None) -> re.Pattern[str]:
    whole = "[0-9]+"
    if thousands is not None:
        # no group before others begins with 0: 0.728 is no 728
        group = MARKS[thousands]
        whole = rf"(?:[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+|[0-9]+)"
    digits = rf"(?:{whole}(?:{re.escape(mark)}[0-9]*)?|{re.escape(mark)}[0-9]+)"
    return re.compile(rf"\s*[+-]?{digits}(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)


class CellRules:
    """What counts as a number and as missing, given the keys of `data` in the config.

    A text in `missing` matches cells with exactly this text; a number, or a text that is a number,
    matches every cell with the same numeric value, however many digits it takes.
    """

    def __init__(
        self, decimal: str, missing: Sequence[str | int | float], thousands: str | None = None
    ) -> None:
        self.decimal = decimal
        self._number = _number_pattern(decimal, thousands)
        self._mark = None if thousands is None else re.compile(MARKS[thousands])
        texts = [m for m in missing if isinstance(m, str)]
        numbers: set[float | Fraction] = {self.exact(t) for t in texts if self.is_number(t)}
        numbers |= {m for m in missing if isinstance(m, int | float) and abs(m) < 10**308}
        self._missing_numbers = frozenset(numbers)
        # exact for floats that were not rounded, and for the integers of a column of integers
        floats = (float(m) for m in numbers if float(m) == m)
        self.missing_floats = np.array(sorted(floats), np.float64)
        self.missing_integers = [int(m) for m in numbers if math.isfinite(m) and m == int(m)]
        self.has_large_missing = any(abs(float(m)) >= INTEGERS_END for m in numbers)
        self.missing_texts = frozenset(t for t in texts if not self.is_number(t))
        # The missing texts for pandas. It would match those that float() accepts by value: 1_000
        # would make 1000 missing. It parses none of them as a number, so `check_texts` finds them.
        self.parser_texts = sorted(t for t in self.missing_texts if not _is_finite_to_python(t))
        # whether pandas alone cannot find every missing cell
        self.needs_search = bool(numbers) or len(self.parser_texts) < len(self.missing_texts)

    def is_number(self, text: str) -> bool:
        """Whether a cell is written as a number, even one too large for float32."""
        return self._number.fullmatch(text) is not None

    def to_float(self, text: str) -> float:
        """Return the value of a cell for which `is_number` holds."""
        if self._mark is not None:
            text = self._mark.sub("", text.strip())
        return float(text.replace(self.decimal, "."))

    def exact(self, text: str) -> float | Fraction:
        """Return the value of a cell for which `is_number` holds, exact where float64 rounds."""
        value = self.to_float(text)
        if not INTEGERS_END <= abs(value) < math.inf:
            return value
        text = text.strip() if self._mark is None else self._mark.sub("", text.strip())
        return Fraction(text.replace(self.decimal, "."))

    def is_missing(self, text: str) -> bool:
        """Whether a cell stands for a missing value."""
        if text in self.missing_texts:
            return True
        return self.is_number(text) and self.exact(text) in self._missing_numbers


_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class CheckedColumn:
    """A column's values, and its invalid cells: the first row (int64) of each different one.

    `values` is int64, float64 (NaN if missing) or object (str, or NaN if missing). counts (int64)
    has how often each invalid cell occurs. writing: what an inferred column of text holds.
    met: the numbers of `data.missing` that occur. rounded: the numbers beyond 2^53 that `values` do
    not hold exactly, by row.
    """

    values: NDArray[np.int64] | NDArray[np.float64] | NDArray[np.object_]
    invalid: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    counts: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    writing: Writing | None = None
    met: frozenset[float | Fraction] = frozenset()
    rounded: Mapping[int, int | Fraction] = field(default_factory=dict)


def check_numbers(values: NDArray[np.generic], rules: CellRules) -> CheckedColumn:
    """Check a column that was parsed as numbers: signed or unsigned integers, or floats."""
    missing = _are_missing(values, rules)
    if values.dtype == np.int64 and missing is None:
        return CheckedColumn(values.astype(np.int64, copy=False))
    floats = values.astype(np.float64, copy=False)
    met: frozenset[float | Fraction] = frozenset()
    rounded = _rounded(values, floats)
    if missing is not None:
        met = frozenset(np.unique(values[missing]).tolist())
        rounded = {row: value for row, value in rounded.items() if not missing[row]}
        floats = np.where(missing, np.nan, floats)
    # fmax and fmin ignore NaN; this is cheaper than an array of absolute values
    top = max(np.fmax.reduce(floats, initial=0.0), -np.fmin.reduce(floats, initial=0.0))
    found = CheckedColumn(floats, met=met, rounded=rounded)
    if top < FLOAT32_BOUND:
        return found
    rows, counts = _first_rows(floats, np.abs(floats) >= FLOAT32_BOUND)
    return replace(found, invalid=rows, counts=counts)


def _are_missing(values: NDArray[np.generic], rules: CellRules) -> NDArray[np.bool_] | None:
    """Return which of the numbers stand for a missing value, None if none does."""
    if values.dtype.kind == "f":
        sought = rules.missing_floats
    else:
        low, high = (0, 2**64) if values.dtype.kind == "u" else (-(2**63), 2**63)
        fitting = [number for number in rules.missing_integers if low <= number < high]
        sought = np.array(fitting, values.dtype)
    if not sought.size:
        return None
    missing = np.isin(values, sought)
    return missing if missing.any() else None


def has_large(values: NDArray[np.generic]) -> bool:
    """Whether any of the numbers is so large that float64 may have rounded it."""
    top = max(np.fmax.reduce(values, initial=0), -np.fmin.reduce(values, initial=0).astype(float))
    return bool(top >= INTEGERS_END)


def _rounded(values: NDArray[np.generic], floats: NDArray[np.float64]) -> dict[int, int]:
    """Return the integers that are another number as floats, by row."""
    if values.dtype.kind == "f" or not has_large(values):
        return {}
    end = 2.0 ** (64 if values.dtype.kind == "u" else 63)
    fits = (floats >= -end) & (floats < end)
    back = np.where(fits, floats, 0).astype(values.dtype)
    rows = np.flatnonzero(~fits | (back != values))
    return dict(zip(rows.tolist(), values[rows].tolist(), strict=True))


def _first_rows(
    values: NDArray[np.generic], is_invalid: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each different invalid value, in order, and how often it occurs."""
    rows = np.flatnonzero(is_invalid)
    _, first, counts = np.unique(values[rows], return_index=True, return_counts=True)
    order = np.argsort(first)
    return rows[first[order]], counts[order]


def check_texts(
    texts: NDArray[np.object_], rules: CellRules, storage: StorageType | None = None
) -> CheckedColumn:
    """Check a column of str, NaN if missing: it is text, or numbers with some invalid cells.

    Unless `storage` says which, `recognise` decides, with `writing`; of numbers with marks that a
    key of the config reads, the marked cells are invalid.
    """
    import pandas as pd

    if storage == "verbatim" or (storage == "text" and not rules.needs_search):
        return CheckedColumn(texts)
    codes, distinct = pd.factorize(texts)
    missing = (
        _flags(distinct, rules.is_missing) if rules.needs_search else np.zeros(len(distinct), bool)
    )
    met = frozenset(rules.exact(text) for text in distinct[missing] if rules.is_number(text))
    values = np.where(np.append(missing, True)[codes], np.nan, texts) if missing.any() else texts
    text = CheckedColumn(values, met=met)
    if storage == "text":
        return text
    writing = None
    if storage is None:
        filled = ~missing & (distinct != "")
        counts = np.where(filled, np.bincount(codes[codes >= 0], minlength=len(distinct)), 0)
        if not counts.any() and "" in distinct:
            return text
        if not _are_mostly_numbers(distinct, counts, rules):
            cells = _most_frequent(distinct, counts)
            writing = recognise(cells, rules.is_number, rules.decimal)
            if writing.kind == "marks":
                marked = filled & _flags(distinct, lambda cell: _is_marked(cell, rules))
                rows, counts = _first_rows(codes, np.append(marked, False)[codes])
                return replace(text, invalid=rows, counts=counts, writing=writing)
            if writing.kind != "numbers":
                return replace(text, writing=writing)
    floats = np.full(len(distinct) + 1, np.nan)
    for index in np.flatnonzero(_flags(distinct, rules.is_number) & ~missing):
        floats[index] = rules.to_float(distinct[index])
    invalid = np.append(~missing & ~(np.abs(floats[:-1]) < FLOAT32_BOUND), False)
    rows, counts = _first_rows(codes, invalid[codes])
    large = np.flatnonzero(np.abs(floats) >= INTEGERS_END)
    exact = {index: rules.exact(distinct[index]) for index in large.tolist()}
    odd = {index: Fraction(value) for index, value in exact.items() if value != floats[index]}
    rounded = {}
    for row in np.flatnonzero(np.isin(codes, [*odd])).tolist() if odd else []:
        value = odd[codes[row]]
        rounded[row] = int(value) if value.denominator == 1 else value
    return CheckedColumn(floats[codes], rows, counts, writing, met, rounded)


def may_be_grouped(columns: Mapping[str, NDArray[np.generic]]) -> list[str]:
    """Return the columns that may be whole numbers whose thousands mark was read as decimal.

    1.629 for 1,629 beside 950 for 950: fractions of three digits, none below 1, and whole numbers
    below 1,000. The first rows, of all columns at once, decide for nearly all of them.
    """
    if not columns:
        return []
    heads = np.array([column[:_HEAD] for column in columns.values()], np.float64)
    likely = (name for name, fits in zip(columns, _fit_groups(heads), strict=True) if fits)
    return [name for name in likely if _is_grouped(columns[name].astype(np.float64, copy=False))]


def _fit_groups(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each row of an array whether it has only numbers that may be grouped."""
    size = np.abs(values)
    with np.errstate(invalid="ignore", over="ignore"):
        thousandths = np.round(size * 1000)
        fits = (np.abs(size * 1000 - thousandths) < 1e-6) & (size < 1000)
        fits &= (size >= 1) | (thousandths == 0)
    fitting: NDArray[np.bool_] = (fits | np.isnan(size)).all(axis=-1)
    return fitting


def _is_grouped(values: NDArray[np.float64]) -> bool:
    known = values[~np.isnan(values)]
    if not known.size or not _fit_groups(known):
        return False
    thousandths = np.round(np.abs(known) * 1000)
    fractions = thousandths[thousandths % 1000 != 0]
    is_money = 2 * np.count_nonzero(fractions % 10) < fractions.size
    return not is_money and _LEAST_GROUPED <= fractions.size < known.size


def are_grouped(texts: NDArray[np.generic] | None, decimal: str) -> bool:
    """Whether of the numbers as written, those with a mark have just three digits after it."""
    import pandas as pd

    assert texts is not None
    mark = re.escape(decimal)
    distinct = [str(text).strip() for text in pd.unique(texts) if isinstance(text, str)]
    whole = [text for text in distinct if re.fullmatch(r"[+-]?[0-9]{1,3}", text)]
    grouped = [t for t in distinct if re.fullmatch(rf"[+-]?[1-9][0-9]{{0,2}}{mark}[0-9]{{3}}", t)]
    is_all = len(whole) + len(grouped) == len(distinct)
    return is_all and bool(whole) and len(grouped) >= _LEAST_GROUPED


def _flags(distinct: NDArray[np.object_], test: Callable[[str], bool]) -> NDArray[np.bool_]:
    return np.fromiter(map(test, distinct), bool, len(distinct))


def _is_marked(text: str, rules: CellRules) -> bool:
    found = None if rules.is_number(text) else decorated(text, rules.decimal)
    return found is not None and KEYED.issuperset(found.oddities)


def _are_mostly_numbers(
    distinct: NDArray[np.object_], counts: NDArray[np.int64], rules: CellRules
) -> bool:
    """Whether at least 90 % of the cells are plain numbers; stops once the answer is known.

    inf and nan count, although they are invalid: they were meant as numbers.
    """
    total = int(counts.sum())
    others = 0
    for text, count in zip(distinct, counts, strict=True):
        if count and not (rules.is_number(text) or NOT_FINITE.fullmatch(text)):
            others += int(count)
            if 10 * others > total:
                return False
    return True


def _most_frequent(
    distinct: NDArray[np.object_], counts: NDArray[np.int64]
) -> list[tuple[str, int]]:
    """Return the filled cells with their counts: all, or the most frequent ones."""
    order = np.argsort(-counts, kind="stable")[:_MOST_RECOGNISED]
    return [(distinct[index], int(counts[index])) for index in order if counts[index]]


def _is_finite_to_python(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
