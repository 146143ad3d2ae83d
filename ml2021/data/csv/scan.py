"""Split a table's text into blocks of complete records, and check that all have the same width.

The fast path (`regular_records`) accepts perfectly regular blocks. All others go through
`split_records`, which decides whether they are valid and finds the line of an error. Memory is
bounded by `RECORD_LIMIT`, whatever the file contains.
"""

import json
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from ml2021.data.csv.cells import CellRules
from ml2021.data.csv.preamble import (
    COMMENT,
    SkipRows,
    explain_first_line,
    explain_nameless,
    explain_width,
    is_skipped,
    some_records,
    without_lines,
)
from ml2021.data.csv.records import Record, count_lines, open_field, regular_records, split_records
from ml2021.data.csv.source import (
    HashedFile,
    UndecodableError,
    changed_error,
    codec_name,
    file_error,
    show_path,
    text_chunks,
)
from ml2021.errors import DataError
from ml2021.formatting import echo, plural

RECORD_LIMIT = 16 << 20
"""The maximum length of a record, in bytes of UTF-8."""
_FAST_LIMIT = 2 << 20  # bytes; the fast path needs up to 16 times as much memory
_EXPONENT_SPACE = [e + s for e in (b"e", b"E") for s in (b" ", b"\t", b"\n", b"\v", b"\f", b"\r")]
_SPACED_EXPONENT = re.compile(rb"\+[0-9.,]+[eE][ \t\n\v\f\r]")
_MOST_BEFORE = 20  # records before the header, such as titles
_DECIMAL_COMMA = re.compile(rb"[;\t|][+-]?[0-9]+,[0-9]+[;\t|]")


@dataclass(frozen=True)
class Block:
    """Complete records: `data` as in the file (in UTF-8), beginning on line `line`.

    `row` is the number of records before the block and `rows` the number in it, both including the
    header. `clean` is `data` without blank lines.
    """

    data: bytes
    line: int
    row: int
    rows: int
    clean: bytes


