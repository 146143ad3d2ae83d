"""The lines of an error about invalid cells: where each is, what it is, and what to do."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import CheckedColumn
from ml2021.data.csv.scan import TableFormat
from ml2021.data.csv.source import show_path
from ml2021.data.csv.writings import NOT_FINITE, Writing, means_no_number, writing_of
from ml2021.errors import DataError
from ml2021.formatting import echo, listed, plural

Cells = dict[int, tuple[str, dict[str, str]]]
"""For each row its place, as text for messages, and its cells by column name."""
_SHOWN_CELLS = 3
_SHOWN_COLUMNS = 5
_LISTED_WORDS = 8
_MOST_LABELS = 50  # different numbers that may be labels beside a word
_REPEATS = 5  # rows for each of them


class InvalidCells:
    """The invalid cells of columns whose type is given, gathered piece by piece.

    rows: how many rows have been added.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._found: dict[str, dict[object, list[int]]] = {}
        self._ends: dict[str, list[float]] = {}  # the first value, and one that is valid

    def __bool__(self) -> bool:
        return bool(self._found)

    def names(self) -> Iterable[str]:
        """Return the columns that have invalid cells."""
        return self._found.keys()

    def add(
        self,
        checked: Mapping[str, CheckedColumn],
        cells: Mapping[str, NDArray[np.generic]],
        rows: int,
    ) -> None:
        """Add the next rows, whose cells were these before they were checked."""
        for name, column in checked.items():
            found = self._found
            for row, count in zip(column.invalid.tolist(), column.counts.tolist(), strict=True):
                cell = found.setdefault(name, {}).setdefault(cells[name][row], [self.rows + row, 0])
                cell[1] += count
            if column.values.dtype == object:
                continue
            ends = self._ends.setdefault(name, column.values[:1].tolist())
            if len(ends) == 1:
                ends += column.values[column.values == column.values][:1].tolist()
        self.rows += rows

    def columns(self) -> dict[str, CheckedColumn]:
        """Return what `reject_invalid` has to know of the whole columns."""
        columns = {}
        for name, ends in self._ends.items():
            found = np.array([*self._found.get(name, {}).values()], np.int64).reshape(-1, 2)
            columns[name] = CheckedColumn(np.array(ends, np.float64), found[:, 0], found[:, 1])
        return columns

    def cells(self, path: Path, rows: set[int]) -> Cells:
        """Return the invalid cells of these rows, by the number of the row."""
        found: Cells = {row: (f"{show_path(path)}: row {row + 1}", {}) for row in rows}
        for name, cells in self._found.items():
            for cell, (row, _) in cells.items():
                if row in found:
                    found[row][1][name] = str(cell)
        return found


def reject_invalid(
    format: TableFormat,
    checked: Mapping[str, CheckedColumn],
    find: Callable[[set[int]], Cells],
    files: int = 1,
) -> None:
    """Raise a DataError that lists the invalid cells, equal ones once, if there are any.

    files: how many the table has.
    """
    invalid = {name: column for name, column in checked.items() if column.invalid.size}
    if not invalid:
        return
    # marks of another kind are one mistake, however many cells have them
    shown = {
        name: [int(row) for row in column.invalid[: 1 if _is_marked(column) else _SHOWN_CELLS]]
        for name, column in islice(invalid.items(), _SHOWN_COLUMNS)
    }
    found = find({row for rows in shown.values() for row in rows})
    _reject_units(format, checked, find, files)
    texts = dict.fromkeys(found[row][1][name] for name, rows in shown.items() for row in rows)
    words = [text for text in texts if text and means_no_number(text)][:_LISTED_WORDS]
    missing = format.setting(missing=json.dumps([*format.missing, *words], ensure_ascii=False))
    odd = [text for text in texts if text not in words and _is_no_writing(text, format)]
    listing = format.listing(*words, *odd)
    lines = []
    for name, rows in shown.items():
        column = invalid[name]
        for row, count in zip(rows, column.counts, strict=False):
            where, cells = found[row]
            times = f" ({plural(int(count), 'cell')})" if count > 1 else ""
            what = _explain(cells[name], times, format, missing, listing)
            if column.writing is not None and _is_marked(column):
                what = f"{column.writing.describe()}; {remedy_for(column.writing, format)}"
            elif (
                (
                    _may_be_labels(column)
                    or (count > 1 and not format.by_option and _has_few(column))
                )
                and cells[name]
                and not (means_no_number(cells[name]) or NOT_FINITE.fullmatch(cells[name]))
            ):
                label = f"{{{echo(name)}: category}}"
                what += f"; if these are labels, set data.types: {label}"
            lines.append(f"{where}: column '{echo(name)}': {what}")
        if (more := int(column.counts.sum() - column.counts[: len(rows)].sum())) > 0:
            lines[-1] += f" (and {more:,} more in this column)"
    if (more := len(invalid) - len(shown)) > 0:
        lines[-1] += f" (and {plural(more, 'more column')} with invalid cells)"
    raise DataError(*lines)


