"""The diagnosis of a run: underfitting, poor optimisation or overfitting, and what to try next."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ml2021.config import schema
from ml2021.evaluation.scoring import Evaluation, best_available
from ml2021.evaluation.verdict import FEW_ROWS
from ml2021.formatting import HIGHER_IS_BETTER, echo, heading, number, plural, score_text
from ml2021.inspection.evidence import (
    CLEARLY,
    LEAST_GAP,
    MANY,
    Evidence,
    are_harder,
    best_baseline,
    difficulty_ratio,
    error_of,
    is_worse,
    linear_baseline,
)
from ml2021.inspection.next_command import next_command
from ml2021.runs.directory import RunDirectory
from ml2021.runs.summary import read_environment

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


def _found(finding: Finding, why: str, advice: str, *settings: str) -> Diagnosis:
    return Diagnosis(finding, (f"{finding.capitalize()}: {why}", advice), settings)


def _inconclusive(why: str, *advice: str) -> Diagnosis:
    return Diagnosis("inconclusive", (f"Not enough evidence for a diagnosis: {why}.", *advice))


def _overfitting(evidence: Evidence, why: str) -> Diagnosis:
    """Return what helps against overfitting, the most reliable first; one of it as a setting.

    On nine tables, eight of them real, a quarter of the units lowered the test error on four, and
    ten times the weight decay on four; see `_surest` for what did better.
    """
    config, rows = evidence.config, evidence.evaluations["train"].split_rows
    means = f"fewer parameters ({evidence.parameters:,} for {rows:,} rows), more weight decay"
    if config.train.early_stopping is None:
        means += ", early stopping"
    surest = _surest(config)
    if isinstance(config.model, schema.Linear):
        setting = f"optimizer.weight_decay={max(10 * config.optimizer.weight_decay, 0.01):g}"
    elif surest is None:
        setting = _resized(config.model, lambda units: max(1, units // 4))
    else:
        means, setting = f"{surest.what}, {means}", surest.setting
    return _found("overfitting", why, f"Next: more rows, {means}, or fewer columns.", setting)


class _Remedy(NamedTuple):
    what: str
    setting: str


def _surest(config: schema.Config) -> _Remedy | None:
    """Return what lowers the error of most tables, whatever else is found; None if it is done.

    Five members had a lower test error than one on nine tables of nine, and a preset than the one
    before it on the tables of tests/benchmarks/accuracy.md.
    """
    if isinstance(config.model, schema.Linear):  # it has a single optimum, whatever the seed
        return None
    is_filled = isinstance(config.model, schema.ReluStack) and not config.data.lags
    if is_filled and config.preset != "best":
        better = "best" if config.preset == "default" else "default"
        return _Remedy(f"a more thorough preset ({better})", f"preset={better}")
    if config.train.members == 1:
        return _Remedy("an ensemble (train.members)", "train.members=5")
    return None


def _larger_model(config: schema.Config) -> str:
    """Return the setting of a more flexible model."""
    if isinstance(config.model, schema.Linear):
        return "model=relu_stack"
    return _resized(config.model, lambda units: 2 * units)


def _resized(model: schema.SigmoidSum | schema.ReluStack, resize: Callable[[int], int]) -> str:
    """Return the setting that changes the number of units of each hidden layer."""
    if isinstance(model, schema.SigmoidSum):
        return f"model.units={resize(model.units)}"
    return f"model.widths={[resize(width) for width in model.widths]}"


def diagnose(evidence: Evidence) -> Diagnosis:
    """Return what keeps this run from being better."""
    split = best_available(evidence.evaluations)
    evaluation = evidence.evaluations[split]
    if split == "train":
        first = "No rows were held out, so these scores say nothing about new data."
    else:
        first = evaluation.verdict_words(split)
    found = (
        _diagnose_unfamiliar_rows(evidence)
        or _diagnose_training_error(evidence)
        or _diagnose_held_out_error(evidence)
    )
    return Diagnosis(found.finding, (first, *found.words), found.settings)


def _diagnose_training_error(evidence: Evidence) -> Diagnosis | None:
    """Explain a training error that is no better than the baselines'; None if it is better."""
    train, metric, config = evidence.evaluations["train"], evidence.metric, evidence.config
    error = error_of(metric, train.scores)
    if error is None:
        return _inconclusive(f"{heading(metric)} is undefined on the training rows")
    best, least = best_baseline(metric, train)
    if error < least * (1 - CLEARLY) or error == least == 0:
        return None
    figures = f"{heading(metric)} is {_compared(metric, train, best)} on the training rows"
    if evidence.is_rising:
        return _found(
            "optimisation",
            f"{figures}. The training loss ended higher than it began: the learning rate is too "
            "high.",
            "Next: a lower learning rate, or train.clip_norm.",
            f"optimizer.lr={config.optimizer.lr / 10:g}",
        )
    lowest = evidence.lowest_training
    if lowest is not None and lowest < least * (1 - 2 * CLEARLY):
        return _overfitting(
            evidence,
            f"{figures}. Training later reduced it to {number(lowest)}, but validation stopped "
            f"improving after epoch {evidence.best_epoch:,}, whose parameters are kept.",
        )
    if early := _diagnose_early_best(evidence):
        return early
    name = linear_baseline(train)
    linear = None if name is None else error_of(metric, train.baselines[name])
    is_beaten_by_linear = linear is not None and error > linear * (1 + CLEARLY)
    is_linear = isinstance(config.model, schema.Linear)
    # The linear baseline has the lowest loss, not the highest accuracy, of all linear functions.
    if is_beaten_by_linear and not (is_linear and metric in HIGHER_IS_BETTER):
        return _found(
            "optimisation",
            f"{figures}. The model can represent {_spaced(name)}, so capacity is not the limit; "
            "training has not reached it.",
            "Next: more epochs, or another learning rate.",
            f"train.epochs={3 * config.train.epochs}"
            if evidence.is_falling
            else f"optimizer.lr={3 * config.optimizer.lr:g}",
        )
    if is_linear:
        return _found(
            "model bias",
            f"{figures}. A linear model can hardly do better on these columns.",
            "Next: a more flexible model, or more informative columns.",
            _larger_model(config),
        )
    return _found(
        "model bias or optimisation",
        f"{figures}. These scores do not show which.",
        "Next: a larger model. If its training loss is lower, this one was too simple; if not, "
        "change the learning rate or the number of epochs, or the columns carry no more signal.",
        _larger_model(config),
    )


