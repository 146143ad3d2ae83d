"""Dates as int64 seconds since 1970, and their parts, in ONNX nodes.

Legend: N rows.
"""

from collections.abc import Iterable

import numpy as np

from ml2021.data.preprocessing.records import DateFeature
from ml2021.export.graph import DOUBLE, INT64, Graph

MISSING_DATE = int(np.iinfo(np.int64).min)
"""What stands for a missing date, which int64 has no NaN for."""
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Of the years 1 and 9999, between which a table's dates are."""
_DAY = 86_400


def parts_of_dates(graph: Graph, dates: Iterable[DateFeature]) -> tuple[dict[str, str], list[str]]:
    """Return the values (N, 1) of each part of the dates, doubles, NaN where one is missing.

    And for each date whether it is one that a table can have, (N, 1) bool.

    The year, month and day of a number of days: Hinnant 2013, "chrono-compatible low-level date
    algorithms". ONNX divides integers towards 0, so what is divided is never negative.
    """
    found: dict[str, str] = {}
    sound = []
    for date in dates:
        missing = graph.add("Equal", date.name, np.array([[MISSING_DATE]]))
        seconds = graph.add("Where", missing, np.array([[0]]), date.name)
        has_begun = graph.add("GreaterOrEqual", seconds, np.array([[_FIRST_SECOND]]))
        is_over = graph.add("Greater", seconds, np.array([[_LAST_SECOND]]))
        sound.append(graph.add("And", has_begun, graph.add("Not", is_over)))
        of_day = graph.add("Mod", seconds, np.array([[_DAY]]))
        days = graph.add("Div", graph.add("Sub", seconds, of_day), np.array([[_DAY]]))
        needs_calendar = not {"year", "month", "day"}.isdisjoint(date.parts)
        calendar = calendar_of(graph, days) if needs_calendar else {}
        for part, name in zip(date.parts, date.features, strict=True):
            match part:
                case "weekday":  # 1970 began on a Thursday
                    shifted = graph.add("Add", days, np.array([[3]]))
                    rest = graph.add("Mod", shifted, np.array([[7]]))
                    value = graph.add("Add", rest, np.array([[1]]))
                case "hour":
                    value = graph.add("Div", of_day, np.array([[3600]]))
                case "elapsed":
                    since = graph.add("Sub", graph.cast(seconds, DOUBLE), date.origin / 1e6)
                    value = graph.add("Div", since, float(_DAY))
                case _:
                    value = calendar[part]
            if part != "elapsed":
                value = graph.cast(value, DOUBLE)
            found[name] = graph.add("Where", missing, float("nan"), value)
    return found, sound


def calendar_of(graph: Graph, days: str) -> dict[str, str]:
    """Return year, month and day (N, 1) of days since 1970, int64."""

    def integer(operator: str, value: str, other: str | int) -> str:
        return graph.add(operator, value, other if isinstance(other, str) else np.array([[other]]))

    shifted = integer("Add", days, 719_468)  # since March 1st of the year 0
    of_era = integer("Mod", shifted, 146_097)  # days of 400 years
    era = integer("Div", integer("Sub", shifted, of_era), 146_097)
    leap = integer("Sub", of_era, integer("Div", of_era, 1_460))
    leap = integer("Add", leap, integer("Div", of_era, 36_524))
    leap = integer("Sub", leap, integer("Div", of_era, 146_096))
    year_of_era = integer("Div", leap, 365)
    before = integer("Mul", year_of_era, 365)
    before = integer("Add", before, integer("Div", year_of_era, 4))
    before = integer("Sub", before, integer("Div", year_of_era, 100))
    of_year = integer("Sub", of_era, before)
    from_march = integer("Div", integer("Add", integer("Mul", of_year, 5), 2), 153)
    first = integer("Div", integer("Add", integer("Mul", from_march, 153), 2), 5)
    day = integer("Add", integer("Sub", of_year, first), 1)
    is_late = graph.add("GreaterOrEqual", from_march, np.array([[10]]))  # January, February
    month = integer("Add", from_march, 3)
    month = graph.add("Where", is_late, integer("Sub", from_march, 9), month)
    year = integer("Add", year_of_era, integer("Mul", era, 400))
    year = integer("Add", year, graph.cast(is_late, INT64))
    return {"year": year, "month": month, "day": day}