def _may_be_labels(column: CheckedColumn) -> bool:
    """Whether words beside a few different numbers were not taken for labels."""
    return column.writing is not None and column.writing.distinct <= _MOST_LABELS


def _has_few(column: CheckedColumn) -> bool:
    """Whether a column of nearly all numbers has few different ones, each repeated, as labels."""
    numbers = column.values[~np.isnan(column.values.astype(np.float64))]
    distinct = len(np.unique(numbers))
    return 0 < distinct <= _MOST_LABELS and len(numbers) >= _REPEATS * distinct


def _is_marked(column: CheckedColumn) -> bool:
    return column.writing is not None and column.writing.kind == "marks"


def remedy_for(writing: Writing, format: TableFormat) -> str:
    """Say how numbers in another writing can be read: by which keys, or written how."""
    separator = "" if format.in_memory else format.separator
    keys = {} if format.thousands else writing.keys(separator, format.decimal)
    if not keys:
        return writing.rewriting()
    remedy = format.setting(**keys)
    if writing.is_unsure and writing.thousands != separator:
        decimal = format.setting(decimal=f'"{writing.thousands}"')
        remedy += f", or {decimal} if '{writing.thousands}' marks decimals"
    return remedy


def _is_no_writing(text: str, format: TableFormat) -> bool:
    """Whether a cell is no finite number in any writing that is known."""
    if format.rules.is_number(text) or NOT_FINITE.fullmatch(text):
        return True
    return writing_of(text, format.decimal) is None


def _explain(text: str, times: str, format: TableFormat, missing: str, listing: str) -> str:
    """Say why a cell is no valid number, and what to do.

    times: how often it occurs. missing, listing: how to list words that look missing, or all cells
    of the error.
    """
    shown = f"'{echo(text)}'{times}"
    correct = f"correct it, or {listing}"
    if text == "":
        return f"an empty cell{times} is not a number; {correct}"
    if format.rules.is_number(text):
        return f"{shown} is too large (the limit is about 3.4e38); {correct}"
    if means_no_number(text):
        return f"{shown} is not a number; if it means missing, {missing}"
    if NOT_FINITE.fullmatch(text):
        return f"{shown} is not a finite number; {correct}"
    if (writing := writing_of(text, format.decimal)) is None:
        return f"{shown} is not a number; {correct}"
    what = f"{shown} is a number with {' and '.join(writing.oddities)}; write {writing.plain}"
    remedy = remedy_for(writing, format)
    return what if remedy == writing.rewriting() else f"{what}, or {remedy}"


def _reject_units(
    format: TableFormat,
    checked: Mapping[str, CheckedColumn],
    find: Callable[[set[int]], Cells],
    files: int,
) -> None:
    """Raise a DataError if the first row holds no number, and other text in several columns.

    It is a second header then, as with units, of the first file or of each.
    """
    numbers = {name: column for name, column in checked.items() if column.values.dtype != object}
    odd = [name for name, column in numbers.items() if column.invalid[:1].tolist() == [0]]
    if (
        len(odd) < 2
        or any(column.values[0] == column.values[0] for column in numbers.values())
        or any(numbers[name].counts.tolist() not in ([1], [files]) for name in odd)
        or not all((numbers[n].values == numbers[n].values).any() for n in odd)
    ):
        return
    where, cells = find({0})[0]
    odd = [n for n in odd if not (means_no_number(cells[n]) or NOT_FINITE.fullmatch(cells[n]))]
    if len(odd) < 2:
        return
    _, _, line = where.rpartition(":")
    if not line.isdigit():
        return
    texts = listed([f"'{echo(cells[name])}'" for name in odd], 3)
    raise DataError(
        f"{where}: {texts} in a row of text above the numbers, such as names or units; "
        f"{format.skipping(int(line), int(line))}"
    )
