"""The diagnosis of a run: underfitting, poor optimisation or overfitting, and what to try next."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, assert_never

from ml2021.config import schema
from ml2021.evaluation.scoring import Evaluation, best_available
from ml2021.formatting import heading, number, verdict
from ml2021.inspection.evidence import (
    CLEARLY,
    FEW_ROWS,
    LEAST_GAP,
    Evidence,
    best_baseline,
    difficulty_ratio,
    error_of,
    is_worse,
    standard_error,
)
from ml2021.runs.directory import RunDirectory, read_json


def overfitting_advice(evidence: Evidence) -> str:
    """Return what helps against overfitting, the most reliable first."""
    rows = evidence.evaluations["train"].rows
    means = f"fewer parameters ({evidence.parameters:,} for {rows:,} rows), more weight decay"
    if _can_be_ensemble(evidence.config):
        means = f"an ensemble (train.members), {means}"
    if evidence.config.train.early_stopping is None:
        means += ", early stopping"
    return f"Next: more rows, {means}, or fewer columns."


def _can_be_ensemble(config: schema.Config) -> bool:
    """Whether members would differ: a linear model has a single optimum, whatever the seed."""
    return config.train.members == 1 and not isinstance(config.model, schema.Linear)


def regularised(evidence: Evidence) -> tuple[str, ...]:
    """Return the setting most likely to reduce overfitting.

    On nine tables, eight of them real, five members had a lower test error than one on all nine, a
    quarter of the units on four, and ten times the weight decay on four.
    """
    if _can_be_ensemble(evidence.config):
        return ("train.members=5",)
    model = evidence.config.model
    match model:
        case schema.Linear():
            decay = max(10 * evidence.config.optimizer.weight_decay, 0.01)
            return (f"optimizer.weight_decay={decay:g}",)
        case schema.SigmoidSum():
            return (f"model.units={max(1, model.units // 4)}",)
        case schema.ReluStack():
            return (f"model.widths={[max(1, width // 4) for width in model.widths]}",)
        case _:
            assert_never(model)


def larger_model(evidence: Evidence) -> tuple[str, ...]:
    """Return a more flexible model."""
    model = evidence.config.model
    match model:
        case schema.Linear():
            return ("model=relu_stack",)
        case schema.SigmoidSum():
            return (f"model.units={2 * model.units}",)
        case schema.ReluStack():
            return (f"model.widths={[2 * width for width in model.widths]}",)
        case _:
            assert_never(model)


def more_training(evidence: Evidence) -> tuple[str, ...]:
    """Return more epochs if the last was the best, else a higher learning rate."""
    if evidence.is_falling:
        return (f"train.epochs={3 * evidence.config.train.epochs}",)
    return (f"optimizer.lr={3 * evidence.config.optimizer.lr:g}",)


def lower_learning_rate(evidence: Evidence) -> tuple[str, ...]:
    """Return a tenth of the learning rate."""
    return (f"optimizer.lr={evidence.config.optimizer.lr / 10:g}",)


def next_command(command: Sequence[str], config_path: str, settings: Sequence[str]) -> str:
    """Return the command line of a new run with these settings.

    `command` is the command line of the run; if it names no config, `config_path` is used.
    """
    path, overrides = config_path, []
    words = [half for word in command for half in _option_and_value(word)]
    for flag, value in pairwise(words):
        if flag == "--config":
            path = value
        elif flag == "--set":
            overrides.append(value)
    changed = {setting.partition("=")[0] for setting in settings}
    kept = [text for text in overrides if text.partition("=")[0] not in changed]
    sets = [word for text in (*kept, *settings) for word in ("--set", text)]
    return shlex.join(["ml2021", "train", "--config", path, *sets])


def _option_and_value(word: str) -> list[str]:
    """Return --config=a.yaml as two words."""
    if word.startswith(("--config=", "--set=")):
        flag, _, value = word.partition("=")
        return [flag, value]
    return [word]


Finding = Literal[
    "model bias",
    "optimisation",
    "model bias or optimisation",
    "overfitting",
    "mismatch",
    "fine",
    "inconclusive",
]


@dataclass(frozen=True)
class Diagnosis:
    """The finding, the sentences that explain it, and the values of --set to try next."""

    finding: Finding
    words: tuple[str, ...]
    settings: tuple[str, ...] = ()


def diagnose(evidence: Evidence) -> Diagnosis:
    """Return what keeps this run from being better."""
    split = best_available(evidence.evaluations)
    evaluation = evidence.evaluations[split]
    if split == "train":
        first = "No rows were held out, so these scores say nothing about new data."
    else:
        first = verdict(evidence.metric, evaluation.scores, evaluation.baselines)
    found = _diagnose_training_error(evidence) or _diagnose_held_out_error(evidence)
    return Diagnosis(found.finding, (first, *found.words), found.settings)


def _diagnose_training_error(evidence: Evidence) -> Diagnosis | None:
    """Explain a training error that is no better than the baselines'; None if it is better."""
    train, metric = evidence.evaluations["train"], evidence.metric
    error = error_of(metric, train.scores)
    if error is None:
        return _inconclusive(f"{heading(metric)} is undefined on the training rows")
    best, least = best_baseline(metric, train)
    if error < least * (1 - CLEARLY) or error == least == 0:
        return None
    figures = f"{heading(metric)} is {_compared(metric, train, best)} on the training rows"
    if evidence.is_rising:
        words = (
            f"Optimisation: {figures}. The training loss ended higher than it began: the learning "
            "rate is too high.",
            "Next: a lower learning rate, or train.clip_norm.",
        )
        return Diagnosis("optimisation", words, lower_learning_rate(evidence))
    lowest = evidence.lowest_training
    if lowest is not None and lowest < least * (1 - 2 * CLEARLY):
        words = (
            f"Overfitting: {figures}. Training later reduced it to {number(lowest)}, but "
            f"validation stopped improving after epoch {evidence.best_epoch:,}, whose parameters "
            "are kept.",
            overfitting_advice(evidence),
        )
        return Diagnosis("overfitting", words, regularised(evidence))
    linear = error_of(metric, train.baselines["least_squares"])
    is_beaten_by_linear = linear is not None and error > linear * (1 + CLEARLY)
    # Least squares minimises squared errors, so it bounds a linear model's error only for numbers.
    is_bound = metric != "accuracy"
    if is_beaten_by_linear and (is_bound or not isinstance(evidence.config.model, schema.Linear)):
        words = (
            f"Optimisation: {figures}. The model can represent the least-squares fit, so capacity "
            "is not the limit; training has not reached it.",
            "Next: more epochs, or another learning rate.",
        )
        return Diagnosis("optimisation", words, more_training(evidence))
    if isinstance(evidence.config.model, schema.Linear):
        words = (
            f"Model bias: {figures}. A linear model can hardly do better on these columns.",
            "Next: a more flexible model, or more informative columns.",
        )
        return Diagnosis("model bias", words, ("model=relu_stack",))
    words = (
        f"Model bias or optimisation: {figures}. These scores do not show which.",
        "Next: a larger model. If its training loss is lower, this one was too simple; if not, "
        "change the learning rate or the number of epochs, or the columns carry no more signal.",
    )
    return Diagnosis("model bias or optimisation", words, larger_model(evidence))


