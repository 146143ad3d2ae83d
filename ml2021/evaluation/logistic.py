"""Logistic regression: the linear baseline for classes, with probabilities.

The coefficients minimise, over the training rows,

    Σ wᵢ ln(1 / pᵢ) + ½ ‖W‖²,  pᵢ the softmax probability of row i's class, wᵢ its weight

as scikit-learn's LogisticRegression does by default (C = 1). The penalty, which the constants are
free of, is as if each input of variance 1 had a coefficient of about 1 before a row was seen: it
hardly matters for many rows, and keeps the coefficients finite where a line separates the classes.
Of two classes the first has coefficients of 0.

L-BFGS (Liu and Nocedal 1989) with Armijo's rule. Its first matrix is the inverse of Böhning's bound
of the Hessian, ½ XᵀX and the penalty (Böhning 1992, Annals of the Institute of Statistical
Mathematics 44:197), so that correlated inputs do not cost iterations.

Legend: N rows, F inputs, C classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml2021.evaluation.baselines import check_features, chunks

PRECISION = 1e-5
"""The fit has converged when no entry of the gradient, per row, is larger."""
MOST_PASSES = 500
MOST_COEFFICIENTS = 4_000_000
"""More are not fitted: the fit holds some twenty arrays as large as they are."""
_MOST_CONDITIONED = 1024
"""With more inputs the bound of the Hessian is replaced by its diagonal."""
_MEMORY = 8
_LEAST_SHARE = 1e-13
"""The share that a class without training rows is given."""


@dataclass(frozen=True)
class LogisticRegression:
    """The fitted function. `coefficients` is (F + 1, C) float64, its last row the constants.

    passes: how often the rows were gone through. has_converged: whether that was enough.
    """

    coefficients: NDArray[np.float64]
    passes: int
    has_converged: bool


@dataclass(frozen=True)
class Effort:
    """How much is done for a fit.

    passes: at most so many over the rows; 0 for no fit. is_conditioned: whether the full bound of
    the Hessian is used.
    """

    passes: int = MOST_PASSES
    is_conditioned: bool = True


def affordable(rows: int, columns: int, classes: int, seconds: float) -> Effort:
    """Return the effort for (N, F + 1) features that takes a core of today about so many seconds.

    An estimate from the sizes alone, so that the same table gets the same baseline on any machine.
    The rates are those measured on one core of an AMD EPYC: 65e9 multiplications and additions a
    second in large products, 10 ns a probability, 1.5 ns an input.
    """
    if columns * classes > MOST_COEFFICIENTS:
        return Effort(0)
    a_pass = rows * (columns * classes * 8 / 65e9 + classes * 10e-9 + columns * 1.5e-9) + 5e-5
    bound = columns**2 * (rows * 2 / 20e9 + columns * 2 / 10e9)
    is_conditioned = columns <= _MOST_CONDITIONED and bound < seconds / 3
    if is_conditioned:
        seconds -= bound
    return Effort(min(MOST_PASSES, int(seconds / a_pass)), is_conditioned)


def class_probabilities(
    coefficients: NDArray[np.float64], features: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return (N, C) float64 for (N, F + 1) float32 features whose last column is 1."""
    check_features(features)
    assert features.shape[1] == len(coefficients), features.shape
    found = np.empty((len(features), coefficients.shape[1]))
    for rows in chunks(len(features), max(coefficients.shape)):
        found[rows] = features[rows].astype(np.float64) @ coefficients
        _softmax(found[rows])
    return found


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace scores (N, C) by probabilities, and return the scores' log of the sum of powers."""
    largest = scores.max(axis=1, keepdims=True)
    np.subtract(scores, largest, out=scores)
    np.exp(scores, out=scores)
    sums = scores.sum(axis=1, keepdims=True)
    scores /= sums
    return np.asarray((largest + np.log(sums))[:, 0])


