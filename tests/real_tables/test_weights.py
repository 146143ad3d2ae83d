"""Weights of rows and classes: a row of weight 2 is two rows, one of weight 0 none."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ml2021.data.preprocessing.pieces import quantile_edges
from ml2021.data.weights import weighted_median
from ml2021.evaluation import baselines, intervals, metrics
from ml2021.evaluation.calibration import fit_temperature
from ml2021.runs.checkpoints import load_checkpoint
from tests.commands import read_rows, refusal, run_well, write_rows

Table = dict[str, list[Any]]
FULL = (
    "model: {type: relu_stack, widths: [6]}\noptimizer: {type: sgd, lr: 0.05}\n"
    "train: {epochs: 12, batch_size: full, early_stopping: null}\ndevice: cpu\n"
)
DATA = "data: {{path: {path}, target: {target}, exclude: [{other}], weight: {weight}, {more}}}\n"
BY_COLUMN = "split: {method: column, column: part}"


def table(rows: int = 90) -> Table:
    random = np.random.default_rng(3)
    a, b = random.normal(size=rows), random.normal(size=rows)
    parts = ["train", "train", "validation", "test", "train"]
    return {
        "a": [x if i % 9 else "" for i, x in enumerate(a.round(4).tolist())],
        "b": b.round(4).tolist(),
        "kind": [["red", "green", "blue"][i % 3] for i in range(rows)],
        "w": [[1, 2, 0, 3][i % 4] for i in range(rows)],
        "y": (2 * a - b + 0.3 * random.normal(size=rows)).round(4).tolist(),
        "c": np.where(a - b + random.normal(size=rows) > 0.5, "yes", "no").tolist(),
        "part": [parts[i % 5] for i in range(rows)],
    }


def repeated(columns: Table, times: Sequence[int]) -> Table:
    """Return the rows, each so many times."""
    return {
        n: [v for v, k in zip(c, times, strict=True) for _ in range(k)] for n, c in columns.items()
    }


def trained(folder: Path, name: str, columns: Table, text: str, *more: str) -> Mapping[str, Any]:
    """Train on a table; return the summary."""
    write_rows(folder / f"{name}.csv", columns)
    (folder / f"{name}.yaml").write_text(text + FULL)
    run_well(folder, "train", "--quiet", "--config", f"{name}.yaml", "--run-dir", name, *more)
    summary: Mapping[str, Any] = json.loads((folder / name / "summary.json").read_text())
    return summary


def theta(folder: Path) -> torch.Tensor:
    return load_checkpoint(folder / "checkpoints" / "best.safetensors").tensors["theta"]


def config(path: str, target: str, weight: str, more: str = BY_COLUMN) -> str:
    other = {"y": "c", "c": "y"}[target] + (", w" if weight == "null" else "")
    return DATA.format(path=f"{path}.csv", target=target, other=other, weight=weight, more=more)


@pytest.mark.parametrize("target", ["y", "c"])
def test_a_row_of_weight_two_is_the_row_twice(tmp_path: Path, target: str) -> None:
    columns = table()
    one = trained(tmp_path, "one", columns, config("one", target, "w"))
    copies = repeated(columns, columns["w"])
    other = trained(tmp_path, "other", copies, config("other", target, "null"))
    torch.testing.assert_close(
        theta(tmp_path / "one"), theta(tmp_path / "other"), rtol=1e-5, atol=1e-6
    )
    for split in ("train", "validation", "test"):
        for key in ("scores", "baselines", "targets"):
            left, right = (each["scores"][split][key] for each in (one, other))
            assert_close(left, right)
    assert one["scores"]["train"]["rows"] < other["scores"]["train"]["rows"]


def assert_close(left: Any, right: Any) -> None:
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_close(left[key], right[key])
    else:
        assert left == (None if right is None else pytest.approx(right, rel=1e-5, abs=1e-6))


def test_a_row_of_weight_zero_or_without_a_weight_is_as_good_as_absent(tmp_path: Path) -> None:
    columns = table()
    columns["w"] = [[1, 0, "", 1][i % 4] for i in range(90)]
    kept = repeated(columns, [int(weight == 1) for weight in columns["w"]])
    more = "split: {validation: 0.2, test: 0.2}"
    columns["b"] = [x if w == 1 else 1e6 for x, w in zip(columns["b"], columns["w"], strict=True)]
    one = trained(tmp_path, "one", columns, config("one", "y", "w", more))
    other = trained(tmp_path, "other", kept, config("other", "y", "null", more))
    assert theta(tmp_path / "one") == pytest.approx(theta(tmp_path / "other"), rel=1e-6)
    assert_close(one["scores"]["test"]["scores"], other["scores"]["test"]["scores"])
    assert sum(one["left_out"].values()) == 0
    said = run_well(tmp_path, "train", "--config", "one.yaml", "--run-dir", "again").stderr
    assert "23 rows excluded: weight 0" in said
    assert "22 rows excluded: no value in w, the weight" in said


def test_weights_work_with_folds_members_lags_and_pieces(tmp_path: Path) -> None:
    columns = table()
    del columns["part"]
    folds = "split: {method: kfold, folds: 3}, numbers: piecewise"
    kfold = trained(
        tmp_path,
        "kfold",
        columns,
        config("kfold", "c", "w", folds),
        "--set",
        "train.members=2",
        "--set",
        "train.class_weight=balanced",
    )
    assert kfold["cross_validation"]["pooled"]["rows"] == sum(w > 0 for w in columns["w"])
    series = config("series", "y", "w", "lags: 3")
    lagged = trained(tmp_path, "series", columns, series.replace("exclude: [c]", "features: []"))
    assert lagged["left_out"] == {}
    assert lagged["scores"]["test"]["rows"] > 0
    run_well(tmp_path, "train", "--resume", "series")
    run_well(tmp_path, "evaluate", "--run", "series")


def test_evaluate_and_predict_take_a_file_without_weights(tmp_path: Path) -> None:
    columns = table()
    trained(tmp_path, "run", columns, config("run", "y", "w"))
    write_rows(tmp_path / "all.csv", columns)
    plain = {name: cells for name, cells in columns.items() if name != "w"}
    write_rows(tmp_path / "plain.csv", plain)
    write_rows(tmp_path / "bad.csv", columns | {"w": [1, -2, *columns["w"][2:]]})
    outcome = run_well(tmp_path, "evaluate", "plain.csv", "--run", "run")
    assert "no column w" in outcome.stderr
    assert outcome.stdout.startswith("90 rows")
    weighted = run_well(tmp_path, "evaluate", "all.csv", "--run", "run")
    assert "no column" not in weighted.stderr
    assert weighted.stdout.startswith("68 rows")
    run_well(tmp_path, "predict", "plain.csv", "--run", "run")
    assert len(read_rows(tmp_path / "plain.predictions.csv")) == 90
    code, line = refusal(tmp_path, "evaluate", "bad.csv", "--run", "run")
    assert code == 3
    assert "bad.csv:3" in line


def test_a_class_weight_moves_the_network_but_no_baseline(tmp_path: Path) -> None:
    columns = table()
    plain = trained(tmp_path, "plain", columns, config("plain", "c", "null"))
    weighted = trained(
        tmp_path,
        "weighted",
        columns,
        config("weighted", "c", "null"),
        "--set",
        "train.class_weight={yes: 30}",
    )
    before, after = (each["scores"]["test"] for each in (plain, weighted))
    assert before["baselines"] == after["baselines"]
    assert after["targets"]["yes"]["recall"] > before["targets"]["yes"]["recall"]
    # balanced is the mapping of Σ w / (C · Σ w of the class)
    train = [c for c, part in zip(columns["c"], columns["part"], strict=True) if part == "train"]
    yes = len(train) / (2 * train.count("yes"))
    no = len(train) / (2 * train.count("no"))
    for name, setting in (("b", "balanced"), ("m", f"{{yes: {yes!r}, no: {no!r}}}")):
        trained(
            tmp_path,
            name,
            columns,
            config(name, "c", "null"),
            "--set",
            f"train.class_weight={setting}",
        )
    torch.testing.assert_close(theta(tmp_path / "b"), theta(tmp_path / "m"))


def whole(rows: int = 60) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return weights and the indices of the rows, each repeated so many times."""
    times = np.random.default_rng(1).integers(1, 4, rows)
    return times.astype(np.float64), np.repeat(np.arange(rows), times)


