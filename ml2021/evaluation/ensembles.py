"""Ensembles: the mean of the members' predictions, and their standard deviation.

The errors of members trained from different seeds cancel out in part (deep ensembles:
Lakshminarayanan, Pritzel and Blundell 2017, arXiv:1612.01474). A single network is an ensemble of
one, whose mean is its own prediction, bit for bit.

Legend: K members, N rows, F inputs, T outputs or classes, P parameters.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ml2021.config.schema import Config
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing
from ml2021.data.samples import Samples
from ml2021.engine.inference import are_finite, member_outputs
from ml2021.engine.networks import Network
from ml2021.errors import DivergenceError
from ml2021.evaluation.fitted_baselines import FittedBaselines
from ml2021.evaluation.metrics import (
    ClassAnswers,
    class_answers,
    joined_answers,
    regression_scores,
    row_blocks,
    scores_of_answers,
)
from ml2021.evaluation.scoring import Evaluation, Predictions, evaluate_predictions, to_predictions

Predict = Callable[[NDArray[np.float32]], Iterable[NDArray[np.float64]]]
"""Inputs (N, F + 1) -> the predictions of each member: values (N, T), or probabilities (N, C)."""


def combine(
    predictions: Iterable[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the mean (N, T) and the standard deviation (N, T) of the members' predictions.

    The deviation is the sample's, with K − 1, by Welford's recurrence; None for a single member.
    """
    members = iter(predictions)
    mean = next(members)
    squares, count = None, 1
    for count, prediction in enumerate(members, 2):
        step = prediction - mean
        mean = mean + step / count
        product = step * (prediction - mean)
        squares = product if squares is None else squares + product
    return mean, None if squares is None else np.sqrt(squares / (count - 1))


def evaluate_members(
    predict: Predict,
    config: Config,
    preprocessing: Preprocessing,
    fitted: FittedBaselines,
    samples: Samples,
) -> tuple[Evaluation, Predictions]:
    """Evaluate the mean of the members' predictions, and each member alone; return the mean too.

    Of classes the probabilities of a block of rows are in memory at a time.
    """
    mean: Predictions
    if isinstance(preprocessing.target, ClassTarget):
        mean, each = _class_answers(predict, samples, preprocessing.target.width)
        alone = [scores_of_answers(member, samples.weights) for member in each]
        return evaluate_predictions(config, preprocessing, fitted, samples, mean, alone), mean
    members = iter(predict(samples.inputs))
    first, second = next(members), next(members, None)
    if second is None:
        return evaluate_predictions(config, preprocessing, fitted, samples, first), first
    alone = []

    def scored() -> Iterator[NDArray[np.float64]]:
        for prediction in chain((first, second), members):
            alone.append(regression_scores(samples.values, prediction, samples.weights))
            yield prediction

    mean, _ = combine(scored())
    return evaluate_predictions(config, preprocessing, fitted, samples, mean, alone), mean


def _class_answers(
    predict: Predict, samples: Samples, width: int
) -> tuple[ClassAnswers, list[ClassAnswers]]:
    """Return the answers of the members' mean, and of each of several members."""
    means, alone = [], []
    for rows in row_blocks(len(samples), width):
        classes = samples.classes[rows]
        own: list[ClassAnswers] = []
        mean, _ = combine(_answered(predict(samples.inputs[rows]), classes, own))
        means.append(class_answers(classes, mean) if len(own) > 1 else own[0])
        alone.append(own)
    each = [joined_answers(member) for member in zip(*alone, strict=True)]
    return joined_answers(means), each if len(each) > 1 else []


def _answered(
    predictions: Iterable[NDArray[np.float64]],
    classes: NDArray[np.int64],
    answers: list[ClassAnswers],
) -> Iterator[NDArray[np.float64]]:
    """Yield the predictions, and append the answers of each."""
    for prediction in predictions:
        answers.append(class_answers(classes, prediction))
        yield prediction


def trained_predictions(
    network: Network, theta: Tensor, preprocessing: Preprocessing, inputs: NDArray[np.float32]
) -> Iterator[NDArray[np.float64]]:
    """Yield the prediction (N, T) of each member of θ (K, P) for rows of its training table.

    Raises DivergenceError if an output is not a finite number.
    """
    for raw in member_outputs(network, theta, inputs):
        if not are_finite(raw):
            raise DivergenceError(
                "training diverged: the network's output is not a finite number; "
                "try a smaller optimizer.lr, or train.clip_norm"
            )
        yield to_predictions(preprocessing, raw)