def _diagnose_held_out_error(evidence: Evidence) -> Diagnosis:
    """Compare held-out with training rows, given a training error well below the baselines'."""
    evaluations, metric, config = evidence.evaluations, evidence.metric, evidence.config
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
            f"scores on only {plural(held.rows, f'{split} row')} vary too much by chance",
            "Next: more rows, or larger held-out splits (data.split).",
        )
    figures = (
        f"{heading(metric)} is {score_text(metric, train.scores[metric])} on the training rows and "
        f"{score_text(metric, held.scores[metric])} on the {split} rows"
    )
    beside = ""
    if (name := linear_baseline(held)) is not None:
        before, after = (score_text(metric, e.baselines[name][metric]) for e in (train, held))
        beside = f"; {_spaced(name)} goes from {before} to {after}"
    ratio = difficulty_ratio(metric, train, held, evidence.inputs)
    if is_worse(metric, train_error * ratio, held):
        return _overfitting(evidence, f"{figures}{beside}.")
    if found := _diagnose_early_best(evidence) or _diagnose_lost_gain(evidence):
        return found
    if not _is_random(config, split) and is_worse(metric, train_error, held):
        if not are_harder(metric, ratio, held):
            return _inconclusive(
                f"{figures}{beside}; the baselines do not show whether this is overfitting or "
                f"{split} rows that differ",
                "Next: more rows, or other validation rows (data.split).",
            )
        return _found(
            "mismatch",
            f"{figures}{beside}. The {split} rows are harder for the baselines too, so the gap is "
            "not overfitting: these rows differ from the training rows.",
            "Next: training rows that resemble them (data.split), or columns that capture what "
            "has changed.",
        )
    if split == "validation" and "test" in evaluations and not _is_random(config, "test"):
        test = evaluations["test"]
        expected = error * difficulty_ratio(metric, held, test, evidence.inputs)
        if test.rows >= FEW_ROWS and is_worse(metric, expected, test):
            return _found(
                "mismatch",
                f"{figures}, but {score_text(metric, test.scores[metric])} on the test rows: these "
                "differ from the other rows.",
                "Next: validation rows that resemble the test rows (data.split), and training "
                "rows that cover both.",
            )
    surest = _surest(config)
    if evidence.is_falling:
        means, setting = "more epochs", f"train.epochs={2 * config.train.epochs}"
        if surest is not None:
            means, setting = f"{surest.what}, or more epochs", surest.setting
        words = (
            f"Fine so far: {figures}. The last epoch was the best, so more epochs may help.",
            f"Next: {means}.",
        )
        return Diagnosis("fine", words, (setting,))
    split = best_available(evaluations)
    verdict = evaluations[split].verdict
    if verdict is not None and verdict.outcome != "better":
        return _inconclusive(
            f"{figures}{beside}; the advantage on the {split} rows can be chance",
            _more_rows(evidence, split),
        )
    return _found(
        "fine",
        f"{figures}{beside}. Neither the training error nor the gap is large.",
        f"Next: {'' if surest is None else f'{surest.what}; '}a larger model, as long as the gap "
        "stays small; or more rows or columns.",
        _larger_model(config) if surest is None else surest.setting,
    )


