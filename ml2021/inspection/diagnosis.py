"""The diagnosis: too simple, not trained long enough, or overfitting, and what to try next."""

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
    best_trivial,
    chance,
    error_of,
    how_much_harder,
    is_worse,
    shown,
)
from ml2021.runs.directory import RunDirectory
from ml2021.runs.summary import read_environment


def against_overfitting(evidence: Evidence) -> str:
    """Return what helps against overfitting, the surest first."""
    rows = evidence.evaluations["train"].rows
    means = f"fewer parameters ({evidence.parameters:,} for {rows:,} rows), more weight decay"
    if _can_have_members(evidence.config):
        means = f"the mean of several networks (train.members), {means}"
    if evidence.config.train.early_stopping is None:
        means += ", early stopping"
    return f"Next: more rows, {means}, or fewer columns."


def _can_have_members(config: schema.Config) -> bool:
    """Whether several networks would differ: a linear model has one best, wherever it begins."""
    return config.train.members == 1 and not isinstance(config.model, schema.Linear)


def tamer(evidence: Evidence) -> tuple[str, ...]:
    """Return what overfits less. Of several networks each errs in its own way, and the mean less.

    On nine tables, eight of them real, five members had a lower test error than one on all nine, a
    quarter of the units on four, and ten times the weight decay on four.
    """
    if _can_have_members(evidence.config):
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


def larger(evidence: Evidence) -> tuple[str, ...]:
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


def further(evidence: Evidence) -> tuple[str, ...]:
    """Return more epochs where the training loss was still falling, else a larger step."""
    if evidence.is_falling:
        return (f"train.epochs={3 * evidence.config.train.epochs}",)
    return (f"optimizer.lr={3 * evidence.config.optimizer.lr:g}",)


def smaller_steps(evidence: Evidence) -> tuple[str, ...]:
    """Return a tenth of the learning rate."""
    return (f"optimizer.lr={evidence.config.optimizer.lr / 10:g}",)


def next_command(command: Sequence[str], config_path: str, settings: Sequence[str]) -> str:
    """Return the command that trains anew with these settings.

    `command` is the command line of the run; where it names no config, `config_path` does.
    """
    path, overrides = config_path, []
    words = [part for word in command for part in _halves(word)]
    for flag, value in pairwise(words):
        if flag == "--config":
            path = value
        elif flag == "--set":
            overrides.append(value)
    changed = {setting.partition("=")[0] for setting in settings}
    kept = [text for text in overrides if text.partition("=")[0] not in changed]
    sets = [word for text in (*kept, *settings) for word in ("--set", text)]
    return shlex.join(["ml2021", "train", "--config", path, *sets])


def _halves(word: str) -> list[str]:
    """Return --config=a.yaml as its two words."""
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
    "cannot tell",
]


@dataclass(frozen=True)
class Diagnosis:
    """The finding, the sentences, and the settings of the run to try next: the values of --set."""

    finding: Finding
    words: tuple[str, ...]
    settings: tuple[str, ...] = ()


def diagnose(evidence: Evidence) -> Diagnosis:
    """Return what stands between this run and a better one."""
    part = best_available(evidence.evaluations)
    report = evidence.evaluations[part]
    if part == "train":
        first = "No row was held out, so these scores say nothing about new data."
    else:
        first = verdict(evidence.score, report.scores, report.baselines)
    found = _training_is_high(evidence) or _held_out_is_high(evidence)
    return Diagnosis(found.finding, (first, *found.words), found.settings)


