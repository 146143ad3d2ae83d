"""What is kept of a run that has ended as the member of a pack: its result, and its directory."""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ml2021.config.loading import dump_yaml, to_plain
from ml2021.engine.fit import divergence
from ml2021.epochs import metrics_columns
from ml2021.errors import DivergenceError
from ml2021.runs.directory import MetricsFile, RunDirectory, write_json, write_text
from ml2021.saving import Checkpoints
from ml2021.scoring import Report
from ml2021.session import environment, residuals, summarise
from ml2021.sweeps.directory import SweepDirectory
from ml2021.sweeps.results import Result
from ml2021.sweeps.training import EndedMember


def result_of(run: int, member: EndedMember) -> tuple[Result, Mapping[str, Any]]:
    """Return how a run ended, and its summary; an empty one if it diverged."""
    session = member.session
    config, state = session.problem.config, session.state
    reports: Mapping[str, Report] = {}
    summary: Mapping[str, Any] = {}
    lines: Sequence[str] = ()
    batches = session.training.batches(len(session.train))
    if update := int(state.diverged):
        lines = divergence("the loss or a parameter is out of bounds", update, batches).lines
    else:
        try:
            reports, summary = summarise(session, member.seconds, state.epoch * batches)
        except DivergenceError as error:
            lines = error.lines
    result = Result(
        run=run,
        status="diverged" if lines else "done",
        task=config.task,
        config=to_plain(config),
        data_sha256=session.problem.data_sha256,
        parameters=session.network.layout.parameters,
        epochs=state.epoch,
        best_epoch=int(state.best_epoch),
        scores={part: report.scores for part, report in reports.items()},
        rows={part: report.rows for part, report in reports.items()},
        truths={part: report.truth_sha256 for part, report in reports.items()},
        baselines={part: report.baselines for part, report in reports.items()},
        lines=lines,
        exit_code=DivergenceError.exit_code if lines else 0,
    )
    return result, summary


def keep_candidate(
    sweep: SweepDirectory, run: int, text: str, member: EndedMember, summary: Mapping[str, Any]
) -> None:
    """Write a run that may become the best as an ordinary run directory, whole or not at all."""
    session = member.session
    draft = RunDirectory(sweep.candidates / f".{run}")
    shutil.rmtree(draft.path, ignore_errors=True)
    (draft.path / "checkpoints").mkdir(parents=True)
    write_text(draft.config, text)
    write_json(draft.environment, environment(session))
    write_text(draft.resolved_config, dump_yaml(session.problem.config))
    metrics = MetricsFile(draft.metrics, metrics_columns(session.problem), 0)
    for row in member.history:
        metrics.append(row)
    metrics.close()
    calibrate = partial(residuals, session)
    Checkpoints(draft, session.problem, session.answers, calibrate).write(session.state)
    write_json(draft.summary, summary)
    draft.path.replace(sweep.candidate(run))
