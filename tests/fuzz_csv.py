"""Tables of unusual and damaged cells, quotes and line endings, against a slow and simple reader.

The reference reads with the csv module, field by field, by the rules that the README and the
catalogue state. Both must read the same values, or both reject the file at the same lines.
"""

import csv
import io
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ml2021.data import tables
from ml2021.data.csv.scan import TableFormat
from ml2021.errors import DataError
from tests.finishing import scratch
from tests.suites import HangError, Tally

LARGEST = (2 - 2**-24) * 2.0**127  # from here on float32 has only infinity
NUMBER = r"\s*[+-]?([0-9]+M?[0-9]*|M[0-9]+)([eE][+-]?[0-9]+)?\s*"
NOT_FINITE = re.compile(r"\s*[+-]?(inf(inity)?|nan)\s*", re.ASCII | re.IGNORECASE)
DECORATED = {"1_000", "5%", "٣", "1 000", "\u00a01"}
WORDS = {"NA", "NaN", "None", "-", "."}
Column = list[float | str | None]


@dataclass(frozen=True)
class Refusal:
    """Where the reference finds an error: a range with the line to report, or the invalid cells.

    If it has neither, the error is about the whole file.
    """

    lines: range | None = None
    cells: tuple[tuple[int, str], ...] = ()


class Rules:
    """What a cell means according to the documentation."""

    def __init__(self, format: TableFormat) -> None:
        self.mark = format.decimal
        self.other = "," if format.decimal == "." else "."
        self.missing = format.missing

    def number(self, cell: str, mark: str | None = None) -> float | None:
        """Return the number, of any size, or None."""
        mark = mark or self.mark
        if re.fullmatch(NUMBER.replace("M", re.escape(mark)), cell, re.ASCII) is None:
            return None
        return float(cell.replace(mark, "."))

    def is_missing(self, cell: str) -> bool:
        """Whether the cell is a missing value in this format."""
        number = self.number(cell)
        for text in self.missing:
            assert isinstance(text, str)
            if cell == text and self.number(text) is None:
                return True
            if number is not None and self.number(text) == number:
                return True
        return False


def read_records(text: str, separator: str) -> tuple[list[tuple[int, list[str]]], Refusal | None]:
    """Read records with their lines by the csv module, up to the first error."""
    rows: list[tuple[int, list[str]]] = []
    blank = 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error:
            return rows, Refusal(range(first, reader.line_num + 1))
        if record is None:
            return rows, None if len(rows) > 1 else Refusal()
        if not record:
            blank = blank or first
            continue
        if rows and len(record) != len(rows[0][1]):
            return rows, Refusal(range(first, first + 1))
        if len(record) == 1 and blank and rows:
            return rows, Refusal(range(blank, blank + 1))
        blank = 0
        rows.append((first, record))


def reference(text: str, format: TableFormat) -> dict[str, Column] | Refusal:
    """Read a table, or return why it is invalid."""
    rows, refusal = read_records(text, format.separator)
    if refusal is not None:
        return refusal
    names, rules = rows[0][1], Rules(format)
    columns: dict[str, Column] = {}
    odd: list[tuple[int, str]] = []
    for index, name in enumerate(names):
        cells = [(line, record[index]) for line, record in rows[1:]]
        values, wrong = _column([cell for _, cell in cells], rules)
        columns[name] = values
        odd += [(cells[row][0], name) for row in wrong]
    if odd and _has_units([*columns.values()], rows, odd):
        return Refusal(range(rows[1][0], rows[1][0] + 1))
    return Refusal(cells=tuple(odd)) if odd else columns


def _has_units(
    columns: Sequence[Column], rows: list[tuple[int, list[str]]], odd: list[tuple[int, str]]
) -> bool:
    """Whether the first row has text in two or more columns, above nothing but numbers."""
    numbers = [i for i, c in enumerate(columns) if not any(isinstance(v, str) for v in c)]
    first = [i for i in numbers if (rows[1][0], rows[0][1][i]) in odd]
    alone = all(sum(name == rows[0][1][i] for _, name in odd) == 1 for i in first)
    above = all(any(value is not None for value in columns[i]) for i in first)
    cells = [rows[1][1][i] for i in first]
    units = [c for c in cells if not (c.strip() in WORDS or NOT_FINITE.fullmatch(c))]
    is_free = all(columns[i][0] is None for i in numbers)
    return len(units) > 1 and alone and above and is_free


