"""Reuse another run's fitted preprocessing if its columns are compatible.

Parameters are only meaningful with the preprocessing that they were trained with, so that training
from given parameters needs both.
"""

from ml2021.data.preprocessing.records import (
    CategoryFeature,
    ClassTarget,
    Feature,
    LeftOut,
    NumberFeature,
    Preprocessing,
    value_text,
)
from ml2021.formatting import echo, listed


def incompatibilities(own: Preprocessing, other: Preprocessing) -> list[str]:
    """Return what prevents `own`, fitted to the training rows here, from being replaced by `other`.

    Statistics may differ, and `other` may have more categories, classes and missing-value flags,
    features that are constant here, or an input for other categories.
    """
    found = []
    if own.task != other.task:
        found.append(f"the task is {own.task} here, but {other.task} there")
    features = {feature.name: feature for feature in own.features}
    others = {feature.name: feature for feature in other.features}
    constant = {column.name: column for column in own.left_out}
    for some, rest, where in ((features, others, "here"), (others, features, "there")):
        only = [name for name in some if name not in rest and name not in constant]
        found += [f"column '{echo(name)}' is a feature only {where}" for name in only]
    for name, feature in features.items():
        if name in others and (text := _feature_disagreement(feature, others[name])):
            found.append(f"column '{echo(name)}' {text}")
    for name, column in constant.items():
        if name in others and (text := _constant_disagreement(column, others[name])):
            found.append(f"column '{echo(name)}' {text}")
    numbers, others_numbers = _numbers(own), _numbers(other)
    if numbers != others_numbers:
        found.append(f"data.numbers is {numbers} here, but {others_numbers} there")
    for key in ("lags", "horizon"):
        here, there = (getattr(each.history, key, 0) for each in (own, other))
        if here != there:
            found.append(f"data.{key} is {here} here, but {there} there")
    return found + _target_disagreements(own, other)


def reuse(own: Preprocessing, other: Preprocessing) -> Preprocessing:
    """Return the inputs, statistics and classes of `other` for the table that `own` was fitted to.

    The two must have no `incompatibilities`. Column positions, names in the header, training
    ranges and the output shape remain those of `own`.
    """
    kept = {"minimum", "maximum", "missing"}
    ranges = {f.name: f.model_dump(include=kept) for f in own.features}
    for column in own.left_out:
        is_number = isinstance(column.value, float)
        ranges[column.name] = (
            dict.fromkeys(("minimum", "maximum"), column.value) if is_number else {}
        )
    features = tuple(f.model_copy(update=ranges[f.name]) for f in other.features)
    names = {feature.name for feature in features}
    left_out = tuple(column for column in own.left_out if column.name not in names)
    labels = own.target.model_dump(include={"label", "labels", "shape"})
    target = other.target.model_copy(update=labels)
    history = other.history
    if history is not None:
        assert own.history is not None
        rows = own.history.model_dump(include={"order_by", "group_by", "gap_limit"})
        history = history.model_copy(update=rows)
    forms = {date.name: date.form for date in own.dates}
    dates = tuple(
        date.model_copy(update={"form": forms.get(date.name, date.form)}) for date in other.dates
    )
    update = {"features": features, "left_out": left_out, "target": target, "history": history}
    return own.model_copy(update=update | {"dates": dates})


def reuse_if_compatible(own: Preprocessing, other: Preprocessing) -> Preprocessing:
    """Return the reused preprocessing, or `own` if incompatible (callers report that)."""
    return own if incompatibilities(own, other) else reuse(own, other)


def _numbers(preprocessing: Preprocessing) -> str:
    """Return `data.numbers`, as far as it can be told from the inputs."""
    is_plain = len(preprocessing.plain_inputs) == len(preprocessing.inputs)
    return "standardise" if is_plain else "piecewise"


def _feature_disagreement(own: Feature, other: Feature) -> str | None:
    if isinstance(own, NumberFeature) and isinstance(other, NumberFeature):
        if own.has_indicator and not other.has_indicator:
            return "has missing values here, but had none there"
        varies = own.has_value and not other.has_value
        return "varies here, but was constant there" if varies else None
    if isinstance(own, CategoryFeature) and isinstance(other, CategoryFeature):
        if own.storage != other.storage:
            return f"holds {_STORED[own.storage]} here, but {_STORED[other.storage]} there"
        known = {*other.categories, *other.rarer}
        new = [value for value in (*own.categories, *own.rarer) if value not in known]
        if new and not other.rarer:  # else these are "other"
            return f"has categories that it did not have there: {_quoted(new)}"
        return None
    return f"is a {own.kind} here, but a {other.kind} there"


def _constant_disagreement(own: LeftOut, other: Feature) -> str | None:
    """Return what prevents a column without an input here from having that of `other`."""
    if own.value is None:
        is_new = isinstance(other, NumberFeature) and not other.has_indicator
        return "has no value here, and had no missing ones there" if is_new else None
    if isinstance(other, NumberFeature):
        return "is text here, but a number there" if isinstance(own.value, str) else None
    if other.rarer or own.value in other.categories:
        return None
    return f"has categories that it did not have there: {_quoted([own.value])}"


def _target_disagreements(own: Preprocessing, other: Preprocessing) -> list[str]:
    if own.target_columns != other.target_columns:
        here, there = (_quoted(list(dict.fromkeys(each.target_columns))) for each in (own, other))
        return [f"the target is {here} here, but {there} there"]
    if not isinstance(own.target, ClassTarget) or not isinstance(other.target, ClassTarget):
        return []  # the tasks are equal, or their difference has been reported
    name = echo(own.target.name)
    if own.target.storage != other.target.storage:
        here, there = _STORED[own.target.storage], _STORED[other.target.storage]
        return [f"column '{name}' holds {here} here, but {there} there"]
    new = [value for value in own.target.classes if value not in other.target.classes]
    return [f"column '{name}' has classes that it did not have there: {_quoted(new)}"] * bool(new)


_STORED = {"number": "numbers", "text": "text"}


def _quoted(values: "list[str] | list[float] | list[str | float]") -> str:
    return listed((f"'{echo(value_text(value))}'" for value in values), 3)
