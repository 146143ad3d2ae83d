"""Metrics: how far predictions are from the truth. Arrays in, plain numbers out.

A score that is undefined (no rows, a constant truth for R², one class for AUROC) or beyond the
largest float64 is None, so that every score can be written as JSON.

Legend: N rows, T targets, C classes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ml2021.data.weights import Weights

Scores = dict[str, float | None]
"""Metric -> score; None where it is undefined."""
REAL_METRICS = ("mae", "rmse", "r2")
CLASS_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auroc")


def selection_metric(task: str | None, losses: Iterable[str]) -> str:
    """Return the metric that selects the best of several networks, the one nearest to their loss.

    Lower is better. For classes it is the log loss: accuracy is too coarse to tell similar networks
    apart. `losses` are those of all the networks; unless all minimise mae, rmse decides.
    """
    if task == "classification":
        return "log_loss"
    return "mae" if set(losses) == {"mae"} else "rmse"


def regression_scores(
    truth: NDArray[np.float64], prediction: NDArray[np.float64], weights: Weights = None
) -> Scores:
    """Return mae, rmse and r2 over all rows and targets.

    `truth` and `prediction` are (N, T) float64, finite, in the units of the data, as are

        mae = mean |y − ŷ|        rmse = √mean (y − ŷ)²

    and r2, which has no unit, is

        1 − Σ (y − ŷ)² / Σ (y − ȳ)²

    with both sums over all rows and targets, and ȳ each target's own mean (for T > 1 the
    "variance_weighted" R² of scikit-learn, but errors in a constant target count too). It is None
    for fewer than two rows and if no target varies. With weights (N,) of the rows, the means and
    sums are weighted.
    """
    return regression_scores_of_each(truth, prediction[None], weights)[0]


def regression_scores_of_each(
    truth: NDArray[np.float64], predictions: NDArray[np.float64], weights: Weights = None
) -> list[Scores]:
    """Return `regression_scores` of each of K predictions (K, N, T) of one truth (N, T)."""
    _check_regression(truth, predictions)
    if truth.size == 0:
        return [dict.fromkeys(REAL_METRICS, None) for _ in predictions]
    # Squares cannot overflow: the CSV reader refuses numbers beyond float32, and an output times a
    # target's scale is below 1.2e77. C order makes sums independent of the memory layout.
    errors = np.subtract(truth, predictions, order="C").reshape(len(predictions), -1)
    of_values = None if weights is None else np.repeat(weights, truth.shape[1])
    maes = np.average(np.abs(errors), axis=1, weights=of_values)
    rmses = np.sqrt(np.average(np.square(errors), axis=1, weights=of_values))
    del errors  # which of a large table are large, too
    # Relative to the first row: a large mean then costs small deviations no digits, and a constant
    # target deviates by exactly 0.
    deviations = truth - truth[:1]
    deviations -= np.average(deviations, axis=0, weights=weights)
    np.square(deviations, out=deviations)
    spread = np.sqrt(np.average(deviations.ravel(), weights=of_values))
    # Infinite or NaN where the spread is 0 or the ratio is beyond float64.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        r2s = 1.0 - np.square(rmses / spread)
    return [
        {"mae": float(mae), "rmse": float(rmse), "r2": float(r2) if np.isfinite(r2) else None}
        for mae, rmse, r2 in zip(maes, rmses, r2s, strict=True)
    ]


def regression_scores_per_target(
    truth: NDArray[np.float64],
    prediction: NDArray[np.float64],
    names: Sequence[str],
    weights: Weights = None,
) -> dict[str, Scores]:
    """Return the `regression_scores` of each of the T columns, keyed by `names`."""
    _check_regression(truth, prediction[None])
    assert len(names) == truth.shape[1], f"{len(names)} names for {truth.shape[1]} targets"
    assert len(set(names)) == len(names), "two targets have the same name"
    return {
        name: regression_scores(truth[:, t : t + 1], prediction[:, t : t + 1], weights)
        for t, name in enumerate(names)
    }


_BLOCK_VALUES = 1 << 21
_BLOCK_ROWS = 256


@dataclass(frozen=True)
class ClassAnswers:
    """What the scores need of the probabilities (N, C), which a large table cannot keep.

    truth: (N,) int64, the class of each row in 0 .. C − 1, or −1 for a class that no training row
    had. predicted: (N,) int64, the most probable class, the first of equals. chosen: (N,) float64,
    the probability of the true class, of those that sum to 1; NaN where it is unknown. positive:
    (N,) float64, the probability of class 1 as given, empty unless C = 2.
    """

    classes: int
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    chosen: NDArray[np.float64]
    positive: NDArray[np.float64]

    def take(self, rows: NDArray[np.bool_]) -> "ClassAnswers":
        """Return the answers for some of the rows."""
        positive = self.positive[rows] if len(self.positive) else self.positive
        return replace(
            self,
            truth=self.truth[rows],
            predicted=self.predicted[rows],
            chosen=self.chosen[rows],
            positive=positive,
        )

    @property
    def log_losses(self) -> NDArray[np.float64]:
        """The log loss (N,) of each row, see `classification_scores`; all classes are known."""
        epsilon = float(np.finfo(np.float64).eps)
        return np.asarray(-np.log(np.clip(self.chosen, epsilon, 1.0 - epsilon)))


def class_answers(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> ClassAnswers:
    """Return the answers for rows of classes (N,), −1 for an unknown one.

    `probabilities` is (N, C) float64, finite, not negative, no row all zero; or (1, C) for all
    rows.
    """
    sums = _checked_sums(truth, probabilities)
    rows, classes = np.arange(len(truth)), probabilities.shape[1]
    every = rows if len(probabilities) == len(truth) else np.zeros_like(rows)
    chosen = np.where(truth < 0, np.nan, probabilities[every, truth] / sums[every])
    predicted = probabilities.argmax(axis=1).astype(np.int64)[every]
    positive = probabilities[every, 1] if classes == 2 else np.empty(0)
    return ClassAnswers(classes, truth, predicted, chosen, positive)


def joined_answers(blocks: Sequence[ClassAnswers]) -> ClassAnswers:
    """Return the answers for the rows of all blocks, of which there is at least one."""
    if len(blocks) == 1:
        return blocks[0]
    names = ("truth", "predicted", "chosen", "positive")
    arrays = (np.concatenate([getattr(block, name) for block in blocks]) for name in names)
    return ClassAnswers(blocks[0].classes, *arrays)


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Yield slices of rows, at least one: few enough for arrays of `width` numbers a row."""
    step = max(1, _BLOCK_VALUES // (width * _BLOCK_ROWS)) * _BLOCK_ROWS
    for start in range(0, max(1, rows), step):
        yield slice(start, start + step)


def classification_scores(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], weights: Weights = None
) -> Scores:
    """Return the `scores_of_answers` for these rows and probabilities, see `class_answers`."""
    return scores_of_answers(class_answers(truth, probabilities), weights)