def _column(cells: Sequence[str], rules: Rules) -> tuple[Column, list[int]]:
    """Return a column's values and the rows of its invalid cells, of marked ones the first."""
    gone = [rules.is_missing(cell) for cell in cells]
    filled = [cell for cell, is_gone in zip(cells, gone, strict=True) if not is_gone and cell]
    meant = [c for c in filled if rules.number(c) is not None or NOT_FINITE.fullmatch(c)]
    as_text: Column = [None if g else c for c, g in zip(cells, gone, strict=True)]
    if not filled and not all(gone):
        return as_text, []
    if 10 * len(meant) < 9 * len(filled):
        marked = [c for c in filled if c not in meant and _has_marks(c, rules)]
        decorated = [c for c in filled if c not in meant and _is_decorated(c, rules)]
        words = [c for c in filled if c not in meant and c.strip() in WORDS]
        if marked and 10 * (len(meant) + len(marked)) >= 9 * len(filled):
            decorated = []
        known = {*meant, *marked, *decorated, *words}
        rest = [c for c in filled if c not in known]
        numbers = len(meant) + len(marked) + len(decorated)
        distinct = len({*meant, *marked, *decorated})
        are_many = distinct > 20 or (distinct >= 5 and 2 * distinct > numbers)
        are_numbers = distinct >= 2 and 10 * len(rest) <= numbers + len(rest)
        are_numbers = are_numbers or (len({*rest}) == 1 and are_many)
        if marked and not decorated and (are_numbers or 10 * numbers >= 9 * len(filled)):
            return as_text, [row for row, c in enumerate(cells) if c in marked][:1]
        if decorated or marked or not are_numbers:
            return as_text, []
    values: Column = [None if g else rules.number(c) for c, g in zip(cells, gone, strict=True)]
    odd = [
        row
        for row, number in enumerate(values)
        if not gone[row] and not (isinstance(number, float) and abs(number) < LARGEST)
    ]
    return values, odd


def _is_decorated(cell: str, rules: Rules) -> bool:
    """Whether a cell is a number in a writing that the config has no key for, such as inches."""
    core = cell.strip()
    is_inch = core.endswith('"') and rules.number(core[:-1]) is not None
    return is_inch or cell in DECORATED


def _has_marks(cell: str, rules: Rules) -> bool:
    """Whether a cell is a number with a point or a comma for decimals or thousands."""
    is_grouped = re.fullmatch(r"\s*[+-]?[1-9][0-9]{0,2}\.[0-9]{3},[0-9]*\s*", cell) is not None
    return is_grouped or rules.number(cell, rules.other) is not None


# The files.

NUMBERS = st.sampled_from(
    ["0", "1", "-2", "3.5", "+.5", "1e3", " 4", "5 ", "1E-2", "7.", "1234567"]
)
ODD = st.sampled_from(
    [
        *("inf", "-nan", "1e39", "1e400", "1_000", "0x10", "5%", "٣", "1,5", "1.234,5", "+3e 2"),
        *("--1", "1e5.5", "1 000", "O", "\u00a01", "true", "1e", "½", "3.4028235677973366e38"),
    ]
)
TEXTS = st.sampled_from(["red", "blue", "True", "False", 'a "b"', "a,b", "a;b", "a\nb", "é", "NA "])
MISSING = st.sampled_from(["", "NA", "NaN", "None", "-200", "-200.0"])
CELLS = {
    "numbers": NUMBERS,
    "nearly": st.integers(0, 19).flatmap(lambda i: NUMBERS if i else ODD | TEXTS),
    "gaps": NUMBERS | MISSING,
    "texts": TEXTS | MISSING,
    "empty": MISSING,
    "any": NUMBERS | ODD | TEXTS | MISSING,
}
FORMATS = st.builds(
    TableFormat,
    separator=st.sampled_from([",", ";", "\t"]),
    decimal=st.sampled_from([".", ","]),
    missing=st.sampled_from([TableFormat().missing, (), ("", "-200"), ("NA", "red")]),
).filter(lambda format: format.separator != format.decimal)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, TableFormat]:
    """Return a table as text, possibly damaged, and its format."""
    format = draw(FORMATS)
    kinds = draw(st.lists(st.sampled_from(list(CELLS)), min_size=2, max_size=4))
    height = draw(st.integers(1, 25))
    columns = [draw(st.lists(CELLS[k], min_size=height, max_size=height)) for k in kinds]
    rows = [
        [f"c{i}" for i in range(len(kinds))],
        *(list(row) for row in zip(*columns, strict=True)),
    ]
    damage = draw(st.sampled_from([None, None, None, "short", "long", "quote", "cut", "blank"]))
    at = draw(st.integers(1, height))
    if damage == "short":
        rows[at].pop()
    elif damage == "long":
        rows[at].append("more")
    ending = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    is_quoted = draw(st.booleans())
    lines = [
        format.separator.join(_written(cell, format.separator, is_quoted) for cell in row)
        for row in rows
    ]
    if damage == "blank":
        lines[at:at] = [""] * draw(st.integers(1, 3))
    text = ending.join(lines) + (ending if draw(st.booleans()) else "")
    if damage in ("quote", "cut"):
        place = draw(st.integers(len(lines[0]) + 2, max(len(lines[0]) + 2, len(text))))
        text = text[:place] + '"' + text[place:] if damage == "quote" else text[:place]
    return text, format


