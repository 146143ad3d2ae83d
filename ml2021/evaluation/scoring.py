"""Scores of a network beside those of the baselines, on the same rows and in the same units.

The baselines are fitted to the training rows and kept with the checkpoint, so that any other file
can be scored against them too.

Legend: K members, N rows, F inputs, T outputs or classes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml2021.config.schema import Config
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing, RealTargets
from ml2021.data.samples import Samples
from ml2021.evaluation import baselines, metrics
from ml2021.evaluation.metrics import Scores

FittedBaselines = dict[str, NDArray[np.float64]]
"""What the trivial answers learned: mean and median (T,) or frequencies (C,), and the coefficients
(F + 1, T) of least squares, on standardised or one-hot targets."""

_NUMBERS_AT_ONCE = 1 << 18
"""Predictions that are scored side by side: all members of a small table, one of a large one."""

ALONE = "a member alone"
"""What the members of an ensemble score by themselves, on average."""


SPLITS = ("test", "held-out", "validation", "train")
"""The splits that can be scored, those that say most about new rows first; held-out rows are those
of the folds of a cross-validation, taken together."""


def best_available(evaluations: Mapping[str, object]) -> str:
    """Return the first of `SPLITS` that has been scored."""
    return next(split for split in SPLITS if split in evaluations)


@dataclass(frozen=True)
class LossUnit:
    """How a loss is shown.

    name: of the loss. factor: from standardised units to those that are shown. label: the name with
    its unit, as an axis has it: mse (views²), cross_entropy (nats).
    """

    name: str
    factor: float
    label: str


def loss_unit(config: Config, preprocessing: Preprocessing) -> LossUnit:
    """Return the unit of the loss: of the data, where all targets share one scale."""
    assert config.loss is not None
    name = config.loss.type
    if isinstance(preprocessing.target, ClassTarget):
        return LossUnit(name, 1.0, f"{name} (nats)")
    scale = preprocessing.target.common_scale
    if scale is None:
        standardised = f"{name} (standardised)"
        return LossUnit(standardised, 1.0, standardised)
    column = preprocessing.target_column
    if name == "mae":
        return LossUnit(name, scale, f"{name} ({column})")
    return LossUnit(name, scale**2, f"{name} ({column}²)")


@dataclass(frozen=True)
class Evaluation:
    """The scores of one set of rows. `baselines` has a trivial answer's scores under its name.

    truth_sha256: the digest of the rows' true answers; reports that share it are of the same rows.
    members: where the prediction is the mean of several members', the scores of each alone.
    """

    rows: int
    truth_sha256: str
    scores: Scores
    targets: dict[str, Scores]
    baselines: dict[str, Scores]
    confusion: list[list[int]] | None
    members: Sequence[Scores] = ()

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
        if self.members:
            plain["members"] = list(self.members)
        return plain

    def table(self) -> dict[str, Scores]:
        """Return the scores under the names that people read, the network's first."""
        alone = {ALONE: mean_scores(self.members)} if self.members else {}
        return {"network": self.scores, **alone, **self.baselines}


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Return the mean of each score where it is defined; None where it never is."""
    means: Scores = {}
    for name in scores[0]:
        known = [value for one in scores if (value := one[name]) is not None]
        means[name] = sum(known) / len(known) if known else None
    return means


def standard_errors(scores: Sequence[Scores]) -> Scores:
    """Return the standard error of each of `mean_scores`, None where fewer than two are defined.

    s/√n with the sample's deviation s, over the n that are defined.
    """
    errors: Scores = {}
    for name in scores[0]:
        known = [value for one in scores if (value := one[name]) is not None]
        errors[name] = stdev(known) / len(known) ** 0.5 if len(known) > 1 else None
    return errors


def fold_scores(found: Mapping[str, Any]) -> tuple[dict[str, Scores], dict[str, Scores]]:
    """Return what a summary says of folds: the means, the network's first, and standard errors."""
    alone = found.get("members", {})
    tables = []
    for of_network, of_baselines in (
        ("scores", "baselines"),
        ("standard_errors", "baseline_standard_errors"),
    ):
        table = {"network": found[of_network], **found[of_baselines]}
        if alone:
            table = {"network": table.pop("network"), ALONE: alone[of_network], **table}
        tables.append(table)
    means, errors = tables
    return means, errors


def fit_baselines(preprocessing: Preprocessing, train: Samples) -> FittedBaselines:
    """Return the trivial answers of the training rows."""
    target = preprocessing.target
    if isinstance(target, ClassTarget):
        one_hot = np.eye(target.width)[train.classes]
        solution = baselines.fit_least_squares(train.inputs, one_hot)
        frequencies = baselines.class_frequencies(train.classes, target.width)
        return {"frequencies": frequencies, "least_squares": solution.coefficients}
    solution = baselines.fit_least_squares(train.inputs, target.standardise(train.values))
    return {
        "mean": train.values.mean(axis=0),
        "median": np.median(train.values, axis=0),
        "least_squares": solution.coefficients,
    }


