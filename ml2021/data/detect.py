"""Find out how a file is written, and what stands in it for a missing value.

The reader knows already: its errors name the keys of `data` that would read the file. They are
followed, one after the other, until it reads.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml2021.config.schema import FORMAT_KEYS
from ml2021.data.csv.scan import TableFormat
from ml2021.data.csv.writings import looks_missing, means_no_number
from ml2021.data.parts import TablePath
from ml2021.data.plausibility import far_codes, is_apart, pixel_groups
from ml2021.data.tables import Table, is_number, read_table
from ml2021.errors import DataError
from ml2021.formatting import echo, listed, plural

if TYPE_CHECKING:
    import pandas as pd

_MOST_STEPS = 12
_SETTING = re.compile(rf"(?<!\w)(?<!list it in )data\.({'|'.join(FORMAT_KEYS)}): ")
_WORD = re.compile(r"[\w.+-]*\w")
_MAY_BE_LABELS = re.compile(r"\W*(?:null|none|nil|blank|empty|missing|n\.?a\.?)\W*", re.IGNORECASE)
"""What looks missing among numbers, but is a category as often, as no garage and North America."""
_MOST_LABELS = 10_000
_MARKS = {"decimal", "thousands"}


@dataclass(frozen=True)
class DetectedFormat:
    """The keys of `data` that differ from their defaults, and what is read with them.

    reasons: where each value of `missing` stands that is not missing by default. target: the last
    column.
    """

    keys: Mapping[str, Any]
    reasons: Mapping[str, str]
    target: str


def detect_format(
    path: TablePath, known: Mapping[str, Any], targets: Sequence[str] | None
) -> DetectedFormat:
    """Return how a CSV file is written.

    known: keys of `data` that the user gives. targets: columns whose labels are not taken for
    missing values, None for the last one. Raises DataError where the reader does not know what
    would read the file.
    """
    keys, reasons = dict(known), dict[str, str]()
    for _ in range(_MOST_STEPS):
        format = _format_of(keys)
        try:
            table = read_table(path, format)
        except DataError as error:
            found = next(filter(None, map(settings_in, error.lines)), {})
            found = {key: value for key, value in found.items() if key not in known}
            if all(keys.get(key) == value for key, value in found.items()):
                raise
        else:
            missing = {} if "missing" in known else dict(_missing_values(table, targets))
            hints = _hints_of(table, format)
            found = {key: value for key, value in hints.items() if key not in known}
            if found.items() <= keys.items():
                if not missing:
                    break
                found = {"missing": [*format.missing, *missing]}
                reasons |= {str(value): reason for value, reason in missing.items()}
        keys |= found
    own = {key: value for key, value in keys.items() if key not in known}
    return DetectedFormat(own, reasons, table.header.names[-1])


def settings_in(message: str) -> dict[str, Any]:
    """Return the keys of `data`, with their values, that a message of the reader says to set.

    It is the inverse of `TableFormat.setting`, but not of `listing`: the user may rather correct a
    cell. Only the first remedy of several counts; none if it
    is to drop a line that may be a row.
    """
    found: dict[str, Any] = {}
    place = 0
    while match := _SETTING.search(message, place):
        before = message[place : match.start()]
        if found and before != " and ":
            break
        if not found and before.endswith(", or set ") and match[1] == "skip_rows":
            break
        rest = message[match.end() :]
        try:
            value, length = json.JSONDecoder().raw_decode(rest)
        except ValueError:
            word = _WORD.match(rest)
            if word is None:
                break
            value, length = word[0], word.end()
        found[match[1]] = value
        place = match.end() + length
    return found


def _format_of(keys: Mapping[str, Any]) -> TableFormat:
    lists = {key: tuple(value) for key, value in keys.items() if isinstance(value, list)}
    return TableFormat(**{**keys, **lists})


def _hints_of(table: Table, format: TableFormat) -> dict[str, Any]:
    """Return the keys that a table hints at which reads as it is, but not as it is meant.

    Names that are numbers above numbers, and words that stand below again, are a row. Marks between
    thousands are those that the reader names for a column of text; and in a file with ';' between
    fields 205.025 may be 205,025.
    """
    if format.header and _has_no_header(table, format):
        return {"header": False}
    texts = [w.remedy for w in table.writings.values() if w.kind in ("decorated", "marks")]
    if found := next(filter(None, map(settings_in, texts)), {}):
        return found
    found = next(filter(None, map(settings_in, table.notes)), {})
    return found if format.separator == ";" and found.keys() == _MARKS else {}


def _has_no_header(table: Table, format: TableFormat) -> bool:
    names = dict(zip(table.header.names, table.header.raw, strict=True))
    numbers = {name for name in names if is_number(table.frame[name])}
    are_all = all(format.rules.is_number(names[name]) for name in numbers)
    texts = [name for name in names if name not in numbers]
    return bool(numbers) and are_all and any((table.frame[n] == names[n]).any() for n in texts)


def _missing_values(
    table: Table, targets: Sequence[str] | None
) -> Iterator[tuple[str | float, str]]:
    """Yield what stands for a missing value, and where and how often.

    Neither a label of a target nor a number that is an ordinary one in another column.
    """
    frame = table.frame
    labelled = table.header.names[-1:] if targets is None else targets
    numbers = [str(name) for name in frame if is_number(frame[name])]
    labels: dict[str, str] = {}
    taken: set[str] = set()
    for name in frame:
        if name in numbers:
            continue
        counts = frame[name].value_counts()
        if name in labelled:
            taken |= {str(label) for label in counts.index[:_MOST_LABELS]}
            continue
        writing = table.writings.get(str(name))
        is_mixed = writing is not None and writing.kind == "mixed"
        for label, count in counts.iloc[:_MOST_LABELS].items():
            text = str(label)
            is_word = means_no_number(text) if is_mixed else looks_missing(text)
            if is_word and (is_mixed or not _MAY_BE_LABELS.fullmatch(text)):
                labels.setdefault(text, f"{plural(int(count), 'cell')} of {echo(name)}")
    yield from ((text, where) for text, where in labels.items() if text not in taken)
    pixels = pixel_groups(frame, numbers)
    plain = [name for name in numbers if name not in pixels]
    codes: dict[float, list[str]] = {}
    for name in plain:
        for value, count, _ in far_codes(frame[name]):
            codes.setdefault(value, []).append(f"{plural(count, 'cell')} of {echo(name)}")
    for value, places in codes.items():
        if all(_is_free(frame[name], value) for name in numbers):
            where = f"{listed(places, 2)}, far from the others"
            yield (int(value) if value == int(value) else value), where


def _is_free(column: "pd.Series", value: float) -> bool:
    """Whether a column has no such number, or has it for a missing value, too."""
    count = int((column.to_numpy(np.float64) == value).sum())
    return count == 0 or is_apart(column, value) == count or bool(far_codes(column))