def scores_of_answers(answers: ClassAnswers, weights: Weights = None) -> Scores:
    """Return accuracy, balanced_accuracy, macro_f1, log_loss and auroc.

    accuracy           the share of rows whose predicted class is the truth
    balanced_accuracy  the mean recall of the classes in `truth`
    macro_f1           the mean F1 of the classes that are in `truth` or predicted, where
                       F1 = 2·hits / (rows of the class + rows predicted as it)
    log_loss           −mean ln p(truth), in nats; rows are normalised to sum to 1, then p is
                       clipped to [ε, 1 − ε], ε = 2⁻⁵² as in scikit-learn
    auroc              C = 2 only: the probability that a random row of class 1 has a higher
                       p(1) than a random row of class 0, a tie counting one half (Mann-Whitney)

    Rows of unknown classes (−1) are always wrong: they count in accuracy, and in the two means as
    one class with recall and F1 zero. log_loss and auroc are then None: the model gives such a
    class no probability, and the loss would be infinite. All are None without rows, auroc also if
    one of the two classes is missing. With weights (N,) of the rows, a row counts as so many.
    """
    truth = answers.truth
    if len(truth) == 0:
        return dict.fromkeys(CLASS_METRICS, None)
    known = bool((truth >= 0).all())
    hits, of_class, predicted_as = _counts(answers, weights)
    present = of_class > 0
    either = present | (predicted_as > 0)
    recall = hits[present] / of_class[present]
    f1 = 2.0 * hits[either] / (of_class[either] + predicted_as[either])
    return {
        "accuracy": float(hits.sum() / of_class.sum()),
        "balanced_accuracy": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "log_loss": float(np.average(answers.log_losses, weights=weights)) if known else None,
        "auroc": _auroc(answers, weights) if known and answers.classes == 2 else None,
    }


