"""The metrics, held to scikit-learn's and to numbers worked out by hand."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn import metrics as oracle

from ml2021.evaluation.confusion import MOST_MISTAKES, Confusion
from ml2021.evaluation.metrics import (
    Scores,
    class_answers,
    classification_scores,
    joined_answers,
    regression_scores,
    regression_scores_of_each,
    regression_scores_per_target,
    row_blocks,
    scores_per_class,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def column(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)[:, np.newaxis]


def classes_of(*values: int) -> Integers:
    return np.array(values, dtype=np.int64)


def certain(*predicted: int, classes: int) -> Floats:
    return np.eye(classes)[list(predicted)]


def value(scores: Scores, name: str) -> float:
    score = scores[name]
    assert score is not None
    return score


def test_regression_by_hand() -> None:
    scores = regression_scores(column(1, 2, 3, 6), column(1, 4, 3, 2))
    # Errors 0, −2, 0, 4; deviations from 3: −2, −1, 0, 3.
    assert scores == {
        "mae": 1.5,
        "rmse": pytest.approx(math.sqrt(20 / 4)),
        "r2": pytest.approx(1 - 20 / 14),
    }


def test_each_target_is_compared_with_its_own_mean() -> None:
    truth = np.array([[0.0, 100.0], [2.0, 104.0]])
    prediction = np.array([[1.0, 102.0], [1.0, 102.0]])
    # The two means themselves explain nothing, though one mean of all four would be far worse.
    assert regression_scores(truth, prediction)["r2"] == pytest.approx(0.0, abs=1e-15)
    per_target = regression_scores_per_target(truth, prediction, ["small", "large"])
    assert per_target["small"] == {"mae": 1.0, "rmse": 1.0, "r2": pytest.approx(0.0)}
    assert per_target["large"] == {"mae": 2.0, "rmse": 2.0, "r2": pytest.approx(0.0)}
    assert list(per_target) == ["small", "large"]


@st.composite
def truth_and_prediction(draw: st.DrawFn) -> tuple[Floats, Floats]:
    shape = (draw(st.integers(2, 12)), draw(st.integers(1, 4)))
    numbers = st.integers(-1000, 1000).map(lambda n: n / 8)
    return draw(hnp.arrays(np.float64, shape, elements=numbers)), draw(
        hnp.arrays(np.float64, shape, elements=numbers)
    )


@given(truth_and_prediction())
def test_regression_is_scikit_learns(arrays: tuple[Floats, Floats]) -> None:
    truth, prediction = arrays
    scores = regression_scores(truth, prediction)
    assert scores["mae"] == pytest.approx(oracle.mean_absolute_error(truth, prediction))
    # The mean over all numbers; scikit-learn's own RMSE would average each target's root.
    squares = oracle.mean_squared_error(truth, prediction)
    assert scores["rmse"] == pytest.approx(math.sqrt(squares))
    varies = (truth != truth[0]).any(axis=0)
    if not varies.any():
        assert scores["r2"] is None
    elif varies.all():  # scikit-learn would leave a constant target out
        r2 = oracle.r2_score(truth, prediction, multioutput="variance_weighted")
        assert scores["r2"] == pytest.approx(r2, rel=1e-9, abs=1e-9)


@given(truth_and_prediction(), st.integers(-400, 240))
def test_scores_keep_their_digits_at_every_size(
    arrays: tuple[Floats, Floats], exponent: int
) -> None:
    """Up to 2²⁴⁰ · 125, the largest output that a model restores to the data's units."""
    truth, prediction = arrays
    before = regression_scores(truth, prediction)
    after = regression_scores(np.ldexp(truth, exponent), np.ldexp(prediction, exponent))
    assert after["r2"] == before["r2"]
    for name in ("mae", "rmse"):
        assert after[name] == pytest.approx(math.ldexp(value(before, name), exponent), rel=1e-12)


def test_a_ratio_beyond_float64_is_none() -> None:
    assert regression_scores(column(0, 1e-120), column(1e70, 0))["r2"] is None


