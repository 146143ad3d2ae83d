"""Thresholds of two classes: from which probability on a row is called positive.

The positive class is the second of the two in sorted order, as in scikit-learn: yes of no and yes,
1 of 0 and 1. Which class is the rarer one would change with the table, and with it what a threshold
means.

Legend: N rows, M distinct probabilities.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml2021.data.weights import Weights
from ml2021.evaluation.metrics import Scores

POSITIVE = 1
"""The index of the positive class."""


@dataclass(frozen=True)
class OperatingPoints:
    """What comes of each threshold: of rows, or of their weights.

    thresholds: (M + 1,) falling, the first above all probabilities, then each of them. hits,
    false_alarms: (M + 1,), the positive and the negative rows that are called positive. positives,
    negatives: all of them.
    """

    thresholds: NDArray[np.float64]
    hits: NDArray[np.float64]
    false_alarms: NDArray[np.float64]
    positives: float
    negatives: float

    @property
    def recall(self) -> NDArray[np.float64]:
        """(M + 1,), also the rate of true positives."""
        return self.hits / self.positives

    @property
    def false_positive_rate(self) -> NDArray[np.float64]:
        """(M + 1,)."""
        return self.false_alarms / self.negatives

    @property
    def precision(self) -> NDArray[np.float64]:
        """(M + 1,); 1 where nothing is called positive, as in scikit-learn's curve."""
        called = self.hits + self.false_alarms
        return np.asarray(np.where(called > 0, self.hits / np.where(called > 0, called, 1.0), 1.0))

    @property
    def macro_f1(self) -> NDArray[np.float64]:
        """(M + 1,), the mean of the F1 of both classes."""
        called = self.hits + self.false_alarms
        rejected = self.negatives - self.false_alarms
        left = self.positives + self.negatives - called
        positive = 2 * self.hits / (self.positives + called)
        return np.asarray((positive + 2 * rejected / (self.negatives + left)) / 2)


def operating_points(
    truth: NDArray[np.int64], probability: NDArray[np.float64], weights: Weights = None
) -> OperatingPoints | None:
    """Return those of classes (N,), 0 or 1, by the probability (N,) of class 1.

    None unless both classes are present.
    """
    own = np.ones(len(truth)) if weights is None else weights
    distinct, group = np.unique(probability, return_inverse=True)
    counts = [np.bincount(group, np.where(truth == k, own, 0.0), len(distinct)) for k in (1, 0)]
    hits, false_alarms = (np.concatenate([[0.0], np.cumsum(each[::-1])]) for each in counts)
    if hits[-1] == 0 or false_alarms[-1] == 0:
        return None
    thresholds = np.concatenate([[np.inf], distinct[::-1]])
    return OperatingPoints(thresholds, hits, false_alarms, float(hits[-1]), float(false_alarms[-1]))


def best_threshold(points: OperatingPoints) -> float:
    """Return the threshold with the highest macro F1, the one nearest to 0.5 among equals.

    Macro F1, since it is the same whichever class is called positive, and counts precision: the
    best balanced accuracy calls a hundred rows positive for each of a rare class. It lies half-way
    to the next probability, to three digits where they suffice to tell the two apart.
    """
    upper = points.thresholds[1:]
    lower = np.concatenate([upper[1:], [0.0]])
    values = points.macro_f1[1:]
    middle = (upper + lower) / 2
    best = np.flatnonzero(values >= values.max() - 1e-12)
    place = best[np.abs(middle[best] - 0.5).argmin()]
    rounded = round(float(middle[place]), 3)
    return rounded if lower[place] < rounded <= upper[place] else float(middle[place])


def scores_at(
    threshold: float,
    truth: NDArray[np.int64],
    probability: NDArray[np.float64],
    weights: Weights = None,
) -> Scores:
    """Return precision, recall and f1 of the positive class, accuracy and balanced accuracy.

    Arguments as in `operating_points`. Those that are undefined are None.
    """
    own = np.ones(len(truth)) if weights is None else weights
    called, positive = probability >= threshold, truth == POSITIVE
    hits = float(own[called & positive].sum())
    rejected = float(own[~called & ~positive].sum())
    of_called, of_positive, total = (
        float(own[rows].sum()) for rows in (called, positive, slice(None))
    )
    recall = hits / of_positive if of_positive else None
    other = rejected / (total - of_positive) if total > of_positive else None
    both = [share for share in (recall, other) if share is not None]
    return {
        "precision": hits / of_called if of_called else None,
        "recall": recall,
        "f1": 2 * hits / (of_called + of_positive) if of_called + of_positive else None,
        "accuracy": (hits + rejected) / total if total else None,
        "balanced_accuracy": sum(both) / len(both) if both else None,
    }


def positive_probability(
    probabilities: Iterable[NDArray[np.float64]], temperature: float | None
) -> NDArray[np.float64]:
    """Return the mean (N,) over members of the positive class's probability, calibrated.

    probabilities: (N, 2) of each member, whose outputs are divided by the temperature.
    """
    found = []
    for each in probabilities:
        if temperature is None:
            found.append(each[:, POSITIVE])
            continue
        logs = np.log(np.maximum(each, np.finfo(np.float64).tiny))
        found.append(1 / (1 + np.exp((logs[:, 0] - logs[:, 1]) / temperature)))
    return np.asarray(np.mean(found, axis=0))