def baseline_shapes(preprocessing: Preprocessing) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of the trivial answers that go with a preprocessing."""
    width = preprocessing.target.width
    coefficients = (len(preprocessing.inputs) + 1, width)
    if isinstance(preprocessing.target, ClassTarget):
        return {"frequencies": (width,), "least_squares": coefficients}
    return {"mean": (width,), "median": (width,), "least_squares": coefficients}


def to_predictions(
    preprocessing: Preprocessing, outputs: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return outputs (N, T) in the units of the data, or as probabilities (N, C).

    Values may also be those of several members, (K, N, T).
    """
    wide = outputs.astype(np.float64)
    target = preprocessing.target
    if isinstance(target, RealTargets):
        return target.restore(wide)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def score(
    preprocessing: Preprocessing, samples: Samples, predictions: NDArray[np.float64]
) -> Scores:
    """Return the overall scores of predictions in the units of the data."""
    if isinstance(preprocessing.target, ClassTarget):
        return metrics.classification_scores(samples.classes, predictions)
    return metrics.regression_scores(samples.values, predictions)


def score_each(
    preprocessing: Preprocessing, samples: Samples, outputs: NDArray[np.floating[Any]]
) -> list[Scores]:
    """Return `score` of each member's outputs (K, N, T), some members at a time."""
    if isinstance(preprocessing.target, ClassTarget):
        return [score(preprocessing, samples, to_predictions(preprocessing, o)) for o in outputs]
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, samples.values.size))
    found: list[Scores] = []
    for begin in range(0, len(outputs), at_once):
        predictions = to_predictions(preprocessing, outputs[begin : begin + at_once])
        found += metrics.regression_scores_of_each(samples.values, predictions)
    return found


def evaluate_predictions(
    preprocessing: Preprocessing,
    fitted: FittedBaselines,
    samples: Samples,
    predictions: NDArray[np.float64],
    members: Sequence[Scores] = (),
) -> Evaluation:
    """Return the scores overall, per target or class, and of the trivial answers beside them."""
    trivial = baseline_predictions(preprocessing, fitted, samples)
    return evaluate_against(preprocessing, samples.targets, predictions, trivial, members)


def baseline_predictions(
    preprocessing: Preprocessing, fitted: FittedBaselines, samples: Samples
) -> dict[str, NDArray[np.float64]]:
    """Return what each trivial answer says about those rows: values (N, T), or (N, C) of classes.

    Least squares chooses a class and gives no probabilities: 1 for the class, 0 for the others.
    """
    target, rows = preprocessing.target, len(samples)
    linear = baselines.LeastSquares(fitted["least_squares"]).predict(samples.inputs)
    if isinstance(target, ClassTarget):
        return {
            "majority_class": np.tile(fitted["frequencies"], (rows, 1)),
            "least_squares": np.eye(target.width)[linear.argmax(axis=1)],
        }
    trivial = {
        "mean": np.tile(fitted["mean"], (rows, 1)),
        "median": np.tile(fitted["median"], (rows, 1)),
    }
    if samples.previous is not None:
        trivial["previous_value"] = np.tile(samples.previous[:, None], (1, target.width))
    return {**trivial, "least_squares": target.restore(linear)}


def evaluate_against(
    preprocessing: Preprocessing,
    truth: NDArray[np.float64] | NDArray[np.int64],
    predictions: NDArray[np.float64],
    trivial: Mapping[str, NDArray[np.float64]],
    members: Sequence[Scores] = (),
) -> Evaluation:
    """Return the scores of predictions and trivial ones against (N, T) values or (N,) classes."""
    target = preprocessing.target
    if isinstance(target, ClassTarget):
        return _class_report(target, np.asarray(truth, np.int64), predictions, trivial, members)
    values = np.asarray(truth, np.float64)
    return Evaluation(
        rows=len(values),
        truth_sha256=_digest(target.labels, values),
        scores=metrics.regression_scores(values, predictions),
        targets=metrics.regression_scores_per_target(values, predictions, target.labels),
        baselines={name: metrics.regression_scores(values, p) for name, p in trivial.items()},
        confusion=None,
        members=members,
    )


def _digest(labels: Sequence[str], truth: NDArray[Any]) -> str:
    """Return the SHA-256 over the names of the targets or classes, and the true answers."""
    digest = hashlib.sha256(json.dumps(labels).encode())
    digest.update(np.ascontiguousarray(truth).data)
    return digest.hexdigest()


def _class_report(
    target: ClassTarget,
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64],
    trivial: Mapping[str, NDArray[np.float64]],
    members: Sequence[Scores],
) -> Evaluation:
    scored = {name: metrics.classification_scores(classes, p) for name, p in trivial.items()}
    scored["least_squares"] |= {"log_loss": None, "auroc": None}  # which want probabilities
    known = classes >= 0
    predicted = predictions.argmax(axis=1)
    table = metrics.confusion_matrix(classes[known], predicted[known], target.width)
    return Evaluation(
        rows=len(classes),
        truth_sha256=_digest(target.labels, classes),
        scores=metrics.classification_scores(classes, predictions),
        targets=metrics.classification_scores_per_class(classes, predictions, target.labels),
        baselines=scored,
        confusion=table.tolist(),
        members=members,
    )
