"""Scores of a network beside those of the baselines, on the same rows and in the same units.

The checkpoint keeps the fitted baselines, so that any other file can be scored against them too.

Legend: K members, N rows, F inputs, T outputs or classes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ml2021.config.schema import ColumnSplit, Config, KFoldSplit
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing, RealTargets, Record
from ml2021.data.samples import Samples
from ml2021.data.weights import Weights, weighted_median
from ml2021.evaluation import baselines, metrics
from ml2021.evaluation.logistic import affordable, class_probabilities, fit_logistic_regression
from ml2021.evaluation.metrics import CLASS_METRICS, REAL_METRICS, Scores
from ml2021.evaluation.verdict import NETWORK, Verdict, judge, metrics_to_judge
from ml2021.formatting import plural

FittedBaselines = dict[str, NDArray[np.float64]]
"""What the baselines need. For numbers the mean and median (T,), and the coefficients (F + 1, T) of
least squares on standardised targets. For classes their frequencies (C,), and of logistic
regression the coefficients (F + 1, C), the passes over the rows, and 1 if it converged, else 0."""
_NUMBERS_AT_ONCE = 1 << 18
"""Predictions scored at once: all members of a small table, one of a large one."""
ALONE = "one member"
"""The row of a table with the average scores of a single ensemble member."""
SPLITS = ("test", "held-out", "validation", "train")
"""The splits that can be scored, those that say most about new rows first; held-out rows are those
of the folds of a cross-validation, taken together."""


def best_available(evaluations: Mapping[str, object]) -> str:
    """Return the first of `SPLITS` that has been scored."""
    return next(split for split in SPLITS if split in evaluations)


@dataclass(frozen=True)
class LossUnit:
    """How a loss is shown.

    factor: from standardised units to those that are shown. label: the name with its unit, such as
    mse (views²) or cross_entropy (nats).
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


class SplitScores(Record):
    """The scores of one set of rows, and those of the baselines on them.

    truth_sha256: the digest of the rows' true answers and weights; two that share it are of the
    same rows.
    baselines: the scores of each baseline, by its name. verdict: on the network beside them; None
    where it cannot be judged.
    """

    rows: Annotated[int, Field(ge=0)]
    truth_sha256: str
    scores: Scores
    baselines: dict[str, Scores]
    verdict: Verdict | None = None

    @model_validator(mode="after")
    def _check_metrics(self) -> Self:
        if tuple(self.scores) not in (REAL_METRICS, CLASS_METRICS):
            raise ValueError("scores that are not those of a task")
        if {tuple(scores) for scores in self.baselines.values()} != {tuple(self.scores)}:
            raise ValueError("baselines that are not scored like the network")
        if self.verdict is not None:
            each = (self.verdict.decides, *self.verdict.others)
            if any(j.metric not in self.scores or j.baseline not in self.baselines for j in each):
                raise ValueError("a verdict by other scores")
        return self

    def verdict_words(self, split: str = "") -> str:
        """Return the verdict in words; `split` is the kind of rows, empty for those of a file."""
        if self.verdict is not None:
            return " ".join(self.verdict.sentences(split))
        rows = plural(self.rows, f"{split} row".strip())
        return f"On {rows} the network cannot be compared with the baselines."