def test_a_large_mean_costs_no_digits() -> None:
    truth = column(*(1e15 + step for step in (0.0, 0.125, 0.25, 0.5)))
    prediction = column(*(1e15 + step for step in (0.0, 0.25, 0.25, 0.25)))
    exact = [Fraction(float(number)) for number in truth[:, 0]]
    mean = sum(exact) / 4
    spread = sum((number - mean) ** 2 for number in exact)
    wrong = Fraction(1, 8) ** 2 + Fraction(1, 4) ** 2
    r2 = regression_scores(truth, prediction)["r2"]
    assert r2 == pytest.approx(float(1 - wrong / spread), rel=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e30, 1 / 3])
def test_a_constant_truth_has_no_r2(constant: float) -> None:
    truth = np.full((10, 1), constant)
    assert regression_scores(truth, truth + 1.0)["r2"] is None
    assert regression_scores(truth, truth) == {"mae": 0.0, "rmse": 0.0, "r2": None}


def test_a_constant_target_beside_one_that_varies() -> None:
    truth = np.array([[0.1, 0.0], [0.1, 2.0], [0.1, 4.0]])
    prediction = truth + np.array([[0.0, 1.0]])
    scores = regression_scores(truth, prediction)
    assert scores["r2"] == pytest.approx(1 - 3 / 8)
    assert regression_scores_per_target(truth, prediction, ["a", "b"])["a"]["r2"] is None


def test_no_rows_and_one_row() -> None:
    nothing = np.empty((0, 2))
    assert regression_scores(nothing, nothing) == {"mae": None, "rmse": None, "r2": None}
    assert regression_scores(column(1), column(3)) == {"mae": 2.0, "rmse": 2.0, "r2": None}
    none = classification_scores(classes_of(), np.empty((0, 3)))
    assert len(none) == 5
    assert set(none.values()) == {None}


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [
        (np.zeros((3, 1)), np.zeros(3)),
        (np.zeros((3, 1)), np.zeros((3, 3))),
        (np.zeros(3), np.zeros(3)),
        (np.zeros((3, 1)), np.zeros((3, 1), dtype=np.float32)),
        (np.zeros((3, 1)), np.full((3, 1), np.nan)),
        (np.full((3, 1), np.inf), np.zeros((3, 1))),
        (classes_of(0, 1)[:, np.newaxis], certain(0, 1, classes=2)),
        (classes_of(0, 1), certain(0, 1, 1, classes=2)),
        (classes_of(0, 2), certain(0, 1, classes=2)),
        (classes_of(0, -2), certain(0, 1, classes=2)),
        (classes_of(0, 1), certain(0, 1, classes=2) * np.nan),
        (classes_of(0, 1), -certain(0, 1, classes=2)),
        (classes_of(0, 1), np.zeros((2, 2))),
        (classes_of(0, 1).astype(np.int32), certain(0, 1, classes=2)),
    ],
)
def test_metrics_refuse_our_own_mistakes(truth: Any, prediction: Floats) -> None:
    metric = classification_scores if truth.dtype.kind == "i" else regression_scores
    with pytest.raises(AssertionError):
        metric(truth, prediction)


def test_classification_by_hand() -> None:
    truth = classes_of(0, 0, 0, 1, 1, 2)
    probabilities = certain(0, 0, 1, 1, 0, 2, classes=3) * 0.7 + 0.1
    scores = classification_scores(truth, probabilities)
    # Recall 2/3, 1/2, 1. F1: 2·2/(3+3), 2·1/(2+2), 2·1/(1+1).
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert scores["log_loss"] == pytest.approx(-(4 * math.log(0.8) + 2 * math.log(0.1)) / 6)
    assert scores["auroc"] is None  # three classes


def test_auroc_by_hand() -> None:
    # Of the four pairs three are in order and one is a tie.
    chance = np.array([0.1, 0.4, 0.4, 0.8])
    probabilities = np.stack([1 - chance, chance], axis=1)
    assert classification_scores(classes_of(0, 0, 1, 1), probabilities)["auroc"] == 3.5 / 4


