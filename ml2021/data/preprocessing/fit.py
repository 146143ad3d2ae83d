"""Fit the preprocessing on the training rows: means, scales, fills, categories, classes.

All in float64; `ml2021.data.preprocessing.records` describes the result.
Legend: N rows, T outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml2021.config import schema
from ml2021.data.column_types import ColumnTypes, FeatureColumn
from ml2021.data.csv.scan import Header
from ml2021.data.preprocessing.pieces import fit_pieces, refit_pieces
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    History,
    LeftOut,
    NumberFeature,
    Preprocessing,
    RealTargets,
    sources_of,
    value_text,
)
from ml2021.data.resolve import Selection
from ml2021.data.splits import Split
from ml2021.data.tables import Rows, indistinct_error, is_number
from ml2021.data.weights import Weights, known_values, moments, weighted_median, weights_of
from ml2021.errors import DataError
from ml2021.files import map_in_threads
from ml2021.formatting import echo, listed

if TYPE_CHECKING:
    import pandas as pd

_EXACT_IN_FLOAT32 = 2.0**24
_FEW = 1000  # values that nearly always tell that a column is not constant
_ROWS_FOR_THREADS = 100_000
"""From how many rows on threads fit the columns. Of 2,760 rows and 56 columns they take 11 ms in
place of 5.5, since each waits for Python; of 300,000 rows 99 ms in place of 183."""


@dataclass
class FittedFeatures:
    """The features fitted to training rows, those left out since training cannot use them, notes.

    An input that is the same in every training row has a weight that nothing determines: where it
    differs in a new row, it would move the prediction by as much as chance made the weight.
    """

    features: list[NumberFeature | CategoryFeature] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fit_features(
    frame: "pd.DataFrame",
    features: Sequence[FeatureColumn],
    rows: Rows,
    max_categories: int | None = None,
    weights: Weights = None,
) -> FittedFeatures:
    """Fit means, scales, fills and categories on the training rows; leave out constant inputs.

    A column of categories gets at most `max_categories` inputs, or one for each. weights: (N,) of
    the rows.
    """
    fitted = FittedFeatures()
    scales = _group_scales(frame, features, rows, weights)
    fit = partial(_fit_feature, frame, rows, max_categories, weights, scales)
    apply = map_in_threads if len(rows) >= _ROWS_FOR_THREADS else map
    for feature, found in zip(features, apply(fit, features), strict=True):
        if isinstance(found, LeftOut):
            fitted.left_out.append(found.model_copy(update={"before": len(fitted.features)}))
            continue
        fitted.features.append(found)
        if isinstance(found, NumberFeature) and found.maximum - found.minimum > _EXACT_IN_FLOAT32:
            numbers = frame[feature.name].to_numpy()[rows]
            if bool((numbers == np.round(numbers))[~np.isnan(numbers)].all()):
                text = f"{echo(feature.name)}: integers in this range lose digits in float32"
                fitted.notes.append(text)
    flags = [f.name for f in fitted.features if isinstance(f, NumberFeature) and not f.has_value]
    reasons = {
        "excluded: {} (constant in the training rows)": [
            each.name for each in fitted.left_out if each.value is not None
        ],
        "excluded: {} (no value in the training rows)": [
            each.name for each in fitted.left_out if each.value is None
        ],
        "{}: the known values are constant in the training rows, so only whether one is missing "
        "is used": flags,
    }
    fitted.notes += [text.format(listed(names, 8)) for text, names in reasons.items() if names]
    return fitted


def _fit_feature(
    frame: "pd.DataFrame",
    rows: Rows,
    max_categories: int | None,
    weights: Weights,
    group_scales: Mapping[str, float],
    feature: FeatureColumn,
) -> NumberFeature | CategoryFeature | LeftOut:
    """Fit a feature on the training rows, whose values memory holds once."""
    column = frame[feature.name]
    if feature.type == "category":
        texts = column.iloc[rows]
        present = texts.dropna().to_numpy()
        single = _single_value(present)
        if len(present) == 0 or (single is not None and len(present) == len(rows)):
            return _left_out(feature, single)
        del present
        return _fit_categories(feature.name, texts, max_categories, weights)
    known, own = known_values(column.to_numpy()[rows], weights)
    missing = len(rows) - len(known)
    single = _single_value(known)
    if len(known) == 0 or (single is not None and not missing):
        return _left_out(feature, single)
    numbers = known.astype(np.float64, copy=False)
    del known
    mean, scale = moments(numbers, own)
    if feature.group is not None:
        scale = group_scales[feature.group]
    return NumberFeature(
        name=feature.name,
        mean=mean,
        scale=scale or 1.0,
        has_value=single is None,
        has_indicator=missing > 0,
        minimum=float(numbers.min()),
        maximum=float(numbers.max()),
        missing=missing,
        fill=float(weighted_median(numbers, own, overwrite=True)),
    )


def _left_out(feature: FeatureColumn, value: float | str | None) -> LeftOut:
    is_pixel = feature.group is not None
    return LeftOut(name=feature.name, value=value, before=0, pixel=is_pixel)


def _single_value(known: NDArray[Any]) -> float | str | None:
    """Return the value that all of these (N,) are, None if they differ or there are none."""
    if len(known) == 0:
        return None
    first = known[0]
    if len(known) > _FEW and bool((known[:_FEW] != first).any()):
        return None  # the usual case, without a pass over a large column
    if bool((known != first).any()):
        return None
    return float(first) if known.dtype.kind in "iuf" else str(first)


def fit_real_targets(
    values: NDArray[np.float64],
    names: Sequence[str],
    labels: Sequence[str],
    shape: Sequence[int] | None,
    *,
    one_scale: bool,
    weights: Weights = None,
) -> tuple[RealTargets, list[str]]:
    """Fit means and scales on the training rows' values (N, T); also return notes.

    With `one_scale` the outputs share the root mean square of their standard deviations. weights:
    (N,) of the rows.
    """
    fitted = [moments(column, weights) for column in values.T]
    scales = [scale for _, scale in fitted]
    notes = []
    if not any(scales):
        notes.append(f"target {echo(labels[0])} is constant in the training rows; R2 is undefined")
    if one_scale:
        scales = [_root_mean_square(scales)] * len(scales)
    target = RealTargets(
        names=tuple(names),
        labels=tuple(labels),
        means=tuple(mean for mean, _ in fitted),
        scales=tuple(scale or 1.0 for scale in scales),
        shape=None if shape is None else tuple(shape),
    )
    return target, notes


def fit_class_target(values: "pd.Series", name: str, label: str) -> ClassTarget:
    """Fit the classes, sorted, on the training rows' values (N,), none missing.

    Raises DataError if there is only one.
    """
    storage, classes = _distinct(values)
    if len(classes) == 1:
        raise DataError(
            f"column '{echo(label)}': every training row has the class "
            f"'{echo(value_text(classes[0]))}'; classification needs at least two"
        )
    return ClassTarget(name=name, label=label, storage=storage, classes=classes)


def refit(
    preprocessing: Preprocessing,
    frame: "pd.DataFrame",
    columns: Sequence[FeatureColumn],
    rows: Rows,
) -> Preprocessing:
    """Return the same inputs, categories and classes with the statistics of other rows.

    `columns` are those that the features were fitted to.
    """
    assert preprocessing.history is None, "folds do not split a series"
    weights = weights_of(frame, preprocessing.weight, rows)
    found = fit_features(frame, columns, rows, weights=weights)
    fitted = {feature.name: feature for feature in found.features}
    features: list[NumberFeature | CategoryFeature] = []
    for old in preprocessing.features:
        new = fitted.get(old.name)
        if isinstance(old, NumberFeature) and isinstance(new, NumberFeature):
            inputs = {
                "has_value": old.has_value,
                "has_indicator": old.has_indicator,
                **refit_pieces(old, frame, rows, weights),
            }
            features.append(new.model_copy(update=inputs))
        else:  # categories are those of all rows, and a constant number is fed 0 in this fold
            features.append(old)
    target = preprocessing.target
    if isinstance(target, RealTargets):
        values = frame[list(target.names)].to_numpy(np.float64)[rows]
        names, labels, shape = target.names, target.labels, target.shape
        target, _ = fit_real_targets(
            values, names, labels, shape, one_scale=shape is not None, weights=weights
        )
    return preprocessing.model_copy(update={"features": tuple(features), "target": target})


def _fit_categories(
    name: str, values: "pd.Series", max_categories: int | None, weights: Weights
) -> CategoryFeature:
    """Return the categories of the values (N,), the most frequent ones if there are too many.

    Of equally frequent categories the first in sorted order are kept. With 750 categories by Zipf's
    law, each with an effect, 100 inputs take away 77 % of the error that all of them do; 300 take
    90 %, but some 20 times the CPU time.
    """
    storage, found = _distinct(values.dropna())
    feature = CategoryFeature(name=name, storage=storage, categories=found)
    if max_categories is None or len(found) <= max_categories:
        return feature
    if weights is None:
        each = values.value_counts()
    else:
        each = values.to_frame("value").assign(weight=weights).groupby("value")["weight"].sum()
    counts = each.reindex(list(found)).to_numpy()
    kept = set(np.argsort(-counts, kind="stable")[: max_categories - 1].tolist())
    categories = tuple(value for index, value in enumerate(found) if index in kept)
    rarer = tuple(value for index, value in enumerate(found) if index not in kept)
    return feature.model_copy(update={"categories": categories, "rarer": rarer})


def _distinct(
    values: "pd.Series",
) -> tuple[Literal["number", "text"], tuple[str, ...] | tuple[float, ...]]:
    """Return how the values are stored, and the distinct values, sorted.

    Raises DataError for integers that float64 cannot distinguish.
    """
    if is_number(values):
        found = values.unique().tolist()
        distinct = set(map(float, found))
        if distinct != set(found):  # compares integers exactly
            raise indistinct_error(str(values.name))
        return "number", tuple(sorted(distinct))
    return "text", tuple(sorted(str(value) for value in values.unique()))


def _root_mean_square(values: ArrayLike, weights: Weights = None) -> float:
    return float(np.sqrt(np.average(np.square(values), weights=weights)))


def _group_scales(
    frame: "pd.DataFrame", features: Sequence[FeatureColumn], rows: Rows, weights: Weights
) -> dict[str, float]:
    """Return the root mean square of the standard deviations of each group's columns."""
    groups: dict[str, list[float]] = {}
    for feature in features:
        if feature.group is not None:
            values = frame[feature.name].to_numpy(np.float64)[rows]
            known, own = known_values(values, weights)
            scale = moments(known, own)[1] if known.size else 0.0
            groups.setdefault(feature.group, []).append(scale)
    return {group: _root_mean_square(scales) for group, scales in groups.items()}


