"""Scores of a network beside those of the baselines, on the same rows and in the same units.

The checkpoint keeps the fitted baselines, so that any other file can be scored against them too.

Legend: K members, N rows, F inputs, T outputs or classes.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import stdev
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ml2021.config.schema import ColumnSplit, Config, KFoldSplit
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing, RealTargets, Record
from ml2021.data.samples import Samples
from ml2021.data.weights import Weights
from ml2021.disk import kept
from ml2021.evaluation import metrics
from ml2021.evaluation.confusion import Confusion
from ml2021.evaluation.fitted_baselines import FittedBaselines, baseline_predictions
from ml2021.evaluation.metrics import (
    CLASS_METRICS,
    REAL_METRICS,
    ClassAnswers,
    Scores,
    class_answers,
    joined_answers,
    row_blocks,
)
from ml2021.evaluation.verdict import NETWORK, Verdict, judge, metrics_to_judge
from ml2021.formatting import plural

_NUMBERS_AT_ONCE = 1 << 18
"""Predictions scored at once: all members of a small table, one of a large one."""
Predictions = NDArray[np.float64] | ClassAnswers
"""Values (N, T) in the units of the data, or what is scored of probabilities (N, C)."""
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

    targets: the scores of each target, or of each class. confusion: of classes. members: where the
    prediction is the mean of several members', the scores of each alone. outside, unseen: as those
    of `Samples`. sampled_from: the rows of the split, where only some of them are scored.
    """

    targets: dict[str, Scores]
    confusion: Confusion | None = None
    members: tuple[Scores, ...] = ()
    outside: dict[str, int] = Field(default_factory=dict)
    unseen: dict[str, int] = Field(default_factory=dict)
    sampled_from: Annotated[int, Field(ge=0)] | None = None

    @property
    def split_rows(self) -> int:
        """The number of rows of the split, scored or not."""
        return self.rows if self.sampled_from is None else self.sampled_from

    @model_validator(mode="after")
    def _check_shapes(self) -> Self:
        if not self.targets or len({tuple(scores) for scores in self.targets.values()}) > 1:
            raise ValueError("targets that are not scored alike")
        if any(tuple(scores) != tuple(self.scores) for scores in self.members):
            raise ValueError("members that are not scored like their mean")
        if self.confusion is not None and sum(self.confusion.rows) > self.rows:
            raise ValueError("a confusion of more rows than there are")
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


def to_predictions(
    preprocessing: Preprocessing, outputs: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return outputs (N, T) in the units of the data, or as probabilities (N, C).

    The outputs stay as they are. Values may also be those of several members, (K, N, T).
    """
    wide = outputs.astype(np.float64)
    target = preprocessing.target
    if isinstance(target, RealTargets):
        return kept(target.restore(wide))
    wide -= wide.max(axis=1, keepdims=True)  # in place: of many classes these arrays are large
    np.exp(wide, out=wide)
    wide /= wide.sum(axis=1, keepdims=True)
    return wide


def score_each(
    preprocessing: Preprocessing, samples: Samples, outputs: NDArray[np.floating[Any]]
) -> list[Scores]:
    """Return the overall scores of each member's outputs (K, N, T), some members at a time."""
    if isinstance(preprocessing.target, ClassTarget):
        return [
            metrics.scores_of_answers(
                answers_of(samples.classes, own.shape[1], partial(_block, preprocessing, own)),
                samples.weights,
            )
            for own in outputs
        ]
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, samples.values.size))
    found: list[Scores] = []
    for begin in range(0, len(outputs), at_once):
        predictions = to_predictions(preprocessing, outputs[begin : begin + at_once])
        values, weights = samples.values, samples.weights
        found += metrics.regression_scores_of_each(values, predictions, weights)
    return found


def _block(
    preprocessing: Preprocessing, outputs: NDArray[np.floating[Any]], rows: slice
) -> NDArray[np.float64]:
    return to_predictions(preprocessing, outputs[rows])


def answers_of(
    classes: NDArray[np.int64], width: int, probabilities_of: Callable[[slice], NDArray[np.float64]]
) -> ClassAnswers:
    """Return the answers for rows of classes (N,), whose probabilities are made in blocks of rows.

    width: how many classes there are.
    """
    return joined_answers(
        [
            class_answers(classes[rows], probabilities_of(rows))
            for rows in row_blocks(len(classes), width)
        ]
    )


def scores_by_split(evaluations: Mapping[str, Evaluation]) -> dict[str, Scores]:
    """Return the scores by the name of the split, with the number of rows where it is a sample."""
    sampled = {split for split, each in evaluations.items() if each.sampled_from is not None}
    return {
        f"{split}, {each.rows:,} rows" if split in sampled else split: each.scores
        for split, each in evaluations.items()
    }


def evaluate_predictions(
    config: Config,
    preprocessing: Preprocessing,
    fitted: FittedBaselines,
    samples: Samples,
    predictions: Predictions,
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


def _scores(
    truth: NDArray[np.float64] | NDArray[np.int64], predictions: Predictions, weights: Weights
) -> Scores:
    if isinstance(predictions, ClassAnswers):
        return metrics.scores_of_answers(predictions, weights)
    return metrics.regression_scores(np.asarray(truth, np.float64), predictions, weights)


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
    predictions: Predictions,
    others: Mapping[str, Predictions],
    members: Sequence[Scores] = (),
    *,
    weights: Weights,
    clusters: NDArray[np.int64] | None = None,
) -> Evaluation:
    """Score predictions and those of the baselines against values (N, T) or classes (N,).

    They are values (N, T), or answers for these classes. clusters: (N,), a number that rows which
    belong together share.
    """
    target = preprocessing.target
    confusion = None
    scored = {name: _scores(truth, each, weights) for name, each in others.items()}
    scores = _scores(truth, predictions, weights)
    if isinstance(predictions, ClassAnswers):
        targets = metrics.scores_per_class(predictions, target.labels, weights)
        confusion = Confusion.of(predictions.truth, predictions.predicted, target.width)
    else:
        values = np.asarray(truth, np.float64)
        targets = metrics.regression_scores_per_target(values, predictions, target.labels, weights)
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
    return Evaluation(
        rows=len(truth),
        truth_sha256=truth_digest(target.labels, truth, weights),
        scores=scores,
        baselines=scored,
        verdict=verdict,
        targets=targets,
        confusion=confusion,
        members=tuple(members),
    )


def truth_digest(
    labels: Sequence[str], truth: NDArray[np.float64] | NDArray[np.int64], weights: Weights
) -> str:
    """Return the SHA-256 of values (N, T) or classes (N,), and of the rows' weights."""
    digest = hashlib.sha256(json.dumps(labels).encode())
    digest.update(np.ascontiguousarray(truth).data)
    if weights is not None:
        digest.update(np.ascontiguousarray(weights).data)
    return digest.hexdigest()
