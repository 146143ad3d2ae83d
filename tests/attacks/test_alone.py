"""A prediction does not depend on the rows beside it: alone or among others, the same digits."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from ml2021.commands.prediction_csv import Predictions, prediction_columns
from ml2021.data.new_table import read_new_table
from ml2021.data.preprocessing.transform import encode_inputs
from ml2021.engine.inference import INFERENCE_ROWS, member_outputs
from ml2021.engine.networks import initial_parameters, relu_stack
from ml2021.runs.model import TrainedModel, load_model
from tests import commands
from tests.commands import run_well, write_rows

MODELS = {
    "linear": "linear",
    "smooth": "{type: sigmoid_sum, units: 20}",
    "hard": "{type: sigmoid_sum, units: 20, activation: hard_sigmoid}",
    "stack": "{type: relu_stack, widths: [24, 10]}",
}
PIECES = "numbers: {type: piecewise, pieces: 6}"
TASKS = {
    "number": f"path: train.csv, target: y, exclude: [id, kind, p*], {PIECES}",
    "classes": "path: train.csv, target: kind, exclude: [id, y, p*]",
    "pixels": 'path: train.csv, target: "p*", exclude: [id, y, kind]',
    "series": "path: series.csv, target: views, exclude: [date, weekday], lags: 7",
    "week": f"path: series.csv, target: views, features: [weekday], lags: 5, horizon: 3, {PIECES}",
}
GRID = [*itertools.product(MODELS, TASKS, (1, 3))]
SAMPLE = [each for place, each in enumerate(GRID) if place % 7 == 3]


def config(model: str, task: str, members: int) -> str:
    return (
        f"data: {{{TASKS[task]}}}\nmodel: {MODELS[model]}\n"
        f"train: {{epochs: 2, members: {members}, calibrate: true}}\n"
    )


def trained(folder: Path, grid: list[tuple[str, str, int]]) -> Iterator[TrainedModel]:
    write_rows(folder / "train.csv", commands.table(120))
    write_rows(folder / "series.csv", series(90))
    for model, task, members in grid:
        name = f"{model}-{task}-{members}"
        commands.train_runs(folder, {name: config(model, task, members)})
        yield load_model(folder / name / "checkpoints" / "best.safetensors")


def series(rows: int) -> dict[str, list[object]]:
    noise = np.random.default_rng(1).normal(size=rows) * 20
    columns = commands.series(rows)
    columns["views"] = (np.array(columns["views"], float) % 700 + noise).round(2).tolist()
    return {**columns, "weekday": [row % 7 for row in range(rows)]}


def written(model: TrainedModel, inputs: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    mean, spread = model.predict_with_spread(inputs)
    yield mean
    if spread is not None:
        yield spread


def texts(model: TrainedModel, values: tuple[NDArray[np.float64], ...]) -> list[tuple[str, ...]]:
    """Return the cells of each row, as they are written."""
    spread = values[1] if len(values) > 1 else None
    columns = prediction_columns(
        model.preprocessing.target, Predictions(values[0], spread, None), {}
    )
    return list(zip(*columns.values(), strict=True))


def mismatches(model: TrainedModel, table: Path, rows: int) -> tuple[int, int]:
    """Return how many of some rows differ alone in a digit, and how many were compared."""
    read = read_new_table(model.preprocessing, table, model.table_format([]), "predicted").table
    history = model.preprocessing.history
    lags = 0 if history is None else history.lags
    every = np.arange(lags, len(read.frame))
    inputs = encode_inputs(model.preprocessing, read.frame, every, read.filled).inputs
    among = tuple(written(model, inputs))
    chosen = np.random.default_rng(0).choice(len(every), rows, replace=False)
    expected = texts(model, tuple(values[chosen] for values in among))
    found = 0
    for place, cells in zip(chosen, expected, strict=True):
        frame: pd.DataFrame = read.frame.iloc[place : place + lags + 1].reset_index(drop=True)
        known = None if read.series is None else read.series[place : place + lags + 1]
        alone = encode_inputs(model.preprocessing, frame, np.array([lags]), known).inputs
        found += texts(model, tuple(written(model, alone))) != [cells]
    return found, rows


def test_a_row_alone_has_the_digits_that_it_has_among_others(tmp_path: Path) -> None:
    count = 5 * INFERENCE_ROWS + 77
    write_rows(tmp_path / "new.csv", commands.table(count, seed=1))
    write_rows(tmp_path / "long.csv", series(count))
    for (_, task, _), model in zip(SAMPLE, trained(tmp_path, SAMPLE), strict=True):
        table = tmp_path / ("new.csv" if task in ("number", "classes", "pixels") else "long.csv")
        assert mismatches(model, table, 20) == (0, 20), task


def test_a_few_rows_have_the_bits_that_they_have_among_many() -> None:
    for inputs, widths, outputs in [(7, [], 2), (1, [1], 1), (2, [3], 3), (12, [64, 64], 1)]:
        network = relu_stack(inputs, outputs, widths)
        theta = initial_parameters(network, [torch.Generator().manual_seed(k) for k in (0, 1)])
        rows = np.random.default_rng(0).normal(size=(500, inputs + 1)).astype(np.float32)
        among = np.stack([*member_outputs(network, theta, rows)])
        for count in (1, 24, 25, 48, 49):
            few = np.stack([*member_outputs(network, theta, rows[-count:])])
            assert np.array_equal(few, among[:, -count:])


@pytest.mark.soak
def test_10000_rows_alone_and_among_100000(tmp_path: Path) -> None:
    write_rows(tmp_path / "new.csv", commands.table(100_000, seed=1))
    write_rows(tmp_path / "long.csv", series(100_000))
    for (_, task, _), model in zip(GRID, trained(tmp_path, GRID), strict=True):
        table = tmp_path / ("new.csv" if task in ("number", "classes", "pixels") else "long.csv")
        assert mismatches(model, table, 10_000 // len(GRID)) == (0, 250), task


def test_a_row_in_a_file_of_its_own_is_written_alike(tmp_path: Path) -> None:
    columns = commands.table(40, seed=3)
    write_rows(tmp_path / "new.csv", columns)
    for _ in trained(tmp_path, [("stack", "number", 3)]):
        pass
    command = ("predict", "--run", "stack-number-3", "--output", "-")
    lines = run_well(tmp_path, *command, "new.csv").stdout.splitlines()
    for row in (0, 17, 39):
        write_rows(tmp_path / "one.csv", {name: [cells[row]] for name, cells in columns.items()})
        assert run_well(tmp_path, *command, "one.csv").stdout.splitlines()[1] == lines[row + 1]
