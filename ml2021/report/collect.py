"""From a run, just trained or on a disk, to all that its report is made from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.config.loading import dump_yaml, load_config
from ml2021.config.schema import Config
from ml2021.data.load import LoadedProblem
from ml2021.errors import CheckpointError, Ml2021Error
from ml2021.evaluation.scoring import Report, fold_scores, full_report
from ml2021.files import is_there
from ml2021.inspection.held_out import held_out_rows
from ml2021.inspection.loss_surface import Ground, least_work
from ml2021.inspection.rows import rows_to_look_at
from ml2021.inspection.trajectory import read_way
from ml2021.report.contents import (
    FoldScores,
    GradientSizes,
    Intervals,
    Level,
    Material,
    Terrain,
)
from ml2021.runs.checkpoint_file import load_checkpoint
from ml2021.runs.directory import RunDirectory, read_json
from ml2021.runs.metrics_csv import read_history
from ml2021.runs.model import Model, load_model, load_own_problem

if TYPE_CHECKING:
    pass

_LOSS_SETTINGS = (41, 25)
"""Settings of the loss along each of two axes: the fewer of a larger network."""

_MOST_LOSS_WORK = {"cpu": 1.5e10, "cuda": 1.5e12}
"""Floating-point operations of the loss over the parameters: some tenths of a second."""

_FEWEST_POINTS = 3

_PATH_NUMBERS = 3_000_000
"""Parameters of all the points of the path that are looked at."""


def from_training(run: RunDirectory, problem: LoadedProblem) -> Material:
    """Gather a run that has just been trained and saved, its rows still in memory."""
    return _gather(run, problem.config, load_model(run.best), problem, "")


def from_disk(run: RunDirectory) -> Material:
    """Read a run again, and its data where it still is what it was.

    Raises CheckpointError where the run has no parameters yet, or is damaged.
    """
    model = load_model(run.best)
    config = load_config(run.resolved_config).config
    problem, missing = None, ""
    try:
        problem = load_own_problem(run, model)
    except Ml2021Error as error:
        missing = error.lines[0]
    return _gather(run, config, model, problem, missing)


def _gather(
    run: RunDirectory,
    config: Config,
    model: Model,
    problem: LoadedProblem | None,
    no_rows: str,
) -> Material:
    if run.summary.exists():
        reports = saved_reports(run)
    else:  # the run was stopped before its end
        reports = {} if problem is None else _score_parts(model, problem)
    rows = held_out = None
    if problem is not None:
        rows = rows_to_look_at(model, problem)
        if rows.part == "train":
            held_out = held_out_rows(run, model, problem, rows)
    return Material(
        name=run.path.absolute().name,
        config=config,
        config_text=_text(run.config),
        resolved_text=dump_yaml(config),
        model=model,
        reports=reports,
        folds=_fold_scores(run),
        intervals=_intervals(run),
        best_epochs=_best_epochs(run),
        history=read_history(run),
        notes=() if problem is None else problem.notes,
        unused=() if problem is None else problem.unused,
        rows=rows,
        held_out=held_out,
        no_rows=no_rows,
        gradients=_gradient_sizes(run),
        built=_summary(run).get("piecewise"),
        terrain=None if problem is None else _terrain(run, model, problem),
    )


def _gradient_sizes(run: RunDirectory) -> GradientSizes | None:
    if not run.last.exists():
        return None
    tensors = load_checkpoint(run.last).tensors
    if "path.gradient_norms" not in tensors:
        return None
    norms = tensors["path.gradient_norms"].double().numpy()
    return GradientSizes(tensors["path.updates"].numpy(), norms)


def _terrain(run: RunDirectory, model: Model, problem: LoadedProblem) -> Terrain | None:
    """Return where training was, and the loss there; None where it would take long."""
    work = _MOST_LOSS_WORK[model.theta.device.type]
    fits = (n for n in _LOSS_SETTINGS if least_work(model, n**2) <= work)
    settings = next(fits, None)
    if settings is None or not is_there(run.last):
        return None
    way = read_way(run, model, max(_FEWEST_POINTS, _PATH_NUMBERS // model.theta.shape[1]))
    if len(way.path) < _FEWEST_POINTS:
        return None
    return Terrain(Ground(model, problem.train, settings**2, work), way, settings)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def saved_reports(run: RunDirectory) -> dict[str, Report]:
    """Return the scores of every part, from summary.json. Raises CheckpointError if damaged.

    The rows that the folds of a cross-validation have held out are a part, scored together.
    """
    summary = read_json(run.summary)
    try:
        scores = dict(summary["scores"])
        if "cross_validation" in summary:
            scores["held-out"] = summary["cross_validation"]["pooled"]
        return {part: Report(**{"confusion": None, **plain}) for part, plain in scores.items()}
    except (KeyError, TypeError, AttributeError):
        raise CheckpointError(
            f"{run.summary}: damaged, its scores are not those of a run"
        ) from None


def _summary(run: RunDirectory) -> dict[str, Any]:
    """Return what summary.json says; nothing where a run was stopped before its end."""
    return read_json(run.summary) if run.summary.exists() else {}


def _fold_scores(run: RunDirectory) -> FoldScores | None:
    found = _summary(run).get("cross_validation")
    if found is None:
        return None
    try:
        return FoldScores(found["folds"], found["rows"], *fold_scores(found))
    except (KeyError, TypeError):
        raise CheckpointError(f"{run.summary}: damaged, its folds have no scores") from None


def _intervals(run: RunDirectory) -> Intervals | None:
    found = _summary(run).get("interval")
    if found is None:
        return None
    try:
        levels = [Level(e["level"], e["half_width"], e["coverage"]) for e in found["levels"]]
        return Intervals(found["calibrated_on"], found["rows"], tuple(levels)) if levels else None
    except (KeyError, TypeError):
        raise CheckpointError(f"{run.summary}: damaged, its intervals are not whole") from None


def _best_epochs(run: RunDirectory) -> tuple[int, ...]:
    members = _summary(run).get("members", [])
    fine = [member for member in members if member["diverged_at_update"] is None]
    return tuple(int(member["best_epoch"]) for member in fine or members)


def _score_parts(model: Model, problem: LoadedProblem) -> dict[str, Report]:
    """Score the model on every part that has rows."""
    parts = {"train": problem.train, "validation": problem.validation, "test": problem.test}
    return {
        name: full_report(
            model.preprocessing, model.answers, samples, model.predict(samples.inputs)
        )
        for name, samples in parts.items()
        if len(samples)
    }
