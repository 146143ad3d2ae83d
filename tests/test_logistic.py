"""Logistic regression, held to scikit-learn's and to its own promises."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from ml2021.evaluation.logistic import (
    MOST_COEFFICIENTS,
    MOST_PASSES,
    Effort,
    affordable,
    class_probabilities,
    fit_logistic_regression,
)

Features = NDArray[np.float32]


def table(
    rows: int, inputs: int, classes: int, *, is_separable: bool = False
) -> tuple[Features, NDArray[np.int64]]:
    random = np.random.default_rng(7)
    values = random.normal(size=(rows, inputs)).astype(np.float32)
    if inputs > 1:
        values[:, 1] = values[:, 0] + 0.01 * values[:, 1]  # nearly the same input twice
    scores = values @ random.normal(size=(inputs, classes))
    if not is_separable:
        scores += 3 * random.gumbel(size=scores.shape)
    return np.hstack([values, np.ones((rows, 1), np.float32)]), scores.argmax(axis=1)


@pytest.mark.parametrize(
    ("rows", "inputs", "classes", "is_separable"),
    [(300, 5, 2, False), (300, 5, 4, False), (40, 90, 3, False), (200, 1, 2, True)],
)
@pytest.mark.parametrize("is_conditioned", [True, False])
def test_logistic_regression_is_scikit_learns(
    rows: int, inputs: int, classes: int, is_separable: bool, is_conditioned: bool
) -> None:
    features, truth = table(rows, inputs, classes, is_separable=is_separable)
    fit = fit_logistic_regression(
        features, truth, classes, effort=Effort(20_000, is_conditioned=is_conditioned)
    )
    assert fit.has_converged
    plain = features[:, :-1].astype(np.float64)
    oracle = LogisticRegression(C=1.0, solver="newton-cg", tol=1e-10, max_iter=1000)
    expected = oracle.fit(plain, truth).predict_proba(plain)
    assert class_probabilities(fit.coefficients, features) == pytest.approx(expected, abs=2e-3)


def test_correlated_inputs_cost_few_passes() -> None:
    features, truth = table(1000, 30, 3)
    features[:, :-1] = np.cumsum(features[:, :-1], axis=1) / 5
    passes = [
        fit_logistic_regression(features, truth, 3, effort=Effort(is_conditioned=own)).passes
        for own in (True, False)
    ]
    assert passes[0] < passes[1] / 2, passes


def test_weights_are_rows_repeated_and_a_class_without_rows_is_never_chosen() -> None:
    features, truth = table(200, 4, 3)
    copies = np.arange(200) % 3
    repeated = np.repeat(np.arange(200), copies)
    weighted = fit_logistic_regression(features, truth, 4, copies.astype(np.float64))
    expected = fit_logistic_regression(features[repeated], truth[repeated], 4)
    assert weighted.coefficients[:, :3] == pytest.approx(expected.coefficients[:, :3], abs=5e-3)
    assert class_probabilities(weighted.coefficients, features)[:, 3].max() < 1e-6


def test_the_same_rows_give_the_same_bits() -> None:
    features, truth = table(500, 6, 3)
    first, second = (fit_logistic_regression(features, truth, 3) for _ in range(2))
    assert first.coefficients.tobytes() == second.coefficients.tobytes()


def test_a_fit_that_is_cut_short_says_so_and_is_better_than_none() -> None:
    features, truth = table(500, 6, 3)
    cut = fit_logistic_regression(features, truth, 3, effort=Effort(4, is_conditioned=True))
    assert (cut.passes, cut.has_converged) == (4, False)
    chosen = class_probabilities(cut.coefficients, features)[np.arange(500), truth]
    assert -np.log(chosen).mean() < -np.log(np.bincount(truth) / 500)[truth].mean()


def test_the_effort_is_bounded_by_time_and_size() -> None:
    assert affordable(1000, 20, 2, 1.0) == Effort(MOST_PASSES, is_conditioned=True)
    assert affordable(100_000, 20, 2, 0.1).passes in range(3, 30)
    assert affordable(10_000_000, 1000, 100, 1.0).passes == 0
    assert affordable(10, MOST_COEFFICIENTS, 2, 1e9).passes == 0
    assert not affordable(1000, 2000, 2, 100.0).is_conditioned
