"""The format of a CSV file and the names of its columns; `ml2021.data.tables` reads the rows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ml2021.data.csv.cells import CellRules
from ml2021.data.csv.scan import Block, TextScan
from ml2021.data.csv.source import file_error, show_path
from ml2021.errors import DataError
from ml2021.formatting import echo

_NEVER_SEPARATORS = '"\n\r\0+-'


@dataclass(frozen=True)
class TableFormat:
    """The format of a CSV file; the fields are the config's keys under `data`.

    `separator` is one ASCII character, `decimal` a point or a comma.
    """

    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    header: bool = True
    missing: tuple[str | int | float, ...] = ("", "NA", "N/A", "null", "None", "NaN")

    @cached_property
    def rules(self) -> CellRules:
        """What counts as a number and as missing."""
        return CellRules(self.decimal, self.missing)


@dataclass(frozen=True)
class Header:
    """The columns of a file: `raw` as in the file, `names` with repeated ones numbered."""

    path: Path
    raw: tuple[str, ...]
    names: tuple[str, ...]

    @cached_property
    def repeated(self) -> dict[str, tuple[str, ...]]:
        """The names that occur several times in the file, each with its unique names."""
        found: dict[str, tuple[str, ...]] = {}
        for raw, name in zip(self.raw, self.names, strict=True):
            found[raw] = (*found.get(raw, ()), name)
        return {raw: names for raw, names in found.items() if len(names) > 1}


def make_header(path: Path, raw: Sequence[str]) -> Header:
    """Make names unique: repeated ones become name.0, name.1, ..., skipping names in use."""
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
    first = "header" if format.header else "first row"
    return TextScan(path, sep, format.encoding, first=first, state=state)


def begin_table(
    scan: TextScan, blocks: Iterator[Block], format: TableFormat
) -> tuple[Header, list[Block]]:
    """Return the header and the blocks up to the first row of data."""
    first: list[Block] = []
    least = 2 if format.header else 1
    while sum(block.rows for block in first) < least and (block := next(blocks, None)):
        first.append(block)
    if not first:
        raise file_error(scan.path, "the file is empty; give a file with a table")
    record = next(r for r in scan.split(first[0].data, first[0].line) if not r.blank)
    raw = record.texts()
    if not format.header:
        return make_header(scan.path, [str(index) for index in range(len(raw))]), first
    where = f"{show_path(scan.path)}:{record.line}"
    rules = format.rules
    numbers = [cell for cell in raw if rules.is_number(cell)]
    data = numbers and all(rules.is_number(cell) or rules.is_missing(cell) for cell in raw)
    # pandas writes the names 0, 1, 2, ..., and an empty name for the index before them
    if data and [cell for cell in raw if cell] != [str(index) for index in range(len(numbers))]:
        what = "numbers instead of column names"
        raise DataError(f"{where}: {what}; add a header, or set data.header: false")
    if "" in raw:
        remedy = "" if raw[0] else " (pandas writes its index this way; use to_csv(index=False))"
        raise DataError(f"{where}: column {raw.index('') + 1} has no name; give it one{remedy}")
    if sum(block.rows for block in first) < least:
        raise file_error(scan.path, "a header but no rows; add rows")
    return make_header(scan.path, raw), first
