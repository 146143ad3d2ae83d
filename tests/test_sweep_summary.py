"""The summary of a sweep, on made-up results whose answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml2021.config.loading import load_config_text, to_plain
from ml2021.config.yaml_scalars import dump_document
from ml2021.report.figures.slices import number_slice
from ml2021.sweeps.directory import SweepPlan
from ml2021.sweeps.results import Result
from ml2021.sweeps.summary import SweepSummary

BEST = Path("s/best")
LRS = (0.001, 0.01, 0.1)


def summary_of(
    means: tuple[float, ...], *, scales: dict[str, str] | None = None, **change: Any
) -> SweepSummary:
    """Return three seeds for each learning rate, whose validation RMSE have that mean and std 1."""
    settings: list[dict[str, Any]] = []
    texts, results = [], {}
    scores = [(lr, s, mean + s - 1) for lr, mean in zip(LRS, means, strict=True) for s in range(3)]
    for number, (lr, seed, score) in enumerate(scores, start=1):
        plain = {
            "data": {"path": "a.csv", "target": "y"},
            "loss": "mse",
            "optimizer": {"type": "adam", "lr": lr},
            "seed": seed,
        }
        text = dump_document(plain)
        splits = {"validation": score, "test": score + 1}
        settings.append({"optimizer.lr": lr, "seed": seed})
        texts.append(text)
        keys: dict[str, Any] = {
            "run": number,
            "status": "done",
            "task": "regression",
            "config": to_plain(load_config_text(text, "a").config),
            "parameters": 5,
            "epochs": 9,
            "best_epoch": 8,
            "scores": {split: {"mae": 0.5, "rmse": value} for split, value in splits.items()},
            "rows": {"validation": 10, "test": 20},
            "truths": {"validation": "v", "test": "t"},
            "baselines": {split: {"mean": {"mae": 3.0, "rmse": 7.0}} for split in splits},
        }
        results[number] = Result(**{**keys, **change})
    return SweepSummary(SweepPlan(tuple(settings), tuple(texts), scales or {}), results)


def test_the_best_is_named_and_compared_with_the_baselines() -> None:
    summary = summary_of((9.0, 5.0, 30.0))
    assert summary.best is not None
    assert summary.best.run == 4
    best, verdict = summary.findings(BEST)
    assert "run 4 (optimizer.lr 0.01, seed 0)" in best
    assert str(BEST) in best
    assert "5.000" in verdict
    assert "7.000" in verdict
    assert [each.settings["optimizer.lr"] for each in summary.groups] == ["0.01", "0.001", "0.1"]
    assert summary.baselines("test") == {"mean": 7.0}


@pytest.mark.parametrize(
    ("means", "edge"),
    [((30.0, 9.0, 5.0), "0.1, the upper"), ((5.0, 9.0, 30.0), "0.001, the lower")],
)
def test_a_best_setting_at_the_edge_of_the_range(means: tuple[float, ...], edge: str) -> None:
    findings = summary_of(means).findings(BEST)
    assert sum(f"optimizer.lr {edge} edge" in finding for finding in findings) == 1
    sampled = summary_of(means, scales={"optimizer.lr": "log"}).findings(BEST)
    assert not any("edge" in finding for finding in sampled)


def test_settings_that_only_the_seed_tells_apart() -> None:
    (finding,) = [f for f in summary_of((5.9, 5.0, 6.1)).findings(BEST) if "seed-to-seed" in f]
    assert "is 1.000; 1 of 2 other settings is within" in finding
    assert not any("seed-to-seed" in f for f in summary_of((6.1, 5.0, 6.1)).findings(BEST))


def test_failures_are_counted() -> None:
    whole = summary_of((9.0, 5.0, 30.0))
    results = {**whole.results, 1: Result(1, "diverged"), 2: Result(2, "failed")}
    findings = SweepSummary(whole.plan, results).findings(BEST)
    assert findings[-2:] == ["1 of 9 runs diverged.", "1 of 9 runs failed."]


def test_without_validation_rows_there_is_no_best_run() -> None:
    scores = {"train": {"mae": 1.0, "rmse": 2.0}}
    summary = summary_of((9.0, 5.0, 30.0), scores=scores, truths={"train": "t"})
    assert summary.best is None
    assert len(summary.findings(BEST)) == 1
    assert [each.settings["optimizer.lr"] for each in summary.groups] == ["0.001", "0.01", "0.1"]


def test_a_slice_joins_the_medians_and_marks_the_best() -> None:
    values = np.array([1.0, 1.0, 1.0, 2.0, 2.0])
    scores = {"validation": np.array([1.0, 9.0, 2.0, 4.0, np.nan])}
    figure = number_slice(values, scores, 0, ("k", "RMSE"), None, is_log=False, is_joined=True)
    (axes,) = figure.axes
    points, medians, best = axes.lines[:3]
    np.testing.assert_array_equal(points.get_xdata(), values)
    np.testing.assert_array_equal(points.get_ydata(), scores["validation"])
    np.testing.assert_array_equal(medians.get_xdata(), [1, 2])
    np.testing.assert_array_equal(medians.get_ydata(), [2, 4])
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (1, 1)  # type: ignore[index]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2"]
