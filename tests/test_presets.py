"""Presets fill what a config leaves unset, by the number of rows, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from ml2021.config import schema
from ml2021.config.loading import load_config, load_config_text
from ml2021.data.presets import fill_preset
from ml2021.runs.directory import RunDirectory
from ml2021.runs.summary import read_summary
from tests.commands import read_rows, run_well, write_rows

ROWS = [20, 300, 1_000, 3_000, 10_000, 15_000, 25_000, 39_999]


def config_of(*lines: str, task: schema.Task = "regression") -> schema.Config:
    text = "\n".join(["data: {path: t.csv, target: y}", *lines])
    config = load_config_text(text, "c.yaml").config
    loss = schema.CrossEntropy() if task == "classification" else schema.Mse()
    return config.model_copy(update={"task": task, "loss": loss})


def unspread(config: schema.Config) -> schema.Config:
    """Return a filled config without what is filled whatever the preset."""
    return config.model_copy(update={"train": config.train.model_copy(update={"spread": None})})


def work(config: schema.Config) -> int:
    """Return how many epochs all networks are trained for, at most."""
    train = config.train
    return train.epochs * train.members * (2 if train.refit else 1)


def test_fast_is_the_schema_and_so_is_the_default_from_40_000_rows() -> None:
    fast = config_of("preset: fast")
    assert unspread(fill_preset(fast, 100)) == fast
    assert unspread(fill_preset(config_of("preset: default"), 40_000)) == config_of()


def test_the_default_falls_smoothly_to_fast() -> None:
    found = [fill_preset(config_of("preset: default"), rows) for rows in ROWS]
    assert [config.train.members for config in found] == [5, 5, 5, 4, 3, 2, 2, 1]
    assert list(map(work, found)) == [2000, 2000, 1250, 240, 180, 144, 172, 100]
    assert all(isinstance(config.data.numbers, schema.Auto) for config in found)
    assert [config.train.refit for config in found] == [rows <= 2_000 for rows in ROWS]


def test_the_best_has_twice_the_members_for_numbers_of_few_rows() -> None:
    numbers, classes = (config_of("preset: best", task=t) for t in ("regression", "classification"))
    found = [fill_preset(numbers, rows).train.members for rows in (20, 1_000, 1_414, 2_000, 10**6)]
    assert found == [16, 16, 12, 8, 8]
    assert {fill_preset(classes, rows).train.members for rows in ROWS} == {8}


@pytest.mark.parametrize("preset", ["default", "best"])
def test_a_key_that_is_set_stays(preset: str) -> None:
    lines = (
        f"preset: {preset}",
        "train: {epochs: 7, members: 1, early_stopping: null, refit: false, calibrate: false}",
        "optimizer: {type: adamw, lr: 0.1, beta2: 0.9}",
    )
    config = config_of(*lines, task="classification")
    filled = fill_preset(config, 500)
    assert filled.train == config.train.model_copy(update={"spread": False})
    assert filled.optimizer == config.optimizer
    # A resolved config has every key, so that resolving it again changes nothing.
    again = schema.Config.model_validate(filled.model_dump())
    assert fill_preset(again, 10_000) == again


@pytest.mark.parametrize(
    "lines", [("model: linear",), ("data: {path: t.csv, target: y, lags: 3}",)]
)
def test_other_models_and_series_stay_single_networks(lines: tuple[str, ...]) -> None:
    text = "\n".join(["preset: best", *lines])
    if not any(line.startswith("data") for line in lines):
        text += "\ndata: {path: t.csv, target: y}"
    config = load_config_text(text, "c.yaml").config
    assert unspread(fill_preset(config, 500)) == config


@pytest.mark.parametrize("preset", ["fast", "default", "best"])
def test_sums_of_sigmoids_have_a_rate_of_their_own(preset: str) -> None:
    config = config_of(f"preset: {preset}", "model: sigmoid_sum")
    filled = fill_preset(config, 500)
    assert (filled.optimizer.lr, filled.optimizer.weight_decay) == (0.005, 0)
    assert unspread(filled).train == config.train
    set_ = config_of(
        f"preset: {preset}", "model: sigmoid_sum", "optimizer: {lr: 0.1, weight_decay: 0.1}"
    )
    assert unspread(fill_preset(set_, 500)) == set_
    sgd = config_of("model: sigmoid_sum", "optimizer: sgd")
    assert unspread(fill_preset(sgd, 500)) == sgd


def test_what_fits_the_task_and_the_split() -> None:
    regression = fill_preset(config_of("preset: default"), 500)
    classes = fill_preset(config_of("preset: default", task="classification"), 500)
    assert not regression.train.calibrate
    assert classes.train.calibrate
    assert regression.optimizer == classes.optimizer == schema.Adamw(lr=0.003)
    best = fill_preset(config_of("preset: best", "optimizer: {lr: 0.01}"), 500)
    assert best.optimizer == schema.Adamw(lr=0.01, beta2=0.95)
    best = fill_preset(config_of("preset: best", task="classification"), 500)
    assert best.optimizer == schema.Adamw(lr=0.003)
    assert best.loss == classes.loss == schema.CrossEntropy()
    full = fill_preset(config_of("preset: default", "train: {batch_size: full}"), 500)
    assert full.train.epochs == schema.Train().epochs
    sgd = fill_preset(config_of("preset: default", "optimizer: sgd"), 500)
    assert sgd.optimizer == schema.Sgd()


@pytest.mark.parametrize(
    ("preset", "rows", "smoothing"),
    [
        *(("default", 999, 0), ("default", 1_000, 0.05), ("default", 10_000, 0.05)),
        *(("default", 20_000, 0.025), ("default", 40_000, 0), ("fast", 1_000, 0)),
        *(("best", 999, 0), ("best", 1_000, 0.05), ("best", 50_000, 0.05)),
    ],
)
def test_labels_are_smoothed_where_a_temperature_can_be_fitted(
    preset: str, rows: int, smoothing: float
) -> None:
    config = config_of(f"preset: {preset}", task="classification")
    assert fill_preset(config, rows).loss == schema.CrossEntropy(label_smoothing=smoothing)
    plain = schema.CrossEntropy(label_smoothing=0)
    assert fill_preset(config.model_copy(update={"loss": plain}), rows).loss == plain
    assert fill_preset(config_of(f"preset: {preset}"), rows).loss == schema.Mse()


@pytest.mark.parametrize(("lines", "columns"), [("", ["y"]), ("  members: 2\n", ["y", "y_std"])])
def test_only_members_that_a_config_sets_add_a_column(
    tmp_path: Path, lines: str, columns: list[str]
) -> None:
    x = np.random.default_rng(0).normal(size=60)
    write_rows(tmp_path / "t.csv", {"x": x.tolist(), "y": np.sin(x).tolist()})
    (tmp_path / "c.yaml").write_text(
        "preset: default\ndata: {path: t.csv, target: y}\n"
        f"model: {{type: relu_stack, widths: [4]}}\ntrain:\n  epochs: 2\n{lines}"
    )
    run_well(tmp_path, "train", "--quiet", "--config", "c.yaml", "--run-dir", "r")
    resolved = load_config(tmp_path / "r" / "config.resolved.yaml").config
    assert resolved.train.members == (2 if lines else 5)
    run_well(tmp_path, "predict", "t.csv", "--run", "r", "--output", "p.csv")
    assert list(read_rows(tmp_path / "p.csv")[0]) == columns


@pytest.mark.parametrize("activation", ["sigmoid", "hard_sigmoid"])
def test_sums_of_sigmoids_come_as_near_as_a_layer_of_relus(tmp_path: Path, activation: str) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 4))
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + random.normal(size=500) / 10
    write_rows(
        tmp_path / "t.csv", {**{f"x{i}": x[:, i].tolist() for i in range(4)}, "y": y.tolist()}
    )
    models = {
        "relus": "{type: relu_stack, widths: [100]}",
        "sigmoids": f"{{type: sigmoid_sum, activation: {activation}}}",
    }
    errors = {}
    for name, model in models.items():
        text = f"preset: fast\ndata: {{path: t.csv, target: y}}\nmodel: {model}\n"
        (tmp_path / "c.yaml").write_text(text)
        run_well(tmp_path, "train", "--quiet", "--config", "c.yaml", "--run-dir", name)
        errors[name] = read_summary(RunDirectory(tmp_path / name)).scores["test"].scores["rmse"]
    assert errors["sigmoids"] is not None
    assert errors["relus"] is not None
    assert errors["sigmoids"] <= 1.15 * errors["relus"]