def fit_logistic_regression(
    features: NDArray[np.float32],
    truth: NDArray[np.int64],
    classes: int,
    weights: NDArray[np.float64] | None = None,
    effort: Effort = Effort(),
) -> LogisticRegression:
    """Return the function for (N, F + 1) float32 features, last column 1, and classes (N,).

    weights: (N,) float64, not all 0. Beside the features, memory holds some twenty arrays as large
    as the coefficients, a chunk of rows as float64, and of at most 1,023 inputs (F + 1)² float64.
    """
    check_features(features)
    assert truth.shape == (len(features),), (features.shape, truth.shape)
    assert ((truth >= 0) & (truth < classes)).all(), f"not in range({classes})"
    rows, columns = features.shape
    total = float(rows) if weights is None else float(weights.sum())
    is_binary = classes == 2

    def evaluate(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the objective per row, and its gradient (F + 1, C)."""
        value, gradient = 0.5 * float(np.square(at[:-1]).sum()), at.copy()
        gradient[-1] = 0.0
        for chunk in chunks(rows, max(columns, classes)):
            inputs, own = features[chunk].astype(np.float64), truth[chunk]
            scores = inputs @ at
            places = np.arange(len(own)), own
            chosen = scores[places]
            losses = _softmax(scores) - chosen
            scores[places] -= 1.0
            if weights is not None:
                losses *= weights[chunk]
                scores *= weights[chunk, None]
            value += float(losses.sum())
            gradient += inputs.T @ scores
        if is_binary:
            gradient[:, 0] = 0.0
        return value / total, gradient / total

    shares = np.bincount(truth, weights, minlength=classes) / total
    point = np.zeros((columns, classes))
    point[-1] = np.log(np.maximum(shares, _LEAST_SHARE))
    if is_binary:
        point[-1] -= point[-1, 0]
    inverse = _inverse_bound(features, weights, is_full=effort.is_conditioned)
    value, gradient = evaluate(point)
    steps: list[NDArray[np.float64]] = []
    changes: list[NDArray[np.float64]] = []
    passes, size = 1, 1.0
    while np.abs(gradient).max() > PRECISION and passes < effort.passes:
        direction = -_direction(gradient, steps, changes, inverse)
        slope = float((direction * gradient).sum())
        moved = point + size * direction
        new_value, new_gradient = evaluate(moved)
        passes += 1
        # The last digits of a sum over many rows are noise.
        if new_value > value + 1e-4 * size * slope + 1e-15 * abs(value):
            size /= 2
            if size < 1e-9:
                break
            continue
        step, change = moved - point, new_gradient - gradient
        if float((step * change).sum()) > 0:  # not for rounding: the objective is convex
            steps, changes = [*steps, step][-_MEMORY:], [*changes, change][-_MEMORY:]
        point, value, gradient, size = moved, new_value, new_gradient, 1.0
    return LogisticRegression(point, passes, bool(np.abs(gradient).max() <= PRECISION))


def _inverse_bound(
    features: NDArray[np.float32], weights: NDArray[np.float64] | None, *, is_full: bool
) -> NDArray[np.float64]:
    """Return the inverse of Böhning's bound per row, (F + 1, F + 1), or its diagonal (F + 1, 1)."""
    rows, columns = features.shape
    bound = np.zeros((columns, columns) if is_full else columns)
    total = 0.0
    for chunk in chunks(rows, columns):
        inputs = features[chunk].astype(np.float64)
        own = np.ones(len(inputs)) if weights is None else weights[chunk]
        weighted = inputs * own[:, None]
        bound += inputs.T @ weighted if is_full else (inputs * weighted).sum(axis=0)
        total += float(own.sum())
    penalty = np.ones(columns)
    penalty[-1] = 0.0
    if not is_full:
        return np.asarray(total / (0.5 * bound + penalty))[:, None]
    return np.asarray(np.linalg.inv((0.5 * bound + np.diag(penalty)) / total))


def _direction(
    gradient: NDArray[np.float64],
    steps: list[NDArray[np.float64]],
    changes: list[NDArray[np.float64]],
    inverse: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the inverse Hessian, as the last steps show it, times the gradient: two loops."""
    found, shares = gradient.copy(), []
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        shares.append(float((step * found).sum()) / float((step * change).sum()))
        found -= shares[-1] * change

    def conditioned(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return inverse @ values if inverse.shape[1] == len(values) else inverse * values

    scale = 1.0
    if steps:
        last = changes[-1]
        scale = float((steps[-1] * last).sum()) / float((last * conditioned(last)).sum())
    found = scale * conditioned(found)
    for step, change, share in zip(steps, changes, reversed(shares), strict=True):
        rest = float((change * found).sum()) / float((step * change).sum())
        found += (share - rest) * step
    return found
