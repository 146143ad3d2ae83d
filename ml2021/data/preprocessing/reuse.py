"""A table under the preprocessing of another one, where that has a place for all that it holds.

Parameters mean something under the preprocessing that they were trained with, and nothing under
another: whoever goes on with them needs both.
"""

from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    Feature,
    NumberFeature,
    Preprocessing,
    RealTargets,
    value_text,
)
from ml2021.formatting import echo

_SHOWN = 3


def incompatibilities(own: Preprocessing, other: Preprocessing) -> list[str]:
    """Say what `own`, fitted to the training rows here, has and `other` has no place for, or lacks.

    Statistics may differ, and `other` may know more categories and classes, and flag more columns.
    """
    found = []
    if own.task != other.task:
        found.append(f"the task is {own.task} here, and {other.task} there")
    features = {feature.name: feature for feature in own.features}
    others = {feature.name: feature for feature in other.features}
    found += [
        f"column '{echo(name)}' is a feature here, and none there"
        for name in features
        if name not in others
    ]
    found += [
        f"column '{echo(name)}' is a feature there, and none here"
        for name in others
        if name not in features
    ]
    for name, feature in features.items():
        if name in others and (text := _feature_disagreement(feature, others[name])):
            found.append(f"column '{echo(name)}' {text}")
    return found + _history_disagreements(own, other) + _target_disagreements(own, other)


def reuse(own: Preprocessing, other: Preprocessing) -> Preprocessing:
    """Return the inputs, statistics and classes of `other` for the table that `own` was fitted to.

    The two have no `incompatibilities`. The position of the columns, their names in the header,
    the range of the training rows and the shape of the output are those of the table.
    """
    ranges = {f.name: (f.minimum, f.maximum) for f in own.features if isinstance(f, NumberFeature)}
    features = []
    for feature in other.features:
        if isinstance(feature, NumberFeature):
            minimum, maximum = ranges[feature.name]
            feature = feature.model_copy(update={"minimum": minimum, "maximum": maximum})
        features.append(feature)
    target: RealTargets | ClassTarget
    if isinstance(other.target, RealTargets):
        assert isinstance(own.target, RealTargets)
        changed = {"labels": own.target.labels, "shape": own.target.shape}
        target = other.target.model_copy(update=changed)
    else:
        assert isinstance(own.target, ClassTarget)
        target = other.target.model_copy(update={"label": own.target.label})
    history = other.history
    if history is not None:
        assert own.history is not None
        history = history.model_copy(update={"order_by": own.history.order_by})
    return own.model_copy(
        update={"features": tuple(features), "target": target, "history": history}
    )


def reuse_if_compatible(own: Preprocessing, other: Preprocessing) -> Preprocessing:
    """Return `reuse`, or `own` where there is a disagreement, which the caller will find to be."""
    return own if incompatibilities(own, other) else reuse(own, other)


def _feature_disagreement(own: Feature, other: Feature) -> str | None:
    if isinstance(own, NumberFeature) and isinstance(other, NumberFeature):
        if own.has_indicator and not other.has_indicator:
            return "has missing values here, and had none there"
        return None
    if isinstance(own, CategoryFeature) and isinstance(other, CategoryFeature):
        if own.storage != other.storage:
            return f"holds {_stored(own.storage)} here, and {_stored(other.storage)} there"
        if new := [value for value in own.categories if value not in other.categories]:
            return f"has categories here that it had not there: {_listed(new)}"
        return None
    kinds = {"number": "a number", "category": "a category"}
    return f"is {kinds[own.kind]} here, and {kinds[other.kind]} there"


def _history_disagreements(own: Preprocessing, other: Preprocessing) -> list[str]:
    found = []
    for key in ("lags", "horizon"):
        here, there = (
            0 if p.history is None else int(getattr(p.history, key)) for p in (own, other)
        )
        if here != there:
            found.append(f"data.{key} is {here} here, and {there} there")
    return found


def _target_disagreements(own: Preprocessing, other: Preprocessing) -> list[str]:
    if own.target_columns != other.target_columns:
        here, there = (_listed(list(dict.fromkeys(each.target_columns))) for each in (own, other))
        return [f"the target is {here} here, and {there} there"]
    if not isinstance(own.target, ClassTarget) or not isinstance(other.target, ClassTarget):
        return []  # of one task by now, or told to be of two
    name = echo(own.target.name)
    if own.target.storage != other.target.storage:
        here, there = _stored(own.target.storage), _stored(other.target.storage)
        return [f"column '{name}' holds {here} here, and {there} there"]
    new = [value for value in own.target.classes if value not in other.target.classes]
    return [f"column '{name}' has classes here that it had not there: {_listed(new)}"] * bool(new)


def _stored(storage: str) -> str:
    return {"number": "numbers", "text": "text"}[storage]


def _listed(values: "list[str] | list[float] | list[str | float]") -> str:
    shown = ", ".join(f"'{echo(value_text(value))}'" for value in values[:_SHOWN])
    return shown if len(values) <= _SHOWN else f"{shown} and {len(values) - _SHOWN} more"
