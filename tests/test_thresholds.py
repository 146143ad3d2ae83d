"""Thresholds of two classes: against scikit-learn, chosen on held-out rows, used by `predict`."""

import json
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as oracle

from ml2021.evaluation.thresholds import (
    best_threshold,
    operating_points,
    positive_probability,
    scores_at,
)
from tests import commands
from tests.commands import read_rows, refusal, run_well, write_rows


@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_curves_are_those_of_scikit_learn(is_weighted: bool) -> None:
    random = np.random.default_rng(0)
    truth = (random.random(200) < 0.3).astype(np.int64)
    probability = np.clip(0.3 * truth + random.random(200), 0, 1).round(2)
    weights = random.integers(1, 4, 200).astype(float) if is_weighted else None
    points = operating_points(truth, probability, weights)
    assert points is not None
    rates, recalls, _ = oracle.roc_curve(
        truth, probability, sample_weight=weights, drop_intermediate=False
    )
    np.testing.assert_allclose(points.false_positive_rate, rates)
    np.testing.assert_allclose(points.recall, recalls)
    precisions, recalls, _ = oracle.precision_recall_curve(
        truth, probability, sample_weight=weights
    )
    np.testing.assert_allclose(points.precision, precisions[::-1])
    best = best_threshold(points)
    macro = [
        oracle.f1_score(truth, probability >= each, average="macro", sample_weight=weights)
        for each in (*points.thresholds[1:], best)
    ]
    np.testing.assert_allclose(points.macro_f1[1:], macro[:-1])
    assert macro[-1] == pytest.approx(max(macro))
    scores = scores_at(0.6, truth, probability, weights)
    called = probability >= 0.6
    expected = {
        "precision": oracle.precision_score,
        "recall": oracle.recall_score,
        "f1": oracle.f1_score,
        "accuracy": oracle.accuracy_score,
        "balanced_accuracy": oracle.balanced_accuracy_score,
    }
    for name, function in expected.items():
        assert scores[name] == pytest.approx(function(truth, called, sample_weight=weights))


def test_one_class_has_no_curve_and_nothing_called_no_precision() -> None:
    truth, probability = np.ones(3, np.int64), np.array([0.1, 0.2, 0.3])
    assert operating_points(truth, probability) is None
    assert scores_at(0.5, truth, probability)["precision"] is None


def test_a_temperature_moves_probabilities_to_one_half() -> None:
    chances = np.array([[0.9, 0.1], [0.3, 0.7]])
    np.testing.assert_allclose(positive_probability([chances], None), chances[:, 1])
    np.testing.assert_allclose(positive_probability([chances], 1.0), chances[:, 1])
    cooled = positive_probability([chances], 2.0)
    odds = np.sqrt(chances[:, 1] / chances[:, 0])
    np.testing.assert_allclose(cooled, odds / (1 + odds))


CONFIG = (
    "data: {path: train.csv, target: rare, exclude: [id, y, kind, p*]MORE}\npreset: fast\n"
    "model: {type: relu_stack, widths: [8]}\ntrain: {epochs: 6}\ndevice: cpu\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("two")
    table = commands.table(160)
    table["rare"] = ["yes" if a > 0.8 else "no" for a in map(float, map(str, table["a"]))]
    write_rows(place / "train.csv", table)
    write_rows(place / "new.csv", commands.table(40, 1))
    for name, more in {"run": "", "folds": ", split: {method: kfold, folds: 3}"}.items():
        (place / f"{name}.yaml").write_text(CONFIG.replace("MORE", more))
        run_well(
            place, "train", "--config", f"{name}.yaml", "--run-dir", name, with_report=name == "run"
        )
    return place


def test_a_threshold_is_chosen_on_held_out_rows_and_shown(folder: Path) -> None:
    for name, chosen_on in (("run", "validation"), ("folds", "folds")):
        found = json.loads((folder / name / "summary.json").read_text())["threshold"]
        assert found["positive"] == "yes"
        assert found["chosen_on"] == chosen_on
        assert 0 < found["threshold"] < 1
        assert ("test" in found) == (name == "run")
    page = (folder / "run" / "report.html").read_text()
    for words in ("ROC curve", "Precision against recall of yes", "--threshold"):
        assert words in page


def test_predict_uses_a_threshold_for_the_label_alone(folder: Path) -> None:
    for threshold in (0.001, 0.2, 0.999):
        out = f"p{threshold}.csv"
        arguments = ["predict", "new.csv", "--run", "run", "--output", out]
        run_well(folder, *arguments, "--threshold", threshold)
        for row in read_rows(folder / out):
            is_above = float(row["rare_probability_yes"]) >= threshold
            assert row["rare"] == ("yes" if is_above else "no")
    run_well(folder, "predict", "new.csv", "--run", "run", "--output", "plain.csv")
    plain = [row["rare_probability_yes"] for row in read_rows(folder / "plain.csv")]
    assert plain == [row["rare_probability_yes"] for row in read_rows(folder / out)]
    code, line = refusal(folder, "predict", "new.csv", "--run", "run", "--threshold", 1.5)
    assert code == 2
    assert "1.5" in line
