"""Lines that are no part of the table: skip those that the config names, and recognise others.

Comments, titles, the `sep=;` of Excel, and separators at the ends of the lines: each function that
recognises one returns what to say, or None. It looks at no more than a few lines near the start.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ml2021.data.csv.records import Record
from ml2021.data.csv.source import file_error
from ml2021.errors import DataError
from ml2021.formatting import plural

if TYPE_CHECKING:
    from ml2021.data.csv.scan import TableFormat

SkipRows = int | tuple[int, ...]
"""How many lines to skip before the header, or the numbers of the lines, from 1."""
_LOOKED_AT = 20  # records
_MOST_COMMENTS = 200  # lines
COMMENT = re.compile(rb'"?\s*(#|//|%|!|\*)')
_SEPARATOR_LINE = re.compile(rb'\s*"?sep=(.)"?[,;\t\s]*', re.IGNORECASE)
_NUMBER = re.compile(rb'\s*"?[-+]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?"?\s*')
_LINE_END = re.compile(rb"\r\n?|\n")


def is_skipped(line: int, skip_rows: SkipRows) -> bool:
    """Whether a line is one of those to skip."""
    return line <= skip_rows if isinstance(skip_rows, int) else line in skip_rows


def without_lines(chunks: Iterator[bytes], skip_rows: SkipRows, path: Path) -> Iterator[bytes]:
    """Empty the lines to skip but keep their ends, so that others keep their numbers.

    Raises DataError if the file does not have these lines.
    """
    last = skip_rows if isinstance(skip_rows, int) else max(skip_rows)
    line, ends_with_return, rest = 1, False, b""
    for chunk in chunks:
        if line > last and not ends_with_return:
            yield chunk
            continue
        kept, at = [], 0
        if ends_with_return and chunk.startswith(b"\n"):
            kept, at = [b"\n"], 1  # the other half of a \r\n
        while line <= last and (end := _LINE_END.search(chunk, at)):
            if not is_skipped(line, skip_rows):
                kept.append(chunk[at : end.start()])
            kept.append(end[0])
            line, at = line + 1, end.end()
        rest = chunk[at:]
        kept.append(b"" if is_skipped(line, skip_rows) else rest)
        ends_with_return = chunk.endswith(b"\r")
        if text := b"".join(kept):
            yield text
    if (lines := line if rest else line - 1) < last:
        what = f"data.skip_rows: there is no line {last:,}, the file has {lines:,}; correct the key"
        raise file_error(path, what)


def explain_first_line(record: Record, data: bytes, format: "TableFormat") -> str | None:
    """Recognise comments and `sep=;` in the first record; `data` goes on after it."""
    lines = data[record.start : record.start + (1 << 16)].splitlines()[:_MOST_COMMENTS]
    if found := _SEPARATOR_LINE.fullmatch(lines[0]):
        shown = "\\t" if found[1] == b"\t" else found[1].decode()
        keys: dict[str, str | None] = {"separator": f'"{shown}"'}
        if shown == format.separator or (shown, format.separator) == ("\\t", "\t"):
            keys = {}
        remedy = format.skipping(record.line, record.line, **keys)
        return f"'sep={shown}' tells Excel the separator, it is no header; {remedy}"
    mark = format.separator.encode()
    comment = COMMENT.match(lines[0])
    if comment is None:
        return None
    count = 1
    while count < len(lines) and lines[count].lstrip(b' "').startswith(comment[1]):
        count += 1
    after = [line for line in lines[count:] if line][:2]
    if not after:
        return None
    has_names = lines[count - 1].count(mark) == after[0].count(mark) > 0
    if has_names and (_has_number(after[0], mark) or not _has_number(after[-1], mark)):
        count -= 1  # the names of the columns, as in `#x,y`
    if count == 0:
        return None
    last = record.line + count - 1
    what = "this line is a comment" if count == 1 else f"lines {record.line} to {last} are comments"
    skip = format.skipping(record.line, last)
    it = "it starts" if count == 1 else "they start"
    return f"{what}, as {it} with '{comment[1].decode()}'; {skip}"


def _has_number(line: bytes, separator: bytes) -> bool:
    return any(_NUMBER.fullmatch(field) for field in line.split(separator))


def explain_width(
    first: Record, record: Record, following: Sequence[Record], format: "TableFormat"
) -> str | None:
    """Recognise what makes a record wider or narrower than the first one.

    `following` are records after it.
    """
    mark = "\\t" if format.separator == "\t" else format.separator
    extra = len(record.fields) - len(first.fields)
    alike = [r for r in (record, *following) if len(r.fields) == len(record.fields)]
    fields = plural(len(record.fields), "field")
    if extra > 0 and all(_are_empty(r.fields[-extra:]) for r in alike) and len(first.fields) > 1:
        what = "its last field has" if extra == 1 else f"its last {extra} fields have"
        remedy = f"remove it, or add a name such as '{mark}empty' to the header for each field"
        if len(alike) <= len(following):
            remedy = "remove it"
        return (
            f"{fields}, but line {first.line} has {len(first.fields)}: it ends with '{mark}', "
            f"so {what} neither a name nor a value; {remedy}"
        )
    if extra < 0 and _are_empty(first.fields[extra:]) and len(first.fields) + extra > 1:
        return (
            f"{fields}, but line {first.line} has {len(first.fields)}, as it ends with '{mark}'; "
            "remove that there"
        )
    if _is_header(record) and len(alike) > 1 and any(map(_holds_number, alike[1:])):
        skip = format.skipping(1, record.line - 1)
        return (
            f"{fields}, but line {first.line} has {len(first.fields)}; if the table begins here, "
            f"{skip}"
        )
    return None


def explain_nameless(
    first: Record, following: Sequence[Record], format: "TableFormat"
) -> str | None:
    """Recognise why the first record has fields without a name."""
    mark = "\\t" if format.separator == "\t" else format.separator
    names = sum(1 for field in first.fields if not _are_empty([field]))
    is_at_end = names and not _are_empty(first.fields[:names][-1:])
    is_at_end = is_at_end and _are_empty(first.fields[names:])
    if is_at_end and names > 1 and all(_are_empty(r.fields[names:]) for r in following):
        count = len(first.fields) - names
        what = f"column {names + 1} has" if count == 1 else f"the last {count} columns have"
        it = "it a name" if count == 1 else "them names"
        return (
            f"every row ends with '{mark}': {what} neither a name nor values; remove the '{mark}' "
            f"at the end of each line, or give {it} here"
        )
    if 2 * names <= len(first.fields) and following and _is_header(following[0]):
        skip = format.skipping(1, following[0].line - 1)
        return (
            f"this line names {names} of {len(first.fields)} columns, the next line all; if the "
            f"table begins there, {skip}"
        )
    return None


def some_records(records: Iterator[Record]) -> list[Record]:
    """Return a few records, without blank lines; none after an error, which is reported later."""
    found: list[Record] = []
    with suppress(DataError):
        found.extend(record for record in islice(records, _LOOKED_AT) if not record.blank)
    return found


def _are_empty(fields: Sequence[bytes]) -> bool:
    return all(field.strip() in (b"", b'""') for field in fields)


def _holds_number(record: Record) -> bool:
    return any(_NUMBER.fullmatch(field) for field in record.fields)


def _is_header(record: Record) -> bool:
    """Whether all fields are different texts, none a number."""
    is_named = not any(_are_empty([field]) for field in record.fields)
    different = len(set(record.fields)) == len(record.fields) > 1
    return is_named and different and not _holds_number(record)
