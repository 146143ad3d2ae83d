"""Split CSV text into records and fields.

`regular_records` is vectorised and accepts only perfectly regular text; `split_records` goes field
by field and handles everything else. As in pandas' C parser and Python's csv module, a quote is
special only at the start of a field, and is doubled inside a quoted field. Unlike in those two,
text after a closing quote is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.source import show_path
from ml2021.errors import DataError

COLUMN_LIMIT = 100_000
"""The maximum number of fields in a record."""
_QUOTE, _NEWLINE, _RETURN = b'"\n\r'


@dataclass(frozen=True)
class Record:
    """One record: the line it begins on, its raw fields, and its position in the data.

    `stop` is after its line ending. A blank line is a record too, with `blank` true.
    """

    line: int
    start: int
    stop: int
    fields: tuple[bytes, ...]

    @property
    def blank(self) -> bool:
        """Whether this is an empty line rather than a record."""
        return self.fields == (b"",)

    def texts(self) -> list[str]:
        """Return the fields as text, without their quotes."""
        return [
            (f[1:-1].replace(b'""', b'"') if f.startswith(b'"') else f).decode()
            for f in self.fields
        ]


def count_lines(data: bytes) -> int:
    r"""Return the number of line endings in `data`: \r\n, \n or \r."""
    lines = data.count(b"\n")
    return lines + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else lines


def regular_records(data: bytes, separator: bytes, width: int) -> tuple[int, int]:
    """Return the length in bytes and the number of complete records at the start of `data`.

    Return (0, 0) unless they are perfectly regular: `width` fields each, quotes only around fields,
    no blank line, no lone carriage return. `data` begins at the start of a record.
    """
    chars = np.frombuffer(data, np.uint8)
    is_line = chars == _NEWLINE
    ends = np.flatnonzero(is_line | (chars == separator[0]))  # of fields
    if b'"' in data:
        # An opening quote follows the end of a field, a closing one precedes it, and the halves of
        # a doubled quote are adjacent. Given that, parity tells whether a position is quoted.
        quotes = np.flatnonzero(chars == _QUOTE)
        around = np.ones(chars.size + 2, bool)
        around[1:-1] = np.isin(chars, np.frombuffer(separator + b'"\n\r', np.uint8))
        if not (around[quotes[::2]].all() and around[quotes[1::2] + 2].all()):
            return 0, 0
        ends = _outside(ends, quotes)
        rows = int(np.count_nonzero(is_line[ends]))
    else:
        quotes = None
        rows = int(np.count_nonzero(is_line))
    if b"\r" in data:
        returns = np.flatnonzero(chars == _RETURN)
        if quotes is not None:
            returns = _outside(returns, quotes)
        returns = returns[returns + 1 < chars.size]
        if not (chars[returns + 1] == _NEWLINE).all():
            return 0, 0
    lines = ends[width - 1 : rows * width : width]
    # every line end must be where the last field of a record ends
    if not rows or lines.size != rows or not is_line[lines].all():
        return 0, 0
    if width == 1:
        starts = np.concatenate(([0], lines[:-1] + 1))
        size = lines - starts
        if ((size == 0) | ((size == 1) & (chars[starts] == _RETURN))).any():
            return 0, 0
    return int(lines[-1]) + 1, rows


def _outside(positions: NDArray[np.int64], quotes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions outside quotes."""
    outside: NDArray[np.int64] = positions[np.searchsorted(quotes, positions) % 2 == 0]
    return outside


def _field_pattern(separator: bytes) -> bytes:
    """Return a pattern with two groups: a field, and the separator or line ending after it."""
    s = re.escape(separator)
    return rb'("[^"]*+(?:""[^"]*+)*+"|(?!")[^' + s + rb"\r\n]*+)(" + s + rb"|\r\n?|\n)"


_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')


def open_field(rest: bytes, separator: bytes) -> int:
    """Return where the last field of `rest`, an incomplete record, begins."""
    whole = re.match(rb"(?:" + _field_pattern(separator) + rb")*+", rest)
    return whole.end() if whole else 0


def split_records(path: Path, data: bytes, line: int, separator: bytes) -> Iterator[Record]:
    """Yield the complete records and blank lines at the start of `data`, which begins on `line`.

    Raises DataError for text after a closing quote, or more than `COLUMN_LIMIT` fields.
    """
    match_field = re.compile(_field_pattern(separator)).match
    start = at = 0
    fields: list[bytes] = []
    while match := match_field(data, at):
        field, end = match.groups()
        fields.append(field)
        at = match.end()
        if len(fields) > COLUMN_LIMIT:
            what = f"more than {COLUMN_LIMIT:,} fields; remove some columns"
            raise DataError(f"{show_path(path)}:{line}: {what}")
        if end == separator:
            continue
        yield Record(line, start, at, tuple(fields))
        line += count_lines(data[start:at])
        start = at
        fields = []
    quoted = _QUOTED.match(data, at)
    if quoted and quoted.end() < len(data):
        line += count_lines(data[start:at])
        last = line + count_lines(quoted[0])
        where = f" on line {last}" if last > line else ""
        what = f"text after the closing quote{where} of this field"
        remedy = "double the quotes inside the field"
        raise DataError(f"{show_path(path)}:{line}: {what}; {remedy}")
