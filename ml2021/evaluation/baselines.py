"""The trivial answers that every score stands beside: a constant, and least squares.

A network that does not beat them has learnt nothing worth its training. Arrays in, arrays out;
`ml2021.evaluation.metrics` scores them.

    N  rows        F  features        T  targets        C  classes
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_VALUES = 1 << 21
"""How many features are held as float64 at a time: 16 MiB."""

NEGLIGIBLE = 4.0 * float(np.finfo(np.float64).eps)
"""Eigenvalues up to this part of the largest, times the number of them, are rounding errors."""


def mean_answer(train_targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (T,) float64, the mean of each column of (N, T) targets: least squared error."""
    _check_targets(train_targets)
    # Divided first, as a sum of numbers near the largest float64 would overflow.
    scales = _powers_of_two(train_targets)
    means: NDArray[np.float64] = (train_targets / scales).mean(axis=0) * scales
    return means


def median_answer(train_targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (T,) float64, the median of each column of (N, T) targets: least absolute error."""
    _check_targets(train_targets)
    ordered = np.sort(train_targets, axis=0)
    # Halved first, as the sum of two numbers near the largest float64 would overflow.
    halves = ordered[[(len(ordered) - 1) // 2, len(ordered) // 2]] / 2.0
    medians: NDArray[np.float64] = halves.sum(axis=0)
    return medians


def class_frequencies(train_classes: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return (C,) float64, the part of the (N,) rows that is of each class.

    Their argmax is the majority class. Given as the probabilities of every row they have the
    least log loss that a constant can have.
    """
    assert train_classes.ndim == 1, train_classes.shape
    assert train_classes.dtype == np.int64, train_classes.dtype
    assert len(train_classes) > 0, "no training rows"
    assert ((train_classes >= 0) & (train_classes < classes)).all(), f"not a class of {classes}"
    return np.bincount(train_classes, minlength=classes) / len(train_classes)


@dataclass(frozen=True)
class LeastSquares:
    """The linear function of least squared error on the training rows.

    `coefficients` is (F + 1, T) float64, its last row the constant.
    """

    coefficients: NDArray[np.float64]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (N, T) float64 for (N, F + 1) float32 features whose last column is 1."""
        _check_features(features)
        assert features.shape[1] == len(self.coefficients), features.shape
        weights, constant = self.coefficients[:-1], self.coefficients[-1]
        inputs = features[:, :-1]
        prediction: NDArray[np.float64] = _times(inputs, np.zeros(len(weights)), weights) + constant
        return prediction


def fit_least_squares(features: NDArray[np.float32], targets: NDArray[np.float64]) -> LeastSquares:
    """Return the function of least squared error, of all such the one with the smallest weights.

    `features` is (N, F + 1) float32 with a last column of 1, `targets` (N, T) float64, both
    finite. For classification give one-hot targets and take the argmax of the prediction.

    With X and Y the features and targets less their means, the weights are (XᵀX)⁺XᵀY, or
    Xᵀ(XXᵀ)⁺Y where that matrix is smaller (F > N); the constant, which is not kept small, puts
    the mean of X on the mean of Y. ⁺ is the pseudoinverse through the eigenvalues, so columns
    that depend on each other (the one-hot columns of one feature) and more columns than rows are
    no error. X is made in float64 a chunk of rows or columns at a time: beside the float32
    features, memory holds n² numbers of float64, n = min(N, F), and some arrays as large as the
    targets. The time grows with N·F·n and n³.

    Squaring X squares its condition number: a direction in which X varies less than 3e-8·√n times
    its largest variation (see `NEGLIGIBLE`) is taken for none, where a decomposition of X itself
    could still use it. Standardised float32 features lose little: they are themselves rounded to
    6e-8. In the directions kept, one step of refinement by the residuals gives back most of the
    digits that the squaring costs (the corrected seminormal equations; Björck, 1987).
    """
    _check_features(features)
    _check_targets(targets)
    assert len(features) == len(targets), (features.shape, targets.shape)
    inputs = features[:, :-1]
    rows, columns = inputs.shape
    weights = np.zeros((columns, targets.shape[1]))
    target_means = mean_answer(targets)
    if columns == 0:
        return LeastSquares(target_means[np.newaxis])
    # Sums of float32 numbers are exact in float64 where all are equal, so that a constant column
    # deviates from its mean by exactly 0.
    means = inputs.mean(axis=0, dtype=np.float64)
    wide = columns > rows
    pseudoinverse = _Pseudoinverse.of(_outer(inputs, means) if wide else _inner(inputs, means))
    scales = _powers_of_two(targets)
    centred = targets / scales - target_means / scales
    for _ in range(2):  # the solution, and one refinement
        residuals = centred - _times(inputs, means, weights)
        if wide:
            weights += _transposed_times(inputs, means, pseudoinverse.times(residuals))
        else:
            weights += pseudoinverse.times(_transposed_times(inputs, means, residuals))
    weights *= scales
    return LeastSquares(np.vstack([weights, target_means - means @ weights]))


@dataclass(frozen=True)
class _Pseudoinverse:
    """The pseudoinverse V Λ⁻¹ Vᵀ of a symmetric matrix, over its eigenvalues that are not noise."""

    vectors: NDArray[np.float64]  # (n, r)
    values: NDArray[np.float64]  # (r,)

    @classmethod
    def of(cls, matrix: NDArray[np.float64]) -> "_Pseudoinverse":
        values, vectors = np.linalg.eigh(matrix)
        # Rounding moves an eigenvalue by a few times n·ε of the largest, where n is the size.
        kept = values > values[-1] * NEGLIGIBLE * max(len(matrix), 10)
        return cls(vectors[:, kept], values[kept])

    def times(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.vectors @ ((self.vectors.T @ right) / self.values[:, np.newaxis])


def _check_targets(targets: NDArray[np.float64]) -> None:
    assert targets.ndim == 2, targets.shape
    assert targets.dtype == np.float64, targets.dtype
    assert len(targets) > 0, "no training rows"
    assert np.isfinite(targets).all(), "a target is not finite"


def _check_features(features: NDArray[np.float32]) -> None:
    assert features.ndim == 2, features.shape
    assert features.dtype == np.float32, features.dtype
    assert (features[:, -1] == 1.0).all(), "the last column is not 1"


def _powers_of_two(targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (T,) powers of two within a factor of two of each column's largest absolute value.

    Dividing by them rounds nothing. The smallest is 1: small targets need no help.
    """
    exponents = np.frexp(np.abs(targets).max(axis=0))[1]
    return np.asarray(np.ldexp(1.0, np.clip(exponents, 0, 1023)), dtype=np.float64)


def _chunks(length: int, width: int) -> Iterator[slice]:
    """Yield slices that cover `length` lines of `width` values, about `CHUNK_VALUES` in each."""
    step = max(1, CHUNK_VALUES // max(1, width))
    for start in range(0, length, step):
        yield slice(start, start + step)


def _inner(inputs: NDArray[np.float32], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return XᵀX (F, F)."""
    rows, columns = inputs.shape
    total = np.zeros((columns, columns))
    for chunk in _chunks(rows, columns):
        part = inputs[chunk] - means
        total += part.T @ part
    return total


def _outer(inputs: NDArray[np.float32], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return XXᵀ (N, N)."""
    rows, columns = inputs.shape
    total = np.zeros((rows, rows))
    for chunk in _chunks(columns, rows):
        part = inputs[:, chunk] - means[chunk]
        total += part @ part.T
    return total


def _times(
    inputs: NDArray[np.float32], means: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return X·right (N, T)."""
    product = np.empty((len(inputs), right.shape[1]))
    for chunk in _chunks(*inputs.shape):
        product[chunk] = (inputs[chunk] - means) @ right
    return product


def _transposed_times(
    inputs: NDArray[np.float32], means: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Xᵀ·right (F, T)."""
    total = np.zeros((inputs.shape[1], right.shape[1]))
    for chunk in _chunks(*inputs.shape):
        total += (inputs[chunk] - means).T @ right[chunk]
    return total
