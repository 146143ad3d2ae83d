"""What a diagnosis rests on: scores as errors, and how much of a difference is chance."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ml2021.config import schema
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing
from ml2021.evaluation.metrics import Scores, verdict_metric
from ml2021.evaluation.scoring import Evaluation
from ml2021.formatting import number
from ml2021.runs.metrics_csv import History

FEW_ROWS = 20
"""From fewer rows than that, chance alone makes any difference."""

CLEARLY = 0.02
"""By how much, of an error, one answer has to be better than another to be called better."""

LEAST_GAP = 0.1
"""How much larger than in training an error may be before it is called overfitting."""


@dataclass(frozen=True)
class Evidence:
    """What a diagnosis rests on.

    score: the one that decides. reports: the scores by part, beside those of the trivial answers.
    lowest_training: the lowest training loss of any epoch in the unit of that score, if it has one.
    is_falling: whether the best epoch is the last of all that were asked for.
    is_rising: whether the training loss ended higher than it began.
    """

    config: schema.Config
    score: str
    evaluations: Mapping[str, Evaluation]
    inputs: int
    parameters: int
    best_epoch: int
    lowest_training: float | None
    is_falling: bool
    is_rising: bool = False


def evidence_of(
    config: schema.Config,
    preprocessing: Preprocessing,
    evaluations: Mapping[str, Evaluation],
    history: History,
    parameters: int,
) -> Evidence:
    """Return the evidence of a run whose training rows have been scored."""
    assert config.loss is not None
    target, loss = preprocessing.target, config.loss.type
    lowest = None
    if len(history.epochs) and not isinstance(target, ClassTarget) and target.common_scale:
        # The loss is in the units of the data then, and one score is the same number.
        least = float(np.nanmin(history.training))
        lowest = {"mae": least, "mse": math.sqrt(least)}.get(loss)
    return Evidence(
        config=config,
        score=verdict_metric(loss),
        evaluations=evaluations,
        inputs=len(preprocessing.inputs),
        parameters=parameters,
        best_epoch=history.best_epoch,
        lowest_training=lowest,
        is_falling=history.validation is not None and history.best_epoch == config.train.epochs,
        is_rising=len(history.training) > 1 and history.training[-1] > history.training[0],
    )


def error_of(score: str, scores: Scores) -> float | None:
    """Return a score as an error, the lower the better: the share of wrong rows for accuracy."""
    value = scores[score]
    return None if value is None else 1 - value if score == "accuracy" else value


def best_trivial(score: str, report: Evaluation) -> tuple[str, float]:
    """Return the name and the error of the best trivial answer; ∞ where none has one."""
    errors = {name: error_of(score, scores) for name, scores in report.baselines.items()}
    known = {name: math.inf if error is None else error for name, error in errors.items()}
    name = min(known, key=lambda name: known[name])
    return name, known[name]


def shown(scores: Scores, score: str) -> str:
    """Return a score as people read it."""
    return number(scores[score])


def chance(score: str, error: float, rows: int) -> float:
    """Return the standard error of a mean error over that many rows.

    Of a share it is √(p(1 − p) / N). Of |y − ŷ| and of √mean (y − ŷ)² it depends on how the errors
    are spread; what is taken here is that of errors with somewhat longer tails than normal ones.
    """
    if score == "accuracy":
        return math.sqrt(max(error * (1 - error), 1 / rows) / rows)
    return error * (0.8 if score == "mae" else 1.0) / math.sqrt(rows)


def is_worse(score: str, expected: float, error: float, rows: int) -> bool:
    """Whether an error is above the expected one by more than chance, and by enough to matter."""
    least = 0.01 if score == "accuracy" else LEAST_GAP * expected
    return error - expected > max(least, 2 * chance(score, error, rows))


def how_much_harder(score: str, here: Evaluation, there: Evaluation, inputs: int) -> float:
    """Return the factor by which the rows `there` are harder for every trivial answer, at least 1.

    Later days of a series can be: what all answers suffer is no overfitting. Least squares of
    `inputs` inputs alone will do where it has ten rows `here` for each: it learned none by heart.
    """
    factors = {}
    for name, scores in here.baselines.items():
        before, after = error_of(score, scores), error_of(score, there.baselines[name])
        if before and after is not None:
            factors[name] = after / before
    least = min(factors.values(), default=1.0)
    if here.rows >= 10 * (inputs + 1):
        least = max(least, factors.get("least_squares", 1.0))
    return max(1.0, least)
