"""Learning the preprocessing from the training rows: means, scales, fills, categories, classes.

What is learned, and how it is applied, is in `ml2021.data.preprocessing.records`. All in float64.

Legend: N rows, T outputs.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ml2021.config import schema
from ml2021.data.column_types import ColumnTypes, FeatureColumn
from ml2021.data.csv.headers import Header
from ml2021.data.preprocessing import records as prep
from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    NumberFeature,
    Preprocessing,
    RealTargets,
    sources_of,
    value_text,
)
from ml2021.data.resolve import Selection
from ml2021.data.splits import Split
from ml2021.data.tables import is_number
from ml2021.errors import DataError
from ml2021.formatting import echo

if TYPE_CHECKING:
    import pandas as pd

_EXACT_IN_FLOAT32 = 2.0**24


def fit_features(
    frame: "pd.DataFrame", features: Sequence[FeatureColumn], rows: NDArray[np.int64]
) -> tuple[list[NumberFeature | CategoryFeature], list[str]]:
    """Learn means, scales, fills and categories from the training rows; also return notes."""
    notes: list[str] = []
    fitted: list[NumberFeature | CategoryFeature] = []
    constant: list[str] = []
    group_scales = _group_scales(frame, features, rows)
    for feature in features:
        values = frame[feature.name].iloc[rows]
        if feature.kind == "category":
            storage, categories = _distinct(values.dropna())
            fitted.append(
                CategoryFeature(name=feature.name, storage=storage, categories=categories)
            )
            continue
        numbers = values.to_numpy(np.float64)
        known = numbers[~np.isnan(numbers)]
        has_missing = known.size < numbers.size
        if known.size == 0:
            known = np.zeros(1)
        mean, scale = _moments(known)
        if feature.group is not None:
            scale = group_scales[feature.group]
        elif scale == 0:
            constant.append(feature.name)
        if np.ptp(known) > _EXACT_IN_FLOAT32 and bool((known == np.round(known)).all()):
            notes.append(
                f"{echo(feature.name)}: whole numbers this far apart lose digits in float32"
            )
        fitted.append(
            NumberFeature(
                name=feature.name,
                mean=mean,
                scale=scale or 1.0,
                fill=float(np.median(known)),
                has_indicator=has_missing,
                minimum=float(known.min()),
                maximum=float(known.max()),
            )
        )
    if constant:
        notes.append(f"constant in the training rows: {', '.join(map(echo, constant))}")
    return fitted, notes


def fit_real_targets(
    values: NDArray[np.float64],
    names: Sequence[str],
    labels: Sequence[str],
    shape: Sequence[int] | None,
    *,
    one_scale: bool,
) -> tuple[RealTargets, list[str]]:
    """Learn means and scales from the training rows' values (N, T); also return notes.

    With `one_scale` the outputs share the root mean square of their deviations.
    """
    moments = [_moments(column) for column in values.T]
    scales = [scale for _, scale in moments]
    notes = []
    if not any(scales):
        notes.append(f"the target is constant in the training rows; R2 is undefined: {labels[0]}")
    if one_scale:
        scales = [float(np.sqrt(np.mean(np.square(scales))))] * len(scales)
    return (
        RealTargets(
            names=tuple(names),
            labels=tuple(labels),
            means=tuple(mean for mean, _ in moments),
            scales=tuple(scale or 1.0 for scale in scales),
            shape=None if shape is None else tuple(shape),
        ),
        notes,
    )


def fit_class_target(values: "pd.Series", name: str, label: str) -> ClassTarget:
    """Learn the classes, sorted, from the training rows' values (N,), none missing.

    Raises DataError where there is only one.
    """
    storage, classes = _distinct(values)
    if len(classes) == 1:
        raise DataError(
            f"column '{echo(label)}': every training row is of the class "
            f"'{echo(value_text(classes[0]))}'; classification needs two"
        )
    return ClassTarget(name=name, label=label, storage=storage, classes=classes)


def refit(
    preprocessing: Preprocessing,
    frame: "pd.DataFrame",
    columns: Sequence[FeatureColumn],
    rows: NDArray[np.int64],
) -> Preprocessing:
    """Return the same inputs, categories and classes with the statistics of other rows.

    `columns` are those that the features were fitted to. There is no history: a series is not
    dealt out at random.
    """
    assert preprocessing.history is None
    fitted, _ = fit_features(frame, columns, rows)
    features = tuple(
        new.model_copy(update={"has_indicator": old.has_indicator})
        if isinstance(old, NumberFeature)
        else old
        for old, new in zip(preprocessing.features, fitted, strict=True)
    )
    target = preprocessing.target
    if isinstance(target, RealTargets):
        values = frame[list(target.names)].to_numpy(np.float64)[rows]
        target, _ = fit_real_targets(
            values, target.names, target.labels, target.shape, one_scale=target.shape is not None
        )
    return preprocessing.model_copy(update={"features": features, "target": target})


def _distinct(
    values: "pd.Series",
) -> tuple[Literal["number", "text"], tuple[str, ...] | tuple[float, ...]]:
    """Return how the values are stored, and the different ones, sorted.

    Raises DataError for whole numbers that float64 does not tell apart.
    """
    if is_number(values):
        distinct = {float(value) for value in values.unique()}
        if len(distinct) < values.nunique():
            raise DataError(
                f"column '{echo(values.name)}': whole numbers above 2^53 cannot be told apart as "
                "categories; put a letter before them, so that they are text"
            )
        return "number", tuple(sorted(distinct))
    return "text", tuple(sorted(str(value) for value in values.unique()))


def _moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and deviation, in float64; the deviation of equal values is exactly 0."""
    mean = float(values.mean())
    scale = float(np.sqrt(np.mean(np.square(values - mean))))
    if np.ptp(values) == 0:
        return float(values[0]), 0.0
    return mean, scale


