"""Scores in the units of the data: how far predictions are from the truth.

NumPy in, plain numbers out. Undoing the preprocessing, so that the units are the data's, is left
to `ml2021.data`; the baselines that scores are compared with, to `ml2021.evaluation.baselines`.

    N  rows        T  targets        C  classes

A score that is undefined (no rows, a constant truth for R², one class for AUROC) or that is
beyond the largest float64 is None, so that every score can be written as JSON.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Scores = dict[str, float | None]
"""The name of a metric -> its value; None where it is undefined."""

REAL_METRICS = ("mae", "rmse", "r2")
CLASS_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auroc")


def selection_metric(task: str | None, losses: Iterable[str]) -> str:
    """Return the metric that tells which of several networks is best, the one nearest to the loss.

    Low is good. For classes it is the log loss: accuracy is too coarse to tell similar networks
    apart. `losses` are those of all the networks; unless all minimise mae, rmse decides.
    """
    if task == "classification":
        return "log_loss"
    return "mae" if set(losses) == {"mae"} else "rmse"


def verdict_metric(loss: str) -> str:
    """Return the metric by which a network is held against the baselines, the nearest to its loss.

    For classes it is the accuracy, not the log loss of `selection_metric`: a baseline that predicts
    a class without probabilities has no log loss.
    """
    return {"cross_entropy": "accuracy", "mae": "mae"}.get(loss, "rmse")


def regression_scores(truth: NDArray[np.float64], prediction: NDArray[np.float64]) -> Scores:
    """Return mae, rmse and r2 over all rows and targets.

    `truth` and `prediction` are (N, T) float64, finite, in the units of the data; so are mae =
    mean |y − ŷ| and rmse = √mean (y − ŷ)². The number r2 has no unit: it is

        1 − Σ (y − ŷ)² / Σ (y − ȳ)²

    with both sums over all rows and targets and ȳ each target's own mean (for T > 1 the
    "variance_weighted" R² of scikit-learn, but errors in a constant target count too). It is None
    for fewer than two rows and where no target varies.
    """
    return regression_scores_of_each(truth, prediction[None])[0]


def regression_scores_of_each(
    truth: NDArray[np.float64], predictions: NDArray[np.float64]
) -> list[Scores]:
    """Return `regression_scores` of each of K predictions (K, N, T) of one truth (N, T)."""
    _check_regression(truth, predictions)
    if truth.size == 0:
        return [{"mae": None, "rmse": None, "r2": None} for _ in predictions]
    # Squares overflow from 1e154 on and vanish below 1e-162, so all sums are of numbers that were
    # divided by the largest of them. That one is a power of two: dividing by it rounds nothing.
    count = len(predictions)
    largest = np.abs(predictions).reshape(count, -1).max(axis=1)
    scales = _powers_of_two_above(np.maximum(largest, np.abs(truth).max()))
    scaled = truth / scales[:, None, None]
    errors = (scaled - predictions / scales[:, None, None]).reshape(count, -1)
    mean_absolute, root_mean_square = np.abs(errors).mean(axis=1), _root_mean_squares(errors)
    # From the first row on, so that a large mean costs the small deviations no digits, and so that
    # a constant target deviates by exactly 0.
    from_first = scaled - scaled[:, :1]
    spread = _root_mean_squares(
        (from_first - from_first.mean(axis=1, keepdims=True)).reshape(count, -1)
    )
    # A ratio of 1e200 to 1e-200 overflows too; Python would raise, NumPy says infinity.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        r2 = 1.0 - np.square(root_mean_square / spread)
        mae, rmse = mean_absolute * scales, root_mean_square * scales
    return [
        {
            "mae": _finite(mae[k]),
            "rmse": _finite(rmse[k]),
            "r2": _finite(r2[k]) if spread[k] > 0.0 else None,
        }
        for k in range(count)
    ]


def regression_scores_per_target(
    truth: NDArray[np.float64], prediction: NDArray[np.float64], names: Sequence[str]
) -> dict[str, Scores]:
    """Return `regression_scores` of each of the T columns alone, under its name in `names`."""
    _check_regression(truth, prediction[None])
    assert len(names) == truth.shape[1], f"{len(names)} names for {truth.shape[1]} targets"
    assert len(set(names)) == len(names), "two targets of one name"
    return {
        name: regression_scores(truth[:, [t]], prediction[:, [t]]) for t, name in enumerate(names)
    }


def classification_scores(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Scores:
    """Return accuracy, balanced_accuracy, macro_f1, log_loss and auroc.

    `truth` is (N,) int64: the class of each row in 0 .. C − 1, or −1 for a class that the model
    does not know because no training row had it. `probabilities` is (N, C) float64, finite, not
    negative, no row all zero. The predicted class is the most probable one, the first of equals.

    accuracy           the part of the rows whose predicted class is the truth
    balanced_accuracy  the mean over the classes in `truth` of their recall
    macro_f1           the mean over the classes in `truth` or predicted of their F1,
                       2·hits / (rows of the class + rows predicted as it)
    log_loss           −mean ln p(truth), in nats; p is clipped to [ε, 1 − ε], ε = 2⁻⁵² as
                       in scikit-learn, from rows that were first made to sum to 1
    auroc              C = 2 only: the probability that a random row of class 1 has a higher
                       p(1) than a random row of class 0, a tie counting one half (Mann-Whitney)

    Rows of unknown classes (−1) cannot be right: they count in accuracy, and all together as one
    class of recall and F1 zero in the two means. log_loss and auroc are then None: the model
    gives such a class no probability, and the loss would be infinite. All are None without
    rows, auroc also where one of the two classes is missing.
    """
    _check_classification(truth, probabilities)
    rows, classes = probabilities.shape
    if rows == 0:
        return dict.fromkeys(
            ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auroc"), None
        )
    predicted = probabilities.argmax(axis=1)
    known = bool((truth >= 0).all())
    # The unknown class becomes class C, which is never predicted.
    table = confusion_matrix(np.where(truth < 0, classes, truth), predicted, classes + 1)
    hits, of_class, predicted_as = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    present = of_class > 0
    either = present | (predicted_as > 0)
    recall = hits[present] / of_class[present]
    f1 = 2.0 * hits[either] / (of_class[either] + predicted_as[either])
    return {
        "accuracy": float(hits.sum() / rows),
        "balanced_accuracy": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "log_loss": _log_loss(truth, probabilities) if known else None,
        "auroc": _auroc(truth == 1, probabilities) if known and classes == 2 else None,
    }


def classification_scores_per_class(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], names: Sequence[str]
) -> dict[str, Scores]:
    """Return recall, precision and f1 of each of the C classes under its name in `names`.

    Arguments as in `classification_scores`. recall is None for a class with no row in `truth`,
    precision for one that is never predicted, f1 for one that is neither.
    """
    _check_classification(truth, probabilities)
    classes = probabilities.shape[1]
    assert len(names) == classes, f"{len(names)} names for {classes} classes"
    assert len(set(names)) == len(names), "two classes of one name"
    predicted = probabilities.argmax(axis=1)
    table = confusion_matrix(np.where(truth < 0, classes, truth), predicted, classes + 1)
    hits, of_class, predicted_as = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    return {
        name: {
            "recall": _ratio(hits[c], of_class[c]),
            "precision": _ratio(hits[c], predicted_as[c]),
            "f1": _ratio(2 * hits[c], of_class[c] + predicted_as[c]),
        }
        for c, name in enumerate(names)
    }


def confusion_matrix(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Return (C, C) int64: at [i, j] the number of rows of class i that were predicted as j.

    `truth` and `predicted` are (N,) int64 in 0 .. C − 1; rows of unknown class (−1) are the
    caller's to leave out or to number.
    """
    assert truth.shape == predicted.shape == (len(truth),), (truth.shape, predicted.shape)
    for values in (truth, predicted):
        assert values.dtype == np.int64, values.dtype
        assert ((values >= 0) & (values < classes)).all(), f"not a class of {classes}"
    counts = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def _check_regression(truth: NDArray[np.float64], predictions: NDArray[np.float64]) -> None:
    # (N, 1) − (N,) would silently be (N, N).
    assert truth.ndim == 2, truth.shape
    assert truth.shape == predictions.shape[1:], (truth.shape, predictions.shape)
    assert truth.dtype == predictions.dtype == np.float64, (
        truth.dtype,
        predictions.dtype,
    )
    assert np.isfinite(truth).all(), "the truth is not finite"
    assert np.isfinite(predictions).all(), "a prediction is not finite"


