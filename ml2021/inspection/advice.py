"""What to try next: the settings of the next run, and the command for it."""

import shlex
from collections.abc import Sequence
from itertools import pairwise
from typing import assert_never

from ml2021.config import schema
from ml2021.inspection.evidence import Evidence


def against_overfitting(evidence: Evidence) -> str:
    """Return what helps against overfitting, the surest first."""
    rows = evidence.reports["train"].rows
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