def _group_scales(
    frame: "pd.DataFrame", features: Sequence[FeatureColumn], rows: NDArray[np.int64]
) -> dict[str, float]:
    """Return for each group the root mean square of its columns' deviations."""
    groups: dict[str, list[float]] = {}
    for feature in features:
        if feature.group is not None:
            values = frame[feature.name].iloc[rows].to_numpy(np.float64)
            known = values[~np.isnan(values)]
            groups.setdefault(feature.group, []).append(_moments(known)[1] if known.size else 0.0)
    return {group: float(np.sqrt(np.mean(np.square(s)))) for group, s in groups.items()}


def fit_preprocessing(
    config: schema.Config,
    header: Header,
    frame: "pd.DataFrame",
    selection: Selection,
    plan: ColumnTypes,
    split: Split,
) -> tuple[prep.Preprocessing, list[str]]:
    """Fit the preprocessing on training rows."""
    data = config.data
    features, notes = fit_features(frame, plan.features, split.train)
    if not data.lags and not any(feature.inputs for feature in features):
        raise DataError(
            f"{data.path}: no feature has a value in any training row; see data.features and "
            "data.split"
        )
    sources = dict(zip(header.names, sources_of(header), strict=True))
    history: prep.History | None = None
    target: prep.RealTargets | prep.ClassTarget
    labels = _target_labels(selection, sources)
    if config.task == "classification":
        (name,) = selection.targets
        target = fit_class_target(frame[name].iloc[split.train], name, labels[0])
    elif data.lags:
        (name,) = selection.targets
        series = frame[name].to_numpy(np.float64)
        # Standardised by the training rows' own values, and so is the history.
        one, more = fit_real_targets(
            series[split.train][:, None], [name], labels, None, one_scale=False
        )
        notes += more
        mean, scale = one.means[0], one.scales[0]
        steps = (
            [f"{labels[0]}+{step}" for step in range(1, data.horizon + 1)]
            if data.horizon > 1
            else labels
        )
        target = prep.RealTargets(
            names=(name,) * data.horizon,
            labels=tuple(steps),
            means=(mean,) * data.horizon,
            scales=(scale,) * data.horizon,
            shape=None if data.target_shape is None else tuple(data.target_shape),
        )
        history = prep.History(
            lags=data.lags, horizon=data.horizon, mean=mean, scale=scale, order_by=data.order_by
        )
    else:
        values = frame[list(selection.targets)].to_numpy(np.float64)[split.train]
        target, more = fit_real_targets(
            values,
            selection.targets,
            labels,
            data.target_shape,
            one_scale=data.target_shape is not None,
        )
        notes += more
    used = [feature.name for feature in features] + list(selection.targets)
    if history is not None and history.order_by is not None:
        used.append(history.order_by)
    fitted = prep.Preprocessing(
        task=plan.task if data.horizon == 1 else "structured",
        features=tuple(features),
        history=history,
        target=target,
        sources={name: sources[name] for name in used},
    )
    return fitted, notes


def _target_labels(selection: Selection, sources: Mapping[str, prep.Source]) -> list[str]:
    """Return the targets' names as the header has them, where that tells them apart."""
    raw = [sources[name].raw for name in selection.targets]
    return raw if len(set(raw)) == len(raw) else list(selection.targets)