class Evaluation(SplitScores):
    """The scores of one set of rows in full.

    targets: the scores of each target, or of each class. confusion: of classes, (C, C) counts, a
    line for each true class. members: where the prediction is the mean of several members', the
    scores of each alone. outside, unseen: as those of `Samples`.
    """

    targets: dict[str, Scores]
    confusion: tuple[tuple[int, ...], ...] | None = None
    members: tuple[Scores, ...] = ()
    outside: dict[str, int] = Field(default_factory=dict)
    unseen: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_shapes(self) -> Self:
        if not self.targets or len({tuple(scores) for scores in self.targets.values()}) > 1:
            raise ValueError("targets that are not scored alike")
        if any(tuple(scores) != tuple(self.scores) for scores in self.members):
            raise ValueError("members that are not scored like their mean")
        table = self.confusion
        if table is not None and any(len(row) != len(table) or min(row) < 0 for row in table):
            raise ValueError("a confusion matrix that is not square")
        return self

    def table(self) -> dict[str, Scores]:
        """Return the scores under the names that people read, the network's first."""
        alone = {ALONE: mean_scores(self.members)} if self.members else {}
        return {NETWORK: self.scores, **alone, **self.baselines}


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Return the mean of each score where it is defined; None where it never is."""
    return {name: sum(v) / len(v) if v else None for name, v in _defined(scores).items()}


def standard_errors(scores: Sequence[Scores]) -> Scores:
    """Return the standard error of each of `mean_scores`, None where fewer than two are defined.

    s/√n with the sample's deviation s, over the n that are defined.
    """
    return {
        name: stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
        for name, values in _defined(scores).items()
    }


def _defined(scores: Sequence[Scores]) -> dict[str, list[float]]:
    return {name: [v for one in scores if (v := one[name]) is not None] for name in scores[0]}


def fit_baselines(
    config: Config,
    preprocessing: Preprocessing,
    train: Samples,
    parameters: int,
    rows: int | None = None,
) -> FittedBaselines:
    """Return the baselines of the training rows.

    parameters: how many the network has; logistic regression takes at most about a quarter of the
    time that its training takes, and is left out where that is not enough for a start. rows: how
    many the estimate is for, one number for all folds; those of `train` where it is None.
    """
    target, inputs = preprocessing.target, _plain(preprocessing, train)
    if isinstance(target, RealTargets):
        values = train.values
        solution = baselines.fit_least_squares(inputs, target.standardise(values), train.weights)
        return {
            "mean": np.average(values, axis=0, weights=train.weights),
            "median": weighted_median(values, train.weights),
            "least_squares": solution.coefficients,
        }
    weights = train.weights
    found = {"frequencies": baselines.class_frequencies(train.classes, target.width, weights)}
    rows = len(train) if rows is None else rows
    seconds = max(_LEAST_SECONDS, _training_seconds(config, rows, parameters) / 4)
    effort = affordable(rows, inputs.shape[1], target.width, seconds)
    if effort.passes >= _FEWEST_PASSES:
        if weights is not None:  # so that weights with a sum of 1 are not one row to the penalty
            weights = weights / min(1.0, weights.mean())
        fit = fit_logistic_regression(inputs, train.classes, target.width, weights, effort)
        found["logistic_regression"] = fit.coefficients
        found["logistic_passes"] = np.array([fit.passes, fit.has_converged], np.float64)
    return found


_LEAST_SECONDS = 0.1
"""What logistic regression may take however short the training is: a command takes seconds."""
_FEWEST_PASSES = 3
"""Fewer passes over the rows are no fit."""


def _training_seconds(config: Config, rows: int, parameters: int) -> float:
    """Return about how long training takes at least, from the sizes alone.

    As measured on two cores of an AMD EPYC: 0.1 ms an update, and 6 operations a row and parameter
    at 50e9 a second. Early stopping may end it after its patience.
    """
    train = config.train
    batch = rows if train.batch_size == "full" else min(rows, train.batch_size)
    epochs = train.epochs
    if train.early_stopping is not None:
        epochs = min(epochs, train.early_stopping.patience + 1)
    an_epoch = -(-rows // batch) * 1e-4 + 6 * rows * parameters / 50e9
    return epochs * train.members * an_epoch


def notes_on_baselines(preprocessing: Preprocessing, fitted: FittedBaselines) -> list[str]:
    """Return a line where logistic regression was cut short or left out."""
    if not isinstance(preprocessing.target, ClassTarget):
        return []
    if "logistic_regression" not in fitted:
        width, inputs = preprocessing.target.width, len(preprocessing.plain_inputs)
        return [
            f"no logistic regression to compare with: {inputs:,} inputs for {width:,} classes are "
            "too many to fit in a quarter of the training's time"
        ]
    passes, has_converged = fitted["logistic_passes"]
    if has_converged:
        return []
    return [
        f"logistic regression, the baseline, was stopped after {passes:,.0f} passes over the rows, "
        "about a quarter of the training's time; it may be better than its scores"
    ]


def _plain(preprocessing: Preprocessing, samples: Samples) -> NDArray[np.float32]:
    """Return the inputs without pieces: a baseline is the same however numbers are encoded."""
    kept = preprocessing.plain_inputs
    if len(kept) == len(preprocessing.inputs):
        return samples.inputs
    # In the order of rows, as without pieces, so that the baseline is the same bit for bit.
    return samples.inputs.take([*kept, samples.inputs.shape[1] - 1], axis=1)


OPTIONAL = ("logistic_regression", "logistic_passes")
"""The baselines that a large table lacks."""


def baseline_shapes(preprocessing: Preprocessing) -> dict[str, tuple[int, ...]]:
    """Return the shape of each baseline that goes with a preprocessing, `OPTIONAL` ones too."""
    width = preprocessing.target.width
    coefficients = (len(preprocessing.plain_inputs) + 1, width)
    if isinstance(preprocessing.target, ClassTarget):
        logistic = {"logistic_regression": coefficients, "logistic_passes": (2,)}
        return {"frequencies": (width,), **logistic}
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
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def score(
    preprocessing: Preprocessing, samples: Samples, predictions: NDArray[np.float64]
) -> Scores:
    """Return the overall scores of predictions in the units of the data."""
    if isinstance(preprocessing.target, ClassTarget):
        return metrics.classification_scores(samples.classes, predictions, samples.weights)
    return metrics.regression_scores(samples.values, predictions, samples.weights)


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
        values, weights = samples.values, samples.weights
        found += metrics.regression_scores_of_each(values, predictions, weights)
    return found


def evaluate_predictions(
    config: Config,
    preprocessing: Preprocessing,
    fitted: FittedBaselines,
    samples: Samples,
    predictions: NDArray[np.float64],
    members: Sequence[Scores] = (),
) -> Evaluation:
    """Return the scores overall, per target or class, and of the baselines, and the verdict."""
    others = baseline_predictions(preprocessing, fitted, samples)
    evaluation = evaluate_against(
        config,
        preprocessing,
        samples.targets,
        predictions,
        others,
        members,
        weights=samples.weights,
        clusters=samples.clusters,
    )
    odd = {"outside": dict(samples.outside), "unseen": dict(samples.unseen)}
    return evaluation.model_copy(update=odd)


def baseline_predictions(
    preprocessing: Preprocessing, fitted: FittedBaselines, samples: Samples
) -> dict[str, NDArray[np.float64]]:
    """Return the predictions of each baseline: values (N, T), or probabilities (N, C)."""
    target, rows = preprocessing.target, len(samples)
    inputs = _plain(preprocessing, samples)
    if isinstance(target, ClassTarget):
        found = {"majority_class": np.broadcast_to(fitted["frequencies"], (rows, target.width))}
        if (coefficients := fitted.get("logistic_regression")) is not None:
            found["logistic_regression"] = class_probabilities(coefficients, inputs)
        return found
    linear = baselines.LeastSquares(fitted["least_squares"]).predict(inputs)
    others = {name: np.tile(fitted[name], (rows, 1)) for name in ("mean", "median")}
    if samples.previous is not None:
        others["previous_value"] = np.tile(samples.previous[:, None], (1, target.width))
    return {**others, "least_squares": target.restore(linear)}


def is_in_order(config: Config) -> bool:
    """Whether the rows of a split are in the order of time, so that neighbours resemble another."""
    data = config.data
    if isinstance(data.split, KFoldSplit):
        return False
    has_thresholds = isinstance(data.split, ColumnSplit) and (
        data.split.validation_from is not None or data.split.test_from is not None
    )
    is_series = data.lags > 0 or data.order_by is not None
    return is_series or has_thresholds or data.split.method == "sequential"


def evaluate_against(
    config: Config,
    preprocessing: Preprocessing,
    truth: NDArray[np.float64] | NDArray[np.int64],
    predictions: NDArray[np.float64],
    others: Mapping[str, NDArray[np.float64]],
    members: Sequence[Scores] = (),
    *,
    weights: Weights,
    clusters: NDArray[np.int64] | None = None,
) -> Evaluation:
    """Score predictions and those of the baselines against values (N, T) or classes (N,).

    clusters: (N,), a number that rows which belong together share.
    """
    target = preprocessing.target
    confusion = None
    if isinstance(target, ClassTarget):
        classes = np.asarray(truth, np.int64)
        scores = metrics.classification_scores(classes, predictions, weights)
        targets = metrics.classification_scores_per_class(
            classes, predictions, target.labels, weights
        )
        scored = {
            name: metrics.classification_scores(classes, p, weights) for name, p in others.items()
        }
        known, predicted = classes >= 0, predictions.argmax(axis=1)
        table = metrics.confusion_matrix(classes[known], predicted[known], target.width)
        confusion = tuple(map(tuple, table.tolist()))
    else:
        values = np.asarray(truth, np.float64)
        scores = metrics.regression_scores(values, predictions, weights)
        targets = metrics.regression_scores_per_target(values, predictions, target.labels, weights)
        scored = {name: metrics.regression_scores(values, p, weights) for name, p in others.items()}
    assert config.loss is not None
    verdict = judge(
        metrics_to_judge(config.loss.type, truth),
        truth,
        {NETWORK: predictions, **others},
        {NETWORK: scores, **scored},
        weights=weights,
        clusters=clusters,
        is_ordered=is_in_order(config),
    )
    digest = hashlib.sha256(json.dumps(target.labels).encode())
    digest.update(np.ascontiguousarray(truth).data)
    if weights is not None:
        digest.update(np.ascontiguousarray(weights).data)
    return Evaluation(
        rows=len(truth),
        truth_sha256=digest.hexdigest(),
        scores=scores,
        baselines=scored,
        verdict=verdict,
        targets=targets,
        confusion=confusion,
        members=tuple(members),
    )