def _diagnose_held_out_error(evidence: Evidence) -> Diagnosis:
    """Compare held-out with training rows, given a training error well below the baselines'."""
    evaluations, metric = evidence.evaluations, evidence.metric
    train = evaluations["train"]
    split = next((s for s in ("validation", "held-out", "test") if s in evaluations), None)
    if split is None:
        return _inconclusive(
            "the training error is low, but without validation or test rows overfitting cannot be "
            "detected",
            "Next: hold out rows with data.split.",
        )
    held = evaluations[split]
    train_error, error = error_of(metric, train.scores), error_of(metric, held.scores)
    if train_error is None or error is None:
        return _inconclusive(f"{heading(metric)} is undefined on the {split} rows")
    if held.rows < FEW_ROWS:
        return _inconclusive(
            f"scores on only {held.rows} {split} rows vary too much by chance",
            "Next: more rows, or larger held-out splits (data.split).",
        )
    figures = (
        f"{heading(metric)} is {number(train.scores[metric])} on the training rows and "
        f"{number(held.scores[metric])} on the {split} rows"
    )
    before, after = (number(e.baselines["least_squares"][metric]) for e in (train, held))
    beside = f"; least squares goes from {before} to {after}"
    ratio = difficulty_ratio(metric, train, held, evidence.inputs)
    if is_worse(metric, train_error * ratio, error, held.rows):
        words = (f"Overfitting: {figures}{beside}.", overfitting_advice(evidence))
        return Diagnosis("overfitting", words, regularised(evidence))
    if lost := _diagnose_lost_gain(evidence):
        return lost
    is_shifted = not _is_random(evidence.config, split)
    if is_shifted and is_worse(metric, train_error, error, held.rows):
        words = (
            f"Mismatch: {figures}{beside}. The {split} rows are harder for the baselines too, so "
            "the gap is not overfitting: these rows differ from the training rows.",
            "Next: training rows that resemble them (data.split), or columns that capture what "
            "has changed.",
        )
        return Diagnosis("mismatch", words)
    if split == "validation" and "test" in evaluations:
        test = evaluations["test"]
        test_error = error_of(metric, test.scores)
        ratio = difficulty_ratio(metric, held, test, evidence.inputs)
        is_shifted = not _is_random(evidence.config, "test") and test.rows >= FEW_ROWS
        if (
            is_shifted
            and test_error is not None
            and is_worse(metric, error * ratio, test_error, test.rows)
        ):
            words = (
                f"Mismatch: {figures}, but {number(test.scores[metric])} on the test rows: these "
                "differ from the other rows.",
                "Next: validation rows that resemble the test rows (data.split), and training "
                "rows that cover both.",
            )
            return Diagnosis("mismatch", words)
    if evidence.is_falling:
        words = (
            f"Fine so far: {figures}. The last epoch was the best, so more epochs may help.",
            "Next: more epochs.",
        )
        return Diagnosis("fine", words, (f"train.epochs={2 * evidence.config.train.epochs}",))
    words = (
        f"Fine: {figures}{beside}. Neither the training error nor the gap is large.",
        "Next: a larger model, as long as the gap stays small; or more rows or columns.",
    )
    return Diagnosis("fine", words, larger_model(evidence))