def _training_is_high(evidence: Evidence) -> Diagnosis | None:
    """Look at the rows that it trained on: None where the network is clearly better there."""
    report = evidence.evaluations["train"]
    score, own = evidence.score, error_of(evidence.score, report.scores)
    if own is None:
        return _cannot_tell(f"{heading(score)} is undefined on the training rows")
    best, least = best_trivial(score, report)
    if own < least * (1 - CLEARLY) or own == least == 0:
        return None
    figures = (
        f"on the rows that it trained on, {heading(score)} is {shown(report.scores, score)}, and "
        f"{shown(report.baselines[best], score)} of {best.replace('_', ' ')}"
    )
    if evidence.is_rising:
        words = (
            f"Optimisation: {figures}. The training loss rose from the first epoch to the last: "
            "the steps are too large.",
            "Next: a smaller learning rate, or train.clip_norm.",
        )
        return Diagnosis("optimisation", words, smaller_steps(evidence))
    lowest = evidence.lowest_training
    if lowest is not None and lowest < least * (1 - 2 * CLEARLY):
        words = (
            f"Overfitting: {figures}. Training went on to {number(lowest)}, but from epoch "
            f"{evidence.best_epoch:,} on that no longer helped on validation rows, so the "
            "parameters of that epoch are kept.",
            against_overfitting(evidence),
        )
        return Diagnosis("overfitting", words, tamer(evidence))
    linear = error_of(score, report.baselines["least_squares"])
    is_beaten_by_linear = linear is not None and own > linear * (1 + CLEARLY)
    # Least squares minimises squares: only of numbers is it a bound for a linear model's error.
    is_bound = score != "accuracy"
    if is_beaten_by_linear and (is_bound or not isinstance(evidence.config.model, schema.Linear)):
        words = (
            f"Optimisation: {figures}. This model can be every function that least squares can "
            "be, so it is not too simple: training did not find it.",
            "Next: more epochs, or another learning rate.",
        )
        return Diagnosis("optimisation", words, further(evidence))
    if isinstance(evidence.config.model, schema.Linear):
        words = (
            f"Model bias: {figures}. A linear model can hardly do better on these columns.",
            "Next: a more flexible model, or columns that say more about the target.",
        )
        return Diagnosis("model bias", words, ("model=relu_stack",))
    words = (
        f"Model bias or optimisation: {figures}. These scores do not tell which.",
        "Next: a larger model tells them apart. If it reaches a lower training loss, this one was "
        "too simple; if not, it is the training (the learning rate, more epochs), or the columns "
        "hold no more than that.",
    )
    return Diagnosis("model bias or optimisation", words, larger(evidence))


def _held_out_is_high(evidence: Evidence) -> Diagnosis:
    """Look at the rows held out, given that training is well below the trivial answers."""
    evaluations, score = evidence.evaluations, evidence.score
    train = evaluations["train"]
    parts = ("validation", "held-out", "test")
    part = next((part for part in parts if part in evaluations), None)
    if part is None:
        return _cannot_tell(
            "the training loss is low, and without validation or test rows nothing shows "
            "overfitting",
            "Next: hold rows out by data.split.",
        )
    held = evaluations[part]
    own, there = error_of(score, train.scores), error_of(score, held.scores)
    if own is None or there is None:
        return _cannot_tell(f"{heading(score)} is undefined on the {part} rows")
    if held.rows < FEW_ROWS:
        return _cannot_tell(
            f"{held.rows} {part} rows are too few: chance alone moves their scores as much",
            "Next: more rows, or a larger share of them for data.split.",
        )
    figures = (
        f"{heading(score)} is {shown(train.scores, score)} on the rows that it trained on, and "
        f"{shown(held.scores, score)} on {part} rows"
    )
    harder = how_much_harder(score, train, held, evidence.inputs)
    beside = _beside(score, train, held)
    if is_worse(score, own * harder, there, held.rows):
        words = (f"Overfitting: {figures}{beside}.", against_overfitting(evidence))
        return Diagnosis("overfitting", words, tamer(evidence))
    if carried := _carries_over(evidence):
        return carried
    if is_worse(score, own, there, held.rows) and not _is_drawn_alike(evidence.config, part):
        words = (
            f"Mismatch: {figures}{beside}. The {part} rows are harder for a model that cannot "
            "have learned its rows by heart too, so the gap is no overfitting: they are of "
            "another kind, or later.",
            "Next: training rows that are like them, by data.split, or columns that say what "
            "has changed.",
        )
        return Diagnosis("mismatch", words)
    if part == "validation" and "test" in evaluations:
        test = evaluations["test"]
        later = error_of(score, test.scores)
        harder = how_much_harder(score, held, test, evidence.inputs)
        is_enough = test.rows >= FEW_ROWS
        is_later = not _is_drawn_alike(evidence.config, "test") and is_enough
        if later is not None and is_later and is_worse(score, there * harder, later, test.rows):
            words = (
                f"Mismatch: {figures}, but {shown(test.scores, score)} on test rows: they are of "
                "another kind than the others, or later.",
                "Next: validation rows that are like the test rows, by data.split, and training "
                "rows that cover both.",
            )
            return Diagnosis("mismatch", words)
    if evidence.is_falling:
        words = (
            f"Fine so far: {figures}. The last epoch was the best, so more of them may help.",
            "Next: more epochs.",
        )
        return Diagnosis("fine", words, (f"train.epochs={2 * evidence.config.train.epochs}",))
    words = (
        f"Fine: {figures}{beside}. Neither the training loss nor the gap stands out.",
        "Next: a larger model, as long as the gap stays small; more rows or columns.",
    )
    return Diagnosis("fine", words, larger(evidence))


