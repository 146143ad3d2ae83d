"""The command `evaluate`: the scores of a run, beside those of the trivial answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml2021.config.schema import KFoldSplit
from ml2021.data.new_table import read_new_table
from ml2021.data.samples import Samples
from ml2021.errors import CheckpointError, DataError
from ml2021.evaluation.scoring import Evaluation
from ml2021.files import is_there
from ml2021.runs.directory import RunDirectory, chosen_run, open_run, read_json

if TYPE_CHECKING:
    from ml2021.runs.model import TrainedModel


@dataclass(frozen=True)
class ScoredRows:
    """What was scored, and how. `split` is a part of the run's own rows, or the CSV's path.

    cross_validation: what the summary of a run with folds says of them; where nothing but the folds
    has been held out, `split` is folds, and the report has the means of their scores.
    """

    run: Path
    split: str
    task: str
    report: Evaluation
    notes: tuple[str, ...]
    cross_validation: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the one JSON object that `--json` prints."""
        report = self.report
        more: dict[str, Any] = {}
        if report.members:
            more["members"] = list(report.members)
        if self.cross_validation is not None:
            more["cross_validation"] = self.cross_validation
        return {
            "run": str(self.run),
            "split": self.split,
            "rows": report.rows,
            "task": self.task,
            "scores": report.scores,
            "targets": report.targets,
            "baselines": report.baselines,
            **more,
        }


def evaluate(csv: Path | None, run_path: Path | None) -> ScoredRows:
    """Score a run's best parameters on a CSV, or on the run's own test or validation rows."""
    run = open_run(run_path)

    from ml2021.evaluation.ensembles import evaluate_members
    from ml2021.runs.model import load_model, reload_training_data

    model = load_model(run.best)
    notes: list[str] = []
    found: Mapping[str, Any] | None = None
    if csv is None and isinstance(model.config.data.split, KFoldSplit):
        found = _cross_validation(run)
        if model.test_sha256 is None:  # nothing but the folds has been held out
            report = _report_of(run, found)
            return ScoredRows(run.path, "folds", model.preprocessing.task, report, (), found)
    with chosen_run(run, run_path):
        if csv is None:
            split, samples = reload_training_data(run, model, "name a CSV to score").scored_split
        else:
            split, samples, notes = _rows_of(csv, model)
        predictions = model.member_predictions(samples.inputs)
        report, _ = evaluate_members(predictions, model.preprocessing, model.baselines, samples)
    notes += samples.notes
    if report.confusion is not None and (unseen := int((samples.classes < 0).sum())):
        notes.append(f"rows of a class never seen in training, counted as wrong: {unseen}")
    return ScoredRows(run.path, split, model.preprocessing.task, report, tuple(notes), found)


def _cross_validation(run: RunDirectory) -> Mapping[str, Any]:
    """Return what the summary says of the folds. Raises CheckpointError where it says nothing."""
    if not is_there(run.summary):
        raise CheckpointError(
            f"{run.path}: is not finished; go on with: ml2021 train --resume {run.path}"
        )
    found = read_json(run.summary).get("cross_validation")
    if not isinstance(found, dict):
        raise CheckpointError(f"{run.summary}: damaged, it says nothing of folds; train again")
    return found


def _report_of(run: RunDirectory, found: Mapping[str, Any]) -> Evaluation:
    """Return the means over the folds; the scores by target are of all held-out rows together."""
    try:
        return Evaluation(
            rows=found["rows"],
            truth_sha256=found["pooled"]["truth_sha256"],
            scores=found["scores"],
            targets=found["pooled"]["targets"],
            baselines=found["baselines"],
            confusion=found["pooled"].get("confusion"),
        )
    except (KeyError, TypeError, AttributeError):
        raise CheckpointError(
            f"{run.summary}: damaged, its folds have no scores; train again"
        ) from None


def _rows_of(csv: Path, model: "TrainedModel") -> tuple[str, Samples, list[str]]:
    """Return the rows of another file that can be scored, and notes."""
    matched = read_new_table(model.preprocessing, csv, model.table_format, "scored")
    rows = matched.table.scorable_rows()
    if not len(rows):
        raise DataError(f"{csv}: every row lacks its target or history; add rows to score")
    notes = matched.notes()
    if unscored := len(matched.table.frame) - len(rows):
        notes.append(f"rows without a target or history, left out: {unscored}")
    return str(csv), matched.table.samples(rows), notes
