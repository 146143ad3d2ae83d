"""The command `train`: config, table and network in, a run directory out.

What costs time to import comes in when it is needed: numpy once the config is known to be right,
torch once the column names are, so that a mistake in them is answered at once. The training itself
is left to `ml2021.session`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ml2021.config.differences import differences
from ml2021.config.loading import LoadedConfig, dump_yaml, load_config
from ml2021.console import Console, score_table
from ml2021.errors import (
    CheckpointError,
    ConfigError,
    RunInterruptedError,
    echo,
)
from ml2021.runs.directory import (
    RunDirectory,
    create_run,
    locked,
    open_run,
    read_json,
    refuse_used,
    remove_leftovers,
    write_json,
    write_text,
)
from ml2021.runs.files import is_there

if TYPE_CHECKING:
    from ml2021.crossvalidation import CrossValidation
    from ml2021.problem import LoadedProblem
    from ml2021.scoring import Report
    from ml2021.session import Session


def train(
    config: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    console: Console,
    *,
    is_reported: bool,
) -> Path:
    """Train as the config file says. Returns the run directory that was made.

    With `is_reported` the run gets a report to look at, once everything else is saved.
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

    from ml2021.problem import load_problem

    problem = load_problem(loaded.config, loaded.locate)
    _say_problem(console, problem)

    from ml2021.session import environment, start_session

    where = loaded.locate("model")
    session = start_session(problem, where, last=None, threads=None)
    run = create_run(run_dir, config.stem)
    with locked(run):
        refuse_used(run.path)  # by a process that was quicker than we were
        write_text(run.config, loaded.text)
        write_json(run.environment, environment(session))
        _train(session, run, console, is_reported=is_reported)
    return run.path


def resume(path: Path, overrides: Sequence[str], console: Console, *, is_reported: bool) -> Path:
    """Go on with a run, bit for bit as if it had not stopped. Only `train.epochs` may be raised."""
    run = open_run(path)
    if odd := [text for text in overrides if not text.startswith("train.epochs=")]:
        raise ConfigError(f"--set {odd[0]}: a run goes on with its own config but for train.epochs")
    loaded = load_config(run.resolved_config, overrides)
    with locked(run):
        _resume(run, loaded, overrides, console, is_reported=is_reported)
    return run.path


def _resume(
    run: RunDirectory,
    loaded: LoadedConfig,
    overrides: Sequence[str],
    console: Console,
    *,
    is_reported: bool,
) -> None:
    from ml2021.problem import load_problem
    from ml2021.runs.checkpoints import load_checkpoint
    from ml2021.saving import config_without_paths
    from ml2021.session import device_name, start_session

    recorded = read_json(run.environment)
    problem = load_problem(loaded.config, loaded.locate)
    for file, now, then in (
        (problem.data_path, problem.data_sha256, recorded.get("data_sha256")),
        (problem.config.data.test_path, problem.test_sha256, recorded.get("test_sha256")),
    ):
        if now != then:
            raise CheckpointError(
                f"{run.path}: {file} has changed since the run began, its SHA-256 is "
                f"{str(now)[:8]}… and was {str(then)[:8]}…; restore the file, or train anew"
            )
    if overrides and problem.folds is not None:
        raise ConfigError(
            f"--set {overrides[0]}: the folds say how long the final model is trained; train anew"
        )
    last = load_checkpoint(run.last) if is_there(run.last) else None
    if last is None and is_there(run.summary):  # as piecewise leaves it
        raise CheckpointError(
            f"{run.path}: was not trained, or its {run.last.name} is gone, so there is nothing to "
            f"go on with; train anew with --config {run.config}"
        )
    begun = last
    if last is None and is_there(run.fold_pack(1)):
        begun = load_checkpoint(run.fold_pack(1))
    if begun is not None:
        own, kept = config_without_paths(problem.config), begun.description.config
        if changed := [
            f"{loaded.locate(*keys)}: {what}; put it back, or train anew"
            for keys, what in differences(own, kept)
            if keys != ("train", "epochs")
        ]:
            raise CheckpointError(*changed)
        if begun.description.data_sha256 != problem.data_sha256:
            raise CheckpointError(
                f"{run.last}: was trained on other data than {problem.data_path}; train anew"
            )
    threads = recorded.get("threads")
    if type(threads) is not int or threads < 1:
        raise CheckpointError(f"{run.environment}: damaged, it names no number of threads")
    session = start_session(problem, loaded.locate("model"), last, threads)
    done, epochs = session.state.epoch, session.training.epochs
    if epochs < done:
        raise ConfigError(f"--set train.epochs={epochs}: the run has done {done}; name more")
    is_done = problem.folds is not None or session.state.is_finished(session.training)
    if is_done and is_there(run.summary):
        early = ", where early stopping ended it" if done < epochs else ""
        console.say(f"{run.path}: finished after {done} epochs{early}; nothing to do")
        if is_reported and not is_there(run.report):
            console.say(f"draw its report with: ml2021 report --run {run.path}")
        return
    where = f"after {done} of {epochs} epochs"
    if problem.folds is not None and last is None:
        where = "within its folds"
    console.say(f"going on with {run.path} {where}")
    if (device := device_name(session)) != (before := recorded.get("device")):
        console.say(
            f"it goes on on {device}, and was trained on {echo(before)} so far: it will not end "
            "with the same bits as a run on one device"
        )
    _train(session, run, console, is_reported=is_reported)