def fit_preprocessing(
    config: schema.Config,
    header: Header,
    frame: "pd.DataFrame",
    selection: Selection,
    types: ColumnTypes,
    split: Split,
) -> tuple[Preprocessing, list[str]]:
    """Fit the preprocessing of the resolved config on the training rows; also return notes.

    Raises DataError if no input is left, or there is only one class.
    """
    data = config.data
    weights = weights_of(frame, data.weight, split.train)
    fitted = fit_features(frame, types.features, split.train, data.max_categories, weights)
    features, notes = fitted.features, fitted.notes
    if not isinstance(numbers := data.numbers, schema.Standardise):
        pieces = (schema.Piecewise() if isinstance(numbers, schema.Auto) else numbers).pieces
        features = fit_pieces(features, types.features, frame, split.train, pieces, weights)
    sources = dict(zip(header.names, sources_of(header), strict=True))
    raw = [sources[name].raw for name in selection.targets]
    labels = raw if len(set(raw)) == len(raw) else list(selection.targets)
    names, history = selection.targets, None
    target: RealTargets | ClassTarget
    if config.task == "classification":
        target = fit_class_target(frame[names[0]].iloc[split.train], names[0], labels[0])
    else:
        values = frame[list(names)].to_numpy(np.float64)[split.train]
        shape = data.target_shape
        one_scale = shape is not None and not data.lags
        target, more = fit_real_targets(
            values, names, labels, shape, one_scale=one_scale, weights=weights
        )
        notes += more
        if data.lags:
            used = _used_lags(frame[names[0]].to_numpy(np.float64), split.train, data.lags)
            target, history = _with_horizon(target, data, used)
            if constant := [lag for lag in range(1, data.lags + 1) if lag not in used]:
                texts = listed((f"{echo(names[0])}−{lag}" for lag in constant), 8)
                notes.append(f"excluded: {texts} (constant in the training rows)")
    if not features and (history is None or not history.used):
        raise DataError(
            f"{header.path}: every feature is constant or empty in the training rows, so nothing "
            "is left to predict from; see data.features and data.split"
        )
    order = [name for name in (data.order_by, data.group_by) if data.lags and name is not None]
    parts = {name for date in types.dates for name in date.features}
    in_use = {feature.name for feature in features}
    dates = tuple(date for date in types.dates if not in_use.isdisjoint(date.features))
    columns = [feature.name for feature in types.features if feature.name not in parts]
    columns += [*(date.name for date in dates), *names, *order]
    columns += [data.weight] if data.weight is not None else []
    preprocessing = Preprocessing(
        task=types.task if data.horizon == 1 else "structured",
        features=tuple(features),
        left_out=tuple(fitted.left_out),
        history=history,
        target=target,
        sources={name: sources[name] for name in columns},
        dates=dates,
        width=len(header.names),
        numbered=header.numbered,
        weight=data.weight,
    )
    return preprocessing, notes