def _check_classification(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> None:
    assert probabilities.ndim == 2, probabilities.shape
    rows, classes = probabilities.shape
    assert classes >= 1, "no classes"
    assert truth.shape == (rows,), (truth.shape, probabilities.shape)
    assert truth.dtype == np.int64, truth.dtype
    assert probabilities.dtype == np.float64, probabilities.dtype
    assert ((truth >= -1) & (truth < classes)).all(), f"not a class of {classes}"
    assert np.isfinite(probabilities).all(), "a probability is not finite"
    assert (probabilities >= 0.0).all(), "a probability is negative"
    assert (probabilities.sum(axis=1) > 0.0).all(), "a row gives no class a probability"


def _powers_of_two_above(largest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return powers of two within a factor of two of these absolute values; 1 above 0."""
    # The limits keep the power itself a normal number.
    exponents = np.clip(np.frexp(largest)[1], -1022, 1023)
    return np.asarray(np.ldexp(1.0, exponents), np.float64)


def _root_mean_squares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return √mean v² (K,) of each row of (K, M), without overflow or underflow of the squares."""
    scales = _powers_of_two_above(np.abs(values).max(axis=1))
    means = np.square(values / scales[:, None]).mean(axis=1)
    return np.asarray(np.sqrt(means) * scales, np.float64)


def _finite(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole > 0 else None


def _log_loss(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    chosen = probabilities[np.arange(len(truth)), truth] / probabilities.sum(axis=1)
    epsilon = float(np.finfo(np.float64).eps)
    return float(-np.log(np.clip(chosen, epsilon, 1.0 - epsilon)).mean())


def _auroc(positive: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float | None:
    """Return the area under the ROC curve by ranks; None unless both classes are present.

    U = R − P(P + 1) / 2 with R the sum of the ranks of the P positive rows, equals having the
    mean of their ranks; the area is U over the P·(N − P) pairs (Mann and Whitney, 1947).
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if positives == 0 or negatives == 0:
        return None
    _, group, sizes = np.unique(probabilities[:, 1], return_inverse=True, return_counts=True)
    last_rank = np.cumsum(sizes)
    mean_rank = last_rank - (sizes - 1) / 2.0
    rank_sum = float(mean_rank[group][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)
