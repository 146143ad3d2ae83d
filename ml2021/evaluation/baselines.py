"""The baselines that every score is compared with: class frequencies and least squares.

The mean and the median need no code of their own; `ml2021.evaluation.metrics` scores all.

Legend: N rows, F features, T targets, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml2021.data.weights import Weights
from ml2021.disk import empty
from ml2021.files import map_in_threads

CHUNK_VALUES = 1 << 21
"""How many features are held as float64 at a time: 16 MiB."""
NEGLIGIBLE = 4.0 * float(np.finfo(np.float64).eps)
"""Eigenvalues of an n × n matrix below n times this share of the largest are rounding errors."""


def class_frequencies(
    train_classes: NDArray[np.int64], classes: int, weights: Weights = None
) -> NDArray[np.float64]:
    """Return (C,) float64, the share of the (N,) rows, or of their weights, that is of each class.

    Their argmax is the majority class. Predicted for every row, they have the lowest log loss of
    any constant.
    """
    assert train_classes.ndim == 1, train_classes.shape
    assert train_classes.dtype == np.int64, train_classes.dtype
    assert len(train_classes) > 0, "no training rows"
    assert ((train_classes >= 0) & (train_classes < classes)).all(), f"not in range({classes})"
    counts = np.bincount(train_classes, weights, classes)
    return np.asarray(counts / counts.sum())


@dataclass(frozen=True)
class LeastSquares:
    """The linear function with the smallest squared error on the training rows.

    `coefficients` is (F + 1, T) float64, its last row the constant.
    """

    coefficients: NDArray[np.float64]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (N, T) float64 for (N, F + 1) float32 features whose last column is 1."""
        check_features(features)
        assert features.shape[1] == len(self.coefficients), features.shape
        weights, constant = self.coefficients[:-1], self.coefficients[-1]
        prediction: NDArray[np.float64] = empty((len(features), len(constant)), np.float64)
        for chunk in chunks(*features.shape):
            prediction[chunk] = features[chunk, :-1].astype(np.float64) @ weights + constant
        return prediction


def fit_least_squares(
    features: NDArray[np.float32], targets: NDArray[np.float64], weights: Weights = None
) -> LeastSquares:
    """Return the function with the smallest squared error, of all such the smallest weights.

    `features` is (N, F + 1) float32 with a last column of 1, `targets` (N, T) float64, both
    finite. For classification pass one-hot targets and take the argmax of the prediction.

    With X and Y the features and targets less their means, the weights are (XᵀX)⁺XᵀY, or
    Xᵀ(XXᵀ)⁺Y if F > N (`lstsq` on X takes six times as long); the constant, which is not kept
    small, puts the mean of X on the mean of Y. The pseudoinverse ⁺ allows linearly dependent
    columns, such as the one-hot columns of one feature. Beside the float32 features, memory holds
    n² float64 numbers, n = min(N, F), a few arrays as large as the targets, and X as float64: in
    chunks if F ≤ N, else whole. The time grows with N·F·n and n³.

    Squaring X squares its condition number: directions in which X varies less than 3e-8·√n times
    its largest variation (see `NEGLIGIBLE`) are dropped, though a decomposition of X could still
    use them. Standardised float32 features lose little: they are themselves rounded to 6e-8. In the
    other directions one refinement by the residuals restores most of the digits that squaring costs
    (the corrected seminormal equations; Björck, 1987): without it, two columns that differ by 1e-5
    of their deviation lose all digits but five.

    With weights (N,) the means are weighted, and each row of X and Y is multiplied by the root of
    its weight.
    """
    check_features(features)
    assert targets.shape == (len(features), targets.shape[-1]), (features.shape, targets.shape)
    assert targets.dtype == np.float64, targets.dtype
    assert len(targets) > 0, "no training rows"
    assert np.isfinite(targets).all(), "a target is not finite"
    inputs = features[:, :-1]
    rows, columns = inputs.shape
    # Sums of equal float32 numbers are exact in float64, so that a constant column deviates from
    # its mean by exactly 0.
    target_means = np.average(targets, axis=0, weights=weights)
    centred = targets - target_means
    if weights is None:
        roots, means = None, inputs.mean(axis=0, dtype=np.float64)
    else:
        weights = weights / weights.mean()
        roots, means = np.sqrt(weights)[:, None], _weighted_means(inputs, weights)
        centred *= roots

    def deviations_of(chunk: slice) -> NDArray[np.float64]:
        deviations: NDArray[np.float64] = inputs[chunk] - means
        return deviations if roots is None else deviations * roots[chunk]

    solution = np.zeros((columns, targets.shape[1]))
    if columns > rows:
        deviations = deviations_of(slice(None))
        inverse = _pseudoinverse(deviations @ deviations.T)
        for _ in range(2):  # the solution, and one refinement
            solution += deviations.T @ (inverse @ (centred - deviations @ solution))
    else:

        def gram_of(chunk: slice) -> NDArray[np.float64]:
            deviations = deviations_of(chunk)
            return np.asarray(deviations.T @ deviations)

        def moment_of(chunk: slice) -> NDArray[np.float64]:
            deviations = deviations_of(chunk)
            return np.asarray(deviations.T @ (centred[chunk] - deviations @ solution))

        gram = sum(map_in_threads(gram_of, chunks(rows, columns)), np.zeros((columns, columns)))
        inverse = _pseudoinverse(gram)
        for _ in range(2):
            solution += inverse @ sum(map_in_threads(moment_of, chunks(rows, columns)))
    return LeastSquares(np.vstack([solution, target_means - means @ solution]))


def _weighted_means(
    inputs: NDArray[np.float32], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the means (F,) of inputs (N, F), exact for constant columns."""
    first = inputs[0].astype(np.float64)
    sums = np.zeros(inputs.shape[1])
    for chunk in chunks(*inputs.shape):
        sums += weights[chunk] @ (inputs[chunk] - first)
    return np.asarray(first + sums / weights.sum())


def _pseudoinverse(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    cutoff = NEGLIGIBLE * max(len(gram), 10)
    return np.asarray(np.linalg.pinv(gram, rcond=cutoff, hermitian=True), np.float64)


def check_features(features: NDArray[np.float32]) -> None:
    """Assert that features are (N, F + 1) float32 with a last column of ones."""
    assert features.ndim == 2, features.shape
    assert features.dtype == np.float32, features.dtype
    assert (features[:, -1] == 1.0).all(), "the last column is not 1"


def chunks(rows: int, columns: int) -> Iterator[slice]:
    """Yield slices of rows, about `CHUNK_VALUES` values in each."""
    step = max(1, CHUNK_VALUES // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, start + step)