def _diagnose_unfamiliar_rows(evidence: Evidence) -> Diagnosis | None:
    """Explain an error on rows of which many are outside of what training has seen."""
    metric, train = evidence.metric, evidence.evaluations["train"]
    if (train_error := error_of(metric, train.scores)) is None:
        return None
    for split in ("validation", "test"):
        held = evidence.evaluations.get(split)
        if held is None or held.rows < FEW_ROWS or _is_random(evidence.config, split):
            continue
        whats = (
            (held.outside, "outside the training range"),
            (held.unseen, "not seen in training"),
        )
        odd = [(n, name, what) for counts, what in whats for name, n in counts.items()]
        count, name, what = max(odd, default=(0, "", ""))
        if count < MANY * held.rows or not is_worse(metric, train_error, held):
            continue
        return _found(
            "mismatch",
            f"{heading(metric)} is {score_text(metric, train.scores[metric])} on the training rows "
            f"and {score_text(metric, held.scores[metric])} on the {split} rows, {count:,} of "
            f"which ({count / held.rows:.0%}) have a value of {echo(name)} {what}: the function "
            "has to go beyond what it was trained on.",
            f"Next: training rows that cover these values (data.split), or without {echo(name)} "
            "(data.exclude).",
        )
    return None


def _diagnose_early_best(evidence: Evidence) -> Diagnosis | None:
    """Explain a best epoch at the very start: what came after it did not help."""
    early = evidence.early
    if early is None:
        return None
    training, validation = (
        f"from {number(before)} to {number(after)}"
        for before, after in (early.training, early.validation)
    )
    figures = (
        f"the best epoch was {early.epoch:,} of {early.epochs:,}; after it the training loss went "
        f"{training}, the validation loss {validation}"
    )
    if early.is_memorising:
        return _overfitting(evidence, f"{figures}.")
    return _found(
        "optimisation",
        f"{figures}. Training did not get further: the learning rate is probably too high.",
        "Next: a lower learning rate.",
        f"optimizer.lr={evidence.config.optimizer.lr / 3:.2g}",
    )


def _is_random(config: schema.Config, split: str) -> bool:
    """Whether the rows of that split were drawn at random, so that they cannot differ in kind."""
    is_own_file = split == "test" and config.data.test_path is not None
    return not is_own_file and config.data.split.method not in ("sequential", "column")


def _diagnose_lost_gain(evidence: Evidence) -> Diagnosis | None:
    """Explain an advantage over the baselines that training rows show and held-out rows do not."""
    metric, train = evidence.metric, evidence.evaluations["train"]
    split = best_available(evidence.evaluations)
    held = evidence.evaluations[split]
    if held.verdict is None or held.verdict.decides.is_ahead:
        return None
    name = held.verdict.decides.baseline
    figures = (
        f"{heading(metric)} is {_compared(metric, train, name)} on the training rows and "
        f"{_compared(metric, held, name)} on the {split} rows"
    )
    error, before = error_of(metric, train.scores), error_of(metric, train.baselines[name])
    if error is not None and before is not None and error < before * (1 - LEAST_GAP):
        advantage = f"Its advantage over {name.replace('_', ' ')} does not carry over to new rows."
        return _overfitting(evidence, f"{figures}. {advantage}")
    reason = "the small advantage in training is lost on these rows"
    if held.verdict.outcome != "worse":
        reason = f"the difference on the {split} rows can be chance"
    return _inconclusive(f"{figures}; {reason}", _more_rows(evidence, split))


def _more_rows(evidence: Evidence, split: str) -> str:
    advice = "Next: more rows, or other columns."
    if _is_random(evidence.config, split):
        advice += " Another data.split.seed shows how much scores vary."
    return advice


def _spaced(name: str | None) -> str:
    return (name or "").replace("_", " ")


def _compared(metric: str, evaluation: Evaluation, baseline: str) -> str:
    """Return the network's score with a baseline's: 60.00 (least squares: 50.00)."""
    own, other = evaluation.scores[metric], evaluation.baselines[baseline][metric]
    baseline = baseline.replace("_", " ")
    return f"{score_text(metric, own)} ({baseline}: {score_text(metric, other)})"


def describe_diagnosis(diagnosis: Diagnosis, run: RunDirectory) -> list[str]:
    """Return the sentences, and the command to try next."""
    command = suggested_command(diagnosis, run)
    return [*diagnosis.words, *([] if command is None else [f"For example: {command}"])]


def suggested_command(diagnosis: Diagnosis, run: RunDirectory) -> str | None:
    """Return the command to try next, if there is one."""
    if not diagnosis.settings:
        return None
    return next_command(read_environment(run).command, str(run.config), diagnosis.settings)