def _written(cell: str, separator: str, is_quoted: bool) -> str:
    if is_quoted or any(mark in cell for mark in (separator, '"', "\n", "\r")):
        doubled = cell.replace('"', '""')
        return f'"{doubled}"'
    return cell


# The comparison.


def suite(count: int) -> Tally:
    """Read `count` tables with both readers."""
    tally = Tally()
    with scratch() as folder:
        path = folder / "t.csv"

        @seed(2021)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(files())
        def read(file: tuple[str, TableFormat]) -> None:
            text, format = file
            path.write_bytes(text.encode())
            verdict = judge(tally, path, text, format)
            tally.add(
                verdict if verdict in ("equal", "refused") else f"{verdict}: {text!r}, {format}",
                is_right=verdict in ("equal", "refused"),
            )

        read()
    return tally


def judge(tally: Tally, path: Path, text: str, format: TableFormat) -> str:
    """Return "equal", "refused" if rightly refused, or what went wrong."""
    expected = reference(text, format)
    try:
        with tally.timed():
            frame = tables.read_table(path, format).frame
    except DataError as error:
        if not isinstance(expected, Refusal):
            return f"refused, and should be read: {error}"
        return _judge_refusal(path, error, expected)
    except HangError:
        return "a hang"
    except Exception:
        return f"a traceback: {traceback.format_exc()}"
    if isinstance(expected, Refusal):
        return f"read, and should be refused at {expected}"
    read = {name: [_plain(value) for value in frame[name]] for name in frame}
    return "equal" if read == expected else f"read as {read}, and should be {expected}"


def _plain(value: Any) -> float | str | None:
    if isinstance(value, str):
        return value
    return None if np.isnan(value) else float(value)


def _judge_refusal(path: Path, error: DataError, expected: Refusal) -> str:
    """Check that a file is refused at the right lines and for the right columns."""
    found = []
    for line in error.lines:
        match = re.match(re.escape(str(path)) + r":(\d+): (?:column '([^']*)')?", line)
        found.append((int(match[1]), match[2]) if match else (0, ""))
    if expected.cells:
        # equal cells are listed once, and at most three of a column
        names = dict.fromkeys(name for _, name in expected.cells)
        firsts = {name: next(c for c in expected.cells if c[1] == name) for name in names}
        listed = {name: [c for c in found if c[1] == name] for name in names}
        is_right = all(rows[:1] == [firsts[name]] for name, rows in listed.items())
        is_right &= {*found} <= {*expected.cells} and [*dict.fromkeys(n for _, n in found)] == [
            *names
        ]
        is_right &= all(rows == sorted(rows)[:3] for rows in listed.values())
    elif expected.lines is not None:
        is_right = len(found) == 1 and found[0][0] in expected.lines
    else:
        is_right = len(found) == 1
    return "refused" if is_right else f"refused by {error.lines}, and should be at {expected}"
