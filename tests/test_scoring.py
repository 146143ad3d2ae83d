"""Scores next to those of the baselines, worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ml2021.config.loading import load_config_text
from ml2021.data.preprocessing.records import ClassTarget, NumberFeature, Preprocessing, RealTargets
from ml2021.data.samples import Samples
from ml2021.evaluation import fitted_baselines, scoring
from ml2021.evaluation.fitted_baselines import baseline_shapes, fit_baselines, notes_on_baselines
from ml2021.evaluation.metrics import class_answers, classification_scores, regression_scores
from ml2021.evaluation.scoring import evaluate_predictions, score_each, to_predictions
from tests.tables import sources_of

CONFIG = load_config_text("data: {path: t.csv, target: y}\nloss: mse\n", "c.yaml").config
FEATURE = NumberFeature(
    name="x", mean=0.0, scale=1.0, fill=0.0, has_indicator=False, minimum=0.0, maximum=3.0
)

REAL = RealTargets(names=("y", "z"), labels=("y", "z"), means=(2.0, 0.0), scales=(2.0, 5.0))
CLASSES = ClassTarget(name="kind", label="kind", storage="text", classes=("cat", "dog", "owl"))


def preprocessing(target: RealTargets | ClassTarget) -> Preprocessing:
    names = target.names if isinstance(target, RealTargets) else (target.name,)
    return Preprocessing(
        task="structured" if isinstance(target, RealTargets) else "classification",
        features=(FEATURE,),
        history=None,
        target=target,
        sources=sources_of("x", *names),
        width=1 + len(names),
        numbered=False,
    )


def samples(
    x: list[float],
    targets: NDArray[np.float64] | NDArray[np.int64],
    previous: NDArray[np.float64] | None = None,
) -> Samples:
    inputs = np.ones((len(x), 2), np.float32)
    inputs[:, 0] = x
    return Samples(inputs, targets, previous, (), places=np.arange(len(inputs)))


TRAIN = samples([0, 1, 2, 3], np.array([[0.0, 1], [2, 1], [4, 1], [6, 1]]))
TRAIN_CLASSES = samples([0, 1, 2, 3], np.array([0, 0, 0, 1]))


def test_outputs_come_back_in_the_units_of_the_data() -> None:
    outputs = np.array([[0.0, 0.0], [1.0, -1.0]], np.float32)
    restored = to_predictions(preprocessing(REAL), outputs)
    assert restored.tolist() == [[2.0, 0.0], [4.0, -5.0]]
    assert restored.dtype == np.float64


def test_outputs_become_probabilities_without_overflow() -> None:
    outputs = np.array([[0.0, np.log(3.0), np.log(4.0)], [1e4, 0.0, -1e4]], np.float32)
    probabilities = to_predictions(preprocessing(CLASSES), outputs)
    assert probabilities == pytest.approx(np.array([[1 / 8, 3 / 8, 4 / 8], [1, 0, 0]]))


def test_the_baselines_are_those_of_the_training_rows() -> None:
    baselines = fit_baselines(CONFIG, preprocessing(REAL), TRAIN, 10)
    assert baselines["mean"].tolist() == [3.0, 1.0]
    assert baselines["median"].tolist() == [3.0, 1.0]
    # Standardised: (2x − 2) / 2 = x − 1, and 1 / 5.
    expected = np.array([[1.0, 0.0], [-1.0, 0.2]])
    assert baselines["least_squares"] == pytest.approx(expected, abs=1e-6)
    assert fit_baselines(CONFIG, preprocessing(CLASSES), TRAIN_CLASSES, 10)[
        "frequencies"
    ].tolist() == [0.75, 0.25, 0.0]


@pytest.mark.parametrize(("target", "train"), [(REAL, TRAIN), (CLASSES, TRAIN_CLASSES)])
def test_the_answers_have_the_shapes_that_a_checkpoint_is_held_to(
    target: RealTargets | ClassTarget, train: Samples
) -> None:
    fitted = preprocessing(target)
    learned = fit_baselines(CONFIG, fitted, train, 10)
    assert {name: answer.shape for name, answer in learned.items()} == baseline_shapes(fitted)


def test_an_evaluation_of_numbers() -> None:
    fitted = preprocessing(REAL)
    truth = np.array([[2.0, 1.0], [8.0, 3.0]])
    predictions = np.array([[2.0, 2.0], [6.0, 3.0]])
    evaluation = evaluate_predictions(
        CONFIG,
        fitted,
        fit_baselines(CONFIG, fitted, TRAIN, 10),
        samples([1, 4], truth),
        predictions,
    )
    assert evaluation.rows == 2
    assert evaluation.confusion is None
    assert evaluation.scores["mae"] == pytest.approx(3 / 4)
    assert evaluation.scores["rmse"] == pytest.approx((5 / 4) ** 0.5)
    assert evaluation.scores["r2"] == pytest.approx(1 - 5 / 20)
    assert evaluation.scores == regression_scores(truth, predictions)
    assert list(evaluation.targets) == ["y", "z"]
    assert evaluation.targets["z"]["mae"] == pytest.approx(1 / 2)
    assert list(evaluation.baselines) == ["mean", "median", "least_squares"]
    assert evaluation.baselines["mean"]["mae"] == pytest.approx((1 + 0 + 5 + 2) / 4)
    # The line is y = 2x and z = 1, which is off by 2 in one of four numbers.
    assert evaluation.baselines["least_squares"]["mae"] == pytest.approx(2 / 4, abs=1e-5)


def test_evaluations_tell_whether_they_are_of_the_same_rows() -> None:
    fitted = preprocessing(REAL)
    baselines = fit_baselines(CONFIG, fitted, TRAIN, 10)

    def digest(truth: list[list[float]], predicted: float) -> str:
        rows = samples([1, 4], np.array(truth))
        predictions = np.full((2, 2), predicted)
        return evaluate_predictions(CONFIG, fitted, baselines, rows, predictions).truth_sha256

    same = digest([[1.0, 2.0], [3.0, 4.0]], 0.0)
    assert digest([[1.0, 2.0], [3.0, 4.0]], 9.0) == same
    assert digest([[1.0, 2.0], [3.0, 5.0]], 0.0) != same
    assert digest([[3.0, 4.0], [1.0, 2.0]], 0.0) != same


def test_a_series_is_held_against_its_previous_value() -> None:
    fitted = preprocessing(REAL)
    truth = np.array([[2.0, 4.0]])
    rows = samples([1], truth, previous=np.array([1.0]))
    evaluation = evaluate_predictions(
        CONFIG, fitted, fit_baselines(CONFIG, fitted, TRAIN, 10), rows, truth
    )
    assert evaluation.baselines["previous_value"]["mae"] == pytest.approx((1 + 3) / 2)
    assert evaluation.scores["mae"] == 0.0
    assert evaluation.scores["r2"] is None


def test_an_evaluation_of_classes_counts_the_unseen_one_as_wrong() -> None:
    fitted = preprocessing(CLASSES)
    truth = np.array([0, 1, 1, -1])
    predictions = np.eye(3)[[0, 1, 0, 2]] * 0.4 + 0.2
    evaluation = evaluate_predictions(
        CONFIG,
        fitted,
        fit_baselines(CONFIG, fitted, TRAIN_CLASSES, 10),
        samples([0, 1, 2, 3], truth),
        class_answers(truth, predictions),
    )
    assert evaluation.scores["accuracy"] == 2 / 4
    assert evaluation.scores["log_loss"] is None
    assert evaluation.baselines["majority_class"]["accuracy"] == 1 / 4
    assert evaluation.confusion is not None
    assert evaluation.confusion.table().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert list(evaluation.targets) == ["cat", "dog", "owl"]
    assert evaluation.targets["dog"]["recall"] == 1 / 2
    assert evaluation.targets["owl"]["recall"] is None


def test_logistic_regression_has_probabilities() -> None:
    fitted = preprocessing(CLASSES)
    rows = samples([0, 3], np.array([0, 1]))
    learned = fit_baselines(CONFIG, fitted, TRAIN_CLASSES, 10)
    answers = class_answers(rows.classes, np.eye(3)[[0, 1]])
    evaluation = evaluate_predictions(CONFIG, fitted, learned, rows, answers)
    logistic, majority = evaluation.baselines["logistic_regression"], -np.log([0.75, 0.25])
    assert evaluation.baselines["majority_class"]["log_loss"] == pytest.approx(majority.mean())
    assert logistic["accuracy"] == 1.0
    assert logistic["log_loss"] is not None
    assert logistic["log_loss"] < majority.mean()


def test_a_table_too_large_for_logistic_regression_has_the_majority_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted = preprocessing(CLASSES)
    whole = fit_baselines(CONFIG, fitted, TRAIN_CLASSES, 10)
    assert notes_on_baselines(fitted, whole) == []
    monkeypatch.setattr(fitted_baselines, "_LEAST_SECONDS", 0.0)
    few, more = (
        CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"epochs": epochs})})
        for epochs in (2, 8)
    )
    learned = fit_baselines(few, fitted, TRAIN_CLASSES, 10)
    assert list(learned) == ["frequencies"]
    (line,) = notes_on_baselines(fitted, learned)
    assert "too many to fit" in line
    rows = samples([0], np.array([0]))
    answers = class_answers(rows.classes, np.eye(3)[[0]])
    evaluation = evaluate_predictions(few, fitted, learned, rows, answers)
    assert [*evaluation.baselines] == ["majority_class"]
    cut = fit_baselines(more, fitted, TRAIN_CLASSES, 10)
    assert "stopped after" in notes_on_baselines(fitted, cut)[0]


@pytest.mark.parametrize("at_once", [1, 9, 10**6])
def test_members_are_scored_as_each_alone(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_NUMBERS_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    truths: dict[RealTargets | ClassTarget, NDArray[np.float64] | NDArray[np.int64]] = {
        REAL: random.normal(size=(4, 2)),
        CLASSES: np.array([0, 2, 1, 0]),
    }
    for target, truth in truths.items():
        own, rows = preprocessing(target), samples([0.0, 1.0, 2.0, 3.0], truth)
        outputs = random.normal(size=(3, 4, target.width)).astype(np.float32)
        each = [to_predictions(own, member) for member in outputs]
        alone = [
            regression_scores(rows.values, member)
            if isinstance(target, RealTargets)
            else classification_scores(rows.classes, member)
            for member in each
        ]
        assert score_each(own, rows, outputs) == alone
        assert len({str(each) for each in alone}) == 3
