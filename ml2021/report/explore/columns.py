"""The columns of explore.html: what is moved on the page, and how it becomes inputs.

Each column is an object with name, source (the file's column that it comes from), start and width
(its inputs), kind, and

    number      value, indicator: whether it has that input; mean, scale, fill; edges, centres of
                its pieces; low, high: the training range; step: of a slider; histogram: counts of
                training rows in 24 bins from low to high, null without rows and for a lag; lag: how
                many rows of a series back, null for none; date: {name, part} of a part of a date,
                or null
    category    storage, categories, rarer: as in the table; labels: of its inputs, the last one
                "(other)" if there are rarer ones; histogram: by input; date

without what is as in most columns, `USUAL`, and a source that is named like the column.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml2021.data.preprocessing.records import CategoryFeature, History, NumberFeature, Preprocessing
from ml2021.report.explore.rows import Values, plain

USUAL: dict[str, Any] = {
    "width": 1,
    "date": None,
    "lag": None,
    "value": True,
    "indicator": False,
    "edges": [],
    "centres": [],
    "rarer": [],
}
"""What a column has that does not say otherwise; `completed` of model.js has the same."""
_BINS = 24
_STEPS = 400
_DECIMALS = 7
_SAMPLE = 2000
_UNKNOWN_RANGE = 3.0  # deviations to each side, of a series whose values are not at hand


def describe_columns(preprocessing: Preprocessing, values: Values | None) -> list[dict[str, Any]]:
    """Return the columns in the order of the inputs; `values` are of the training rows (S,)."""
    return [
        {
            key: value
            for key, value in column.items()
            if (key not in USUAL or value != USUAL[key])
            and (key, value) != ("source", column["name"])
        }
        for column in _columns(preprocessing, values)
    ]


def _columns(preprocessing: Preprocessing, values: Values | None) -> Iterator[dict[str, Any]]:
    start = 0
    parts = {f"{d.name} {part}": (d.name, part) for d in preprocessing.dates for part in d.parts}
    for index, feature in enumerate(preprocessing.features):
        own = None if values is None else values[index]
        date = parts.get(feature.name)
        yield {
            "name": feature.name,
            "source": feature.name if date is None else date[0],
            "start": start,
            "width": len(feature.inputs),
            "date": None if date is None else {"name": date[0], "part": date[1]},
            **(
                _number(feature, own)
                if isinstance(feature, NumberFeature)
                else _category(feature, own)
            ),
        }
        start += len(feature.inputs)
    if (history := preprocessing.history) is not None:
        lags = None if values is None else np.concatenate(values[len(preprocessing.features) :])
        for lag in history.used:
            name = preprocessing.inputs[start]
            base = {"name": name, "source": preprocessing.target_columns[0], "start": start}
            yield {**base, "width": 1, "date": None, **_lag(history, lag, lags)}
            start += 1


def _number(feature: NumberFeature, values: NDArray[np.float64] | None) -> dict[str, Any]:
    low, high = feature.minimum, feature.maximum
    return {
        "kind": "number",
        "value": feature.has_value,
        "indicator": feature.has_indicator,
        "mean": feature.mean,
        "scale": feature.scale,
        "fill": feature.fill,
        "edges": list(feature.edges),
        "centres": list(feature.centres),
        "lag": None,
        **_range(values, low, high),
    }


def _lag(history: History, lag: int, values: NDArray[np.float64] | None) -> dict[str, Any]:
    """Return a previous value of a series; all of them share their range, and have no picture."""
    reach = _UNKNOWN_RANGE * history.scale
    low, high = history.mean - reach, history.mean + reach
    if values is not None and values.size:
        low, high = float(values.min()), float(values.max())
    return {
        "kind": "number",
        "value": True,
        "indicator": False,
        "mean": history.mean,
        "scale": history.scale,
        "fill": history.mean,
        "edges": [],
        "centres": [],
        "lag": lag,
        **_range(values, low, high),
        "histogram": None,
    }


def _range(values: NDArray[np.float64] | None, low: float, high: float) -> dict[str, Any]:
    known = None if values is None else values[~np.isnan(values)]
    return {
        "low": plain(low),
        "high": plain(high),
        "step": _step(known, low, high),
        "histogram": None if known is None else histogram(known, low, high, _BINS),
    }


def histogram(values: NDArray[np.float64], low: float, high: float, bins: int) -> list[int]:
    """Return how many of the values lie in each of equal bins from low to high."""
    counts, _ = np.histogram(values, bins, (low, high if high > low else low + 1))
    return [int(count) for count in counts]


def _step(values: NDArray[np.float64] | None, low: float, high: float) -> float:
    """Return the step of a slider: as fine as the values are, but at most 400 from low to high."""
    fine = 0.0
    if values is not None and values.size:
        some = values[:_SAMPLE]
        tolerance = 1e-9 * max(1.0, abs(low), abs(high))
        places = range(_DECIMALS)
        exact = (p for p in places if np.abs(some - some.round(p)).max() <= tolerance)
        fine = 10.0 ** -next(exact, _DECIMALS)
    coarse = (high - low) / _STEPS
    if coarse <= fine:
        return fine or 1.0
    power = 10.0 ** math.floor(math.log10(coarse))
    return max(fine, next(power * k for k in (1, 2, 5, 10) if power * k >= coarse * 0.999))


def _category(feature: CategoryFeature, values: NDArray[np.float64] | None) -> dict[str, Any]:
    counts = None
    if values is not None:
        known = values[values >= 0].astype(np.int64)
        counts = np.bincount(known, minlength=len(feature.inputs)).tolist()
    return {
        "kind": "category",
        "storage": feature.storage,
        "categories": list(feature.categories),
        "rarer": list(feature.rarer),
        "labels": list(feature.labels),
        "histogram": counts,
    }