def _is_drawn_alike(config: schema.Config, part: str) -> bool:
    """Whether chance alone says which rows are in that part: they cannot be of another kind."""
    is_own_file = part == "test" and config.data.test_path is not None
    split = config.data.split
    return not is_own_file and split is not None and split.method not in ("sequential", "column")


def _carries_over(evidence: Evidence) -> Diagnosis | None:
    """Look at whether what was gained over the trivial answers in training is gained elsewhere."""
    score, train = evidence.score, evidence.evaluations["train"]
    part = best_available(evidence.evaluations)
    held = evidence.evaluations[part]
    name, best = best_trivial(score, held)
    own, there = error_of(score, train.scores), error_of(score, held.scores)
    if own is None or there is None or there < best:
        return None
    before = error_of(score, train.baselines[name])
    gained = before is not None and own < before * (1 - LEAST_GAP)
    rival = name.replace("_", " ")
    figures = (
        f"{heading(score)} is {shown(train.scores, score)} on the rows that it trained on, where "
        f"{rival} has {shown(train.baselines[name], score)}, and {shown(held.scores, score)} on "
        f"{part} rows, where {rival} has {shown(held.baselines[name], score)}"
    )
    if gained:
        words = (
            f"Overfitting: {figures}. What it learned beyond {rival} does not carry over.",
            against_overfitting(evidence),
        )
        return Diagnosis("overfitting", words, tamer(evidence))
    difference = 2 * chance(score, there, held.rows)
    reason = "it gained little in training, and lost it here"
    if there - best <= difference:
        reason = f"with {held.rows:,} rows a difference of {number(difference)} is chance"
    following = "Next: more rows, or other columns."
    if _is_drawn_alike(evidence.config, part):
        following += " Another data.split.seed shows how much scores move."
    return _cannot_tell(f"{figures}; {reason}", following)


def _cannot_tell(why: str, following: str = "") -> Diagnosis:
    words = (f"What to improve, these scores cannot tell: {why}.", following)
    return Diagnosis("cannot tell", tuple(word for word in words if word))


def _beside(score: str, train: Evaluation, held: Evaluation) -> str:
    """Return how least squares fares from the one to the other."""
    before, after = (shown(r.baselines["least_squares"], score) for r in (train, held))
    return f"; least squares goes from {before} to {after}"


def say(diagnosis: Diagnosis, run: RunDirectory) -> list[str]:
    """Return the sentences, and the command to try next."""
    lines = list(diagnosis.words)
    if diagnosis.settings:
        words = read_environment(run).command
        lines.append(f"For example: {next_command(words, str(run.config), diagnosis.settings)}")
    return lines
