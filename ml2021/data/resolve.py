"""What a config means for its table: names held against the header, and defaults that depend on it.

Nothing is read but the header; the rows are for `ml2021.data.load`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from ml2021.config import schema
from ml2021.data import column_types as kinds
from ml2021.data.columns import Problem, Selection, select_columns
from ml2021.data.csv.headers import Header, TableFormat
from ml2021.data.tables import read_header
from ml2021.errors import ConfigError

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


def resolve_config(config: schema.Config, found: kinds.Task, locate: Locate) -> schema.Config:
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
