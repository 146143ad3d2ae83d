"""`train.metric`: the score on validation rows that chooses the best epoch and stops training."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from ml2021.config import schema
from ml2021.evaluation.metrics import CLASS_METRICS, REAL_METRICS
from ml2021.formatting import HIGHER_IS_BETTER
from tests import commands
from tests.commands import read_rows, refusal, run_well, write_rows

QUICK = (
    "model: {type: relu_stack, widths: [8]}\noptimizer: {lr: 0.02}\n"
    "train: {epochs: 8, members: 1, early_stopping: {patience: 4}, metric: METRIC}\ndevice: cpu\n"
)
TARGETS = {"y": "exclude: [id, kind, p*]", "kind": "exclude: [id, y, p*]"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path / "train.csv", commands.table(120))
    return tmp_path


def config(folder: Path, target: str, metric: str, more: str = "") -> Path:
    data = f"data: {{path: train.csv, target: {target}, {TARGETS[target]}{more}}}\n"
    (folder / f"{metric}.yaml").write_text(data + QUICK.replace("METRIC", metric))
    return folder / f"{metric}.yaml"


def summary_of(run: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return summary


def test_the_schema_has_the_names_of_all_metrics() -> None:
    assert get_args(schema.RealMetric) == REAL_METRICS
    assert get_args(schema.ClassMetric) == CLASS_METRICS


@pytest.mark.parametrize(("target", "metric"), [("y", "mae"), ("y", "r2"), ("kind", "accuracy")])
def test_the_metric_chooses_the_first_of_the_best_epochs(
    folder: Path, target: str, metric: str
) -> None:
    said = run_well(folder, "train", "--config", config(folder, target, metric), "--run-dir", "run")
    summary = summary_of(folder / "run")
    rows = read_rows(folder / "run" / "metrics.csv")
    values = np.array([float(row[f"validation_{metric}"]) for row in rows])
    places = (-values if metric in HIGHER_IS_BETTER else values).argsort(kind="stable")
    assert summary["best_epoch"] == 1 + places[0]
    assert f"by {metric}" in said.stderr
    assert summary["scores"]["validation"]["scores"][metric] == pytest.approx(
        values[places[0]], rel=1e-5
    )
    assert len(rows) == min(8, summary["best_epoch"] + 4)  # the same metric stops training


def test_folds_members_and_sweeps_are_chosen_by_the_metric(folder: Path) -> None:
    folds = config(folder, "kind", "macro_f1", ", split: {method: kfold, folds: 3}")
    run_well(folder, "train", "--config", folds, "--run-dir", "folds", "--set", "train.members=2")
    alone = config(folder, "kind", "balanced_accuracy")
    run_well(folder, "train", "--config", alone, "--run-dir", "alone")
    text = alone.read_text() + "sweep: {grid: {optimizer.lr: [0.02, 0.03], train.members: [1]}}\n"
    (folder / "sweep.yaml").write_text(text)
    run_well(folder, "sweep", "--config", "sweep.yaml", "--run-dir", "sweep", "--jobs", "1")
    first = read_rows(folder / "sweep" / "sweep.csv")[0]
    assert int(first["best_epoch"]) == summary_of(folder / "alone")["best_epoch"]


@pytest.mark.parametrize(
    ("target", "metric", "more"),
    [("y", "accuracy", ""), ("kind", "rmse", ""), ("kind", "auroc", "")],
)
def test_a_metric_that_does_not_fit_is_refused(
    folder: Path, target: str, metric: str, more: str
) -> None:
    code, line = refusal(folder, "train", "--quiet", "--config", config(folder, target, metric))
    assert code == 2
    assert metric in line


def test_a_metric_needs_validation_rows(folder: Path) -> None:
    text = config(folder, "y", "mae", ", split: {validation: 0.0}")
    code, line = refusal(folder, "train", "--quiet", "--config", text)
    assert code == 2
    assert "0 validation rows" in line