def _train(session: "Session", run: RunDirectory, console: Console, *, is_reported: bool) -> None:
    from ml2021.session import open_metrics, train_session
    from ml2021.signals import stop_signals

    with closing(open_metrics(session, run)) as metrics:
        remove_leftovers(run)
        run.summary.unlink(missing_ok=True)  # until this training has ended, there is none
        write_text(run.resolved_config, dump_yaml(session.problem.config))
        network, model = session.network, session.problem.config.model
        members = len(session.training.seeds)
        console.say(
            f"training {f'{members} members of ' if members > 1 else ''}{model.type}, "
            f"{' → '.join(map(str, network.layout.sizes))} "
            f"({network.layout.parameters:,} parameters), on {session.state.theta.device}, "
            f"{session.training.batches(len(session.train))} updates an epoch"
        )
        found = None
        if session.problem.folds is not None:
            with _stopped_late(run, "between two steps of its folds; what is trained of them"):
                found = _cross_validate(session, run, console)
        with _stopped_late(run, "while the trained run was scored; it"):
            reports, summary = train_session(session, run, metrics, console)
            if found is not None:
                summary["cross_validation"] = found.to_json()
                reports["held-out"] = found.pooled
            write_json(run.summary, summary)
    with stop_signals() as stop_signal:  # all is saved: what follows is only said and drawn
        _say_results(session, run, reports, console)
        if is_reported:
            _report(session, run, console, stop_signal)


@contextmanager
def _stopped_late(run: RunDirectory, when: str) -> Iterator[None]:
    """Say how to go on where a signal comes while nothing is trained: all that was is saved."""
    from ml2021.signals import StoppedError

    try:
        yield
    except StoppedError as stop:
        raise RunInterruptedError(
            stop.signal_number,
            f"stopped {when} is saved, go on with: ml2021 train --resume {run.path}",
        ) from None


def _cross_validate(session: "Session", run: RunDirectory, console: Console) -> "CrossValidation":
    """Train the folds and say what they came to; make the session that of the final model."""
    from ml2021.crossvalidation import cross_validate

    found = cross_validate(session, run, console)
    session.become_final(found.final_epochs, found.residuals())
    title = f"{found.pooled.rows:,} rows, each held out once"
    console.say("", *score_table(title, found.means, found.errors))
    console.say(f"mean ± standard error over {len(found.folds)} folds", "")
    console.say(
        f"the final model: on all {len(session.train):,} rows, for {found.final_epochs} epochs, "
        "the median of the folds' best"
    )
    return found


def _say_results(
    session: "Session", run: RunDirectory, reports: Mapping[str, "Report"], console: Console
) -> None:
    """Print the scores, and what they say."""
    from ml2021.report.diagnosis import diagnose, say
    from ml2021.report.evidence import evidence_of
    from ml2021.report.gathering import read_history

    parts = ("test", "held-out", "validation", "train")
    part = next(part for part in parts if part in reports)
    report = reports[part]
    console.say(*_endings(session), "")
    if part != "held-out":  # which the folds have told
        title = f"{report.rows:,} {part} rows"
        console.say(*score_table(title, report.table()), "")
    console.say(*score_table("network on", {name: r.scores for name, r in reports.items()}), "")
    problem, parameters = session.problem, session.network.layout.parameters
    history = read_history(run)
    evidence = evidence_of(problem.config, problem.preprocessing, reports, history, parameters)
    console.say(*say(diagnose(evidence), run))


def _report(
    session: "Session",
    run: RunDirectory,
    console: Console,
    stop_signal: Callable[[], int | None],
) -> None:
    """Write the report of a run that is saved: whatever befalls it, the run has ended well.

    Raises RunInterruptedError after a signal.
    """
    from ml2021.report.ending import draw_last
    from ml2021.report.gathering import from_training
    from ml2021.report.writing import write_report

    def draw() -> None:
        write_report(run, from_training(run, session.problem), stop_signal)

    draw_last(draw, run.report, "run", console)


def _endings(session: "Session") -> list[str]:
    """Say how long was trained, which epochs were the best, and which members have diverged."""
    state, seeds = session.state, session.training.seeds
    fine = (state.diverged == 0).tolist()
    best = [str(epoch) for epoch, kept in zip(state.best_epoch.tolist(), fine, strict=True) if kept]
    lines = [f"{state.epoch} epochs; best parameters from epoch {', '.join(best)}"]
    if gone := [str(seed) for seed, kept in zip(seeds, fine, strict=True) if not kept]:
        lines.append(
            f"{len(gone)} of {len(seeds)} members diverged and are left out: seed {', '.join(gone)}"
        )
    return lines


def _say_problem(console: Console, problem: "LoadedProblem") -> None:
    """Say what was understood of config and table, before the time is spent."""
    from ml2021.description import describe_problem

    console.say("config, with every default:")
    console.say(*(f"  {line}" for line in dump_yaml(problem.config).splitlines()))
    console.say(*describe_problem(problem))
