"""The baselines of a training table: fitted to its samples, and their predictions for others.

Legend: N rows, F inputs, T outputs or classes.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ml2021.config.schema import Config
from ml2021.data.preprocessing.checks import LARGEST
from ml2021.data.preprocessing.records import ClassTarget, Preprocessing, RealTargets
from ml2021.data.samples import Samples
from ml2021.data.weights import weighted_median
from ml2021.disk import columns_of, kept
from ml2021.evaluation import baselines
from ml2021.evaluation.logistic import affordable, class_probabilities, fit_logistic_regression
from ml2021.evaluation.metrics import ClassAnswers, class_answers, joined_answers, row_blocks

FittedBaselines = dict[str, NDArray[np.float64]]
"""What the baselines need. For numbers the mean and median (T,), and the coefficients (F + 1, T) of
least squares on standardised targets. For classes their frequencies (C,), and of logistic
regression the coefficients (F + 1, C), the passes over the rows, and 1 if it converged, else 0."""


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
    target, inputs = preprocessing.target, _plain(preprocessing, train.inputs)
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


def _plain(preprocessing: Preprocessing, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the inputs without pieces: a baseline is the same however numbers are encoded."""
    plain = preprocessing.plain_inputs
    if len(plain) == len(preprocessing.inputs):
        return inputs
    # In the order of rows, as without pieces, so that the baseline is the same bit for bit.
    return columns_of(inputs, [*plain, inputs.shape[1] - 1])


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


_LARGEST_COEFFICIENT = 1e60
"""Far above any that is fitted to standardised inputs; the square of an error stays finite."""


def impossible_baseline(fitted: FittedBaselines) -> str | None:
    """Return the name of a baseline that could not have been fitted; None if there is none.

    Their shapes are those of `baseline_shapes`, or stacked.
    """
    for name, values in fitted.items():
        largest = _LARGEST_COEFFICIENT if name in ("least_squares", *OPTIONAL) else LARGEST
        if not (np.abs(values) <= largest).all():  # nor is NaN
            return name
    shares = fitted.get("frequencies")
    if shares is not None and not ((shares >= 0).all() and (abs(shares.sum(-1) - 1) < 1e-6).all()):
        return "frequencies"
    return None


def baseline_predictions(
    preprocessing: Preprocessing, fitted: FittedBaselines, samples: Samples
) -> Mapping[str, NDArray[np.float64] | ClassAnswers]:
    """Return the predictions of each baseline: values (N, T), or answers for classes."""
    target, rows = preprocessing.target, len(samples)
    inputs = _plain(preprocessing, samples.inputs)
    if isinstance(target, ClassTarget):
        found = {"majority_class": class_answers(samples.classes, fitted["frequencies"][None])}
        if (coefficients := fitted.get("logistic_regression")) is not None:
            blocks = [
                class_answers(
                    samples.classes[block], class_probabilities(coefficients, inputs[block])
                )
                for block in row_blocks(rows, target.width)
            ]
            found["logistic_regression"] = joined_answers(blocks)
        return found
    linear = baselines.LeastSquares(fitted["least_squares"]).predict(inputs)
    others = {name: kept(np.tile(fitted[name], (rows, 1))) for name in ("mean", "median")}
    if samples.previous is not None:
        others["previous_value"] = kept(np.tile(samples.previous[:, None], (1, target.width)))
    return {**others, "least_squares": kept(target.restore(linear))}


def linear_predictions(
    preprocessing: Preprocessing, fitted: FittedBaselines, inputs: NDArray[np.float32]
) -> NDArray[np.float64] | None:
    """Return what least squares (N, T) or logistic regression (N, C) predicts; None without it."""
    plain = _plain(preprocessing, inputs)
    if isinstance(preprocessing.target, ClassTarget):
        coefficients = fitted.get("logistic_regression")
        return None if coefficients is None else class_probabilities(coefficients, plain)
    solution = baselines.LeastSquares(fitted["least_squares"])
    return preprocessing.target.restore(solution.predict(plain))
