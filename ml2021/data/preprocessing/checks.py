"""What holds of every preprocessing that was fitted to a table.

A checkpoint may be somebody else's: what could not have been fitted would overflow, repeat a column
or ask for memory somewhere else, so that `preprocessing.records` refuses it here. The checks raise
ValueError.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ml2021.config.schema import DatePart

if TYPE_CHECKING:
    from ml2021.data.preprocessing.records import Preprocessing

LARGEST = 1e39
"""No value of a table, nor a mean or deviation of some, is larger: readers refuse 3.4e38."""
_SMALLEST_SCALE = 1e-163
"""The square of a smaller deviation is 0 in float64, and its scale then 1."""

Value = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Scale = Annotated[float, Field(ge=_SMALLEST_SCALE, le=LARGEST)]
Steps = Annotated[int, Field(ge=1, lt=2**31)]
"""Rows of a series."""
Microseconds = Annotated[int, Field(ge=-62_135_596_800_000_000, lt=253_402_300_800_000_000)]
"""Since 1970, in the years 1 to 9999."""

NUMBER_PARTS: frozenset[DatePart] = frozenset(["year", "day", "elapsed"])
"""The parts of dates that are numbers; the others are categories."""


def check_distinct(values: Sequence[str | float], storage: str) -> None:
    """Check that there are categories or classes, stored alike and each once."""
    if not values or len(set(values)) < len(values):
        raise ValueError("no values, or a repeated one")
    if any(isinstance(value, str) != (storage == "text") for value in values):
        raise ValueError("values that are not stored as stated")


def check_target(preprocessing: "Preprocessing") -> None:
    """Check that the target is one of the task, and that of the history."""
    target, history = preprocessing.target, preprocessing.history
    columns = preprocessing.target_columns
    if (preprocessing.task == "classification") != (target.kind == "classes"):
        raise ValueError("a target of another task")
    if preprocessing.task == "regression" and target.width > 1:
        raise ValueError("a regression with several outputs")
    if history is None and len(set(columns)) < len(columns):
        raise ValueError("a column that is a target twice")
    if history is not None and (history.horizon != target.width or len(set(columns)) > 1):
        raise ValueError("a history of other targets")


def check_sources(preprocessing: "Preprocessing") -> None:
    """Check that each column that is used has a place of its own in a file."""
    history, sources = preprocessing.history, preprocessing.sources
    features = {feature.name: feature for feature in preprocessing.features}
    of_dates = {f"{d.name} {part}": part for d in preprocessing.dates for part in d.parts}
    if len(features) < len(preprocessing.features) or len(of_dates) < sum(
        len(date.parts) for date in preprocessing.dates
    ):
        raise ValueError("a repeated feature")
    for name, part in of_dates.items():
        feature = features.get(name)
        if feature is not None and (feature.kind == "number") != (part in NUMBER_PARTS):
            raise ValueError("a part of a date of another kind")
        if feature is not None and feature.kind == "category" and feature.storage == "text":
            raise ValueError("a part of a date that is text")
    targets = {*preprocessing.target_columns, preprocessing.weight}
    if not targets.isdisjoint(features):
        raise ValueError("a feature that is the target or the weight")
    ordering = () if history is None else (history.order_by, history.group_by)
    needed = (features.keys() - of_dates.keys()) | {date.name for date in preprocessing.dates}
    needed |= {name for name in (*targets, *ordering) if name is not None}
    if not needed <= sources.keys() or not sources.keys().isdisjoint(of_dates):
        raise ValueError("columns without a place in a file")
    positions = {source.position for source in sources.values()}
    names = {(source.raw, source.occurrence) for source in sources.values()}
    if min(len(positions), len(names)) < len(sources) or max(positions) >= preprocessing.width:
        raise ValueError("columns with the place of another")