class TextScan:
    """One pass over the records of a text file in blocks, as a context manager.

    The first record, the header if there is one, sets the number of fields. After the last block,
    `sha256` is the hash of the bytes on disk, and `spaced_exponent` tells whether the file may
    contain cells like `+3e 2`, which pandas reads as 300. Lines in `format.skip_rows` are read as
    blank ones. `state` is the `state` of an earlier scan; the file must not have changed since.
    """

    def __init__(
        self, path: Path, format: "TableFormat", state: tuple[int, ...] | None = None
    ) -> None:
        self.path = path
        self.width = 0
        self.sha256 = ""
        self.spaced_exponent = False
        self._format = format
        self._separator = format.separator.encode()
        self._encoding = codec_name(format.encoding)
        self._first = "header" if format.header else "first row"
        self._line = 1
        self._row = 0
        self._blank_line = 0
        self._header: Record | None = None
        self._file = HashedFile(path)
        self.state = self._file.state
        if state is not None and state != self.state:
            self._file.close()
            raise changed_error(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in order.

        Raises DataError, with the first such line, if the text is not in its encoding or a record
        is not as wide as the first.
        """
        chunks = text_chunks(self._file, self._encoding)
        if self._format.skip_rows:
            chunks = without_lines(chunks, self._format.skip_rows, self.path)
        rest = b""
        final = False
        while not final:
            chunk = self._next_chunk(chunks, rest)
            final = not chunk
            data = rest + chunk
            cut_off = final and data != b"" and not data.endswith((b"\n", b"\r"))
            if final and data and not data.endswith(b"\n"):
                data += b"\n"
            # a \r at the end may be half of a \r\n
            ready = data[:-1] if not final and data.endswith(b"\r") else data
            block = self._block(ready, cut_off)
            rest = data[len(block.data) :]
            if block.rows:
                yield block
            if (rest and final) or len(rest) > RECORD_LIMIT:
                raise self._endless(rest, final)
        self.sha256 = self._file.finish()

    @property
    def records(self) -> int:
        """The number of records read so far, the header included."""
        return self._row

    def expected_rows(self) -> int:
        """Guess how many records the file holds, by those in the part of it that was read."""
        return int(1.02 * self._row / self._file.share_read) + 1

    def _next_chunk(self, chunks: Iterator[bytes], rest: bytes) -> bytes:
        """Return at least as much text as `rest`, so that a long record is rarely rescanned."""
        chunk = b""
        try:
            while (more := next(chunks, b"")) and len(chunk := chunk + more) < len(rest):
                pass
        except UndecodableError as bad:
            line = self._line + count_lines(rest + chunk + bad.before)
            raise self._error(line, f"{bad}; {self._format.setting(encoding=bad.likely)}") from None
        if b"\0" in chunk:
            line = self._line + count_lines(rest + chunk[: chunk.index(b"\0")])
            what = f"NUL character; remove it, or {self._format.setting(encoding=None)}"
            if chunk.count(b"\0") * 3 > len(chunk):
                what = f"not UTF-8 (probably UTF-16); {self._format.setting(encoding='utf-16')}"
            raise self._error(line, what)
        return chunk

    def _block(self, data: bytes, cut_off: bool) -> Block:
        """Return the complete records at the start of `data`."""
        length = rows = 0
        clean = None
        if b"\n" in data or b"\r" in data:
            if self.width and not self._blank_line and len(data) <= _FAST_LIMIT:
                length, rows = regular_records(data, self._separator, self.width)
            if not rows:
                length, rows, clean = self._careful(data, cut_off)
            if b"+" in data and any(e in data for e in _EXPONENT_SPACE):
                self.spaced_exponent |= _SPACED_EXPONENT.search(data) is not None
        whole = data[:length]
        block = Block(whole, self._line, self._row, rows, whole if clean is None else clean)
        self._line += rows if clean is None and b'"' not in whole else count_lines(whole)
        self._row += rows
        return block

    def _careful(self, data: bytes, cut_off: bool) -> tuple[int, int, bytes]:
        """Return the length and number of complete records, and their bytes without blank lines.

        The file's first record is returned alone: it sets the width, which the fast path needs.
        """
        kept: list[bytes] = []
        is_first = not self.width
        stop = 0
        for record in self.split(data, self._line):
            stop = record.stop
            if record.blank:
                if not is_skipped(record.line, self._format.skip_rows):
                    self._blank_line = self._blank_line or record.line
                continue
            found = len(record.fields)
            if self._header is None:
                self.width = found
                self._header = record
                self._check_first(record, data)
            if found != self.width:
                raise self._wrong_width(record, data, cut_off and stop == len(data), len(kept))
            if self.width == 1 and self._blank_line and (self._row or kept):
                what = "blank line, possibly a missing value"
                raise self._error(self._blank_line, f'{what}; write "" there, or remove it')
            self._blank_line = 0
            kept.append(data[record.start : stop])
            if is_first:
                break
        return stop, len(kept), b"".join(kept)

    def _check_first(self, record: Record, data: bytes) -> None:
        """Reject comments, and a single column that another separator would split into several."""
        if what := explain_first_line(record, data, self._format):
            raise self._error(record.line, what)
        first = record.fields[0]
        if len(record.fields) > 1 or first.startswith(b'"'):
            return
        second = data[record.stop :].lstrip(b"\r\n").splitlines()[:1]
        if not second:
            return
        for mark in b",", b";", b"\t", b"|":
            if mark != self._separator and 0 < first.count(mark) == second[0].count(mark):
                shown = "\\t" if mark == b"\t" else mark.decode()
                keys: dict[str, str | None] = {"separator": f'"{shown}"'}
                if mark != b"," and _DECIMAL_COMMA.search(mark + second[0] + mark):
                    keys["decimal"] = '","'
                what = f"the {self._first} has only 1 field; {self._format.setting(**keys)}"
                raise self._error(record.line, what)

    def split(self, data: bytes, line: int) -> Iterator[Record]:
        """Yield the complete records at the start of `data`, which begins on `line`."""
        return split_records(self.path, data, line, self._separator)

    def _error(self, line: int, what: str) -> DataError:
        return DataError(f"{show_path(self.path)}:{line}: {what}")

    def _wrong_width(self, record: Record, data: bytes, last: bool, kept: int) -> DataError:
        assert self._header is not None
        found = len(record.fields)
        if self._row + kept <= _MOST_BEFORE:
            following = some_records(self.split(data[record.stop :], record.line + 1))
            if what := explain_width(self._header, record, following, self._format):
                return self._error(record.line, what)
        skip = self._format.skipping(record.line, record.line)
        if found == 1 and (mark := COMMENT.match(record.fields[0])):
            what = f"this line is a comment, as it starts with '{mark[1].decode()}'; {skip}"
            return self._error(record.line, what)
        remedy = "the file seems to be truncated" if last else "add the missing fields"
        if found == 1 and not last:
            remedy += f", or {skip} if it is no row"
        if found > self.width:
            remedy = "quote fields that contain the separator, or name every column"
        what = f"{plural(found, 'field')}, but the {self._first} has {self.width:,}; {remedy}"
        return self._error(record.line, what)

    def _endless(self, rest: bytes, final: bool) -> DataError:
        size = f"{RECORD_LIMIT >> 20} MiB"
        start = open_field(rest, self._separator)
        line = self._line + count_lines(rest[:start])
        if rest[start : start + 1] != b'"':
            return self._error(line, f"line longer than {size}; check that this is a CSV file")
        within = "is never closed" if final else f"is not closed within {size}"
        return self._error(line, f"a quote opened here {within}; close or remove it")


_NEVER_SEPARATORS = '"\n\r\0+-'


@dataclass(frozen=True)
class TableFormat:
    """The format of a CSV file; the fields are the config's keys under `data`.

    `separator` is one ASCII character, `decimal` a point or a comma, `thousands` one of `MARKS`.
    by_option: the keys are set by the option --set of a command that has no config. in_memory: the
    table is a data frame, whose texts are read as those of a file, and no key can be set.
    """

    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    header: bool = True
    missing: tuple[str | int | float, ...] = ("", "NA", "N/A", "null", "None", "NaN")
    thousands: str | None = None
    skip_rows: SkipRows = 0
    by_option: bool = False
    in_memory: bool = False

    def setting(self, **keys: str | None) -> str:
        """Return the remedy that keys be set, as the command takes them: `set data.decimal: ","`.

        The values are YAML, None for one that only the user knows.
        """
        if self.by_option:
            options = (shlex.quote(f"data.{key}={value or '...'}") for key, value in keys.items())
            return "use " + " ".join(f"--set {option}" for option in options)
        settings = [f"data.{key}" + (f": {value}" if value else "") for key, value in keys.items()]
        return f"set {' and '.join(settings)}"

    def listing(self, *texts: str) -> str:
        """Return the remedy that cells be listed as missing, beside what is listed already."""
        if self.in_memory:
            return "set it to NaN"
        if any(text != echo(text) for text in texts):  # too long, or not printable
            return f"list it in {'--set data.missing=[...]' if self.by_option else 'data.missing'}"
        value = json.dumps([*self.missing, *texts], ensure_ascii=False)
        if self.by_option:
            return f"list it by --set {shlex.quote(f'data.missing={value}')}"
        return f"list it in data.missing: {value}"

    @cached_property
    def rules(self) -> CellRules:
        """What counts as a number and as missing."""
        return CellRules(self.decimal, self.missing, self.thousands)

    def skipping(self, first: int, last: int, **keys: str | None) -> str:
        """Return the remedy that lines be skipped, too, and other keys be set."""
        before = self.skip_rows
        skipped = range(1, before + 1) if isinstance(before, int) else before
        lines = sorted({*skipped, *range(first, last + 1)})
        is_start = lines == list(range(1, len(lines) + 1))
        return self.setting(skip_rows=str(len(lines) if is_start else lines), **keys)


@dataclass(frozen=True)
class Header:
    """The columns of a file: `raw` as in the file, `names` with repeated ones numbered.

    Both in Unicode's composed form (NFC), as are the names in a config. numbered: the file has no
    names, and these are the columns' positions.
    """

    path: Path
    raw: tuple[str, ...]
    names: tuple[str, ...]
    numbered: bool = False

    @cached_property
    def repeated(self) -> dict[str, tuple[str, ...]]:
        """The names that occur several times in the file, each with its unique names."""
        found: dict[str, tuple[str, ...]] = {}
        for raw, name in zip(self.raw, self.names, strict=True):
            found[raw] = (*found.get(raw, ()), name)
        return {raw: names for raw, names in found.items() if len(names) > 1}


def make_header(path: Path, names_in_file: Sequence[str]) -> Header:
    """Make names unique: repeated ones become name.0, name.1, ..., skipping names in use."""
    raw = [unicodedata.normalize("NFC", name) for name in names_in_file]
    counts = Counter(raw)
    taken = set(raw)
    following: Counter[str] = Counter()
    names = []
    for name in raw:
        unique = name
        while counts[name] > 1 and unique in taken:
            unique = f"{name}.{following[name]}"
            following[name] += 1
        taken.add(unique)
        names.append(unique)
    return Header(path.absolute(), tuple(raw), tuple(names))


def open_scan(path: Path, format: TableFormat, state: tuple[int, ...] | None = None) -> TextScan:
    """Open a CSV file for one pass; `state` is the `state` of an earlier pass, if any."""
    sep = format.separator
    if len(sep) != 1 or not sep.isascii() or sep.isalnum() or sep in _NEVER_SEPARATORS:
        choices = 'use one character such as ",", ";" or "\\t"'
        raise DataError(f"data.separator: '{echo(sep)}' cannot be a separator; {choices}")
    if format.decimal not in (".", ",") or format.decimal == sep:
        raise DataError(
            f"data.decimal: '{echo(format.decimal)}' cannot be the decimal mark if "
            f"data.separator is '{echo(sep)}'; use a point or a comma"
        )
    return TextScan(path, format, state)


def begin_table(
    scan: TextScan, blocks: Iterator[Block], format: TableFormat, *, is_part: bool = False
) -> tuple[Header, list[Block]]:
    """Return the header and the blocks up to the first row of data, which a part may lack."""
    first: list[Block] = []
    least = 2 if format.header else 1
    while sum(block.rows for block in first) < least and (block := next(blocks, None)):
        first.append(block)
    if not first:
        raise file_error(scan.path, "the file is empty; give a file with a table")
    record = next(r for r in scan.split(first[0].data, first[0].line) if not r.blank)
    raw = record.texts()
    if not format.header:
        names = tuple(str(position) for position in range(len(raw)))
        return Header(scan.path.absolute(), names, names, numbered=True), first
    where = f"{show_path(scan.path)}:{record.line}"
    rules = format.rules
    numbers = [cell for cell in raw if rules.is_number(cell)]
    data = numbers and all(rules.is_number(cell) or rules.is_missing(cell) for cell in raw)
    # pandas writes the names 0, 1, 2, ..., and an empty name for the index before them
    if data and [cell for cell in raw if cell] != [str(index) for index in range(len(numbers))]:
        what = "numbers instead of column names"
        remedy = format.setting(header="false")
        raise DataError(f"{where}: {what}; add a header, or {remedy}")
    if "" in raw:
        following = [r for b in first[1:2] for r in some_records(scan.split(b.data, b.line))]
        if why := explain_nameless(record, following, format):
            raise DataError(f"{where}: {why}")
        remedy = "" if raw[0] else " (pandas writes its index this way; use to_csv(index=False))"
        raise DataError(f"{where}: column {raw.index('') + 1} has no name; give it one{remedy}")
    if sum(block.rows for block in first) < least and not is_part:
        raise file_error(scan.path, "a header but no rows; add rows")
    return make_header(scan.path, raw), first
