"""Weights of rows and of classes, and the statistics that they enter.

A row of weight w counts as w rows do: in the objective, the preprocessing, the scores, the
baselines and the intervals. Rows of weight 0 are left out before anything else, so that a weight
here is above 0. Weights of classes (`train.class_weight`) enter the objective alone.

Legend: N rows, T targets, C classes. Without weights everything is the plain statistic, bit for
bit.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml2021.data.csv.cells import INTEGERS_END
from ml2021.data.preprocessing.records import ClassTarget, value_text
from ml2021.data.tables import Rows
from ml2021.errors import DataError
from ml2021.formatting import echo

if TYPE_CHECKING:
    import pandas as pd

_SUMMED = 1 << 16
"""The values of a piece that stays in the cache."""
Number = TypeVar("Number", bound=np.number[Any])
Weights = NDArray[np.float64] | None
"""Of rows, (N,), each above 0; None: all rows weigh the same."""
ClassWeight = Literal["balanced"] | Mapping[str, float] | None
"""As `train.class_weight` says it."""


def check_weights(frame: "pd.DataFrame", name: str, place: Callable[[int], str]) -> None:
    """Raise DataError for a weight below 0 in a table as read; `place` says where a row stands."""
    values = frame[name].to_numpy(np.float64)
    if not (negative := values < 0).any():
        return
    row, count = int(negative.argmax()), int(negative.sum())
    more = f" (and {count - 1:,} more in this column)" if count > 1 else ""
    raise DataError(
        f"{place(row)}: column '{echo(name)}', used as data.weight: {values[row]:g} is negative; "
        f"correct it, or set it to 0 to leave the row out{more}"
    )


def weights_of(frame: "pd.DataFrame", name: str | None, rows: Rows) -> Weights:
    """Return the weights of these rows of a table; None where it has no such column."""
    if name is None or name not in frame:
        return None
    return frame[name].to_numpy(np.float64)[rows]


def known_values(values: NDArray[Number], weights: Weights) -> tuple[NDArray[Number], Weights]:
    """Return the values (N,) that are not missing, and their weights."""
    missing = np.isnan(values)
    if not missing.any():
        return values, weights
    known = ~missing
    return values[known], None if weights is None else weights[known]


def weighted_median(
    values: NDArray[np.float64], weights: Weights, *, overwrite: bool = False
) -> NDArray[np.float64]:
    """Return the median of each column of values (N,) or (N, T).

    Half of the weight lies below it and half above; between two values it is their mean, so that
    whole weights give the median of the rows repeated so many times. overwrite: whether the values
    may change places, which saves a copy.
    """
    if weights is None:
        return np.asarray(np.median(values, axis=0, overwrite_input=overwrite))
    order = np.argsort(values, axis=0, kind="stable")
    below = np.cumsum(weights[order], axis=0)
    half = below[-1:] / 2
    # A tolerance, since sums of weights such as 0.1 are not exact.
    lower = np.argmax(below >= half * (1 - 1e-12), axis=0)[None]
    upper = np.argmax(below > half * (1 + 1e-12), axis=0)[None]
    ordered = np.take_along_axis(values, order, axis=0)
    middle = [np.take_along_axis(ordered, place, axis=0)[0] for place in (lower, upper)]
    return np.asarray((middle[0] + middle[1]) / 2)


def moments(values: NDArray[np.float64], weights: Weights) -> tuple[float, float]:
    """Return mean and standard deviation in float64; of equal values the latter is exactly 0."""
    if np.ptp(values) == 0:
        return float(values[0]), 0.0
    mean = float(np.average(values, weights=weights))
    if weights is None:
        return mean, math.sqrt(_sum_of_squares(values, mean) / len(values))
    return mean, float(np.sqrt(np.average(np.square(values - mean), weights=weights)))


def _sum_of_squares(values: NDArray[np.float64], mean: float) -> float:
    """Return Σ (value − mean)², in pieces that stay in the cache and add up as NumPy's sum does.

    That halves what it sums until few are left, at multiples of eight.
    """
    if len(values) <= _SUMMED:
        return float(np.square(values - mean).sum())
    half = len(values) // 2
    half -= half % 8
    return _sum_of_squares(values[:half], mean) + _sum_of_squares(values[half:], mean)


def class_factors(
    setting: ClassWeight, target: ClassTarget, classes: NDArray[np.int64], weights: Weights
) -> NDArray[np.float64] | None:
    """Return the weight of each class (C,), from the training rows' classes (N,); None without.

    balanced: Σw / (C · Σ w of the class), as in scikit-learn, so that each class has the same part
    in the objective. A class that a mapping does not name weighs 1.
    """
    if setting is None:
        return None
    if setting == "balanced":
        counts = np.bincount(classes, weights, target.width).astype(np.float64)
        each = np.maximum(counts, np.finfo(np.float64).tiny)  # 0 for a class of later rows
        return np.asarray(counts.sum() / (target.width * each))
    named = named_classes(setting, target)
    return np.array([named.get(label, 1.0) for label in target.labels])


def named_classes(setting: Mapping[str, float], target: ClassTarget) -> dict[str, float]:
    """Return the weights of a mapping by the labels of the classes, with others as they stand.

    Numbers are compared as numbers: 1.0 names the class 1.
    """
    return {_label(key, target): weight for key, weight in setting.items()}


def _label(key: str, target: ClassTarget) -> str:
    if target.storage == "number":
        try:
            value = float(key)
            is_exact = abs(value) < INTEGERS_END or Fraction(key) == value
            return value_text(value) if is_exact else key
        except (ValueError, OverflowError):
            return key
    return key
