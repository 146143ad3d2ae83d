"""The command `train`: config, table and network in, a run directory out.

What costs time to import comes in when it is needed: numpy once the config is known to be right,
torch once the column names are, so that a mistake in them is answered at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ml2021.config.loading import LoadedConfig, dump_yaml, load_config
from ml2021.console import Console
from ml2021.errors import ConfigError, RunInterruptedError
from ml2021.files import replace_file
from ml2021.formatting import score_table
from ml2021.runs.directory import (
    RunDirectory,
    create_run,
    locked,
    open_run,
    refuse_used,
    remove_leftovers,
    write_json,
    write_text,
)
from ml2021.signals import StoppedError, stop_signals

if TYPE_CHECKING:
    from ml2021.data.load import TrainingData
    from ml2021.evaluation.scoring import Evaluation
    from ml2021.training.cross_validation import CrossValidation
    from ml2021.training.init_from import InitialModel
    from ml2021.training.trainer import Trainer


def train(
    config: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    init_from: Path | None,
    console: Console,
    *,
    with_report: bool,
) -> Path:
    """Train as the config file says. Returns the run directory that was made.

    With `init_from` it begins with the best parameters of that run. With `with_report` the run gets
    a report to look at, once everything else is saved.
    """
    loaded = load_config(config, overrides)
    if loaded.config.sweep is not None:
        raise ConfigError(
            f"{loaded.locate('sweep')}: train makes one run; for all of them: "
            f"ml2021 sweep --config {config}; for the config alone: --set sweep=null"
        )
    if run_dir is not None:
        data = loaded.config.data
        tables = [Path(path) for path in (data.path, data.test_path) if path is not None]
        refuse_used(run_dir, [config, *tables])

    start = None if init_from is None else _read_start(init_from, loaded)

    from ml2021.data.load import load_training_data

    if start is None:
        problem = load_training_data(loaded.config, loaded.locate)
    else:
        problem = load_training_data(loaded.config, loaded.locate, start.choose)
        problem = replace(problem, init_sha256=start.sha256)
    _say_problem(console, problem)

    from ml2021.training.trainer import build_trainer, environment

    theta = None if start is None else start.model.theta
    trainer = build_trainer(problem, loaded.locate("model"), None, None, theta)
    run = create_run(run_dir, config.stem)
    with locked(run):
        refuse_used(run.path)  # by a process that was quicker than we were
        write_text(run.config, loaded.text)
        write_json(run.environment, environment(trainer))
        run.init.unlink(missing_ok=True)  # of a run that was killed before it had begun
        if start is not None:
            replace_file(run.init, start.content)
            _say_start(console, problem, start)
        train_and_report(trainer, run, console, with_report=with_report)
    return run.path


def _read_start(path: Path, loaded: LoadedConfig) -> "InitialModel":
    """Return the best parameters of the run at `path`, held against the config."""
    from ml2021.data.resolve import check_columns

    source = open_run(path)
    check_columns(loaded.config, loaded.locate)

    from ml2021.training.init_from import load_initial_model

    start = load_initial_model(source.best, str(path))
    start.check_config(loaded.config)
    return start


def _say_start(console: Console, problem: "TrainingData", start: "InitialModel") -> None:
    """Say what training begins with."""
    console.say(f"beginning with the best parameters of {start.name}, and with its preprocessing")
    if start.has_seen(problem):
        console.say(
            "they come from this very table, split otherwise: they may have been trained on rows "
            "that are held out here, and the scores then say too much good"
        )


def _say_problem(console: Console, problem: "TrainingData") -> None:
    """Say what was understood of config and table, before the time is spent."""
    from ml2021.data.load import describe

    console.say("config, with every default:")
    console.say(*(f"  {line}" for line in dump_yaml(problem.config).splitlines()))
    console.say(*describe(problem))


def train_and_report(
    trainer: "Trainer", run: RunDirectory, console: Console, *, with_report: bool
) -> None:
    """Train the rest of a run, whose lock is held, and keep and say what it came to.

    Raises RunInterruptedError after a signal, wherever it came; what was trained is saved.
    """
    from ml2021.training.trainer import open_metrics, train_and_score

    with closing(open_metrics(trainer, run)) as metrics:
        remove_leftovers(run)
        run.summary.unlink(missing_ok=True)  # until this training has ended, there is none
        write_text(run.resolved_config, dump_yaml(trainer.data.config))
        network, model = trainer.network, trainer.data.config.model
        members = len(trainer.hparams.seeds)
        console.say(
            f"training {f'{members} members of ' if members > 1 else ''}{model.type}, "
            f"{' → '.join(map(str, network.layout.sizes))} "
            f"({network.layout.parameters:,} parameters), on {trainer.state.theta.device}, "
            f"{trainer.hparams.batches(len(trainer.train))} updates an epoch"
        )
        found = None
        if trainer.data.folds is not None:
            with _stopped_late(run, "between two steps of its folds; what is trained of them"):
                found = _cross_validate(trainer, run, console)
        with _stopped_late(run, "while the trained run was scored; it"):
            evaluations, summary = train_and_score(trainer, run, metrics, console)
            if found is not None:
                summary["cross_validation"] = found.to_json()
                evaluations["held-out"] = found.pooled
            write_json(run.summary, summary)
    with stop_signals() as stop_signal:  # all is saved: what follows is only said and drawn
        _say_results(trainer, run, evaluations, console)
        if with_report:
            _report(trainer, run, console, stop_signal)
    if (late := stop_signal()) is not None:
        raise RunInterruptedError(late, f"stopped when all was done: {run.path} is saved")


@contextmanager
def _stopped_late(run: RunDirectory, when: str) -> Iterator[None]:
    """Say how to go on where a signal comes while nothing is trained: all that was is saved."""
    try:
        yield
    except StoppedError as stop:
        raise RunInterruptedError(
            stop.signal_number,
            f"stopped {when} is saved, go on with: ml2021 train --resume {run.path}",
        ) from None


def _cross_validate(trainer: "Trainer", run: RunDirectory, console: Console) -> "CrossValidation":
    """Train the folds and say what they came to; make the session that of the final model."""
    from ml2021.training.cross_validation import cross_validate

    found = cross_validate(trainer, run, console)
    trainer.become_final(found.final_epochs, found.residuals())
    title = f"{found.pooled.rows:,} rows, each held out once"
    console.say("", *score_table(title, found.means, found.errors))
    console.say(f"mean ± standard error over {len(found.folds)} folds", "")
    console.say(
        f"the final model: on all {len(trainer.train):,} rows, for {found.final_epochs} epochs, "
        "the median of the folds' best"
    )
    return found


def _say_results(
    trainer: "Trainer", run: RunDirectory, evaluations: Mapping[str, "Evaluation"], console: Console
) -> None:
    """Print the scores, and what they say."""
    if console.quiet:
        return

    from ml2021.evaluation.scoring import best_available
    from ml2021.inspection.diagnosis import describe_diagnosis, diagnose
    from ml2021.inspection.evidence import evidence_of
    from ml2021.runs.metrics_csv import read_metrics

    part = best_available(evaluations)
    report = evaluations[part]
    console.say(*_endings(trainer), "")
    if part != "held-out":  # which the folds have told
        title = f"{report.rows:,} {part} rows"
        console.say(*score_table(title, report.table()), "")
    console.say(*score_table("network on", {name: r.scores for name, r in evaluations.items()}), "")
    data, parameters = trainer.data, trainer.network.layout.parameters
    history = read_metrics(run)
    evidence = evidence_of(data.config, data.preprocessing, evaluations, history, parameters)
    console.say(*describe_diagnosis(diagnose(evidence), run))


def _report(
    trainer: "Trainer",
    run: RunDirectory,
    console: Console,
    stop_signal: Callable[[], int | None],
) -> None:
    """Write the report of a run that is saved: whatever befalls it, the run has ended well.

    Raises RunInterruptedError after a signal.
    """
    from ml2021.report.contents import from_training
    from ml2021.report.write import finish_with_report, write_report

    def draw() -> None:
        write_report(run, from_training(run, trainer.data), stop_signal)

    finish_with_report(draw, run.report, "run", console)


def _endings(trainer: "Trainer") -> list[str]:
    """Say how long was trained, which epochs were the best, and which members have diverged."""
    state, seeds = trainer.state, trainer.hparams.seeds
    fine = (state.diverged == 0).tolist()
    best = [str(epoch) for epoch, kept in zip(state.best_epoch.tolist(), fine, strict=True) if kept]
    lines = [f"{state.epoch} epochs; best parameters from epoch {', '.join(best)}"]
    if gone := [str(seed) for seed, kept in zip(seeds, fine, strict=True) if not kept]:
        lines.append(
            f"{len(gone)} of {len(seeds)} members diverged and are left out: seed {', '.join(gone)}"
        )
    return lines
