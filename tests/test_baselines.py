"""The baselines: least squares held to two other solvers, class frequencies worked out by hand."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from ml2021.evaluation import baselines
from ml2021.evaluation.baselines import class_frequencies, fit_least_squares
from ml2021.evaluation.metrics import classification_scores

Floats = NDArray[np.float64]


def random() -> np.random.Generator:
    return np.random.default_rng(7)


def with_ones(columns: Floats) -> NDArray[np.float32]:
    return np.hstack([columns, np.ones((len(columns), 1))]).astype(np.float32)


def collinear(rows: int) -> Floats:
    """Return (rows, 18) whose one-hot columns sum to 1, twice, and where one column comes twice."""
    generator = random()
    numbers = generator.standard_normal((rows, 5))
    first = np.eye(4)[generator.integers(0, 4, rows)]
    second = np.eye(7)[generator.integers(0, 7, rows)]
    return np.hstack([numbers, first, (second - second.mean(axis=0)) / 0.35, numbers[:, :2]])


def normal(rows: int, columns: int) -> Floats:
    return random().standard_normal((rows, columns))


def nearly_collinear(rows: int) -> Floats:
    """Return (rows, 3) whose first two columns differ by 4e-6; scikit-learn drops 1e-6."""
    columns = normal(rows, 3)
    columns[:, 1] = columns[:, 0] + 4e-6 * columns[:, 1]
    return columns


PROBLEMS = {
    "full rank": normal(400, 12),
    "collinear": collinear(400),
    "wide": normal(40, 150),
    "wide and collinear": collinear(12),
    "square": normal(60, 60),
    "one column more than rows": normal(60, 61),
    "a constant column": np.hstack([normal(50, 3), np.full((50, 1), 3.0)]),
    "deviations from 1 to 1e-5": normal(400, 8) * np.logspace(0, -5, 8),
    "nearly collinear": nearly_collinear(400),
    "far from zero": normal(400, 6) + 1e4,
    "one row": normal(1, 4),
}


def data(name: str) -> tuple[NDArray[np.float32], Floats, NDArray[np.float32]]:
    """Return features and targets to fit, and features of rows that were not seen."""
    columns = PROBLEMS[name]
    generator = random()
    targets = 5.0 + columns[:, :1] * [[2.0, -30.0]] + generator.standard_normal((len(columns), 2))
    unseen = columns + generator.standard_normal(columns.shape) * columns.std()
    return with_ones(columns), targets, with_ones(unseen)


@pytest.mark.parametrize("name", PROBLEMS)
def test_least_squares_is_scikit_learns_and_numpys(name: str) -> None:
    features, targets, unseen = data(name)
    ours = fit_least_squares(features, targets)
    matrix = features.astype(np.float64)
    theirs = LinearRegression().fit(matrix[:, :-1], targets)
    for prediction, expected in (
        (ours.predict(features), theirs.predict(matrix[:, :-1])),
        (ours.predict(features), matrix @ np.linalg.lstsq(matrix, targets)[0]),
        (ours.predict(unseen), theirs.predict(unseen[:, :-1].astype(np.float64))),
    ):
        assert np.abs(prediction - expected).max() <= 1e-8 * np.abs(expected).max()


def test_least_squares_finds_the_line() -> None:
    features = with_ones(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    targets = np.array([[1.0], [3.0], [-4.0], [-2.0]])
    fitted = fit_least_squares(features, targets)
    assert fitted.coefficients.dtype == np.float64
    np.testing.assert_allclose(fitted.coefficients, [[2.0], [-5.0], [1.0]], rtol=1e-14)


def test_equal_columns_share_the_weight() -> None:
    column = np.arange(4.0)[:, np.newaxis]
    fitted = fit_least_squares(with_ones(np.hstack([column, column])), 6.0 * column + 1.0)
    np.testing.assert_allclose(fitted.coefficients, [[3.0], [3.0], [1.0]], rtol=1e-12)


def test_many_more_columns_than_rows() -> None:
    # The square matrix of so many columns would take 20 GB.
    features = with_ones(normal(20, 50_000))
    targets = normal(20, 2)
    prediction = fit_least_squares(features, targets).predict(features)
    np.testing.assert_allclose(prediction, targets, rtol=1e-9, atol=1e-9)


def test_constant_features_get_no_weight() -> None:
    # In float32 the mean of 0.1 is not 0.1, and the difference would pass for a direction.
    fitted = fit_least_squares(with_ones(np.full((1001, 2), 0.1)), normal(1001, 1))
    assert fitted.coefficients[:2].tolist() == [[0.0], [0.0]]


def test_without_features_the_mean_remains() -> None:
    targets = np.array([[1.0, 2.0], [3.0, 5.0]])
    fitted = fit_least_squares(np.ones((2, 1), dtype=np.float32), targets)
    assert fitted.coefficients.tolist() == [[2.0, 3.5]]
    assert fitted.predict(np.ones((3, 1), dtype=np.float32)).tolist() == [[2.0, 3.5]] * 3


@pytest.mark.parametrize("values", [1, 100, 1001])
def test_the_size_of_chunks_changes_nothing(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets, unseen = data("full rank")
    at_once = fit_least_squares(features, targets).predict(unseen)
    monkeypatch.setattr(baselines, "CHUNK_VALUES", values)
    in_chunks = fit_least_squares(features, targets).predict(unseen)
    np.testing.assert_allclose(in_chunks, at_once, rtol=1e-9, atol=1e-9)


def test_one_hot_targets_make_a_classifier() -> None:
    generator = random()
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    truth = generator.integers(0, 3, 300)
    features = with_ones(centres[truth] + generator.standard_normal((300, 2)))
    prediction = fit_least_squares(features, np.eye(3)[truth]).predict(features)
    assert (prediction.argmax(axis=1) == truth).mean() > 0.97
    np.testing.assert_allclose(prediction.sum(axis=1), 1.0, rtol=1e-12)


def test_class_frequencies() -> None:
    frequencies = class_frequencies(np.array([2, 0, 2, 2]), 4)
    assert frequencies.tolist() == [0.25, 0.0, 0.75, 0.0]


def test_class_frequencies_have_their_entropy_as_log_loss() -> None:
    truth = np.array([0, 1, 1, 1])
    everywhere = np.tile(class_frequencies(truth, 2), (4, 1))
    entropy = -(math.log(1 / 4) / 4 + math.log(3 / 4) * 3 / 4)
    scores = classification_scores(truth, everywhere)
    assert scores["log_loss"] == pytest.approx(entropy)
    assert scores["accuracy"] == 0.75
    assert scores["auroc"] == 0.5


def test_baselines_refuse_our_own_mistakes() -> None:
    features, targets, _ = data("full rank")
    with pytest.raises(AssertionError, match="last column"):
        fit_least_squares(features[:, :-1], targets)
    with pytest.raises(AssertionError):
        fit_least_squares(features, targets[:, 0])
    with pytest.raises(AssertionError):
        fit_least_squares(features[1:], targets)
    with pytest.raises(AssertionError, match="no training rows"):
        fit_least_squares(features[:0], targets[:0])
    with pytest.raises(AssertionError, match="not in range"):
        class_frequencies(np.array([0, -1]), 2)