@pytest.mark.parametrize("targets", [1, 2])
def test_weighted_scores_and_baselines_are_those_of_repeated_rows(targets: int) -> None:
    random = np.random.default_rng(targets)
    weights, again = whole()
    truth, guess = random.normal(size=(2, 60, targets)).round(1)
    inputs = np.column_stack([random.normal(size=(60, 3)), np.ones(60)]).astype(np.float32)
    classes = random.integers(0, targets + 1, 60)
    chances = random.dirichlet(np.ones(targets + 1), 60).round(2) + 0.01
    names = [str(index) for index in range(targets + 1)]
    pairs: list[tuple[Callable[..., object], tuple[NDArray[np.generic], ...]]] = [
        (metrics.regression_scores, (truth, guess)),
        (metrics.classification_scores, (classes, chances)),
    ]
    for function, arrays in pairs:
        repeats = [each[again] for each in arrays]
        assert_close(function(*arrays, weights), function(*repeats))
    answers = metrics.class_answers(classes, chances)
    repeated = metrics.class_answers(classes[again], chances[again])
    assert_close(
        metrics.scores_per_class(answers, names, weights), metrics.scores_per_class(repeated, names)
    )
    for rows in (slice(None), slice(0, 3)):  # also with fewer rows than columns
        kept, own = np.arange(60)[rows], weights[rows]
        more = np.repeat(kept, own.astype(int))
        one = baselines.fit_least_squares(inputs[kept], truth[kept], own)
        two = baselines.fit_least_squares(inputs[more], truth[more])
        np.testing.assert_allclose(one.coefficients, two.coefficients, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(weighted_median(truth, weights), np.median(truth[again], axis=0))
    frequencies = baselines.class_frequencies
    np.testing.assert_allclose(
        frequencies(classes, targets + 1, weights), frequencies(classes[again], targets + 1)
    )
    for pieces in (3, 8):
        assert quantile_edges(truth[:, 0], pieces, weights) == quantile_edges(
            truth[again, 0], pieces
        )


def test_the_weighted_residuals_are_the_quantiles_of_the_weighted_rows() -> None:
    truth = np.arange(1.0, 6.0)[:, None]
    guess = np.zeros((5, 1))
    equal = intervals.residuals(truth, guess, np.full(5, 0.1))
    np.testing.assert_array_equal(equal, intervals.residuals(truth, guess))
    uneven = intervals.residuals(truth, guess, np.array([6.0, 1.0, 1.0, 1.0, 1.0]))
    assert uneven[:, 0].tolist() == [1.0, 1.0, 1.0, 3.0, 5.0]
    inside = intervals.coverage(truth, guess, np.array([1.0]), np.array([6.0, 1.0, 1.0, 1.0, 1.0]))
    assert inside == 0.6


def test_a_temperature_is_that_of_the_weighted_rows() -> None:
    weights, again = whole(80)
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.full(3, 0.2), 80)
    classes = random.integers(0, 3, 80)
    hot = fit_temperature([chances], classes, np.where(chances.argmax(1) == classes, 0.1, 10.0))
    cold = fit_temperature([chances], classes, np.where(chances.argmax(1) == classes, 10.0, 0.1))
    assert hot > fit_temperature([chances], classes) > cold
    assert len(again) > len(weights)
