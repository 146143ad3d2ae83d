"""What a sweep says of itself, on results that are made up so that the answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml2021.config.loading import load_config_text
from ml2021.config.yaml_scalars import dump_document
from ml2021.evaluation.comparison import RunResult
from ml2021.evaluation.scoring import SplitScores
from ml2021.report.figures.slices import number_slice
from ml2021.sweeps.directory import SweepPlan
from ml2021.sweeps.results import Result
from ml2021.sweeps.summary import SweepSummary

BEST = Path("s/best")
LRS = (0.001, 0.01, 0.1)


def outcome_of(
    by_run: dict[tuple[float, int], float],
    *,
    scales: dict[str, str] | None = None,
    splits: tuple[str, ...] = ("validation", "test"),
) -> SweepSummary:
    """Return the outcome of runs with that learning rate and seed, and that score."""
    settings: list[dict[str, Any]] = []
    texts, results = [], {}
    for number, ((lr, seed), score) in enumerate(by_run.items(), start=1):
        plain = {
            "data": {"path": "a.csv", "target": "y"},
            "loss": "mse",
            "optimizer": {"type": "adam", "lr": lr},
            "seed": seed,
        }
        text = dump_document(plain)
        parts = {"train": score, "validation": score, "test": score + 1}
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
                    scores={"mae": 0.5, "rmse": value, "r2": None},
                    baselines={"mean": {"mae": 3.0, "rmse": 7.0, "r2": None}},
                )
                for split, value in parts.items()
                if split in splits
            },
        )
        results[number] = Result(run=number, status="done", result=found)
    return SweepSummary(SweepPlan(tuple(settings), tuple(texts), scales or {}), results)


def grid(*means: float) -> dict[tuple[float, int], float]:
    """Return three seeds for each learning rate, whose deviation is 1."""
    return {
        (lr, seed): mean + seed - 1
        for lr, mean in zip(LRS, means, strict=True)
        for seed in range(3)
    }


def test_the_best_is_named_beside_the_trivial_answers() -> None:
    outcome = outcome_of(grid(9.0, 5.0, 30.0))
    assert outcome.best is not None
    assert outcome.best.run == 4
    assert outcome.words(BEST) == [
        "Best by validation: run 4, with optimizer.lr 0.01, seed 0; kept in s/best.",
        "The network beats every baseline: RMSE 5.000 vs 7.000 (mean).",
    ]
    assert [each.settings["optimizer.lr"] for each in outcome.groups] == ["0.01", "0.001", "0.1"]
    assert outcome.trivial("test") == {"mean": 7.0}


@pytest.mark.parametrize(
    ("means", "end"), [((30.0, 9.0, 5.0), "0.1, the largest"), ((5.0, 9.0, 30.0), "0.001, the sma")]
)
def test_a_best_setting_at_the_end_of_what_was_tried(
    means: tuple[float, float, float], end: str
) -> None:
    words = outcome_of(grid(*means)).words(BEST)
    assert sum(f"The table's best setting has optimizer.lr {end}" in word for word in words) == 1
    drawn = outcome_of(grid(*means), scales={"optimizer.lr": "log"}).words(BEST)
    assert not any("The table's best setting has" in word for word in drawn)


def test_settings_that_chance_alone_tells_apart() -> None:
    words = outcome_of(grid(5.9, 5.0, 6.1)).words(BEST)
    said = [word for word in words if word.startswith("From seed to seed")]
    assert len(said) == 1
    assert "moves by 1.000, and 1 of the other 2 are within" in said[0]
    assert not any("From seed" in word for word in outcome_of(grid(6.1, 5.0, 6.1)).words(BEST))


def test_what_went_wrong_is_counted() -> None:
    whole = outcome_of(grid(9.0, 5.0, 30.0))
    found = whole.results[1].result
    assert found is not None
    diverged = Result(run=1, status="diverged", result=found.model_copy(update={"splits": {}}))
    results = {**whole.results, 1: diverged, 2: Result(run=2, status="failed")}
    words = SweepSummary(whole.plan, results).words(BEST)
    assert "Runs that diverged: 1 of 9." in words
    assert "Runs that failed: 1 of 9." in words


def test_without_validation_rows_none_is_the_best() -> None:
    outcome = outcome_of(grid(9.0, 5.0, 30.0), splits=("train",))
    assert outcome.words(BEST) == ["No validation rows: none of the runs is called the best."]
    assert [each.settings["optimizer.lr"] for each in outcome.groups] == ["0.001", "0.01", "0.1"]


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
