"""The command `train`: config, table and network in, a run directory out.

What comes before the first update is in `ml2021.commands.prepare`.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ml2021.commands.from_table import how_to_go_on, name_of
from ml2021.commands.prepare import Prepared, describe_training, prepare
from ml2021.config.loading import dump_yaml
from ml2021.console import VERDICT_COLOURS, Console
from ml2021.errors import RunInterruptedError
from ml2021.files import replace_file
from ml2021.formatting import plural, score_table
from ml2021.runs.content import write_text
from ml2021.runs.directory import (
    RunDirectory,
    create_run,
    locked,
    refuse_used,
    remove_leftovers,
    run_name,
)
from ml2021.signals import StoppedError, stop_signals

if TYPE_CHECKING:
    from ml2021.runs.summary import FoldScores, RunSummary
    from ml2021.training.trainer import Trainer


def train(
    source: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    init_from: Path | None,
    console: Console,
    *,
    with_report: bool,
    is_table: bool = False,
    target: Sequence[str] | None = None,
) -> Path:
    """Train as a config says, or on a table with the defaults. Returns the new run's directory.

    source: the config, or the table if `is_table`, with `target` as in `load_table_config`.
    init_from: a run whose best parameters training starts from. with_report: write report.html,
    once everything else is saved.
    """
    prepared = prepare(
        source, overrides, run_dir, init_from, console.say, is_table=is_table, target=target
    )
    if console.verbose:
        every = dump_yaml(prepared.trainer.data.config).splitlines()
        console.say("config, with every default:", *every)
    run = create_run(run_dir, name_of(source) if is_table else run_name(source))
    console.say(f"run {run.path}; every key with its value: {run.resolved_config}")
    write_run(prepared, run, console, with_report=with_report)
    if is_table:
        console.say(how_to_go_on(run))
    return run.path


def write_run(
    prepared: Prepared, run: RunDirectory, console: Console, *, with_report: bool
) -> None:
    """Train what is prepared, into the directory of a new run. Raises as `finish` does."""
    loaded, initial, trainer = prepared.loaded, prepared.initial, prepared.trainer
    from ml2021.runs.summary import write_record
    from ml2021.training.trainer import environment

    with locked(run):
        refuse_used(run.path)  # by a process that was quicker than we were
        write_text(run.config, loaded.text)
        write_record(run.environment, environment(trainer))
        run.init.unlink(missing_ok=True)  # of a run that was killed before it had begun
        if initial is not None:
            replace_file(run.init, initial.content)
            console.say(
                f"starting from the best parameters of {initial.name} (and its preprocessing)"
            )
            if initial.has_seen(trainer.data):
                console.say(
                    "warning: those parameters were trained on this table with a different split, "
                    "so held-out scores may be optimistic"
                )
        finish(trainer, run, console, with_report=with_report)


def finish(trainer: "Trainer", run: RunDirectory, console: Console, *, with_report: bool) -> None:
    """Train the rest of a run, whose lock is held; save and print what it scored, and its report.

    Raises RunInterruptedError after a signal, whenever it came; what was trained is saved.
    """
    from ml2021.runs.summary import write_record
    from ml2021.training.final_model import train_and_score
    from ml2021.training.trainer import open_metrics

    resume = f"Resume with: ml2021 train --resume {run.path}"
    with closing(open_metrics(trainer, run)) as metrics:
        remove_leftovers(run)
        run.summary.unlink(missing_ok=True)  # until this training has ended, there is none
        write_text(run.resolved_config, dump_yaml(trainer.data.config))
        if trainer.data.config.train.tensorboard:
            metrics.write_events(run.tensorboard)
        console.say(describe_training(trainer))
        if trainer.ranks is not None:
            from ml2021.training.duration import describe_ranks

            trainer.ranks.remedy = f"r{resume[1:]}"
            console.say(describe_ranks(trainer, trainer.ranks))
        folds = None
        if trainer.data.folds is not None:
            with interrupted(f"interrupted during cross-validation; progress is saved. {resume}"):
                folds = _cross_validate(trainer, run, console)
        with interrupted(f"interrupted while the trained run was scored; it is saved. {resume}"):
            summary = train_and_score(trainer, run, metrics, console)
            summary = summary.model_copy(update={"cross_validation": folds})
            write_record(run.summary, summary)
    with stop_signals() as stop_signal:  # all is saved: what follows is only printed and drawn
        _say_results(trainer, run, summary, console)
        if with_report:
            from ml2021.commands.report import finish_with_report

            def draw() -> None:  # matplotlib may fail from its import on
                from ml2021.report.contents import from_training
                from ml2021.report.write import write_report

                write_report(run, from_training(run, trainer.data), stop_signal)

            finish_with_report(draw, run.report, "run", console)
    if (late := stop_signal()) is not None:
        raise RunInterruptedError(
            late, f"interrupted after training had finished; {run.path} is complete"
        )


@contextmanager
def interrupted(line: str) -> Iterator[None]:
    """Raise RunInterruptedError with that line for a signal that comes between two saves."""
    try:
        yield
    except StoppedError as stop:
        raise RunInterruptedError(stop.signal_number, line) from None


def _cross_validate(trainer: "Trainer", run: RunDirectory, console: Console) -> "FoldScores":
    """Train the folds and print their scores; make the trainer that of the final model."""
    from ml2021.training.cross_validation import cross_validate

    scores = cross_validate(trainer, run, console)
    console.say("", *score_table(f"{scores.rows:,} rows, each held out once", *scores.tables()))
    console.say(f"mean ± standard error over {scores.folds} folds", "")
    console.say(
        f"the final model: trained on all {len(trainer.train):,} rows for "
        f"{plural(scores.final_epochs, 'epoch')}, the median of the folds' best"
    )
    return scores


def _say_results(
    trainer: "Trainer", run: RunDirectory, summary: "RunSummary", console: Console
) -> None:
    """Print the scores and the diagnosis."""
    if console.quiet:
        return

    from ml2021.evaluation.scoring import best_available, scores_by_split
    from ml2021.inspection.diagnosis import describe_diagnosis, diagnose
    from ml2021.inspection.evidence import evidence_of
    from ml2021.runs.metrics_csv import read_metrics

    evaluations = summary.evaluations
    split = best_available(evaluations)
    console.say(*_endings(trainer), "")
    if split != "held-out":  # those are printed when the folds are done
        evaluation = evaluations[split]
        console.say(*score_table(plural(evaluation.rows, f"{split} row"), evaluation.table()), "")
    console.say(*score_table("network on", scores_by_split(evaluations)), "")
    data, parameters = trainer.data, trainer.network.layout.parameters
    history = read_metrics(run, data.config.train.metric, summary.best_epochs)
    evidence = evidence_of(data.config, data.preprocessing, evaluations, history, parameters)
    first, *others = describe_diagnosis(diagnose(evidence), run)
    verdict = evaluations[split].verdict
    console.say(first, colour=VERDICT_COLOURS[verdict.outcome] if verdict else None)
    console.say(*others)


def _endings(trainer: "Trainer") -> list[str]:
    """Say how long training took, which epochs were the best, and which members diverged."""
    state, seeds = trainer.state, trainer.hparams.seeds
    fine = (state.diverged == 0).tolist()
    best = [str(epoch) for epoch, kept in zip(state.best_epoch.tolist(), fine, strict=True) if kept]
    epochs = f"{'epoch' if len(best) == 1 else 'epochs'} {', '.join(best)}"
    metric = trainer.data.config.train.metric
    chosen = "" if metric == "loss" else f", by {metric}"
    lines = [f"{plural(state.epoch, 'epoch')}; best parameters from {epochs}{chosen}"]
    if len(best) < len(seeds):
        lost = [str(seed) for seed, kept in zip(seeds, fine, strict=True) if not kept]
        what = "seed" if len(lost) == 1 else "seeds"
        lines.append(f"ensemble members that diverged and are left out: {what} {', '.join(lost)}")
    return lines