def scores_per_class(
    answers: ClassAnswers, names: Sequence[str], weights: Weights = None
) -> dict[str, Scores]:
    """Return recall, precision and f1 of each of the C classes, keyed by `names`.

    recall is None for a class with no row in `truth`,
    precision for one that is never predicted, f1 if both hold.
    """
    classes = answers.classes
    assert len(names) == classes, f"{len(names)} names for {classes} classes"
    assert len(set(names)) == len(names), "two classes have the same name"
    hits, of_class, predicted_as = _counts(answers, weights)
    return {
        name: {
            "recall": _ratio(hits[c], of_class[c]),
            "precision": _ratio(hits[c], predicted_as[c]),
            "f1": _ratio(2 * hits[c], of_class[c] + predicted_as[c]),
        }
        for c, name in enumerate(names)
    }


def _counts(
    answers: ClassAnswers, weights: Weights
) -> tuple[NDArray[np.number], NDArray[np.number], NDArray[np.number]]:
    """Return the rows of each class (C + 1,) that are predicted right, all, and those predicted.

    Or with weights (N,) their sums. The unknown class becomes class C, which is never predicted.
    """
    classes = answers.classes
    truth = np.where(answers.truth < 0, classes, answers.truth)
    right = truth == answers.predicted
    own = None if weights is None else weights[right]
    return (
        np.bincount(truth[right], own, classes + 1),
        np.bincount(truth, weights, classes + 1),
        np.bincount(answers.predicted, weights, classes + 1),
    )


def _check_regression(truth: NDArray[np.float64], predictions: NDArray[np.float64]) -> None:
    # (N, 1) − (N,) would silently be (N, N).
    assert truth.ndim == 2, truth.shape
    assert truth.shape == predictions.shape[1:], (truth.shape, predictions.shape)
    assert truth.dtype == predictions.dtype == np.float64, (truth.dtype, predictions.dtype)
    assert np.isfinite(truth).all(), "the truth is not finite"
    assert np.isfinite(predictions).all(), "a prediction is not finite"


def _checked_sums(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sum of each row of probabilities, which are as `class_answers` says."""
    assert probabilities.ndim == 2, probabilities.shape
    rows, classes = probabilities.shape
    assert classes >= 1, "no classes"
    assert truth.ndim == 1, truth.shape
    assert rows in (1, len(truth)), (truth.shape, probabilities.shape)
    assert truth.dtype == np.int64, truth.dtype
    assert probabilities.dtype == np.float64, probabilities.dtype
    assert ((truth >= -1) & (truth < classes)).all(), f"class out of range({classes})"
    sums = probabilities.sum(axis=1)
    assert np.isfinite(sums).all(), "a probability is not finite"
    assert (probabilities >= 0.0).all(), "a probability is negative"
    assert (sums > 0.0).all(), "a row has no positive probability"
    return np.asarray(sums)


def _ratio(hits: np.number, rows: np.number) -> float | None:
    return float(hits / rows) if rows > 0 else None


def _auroc(answers: ClassAnswers, weights: Weights) -> float | None:
    """Return the area under the ROC curve; None unless both classes are present.

    It is the share of the pairs of a positive and a negative row in which the positive one has the
    higher probability, ties counting one half (Mann and Whitney, 1947), each pair by the product of
    its weights. Equal probabilities form a group; of each group the negative weight below it counts
    in full, that in it by half.
    """
    positive = answers.truth == 1
    _, group = np.unique(answers.positive, return_inverse=True)
    own = np.ones(len(positive)) if weights is None else weights
    positives = np.bincount(group, np.where(positive, own, 0.0))
    negatives = np.bincount(group, np.where(positive, 0.0, own))
    pairs = float(positives.sum() * negatives.sum())
    below = np.cumsum(negatives) - negatives / 2
    return float((positives * below).sum() / pairs) if pairs else None