@st.composite
def classified(draw: st.DrawFn, lowest: int = 0) -> tuple[Integers, Floats]:
    rows, classes = draw(st.integers(1, 20)), draw(st.integers(2, 5))
    truth = draw(hnp.arrays(np.int64, rows, elements=st.integers(lowest, classes - 1)))
    # Few different weights, so that ties and zeros are common.
    weights = draw(hnp.arrays(np.int64, (rows, classes), elements=st.integers(0, 4)))
    weights[:, 0] += weights.sum(axis=1) == 0
    return truth, weights / weights.sum(axis=1, keepdims=True)


@given(classified(lowest=-1))
def test_classification_is_scikit_learns(arrays: tuple[Integers, Floats]) -> None:
    truth, probabilities = arrays
    predicted = probabilities.argmax(axis=1)
    scores = classification_scores(truth, probabilities)
    assert scores["accuracy"] == pytest.approx(oracle.accuracy_score(truth, predicted))
    recall = oracle.recall_score(truth, predicted, average="macro", labels=np.unique(truth))
    assert scores["balanced_accuracy"] == pytest.approx(recall)
    f1 = oracle.f1_score(truth, predicted, average="macro", zero_division=0.0)
    assert scores["macro_f1"] == pytest.approx(f1)
    classes = probabilities.shape[1]
    if (truth < 0).any():
        assert scores["log_loss"] is None
    else:
        loss = oracle.log_loss(truth, probabilities, labels=range(classes))
        assert scores["log_loss"] == pytest.approx(loss)
    if classes == 2 and set(truth.tolist()) == {0, 1}:
        auroc = oracle.roc_auc_score(truth, probabilities[:, 1])
        assert scores["auroc"] == pytest.approx(auroc)
    else:
        assert scores["auroc"] is None


@given(classified(lowest=-1))
def test_each_class_is_scikit_learns(arrays: tuple[Integers, Floats]) -> None:
    truth, probabilities = arrays
    predicted = probabilities.argmax(axis=1)
    names = [f"class {number}" for number in range(probabilities.shape[1])]
    scores = scores_per_class(class_answers(truth, probabilities), names)
    precision, recall, f1, _ = oracle.precision_recall_fscore_support(
        truth, predicted, labels=range(len(names)), zero_division=np.nan
    )
    for c, name in enumerate(names):
        for score, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
            ours = scores[name][score]
            assert (math.nan if ours is None else ours) == pytest.approx(expected[c], nan_ok=True)


def test_an_unknown_class_counts_as_wrong() -> None:
    known = classification_scores(classes_of(0, 0, 1, 1), certain(0, 0, 1, 1, classes=2))
    scores = classification_scores(classes_of(0, 0, -1, -1), certain(0, 0, 1, 1, classes=2))
    assert known["accuracy"] == known["balanced_accuracy"] == known["macro_f1"] == 1.0
    assert scores["accuracy"] == 0.5
    assert scores["balanced_accuracy"] == pytest.approx((1 + 0) / 2)  # class 0, the unknown ones
    assert scores["macro_f1"] == pytest.approx((1 + 0 + 0) / 3)  # and class 1, only predicted
    assert scores["log_loss"] is None
    assert scores["auroc"] is None


def test_certainty_is_clipped() -> None:
    scores = classification_scores(classes_of(0, 1), certain(1, 1, classes=2))
    epsilon = float(np.finfo(np.float64).eps)
    assert scores["log_loss"] == pytest.approx(-math.log(epsilon) / 2)
    right = classification_scores(classes_of(0, 1), certain(0, 1, classes=2))
    assert right["log_loss"] == pytest.approx(epsilon, rel=1e-9, abs=0)  # −ln(1 − ε)


