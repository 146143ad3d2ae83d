"""Scores of a network beside those of the trivial answers, on the same rows and in the same units.

The answers are learned from the training rows and kept with the checkpoint, so that any other file
can be scored against them too. Printing is left to `ml2021.console`.

Legend: N rows, F inputs, T outputs or classes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml2021 import baselines, metrics
from ml2021.data.preprocessing import ClassTarget, Preprocessing, RealTargets
from ml2021.data.samples import Samples
from ml2021.metrics import Scores

Floats = NDArray[np.float64]
Answers = dict[str, Floats]
"""What the trivial answers learned: mean and median (T,) or frequencies (C,), and the coefficients
(F + 1, T) of least squares, on standardised or one-hot targets."""


@dataclass(frozen=True)
class Report:
    """The scores of one set of rows. `baselines` has a trivial answer's scores under its name.

    truth_sha256: the digest of the rows' true answers; reports that share it are of the same rows.
    """

    rows: int
    truth_sha256: str
    scores: Scores
    targets: dict[str, Scores]
    baselines: dict[str, Scores]
    confusion: list[list[int]] | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        plain: dict[str, Any] = {
            "rows": self.rows,
            "truth_sha256": self.truth_sha256,
            "scores": self.scores,
            "targets": self.targets,
            "baselines": self.baselines,
        }
        if self.confusion is not None:
            plain["confusion"] = self.confusion
        return plain


def learn_answers(preprocessing: Preprocessing, train: Samples) -> Answers:
    """Return the trivial answers of the training rows."""
    target = preprocessing.target
    if isinstance(target, ClassTarget):
        one_hot = np.eye(target.width)[train.classes]
        fitted = baselines.fit_least_squares(train.inputs, one_hot)
        frequencies = baselines.class_frequencies(train.classes, target.width)
        return {"frequencies": frequencies, "least_squares": fitted.coefficients}
    fitted = baselines.fit_least_squares(train.inputs, target.standardise(train.values))
    return {
        "mean": baselines.mean_answer(train.values),
        "median": baselines.median_answer(train.values),
        "least_squares": fitted.coefficients,
    }


def answer_shapes(preprocessing: Preprocessing) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of the trivial answers that go with a preprocessing."""
    width = preprocessing.target.width
    coefficients = (len(preprocessing.inputs) + 1, width)
    if isinstance(preprocessing.target, ClassTarget):
        return {"frequencies": (width,), "least_squares": coefficients}
    return {"mean": (width,), "median": (width,), "least_squares": coefficients}


def to_predictions(preprocessing: Preprocessing, outputs: NDArray[np.floating[Any]]) -> Floats:
    """Return outputs (N, T) in the units of the data, or as probabilities (N, C)."""
    wide = outputs.astype(np.float64)
    target = preprocessing.target
    if isinstance(target, RealTargets):
        return target.restore(wide)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def score(preprocessing: Preprocessing, samples: Samples, predictions: Floats) -> Scores:
    """Return the overall scores of predictions in the units of the data."""
    if isinstance(preprocessing.target, ClassTarget):
        return metrics.classification_scores(samples.classes, predictions)
    return metrics.regression_scores(samples.values, predictions)


def full_report(
    preprocessing: Preprocessing,
    answers: Mapping[str, Floats],
    samples: Samples,
    predictions: Floats,
) -> Report:
    """Return the scores overall, per target or class, and of the trivial answers beside them."""
    target = preprocessing.target
    linear = baselines.LeastSquares(answers["least_squares"]).predict(samples.inputs)
    if isinstance(target, ClassTarget):
        return _class_report(target, answers["frequencies"], linear, samples, predictions)
    rows, values = len(samples), samples.values
    trivial = {
        "mean": np.tile(answers["mean"], (rows, 1)),
        "median": np.tile(answers["median"], (rows, 1)),
    }
    if samples.previous is not None:
        trivial["previous_value"] = np.tile(samples.previous[:, None], (1, target.width))
    trivial["least_squares"] = target.restore(linear)
    return Report(
        rows=rows,
        truth_sha256=_digest(target.labels, values),
        scores=metrics.regression_scores(values, predictions),
        targets=metrics.regression_scores_per_target(values, predictions, target.labels),
        baselines={name: metrics.regression_scores(values, p) for name, p in trivial.items()},
        confusion=None,
    )


def _digest(labels: Sequence[str], truth: NDArray[Any]) -> str:
    """Return the SHA-256 over the names of the targets or classes, and the true answers."""
    digest = hashlib.sha256(json.dumps(labels).encode())
    digest.update(np.ascontiguousarray(truth).data)
    return digest.hexdigest()


def _class_report(
    target: ClassTarget,
    frequencies: Floats,
    linear: Floats,
    samples: Samples,
    predictions: Floats,
) -> Report:
    classes, rows = samples.classes, len(samples)
    majority = metrics.classification_scores(classes, np.tile(frequencies, (rows, 1)))
    chosen = np.eye(target.width)[linear.argmax(axis=1)]
    # Least squares chooses a class and gives no probabilities to score.
    choice = metrics.classification_scores(classes, chosen) | {"log_loss": None, "auroc": None}
    known = classes >= 0
    predicted = predictions.argmax(axis=1)
    table = metrics.confusion_matrix(classes[known], predicted[known], target.width)
    return Report(
        rows=rows,
        truth_sha256=_digest(target.labels, classes),
        scores=metrics.classification_scores(classes, predictions),
        targets=metrics.classification_scores_per_class(classes, predictions, target.labels),
        baselines={"majority_class": majority, "least_squares": choice},
        confusion=table.tolist(),
    )
