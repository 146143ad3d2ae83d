"""A config against the file: column names and globs, and the defaults that depend on the data."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ml2021.config import schema
from ml2021.data.csv.headers import Header, TableFormat
from ml2021.data.tables import read_header
from ml2021.errors import ConfigError
from ml2021.formatting import echo, suggest


class Problem(NamedTuple):
    """What is wrong with a name that the config gives: at which of its keys, and what."""

    keys: tuple[str | int, ...]
    text: str


@dataclass(frozen=True)
class Selection:
    """The columns in use, by their unique names, in file order; `extra` orders or splits rows."""

    targets: tuple[str, ...]
    features: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that has to be read."""
        return (*self.features, *self.targets, *self.extra)


def select_columns(
    header: Header,
    *,
    target: str | Sequence[str],
    features: Sequence[str],
    exclude: Sequence[str],
    extra: Mapping[tuple[str, ...], str],
) -> tuple[Selection, list[Problem]]:
    """Match the config's names and globs against the header.

    An exact name wins over a glob; only * and ? are special. `extra` maps the config's keys to the
    names of columns that order or split the rows. Returns the selection and what is wrong with it.
    """
    problems: list[Problem] = []

    def resolve(key: str, patterns: str | Sequence[str]) -> list[str]:
        found: dict[str, None] = {}
        listed = [patterns] if isinstance(patterns, str) else patterns
        for index, pattern in enumerate(listed):
            keys = ("data", key) if isinstance(patterns, str) else ("data", key, index)
            matches = match_names(header, pattern)
            if not matches and not (key == "features" and pattern == "*"):
                problems.append(Problem(keys, explain_missing(header, pattern)))
            found.update(dict.fromkeys(matches))
        return list(found)

    targets = resolve("target", target)
    excluded = resolve("exclude", exclude)
    named = set(resolve("features", features))
    extras = []
    for keys, name in extra.items():
        if name in header.names:
            extras.append(name)
        else:
            problems.append(Problem(keys, explain_missing(header, name)))
    if clash := [name for name in targets if name in excluded]:
        text = f"column '{echo(clash[0])}' is excluded and a target; leave it out of one of them"
        problems.append(Problem(("data", "exclude"), text))
    left_out = {*targets, *excluded}
    # A column that sorts or splits rows is not a feature, unless the config names it as one.
    left_out |= set(extras) - set(features)
    chosen = tuple(name for name in header.names if name in named and name not in left_out)
    selection = Selection(
        targets=tuple(targets),
        features=chosen,
        extra=tuple(dict.fromkeys(e for e in extras if e not in targets and e not in chosen)),
    )
    return selection, problems


def match_names(header: Header, pattern: str) -> list[str]:
    """Return the unique names that an exact name or a glob stands for, in file order."""
    if pattern in header.names:
        return [pattern]
    if pattern in header.repeated or not set("*?") & set(pattern):
        return []
    glob = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
    return [name for name in header.names if glob.fullmatch(name)]


def explain_missing(header: Header, name: str) -> str:
    """Say why a name or glob stands for no column, and what may have been meant."""
    if name in header.repeated:
        choices = ", ".join(header.repeated[name])
        return f"column name '{echo(name)}' occurs more than once; choose one of {choices}"
    if set("*?") & set(name):
        return f"no column matches '{echo(name)}'"
    hint = suggest(name, header.names)
    if not hint:
        shown = ", ".join(echo(column) for column in header.names[:8])
        more = len(header.names) - 8
        hint = f"; the columns are {shown}" + (f" and {more} more" if more > 0 else "")
    return f"no column '{echo(name)}' in {header.path.name}{hint}"


Locate = Callable[..., str]
"""locate("data", "target") is where that key stands, for the start of a message."""


def check_columns(config: schema.Config, locate: Locate) -> tuple[Header, Selection]:
    """Hold the config's column names against the header of the file; reads no more than that.

    Raises ConfigError with a line for each name that is wrong.
    """
    data = config.data
    header = read_header(Path(data.path), table_format_of(data))
    selection, problems = _select(config, header)
    if problems:
        raise ConfigError(*(f"{locate(*p.keys)}: {p.text}" for p in problems))
    return header, selection


def resolve_config(config: schema.Config, found: schema.Task, locate: Locate) -> schema.Config:
    """Return the config with task, loss and split method; `found` is the task of the data.

    Raises ConfigError where one of them does not fit the others.
    """
    if found == "classification" and config.data.lags:
        number = "structured" if config.data.horizon > 1 else "regression"
        raise ConfigError(
            f"{locate('data', 'lags')}: the target holds classes, and data.lags is for numbers; "
            f"leave data.lags out, or set task: {number} if they are numbers"
        )
    task = "structured" if config.data.horizon > 1 else found
    is_classification = task == "classification"
    loss = config.loss or (schema.CrossEntropy() if is_classification else schema.Mse())
    if is_classification != isinstance(loss, schema.CrossEntropy):
        fitting = "cross_entropy" if is_classification else "mse, mae or huber"
        raise ConfigError(f"{locate('loss')}: {loss.type} does not fit {task}; use {fitting}")
    split = config.data.split
    if isinstance(split, schema.FractionSplit):
        method = split.method
        if method == "stratified" and not is_classification:
            raise ConfigError(
                f"{locate('data', 'split', 'method')}: stratified needs classes, and this is "
                f"{task}; use random or sequential"
            )
        if method == "auto":
            by_task: Literal["stratified", "random"] = (
                "stratified" if is_classification else "random"
            )
            method = "sequential" if config.data.lags else by_task
        test = 0.0 if config.data.test_path is not None else split.test
        split = split.model_copy(update={"method": method, "test": test})
    # Absolute, so that the run finds its data from another working directory too.
    paths = {"path": str(Path(config.data.path).absolute())}
    if config.data.test_path is not None:
        paths["test_path"] = str(Path(config.data.test_path).absolute())
    data = config.data.model_copy(update={"split": split, **paths})
    return config.model_copy(update={"task": task, "loss": loss, "data": data})


def table_format_of(data: schema.Data) -> TableFormat:
    """Return how the file is written."""
    return TableFormat(
        separator=data.separator,
        decimal=data.decimal,
        encoding=data.encoding,
        header=data.header,
        missing=tuple(data.missing),
    )


def _select(config: schema.Config, header: Header) -> tuple[Selection, list[Problem]]:
    data = config.data
    extra: dict[tuple[str, ...], str] = {}
    if data.order_by is not None:
        extra["data", "order_by"] = data.order_by
    if isinstance(data.split, schema.ColumnSplit):
        extra["data", "split", "column"] = data.split.column
    selection, problems = select_columns(
        header,
        target=data.target,
        features=data.features,
        exclude=data.exclude,
        extra=extra,
    )
    if problems:
        return selection, problems
    outputs = len(selection.targets) * data.horizon
    if data.target_shape is not None and int(np.prod(data.target_shape)) != outputs:
        shape = " x ".join(map(str, data.target_shape))
        text = f"{shape} is not the {outputs} targets that data.target names; make them agree"
        problems.append(Problem(("data", "target_shape"), text))
    if data.lags and len(selection.targets) > 1:
        text = f"data.lags wants one target, and this names {len(selection.targets)}; choose one"
        problems.append(Problem(("data", "target"), text))
    if outputs > 1 and config.task in ("regression", "classification"):
        text = f"{config.task} has one target, and there are {outputs}; set task: structured"
        problems.append(Problem(("task",), text))
    return selection, problems