def test_probabilities_need_not_sum_to_one() -> None:
    truth, probabilities = classes_of(0, 1), np.array([[0.25, 0.75], [0.5, 0.5]])
    scores = classification_scores(truth, probabilities)
    assert classification_scores(truth, probabilities * 8) == scores


def test_confusion_has_lines_of_true_classes() -> None:
    found = Confusion.of(classes_of(0, 0, 0, 1, 2, -1), classes_of(0, 1, 1, 1, 0, 3), 4)
    assert found.table().tolist() == [[1, 2, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert found.rows == (3, 1, 1, 0)
    assert found.mistakes(1) == [(0, 1, 2)]
    assert Confusion.of(classes_of(), classes_of(), 2).table().tolist() == [[0, 0], [0, 0]]


def test_confusion_of_many_classes_keeps_the_most_frequent_mistakes() -> None:
    classes = 5_000
    truth = np.arange(classes).repeat(2)
    predicted = np.where(np.arange(len(truth)) % 3 == 0, (truth + 1) % classes, truth)
    predicted[:6] = 7
    found = Confusion.of(truth, predicted, classes)
    assert found.rows == (2,) * classes
    assert len(found.cells) == MOST_MISTAKES
    assert found.mistakes(3) == [(0, 7, 2), (1, 7, 2), (2, 7, 2)]
    assert Confusion.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    "cells", [((0, 2, 1), (1, 1, 1)), ((0, 0, 2), (1, 1, 1)), ((1, 1, 1),), ((0, 0, 1), (0, 0, 0))]
)
def test_a_confusion_adds_up(cells: tuple[tuple[int, int, int], ...]) -> None:
    Confusion(rows=(1, 1), cells=((0, 1, 1), (1, 1, 1)))
    with pytest.raises(ValidationError):
        Confusion(rows=(1, 1), cells=cells)


def test_answers_in_blocks_are_those_of_all_rows() -> None:
    random = np.random.default_rng(0)
    width, truth = 4_000, random.integers(-1, 4_000, 1_500)
    probabilities = random.random((1_500, width))
    blocks = list(row_blocks(1_500, width))
    assert [block.start % 256 for block in blocks] == [0] * len(blocks)
    assert len(blocks) > 1
    parts = [class_answers(truth[block], probabilities[block]) for block in blocks]
    whole, joined = class_answers(truth, probabilities), joined_answers(parts)
    for name in ("truth", "predicted", "chosen", "positive"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    assert [*row_blocks(0, 3)] == [slice(0, 2_097_152 // 768 * 256)]


def test_scores_are_plain_numbers_for_json() -> None:
    # Python's json refuses NumPy's float32 and integers, and a float64's type would show in YAML.
    scores = {
        **regression_scores(column(1, 2), column(2, 2)),
        **classification_scores(classes_of(0, 1), np.array([[0.75, 0.25], [0.5, 0.5]])),
        **scores_per_class(class_answers(classes_of(0), certain(0, classes=2)), ["a", "b"])["a"],
    }
    assert {type(score) for score in scores.values()} == {float}
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_many_predictions_are_scored_as_each_alone() -> None:
    """To the bit, whatever their sizes and their layout in memory."""
    random = np.random.default_rng(0)
    truth = random.normal(size=(40, 2)) * [1, 100] + 1e6
    sizes = np.array([0.0, 1.0, 1e-12, 1e70, 1e-70])[:, np.newaxis, np.newaxis]
    predictions = np.concatenate([truth + sizes * random.normal(size=(5, 40, 2)), [truth]])
    each = regression_scores_of_each(truth, predictions)
    assert each == [regression_scores(truth, prediction) for prediction in predictions]
    assert each == regression_scores_of_each(truth, np.asfortranarray(predictions))
    assert each[5] == {"mae": 0.0, "rmse": 0.0, "r2": 1.0}
    assert value(each[1], "mae") == pytest.approx(np.abs(truth - predictions[1]).mean())
    assert regression_scores_of_each(truth[:0], predictions[:2, :0])[1]["mae"] is None
