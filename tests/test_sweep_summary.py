"""The summary of a sweep, on made-up results whose answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml2021.config.loading import load_config_text
from ml2021.config.yaml_scalars import dump_document
from ml2021.evaluation.comparison import RunResult
from ml2021.evaluation.scoring import SplitScores
from ml2021.evaluation.verdict import Judgement, Verdict
from ml2021.report.figures.slices import number_slice
from ml2021.sweeps.directory import SweepPlan
from ml2021.sweeps.results import Result
from ml2021.sweeps.summary import SweepSummary

BEST = Path("s/best")
LRS = (0.001, 0.01, 0.1)


def verdict_of(rmse: float) -> Verdict:
    """Return the verdict on a network beside the mean, whose RMSE is 7, on ten rows."""
    judgement = Judgement(
        metric="rmse",
        baseline="mean",
        network=rmse,
        best=7.0,
        low=rmse - 7.5,
        high=rmse - 6.5,
        error=0.5,
        outcome="better" if rmse < 6.5 else "worse" if rmse > 7.5 else "too close to tell",
    )
    return Verdict(rows=10, decides=judgement)


def summary_of(
    means: tuple[float, ...],
    *,
    scales: dict[str, str] | None = None,
    splits: tuple[str, ...] = ("validation", "test"),
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
        settings.append({"optimizer.lr": lr, "seed": seed})
        texts.append(text)
        found = RunResult(
            config=load_config_text(text, "a").config,
            task="regression",
            parameters=5,
            epochs=9,
            best_epoch=8,
            splits={
                split: SplitScores(
                    rows=10,
                    truth_sha256=split,
                    scores={"mae": 0.5, "rmse": score + (split == "test"), "r2": None},
                    baselines={"mean": {"mae": 3.0, "rmse": 7.0, "r2": None}},
                    verdict=verdict_of(score + (split == "test")),
                )
                for split in splits
            },
        )
        results[number] = Result(run=number, status="done", result=found)
    return SweepSummary(SweepPlan(tuple(settings), tuple(texts), scales or {}), results)


def test_the_best_is_named_and_compared_with_the_baselines() -> None:
    summary = summary_of((9.0, 5.0, 30.0))
    assert summary.best is not None
    assert summary.best.run == 4
    best, verdict = summary.findings(BEST)
    assert "run 4 (optimizer.lr 0.01, seed 0)" in best
    assert str(BEST) in best
    assert (
        "better than the best baseline on 10 test rows: RMSE 5.000 vs 7.000 of the mean" in verdict
    )
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


def test_an_edge_that_the_test_rows_contradict_is_no_direction() -> None:
    """The test rows of this sweep get worse as the learning rate grows."""
    test = {0.001: 3.0, 0.01: 4.0, 0.1: 5.0}
    whole = summary_of((30.0, 9.0, 5.0))
    results = {}
    for number, result in whole.results.items():
        lr = whole.plan.settings[number - 1]["optimizer.lr"]
        assert result.result is not None
        scores = {**result.result.splits["test"].scores, "rmse": test[lr]}
        splits = {**result.result.splits}
        splits["test"] = splits["test"].model_copy(update={"scores": scores})
        found = result.result.model_copy(update={"splits": splits})
        results[number] = result.model_copy(update={"result": found})
    (edge,) = [f for f in SweepSummary(whole.plan, results).findings(BEST) if "edge" in f]
    assert "0.001 is better on the test rows (RMSE 3.000 vs 5.000)" in edge
    assert "try larger" not in edge


def test_an_edge_within_the_spread_between_seeds_is_no_direction() -> None:
    (edge,) = [f for f in summary_of((30.0, 5.9, 5.0)).findings(BEST) if "edge" in f]
    assert edge.endswith("0.01 is as good up to the spread between seeds.")
    (edge,) = [f for f in summary_of((30.0, 9.0, 5.0)).findings(BEST) if "edge" in f]
    assert edge.endswith("try larger values.")


def test_settings_that_only_the_seed_tells_apart() -> None:
    (finding,) = [f for f in summary_of((5.9, 5.0, 6.1)).findings(BEST) if "seed-to-seed" in f]
    assert "is 1.000; 1 of 2 other settings is within" in finding
    assert not any("seed-to-seed" in f for f in summary_of((6.1, 5.0, 6.1)).findings(BEST))


def test_failures_are_counted() -> None:
    whole = summary_of((9.0, 5.0, 30.0))
    found = whole.results[1].result
    assert found is not None
    error: dict[str, Any] = {"lines": ("training diverged",), "exit_code": 6}
    lost = found.model_copy(update={"splits": {}})
    diverged = Result(run=1, status="diverged", result=lost, **error)
    results = {**whole.results, 1: diverged, 2: Result(run=2, status="failed", **error)}
    findings = SweepSummary(whole.plan, results).findings(BEST)
    assert findings[-2:] == ["1 of 9 runs diverged.", "1 of 9 runs failed."]


def test_without_validation_rows_there_is_no_best_run() -> None:
    summary = summary_of((9.0, 5.0, 30.0), splits=("train",))
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