def _used_lags(series: NDArray[np.float64], rows: Rows, lags: int) -> tuple[int, ...]:
    """Return the lags that differ between the training rows."""
    if len(rows) == 0:
        return ()
    return tuple(
        lag
        for lag in range(1, lags + 1)
        if _varies(series[rows[:_FEW] - lag]) or _varies(series[rows - lag])
    )


def _varies(values: NDArray[np.float64]) -> bool:
    """Whether the values differ; missing ones, which the history has filled, do not count."""
    known = values[~np.isnan(values)]
    return known.size > 0 and bool(np.ptp(known) > 0)


def _with_horizon(
    target: RealTargets, data: schema.Data, used: tuple[int, ...]
) -> tuple[RealTargets, History]:
    """Return the target repeated for each step of the horizon, and the history in its scale."""
    horizon, (label,), (mean,), (scale,) = data.horizon, target.labels, target.means, target.scales
    steps = range(1, horizon + 1)
    targets = RealTargets(
        names=target.names * horizon,
        labels=tuple(f"{label}+{step}" for step in steps) if horizon > 1 else (label,),
        means=(mean,) * horizon,
        scales=(scale,) * horizon,
        shape=target.shape,
    )
    return targets, History(
        lags=data.lags,
        used=used,
        horizon=horizon,
        mean=mean,
        scale=scale,
        order_by=data.order_by,
        group_by=data.group_by,
        gap_limit=0 if data.gaps is None else data.gaps.limit,
    )