def _is_random(config: schema.Config, split: str) -> bool:
    """Whether the rows of that split were drawn at random, so that they cannot differ in kind."""
    is_own_file = split == "test" and config.data.test_path is not None
    section = config.data.split
    return (
        not is_own_file and section is not None and section.method not in ("sequential", "column")
    )


def _diagnose_lost_gain(evidence: Evidence) -> Diagnosis | None:
    """Explain an advantage over the baselines that training rows show and held-out rows do not."""
    metric, train = evidence.metric, evidence.evaluations["train"]
    split = best_available(evidence.evaluations)
    held = evidence.evaluations[split]
    name, best = best_baseline(metric, held)
    train_error, error = error_of(metric, train.scores), error_of(metric, held.scores)
    if train_error is None or error is None or error < best:
        return None
    figures = (
        f"{heading(metric)} is {_compared(metric, train, name)} on the training rows and "
        f"{_compared(metric, held, name)} on the {split} rows"
    )
    before = error_of(metric, train.baselines[name])
    if before is not None and train_error < before * (1 - LEAST_GAP):
        words = (
            f"Overfitting: {figures}. Its advantage over {name.replace('_', ' ')} does not carry "
            "over to new rows.",
            overfitting_advice(evidence),
        )
        return Diagnosis("overfitting", words, regularised(evidence))
    difference = 2 * standard_error(metric, error, held.rows)
    reason = "the small advantage in training is lost on these rows"
    if error - best <= difference:
        reason = f"with {held.rows:,} rows a difference of {number(difference)} can be chance"
    advice = "Next: more rows, or other columns."
    if _is_random(evidence.config, split):
        advice += " Another data.split.seed shows how much scores vary."
    return _inconclusive(f"{figures}; {reason}", advice)


def _compared(metric: str, evaluation: Evaluation, baseline: str) -> str:
    """Return the network's score with a baseline's: 60.00 (least squares: 50.00)."""
    own, other = evaluation.scores[metric], evaluation.baselines[baseline][metric]
    return f"{number(own)} ({baseline.replace('_', ' ')}: {number(other)})"


def _inconclusive(why: str, advice: str = "") -> Diagnosis:
    words = (f"Not enough evidence for a diagnosis: {why}.", advice)
    return Diagnosis("inconclusive", tuple(word for word in words if word))


def describe_diagnosis(diagnosis: Diagnosis, run: RunDirectory) -> list[str]:
    """Return the sentences, and the command to try next."""
    lines = list(diagnosis.words)
    if diagnosis.settings:
        command = read_json(run.environment).get("command")
        words = [str(word) for word in command] if isinstance(command, list) else []
        lines.append(f"For example: {next_command(words, str(run.config), diagnosis.settings)}")
    return lines
