"""What a diagnosis rests on: errors, and which differences between them are significant."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ml2021.config import schema
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing
from ml2021.evaluation.metrics import Scores
from ml2021.evaluation.scoring import SPLITS, Evaluation
from ml2021.formatting import HIGHER_IS_BETTER
from ml2021.runs.metrics_csv import History

CLEARLY = 0.02
"""By which share an error must be lower than another to count as lower."""
MANY = 0.1
"""Which share of the rows is many: by chance, hardly any exceeds the range of other rows."""
LEAST_GAP = 0.1
"""By which share an error must exceed the training error to count as overfitting."""


EARLY = 0.1
"""The share of the trained epochs that is the very start of training."""
EARLY_OF_BUDGET = 0.05
"""The same of the epochs that were configured: early stopping may have left few."""


@dataclass(frozen=True)
class EarlyBest:
    """A best epoch at the very start: of how many, and the losses there and at the end.

    Each pair of losses is that at the best parameters and that of the last epoch. The training loss
    of an epoch is a mean over its updates, so the lower one of the best epoch and the next counts.
    """

    epoch: int
    epochs: int
    training: tuple[float, float]
    validation: tuple[float, float]

    @property
    def is_memorising(self) -> bool:
        """Whether the training loss went on falling while the validation loss did not.

        That one cannot have, as its lowest value chose the best epoch.
        """
        before, after = self.training
        return after < before * (1 - CLEARLY)


@dataclass(frozen=True)
class Evidence:
    """What a diagnosis rests on.

    metric: the one that decides the verdict. evaluations: by split. inputs, parameters: how many
    the network has. lowest_training: the lowest training loss of any epoch as a value of the
    metric, None if the two do not correspond. is_falling: whether the last of the configured epochs
    was the best. is_rising: whether the training loss ended higher than it began. early: a best
    epoch at the very start; None for a later one.
    """

    config: schema.Config
    metric: str
    evaluations: Mapping[str, Evaluation]
    inputs: int
    parameters: int
    best_epoch: int
    lowest_training: float | None
    is_falling: bool
    is_rising: bool = False
    early: EarlyBest | None = None


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
        # The loss is in the units of the data then: MAE itself, or the square of RMSE.
        least = float(np.nanmin(history.training))
        lowest = {"mae": least, "mse": math.sqrt(least)}.get(loss)
    return Evidence(
        config=config,
        metric=deciding_metric(evaluations),
        evaluations=evaluations,
        inputs=len(preprocessing.plain_inputs),
        parameters=parameters,
        best_epoch=history.best_epoch,
        lowest_training=lowest,
        is_falling=history.validation is not None and history.best_epoch == config.train.epochs,
        is_rising=len(history.training) > 1 and history.training[-1] > history.training[0],
        early=_early_best(history, config.train.epochs),
    )


def _early_best(history: History, budget: int) -> EarlyBest | None:
    """Return the best epoch if it is at the very start.

    None if both losses merely stay where they were: then training had arrived. None also where a
    metric chose it, which says little of the losses.
    """
    if history.validation is None or history.criterion is not None or not len(history.epochs):
        return None
    best, last = history.best_epoch, int(history.epochs[-1])
    place = int(np.searchsorted(history.epochs, best))
    if best == last or best > max(EARLY * last, EARLY_OF_BUDGET * budget):
        return None
    training = float(history.training[place : place + 2].min()), float(history.training[-1])
    validation = float(history.validation[place]), float(history.validation[-1])
    if all(abs(after - before) <= CLEARLY * before for before, after in (training, validation)):
        return None
    return EarlyBest(best, last, training, validation)


def deciding_metric(evaluations: Mapping[str, Evaluation]) -> str:
    """Return the metric of the verdict, so that the diagnosis does not contradict it."""
    scored = (evaluations[split].verdict for split in SPLITS if split in evaluations)
    return next((verdict.decides.metric for verdict in scored if verdict is not None), "rmse")


def error_of(metric: str, scores: Scores) -> float | None:
    """Return a score as an error, lower is better: for accuracy the share of wrong rows."""
    value = scores[metric]
    return None if value is None else 1 - value if metric in HIGHER_IS_BETTER else value


def best_baseline(metric: str, evaluation: Evaluation) -> tuple[str, float]:
    """Return the name and the error of the best baseline; ∞ if all are undefined."""
    errors = {name: error_of(metric, scores) for name, scores in evaluation.baselines.items()}
    known = [(name, math.inf if error is None else error) for name, error in errors.items()]
    return min(known, key=lambda pair: pair[1])


def is_worse(metric: str, expected: float, evaluation: Evaluation) -> bool:
    """Whether an error exceeds the expected one significantly, and by enough to matter."""
    error, verdict = error_of(metric, evaluation.scores), evaluation.verdict
    if error is None or verdict is None:
        return False
    found = (each.error for each in (verdict.decides, *verdict.others) if each.metric == metric)
    is_share = metric in HIGHER_IS_BETTER
    # A share of 0 or 1 has a standard error, too: as if one row were different.
    own = max(next(found, math.inf), 1 / evaluation.rows if is_share else 0.0)
    least = 0.01 if is_share else LEAST_GAP * expected
    return error - expected > max(least, 2 * own)


def are_harder(metric: str, ratio: float, there: Evaluation) -> bool:
    """Whether a `difficulty_ratio` is more than chance: the baselines drift, not only the network.

    An error that chance has changed by that factor would be significantly worse, too.
    """
    error = error_of(metric, there.scores)
    return error is not None and is_worse(metric, error / ratio, there)


def linear_baseline(evaluation: Evaluation) -> str | None:
    """Return the name of the linear baseline; None where it was left out."""
    names = ("least_squares", "logistic_regression")
    return next((name for name in names if name in evaluation.baselines), None)


def difficulty_ratio(metric: str, here: Evaluation, there: Evaluation, inputs: int) -> float:
    """Return the factor, at least 1, by which the rows `there` are harder for every baseline.

    Later rows of a series can be: an increase that all baselines share is no overfitting. The
    linear one alone decides if it has at least ten rows `here` per input, since it cannot overfit
    much then.
    """
    factors = {}
    for name, scores in here.baselines.items():
        before, after = error_of(metric, scores), error_of(metric, there.baselines[name])
        if before and after is not None:
            factors[name] = after / before
    least = min(factors.values(), default=1.0)
    if here.rows >= 10 * (inputs + 1):
        least = max(least, factors.get(linear_baseline(here) or "", 1.0))
    return max(1.0, least)
