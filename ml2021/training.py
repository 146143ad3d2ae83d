"""A run from its session to its report: trained, scored, kept, said, drawn.

Where the session comes from, a config or a run that was stopped, is for `ml2021.train`. Folds and
reports are imported when it is their turn, so that a run without them does not wait.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ml2021.config.loading import dump_yaml
from ml2021.console import Console, score_table
from ml2021.errors import RunInterruptedError
from ml2021.runs.directory import RunDirectory, remove_leftovers, write_json, write_text
from ml2021.scoring import Report
from ml2021.session import Session, open_metrics, train_session
from ml2021.signals import StoppedError, stop_signals

if TYPE_CHECKING:
    from ml2021.crossvalidation import CrossValidation


def train_run(session: Session, run: RunDirectory, console: Console, *, is_reported: bool) -> None:
    """Train the rest of a run, whose lock is held, and keep and say what it came to.

    Raises RunInterruptedError after a signal, wherever it came; what was trained is saved.
    """
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


def _cross_validate(session: Session, run: RunDirectory, console: Console) -> "CrossValidation":
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
    session: Session, run: RunDirectory, reports: Mapping[str, Report], console: Console
) -> None:
    """Print the scores, and what they say."""
    if console.quiet:
        return

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
    session: Session,
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


def _endings(session: Session) -> list[str]:
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
