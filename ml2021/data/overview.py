"""What each column in use holds: its type, what is missing, its range, and what becomes of it.

`check` and `init` show it to people. Statistics are those of the whole table; training uses its own
rows alone.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ml2021.data.dates import date_form, read_dates
from ml2021.data.tables import is_number
from ml2021.formatting import UNGROUPED, echo, listed, number, plural, visible

if TYPE_CHECKING:
    import pandas as pd

    from ml2021.data.column_types import ColumnTypes
    from ml2021.data.resolve import Selection

_MOST_LINES = 40
_SHOWN_CATEGORIES = 4
_WIDEST = 32
"""Characters of a name, or of a category, in the table."""


class ColumnSummary(NamedTuple):
    """A column, or several pixels of one image.

    type: number, category, date, pixels or text. missing: the number of cells. values: their range,
    or how many there are. note: what becomes of the column, if that is not plain.
    """

    name: str
    type: str
    missing: int
    values: str
    note: str = ""


def summarise_columns(
    frame: "pd.DataFrame", selection: "Selection", types: "ColumnTypes"
) -> tuple[ColumnSummary, ...]:
    """Return what the targets, the features and the columns that order or split the rows hold."""
    found = []
    for name in selection.targets:
        is_class = types.task == "classification"
        found.append(_summary(frame, [name], "category" if is_class else "number", "target"))
    reasons = {name: reason for reason, names in types.excluded.items() for name in names}
    features = {feature.name: feature for feature in types.features}
    groups: dict[str, list[str]] = {}
    for feature in types.features:
        if feature.group is not None:
            groups.setdefault(feature.group, []).append(feature.name)
    for name in selection.features:
        if name in reasons:
            kind = "number" if is_number(frame[name]) else "text"
            found.append(_summary(frame, [name], kind, f"not used: {reasons[name]}"))
        elif (group := features[name].group) is not None:
            if name == groups[group][0]:
                found.append(_summary(frame, groups[group], "pixels", ""))
        else:
            found.append(_summary(frame, [name], features[name].type, ""))
    for name in selection.extra:
        kind = "number" if is_number(frame[name]) else "text"
        found.append(_summary(frame, [name], kind, "orders, groups, splits or weighs the rows"))
    return tuple(found)


def table_of(columns: Sequence[ColumnSummary]) -> list[str]:
    """Return the lines of a table of the columns: at most 40, and how many more there are."""
    cells = [("column", "type", "missing", "values")]
    shown = columns[:_MOST_LINES]
    for column in shown:
        values = "; ".join(filter(None, (column.values, column.note)))
        missing = f"{column.missing:,}" if column.missing else "-"
        cells.append((_short(column.name), column.type, missing, values))
    widths = [max(map(len, each)) for each in zip(*cells, strict=True)]
    lines = [
        f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {missing:>{widths[2]}}  {values}"
        for name, kind, missing, values in cells
    ]
    if (more := len(columns) - len(shown)) > 0:
        lines.append(f"and {plural(more, 'more column')}")
    return [line.rstrip() for line in lines]


def _summary(frame: "pd.DataFrame", names: Sequence[str], kind: str, note: str) -> ColumnSummary:
    some = frame[list(names)]
    missing = int(some.isna().to_numpy().sum())
    name = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names):,})"
    return ColumnSummary(name, kind, missing, _values(some, kind), note)


def _values(columns: "pd.DataFrame", kind: str) -> str:
    if kind in ("number", "pixels"):
        values = columns.to_numpy(np.float64)
        if np.isnan(values).all():
            return ""
        low, high = np.nanmin(values), np.nanmax(values)
        return _plain(low) if low == high else f"{_plain(low)} to {_plain(high)}"
    present = columns.iloc[:, 0].dropna()
    if kind == "date":
        distinct = present.drop_duplicates()
        form, _ = date_form(distinct)
        assert form is not None  # or it is no date
        moments = read_dates(distinct, form)
        first, last = distinct.iloc[moments.argmin()], distinct.iloc[moments.argmax()]
        return f"{echo(first)} to {echo(last)}"
    counts = present.value_counts()
    if kind == "text":
        return (
            f"{len(counts):,} different, such as {_short(counts.index[0])}" if len(counts) else ""
        )
    return f"{len(counts):,}: {listed(_texts(counts.index), _SHOWN_CATEGORIES)}"


def _plain(value: float) -> str:
    """Return a number as a table has it, with four digits of a fraction: 2010, 45,000, 0.45."""
    if value == round(value) and abs(value) < 10**15:
        return f"{value:,.0f}" if abs(value) >= UNGROUPED else f"{value:.0f}"
    text = number(value) if abs(value) >= UNGROUPED else number(value).replace(",", "")
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _texts(labels: Iterable[object]) -> list[str]:
    return [_short(f"{label:g}" if isinstance(label, float) else label) for label in labels]


def _short(value: object) -> str:
    text = visible(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
